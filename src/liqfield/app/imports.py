"""`liqfield import`: downloaded archives into the program's own history.

One source file after the other, each whole or not at all: a killed import goes on at the file where
it was, and a second run of a finished one has nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from liqfield.app.settings import nearest
from liqfield.app.sources import ARCHIVES, ArchiveSource
from liqfield.model.errors import SettingError
from liqfield.model.events import MarketEvent, Record
from liqfield.store.archives.order import reordered
from liqfield.store.archives.plan import ArchiveFile, unclaimed
from liqfield.store.archives.rows import FileReport
from liqfield.store.dense import SUFFIX, write_dense
from liqfield.store.foreign import open_recording
from liqfield.store.history import HistoryStore, Imported, digest_of

BOOKS = "books"


class ImportReport(msgspec.Struct):
    """What an import did. unread: files that are not read, with why; skipped: rows by reason."""

    vendor: str
    path: str
    imported: int = 0
    already_there: int = 0
    rows: int = 0
    instruments: list[str] = []
    skipped: dict[str, int] = {}
    unread: dict[str, str] = {}


def import_archive(
    vendor: str,
    path: Path,
    history: Path,
    *,
    instruments: Sequence[str] = (),
    contract_value: float | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> ImportReport:
    """Import a folder or file. history: the store's folder. instruments: only these; needed for
    files of all markets. Raises SettingError, StoreError."""
    if vendor not in ARCHIVES:
        raise SettingError(f"unknown vendor {vendor!r}: {nearest(vendor, tuple(ARCHIVES))}")
    if not path.exists():
        raise SettingError(f"there is no {path}")
    source = ArchiveSource(vendor, path, contract_value)
    wanted = list(instruments) or source.instrument_ids()
    if not wanted:
        raise SettingError(f"{path} holds files of all markets: say which with --instrument")
    store = HistoryStore(history)
    report = ImportReport(vendor, str(path), instruments=wanted, skipped={}, unread={})
    report.unread |= {r.path: r.why for r in source.reports if r.why}
    jobs = [(of, file) for of in wanted for file in _files(source, of)]
    for done, (instrument_id, file) in enumerate(jobs):
        if progress is not None:
            progress(done, len(jobs), file.path.name)
        # The days that a better file speaks for are part of what this one means.
        digest = digest_of(file.path) + "".join(f" {day}" for day in sorted(file.taken_days))
        if store.is_imported(digest, instrument_id):
            report.already_there += 1
            continue
        entry = _import_file(source, store, file, instrument_id, digest)
        store.commit(entry)
        report.imported += 1
        report.rows += entry.rows
        for reason, rows in entry.skipped.items():
            report.skipped[reason] = report.skipped.get(reason, 0) + rows
        if entry.why:
            report.unread[str(file.path)] = entry.why
    return report


def _files(source: ArchiveSource, instrument_id: str) -> Iterator[ArchiveFile]:
    yield from sorted(
        source.files_of(instrument_id), key=lambda f: (f.first_day, f.part, str(f.path))
    )


def _import_file(
    source: ArchiveSource, store: HistoryStore, file: ArchiveFile, instrument_id: str, digest: str
) -> Imported:
    name = "/".join(file.path.absolute().parts[-4:])
    if file.family == BOOKS:
        return _import_books(store, file, instrument_id, digest, name)
    of = source.instrument(instrument_id)
    report = FileReport(str(file.path), skipped={})
    events: Iterator[MarketEvent] = reordered(unclaimed(source.archive, file, of, report), report)
    entry = store.write(name, digest, instrument_id, events)
    entry.skipped, entry.why = dict(report.skipped), report.why
    return entry


def _import_books(
    store: HistoryStore, file: ArchiveFile, instrument_id: str, digest: str, name: str
) -> Imported:
    """Books stay frames: packed as a recording that replay, inspect and export read."""
    venue, _, symbol = instrument_id.partition(":")
    stem = file.path.name.partition(".")[0]
    out = store.folder / BOOKS / venue / symbol / f"{stem}{SUFFIX}"
    count = 0

    def records() -> Iterator[Record]:
        nonlocal count
        for record in open_recording(file.path, venue):
            count += 1
            yield record

    write_dense(out, records())
    return Imported(name, digest, instrument_id, [str(out.relative_to(store.folder))], count, {})
