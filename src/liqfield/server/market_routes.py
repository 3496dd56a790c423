"""REST for the rest: markets, candles, clusters, tape, health, meta."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from litestar import get
from litestar.exceptions import NotFoundException, ValidationException
from litestar.params import QueryParameter

from liqfield.model.sides import PositionSide
from liqfield.server.map_routes import AtMs, Name, Venue
from liqfield.server.services import AnyRequest, Given, Services
from liqfield.server.wire import (
    WIRE_VERSION,
    Candles,
    Clusters,
    Context,
    Flow,
    Health,
    MarketInfo,
    Meta,
    ProjectionReply,
    Tape,
    Truth,
)

ROWS_MAX = 5000
Interval = Literal[60, 300, 900, 1800, 3600, 14400, 86400]
Ms = Annotated[float, QueryParameter(ge=0, le=4e12)]


@get("/api/v1/meta")
async def get_meta(services: Given) -> Meta:
    """Who answers."""
    return Meta(
        name="liqfield",
        version=services.settings.version,
        source=services.settings.source,
        wire_version=WIRE_VERSION,
        server_ms=time.time() * 1e3,
        dataset=services.maps.dataset_id,
    )


@get("/api/v1/markets")
async def get_markets(services: Given) -> Sequence[MarketInfo]:
    """Base assets and the venues that trade them."""
    return tuple(services.sources.markets())


@get("/api/v1/candles/{base:str}")
async def get_candles(
    services: Given,
    base: Name,
    from_ms: Ms,
    to_ms: Ms,
    interval_s: Annotated[Interval, QueryParameter()] = 60,
) -> Candles:
    """Candles that start in [from_ms, to_ms), at most 5000."""
    if (to_ms - from_ms) / (interval_s * 1000) > ROWS_MAX:
        raise ValidationException(f"more than {ROWS_MAX} candles: ask for wider ones")
    _known(services, base)
    return Candles(base, interval_s, tuple(services.candles.rows(base, interval_s, from_ms, to_ms)))


@get("/api/v1/clusters/{base:str}")
async def get_clusters(
    services: Given,
    base: Name,
    at_ms: AtMs = None,
    min_usd: Annotated[float, QueryParameter(ge=0, le=1e12)] = 0.0,
) -> Clusters:
    """The newest clusters, or those of the map as it was known at `at_ms`; of min_usd or more.

    min_usd 0: what counts in this market. Smaller ones are found in the newest stored column.
    """
    _known(services, base)
    newest = services.hub.latest(f"clusters:{base}")
    if isinstance(newest, Clusters) and min_usd >= newest.min_usd:
        rows = tuple(row for row in newest.clusters if row.usd >= min_usd)
        newest = msgspec.structs.replace(newest, clusters=rows, min_usd=min_usd)
    elif min_usd and isinstance(newest, Clusters) and at_ms is None:
        at_ms, newest = newest.at_ms, None
    if at_ms is not None and not (isinstance(newest, Clusters) and at_ms >= newest.at_ms):
        then = services.sources.clusters(base, int(at_ms * 1e6), min_usd)
        if then is None:
            raise NotFoundException(f"no map of {base} was known then")
        return then
    if not isinstance(newest, Clusters):
        raise NotFoundException(f"no clusters of {base} yet: the map is still being built")
    return newest


@get("/api/v1/tape/{base:str}")
async def get_tape(
    services: Given,
    base: Name,
    from_ms: Annotated[float, QueryParameter(ge=0, le=4e12)] = 0.0,
) -> Tape:
    """Realised liquidations since `from_ms`, as far back as they are kept."""
    _known(services, base)
    newest = services.hub.latest(f"tape:{base}")
    rows = newest.rows if isinstance(newest, Tape) else ()
    return Tape(base, tuple(row for row in rows if row.at_ms >= from_ms))


@get("/api/v1/projection/{base:str}")
async def get_projection(
    services: Given,
    base: Name,
    side: Annotated[Literal["long", "short"], QueryParameter()],
    price: Annotated[float | None, QueryParameter(gt=0, le=1e12)] = None,
    push_usd: Annotated[float, QueryParameter(ge=0, le=1e12)] = 0.0,
) -> ProjectionReply:
    """Where forced flow of one side ends, from `price` (default: the mark) outwards.

    push_usd: aggressive flow that starts it, beside what the map holds.
    """
    _known(services, base)
    newest = services.sources.density(base, "all")
    start = price if price is not None else newest.mark_price if newest is not None else 0.0
    reply = None
    if start > 0.0:
        reply = services.sources.projection(base, start, PositionSide(side), push_usd)
    if reply is None:
        raise NotFoundException(f"no projection of {base} yet: it needs a map and a book")
    return reply


@get("/api/v1/flow/{base:str}")
async def get_flow(
    services: Given, base: Name, span_s: Annotated[float, QueryParameter(ge=60, le=86400)] = 3600.0
) -> Flow:
    """The Flow panel over the last `span_s` of the UTC day."""
    _known(services, base)
    newest = services.sources.flow(base, span_s)
    if newest is None:
        raise NotFoundException(f"no flow of {base} yet")
    return newest


@get("/api/v1/context/{base:str}")
async def get_context(services: Given, base: Name) -> Context:
    """Funding, open interest, ratios, sessions, COT: the newest."""
    _known(services, base)
    newest = services.hub.latest(f"context:{base}")
    if not isinstance(newest, Context):
        raise NotFoundException(f"no context of {base} yet")
    return newest


@get("/api/v1/truth/{base:str}")
async def get_truth(services: Given, base: Name, venue: Venue = "all") -> Truth:
    """Predicted against realised liquidations, with baselines; of one venue alone."""
    _known(services, base)
    if venue != "all":
        alone = services.sources.truth(base, venue)
        if alone is None:
            raise NotFoundException(f"no score of {base} on {venue}")
        return alone
    newest = services.hub.latest(f"truth:{base}")
    if not isinstance(newest, Truth):
        raise NotFoundException(f"nothing of {base} has been scored yet")
    return newest


@get("/api/v1/health")
async def get_health(services: Given) -> Health:
    """Every stream with its state, gaps and errors."""
    newest = services.hub.latest("health")
    if not isinstance(newest, Health):
        raise NotFoundException("no health yet: the feeds are still starting")
    return newest


def _known(services: Services, base: str) -> None:
    bases = [market.base for market in services.sources.markets()]
    if base not in bases:
        raise NotFoundException(f"no market {base!r}: {', '.join(bases)}")


@get("/api/v1/openapi.json", include_in_schema=False)
async def get_openapi(request: AnyRequest) -> dict[str, object]:
    """The whole interface, for tools."""
    return request.app.openapi_schema.to_schema()


ROUTES = (
    get_openapi,
    get_meta,
    get_markets,
    get_candles,
    get_clusters,
    get_tape,
    get_projection,
    get_flow,
    get_context,
    get_truth,
    get_health,
)
