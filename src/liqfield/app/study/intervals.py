"""Intervals over worlds: what happens in one world hangs together, so whole worlds are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from liqfield.model.events import FloatArray

Tally = dict[str, float]


def bootstrap(
    tallies: Sequence[Tally], ratio: Callable[[Tally], float], draws: int = 500
) -> dict[str, float]:
    """A ratio of sums over worlds with its 90 % interval."""
    if not tallies:
        return {"value": math.nan, "low": math.nan, "high": math.nan}
    names = list(tallies[0])
    table = np.array([[tally[name] for name in names] for tally in tallies])

    def value(rows: FloatArray) -> float:
        return ratio(dict(zip(names, rows.sum(axis=0).tolist(), strict=True)))

    rng = np.random.default_rng(1)
    picks = rng.integers(0, len(table), (draws, len(table)))
    drawn = np.array([value(table[pick]) for pick in picks])
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, (0.05, 0.95)) if len(drawn) else (math.nan, math.nan)
    return {"value": value(table), "low": float(low), "high": float(high)}


def share(part: str, whole: str) -> Callable[[Tally], float]:
    return lambda t: t[part] / t[whole] if t[whole] else math.nan


def quartiles(values: FloatArray) -> list[float]:
    """Rounded; empty without values."""
    if not len(values):
        return []
    return [round(float(x), 3) for x in np.quantile(values, (0.25, 0.5, 0.75))]


def bootstrap_median(by_world: Sequence[Sequence[float]], draws: int = 500) -> dict[str, float]:
    """Median of all worlds' finite values with its 90 % interval."""
    parts = [np.array([x for x in part if math.isfinite(x)]) for part in by_world]
    parts = [part for part in parts if len(part)]
    if not parts:
        return {"value": math.nan, "low": math.nan, "high": math.nan}
    rng = np.random.default_rng(1)
    drawn = [
        float(np.median(np.concatenate([parts[k] for k in pick])))
        for pick in rng.integers(0, len(parts), (draws, len(parts)))
    ]
    low, high = np.quantile(drawn, (0.05, 0.95))
    middle = float(np.median(np.concatenate(parts)))
    return {"value": middle, "low": float(low), "high": float(high)}
