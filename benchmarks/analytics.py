"""What the readings of book and flow cost: the same recording folded with and without them.

    PYTHONPATH=src python -m benchmarks.analytics [RECORDS] RECORDING [RECORDING ...]

Both engines step the same decoded events in slices by turns, process CPU time. `step_ratio` is
engine.step alone, `spine_ratio` decode and step together, as the pipeline does them. `day_s` is how
long a day of one venue would take, from the costs of a diff, a trade, a second and ten seconds.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import msgspec
import numpy as np

from liqfield.app.pipeline import Pipeline
from liqfield.app.terminal import infer_instruments
from liqfield.engine.analytics import MarketAnalytics
from liqfield.engine.engine import Engine
from liqfield.engine.flow import FlowReadings
from liqfield.model.events import (
    BookDelta,
    BookSnapshot,
    Event,
    Frame,
    MarkPrice,
    OpenInterest,
    Record,
    Trade,
)
from liqfield.model.instrument import Instrument
from liqfield.model.tape import TradeTape
from liqfield.store.foreign import open_recording
from liqfield.venues import registry
from liqfield.venues.contract import Venue

SLICE = 2_000  # records a turn
DIFFS, TRADES = 1_000_000, 2_000_000  # a day of BTC on one venue
OPEN_INTEREST = 80_000.0  # coins of BTC
S, TEN = 1_000_000_000, 10_000_000_000
PASSES = 5


class NoReadings(MarketAnalytics):
    """The engine as it was before it read anything off book and flow."""

    def _skip(self, *_: object) -> None:
        return None


for _name in [name for name in vars(MarketAnalytics) if name.startswith("on_")] + ["settle"]:
    setattr(NoReadings, _name, NoReadings._skip)


class _NoFlow:
    """Answers every hook of the flow readings, and of an instrument's, with nothing; no second is
    ever over."""

    due_ns = 1 << 62
    clusters = ()

    def add(self, _: Instrument) -> _NoFlow:
        return self

    def quote(self, _: object) -> None:
        """As cheap as a hook can be: it is called with every quote."""

    def book(self, *_: object) -> None:
        """The same."""

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_: None


class BookReadings(MarketAnalytics):
    """The readings of the book alone."""

    def __init__(self, base: str, trades: TradeTape) -> None:
        super().__init__(base, trades)
        self.flow = cast("FlowReadings", _NoFlow())


def cost(path: Path, limit: int = 0) -> dict[str, object]:
    """Ratios on one recording; the first turn of each engine (compilation) is not counted."""
    records = list(open_recording(path))[: limit or None]
    listing = listed(records)
    with_, without, book = _engine(listing), _engine(listing), _engine(listing)
    spent = {"decode": 0, "with": 0, "without": 0, "book": 0}
    venues = registry.make()
    for at in range(0, len(records), SLICE):
        part = records[at : at + SLICE]
        for pipeline, kind in ((with_, None), (without, NoReadings), (book, BookReadings)):
            if kind is not None:
                _read_by(pipeline, kind)
        started = time.process_time_ns()
        events = _decode(part, venues, with_)
        decoded = time.process_time_ns() - started
        turns = [("with", with_), ("book", book), ("without", without)]
        for name, pipeline in turns if at // SLICE % 2 else reversed(turns):
            started = time.process_time_ns()
            for event in events:
                pipeline.engine.step(event)
            if at:
                spent[name] += time.process_time_ns() - started
        if at:
            spent["decode"] += decoded
    count = max(len(records) - SLICE, 1)
    return {
        "recording": path.name,
        "records": len(records),
        "step_us_without": spent["without"] / count / 1e3,
        "step_us_book": spent["book"] / count / 1e3,
        "step_us_with": spent["with"] / count / 1e3,
        "decode_us": spent["decode"] / count / 1e3,
        "book_step_ratio": spent["book"] / max(spent["without"], 1),
        "step_ratio": spent["with"] / max(spent["without"], 1),
        "spine_ratio": (spent["decode"] + spent["with"])
        / max(spent["decode"] + spent["without"], 1),
    }


def kinds(path: Path, limit: int = 0) -> dict[str, object]:
    """What the readings add to an event of each kind, us: the least of 4 PASSES of each event with
    them, less without, by turns. Events with which a second passes are left out."""
    records = list(open_recording(path))[: limit or None]
    listing = listed(records)
    events = _decode(records, registry.make(), _engine(listing))
    took = [[_stepped(events, listing, of) for of in (None, NoReadings)] for _ in range(4 * PASSES)]
    with_, without = np.min(took, axis=0)
    at_ns = np.maximum.accumulate([getattr(event, "event_ns", 0) for event in events])
    is_plain = np.diff(at_ns // S, prepend=0) == 0
    names = np.array([type(event).__name__ for event in events])
    found: dict[str, object] = {"recording": path.name}
    for name in ("BestQuote", "BookDelta", "Trade"):
        mine = is_plain & (names == name)
        if mine.any():
            found[name] = float((with_ - without)[mine].mean()) / 1e3
    return found


def _stepped(
    events: Sequence[Event], listing: Sequence[Instrument], kind: type[MarketAnalytics] | None
) -> list[int]:
    """Time of every event, ns, through a new engine."""
    pipeline = _engine(listing)
    if kind is not None:
        _read_by(pipeline, kind)
    took: list[int] = []
    for event in events:
        started = time.perf_counter_ns()
        pipeline.engine.step(event)
        took.append(time.perf_counter_ns() - started)
    return took


def _read_by(pipeline: Pipeline, kind: type[MarketAnalytics]) -> None:
    for market in pipeline.engine.markets.values():
        if not isinstance(market.analytics, kind):
            market.analytics = kind(market.base, market.trades)
            for state in market.instruments.values():
                market.analytics.add(state.instrument, state.sync)


class Part(msgspec.Struct):
    """Records of one kind in a row, within one second, or one record with which time passes.

    kind: trade, diff. passes: the longest pace of S or TEN that ends with it or, where it is the
    book's first message since, whose reading it brings; 0 = none.
    """

    kind: str
    passes: int
    records: list[Record]
    stated: list[Event]


def day(path: Path, limit: int = 0) -> dict[str, object]:
    """CPU seconds of a day of DIFFS and TRADES through everything: decoded, folded and read off,
    with a second's work 86,400 times and ten seconds' 8,640 times, each counted once.

    The recording's quotes are left out. It states neither marks nor open interest: a mark a second
    and an open interest every ten make the map move, at the price of the last trade. Trades that
    wait for the end of the second are counted in it, as many as the recording has: too many.
    """
    records = list(open_recording(path))[: limit or None]
    listing = listed(records)
    parts = _parts(records, listing)
    took = [_passed(parts, listing) for _ in range(PASSES)]
    least = [min(times) for times in zip(*took[1:], strict=True)]  # the first compiles
    warm = len(parts) // 5
    spent: dict[tuple[str, int], list[int]] = {}
    for part, ns in zip(parts[warm:], least[warm:], strict=True):
        sums = spent.setdefault((part.kind, part.passes), [0, 0, 0])
        sums[0] += ns
        sums[1] += len(part.records)
        sums[2] += bool(part.stated)
    plain = {kind: spent[kind, 0][0] / spent[kind, 0][1] for kind in ("diff", "trade")}
    seconds, tens = ((n, [v for (_, of), v in spent.items() if of == n]) for n in (S, TEN))
    beyond = {
        passes: sum(
            sums[0] - sums[1] * plain[kind] for (kind, of), sums in spent.items() if of == passes
        )
        / sum(sums[2] for sums in found)
        for passes, found in (seconds, tens)
    }
    day_ns = DIFFS * plain["diff"] + TRADES * plain["trade"]
    day_ns += 77_760 * beyond[S] + 8_640 * beyond[TEN]
    return {
        "recording": path.name,
        "diff_us": plain["diff"] / 1e3,
        "trade_us": plain["trade"] / 1e3,
        "second_us": beyond[S] / 1e3,
        "ten_seconds_us": beyond[TEN] / 1e3,
        "day_s": day_ns / 1e9,
    }


def listed(records: Sequence[Record]) -> list[Instrument]:
    """The instruments as their venue lists them: prices are written with more decimals than ticks
    have, which would make every walk through the book ten times as long."""
    pipeline, venues = _engine(()), registry.make()
    infer_instruments(pipeline, records)
    shared: dict[str, int] = {}
    for event in _decode(records, venues, pipeline):
        if isinstance(event, BookDelta | BookSnapshot) and len(event.levels):
            ticks = int(np.gcd.reduce(event.levels.price_ticks))
            shared[event.instrument_id] = math.gcd(shared.get(event.instrument_id, 0), ticks)
    listing: list[Instrument] = []
    for key, of in pipeline.engine.instruments.items():
        spare = len(str(shared.get(key, 1))) - len(str(shared.get(key, 1)).rstrip("0"))
        decimals = max(of.tick_decimals - spare, 0)
        listing.append(msgspec.structs.replace(of, tick_decimals=decimals))
    return listing


def _parts(records: Sequence[Record], listing: Sequence[Instrument]) -> list[Part]:
    """The diffs and trades of a recording, cut wherever the clock passes a second."""
    pipeline, venues = _engine(listing), registry.make()
    parts: list[Part] = []
    clock_ns, price, book_ns = 0, 0.0, 0
    for record in records:
        events = _decode([record], venues, pipeline)
        if not events or not isinstance(events[0], Trade | BookDelta | BookSnapshot):
            continue
        event = events[0]
        kind = "trade" if isinstance(event, Trade) else "diff"
        if isinstance(event, Trade):
            price = event.price
        now_ns = max(clock_ns, event.event_ns)
        paces = (TEN, S)
        told = next((pace for pace in paces if now_ns // pace > clock_ns // pace), 0)
        passes = told
        if kind == "diff":
            passes = next((pace for pace in paces if now_ns // pace > book_ns // pace), 0)
            book_ns = now_ns
        clock_ns = now_ns
        stated: list[Event] = []
        if told and price:
            key, got_ns = event.instrument_id, record.received_ns
            stated.append(MarkPrice(key, now_ns, got_ns, price))
            if told == TEN:
                coins = OPEN_INTEREST + now_ns // TEN % 7
                stated.append(OpenInterest(key, now_ns, got_ns, coins))
        if parts and not passes and (parts[-1].kind, parts[-1].passes) == (kind, 0):
            parts[-1].records.append(record)
        else:
            parts.append(Part(kind, passes, [record], stated))
    return parts


def _passed(parts: Sequence[Part], listing: Sequence[Instrument]) -> list[int]:
    """CPU time of every part, ns, through a new pipeline."""
    pipeline = _engine(listing)
    took: list[int] = []
    for part in parts:
        started = time.process_time_ns()
        for event in part.stated:
            pipeline.engine.step(event)
        pipeline.consume(part.records)
        took.append(time.process_time_ns() - started)
    return took


def _engine(listing: Sequence[Instrument]) -> Pipeline:
    venues = registry.make()
    engine = Engine({name: venue.book_rule for name, venue in venues.items()})
    for instrument in listing:
        engine.list(instrument)
    return Pipeline(engine, venues)


def _decode(part: Sequence[Record], venues: dict[str, Venue], of: Pipeline) -> list[Event]:
    events: list[Event] = []
    for record in part:
        if isinstance(record, Frame):
            events += venues[record.venue].decode(record, of.engine.instruments)
        else:
            events.append(record)
    return events


def main(arguments: Sequence[str] = ()) -> None:
    """Print three JSON rows a recording: ratios, what the readings add by kind of event, a day; a
    number first limits the records."""
    names = list(arguments or sys.argv[1:])
    limit = int(names.pop(0)) if names and names[0].isdigit() else 0
    for name in names:
        for figures in (read(Path(name), limit) for read in (cost, kinds, day)):
            sys.stdout.buffer.write(msgspec.json.encode(figures) + b"\n")


if __name__ == "__main__":
    main()
