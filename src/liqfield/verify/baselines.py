"""Maps to beat, weakest first. Each is mass[2 sides, n] on log-price bins; none is an estimator.

`centres` is log price of the bins, float64[n]; `mark` a log price. Longs sit below the mark, shorts
above: what a recipe puts on the wrong side is dropped. Masses are relative unless stated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from liqfield.model.events import FloatArray

NAIVE_LEVERAGES = (5.0, 10.0, 20.0, 25.0, 50.0, 100.0)


def _sided(mass: FloatArray, centres: FloatArray, mark: float) -> FloatArray:
    mass[0, centres >= mark] = 0.0
    mass[1, centres <= mark] = 0.0
    return mass


def uniform(centres: FloatArray, mark: float, reach: float) -> FloatArray:
    """Even in log-price within `reach` of the mark (k sigma sqrt T)."""
    inside = (np.abs(centres - mark) <= reach).astype(float)
    return _sided(np.stack((inside, inside.copy())), centres, mark)


def laplace(centres: FloatArray, mark: float, scale: float) -> FloatArray:
    """Exponential in distance with a fitted scale."""
    mass = np.exp(-np.abs(centres - mark) / scale)
    return _sided(np.stack((mass, mass.copy())), centres, mark)


def _deposit(mass: FloatArray, centres: FloatArray, at: FloatArray, amount: FloatArray) -> None:
    width = centres[1] - centres[0]
    index = np.floor((at - centres[0]) / width + 0.5).astype(int)
    ok = (index >= 0) & (index < len(centres))
    np.add.at(mass, index[ok], amount[ok])


def tier_ladder(
    centres: FloatArray,
    mark: float,
    leverages: Sequence[float] = NAIVE_LEVERAGES,
    maintenance: float = 0.005,
) -> FloatArray:
    """Open interest at the mark, equal leverage tiers: mark (1 -+ 1/L +- m). Common maps."""
    mass = np.zeros((2, len(centres)))
    for leverage in leverages:
        for side, sign in ((0, -1.0), (1, 1.0)):
            at = mark + math.log(max(1.0 + sign * (1.0 / leverage - maintenance), 1e-6))
            _deposit(mass[side], centres, np.array([at]), np.array([1.0 / len(leverages)]))
    return _sided(mass, centres, mark)


def naive_ladder(
    centres: FloatArray,
    mark: float,
    entry: FloatArray,
    oi_change: FloatArray,
    leverages: Sequence[float] = NAIVE_LEVERAGES,
    maintenance: float = 0.005,
) -> FloatArray:
    """Positive OI changes[T] at log entries[T] x equal tiers; nothing ever closes. Coins."""
    return shifted_profile(centres, mark, entry, np.maximum(oi_change, 0.0), leverages, maintenance)


def shifted_profile(
    centres: FloatArray,
    mark: float,
    entry: FloatArray,
    volume: FloatArray,
    leverages: Sequence[float] = NAIVE_LEVERAGES,
    maintenance: float = 0.005,
    shares: Sequence[float] | None = None,
) -> FloatArray:
    """Volume[T] traded at log prices entry[T], shifted by 1/L one mix of L. The decisive one."""
    weights = shares if shares is not None else [1.0 / len(leverages)] * len(leverages)
    mass = np.zeros((2, len(centres)))
    for leverage, weight in zip(leverages, weights, strict=True):
        for side, sign in ((0, -1.0), (1, 1.0)):
            step = math.log(max(1.0 + sign * (1.0 / leverage - maintenance), 1e-6))
            _deposit(mass[side], centres, entry + step, volume * weight)
    return _sided(mass, centres, mark)


def swings(centres: FloatArray, mark: float, path: FloatArray, window: int = 12) -> FloatArray:
    """Recent swing highs and lows of a log path[T] and round numbers, smeared over three bins."""
    mass = np.zeros((2, len(centres)))
    for i in range(window, len(path) - window):
        part = path[i - window : i + window + 1]
        if path[i] == part.min() or path[i] == part.max():
            side = 0 if path[i] == part.min() else 1
            _deposit(mass[side], centres, path[i : i + 1], np.ones(1))
    step = 10.0 ** math.floor(math.log10(math.exp(mark)) - 1.0)
    low, high = math.exp(centres[0]), math.exp(centres[-1])
    rounds = np.log(np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step)
    for side in range(2):
        _deposit(mass[side], centres, rounds, np.full(len(rounds), 0.5))
        mass[side] = np.convolve(mass[side], np.ones(3) / 3.0, mode="same")
    return _sided(mass + 1e-6, centres, mark)


def past_prints(
    centres: FloatArray,
    mark: float,
    distance: FloatArray,
    amount: FloatArray,
    side: FloatArray,
    bandwidth: float = 0.003,
) -> FloatArray:
    """Kernel density of earlier prints by their log-distance from the mark of their hour."""
    mass = np.full((2, len(centres)), 1e-12)
    for index in range(2):
        for d, usd in zip(distance[side == index], amount[side == index], strict=True):
            mass[index] += usd * np.exp(-0.5 * ((centres - mark - d) / bandwidth) ** 2)
    return _sided(mass, centres, mark)


def hawkes_rate(
    times_h: FloatArray, now_h: float, base: float, branching: float, decay_h: float
) -> float:
    """Rate of events now in a Hawkes process; flat over price: temporal skill only."""
    past = times_h[times_h < now_h]
    return base + branching / decay_h * float(np.exp(-(now_h - past) / decay_h).sum())


def mirrored(mass: FloatArray, centres: FloatArray, mark: float) -> FloatArray:
    """Placebo: the map reflected about the mark, sides exchanged."""
    out = np.zeros_like(mass)
    for side in range(2):
        _deposit(out[side], centres, 2.0 * mark - centres, mass[1 - side])
    return out


def moved(mass: FloatArray, centres: FloatArray, from_mark: float, to_mark: float) -> FloatArray:
    """Placebo: another day's map carried to today's mark."""
    out = np.zeros_like(mass)
    for side in range(2):
        _deposit(out[side], centres, centres + (to_mark - from_mark), mass[side])
    return out
