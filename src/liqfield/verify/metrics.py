"""Scores: plain functions of arrays. Nothing here knows how a forecast was made."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from liqfield.model.errors import ModelError
from liqfield.model.events import FloatArray, IntArray


class Interval(msgspec.Struct, frozen=True):
    """An estimate with a confidence interval from a bootstrap by day."""

    value: float
    low: float
    high: float


def _same(a: FloatArray, b: FloatArray) -> None:
    if a.shape != b.shape:
        raise ModelError(f"shapes differ: {a.shape} and {b.shape}")


# ---- two densities ------------------------------------------------------------------------------


def wasserstein_bp(a: FloatArray, b: FloatArray, width: float) -> float:
    """Wasserstein-1 between two masses on one lattice, both normalised; in bp of log-price."""
    _same(a, b)
    total_a, total_b = float(a.sum()), float(b.sum())
    if total_a <= 0.0 or total_b <= 0.0:
        return float("nan")
    gap = np.cumsum(a) / total_a - np.cumsum(b) / total_b
    return float(np.abs(gap[:-1]).sum() * width * 1e4)


def correlation(a: FloatArray, b: FloatArray) -> float:
    """Pearson correlation; nan where one is constant."""
    _same(a, b)
    x, y = a - a.mean(), b - b.mean()
    scale = math.sqrt(float((x * x).sum()) * float((y * y).sum()))
    return float((x * y).sum()) / scale if scale > 0.0 else float("nan")


def ranks(values: FloatArray) -> FloatArray:
    """Mean ranks, ties shared."""
    order = np.argsort(values, kind="stable")
    ranked = np.empty(len(values))
    ranked[order] = np.arange(len(values), dtype=float)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    sums = np.bincount(inverse, ranked)
    out: FloatArray = np.asarray((sums / counts)[inverse], dtype=np.float64)
    return out


def rank_correlation(a: FloatArray, b: FloatArray) -> float:
    """Spearman's rho."""
    _same(a, b)
    return correlation(ranks(a), ranks(b))


def coverage(truth: FloatArray, low: FloatArray, high: FloatArray) -> float:
    """Share of the truth inside [low, high]."""
    _same(truth, low)
    _same(truth, high)
    return float(np.mean((truth >= low) & (truth <= high)))


def kupiec_p(hits: int, trials: int, expected: float) -> float:
    """p-value of Kupiec's likelihood-ratio test that hits / trials equals `expected`."""
    if trials == 0:
        return float("nan")

    def likelihood(p: float) -> float:
        p = min(max(p, 1e-12), 1.0 - 1e-12)
        return hits * math.log(p) + (trials - hits) * math.log1p(-p)

    ratio = 2.0 * (likelihood(hits / trials) - likelihood(expected))
    return math.erfc(math.sqrt(max(ratio, 0.0) / 2.0))


# ---- regressions --------------------------------------------------------------------------------


def least_squares(features: FloatArray, y: FloatArray) -> FloatArray:
    """Coefficients[k + 1] of y on features[n, k] with an intercept first."""
    design = np.column_stack((np.ones(len(y)), features))
    return np.asarray(np.linalg.lstsq(design, y, rcond=None)[0], dtype=np.float64)


def predicted(features: FloatArray, coefficients: FloatArray) -> FloatArray:
    """Values[n] of the regression."""
    values: FloatArray = coefficients[0] + features @ coefficients[1:]
    return values


def r2(y: FloatArray, forecast: FloatArray) -> float:
    """1 - squared error / variance about the scored stretch's own mean."""
    _same(y, forecast)
    return 1.0 - float(((y - forecast) ** 2).sum() / ((y - y.mean()) ** 2).sum())


# ---- point process along the path ---------------------------------------------------------------


def poisson_log_likelihood(counts: FloatArray, rates: FloatArray) -> float:
    """Sum of n ln(rate) - rate over traversed bins (constants left out)."""
    _same(counts, rates)
    safe = np.maximum(rates, 1e-12)
    return float((counts * np.log(safe) - safe).sum())


class Gain(msgspec.Struct, frozen=True):
    """Information gain per event of A over B, with the paired T-test and the W-test."""

    per_event: float
    t: float
    t_p: float
    w_p: float
    events: int


def information_gain(
    rate_a: FloatArray, rate_b: FloatArray, total_a: float, total_b: float
) -> Gain:
    """Rates at the events[n] under A and B; totals are the sums over all traversed bins.

    IG = mean(ln a - ln b) - (total_a - total_b) / n.
    """
    _same(rate_a, rate_b)
    n = len(rate_a)
    if n < 2:
        return Gain(float("nan"), float("nan"), float("nan"), float("nan"), n)
    x = np.log(np.maximum(rate_a, 1e-300)) - np.log(np.maximum(rate_b, 1e-300))
    gain = float(x.mean()) - (total_a - total_b) / n
    spread = float(x.std(ddof=1))
    t = gain / (spread / math.sqrt(n)) if spread > 0.0 else float("inf") * np.sign(gain)
    d = x - (total_a - total_b) / n
    d = d[d != 0.0]
    m = len(d)
    if m == 0:
        return Gain(gain, 0.0, 1.0, 1.0, n)
    w = float(ranks(np.abs(d))[d > 0.0].sum() + (d > 0.0).sum())
    mean, var = m * (m + 1) / 4.0, m * (m + 1) * (2 * m + 1) / 24.0
    z = (w - mean) / math.sqrt(var)
    return Gain(
        gain, float(t), math.erfc(abs(float(t)) / math.sqrt(2.0)), math.erfc(abs(z) / 1.4142), n
    )


