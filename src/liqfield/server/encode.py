"""Estimates of the model as messages of the wire."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from liqfield.model.analytics import PathView, WallView
from liqfield.model.estimates import Cluster, LadderView, LiquidationDensity, StreamHealth
from liqfield.model.events import Candle, FloatArray, Liquidation
from liqfield.server.encode_flow import known, path_row, wall_row
from liqfield.server.wire import (
    CandleRow,
    ClusterRow,
    Clusters,
    Ladder,
    StreamRow,
    TapeRow,
    WallRow,
)

#: (step, first row, rows) -> (delta, traded), base coins by row: flow.RecentVolume.rows with its
#: `since_ns` bound.
VolumeRows: TypeAlias = Callable[[float, int, int], tuple[FloatArray, FloatArray]]
WALLS_MAX = 12  # a badge in every row says nothing
AUTO_STEP = 1e-4  # of the price: 60 rows show 0.6 %


def clusters(
    base: str,
    at_ns: int,
    mark: float,
    found: Sequence[Cluster],
    paths: Sequence[PathView | None] = (),
    *,
    min_usd: float = 0.0,
    reach: float = 0.0,
    default_usd: float = 0.0,
    default_why: str = "",
) -> Clusters:
    """As the engine orders them; paths in the same order, or none at all."""
    ways = paths if len(paths) == len(found) else [None] * len(found)
    rows = tuple(cluster_row(c, way) for c, way in zip(found, ways, strict=True))
    return Clusters(base, at_ns / 1e6, float(mark), rows, min_usd, reach, default_usd, default_why)


def cluster_row(cluster: Cluster, path: PathView | None = None) -> ClusterRow:
    low, mid, high = cluster.band_usd
    return ClusterRow(
        side=cluster.position_side.value,
        low=float(cluster.low),
        high=float(cluster.high),
        peak=float(cluster.peak),
        usd=float(cluster.notional_usd),
        usd_p10=known(cluster.notional_usd_p10),
        usd_p90=known(cluster.notional_usd_p90),
        distance=float(cluster.distance),
        band_usd=(float(low), float(mid), float(high)),
        venue_usd={venue: float(usd) for venue, usd in cluster.venue_usd.items()},
        age_s=known(cluster.age_s),
        growth_per_h=float(cluster.growth_per_h),
        stacked=bool(cluster.is_stacked),
        confidence=float(cluster.confidence.score),
        reasons=cluster.confidence.reasons,
        path=None if path is None else path_row(path),
    )


def tape_row(liquidation: Liquidation, venue: str) -> TapeRow:
    return TapeRow(
        at_ms=liquidation.event_ns / 1e6,
        venue=venue,
        side=liquidation.position_side.value,
        price=liquidation.price,
        usd=liquidation.price * liquidation.quantity,
        price_kind=liquidation.price_kind.value,
        coverage=liquidation.coverage.value,
    )


def candle_row(base: str, candle: Candle) -> CandleRow:
    return CandleRow(
        base=base,
        interval_s=candle.interval_ns // 1_000_000_000,
        start_ms=(candle.event_ns - candle.interval_ns) / 1e6,
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=candle.volume,
    )


def stream_row(health: StreamHealth, now_ns: int) -> StreamRow:
    """age_ms -1: nothing received yet."""
    received = health.last_received_ns
    return StreamRow(
        venue=health.venue,
        stream=health.stream,
        state=health.state,
        age_ms=max(now_ns - received, 0) / 1e6 if received else -1.0,
        messages=health.messages,
        gaps=health.gaps,
        resyncs=health.resyncs,
        errors=health.errors,
        detail=health.detail,
    )


def ladder(
    view: LadderView,
    density: LiquidationDensity | None,
    volume: VolumeRows | None,
    step: float = 0.0,
    rows: int = 60,
    walls: Sequence[WallView] | None = None,
    microprice: float | None = None,
) -> Ladder:
    """`rows` rows of `step` USD (0 = automatic) around the middle of the composite book.

    The step becomes a whole multiple of the view's, so that no size is split between rows. density:
    the pooled map; volume: what was traded lately; walls: None while nothing watches them.
    """
    middle = _middle(view, density)
    multiple = max(1, round((step or _auto_step(middle)) / view.step))
    wide = view.step * multiple
    first = math.floor(middle / wide + 1e-9) - rows // 2
    edges: FloatArray = (first + np.arange(rows + 1, dtype=np.float64)) * wide
    long_usd, short_usd = _mass(density, edges)
    zeros = np.zeros(rows)
    delta, traded = volume(wide, first, rows) if volume is not None else (zeros, zeros)
    return Ladder(
        base=view.base,
        at_ms=view.at_ns / 1e6,
        step=wide,
        first_price=float(edges[0]),
        bid=_group(view.bid, view.first_row, multiple, first, rows),
        ask=_group(view.ask, view.first_row, multiple, first, rows),
        long_usd=_rounded(long_usd, 0),
        short_usd=_rounded(short_usd, 0),
        delta=_rounded(delta, 4),
        traded=_rounded(traded, 4),
        best_bid=float(view.best_bid),
        best_ask=float(view.best_ask),
        venues=view.venues,
        absent=dict(view.absent),
        walls=None if walls is None else _walls(walls, edges),
        microprice=microprice,
    )


def _walls(walls: Sequence[WallView], edges: FloatArray) -> tuple[WallRow, ...]:
    """Those inside the rows, the largest WALLS_MAX of them."""
    inside = [w for w in walls if edges[0] <= w.price < edges[-1]]
    inside.sort(key=lambda w: -w.multiple)
    return tuple(wall_row(w) for w in inside[:WALLS_MAX])


def _middle(view: LadderView, density: LiquidationDensity | None) -> float:
    if view.best_bid > 0 and view.best_ask > 0:
        return float(view.best_bid + view.best_ask) / 2
    if density is not None:
        return float(density.mark_price)
    return float((view.first_row + len(view.bid) / 2) * view.step)


def _auto_step(price: float) -> float:
    raw = max(price, 1e-12) * AUTO_STEP
    power = 10.0 ** math.floor(math.log10(raw))
    return float(min((1.0, 2.0, 5.0, 10.0), key=lambda m: abs(math.log(m * power / raw))) * power)


def _group(
    sizes: FloatArray, first_row: int, multiple: int, first: int, rows: int
) -> tuple[float, ...]:
    """Sums of `multiple` rows on the absolute lattice, for output rows [first, first + rows)."""
    target = (first_row + np.arange(len(sizes))) // multiple - first
    inside = (target >= 0) & (target < rows)
    sums: FloatArray = np.bincount(target[inside], sizes[inside], rows).astype(np.float64)
    return _rounded(sums, 6)


def _mass(density: LiquidationDensity | None, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    """USD by side within each row: the map spread evenly within its bins, nothing lost."""
    if density is None:
        zeros = np.zeros(len(edges) - 1)
        return zeros, zeros
    grid = density.grid
    bins = (grid.first_bin + np.arange(grid.count + 1)) * grid.width
    at = np.log(np.maximum(edges, 1e-300))
    by_side = density.notional_usd.sum(axis=1)
    cumulative = np.concatenate([np.zeros((2, 1)), np.cumsum(by_side, axis=1)], axis=1)
    long, short = (np.diff(np.interp(at, bins, row)) for row in cumulative)
    return long, short


def _rounded(values: FloatArray, digits: int) -> tuple[float, ...]:
    return tuple(np.round(values, digits).tolist())
