"""One file of a live recording ("LQF1"): blocks that a crash can only tear at the end.

The magic, then blocks of: u32 length, u32 CRC-32 of the payload, payload = zstd of msgpack rows.
Law: everything before the first bad block is read; nothing after it is guessed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec
import zstandard

from liqfield.model.errors import StoreError
from liqfield.model.events import Frame, Gap, Record
from liqfield.model.sides import GapReason

MAGIC = b"LQF1"
SUFFIX = ".lqf"
HEAD = struct.Struct("<II")
_MAX_BLOCK = 256 << 20  # a length beyond this is damage, not data

Row: TypeAlias = tuple[str, str, int, bytes | tuple[str, ...]]


class ReadReport(msgspec.Struct):
    """What reading met: blocks and records read, bytes cut off at the end, and why."""

    path: str
    blocks: int = 0
    records: int = 0
    torn_bytes: int = 0
    why: str = ""


def encode_block(records: list[Row], level: int) -> bytes:
    """One whole block."""
    payload = zstandard.ZstdCompressor(level=level).compress(msgspec.msgpack.encode(records))
    return HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def read_segment(file: Path, report: ReadReport) -> Iterator[Record]:
    """Records of one file up to its first bad block. Raises StoreError when it is none of ours."""
    decoder = msgspec.msgpack.Decoder(list[Row])
    unzip = zstandard.ZstdDecompressor()
    for payload in read_blocks(file, MAGIC, report):
        try:
            rows = decoder.decode(unzip.decompress(payload))
        except (msgspec.DecodeError, zstandard.ZstdError) as error:
            report.why = f"block cannot be read: {error}"
            report.torn_bytes += len(payload)
            return
        report.blocks += 1
        report.records += len(rows)
        yield from (record_of(row) for row in rows)


def read_blocks(file: Path, magic: bytes, report: ReadReport) -> Iterator[bytes]:
    """Payloads of whole blocks whose checksum is right."""
    try:
        with file.open("rb") as source:
            size = file.stat().st_size
            if source.read(4) != magic:
                name = magic.decode()
                raise StoreError(str(file), f"is not a recording of ours (no {name} at its start)")
            while True:
                at = source.tell()
                head = source.read(HEAD.size)
                if not head:
                    return
                payload, why = _block(source.read, head)
                if payload is None:
                    report.torn_bytes, report.why = size - at, why
                    return
                yield payload
    except OSError as error:
        raise StoreError(str(file), f"cannot be read ({error.strerror})") from error


def _block(read: Callable[[int], bytes], head: bytes) -> tuple[bytes | None, str]:
    if len(head) < HEAD.size:
        return None, "torn block head"
    length, crc = HEAD.unpack(head)
    if length > _MAX_BLOCK:
        return None, "impossible block length"
    payload = read(length)
    if len(payload) < length:
        return None, "torn block"
    if zlib.crc32(payload) != crc:
        return None, "block does not match its checksum"
    return payload, ""


def row_of(record: Record) -> Row:
    """A record as it is written."""
    if isinstance(record, Frame):
        return record.venue, record.source, record.received_ns, record.payload
    detail = (record.reason.value, record.instrument_id, record.detail, *record.kinds)
    return record.venue, record.source, record.received_ns, detail


def record_of(row: Row) -> Record:
    venue, source, received_ns, body = row
    if isinstance(body, bytes):
        return Frame(venue, source, received_ns, body)
    reason, instrument_id, detail, *kinds = body
    return Gap(venue, source, received_ns, GapReason(reason), instrument_id, detail, tuple(kinds))
