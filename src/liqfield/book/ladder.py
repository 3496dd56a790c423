"""The ladder: resting quantity by integer tick, dense around the price, nothing lost far from it.

Two float64 windows (bids, asks) cover `WINDOW` ticks; levels outside wait in a dict and move in
when the window moves. Best prices are kept by the kernel. Quantities are base coins.
"""

from __future__ import annotations

import hashlib

import numpy as np

from liqfield.book.kernels import (
    NO_ASK,
    NO_BID,
    apply_levels,
    best_ticks,
    collect,
    fill,
    read_levels,
    top_levels,
)
from liqfield.model.events import BookLevels, FloatArray, IntArray

WINDOW = 1 << 16
_EDGE = WINDOW // 4
BID, ASK = 0, 1


class Ladder:
    """One book. All prices are integer ticks of its instrument."""

    def __init__(self) -> None:
        self._size = np.zeros((2, WINDOW))
        self._base = 0  # tick of column 0
        self._bid, self._ask = NO_BID, NO_ASK  # best ticks inside the window
        self._far: tuple[dict[int, float], dict[int, float]] = ({}, {})
        self._far_bid, self._far_ask = NO_BID, NO_ASK
        self._is_empty = True
        self.is_crossed = False  # best bid at or above best ask

    def replace(self, levels: BookLevels) -> None:
        """Forget everything and take these levels."""
        self._size[:] = 0.0
        self._bid, self._ask = NO_BID, NO_ASK
        self._far[BID].clear()
        self._far[ASK].clear()
        self._far_bid, self._far_ask = NO_BID, NO_ASK
        self._is_empty, self.is_crossed = True, False
        self.apply(levels)

    def apply(self, levels: BookLevels) -> None:
        """Set absolute sizes; 0 deletes."""
        ticks = levels.price_ticks
        if self._is_empty:
            if len(ticks) == 0:
                return
            # Bids come best first on every venue; any level near the touch will do.
            self._base = int(ticks[0]) - WINDOW // 2
            self._is_empty = False
        outside, bid, ask = apply_levels(
            ticks,
            levels.quantity,
            levels.bid_count,
            self._base,
            self._size,
            self._bid,
            self._ask,
        )
        self._bid, self._ask = bid, ask
        if outside:
            self._spill(levels)
        # The window moves when the touch comes within a quarter of its edge, or left it.
        column = (bid if bid != NO_BID else ask) - self._base
        far_bid, far_ask = self._far_bid, self._far_ask
        self.is_crossed = (bid if bid > far_bid else far_bid) >= (ask if ask < far_ask else far_ask)
        if not _EDGE <= column < WINDOW - _EDGE or far_bid > bid or far_ask < ask:
            self._follow()

    @property
    def best_bid(self) -> int | None:
        """Highest bid in ticks, None for an empty side."""
        bid = max(self._bid, self._far_bid)
        return None if bid == NO_BID else bid

    @property
    def best_ask(self) -> int | None:
        """Lowest ask in ticks, None for an empty side."""
        ask = min(self._ask, self._far_ask)
        return None if ask == NO_ASK else ask

    def quantity(self, side: int, tick: int) -> float:
        """Resting base coins at a tick; 0 where nothing rests."""
        column = tick - self._base
        if 0 <= column < WINDOW:
            return float(self._size[side, column])
        return self._far[side].get(tick, 0.0)

    def sizes(self, levels: BookLevels) -> FloatArray:
        """What rests now at the levels of a message: float64[n] base coins."""
        ticks, bids = levels.price_ticks, levels.bid_count
        quantity, outside = np.empty(len(ticks)), np.empty(len(ticks), np.int64)
        missed = read_levels(ticks, bids, self._base, self._size, quantity, outside)
        if missed:
            far = outside[:missed]
            bid_far, ask_far = self._far
            quantity[far] = [
                (bid_far if i < bids else ask_far).get(tick, 0.0)
                for i, tick in zip(far.tolist(), ticks[far].tolist(), strict=True)
            ]
        return quantity

    def top(self, side: int, count: int) -> tuple[IntArray, FloatArray]:
        """The best `count` levels of a side, best first: int64[m] ticks, float64[m] coins."""
        best = self._bid if side == BID else self._ask
        ticks, quantity = top_levels(self._size, best - self._base, side, count)
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
        far = self._far[side]
        if far and (low < self._base or high > self._base + WINDOW):
            far_ticks = np.fromiter(far.keys(), np.int64, len(far))
            inside = (far_ticks >= low) & (far_ticks < high)
            far_quantity = np.fromiter(far.values(), np.float64, len(far))
            ticks = np.concatenate((ticks, far_ticks[inside]))
            quantity = np.concatenate((quantity, far_quantity[inside]))
        return ticks, quantity

    def digest(self) -> bytes:
        """Hash of all levels: equal books have equal digests, whatever window they sit in."""
        sha = hashlib.sha256()
        for side in (BID, ASK):
            ticks, quantity = self.levels(side)
            sha.update(ticks.tobytes())
            sha.update(quantity.tobytes())
        return sha.digest()

    def _spill(self, levels: BookLevels) -> None:
        """Levels outside the window go to the far sides."""
        columns = levels.price_ticks - self._base
        for i in np.flatnonzero((columns < 0) | (columns >= WINDOW)).tolist():
            far = self._far[BID if i < levels.bid_count else ASK]
            tick, quantity = int(levels.price_ticks[i]), float(levels.quantity[i])
            if quantity > 0.0:
                far[tick] = quantity
            elif far.pop(tick, None) is None:
                continue
            if i < levels.bid_count and tick >= self._far_bid:
                self._far_bid = max(far, default=NO_BID)
            elif i >= levels.bid_count and tick <= self._far_ask:
                self._far_ask = min(far, default=NO_ASK)

    def _follow(self) -> None:
        """Move the window to the touch."""
        bid, ask = self.best_bid, self.best_ask
        touch = bid if bid is not None else ask
        if touch is None or _EDGE <= touch - self._base < WINDOW - _EDGE:
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
        bids, asks = self._far
        self._far_bid, self._far_ask = max(bids, default=NO_BID), min(asks, default=NO_ASK)
        self._bid, self._ask = best_ticks(self._size, self._base)
