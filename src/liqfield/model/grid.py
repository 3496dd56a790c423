"""PriceGrid: ordered log-spaced bins on one absolute lattice, so that re-centring moves no mass.

Bin k covers [exp(k w), exp((k+1) w)) with w the width in log-price; a grid is the window
[first_bin, first_bin + count) of that lattice. Two grids of the same width differ by an integer
shift; `rebin` moves mass between any widths without creating or losing any.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from liqfield.model.events import FloatArray


class PriceGrid(msgspec.Struct, frozen=True, gc=False):
    """width: bin width in log-price (0.0005 = 5 bp); first_bin: lattice index; count: bins."""

    width: float
    first_bin: int
    count: int

    @classmethod
    def around(cls, price: float, width: float, count: int) -> PriceGrid:
        """A grid of `count` bins centred on a price in USD per base coin."""
        return cls(width, math.floor(math.log(price) / width) - count // 2, count)

    def bin_of(self, price: float) -> int:
        """Index within this grid; negative or >= count when outside."""
        return math.floor(math.log(price) / self.width) - self.first_bin

    def edges(self) -> FloatArray:
        """float64[count + 1], USD per base coin."""
        edges: FloatArray = np.exp((self.first_bin + np.arange(self.count + 1)) * self.width)
        return edges

    def centres(self) -> FloatArray:
        """float64[count], the middle of each bin in log-price, USD per base coin."""
        centres: FloatArray = np.exp((self.first_bin + np.arange(self.count) + 0.5) * self.width)
        return centres


def rebin(
    mass: FloatArray, source: PriceGrid, target: PriceGrid
) -> tuple[FloatArray, float, float]:
    """Move mass[count] from one grid to another, spread evenly in log-price within a bin.

    Returns (mass on the target, mass below it, mass above it); the three sum to mass.sum().
    """
    if mass.shape != (source.count,):
        raise ValueError(f"mass has shape {mass.shape}, grid has {source.count} bins")
    cumulative = np.concatenate(([0.0], np.cumsum(mass)))
    source_edges = (source.first_bin + np.arange(source.count + 1)) * source.width
    target_edges = (target.first_bin + np.arange(target.count + 1)) * target.width
    at = np.interp(target_edges, source_edges, cumulative)
    return np.diff(at), float(at[0]), float(cumulative[-1] - at[-1])
