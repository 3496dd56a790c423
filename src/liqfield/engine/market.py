"""One base asset: books, densities, flow and context of all its instruments; one writer."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain

import msgspec

from liqfield.cascade.projection import Projection
from liqfield.context.cot import CotReport
from liqfield.density.openings import OwnOpenings
from liqfield.engine.analytics import MarketAnalytics
from liqfield.engine.context import ContextReadings, VenueState, with_quirks
from liqfield.engine.flow import FlowSettings
from liqfield.engine.history import SPAN_NS, HistoryBuffer, Piece
from liqfield.engine.instrument import InstrumentState
from liqfield.engine.outputs import CandleClosed, ColumnDue, Liquidated, Output
from liqfield.engine.project import REACH, project_market
from liqfield.engine.truth import TruthKeepers
from liqfield.flow.recent import RecentVolume
from liqfield.model.analytics import (
    CascadeView,
    ContextView,
    FlowEvent,
    FlowView,
    PathView,
    WallView,
)
from liqfield.model.durations import HOUR_NS, SECOND_NS
from liqfield.model.estimates import (
    Cluster,
    DensityColumn,
    LiquidationDensity,
    MeasuredLayer,
    TruthReport,
    TruthRow,
)
from liqfield.model.events import (
    BestQuote,
    BookDelta,
    BookSnapshot,
    Candle,
    FundingRate,
    Gap,
    ImportedPast,
    IndexPrice,
    Liquidation,
    MarketEvent,
    MarkPrice,
    OpenInterest,
    PositioningRatio,
    PositionSnapshot,
    TierTable,
    Trade,
)
from liqfield.model.instrument import Instrument
from liqfield.model.sides import (
    Aggressor,
    BookRule,
    CandleOf,
    PositionSide,
    TradeKind,
)
from liqfield.model.tape import TradeTape
from liqfield.model.tiles import width_kept

LIVE_COLUMN_NS = 10_000_000_000
HISTORY_COLUMN_S = SPAN_NS // SECOND_NS
# A venue's clock may run ahead of ours (a recording shows 1.27 s); beyond this it is not believed.
MAX_AHEAD_NS = 5_000_000_000
BOOK_KINDS = frozenset({"BookSnapshot", "BookDelta"})
# Sizes that may be contracts; what a venue repeats of before their size changed is in the old ones.
COUNTED = frozenset({Trade, Liquidation, BestQuote, OpenInterest})
MAYBE_PAST = frozenset({Candle, FundingRate, OpenInterest, ImportedPast})
LIVE_KINDS = frozenset({Trade, MarkPrice})  # their first one ends the past
_BUY, _MARKET = Aggressor.BUY, TradeKind.MARKET  # two look-ups a trade each, else


class MarketEngine:
    """The fold of one base asset. `step` is deterministic: the same events give the same digest."""

    def __init__(
        self, base: str, rules: Mapping[str, BookRule], flow: FlowSettings | None = None
    ) -> None:
        self.base = base
        self.instruments: dict[str, InstrumentState] = {}
        self.trades = TradeTape()
        self.recent = RecentVolume(self.trades)
        self.tape: deque[Liquidation] = deque(maxlen=5_000)
        self.clock_ns = 0
        self.analytics = MarketAnalytics(base, self.trades, flow)
        self.context_readings = ContextReadings()
        self.cot: Sequence[CotReport] = ()  # what the user dropped in: read only, never folded
        self._rules = rules
        self._history = HistoryBuffer()
        self.has_past = False  # some waits, or is being folded
        self._folding: Iterator[list[Output]] | None = None
        self._joined_ns = 0  # the imported past ends here: its columns are drawn elsewhere
        self._column_ns = 0
        self._learn_ns = self._due_ns = 0
        self._truth = TruthKeepers()
        self._handlers: dict[type, Callable[[InstrumentState, MarketEvent], list[Output]]] = {
            Trade: self._on_trade,
            BookSnapshot: self._on_book,
            BookDelta: self._on_book,
            BestQuote: self._on_quote,
            MarkPrice: self._on_mark,
            IndexPrice: self._on_index,
            FundingRate: self._on_funding,
            OpenInterest: self._on_open_interest,
            Liquidation: self._on_liquidation,
            Candle: self._on_candle,
            TierTable: self._on_tiers,
            PositioningRatio: self._on_ratio,
        }

    def add(self, instrument: Instrument) -> None:
        """Follow an instrument; a changed listing replaces the words, not the state."""
        state = self.instruments.get(instrument.id)
        if state is None:
            state = InstrumentState(instrument, self._rules[instrument.venue], self.trades)
            self.instruments[instrument.id] = state
            self.analytics.add(instrument, state.sync)
        elif state.instrument != instrument:
            state.relist(instrument)
            self.analytics.add(instrument, state.sync)

    def drop_venue(self, venue: str, *, keep: str) -> list[str]:
        """Forget other contracts of a venue on this asset; returns their ids."""
        others = [
            key
            for key, state in self.instruments.items()
            if state.instrument.venue == venue and key != keep
        ]
        for key in others:
            del self.instruments[key]
            self.analytics.drop(key)
            self.context_readings.drop(key)
        return others

    def step(self, event: MarketEvent) -> list[Output]:
        """Fold one event; returns what is due because of it."""
        state = self.instruments.get(event.instrument_id)
        if state is None:
            return []
        kind = type(event)
        if kind in MAYBE_PAST and self._keep(event):
            return []
        handler = self._handlers.get(kind)
        if handler is None:
            return []
        outputs = list(chain.from_iterable(self.past(event))) if self.has_past else []
        at_ns, believed_ns = event.event_ns, event.received_ns + MAX_AHEAD_NS
        if at_ns > believed_ns:
            at_ns = believed_ns
        if at_ns > self.clock_ns:
            self.clock_ns = at_ns
            self.analytics.on_clock(at_ns)
            if at_ns >= self._due_ns:
                outputs += self._due(at_ns)
        if at_ns > state.old_units_ns or kind not in COUNTED:
            due = handler(state, event)
            return outputs + due if outputs else due
        return outputs

    def _keep(self, event: MarketEvent) -> bool:
        """Whether an event tells of the past: it waits until live begins."""
        if isinstance(event, ImportedPast):
            for past in event.events:
                self._history.add(past)
            self._joined_ns = max(self._joined_ns, event.event_ns)
        elif getattr(event, "is_history", False) or getattr(event, "is_settled", False):
            self._history.add(event)
        else:
            return False
        self.has_past |= bool(self._history)
        return True

    def past(self, event: MarketEvent) -> Iterable[list[Output]]:
        """The waiting past where `event` is the live one that ends it, else nothing.

        It is folded while this is read, five minutes of it a piece; `step` begins with what was not
        read. Between pieces the caller may look, but fold nothing else.
        """
        return self._read_past(event) if self.has_past else ()

    def _read_past(self, event: MarketEvent) -> Iterator[list[Output]]:
        if self._folding is None:
            is_live = type(event) in LIVE_KINDS and event.instrument_id in self.instruments
            if not (self._history and is_live):
                return
            self._folding = self._fold_past(event.event_ns)
        for piece in self._folding:  # noqa: UP028 - a reader that leaves must not close it
            yield piece
        self._folding = None
        self.has_past = bool(self._history)

    def gap(self, gap: Gap) -> list[Output]:
        """A loss on a stream: the books and densities it fed are told."""
        outputs: list[Output] = []
        for state in self.instruments.values():
            if gap.instrument_id:
                hit = gap.instrument_id == state.instrument.id
            else:
                hit = gap.venue == state.instrument.venue
            if hit:
                state.gaps += 1
                state.density.update(gap)
                state.open_hole(gap)
                if not gap.kinds or BOOK_KINDS & set(gap.kinds):
                    need = state.sync.push(gap)
                    if need is not None:
                        outputs.append(need)
                self.analytics.on_gap(state.instrument.id, gap)
        return outputs

    def repair(self, trades: Sequence[Trade]) -> list[Output]:
        """Trades of a reply: those that were missed count from now on, at their own time. Prices of
        now, and what happens in windows of now, know nothing of them."""
        amended: dict[tuple[str, int], Candle] = {}
        self._catch_up()
        for trade in sorted(trades, key=lambda trade: trade.event_ns):
            state = self.instruments.get(trade.instrument_id)
            if state is None or trade.kind is not TradeKind.MARKET or not state.was_missed(trade):
                continue
            state.repaired += 1
            state.density.update(trade)
            # Under a number of its own, which the readings of its own moment do not look for.
            number = self.trades.number_of(f"{trade.instrument_id} missed")
            signed = trade.quantity if trade.aggressor is _BUY else -trade.quantity
            self.trades.append(number, min(trade.event_ns, self.clock_ns), trade.price, signed)
            candle = state.candles.amend(trade)
            if candle is not None:
                amended[trade.instrument_id, candle.event_ns] = candle
        self.analytics.on_missed()
        return [CandleClosed(self.base, candle) for candle in amended.values()]

    def measure(self, snapshot: PositionSnapshot) -> None:
        """What a public account holds now, on whichever of this asset's instruments."""
        for state in self.instruments.values():
            if state.instrument.venue == snapshot.venue:
                state.measured.fold(snapshot, state.tiers)

    def measured(self) -> MeasuredLayer | None:
        """Positions of public accounts, where a venue has them: a layer beside the modelled maps,
        never part of their sum. None while none was seen."""
        for _, state in sorted(self.instruments.items()):
            if state.measured:
                settings = state.density.settings
                oi = state.open_interest.quantity if state.open_interest is not None else 0.0
                mark = state.mark.price if state.mark is not None else state.density.mark
                grid = settings.bin_width, settings.bin_count
                layer = state.measured.layer(mark, oi, self.clock_ns, *grid)
                if layer is not None:
                    return layer
        return None

    def _learn(self) -> None:
        """Once an hour: what was counted on public accounts is told to their venue and lent to the
        others, whose positions nobody shows."""
        self._learn_ns = self.clock_ns + HOUR_NS
        counted = [
            found
            for _, state in sorted(self.instruments.items())
            if (found := state.measured.openings(self.clock_ns, state.tiers)) is not None
        ]
        if counted:
            best = max(counted, key=lambda one: one.effective)
            for state in self.instruments.values():
                state.density.learn_openings(best)

    @property
    def has_map(self) -> bool:
        """Whether `densities` has any."""
        return any(state.density.has_map for state in self.instruments.values())

    def densities(self) -> tuple[LiquidationDensity, ...]:
        """The map of every instrument that has one, in order of instrument id."""
        found = (
            (state.instrument.venue, state.density.get())
            for _, state in sorted(self.instruments.items())
        )
        return tuple(with_quirks(venue, density) for venue, density in found if density is not None)

    def columns(self) -> tuple[DensityColumn, ...]:
        """As `densities`, of what a history keeps: no intervals, no ages."""
        found = (
            (state.instrument.venue, state.density.column())
            for _, state in sorted(self.instruments.items())
        )
        return tuple(with_quirks(venue, column) for venue, column in found if column is not None)

    def paths(
        self, clusters: Sequence[Cluster], density: LiquidationDensity | None
    ) -> tuple[PathView, ...]:
        """The way from the price to each cluster, in the order of `clusters`."""
        return self.analytics.paths(clusters, density)

    def walls(self) -> tuple[WallView, ...]:
        """Large resting orders that stand now, nearest first."""
        return self.analytics.walls()

    def flow_events(self) -> tuple[FlowEvent, ...]:
        """What happened lately in book and flow, oldest first."""
        return self.analytics.flow_events()

    def truth(self, venue: str = "all") -> TruthReport | None:
        """Predicted against printed, hour by hour, since this engine runs; None before an hour."""
        return self._truth.report(self.base, self.clock_ns, venue)

    def truth_running(self, venue: str = "all") -> TruthRow | None:
        """The hour that runs, so far; None where its beginning was missed."""
        return self._truth.running(venue)

    def flow(self, now_ns: int, span_s: float = 3600.0) -> FlowView:
        """The Flow panel over the last `span_s` of the UTC day; now_ns: the reader's clock."""
        return self.analytics.flow_view(now_ns, span_s)

    def cascade(self) -> CascadeView:
        """State of the cascade tracker with its evidence."""
        return self.analytics.cascade()

    def context(self) -> ContextView:
        """Slow context as of the engine's clock."""
        states = [
            VenueState(
                instrument=state.instrument,
                funding=state.funding,
                mark=state.mark.price if state.mark is not None else 0.0,
                index=state.index.price if state.index is not None else 0.0,
                open_interest=state.open_interest.quantity if state.open_interest else 0.0,
            )
            for state in self.instruments.values()
        ]
        return self.context_readings.view(self.base, self.clock_ns, states, self.cot)

    def project(
        self, start_price: float, position_side: PositionSide, push_usd: float = 0.0
    ) -> Projection | None:
        """Where forced flow from a price would stop, with a fan; None without a map or a book.
        Raises ModelError for a start outside the map."""
        is_ask = 0 if position_side is PositionSide.LONG else 1
        books = self.analytics.sides(is_ask, REACH)
        factor = self.analytics.outlook.moves.map_factor()
        return project_market(
            self.densities(), books, start_price, position_side, push_usd, map_factor=factor
        )

    def reference(self) -> InstrumentState | None:
        """The instrument whose price stands for the market: the first venue's that is followed.

        A fixed choice, so that a chart never changes its source from one candle to the next.
        """
        for venue in self._rules:
            for key in sorted(self.instruments):
                if self.instruments[key].instrument.venue == venue:
                    return self.instruments[key]
        return None

    def digest(self) -> str:
        """A hash over the state that readers can see: equal runs have equal digests."""
        sha = hashlib.sha256()
        sha.update(f"{self.base} {self.clock_ns}".encode())
        for key in sorted(self.instruments):
            state = self.instruments[key]
            sha.update(key.encode())
            ladder = state.sync.ladder
            sha.update(b"void" if ladder is None else ladder.digest())
            sha.update(state.density.digest())
            if state.measured:
                sha.update(state.measured.digest())
            for fact in (state.mark, state.index, state.funding, state.open_interest, state.last):
                sha.update(repr(fact).encode())
        for liquidation in self.tape:
            sha.update(repr(liquidation).encode())
        sha.update(self.analytics.digest())
        sha.update(self.context_readings.digest())
        return sha.hexdigest()

    # ---- handlers: one a kind -----------------------------------------------------------------

    def _on_book(self, state: InstrumentState, event: MarketEvent) -> list[Output]:
        assert isinstance(event, BookSnapshot) or isinstance(event, BookDelta)  # noqa: SIM101
        need = state.sync.push(event)
        self.analytics.on_book(event)
        if need is None:
            return []
        state.resyncs += 1
        return [need]

    def _on_trade(self, state: InstrumentState, event: MarketEvent) -> list[Output]:
        assert isinstance(event, Trade)
        if event.kind is not _MARKET or state.seen_ids.seen(event.trade_id):
            return []
        # A trade is never ahead of the clock, which follows event times as far as believed.
        at_ns, quantity = event.event_ns, event.quantity
        if at_ns > self.clock_ns:
            at_ns = self.clock_ns
        closed = self._close_candle(state, at_ns) if at_ns >= state.candles.end_ns else []
        state.last = event
        if state.hole_from_ns:
            state.close_hole(event.event_ns)
        signed = quantity if event.aggressor is _BUY else -quantity
        if self.trades.append(state.number, at_ns, event.price, signed, event.event_ns):
            self._catch_up()
        return closed

    def _close_candle(self, state: InstrumentState, at_ns: int) -> list[Output]:
        closed = state.candles.close(at_ns, state.last.received_ns if state.last else 0)
        if closed is None:
            return []
        state.closes.append((closed.event_ns, closed.close))
        return [CandleClosed(self.base, closed)]

    def _catch_up(self) -> None:
        """Nothing may wait so long that the tape is written over."""
        for state in self.instruments.values():
            state.density.fold()
            state.candles.fold()
        self.analytics.settle()

    def _on_quote(self, state: InstrumentState, event: MarketEvent) -> list[Output]:
        assert isinstance(event, BestQuote)
        state.quote = event
        self.analytics.on_quote(event)
        return []

    def _on_mark(self, state: InstrumentState, event: MarketEvent) -> list[Output]:
        assert isinstance(event, MarkPrice)
        state.mark = event
        state.density.update(event)
        self.analytics.on_mark(event)
        self._truth.mark(event.instrument_id, event.price)
        return []

    def _on_index(self, state: InstrumentState, event: MarketEvent) -> list[Output]:
        assert isinstance(event, IndexPrice)
        state.index = event
        return []

    def _on_funding(self, state: InstrumentState, event: MarketEvent) -> list[Output]:
        assert isinstance(event, FundingRate)
        state.funding = event
        state.density.update(event)
        return []

    def _on_open_interest(self, state: InstrumentState, event: MarketEvent) -> list[Output]:
        assert isinstance(event, OpenInterest)
        price = state.mark.price if state.mark is not None else 0.0
        known = priced(event, price)
        if known is not None:
            state.open_interest = known
            state.density.update(known)
            self.analytics.on_open_interest(known)
            self.context_readings.on_open_interest(known)
        return []

    def _on_liquidation(self, state: InstrumentState, event: MarketEvent) -> list[Output]:
        assert isinstance(event, Liquidation)
        if state.seen_ids.seen((event.event_ns, event.position_side, event.price, event.quantity)):
            return []
        self.tape.append(event)
        state.density.update(event)
        self.analytics.on_liquidation(event)
        self._truth.print(event, state.density.trigger_of(event))
        return [Liquidated(self.base, event)]

    def _on_candle(self, state: InstrumentState, event: MarketEvent) -> list[Output]:
        # Live klines repeat what trades already said; only history is folded.
        del state, event
        return []

    def _on_ratio(self, state: InstrumentState, event: MarketEvent) -> list[Output]:
        assert isinstance(event, PositioningRatio)
        del state
        self.context_readings.on_ratio(event)
        return []

    def _on_tiers(self, state: InstrumentState, event: MarketEvent) -> list[Output]:
        state.density.update(event)
        return []

    # ---- time ---------------------------------------------------------------------------------

    def _due(self, at_ns: int) -> list[Output]:
        """What begins with the clock at a whole second, or an hour after it was last learnt."""
        if self._truth.due(at_ns):
            lead = self.reference()
            openings = self._own_openings(self._truth.span_ns / HOUR_NS)
            self._truth.roll(at_ns, lead.instrument.id if lead else "", self.densities(), openings)
        if at_ns >= self._learn_ns:
            self._learn()
        outputs = self._column(LIVE_COLUMN_NS) if at_ns >= self._column_ns else []
        self._due_ns = min(at_ns - at_ns % SECOND_NS + SECOND_NS, self._learn_ns)
        return outputs

    def _own_openings(self, hours: float) -> dict[str, OwnOpenings]:
        found = ((key, one.density.own_openings(hours)) for key, one in self.instruments.items())
        return {key: own for key, own in found if own is not None}

    def _column(self, column_ns: int) -> list[Output]:
        """Columns are stamped with their end; the first one only starts the clock."""
        started = self._column_ns > 0
        due_ns = self.clock_ns - self.clock_ns % column_ns
        self._column_ns = due_ns + column_ns
        if not started:
            return []
        columns = self.columns()
        if not columns:
            return []
        self.analytics.on_map(columns)
        return [ColumnDue(self.base, due_ns, column_ns, columns)]

    def _fold_past(self, until_ns: int) -> Iterator[list[Output]]:
        """History ends where live begins: fold it in event time, five minutes a piece.

        Whoever reads on decides when, never what: a piece ends with its column, as wide as the
        history will keep at that age.
        """
        pieces = self._history.drain(until_ns)
        piece = next(pieces, None)
        while piece is not None:
            following, end_ns = next(pieces, None), piece.end_ns
            column_ns = SECOND_NS * width_kept(until_ns - end_ns, HISTORY_COLUMN_S)
            # A column is the last map inside it; the newest five minutes may not be over yet.
            is_last = following is not None and (
                (end_ns - 1) // column_ns != (following.end_ns - 1) // column_ns
            )
            is_due = is_last and end_ns > self._joined_ns
            yield self._past_piece(piece, column_ns if is_due else 0)
            piece = following

    def _past_piece(self, piece: Piece, column_ns: int) -> list[Output]:
        """One instrument after the other, each with its column at once (of no width: without):
        what it is made of was in use just now."""
        closed: list[Candle] = []
        columns: list[DensityColumn] = []
        for key, state in sorted(self.instruments.items()):
            density = state.density
            for event in piece.events.get(key, ()):
                if isinstance(event, OpenInterest):
                    # Marks come with the same history; the density keeps the newest.
                    known = priced(event, density.mark)
                    if known is not None:
                        density.update(known)
                        state.open_interest = known
                        self.context_readings.on_open_interest(known)
                    continue
                density.update(event)
                if isinstance(event, Candle) and event.of is CandleOf.LAST:
                    state.closes.append((event.event_ns, event.close))
                    closed.append(event)
            column = density.column() if column_ns else None
            if column is not None:
                columns.append(with_quirks(state.instrument.venue, column))
        closed.sort(key=lambda candle: candle.event_ns)
        outputs: list[Output] = [CandleClosed(self.base, candle) for candle in closed]
        if columns:
            outputs.append(ColumnDue(self.base, piece.end_ns, column_ns, tuple(columns)))
        return outputs


def priced(event: OpenInterest, price: float) -> OpenInterest | None:
    """Coins of an inverse contract's dollars at a price; None while no price is known."""
    if event.quantity > 0.0 or event.notional_usd <= 0.0:
        return event
    if price <= 0.0:
        return None
    coins = event.notional_usd / price
    return msgspec.structs.replace(event, quantity=coins, price=price)
