"""The leverage law: how much of the standing open interest sits at which effective leverage.

State the standing law, not the seeding law: mass at birth times mean lifetime is what stands, and
high leverage dies young. Seeds are therefore weighted by the hazard of their class.

Figures: public position scans (median effective leverage about 3x, 85 % below 7x on one day) for
the bulk, a thin isolated tail at the menu points that fills liquidation feeds (docs/estimator.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from liqfield.model.estimates import BAND_EDGES
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.margin import MarginTier, tier_of

LEVERAGES = np.array(
    [1.2, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9, 10, 12, 15, 18, 20, 25, 30, 40, 50, 75, 100, 125],
    dtype=np.float64,
)


class LeverageLaw(msgspec.Struct, frozen=True):
    """Log-normal bulk plus isolated tail. Shares are of standing open interest.

    bulk_median, bulk_sigma   effective leverage of cross and low isolated positions
    tail_share                standing share of isolated positions at the menu points from 10x up
    tail_power                tail weight ~ leverage ** -tail_power
    hazard_power              closing rate of a class ~ leverage ** hazard_power
    typical_usd               notional of a typical position: fixes its tier
    """

    bulk_median: float = 3.0
    bulk_sigma: float = 0.8
    tail_share: float = 0.12
    tail_power: float = 0.8
    hazard_power: float = 0.6
    typical_usd: float = 50_000.0


class LeverageClasses(msgspec.Struct, frozen=True, eq=False):
    """Arrays over classes, float64[C] unless said. seed sums to 1.

    shift: float64[2, C], log(liquidation price / entry price) by side; NaN-free: -inf / +inf stand
    for "no liquidation price".
    """

    leverage: FloatArray
    standing: FloatArray
    seed: FloatArray
    hazard: FloatArray
    shift: FloatArray
    band: IntArray


def classes(law: LeverageLaw, tiers: Sequence[MarginTier]) -> LeverageClasses:
    """Lay the law over the classes, capped by the venue's leverage limits."""
    leverage = LEVERAGES
    step = np.gradient(np.log(leverage))
    z = np.log(leverage / law.bulk_median) / law.bulk_sigma
    bulk = np.exp(-0.5 * z * z) * step
    tail = np.where(leverage >= 10.0, leverage**-law.tail_power, 0.0)
    standing = (1.0 - law.tail_share) * bulk / bulk.sum() + law.tail_share * tail / tail.sum()
    tier = tier_of(tiers, law.typical_usd)
    standing = np.where(leverage <= max(tier.max_leverage, LEVERAGES[0]), standing, 0.0)
    standing /= standing.sum()
    hazard = leverage**law.hazard_power
    seed = standing * hazard
    seed /= seed.sum()
    m = tier.maintenance_rate
    # Linear isolated positions, exact: E (1 -+ 1/L) / (1 -+ m).
    long = (1.0 - 1.0 / leverage) / (1.0 - m)
    short = (1.0 + 1.0 / leverage) / (1.0 + m)
    shift = np.stack([np.log(long), np.log(short)])
    band = np.searchsorted(np.array(BAND_EDGES), leverage, side="right").astype(np.int64)
    return LeverageClasses(leverage, standing, seed, hazard, shift, band)


# Where a venue's own table is not known yet: the lowest tiers common to the large venues, cautious.
FALLBACK_TIERS = (
    MarginTier(0.0, 300_000.0, 100.0, 0.004, 0.0),
    MarginTier(300_000.0, 800_000.0, 75.0, 0.005, 300.0),
    MarginTier(800_000.0, 3_000_000.0, 50.0, 0.0065, 1_500.0),
    MarginTier(3_000_000.0, 12_000_000.0, 25.0, 0.01, 12_000.0),
    MarginTier(12_000_000.0, 1e12, 10.0, 0.02, 132_000.0),
)
