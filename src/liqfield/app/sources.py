"""Where facts come from: a recording or a downloaded archive, as events in event-time order.

`recording:PATH`, `tardis:DIR`, `binance-vision:DIR`, `bybit:DIR`, `okx:DIR`, `hyperliquid:DIR`.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Protocol, TypeAlias

import msgspec

from liqfield.app.instruments import archived, saved_list
from liqfield.app.pipeline import Pipeline
from liqfield.app.settings import nearest
from liqfield.app.terminal import infer_instruments
from liqfield.engine.engine import Engine
from liqfield.engine.history import HistoryBuffer
from liqfield.engine.instrument import RecentKeys
from liqfield.engine.market import MAX_AHEAD_NS
from liqfield.model.errors import SettingError, StoreError
from liqfield.model.events import (
    BestQuote,
    BookDelta,
    BookSnapshot,
    Candle,
    Event,
    Gap,
    ImportedPast,
    Liquidation,
    Listing,
    MarketEvent,
    MarkPrice,
    Notice,
    Trade,
    Unknown,
)
from liqfield.model.instrument import Instrument
from liqfield.store.archives.binance import BinanceVision
from liqfield.store.archives.bybit import Bybit
from liqfield.store.archives.hyperliquid import Hyperliquid
from liqfield.store.archives.okx import Okx
from liqfield.store.archives.plan import Archive, ArchiveFile, merged, with_claims
from liqfield.store.archives.rows import FileReport
from liqfield.store.archives.tardis import Tardis
from liqfield.store.foreign import open_recording
from liqfield.store.segment import ReadReport
from liqfield.venues import registry

Fact: TypeAlias = MarketEvent | Gap
ARCHIVES: dict[str, Callable[[], Archive]] = {
    "tardis": Tardis,
    "binance-vision": BinanceVision,
    "bybit": Bybit,
    "okx": Okx,
    "hyperliquid": Hyperliquid,
}
LATE_NS = 3_000_000_000
_HELD = 200_000
_BOOKS = BookSnapshot | BookDelta | BestQuote


def event_ns(fact: Fact) -> int:
    """A gap happens when we notice it."""
    return fact.received_ns if isinstance(fact, Gap) else fact.event_ns


def open_source(text: str, contract_value: float | None = None) -> Source:
    """("tardis:DIR") -> a source. Raises SettingError on an unknown kind or an absent path."""
    kind, _, rest = text.partition(":")
    kinds = ("recording", *ARCHIVES)
    if kind not in kinds:
        raise SettingError(f"source {text!r} is not KIND:PATH; {nearest(kind, kinds)}")
    if not rest:
        raise SettingError(f"source {text!r} is not KIND:PATH; write it as {kind}:FOLDER")
    if contract_value is not None and not 0.0 < contract_value < math.inf:
        raise SettingError(f"--contract-value {contract_value}: not a positive number")
    path = Path(rest).expanduser()
    if not path.exists():
        raise SettingError(f"source {text!r}: there is no {path}")
    if kind == "recording":
        return RecordingSource(path)
    return ArchiveSource(kind, path, contract_value)


class Source(Protocol):
    """`events` may be called once an instrument; `reports` fill while it is read."""

    @property
    def reports(self) -> list[FileReport]: ...

    def instrument(self, instrument_id: str) -> Instrument:
        """Raises SettingError naming the nearest one where the source holds nothing of it."""
        ...

    def events(self, instrument_id: str) -> Iterator[Fact]:
        """Facts of one instrument without its books, in event-time order."""
        ...


class ArchiveSource:
    """Files of a vendor, merged; each day from the best file that speaks for it."""

    def __init__(self, kind: str, path: Path, contract_value: float | None = None) -> None:
        self.archive = ARCHIVES[kind]()
        found, self.reports = self.archive.find(path)
        self.files = with_claims(found)
        self._path = path
        self._contract_value = contract_value
        self._lists: dict[str, dict[str, Instrument]] = {}
        if not self.files:
            told = next((f" ({Path(r.path).name}: {r.why})" for r in self.reports if r.why), "")
            raise StoreError(str(path), f"no file of a {kind} archive that is read here{told}")

    def instrument_ids(self) -> list[str]:
        """Named by the files; files of all markets name none."""
        return sorted({self.archive.instrument_id(f) for f in self.files} - {""})

    def instrument(self, instrument_id: str) -> Instrument:
        venue = instrument_id.partition(":")[0]
        if venue not in self._lists:
            self._lists[venue] = saved_list(self._path, venue)
        return archived(instrument_id, self._lists[venue], self._contract_value)

    def files_of(self, instrument_id: str) -> list[ArchiveFile]:
        files = [f for f in self.files if self.archive.instrument_id(f) in ("", instrument_id)]
        if not any(self.archive.instrument_id(f) == instrument_id for f in files):
            ids = tuple(self.instrument_ids())
            if ids and not files:
                hint = nearest(instrument_id, ids)
                raise SettingError(f"{self._path} holds nothing of {instrument_id}: {hint}")
        return files

    def events(self, instrument_id: str) -> Iterator[Fact]:
        of = self.instrument(instrument_id)
        return merged(self.archive, self.files_of(instrument_id), of, self.reports)


class RecordingSource:
    """Frames of ours or of others, decoded; the back-filled past comes first, then live facts."""

    def __init__(self, path: Path) -> None:
        self.reports: list[FileReport] = []
        self._path = path
        # It follows nothing: only its catalogue of listings is used.
        self._engine = Engine({v.name: v.book_rule for v in registry.make().values()}, frozenset())
        self.known: dict[str, Instrument] = {}

    def instrument(self, instrument_id: str) -> Instrument:
        """Known once its listing (or first book) has been read: reads as far as that."""
        if instrument_id not in self.known:
            for _ in self.decoded(lambda: instrument_id in self.known):
                pass
        if instrument_id not in self.known:
            ids = tuple(sorted(self.known))
            hint = nearest(instrument_id, ids) if ids else "it lists no instrument"
            raise SettingError(f"{self._path} holds nothing of {instrument_id}: {hint}")
        return self.known[instrument_id]

    def events(self, instrument_id: str) -> Iterator[Fact]:
        self.instrument(instrument_id)
        report = FileReport(f"{self._path}: order")
        self.reports.append(report)
        venue = instrument_id.partition(":")[0]
        mine = (event for event in self.decoded() if _concerns(event, instrument_id, venue))
        return _by_event_time(mine, report)

    def decoded(self, enough: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Every event and gap in the order recorded, until `enough`."""
        batch: list[Event] = []
        engine = self._engine
        pipeline = Pipeline(engine, registry.make())
        files: list[ReadReport] = []
        for record in open_recording(self._path, "", files):
            if enough():
                return
            infer_instruments(pipeline, [record])
            if isinstance(record, Gap):
                batch.append(record)
            else:
                for event in pipeline.decode(record):
                    batch += event.events if isinstance(event, ImportedPast) else (event,)
            for event in batch:
                if isinstance(event, Listing):
                    engine.instruments[event.instrument.id] = event.instrument
            self.known.update(engine.instruments)
            yield from batch
            batch.clear()
        for file in files:
            if file.why:
                report = FileReport(file.path, why=f"{file.why}: {file.torn_bytes} bytes cut off")
                self.reports.append(report)


