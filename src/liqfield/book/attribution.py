"""Where depth went: every change of a level is additions, fills and cancellations, on one clock.

Law, per level and message: additions - fills - cancellations == size after - size before.
A loss is filled as far as trades at that price explain it, the rest was cancelled. A message covers
(time of the previous one, its own time]; a trade explains the loss of the message that covers it,
else losses within `tolerance_ns` around, because venues stamp books and trades apart. A trade that
arrives after its message turns cancellations of that message into fills. A trade that finds no
loss in time was refilled at once: a fill and an addition of its size. Sizes are base coins.
"""

from __future__ import annotations

import hashlib
import math
from typing import cast

import msgspec
import numpy as np

from liqfield.book.attribution_kernels import (
    AT,
    COUNTED,
    DROPPED,
    HEARD,
    HIGH,
    LOST,
    LOW,
    READ,
    TOLD,
    TOLERANCE,
    TOUCHED,
    WAITING,
)
from liqfield.book.bands import BANDS
from liqfield.book.message_kernels import NO_SIGHT, delta_folder, hear_trades
from liqfield.book.plan import (
    AGGRESSION_S,
    COUNT,
    HEAD_WORDS,
    KEYS,
    NOT_DONE,
    NUMBER,
    PLAN,
    TICK_USD,
    TOUCH_ROWS,
    TOUCHES,
    WATCH_WORDS,
)
from liqfield.model.events import BookLevels, FloatArray, IntArray
from liqfield.model.jit import address_of, direct
from liqfield.model.native import places_of
from liqfield.model.tape import BATCH, TradeTape

TOLERANCE_NS = 100_000_000
PENDING = 4_096  # trades that wait for their loss
LOSSES = 16_384  # cancelled levels that a late trade can still explain, a power of two
WATCH = 4_096  # cells of the watch table, a power of two


class Explained(msgspec.Struct, frozen=True, gc=False):
    """What a trade was found to be: coins moved from cancelled to filled, coins refilled."""

    key: int  # tick * 2 + is_ask
    moved: float
    refilled: float


class Touch(msgspec.Struct, frozen=True, gc=False):
    """A watched or large level in a message."""

    tick: int
    is_ask: int
    before: float
    after: float
    filled: float
    cancelled: float


