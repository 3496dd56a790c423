"""Projection from any price: the pooled map and the composite book on one set of bins."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from liqfield.book.depth import SideDepth, fit_law
from liqfield.cascade.outlook import ForcedPath
from liqfield.cascade.projection import Projection, ProjectionSettings, project, way_bins
from liqfield.density.combine import combine, combine_columns
from liqfield.model.errors import ModelError
from liqfield.model.estimates import LONG, SHORT, DensityColumn, LiquidationDensity
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.sides import PositionSide

REACH = 0.15


class Way(msgspec.Struct, frozen=True, eq=False):
    """What lies ahead of a start price, in bins away from it; see `cascade.projection.project`."""

    price: FloatArray
    forced_usd: FloatArray
    forced_p10: FloatArray
    forced_p90: FloatArray
    depth_usd: FloatArray
    depth_log_sd: FloatArray

    def forced(self) -> ForcedPath:
        """What the map says is forced, by log way from the start."""
        return ForcedPath(
            np.abs(np.log(self.price[1:] / self.price[0])), np.cumsum(self.forced_usd)
        )

    def scaled(self, factor: float) -> Way:
        """The same with so many times the forced notional."""
        forced, low, high = (
            factor * usd for usd in (self.forced_usd, self.forced_p10, self.forced_p90)
        )
        return msgspec.structs.replace(self, forced_usd=forced, forced_p10=low, forced_p90=high)

    def project(
        self, push_usd: float = 0.0, settings: ProjectionSettings | None = None
    ) -> Projection:
        """Follow forced flow along this way."""
        return project(
            self.price,
            self.forced_usd,
            self.forced_p10,
            self.forced_p90,
            self.depth_usd,
            push_usd=push_usd,
            depth_log_sd=self.depth_log_sd,
            settings=settings,
        )


def way_ahead(
    densities: Sequence[LiquidationDensity],
    sides: Sequence[SideDepth],
    start_price: float,
    position_side: PositionSide,
) -> Way | None:
    """The pooled map and the composite book from a price on: down for longs, up for shorts.

    sides: the venues' books of the side that is hit. Depth counts by distance from the start: a
    book moves with the price, so its shape is carried there. None without a map or a book. Raises
    ModelError for a start outside the map.
    """
    pooled = combine(densities)
    sides = [side for side in sides if side.seen > 0.0]
    if pooled is None or not sides:
        return None
    side = LONG if position_side is PositionSide.LONG else SHORT
    price, bins, scale = _bins(pooled, start_price, side)
    depth, unseen = _depth(sides, np.abs(price / start_price - 1.0))
    return Way(
        price,
        pooled.notional_usd[side].sum(axis=0)[bins] * scale,
        pooled.p10[side][bins] * scale,
        pooled.p90[side][bins] * scale,
        depth,
        unseen,
    )


def forced_ahead(
    columns: Sequence[DensityColumn], start_price: float, side: int
) -> ForcedPath | None:
    """What the pooled map has ahead of a price, side LONG below it and SHORT above; None without a
    map there."""
    pooled = combine_columns(columns)
    if pooled is None:
        return None
    try:
        price, bins, scale = _bins(pooled, start_price, side)
    except ModelError:  # the price has left the map
        return None
    usd = np.cumsum(pooled.notional_usd[side].sum(axis=0)[bins] * scale)
    return ForcedPath(np.abs(np.log(price[1:] / price[0])), usd)


def _bins(
    pooled: DensityColumn, start_price: float, side: int
) -> tuple[FloatArray, IntArray, FloatArray]:
    """(edges away from the start, bin, share of the bin's notional that is forced on the way)."""
    price, bins, share = way_bins(
        pooled.grid.edges(), start_price, is_down=side == LONG, reach=REACH
    )
    return price, bins, share * pooled.forced_share


def project_market(
    densities: Sequence[LiquidationDensity],
    sides: Sequence[SideDepth],
    start_price: float,
    position_side: PositionSide,
    push_usd: float = 0.0,
    settings: ProjectionSettings | None = None,
    map_factor: float = 1.0,
) -> Projection | None:
    """Follow forced flow from a price through what `way_ahead` finds there."""
    way = way_ahead(densities, sides, start_price, position_side)
    return None if way is None else way.scaled(map_factor).project(push_usd, settings)


def _depth(sides: Sequence[SideDepth], distance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(USD by bin, log-sd of it beyond the view) over the venues; distance float64[n + 1]."""
    total = np.zeros(len(distance))
    spread = np.zeros(len(distance))
    for side in sides:
        law = fit_law(side)
        seen = side.at(distance)
        beyond = np.isnan(seen)
        cum = np.where(beyond, 0.0, seen)
        for i in np.flatnonzero(beyond):
            cum[i] = law.usd(float(distance[i]))
            spread[i] += cum[i] * law.log_sd(float(distance[i]))
        total += np.maximum.accumulate(cum)
    with np.errstate(invalid="ignore", divide="ignore"):
        log_sd = np.where(total > 0.0, spread / total, 0.0)
    return np.maximum(np.diff(total), 1.0), log_sd[1:]
