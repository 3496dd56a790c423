"""Recordings: frames and gaps, append-only, in the order consumed; a folder of segments.

The running segment (`.lqf`, segment.py) is written block by block; finished ones are packed densely
in the background (`.lqd`, dense.py). Both are named by the first received_ns they hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from liqfield.model.durations import HOUR_NS
from liqfield.model.errors import StoreError
from liqfield.model.events import Record
from liqfield.store import dense, segment
from liqfield.store.segment import ReadReport, Row


class RecordWriter:
    """Writes one recording as a folder of segments, rotated by size and by time.

    What a crash of the program at any moment leaves out is at most `block_ns` old, if `tick` is
    called at least that often. Raises StoreError naming the file when the disk is full or
    read-only; the caller decides to go on without a recording, the program does not stop for it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        block_records: int = 512,
        block_ns: int = 500_000_000,
        rotate_bytes: int = 64 << 20,
        rotate_ns: int = HOUR_NS,
        level: int = 3,
    ) -> None:
        self.folder = folder
        self.bytes_written = 0
        self.records = 0
        self._block_records = block_records
        self._block_ns = block_ns
        self._rotate_bytes = rotate_bytes
        self._rotate_ns = rotate_ns
        self._level = level
        self._rows: list[Row] = []
        self._block_start_ns = 0
        self._file: Path | None = None
        self._file_bytes = 0
        self._file_start_ns = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(str(folder), f"cannot record here ({error.strerror})") from error

    def append(self, record: Record) -> None:
        """Keep a record; it is on disk after at most one block's time or `flush`."""
        if not self._rows:
            self._block_start_ns = record.received_ns
        self._rows.append(segment.row_of(record))
        self.records += 1
        if len(self._rows) >= self._block_records:
            self.flush()
        else:
            self.tick(record.received_ns)

    def tick(self, now_ns: int) -> None:
        """Write the running block if it is old enough: a silent feed must not hold it back."""
        if self._rows and now_ns - self._block_start_ns >= self._block_ns:
            self.flush()

    def flush(self) -> None:
        """Write the running block."""
        if not self._rows:
            return
        block = segment.encode_block(self._rows, self._level)
        if self._file is None or self._is_full():
            self._begin()
            block = segment.MAGIC + block
        assert self._file is not None
        try:
            with self._file.open("ab") as out:
                out.write(block)
        except OSError as error:
            file, self._file = self._file, None  # never write behind a torn block
            raise StoreError(
                str(file),
                f"cannot be written ({error.strerror}); the terminal goes on without recording",
            ) from error
        self._rows.clear()
        self._file_bytes += len(block)
        self.bytes_written += len(block)

    def close(self) -> None:
        self.flush()

    def _is_full(self) -> bool:
        age_ns = self._block_start_ns - self._file_start_ns
        return self._file_bytes > self._rotate_bytes or age_ns >= self._rotate_ns

    def _begin(self) -> None:
        """A name behind all others, whatever our clock did: segments are read by name.

        What an earlier run left torn stays as it is.
        """
        names = [
            int(file.stem)
            for suffix in (segment.SUFFIX, dense.SUFFIX)
            for file in self.folder.glob(f"*{suffix}")
            if file.stem.isdigit()
        ]
        name_ns = max(self._block_start_ns, max(names, default=-1) + 1)
        self._file = self.folder / f"{name_ns:020d}{segment.SUFFIX}"
        self._file_bytes = 0
        self._file_start_ns = self._block_start_ns


def recording_files(path: Path) -> list[Path]:
    """The files of a recording in order: a folder's, or the one named.

    A segment that a dense file already holds is left out: the packing was cut short before it
    could be removed.
    """
    if not path.is_dir():
        return [path]
    packed = sorted(path.glob(f"*{dense.SUFFIX}"))
    held = {name for file in packed for name in dense.sources(file)}
    files = [file for file in path.glob(f"*{segment.SUFFIX}") if file.name not in held]
    files += packed
    if not files:
        raise StoreError(str(path), f"no {segment.SUFFIX} or {dense.SUFFIX} file in this folder")
    return sorted(files, key=lambda file: file.stem)


def read_records(path: Path, reports: list[ReadReport] | None = None) -> Iterator[Record]:
    """Records of a file or folder, in order. `reports` receives one report a file when it ends."""
    for file in recording_files(path):
        report = ReadReport(str(file))
        if reports is not None:
            reports.append(report)
        if file.suffix == dense.SUFFIX:
            yield from dense.read_dense(file, report)
        else:
            yield from segment.read_segment(file, report)
