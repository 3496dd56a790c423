"""What is read off the filter: the map, its columns, what it says of a path. Changes nothing."""

from __future__ import annotations

import math

import numpy as np

from liqfield.density import law as laws
from liqfield.density.intervals import gamma_interval, price_map
from liqfield.density.level import Level
from liqfield.density.marks import MarkGuard
from liqfield.density.openings import RANGE_SDS, OpeningLaw, OwnOpenings
from liqfield.density.settings import DensitySettings
from liqfield.density.state import DensityState
from liqfield.density.trust import Trust
from liqfield.model.durations import HOUR_NS
from liqfield.model.estimates import Confidence, DensityColumn, IntervalLaw, LiquidationDensity
from liqfield.model.events import FloatArray
from liqfield.model.instrument import Instrument

DAY_H = 24.0


class Readings:
    """The reading half of `DensityEstimator`, which makes and changes all that is named here."""

    instrument: Instrument
    settings: DensitySettings
    law: OpeningLaw
    level: Level
    trust: Trust
    state: DensityState | None
    clock_ns: int
    open_interest: float
    _marks: MarkGuard
    _counts_usd: bool
    _oi_known: bool
    _mark_ns: int
    _turnover: float
    _variance: float

    @property
    def mark(self) -> float:
        """The believed mark, USD a coin; 0 before the first."""
        return self._marks.mark

    @property
    def has_map(self) -> bool:
        """Whether `get` gives one: a mark and open interest are known."""
        return self.state is not None and self._oi_known

    @property
    def pace(self) -> tuple[float, float]:
        """Open interest replaced a day and the variance of the log mark a day, slow averages."""
        return self._turnover, self._variance

    @property
    def kappa(self) -> float:
        """Factor on the assumed churn."""
        return self.law.kappa

    @property
    def unit_usd(self) -> float:
        """USD of one unit of the state: a base coin, or a dollar on inverse contracts.

        The holder of an inverse contract holds dollars: counted in coins, every move of the price
        would look like positions opened or closed.
        """
        return 1.0 if self._counts_usd else self._marks.mark

    def _hours(self) -> float:
        # Hours since 2020: single precision keeps a few seconds.
        return self.clock_ns / HOUR_NS - 438_288.0

    def get(self, at_ns: int | None = None) -> LiquidationDensity | None:
        """The map now; None until a mark and open interest are known.

        at_ns: the reader's clock, ns; a venue that has gone dark is judged by it.
        """
        if self.state is None or not self._oi_known:
            return None
        state, s, unit = self.state, self.settings, self.unit_usd
        mass, born = state.read()
        confidence, widen = self._judge(at_ns)
        relative = math.sqrt(s.spread**2 + widen**2)
        lump_usd = self.level.lump_usd(s.lump_usd)
        # In every bin: its own error, and the law's, which all venues and bins share in part.
        errs = IntervalLaw(relative**2, self.law.bands, self.law.heavier, lump_usd)
        p10, p90 = price_map(mass, born, state.span, unit, self._hours(), errs)
        share = self.forced_shares()
        printed = share * self.level.visible()
        return LiquidationDensity(
            instrument_id=self.instrument.id,
            at_ns=self.clock_ns,
            mark_price=self.mark,
            grid=state.grid,
            notional_usd=mass,
            p10=p10,
            p90=p90,
            outside_usd=state.outside() * unit,
            open_interest_usd=self.open_interest * unit,
            confidence=confidence,
            forced_share=float(share.mean()),
            age_s=born,
            errs=errs,
            printed_share=(float(printed[0]), float(printed[1])),
            printed_sd=relative,
            printed_lump_usd=lump_usd,
        )

    def column(self, at_ns: int | None = None) -> DensityColumn | None:
        """What a history keeps of `get`: its amounts to the last bit and its confidence without the
        words, at a third of the cost."""
        if self.state is None or not self._oi_known:
            return None
        state, unit = self.state, self.unit_usd
        mass, _ = state.read(unit, with_ages=False)
        forced_longs, forced_shorts = self.forced_shares().tolist()
        return DensityColumn(
            instrument_id=self.instrument.id,
            at_ns=self.clock_ns,
            mark_price=self.mark,
            grid=state.grid,
            notional_usd=mass,
            outside_usd=state.outside() * unit,
            open_interest_usd=self.open_interest * unit,
            confidence=self._judge(at_ns, in_words=False)[0],
            forced_share=0.5 * (forced_longs + forced_shorts),
        )

    def _judge(self, at_ns: int | None, *, in_words: bool = True) -> tuple[Confidence, float]:
        now_ns = max(at_ns or 0, self.clock_ns)
        law = self.law
        return self.trust.judge(
            now_ns, self.level.prints, self._mark_ns, law.near_sd, law.near_heavier, law.source,
            in_words=in_words,
        )  # fmt: skip

    def forced_shares(self) -> FloatArray:
        """Forced share of longs and shorts, float64[2]."""
        return self.level.share(self.settings.forced_prior * self.open_interest * self.unit_usd)

    def would_sweep(self, low: float, high: float) -> FloatArray:
        """USD [2, classes] that a mark path over [low, high] would sweep now; changes nothing."""
        if self.state is None:
            return np.zeros((2, laws.CLASSES))
        swept: FloatArray = self.state.probe(low, high) * self.unit_usd
        return swept

    def own_openings(self, hours: float) -> OwnOpenings | None:
        """What a path of so many hours from now would open and liquidate again: turnover as of
        late, more of it the livelier the path is for its length. None before a map."""
        if self.state is None or hours <= 0.0:
            return None
        days, usd = hours / DAY_H, self.open_interest * self.unit_usd
        usual = RANGE_SDS * math.sqrt(max(self._variance * days, 1e-12))
        per_range = usd * self._turnover * days / usual
        return OwnOpenings(per_range, usd, self.law.table, self.law.drawn)

    def would_open(self, low: float, high: float, hours: float) -> FloatArray:
        """USD [2] that would be opened and liquidated again if the mark covered [low, high] in so
        many hours."""
        own = self.own_openings(hours)
        return np.zeros(2) if own is None else own.usd(low, high)

    def predicted(
        self, low: float, high: float, hours: float = 0.0
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(mean, p10, p90) USD [2] that the feed would print if the mark covered [low, high],
        at once or, with what opens on the way, in so many hours."""
        density_usd = self.would_sweep(low, high).sum(axis=1) + self.would_open(low, high, hours)
        mean = density_usd * self.forced_shares() * self.level.visible()
        sd = math.hypot(self.settings.spread, self.law.log_sd)
        p10, p90 = gamma_interval(mean, sd, self.level.lump_usd(self.settings.lump_usd))
        return mean, p10, p90

    def imbalance(self) -> float:
        """Largest |side - open interest| / open interest; the law says rounding only."""
        if self.state is None or self.open_interest <= 0.0:
            return 0.0
        return float(np.abs(self.state.totals() / self.open_interest - 1.0).max())
