"""Predicted against realised along the path the mark really took.

A map is scored only over the bins that the mark traversed after it was made: what was not reached
is no evidence. Predictions and prints are USD.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from liqfield.model.errors import ModelError
from liqfield.model.events import FloatArray, IntArray
from liqfield.verify import metrics


class MapTable(msgspec.Struct, frozen=True, eq=False):
    """A forecast in columns, as `liqfield map` writes it; rows outside the grid left out."""

    at_ns: IntArray
    side: IntArray  # 0 long, 1 short
    low: FloatArray
    high: FloatArray
    usd: FloatArray
    p10: FloatArray
    p90: FloatArray


class Truth(msgspec.Struct, frozen=True, eq=False):
    """What happened: the mark's path and the prints."""

    mark_ns: IntArray
    mark_low: FloatArray
    mark_high: FloatArray
    print_ns: IntArray
    print_side: IntArray
    print_price: FloatArray
    print_usd: FloatArray


class SideScore(msgspec.Struct, frozen=True):
    """One side: amounts and skill."""

    predicted_usd: float
    realised_usd: float
    total_ratio: float
    level: float
    rank_correlation: float
    log_r2: float
    interval_coverage: float
    interval_p: float
    information_gain: metrics.Gain
    number_p: float
    space_quantile: float
    gain_interval: metrics.Interval | None
    reliability: list[tuple[float, float, int]]


class Report(msgspec.Struct, frozen=True):
    """A score report: sides, what they are compared with, how much was seen."""

    intervals: int
    prints: int
    hours: float
    long: SideScore
    short: SideScore
    baseline: str = "same total, flat over the traversed range"


def _window(table: MapTable, truth: Truth, start: int, end: int, side: int) -> _Window | None:
    rows = (table.at_ns == start) & (table.side == side)
    path = (truth.mark_ns > start) & (truth.mark_ns <= end)
    if not rows.any() or not path.any():
        return None
    low, high = float(truth.mark_low[path].min()), float(truth.mark_high[path].max())
    # Bins come a leverage band each: one row a bin.
    edges, inverse = np.unique(table.low[rows], return_inverse=True)
    n = len(edges)
    usd = _by_bin(inverse, table.usd[rows], n)
    p10 = _by_bin(inverse, table.p10[rows], n)
    p90 = _by_bin(inverse, table.p90[rows], n)
    top = np.zeros(n)
    np.maximum.at(top, inverse, table.high[rows])
    middle = np.sqrt(edges * top)
    # Longs fall when the mark comes down to them, shorts when it comes up.
    hit = (middle >= low) & (middle <= high)
    seen = (truth.print_ns > start) & (truth.print_ns <= end) & (truth.print_side == side)
    price = truth.print_price[seen]
    amount = truth.print_usd[seen]
    at = np.clip(np.searchsorted(edges, price, side="right") - 1, 0, n - 1)
    return _Window(usd, p10, p90, hit, at, amount)


def _by_bin(index: IntArray, values: FloatArray, n: int) -> FloatArray:
    out = np.zeros(n)
    np.add.at(out, index, values)
    return out


class _Window(msgspec.Struct, frozen=True, eq=False):
    usd: FloatArray
    p10: FloatArray
    p90: FloatArray
    hit: np.ndarray
    at: np.ndarray
    amount: FloatArray


def score_map(table: MapTable, truth: Truth, seed: int = 0) -> Report:
    """Score every interval between successive map times.

    Raises ModelError where the map and the truth do not overlap.
    """
    times = np.unique(table.at_ns)
    if len(times) < 2 or len(truth.mark_ns) == 0:
        raise ModelError("a score needs at least two map times and a mark path")
    ends = np.append(times[1:], times[-1] + (times[-1] - times[-2]))
    sides = [_side(table, truth, times, ends, side, seed) for side in range(2)]
    used = int(((truth.mark_ns > times[0]) & (truth.mark_ns <= ends[-1])).any()) * len(times)
    return Report(
        intervals=used,
        prints=int(((truth.print_ns > times[0]) & (truth.print_ns <= ends[-1])).sum()),
        hours=float(ends[-1] - times[0]) / 3.6e12,
        long=sides[0],
        short=sides[1],
    )


