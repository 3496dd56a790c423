"""Heat-map history: what a tile costs to build and to serve, and how the history grows.

The market is synthetic (a log-normal map, 3 % of its bins change in 10 s, half of them in 30 min);
sizes on disk depend on the map, times hardly do.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.rows import Row, median_ms, row
from liqfield.model.estimates import Confidence, LiquidationDensity
from liqfield.model.grid import PriceGrid
from liqfield.model.tiles import BIN_WIDTH, COLUMN_S, DAY_S, KEEP_S, TILE_COLUMNS
from liqfield.store.map_history import MapHistory
from liqfield.store.slab import SlabKey, build_tile, stack, stored_column

SECOND = 1_000_000_000
T0 = 1_700_000_000 // (64 * 43_200) * (64 * 43_200)


class Market:
    """A map whose price walks and whose mass changes a little from column to column."""

    def __init__(self, bins: int = 4000) -> None:
        self._rng = np.random.default_rng(7)
        self._grid = PriceGrid.around(85_000.0, BIN_WIDTH, bins)
        distance = np.abs(np.arange(bins) - bins // 2)
        self._usd = np.exp(self._rng.normal(12, 1.5, (2, 3, bins)) - distance / 600)
        self._mark = 85_000.0

    def at(self, at_s: int, changed: float = 0.03) -> LiquidationDensity:
        bins = self._grid.count
        chosen = self._rng.integers(0, bins, int(bins * changed))
        self._usd[:, :, chosen] *= self._rng.uniform(0.9, 1.1, (2, 3, len(chosen)))
        self._mark *= float(np.exp(self._rng.normal(0, 2e-4)))
        sides = self._usd.sum(axis=1)
        return LiquidationDensity(
            "binance:BTCUSDT",
            at_s * SECOND,
            self._mark,
            self._grid,
            self._usd,
            np.zeros(2),
            float(sides[0].sum()),
            Confidence(1.0),
            p10=sides,
            p90=sides,
        )


def build_rows() -> list[Row]:
    """Quantising a map, stacking columns, cutting a tile; beside a copy of the same bytes."""
    market = Market()
    key = SlabKey("BTC", "all", 10, T0 // 640)
    columns = tuple(stored_column(market.at(T0 + 10 * i), 10 * i) for i in range(TILE_COLUMNS))
    stacked = stack(columns, 0)
    price_index = stacked[0] + 4

    def one_tile() -> bytes:
        data = build_tile(key, columns, 0, price_index, stacked, is_complete=False)
        assert data is not None
        return data

    tile = one_tile()
    source = np.frombuffer(tile, np.uint8)
    target = np.empty_like(source)
    copy_ms = median_ms(lambda: np.copyto(target, source), 400)
    cut_ms = median_ms(one_tile, 400)
    map_ = market.at(T0)
    quantise_ms = median_ms(lambda: stored_column(map_, 1))
    stack_ms = median_ms(lambda: stack(columns, 0))
    per_tile_ms = stack_ms / (stacked[1].shape[2] / 256) + cut_ms
    # At worst every column of every width's open slab is another one; the budget is the bound by
    # construction, cells that do not compress at all.
    packed = statistics.mean(len(column.packed) for column in columns)
    open_mb = packed * TILE_COLUMNS * len(COLUMN_S) * 5 / 1e6
    return [
        row("tile cut from stacked columns", cut_ms * 1e3, "us", 500.0)
        | {"peer": "memcpy of the same bytes", "ratio": cut_ms / copy_ms},
        row("tile from packed columns", per_tile_ms * 1e3, "us", 2000.0)
        | {"peer": "memcpy of the same bytes", "ratio": per_tile_ms / copy_ms},
        row("column quantised and packed, 4000 bins", quantise_ms * 1e3, "us", 2000.0),
        *(
            row(f"open columns in memory, {count} markets x 5 maps", count * open_mb, "MB", budget)
            for count, budget in ((1, 36.0), (10, 360.0), (100, 3600.0))
        ),
        row("100 markets x 5 maps a 10 s column", quantise_ms * 500 / 10_000 * 100, "% core", 15.0),
    ]


def growth_rows() -> list[Row]:
    """Bytes by slab of every width, the disk after a day, 30 days and a year, and serving then."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        history = MapHistory(folder)
        market = Market()
        for i in range(DAY_S // 10 // 4):  # six hours of 10 s columns
            at_s = T0 + 10 * (i + 1)
            history.append("BTC", "all", at_s * SECOND, market.at(at_s))
        history.flush()
        for i in range(DAY_S // 1800 * 16):  # then sixteen days of half hours
            at_s = T0 + DAY_S + 1800 * (i + 1)
            history.append("BTC", "all", at_s * SECOND, market.at(at_s, 0.5), 1800)
        history.close()
        per_slab = {}
        for width_s in COLUMN_S:
            sizes = [p.stat().st_size for p in (folder / "BTC" / "all" / str(width_s)).iterdir()]
            per_slab[width_s] = statistics.median(sizes)
        served = _served_ms(folder)
    rows = [
        row("tile served from a year on disk, p50", statistics.median(served), "ms", 5.0),
        row("tile served from a year on disk, p99", sorted(served)[-3], "ms", 20.0),
    ]
    for label, days, budget in (("1 day", 1, 50.0), ("30 days", 30, 150.0), ("1 year", 365, 300.0)):
        total = sum(
            min(days * DAY_S, KEEP_S[width_s]) / (width_s * TILE_COLUMNS) * size
            for width_s, size in per_slab.items()
        )
        rows.append(
            row(f"map on disk after {label}, one market and venue", total / 1e6, "MB", budget)
        )
    return rows


def _served_ms(folder: Path) -> list[float]:
    """A fresh process's view: every tile another slab, straight from the file."""
    history = MapHistory(folder)
    rng = np.random.default_rng(1)
    middle = int(np.floor(np.log(85_000.0) / BIN_WIDTH)) // 256
    slabs = folder / "BTC" / "all" / "1800"
    first = (T0 + DAY_S) // (1800 * TILE_COLUMNS) + 1
    taken = []
    # The rest of the year are copies of a finished slab: to the reader a file is a file.
    for time_index in range(first + 1, first + 274):
        shutil.copyfile(slabs / f"{first}.slab", slabs / f"{time_index}.slab")
    for time_index in rng.permutation(np.arange(first, first + 274)):
        start = time.perf_counter()
        price_index = middle + int(rng.integers(-2, 2))
        tile = history.tile("BTC", "all", 1800, 0, int(time_index), price_index)
        taken.append((time.perf_counter() - start) * 1e3)
        assert tile is not None
        assert tile.is_complete
    return taken


def rows() -> list[Row]:
    return build_rows() + growth_rows()


if __name__ == "__main__":
    for line in rows():
        print(line)
