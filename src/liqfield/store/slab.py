"""A slab: 64 columns of one market, venue and column width with all their price tiles, one file.

File: "LQS1", u32 index length, u32 crc of the index, index (msgpack), zstd frames of whole tiles
(model/tiles.py) with their own checksums. A finished slab is never written again, and a tile out of
it goes to the browser as it lies on disk.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import TypeAlias

import msgspec
import numpy as np
import zstandard

from liqfield.model.errors import ModelError, StoreError
from liqfield.model.estimates import DensityColumn
from liqfield.model.tiles import (
    LEVEL_FACTORS,
    PLANES,
    TILE_BINS,
    TILE_COLUMNS,
    ByteArray,
    TileHeader,
    decode_tile,
    encode_tile,
    level_column,
    level_width,
)

MAGIC = b"LQS1"
LEVELS = range(len(LEVEL_FACTORS))
_HEAD = struct.Struct("<4sII")


class SlabKey(msgspec.Struct, frozen=True, order=True):
    """time_index = floor(start / (64 * column_s)), start in s since epoch."""

    base: str
    venue: str
    column_s: int
    time_index: int

    @property
    def start_ns(self) -> int:
        return self.time_index * TILE_COLUMNS * self.column_s * 1_000_000_000


class ColumnFacts(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a column beside its cells; units as in LiquidationDensity."""

    as_of_ns: int
    mark_price: float
    outside_usd: tuple[float, float]
    open_interest_usd: float
    confidence: float
    forced_share: float


class StoredColumn(msgspec.Struct, frozen=True, eq=False):
    """One quantised column in memory; `packed` is zstd of the cells of all levels in turn."""

    facts: ColumnFacts
    first_bins: tuple[int, ...]
    bins: tuple[int, ...]
    packed: bytes

    def cells(self, level: int) -> ByteArray:
        """uint8[6, bins of the level]."""
        raw = zstandard.ZstdDecompressor().decompress(self.packed)
        offset = PLANES * sum(self.bins[:level])
        count = PLANES * self.bins[level]
        return np.frombuffer(raw, np.uint8, count, offset).reshape(PLANES, self.bins[level])


Columns: TypeAlias = tuple[StoredColumn | None, ...]


class TileEntry(msgspec.Struct, frozen=True, array_like=True):
    """Where the tile's zstd frame lies, counted from the end of the index."""

    level: int
    price_index: int
    offset: int
    length: int


class SlabIndex(msgspec.Struct, frozen=True, array_like=True):
    key: SlabKey
    is_complete: bool
    columns: tuple[ColumnFacts | None, ...]
    tiles: tuple[TileEntry, ...]


def stored_column(density: DensityColumn, as_of_ns: int) -> StoredColumn:
    """Quantise every level of a map."""
    levels = [level_column(density, level) for level in LEVELS]
    facts = ColumnFacts(
        as_of_ns=as_of_ns,
        mark_price=float(density.mark_price),
        outside_usd=(float(density.outside_usd[0]), float(density.outside_usd[1])),
        open_interest_usd=float(density.open_interest_usd),
        confidence=float(density.confidence.score),
        forced_share=float(density.forced_share),
    )
    return _pack(facts, [(level.first_bin, level.cells) for level in levels])


def _pack(facts: ColumnFacts, levels: Sequence[tuple[int, ByteArray]]) -> StoredColumn:
    raw = b"".join(cells.tobytes() for _, cells in levels)
    return StoredColumn(
        facts=facts,
        first_bins=tuple(first for first, _ in levels),
        bins=tuple(cells.shape[1] for _, cells in levels),
        packed=zstandard.ZstdCompressor(level=1).compress(raw),
    )


