"""Flow and cascade readings of one base asset: where trades, quotes, books and prints meet.

Hooks do O(1) work a fact; everything that needs a look back happens once a second or once in ten
seconds of the engine's clock. All of it is a function of the events in their order.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Sequence

import msgspec
import numpy as np

from liqfield.book.ladder import ASK, BID, Ladder
from liqfield.cascade.push import PushDetector
from liqfield.cascade.tracker import CascadeSettings, CascadeTracker, Fuel, Surroundings
from liqfield.density.clusters import ClusterSettings, find_clusters
from liqfield.flow.absorption import AbsorptionDetector, AbsorptionSettings
from liqfield.flow.cvd import DayDelta, divergence
from liqfield.flow.footprint import FootprintBuilder
from liqfield.flow.imbalance import (
    LEVELS,
    LevelImbalance,
    TouchImbalance,
    microprice,
    queue_imbalance,
)
from liqfield.flow.impact import ImpactFit, RollingImpact
from liqfield.model.analytics import (
    CascadeState,
    CascadeView,
    FlowEvent,
    FlowEventKind,
    FlowView,
    FootprintBar,
    VenueFlow,
)
from liqfield.model.estimates import LONG, SHORT, Cluster, LiquidationDensity
from liqfield.model.events import BestQuote, Gap, Liquidation, OpenInterest, Trade
from liqfield.model.instrument import Instrument
from liqfield.model.sides import Aggressor, PositionSide
from liqfield.model.words import usd_words

S = 1_000_000_000
WINDOW_S = 10  # of the impact fits
BAR_NS = 300 * S
NEAR = 0.001  # depth near the touch: within 10 bp
QUOTES_GONE_NS = 5 * S  # without a quote for so long the book stands in for them
EVENTS = 500
MAP_NS = 30 * S
CLUSTER_SHARE = 0.002  # of open interest: a smaller one is no fuel
DIVERGENCE_BUCKETS = 60


class FlowSettings(msgspec.Struct, frozen=True):
    """Settings of every reading of flow and cascade of one market.

    cluster_reach: log-distance within which clusters are fuel of a cascade and ends of a path.
    """

    absorption: AbsorptionSettings = AbsorptionSettings()
    cascade: CascadeSettings = CascadeSettings()
    cluster_reach: float = 0.05


class InstrumentFlow:
    """Readings of one instrument."""

    def __init__(self, instrument: Instrument, settings: FlowSettings) -> None:
        self.instrument = instrument
        self.touch = TouchImbalance()
        self.levels = LevelImbalance()
        self.best_ticks = np.zeros((2, LEVELS), np.int64)  # what `levels` reads: bids, asks
        self.best_coins = np.zeros((2, LEVELS))
        self.absorption = AbsorptionDetector(
            instrument.venue, instrument.tick_usd, settings.absorption
        )
        self.of_touch, self.of_levels, self.of_trades = (RollingImpact() for _ in range(3))
        self.ofi: float | None = None  # of the last whole window
        self.ofi_multi: float | None = None
        self.quoted_ns = 0
        self.net = self.gross = 0.0  # aggressive base coins of the running second
        self.window_net = 0.0
        self.window_mid = 0.0  # at the window's start; 0 = unknown
        self.second_mid = 0.0
        self.open_interest = 0.0
        self.trade_impact: float | None = None  # USD per base coin of net aggressive flow

    def close_window(self) -> tuple[float, float, float] | None:
        """(OFI, net trades, move in USD) of the window that ends; None while prices are unknown."""
        net, self.window_net = self.window_net, 0.0
        ofi, by_level = self.touch.close(), self.levels.close()
        before, mid = self.window_mid, self.touch.mid
        self.window_mid = mid
        if before <= 0.0 or mid <= 0.0:
            self.ofi = self.ofi_multi = None
            return None
        multi = float(by_level @ self.levels.weights)
        move = mid - before
        self.ofi, self.ofi_multi = ofi, multi
        self.of_touch.add(ofi, move)
        self.of_levels.add(multi, move)
        self.of_trades.add(net, move)
        fit = self.of_trades.fit()
        self.trade_impact = fit.beta if fit is not None else None
        return ofi, net, move

    def near_depth(self, ladder: Ladder | None) -> tuple[float, float]:
        """USD resting within 10 bp of the best bid and ask; 0 where there is no book."""
        if ladder is None or ladder.best_bid is None or ladder.best_ask is None:
            return 0.0, 0.0
        bid, ask, unit = ladder.best_bid, ladder.best_ask, self.instrument.tick_usd
        bids = ladder.between(BID, bid - math.floor(bid * NEAR), bid + 1)[1].sum()
        asks = ladder.between(ASK, ask, ask + math.floor(ask * NEAR) + 1)[1].sum()
        return float(bids) * bid * unit, float(asks) * ask * unit

    def reset_prices(self) -> None:
        """Quotes or book were lost."""
        self.touch.reset()
        self.levels.reset()
        self.absorption.reset()
        self.window_mid = self.second_mid = 0.0

    def row(self) -> VenueFlow:
        fit = self.of_touch.fit()
        t = self.touch
        has_quote = t.mid > 0.0
        return VenueFlow(
            venue=self.instrument.venue,
            ofi=self.ofi,
            ofi_multi=self.ofi_multi,
            beta=fit.beta if fit is not None else None,
            beta_r2=fit.r2 if fit is not None else None,
            queue_imbalance=queue_imbalance(t.bid_quantity, t.ask_quantity) if has_quote else None,
            microprice=(
                microprice(t.bid, t.bid_quantity, t.ask, t.ask_quantity) if has_quote else None
            ),
        )


class FlowReadings:
    """Readings of one base asset. The hooks are those of `MarketAnalytics`."""

    def __init__(self, base: str, settings: FlowSettings | None = None) -> None:
        self.base = base
        self.settings = settings or FlowSettings()
        self.of: dict[str, InstrumentFlow] = {}
        self.delta = DayDelta()
        self.footprint = FootprintBuilder(BAR_NS)
        self.tracker = CascadeTracker(self.settings.cascade)
        self.push = PushDetector()
        self.of_touch, self.of_trades = RollingImpact(), RollingImpact()
        self.ofi: float | None = None
        self.clusters: tuple[Cluster, ...] = ()
        self.clock_ns = 0  # set by the owner for every fact that moves it
        self._second = 0
        self.due_ns = S
        self._mapped_ns = 0
        self.price = 0.0  # pooled, from the venues' mean moves
        self._lead, self._mid = "", 0.0  # the venue whose mid is shown, a second old at most
        self._impact: ImpactFit | None = None
        self._events: deque[FlowEvent] = deque(maxlen=EVENTS)

    def add(self, instrument: Instrument) -> None:
        """Follow an instrument, afresh if it was followed before."""
        self.of[instrument.id] = InstrumentFlow(instrument, self.settings)
        self.footprint.coarsest_tick(instrument.tick_usd)

    def drop(self, instrument_id: str) -> None:
        self.of.pop(instrument_id, None)

    # ---- facts --------------------------------------------------------------------------------

    def on_trade(self, trade: Trade) -> None:
        flow = self.of[trade.instrument_id]
        # The clock follows event times as far as they are believed: a trade is never ahead of it.
        at_ns = min(trade.event_ns, self.clock_ns)
        price, quantity = trade.price, trade.quantity
        signed = quantity if trade.aggressor is Aggressor.BUY else -quantity
        flow.net += signed
        flow.gross += quantity
        flow.window_net += signed
        # One venue's mid, so that the line does not swing between venues that differ by a tick.
        self.delta.update(flow.instrument.venue, at_ns, self._mid or price, signed)
        flow.absorption.on_trade(price, signed)
        bar = self.footprint.update(at_ns, price, signed)
        if bar is not None and bar.stacked:
            self._note_stacked(bar)

    def on_quote(self, quote: BestQuote) -> None:
        flow = self.of[quote.instrument_id]
        flow.quoted_ns = self.clock_ns
        bid, ask = quote.bid_price, quote.ask_price
        flow.touch.update(bid, quote.bid_quantity, ask, quote.ask_quantity)
        flow.absorption.on_top(bid, quote.bid_quantity, ask, quote.ask_quantity)

    def on_book(self, instrument_id: str, ladder: Ladder | None) -> None:
        """A book message was folded; None = the book is void."""
        flow = self.of[instrument_id]
        if ladder is None:
            flow.levels.reset()
            return
        ticks, coins = flow.best_ticks, flow.best_coins
        ladder.best_levels(ticks, coins)
        flow.levels.update(ticks, coins)
        if self.clock_ns - flow.quoted_ns > QUOTES_GONE_NS and coins[:, 0].all():
            unit = flow.instrument.tick_usd
            bid, ask = (ticks[:, 0] * unit).tolist()
            bid_quantity, ask_quantity = coins[:, 0].tolist()
            flow.touch.update(bid, bid_quantity, ask, ask_quantity)
            flow.absorption.on_top(bid, bid_quantity, ask, ask_quantity)

    def on_open_interest(self, fact: OpenInterest) -> None:
        self.of[fact.instrument_id].open_interest = fact.quantity

    def on_liquidation(self, print_: Liquidation) -> None:
        side = LONG if print_.position_side is PositionSide.LONG else SHORT
        at_ns = min(print_.event_ns, self.clock_ns)
        self.tracker.print_(at_ns, side, print_.quantity * print_.price)

    def on_gap(self, instrument_id: str, gap: Gap) -> None:
        """A jump over lost messages is no flow: prices and windows start afresh."""
        flow = self.of.get(instrument_id)
        if flow is None:
            return
        kinds = set(gap.kinds)
        if not kinds or kinds & {"BestQuote", "BookDelta", "BookSnapshot"}:
            flow.reset_prices()
        elif "Trade" in kinds:
            flow.absorption.reset()

    def on_map(self, densities: Sequence[LiquidationDensity]) -> None:
        """Look for the clusters ahead: seldom in calm, with every column when something happens."""
        calm = self.tracker.state is CascadeState.CALM
        if self.clusters and calm and self.clock_ns - self._mapped_ns < MAP_NS:
            return
        self._mapped_ns = self.clock_ns
        least = CLUSTER_SHARE * sum(density.open_interest_usd for density in densities)
        chosen = ClusterSettings(min_usd=least, reach=self.settings.cluster_reach)
        self.clusters = find_clusters(densities, chosen)

    # ---- time ---------------------------------------------------------------------------------

    def second(self, ladders: dict[str, Ladder | None]) -> None:
        """Close the second, once `clock_ns` reached `due_ns`; `ladders` by instrument id."""
        now = self.clock_ns // S
        elapsed = min(now - self._second, 3600) if self._second else 1
        is_window = now // WINDOW_S > self._second // WINDOW_S
        self._second, self.due_ns = now, (now + 1) * S
        net = gross = 0.0
        bids = asks = 0.0
        moves: list[float] = []
        at_ns = now * S
        for key, flow in self.of.items():
            for event in flow.absorption.second(at_ns, flow.trade_impact, elapsed):
                if event.outcome != "running":
                    self._events.append(event)
            net += flow.net
            gross += flow.gross
            flow.net = flow.gross = 0.0
            depth = flow.near_depth(ladders.get(key))
            bids, asks = bids + depth[0], asks + depth[1]
            mid, before = flow.touch.mid, flow.second_mid
            if mid > 0.0 and before > 0.0:
                moves.append(math.log(mid / before))
            flow.second_mid = mid
        self._pool_price(moves)
        self._follow_lead()
        if is_window:
            self._close_windows()
        self._cascade(at_ns, net, gross, (bids, asks))

    def _follow_lead(self) -> None:
        """The venue with the largest open interest, kept as long as it has a price."""
        lead = self.of.get(self._lead)
        if lead is None or lead.touch.mid <= 0.0:
            priced = [(f.open_interest, key) for key, f in self.of.items() if f.touch.mid > 0.0]
            self._lead = max(priced)[1] if priced else ""
            lead = self.of.get(self._lead)
        self._mid = lead.touch.mid if lead is not None else 0.0

    def _pool_price(self, moves: Sequence[float]) -> None:
        """Mean of the venues' moves: a venue that comes or goes is no move of the market."""
        if self.price <= 0.0:
            mids = [flow.touch.mid for flow in self.of.values() if flow.touch.mid > 0.0]
            self.price = sum(mids) / len(mids) if mids else 0.0
        elif moves:
            self.price *= math.exp(sum(moves) / len(moves))

    def _close_windows(self) -> None:
        parts = [part for flow in self.of.values() if (part := flow.close_window()) is not None]
        if not parts:
            self.ofi = None
            return
        move = sum(part[2] for part in parts) / len(parts)
        self.ofi = sum(part[0] for part in parts)
        self.of_touch.add(self.ofi, move)
        self.of_trades.add(sum(part[1] for part in parts), move)
        self._impact = self.of_trades.fit()

    def _cascade(self, at_ns: int, net: float, gross: float, depth: tuple[float, float]) -> None:
        around = Surroundings(
            now_ns=at_ns,
            price=self.price,
            net_flow=net,
            impact=self._impact.beta if self._impact is not None else None,
            depth_usd=depth,
            open_interest=sum(flow.open_interest for flow in self.of.values()),
            fuel=(self.fuel(LONG), self.fuel(SHORT)),
        )
        entered = self.tracker.second(around)
        pushed = self.push.second(around, gross)
        if pushed is not None:
            self._events.append(pushed)
        if entered in (CascadeState.RUNNING, CascadeState.EXHAUSTED):
            self._events.append(_cascade_event(self.tracker.view(), at_ns, self.price))

    def fuel(self, side: int) -> Fuel | None:
        """The nearest cluster of a side ahead of the price."""
        best: Fuel | None = None
        for cluster in self.clusters:
            is_long = cluster.position_side is PositionSide.LONG
            if is_long != (side == LONG) or self.price <= 0.0:
                continue
            far = cluster.low if is_long else cluster.high
            near = cluster.high if is_long else cluster.low
            sign = -1.0 if is_long else 1.0
            if sign * (far - self.price) <= 0.0:
                continue  # passed
            distance = max(sign * (near / self.price - 1.0), 0.0)
            if best is None or distance < best.distance:
                best = Fuel(distance, cluster.notional_usd)
        return best

    def _note_stacked(self, bar: FootprintBar) -> None:
        for row, sign in bar.stacked:
            word = "buying" if sign > 0 else "selling"
            self._events.append(
                FlowEvent(
                    at_ns=bar.end_ns,
                    kind=FlowEventKind.STACKED_IMBALANCE,
                    venue="all",
                    price=row * bar.step,
                    is_bid=None,
                    notional_usd=0.0,
                    score=float(sign),
                    duration_s=(bar.end_ns - bar.start_ns) / 1e9,
                    outcome="done",
                    text=f"Stacked {word} from {row * bar.step:,.6g} up in one bar",
                )
            )

    # ---- readings -----------------------------------------------------------------------------

    def events(self) -> tuple[FlowEvent, ...]:
        """Finished and running ones, in order of their beginning."""
        running = [
            event for flow in self.of.values() for event in flow.absorption.running(self.clock_ns)
        ]
        return tuple(sorted([*self._events, *running], key=lambda e: (e.at_ns, e.kind, e.venue)))

    def cascade(self) -> CascadeView:
        return self.tracker.view()

    def view(self, now_ns: int, events: tuple[FlowEvent, ...], span_s: float = 3600.0) -> FlowView:
        """The Flow panel; `events` of book and flow, merged by the caller."""
        series = self.delta.get(max(now_ns, self.clock_ns), int(span_s * S))
        recent = slice(-DIVERGENCE_BUCKETS, None)
        price, cvd = series.price[recent], series.cvd[recent]
        running = self.footprint.get()
        bars = (*self.footprint.bars, running) if running is not None else ()
        return FlowView(
            base=self.base,
            at_ns=self.clock_ns,
            bucket_ns=series.bucket_ns,
            start_ns=series.start_ns,
            price=series.price,
            cvd=series.cvd,
            cvd_by_venue=series.cvd_by_venue,
            divergence=divergence(price, cvd) if len(price) and not math.isnan(price[0]) else 0,
            bars=bars,
            venues=(self._pooled_row(), *(self.of[key].row() for key in sorted(self.of))),
            events=events,
            cascade=self.cascade(),
        )

    def _pooled_row(self) -> VenueFlow:
        """Sums of sizes over venues; the microprice is weighted by what rests at the touch."""
        fit = self.of_touch.fit()
        live = [flow for flow in self.of.values() if flow.touch.mid > 0.0]
        bids = sum(flow.touch.bid_quantity for flow in live)
        asks = sum(flow.touch.ask_quantity for flow in live)
        multi = [flow.ofi_multi for flow in live if flow.ofi_multi is not None]
        weight = bids + asks
        micro = None
        if weight > 0.0:
            micro = (
                sum(
                    microprice(t.bid, t.bid_quantity, t.ask, t.ask_quantity)
                    * (t.bid_quantity + t.ask_quantity)
                    for t in (flow.touch for flow in live)
                )
                / weight
            )
        return VenueFlow(
            venue="all",
            ofi=self.ofi,
            ofi_multi=sum(multi) if multi else None,
            beta=fit.beta if fit is not None else None,
            beta_r2=fit.r2 if fit is not None else None,
            queue_imbalance=queue_imbalance(bids, asks) if weight > 0.0 else None,
            microprice=micro,
        )

    def digest(self) -> bytes:
        """Hash over what decides the future of these readings, as far as readers could tell."""
        sha = hashlib.sha256()
        sha.update(repr((self._second, self.price, self.ofi, self._impact)).encode())
        sha.update(repr(self.delta.totals()).encode())
        sha.update(repr(self.tracker.view()).encode())
        for key in sorted(self.of):
            sha.update(repr((key, self.of[key].row(), self.of[key].net)).encode())
        running = self.footprint.get()
        if running is not None:
            sha.update(repr((running.start_ns, running.step, running.first_row)).encode())
            sha.update(running.bid.tobytes() + running.ask.tobytes())
        for event in self._events:
            sha.update(repr(event).encode())
        return sha.digest()


def _cascade_event(view: CascadeView, at_ns: int, price: float) -> FlowEvent:
    who = "longs" if view.position_side is PositionSide.LONG else "shorts"
    is_running = view.state is CascadeState.RUNNING
    word = "are being forced out" if is_running else "were forced out; it is exhausted"
    return FlowEvent(
        at_ns=at_ns,
        kind=FlowEventKind.CASCADE,
        venue="all",
        price=price,
        is_bid=view.position_side is PositionSide.LONG,
        notional_usd=view.forced_usd,
        score=view.peak_usd_per_min,
        duration_s=0.0,
        outcome="running" if is_running else "done",
        text=f"{usd_words(view.forced_usd)} of {who} {word}",
    )
