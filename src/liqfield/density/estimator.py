"""The filter of hidden positions of one instrument: events in, a liquidation density out.

Step order (docs/estimator.md follows it): mark path -> sweep and stop-outs -> closings and openings
from volume and open interest -> projection onto open interest -> score against prints.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from liqfield.density.counted import CountedOpenings
from liqfield.density.fit import LawFit
from liqfield.density.flow import MARK_STALE_NS, FlowBuffer, MovePath, add_plain_trades
from liqfield.density.kept import Kept
from liqfield.density.level import Level, is_finite_positive
from liqfield.density.marks import MARK_JUMP, NOT_TRADED, MarkGuard
from liqfield.density.openings import OpeningLaw, Told
from liqfield.density.readings import DAY_H
from liqfield.density.settings import PRIOR_TIERS, DensitySettings
from liqfield.density.state import DensityState
from liqfield.density.triggers import fee_rate, trigger_of
from liqfield.density.trust import SILENCE_NS, Trust
from liqfield.model.durations import HOUR_NS
from liqfield.model.estimates import LiquidationDensity
from liqfield.model.events import (
    Candle,
    FloatArray,
    FundingRate,
    Gap,
    Liquidation,
    MarketEvent,
    MarkPrice,
    OpenInterest,
    TierTable,
    Trade,
)
from liqfield.model.instrument import Instrument
from liqfield.model.jit import direct
from liqfield.model.margin import MarginTier
from liqfield.model.sides import Aggressor, CandleOf, ContractKind, TradeKind
from liqfield.model.tape import TradeTape

HISTORY_STEP_NS = 600_000_000_000
AHEAD_NS = 5_000_000_000
LAW_REACH = 1.1  # the law's uncertainty is that of the mass within this factor of the mark
OI_JUMP = 0.5  # open interest that moves by more in one step is a change of units
MAX_CHURN = 0.5  # share of open interest that one step may replace
MIN_COINS, MAX_COINS = 1e-9, 1e17  # no market's open interest lies beyond; ratios stay finite
_FAR = 1.0 + 4.0 * MARK_JUMP  # candles beyond this factor of the mark are not believed
_OF_MARK, _OF_LAST = CandleOf.MARK, CandleOf.LAST


class DensityEstimator(Kept):
    """State of one instrument; `update` folds an event, `get` (readings.py) reads out."""

    def __init__(
        self,
        instrument: Instrument,
        settings: DensitySettings | None = None,
        tiers: tuple[MarginTier, ...] = PRIOR_TIERS,
        told: Told | None = None,
    ) -> None:
        self.instrument = instrument
        self.settings = settings or DensitySettings()
        fee = fee_rate(instrument.venue)
        self.law = OpeningLaw(self.settings, instrument.kind, fee, tiers, told)
        self.clock_ns = 0
        self.open_interest = 0.0
        self.state: DensityState | None = None
        self.level = Level(
            self.settings.forced_share,
            self.settings.level_half_life_h,
            self.settings.forced_most,
            self.settings.sampled_share,
        )
        self.trust = Trust()
        self._pace_ns = self.settings.step_s * 1e9
        self._counts_usd = instrument.kind is ContractKind.INVERSE
        self._flow = FlowBuffer(self.settings.bin_width)
        self._trades: TradeTape | None = None
        self._number = self._read = 0
        self._path = MovePath()
        self._marks = MarkGuard()
        # The last candle of trades (its end, low, high) and, if not all of it was believed, of the
        # mark (with its close): which of both a history gives first is not known.
        self._traded: tuple[int, float, float] = (0, *NOT_TRADED)
        self._doubted: tuple[int, float, float, float] = (0, 0.0, 0.0, 0.0)
        self._mark_ns = self._step_ns = self._score_ns = self._refit_ns = self._wander_ns = 0
        self._oi_known = False
        self._frontier = [0.0, 0.0]  # log of the worst mark that stop-outs have answered to
        self._funding = 0.0  # log-price that levels still have to move
        self._turnover = 0.5  # OI per day, slow average
        self._variance = 0.0009  # of log price per day, slow average
        self._told = told
        self._told_coins = 0.0
        self._learnt: dict[str, Any] | None = None  # of an earlier run; waits for its first print
        self._handlers: dict[type, Callable[..., None]] = {
            Trade: self._on_trade,
            MarkPrice: self._on_mark,
            OpenInterest: self._on_open_interest,
            Candle: self._on_candle,
            Liquidation: self._on_print,
            FundingRate: self._on_funding,
            TierTable: self._on_tiers,
            Gap: self._on_gap,
        }

    def _units(self, coins: float, price: float) -> float:
        """State units of base coins at a price."""
        return coins * price if self._counts_usd else coins

    # ---- events -------------------------------------------------------------------------------

    def update(self, event: MarketEvent | Gap) -> None:
        """Fold one event of this instrument; kinds that say nothing of positions are ignored."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _advance(self, event_ns: int, received_ns: int) -> None:
        """Event time never runs back, nor ahead of our own clock by more than a venue's skew."""
        if received_ns > 0:
            event_ns = min(event_ns, received_ns + AHEAD_NS)
        if event_ns > self.clock_ns:
            if event_ns - self.clock_ns > SILENCE_NS and self.clock_ns:
                self.trust.silence(event_ns, event_ns - self.clock_ns)
            self.clock_ns = event_ns

    def _on_gap(self, gap: Gap) -> None:
        self.trust.gap(self.clock_ns, gap)

    def follow(self, trades: TradeTape, number: int) -> None:
        """Read trades off a tape from now on, where they have this number; see `fold`."""
        self._trades, self._number, self._read = trades, number, trades.count
        flow = self._flow
        ints = 0, 0, 0
        self._add_plain = direct(
            add_plain_trades, trades.words, *ints, False, 0.0, 0, 0, 0.0, 0, 0.0, 0.0, 0.0,
            flow.bins, flow.sums, 0, 0.0,
        )  # fmt: skip

    def fold(self) -> None:
        """The trades on the tape that were not read yet: the owner calls it before anything else
        happens to the estimator, and before anyone looks."""
        trades = self._trades
        assert trades is not None
        flow, marks = self._flow, self._marks
        while self._read < trades.count:
            pace_ns = self._pace_ns if self.state is not None else math.inf
            self._read, self.clock_ns, marks.mark, is_borrowed, flow.count, flow.volume = (
                self._add_plain(
                    trades.words, self._read, trades.count, self._number, self._counts_usd,
                    self.settings.bin_width, self.clock_ns, self._step_ns, pace_ns, self._mark_ns,
                    marks.mark, *marks.way, flow.bins, flow.sums, flow.count, flow.volume,
                )
            )  # fmt: skip
            if is_borrowed:
                self.trust.borrowed_ns = self.clock_ns
            if flow.count == len(flow.bins):
                flow.grow()
            elif self._read < trades.count:
                at_ns, price, signed = trades.row(self._read)
                self._read += 1
                self._trade(at_ns, price, abs(signed), signed > 0.0)

    def _on_trade(self, event: Trade) -> None:
        price, quantity = event.price, event.quantity
        if event.kind is not TradeKind.MARKET or not is_finite_positive(price, quantity):
            return
        at_ns = event.event_ns
        if event.received_ns > 0:
            at_ns = min(at_ns, event.received_ns + AHEAD_NS)
        self._trade(at_ns, price, quantity, event.aggressor is Aggressor.BUY)

    def _trade(self, at_ns: int, price: float, quantity: float, is_buy: bool) -> None:
        """Whatever a trade may be; `add_plain_trades` says of most of them that they are plain."""
        self._advance(at_ns, 0)
        now_ns, marks = self.clock_ns, self._marks
        if marks.believes(price):
            self._flow.trade(price, quantity * price if self._counts_usd else quantity, is_buy)
        else:
            self.trust.outlier(now_ns, "trade price")
        if now_ns - self._mark_ns > MARK_STALE_NS:
            if not marks.follow(price):  # else it was swept up to there since the last step
                self._take_mark(price, price, price)
            self.trust.borrowed_ns = now_ns
        self._tick()

    def _on_mark(self, event: MarkPrice) -> None:
        if not is_finite_positive(event.price):
            return
        self._advance(event.event_ns, event.received_ns)
        self._mark_ns = self.clock_ns
        self._take_mark(event.price, event.price, event.price)
        self._tick()

    def _on_candle(self, event: Candle) -> None:
        if not event.is_history or not event.is_closed:
            return  # live candles repeat what trades and marks already said
        low, high, close, now_ns = event.low, event.high, event.close, event.event_ns
        if now_ns < self.clock_ns or not (
            0.0 < low < math.inf and 0.0 < high < math.inf and 0.0 < close < math.inf
        ):
            return
        if now_ns > self.clock_ns:
            self._advance(now_ns, 0)
        if high < low:
            low, high = high, low
        if event.of is _OF_MARK:
            self._mark_ns = now_ns
            traded = self._traded[1:] if self._traded[0] == now_ns else NOT_TRADED
            if not self._follow_mark(low, high, close, traded):
                self._doubted = (now_ns, low, high, close)
            return
        if event.of is not _OF_LAST:
            return
        self._traded = (now_ns, low, high)
        if self._doubted[0] == now_ns and self._follow_mark(*self._doubted[1:], (low, high)):
            self.trust.no_outlier(now_ns)
        if now_ns - self._mark_ns > MARK_STALE_NS:
            self._take_mark(low, high, close)
            self.trust.borrowed_ns = now_ns
        mark, volume = self._marks.mark, event.volume
        if 0.0 < volume < math.inf and mark:
            buy = event.taker_buy_volume
            buy = buy if 0.0 <= buy <= volume else 0.5 * volume
            if high < _FAR * mark and mark < _FAR * low:
                unit = close if self._counts_usd else 1.0
                self._flow.candle(low, high, buy * unit, (volume - buy) * unit)
        if now_ns - self._step_ns >= HISTORY_STEP_NS and mark:
            # No open interest in this history: keep the shape, the quantity comes later.
            self._step(self.open_interest if self._oi_known else 1.0)

    def _on_open_interest(self, event: OpenInterest) -> None:
        quantity = event.quantity
        if not MIN_COINS < quantity < MAX_COINS:
            if not is_finite_positive(quantity):
                return
            self.trust.outlier(self.clock_ns, "open interest")
            return
        if event.is_history and event.event_ns < self.clock_ns:
            return
        self._advance(event.event_ns, 0 if event.is_history else event.received_ns)
        if is_finite_positive(event.price) and self.clock_ns - self._mark_ns > 60_000_000_000:
            self._take_mark(event.price, event.price, event.price)
        if self._counts_usd:
            price = event.price or self.mark
            quantity = event.notional_usd or self._units(quantity, price)
            if not is_finite_positive(quantity):
                return
        if not self.mark:
            self.open_interest = quantity
            self._oi_known = True
            return
        if not self._oi_known:
            self._oi_known = True
            if self.state is not None:
                self.state.rescale(quantity / max(self.open_interest, 1e-300))
            self.open_interest = quantity
        elif abs(math.log(quantity / self.open_interest)) > OI_JUMP:
            self.trust.oi_jump(self.clock_ns, quantity / self.open_interest)
            if self.state is not None:
                self.state.rescale(quantity / self.open_interest)
            self.open_interest = quantity
        self.trust.oi_ns = self.clock_ns
        self._step(quantity)

    def _on_print(self, event: Liquidation) -> None:
        if not is_finite_positive(event.price, event.quantity):
            return
        self._advance(event.event_ns, event.received_ns)
        if self._learnt is not None:
            learnt, self._learnt = self._learnt, None
            self.level.load(learnt["level"])
            self.level.forget((self.clock_ns - learnt["at_ns"]) / HOUR_NS)
        trigger = self.trigger_of(event)
        price = self.mark or trigger
        self.level.print(event, event.quantity * min(max(trigger, 0.5 * price), 2.0 * price))

    def trigger_of(self, event: Liquidation) -> float:
        """The mark, USD, at which a print of this instrument was forced, by its tiers."""
        return trigger_of(event, self.law.tiers, self.instrument.kind)

    def _on_funding(self, event: FundingRate) -> None:
        # Only settled payments move margin; the running estimate does not.
        if not event.is_settled or not math.isfinite(event.rate) or abs(event.rate) > 0.05:
            return
        if event.event_ns < self.clock_ns - HOUR_NS:
            return
        self._funding += event.rate

    def _on_tiers(self, event: TierTable) -> None:
        if event.tiers and event.tiers != self.law.tiers:
            self.trust.has_tiers = True
            self.law.take_tiers(event.tiers)
            if self.mark:
                self.law.prepare(self.mark)

    # ---- the mark -----------------------------------------------------------------------------

    def _take_mark(self, low: float, high: float, close: float) -> None:
        self._follow_mark(low, high, close, NOT_TRADED)

    def _follow_mark(
        self, low: float, high: float, close: float, traded: tuple[float, float]
    ) -> bool:
        """Sweep what is believed of a path of the mark; whether all of it was. traded: the range
        of prices paid in the same time."""
        path = self._marks.take(low, high, close, traded)
        if path is None:
            self.trust.outlier(self.clock_ns, "mark price")
            return False
        if self.state is not None:
            self._sweep(*path)
        return path[0] <= low and high <= path[1]

    def _sweep(self, low: float, high: float) -> None:
        state = self.state
        assert state is not None
        unit, level = self.unit_usd, self.level
        x_low = math.log(low)
        x_high = math.log(high) if high > low else x_low
        if self.settings.stop_exponent > 0.0:
            # Positions near their level leave when the mark makes a new worst for their side.
            worst, width = self._frontier, state.grid.width
            if worst[0] - x_low >= width:
                self._stop_out(0, x_low, worst[0] - x_low)
            if x_high - worst[1] >= width:
                self._stop_out(1, x_high, x_high - worst[1])
        longs, shorts = state.sweep(x_low, x_high, level.open_swept, level.open_born, unit)
        if longs > 0.0 or shorts > 0.0:
            level.swept_usd(longs * unit, shorts * unit)

    def _stop_out(self, side: int, x: float, moved: float) -> None:
        assert self.state is not None
        self.state.erode(side, x, moved, self.law.reach, self.settings.stop_exponent)
        self._frontier[side] = x

    # ---- steps --------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self.state is None:
            return
        if self.clock_ns - self._step_ns >= self._pace_ns:
            self._step(self.open_interest)

    def _begin(self, quantity: float) -> None:
        """First sight of the market: its open interest stands by the standing law."""
        s = self.settings
        self.law.prepare(self.mark)
        self.state = DensityState(self.mark, s.bin_width, s.bin_count)
        x = math.log(self.mark)
        self._frontier = [x, x]
        z = np.linspace(-2.5, 2.5, 41)
        shares = np.exp(-0.5 * z * z)
        shares /= shares.sum()
        standing = self.law.standing(self._turnover, self._variance)
        weights = np.stack((standing, standing))
        flow = np.stack((x + s.entry_spread * z, shares, shares), axis=1)
        # Twice: what cannot stand on this side of the mark is drawn again.
        for _ in range(2):
            self.state.turn_over(
                flow, 0.0, 0.0, quantity, self.law.rates, weights, self.law.table, x, self._hours(),
            )  # fmt: skip
        self.open_interest = quantity
        self._doubt(None)
        self._step_ns = self._score_ns = self._refit_ns = self._wander_ns = self.clock_ns
        self._marks.rest()
        self._path.step(self.clock_ns, x, 0)
        self.trust.begun(self.clock_ns)

    def _step(self, quantity: float) -> None:
        """Closings and openings since the last step, then both sides equal `quantity` coins."""
        if self.state is None:
            self._begin(quantity)
            self._flow.clear()
            return
        s, law, flow, marks, now_ns = (
            self.settings,
            self.law,
            self._flow,
            self._marks,
            self.clock_ns,
        )
        dt_ns = now_ns - self._step_ns
        self._step_ns = now_ns
        x = math.log(marks.mark)
        move = self._path.step(now_ns, x, dt_ns)
        before = self.open_interest
        churn = s.churn_volume * flow.volume + s.churn_move * move * before
        churn = min(law.kappa * churn, MAX_CHURN * before)
        delta = quantity - before
        if self._told is not None and self._told.opened is not None:
            churn = self._told_churn(self._told, self._told.opened, delta)
        taken, now_h = flow.take(marks.low, marks.high), self._hours()
        longs, shorts, *dead = self.state.turn_over(
            taken, churn, delta, quantity, law.rates, law.weights, law.table, x, now_h
        )
        if dead[0] > 0.0 or dead[1] > 0.0:
            # Opened and swept within one step: of unknown order, so half of it counts as swept.
            usd = 0.5 * self.unit_usd
            self.level.sweep(usd * dead[0], usd * dead[1], law.drawn, now_h)
        self.open_interest = quantity
        turned = 0.5 * (longs + shorts) / quantity
        self.trust.turned += turned
        self._relax(turned, x)
        marks.rest()
        self._slow(dt_ns, move, turned, x)

    def _told_churn(self, told: Told, opened_by: FloatArray, delta: float) -> float:
        at = (self.clock_ns - told.begin_ns) // told.every_ns
        coins = float(opened_by[min(max(at, 0), len(opened_by) - 1)])
        opened, self._told_coins = coins - self._told_coins, coins
        return max(opened - max(delta, 0.0), 0.0)

    def _relax(self, turned: float, x: float) -> None:
        """New owners have not yet lived through the old worst: the frontiers drift to the mark."""
        longs, shorts = self._frontier
        drift = 20.0 * turned if turned < 0.05 else 1.0
        longs += drift * (x - longs)
        shorts += drift * (x - shorts)
        self._frontier = [longs if longs < x else x, shorts if shorts > x else x]

    def _slow(self, dt_ns: int, move: float, turned: float, x: float) -> None:
        """Averages, funding, re-centring, scoring and the law: seldom and in event time."""
        state = self.state
        assert state is not None
        dt_d = dt_ns / HOUR_NS / DAY_H
        if dt_d > 0.0:
            keep = 0.5 ** (dt_d / 3.0)
            blend = 1.0 - keep
            self._turnover = keep * self._turnover + blend * min(turned / dt_d, 50.0)
            # |return| over five minutes -> variance a day, by the normal law
            daily = (move / dt_d) ** 2 / 288.0 * math.pi / 2.0
            self._variance = keep * self._variance + blend * min(daily, 0.05)
        width = state.grid.width
        if abs(self._funding) >= width:
            bins = int(self._funding / width)
            self._funding -= bins * width
            state.move_mass(bins)
            self._sweep(self.mark, self.mark)
        hours = (self.clock_ns - self._wander_ns) / HOUR_NS
        if hours >= self.settings.wander_h:
            self._wander_ns = self.clock_ns
            state.wander(self.law.wandering(hours / DAY_H))
            self._sweep(self.mark, self.mark)
        grid = state.grid
        off = math.floor(x / width) - grid.first_bin - grid.count // 2
        if abs(off) > grid.count // 16:
            state.shift(off)
        if self.clock_ns - self._score_ns >= self.settings.score_s * 1e9:
            if self.level.has_news:
                masses = state.masses()
                mean_rate = float((masses @ self.law.rates).sum() / max(masses.sum(), 1e-300))
                per_hour = (self._turnover / DAY_H / max(mean_rate, 1e-300)) * self.law.rates
                self.level.witness(self._hours(), self.law.shares, masses, per_hour, self.law.kappa)
            self.level.forget((self.clock_ns - self._score_ns) / HOUR_NS)
            self._score_ns = self.clock_ns
        if self.clock_ns - self._refit_ns >= self.settings.refit_h * HOUR_NS:
            self._refit_ns = self.clock_ns
            self._refit()

    def _refit(self) -> None:
        """Ask the prints for law, level and churn; what stands is reweighted with it."""
        state = self.state
        assert state is not None
        s = self.settings
        self.law.take_sizes(*self.level.size_law(s.size_median_usd, s.size_sigma, s.size_worth))
        ratio, fit = self.law.refit(self.level.evidence, is_sampled=self.level.is_sampled)
        self.law.prepare(self.mark)
        if ratio is None:
            return
        state.reweigh(ratio)
        if fit is not None:
            self.level.rebase(fit.forced)
        self._doubt(fit)

    def _doubt(self, fit: LawFit | None) -> None:
        assert self.state is not None
        masses = self.state.masses().sum(axis=0)
        self.law.doubt(masses, self._near(), fit)

    def _near(self) -> FloatArray:
        """float64[40], coins that stand within reach of the mark."""
        assert self.state is not None
        reach = self.mark / LAW_REACH, self.mark * LAW_REACH
        near: FloatArray = self.state.probe(*reach).sum(axis=0)
        return near

    def learn_openings(self, counted: CountedOpenings) -> None:
        """Openings counted on public accounts, of this venue or another, are the prior of the next
        fit of the law; the first ones ask for it at once."""
        is_lent = counted.venue != self.instrument.venue
        if self.law.learn_openings(counted, is_lent=is_lent):
            self._refit_ns = 0

    def get_as(self, settings: DensitySettings) -> LiquidationDensity | None:
        """The map with the interval that another `spread` or heavy law would give it, for studies;
        changes nothing."""
        kept, back = self.settings, self.law.doubt_as(settings)
        self.settings = settings
        if self.state is not None:
            self._doubt(None)
        density = self.get()
        self.settings = kept
        back()
        return density