def _concerns(event: Event, instrument_id: str, venue: str) -> bool:
    if isinstance(event, Gap):
        return event.instrument_id == instrument_id or (
            not event.instrument_id and event.venue == venue
        )
    if isinstance(event, Notice | Unknown | Listing | _BOOKS):
        return False
    if isinstance(event, Candle) and not event.is_history:
        return False  # repeats what trades said, stamped with an end that is still to come
    return event.instrument_id == instrument_id


def _by_event_time(events: Iterator[Event], report: FileReport) -> Iterator[Fact]:
    """The past of history replies up to the first live fact, then live facts, LATE_NS held back."""
    history = HistoryBuffer()
    seen = RecentKeys(16_384)
    heap: list[tuple[int, int, Fact]] = []
    newest = last = n = 0
    for event in events:
        assert not isinstance(event, Notice | Unknown)
        n += 1
        is_settled = getattr(event, "is_settled", False)
        if not isinstance(event, Gap) and (getattr(event, "is_history", False) or is_settled):
            history.add(event)
            continue
        if _is_repeated(event, seen):
            report.skip("repeated")
            continue
        at = min(event_ns(event), event.received_ns + MAX_AHEAD_NS)
        if history and isinstance(event, Trade | MarkPrice):
            for past in _drained(history, at):
                if past.event_ns >= last:
                    n += 1
                    heapq.heappush(heap, (past.event_ns, n, past))
                else:
                    report.skip("history of what was already seen live")
        if at < last:
            report.skip("later than 3 s")
            continue
        heapq.heappush(heap, (at, n, event))
        newest = max(newest, at)
        while heap and (heap[0][0] <= newest - LATE_NS or len(heap) > _HELD):
            last, _, oldest = heapq.heappop(heap)
            yield oldest
    for past in _drained(history, 1 << 62):
        if past.event_ns >= last:
            n += 1
            heapq.heappush(heap, (past.event_ns, n, past))
    while heap:
        yield heapq.heappop(heap)[2]


def _drained(history: HistoryBuffer, until_ns: int) -> Iterator[MarketEvent]:
    for piece in history.drain(until_ns):
        yield from chain.from_iterable(piece.events.values())


def _is_repeated(event: Fact, seen: RecentKeys) -> bool:
    if isinstance(event, Trade):
        return seen.seen(event.trade_id)
    if isinstance(event, Liquidation):
        return seen.seen((event.event_ns, event.position_side, event.price, event.quantity))
    return False


def summary(reports: list[FileReport]) -> list[dict[str, object]]:
    """What was skipped, for people and for JSON; files without any remark are left out."""
    return [msgspec.to_builtins(r) for r in reports if r.skipped or r.why]
