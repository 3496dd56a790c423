"""Order book, flow and cascade readings of one base asset: part of the fold, fed by its handlers.

`MarketEngine` calls one hook a fact; the objects behind the hooks live in `book`, `flow` and
`cascade`, never see each other, and meet here. Everything in here is a function of the events in
their order: event time only, every store bounded, `digest` covers it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence

import msgspec

from liqfield.book.depth import SideDepth
from liqfield.book.path import path_views
from liqfield.book.reader import BookReader
from liqfield.book.sync import BookSync
from liqfield.book.views import flow_event, wall_views
from liqfield.cascade.outlook import Outlook
from liqfield.density.combine import combine_columns
from liqfield.engine.flow import FlowReadings, FlowSettings
from liqfield.engine.project import forced_ahead
from liqfield.engine.venue_flow import InstrumentFlow
from liqfield.model.analytics import CascadeView, FlowEvent, FlowView, PathView, WallView
from liqfield.model.estimates import Cluster, DensityColumn
from liqfield.model.events import (
    BestQuote,
    BookDelta,
    BookSnapshot,
    Gap,
    Liquidation,
    MarkPrice,
    OpenInterest,
)
from liqfield.model.instrument import Instrument
from liqfield.model.sides import PositionSide
from liqfield.model.tape import TradeTape

EVENTS = 500  # of the flow, kept
WALLS_SHOWN = 64
PATH_NS = 60_000_000_000  # between two looks at the paths that are remembered
PATHS = 20_000  # remembered: most of a day of a dozen clusters
TRADE_KINDS = frozenset({"Trade"})


class PathRecord(msgspec.Struct, frozen=True, gc=False):
    """One path as it was: what a later study of reached and spared clusters starts from."""

    at_ns: int
    position_side: PositionSide
    low: float
    high: float
    notional_usd: float
    distance: float
    view: PathView


class InstrumentAnalytics:
    """Readings of one instrument."""

    def __init__(
        self, instrument: Instrument, sync: BookSync, trades: TradeTape, flow: InstrumentFlow
    ) -> None:
        self.instrument = instrument
        self.sync = sync
        self.flow = flow
        number = trades.number_of(instrument.id)
        self.book = BookReader(sync, instrument.tick_usd, trades, number)


class MarketAnalytics:
    """Readings of one base asset over its instruments.

    Hooks get each fact once: repeats are gone, trades are market volume only. `on_book` follows
    the book's own update.
    """

    def __init__(self, base: str, trades: TradeTape, flow: FlowSettings | None = None) -> None:
        """trades: written by the owner; book and flow read them there."""
        self.base = base
        self._trades = trades
        self.clock_ns = 0
        self.events: deque[FlowEvent] = deque(maxlen=EVENTS)
        self.flow = FlowReadings(base, trades, flow)
        self.path_history: deque[PathRecord] = deque(maxlen=PATHS)
        self.outlook = Outlook()
        self._columns: Sequence[DensityColumn] = ()  # the newest
        self._path_ns = 0
        self._path_hash = hashlib.sha256()
        self._of: dict[str, InstrumentAnalytics] = {}

    def add(self, instrument: Instrument, sync: BookSync) -> None:
        """Follow an instrument; a new `sync` (ticks of another size) starts its readings afresh."""
        known = self._of.get(instrument.id)
        if known is not None and known.sync is sync:
            known.instrument = instrument
        else:
            flow = self.flow.add(instrument)
            self._of[instrument.id] = InstrumentAnalytics(instrument, sync, self._trades, flow)

    def drop(self, instrument_id: str) -> None:
        self._of.pop(instrument_id, None)
        self.flow.drop(instrument_id)

    # ---- hooks: one a kind of fact ------------------------------------------------------------

    def on_clock(self, now_ns: int) -> None:
        """The engine's clock moved; comes before the fact that moved it."""
        flow = self.flow
        self.clock_ns = flow.clock_ns = now_ns
        if now_ns >= flow.due_ns:
            flow.second({key: of.sync.ladder for key, of in self._of.items()})
            self._look_ahead()

    def on_map(self, columns: Sequence[DensityColumn]) -> None:
        """A column of the map is due: what lies ahead of the price is looked up again."""
        self.flow.on_map(columns)
        self._columns = columns
        if self.clock_ns - self._path_ns >= PATH_NS:
            self._path_ns = self.clock_ns
            if self.flow.clusters:
                self._note_paths(self.flow.clusters, combine_columns(columns))

    def settle(self) -> None:
        """What waits on the tape is folded now: it is about to be written over, or to tell of the
        past."""
        self.flow.settle()
        for of in self._of.values():
            of.book.attribution.settle()

    def on_missed(self) -> None:
        """Executions of a while ago that a stream had lost came on the tape, after `settle`."""
        self.flow.on_missed()

    def on_book(self, event: BookSnapshot | BookDelta) -> None:
        """A book message was folded: `sync.ladder` is the true book now, or None."""
        of, now_ns = self._of[event.instrument_id], self.clock_ns
        book = of.book
        book.after(event, now_ns)
        while book.facts:
            fact = book.facts.popleft()
            self.events.append(flow_event(of.instrument.venue, fact, book.tick_usd))
        of.flow.book(of.sync.ladder, now_ns)

    def on_quote(self, quote: BestQuote) -> None:
        """The venue's own top of book."""
        flow = self._of[quote.instrument_id].flow
        flow.quoted_ns = self.clock_ns
        flow.quote(quote)

    def on_mark(self, mark: MarkPrice) -> None:
        """A mark price."""

    def on_open_interest(self, open_interest: OpenInterest) -> None:
        """A live open interest."""
        self.flow.on_open_interest(open_interest)

    def on_liquidation(self, liquidation: Liquidation) -> None:
        """A forced close as printed."""
        self.flow.on_liquidation(liquidation)

    def on_gap(self, instrument_id: str, gap: Gap) -> None:
        """A loss on a stream of this instrument; `gap.kinds` says which, () = any.

        Comes after the book was told.
        """
        book = self._of[instrument_id].book
        book.gap(gap.received_ns)
        if not gap.kinds or TRADE_KINDS & set(gap.kinds):
            book.trades_lost()
        self.flow.on_gap(instrument_id, gap)

    # ---- what readers see ---------------------------------------------------------------------

    def paths(
        self, clusters: Sequence[Cluster], density: DensityColumn | None
    ) -> tuple[PathView, ...]:
        """The way to each cluster, in the order of `clusters`; `density` is the pooled map."""
        books = {key: of.book for key, of in self._of.items()}
        return path_views(clusters, density, books, self.clock_ns)

    def walls(self) -> tuple[WallView, ...]:
        """Large resting orders that stand now, nearest first."""
        found = [
            view
            for key in sorted(self._of)
            for view in wall_views(
                self._of[key].instrument.venue, self._of[key].book, self.clock_ns
            )
        ]
        return tuple(sorted(found, key=lambda view: abs(view.distance))[:WALLS_SHOWN])

    def flow_events(self) -> tuple[FlowEvent, ...]:
        """What happened lately in book and flow, oldest first; bounded."""
        found = [*self.events, *self.flow.events()]
        return tuple(sorted(found, key=lambda event: (event.at_ns, event.kind, event.venue)))

    def flow_view(self, now_ns: int, span_s: float) -> FlowView:
        """The Flow panel with the events of book and flow."""
        view = self.flow.view(now_ns, self.flow_events(), span_s)
        return msgspec.structs.replace(view, cascade=self.cascade())

    def sides(self, is_ask: int, reach: float) -> list[SideDepth]:
        """The books of one side, 0 bids 1 asks, of the venues that have one."""
        found = (self._of[key].book.depth(reach) for key in sorted(self._of))
        return [depth[is_ask] for depth in found if depth is not None]

    def cascade(self) -> CascadeView:
        """State of the cascade tracker, and how far it may go."""
        view = self.flow.cascade()
        outlook = self.outlook.view(self.flow.tracker, self.flow.price)
        return view if outlook is None else msgspec.structs.replace(view, outlook=outlook)

    def _look_ahead(self) -> None:
        tracker, price = self.flow.tracker, self.flow.price
        if not self.outlook.is_wanted(tracker):
            return
        path = None
        if self.outlook.is_due(tracker) and tracker.side is not None:
            path = forced_ahead(self._columns, price, tracker.side)
        self.outlook.second(tracker, price, path)

    def _note_paths(self, clusters: Sequence[Cluster], density: DensityColumn | None) -> None:
        views = self.paths(clusters, density)
        for of, view in zip(clusters, views, strict=True):
            record = PathRecord(
                self.clock_ns, of.position_side, of.low, of.high, of.notional_usd, of.distance, view
            )
            self.path_history.append(record)
            self._path_hash.update(repr(record).encode())

    def digest(self) -> bytes:
        """Hash over everything that decides the future of these readings."""
        sha = hashlib.sha256(f"{self.base} {self.clock_ns} {self._path_ns}".encode())
        sha.update(self._path_hash.digest())
        for key in sorted(self._of):
            sha.update(key.encode())
            sha.update(self._of[key].book.digest())
        for event in self.events:
            sha.update(repr(event).encode())
        sha.update(self.flow.digest())
        sha.update(self.outlook.digest())
        return sha.digest()
