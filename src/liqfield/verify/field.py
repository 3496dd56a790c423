"""A map against the truth of a world: bins of 0.1 % within 8 % of the mark, USD."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from liqfield.model.events import FloatArray
from liqfield.model.grid import PriceGrid
from liqfield.verify import metrics

WIDTH = 0.001
REACH = 80  # bins on each side of the mark


class FieldScore(msgspec.Struct, frozen=True):
    """wasserstein_bp: mean of both sides; correlation: over all bins; mass_ratio: estimate / truth;
    coverage: share of bins whose truth lies in [p10, p90]; nan where there are no intervals."""

    wasserstein_bp: float
    correlation: float
    mass_ratio: float
    coverage: float = math.nan


def field_window(mark: float) -> PriceGrid:
    """160 bins around a mark in USD per base coin."""
    at = math.floor(math.log(mark) / WIDTH)
    return PriceGrid(WIDTH, at - REACH, 2 * REACH)


def facing(mass: FloatArray) -> FloatArray:
    """float64[160]: longs below the mark, shorts above, of mass[2, 160]."""
    return np.concatenate((mass[0, :REACH], mass[1, REACH:]))


def score_field(
    estimate: FloatArray,
    truth: FloatArray,
    p10: FloatArray | None = None,
    p90: FloatArray | None = None,
) -> FieldScore:
    """All arrays float64[2, 160] on one `field_window`."""
    a, b = facing(estimate), facing(truth)
    distance = [
        metrics.wasserstein_bp(estimate[0, :REACH], truth[0, :REACH], WIDTH),
        metrics.wasserstein_bp(estimate[1, REACH:], truth[1, REACH:], WIDTH),
    ]
    inside = math.nan
    if p10 is not None and p90 is not None:
        inside = metrics.coverage(b, facing(p10), facing(p90))
    return FieldScore(
        wasserstein_bp=float(np.mean(distance)),
        correlation=metrics.correlation(a, b),
        mass_ratio=float(a.sum() / b.sum()),
        coverage=inside,
    )


def mean_score(scores: list[FieldScore]) -> FieldScore:
    """Means over snapshots; a snapshot that cannot be scored (nan) does not count."""
    columns = np.array([msgspec.structs.astuple(score) for score in scores])
    keep = np.isfinite(columns)
    sums = np.where(keep, columns, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums / keep.sum(axis=0)
    return FieldScore(*(float(value) for value in mean))


def gap_closed(ours: float, naive: float, ceiling: float) -> float:
    """Share of the way from naive to ceiling; above 1 where the ceiling is passed."""
    return (ours - naive) / (ceiling - naive) if ceiling != naive else math.nan
