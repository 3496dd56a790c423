"""The ladder: resting quantity by integer tick, dense around the price, nothing lost far from it.

Two float64 windows (bids, asks) cover `WINDOW` ticks; levels outside wait in a dict and move in
when the window moves. Best prices are pointers kept by the kernel. Quantities are base coins.
"""

from __future__ import annotations

import hashlib

import numpy as np

from liqfield.book.kernels import (
    NO_TICK,
    apply_levels,
    collect,
    fill,
    read_levels,
    rescan_best,
    top_levels,
)
from liqfield.model.events import BookLevels, FloatArray, IntArray

WINDOW = 1 << 16
BID, ASK = 0, 1


class Ladder:
    """One book. All prices are integer ticks of its instrument."""

    def __init__(self) -> None:
        self._size = np.zeros((2, WINDOW))
        self._base = 0  # tick of column 0
        self._best = np.array([NO_TICK, NO_TICK], np.int64)  # columns; NO_TICK = side empty here
        self._far: tuple[dict[int, float], dict[int, float]] = ({}, {})
        self._far_best: list[int | None] = [None, None]
        self._outside = np.empty(1024, np.int64)
        self._is_empty = True

    def replace(self, levels: BookLevels) -> None:
        """Forget everything and take these levels."""
        self._size[:] = 0.0
        self._best[:] = NO_TICK
        self._far[BID].clear()
        self._far[ASK].clear()
        self._far_best = [None, None]
        self._is_empty = True
        self.apply(levels)

    def apply(self, levels: BookLevels) -> None:
        """Set absolute sizes; 0 deletes."""
        n = len(levels.price_ticks)
        if n == 0:
            return
        if self._is_empty:
            # Bids come best first on every venue; any level near the touch will do.
            self._base = int(levels.price_ticks[0]) - WINDOW // 2
            self._is_empty = False
        if n > len(self._outside):
            self._outside = np.empty(2 * n, np.int64)
        count = apply_levels(
            levels.price_ticks,
            levels.quantity,
            levels.bid_count,
            self._base,
            self._size,
            self._best,
            self._outside,
        )
        if count:
            self._spill(levels, self._outside[:count])
        self._follow()

    @property
    def best_bid(self) -> int | None:
        """Highest bid in ticks, None for an empty side."""
        return self._best_of(BID)

    @property
    def best_ask(self) -> int | None:
        """Lowest ask in ticks, None for an empty side."""
        return self._best_of(ASK)

    @property
    def is_crossed(self) -> bool:
        bid, ask = self._best_of(BID), self._best_of(ASK)
        return bid is not None and ask is not None and bid >= ask

    def quantity(self, side: int, tick: int) -> float:
        """Resting base coins at a tick; 0 where nothing rests."""
        column = tick - self._base
        if 0 <= column < WINDOW:
            return float(self._size[side, column])
        return self._far[side].get(tick, 0.0)

    def sizes(self, levels: BookLevels) -> FloatArray:
        """What rests now at the levels of a message: float64[n] base coins."""
        n = len(levels.price_ticks)
        quantity = np.empty(n)
        if n > len(self._outside):
            self._outside = np.empty(2 * n, np.int64)
        ticks, bids = levels.price_ticks, levels.bid_count
        missed = read_levels(ticks, bids, self._base, self._size, quantity, self._outside)
        for i in self._outside[:missed]:
            quantity[i] = self._far[BID if i < bids else ASK].get(int(ticks[i]), 0.0)
        return quantity

    def top(self, side: int, count: int) -> tuple[IntArray, FloatArray]:
        """The best `count` levels of a side, best first: int64[m] ticks, float64[m] coins."""
        ticks, quantity = top_levels(self._size, self._best, side, count)
        ticks = ticks + self._base
        if len(ticks) < count and self._far[side]:
            far = sorted(self._far[side].items(), reverse=side == BID)[: count - len(ticks)]
            ticks = np.concatenate((ticks, np.array([t for t, _ in far], np.int64)))
            quantity = np.concatenate((quantity, np.array([q for _, q in far])))
        return ticks, quantity

    def levels(self, side: int) -> tuple[IntArray, FloatArray]:
        """Every level, ascending by tick."""
        columns, quantity = collect(self._size, side, 0, WINDOW)
        ticks = columns + self._base
        if self._far[side]:
            far = self._far[side]
            ticks = np.concatenate((ticks, np.fromiter(far.keys(), np.int64, len(far))))
            quantity = np.concatenate((quantity, np.fromiter(far.values(), float, len(far))))
            order = np.argsort(ticks)
            ticks, quantity = ticks[order], quantity[order]
        return ticks, quantity

    def between(self, side: int, low: int, high: int) -> tuple[IntArray, FloatArray]:
        """Levels with low <= tick < high, in no stated order."""
        first = min(max(low - self._base, 0), WINDOW)
        last = min(max(high - self._base, first), WINDOW)
        columns, quantity = collect(self._size, side, first, last)
        ticks = columns + self._base
        far = [(t, q) for t, q in self._far[side].items() if low <= t < high]
        if far:
            ticks = np.concatenate((ticks, np.array([t for t, _ in far], np.int64)))
            quantity = np.concatenate((quantity, np.array([q for _, q in far])))
        return ticks, quantity

    def digest(self) -> bytes:
        """Hash of all levels: equal books have equal digests, whatever window they sit in."""
        sha = hashlib.sha256()
        for side in (BID, ASK):
            ticks, quantity = self.levels(side)
            sha.update(ticks.tobytes())
            sha.update(quantity.tobytes())
        return sha.digest()

    def _best_of(self, side: int) -> int | None:
        column = int(self._best[side])
        near = None if column == NO_TICK else column + self._base
        far = self._far_best[side]
        if far is None or near is None:
            return near if far is None else far
        return max(near, far) if side == BID else min(near, far)

    def _spill(self, levels: BookLevels, outside: IntArray) -> None:
        for i in outside:
            far = self._far[BID if i < levels.bid_count else ASK]
            tick, quantity = int(levels.price_ticks[i]), float(levels.quantity[i])
            if quantity > 0.0:
                far[tick] = quantity
            else:
                far.pop(tick, None)
        self._note_far()

    def _note_far(self) -> None:
        bids, asks = self._far
        self._far_best = [max(bids) if bids else None, min(asks) if asks else None]

    def _follow(self) -> None:
        """Move the window when the touch comes within a quarter of its edge, or left it."""
        bid, ask = self._best_of(BID), self._best_of(ASK)
        touch = bid if bid is not None else ask
        if touch is None:
            return
        if WINDOW // 4 <= touch - self._base < 3 * WINDOW // 4:
            return
        all_levels = [self.levels(BID), self.levels(ASK)]
        self._base = touch - WINDOW // 2
        self._size[:] = 0.0
        for side, (ticks, quantity) in enumerate(all_levels):
            columns = ticks - self._base
            inside = (columns >= 0) & (columns < WINDOW)
            fill(self._size, side, columns[inside], quantity[inside])
            self._far[side].clear()
            self._far[side].update(
                zip(ticks[~inside].tolist(), quantity[~inside].tolist(), strict=True)
            )
        self._note_far()
        rescan_best(self._size, self._best)
