"""Which file speaks for which day: daily beats monthly, trades beat candles, fine beats coarse."""

from __future__ import annotations

import calendar
import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Protocol

import msgspec

from liqfield.model.durations import DAY_NS
from liqfield.model.errors import SettingError
from liqfield.model.events import Candle, MarketEvent, OpenInterest
from liqfield.model.instrument import Instrument
from liqfield.store.archives.order import rank, reordered
from liqfield.store.archives.rows import FileReport

INTERVAL_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class ArchiveFile(msgspec.Struct, frozen=True):
    """One file of an archive.

    topic: what it speaks of; files of one topic compete for days, the lowest `rank` wins.
    first_day..last_day: days since epoch in the archive's own reckoning, both inside.
    part: which piece of the day, for archives that cut it.
    """

    path: Path
    family: str
    symbol: str
    topic: str
    rank: tuple[int, ...]
    first_day: int
    last_day: int
    interval_ns: int = 0
    part: int = 0
    taken_days: frozenset[int] = frozenset()

    @property
    def is_monthly(self) -> bool:
        return self.last_day > self.first_day


class Archive(Protocol):
    """How one vendor names and writes its files.

    day_offset_ns: how much earlier than UTC's its day begins.
    """

    @property
    def day_offset_ns(self) -> int: ...

    def find(self, folder: Path) -> tuple[list[ArchiveFile], list[FileReport]]:
        """Files we read, and reports on those we do not."""
        ...

    def instrument_id(self, file: ArchiveFile) -> str:
        """Whose events the file holds; "" where the rows say it."""
        ...

    def read(self, file: ArchiveFile, of: Instrument, report: FileReport) -> Iterator[MarketEvent]:
        """Events of the instrument, at most order.DEPTH places out of time order."""
        ...


def days_of(text: str) -> tuple[int, int]:
    """("2024-01-31") -> the day twice; ("2024-01") -> first and last day of the month."""
    parts = [int(part) for part in text.split("-")]
    epoch = date(1970, 1, 1)
    if len(parts) == 3:
        day = (date(*parts) - epoch).days
        return day, day
    first = (date(parts[0], parts[1], 1) - epoch).days
    return first, first + calendar.monthrange(parts[0], parts[1])[1] - 1


def interval_ns(text: str) -> int:
    """("5m") -> 300e9; the month "1mo" is no fixed interval and refused."""
    if text[-1:] not in INTERVAL_S or not text[:-1].isdigit():
        raise SettingError(f"not an interval: {text!r} (such as 1m, 5m, 1h, 1d)")
    return int(text[:-1]) * INTERVAL_S[text[-1]] * 1_000_000_000


def with_claims(files: Iterable[ArchiveFile]) -> list[ArchiveFile]:
    """Every file with the days that a better one of its topic already speaks for."""
    out: list[ArchiveFile] = []
    by_topic: dict[tuple[str, str], list[ArchiveFile]] = {}
    for file in files:
        by_topic.setdefault((file.symbol, file.topic), []).append(file)
    for rivals in by_topic.values():
        taken: frozenset[int] = frozenset()
        rivals.sort(key=lambda f: (f.rank, f.first_day, str(f.path)))
        for place in sorted({f.rank for f in rivals}):
            level = [f for f in rivals if f.rank == place]
            out += [msgspec.structs.replace(f, taken_days=taken) for f in level]
            taken |= {d for f in level for d in range(f.first_day, f.last_day + 1)}
    return out


def chains(files: Sequence[ArchiveFile]) -> list[list[ArchiveFile]]:
    """Files to read one after the other; chains run side by side and are merged."""
    found: dict[tuple[object, ...], list[ArchiveFile]] = {}
    for file in files:
        found.setdefault((file.symbol, file.topic, file.family, file.rank), []).append(file)
    return [
        sorted(chain, key=lambda f: (f.first_day, f.part, str(f.path))) for chain in found.values()
    ]


def merged(
    archive: Archive, files: Sequence[ArchiveFile], of: Instrument, reports: list[FileReport]
) -> Iterator[MarketEvent]:
    """Events of all files in event-time order; one file of each chain is open at a time."""
    streams = []
    for chain in chains(files):
        report = FileReport(f"{chain[0].family} of {of.id}: order")
        streams.append(reordered(_chained(archive, chain, of, reports), report))
        reports.append(report)
    return heapq.merge(*streams, key=rank)


def _chained(
    archive: Archive, chain: Sequence[ArchiveFile], of: Instrument, reports: list[FileReport]
) -> Iterator[MarketEvent]:
    for file in chain:
        report = FileReport(str(file.path))
        reports.append(report)
        yield from unclaimed(archive, file, of, report)


def unclaimed(
    archive: Archive, file: ArchiveFile, of: Instrument, report: FileReport
) -> Iterator[MarketEvent]:
    """The file's events without those of days that a better file speaks for."""
    events = archive.read(file, of, report)
    if not file.taken_days:
        yield from events
        return
    for event in events:
        # Candles and open interest are stamped with the end of their interval.
        inside_ns = event.event_ns - isinstance(event, Candle | OpenInterest)
        if (inside_ns + archive.day_offset_ns) // DAY_NS in file.taken_days:
            report.skip("a better file speaks for that day")
        else:
            yield event
