"""The ASGI application out of its parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from liqfield.model.errors import LiqfieldError
from liqfield.server import asset_routes, map_routes, market_routes, metrics_routes, session
from liqfield.server.assets import STATIC, Assets
from liqfield.server.guard import Guard
from liqfield.server.hub import Hub
from liqfield.server.problems import on_http_error, on_our_error, on_surprise
from liqfield.server.services import Services
from liqfield.server.sources import CandleReader, MapReader, ServerSettings, Sources


def build_app(
    hub: Hub,
    sources: Sources,
    maps: MapReader,
    candles: CandleReader,
    settings: ServerSettings,
    static: Path = STATIC,
    metrics: Callable[[], bytes] | None = None,
) -> Guard:
    """REST under /api/v1, the WebSocket at /ws, the web app at /; guarded by Host and Origin."""
    services = Services(hub, sources, maps, candles, settings, Assets(static), metrics=metrics)

    def provide() -> Services:
        return services

    app = Litestar(
        route_handlers=[
            *map_routes.ROUTES,
            *market_routes.ROUTES,
            *metrics_routes.ROUTES,
            session.live,
            asset_routes.get_asset,
        ],
        dependencies={"services": Provide(provide, sync_to_thread=False)},
        exception_handlers={
            HTTPException: on_http_error,
            LiqfieldError: on_our_error,
            Exception: on_surprise,
        },
        openapi_config=OpenAPIConfig(
            title="liqfield",
            version=settings.version,
            path="/schema",  # also served as /api/v1/openapi.json
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
            use_handler_docstrings=True,
        ),
        logging_config=None,
        request_max_body_size=64 * 1024,
    )
    return Guard(app, settings.extra_origins, services.assets.scripts)
