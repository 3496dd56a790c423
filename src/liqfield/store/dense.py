"""Finished recordings packed densely ("LQD1"), byte for byte the same frames.

JSON of one stream repeats its text and differs in its numbers. A frame is cut into text and runs of
digits; the runs go to columns by what stands before them, so that a column holds one field (prices,
sizes, times), and each column is kept as text or as differences, whichever packs smaller. Files are
written whole (atomic.py), so density costs no safety: a crash leaves the segments as they were.

File: magic, then blocks as in segment.py: first a header naming the segments inside, then chunks.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import zstandard

from liqfield.model.errors import StoreError
from liqfield.model.events import Frame, Record
from liqfield.store.atomic import write_atomic
from liqfield.store.segment import HEAD, ReadReport, Row, read_blocks, record_of, row_of

MAGIC = b"LQD1"
SUFFIX = ".lqd"
CHUNK_RECORDS = 50_000
_MAX_COLUMNS = 4_096
_MAX_SKELETONS = 4_096
_LEVEL = 9
_DIGITS = re.compile(rb"(\d+)")
_TEXT, _RAW, _GAP = 0, 1, 2
_LENGTH = struct.Struct("<I")


class _Column(msgspec.Struct, array_like=True):
    """Digit runs: as lines (is_delta False), or as zigzag differences in byte planes."""

    is_delta: bool
    count: int
    packed: bytes


class _Chunk(msgspec.Struct, array_like=True):
    """Records in order. kinds: one byte each; streams: (venue, source), stream_of: index each;
    texts: skeletons, their parts joined by NUL, one after the other; raws: frames kept whole."""

    records: int
    streams: list[tuple[str, str]]
    kinds: bytes
    stream_of: _Column
    received_ns: _Column
    texts: bytes
    raws: bytes
    gaps: list[Row]
    columns: list[_Column]


class _Header(msgspec.Struct, array_like=True):
    sources: list[str]


class _Contexts:
    """Which column each digit run of a skeleton belongs to: the same answer when reading.

    A run belongs with those of the same stream, message kind (the first text) and last two texts.
    """

    def __init__(self) -> None:
        self.count = 1  # column 0 takes what comes after _MAX_COLUMNS
        self._columns: dict[tuple[object, ...], int] = {}
        self._known: dict[tuple[int, bytes], tuple[int, ...]] = {}

    def of(self, stream: int, skeleton: bytes) -> tuple[int, ...]:
        found = self._known.get((stream, skeleton))
        if found is None:
            found = self._find(stream, skeleton.split(b"\0"))
            if len(self._known) < _MAX_SKELETONS:
                self._known[(stream, skeleton)] = found
        return found

    def _find(self, stream: int, texts: Sequence[bytes]) -> tuple[int, ...]:
        columns, head, before = self._columns, texts[0][:32], b""
        out = []
        for text in texts[:-1]:
            key = (stream, head, before, text)
            at = columns.get(key, -1)
            if at < 0:
                if len(columns) < _MAX_COLUMNS:
                    at = columns[key] = self.count
                    self.count += 1
                else:
                    at = 0
            out.append(at)
            before = text
        return tuple(out)


def write_dense(path: Path, records: Iterable[Record], sources: Sequence[str] = ()) -> int:
    """Pack records into one file, written whole; returns its bytes. sources: segments inside."""
    blocks = [MAGIC, _framed(msgspec.msgpack.encode(_Header(list(sources))))]
    source = iter(records)
    while rows := [row_of(record) for record in islice(source, CHUNK_RECORDS)]:
        blocks.append(_framed(msgspec.msgpack.encode(_pack(rows))))
    data = b"".join(blocks)
    write_atomic(path, data, durable=True)
    return len(data)


def sources(path: Path) -> list[str]:
    """Names of the segments that a dense file holds; none where it cannot be read."""
    report = ReadReport(str(path))
    try:
        head = next(read_blocks(path, MAGIC, report), None)
        return [] if head is None else msgspec.msgpack.decode(head, type=_Header).sources
    except (StoreError, msgspec.MsgspecError):
        return []


def read_dense(path: Path, report: ReadReport) -> Iterator[Record]:
    """Records in order, up to the first bad chunk."""
    blocks = read_blocks(path, MAGIC, report)
    next(blocks, None)
    decoder = msgspec.msgpack.Decoder(_Chunk)
    for payload in blocks:
        try:
            records = _unpack(decoder.decode(payload))
        except (msgspec.MsgspecError, zstandard.ZstdError, ValueError, IndexError) as error:
            report.why, report.torn_bytes = f"chunk cannot be read: {error}", len(payload)
            return
        report.blocks += 1
        report.records += len(records)
        yield from records


def _framed(payload: bytes) -> bytes:
    return HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def _zip(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL).compress(data)


def _unzip(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data)


def _pack(rows: Sequence[Row]) -> _Chunk:
    streams: dict[tuple[str, str], int] = {}
    contexts = _Contexts()
    numbers: list[list[bytes]] = [[]]
    kinds, stream_of, gaps = bytearray(), [], list[Row]()
    texts, raws = [], []
    for row in rows:
        stream = streams.setdefault(row[:2], len(streams))
        stream_of.append(b"%d" % stream)
        body = row[3]
        if not isinstance(body, bytes):
            kinds.append(_GAP)
            gaps.append(row)
            continue
        if b"\0" in body or b"\n" in body:
            kinds.append(_RAW)
            raws.append(_LENGTH.pack(len(body)) + body)
            continue
        kinds.append(_TEXT)
        parts = _DIGITS.split(body)
        skeleton = b"\0".join(parts[0::2])
        texts.append(skeleton)
        columns = contexts.of(stream, skeleton)
        while len(numbers) < contexts.count:
            numbers.append([])
        for column, run in zip(columns, parts[1::2], strict=True):
            numbers[column].append(run)
    return _Chunk(
        records=len(rows),
        streams=list(streams),
        kinds=_zip(bytes(kinds)),
        stream_of=_column(stream_of),
        received_ns=_column([b"%d" % row[2] for row in rows]),
        texts=_zip(b"\n".join(texts)),
        raws=_zip(b"".join(raws)),
        gaps=gaps,
        columns=[_column(runs) for runs in numbers],
    )


def _column(runs: list[bytes]) -> _Column:
    plain = _zip(b"\n".join(runs))
    if not runs or any(len(run) > 18 or (run[0] == 48 and len(run) > 1) for run in runs):
        return _Column(False, len(runs), plain)  # leading zeros must come back
    values = np.array(runs, dtype="S18").astype(np.int64)
    steps = np.diff(values, prepend=0)
    zigzag = ((steps << 1) ^ (steps >> 63)).view(np.uint64)
    planes = _zip(zigzag.view(np.uint8).reshape(-1, 8).T.tobytes())
    if len(planes) < len(plain):
        return _Column(True, len(runs), planes)
    return _Column(False, len(runs), plain)


def _runs(column: _Column) -> list[bytes]:
    if not column.count:
        return []
    data = _unzip(column.packed)
    if not column.is_delta:
        return data.split(b"\n")
    planes = np.frombuffer(data, np.uint8).reshape(8, column.count)
    zigzag = np.ascontiguousarray(planes.T).view(np.uint64).ravel()
    steps = (zigzag >> np.uint64(1)).view(np.int64) ^ -(zigzag & np.uint64(1)).view(np.int64)
    return [b"%d" % value for value in np.cumsum(steps).tolist()]


def _unpack(chunk: _Chunk) -> list[Record]:
    contexts = _Contexts()
    numbers = [iter(_runs(column)) for column in chunk.columns]
    texts = iter(_unzip(chunk.texts).split(b"\n"))
    raws, at = _unzip(chunk.raws), 0
    gaps = iter(chunk.gaps)
    out: list[Record] = []
    for kind, stream_text, received in zip(
        _unzip(chunk.kinds), _runs(chunk.stream_of), _runs(chunk.received_ns), strict=True
    ):
        stream = int(stream_text)
        venue, source = chunk.streams[stream]
        if kind == _GAP:
            out.append(record_of(next(gaps)))
            continue
        if kind == _RAW:
            (length,) = _LENGTH.unpack_from(raws, at)
            payload = raws[at + 4 : at + 4 + length]
            at += 4 + length
        else:
            skeleton = next(texts)
            parts = skeleton.split(b"\0")
            whole = [b""] * (2 * len(parts) - 1)
            whole[0::2] = parts
            whole[1::2] = [next(numbers[c]) for c in contexts.of(stream, skeleton)]
            payload = b"".join(whole)
        out.append(Frame(venue, source, int(received), payload))
    if len(out) != chunk.records:
        raise ValueError(f"{len(out)} records instead of {chunk.records}")
    return out
