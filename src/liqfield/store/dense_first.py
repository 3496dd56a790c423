"""Dense files of the first format ("LQD1"), read as they were written; dense.py writes the second.

A frame is cut into text and runs of digits; the runs are in columns by the last two texts before
them, each kept as lines or as zigzag differences in byte planes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec
import numpy as np
import zstandard

from liqfield.model.events import Frame, Record
from liqfield.store.segment import Row, record_of

MAGIC = b"LQD1"
_MAX_COLUMNS = 4_096
_RAW, _GAP = 1, 2
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


_DECODER = msgspec.msgpack.Decoder(_Chunk)


class _Contexts:
    """Which column each digit run of a skeleton belongs to, numbered as they first appear.

    A run belongs with those of the same stream, message kind (the first text) and last two texts.
    """

    def __init__(self) -> None:
        self._count = 1  # column 0 takes what comes after _MAX_COLUMNS
        self._columns: dict[tuple[object, ...], int] = {}
        self._known: dict[tuple[int, bytes], list[int]] = {}

    def of(self, stream: int, skeleton: bytes) -> list[int]:
        found = self._known.get((stream, skeleton))
        if found is None:
            found = self._known[stream, skeleton] = self._find(stream, skeleton.split(b"\0"))
        return found

    def _find(self, stream: int, texts: Sequence[bytes]) -> list[int]:
        columns, head, before = self._columns, texts[0][:32], b""
        out = []
        for text in texts[:-1]:
            key = (stream, head, before, text)
            at = columns.get(key, -1)
            if at < 0:
                at = 0
                if len(columns) < _MAX_COLUMNS:
                    at = columns[key] = self._count
                    self._count += 1
            out.append(at)
            before = text
        return out


def unpack(payload: bytes) -> list[Record]:
    """Records of a chunk. Raises ValueError, IndexError, MsgspecError or ZstdError."""
    chunk = _DECODER.decode(payload)
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
            body = raws[at + 4 : at + 4 + length]
            at += 4 + length
        else:
            skeleton = next(texts)
            parts = skeleton.split(b"\0")
            whole = [b""] * (2 * len(parts) - 1)
            whole[0::2] = parts
            whole[1::2] = [next(numbers[c]) for c in contexts.of(stream, skeleton)]
            body = b"".join(whole)
        out.append(Frame(venue, source, int(received), body))
    if len(out) != chunk.records:
        raise ValueError(f"{len(out)} records instead of {chunk.records}")
    return out


def _unzip(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data)


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
