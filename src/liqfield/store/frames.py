"""Recordings: frames and gaps, append-only, in the order consumed.

A file is the magic "LQF1" and blocks of: u32 length, u32 CRC-32 of the payload, payload = zstd of
msgpack rows. A block is written whole and flushed every `block_s` or `block_records`; what a crash
leaves is at most a torn last block, which readers cut off and report. Law: everything before the
first bad block is read; nothing after it is guessed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import zstandard

from liqfield.model.errors import StoreError
from liqfield.model.events import Frame, Gap, Record
from liqfield.model.sides import GapReason

MAGIC = b"LQF1"
SUFFIX = ".lqf"
_HEAD = struct.Struct("<II")
_MAX_BLOCK = 256 << 20  # a length beyond this is damage, not data


class ReadReport(msgspec.Struct):
    """What reading met: blocks and records read, bytes cut off at the end, and why."""

    path: str
    blocks: int = 0
    records: int = 0
    torn_bytes: int = 0
    why: str = ""


class RecordWriter:
    """Writes one recording as a folder of files `<first received_ns>.lqf`, rotated by size.

    Raises StoreError naming the file when the disk is full or read-only; the caller decides to go
    on without a recording, the program does not stop for it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        block_records: int = 512,
        block_ns: int = 1_000_000_000,
        rotate_bytes: int = 256 << 20,
        level: int = 3,
    ) -> None:
        self.folder = folder
        self.bytes_written = 0
        self.records = 0
        self._block_records = block_records
        self._block_ns = block_ns
        self._rotate_bytes = rotate_bytes
        self._zstd = zstandard.ZstdCompressor(level=level)
        self._encoder = msgspec.msgpack.Encoder()
        self._rows: list[tuple[object, ...]] = []
        self._block_start_ns = 0
        self._file: Path | None = None
        self._file_bytes = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(str(folder), f"cannot record here ({error.strerror})") from error

    def append(self, record: Record) -> None:
        """Keep a record; it is on disk after at most one block's time or `flush`."""
        if not self._rows:
            self._block_start_ns = record.received_ns
        self._rows.append(_row(record))
        self.records += 1
        full = len(self._rows) >= self._block_records
        if full or record.received_ns - self._block_start_ns >= self._block_ns:
            self.flush()

    def flush(self) -> None:
        """Write the running block."""
        if not self._rows:
            return
        payload = self._zstd.compress(self._encoder.encode(self._rows))
        block = _HEAD.pack(len(payload), zlib.crc32(payload)) + payload
        if self._file is None or self._file_bytes > self._rotate_bytes:
            self._file = self.folder / f"{self._block_start_ns:020d}{SUFFIX}"
            self._file_bytes = self._file.stat().st_size if self._file.exists() else 0
            if self._file_bytes == 0:
                block = MAGIC + block
        try:
            with self._file.open("ab") as out:
                out.write(block)
        except OSError as error:
            raise StoreError(
                str(self._file),
                f"cannot be written ({error.strerror}); the terminal goes on without recording",
            ) from error
        self._rows.clear()
        self._file_bytes += len(block)
        self.bytes_written += len(block)

    def close(self) -> None:
        self.flush()


def recording_files(path: Path) -> list[Path]:
    """The files of a recording in order: a folder's, or the one named."""
    if path.is_dir():
        files = sorted(path.glob(f"*{SUFFIX}"))
        if not files:
            raise StoreError(str(path), f"no {SUFFIX} file in this folder")
        return files
    return [path]


def read_records(path: Path, reports: list[ReadReport] | None = None) -> Iterator[Record]:
    """Records of a file or folder, in order. `reports` receives one report a file when it ends."""
    for file in recording_files(path):
        report = ReadReport(str(file))
        if reports is not None:
            reports.append(report)
        yield from _read_file(file, report)


def _read_file(file: Path, report: ReadReport) -> Iterator[Record]:
    decoder = msgspec.msgpack.Decoder(list[tuple[str, str, int, bytes | tuple[str, ...]]])
    unzip = zstandard.ZstdDecompressor()
    try:
        with file.open("rb") as source:
            size = file.stat().st_size
            if source.read(4) != MAGIC:
                raise StoreError(str(file), "is not a recording of ours (no LQF1 at its start)")
            while True:
                at = source.tell()
                head = source.read(_HEAD.size)
                if not head:
                    return
                rows, why = _block(source.read, head, decoder, unzip)
                if rows is None:
                    report.torn_bytes, report.why = size - at, why
                    return
                report.blocks += 1
                report.records += len(rows)
                yield from (_record(row) for row in rows)
    except OSError as error:
        raise StoreError(str(file), f"cannot be read ({error.strerror})") from error


def _block(  # type: ignore[no-untyped-def]
    read, head: bytes, decoder, unzip: zstandard.ZstdDecompressor
) -> tuple[list[tuple[str, str, int, bytes | tuple[str, ...]]] | None, str]:
    if len(head) < _HEAD.size:
        return None, "torn block head"
    length, crc = _HEAD.unpack(head)
    if length > _MAX_BLOCK:
        return None, "impossible block length"
    payload = read(length)
    if len(payload) < length:
        return None, "torn block"
    if zlib.crc32(payload) != crc:
        return None, "block does not match its checksum"
    try:
        return decoder.decode(unzip.decompress(payload)), ""
    except (msgspec.DecodeError, zstandard.ZstdError) as error:
        return None, f"block cannot be read: {error}"


def _row(record: Record) -> tuple[object, ...]:
    if isinstance(record, Frame):
        return record.venue, record.source, record.received_ns, record.payload
    detail = (record.reason.value, record.instrument_id, record.detail, *record.kinds)
    return record.venue, record.source, record.received_ns, detail


def _record(row: tuple[str, str, int, bytes | tuple[str, ...]]) -> Record:
    venue, source, received_ns, body = row
    if isinstance(body, bytes):
        return Frame(venue, source, received_ns, body)
    reason, instrument_id, detail, *kinds = body
    return Gap(venue, source, received_ns, GapReason(reason), instrument_id, detail, tuple(kinds))
