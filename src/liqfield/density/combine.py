"""Several venues' maps as one, on one lattice: sums, never averages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from liqfield.model.errors import ModelError
from liqfield.model.estimates import Confidence, LiquidationDensity
from liqfield.model.events import FloatArray
from liqfield.model.grid import PriceGrid


def placed(density: LiquidationDensity, grid: PriceGrid) -> tuple[FloatArray, FloatArray]:
    """(mass[2, 3, count] on `grid`, USD of each side that does not fit)."""
    if density.grid.width != grid.width:
        raise ModelError("densities of different bin width: rebin first")
    mass = np.zeros((2, 3, grid.count))
    offset = density.grid.first_bin - grid.first_bin
    low, high = max(offset, 0), min(offset + density.grid.count, grid.count)
    if high > low:
        mass[:, :, low:high] = density.notional_usd[:, :, low - offset : high - offset]
    lost: FloatArray = density.notional_usd.sum(axis=(1, 2)) - mass.sum(axis=(1, 2))
    return mass, np.maximum(lost, 0.0)


def _moved(values: FloatArray, density: LiquidationDensity, grid: PriceGrid) -> FloatArray:
    out = np.zeros((2, grid.count))
    offset = density.grid.first_bin - grid.first_bin
    low, high = max(offset, 0), min(offset + density.grid.count, grid.count)
    if high > low:
        out[:, low:high] = values[:, low - offset : high - offset]
    return out


def combine(densities: Sequence[LiquidationDensity]) -> LiquidationDensity | None:
    """The sum over venues on the window of the largest one; None for none.

    Distances below and above the mean add in quadrature: venues err independently. Ages are
    weighted by notional, the mark and the forced share by open interest.
    """
    if not densities:
        return None
    lead = max(densities, key=lambda d: (d.open_interest_usd, d.instrument_id))
    grid = lead.grid
    count = grid.count
    mass, outside = np.zeros((2, 3, count)), np.zeros(2)
    below, above = np.zeros((2, count)), np.zeros((2, count))
    age, reasons = np.zeros((2, count)), list[str]()
    total = sum(d.open_interest_usd for d in densities) or 1.0
    score = share = mark = 0.0
    for d in sorted(densities, key=lambda d: d.instrument_id):
        part, lost = placed(d, grid)
        mass += part
        outside += d.outside_usd + lost
        usd = part.sum(axis=1)
        below += np.square(usd - _moved(d.p10, d, grid))
        above += np.square(_moved(d.p90, d, grid) - usd)
        if d.age_s is not None:
            age += usd * _moved(d.age_s, d, grid)
        weight = d.open_interest_usd / total
        score += weight * d.confidence.score
        share += weight * d.forced_share
        mark += weight * d.mark_price
        venue = d.instrument_id.partition(":")[0]
        reasons += [f"{venue}: {reason}" for reason in d.confidence.reasons]
    usd = mass.sum(axis=1)
    return LiquidationDensity(
        instrument_id="all",
        at_ns=max(d.at_ns for d in densities),
        mark_price=mark,
        grid=grid,
        notional_usd=mass,
        p10=np.maximum(usd - np.sqrt(below), 0.0),
        p90=usd + np.sqrt(above),
        outside_usd=outside,
        open_interest_usd=sum(d.open_interest_usd for d in densities),
        confidence=Confidence(score, tuple(reasons)),
        forced_share=share,
        age_s=age / np.maximum(usd, 1e-300),
    )
