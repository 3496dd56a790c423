"""Sum of maps over venues: they share one lattice, so nothing is resampled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from liqfield.model.estimates import Confidence, LiquidationDensity
from liqfield.model.grid import PriceGrid


def combine(densities: Sequence[LiquidationDensity]) -> LiquidationDensity | None:
    """All venues as one map; None of an empty list. Mark and confidence are weighted by OI.

    Intervals add as if errors were common to all venues: the same law is assumed everywhere.
    """
    if not densities:
        return None
    width = densities[0].grid.width
    first = min(d.grid.first_bin for d in densities)
    last = max(d.grid.first_bin + d.grid.count for d in densities)
    grid = PriceGrid(width, first, last - first)
    usd = np.zeros((2, 3, grid.count))
    p10, p90 = np.zeros((2, grid.count)), np.zeros((2, grid.count))
    outside = np.zeros(2)
    oi = sum(d.open_interest_usd for d in densities)
    for d in densities:
        if d.grid.width != width:
            raise ValueError(f"{d.instrument_id}: another bin width")
        at = slice(d.grid.first_bin - first, d.grid.first_bin - first + d.grid.count)
        usd[:, :, at] += d.notional_usd
        p10[:, at] += d.p10
        p90[:, at] += d.p90
        outside += d.outside_usd

    def weighted(values: list[float]) -> float:
        return sum(v * d.open_interest_usd for v, d in zip(values, densities, strict=True)) / oi

    reasons: list[str] = []
    for d in densities:
        venue = d.instrument_id.partition(":")[0]
        reasons += [f"{venue}: {reason}" for reason in d.confidence.reasons]
    return LiquidationDensity(
        instrument_id="all:" + densities[0].instrument_id.partition(":")[2],
        at_ns=max(d.at_ns for d in densities),
        mark_price=weighted([d.mark_price for d in densities]),
        grid=grid,
        notional_usd=usd,
        p10=p10,
        p90=p90,
        outside_usd=outside,
        open_interest_usd=oi,
        confidence=Confidence(
            round(weighted([d.confidence.score for d in densities]), 3), tuple(reasons)
        ),
    )
