"""A look at the whole book, once in ten seconds: every level of both sides is read once, and what
it says of depth, of sizes and of the book by price is taken in the same walk."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from liqfield.book.bands import EDGES
from liqfield.book.ladder import Ladder
from liqfield.book.side_kernels import most_levels, side_levels
from liqfield.book.sizes import LevelSizes, size_bin
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import kernel

LATTICE = 0.0005  # log width of the bins in which the recent past of the book is kept
LATTICE_REACH = 0.06
REACH = float(EDGES[-1])
_HAIR = 1.0 + 1e-12  # a level on an edge is within it
_SEEN_HAIR = 1.0 + 1e-9


@kernel
def read_book(
    best: IntArray,
    mid_tick: float,
    unit: float,
    seen: FloatArray,
    edges: FloatArray,
    ticks: IntArray,
    coins: FloatArray,
    band: IntArray,
    fresh: IntArray,
    used: IntArray,
    cum_usd: FloatArray,
    by_price: FloatArray,
) -> tuple[int, int]:
    """Levels within REACH of the mid, bids before asks, best first, into ticks, coins and band of
    their distance. Returns where bids and asks end.

    seen float64[2]: distance to which a side is shown. cum_usd float64[2, EDGES] receives USD from
    the mid to each, nan beyond that. fresh int64[BANDS, bins]: levels by band and size are added,
    `used` widened to their bins (see `sizes`). by_price float64[2, n] receives the USD of a side in
    [edges[k], edges[k + 1]), edges in USD.
    """
    mid = mid_tick * unit
    middle = mid / unit
    bits = coins.view(np.int64)
    bids = end = 0
    least, most = used[0], used[1]
    for side in range(2):
        start = end
        if side == 0:
            low, high = math.floor(middle * (1.0 - REACH)), 1 << 60
        else:
            low, high = 0, math.ceil(middle * (1.0 + REACH)) + 1
        end = side_levels(best, side, low, high, ticks, coins, start)
        total, within, at, bin_ = 0.0, 0, 0, 0
        by_price[side] = 0.0
        for i in range(start, end):
            price = ticks[i] * unit
            usd = price * coins[i]
            distance = abs(price / mid - 1.0)
            while within < len(EDGES) and distance > EDGES[within] * _HAIR:
                cum_usd[side, within] = total
                within += 1
            total += usd
            while at < len(EDGES) and distance >= EDGES[at]:
                at += 1
            band[i] = at
            size = size_bin(bits[i])
            fresh[at, size] += 1
            least, most = min(least, size), max(most, size + 1)
            while bin_ < by_price.shape[1] and price >= edges[bin_ + 1]:
                bin_ += 1
            while bin_ > 0 and price < edges[bin_]:
                bin_ -= 1
            if bin_ < by_price.shape[1] and price >= edges[bin_]:
                by_price[side, bin_] += usd
        cum_usd[side, within:] = total
        for k in range(len(EDGES)):
            if EDGES[k] > min(seen[side], REACH) * _SEEN_HAIR:
                cum_usd[side, k] = np.nan
        if side == 0:
            bids = end
    used[0], used[1] = least, most
    return bids, end


class Sample(msgspec.Struct, frozen=True, gc=False, eq=False):
    """What a look found. Levels, bids before asks, best first: ticks int64[n], coins float64[n],
    band int64[n], the distance band of each; they stand until the next look.

    cum_usd: float64[2, EDGES], USD from the mid to each edge, nan where the venue does not show it.
    usd: float64[n], USD resting at prices in [exp(k w), exp((k + 1) w)) for k from `first` on, w
    the width LATTICE.
    """

    mid: float
    bids: int
    ticks: IntArray
    coins: FloatArray
    band: IntArray
    cum_usd: FloatArray
    first: int
    usd: FloatArray


class BookSampler:
    """Looks at one book; keeps the room for its levels."""

    def __init__(self, sizes: LevelSizes) -> None:
        """sizes: takes in the levels of every look."""
        self.sizes = sizes
        self._ticks, self._band = np.empty((2, 0), np.int64)
        self._coins = np.empty(0)
        self._window = 0, 0
        self._edges: FloatArray = np.empty(0)

    def look(self, ladder: Ladder, mid_tick: float, tick_usd: float, seen: FloatArray) -> Sample:
        """seen: float64[2], distance to which bids and asks are shown."""
        room = most_levels(ladder.words)
        if room > len(self._ticks):
            self._ticks, self._band = np.empty((2, room), np.int64)
            self._coins = np.empty(room)
        mid = mid_tick * tick_usd
        first, edges = self._lattice(mid)
        cum_usd, by_price = np.empty((2, len(EDGES))), np.empty((2, len(edges) - 1))
        sizes = self.sizes
        bids, end = read_book(
            ladder.words, mid_tick, tick_usd, seen, edges, self._ticks, self._coins, self._band,
            sizes.fresh, sizes.used, cum_usd, by_price,
        )  # fmt: skip
        sizes.take_in()
        levels = self._ticks[:end], self._coins[:end], self._band[:end]
        return Sample(mid, bids, *levels, cum_usd, first, by_price[0] + by_price[1])

    def _lattice(self, mid: float) -> tuple[int, FloatArray]:
        """(first bin, edges in USD) around a price."""
        first = math.floor(math.log(mid * (1.0 - LATTICE_REACH)) / LATTICE)
        last = math.floor(math.log(mid * (1.0 + LATTICE_REACH)) / LATTICE) + 1
        if self._window != (first, last):
            self._window = first, last
            self._edges = np.exp(np.arange(first, last + 1) * LATTICE)
        return first, self._edges
