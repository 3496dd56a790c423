"""The law from prints: five numbers and two levels by penalised likelihood over traversed bins.

A class evolves in proportion to its own share of the law, so the response to any other law is the
recorded one reweighted:

    mean_t(theta) = phi_side  sum_c swept_tc a_c(theta) / sum_c standing_tc a_c(theta)

with swept and standing per unit of share. Sums of lumpy liquidations have variance ~ mean^1.5 and
an atom at zero: Tweedie's law with p = 1.5, whose deviance is 4 (sqrt y - sqrt mu)^2 / sqrt mu.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from liqfield.density.law import class_shares
from liqfield.density.level import Evidence
from liqfield.density.settings import LeverageLaw
from liqfield.model.events import FloatArray

MIN_EVIDENCE = 60
MIN_SEEN = 20
# Width of the prior around the settings' law: logit share, ln median, ln sigma (twice), ln level.
PRIOR_SD: FloatArray = np.array([1.0, 0.5, 0.35, 0.4, 0.3])


class LawFit(msgspec.Struct, frozen=True):
    """law, forced share [long, short], deviance per interval and how many intervals."""

    law: LeverageLaw
    forced: tuple[float, float]
    deviance: float
    intervals: int


def to_vector(law: LeverageLaw) -> FloatArray:
    """float64[5]: the free numbers of a law on unbounded scales."""
    share = min(max(law.isolated_share, 0.01), 0.99)
    return np.array(
        [
            math.log(share / (1.0 - share)),
            math.log(law.isolated_median),
            math.log(law.isolated_sigma),
            math.log(law.cross_median),
            math.log(law.cross_sigma),
        ]
    )


def to_law(vector: FloatArray, base: LeverageLaw) -> LeverageLaw:
    """The inverse of `to_vector`; everything else from `base`."""
    v = np.clip(vector, [-5.0, 0.5, -1.6, 0.1, -1.6], [5.0, 4.4, 0.8, 3.0, 0.7])
    return msgspec.structs.replace(
        base,
        isolated_share=1.0 / (1.0 + math.exp(-float(v[0]))),
        isolated_median=math.exp(float(v[1])),
        isolated_sigma=math.exp(float(v[2])),
        cross_median=math.exp(float(v[3])),
        cross_sigma=math.exp(float(v[4])),
    )


def fit_law(
    evidence: Sequence[Evidence],
    prior: LeverageLaw,
    start: LeverageLaw,
    forced: tuple[float, float],
    forced_prior: float,
    forced_log_sd: float,
    top_leverage: float,
    evaluations: int = 220,
) -> LawFit | None:
    """The law that explains the evidence best, or None where there is too little of it.

    forced: where the search for the forced shares starts; forced_prior, forced_log_sd: their prior.
    """
    seen = np.array([e.seen for e in evidence])
    if len(evidence) < MIN_EVIDENCE or np.count_nonzero(seen) < MIN_SEEN:
        return None
    side = np.array([e.side for e in evidence])
    swept = np.array([e.swept for e in evidence])
    standing = np.array([e.standing for e in evidence])
    floor = 0.02 * float(seen.mean())
    root = np.sqrt(seen + floor)
    centre = to_vector(prior)
    target = math.log(forced_prior)

    def deviance(vector: FloatArray) -> float:
        shares = class_shares(to_law(vector[:5], prior), top_leverage)
        level = np.exp(np.clip(vector[5:], -9.0, 0.7))[side]
        mean = level * (swept @ shares) / np.maximum(standing @ shares, 1e-12) + floor
        quarter = np.sqrt(mean)
        return float((4.0 * (root - quarter) ** 2 / quarter).sum())

    first = np.concatenate((to_vector(start), np.log(np.maximum(forced, 1e-4))))
    dispersion = deviance(first) / len(seen)

    def loss(vector: FloatArray) -> float:
        pull = float((((vector[:5] - centre) / PRIOR_SD) ** 2).sum())
        pull += float((((vector[5:] - target) / forced_log_sd) ** 2).sum())
        return deviance(vector) / dispersion + pull

    best = first
    for _ in range(2):  # the dispersion of a poor start makes the likelihood too flat
        best = minimise(loss, best, np.array([0.4, 0.2, 0.15, 0.15, 0.15, 0.3, 0.3]), evaluations)
        dispersion = max(deviance(best) / len(seen), 1e-12)
    return LawFit(
        to_law(best[:5], prior),
        (math.exp(float(best[5])), math.exp(float(best[6]))),
        deviance(best) / len(seen) / math.sqrt(float(seen.mean()) + floor),
        len(seen),
    )


def minimise(
    function: Callable[[FloatArray], float], start: FloatArray, step: FloatArray, evaluations: int
) -> FloatArray:
    """Nelder and Mead's simplex: no derivatives, deterministic."""
    n = len(start)
    points = [start, *(start + step[i] * np.eye(n)[i] for i in range(n))]
    values = [function(point) for point in points]
    used = n + 1
    while used < evaluations:
        order = sorted(range(n + 1), key=values.__getitem__)
        points, values = [points[i] for i in order], [values[i] for i in order]
        if abs(values[-1] - values[0]) < 1e-5 * (abs(values[0]) + 1e-9):
            break
        centre = np.mean(points[:-1], axis=0)
        trial = centre + (centre - points[-1])
        value = function(trial)
        used += 1
        if value < values[0]:
            further = centre + 2.0 * (centre - points[-1])
            far = function(further)
            used += 1
            points[-1], values[-1] = (further, far) if far < value else (trial, value)
        elif value < values[-2]:
            points[-1], values[-1] = trial, value
        else:
            inner = centre + 0.5 * (points[-1] - centre)
            near = function(inner)
            used += 1
            if near < values[-1]:
                points[-1], values[-1] = inner, near
            else:
                points = [points[0], *(0.5 * (points[0] + p) for p in points[1:])]
                values = [values[0], *(function(p) for p in points[1:])]
                used += n
    best: FloatArray = points[int(np.argmin(values))]
    return best
