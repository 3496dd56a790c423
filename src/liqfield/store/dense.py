"""Finished recordings packed densely ("LQD2"), byte for byte the same frames.

JSON of one stream repeats its text and differs in its numbers. A frame is cut into text (its
skeleton, kept once) and tokens: numbers and hashes. Tokens go to lanes by their place in the
message, so that a lane holds one field of one stream (prices of bids, sizes, times, addresses), and
each lane is packed by what it holds (columns.py). Files are written whole (atomic.py), so density
costs no safety: a crash leaves the segments as they were.

File: magic, then blocks as in segment.py: first a header naming the segments inside, then chunks.
Files of the first format are read too (dense_first.py).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec
import zstandard

from liqfield.model.errors import StoreError
from liqfield.model.events import Frame, Record
from liqfield.store import dense_first
from liqfield.store.atomic import write_atomic
from liqfield.store.columns import Column, Numbers, decode, encode, squeeze, unsqueeze
from liqfield.store.segment import HEAD, ReadReport, Row, read_blocks, record_of, row_of

MAGIC = b"LQD2"
SUFFIX = ".lqd"
CHUNK_RECORDS = 100_000
_MAX_LANES = 20_000
_REFERS = 12  # lanes before, which a lane may be a difference to
_HEAD_BYTES = 32  # of the text that says what a message is
_SUBJECT_BYTES = 200  # within which its symbol stands
_REPEATS = 4_096  # frames back that one may be the same as
_TOKENS = re.compile(
    rb"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    rb"|0x[0-9a-f]{16,}|[0-9]+(?:\.[0-9]+)?)"
)
_KEY = re.compile(rb'"([A-Za-z_]\w*)":[^,:]*\Z')
_SUBJECT = re.compile(rb"[A-Z]{2,}[A-Z_-]*")
_NEXT_LIST = re.compile(rb"[\]}]\],\[[\[{]")  # the second of two lists of rows
_TEXT, _RAW, _GAP, _SAME = 0, 1, 2, 3
_LENGTH = struct.Struct("<I")


class _Chunk(msgspec.Struct, array_like=True):
    """Records in order. kinds: one byte each; streams: (venue, source); stream_of, shapes:
    index each, of records and of frames that are text; skeletons: parts joined by NUL, lines;
    same_as: of frames that repeat one, how many texts ago that was; raws: frames kept whole."""

    records: int
    streams: bytes
    kinds: bytes
    stream_of: Column
    received_ns: Column
    skeletons: bytes
    shapes: Column
    same_as: Column
    raws: bytes
    gaps: list[Row]
    lanes: list[Column]


class _Header(msgspec.Struct, array_like=True):
    sources: list[str]


class _Lanes:
    """Which lane each token of a skeleton belongs to: the same answer when reading.

    A lane is a stream, the beginning of the message and its symbol, the key that stands before (or
    stood before the list), and the place within the innermost row.
    """

    def __init__(self) -> None:
        self.count = 1  # lane 0 takes what comes after _MAX_LANES
        self._lanes: dict[tuple[object, ...], int] = {}
        self._known: dict[tuple[str, bytes], tuple[int, ...]] = {}
        self._says: dict[bytes, tuple[bytes, bool, bool]] = {}

    def of(self, stream: str, skeleton: bytes) -> tuple[int, ...]:
        found = self._known.get((stream, skeleton))
        if found is None:
            found = self._known[stream, skeleton] = self._find(stream, skeleton.split(b"\0"))
        return found

    def _find(self, stream: str, texts: Sequence[bytes]) -> tuple[int, ...]:
        subject = _SUBJECT.search(b" ".join(texts[:16])[:_SUBJECT_BYTES])
        head = texts[0][:_HEAD_BYTES], subject[0] if subject is not None else b""
        key, list_no, place = b"", 0, 0
        out = []
        for text in texts[:-1]:
            says = self._says.get(text)
            if says is None:
                says = self._says[text] = _what_it_says(text)
            named, is_next_list, is_row = says
            list_no += is_next_list
            key = named or key
            place = 0 if is_row else place + 1
            lane = self._lanes.get(where := (stream, head, key, list_no, place))
            if lane is None:
                lane = 0
                if len(self._lanes) < _MAX_LANES:
                    lane = self._lanes[where] = self.count
                    self.count += 1
            out.append(lane)
        return tuple(out)


def _what_it_says(text: bytes) -> tuple[bytes, bool, bool]:
    """(the key that it ends with, whether a second list of rows begins, whether a row does)."""
    named = _KEY.search(text)
    key = named[1] if named is not None else b""
    return key, _NEXT_LIST.search(text) is not None, named is not None or b"[" in text


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
        head = next(read_blocks(path, _magic(path), report), None)
        return [] if head is None else msgspec.msgpack.decode(head, type=_Header).sources
    except (StoreError, msgspec.MsgspecError):
        return []


def read_dense(path: Path, report: ReadReport) -> Iterator[Record]:
    """Records in order, up to the first bad chunk."""
    is_first = (magic := _magic(path)) == dense_first.MAGIC
    blocks = read_blocks(path, magic, report)
    next(blocks, None)
    decoder = msgspec.msgpack.Decoder(_Chunk)
    for payload in blocks:
        try:
            records = dense_first.unpack(payload) if is_first else _unpack(decoder.decode(payload))
        except (msgspec.MsgspecError, zstandard.ZstdError, ValueError, IndexError) as error:
            report.why, report.torn_bytes = f"chunk cannot be read: {error}", len(payload)
            return
        report.blocks += 1
        report.records += len(records)
        yield from records


def _magic(path: Path) -> bytes:
    """What the file must begin with."""
    try:
        with path.open("rb") as file:
            return dense_first.MAGIC if file.read(4) == dense_first.MAGIC else MAGIC
    except OSError as error:
        raise StoreError(str(path), f"cannot be read ({error.strerror})") from error


def _framed(payload: bytes) -> bytes:
    return HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def _kind_of(source: str) -> str:
    """Sources that ask for the same with other parameters write the same messages."""
    return re.split(r"[? ]", source, maxsplit=1)[0]


# ---- packing ----------------------------------------------------------------------------------


class _Filled:
    """Tokens of a lane, and how many of them each message has that has any."""

    __slots__ = ("counts", "tokens")

    def __init__(self) -> None:
        self.tokens: list[bytes] = []
        self.counts: list[int] = []


def _pack(rows: Sequence[Row]) -> _Chunk:
    streams: dict[tuple[str, str], int] = {}
    lanes = _Lanes()
    filled = [_Filled()]
    counted: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    shapes: dict[bytes, int] = {}
    kinds, stream_of, shape_of, gaps = bytearray(), list[bytes](), list[bytes](), list[Row]()
    raws, same_as = [], list[bytes]()
    recent = _Recent()
    for row in rows:
        stream_of.append(b"%d" % streams.setdefault(row[:2], len(streams)))
        body = row[3]
        if not isinstance(body, bytes):
            kinds.append(_GAP)
            gaps.append(row)
            continue
        if b"\0" in body or b"\n" in body:
            kinds.append(_RAW)
            raws.append(_LENGTH.pack(len(body)) + body)
            continue
        if ago := recent.ago(body):
            kinds.append(_SAME)
            same_as.append(b"%d" % ago)
            continue
        kinds.append(_TEXT)
        parts = _TOKENS.split(body)
        skeleton = b"\0".join(parts[0::2])
        shape_of.append(b"%d" % shapes.setdefault(skeleton, len(shapes)))
        mine = lanes.of(f"{row[0]} {_kind_of(row[1])}", skeleton)
        while len(filled) < lanes.count:
            filled.append(_Filled())
        for lane, token in zip(mine, parts[1::2], strict=True):
            filled[lane].tokens.append(token)
        for lane, count in _tally(mine, counted):
            filled[lane].counts.append(count)
    columns: list[Column] = []
    known: list[Numbers | None] = []
    for one in filled:
        column, numbers = encode(one.tokens, _plain(one.counts), known[: -_REFERS - 1 : -1])
        columns.append(column)
        known.append(numbers)
    return _Chunk(
        records=len(rows),
        streams=squeeze(msgspec.msgpack.encode(list(streams)), is_text=True),
        kinds=squeeze(bytes(kinds)),
        stream_of=encode(stream_of, (), ())[0],
        received_ns=encode([b"%d" % row[2] for row in rows], (), ())[0],
        skeletons=squeeze(b"\n".join(shapes), is_text=True),
        shapes=encode(shape_of, (), ())[0],
        same_as=encode(same_as, (), ())[0],
        raws=squeeze(b"".join(raws), is_text=True),
        gaps=gaps,
        lanes=columns,
    )


class _Recent:
    """Texts that have been written, by content: another connection may bring the same message."""

    def __init__(self) -> None:
        self._count = 0
        self._at: dict[bytes, int] = {}
        self._before: dict[bytes, int] = {}

    def ago(self, body: bytes) -> int:
        """How many texts before the next one this one was, 0 where it is new (and is noted)."""
        at = self._at.get(body, self._before.get(body))
        if at is not None:
            return self._count - at
        if len(self._at) >= _REPEATS:
            self._before, self._at = self._at, {}
        self._at[body] = self._count
        self._count += 1
        return 0


def _tally(
    mine: tuple[int, ...], known: dict[tuple[int, ...], list[tuple[int, int]]]
) -> list[tuple[int, int]]:
    """(lane, tokens of it) of a message, remembered by its lanes."""
    found = known.get(mine)
    if found is None:
        found = known[mine] = [(lane, mine.count(lane)) for lane in dict.fromkeys(mine)]
    return found


def _plain(counts: list[int]) -> list[int]:
    """Empty where every message has one."""
    return [] if all(count == 1 for count in counts) else counts


def _unpack(chunk: _Chunk) -> list[Record]:
    lanes = _Lanes()
    streams = [
        (venue, source, f"{venue} {_kind_of(source)}")
        for venue, source in msgspec.msgpack.decode(
            unsqueeze(chunk.streams), type=list[tuple[str, str]]
        )
    ]
    kinds = unsqueeze(chunk.kinds)
    stream_of = [streams[int(token)] for token in decode(chunk.stream_of, (), ())[0]]
    skeletons = unsqueeze(chunk.skeletons).split(b"\n")
    shape_of = iter(decode(chunk.shapes, (), ())[0])
    # What each frame's tokens belong to comes first: lanes need to know where messages begin.
    counted: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    counts: list[list[int]] = [[]]
    frames: list[tuple[bytes, tuple[int, ...]]] = []
    for kind, (_, _, stream) in zip(kinds, stream_of, strict=True):
        if kind != _TEXT:
            continue
        skeleton = skeletons[int(next(shape_of))]
        mine = lanes.of(stream, skeleton)
        while len(counts) < lanes.count:
            counts.append([])
        for lane, count in _tally(mine, counted):
            counts[lane].append(count)
        frames.append((skeleton, mine))
    tokens = _tokens(chunk.lanes, counts)
    raws, at = unsqueeze(chunk.raws), 0
    texts, gaps = iter(frames), iter(chunk.gaps)
    same_as = iter(decode(chunk.same_as, (), ())[0])
    bodies: list[bytes] = []
    out: list[Record] = []
    for kind, (venue, source, _), received in zip(
        kinds, stream_of, decode(chunk.received_ns, (), ())[0], strict=True
    ):
        if kind == _GAP:
            out.append(record_of(next(gaps)))
            continue
        if kind == _RAW:
            (length,) = _LENGTH.unpack_from(raws, at)
            payload = raws[at + 4 : at + 4 + length]
            at += 4 + length
        elif kind == _SAME:
            payload = bodies[-int(next(same_as))]
        else:
            skeleton, mine = next(texts)
            parts = skeleton.split(b"\0")
            whole = [b""] * (2 * len(parts) - 1)
            whole[0::2] = parts
            whole[1::2] = [next(tokens[lane]) for lane in mine]
            payload = b"".join(whole)
            bodies.append(payload)
        out.append(Frame(venue, source, int(received), payload))
    if len(out) != chunk.records:
        raise ValueError(f"{len(out)} records instead of {chunk.records}")
    return out


def _tokens(columns: Sequence[Column], counts: Sequence[list[int]]) -> list[Iterator[bytes]]:
    out: list[Iterator[bytes]] = []
    known: list[Numbers | None] = []
    for column, mine in zip(columns, counts, strict=True):
        tokens, numbers = decode(column, _plain(mine), known[: -_REFERS - 1 : -1])
        out.append(iter(tokens))
        known.append(numbers)
    return out
