"""The heat map's past: a pyramid of column widths, open slabs in memory, finished ones on disk.

A column is the map as known at its END; a wider column is the last narrower one inside it. What is
missing at a narrow width (the back-filled past is coarse, a restart leaves a hole) is held from the
newest map known by then, for at most HOLD_S: known at the time, never from the future.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np

from liqfield.model.durations import SECOND_NS
from liqfield.model.errors import ModelError, StoreError
from liqfield.model.estimates import DensityColumn
from liqfield.model.grid import PriceGrid
from liqfield.model.tiles import (
    COLUMN_S,
    KEEP_S,
    LEVEL_FACTORS,
    TILE_COLUMNS,
    ByteArray,
    MapColumn,
    StoredTile,
    dequantise,
    level_width,
)
from liqfield.store.atomic import write_atomic
from liqfield.store.slab import (
    Columns,
    SlabKey,
    StoredColumn,
    build_tile,
    decode_slab,
    stack,
    stored_column,
    tile_frame,
)
from liqfield.store.slab_files import SlabFiles, SlabFolder, SlabMemory
from liqfield.store.slab_writer import SlabWriter, WriteJob

#: After so many columns an open slab is written too: a crash costs at most 160 s of 10 s columns.
_CHECKPOINT = {10: 16, 60: 8, 300: 2, 1800: 1, 7200: 1, 43200: 1}
HOLD_S = 600
_OPEN_PER_SERIES = 2
_STACKS = 12  # decoded slabs kept for the next price tile of the same view: about 1 MB each
_SLABS = 24  # unfinished slabs read back from disk
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,15}")
_EMPTY: Columns = (None,) * TILE_COLUMNS

Series: TypeAlias = tuple[str, str, int]


class _OpenSlab:
    """Columns being filled. `newest` is the column written last."""

    def __init__(self, columns: Columns, *, is_complete: bool) -> None:
        self.columns = list(columns)
        self.is_complete = is_complete
        self.unsaved = 0
        self.newest = -1


class MapHistory:
    """`append` never waits for the disk; reading takes about a millisecond a tile.

    folder None keeps everything in memory, the oldest forgotten beyond memory_bytes. Not thread
    safe: one event loop appends and reads. `problem` says in words what could not be stored.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        memory_bytes: int = 256 << 20,
        keep_s: Mapping[int, int] = KEEP_S,
    ) -> None:
        self._files: SlabFiles = SlabMemory(memory_bytes) if folder is None else SlabFolder(folder)
        self._writer = SlabWriter(self._files)
        self._keep_s = keep_s
        self._open: dict[Series, OrderedDict[int, _OpenSlab]] = {}
        self._stacks: OrderedDict[tuple[SlabKey, int], tuple[Columns, tuple[int, ByteArray]]] = (
            OrderedDict()
        )
        self._loaded: OrderedDict[SlabKey, tuple[Columns, bool] | None] = OrderedDict()
        self._newest_ns: dict[tuple[str, str], int] = {}
        self._read_problem = ""
        self.dataset_id = _dataset_id(folder)

    @property
    def problem(self) -> str:
        return self._writer.problem or self._read_problem

    @property
    def bytes_written(self) -> int:
        return self._writer.bytes_written

    def append(
        self, base: str, venue: str, at_ns: int, density: DensityColumn, column_s: int = 10
    ) -> None:
        """Put the map known at `at_ns` (the end of its column) into every width from column_s up.

        Earlier knowledge never replaces later one within a column, and a finished slab stays as it
        is. Raises ModelError on a name that cannot be a folder or an unknown width.
        """
        if not (_NAME.fullmatch(base) and _NAME.fullmatch(venue)):
            raise ModelError(f"not a market or venue name: {base!r} {venue!r}")
        if column_s not in COLUMN_S:
            raise ModelError(f"no such column width: {column_s} s, there are {COLUMN_S}")
        column = stored_column(density, at_ns)
        self._newest_ns[(base, venue)] = max(at_ns, self._known_until_ns(base, venue))
        for width_s in COLUMN_S[COLUMN_S.index(column_s) :]:
            time_index, i = divmod((at_ns - 1) // (width_s * SECOND_NS), TILE_COLUMNS)
            self._put(SlabKey(base, venue, width_s, time_index), i, column)

    def tile(
        self,
        base: str,
        venue: str,
        column_s: int,
        bin_level: int,
        time_index: int,
        price_index: int,
    ) -> StoredTile | None:
        """One tile of 64 columns x 256 bins, None where there is nothing."""
        if column_s not in COLUMN_S or not 0 <= bin_level < len(LEVEL_FACTORS):
            return None
        if not (_NAME.fullmatch(base) and _NAME.fullmatch(venue)):
            return None
        key = SlabKey(base, venue, column_s, time_index)
        finished = self._finished_tile(key, bin_level, price_index)
        if finished is not None:
            return finished
        columns, is_complete = self._columns(key)
        if not is_complete:
            columns = self._with_held(key, columns)
        raw = build_tile(
            key,
            columns,
            bin_level,
            price_index,
            self._stacked(key, columns, bin_level),
            is_complete=is_complete,
        )
        if raw is None:
            return None
        return _stored_tile(tile_frame(raw), is_complete)

    def column(
        self, base: str, venue: str, at_ns: int, column_s: int | None = None, bin_level: int = 0
    ) -> MapColumn | None:
        """The stored column that covers `at_ns`: of that width, or the narrowest there is."""
        for width_s in COLUMN_S if column_s is None else (column_s,):
            time_index, i = divmod(at_ns // (width_s * SECOND_NS), TILE_COLUMNS)
            key = SlabKey(base, venue, width_s, time_index)
            columns = self._columns(key)[0]
            if columns[i] is None and column_s is not None:
                columns = self._with_held(key, columns)
            found = columns[i]
            if found is not None:
                return _map_column(key, i, found, bin_level)
        return None

    def known_at(self, base: str, venue: str, at_ns: int) -> MapColumn | None:
        """The newest stored map that was known at `at_ns`; None before the history begins."""
        best: MapColumn | None = None
        for width_s in COLUMN_S:
            time_index, i = divmod(at_ns // (width_s * SECOND_NS) - 1, TILE_COLUMNS)
            key = SlabKey(base, venue, width_s, time_index)
            found = self._columns(key)[0][i]
            if found is not None and (best is None or found.facts.as_of_ns > best.as_of_ns):
                best = _map_column(key, i, found, 0)
        return best

    def flush(self) -> None:
        """Write every open slab and wait for the disk."""
        for (base, venue, width_s), slabs in self._open.items():
            for time_index, slab in slabs.items():
                if slab.unsaved:
                    self._save(SlabKey(base, venue, width_s, time_index), slab)
        self._writer.flush()

    def close(self) -> None:
        """Flush and end the writer."""
        self.flush()
        self._writer.close()

    # ---- writing ------------------------------------------------------------------------------

    def _put(self, key: SlabKey, i: int, column: StoredColumn) -> None:
        slabs = self._open.setdefault((key.base, key.venue, key.column_s), OrderedDict())
        if key.time_index not in slabs:
            self._roll(key, slabs)
        slab = slabs[key.time_index]
        before = slab.columns[i]
        if slab.is_complete or (before and before.facts.as_of_ns > column.facts.as_of_ns):
            return
        slab.columns[i] = column
        if i == slab.newest:  # the running column once more: it will be saved when it is over
            slab.unsaved = max(slab.unsaved, 1)
            return
        slab.newest = i
        slab.unsaved += 1
        if slab.unsaved > _CHECKPOINT[key.column_s]:
            self._save(key, slab)

    def _roll(self, key: SlabKey, slabs: OrderedDict[int, _OpenSlab]) -> None:
        """Open the slab; save those before it. A finished one is let go: it never changes."""
        for time_index, slab in tuple(slabs.items()):
            if time_index < key.time_index and not slab.is_complete:
                slab.is_complete = None not in slab.columns
                if slab.unsaved or slab.is_complete:
                    self._save(SlabKey(key.base, key.venue, key.column_s, time_index), slab)
                if slab.is_complete:
                    del slabs[time_index]
        while len(slabs) >= _OPEN_PER_SERIES:
            oldest, slab = slabs.popitem(last=False)
            if slab.unsaved:
                self._save(SlabKey(key.base, key.venue, key.column_s, oldest), slab)
        columns, is_complete = self._columns(key)
        slabs[key.time_index] = _OpenSlab(columns, is_complete=is_complete)

    def _save(self, key: SlabKey, slab: _OpenSlab) -> None:
        slab.unsaved = 0
        self._loaded.pop(key, None)
        span_s = TILE_COLUMNS * key.column_s
        keep_from = SlabKey(
            key.base, key.venue, key.column_s, key.time_index - self._keep_s[key.column_s] // span_s
        )
        job = WriteJob(tuple(slab.columns), slab.is_complete, keep_from)
        self._writer.put(key, job)

    # ---- reading ------------------------------------------------------------------------------

    def _finished_tile(self, key: SlabKey, level: int, price_index: int) -> StoredTile | None:
        """Straight from the file when the slab is finished and nothing newer is on its way."""
        if self._open_slab(key) is not None:
            return None
        if self._writer.get(key) is not None:
            return None
        try:
            found = self._files.read_tile(key, level, price_index)
        except StoreError as error:
            self._read_problem = f"{error}; its columns are shown as missing"
            return None
        if found is None or not found[0].is_complete or found[1] is None:
            return None
        return _stored_tile(found[1], is_complete=True)

    def _open_slab(self, key: SlabKey) -> _OpenSlab | None:
        slabs = self._open.get((key.base, key.venue, key.column_s))
        return None if slabs is None else slabs.get(key.time_index)

    def _columns(self, key: SlabKey) -> tuple[Columns, bool]:
        """(columns, complete) from wherever the slab is now; empty ones where there is none."""
        slab = self._open_slab(key)
        if slab is not None:
            return tuple(slab.columns), slab.is_complete
        job = self._writer.get(key)
        if job is not None:
            return job.columns, job.is_complete
        if key not in self._loaded:
            self._loaded[key] = self._load(key)
            while len(self._loaded) > _SLABS:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key] or (_EMPTY, False)

    def _load(self, key: SlabKey) -> tuple[Columns, bool] | None:
        try:
            data = self._files.read(key)
            if data is None:
                return None
            index, columns = decode_slab(data)
        except StoreError as error:
            self._read_problem = (
                f"{self._files.name(key)}: {error.why}; its columns are shown as missing"
            )
            return None
        return columns, index.is_complete

    def _with_held(self, key: SlabKey, columns: Columns) -> Columns:
        """Missing columns filled with the newest map known by their end, as the module says."""
        width_ns = key.column_s * SECOND_NS
        until_ns = self._known_until_ns(key.base, key.venue)
        before = SlabKey(key.base, key.venue, key.column_s, key.time_index - 1)
        carried = next((c for c in reversed(self._columns(before)[0]) if c is not None), None)
        out = list(columns)
        for i, column in enumerate(columns):
            start_ns = key.start_ns + i * width_ns
            if column is not None:
                carried = column
            elif start_ns < until_ns:
                end_ns = start_ns + width_ns
                known = [c for c in (carried, *self._wider(key, end_ns)) if c is not None]
                fresh = [c for c in known if 0 <= end_ns - c.facts.as_of_ns <= HOLD_S * SECOND_NS]
                out[i] = max(fresh, key=lambda c: c.facts.as_of_ns, default=None)
        return tuple(out)

    def _wider(self, key: SlabKey, end_ns: int) -> Iterator[StoredColumn | None]:
        """The wider columns that end by `end_ns` or run over it."""
        for width_s in COLUMN_S:
            if key.column_s < width_s <= HOLD_S:
                running = end_ns // (width_s * SECOND_NS)
                for column in (running - 1, running):
                    time_index, i = divmod(column, TILE_COLUMNS)
                    wide = SlabKey(key.base, key.venue, width_s, time_index)
                    yield self._columns(wide)[0][i]

    def _known_until_ns(self, base: str, venue: str) -> int:
        """Nothing is held beyond the newest thing known: the future stays empty."""
        if (base, venue) not in self._newest_ns:
            newest = [self._files.newest(base, venue, width_s) for width_s in COLUMN_S]
            stored = [c for key in newest if key for c in self._columns(key)[0] if c is not None]
            self._newest_ns[(base, venue)] = max((c.facts.as_of_ns for c in stored), default=0)
        return self._newest_ns[(base, venue)]

    def _stacked(self, key: SlabKey, columns: Columns, level: int) -> tuple[int, ByteArray]:
        cached = self._stacks.get((key, level))
        # The columns are immutable: the same ones give the same stack.
        if cached is None or any(a is not b for a, b in zip(cached[0], columns, strict=True)):
            cached = (columns, stack(columns, level))
            self._stacks[(key, level)] = cached
            while len(self._stacks) > _STACKS:
                self._stacks.popitem(last=False)
        self._stacks.move_to_end((key, level))
        return cached[1]


def _map_column(key: SlabKey, i: int, column: StoredColumn, level: int) -> MapColumn:
    start_ns = key.start_ns + i * key.column_s * SECOND_NS
    cells = column.cells(level)
    return MapColumn(
        start_ns=start_ns,
        end_ns=start_ns + key.column_s * SECOND_NS,
        as_of_ns=column.facts.as_of_ns,
        mark_price=column.facts.mark_price,
        grid=PriceGrid(level_width(level), column.first_bins[level], column.bins[level]),
        notional_usd=dequantise(cells).reshape(2, 3, -1),
        outside_usd=np.array(column.facts.outside_usd),
        open_interest_usd=column.facts.open_interest_usd,
        confidence=column.facts.confidence,
        forced_share=column.facts.forced_share,
    )


def _stored_tile(frame: bytes, is_complete: bool) -> StoredTile:
    return StoredTile(frame, hashlib.blake2b(frame, digest_size=12).hexdigest(), is_complete)


def _dataset_id(folder: Path | None) -> str:
    """Names this history for caches: two histories may hold different maps of the same hour."""
    if folder is None:
        return uuid.uuid4().hex[:12]
    path = folder / "dataset"
    try:
        return path.read_text().strip()
    except OSError:
        name = uuid.uuid4().hex[:12]
        with contextlib.suppress(StoreError):  # the first append will say why it cannot be written
            write_atomic(path, name.encode())
        return name
