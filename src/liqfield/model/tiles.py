"""The heat map as bytes: one binary layout for tiles and the live column, and its quantisation.

docs/wire.md describes it for readers of other languages. A tile holds `columns` x `bins` cells in
six planes (side * 3 + band); a cell is 0 (nothing) or v in 1..255 for
FLOOR_USD * (TOP_USD / FLOOR_USD) ** ((v - 1) / 254) USD in that bin. One scale for all tiles, so
that neighbours can be mixed and recoloured without knowing each other.
"""

from __future__ import annotations

import math
import struct
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from liqfield.model.durations import SECOND_NS
from liqfield.model.errors import ModelError
from liqfield.model.estimates import Confidence, DensityColumn
from liqfield.model.events import FloatArray
from liqfield.model.grid import PriceGrid, rebin
from liqfield.model.jit import kernel

ByteArray: TypeAlias = npt.NDArray[np.uint8]

DAY_S = 86_400
TILE_COLUMNS, TILE_BINS, PLANES = 64, 256, 6
COLUMN_S = (10, 60, 300, 1800, 7200, 43200)
#: How long a history keeps each width, s: what a screen of that width can show, and some more.
KEEP_S = {
    10: 2 * DAY_S,
    60: 3 * DAY_S,
    300: 21 * DAY_S,
    1800: 400 * DAY_S,
    7200: 1500 * DAY_S,
    43200: 20_000 * DAY_S,
}
BIN_WIDTH = 0.0005
LEVEL_FACTORS = (1, 4)  # level-0 bins in one bin of the level
LEVEL_BINS_MAX = (2048, 2048)  # stored around the mark: 5 bp within 40 %, 20 bp beyond
FLOOR_USD, TOP_USD = 100.0, 2e9
MAGIC, VERSION = b"LQT1", 1
COMPLETE = 1
HEADER_BYTES = 96
_HEADER = struct.Struct("<4sHHHHIdddiIfffI16s16s")
_STEPS_PER_LOG = 254.0 / math.log(TOP_USD / FLOOR_USD)
_USD = np.concatenate(([0.0], FLOOR_USD * np.exp(np.arange(255) / _STEPS_PER_LOG)))
#: Largest relative error of a quantised value between FLOOR_USD and TOP_USD.
QUANTISATION_ERROR = math.exp(0.5 / _STEPS_PER_LOG) - 1.0


class TileHeader(msgspec.Struct, frozen=True):
    """start_ms, column_ms: ms since epoch UTC; bin k of the tile is lattice bin first_bin + k of
    width bin_width (log-price); mark_price: at the last filled column, 0 = unknown."""

    columns: int
    bins: int
    filled_columns: int
    start_ms: float
    column_ms: float
    bin_width: float
    first_bin: int
    is_complete: bool
    mark_price: float
    revision: int
    base: str
    venue: str
    floor_usd: float = FLOOR_USD
    top_usd: float = TOP_USD


class MapColumn(msgspec.Struct, frozen=True, eq=False):
    """One stored column, dequantised. [start_ns, end_ns) is its place in the history, as_of_ns the
    time of the map in it; notional_usd float64[2, 3, bins]; the rest as in LiquidationDensity."""

    start_ns: int
    end_ns: int
    as_of_ns: int
    mark_price: float
    grid: PriceGrid
    notional_usd: FloatArray
    outside_usd: FloatArray
    open_interest_usd: float
    confidence: float
    forced_share: float

    def density(self, venue: str) -> DensityColumn:
        """As the estimate that it was, but for the reasons of its confidence."""
        return DensityColumn(
            instrument_id=f"{venue}:",
            at_ns=self.as_of_ns,
            mark_price=self.mark_price,
            grid=self.grid,
            notional_usd=self.notional_usd,
            outside_usd=self.outside_usd,
            open_interest_usd=self.open_interest_usd,
            confidence=Confidence(self.confidence),
            forced_share=self.forced_share,
        )


class LevelColumn(msgspec.Struct, frozen=True, eq=False):
    """One quantised column of one bin level: cells uint8[6, bins] from lattice bin first_bin."""

    first_bin: int
    cells: ByteArray


