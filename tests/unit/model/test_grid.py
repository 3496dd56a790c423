"""Price grids: rebinning neither creates nor loses mass, and re-centring moves none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqfield.model.events import FloatArray
from liqfield.model.grid import PriceGrid, rebin

WIDTHS = st.sampled_from([0.0001, 0.0005, 0.001, 0.0037])
GRIDS = st.builds(
    PriceGrid.around, st.floats(90.0, 110.0), WIDTHS, st.integers(min_value=1, max_value=300)
)


@st.composite
def masses(draw: st.DrawFn) -> tuple[FloatArray, PriceGrid]:
    grid = draw(GRIDS)
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).gamma(0.3, 1e6, grid.count), grid


def rebin_slowly(mass: FloatArray, source: PriceGrid, target: PriceGrid) -> FloatArray:
    """The definition: every bin gives each bin it overlaps the overlapped share of itself."""
    out = np.zeros(target.count)
    for i in range(source.count):
        low, high = (source.first_bin + i) * source.width, (source.first_bin + i + 1) * source.width
        for j in range(target.count):
            left = (target.first_bin + j) * target.width
            overlap = min(high, left + target.width) - max(low, left)
            out[j] += mass[i] * max(overlap, 0.0) / source.width
    return out


@given(masses(), GRIDS)
def test_rebinning_conserves_mass_and_stays_positive(
    mass_on: tuple[FloatArray, PriceGrid], target: PriceGrid
) -> None:
    mass, source = mass_on
    moved, below, above = rebin(mass, source, target)
    assert moved.sum() + below + above == pytest.approx(mass.sum(), rel=1e-12)
    slack = 1e-12 * mass.sum()
    assert min(moved.min(), below, above) >= -slack


@given(masses(), GRIDS)
def test_rebinning_equals_its_definition(
    mass_on: tuple[FloatArray, PriceGrid], target: PriceGrid
) -> None:
    mass, source = mass_on
    source = PriceGrid(source.width, source.first_bin, min(source.count, 40))
    target = PriceGrid(target.width, target.first_bin, min(target.count, 40))
    mass = mass[: source.count]
    moved, _, _ = rebin(mass, source, target)
    np.testing.assert_allclose(
        moved, rebin_slowly(mass, source, target), atol=1e-8 * max(mass.sum(), 1.0)
    )


@given(masses(), st.integers(-400, 400))
def test_a_shifted_window_moves_no_mass_between_bins(
    mass_on: tuple[FloatArray, PriceGrid], shift: int
) -> None:
    mass, source = mass_on
    target = PriceGrid(source.width, source.first_bin + shift, source.count)
    moved, _, _ = rebin(mass, source, target)
    expected = np.zeros(source.count)
    for k in range(source.count):
        if 0 <= k + shift < source.count:
            expected[k] = mass[k + shift]
    np.testing.assert_allclose(moved, expected, atol=1e-9 * max(mass.sum(), 1.0))


@given(masses(), st.integers(2, 7))
def test_finer_and_back_is_the_same(mass_on: tuple[FloatArray, PriceGrid], parts: int) -> None:
    mass, source = mass_on
    fine = PriceGrid(source.width / parts, source.first_bin * parts, source.count * parts)
    there, _, _ = rebin(mass, source, fine)
    back, _, _ = rebin(there, fine, source)
    np.testing.assert_allclose(back, mass, atol=1e-9 * max(mass.sum(), 1.0))


@given(GRIDS, st.integers(0, 10_000))
def test_a_price_lies_between_the_edges_of_its_bin(grid: PriceGrid, at: int) -> None:
    centres, edges = grid.centres(), grid.edges()
    k = at % grid.count
    assert edges[k] < centres[k] < edges[k + 1]
    assert grid.bin_of(float(centres[k])) == k
    assert len(edges) == grid.count + 1
    assert grid.bin_of(float(edges[0]) * math.exp(-grid.width / 2)) == -1
    assert grid.bin_of(float(edges[-1]) * math.exp(grid.width / 2)) == grid.count


def test_windows_of_two_days_lie_on_one_lattice() -> None:
    one, other = PriceGrid.around(60_000.0, 0.0005, 400), PriceGrid.around(63_000.0, 0.0005, 400)
    shift = other.first_bin - one.first_bin
    assert 0 < shift < one.count
    np.testing.assert_allclose(one.edges()[shift:], other.edges()[: 401 - shift], rtol=1e-12)


def test_mass_of_another_shape_is_refused() -> None:
    grid = PriceGrid.around(100.0, 0.001, 10)
    with pytest.raises(ValueError, match="10 bins"):
        rebin(np.ones(9), grid, grid)
