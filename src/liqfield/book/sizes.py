"""How large levels usually are, by distance: the law against which a wall stands out.

A histogram of level sizes a distance band, both sides together, with a half-life in samples. Bins
split every octave of coins into four by value, through the float's own exponent: no logarithm,
so every machine agrees.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from liqfield.book.bands import BANDS, EDGES
from liqfield.model.events import FloatArray, IntArray

PARTS = 4  # bins an octave
OCTAVES = 96  # 2**-48 ... 2**48 coins
LOWEST = -48
LEAST_COUNT = 20.0  # levels before a band has a law of its own


def size_bin(quantity: FloatArray) -> IntArray:
    """Histogram bin of each size > 0."""
    mantissa, exponent = np.frexp(quantity)
    part = ((mantissa - 0.5) * (2 * PARTS)).astype(np.int64)
    bins: IntArray = np.clip(
        (exponent.astype(np.int64) - LOWEST) * PARTS + part, 0, OCTAVES * PARTS - 1
    )
    return bins


def bin_floor(index: int, share: float = 0.0) -> float:
    """Coins at `share` (0..1) of a bin's width."""
    octave, part = divmod(index, PARTS)
    return float(2.0 ** (octave + LOWEST) * (0.5 + (part + share) / (2 * PARTS)))


class LevelSizes:
    """Quantiles of level sizes by distance band."""

    def __init__(self, half_life: float = 60.0) -> None:
        self.counts = np.zeros((BANDS, OCTAVES * PARTS))
        self._keep = 0.5 ** (1.0 / half_life)

    def sample(self, distance: FloatArray, quantity: FloatArray) -> None:
        """Take in the levels of both sides: unsigned distance and coins, all > 0."""
        band = np.searchsorted(EDGES, distance, side="right")
        flat = band * (OCTAVES * PARTS) + size_bin(quantity)
        self.counts *= self._keep
        self.counts += np.bincount(flat, minlength=self.counts.size).reshape(self.counts.shape)

    def quantiles(self, band: int, shares: Sequence[float]) -> list[float]:
        """Coins; a band with too few levels borrows its nearer neighbours. inf without any."""
        counts = self.counts[band]
        total = float(counts.sum())
        while total < LEAST_COUNT and band > 0:
            band -= 1
            counts = counts + self.counts[band]
            total = float(counts.sum())
        if total < LEAST_COUNT:
            return [float("inf")] * len(shares)
        reached = counts.cumsum()
        found = []
        for share, at in zip(
            shares, reached.searchsorted([share * total for share in shares]).tolist(), strict=True
        ):
            below = float(reached[at - 1]) if at > 0 else 0.0
            width = float(reached[at]) - below
            found.append(bin_floor(at, (share * total - below) / width if width > 0.0 else 0.0))
        return found