def _side(
    table: MapTable, truth: Truth, times: IntArray, ends: IntArray, side: int, seed: int
) -> SideScore:
    random = np.random.default_rng(seed)
    forecast, p10, p90, seen, when = [], [], [], [], []
    windows = []
    for start, end in zip(times, ends, strict=True):
        window = _window(table, truth, int(start), int(end), side)
        if window is None:
            continue
        windows.append(window)
        when.append(int(start))
        forecast.append(float(window.usd[window.hit].sum()))
        p10.append(float(window.p10[window.hit].sum()))
        p90.append(float(window.p90[window.hit].sum()))
        seen.append(float(window.amount.sum()))
    if not windows:
        raise ModelError("the mark path does not overlap the map")
    f, y = np.array(forecast), np.array(seen)
    level = float(y.sum() / f.sum()) if f.sum() > 0.0 else float("nan")
    floor = max(float(y.mean()) * 0.01, 1.0)
    fit = np.log(level * f + floor) if math.isfinite(level) else np.zeros(len(f))
    target = np.log(y + floor)
    gains, space, expected, observed, rates = _along(windows, level, random)
    inside = (y >= level * np.array(p10)) & (y <= level * np.array(p90))
    interval = None
    if len(gains) and len(np.unique(np.array(when) // 86_400_000_000_000)) >= 2:
        starts = np.array([when[i] for i, _ in gains], dtype=np.int64)
        values = np.array([value for _, value in gains])
        interval = metrics.bootstrap_days(starts, lambda ix: float(values[ix].mean()), random)
    r2 = metrics.r2(target, fit) if len(y) > 2 and target.std() > 0.0 else float("nan")
    return SideScore(
        predicted_usd=float(f.sum()),
        realised_usd=float(y.sum()),
        total_ratio=float(f.sum() / y.sum()) if y.sum() > 0.0 else float("inf"),
        level=level,
        rank_correlation=metrics.rank_correlation(f, y),
        log_r2=r2,
        interval_coverage=float(inside.mean()),
        interval_p=metrics.kupiec_p(int(inside.sum()), len(inside), 0.8),
        information_gain=metrics.information_gain(rates[0], rates[1], expected[0], expected[1]),
        number_p=metrics.number_test(observed, expected[0]),
        space_quantile=space,
        gain_interval=interval,
        reliability=metrics.reliability(level * f, y),
    )


def _along(
    windows: list[_Window], level: float, random: np.random.Generator
) -> tuple[
    list[tuple[int, float]], float, tuple[float, float], float, tuple[FloatArray, FloatArray]
]:
    """Event-wise log gains over 'flat over the traversed range', with the S-test."""
    prints = sum(len(w.amount) for w in windows)
    usd = sum(float(w.amount.sum()) for w in windows)
    mean_print = usd / prints if prints else 1.0
    gains: list[tuple[int, float]] = []
    a, b, counts, rates = [], [], [], []
    total = 0.0
    for i, w in enumerate(windows):
        n = int(w.hit.sum())
        if n == 0 or not math.isfinite(level):
            continue
        rate = level * w.usd[w.hit] / mean_print
        rate = 0.99 * rate + 0.01 * rate.sum() / n + 1e-9
        total += float(rate.sum())
        index = np.cumsum(w.hit) - 1
        inside = w.hit[w.at]
        for k in w.at[inside]:
            a.append(float(rate[index[k]]))
            b.append(float(rate.sum() / n))
            gains.append((i, math.log(a[-1] / b[-1])))
        counts.append(np.bincount(index[w.at[inside]], minlength=n))
        rates.append(rate)
    quantile = float("nan")
    if counts and sum(int(c.sum()) for c in counts):
        quantile = metrics.space_test(np.concatenate(counts), np.concatenate(rates), random)
    return gains, quantile, (total, total), float(prints), (np.array(a), np.array(b))
