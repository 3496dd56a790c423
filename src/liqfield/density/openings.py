"""The law of openings in force: what the prior says until prints have spoken, then their fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from liqfield.density import law as laws
from liqfield.density.counted import (
    EXIT_BETWEEN,
    EXIT_SCANNED,
    SCANNED,
    CountedOpenings,
    counted_law,
    exit_exponent,
    lent_law,
)
from liqfield.density.fit import (
    LawFit,
    band_covariance,
    fit_law,
    mass_covariance,
    other_prior,
    prior_covariance,
)
from liqfield.density.level import Evidence
from liqfield.density.settings import DensitySettings, LeverageLaw
from liqfield.model.events import FloatArray
from liqfield.model.margin import MarginTier
from liqfield.model.sides import ContractKind

SIZES_MOVED = 0.1  # in ln median and sigma: less is not worth another table
RATIO_BOUND = 100.0  # what one fit may do to a class
# How far a path still goes against a position that is opened at a random time on it, as a share of
# the path's whole range: quantiles 0.05, 0.15, ... of a random walk's (the tests draw it again).
AHEAD: FloatArray = np.array([0.0, 0.04, 0.09, 0.15, 0.23, 0.32, 0.42, 0.55, 0.69, 0.86])
RANGE_SDS = math.sqrt(8.0 / math.pi)  # mean range of a random walk in deviations of its end


class Told(msgspec.Struct, frozen=True, eq=False):
    """What only a simulator knows; a filter told all of it is the ceiling of its own form.

    weights float64[2 taker maker, 40] shares of openings; rates float64[40] relative exit rates;
    opened float64[n] coins opened a side since begin_ns, cumulative, every every_ns. What is None
    is found out as if nothing had been told. prior: float64[40], shares of openings to begin with
    instead of the settings' law; prints may still move them.
    """

    weights: FloatArray | None = None
    rates: FloatArray | None = None
    begin_ns: int = 0
    every_ns: int = 1
    opened: FloatArray | None = None
    prior: FloatArray | None = None


class OwnOpenings(msgspec.Struct, frozen=True, gc=False, eq=False):
    """What would be opened on one path of a set length and liquidated by it again: no map made
    before that path holds it.

    usd_per_range: opened by a path, per unit of its log range; most_usd: open interest, no more is
    opened; table float64[2, 40, 64], drawn float64[40]: log-distances and shares of openings.
    """

    usd_per_range: float
    most_usd: float
    table: FloatArray
    drawn: FloatArray

    def usd(self, low: float, high: float) -> FloatArray:
        """USD [2] of a path over [low, high]; in which order it went is not known."""
        if not low < high:
            return np.zeros(2)
        span = math.log(high / low)
        distance = np.abs(np.where(np.isfinite(self.table), self.table, np.inf))
        reached = (distance[..., None] < span * AHEAD).mean(axis=(2, 3))
        taken: FloatArray = min(self.usd_per_range * span, self.most_usd) * (reached @ self.drawn)
        return taken


class OpeningLaw:
    """Shares, distances to liquidation, exit rates and churn of one instrument, and their doubt."""

    def __init__(
        self,
        settings: DensitySettings,
        kind: ContractKind,
        fee_rate: float,
        tiers: tuple[MarginTier, ...],
        told: Told | None = None,
    ) -> None:
        self._settings, self._kind, self._fee_rate = settings, kind, fee_rate
        self._weights = None if told is None else told.weights
        self._told_prior = None if told is None else told.prior
        self.tiers = tiers
        self._table_for: tuple[MarginTier, ...] = ()
        # (median USD, sigma) of a log-normal law of position sizes, weighted by notional
        self.sizes = settings.size_median_usd, settings.size_sigma
        # float64[40], shares of openings by class; float64[2, 40] of takers and of makers
        self.shares: FloatArray = laws.class_shares(settings.law, laws.top_leverage(tiers))
        self.weights: FloatArray = np.empty(0)
        self.drawn: FloatArray = np.empty(0)  # float64[40], their mean
        self.rates: FloatArray = laws.exit_rates(settings.law)
        if told is not None and told.rates is not None:
            self.rates = told.rates
        if self._told_prior is not None:
            self.shares = self._told_prior
        self.table: FloatArray = np.empty(0)  # float64[2, 40, 64], log-distances
        self.distance: FloatArray = np.empty(0)  # float64[40], their means
        # float64[2, 40]: by how much levels of cross classes wander in a day, sd of log price
        self._wandering: FloatArray = np.empty(0)
        self.kappa = 1.0  # factor on the assumed churn
        self.log_sd = settings.spread  # error of ln mean along traversed bins
        self.bands: FloatArray = np.zeros((3, 3))  # covariance of ln mass by leverage band
        self.near_sd = 0.0  # error of ln(all that stands near the mark)
        # float64[3], all [0]: more of a band, of all near the mark, were cross levered heavily
        self.heavier: FloatArray = np.zeros(3)
        self.near_heavier = 0.0
        self._theta: FloatArray | None = None
        self._shown_sd = 0.0  # of the share that prints are, ln
        self._covariance: FloatArray | None = None  # of the last fit in this run
        self._stretch = 1.0  # of its prior
        self.counted: CountedOpenings | None = None  # of public accounts
        self.is_lent = False  # they are another venue's

    @property
    def is_fitted(self) -> bool:
        """Whether prints have spoken."""
        return self._theta is not None

    # ---- levels -------------------------------------------------------------------------------

    def take_tiers(self, tiers: tuple[MarginTier, ...]) -> None:
        """Another tier table: before a fit, the prior is cut at its highest leverage."""
        before, self.tiers = laws.top_leverage(self.tiers), tiers
        after = laws.top_leverage(tiers)
        if (
            after != before
            and not self.is_fitted
            and self._weights is None
            and self._told_prior is None
        ):
            self.shares = laws.class_shares(self._settings.law, after)

    def take_sizes(self, median_usd: float, sigma: float) -> None:
        """Another law of position sizes, where it differs: it decides what tiers they stand in."""
        if abs(math.log(median_usd / self.sizes[0])) + abs(sigma - self.sizes[1]) > SIZES_MOVED:
            self.sizes = median_usd, sigma
            self._table_for = ()

    def prepare(self, price: float) -> None:
        """Make the tables for the shares and tiers in force; price: USD a coin."""
        if self._table_for != self.tiers:
            self._make_table(price)
        if self._weights is not None:
            self.weights = self._weights
            self.drawn = self.shares = self.weights.mean(axis=0)
            return
        tilt = self._settings.law.taker_tilt
        self.weights = np.stack((laws.tilted(self.shares, tilt), laws.tilted(self.shares, -tilt)))
        self.drawn = self.weights.mean(axis=0)

    def _make_table(self, price: float) -> None:
        s = self._settings
        rates = laws.maintenance_rates(self.tiers, price, *self.sizes, self._fee_rate, self._kind)
        self.table = laws.distance_table(self._kind, rates)
        finite = np.where(np.isfinite(self.table), np.abs(self.table), 3.0)
        self.distance = finite.mean(axis=(0, 2))
        level = np.where(np.isfinite(self.table), np.exp(self.table), 1.0).mean(axis=2)
        self._wandering = np.where(
            laws.IS_CROSS, s.cross_noise / (laws.CLASS_LEVERAGE * level), 0.0
        )
        self._table_for = self.tiers

    @property
    def reach(self) -> FloatArray:
        """float64[40], log-distance before liquidation within which positions may stop out."""
        return 0.5 * self.distance

    def wandering(self, days: float) -> FloatArray:
        """float64[2, 40]: by how much (sd of log price) levels of cross classes wander in so long.

        Collateral of 1 / L of the entry's notional moves by `cross_noise`, and the level as much.
        """
        return self._wandering * math.sqrt(days)

    def standing(self, turnover: float, variance: float) -> FloatArray:
        """float64[40], shares of what stands; turnover in OI a day, variance of log price a day."""
        return laws.standing_shares(self.shares, self.rates, self.distance, turnover, variance)

    # ---- learning -----------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """Where the prior of the law was counted; nothing where it was not."""
        if self.counted is None:
            return ""
        worth = f"{self.counted.effective:.0f} public accounts"
        if self.is_lent:
            return f"law of openings lent by {self.counted.venue}: {worth}"
        return f"law of openings measured: {worth}"

    def _prior(self, law: LeverageLaw) -> tuple[FloatArray, FloatArray | None]:
        """Shares of openings before prints have spoken, float64[40], and the covariance of their
        logs where accounts were counted."""
        if self._told_prior is not None:
            return self._told_prior, None
        top = laws.top_leverage(self.tiers)
        prior = laws.class_shares(law, top)
        if self.counted is not None:
            drawn, covariance = counted_law(self.counted, prior, top)
            shares = laws.untilted(drawn, law.taker_tilt)
            if self.is_lent:
                return lent_law(shares, covariance, prior)
            return shares, covariance + SCANNED.covariance()
        return prior, None

    def learn_openings(self, counted: CountedOpenings, *, is_lent: bool) -> bool:
        """Openings counted on public accounts, here or on another venue, become the prior of the
        next fit; True for the first ones. Older counts are replaced."""
        is_first = self.counted is None
        self.counted, self.is_lent = counted, is_lent
        law = self._settings.law
        apart = EXIT_BETWEEN if is_lent else EXIT_SCANNED
        power = exit_exponent(counted.exits, law.exit_exponent, apart)
        self.rates = laws.exit_rates(msgspec.structs.replace(law, exit_exponent=power))
        return is_first

    def refit(
        self, evidence: Sequence[Evidence], *, is_sampled: bool = False
    ) -> tuple[FloatArray | None, LawFit | None]:
        """Ask the prints for law, level and churn: (new over old shares or None, the fit or None).

        What stands is to be multiplied by the ratio. Without enough prints only a counted prior
        changes the shares. Nothing to learn for a law that was told. is_sampled: of what was
        forced the prints are a share that nobody knows.
        """
        if self._weights is not None or not self._settings.fit_law:
            return None, None
        s = self._settings
        prior, covariance = self._prior(s.law)
        worth = min(s.score_s / (3600.0 * s.independent_h), 1.0)
        level = s.forced_share, s.forced_log_sd
        self._shown_sd = s.sampled_log_sd if is_sampled else 0.0
        fit = fit_law(evidence, prior, *level, self._theta, worth, covariance, self._shown_sd)
        if fit is not None:
            self._theta, self.kappa, self.log_sd = fit.theta, fit.kappa, fit.log_sd
        elif self.counted is None:
            return None, None
        shares = prior if fit is None else fit.shares
        ratio = shares / np.maximum(self.shares, 1e-12)
        self.shares = shares
        return np.clip(ratio, 1.0 / RATIO_BOUND, RATIO_BOUND), fit

    def doubt(self, masses: FloatArray, near: FloatArray, fit: LawFit | None = None) -> None:
        """How unsure the law is of what stands near the mark, by band.

        masses: all that stands, near: what stands near the mark, coins [40].
        """
        if self._weights is not None:
            return
        law = self._settings.law
        ours, known = self._prior(law)
        if fit is not None:
            self._covariance, self._stretch = fit.covariance, fit.stretch
        assumed = prior_covariance(
            self._settings.forced_log_sd, known, stretch=self._stretch, shown_log_sd=self._shown_sd
        )
        free = assumed if self._covariance is None else self._covariance
        covariance = mass_covariance(free, masses)
        self.bands = band_covariance(covariance, near)
        part = near / max(float(near.sum()), 1e-300)
        self.near_sd = math.sqrt(max(float(part @ covariance @ part), 0.0))
        # Prints do not tell whether cross positions are heavily levered (docs/estimator.md, step
        # 7): what the same state would hold if they were is the upper end, no part of the mean.
        heavy = msgspec.structs.replace(
            law, cross_median=law.heavy_median, cross_sigma=law.heavy_sigma
        )
        other, _ = self._prior(heavy)
        moved = np.log(np.maximum(other, 1e-12) / np.maximum(ours, 1e-12))
        factors = other_prior(free, assumed, moved)
        factors *= masses.sum() / max(float(masses @ factors), 1e-300)
        more = near * (factors - 1.0)
        standing = np.bincount(laws.CLASS_BAND, near, 3)
        added = np.bincount(laws.CLASS_BAND, more, 3)
        self.heavier = np.maximum(added / np.maximum(standing, 1e-300), 0.0)
        self.near_heavier = max(float(more.sum() / max(near.sum(), 1e-300)), 0.0)

    def doubt_as(self, settings: DensitySettings) -> Callable[[], None]:
        """Other settings for what `doubt` says next; gives what puts the old ones back."""
        names = ("_settings", "bands", "near_sd", "heavier", "near_heavier")
        kept = {name: getattr(self, name) for name in names}
        self._settings = settings

        def back() -> None:
            for name, value in kept.items():
                setattr(self, name, value)

        return back

    # ---- out ----------------------------------------------------------------------------------

    def dump(self) -> dict[str, object]:
        """Everything as plain data."""
        return {
            "shares": self.shares.tobytes(),
            "kappa": self.kappa,
            "log_sd": self.log_sd,
            "near_sd": self.near_sd,
            "bands": self.bands.tobytes(),
            "heavier": [self.heavier.tolist(), self.near_heavier],
            "theta": b"" if self._theta is None else self._theta.tobytes(),
            "counted": None if self.counted is None else self.counted.dump(),
            "is_lent": self.is_lent,
            "sizes": self.sizes,
            "tiers": msgspec.to_builtins(self.tiers),
        }

    def learn(self, data: dict[str, object]) -> None:
        """Take over an earlier run's law (its `dump`), with the tiers of now.

        Raises ValueError or msgspec.ValidationError, and changes nothing, for what is no law.
        """
        kept = msgspec.convert(data, _Kept)
        sizes = len(kept.shares), len(kept.theta), len(kept.bands)
        if sizes != (8 * laws.CLASSES, 8 * (laws.CLASSES + 3), 72):
            raise ValueError(f"law of other classes: {sizes}")
        shares = np.frombuffer(kept.shares)
        if not (np.isfinite(shares).all() and (shares >= 0.0).all() and shares.sum() > 0.0):
            raise ValueError("shares that are no shares")
        tiers = self.tiers
        self.load(data)
        self.tiers = tiers

    def load(self, data: dict[str, object]) -> None:
        """The inverse of `dump`; `prepare` makes the tables again."""
        kept = msgspec.convert(data, _Kept)
        self.shares = np.frombuffer(kept.shares).copy()
        self.kappa, self.log_sd, self.near_sd = kept.kappa, kept.log_sd, kept.near_sd
        self.bands = np.frombuffer(kept.bands).reshape(3, 3).copy()
        self.heavier, self.near_heavier = np.array(kept.heavier[0]), kept.heavier[1]
        self._theta = np.frombuffer(kept.theta).copy() if kept.theta else None
        self.counted, self.is_lent = None, False
        if kept.counted is not None:
            self.learn_openings(CountedOpenings.load(kept.counted), is_lent=kept.is_lent)
        self.tiers = kept.tiers
        if kept.sizes is not None:
            self.sizes, self._table_for = kept.sizes, ()


class _Kept(msgspec.Struct):
    shares: bytes
    kappa: float
    log_sd: float
    near_sd: float
    bands: bytes
    theta: bytes
    tiers: tuple[MarginTier, ...]
    # of a law kept before there was one: the next fit finds it
    heavier: tuple[tuple[float, float, float], float] = ((0.0, 0.0, 0.0), 0.0)
    counted: tuple[bytes, float, float, str, list[float]] | None = None
    is_lent: bool = False
    sizes: tuple[float, float] | None = None
