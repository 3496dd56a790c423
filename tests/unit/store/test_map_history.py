"""The map's past: what a column is, restarts, holes, corruption, retention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liqfield.model.errors import ModelError
from liqfield.model.estimates import Confidence, LiquidationDensity
from liqfield.model.grid import PriceGrid
from liqfield.model.tiles import (
    BIN_WIDTH,
    COLUMN_S,
    QUANTISATION_ERROR,
    ByteArray,
    TileHeader,
    decode_tile,
    dequantise,
)
from liqfield.store.map_history import HOLD_S, MapHistory

SECOND = 1_000_000_000
T0 = 1_699_998_720  # s, start of tiles of 10 s and 60 s
MARK = 85_000.0
PRICE_INDEX = int(np.floor(np.log(MARK) / BIN_WIDTH)) // 256


def density(at_s: float, seed: int = 0, bins: int = 48) -> LiquidationDensity:
    notional = np.random.default_rng(seed).lognormal(12.0, 1.0, (2, 3, bins))
    sides = notional.sum(axis=1)
    return LiquidationDensity(
        "binance:BTCUSDT",
        int(at_s * SECOND),
        MARK,
        PriceGrid.around(MARK, BIN_WIDTH, bins),
        notional,
        np.array([1.0, 2.0]),
        float(sides[0].sum() + 1.0),
        Confidence(0.5),
        p10=sides / 2,
        p90=sides * 2,
    )


def append(history: MapHistory, at_s: int, column_s: int = 10, seed: int | None = None) -> None:
    map_ = density(at_s, at_s if seed is None else seed)
    history.append("BTC", "all", at_s * SECOND, map_, column_s)


def tile(
    history: MapHistory, column_s: int = 10, start_s: int = T0
) -> tuple[TileHeader, ByteArray, bool]:
    time_index = start_s // (64 * column_s)
    found = history.tile("BTC", "all", column_s, 0, time_index, PRICE_INDEX)
    assert found is not None
    header, cells = decode_tile(zstandard.ZstdDecompressor().decompress(found.data))
    assert header.is_complete == found.is_complete
    return header, cells, found.is_complete


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 90), min_size=1, max_size=60), st.sets(st.integers(0, 60)))
def test_a_column_of_any_width_is_the_last_map_inside_it(
    steps: list[int], restarts: set[int]
) -> None:
    """Against a dictionary, over restarts from disk at any moment."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        history = MapHistory(Path(folder))
        newest: dict[tuple[int, int], int] = {}
        at_s = T0 // 43_200 * 43_200
        for i, step in enumerate(steps):
            at_s += 10 * step
            append(history, at_s)
            for width_s in COLUMN_S:
                newest[(width_s, (at_s - 1) // width_s)] = at_s
            if i in restarts:
                history.close()
                history = MapHistory(Path(folder))
        for (width_s, column), want in newest.items():
            found = history.column("BTC", "all", column * width_s * SECOND, width_s)
            assert found is not None
            assert found.as_of_ns == want * SECOND
            assert found.end_ns == (column + 1) * width_s * SECOND
            exact = density(want, want).notional_usd
            start = found.grid.first_bin - density(0).grid.first_bin
            kept = found.notional_usd[:, :, max(-start, 0) :][:, :, :48]
            error = QUANTISATION_ERROR * (1 + 1e-9)
            assert np.allclose(kept, exact, rtol=error, atol=0)
        assert history.problem == ""
        history.close()


def test_a_finished_tile_is_the_same_bytes_before_and_after_a_restart(tmp_path: Path) -> None:
    history = MapHistory(tmp_path)
    for i in range(65):
        append(history, T0 + 10 * (i + 1))
    history.flush()
    header, cells, complete = tile(history)
    assert complete
    assert header.filled_columns == 64
    again = MapHistory(tmp_path)
    assert again.dataset_id == history.dataset_id
    time_index = T0 // 640
    first = history.tile("BTC", "all", 10, 0, time_index, PRICE_INDEX)
    second = again.tile("BTC", "all", 10, 0, time_index, PRICE_INDEX)
    assert first is not None
    assert second is not None
    assert first == second
    assert np.array_equal(tile(again)[1], cells)
    # A finished slab never changes: what comes late is not let in.
    append(history, T0 + 640, seed=5)
    assert np.array_equal(tile(history)[1], cells)
    history.close()
    again.close()


@pytest.mark.parametrize("on_disk", [True, False])
def test_disk_and_memory_behave_the_same(tmp_path: Path, on_disk: bool) -> None:
    history = MapHistory(tmp_path if on_disk else None)
    for i in range(200):
        append(history, T0 + 10 * (i + 1))
    history.flush()
    for start in (T0, T0 + 640, T0 + 1280):
        header, cells, complete = tile(history, start_s=start)
        assert complete
        bin_ = density(0).grid.first_bin - header.first_bin
        for column in (0, 63):
            at_s = start + 10 * (column + 1)
            want = density(at_s, at_s).notional_usd.reshape(6, -1)
            inside = min(48, 256 - bin_)
            got = dequantise(cells[:, column, bin_ : bin_ + inside])
            assert np.allclose(got, want[:, :inside], rtol=QUANTISATION_ERROR * 1.001, atol=0)
    header, _, complete = tile(history, start_s=T0 + 1920)
    assert (header.filled_columns, complete) == (8, False)
    history.close()


def test_a_coarse_past_is_held_at_narrow_widths_but_never_from_the_future() -> None:
    history = MapHistory(None)
    start = T0 // 300 * 300
    for i in range(1, 5):
        append(history, start + 300 * i, column_s=300, seed=i)
    _, cells, complete = tile(history, start_s=start + 300)
    assert not complete
    header = tile(history, start_s=start + 300)[0]
    first_s = int(header.start_ms / 1000)
    bin_ = density(0).grid.first_bin - header.first_bin
    for column in range(64):
        end_s = first_s + 10 * (column + 1)
        known = (end_s - start) // 300  # the newest map whose time has come
        cell = cells[:, column, bin_]
        if known == 0 or end_s - 10 >= start + 1200:
            assert not cell.any()
        else:
            want = density(0, min(known, 4)).notional_usd.reshape(6, -1)[:, 0]
            assert np.allclose(dequantise(cell), want, rtol=QUANTISATION_ERROR * 1.001)
    history.close()


def test_a_long_hole_stays_a_hole() -> None:
    history = MapHistory(None)
    append(history, T0 + 300)
    append(history, T0 + 300 + 4 * HOLD_S)
    tiles = (0, 1, 4)
    shown = [tile(history, start_s=T0 + 640 * i)[1].any(axis=(0, 2)) for i in tiles]
    times = np.concatenate([np.arange(10, 650, 10) + 640 * i for i in tiles])
    filled = times[np.concatenate(shown)].tolist()
    assert filled == [*range(300, 300 + HOLD_S + 10, 10), 300 + 4 * HOLD_S]
    for i in (2, 3):
        assert history.tile("BTC", "all", 10, 0, T0 // 640 + i, PRICE_INDEX) is None
    history.close()


def test_known_at_never_looks_ahead() -> None:
    history = MapHistory(None)
    for i in range(40):
        append(history, T0 + 10 * (i + 1))
    for at_s, want in ((T0 + 9.9, None), (T0 + 10, 10), (T0 + 255, 250), (T0 + 9999, None)):
        found = history.known_at("BTC", "all", int(at_s * SECOND))
        if want is None and at_s < T0 + 10:
            assert found is None
        elif want is not None:
            assert found is not None
            assert found.as_of_ns == (T0 + want) * SECOND
    history.close()


def test_a_corrupt_file_is_named_and_the_rest_works(tmp_path: Path) -> None:
    history = MapHistory(tmp_path)
    for i in range(140):
        append(history, T0 + 10 * (i + 1))
    history.close()
    path = tmp_path / "BTC" / "all" / "10" / f"{T0 // 640}.slab"
    data = bytearray(path.read_bytes())
    data[14] ^= 0xFF
    path.write_bytes(bytes(data))
    again = MapHistory(tmp_path)
    assert tile(again, start_s=T0 + 640)[2]
    again.tile("BTC", "all", 10, 0, T0 // 640, PRICE_INDEX)
    assert path.name in again.problem
    # The wider columns of that time are another file and still there.
    assert again.column("BTC", "all", (T0 + 30) * SECOND, 60) is not None
    again.close()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(0, 255))
def test_no_damaged_slab_crashes_the_reader(position: int, value: int) -> None:
    from liqfield.model.errors import StoreError
    from liqfield.store.slab import SlabKey, decode_slab, encode_slab, stored_column

    columns = (stored_column(density(0), 5), *(None,) * 63)
    data = bytearray(encode_slab(SlabKey("BTC", "all", 10, 1), columns, is_complete=False))
    data[position % len(data)] = value
    for piece in (bytes(data), bytes(data[: position % len(data)])):
        try:
            index, back = decode_slab(piece)
        except StoreError:
            continue
        assert index.columns[0] == columns[0].facts
        assert np.array_equal(back[0].cells(0) > 0, back[0].cells(0) > 0)  # type: ignore[union-attr]


def test_a_folder_that_cannot_be_written_is_said_and_the_map_goes_on(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    history = MapHistory(blocked / "map")
    for i in range(20):
        append(history, T0 + 10 * (i + 1))
    history.flush()
    assert "file" in history.problem
    assert history.column("BTC", "all", (T0 + 5) * SECOND) is not None
    assert tile(history)[0].filled_columns == 20
    # A finished slab that could not be written is still shown, and written when there is room.
    for i in range(20, 70):
        append(history, T0 + 10 * (i + 1))
    history.flush()
    assert tile(history)[2]
    blocked.unlink()
    for i in range(70, 90):
        append(history, T0 + 10 * (i + 1))
    history.close()
    assert history.problem == ""
    again = MapHistory(blocked / "map")
    assert tile(again)[2]
    assert tile(again, start_s=T0 + 640)[0].filled_columns == 26
    again.close()


def test_old_narrow_columns_are_forgotten(tmp_path: Path) -> None:
    keep = {10: 1280, 60: 7680, 300: 10**9, 1800: 10**9, 7200: 10**9, 43200: 10**9}
    history = MapHistory(tmp_path, keep_s=keep)
    for i in range(64 * 6):
        append(history, T0 + 10 * (i + 1))
    history.close()
    left = sorted(int(p.stem) for p in (tmp_path / "BTC" / "all" / "10").glob("*.slab"))
    assert left == [T0 // 640 + 3, T0 // 640 + 4, T0 // 640 + 5]
    assert len(list((tmp_path / "BTC" / "all" / "300").glob("*.slab"))) == 1


def test_names_that_cannot_be_folders_are_refused() -> None:
    history = MapHistory(None)
    for name in ("../x", "", "a/b", "a" * 17, ".hidden"):
        with pytest.raises(ModelError):
            history.append(name, "all", SECOND, density(1))
        assert history.tile(name, "all", 10, 0, 0, 0) is None
    with pytest.raises(ModelError):
        history.append("BTC", "all", SECOND, density(1), 11)
    history.close()
