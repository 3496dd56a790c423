"""Quantisation and the binary layout."""

from __future__ import annotations

import math
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.model.errors import ModelError
from liqfield.model.tiles import (
    FLOOR_USD,
    HEADER_BYTES,
    LEVEL_BINS_MAX,
    LEVEL_FACTORS,
    PLANES,
    QUANTISATION_ERROR,
    TOP_USD,
    TileHeader,
    decode_tile,
    dequantise,
    encode_tile,
    level_column,
    level_width,
    quantise,
)
from liqfield.server.tiles import live_tile
from tests.reference.tiles import slow_cells
from tests.unit.server.support import density

usd_values = st.lists(st.floats(FLOOR_USD, TOP_USD), min_size=1, max_size=50)


@given(usd_values)
def test_a_value_comes_back_within_the_stated_error(values: list[float]) -> None:
    usd = np.array(values)
    back = dequantise(quantise(usd))
    assert np.all(np.abs(back - usd) <= usd * QUANTISATION_ERROR * (1 + 1e-9))


@given(
    st.lists(
        st.floats(allow_nan=True, allow_infinity=True)
        | st.floats(0.5 * FLOOR_USD, 2.0 * TOP_USD)
        # The middle between two cells to within a few roundings, where a wrong edge would show.
        | st.builds(
            lambda v, off: FLOOR_USD * (TOP_USD / FLOOR_USD) ** ((v - 0.5) / 254) * (1 + off),
            st.integers(0, 255),
            st.sampled_from([0.0, 1e-15, -1e-15, 1e-12, -1e-12]),
        ),
        max_size=60,
    )
)
def test_cells_are_those_of_the_definition(values: list[float]) -> None:
    usd = np.array(values, dtype=float)
    assert quantise(usd).tolist() == slow_cells(usd).tolist()


@given(usd_values)
def test_more_never_looks_like_less(values: list[float]) -> None:
    cells = quantise(np.sort(np.array(values)))
    assert np.all(np.diff(cells.astype(int)) >= 0)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=50))
def test_quantising_again_changes_nothing(cells: list[int]) -> None:
    array = np.array(cells, np.uint8)
    assert np.array_equal(quantise(dequantise(array)), array)


def test_nothing_negative_and_not_a_number_are_nothing_and_too_much_is_the_top() -> None:
    cells = quantise(np.array([0.0, -5.0, math.nan, 1e-300, FLOOR_USD / 2, 1e15, math.inf]))
    assert cells.tolist() == [0, 0, 0, 0, 0, 255, 255]


def test_the_documented_formula_holds_for_every_cell() -> None:
    for v in range(1, 256):
        usd = FLOOR_USD * (TOP_USD / FLOOR_USD) ** ((v - 1) / 254)
        assert dequantise(np.array([v], np.uint8))[0] == pytest.approx(usd, rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 1 << 30),
    st.floats(0.01, 200_000.0),
    st.integers(1, 5000),
    st.sampled_from(range(len(LEVEL_FACTORS))),
)
def test_a_column_holds_the_map(seed: int, mark: float, bins: int, level: int) -> None:
    """Against the slow definition: every bin of the map falls into the level's bin around it."""
    map_ = density(0, mark, bins, seed)
    column = level_column(map_, level)
    sums = np.zeros((PLANES, column.cells.shape[1]))
    grid = map_.grid
    outside = 0
    for k in range(grid.count):
        target = math.floor((grid.first_bin + k) / LEVEL_FACTORS[level]) - column.first_bin
        if 0 <= target < sums.shape[1]:
            sums[:, target] += map_.notional_usd.reshape(PLANES, -1)[:, k]
        else:
            outside += 1
    assert np.array_equal(column.cells, quantise(sums))
    assert column.cells.shape[1] <= LEVEL_BINS_MAX[level]
    assert outside == 0 or column.cells.shape[1] == LEVEL_BINS_MAX[level]
    mark_bin = math.floor(math.log(mark) / level_width(level))
    assert column.first_bin <= mark_bin <= column.first_bin + column.cells.shape[1]


def header(columns: int, bins: int) -> TileHeader:
    return TileHeader(
        columns=columns,
        bins=bins,
        filled_columns=columns,
        start_ms=1.7e12,
        column_ms=60_000.0,
        bin_width=0.002,
        first_bin=-512,
        is_complete=True,
        mark_price=85_000.0,
        revision=7,
        base="BTC",
        venue="all",
    )


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 1 << 30))
def test_a_tile_comes_back_as_it_was(columns: int, bins: int, seed: int) -> None:
    cells = np.random.default_rng(seed).integers(0, 256, (PLANES, columns, bins), np.uint8)
    head, back = decode_tile(encode_tile(header(columns, bins), cells))
    assert head == header(columns, bins)
    assert np.array_equal(back, cells)


def test_the_header_lies_where_the_document_says() -> None:
    data = encode_tile(header(2, 3), np.arange(36, dtype=np.uint8).reshape(PLANES, 2, 3))
    assert len(data) == HEADER_BYTES + 36
    assert data[:4] == b"LQT1"
    assert struct.unpack_from("<HHHHI", data, 4) == (1, 2, 3, 6, 2)
    assert struct.unpack_from("<ddd", data, 16) == (1.7e12, 60_000.0, 0.002)
    assert struct.unpack_from("<iI", data, 40) == (-512, 1)
    assert struct.unpack_from("<fff", data, 48) == (100.0, 2e9, 85_000.0)
    assert struct.unpack_from("<I", data, 60) == (7,)
    assert data[64:80].rstrip(b"\0") == b"BTC"
    assert data[80:96].rstrip(b"\0") == b"all"
    assert data[96 + (1 * 2 + 1) * 3 + 2] == 11  # plane 1, column 1, bin 2


@given(st.binary(max_size=300))
def test_hostile_bytes_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(ModelError):
        decode_tile(data)
    with pytest.raises(ModelError):
        decode_tile(b"LQT1" + data)


def test_the_live_column_is_the_newest_map() -> None:
    map_ = density(1_700_000_013.5, bins=4000)
    head, cells = decode_tile(zlib.decompress(live_tile("BTC", "all", map_, 3)))
    assert (head.columns, head.bins, head.start_ms) == (1, 2048, 1_700_000_010_000.0)
    assert head.revision == 3
    start = head.first_bin - map_.grid.first_bin
    want = map_.notional_usd.reshape(PLANES, -1)[:, start : start + 2048]
    inside = (want > FLOOR_USD) & (want < TOP_USD)
    error = np.abs(dequantise(cells[:, 0, :]) - want)[inside] / want[inside]
    assert error.max() <= QUANTISATION_ERROR * (1 + 1e-9)
