"""The live score: rows of predicted against printed become a report. Pure arithmetic of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from liqfield.model.estimates import TruthBin, TruthReport, TruthRow
from liqfield.model.events import FloatArray
from liqfield.verify import metrics

LEAST_ROWS = 12
BINS = 6
DRAWS = 200


def truth_report(
    base: str, at_ns: int, venues: Sequence[str], is_complete: bool, rows: Sequence[TruthRow]
) -> TruthReport:
    """Summaries of the rows; see TruthReport for what each figure means."""
    predicted = _column(rows, "predicted_usd")
    realised = _column(rows, "realised_usd")
    p10, p90 = _column(rows, "p10"), _column(rows, "p90")
    flat = _column(rows, "flat_usd")
    ratio, coverage, skill, rank = [], [], [], []
    calibration: list[tuple[TruthBin, ...]] = []
    for side in range(2):
        m, y = predicted[:, side], realised[:, side]
        total = float(y.sum())
        ratio.append(float(m.sum()) / total if total > 0.0 else 0.0)
        coverage.append(metrics.coverage(y, p10[:, side], p90[:, side]) if len(y) else 0.0)
        skill.append(_skill(m, flat[:, side], y))
        rank.append(_finite(metrics.rank_correlation(m, y)) if len(y) >= LEAST_ROWS else 0.0)
        calibration.append(_calibration(m, y))
    return TruthReport(
        base=base,
        at_ns=at_ns,
        venues=tuple(venues),
        is_complete=is_complete,
        rows=tuple(rows),
        total_ratio=(ratio[0], ratio[1]),
        coverage=(coverage[0], coverage[1]),
        skill=(skill[0], skill[1]),
        rank=(rank[0], rank[1]),
        calibration=(calibration[0], calibration[1]),
    )


def _column(rows: Sequence[TruthRow], name: str) -> FloatArray:
    return np.array([getattr(row, name) for row in rows], dtype=np.float64).reshape(-1, 2)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _skill(predicted: FloatArray, flat: FloatArray, realised: FloatArray) -> float:
    if len(realised) < LEAST_ROWS or realised.sum() <= 0.0:
        return 0.0
    # One hundredth of the mean: an hour without prints is "very little", not minus infinity.
    floor = 0.01 * float(realised.mean())
    y = np.log(realised + floor)
    ours = float(np.square(np.log(predicted + floor) - y).sum())
    theirs = float(np.square(np.log(flat + floor) - y).sum())
    return 1.0 - ours / theirs if theirs > 0.0 else 0.0


def _calibration(predicted: FloatArray, realised: FloatArray) -> tuple[TruthBin, ...]:
    if len(realised) < LEAST_ROWS:
        return ()
    random = np.random.default_rng(0)  # the report is a function of its rows
    out = []
    for part in np.array_split(np.argsort(predicted, kind="stable"), BINS):
        seen = realised[part]
        means = seen[random.integers(0, len(seen), (DRAWS, len(seen)))].mean(axis=1)
        low, high = np.quantile(means, [0.1, 0.9])
        out.append(
            TruthBin(
                float(predicted[part].mean()),
                float(seen.mean()),
                float(low),
                float(high),
                len(seen),
            )
        )
    return tuple(out)
