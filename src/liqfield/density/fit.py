"""The law, the level and the churn from prints: one penalised likelihood over traversed bins.

What stands of a class is in proportion to its own share of openings, and all of it is the open
interest: the response to another law is the recorded one reweighted. For an interval t and a side,

    mean_t = phi_side  sum_c  w_c x_tc  k exp(-(k - 1) h_tc)  /  sum_c w_c u_tc,

k = kappa / kappa_t, w_c share of openings, x_tc USD swept and u_tc share of open interest standing
per unit of it, h_tc the exits that the swept mass has been exposed to (age x exit rate): where the
true churn is k times the one assumed then (kappa_t), more was opened and old mass is thinner. Sums
of lumpy, clustered liquidations: Tweedie's law, variance D x mean^1.5. All 43 numbers are logs with
a normal prior; the law's are correlated: a level, a slope and a small deviation a class. What was
never swept moves only with its neighbours, and at the cost of what was: the sum stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from liqfield.density.counted import LawSpread, Spread
from liqfield.density.law import CLASS_BAND, CLASSES
from liqfield.density.level import Evidence
from liqfield.model.events import FloatArray

MIN_EVIDENCE = 60
MIN_SEEN = 20
ROUNDS = 8
POWER = 1.5
KAPPA_SD = 0.1
# How wide the prior of the law really is (its variances over those stated), found from how far
# prints pull the law away; held at 1 or more by a prior worth so many numbers that were told.
STRETCH_PRIOR, STRETCH_ROUNDS = 10.0, 4
# What prints may move of the law where nothing else is known of it.
PRINTS = LawSpread(Spread(0.8, 0.4, 0.3), Spread(0.05, 0.35, 0.1))
_SIZE = CLASSES + 3


class LawFit(msgspec.Struct, frozen=True, eq=False):
    """shares float64[40], sums to 1; forced [long, short]; kappa; how sure.

    log_sd: posterior standard deviation of ln(mean), averaged over the evidence; dispersion:
    variance / mean^1.5 of the prints about the fit, USD^0.5; covariance: Laplace's, of theta;
    stretch: factor on the prior's variances of the law, 1 where prints do not ask for more.
    """

    shares: FloatArray
    forced: tuple[float, float]
    kappa: float
    log_sd: float
    dispersion: float
    intervals: int
    theta: FloatArray  # float64[43]: where the next search starts
    covariance: FloatArray  # float64[43, 43]
    stretch: float = 1.0


def mass_covariance(theta_covariance: FloatArray, masses: FloatArray) -> FloatArray:
    """float64[40, 40] of ln mass by class, from that of the free logs [43, 43].

    masses: what stands, [40]; its sum is the open interest, whatever the law: what moves all
    classes alike moves no mass.
    """
    share = masses / max(float(masses.sum()), 1e-300)
    turn = np.eye(CLASSES) - share[None, :]
    free = theta_covariance[:CLASSES, :CLASSES]
    out: FloatArray = turn @ free @ turn.T
    return out


def band_covariance(covariance: FloatArray, masses: FloatArray) -> FloatArray:
    """float64[3, 3] of ln(mass of a leverage band), the error that all bins of a band share.

    covariance: float64[40, 40] of ln mass by class; masses: float64[40], what stands near the mark.
    A band errs as its classes do, weighted by their mass.
    """
    weights = np.zeros((3, CLASSES))
    for band in range(3):
        inside = band == CLASS_BAND
        total = float(masses[inside].sum())
        even = 1.0 / np.count_nonzero(inside)
        weights[band, inside] = masses[inside] / total if total > 0.0 else even
    out: FloatArray = weights @ covariance @ weights.T
    return out


def other_prior(
    fit_covariance: FloatArray, prior_covariance: FloatArray, delta: FloatArray
) -> FloatArray:
    """float64[40], factors on the shares of a fit had the centre of its prior been another.

    delta: float64[40], ln of the other prior's shares over the prior's. Of a move of the prior the
    posterior follows what prints leave open, posterior x prior precision: exact for a normal law.
    """
    moved = np.zeros(len(prior_covariance))
    moved[:CLASSES] = delta
    out: FloatArray = np.exp(fit_covariance @ np.linalg.solve(prior_covariance, moved))[:CLASSES]
    return out


def prior_covariance(
    forced_log_sd: float,
    law: FloatArray | None = None,
    *,
    stretch: float = 1.0,
    shown_log_sd: float = 0.0,
) -> FloatArray:
    """float64[43, 43] of ln shares [40], ln forced [2], ln kappa; law: float64[40, 40] of the
    shares where something is known of them, else PRINTS; stretch: factor on it and on kappa's;
    shown_log_sd: of the share that a feed shows, which is one for both sides and not told from what
    is forced."""
    out = np.zeros((_SIZE, _SIZE))
    out[:CLASSES, :CLASSES] = stretch * (PRINTS.covariance() if law is None else law)
    side = np.arange(CLASSES, CLASSES + 2)
    # The two sides differ less from each other than both from the prior.
    out[np.ix_(side, side)] = (
        forced_log_sd**2 * np.array([[1.0, 0.5], [0.5, 1.0]]) + shown_log_sd**2
    )
    out[-1, -1] = stretch * KAPPA_SD**2
    return out


def fit_law(
    evidence: Sequence[Evidence],
    prior: FloatArray,
    forced_prior: float,
    forced_log_sd: float,
    start: FloatArray | None = None,
    worth: float = 1.0,
    covariance: FloatArray | None = None,
    shown_log_sd: float = 0.0,
) -> LawFit | None:
    """The shares, forced shares and churn that explain the evidence, or None with too little of it.

    prior: float64[40] shares of the prior law; start: `theta` of an earlier fit; worth: what share
    of an independent observation an interval is; covariance: float64[40, 40] of the prior's ln
    shares, and shown_log_sd: see `prior_covariance`.
    """
    if len(evidence) < MIN_EVIDENCE or sum(e.seen != 0.0 for e in evidence) < MIN_SEEN:
        return None
    centre = np.concatenate(
        (np.log(np.maximum(prior, 1e-12)), np.full(2, math.log(forced_prior)), [0.0])
    )
    posterior = _Posterior(evidence, centre, worth)
    theta, stretch = centre.copy() if start is None else start, 1.0
    for _ in range(STRETCH_ROUNDS):
        assumed = prior_covariance(
            forced_log_sd, covariance, stretch=stretch, shown_log_sd=shown_log_sd
        )
        posterior.assume(_inverse(assumed))
        theta, dispersion, curvature = _search(posterior, theta)
        found = _inverse(curvature)
        before, stretch = stretch, _stretch(theta - centre, assumed, found, stretch)
        if abs(stretch / before - 1.0) < 0.05:
            break
    stretch = before
    mean, slope = posterior.means(theta)
    relative = slope / mean[:, None]
    spread = np.einsum("ti,ij,tj->t", relative, found, relative)
    shares = np.exp(theta[:CLASSES])
    shares /= shares.sum()
    forced = np.exp(theta[CLASSES : CLASSES + 2])
    return LawFit(
        shares=shares,
        forced=(float(forced[0]), float(forced[1])),
        kappa=math.exp(float(theta[-1])),
        log_sd=math.sqrt(max(float(np.average(spread, weights=mean)), 0.0)),
        dispersion=dispersion,
        intervals=len(evidence),
        theta=theta,
        covariance=found,
        stretch=stretch,
    )


def _stretch(off: FloatArray, assumed: FloatArray, found: FloatArray, stretch: float) -> float:
    """The prior's factor by its marginal likelihood (MacKay's evidence), at least 1.

    off: the law's way from the prior's centre; assumed, found: covariances before and after.
    Its length in the prior's own metric is the number of directions that prints have told, were
    the prior as wide as stated.
    """
    law = np.append(np.arange(CLASSES), _SIZE - 1)
    precision = _inverse(assumed[np.ix_(law, law)])
    length = stretch * float(off[law] @ precision @ off[law])
    told = len(law) - float(np.trace(precision @ found[np.ix_(law, law)]))
    return max((STRETCH_PRIOR + length) / (STRETCH_PRIOR + max(told, 0.0)), 1.0)


class _Posterior:
    """The evidence as arrays and the normal prior of theta: what a theta explains, how well."""

    def __init__(self, evidence: Sequence[Evidence], centre: FloatArray, worth: float) -> None:
        self._side = np.array([e.side for e in evidence])
        self._swept = np.array([e.swept for e in evidence])
        self._standing = np.array([e.standing for e in evidence])
        self._exposure = np.array([e.exposure for e in evidence])
        self._assumed = np.array([e.kappa for e in evidence])[:, None]
        seen = np.array([e.seen for e in evidence])
        self._floor = 0.02 * float(seen.mean())
        self._seen = seen + self._floor
        self._centre, self._worth = centre, worth
        self._precision = np.eye(_SIZE)

    def assume(self, precision: FloatArray) -> None:
        """The inverse of the prior's covariance."""
        self._precision = precision

    def means(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Expected USD of every interval [T], and its derivative by theta [T, 43]."""
        k = math.exp(theta[-1]) / self._assumed
        faded = k * np.exp(-(k - 1.0) * self._exposure)
        weights = np.exp(theta[:CLASSES])
        stands = self._standing * weights
        whole = stands.sum(axis=1, keepdims=True)
        level = np.exp(theta[CLASSES : CLASSES + 2])[self._side]
        part = level[:, None] * self._swept * faded * weights / whole
        forced = part.sum(axis=1)
        slope = np.zeros((len(forced), _SIZE))
        slope[:, :CLASSES] = part - forced[:, None] * stands / whole
        for index in range(2):
            slope[self._side == index, CLASSES + index] = forced[self._side == index]
        slope[:, -1] = (part * (1.0 - k * self._exposure)).sum(axis=1)
        return forced + self._floor, slope

    def dispersion(self, mean: FloatArray) -> float:
        """Mean unit deviance: robust against the heavy tail, unlike Pearson's."""
        return max(float(_deviance(self._seen, mean).mean()), 1e-9)

    def loss(self, theta: FloatArray, dispersion: float) -> float:
        """Minus the log posterior, but for a constant."""
        mean, _ = self.means(theta)
        off = theta - self._centre
        deviance = float(_deviance(self._seen, mean).sum())
        return 0.5 * self._worth * deviance / dispersion + 0.5 * float(off @ self._precision @ off)

    def climb(
        self, theta: FloatArray, mean: FloatArray, slope: FloatArray, dispersion: float
    ) -> tuple[FloatArray, FloatArray]:
        """Fisher scoring: the step towards the mode [43], and the curvature here [43, 43]."""
        weight = self._worth / (dispersion * mean**POWER)
        gradient = slope.T @ (weight * (self._seen - mean)) - self._precision @ (
            theta - self._centre
        )
        curvature: FloatArray = (slope * weight[:, None]).T @ slope + self._precision
        return np.asarray(np.linalg.solve(curvature, gradient), np.float64), curvature


def _search(of: _Posterior, theta: FloatArray) -> tuple[FloatArray, float, FloatArray]:
    """(mode, dispersion, curvature of the last step) from a first guess of theta."""
    damping = 1.0
    mean, slope = of.means(theta)
    dispersion = of.dispersion(mean)
    for _ in range(ROUNDS):
        step, curvature = of.climb(theta, mean, slope, dispersion)
        step *= min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-12))
        before = of.loss(theta, dispersion)
        while damping > 1e-3 and of.loss(theta + damping * step, dispersion) > before:
            damping *= 0.5
        theta = theta + damping * step
        damping = min(1.0, 2.0 * damping)
        mean, slope = of.means(theta)
        dispersion = of.dispersion(mean)
        if float(np.abs(step).max()) < 1e-3:
            break
    return theta, dispersion, curvature


def _inverse(matrix: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def _deviance(y: FloatArray, mean: FloatArray) -> FloatArray:
    """Unit deviance of Tweedie's law of power 1.5."""
    quarter = np.sqrt(mean)
    deviance: FloatArray = 4.0 * (np.sqrt(y) - quarter) ** 2 / quarter
    return deviance
