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

from liqfield.density.law import CLASS_BAND, CLASS_LEVERAGE, CLASSES, IS_CROSS
from liqfield.density.level import Evidence
from liqfield.model.events import FloatArray

MIN_EVIDENCE = 60
MIN_SEEN = 20
ROUNDS = 8
POWER = 1.5
KAPPA_SD = 0.1
# Prior standard deviations of ln share: (level, slope a unit of ln leverage, own deviation).
ISOLATED_SD = (0.8, 0.4, 0.3)
CROSS_SD = (0.05, 0.35, 0.1)
# Leverage at which the slopes turn. Most of what is open is cross at about 3x: a slope about that
# point moves the tail and leaves the bulk, which the open interest fixes.
ISOLATED_PIVOT, CROSS_PIVOT = 20.0, 3.0
_SIZE = CLASSES + 3


class LawFit(msgspec.Struct, frozen=True, eq=False):
    """shares float64[40], sums to 1; forced [long, short]; kappa; how sure.

    log_sd: posterior standard deviation of ln(mean), averaged over the evidence; dispersion:
    variance / mean^1.5 of the prints about the fit, USD^0.5; covariance: Laplace's, of theta.
    """

    shares: FloatArray
    forced: tuple[float, float]
    kappa: float
    log_sd: float
    dispersion: float
    intervals: int
    theta: FloatArray  # float64[43]: where the next search starts
    covariance: FloatArray  # float64[43, 43]


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


def prior_covariance(forced_log_sd: float) -> FloatArray:
    """float64[43, 43] of ln shares [40], ln forced [2], ln kappa."""
    x = np.log(CLASS_LEVERAGE)
    out = np.zeros((_SIZE, _SIZE))
    modes = ((~IS_CROSS, ISOLATED_SD, ISOLATED_PIVOT), (IS_CROSS, CROSS_SD, CROSS_PIVOT))
    for mode, (level, slope, own), pivot in modes:
        index = np.flatnonzero(mode)
        z = x[index] - math.log(pivot)
        block = level**2 + slope**2 * np.outer(z, z) + own**2 * np.eye(len(index))
        out[np.ix_(index, index)] = block
    side = np.arange(CLASSES, CLASSES + 2)
    # The two sides differ less from each other than both from the prior.
    out[np.ix_(side, side)] = forced_log_sd**2 * np.array([[1.0, 0.5], [0.5, 1.0]])
    out[-1, -1] = KAPPA_SD**2
    return out


def fit_law(
    evidence: Sequence[Evidence],
    prior: FloatArray,
    forced_prior: float,
    forced_log_sd: float,
    start: FloatArray | None = None,
    worth: float = 1.0,
) -> LawFit | None:
    """The shares, forced shares and churn that explain the evidence, or None with too little of it.

    prior: float64[40] shares of the prior law; start: `theta` of an earlier fit; worth: what share
    of an independent observation an interval is.
    """
    seen = np.array([e.seen for e in evidence])
    if len(evidence) < MIN_EVIDENCE or np.count_nonzero(seen) < MIN_SEEN:
        return None
    side = np.array([e.side for e in evidence])
    swept = np.array([e.swept for e in evidence])
    standing = np.array([e.standing for e in evidence])
    exposure = np.array([e.exposure for e in evidence])
    floor = 0.02 * float(seen.mean())
    centre = np.concatenate(
        (np.log(np.maximum(prior, 1e-12)), np.full(2, math.log(forced_prior)), [0.0])
    )
    assumed = np.array([e.kappa for e in evidence])[:, None]
    precision = np.linalg.inv(prior_covariance(forced_log_sd))
    y = seen + floor

    def means(theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        k = math.exp(theta[-1]) / assumed
        faded = k * np.exp(-(k - 1.0) * exposure)
        weights = np.exp(theta[:CLASSES])
        stands = standing * weights
        whole = stands.sum(axis=1, keepdims=True)
        level = np.exp(theta[CLASSES : CLASSES + 2])[side]
        part = level[:, None] * swept * faded * weights / whole
        forced = part.sum(axis=1)
        slope = np.zeros((len(y), _SIZE))
        slope[:, :CLASSES] = part - forced[:, None] * stands / whole
        for index in range(2):
            slope[side == index, CLASSES + index] = forced[side == index]
        slope[:, -1] = (part * (1.0 - k * exposure)).sum(axis=1)
        return forced + floor, slope

    def loss(theta: FloatArray, dispersion: float) -> float:
        mean, _ = means(theta)
        off = theta - centre
        quarter = np.sqrt(mean)
        deviance = float((4.0 * (np.sqrt(y) - quarter) ** 2 / quarter).sum())
        return 0.5 * worth * deviance / dispersion + 0.5 * float(off @ precision @ off)

    theta, damping = centre.copy() if start is None else start.copy(), 1.0
    mean, slope = means(theta)
    dispersion = _dispersion(y, mean)
    curvature = precision
    for _ in range(ROUNDS):
        weight = worth / (dispersion * mean**POWER)
        gradient = slope.T @ (weight * (y - mean)) - precision @ (theta - centre)
        curvature = (slope * weight[:, None]).T @ slope + precision
        step = np.linalg.solve(curvature, gradient)
        step *= min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-12))
        while damping > 1e-3 and loss(theta + damping * step, dispersion) > loss(theta, dispersion):
            damping *= 0.5
        theta = theta + damping * step
        damping = min(1.0, 2.0 * damping)
        mean, slope = means(theta)
        dispersion = _dispersion(y, mean)
        if float(np.abs(step).max()) < 1e-3:
            break
    relative = slope / mean[:, None]
    posterior = np.linalg.inv(curvature)
    spread = np.einsum("ti,ij,tj->t", relative, posterior, relative)
    shares = np.exp(theta[:CLASSES])
    shares /= shares.sum()
    forced = np.exp(theta[CLASSES : CLASSES + 2])
    return LawFit(
        shares=shares,
        forced=(float(forced[0]), float(forced[1])),
        kappa=math.exp(float(theta[-1])),
        log_sd=math.sqrt(max(float(np.average(spread, weights=mean)), 0.0)),
        dispersion=dispersion,
        intervals=len(seen),
        theta=theta,
        covariance=posterior,
    )


def _dispersion(y: FloatArray, mean: FloatArray) -> float:
    """Mean unit deviance: robust against the heavy tail, unlike Pearson's."""
    quarter = np.sqrt(mean)
    return max(float((4.0 * (np.sqrt(y) - quarter) ** 2 / quarter).mean()), 1e-9)
