"""The ladder: resting quantity by integer tick, dense around the price, nothing lost far from it.

Two float64 windows (bids, asks) cover `WINDOW` ticks; levels outside wait in a hash table and move
in when the window moves. Best prices are kept by the kernel. Quantities are base coins.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import cast

import numpy as np

from liqfield.book import kernels
from liqfield.book.kernels import (
    FREE,
    NO_ASK,
    NO_BID,
    TAKEN,
    applier,
    best_levels,
    best_ticks,
    collect,
    collect_far,
    fill,
    fill_far,
    read_far,
    sum_columns,
    sum_sides,
    top_levels,
)
from liqfield.book.side_kernels import best_first, farthest
from liqfield.model.events import BookLevels, FloatArray, IntArray
from liqfield.model.jit import address_of, direct

WINDOW = 1 << 16
_EDGE = WINDOW // 4
BID, ASK = 0, 1
_MOST = 1 << 10  # levels of a message, at first; a far table has four times as many slots


def _none_fit(*_levels: object) -> bool:
    """Of a ladder without a window."""
    return False


class Ladder:
    """One book. All prices are integer ticks of its instrument.

    mid: ticks, half-way between the best prices; 0 while a side is empty.
    all_before: what had rested at each level of the newest message, with room behind it.
    words_at: where its words lie (`kernels.BASE` and so on), for kernels; always there.
    """

    def __init__(self) -> None:
        self._size = np.zeros((2, WINDOW))
        self._best = np.zeros(kernels.WORDS, np.int64)
        self.words_at = address_of(self._best)
        self._base = 0  # tick of column 0
        self._most, self.all_before = _MOST, np.empty(_MOST)
        self._best[kernels.NOTHING :] = (
            *(id(None), id(True), id(False)),
            *(id(np.ndarray), id(np.dtype(np.int64)), id(np.dtype(np.float64))),
        )
        self._tabulate(np.empty(0, np.int64), np.empty(0))
        self._apply: Callable[..., object] = _none_fit
        self._best_levels = best_levels
        self._clear()

    def _clear(self) -> None:
        self._best[:TAKEN] = NO_BID, NO_ASK, NO_BID, NO_ASK
        self._best[TAKEN : kernels.BASE] = 0, NO_BID, NO_ASK
        self._best[kernels.ROOM] = 0  # the window lies nowhere yet: no levels fit
        self._bid, self._ask = NO_BID, NO_ASK  # wherever they are
        self.mid = 0.0
        self._is_empty = True
        self.is_crossed = False  # best bid at or above best ask
        self.applied: BookLevels | None = None  # the newest levels
        self._sum_sides = sum_sides

    def replace(self, levels: BookLevels) -> None:
        """Forget everything and take these levels."""
        self._size[:] = 0.0
        self._far_keys[:] = FREE
        self._far_sizes[:] = 0.0
        self._clear()
        self.apply(levels)

    def apply(self, levels: BookLevels) -> None:
        """Set absolute sizes; 0 deletes."""
        self.applied = levels
        said = self._apply(
            levels.all_ticks,
            levels.all_quantity,
            levels.first,
            levels.bid_count,
            levels.last,
        )
        if said is not None:
            self._heed(said)

    def _heed(self, said: object) -> None:
        """What `apply_levels` says of the newest levels."""
        if said is False:
            said = self._fit()
        if said is None:
            return
        if said is True:
            bid, ask = self._best[kernels.SAID_BID : kernels.BASE].tolist()
        else:
            bid, ask = cast("tuple[int, int]", said)
        self._bid, self._ask, self.is_crossed = bid, ask, bid >= ask
        self.mid = 0.0 if bid == NO_BID or ask == NO_ASK else 0.5 * (bid + ask)
        if said is not True:
            return
        # The window moves when the touch comes within a quarter of its edge, or left it.
        self._follow()
        if self._best[TAKEN] * 4 > len(self._far_keys):
            self._make_room()

    def _fit(self) -> object:
        """Apply the newest levels after making them fit."""
        levels = self.applied
        assert levels is not None
        if self._is_empty:
            if not len(levels):
                return None
            self._begin(levels)
        if len(levels) > self._most:
            self._most = 1 << len(levels).bit_length()
            self.all_before = np.empty(self._most)
            self._make_room()
        plain = np.array(levels.price_ticks, np.int64), np.array(levels.quantity, np.float64)
        said = self._apply(*plain, 0, levels.bid_count, len(levels))
        if said is False:
            raise ValueError(f"no levels: {levels}")
        return said

    @property
    def words(self) -> IntArray:
        """Where its tables lie, for kernels: see `kernels`."""
        return self._best

    @property
    def before(self) -> FloatArray:
        """What had rested at each of the levels of `applied`, until the next message."""
        return self.all_before[: 0 if self.applied is None else len(self.applied)]

    @property
    def best_bid(self) -> int | None:
        """Highest bid in ticks, None for an empty side."""
        return None if self._bid == NO_BID else self._bid

    @property
    def best_ask(self) -> int | None:
        """Lowest ask in ticks, None for an empty side."""
        return None if self._ask == NO_ASK else self._ask

    def quantity(self, side: int, tick: int) -> float:
        """Resting base coins at a tick; 0 where nothing rests."""
        column = tick - self._base
        if 0 <= column < WINDOW:
            return float(self._size[side, column])
        return read_far(self._far_keys, self._far_sizes, tick * 2 + side)

    def top(self, side: int, count: int) -> tuple[IntArray, FloatArray]:
        """The best `count` levels of a side, best first: int64[m] ticks, float64[m] coins."""
        best = int(self._best[side])
        ticks, quantity = top_levels(self._size, best - self._base, side, count)
        ticks = ticks + self._base
        if len(ticks) < count:
            far, coins = self._far(side)
            wanted = slice(count - len(ticks))
            if side == BID:
                far, coins = far[::-1], coins[::-1]
            ticks = np.concatenate((ticks, far[wanted]))
            quantity = np.concatenate((quantity, coins[wanted]))
        return ticks, quantity

    def best_levels(self, ticks: IntArray, coins: FloatArray) -> None:
        """Fill ticks int64[2, n] and coins float64[2, n] with the best bids and asks, best first.

        A level that does not exist has no coins and a tick worse than any. Both as numpy lays
        them out by itself (C order).
        """
        missing = self._best_levels(self._best, ticks, coins)
        if missing and self._best[TAKEN]:
            for side in (BID, ASK):
                found, quantity = self.top(side, ticks.shape[1])
                ticks[side, : len(found)], coins[side, : len(found)] = found, quantity

    def levels(self, side: int) -> tuple[IntArray, FloatArray]:
        """Every level, ascending by tick."""
        return self.between(side, -NO_ASK, NO_ASK)

    def between(self, side: int, low: int, high: int) -> tuple[IntArray, FloatArray]:
        """Levels with low <= tick < high, ascending by tick."""
        first = min(max(low - self._base, 0), WINDOW)
        last = min(max(high - self._base, first), WINDOW)
        columns, quantity = collect(self._size, side, *self._columns(side, first, last))
        ticks = columns + self._base
        if low < self._base or high > self._base + WINDOW:
            far, coins = self._far(side, low, high)
            if len(far):  # all of them are below the window or above it
                at = int(np.searchsorted(far, self._base))
                ticks = np.concatenate((far[:at], ticks, far[at:]))
                quantity = np.concatenate((coins[:at], quantity, coins[at:]))
        return ticks, quantity

    def best_first(
        self, side: int, low: int, high: int, unit: float
    ) -> tuple[FloatArray, FloatArray]:
        """Levels with low <= tick < high, best first: prices, ticks times `unit`, and sizes."""
        return best_first(self._best, side, low, high, unit)

    def farthest(self, side: int) -> int:
        """The tick of a side's worst level; of an empty side one that is better than any."""
        return farthest(self._best, side)

    def resting(self, side: int, low: int, high: int) -> float:
        """Coins at low <= tick < high."""
        first = min(max(low - self._base, 0), WINDOW)
        last = min(max(high - self._base, first), WINDOW)
        if low < self._base or high > self._base + WINDOW:
            return float(self.between(side, low, high)[1].sum())
        return sum_columns(self._size, side, first, last)

    def near(self, share: float) -> tuple[float, float]:
        """Coins of bids and asks within `share` of their best price; 0 while a side is empty."""
        bid, ask = self._bid, self._ask
        if bid == NO_BID or ask == NO_ASK:
            return 0.0, 0.0
        low, high = bid - math.floor(bid * share), ask + math.floor(ask * share) + 1
        base = self._base
        if min(low, ask) >= base and max(high, bid + 1) <= base + WINDOW:
            return self._sum_sides(self._size, low - base, bid + 1 - base, ask - base, high - base)
        return self.resting(BID, low, bid + 1), self.resting(ASK, ask, high)

    def digest(self) -> bytes:
        """Hash of all levels: equal books have equal digests, whatever window they sit in."""
        sha = hashlib.sha256()
        for side in (BID, ASK):
            ticks, quantity = self.levels(side)
            sha.update(ticks.tobytes())
            sha.update(quantity.tobytes())
        return sha.digest()

    def _columns(self, side: int, first: int, last: int) -> tuple[int, int]:
        """The part of [first, last) in which a side can have levels: none is beyond its best."""
        best = int(self._best[side]) - self._base
        if side == BID:
            return first, min(last, max(best + 1, first))
        return max(first, min(best, last)), last

    def _far(
        self, side: int, low: int = -NO_ASK, high: int = NO_ASK
    ) -> tuple[IntArray, FloatArray]:
        """Ticks, ascending, and sizes of the levels outside the window, low <= tick < high."""
        if not self._best[TAKEN]:
            return np.empty(0, np.int64), np.empty(0)
        far, coins = collect_far(self._far_keys, self._far_sizes, side, low, high)
        # Ticks with their places in one word: sorting words is faster than finding places.
        bits = len(far).bit_length()
        order = np.sort(far << bits | np.arange(len(far))) & ((1 << bits) - 1)
        return far[order], coins[order]

    def _begin(self, levels: BookLevels) -> None:
        """Lay the window around the first levels."""
        # Bids come best first on every venue; any level near the touch will do.
        self._set_base(int(levels.price_ticks[0]) - WINDOW // 2)
        self._best[kernels.ROOM] = self._most
        self._is_empty = False
        self._apply = applier(self._best, self)  # compiled when first needed
        self._sum_sides = direct(sum_sides, self._size, 0, 0, 0, 0)
        best = np.empty((2, 1), np.int64), np.empty((2, 1))
        self._best_levels = direct(best_levels, self._best, *best)

    def _set_base(self, base: int) -> None:
        self._base = self._best[kernels.BASE] = base

    def _make_room(self) -> None:
        """A fresh table of the far levels, without the deleted ones."""
        live = np.flatnonzero(self._far_sizes)
        self._tabulate(self._far_keys[live], self._far_sizes[live])

    def _tabulate(self, keys: IntArray, coins: FloatArray) -> None:
        """At most an eighth is taken. From a quarter on there is a new table, and a message takes
        a quarter at most: it is never more than half full."""
        slots = 4 * max(self._most, 1 << (2 * len(keys)).bit_length())
        self._far_keys, self._far_sizes = np.full(slots, FREE), np.zeros(slots)
        fill_far(self._far_keys, self._far_sizes, keys, coins)
        self._best[TAKEN] = len(keys)
        self._best[kernels.BASE : kernels.NOTHING] = (
            *(self._base, address_of(self._size), WINDOW),
            *(address_of(self._far_keys), address_of(self._far_sizes), slots),
            *(address_of(self.all_before), self._most),
        )

    def _follow(self) -> None:
        """Move the window to the touch."""
        bid, ask = self.best_bid, self.best_ask
        touch = bid if bid is not None else ask
        if touch is None or _EDGE <= touch - self._base < WINDOW - _EDGE:
            return
        all_levels = [self.levels(BID), self.levels(ASK)]
        self._set_base(touch - WINDOW // 2)
        self._size[:] = 0.0
        outside: list[tuple[IntArray, FloatArray]] = []
        for side, (ticks, quantity) in enumerate(all_levels):
            columns = ticks - self._base
            inside = (columns >= 0) & (columns < WINDOW)
            fill(self._size, side, columns[inside], quantity[inside])
            outside.append((ticks[~inside], quantity[~inside]))
        (bids, bid_coins), (asks, ask_coins) = outside
        keys = np.concatenate((bids * 2 + BID, asks * 2 + ASK))
        self._tabulate(keys, np.concatenate((bid_coins, ask_coins)))
        far_touch = int(bids.max(initial=NO_BID)), int(asks.min(initial=NO_ASK))
        self._best[:TAKEN] = *best_ticks(self._size, self._base), *far_touch