class StoredTile(msgspec.Struct, frozen=True):
    """A tile out of the history: `data` is a zstd frame around the layout above, `etag` changes
    with its content, and a complete one never changes again."""

    data: bytes
    etag: str
    is_complete: bool


def quantise(usd: FloatArray) -> ByteArray:
    """USD to cells, any shape. Less than half a step below the floor is nothing, above the top is
    the top; not-a-number and negative are nothing."""
    flat = np.ascontiguousarray(usd, dtype=np.float64).reshape(-1)
    cells: ByteArray = np.empty(len(flat), np.uint8)
    _quantise(flat, flat.view(np.int64), _FIRST_BUCKET, _BUCKETS, _EDGES, cells)
    return cells.reshape(usd.shape)


def _cells_of(usd: FloatArray) -> FloatArray:
    """The definition, for positive amounts: rounded logarithmic steps from the floor."""
    steps = (np.log(usd) - math.log(FLOOR_USD)) * _STEPS_PER_LOG + 1.0
    cells: FloatArray = np.clip(np.rint(steps), 0.0, 255.0)
    return cells


def _edges() -> FloatArray:
    """float64[256]: the least number that falls into cell v + 1, to the last bit; none for 255."""
    wanted = np.arange(1, 256)
    low = np.full(255, 1.0).view(np.int64)
    high = np.full(255, 4.0 * TOP_USD).view(np.int64)
    while (high - low > 1).any():
        middle = low + (high - low) // 2
        reached = _cells_of(middle.view(np.float64)) >= wanted
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return np.append(high.view(np.float64), np.nan)


# Buckets by exponent and four bits of the mantissa are narrower than a step: one comparison with
# the next edge decides.
_EDGES = _edges()
_BUCKET_BITS = 48
_FIRST_BUCKET = int(np.float64(FLOOR_USD / 2.0).view(np.int64)) >> _BUCKET_BITS
_LAST_BUCKET = int(np.float64(TOP_USD * 2.0).view(np.int64)) >> _BUCKET_BITS
_BUCKETS: ByteArray = _cells_of(
    (np.arange(_FIRST_BUCKET, _LAST_BUCKET + 1) << _BUCKET_BITS).view(np.float64)
).astype(np.uint8)


@kernel
def _quantise(
    usd: FloatArray,
    bits: np.ndarray,
    first_bucket: int,
    buckets: ByteArray,
    edges: FloatArray,
    cells: ByteArray,
) -> None:
    """cells[n] of usd[n]; bits are the same numbers as int64."""
    last = len(buckets) - 1
    for i in range(len(usd)):
        cell = 0
        if usd[i] > 0.0:
            cell = buckets[min(max((bits[i] >> 48) - first_bucket, 0), last)]
            if usd[i] >= edges[cell]:
                cell += 1
        cells[i] = cell


@kernel
def _widen(usd: FloatArray, before: int, factor: int, sums: FloatArray) -> None:
    """sums[planes, n]: every `factor` bins of usd, which begins `before` bins into the first."""
    for plane in range(usd.shape[0]):
        total, at, left = 0.0, 0, factor - before
        for b in range(usd.shape[1]):
            total += usd[plane, b]
            left -= 1
            if left == 0:
                sums[plane, at] = total
                total, at, left = 0.0, at + 1, factor
        if left < factor:
            sums[plane, at] = total


def dequantise(cells: ByteArray) -> FloatArray:
    """Cells to USD, any shape."""
    usd: FloatArray = _USD[cells]
    return usd


def width_kept(age_ns: int, from_s: int) -> int:
    """The narrowest column from `from_s` up, s, that a history still keeps at this age."""
    for width_s in COLUMN_S[COLUMN_S.index(from_s) : -1]:
        # It forgets whole tiles.
        if age_ns <= (KEEP_S[width_s] + TILE_COLUMNS * width_s) * SECOND_NS:
            return width_s
    return COLUMN_S[-1]


def level_width(level: int) -> float:
    """Bin width of a level in log-price."""
    return BIN_WIDTH * LEVEL_FACTORS[level]


