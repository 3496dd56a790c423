"""Hour by hour: did the map before the hour say how much the hour's path would liquidate?

A map is scored against what the path alone already says. Regressions are fitted on the first rows
and scored on the rest; intervals resample whole days.

    y = ln(1 USD + realised),   range alone: y ~ 1 + ln e + ln r,   with map: y ~ ... + ln m

e excursion towards the side, r range of the hour (both log-price, 5 bp added), m predicted USD.
"""

from __future__ import annotations

from collections import deque

import msgspec
import numpy as np

from liqfield.model.errors import ModelError
from liqfield.model.events import FloatArray, IntArray
from liqfield.verify import metrics

KEEP_HOURS, LEAST_HOURS, NEAREST = 336, 48, 40
# The 4th and 37th of 40: with n past values the next one lies between them with 33 / 41 = 80 %.
RANKS = (3.0 / 39.0, 36.0 / 39.0)
LEAST_USD = 1e3  # predictions below it are alike
LEAST_MOVE = 5e-4  # log-price: below it an hour counts as still


class HourLevel:
    """Running factor from a map before the hour to the hour's prints; from finished hours only.

    A map made before an hour knows nothing of what opens and falls within it. The factor is
    (prior + sum realised) / (prior + sum predicted), by side, forgetting with a half-life. Once
    enough hours are kept, intervals are what like hours really did: quantiles of realised /
    predicted among the kept hours nearest in predicted size.
    """

    def __init__(self, half_life_h: float = 72.0, prior_usd: float = 1e5) -> None:
        self._keep = 0.5 ** (1.0 / half_life_h)
        self._prior = prior_usd
        self._predicted, self._realised = np.zeros(2), np.zeros(2)
        self._kept: deque[tuple[FloatArray, FloatArray]] = deque(maxlen=KEEP_HOURS)

    def update(self, predicted_usd: FloatArray, realised_usd: FloatArray) -> None:
        """A finished hour, USD by side [2]; predicted without the factor."""
        self._predicted = self._keep * self._predicted + predicted_usd
        self._realised = self._keep * self._realised + realised_usd
        self._kept.append((predicted_usd.copy(), realised_usd.copy()))

    def interval(self, predicted_usd: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """80 % interval, USD [2] each, of bare predictions; None with fewer than 48 hours kept."""
        if len(self._kept) < LEAST_HOURS:
            return None
        low, high = np.zeros(2), np.zeros(2)
        for side in range(2):
            past = np.array([pair[0][side] for pair in self._kept]) + LEAST_USD
            seen = np.array([pair[1][side] for pair in self._kept])
            now = float(predicted_usd[side]) + LEAST_USD
            near = np.argsort(np.abs(np.log(past / now)), kind="stable")[:NEAREST]
            low[side], high[side] = now * np.quantile(seen[near] / past[near], RANKS)
        return low, high

    def factor(self) -> FloatArray:
        """float64[2], between 1/20 and 20."""
        ratio = (self._prior + self._realised) / (self._prior + self._predicted)
        return np.clip(ratio, 0.05, 20.0)


class HourTable(msgspec.Struct, frozen=True, eq=False):
    """One row an hour; side axis 0 long, 1 short.

    at_ns int64[n] start of the hour; excursion float64[n, 2] log distance that the mark went
    against each side; span float64[n] log(high / low); realised float64[n, 2] USD printed;
    maps: name -> float64[n, 2] USD that a map made before the hour holds along the hour's path.
    """

    at_ns: IntArray
    excursion: FloatArray
    span: FloatArray
    realised: FloatArray
    maps: dict[str, FloatArray]


class MapSkill(msgspec.Struct, frozen=True):
    """One map on one side, scored out of sample.

    r2: of log volume with range and map; gain: over range alone, with a 90 % interval by days;
    r2_map_only: the map without the range; total_ratio: predicted / realised USD.
    """

    name: str
    r2: float
    gain: metrics.Interval
    r2_map_only: float
    rank_correlation: float
    total_ratio: metrics.Interval


class SideSkill(msgspec.Struct, frozen=True):
    """range_r2: excursion and range alone, out of sample."""

    range_r2: metrics.Interval
    maps: list[MapSkill]


class HourReport(msgspec.Struct, frozen=True):
    """fitted, scored: hours; floor_usd: added before the logarithm."""

    fitted: int
    scored: int
    days_scored: int
    floor_usd: float
    long: SideSkill
    short: SideSkill


def _out_of_sample(features: FloatArray, y: FloatArray, fit: int) -> FloatArray:
    """Predictions for rows fit.. by coefficients of rows ..fit."""
    coefficients = metrics.least_squares(features[:fit], y[:fit])
    return metrics.predicted(features[fit:], coefficients)


def score_hours(
    table: HourTable, fit: int, floor_usd: float = 1.0, seed: int = 0, draws: int = 400
) -> HourReport:
    """Fit on the first `fit` rows, score the rest.

    floor_usd: added to volumes before the logarithm; 1 counts an empty hour as a very small one.
    Raises ModelError where either part has fewer than 48 rows.
    """
    n = len(table.at_ns)
    if fit < 48 or n - fit < 48:
        raise ModelError(f"{fit} hours to fit and {n - fit} to score: at least 48 of each")
    sides = [_side(table, fit, floor_usd, side, seed, draws) for side in range(2)]
    return HourReport(
        fitted=fit,
        scored=n - fit,
        days_scored=len(metrics.day_blocks(table.at_ns[fit:])),
        floor_usd=floor_usd,
        long=sides[0],
        short=sides[1],
    )


def _side(
    table: HourTable, fit: int, floor_usd: float, side: int, seed: int, draws: int
) -> SideSkill:
    realised = table.realised[:, side]
    y = np.log(realised + floor_usd)
    path = np.log(np.column_stack((table.excursion[:, side], table.span)) + LEAST_MOVE)
    truth, at_ns = y[fit:], table.at_ns[fit:]
    plain = _out_of_sample(path, y, fit)
    random = np.random.default_rng(seed)

    def r2_of(forecast: FloatArray, ix: IntArray) -> float:
        return metrics.r2(truth[ix], forecast[ix])

    maps = []
    for name, usd in table.maps.items():
        m = usd[:, side]
        feature = np.log(m + max(1e-3 * float(m[:fit].mean()), 1e-9))
        both = _out_of_sample(np.column_stack((path, feature)), y, fit)
        alone = _out_of_sample(feature[:, None], y, fit)
        scored, seen = m[fit:], realised[fit:]

        def gain(ix: IntArray, both: FloatArray = both) -> float:
            return r2_of(both, ix) - r2_of(plain, ix)

        def ratio(ix: IntArray, scored: FloatArray = scored, seen: FloatArray = seen) -> float:
            return float(scored[ix].sum() / max(seen[ix].sum(), 1e-9))

        maps.append(
            MapSkill(
                name=name,
                r2=metrics.r2(truth, both),
                gain=metrics.bootstrap_days(at_ns, gain, random, draws),
                r2_map_only=metrics.r2(truth, alone),
                rank_correlation=metrics.rank_correlation(scored, seen),
                total_ratio=metrics.bootstrap_days(at_ns, ratio, random, draws),
            )
        )
    whole = metrics.bootstrap_days(at_ns, lambda ix: r2_of(plain, ix), random, draws)
    return SideSkill(range_r2=whole, maps=maps)
