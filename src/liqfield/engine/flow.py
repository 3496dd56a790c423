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

from liqfield.book.ladder import Ladder
from liqfield.cascade.push import PushDetector
from liqfield.cascade.tracker import CascadeSettings, CascadeTracker, Fuel, Surroundings
from liqfield.density.clusters import LEAST_SHARE, ClusterSettings, clusters_of
from liqfield.density.combine import combine_columns
from liqfield.engine.venue_flow import InstrumentFlow
from liqfield.flow.absorption import AbsorptionSettings
from liqfield.flow.cvd import DayDelta, divergence
from liqfield.flow.footprint import FootprintBuilder, stacked_events
from liqfield.flow.imbalance import (
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
    VenueFlow,
)
from liqfield.model.estimates import LONG, SHORT, Cluster, DensityColumn
from liqfield.model.events import Gap, Liquidation, OpenInterest
from liqfield.model.instrument import Instrument
from liqfield.model.sides import PositionSide
from liqfield.model.tape import TradeTape
from liqfield.model.words import usd_words

S = 1_000_000_000
WINDOW_S = 10  # of the impact fits
BAR_NS = 300 * S
EVENTS = 500
MAP_NS = 30 * S
DIVERGENCE_BUCKETS = 60


class FlowSettings(msgspec.Struct, frozen=True):
    """Settings of every reading of flow and cascade of one market.

    cluster_reach: log-distance within which clusters are fuel of a cascade and ends of a path.
    """

    absorption: AbsorptionSettings = AbsorptionSettings()
    cascade: CascadeSettings = CascadeSettings()
    cluster_reach: float = 0.05


class FlowReadings:
    """Readings of one base asset. The hooks are those of `MarketAnalytics`; it reads trades itself
    off their tape."""

    def __init__(self, base: str, trades: TradeTape, settings: FlowSettings | None = None) -> None:
        self.base = base
        self.settings = settings or FlowSettings()
        self.of: dict[str, InstrumentFlow] = {}
        self._trades, self._read = trades, trades.count
        self.delta = DayDelta(trades)
        self.footprint = FootprintBuilder(trades, BAR_NS)
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

    def add(self, instrument: Instrument) -> InstrumentFlow:
        """Follow an instrument, afresh if it was followed before; the owner tells what comes back
        of its quotes and book."""
        self.settle()
        flow = InstrumentFlow(instrument, self.settings.absorption, self._trades)
        self.of[instrument.id] = flow
        self.footprint.coarsest_tick(instrument.tick_usd)
        return flow

    def drop(self, instrument_id: str) -> None:
        self.settle()
        self.of.pop(instrument_id, None)

    # ---- facts --------------------------------------------------------------------------------

    def settle(self) -> None:
        """Fold the trades that wait on the tape: at the end of the second, or before anyone looks.
        Quotes may overtake them."""
        # One venue's mid, so that the line does not swing between venues a tick apart.
        self._fold(self._mid)

    def on_missed(self) -> None:
        """Trades that a stream had lost came on the tape, under a number of their own, right after
        `settle`: they count in the day's delta at their own time and price, and in the running
        footprint bar; impact and absorption are of their own moment and do without."""
        self._fold(0.0)

    def _fold(self, mid: float) -> None:
        if self._read == self._trades.count:
            return
        self._read = self._trades.count
        self.delta.fold(mid)
        for bar in self.footprint.fold():
            self._events.extend(stacked_events(bar))
        for flow in self.of.values():
            flow.absorption.fold()

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
        self.settle()
        kinds = set(gap.kinds)
        if not kinds or kinds & {"BestQuote", "BookDelta", "BookSnapshot"}:
            flow.reset_prices()
        elif "Trade" in kinds:
            flow.absorption.reset()

    def on_map(self, columns: Sequence[DensityColumn]) -> None:
        """Look for the clusters ahead: seldom in calm, with every column when something happens."""
        calm = self.tracker.state is CascadeState.CALM
        if self.clusters and calm and self.clock_ns - self._mapped_ns < MAP_NS:
            return
        self._mapped_ns = self.clock_ns
        pooled = combine_columns(columns)
        assert pooled is not None  # a column is due of some map
        least = LEAST_SHARE * pooled.open_interest_usd
        chosen = ClusterSettings(min_usd=least, reach=self.settings.cluster_reach)
        self.clusters = clusters_of(pooled, columns, chosen)

    # ---- time ---------------------------------------------------------------------------------

    def second(self, ladders: dict[str, Ladder | None]) -> None:
        """Close the second, once `clock_ns` reached `due_ns`; `ladders` by instrument id."""
        self.settle()
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
            traded = flow.absorption.take_second()
            net, gross = net + traded[0], gross + traded[1]
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
        if lead is None or lead.second_mid <= 0.0:
            priced = [(f.open_interest, key) for key, f in self.of.items() if f.second_mid > 0.0]
            self._lead = max(priced)[1] if priced else ""
            lead = self.of.get(self._lead)
        self._mid = lead.second_mid if lead is not None else 0.0

    def _pool_price(self, moves: Sequence[float]) -> None:
        """Mean of the venues' moves: a venue that comes or goes is no move of the market."""
        if self.price <= 0.0:
            mids = [flow.second_mid for flow in self.of.values() if flow.second_mid > 0.0]
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

    # ---- readings -----------------------------------------------------------------------------

    def events(self) -> tuple[FlowEvent, ...]:
        """Finished and running ones, in order of their beginning."""
        self.settle()
        running = [
            event for flow in self.of.values() for event in flow.absorption.running(self.clock_ns)
        ]
        return tuple(sorted([*self._events, *running], key=lambda e: (e.at_ns, e.kind, e.venue)))

    def cascade(self) -> CascadeView:
        return self.tracker.view()

    def view(self, now_ns: int, events: tuple[FlowEvent, ...], span_s: float = 3600.0) -> FlowView:
        """The Flow panel; `events` of book and flow, merged by the caller."""
        self.settle()
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
        self.settle()
        sha = hashlib.sha256()
        sha.update(repr((self._second, self.price, self.ofi, self._impact)).encode())
        sha.update(repr(self.delta.totals()).encode())
        sha.update(repr(self.tracker.view()).encode())
        for key in sorted(self.of):
            sha.update(repr((key, self.of[key].row(), self.of[key].absorption.net)).encode())
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
