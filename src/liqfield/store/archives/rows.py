"""Files of rows as they are found: zip, gz, lz4, zst or plain, with or without a header line.

Nothing is guessed silently: what is skipped is counted in the file's report, by reason.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import IO

import msgspec
import zstandard

from liqfield.model.errors import StoreError

_TEN = {9: 1_000_000_000, 6: 1_000_000, 3: 1000, 0: 1}
_BROKEN = (OSError, EOFError, zlib.error, zipfile.BadZipFile, zstandard.ZstdError, csv.Error)


class FileReport(msgspec.Struct):
    """What reading one file met. skipped: reason -> rows. why: what ended it early."""

    path: str
    rows: int = 0
    skipped: dict[str, int] = {}
    why: str = ""

    def skip(self, reason: str, rows: int = 1) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + rows


def text_lines(path: Path, report: FileReport) -> Iterator[str]:
    """Lines of every member; a file that ends early or is damaged gives what came before that."""
    try:
        for stream in _members(path):
            # Bytes that are no UTF-8 (old Chinese headers in GBK) must not stop the numbers.
            with io.TextIOWrapper(
                stream, encoding="utf-8-sig", errors="replace", newline=""
            ) as text:
                yield from text
    except FileNotFoundError as error:
        raise StoreError(str(path), "cannot be read (no such file)") from error
    except (*_BROKEN, RuntimeError) as error:
        report.why = f"file ends early or is damaged: {error}"


def _members(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    name = path.name.lower()
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if not member.is_dir() and not member.filename.startswith("__MACOSX"):
                    with archive.open(member) as stream:
                        yield stream
    elif name.endswith(".gz"):
        with gzip.open(path, "rb") as zipped:
            yield zipped
    elif name.endswith(".lz4"):
        with _lz4(path) as stream:
            yield stream
    elif name.endswith(".zst"):
        with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as unzipped:
            yield unzipped
    else:
        with path.open("rb") as plain:
            yield plain


def _lz4(path: Path) -> IO[bytes]:
    try:
        import lz4.frame
    except ImportError as error:
        raise StoreError(
            str(path), "reading .lz4 needs the package lz4 (or unpack the file first)"
        ) from error
    stream: IO[bytes] = lz4.frame.open(path, "rb")
    return stream


def read_rows(
    path: Path, columns: Sequence[str], wanted: Sequence[str], report: FileReport
) -> Iterator[Sequence[str]]:
    """The cells of `wanted` of every data row, in that order; "" where the file has no such column.

    columns: the documented order, used where the file has no header line or one that we cannot
    read (old files carry Chinese ones). A header that we can read decides over the documentation.
    """
    reader: Iterator[list[str]] = csv.reader(text_lines(path, report))
    first = next(reader, None)
    if first is None:
        report.why = report.why or "empty file"
        return
    names = [cell.strip().lower().partition("/")[0] for cell in first]
    known = {name.lower() for name in columns}
    is_header = sum(name in known for name in names) >= min(2, len(known))
    if not is_header:
        names = [name.lower() for name in columns]
        if any(_is_number(cell) for cell in first):
            reader = chain([first], reader)
    elif _stands_for(names, [name.lower() for name in columns], known):
        names = [name.lower() for name in columns]
    at = [names.index(name.lower()) if name.lower() in names else -1 for name in wanted]
    need = max(at) + 1
    if need == 0:
        report.why = "none of the columns we read"
        return
    pick = itemgetter(*at) if len(at) > 1 and min(at) >= 0 else None
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            report.skip("unreadable row")
            continue
        if not row:
            continue
        report.rows += 1
        if len(row) < need:
            report.skip("row cut short")
            continue
        yield pick(row) if pick else [row[i] if i >= 0 else "" for i in at]


def _stands_for(names: Sequence[str], documented: Sequence[str], known: set[str]) -> bool:
    """A header of the documented columns, some under other names ("Open time")."""
    if len(names) != len(documented):
        return False
    return all(a == b for a, b in zip(names, documented, strict=True) if a in known)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def stamp_ns(text: str) -> int:
    """ns since epoch of a time as archives write it: s, ms, us or ns (told by its size), with or
    without a fraction, or "YYYY-MM-DD hh:mm:ss" in UTC. Raises ValueError."""
    whole, _, fraction = text.partition(".")
    if not (whole.isdigit() and (fraction.isdigit() or not fraction)):
        if "-" in text or ":" in text:
            at = datetime.fromisoformat(text.strip())
            if at.tzinfo is None:
                at = at.replace(tzinfo=UTC)
            return round(at.timestamp() * 1e6) * 1000
        whole, fraction = str(int(float(text))), ""
    digits = len(whole.lstrip("0"))
    unit = 9 if digits <= 11 else 6 if digits <= 14 else 3 if digits <= 17 else 0
    below = (fraction + "0" * unit)[:unit]
    return int(whole) * _TEN[unit] + int(below or 0)


def matches_checksum(path: Path) -> bool:
    """False where a `.CHECKSUM` file (sha256) lies beside the file and says something else."""
    beside = path.with_name(path.name + ".CHECKSUM")
    if not beside.is_file():
        return True
    stated = beside.read_text(errors="replace").split()
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            sha.update(piece)
    return bool(stated) and stated[0].lower() == sha.hexdigest()
