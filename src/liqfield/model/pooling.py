"""One map out of the maps of several venues: what the view "all venues" shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from liqfield.model.errors import ModelError
from liqfield.model.estimates import Confidence, LiquidationDensity
from liqfield.model.events import FloatArray
from liqfield.model.grid import PriceGrid, rebin


def pool(densities: Sequence[LiquidationDensity], instrument_id: str) -> LiquidationDensity:
    """Sum on the union of the grids, at the finest width; mass and open interest are conserved.

    Quantiles are added: the venues share one leverage law, so their errors move together, and
    adding errs on the wide side. Mark, confidence and forced share are weighted by open interest.
    Raises ModelError on an empty sequence.
    """
    if not densities:
        raise ModelError("nothing to pool")
    if len(densities) == 1:
        return densities[0]
    grid = _union([density.grid for density in densities])
    weights = np.array([max(density.open_interest_usd, 0.0) for density in densities])
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(densities), 1.0)
    weights = weights / weights.sum()
    marks = np.array([density.mark_price for density in densities])
    scores = np.array([density.confidence.score for density in densities])
    shares = np.array([density.forced_share for density in densities])
    reasons = dict.fromkeys(r for density in densities for r in density.confidence.reasons)
    return LiquidationDensity(
        instrument_id=instrument_id,
        at_ns=max(density.at_ns for density in densities),
        mark_price=float(weights @ marks),
        grid=grid,
        notional_usd=_sum([_moved(d.notional_usd, d.grid, grid) for d in densities]),
        p10=_sum([_moved(d.p10, d.grid, grid) for d in densities]),
        p90=_sum([_moved(d.p90, d.grid, grid) for d in densities]),
        outside_usd=_sum([d.outside_usd for d in densities]),
        open_interest_usd=float(sum(d.open_interest_usd for d in densities)),
        confidence=Confidence(float(weights @ scores), tuple(reasons)),
        forced_share=float(weights @ shares),
    )


def _sum(arrays: Sequence[FloatArray]) -> FloatArray:
    total = np.zeros_like(arrays[0])
    for array in arrays:
        total += array
    return total


def _union(grids: Sequence[PriceGrid]) -> PriceGrid:
    width = min(grid.width for grid in grids)
    low = min(int(np.floor(g.first_bin * g.width / width + 1e-9)) for g in grids)
    high = max(int(np.ceil((g.first_bin + g.count) * g.width / width - 1e-9)) for g in grids)
    return PriceGrid(width, low, high - low)


def _moved(mass: FloatArray, source: PriceGrid, target: PriceGrid) -> FloatArray:
    """mass[..., bins] on the target grid, which contains the source."""
    if source.width == target.width:
        out = np.zeros((*mass.shape[:-1], target.count))
        start = source.first_bin - target.first_bin
        out[..., start : start + source.count] = mass
        return out
    rows = mass.reshape(-1, source.count)
    moved = np.stack([rebin(row, source, target)[0] for row in rows])
    return moved.reshape(*mass.shape[:-1], target.count)
