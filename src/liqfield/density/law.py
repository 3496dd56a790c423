"""Classes of positions and their shares of openings: effective leverage x margin mode.

Classes 0..19 are isolated: one a point of the venues' leverage menus, because that is where people
stand; a little below it in effect, because of unused margin. Classes 20..39 are cross: 20 intervals
of effective leverage whose edges include the bands', so that leverage bands are sums of classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from liqfield.density.settings import LeverageLaw
from liqfield.model.estimates import BAND_EDGES
from liqfield.model.events import FloatArray
from liqfield.model.margin import MarginTier, tier_of
from liqfield.model.sides import ContractKind

LEVERAGES = 20
CLASSES = 2 * LEVERAGES
POINTS = 64  # quadrature points of a class, visited in bit-reversed order
# Points of the menus and how popular each is among its neighbours: people take round numbers.
MENU: FloatArray = np.array(
    [2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 35, 40, 50, 60, 75, 100, 125], dtype=float
)
POPULARITY: FloatArray = np.array(
    [0.4, 0.6, 0.2, 1, 0.1, 0.1, 0.2, 2, 0.1, 0.3, 2, 1.4, 0.2, 0.1, 0.4, 2, 0.1, 0.5, 1.4, 0.4]
)
UNUSED_MARGIN = 0.15  # an isolated position uses all to all but this share of its leverage


def _edges() -> FloatArray:
    mid_from, high_from = BAND_EDGES
    low = np.geomspace(1.05, mid_from, 10)
    mid = np.geomspace(mid_from, high_from, 5)
    high = np.geomspace(high_from, 150.0, 8)
    return np.concatenate((low, mid[1:], high[1:]))


EDGES: FloatArray = _edges()
CENTRES: FloatArray = np.sqrt(EDGES[1:] * EDGES[:-1])
CLASS_LEVERAGE: FloatArray = np.concatenate((MENU * (1.0 - UNUSED_MARGIN / 3.0), CENTRES))
CLASS_BAND = np.searchsorted(BAND_EDGES, CLASS_LEVERAGE, side="right")
IS_CROSS = np.arange(CLASSES) >= LEVERAGES


def _cross_shares(median: float, sigma: float, top: float) -> FloatArray:
    """Share of each interval, float64[20], of a log-normal law cut at the highest leverage."""
    edges = np.minimum(EDGES, max(top, EDGES[1]))
    z = (np.log(edges) - math.log(median)) / (sigma * math.sqrt(2.0))
    cdf = np.array([0.5 * (1.0 + math.erf(float(value))) for value in z])
    cdf[0] = 0.0  # everything below the first edge belongs to the first interval
    return _normalised(np.diff(cdf))


def _isolated_shares(median: float, sigma: float, top: float) -> FloatArray:
    """Share of each point of the menu, float64[20]."""
    z = (np.log(MENU) - math.log(median)) / sigma
    return _normalised(np.where(max(top, MENU[0]) >= MENU, POPULARITY * np.exp(-0.5 * z * z), 0.0))


def _normalised(shares: FloatArray) -> FloatArray:
    total = float(shares.sum())
    if total > 0.0:
        return shares / total
    first = np.zeros(len(shares))
    first[0] = 1.0
    return first


def class_shares(law: LeverageLaw, top_leverage: float) -> FloatArray:
    """float64[40], sums to 1: shares of the notional that is opened."""
    isolated = _isolated_shares(law.isolated_median, law.isolated_sigma, top_leverage)
    cross = _cross_shares(law.cross_median, law.cross_sigma, top_leverage)
    return np.concatenate((law.isolated_share * isolated, (1.0 - law.isolated_share) * cross))


def exit_rates(law: LeverageLaw) -> FloatArray:
    """float64[40], relative rates of voluntary exit, 1 at 3x cross."""
    rates: FloatArray = (CLASS_LEVERAGE / 3.0) ** law.exit_exponent
    rates = np.where(IS_CROSS, rates, rates * law.isolated_exit)
    return rates


def standing_shares(
    openings: FloatArray,
    rates: FloatArray,
    distance: FloatArray,
    turnover_per_day: float,
    variance_per_day: float,
) -> FloatArray:
    """float64[40]: the standing law = openings x mean life (the decay trap, read forwards).

    rates: float64[40] relative exit rates; distance: float64[40] mean log-distance to liquidation.
    A class leaves at its voluntary rate (the turnover, in OI a day, shared out by `rates`) and at
    the rate variance / distance**2 at which a diffusing mark (variance of log price a day) crosses.
    """
    crossing = variance_per_day / np.maximum(distance, 1e-3) ** 2
    standing = openings
    for _ in range(20):  # the turnover is an average over what stands
        voluntary = turnover_per_day * rates / max(float(standing @ rates), 1e-12)
        standing = _normalised(openings / (voluntary + crossing))
    return standing


def tilted(shares: FloatArray, tilt: float) -> FloatArray:
    """Shares times L**tilt, normalised: takers (tilt > 0) and makers (tilt < 0) differ by this."""
    out: FloatArray = shares * (CLASS_LEVERAGE / 5.0) ** tilt
    total = out.sum()
    return out / total if total > 0.0 else shares


def untilted(drawn: FloatArray, tilt: float) -> FloatArray:
    """float64[40]: the shares of which takers and makers, tilted, together draw `drawn`."""
    shares = drawn
    for _ in range(6):
        both = 0.5 * (tilted(shares, tilt) + tilted(shares, -tilt))
        shares = _normalised(shares * drawn / np.maximum(both, 1e-300))
    return shares


def maintenance_rates(
    tiers: Sequence[MarginTier],
    price: float,
    size_median_usd: float,
    size_sigma: float,
    fee_rate: float,
    kind: ContractKind,
) -> FloatArray:
    """float64[40]: mean maintenance margin / value over the sizes that may use the leverage.

    Size and leverage are coupled by the tiers alone: a leverage is open to the sizes whose tier
    allows it.
    """
    z = np.linspace(-2.0, 2.0, 9)
    weights = np.exp(-0.5 * z * z)
    rates = np.empty(CLASSES)
    for n, leverage in enumerate(CLASS_LEVERAGE):
        total, mass = 0.0, 0.0
        for at, weight in zip(z, weights, strict=True):
            usd = size_median_usd * math.exp(size_sigma * float(at))
            coins = tiers[0].by_quantity or kind is ContractKind.INVERSE
            tier = tier_of(tiers, usd / price if coins else usd)
            if tier.max_leverage < leverage and tier is not tiers[0]:
                continue
            value = usd / price if kind is ContractKind.INVERSE else usd
            total += weight * (tier.maintenance_rate - tier.deduction / value)
            mass += weight
        rates[n] = total / mass if mass > 0.0 else tiers[0].maintenance_rate
    return np.clip(rates + fee_rate, 0.0, 0.5)


def top_leverage(tiers: Sequence[MarginTier]) -> float:
    """The highest leverage that any tier allows (x)."""
    top = max((tier.max_leverage for tier in tiers), default=0.0)
    return top if top > 1.0 else 100.0


def log_ratio(kind: ContractKind, leverage: FloatArray, rate: FloatArray) -> FloatArray:
    """float64[2, n]: log of liquidation price over entry price, for longs and shorts.

    Solves the margin equation with the tier's mean rate; -inf / +inf where no price exists.
    """
    part = 1.0 / leverage
    with np.errstate(divide="ignore"):
        if kind is ContractKind.LINEAR:
            down = np.log(np.maximum(1.0 - part, 0.0)) - np.log1p(-rate)
            up = np.log1p(part) - np.log1p(rate)
        else:
            down = np.log1p(rate) - np.log1p(part)
            up = np.log1p(-rate) - np.log(np.maximum(1.0 - part, 0.0))
    # Maintenance above the initial margin cannot be opened: one basis point stands for "at once".
    return np.stack((np.minimum(down, -1e-4), np.maximum(up, 1e-4)))


def distance_table(kind: ContractKind, rates: FloatArray) -> FloatArray:
    """float64[2, 40, 64]: log-distances at which a class spreads its liquidation levels.

    Isolated: at the menu's leverage, less some unused margin. Cross: levels depend on the rest of
    the account, so they spread over twice the class's own interval (in log leverage).
    """
    table = np.empty((2, CLASSES, POINTS))
    u = (np.arange(POINTS) + 0.5) / POINTS
    for n in range(LEVERAGES):
        effective = np.maximum(MENU[n] * (1.0 - UNUSED_MARGIN * u * u), 1.02)
        table[:, n, :] = log_ratio(kind, effective, np.full(POINTS, rates[n]))
        width = EDGES[n + 1] / EDGES[n]
        wide = np.maximum(EDGES[n] / math.sqrt(width) * (width * width) ** u, 1.02)
        m = LEVERAGES + n
        table[:, m, :] = log_ratio(kind, wide, np.full(POINTS, rates[m]))
    order = np.array([int(f"{i:06b}"[::-1], 2) for i in range(POINTS)])
    return np.ascontiguousarray(table[:, :, order])
