"""Several venues' maps as one, on one lattice: sums, never averages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from liqfield.density import readout
from liqfield.density.intervals import bound_map, pooled_law
from liqfield.model.errors import ModelError
from liqfield.model.estimates import Confidence, DensityColumn, LiquidationDensity
from liqfield.model.events import FloatArray
from liqfield.model.grid import PriceGrid

_NONE: FloatArray = np.empty((2, 0))
# Correlation of the venues' errors in one bin: see docs/estimator.md, step 7.
COMMON = 0.5


class _Shared(NamedTuple):
    """What is weighted by open interest, and whose window the sum stands on."""

    grid: PriceGrid
    open_interest_usd: float
    confidence: Confidence
    forced_share: float
    mark_price: float


def combine(
    densities: Sequence[LiquidationDensity], common: float = COMMON
) -> LiquidationDensity | None:
    """The sum over venues on the window of the largest one; None for none.

    Errors of two venues have the correlation `common`: they share one prior law and one way of
    seeing. Ages are weighted by notional; the mark, the forced share and the laws of the intervals
    by open interest.
    """
    if not densities:
        return None
    shared = _shared(densities)
    count = shared.grid.count
    mass, age, outside = np.zeros((2, 3, count)), np.zeros((2, count)), np.zeros(2)
    for d in sorted(densities, key=lambda d: d.instrument_id):
        ages = _NONE if d.age_s is None else d.age_s
        readout.pool(d.notional_usd, _offset(d, shared.grid), ages, mass, age, outside)
        outside += d.outside_usd
    errs = pooled_law([(d.open_interest_usd, d.errs) for d in densities], common)
    p10, p90 = bound_map(mass, age, errs)
    return LiquidationDensity(
        instrument_id="all",
        at_ns=max(d.at_ns for d in densities),
        mark_price=shared.mark_price,
        grid=shared.grid,
        notional_usd=mass,
        p10=p10,
        p90=p90,
        outside_usd=outside,
        open_interest_usd=shared.open_interest_usd,
        confidence=shared.confidence,
        forced_share=shared.forced_share,
        age_s=age,
        errs=errs,
    )


def combine_columns(columns: Sequence[DensityColumn]) -> DensityColumn | None:
    """As `combine`, of what a history keeps: amounts without intervals and ages."""
    if not columns:
        return None
    shared = _shared(columns)
    if len(columns) == 1:  # the sum is the one
        mass, outside = columns[0].notional_usd, columns[0].outside_usd
    else:
        mass, outside = np.zeros((2, 3, shared.grid.count)), np.zeros(2)
        for d in sorted(columns, key=lambda d: d.instrument_id):
            offset = _offset(d, shared.grid)
            readout.pool(d.notional_usd, offset, _NONE, mass, _NONE, outside)
            outside += d.outside_usd
    return DensityColumn(
        instrument_id="all",
        at_ns=max(d.at_ns for d in columns),
        mark_price=shared.mark_price,
        grid=shared.grid,
        notional_usd=mass,
        outside_usd=outside,
        open_interest_usd=shared.open_interest_usd,
        confidence=shared.confidence,
        forced_share=shared.forced_share,
    )


def placed_usd(density: DensityColumn, grid: PriceGrid) -> FloatArray:
    """USD [2, count] summed over bands on `grid`; what does not fit is left out."""
    out = np.zeros((2, grid.count))
    offset = _offset(density, grid)
    low, high = max(offset, 0), min(offset + density.grid.count, grid.count)
    if high > low:
        density.notional_usd[:, :, low - offset : high - offset].sum(axis=1, out=out[:, low:high])
    return out


def _shared(columns: Sequence[DensityColumn]) -> _Shared:
    lead = max(columns, key=lambda d: (d.open_interest_usd, d.instrument_id))
    total = sum(d.open_interest_usd for d in columns)
    score = share = mark = 0.0
    reasons: list[str] = []
    for d in sorted(columns, key=lambda d: d.instrument_id):
        weight = d.open_interest_usd / (total or 1.0)
        score += weight * d.confidence.score
        share += weight * d.forced_share
        mark += weight * d.mark_price
        venue = d.instrument_id.partition(":")[0]
        reasons += [f"{venue}: {reason}" for reason in d.confidence.reasons]
    return _Shared(lead.grid, total, Confidence(score, tuple(reasons)), share, mark)


def _offset(density: DensityColumn, grid: PriceGrid) -> int:
    if density.grid.width != grid.width:
        raise ModelError("densities of different bin width: rebin first")
    return density.grid.first_bin - grid.first_bin
