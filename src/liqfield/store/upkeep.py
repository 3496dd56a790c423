"""The store looked after: sizes, packing of finished segments, retention, verification.

Folder of the program's data: frames/ (recording), map/ (slabs), candles/, history/ (imports),
learnt/ (what prints taught the estimators),
backfill/ and tiers/ (replies that the next start need not ask for again), cot/ (dropped reports).
Everything here may run while the terminal records: the running segment is never touched.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import duckdb
import msgspec
import numpy as np
import zstandard

from liqfield.model.errors import StoreError
from liqfield.model.events import Frame, Gap, Record
from liqfield.store import dense, segment
from liqfield.store.candle_history import DAY_BYTES
from liqfield.store.frames import recording_files
from liqfield.store.segment import ReadReport
from liqfield.store.slab import decode_slab
from liqfield.store.table import quoted

FRAMES, MAPS, CANDLES, HISTORY = "frames", "map", "candles", "history"
BACKFILL, TIERS, COT, LEARNT = "backfill", "tiers", "cot", "learnt"
KINDS = (FRAMES, MAPS, CANDLES, HISTORY, BACKFILL, TIERS, COT, LEARNT)
QUIET_S = 7_200.0  # the writer leaves a segment for a new one after an hour
GROUP_BYTES = 64 << 20


class KindSize(msgspec.Struct):
    """Bytes and files of one kind; by_day: UTC day -> bytes."""

    bytes: int = 0
    files: int = 0
    by_day: dict[str, int] = {}


class Packed(msgspec.Struct, frozen=True):
    """Segments that became one dense file."""

    path: str
    segments: int
    bytes_before: int
    bytes_after: int


class FileCheck(msgspec.Struct):
    """One file. torn_bytes: cut off at its end (what a crash leaves); why: empty when sound.

    losses: recorded gaps by reason, which are facts of the recording and no damage.
    """

    path: str
    kind: str
    bytes: int
    records: int = 0
    first_ns: int = 0
    last_ns: int = 0
    torn_bytes: int = 0
    losses: dict[str, int] = {}
    why: str = ""

    @property
    def is_damaged(self) -> bool:
        """A torn tail is no damage: it is what a crash leaves, and readers cut it off."""
        return bool(self.why) and not self.why.startswith("torn")


# ---- sizes ------------------------------------------------------------------------------------


def sizes(root: Path) -> dict[str, KindSize]:
    """What lies on disk by kind and day. Slabs span days: they count for the day written."""
    out: dict[str, KindSize] = {}
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if not path.is_file() or parts[0] not in KINDS:
            continue
        kind = f"{HISTORY}/{parts[1]}" if parts[0] == HISTORY and len(parts) > 2 else parts[0]
        size = out.setdefault(kind, KindSize(by_day={}))
        stat = path.stat()
        day = _day_of(path, parts[0], stat.st_mtime)
        size.bytes += stat.st_size
        size.files += 1
        size.by_day[day] = size.by_day.get(day, 0) + stat.st_size
    for size in out.values():
        size.by_day = dict(sorted(size.by_day.items()))
    return out


def _day_of(path: Path, kind: str, written_s: float) -> str:
    if kind == FRAMES and path.stem.isdigit():
        return _day(int(path.stem) / 1e9)
    if kind == CANDLES and path.stem.isdigit():
        return _day(int(path.stem) * 86_400.0)
    if kind == HISTORY and path.suffix == ".parquet":
        return path.parent.name
    return _day(written_s)


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


# ---- packing and retention --------------------------------------------------------------------


def pack(folder: Path, now_s: float) -> Iterator[Packed]:
    """Pack finished segments into dense files, small ones together. Damaged ones stay as they are.

    A crash leaves either the segments or the dense file in force (frames.recording_files).
    """
    for group in _groups(_finished(folder, now_s)):
        yield _pack_group(folder, group)


def _groups(files: list[Path]) -> Iterator[list[Path]]:
    """Runs of neighbours up to GROUP_BYTES; a damaged segment ends a run: order must stay."""
    group: list[Path] = []
    size = 0
    for path in files:
        report = ReadReport(str(path))
        for _ in segment.read_segment(path, report):
            pass
        is_damaged = bool(report.why) and not report.why.startswith("torn")
        if group and (is_damaged or size + path.stat().st_size > GROUP_BYTES):
            yield group
            group, size = [], 0
        if not is_damaged:
            group.append(path)
            size += path.stat().st_size
    if group:
        yield group


def _finished(folder: Path, now_s: float) -> list[Path]:
    """Every segment but the running one; leftovers of a packing cut short are removed here."""
    if not folder.is_dir():
        return []
    try:
        in_force = set(recording_files(folder))
    except StoreError:
        return []
    files = sorted(folder.glob(f"*{segment.SUFFIX}"))
    for file in [file for file in files if file not in in_force]:
        file.unlink(missing_ok=True)
    files = [file for file in files if file in in_force]
    if files and now_s - files[-1].stat().st_mtime < QUIET_S:
        files.pop()
    return [file for file in files if file.stat().st_size > len(segment.MAGIC)]


def _pack_group(folder: Path, group: list[Path]) -> Packed:
    before = sum(file.stat().st_size for file in group)

    def records() -> Iterator[Record]:
        for path in group:
            yield from segment.read_segment(path, ReadReport(str(path)))

    out = folder / f"{group[0].stem}{dense.SUFFIX}"
    after = dense.write_dense(out, records(), [path.name for path in group])
    for path in group:
        path.unlink(missing_ok=True)
    return Packed(str(out), len(group), before, after)


def prune(
    folder: Path, *, now_ns: int, keep_s: float = 0.0, keep_bytes: int = 0
) -> list[tuple[str, int]]:
    """Remove the oldest recordings beyond age or size (0 = no limit); the newest file stays.

    Returns (path, bytes) of what went. A file is as old as the newest record it may hold: the
    beginning of the next one.
    """
    if not folder.is_dir():
        return []
    try:
        files = recording_files(folder)
    except StoreError:
        return []
    total = sum(file.stat().st_size for file in files)
    gone = []
    for file, following in pairwise(files):
        too_old = keep_s > 0.0 and int(following.stem) < now_ns - int(keep_s * 1e9)
        too_much = 0 < keep_bytes < total
        if not (too_old or too_much):
            break
        size = file.stat().st_size
        file.unlink(missing_ok=True)
        total -= size
        gone.append((str(file), size))
    return gone


_UNSOUND = (
    StoreError, OSError, ValueError, zstandard.ZstdError, duckdb.Error, msgspec.MsgspecError,
    zlib.error,
)  # fmt: skip

# ---- verification -----------------------------------------------------------------------------


def check(root: Path) -> Iterator[FileCheck]:
    """Read every file of the store whole: checksums, torn tails, gaps, order."""
    frames = root / FRAMES
    if frames.is_dir() and any(frames.iterdir()):
        for path in recording_files(frames):
            yield check_recording(path)
    for kind, pattern in _PATTERNS.items():
        for path in sorted((root / kind).rglob(pattern)):
            found = FileCheck(str(path), kind, path.stat().st_size, losses={})
            try:
                found.records = _CHECKS[kind](path)
            except _UNSOUND as error:
                found.why = str(error)
            yield found


def check_recording(path: Path) -> FileCheck:
    """One segment or dense file."""
    found = FileCheck(str(path), FRAMES, path.stat().st_size, losses={})
    report = ReadReport(str(path))
    reader = dense.read_dense if path.suffix == dense.SUFFIX else segment.read_segment
    losses: Counter[str] = Counter()
    try:
        for record in reader(path, report):
            found.records += 1
            found.first_ns = found.first_ns or record.received_ns
            found.last_ns = max(found.last_ns, record.received_ns)
            if isinstance(record, Gap):
                losses[record.reason.value] += 1
        found.torn_bytes, found.why = report.torn_bytes, report.why
    except StoreError as error:
        # A crash right after a segment was begun leaves less than its magic.
        is_begun = path.stat().st_size < len(segment.MAGIC)
        found.why = "torn before its first block" if is_begun else error.why
    found.losses = dict(losses)
    return found


def _slab(path: Path) -> int:
    return sum(column is not None for column in decode_slab(path.read_bytes())[1])


def _candles(path: Path) -> int:
    raw = zstandard.ZstdDecompressor().decompress(path.read_bytes())
    if len(raw) != DAY_BYTES:
        raise ValueError(f"holds {len(raw)} bytes instead of {DAY_BYTES}")
    return int((~np.isnan(np.frombuffer(raw).reshape(-1, 5)[:, 0])).sum())


def _parquet(path: Path) -> int:
    # Reading every column of every row decodes every page.
    with duckdb.connect() as base:
        table = base.sql(f"SELECT count(*), bit_xor(hash(t)) FROM read_parquet({quoted(path)}) t")
        return int(table.fetchall()[0][0])


def _reply(path: Path) -> int:
    raw = path.read_bytes()
    if path.suffix == ".reply":
        raw = zstandard.ZstdDecompressor().decompress(raw)
    msgspec.msgpack.decode(raw, type=Frame)
    return 1


def _law(path: Path) -> int:
    msgspec.msgpack.decode(zlib.decompress(path.read_bytes()), type=dict)
    return 1


_CHECKS = {
    MAPS: _slab, CANDLES: _candles, HISTORY: _parquet, BACKFILL: _reply, TIERS: _reply,
    LEARNT: _law,
}  # fmt: skip
_PATTERNS = {
    MAPS: "*.slab", CANDLES: "*.candles", HISTORY: "*.parquet", BACKFILL: "*.reply",
    TIERS: "*.tiers", LEARNT: "*.law",
}  # fmt: skip
