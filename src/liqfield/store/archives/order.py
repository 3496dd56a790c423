"""Rows and events into event-time order with bounded memory."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import TypeVar

import msgspec

from liqfield.model.events import Candle, FundingRate, MarketEvent, OpenInterest
from liqfield.store.archives.rows import FileReport

DEPTH = 4_096
PEEK = 20_000
RUN = 500_000
T = TypeVar("T", bound=MarketEvent)
Row = list[str]


def rank(event: MarketEvent) -> tuple[int, int]:
    """Sort key: time; at one time mark candle, last candle, funding, open interest, others."""
    kind = type(event)
    if kind is Candle:
        return event.event_ns, 0 if event.of == "mark" else 1  # type: ignore[union-attr]
    return event.event_ns, 2 if kind is FundingRate else 3 if kind is OpenInterest else 4


def reordered(events: Iterable[T], report: FileReport, depth: int = DEPTH) -> Iterator[T]:
    """Time order for rows that are at most `depth` places late; later ones are dropped, counted."""
    heap: list[tuple[int, int, T]] = []
    last = n = 0
    for event in events:
        n += 1
        if event.event_ns < last:
            report.skip("later than the reorder buffer")
            continue
        item = (event.event_ns, n, event)
        if len(heap) < depth:
            heapq.heappush(heap, item)
            continue
        last, _, oldest = heapq.heappushpop(heap, item)
        yield oldest
    while heap:
        yield heapq.heappop(heap)[2]


def in_time(
    rows: Iterable[Row],
    time_of: Callable[[Row], int],
    *,
    always: bool = False,
    run: int = RUN,
) -> Iterator[Row]:
    """Rows that begin badly out of order (or `always`) are sorted on disk; others pass through.

    Some monthly files are interleaved although their checksum is right, and old files run
    backwards; a reorder buffer cannot mend those.
    """
    source = iter(rows)
    head = list(islice(source, PEEK))
    if not always:
        times = [_time(row, time_of) for row in head]
        back = sum(b < a for a, b in pairwise(times))
        always = back > max(len(head) // 100, 2)
    rest = chain(head, source)
    return sorted_on_disk(rest, time_of, run) if always else rest


def _time(row: Row, time_of: Callable[[Row], int]) -> int:
    try:
        return time_of(row)
    except ValueError:
        return 0  # judged and counted where the row is read


def sorted_on_disk(
    rows: Iterable[Row], time_of: Callable[[Row], int], run: int = RUN
) -> Iterator[Row]:
    """An external merge sort: `run` rows in memory, the rest in temporary files."""
    source = iter(rows)
    first = sorted(islice(source, run), key=lambda row: _time(row, time_of))
    if len(first) < run:
        yield from first
        return
    with tempfile.TemporaryDirectory(prefix="liqfield-sort-") as folder:
        files = [_spill(Path(folder) / "0", first)]
        while more := sorted(islice(source, run), key=lambda row: _time(row, time_of)):
            files.append(_spill(Path(folder) / str(len(files)), more))
        yield from heapq.merge(*map(_spilled, files), key=lambda row: _time(row, time_of))


def _spill(path: Path, rows: list[Row]) -> Path:
    with path.open("wb") as out:
        for i in range(0, len(rows), 1000):
            block = msgspec.msgpack.encode([list(row) for row in rows[i : i + 1000]])
            out.write(len(block).to_bytes(4, "little") + block)
    return path


def _spilled(path: Path) -> Iterator[Row]:
    decoder = msgspec.msgpack.Decoder(list[list[str]])
    with path.open("rb") as file:
        while head := file.read(4):
            yield from decoder.decode(file.read(int.from_bytes(head, "little")))


class Recent:
    """The newest keys of one file: vendors write rows twice."""

    def __init__(self, capacity: int = 65_536) -> None:
        self._keys: dict[object, None] = {}
        self._capacity = capacity

    def seen(self, key: object) -> bool:
        if key in self._keys:
            return True
        self._keys[key] = None
        if len(self._keys) > self._capacity:
            del self._keys[next(iter(self._keys))]
        return False
