"""Bytes a level update on disk, measured: `python -m liqfield.app.packing RECORDING...`.

Prints JSON for each recording: levels in book messages, level updates in all (a best quote states
two), and the bytes of everything recorded, live (segments) and packed (dense).
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
    """Sizes in bytes; per level: all bytes, trades and quotes included, over the book's levels."""

    path: str
    records: int
    seconds: float
    book_levels: int
    level_updates: int
    raw_bytes: int
    live_bytes: int
    packed_bytes: int
    live_per_level: float
    packed_per_level: float
    packed_per_level_update: float
    live_cpu_s: float
    packed_cpu_s: float
    unpacked_cpu_s: float
    is_identical: bool


def measure(path: Path, limit: int | None = None) -> Packing:
    """Record a capture (its first `limit` records) as the terminal would, pack it, read it back."""
    records = list(islice(open_recording(path), limit))
    levels, quotes, raw = _count(records)
    with tempfile.TemporaryDirectory(prefix="liqfield-packing-") as folder:
        live = Path(folder) / "live"
        start = time.process_time()
        writer = RecordWriter(live)
        for record in records:
            writer.append(record)
        writer.close()
        recorded = time.process_time()
        packed = write_dense(Path(folder) / f"all{SUFFIX}", read_records(live))
        done = time.process_time()
        is_identical = list(read_records(Path(folder) / f"all{SUFFIX}")) == records
        end = time.process_time()
    span_ns = records[-1].received_ns - records[0].received_ns if records else 0
    return Packing(
        path=path.name,
        records=len(records),
        seconds=span_ns / 1e9,
        book_levels=levels,
        level_updates=levels + 2 * quotes,
        raw_bytes=raw,
        live_bytes=writer.bytes_written,
        packed_bytes=packed,
        live_per_level=round(writer.bytes_written / max(levels, 1), 3),
        packed_per_level=round(packed / max(levels, 1), 3),
        packed_per_level_update=round(packed / max(levels + 2 * quotes, 1), 3),
        live_cpu_s=round(recorded - start, 3),
        packed_cpu_s=round(done - recorded, 3),
        unpacked_cpu_s=round(end - done, 3),
        is_identical=is_identical,
    )


def _count(records: Sequence[Record]) -> tuple[int, int, int]:
    """(levels in book messages, best quotes, bytes of payloads)."""
    venues = registry.make()
    pipeline = Pipeline(Engine({n: v.book_rule for n, v in venues.items()}, frozenset()), venues)
    levels = quotes = raw = 0
    for record in records:
        if not isinstance(record, Frame):
            continue
        raw += len(record.payload)
        infer_instruments(pipeline, [record])
        for event in pipeline.decode(record):
            if isinstance(event, Listing):
                pipeline.engine.list(event.instrument)
            elif isinstance(event, BookDelta | BookSnapshot):
                levels += len(event.levels.price_ticks)
            quotes += isinstance(event, BestQuote)
    return levels, quotes, raw


if __name__ == "__main__":
    for name in sys.argv[1:]:
        report = msgspec.json.encode(measure(Path(name)))
        print(msgspec.json.format(report, indent=2).decode())