class Attribution:
    """Additions, fills and cancellations of one book. It reads trades off the tape, those with the
    book's number; they are judged with the next book message.

    at_ns: of the newest message; -1 without a book.
    has_heard: whether a trade was counted since `trades_lost`, or ever.
    totals: float64[2 sides, BANDS, 3] since the beginning, base coins by distance at the time.
    aggression: float64[2, AGGRESSION_S], coins that took bids [0] and asks [1] by second.
    large: float64[BANDS], a level that grows to this size is reported as a Touch.
    plan: where all of it lies, for the kernels; a `WallTracker` adds its own part.
    """

    def __init__(
        self, trades: TradeTape, number: int, tick_usd: float, tolerance_ns: int = TOLERANCE_NS
    ) -> None:
        self._trades = trades
        self.has_heard = False
        self.totals = np.zeros((2, BANDS, 3))
        self._head = np.zeros(HEAD_WORDS, np.int64)
        self._words = self._head.data  # the same memory: an element costs half of numpy's own
        self._head[TOLERANCE], self._head[LOW], self._head[HIGH] = tolerance_ns, -NO_SIGHT, NO_SIGHT
        self._head[AT], self._head[READ], self._head[COUNTED] = -1, trades.count, trades.count
        self.large = np.full(BANDS, np.inf)
        self.watched = np.zeros((WATCH, WATCH_WORDS), np.int64)
        self._waiting = np.empty((2, PENDING), np.int64)
        self._waiting_left = np.empty(PENDING)
        self._losses = np.empty((3, LOSSES), np.int64)
        self._losses_left = np.empty(LOSSES)
        self._loss_before, self._newest = np.empty(LOSSES, np.int64), np.zeros(WATCH, np.int64)
        # Touched and large levels of the last message, and trades explained at them.
        self._most = trades.capacity // 2  # trades of the market that may wait for a message
        self._touched = np.empty((64, 6))
        self._told = np.empty((3, PENDING + self._most + BATCH))
        self._units = np.array([math.inf, math.inf, tick_usd])
        self.aggression, self.second = np.zeros((2, AGGRESSION_S)), np.zeros(1, np.int64)
        tables = (
            *(self._head, self.large, self.watched, self._waiting, self._waiting_left),
            *(self._losses, self._losses_left, self._loss_before, self._newest, self.totals),
            *(self._touched, self._told, trades.words, self._units, self.second, self.aggression),
        )
        self.plan = np.zeros(PLAN, np.int64)
        counts = PENDING, LOSSES, WATCH, len(self._touched), self._told.shape[1], number
        self.plan[: len(tables) + len(counts)] = *(address_of(table) for table in tables), *counts
        names = "all_ticks", "all_quantity", "bid_count", "first", "last"
        self.plan[NOT_DONE:] = (
            *(id(False), id(np.ndarray), id(np.dtype(np.int64)), id(np.dtype(np.float64))),
            *(id(BookLevels), *places_of(BookLevels, *names)),
        )
        self._fold = delta_folder(self.plan, tables)
        self._hear = direct(hear_trades, 0, False, self.plan)

    @property
    def at_ns(self) -> int:
        return self._words[AT]

    def watch(self, key: int, by: int) -> None:
        """Report every change of a level (tick * 2 + is_ask), or stop (by = 1, -1)."""
        cell = key & (WATCH - 1)
        self.watched[cell, COUNT] += by
        self.watched[cell, KEYS] += by * key

    def see(self, bid_width: float = math.inf, ask_width: float = math.inf) -> None:
        """The book is a window so many ticks wide, each side from the mid: only what changes in its
        inner part is judged."""
        self._units[:TICK_USD] = bid_width, ask_width

    def restart(self, at_ns: int) -> None:
        """The book was replaced: what happened before it cannot be told any more."""
        self.settle()
        self._head[AT] = at_ns
        if self._head[LOST]:
            self._newest[:] = 0
        self._head[WAITING] = self._head[LOST] = 0
        self._head[READ] = self._head[COUNTED]

    def settle(self) -> bool:
        """Count the trades that wait as aggression; without a book that is all of them, and so it
        is where the tape is about to be written over them. Returns `has_heard`."""
        told, words = self._trades.count, self._words
        is_over = words[AT] < 0 or told - words[READ] > self._most
        if words[COUNTED] < told or is_over:
            self._hear(told, is_over, self.plan)
        self.has_heard = words[HEARD] > 0
        return self.has_heard

    def delta(self, levels: BookLevels, before: FloatArray, at_ns: int, mid_tick: float) -> int:
        """Fold a book message; before: what rested at its levels. `touches` and `explained` tell
        what it did to watched and large levels. Returns how many walls got their verdict."""
        judged = self._fold(levels, before, at_ns, mid_tick, self._trades.count)
        if judged is False:
            judged = self._fold(*self._fit(levels, before), at_ns, mid_tick, self._trades.count)
        return cast("int", judged)

    def _fit(self, levels: BookLevels, before: FloatArray) -> tuple[BookLevels, FloatArray]:
        """In plain arrays, with room for as many touches."""
        count = len(levels)
        if count > len(self._touched):
            self._touched = np.empty((2 * count, 6))
            self.plan[TOUCHES], self.plan[TOUCH_ROWS] = address_of(self._touched), 2 * count
        plain = np.array(levels.price_ticks, np.int64), np.array(levels.quantity, np.float64)
        if len(plain[1]) < count or len(before) < count or levels.bid_count > count:
            raise ValueError(f"no levels: {levels}")
        return BookLevels(*plain, levels.bid_count), np.array(before[:count], np.float64)

    def touches(self) -> list[Touch]:
        """Watched and large levels in the last message."""
        rows = self._touched[: self._head[TOUCHED]].tolist()
        return [Touch(int(tick), int(side), *rest) for tick, side, *rest in rows]

    def explained(self) -> list[Explained]:
        """What became of trades at watched levels with the last message."""
        columns = self._told[:, : self._head[TOLD]].T.tolist()
        return [Explained(int(key), moved, refilled) for key, moved, refilled in columns]

    @property
    def pending(self) -> float:
        """Coins of trades that wait for their loss."""
        waiting = float(self._waiting_left[: self._head[WAITING]].sum())
        return waiting + float(np.abs(self._unjudged()[2]).sum())

    def trades_lost(self) -> None:
        """Trades went missing: those that wait will not be judged."""
        self.restart(self.at_ns)
        self._head[HEARD] = 0
        self.has_heard = False

    @property
    def dropped(self) -> int:
        """Trades that could not be judged: before a book, or too many at once."""
        return int(self._head[DROPPED])

    def digest(self) -> bytes:
        """Hash over all that decides what comes."""
        sha = hashlib.sha256(repr(self.at_ns).encode())
        count, lost = int(self._head[WAITING]), min(int(self._head[LOST]), LOSSES)
        for array in (
            self._head[:READ],
            self.large,
            self.totals,
            self._waiting[:, :count],
            self._waiting_left[:count],
            self._losses[:, :lost],
            self._losses_left[:lost],
            *self._unjudged(),
        ):
            sha.update(array.tobytes())
        return sha.digest()

    def _unjudged(self) -> tuple[IntArray, FloatArray, FloatArray]:
        """Time, price and signed coins of the trades that wait for the next message."""
        tape = self._trades
        at = np.arange(self._words[READ], tape.count) % tape.capacity
        at = at[tape.number[at] == self.plan[NUMBER]]
        return tape.told_ns[at], tape.price[at], tape.signed[at]
