"""How large levels usually are, by distance: the law against which a wall stands out.

A histogram of level sizes a distance band, both sides together, with a half-life in samples. Bins
split every octave of coins into four by value, through the float's own exponent: no logarithm,
so every machine agrees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from liqfield.book.bands import BANDS
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import inner_kernel, kernel

PARTS = 4  # bins an octave
OCTAVES = 96  # 2**-48 ... 2**48 coins
LOWEST = -48
BINS = OCTAVES * PARTS
LEAST_COUNT = 20.0  # levels before a band has a law of its own


@inner_kernel
def size_bin(bits: int) -> int:
    """Histogram bin of a size > 0, from the bits of its float64: the exponent, the first two of the
    mantissa."""
    bin_ = ((bits >> 52) - 1022 - LOWEST) * PARTS + ((bits >> 50) & (PARTS - 1))
    return min(max(bin_, 0), BINS - 1)


@kernel
def take_in(counts: FloatArray, fresh: IntArray, used: IntArray, keep: float) -> None:
    """Decay counts float64[BANDS, bins] by `keep`, add the fresh levels and forget that they are.

    used int64[2]: the bins in [used[0], used[1]) have ever held a level.
    """
    for b in range(counts.shape[0]):
        for k in range(used[0], used[1]):
            counts[b, k] = counts[b, k] * keep + fresh[b, k]
            fresh[b, k] = 0


@kernel
def bin_floor(index: int, share: float = 0.0) -> float:
    """Coins at `share` (0..1) of a bin's width."""
    octave, part = index // PARTS, index % PARTS
    return math.ldexp(0.5 + (part + share) / (2 * PARTS), octave + LOWEST)


@kernel
def find_quantiles(counts: FloatArray, used: IntArray, shares: FloatArray, out: FloatArray) -> None:
    """Sizes below which `shares` (above 0) of a band's levels are, into out float64[BANDS, shares].

    A band with too few levels borrows its nearer neighbours; inf without any. used: as of
    `take_in`.
    """
    first, last = used[0], used[1]
    reached = np.zeros(counts.shape[1])
    for band in range(counts.shape[0]):
        nearest, total = band + 1, 0.0
        while total < LEAST_COUNT and nearest > 0:
            nearest -= 1
            total = 0.0
            for k in range(first, last):
                for b in range(nearest, band + 1):
                    total += counts[b, k]
                reached[k] = total
        for i in range(len(shares)):
            out[band, i] = np.inf
            if total < LEAST_COUNT:
                continue
            goal = shares[i] * total
            at = first + np.searchsorted(reached[first:last], goal)
            below = reached[at - 1] if at > 0 else 0.0
            width = reached[at] - below
            out[band, i] = bin_floor(at, (goal - below) / width if width > 0.0 else 0.0)


class LevelSizes:
    """Quantiles of level sizes by distance band.

    fresh: int64[BANDS, bins], levels of a look by distance band and `size_bin`; used: int64[2], the
    bins in [used[0], used[1]) have ever held one. Whoever looks writes both, then `take_in`.
    """

    def __init__(self, half_life: float = 60.0) -> None:
        self.counts = np.zeros((BANDS, BINS))
        self.fresh = np.zeros((BANDS, BINS), np.int64)
        self.used = np.array([BINS, 0])
        self._keep = 0.5 ** (1.0 / half_life)

    def take_in(self) -> None:
        """A look is over."""
        take_in(self.counts, self.fresh, self.used, self._keep)

    def quantiles(self, shares: Sequence[float]) -> FloatArray:
        """float64[BANDS, shares] coins; see `find_quantiles`."""
        found = np.empty((BANDS, len(shares)))
        find_quantiles(self.counts, self.used, np.array(shares), found)
        return found