def level_sums(density: DensityColumn, level: int) -> tuple[int, FloatArray]:
    """(first lattice bin, float64[6, bins] USD) of the whole grid, summed onto the level."""
    factor = LEVEL_FACTORS[level]
    first, usd = _on_base_lattice(density)
    if factor == 1:
        return first, usd
    before = first % factor
    sums = np.empty((PLANES, -(-(before + usd.shape[1]) // factor)))
    _widen(usd, before, factor, sums)
    return first // factor, sums


def level_column(density: DensityColumn, level: int) -> LevelColumn:
    """Summed onto the level, cut to LEVEL_BINS_MAX around the mark, quantised."""
    limit = LEVEL_BINS_MAX[level]
    first, usd = level_sums(density, level)
    if usd.shape[1] > limit:
        mark_bin = math.floor(math.log(density.mark_price) / level_width(level)) - first
        start = min(max(mark_bin - limit // 2, 0), usd.shape[1] - limit)
        first, usd = first + start, usd[:, start : start + limit]
    return LevelColumn(first, quantise(usd))


def _on_base_lattice(density: DensityColumn) -> tuple[int, FloatArray]:
    """(first bin, float64[6, bins]) at BIN_WIDTH."""
    grid = density.grid
    planes = density.notional_usd.reshape(PLANES, grid.count)
    if math.isclose(grid.width, BIN_WIDTH, rel_tol=1e-12):
        return grid.first_bin, planes
    low = math.floor(grid.first_bin * grid.width / BIN_WIDTH)
    high = math.ceil((grid.first_bin + grid.count) * grid.width / BIN_WIDTH)
    target = PriceGrid(BIN_WIDTH, low, high - low)
    return low, np.stack([rebin(plane, grid, target)[0] for plane in planes])


def encode_tile(header: TileHeader, cells: ByteArray) -> bytes:
    """Header and cells uint8[6, columns, bins]. Raises ModelError when they contradict."""
    if cells.shape != (PLANES, header.columns, header.bins):
        raise ModelError(f"cells {cells.shape} for {header.columns} x {header.bins}")
    base, venue = header.base.encode(), header.venue.encode()
    if len(base) > 16 or len(venue) > 16:
        raise ModelError(f"name longer than 16 bytes: {header.base!r} {header.venue!r}")
    head = _HEADER.pack(
        MAGIC,
        VERSION,
        header.columns,
        header.bins,
        PLANES,
        header.filled_columns,
        header.start_ms,
        header.column_ms,
        header.bin_width,
        header.first_bin,
        COMPLETE if header.is_complete else 0,
        header.floor_usd,
        header.top_usd,
        header.mark_price,
        header.revision,
        base,
        venue,
    )
    return head + cells.tobytes()


def decode_tile(data: bytes) -> tuple[TileHeader, ByteArray]:
    """Raises ModelError when the bytes are no tile of this version or too short."""
    if len(data) < HEADER_BYTES or data[:4] != MAGIC:
        raise ModelError(f"not a tile: {data[:4]!r}, {len(data)} bytes")
    (_, version, columns, bins, planes, *rest) = _HEADER.unpack_from(data)
    if version != VERSION or planes != PLANES:
        raise ModelError(f"tile version {version} with {planes} planes")
    filled, start, column, width, first, flags, floor, top, mark, revision, base, venue = rest
    if len(data) != HEADER_BYTES + PLANES * columns * bins:
        raise ModelError(f"tile of {len(data)} bytes for {columns} x {bins}")
    header = TileHeader(
        columns=columns,
        bins=bins,
        filled_columns=filled,
        start_ms=start,
        column_ms=column,
        bin_width=width,
        first_bin=first,
        is_complete=bool(flags & COMPLETE),
        mark_price=mark,
        revision=revision,
        base=base.rstrip(b"\0").decode(),
        venue=venue.rstrip(b"\0").decode(),
        floor_usd=floor,
        top_usd=top,
    )
    cells = np.frombuffer(data, np.uint8, offset=HEADER_BYTES)
    return header, cells.reshape(PLANES, columns, bins)
