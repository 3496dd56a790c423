"""What the readings of book and flow cost: the same recording folded with and without them.

    PYTHONPATH=src python -m benchmarks.analytics [RECORDS] RECORDING [RECORDING ...]

Both engines step the same decoded events in slices by turns, process CPU time. `step_ratio` is
engine.step alone, `spine_ratio` decode and step together, as the pipeline does them. `day_s` is how
long a day of one venue would take.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import msgspec

from liqfield.app.pipeline import Pipeline
from liqfield.app.terminal import infer_instruments
from liqfield.engine.analytics import MarketAnalytics
from liqfield.engine.engine import Engine
from liqfield.engine.flow import FlowReadings
from liqfield.model.events import BestQuote, Event, Frame, Record
from liqfield.store.foreign import open_recording
from liqfield.venues import registry
from liqfield.venues.contract import Venue

SLICE = 2_000  # records a turn
DAY = 3_000_000  # messages of BTC on one venue: 1 M diffs, 2 M trades


class NoReadings(MarketAnalytics):
    """The engine as it was before it read anything off book and flow."""

    def _skip(self, *_: object) -> None:
        return None


for _name in [name for name in vars(MarketAnalytics) if name.startswith("on_")]:
    setattr(NoReadings, _name, NoReadings._skip)


class _NoFlow:
    """Answers every hook of the flow readings with nothing; no second is ever over."""

    due_ns = 1 << 62

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_: None


class BookReadings(MarketAnalytics):
    """The readings of the book alone."""

    def __init__(self, base: str) -> None:
        super().__init__(base)
        self.flow = cast("FlowReadings", _NoFlow())


def cost(path: Path, limit: int = 0) -> dict[str, object]:
    """Ratios on one recording; the first turn of each engine (compilation) is not counted."""
    records = list(open_recording(path))[: limit or None]
    with_, without, book = _engine(), _engine(), _engine()
    spent = {"decode": 0, "with": 0, "without": 0, "book": 0}
    venues = registry.make()
    for at in range(0, len(records), SLICE):
        part = records[at : at + SLICE]
        for pipeline, kind in ((with_, None), (without, NoReadings), (book, BookReadings)):
            infer_instruments(pipeline, part)
            for market in pipeline.engine.markets.values():
                if kind is not None and not isinstance(market.analytics, kind):
                    market.analytics = kind(market.base)
                    for state in market.instruments.values():
                        market.analytics.add(state.instrument, state.sync)
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


def day(path: Path, limit: int = 0) -> dict[str, object]:
    """CPU seconds that `DAY` diffs and trades would take in the mix of a recording, without its
    quotes: decoded, folded and read off. A busy recording has less seconds a record than a day, so
    the work of a second weighs less in it; `records_a_s` says how busy it is."""
    records = list(open_recording(path))[: limit or None]
    pipeline, venues = _engine(), registry.make()
    infer_instruments(pipeline, records)
    chosen = [
        record
        for record in records
        if not all(isinstance(event, BestQuote) for event in _decode([record], venues, pipeline))
    ]
    warm = len(chosen) // 5
    pipeline.consume(chosen[:warm])
    started = time.process_time_ns()
    pipeline.consume(chosen[warm:])
    spent = (time.process_time_ns() - started) / 1e9
    count = len(chosen) - warm
    took_s = (chosen[-1].received_ns - chosen[warm].received_ns) / 1e9
    return {
        "recording": path.name,
        "records": count,
        "records_a_s": count / took_s,
        "day_s": spent / count * DAY,
    }


def _engine() -> Pipeline:
    venues = registry.make()
    return Pipeline(Engine({name: venue.book_rule for name, venue in venues.items()}), venues)


def _decode(part: Sequence[Record], venues: dict[str, Venue], of: Pipeline) -> list[Event]:
    events: list[Event] = []
    for record in part:
        if isinstance(record, Frame):
            events += venues[record.venue].decode(record, of.engine.instruments)
        else:
            events.append(record)
    return events


def main(arguments: Sequence[str] = ()) -> None:
    """Print two JSON rows a recording: ratios, a day; a number first limits the records."""
    names = list(arguments or sys.argv[1:])
    limit = int(names.pop(0)) if names and names[0].isdigit() else 0
    for name in names:
        for figures in (cost(Path(name), limit), day(Path(name), limit)):
            sys.stdout.buffer.write(msgspec.json.encode(figures) + b"\n")


if __name__ == "__main__":
    main()