def number_test(observed: float, expected: float, variance_ratio: float = 1.0) -> float:
    """N-test: two-sided p-value of the total; variance_ratio > 1 where events cluster."""
    if expected <= 0.0:
        return 0.0 if observed > 0.0 else 1.0
    z = (observed - expected) / math.sqrt(expected * variance_ratio)
    return math.erfc(abs(z) / math.sqrt(2.0))


def space_test(
    counts: IntArray, rates: FloatArray, random: np.random.Generator, simulations: int = 500
) -> float:
    """S-test: quantile of the observed log-likelihood among forecasts' own simulations.

    counts[n], rates[n] over traversed bins; the total is fixed to the observed one. Small values
    mean that events sit where the forecast put little.
    """
    total = int(counts.sum())
    p = np.maximum(rates, 1e-12)
    p = np.asarray(p / p.sum(), dtype=np.float64)
    score = np.log(p)
    observed = float((counts * score).sum())
    drawn = random.multinomial(total, p, size=simulations)
    return float(np.mean(drawn @ score <= observed))


def likelihood_test(
    counts: IntArray, rates: FloatArray, random: np.random.Generator, simulations: int = 500
) -> float:
    """L-test: as the S-test, with the total left free."""
    safe = np.maximum(rates, 1e-12)
    observed = float((counts * np.log(safe) - safe).sum())
    drawn = random.poisson(safe, size=(simulations, len(safe)))
    return float(np.mean(drawn @ np.log(safe) - safe.sum() <= observed))


# ---- probabilities ------------------------------------------------------------------------------


class Brier(msgspec.Struct, frozen=True):
    """Murphy's decomposition: score = reliability - resolution + uncertainty (over bins)."""

    score: float
    reliability: float
    resolution: float
    uncertainty: float


def brier(probability: FloatArray, outcome: FloatArray, bins: int = 10) -> Brier:
    """Brier score with its parts; outcome is 0 or 1."""
    _same(probability, outcome)
    at = np.minimum((probability * bins).astype(int), bins - 1)
    n = np.bincount(at, minlength=bins).astype(float)
    keep = n > 0.0
    p = np.bincount(at, probability, bins)[keep] / n[keep]
    o = np.bincount(at, outcome, bins)[keep] / n[keep]
    share = n[keep] / len(outcome)
    base = float(outcome.mean())
    return Brier(
        float(((probability - outcome) ** 2).mean()),
        float((share * (p - o) ** 2).sum()),
        float((share * (o - base) ** 2).sum()),
        base * (1.0 - base),
    )


def crps(samples: FloatArray, truth: float) -> float:
    """Continuous ranked probability score of an ensemble[n]."""
    ordered = np.sort(samples)
    n = len(ordered)
    spread = 2.0 * float((ordered * (np.arange(n) - (n - 1) / 2.0)).sum()) / (n * n)
    return float(np.abs(ordered - truth).mean()) - spread


def pit_distance(quantiles: FloatArray) -> float:
    """Kolmogorov-Smirnov distance of probability-integral transforms from uniform."""
    ordered = np.sort(quantiles)
    n = len(ordered)
    grid = np.arange(1, n + 1) / n
    return float(max(np.abs(grid - ordered).max(), np.abs(ordered - grid + 1.0 / n).max()))


def reliability(
    forecast: FloatArray, realised: FloatArray, bins: int = 8
) -> list[tuple[float, float, int]]:
    """(mean forecast, mean realised, n) by equally filled bins of the forecast."""
    _same(forecast, realised)
    order = np.argsort(forecast, kind="stable")
    return [
        (float(forecast[part].mean()), float(realised[part].mean()), len(part))
        for part in np.array_split(order, bins)
        if len(part)
    ]


# ---- bootstrap ----------------------------------------------------------------------------------


def day_blocks(at_ns: IntArray) -> list[IntArray]:
    """Indices by UTC day: hours of one day are one draw."""
    day = at_ns // 86_400_000_000_000
    return [np.flatnonzero(day == value).astype(np.int64) for value in np.unique(day)]


def bootstrap_days(
    at_ns: IntArray,
    statistic: object,
    random: np.random.Generator,
    draws: int = 400,
    level: float = 0.9,
) -> Interval:
    """Interval of statistic(indices) by resampling whole days with replacement."""
    if not callable(statistic):
        raise ModelError("statistic must be a function of indices")
    blocks = day_blocks(at_ns)
    values = []
    for _ in range(draws):
        chosen = random.integers(0, len(blocks), len(blocks))
        values.append(float(statistic(np.concatenate([blocks[i] for i in chosen]))))
    low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(statistic(np.arange(len(at_ns)))), float(low), float(high))
