"""How large levels usually are, by distance: the law against which a wall stands out.

A histogram of level sizes a distance band, both sides together, with a half-life in samples. Bins
split every octave of coins into four by value, through the float's own exponent: no logarithm,
so every machine agrees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from liqfield.book.bands import BANDS, EDGES
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import inner_kernel, kernel

PARTS = 4  # bins an octave
OCTAVES = 96  # 2**-48 ... 2**48 coins
LOWEST = -48
LEAST_COUNT = 20.0  # levels before a band has a law of its own


@inner_kernel
def size_bin(quantity: float) -> int:
    """Histogram bin of a size > 0."""
    mantissa, exponent = math.frexp(quantity)
    bin_ = (int(exponent) - LOWEST) * PARTS + int((mantissa - 0.5) * (2 * PARTS))
    return min(max(bin_, 0), OCTAVES * PARTS - 1)


@kernel
def count_sizes(
    distance: FloatArray,
    quantity: FloatArray,
    edges: FloatArray,
    keep: float,
    counts: FloatArray,
    band: IntArray,
) -> None:
    """Decay counts float64[BANDS, bins] by `keep` and add these levels; band receives theirs."""
    fresh = np.zeros(counts.shape, np.int64)
    for i in range(len(distance)):
        at = 0
        while at < len(edges) and distance[i] >= edges[at]:
            at += 1
        band[i] = at
        fresh[at, size_bin(quantity[i])] += 1
    for b in range(counts.shape[0]):
        for k in range(counts.shape[1]):
            counts[b, k] = counts[b, k] * keep + fresh[b, k]


@kernel
def bin_floor(index: int, share: float = 0.0) -> float:
    """Coins at `share` (0..1) of a bin's width."""
    octave, part = index // PARTS, index % PARTS
    return math.ldexp(0.5 + (part + share) / (2 * PARTS), octave + LOWEST)


@kernel
def find_quantiles(counts: FloatArray, shares: FloatArray, out: FloatArray) -> None:
    """Sizes below which `shares` of a band's levels are, into out float64[BANDS, shares].

    A band with too few levels borrows its nearer neighbours; inf without any.
    """
    reached = np.empty(counts.shape[1])
    for band in range(counts.shape[0]):
        nearest, total = band + 1, 0.0
        while total < LEAST_COUNT and nearest > 0:
            nearest -= 1
            total = 0.0
            for k in range(counts.shape[1]):
                for b in range(nearest, band + 1):
                    total += counts[b, k]
                reached[k] = total
        for i in range(len(shares)):
            out[band, i] = np.inf
            if total < LEAST_COUNT:
                continue
            goal = shares[i] * total
            at = np.searchsorted(reached, goal)
            below = reached[at - 1] if at > 0 else 0.0
            width = reached[at] - below
            out[band, i] = bin_floor(at, (goal - below) / width if width > 0.0 else 0.0)


class LevelSizes:
    """Quantiles of level sizes by distance band."""

    def __init__(self, half_life: float = 60.0) -> None:
        self.counts = np.zeros((BANDS, OCTAVES * PARTS))
        self._keep = 0.5 ** (1.0 / half_life)

    def sample(self, distance: FloatArray, quantity: FloatArray) -> IntArray:
        """Take in the levels of both sides, unsigned distance and coins, all > 0; their bands."""
        band = np.empty(len(distance), np.int64)
        count_sizes(distance, quantity, EDGES, self._keep, self.counts, band)
        return band

    def quantiles(self, shares: Sequence[float]) -> FloatArray:
        """float64[BANDS, shares] coins; see `find_quantiles`."""
        found = np.empty((BANDS, len(shares)))
        find_quantiles(self.counts, np.array(shares), found)
        return found
