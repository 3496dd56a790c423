"""Classes of positions and their weights: effective leverage x margin mode on a fixed ladder.

Classes 0..19 are isolated, 20..39 cross, each over the same 20 leverage intervals. 10x and 25x are
interval edges, so the published leverage bands are exact sums of classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from liqfield.density.settings import LeverageLaw
from liqfield.model.events import FloatArray
from liqfield.model.margin import MarginTier, tier_of
from liqfield.model.sides import ContractKind

LEVERAGES = 20
CLASSES = 2 * LEVERAGES
POINTS = 64  # quadrature points of a class, visited in bit-reversed order
_MENU = (1, 2, 3, 4, 5, 7, 10, 15, 20, 25, 30, 40, 50, 75, 100, 125)


def _edges() -> FloatArray:
    low = np.geomspace(1.05, 10.0, 10)
    mid = np.geomspace(10.0, 25.0, 5)
    high = np.geomspace(25.0, 150.0, 8)
    return np.concatenate((low, mid[1:], high[1:]))


EDGES: FloatArray = _edges()
CENTRES: FloatArray = np.sqrt(EDGES[1:] * EDGES[:-1])
CLASS_LEVERAGE: FloatArray = np.concatenate((CENTRES, CENTRES))
CLASS_BAND = np.where(CLASS_LEVERAGE < 10.0, 0, np.where(CLASS_LEVERAGE < 25.0, 1, 2))
IS_CROSS = np.arange(CLASSES) >= LEVERAGES


def _log_normal_shares(median: float, sigma: float, top: float) -> FloatArray:
    """Share of each leverage interval, float64[20], cut at the venue's highest leverage."""
    edges = np.minimum(EDGES, max(top, EDGES[1]))
    z = (np.log(edges) - math.log(median)) / (sigma * math.sqrt(2.0))
    cdf = np.array([0.5 * (1.0 + math.erf(float(value))) for value in z])
    cdf[0] = 0.0  # everything below the first edge belongs to the first interval
    shares = np.diff(cdf)
    total = shares.sum()
    if total <= 0.0:
        shares = np.zeros(LEVERAGES)
        shares[0] = 1.0
        return shares
    shares /= total
    return shares


def class_shares(law: LeverageLaw, top_leverage: float) -> FloatArray:
    """float64[40], sums to 1: the law's shares, standing or seeding as `law.is_standing` says."""
    isolated = _log_normal_shares(law.isolated_median, law.isolated_sigma, top_leverage)
    cross = _log_normal_shares(law.cross_median, law.cross_sigma, top_leverage)
    return np.concatenate((law.isolated_share * isolated, (1.0 - law.isolated_share) * cross))


def exit_rates(law: LeverageLaw) -> FloatArray:
    """float64[40], relative rates of voluntary exit, 1 at 3x cross."""
    rates: FloatArray = (CLASS_LEVERAGE / 3.0) ** law.exit_exponent
    rates = np.where(IS_CROSS, rates, rates * law.isolated_exit)
    return rates


def seed_shares(
    law: LeverageLaw,
    standing: FloatArray,
    distance: FloatArray,
    turnover_per_day: float,
    variance_per_day: float,
) -> FloatArray:
    """The decay trap avoided: openings in proportion to standing share / mean life.

    distance: float64[40], mean log-distance to liquidation. The exit rate of a class is its
    voluntary rate (the turnover, shared out by `exit_rates`) plus the rate variance / distance**2
    at which a diffusing mark crosses its level. turnover in OI per day, variance of log price.
    """
    if not law.is_standing:
        return standing
    rates = exit_rates(law)
    voluntary = turnover_per_day * rates / max(float(standing @ rates), 1e-12)
    crossing = variance_per_day / np.maximum(distance, 1e-3) ** 2
    seeds: FloatArray = standing * (voluntary + crossing)
    total = seeds.sum()
    return seeds / total if total > 0.0 else standing


def tilted(shares: FloatArray, tilt: float) -> FloatArray:
    """Shares times L**tilt, normalised: takers (tilt > 0) and makers (tilt < 0) differ by this."""
    out: FloatArray = shares * (CLASS_LEVERAGE / 5.0) ** tilt
    total = out.sum()
    return out / total if total > 0.0 else shares


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
    rates = np.empty(LEVERAGES)
    for n, leverage in enumerate(CENTRES):
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
    out = np.concatenate((rates, rates)) + fee_rate
    return np.clip(out, 0.0, 0.5)


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


def distance_table(kind: ContractKind, rates: FloatArray, menu_share: float) -> FloatArray:
    """float64[2, 40, 64]: log-distances at which a class spreads its liquidation levels.

    Isolated: a share sits exactly at the menu's leverage inside the interval, the rest fills it.
    Cross: levels depend on the rest of the account, so they spread over a wider range.
    """
    table = np.empty((2, CLASSES, POINTS))
    u = (np.arange(POINTS) + 0.5) / POINTS
    atoms = round(menu_share * POINTS)
    for n in range(LEVERAGES):
        low, high = EDGES[n], EDGES[n + 1]
        inside = [m for m in _MENU if (low <= m < high and m != 25) or (m == 25 and high == 25.0)]
        fill = low * (high / low) ** u
        isolated = fill.copy()
        if inside and atoms:
            isolated = np.concatenate(
                (
                    np.resize(np.array(inside, dtype=float), atoms),
                    low * (high / low) ** ((np.arange(POINTS - atoms) + 0.5) / (POINTS - atoms))
                    if atoms < POINTS
                    else np.empty(0),
                )
            )
        width = high / low
        wide = np.maximum(low / math.sqrt(width) * (width * width) ** u, 1.02)
        rate = np.full(POINTS, rates[n])
        table[:, n, :] = log_ratio(kind, isolated, rate)
        table[:, LEVERAGES + n, :] = log_ratio(kind, wide, rate)
    order = np.array([int(f"{i:06b}"[::-1], 2) for i in range(POINTS)])
    return np.ascontiguousarray(table[:, :, order])
