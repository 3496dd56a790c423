"""What the estimator assumes before it has seen anything: the law, churn, level; all tunable.

The defaults are small constants with provenance in docs/estimator.md, section "Constants".
"""

from __future__ import annotations

import math

import msgspec

from liqfield.model.errors import SettingError
from liqfield.model.margin import MarginTier, deductions

BIN_WIDTH = 0.0005
BIN_COUNT = 4000


class LeverageLaw(msgspec.Struct, frozen=True, kw_only=True):
    """The prior law of openings by effective leverage and margin mode, weighted by notional.

    isolated_share     share of opened notional in isolated mode, 0..1
    isolated_median, isolated_sigma   log-normal weight over the menu's points (x)
    cross_median, cross_sigma         log-normal law of effective leverage (x)
    heavy_median, heavy_sigma         ... at the heavily levered end of what is plausible
    taker_tilt         takers draw in proportion to L**tilt, makers to L**-tilt
    exit_exponent      voluntary exits happen in proportion to (L / 3x)**exponent
    isolated_exit      ... times this for isolated positions
    """

    isolated_share: float = 0.1
    isolated_median: float = 30.0
    isolated_sigma: float = 1.3
    cross_median: float = 2.0
    cross_sigma: float = 0.72
    heavy_median: float = 4.5
    heavy_sigma: float = 0.8
    taker_tilt: float = 0.2
    exit_exponent: float = 0.5
    isolated_exit: float = 1.0


class DensitySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be tuned. Shares are fractions; times in the unit of the name.

    churn_volume       positions replaced per unit of traded volume (coins per coin)
    churn_move         positions replaced per unit of |5-minute log return|, as a share of OI
    stop_exponent      ln of the share that leaves between half of the margin and liquidation
    cross_noise        log sd a day of the collateral behind cross positions: their levels wander
    wander_h           how often they do, hours
    forced_share       prior share of the swept notional that is force-closed (stop-outs are before)
    forced_log_sd      width of that prior, natural log; wide where venues differ in scope
    forced_most    largest forced share; above 1 only where prints cover more than the venue's OI
    forced_prior       weight of the prior against prints, as a share of OI swept
    level_half_life_h  memory of the fitted level
    sampled_share      share of the forced notional that a sampled feed shows: nobody publishes it
    sampled_log_sd     by how much that guess may be off, natural log
    independent_h      prints of so many hours count as one observation: the law of a bin errs alike
                       in neighbouring intervals and the model is not the market; without this the
                       fit is four to five times too sure and follows its own errors
    size_median_usd, size_sigma   notional-weighted log-normal law of position size (tiers)
    size_worth         prints that this law is worth; infinite where prints are sums of many orders
    entry_spread       log-price spread of entries assumed for open interest met at the start
    lump_usd           granularity: mean notional of one position, weighted by notional
    spread             relative standard deviation of the law's error per bin
    fit_law            refit the law by the likelihood of prints, every refit_h hours
    """

    law: LeverageLaw = LeverageLaw()
    churn_volume: float = 0.08
    churn_move: float = 0.5
    stop_exponent: float = 0.35
    cross_noise: float = 0.12
    wander_h: float = 3.0
    forced_share: float = 0.75
    forced_log_sd: float = 0.3
    forced_most: float = 1.0
    forced_prior: float = 0.002
    level_half_life_h: float = 24.0
    sampled_share: float = 0.35
    sampled_log_sd: float = 0.4
    independent_h: float = 1.5
    size_median_usd: float = 150e3
    size_sigma: float = 1.8
    size_worth: float = 30.0
    entry_spread: float = 0.03
    lump_usd: float = 60e3
    spread: float = 0.45
    fit_law: bool = True
    refit_h: float = 12.0
    score_s: float = 300.0
    step_s: float = 10.0
    bin_width: float = BIN_WIDTH
    bin_count: int = BIN_COUNT

    def __post_init__(self) -> None:
        for name in ("churn_volume", "churn_move", "stop_exponent"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0.0):
                raise SettingError(f"density setting {name} must be finite and not negative")
        if not 0.0 < self.forced_share <= 1.0:
            raise SettingError("density setting forced_share must lie in (0, 1]")
        if self.bin_count < 64 or not 0.0 < self.bin_width < 0.05:
            raise SettingError("density grid needs at least 64 bins narrower than 5 %")


def _prior_tiers() -> tuple[MarginTier, ...]:
    # A middling table of the large venues for a liquid perpetual, used until the venue's own comes.
    caps = (300e3, 800e3, 3e6, 12e6, 50e6, 100e6, 200e6, float("inf"))
    leverage = (125.0, 100.0, 75.0, 50.0, 25.0, 20.0, 10.0, 5.0)
    rates = (0.004, 0.005, 0.0065, 0.01, 0.02, 0.025, 0.05, 0.1)
    floors = (0.0, *caps[:-1])
    cuts = deductions(floors, rates)
    return tuple(
        MarginTier(floors[n], caps[n], leverage[n], rates[n], cuts[n]) for n in range(len(caps))
    )


PRIOR_TIERS = _prior_tiers()
