"""Depth of one book or several: cumulative by distance, walks, and what lies beyond the view.

A profile holds the levels of one side with their running sums, best first. Beyond what a venue
shows, `Cum(u) = B u**kappa` is fitted to the side's own profile; its uncertainty grows with every
octave, as the profile's own octaves scatter around the law, from what a view of few levels leaves
open already. Money is USD, distance u the unsigned fraction of the mid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from liqfield.book.bands import EDGES
from liqfield.book.ladder import Ladder
from liqfield.model.events import FloatArray
from liqfield.model.jit import kernel

REACH = float(EDGES[-1])
KAPPA = 1.1  # public measurements lie between 1.1 and 1.4, real windows of a few bp near 1
KAPPA_SD = 0.2
OCTAVE_SD = 0.4  # scatter of log Cum an octave, before a fit
LEAST_OCTAVE_SD = 0.4  # real books, one octave beyond the view (docs/order-book.md)
SLOPE_SD = 0.4  # of one book's slope beyond its view around the told one, at the least (same)
LEVEL_SD = 1.5  # of log Cum where one level holds all that is seen; of n equal ones over root n
HALF_OCTAVES = 5  # of the view that a fit looks at: its outer two octaves
LEAST_POINTS = 3


class SideDepth(msgspec.Struct, frozen=True, gc=False, eq=False):
    """One side, best first: price float64[n] USD, quantity float64[n] coins, cum_usd float64[n],
    distance float64[n], ascending; see `side_of`.

    seen: distance to which the venue shows everything.
    """

    mid: float
    price: FloatArray
    quantity: FloatArray
    cum_usd: FloatArray
    distance: FloatArray
    seen: float

    def within(self, distance: float) -> float:
        """USD resting from the mid to a distance, as far as it is shown."""
        count = int(np.searchsorted(self.distance, distance * (1.0 + 1e-12), side="right"))
        return float(self.cum_usd[count - 1]) if count else 0.0

    def at(self, distances: FloatArray) -> FloatArray:
        """`within` for many distances; nan beyond what is seen."""
        count = np.searchsorted(self.distance, distances * (1.0 + 1e-12), side="right")
        sums = np.concatenate((np.zeros(1), self.cum_usd))
        values: FloatArray = np.where(distances <= self.seen * (1.0 + 1e-9), sums[count], np.nan)
        return values


@kernel
def running(price: FloatArray, quantity: FloatArray, mid: float) -> tuple[FloatArray, FloatArray]:
    """Running sum of price times quantity, and distances from the mid."""
    cum, distance = np.empty(len(price)), np.empty(len(price))
    total = 0.0
    for i in range(len(price)):
        total += price[i] * quantity[i]
        cum[i] = total
        distance[i] = abs(price[i] / mid - 1.0)
    return cum, distance


def side_of(mid: float, price: FloatArray, quantity: FloatArray, seen: float) -> SideDepth:
    """A side of levels, best first."""
    return SideDepth(mid, price, quantity, *running(price, quantity, mid), seen)


def side_depth(
    ladder: Ladder, is_ask: int, mid: float, unit_usd: float, seen: float, reach: float = REACH
) -> SideDepth:
    """The levels of a side within `reach` of the mid."""
    middle = mid / unit_usd
    low = 0 if is_ask else math.floor(middle * (1.0 - reach))
    high = math.ceil(middle * (1.0 + reach)) + 1 if is_ask else 1 << 60
    price, quantity = ladder.best_first(is_ask, low, high, unit_usd)
    return side_of(mid, price, quantity, min(seen, reach))


def merge(sides: Sequence[SideDepth], mid: float) -> SideDepth | None:
    """One side over venues, measured from a common mid; seen as far as all of them show."""
    if not sides:
        return None
    price = np.concatenate([side.price for side in sides])
    quantity = np.concatenate([side.quantity for side in sides])
    order = np.argsort(np.abs(price - mid), kind="stable")
    price, quantity = price[order], quantity[order]
    seen = min(side.seen for side in sides)
    return side_of(mid, price, quantity, seen)


# ---- walks ----------------------------------------------------------------------------------


class Walk(msgspec.Struct, frozen=True, gc=False):
    """A market order through a side. slippage_bp: average price against mid, basis points;
    price: the last level touched; is_whole: the book shows enough."""

    filled_usd: float
    slippage_bp: float
    price: float
    is_whole: bool


def walk(side: SideDepth, notional_usd: float) -> Walk:
    """Sweep `notional_usd` of a side."""
    n = len(side.cum_usd)
    if n == 0 or notional_usd <= 0.0:
        return Walk(0.0, 0.0, side.mid, notional_usd <= 0.0)
    last = min(int(np.searchsorted(side.cum_usd, notional_usd)), n - 1)
    before = float(side.cum_usd[last - 1]) if last else 0.0
    part = min(notional_usd - before, float(side.cum_usd[last]) - before)
    coins = float(side.quantity[:last].sum()) + part / float(side.price[last])
    filled = before + part
    return Walk(
        filled,
        abs(filled / coins / side.mid - 1.0) * 1e4,
        float(side.price[last]),
        notional_usd <= float(side.cum_usd[-1]),
    )


def notional_to_move(side: SideDepth, distance: float) -> float:
    """USD that an aggressor must pay until the touch is at least `distance` from the mid."""
    count = int(np.searchsorted(side.distance, distance * (1.0 - 1e-12)))
    return float(side.cum_usd[count - 1]) if count else 0.0


# ---- beyond the view ------------------------------------------------------------------------


class DepthLaw(msgspec.Struct, frozen=True, gc=False):
    """Cum(u) = B u**kappa, anchored where the view ends.

    log_sd(u): standard deviation of log Cum(u): what the view's own levels leave open, the slope's
    error and the octaves' scatter.
    """

    b: float
    kappa: float
    kappa_sd: float
    octave_sd: float
    view_sd: float
    r2: float
    seen: float
    seen_usd: float
    points: int

    def usd(self, distance: float) -> float:
        """Expected USD from the mid to a distance beyond the view."""
        if self.seen_usd <= 0.0 or distance <= self.seen:
            return self.seen_usd
        return self.seen_usd * math.pow(distance / self.seen, self.kappa)

    def log_sd(self, distance: float) -> float:
        """Uncertainty of `usd`, of the logarithm."""
        if distance <= self.seen:
            return 0.0
        octaves = math.log2(distance / self.seen)
        slope = self.kappa_sd * octaves * math.log(2.0)
        return math.sqrt(self.view_sd**2 + slope * slope + self.octave_sd**2 * octaves)


def fit_law(side: SideDepth) -> DepthLaw:
    """Least squares of log Cum on log u over half octaves of the view, drawn to the public slope.

    The sums of neighbouring distances move together, so what scatters independently are the
    octaves' own gains: their spread gives the slope's error, the slope is the precision-weighted
    mean of the fitted and the public one, and a side that is ragged says so by a wide interval. So
    does a view of few levels, or of one that holds most of it: the next ones change its sum.
    """
    seen_usd = side.within(side.seen)
    levels = np.diff(side.cum_usd[side.cum_usd <= seen_usd], prepend=0.0)
    view_sd = (
        LEVEL_SD * math.sqrt(float(levels @ levels)) / seen_usd if seen_usd > 0.0 else LEVEL_SD
    )
    at = side.seen * np.power(2.0, -0.5 * np.arange(HALF_OCTAVES))[::-1]
    cum = side.at(at)
    good = cum > 0.0
    points = int(good.sum())
    if seen_usd <= 0.0 or points < LEAST_POINTS:
        return DepthLaw(0.0, KAPPA, SLOPE_SD, OCTAVE_SD, view_sd, 0.0, side.seen, seen_usd, points)
    x, y = np.log(at[good]), np.log(cum[good])
    dx = x - x.mean()
    fitted = float((dx * (y - y.mean())).sum() / (dx * dx).sum())
    residual = y - y.mean() - fitted * dx
    total = float(((y - y.mean()) ** 2).sum())
    octaves = np.diff(x) / math.log(2.0)
    gains = np.diff(y) - fitted * np.diff(x)
    octave_sd = max(math.sqrt(float((gains * gains / octaves).mean())), LEAST_OCTAVE_SD)
    fitted_sd = octave_sd / math.sqrt(float(octaves.sum())) / math.log(2.0)
    own, public = fitted_sd**-2, KAPPA_SD**-2
    kappa = (fitted * own + KAPPA * public) / (own + public)
    return DepthLaw(
        seen_usd / math.pow(side.seen, kappa),
        kappa,
        max((own + public) ** -0.5, SLOPE_SD),
        octave_sd,
        view_sd,
        1.0 - float((residual * residual).sum()) / total if total > 0.0 else 0.0,
        side.seen,
        seen_usd,
        points,
    )
