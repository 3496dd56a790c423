"""`liqfield inspect`: a recording as JSON: frames, events, unknowns, gaps, book checks."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from liqfield.app.pipeline import Pipeline
from liqfield.app.terminal import infer_instruments
from liqfield.book.ladder import ASK, BID
from liqfield.engine.engine import Engine
from liqfield.engine.instrument import InstrumentState
from liqfield.model.events import BestQuote, BookDelta, BookSnapshot, Event, Frame
from liqfield.model.instrument import Instrument
from liqfield.store.foreign import open_recording
from liqfield.store.segment import ReadReport
from liqfield.venues import registry


class BookCheck(msgspec.Struct):
    """One instrument's book. compared / agreed: rebuilt top against the venue's own quotes where
    both carry ids: the last quote with an id at or before the diff's and after its predecessor's.
    """

    snapshots: int = 0
    deltas: int = 0
    sequence_gaps: int = 0
    is_live: bool = False
    compared: int = 0
    agreed: int = 0
    bid_levels: int = 0
    ask_levels: int = 0


class Inspection(msgspec.Struct):
    """The report; times in ns since epoch."""

    files: list[ReadReport]
    frames: dict[str, int]
    events: dict[str, int]
    unknown: dict[str, int]
    gaps: dict[str, int]
    decode_errors: int
    first_received_ns: int
    last_received_ns: int
    books: dict[str, BookCheck]
    digest: str
    failures: list[str] = []


class _Top(msgspec.Struct):
    """A rebuilt book's top after a diff that covers ids (previous, sequence]."""

    previous: int
    sequence: int
    bid: int
    bid_quantity: float
    ask: int
    ask_quantity: float


class _Auditor:
    """Compares every rebuilt book with the quotes that belong to its state.

    Quotes and diffs travel separately and may overtake each other: they are matched at the end.
    """

    def __init__(self, engine: Engine) -> None:
        self.books: dict[str, BookCheck] = {}
        self._engine = engine
        self._quotes: dict[str, list[BestQuote]] = {}
        self._tops: dict[str, list[_Top]] = {}

    def seen(self, frame: Frame, events: Sequence[Event]) -> None:
        del frame
        for event in events:
            if isinstance(event, BestQuote) and event.sequence:
                self._quotes.setdefault(event.instrument_id, []).append(event)
            elif isinstance(event, BookSnapshot | BookDelta):
                self._book(event)

    def _book(self, event: BookSnapshot | BookDelta) -> None:
        check = self.books.setdefault(event.instrument_id, BookCheck())
        if isinstance(event, BookSnapshot):
            check.snapshots += 1
        else:
            check.deltas += 1
        state = self._state(event.instrument_id)
        if state is None:
            return
        check.sequence_gaps = state.sync.losses
        ladder = state.sync.ladder
        check.is_live = ladder is not None
        if ladder is None or not isinstance(event, BookDelta) or event.sequence == 0:
            return
        bid, ask = ladder.best_bid, ladder.best_ask
        if bid is not None and ask is not None:
            sizes = ladder.quantity(BID, bid), ladder.quantity(ASK, ask)
            top = _Top(event.previous_sequence, event.sequence, bid, sizes[0], ask, sizes[1])
            self._tops.setdefault(event.instrument_id, []).append(top)

    def _state(self, instrument_id: str) -> InstrumentState | None:
        for market in self._engine.markets.values():
            if instrument_id in market.instruments:
                return market.instruments[instrument_id]
        return None

    def finish(self) -> None:
        for instrument_id, check in self.books.items():
            state = self._state(instrument_id)
            ladder = state.sync.ladder if state is not None else None
            if state is not None and ladder is not None:
                check.bid_levels = len(ladder.levels(BID)[0])
                check.ask_levels = len(ladder.levels(ASK)[0])
                self._match(state, check)

    def _match(self, state: InstrumentState, check: BookCheck) -> None:
        quotes = sorted(self._quotes.get(state.instrument.id, ()), key=lambda q: q.sequence)
        ids = [quote.sequence for quote in quotes]
        for top in self._tops.get(state.instrument.id, ()):
            i = bisect_right(ids, top.sequence) - 1
            if i < 0 or ids[i] <= top.previous:
                continue
            check.compared += 1
            check.agreed += _agrees(state.instrument, top, quotes[i])


def _agrees(of: Instrument, top: _Top, quote: BestQuote) -> bool:
    return (
        top.bid == of.price_ticks(quote.bid_price)
        and top.ask == of.price_ticks(quote.ask_price)
        and top.bid_quantity == quote.bid_quantity
        and top.ask_quantity == quote.ask_quantity
    )


def inspect(paths: Sequence[Path], venue: str = "") -> Inspection:
    """Read recordings through the same pipeline as live. Raises StoreError naming a bad file."""
    venues = registry.make()
    engine = Engine({name: v.book_rule for name, v in venues.items()})
    auditor = _Auditor(engine)
    pipeline = Pipeline(engine, venues, on_events=auditor.seen)
    reports: list[ReadReport] = []
    first_ns = last_ns = 0
    channels: Counter[str] = Counter()
    for path in paths:
        for record in open_recording(path, venue, reports):
            first_ns = first_ns or record.received_ns
            last_ns = max(last_ns, record.received_ns)
            if isinstance(record, Frame):
                channels[f"{record.venue} {record.source.partition('?')[0]}"] += 1
            infer_instruments(pipeline, [record])
            pipeline.consume([record])
    auditor.finish()
    return Inspection(
        files=reports,
        frames=dict(channels),
        events=dict(engine.events),
        unknown=dict(engine.unknown),
        gaps=dict(pipeline.gaps),
        decode_errors=pipeline.decode_errors,
        first_received_ns=first_ns,
        last_received_ns=last_ns,
        books=dict(sorted(auditor.books.items())),
        digest=engine.digest(),
        failures=[failure.why for failure in pipeline.failures][:10],
    )