def stack(columns: Columns, level: int) -> tuple[int, ByteArray]:
    """(first price index, cells uint8[6, 64, n * 256]) of whole price tiles over all columns."""
    present = [(i, column) for i, column in enumerate(columns) if column is not None]
    if not present:
        return 0, np.zeros((PLANES, TILE_COLUMNS, 0), np.uint8)
    low = min(c.first_bins[level] for _, c in present) // TILE_BINS
    high = max(-(-(c.first_bins[level] + c.bins[level]) // TILE_BINS) for _, c in present)
    cells = np.zeros((PLANES, TILE_COLUMNS, (high - low) * TILE_BINS), np.uint8)
    for i, column in present:
        start = column.first_bins[level] - low * TILE_BINS
        cells[:, i, start : start + column.bins[level]] = column.cells(level)
    return low, cells


def build_tile(
    key: SlabKey,
    columns: Columns,
    level: int,
    price_index: int,
    stacked: tuple[int, ByteArray],
    *,
    is_complete: bool,
) -> bytes | None:
    """The tile's bytes, uncompressed; None when the columns have nothing at those prices."""
    low, cells = stacked
    start = (price_index - low) * TILE_BINS
    if not 0 <= start < cells.shape[2]:
        return None
    present = [column for column in columns if column is not None]
    header = TileHeader(
        columns=TILE_COLUMNS,
        bins=TILE_BINS,
        filled_columns=_filled(columns),
        start_ms=key.start_ns / 1e6,
        column_ms=key.column_s * 1e3,
        bin_width=level_width(level),
        first_bin=price_index * TILE_BINS,
        is_complete=is_complete,
        mark_price=present[-1].facts.mark_price if present else 0.0,
        revision=len(present),
        base=key.base,
        venue=key.venue,
    )
    return encode_tile(header, cells[:, :, start : start + TILE_BINS])


def _filled(columns: Columns) -> int:
    """Columns up to and including the last one that holds something."""
    return max((i + 1 for i, column in enumerate(columns) if column is not None), default=0)


def tile_frame(tile: bytes) -> bytes:
    """The same tile always gives the same frame: its hash is the tile's ETag."""
    return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(tile)


def encode_slab(key: SlabKey, columns: Columns, *, is_complete: bool) -> bytes:
    """The file's bytes."""
    frames: list[bytes] = []
    entries: list[TileEntry] = []
    offset = 0
    for level in LEVELS:
        low, cells = stack(columns, level)
        for price_index in range(low, low + cells.shape[2] // TILE_BINS):
            tile = build_tile(
                key, columns, level, price_index, (low, cells), is_complete=is_complete
            )
            if tile is None:
                continue
            frame = tile_frame(tile)
            entries.append(TileEntry(level, price_index, offset, len(frame)))
            frames.append(frame)
            offset += len(frame)
    facts = tuple(None if column is None else column.facts for column in columns)
    index = msgspec.msgpack.encode(SlabIndex(key, is_complete, facts, tuple(entries)))
    return b"".join([_HEAD.pack(MAGIC, len(index), zlib.crc32(index)), index, *frames])


def index_bytes(head: bytes) -> int:
    """How many bytes from the file's start hold the index. Raises StoreError (path unnamed)."""
    if len(head) < _HEAD.size or head[:4] != MAGIC:
        raise StoreError("slab", "not a slab of the map's history")
    return _HEAD.size + int(_HEAD.unpack_from(head)[1])


def read_index(data: bytes) -> SlabIndex:
    """Raises StoreError (path unnamed) when the index is torn or corrupt."""
    end = index_bytes(data)
    _, _, crc = _HEAD.unpack_from(data)
    index = data[_HEAD.size : end]
    if len(data) < end or zlib.crc32(index) != crc:
        raise StoreError("slab", "the index is torn or corrupt")
    try:
        return msgspec.msgpack.decode(index, type=SlabIndex)
    except msgspec.MsgspecError as error:
        raise StoreError("slab", f"the index cannot be read: {error}") from error


def decode_slab(data: bytes) -> tuple[SlabIndex, Columns]:
    """Everything in a slab, for appending to it. Raises StoreError when anything is corrupt."""
    index = read_index(data)
    body = index_bytes(data)
    decompressor = zstandard.ZstdDecompressor()
    levels: list[tuple[int, ByteArray]] = []
    for level in LEVELS:
        entries = sorted(e.price_index for e in index.tiles if e.level == level)
        low = entries[0] if entries else 0
        count = (entries[-1] - low + 1) if entries else 0
        cells = np.zeros((PLANES, TILE_COLUMNS, count * TILE_BINS), np.uint8)
        for entry in index.tiles:
            if entry.level != level:
                continue
            frame = data[body + entry.offset : body + entry.offset + entry.length]
            try:
                _, tile = decode_tile(decompressor.decompress(frame))
            except (zstandard.ZstdError, ModelError) as error:
                raise StoreError("slab", f"a tile cannot be read: {error}") from error
            start = (entry.price_index - low) * TILE_BINS
            cells[:, :, start : start + TILE_BINS] = tile
        levels.append((low * TILE_BINS, cells))
    columns = tuple(
        None
        if facts is None
        else _pack(facts, [(first, cells[:, i, :]) for first, cells in levels])
        for i, facts in enumerate(index.columns)
    )
    return index, columns
