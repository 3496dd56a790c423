"""The law of openings from openings that were counted: public accounts, looked at again and again.

What n positions in effect show of the 40 log-shares theta of `density.law`, with a normal prior:

    ln p = n sum_g s_g ln sum_{c in g} w_c  -  (theta - m)' W^-1 (theta - m) / 2 + const,

w = exp(theta) / sum exp(theta); s_g the share of opened notional that was seen in a group g of
classes. A group is one class, but for the classes from the highest leverage of the venue on: who
stands at the cap may want more and may have it elsewhere. The prior is wide: it decides where
little was counted. The law of a venue is then no surer than the measured one plus what venues
differ by.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np

from liqfield.density import law as laws
from liqfield.model.events import FloatArray, IntArray

NEAR_CAP = 1.1  # a point of the menu within this factor of the cap stands for it
ROUNDS, STEP_MAX, DONE = 60, 1.0, 1e-7


class Spread(NamedTuple):
    """Standard deviations of ln share about a centre: of isolated mode as a whole, per unit of
    ln leverage, of each class for itself; the level of cross is what the others are measured by."""

    level: float
    slope: float
    own: float


class LawSpread(NamedTuple):
    """Of both modes. The slopes turn at the pivots: most of what is open is cross at about 3x, and
    a slope about that point moves the tail and leaves the bulk."""

    isolated: Spread
    cross: Spread

    def covariance(self) -> FloatArray:
        """float64[40, 40] of ln shares."""
        x = np.log(laws.CLASS_LEVERAGE)
        out = np.zeros((laws.CLASSES, laws.CLASSES))
        modes = (
            (~laws.IS_CROSS, self.isolated, ISOLATED_PIVOT),
            (laws.IS_CROSS, self.cross, CROSS_PIVOT),
        )
        for mode, sd, pivot in modes:
            index = np.flatnonzero(mode)
            z = x[index] - math.log(pivot)
            block = sd.level**2 + sd.slope**2 * np.outer(z, z) + sd.own**2 * np.eye(len(index))
            out[np.ix_(index, index)] = block
        return out


ISOLATED_PIVOT, CROSS_PIVOT = 20.0, 3.0
# Where accounts were counted the prior only fills what they leave open.
WIDE = LawSpread(Spread(1.5, 0.8, 1.0), Spread(0.05, 1.0, 0.7))
# What any venue's law may differ by from our prior; what venues may from one another; what scanned
# accounts may from all of their venue's. Nobody has measured them: docs/estimator.md.
LAWS = LawSpread(Spread(1.0, 0.5, 0.5), Spread(0.05, 0.7, 0.3))
BETWEEN = LawSpread(Spread(0.9, 0.45, 0.4), Spread(0.0, 0.6, 0.25))
SCANNED = LawSpread(Spread(0.2, 0.1, 0.1), Spread(0.0, 0.1, 0.1))
# The same of the exponent of exits, and how far an unmeasured one may be from the assumed.
EXIT_SD, EXIT_SCANNED, EXIT_BETWEEN = 0.25, 0.05, 0.15
# Beyond this leverage exits are too often forced, or flights from being forced.
EXIT_MOST = 10.0


class Exits(NamedTuple):
    """Voluntary exits go with leverage to the power of `exponent`, known with `variance`."""

    exponent: float = 0.0
    variance: float = math.inf


class CountedOpenings(msgspec.Struct, frozen=True, eq=False):
    """shares: float64[40] of opened notional by class, sums to 1; effective: positions that count,
    (sum of accounts' notional)^2 / sum of its squares; top_leverage: the highest the venue allows;
    venue: whose accounts they are; exits: how the pace of leaving depends on leverage."""

    shares: FloatArray
    effective: float
    top_leverage: float
    venue: str
    exits: Exits

    def dump(self) -> _Dumped:
        """Everything as plain data."""
        return self.shares.tobytes(), self.effective, self.top_leverage, self.venue, [*self.exits]

    @classmethod
    def load(cls, kept: _Dumped) -> CountedOpenings:
        """The inverse of `dump`. Raises ValueError for shares of other classes."""
        shares = np.frombuffer(kept[0]).copy()
        if len(shares) != laws.CLASSES:
            raise ValueError(f"openings of {len(shares)} classes")
        return cls(shares, *kept[1:4], Exits(*kept[4]))


_Dumped: TypeAlias = tuple[bytes, float, float, str, list[float]]


def groups_of(top_leverage: float) -> IntArray:
    """int64[40]: classes with the same number cannot be told apart under such a cap."""
    groups = np.arange(laws.CLASSES)
    isolated = np.flatnonzero(top_leverage < laws.MENU * NEAR_CAP)
    cross = laws.LEVERAGES + np.flatnonzero(laws.EDGES[1:] > top_leverage)
    for capped in (isolated, cross):
        if len(capped):
            groups[capped] = capped[0]
    return groups


def counted_law(
    counted: CountedOpenings, prior: FloatArray, top_leverage: float
) -> tuple[FloatArray, FloatArray]:
    """(shares float64[40], sum 1; covariance float64[40, 40] of their logs) of drawn notional.

    prior: float64[40], shares to fall back on; top_leverage: of the venue whose law is wanted.
    """
    centre = np.log(np.maximum(prior, 1e-12))
    precision = np.linalg.inv(WIDE.covariance())
    groups = groups_of(min(counted.top_leverage, top_leverage))
    n = counted.effective
    seen = n * np.bincount(groups, counted.shares, laws.CLASSES)
    theta = centre.copy()
    curvature = precision
    for _ in range(ROUNDS):
        share = np.exp(theta - theta.max())
        share /= share.sum()
        whole = np.bincount(groups, share, laws.CLASSES)
        inside = share / np.maximum(whole, 1e-300)[groups]  # of its group
        gradient = seen[groups] * inside - n * share - precision @ (theta - centre)
        part = np.where(groups[:, None] == np.arange(laws.CLASSES), inside[:, None], 0.0)
        curvature = n * ((part * whole) @ part.T - np.outer(share, share)) + precision
        step = np.linalg.solve(curvature, gradient)
        theta = theta + step * min(1.0, STEP_MAX / max(float(np.abs(step).max()), 1e-300))
        if float(np.abs(step).max()) < DONE:
            break
    share = np.exp(theta - theta.max())
    return share / share.sum(), np.asarray(np.linalg.inv(curvature), np.float64)


def lent_law(
    shares: FloatArray, covariance: FloatArray, prior: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(shares float64[40], sum 1; covariance float64[40, 40] of their logs) of a venue of which
    nothing is known but another's law and what laws are like: the two pooled by precision."""
    ours = np.linalg.inv(LAWS.covariance())
    theirs = np.linalg.inv(covariance + BETWEEN.covariance())
    known = np.asarray(np.linalg.inv(ours + theirs), np.float64)
    centres = [np.log(np.maximum(one, 1e-12)) for one in (prior, shares)]
    theta = known @ (ours @ centres[0] + theirs @ centres[1])
    share = np.exp(theta - theta.max())
    return share / share.sum(), known


def count_exits(closed: FloatArray, exposure: FloatArray, effective: float) -> Exits:
    """The exponent that positions which were seen from opening to end tell, by Poisson likelihood.

    closed: float64[40], USD of positions that ended; exposure: float64[40], USD x hours that they
    and those still open have stood; effective: ended positions that count.
    """
    few = laws.CLASS_LEVERAGE <= EXIT_MOST
    x, ended, stood = np.log(laws.CLASS_LEVERAGE[few]), closed[few], exposure[few]
    if not (effective > 1.0 and ended.sum() > 0.0 and stood.sum() > 0.0):
        return Exits()
    mean = float(ended @ x) / float(ended.sum())
    exponent = spread = 0.0
    for _ in range(ROUNDS):
        weight = stood * np.exp(exponent * x)
        weight /= weight.sum()
        expected = float(weight @ x)
        spread = max(float(weight @ x**2) - expected**2, 1e-6)
        step = (mean - expected) / spread
        exponent += min(max(step, -0.5), 0.5)
        if abs(step) < DONE or abs(exponent) > 3.0:
            break
    return Exits(exponent, 1.0 / (effective * spread))


def exit_exponent(exits: Exits, prior: float, apart: float) -> float:
    """Mean of the exponent where the prior's sd is EXIT_SD and the counted one is another venue's,
    or another sample's, by a standard deviation of `apart`."""
    weight = EXIT_SD**2 / (EXIT_SD**2 + apart**2 + exits.variance)
    return prior + weight * (exits.exponent - prior)
