"""REST for the map: tiles, whole columns, and the value under the crosshair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import PathParameter, QueryParameter

from liqfield.model.estimates import LiquidationDensity
from liqfield.model.events import FloatArray
from liqfield.model.tiles import (
    COLUMN_S,
    LEVEL_FACTORS,
    QUANTISATION_ERROR,
    MapColumn,
    level_sums,
    level_width,
)
from liqfield.server.negotiate import accepted, matches
from liqfield.server.services import AnyRequest, Given
from liqfield.server.wire import Density, Value

LIVE_COLUMN_NS = COLUMN_S[0] * 1_000_000_000
_NAME = r"^[A-Za-z0-9._-]+$"
Name = Annotated[str, PathParameter(min_length=1, max_length=16, pattern=_NAME)]
Venue = Annotated[str, QueryParameter(min_length=1, max_length=16, pattern=_NAME)]
AtMs = Annotated[float | None, QueryParameter(ge=0, le=4e12)]
Level = Annotated[int, PathParameter(ge=0, le=len(LEVEL_FACTORS) - 1)]
Width = Annotated[int, PathParameter(ge=COLUMN_S[0], le=COLUMN_S[-1])]
Index = Annotated[int, PathParameter(ge=-(1 << 31), le=(1 << 31) - 1)]


@get(
    "/api/v1/tiles/{base:str}/{venue:str}/{column_s:int}/{bin_level:int}"
    "/{time_index:int}/{price_index:int}"
)
async def get_tile(
    request: AnyRequest,
    services: Given,
    base: Name,
    venue: Name,
    column_s: Width,
    bin_level: Level,
    time_index: Index,
    price_index: Index,
    dataset: Annotated[str, QueryParameter(max_length=40)] = "",
) -> Response[bytes]:
    """One binary tile (docs/wire.md); with the dataset of Hello, complete ones may be kept."""
    tile = services.maps.tile(base, venue, column_s, bin_level, time_index, price_index)
    if tile is None:
        raise NotFoundException(f"no map of {base} {venue} at that time, price and width")
    data, encoding = services.tiles.encode(
        tile, accepted(request.headers.get("accept-encoding", ""))
    )
    etag = f'"{tile.etag}-{encoding}"'
    # Without the dataset's name a demo's tiles would outlive it in the browser, as live ones.
    keep = tile.is_complete and dataset == services.maps.dataset_id
    headers = {
        "ETag": etag,
        "Vary": "Accept-Encoding",
        "Cache-Control": "public, max-age=31536000, immutable" if keep else "no-cache",
    }
    if matches(request.headers.get("if-none-match", ""), etag):
        return Response(b"", status_code=304, headers=headers)
    if encoding != "identity":
        headers["Content-Encoding"] = encoding
    return Response(data, media_type="application/octet-stream", headers=headers)


@get("/api/v1/density/{base:str}")
async def get_density(
    services: Given, base: Name, venue: Venue = "all", at_ms: AtMs = None
) -> Density:
    """The newest map with its interval, or the map as it was known at `at_ms`."""
    newest = services.sources.density(base, venue)
    if newest is not None and (at_ms is None or at_ms * 1e6 >= newest.at_ns):
        return _exact(base, venue, newest)
    if at_ms is not None:
        column = services.maps.known_at(base, venue, int(at_ms * 1e6))
        if column is not None:
            return _stored(base, venue, column)
    raise NotFoundException(f"no map of {base} {venue} was known then")


@get("/api/v1/value/{base:str}")
async def get_value(
    services: Given,
    base: Name,
    price: Annotated[float, QueryParameter(gt=0, le=1e12)],
    at_ms: AtMs = None,
    venue: Venue = "all",
    column_s: Annotated[int | None, QueryParameter(ge=COLUMN_S[0], le=COLUMN_S[-1])] = None,
    bin_level: Annotated[int, QueryParameter(ge=0, le=len(LEVEL_FACTORS) - 1)] = 0,
) -> Value:
    """What the crosshair reads at a time and price; `column_s` is the width of the columns shown.

    In the running column this is the newest map, exact and with its interval.
    """
    if column_s is not None and column_s not in COLUMN_S:
        raise NotFoundException(f"no columns of {column_s} s: {', '.join(map(str, COLUMN_S))}")
    newest = services.sources.density(base, venue)
    if newest is not None and column_s in (None, COLUMN_S[0]):
        start_ns = newest.at_ns // LIVE_COLUMN_NS * LIVE_COLUMN_NS
        if at_ms is None or start_ns <= at_ms * 1e6 < start_ns + LIVE_COLUMN_NS:
            return _exact_value(base, venue, price, at_ms, newest, bin_level)
    if at_ms is None and newest is not None:
        at_ms = newest.at_ns / 1e6
    if at_ms is not None:
        column = services.maps.column(base, venue, int(at_ms * 1e6), column_s, bin_level)
        if column is not None:
            return _stored_value(base, venue, price, at_ms, column)
    raise NotFoundException(f"no map of {base} {venue} at that time")


def _exact(base: str, venue: str, density: LiquidationDensity) -> Density:
    return Density(
        base=base,
        venue=venue,
        at_ms=density.at_ns / 1e6,
        mark=density.mark_price,
        bin_width=density.grid.width,
        first_bin=density.grid.first_bin,
        bins=density.grid.count,
        notional_usd=_nested(density.notional_usd),
        p10=tuple(map(_floats, density.p10)),
        p90=tuple(map(_floats, density.p90)),
        outside_usd=(float(density.outside_usd[0]), float(density.outside_usd[1])),
        open_interest_usd=float(density.open_interest_usd),
        forced_share=float(density.forced_share),
        confidence=float(density.confidence.score),
        reasons=density.confidence.reasons,
        quantisation_error=0.0,
    )


def _stored(base: str, venue: str, column: MapColumn) -> Density:
    return Density(
        base=base,
        venue=venue,
        at_ms=column.as_of_ns / 1e6,
        mark=column.mark_price,
        bin_width=column.grid.width,
        first_bin=column.grid.first_bin,
        bins=column.grid.count,
        notional_usd=_nested(column.notional_usd),
        p10=None,
        p90=None,
        outside_usd=(float(column.outside_usd[0]), float(column.outside_usd[1])),
        open_interest_usd=column.open_interest_usd,
        forced_share=column.forced_share,
        confidence=column.confidence,
        reasons=(),
        quantisation_error=QUANTISATION_ERROR,
    )


def _exact_value(
    base: str,
    venue: str,
    price: float,
    at_ms: float | None,
    density: LiquidationDensity,
    level: int,
) -> Value:
    first, usd = level_sums(density, level)
    width = level_width(level)
    i = _bin(price, width, first, usd.shape[1])
    start_ns = density.at_ns // LIVE_COLUMN_NS * LIVE_COLUMN_NS
    # Every bin of the density whose centre lies in the bin asked for.
    centres = (density.grid.first_bin + np.arange(density.grid.count) + 0.5) * density.grid.width
    inside = np.floor(centres / width).astype(np.int64) == first + i
    return Value(
        base=base,
        venue=venue,
        at_ms=density.at_ns / 1e6 if at_ms is None else at_ms,
        price=price,
        column_start_ms=start_ns / 1e6,
        column_end_ms=(start_ns + LIVE_COLUMN_NS) / 1e6,
        as_of_ms=density.at_ns / 1e6,
        mark=float(density.mark_price),
        low=math.exp((first + i) * width),
        high=math.exp((first + i + 1) * width),
        usd=_by_side(usd.reshape(2, 3, -1)[:, :, i]),
        p10=(float(density.p10[0][inside].sum()), float(density.p10[1][inside].sum())),
        p90=(float(density.p90[0][inside].sum()), float(density.p90[1][inside].sum())),
        quantisation_error=0.0,
    )


def _stored_value(base: str, venue: str, price: float, at_ms: float, column: MapColumn) -> Value:
    width, first = column.grid.width, column.grid.first_bin
    i = _bin(price, width, first, column.grid.count)
    return Value(
        base=base,
        venue=venue,
        at_ms=at_ms,
        price=price,
        column_start_ms=column.start_ns / 1e6,
        column_end_ms=column.end_ns / 1e6,
        as_of_ms=column.as_of_ns / 1e6,
        mark=column.mark_price,
        low=math.exp((first + i) * width),
        high=math.exp((first + i + 1) * width),
        usd=_by_side(column.notional_usd[:, :, i]),
        p10=None,
        p90=None,
        quantisation_error=QUANTISATION_ERROR,
    )


def _bin(price: float, width: float, first: int, count: int) -> int:
    i = math.floor(math.log(price) / width) - first
    if not 0 <= i < count:
        low, high = math.exp(first * width), math.exp((first + count) * width)
        raise NotFoundException(f"{price:g} lies outside the map: {low:.6g} to {high:.6g} USD")
    return i


def _floats(row: FloatArray) -> tuple[float, ...]:
    return tuple(row.tolist())


def _nested(planes: FloatArray) -> tuple[tuple[tuple[float, ...], ...], ...]:
    return tuple(tuple(_floats(band) for band in side) for side in planes)


def _by_side(
    usd: FloatArray,
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    rows: Sequence[Sequence[float]] = usd.tolist()
    long, short = rows
    return (long[0], long[1], long[2]), (short[0], short[1], short[2])


ROUTES = (get_tile, get_density, get_value)
