"""`/metrics` for Prometheus: the text comes from whoever built the server."""

from __future__ import annotations

from litestar import get
from litestar.exceptions import NotFoundException
from litestar.response import Response

from liqfield.server.services import Given

TEXT = "text/plain; version=0.0.4; charset=utf-8"


@get("/metrics", sync_to_thread=False, include_in_schema=False)
def get_metrics(services: Given) -> Response[bytes]:
    """Lag, gaps, resyncs, staleness, queue depth, drops, budgets, step time."""
    if services.metrics is None:
        raise NotFoundException("this server has no metrics")
    return Response(services.metrics(), media_type=TEXT)


ROUTES = (get_metrics,)
