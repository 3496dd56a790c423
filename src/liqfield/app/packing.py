"""Bytes a level update on disk, measured: `python -m liqfield.app.packing RECORDING...`.

Prints JSON for each recording: level updates (a row of a book message, changed or repeated, is one;
a best quote states two), and bytes on disk, live (segments) and packed (dense), of everything that
was recorded and of the messages alone that hold those rows.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import msgspec

from liqfield.app.pipeline import Pipeline
from liqfield.app.terminal import infer_instruments
from liqfield.engine.engine import Engine
from liqfield.model.events import BestQuote, BookDelta, BookSnapshot, Frame, Listing, Record
from liqfield.store.dense import SUFFIX, write_dense
from liqfield.store.foreign import open_recording
from liqfield.store.frames import RecordWriter, read_records
from liqfield.venues import registry


class Packing(msgspec.Struct):
    """Sizes in bytes. per_update: over level updates; books: of the messages that hold them alone,
    the rest of the recording left out; book_levels: rows of books, without quotes."""

    path: str
    records: int
    seconds: float
    book_levels: int
    level_updates: int
    raw_bytes: int
    live_bytes: int
    packed_bytes: int
    books_live_bytes: int
    books_packed_bytes: int
    live_per_update: float
    packed_per_update: float
    books_live_per_update: float
    books_packed_per_update: float
    live_cpu_s: float
    packed_cpu_s: float
    unpacked_cpu_s: float
    is_identical: bool


def measure(path: Path, limit: int | None = None) -> Packing:
    """Record a capture (its first `limit` records) as the terminal would, pack it, read it back."""
    records = list(islice(open_recording(path), limit))
    levels, quotes, books = _count(records)
    updates = max(levels + 2 * quotes, 1)
    all_of, of_books = _sizes(records), _sizes(books)
    span_ns = records[-1].received_ns - records[0].received_ns if records else 0
    return Packing(
        path=path.name,
        records=len(records),
        seconds=span_ns / 1e9,
        book_levels=levels,
        level_updates=updates,
        raw_bytes=sum(len(record.payload) for record in records if isinstance(record, Frame)),
        live_bytes=all_of.live,
        packed_bytes=all_of.packed,
        books_live_bytes=of_books.live,
        books_packed_bytes=of_books.packed,
        live_per_update=round(all_of.live / updates, 3),
        packed_per_update=round(all_of.packed / updates, 3),
        books_live_per_update=round(of_books.live / updates, 3),
        books_packed_per_update=round(of_books.packed / updates, 3),
        live_cpu_s=round(all_of.live_cpu_s, 3),
        packed_cpu_s=round(all_of.packed_cpu_s, 3),
        unpacked_cpu_s=round(all_of.unpacked_cpu_s, 3),
        is_identical=all_of.is_identical and of_books.is_identical,
    )


class _Sizes(msgspec.Struct):
    live: int
    packed: int
    live_cpu_s: float
    packed_cpu_s: float
    unpacked_cpu_s: float
    is_identical: bool


def _sizes(records: list[Record]) -> _Sizes:
    with tempfile.TemporaryDirectory(prefix="liqfield-packing-") as folder:
        live = Path(folder) / "live"
        start = time.process_time()
        writer = RecordWriter(live)
        for record in records:
            writer.append(record)
        writer.close()
        recorded = time.process_time()
        if not records:
            return _Sizes(0, 0, 0.0, 0.0, 0.0, True)
        packed = write_dense(Path(folder) / f"all{SUFFIX}", read_records(live))
        done = time.process_time()
        is_identical = list(read_records(Path(folder) / f"all{SUFFIX}")) == records
        end = time.process_time()
    return _Sizes(
        writer.bytes_written, packed, recorded - start, done - recorded, end - done, is_identical
    )


def _count(records: Sequence[Record]) -> tuple[int, int, list[Record]]:
    """(levels in book messages, best quotes, the frames that hold them)."""
    venues = registry.make()
    pipeline = Pipeline(Engine({n: v.book_rule for n, v in venues.items()}, frozenset()), venues)
    levels = quotes = 0
    books: list[Record] = []
    for record in records:
        if not isinstance(record, Frame):
            continue
        infer_instruments(pipeline, [record])
        before = levels, quotes
        for event in pipeline.decode(record):
            if isinstance(event, Listing):
                pipeline.engine.list(event.instrument)
            elif isinstance(event, BookDelta | BookSnapshot):
                levels += len(event.levels.price_ticks)
            quotes += isinstance(event, BestQuote)
        if before != (levels, quotes):
            books.append(record)
    return levels, quotes, books


if __name__ == "__main__":
    for name in sys.argv[1:]:
        report = msgspec.json.encode(measure(Path(name)))
        print(msgspec.json.format(report, indent=2).decode())
