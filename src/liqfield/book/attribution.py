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
from collections.abc import Callable
from typing import TypeAlias, cast

import msgspec
import numpy as np

from liqfield.book.attribution_kernels import (
    AT,
    DROPPED,
    HIGH,
    LOST,
    LOW,
    TOLERANCE,
    WAITING,
    fold_message,
)
from liqfield.book.bands import BANDS, EDGES
from liqfield.model.events import BookLevels, FloatArray
from liqfield.model.jit import direct

TOLERANCE_NS = 100_000_000
PENDING = 4_096  # trades that wait for their loss
LOSSES = 16_384  # cancelled levels that a late trade can still explain, a power of two
WATCH = 4_096  # cells of the watch table, a power of two
NO_SIGHT = 1 << 62
Fold: TypeAlias = Callable[..., tuple[int, int]]


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


class Changes:
    """What a message did to watched and large levels; valid until the next one.

    touched: float64[n, 6], its first `touched_count` rows are `Touch`es. told: float64[3, n], its
    first `told_count` columns are `Explained`s.
    """

    def __init__(self) -> None:
        self.touched = np.empty((64, 6))
        self.told = np.empty((3, 2 * PENDING))
        self.touched_count = self.told_count = 0

    def touches(self) -> list[Touch]:
        rows = self.touched[: self.touched_count].tolist()
        return [Touch(int(tick), int(side), *rest) for tick, side, *rest in rows]

    def explained(self) -> list[Explained]:
        columns = self.told[:, : self.told_count].T.tolist()
        return [Explained(int(key), moved, refilled) for key, moved, refilled in columns]


class Attribution:
    """Additions, fills and cancellations of one book.

    totals: float64[2 sides, BANDS, 3] since the beginning, base coins by distance at the time.
    """

    def __init__(self, tolerance_ns: int = TOLERANCE_NS) -> None:
        self.totals = np.zeros((2, BANDS, 3))
        self.changes = Changes()
        self.at_ns = -1
        self._head = np.zeros(10, np.int64)
        self._head[TOLERANCE] = tolerance_ns
        self._bands = np.full((2, BANDS), np.inf)
        self._bands[0, :-1] = EDGES
        self.watched = np.zeros((WATCH, 2), np.int64)  # levels watched and the sum of their keys
        self._waiting = np.empty((2, PENDING), np.int64)
        self._waiting_left = np.empty(PENDING)
        self._losses = np.empty((3, LOSSES), np.int64)
        self._losses_left = np.empty(LOSSES)
        # Trades since the last message, folded with the next one: keys and times, coins.
        self._fresh, self._fresh_coins = np.empty((2, PENDING), np.int64), np.empty(PENDING)
        # The same memory: setting an element of it costs half of numpy's own.
        self._fresh_keys, self._fresh_times = (row.data for row in self._fresh)
        self._fresh_left = cast("memoryview[float]", self._fresh_coins.data)
        self._fresh_count = 0
        self._tables = (
            self.changes.told,
            self._fresh,
            self._fresh_coins,
            self._head,
            self._bands,
            self.watched,
            self._waiting,
            self._waiting_left,
            self._losses,
            self._losses_left,
            self.totals,
        )
        # Levels may be a column of a table: `strided` stands for any layout.
        strided = np.empty((1, 2), np.int64)[:, 0], np.empty(1), np.empty((1, 2))[:, 0]
        like = 0, 0, 0, 0.0, *strided, self.changes.touched, *self._tables
        self._fold = cast("Fold", direct(fold_message, *like))
        self.see(-NO_SIGHT, NO_SIGHT)

    def watch(self, key: int, by: int) -> None:
        """Report every change of a level (tick * 2 + is_ask), or stop (by = 1, -1)."""
        cell = key & (WATCH - 1)
        self.watched[cell, 0] += by
        self.watched[cell, 1] += by * key

    def report_from(self, large: FloatArray) -> None:
        """float64[BANDS]: a level that grows to this size is reported as a Touch."""
        self._bands[1] = large

    def see(self, low_tick: int, high_tick: int) -> None:
        """Only changes between these ticks are judged."""
        self._head[LOW], self._head[HIGH] = low_tick, high_tick

    def restart(self, at_ns: int) -> None:
        """The book was replaced: what happened before it cannot be told any more."""
        self.at_ns = at_ns
        self._head[AT] = at_ns
        self._head[WAITING] = self._head[LOST] = 0
        self._fresh_count = 0

    def trade(self, tick: int, is_ask: int, quantity: float, at_ns: int) -> None:
        """A trade at a resting level; it is judged with the next book message."""
        count = self._fresh_count
        if count < PENDING and self.at_ns >= 0:
            self._fresh_keys[count], self._fresh_times[count] = tick * 2 + is_ask, at_ns
            self._fresh_left[count] = quantity
            self._fresh_count = count + 1
        else:
            self._head[DROPPED] += 1

    def delta(self, levels: BookLevels, before: FloatArray, at_ns: int, mid_tick: float) -> Changes:
        """Fold a book message: the touched levels, and what became of trades at watched ones."""
        first, n, changes = levels.first, len(levels), self.changes
        if n > len(changes.touched):
            changes.touched = np.empty((2 * n, 6))
        self.at_ns = max(at_ns, self.at_ns)
        changes.touched_count, changes.told_count = self._fold(
            self._fresh_count,
            levels.bid_count,
            at_ns,
            mid_tick,
            levels.all_ticks[first : first + n],
            before,
            levels.all_quantity[first : first + n],
            changes.touched,
            *self._tables,
        )
        self._fresh_count = 0
        return changes

    @property
    def pending(self) -> float:
        """Coins of trades that wait for their loss."""
        waiting = float(self._waiting_left[: self._head[WAITING]].sum())
        return waiting + float(self._fresh_coins[: self._fresh_count].sum())

    @property
    def dropped(self) -> int:
        """Trades that could not be judged: before a book, or too many at once."""
        return int(self._head[DROPPED])

    def digest(self) -> bytes:
        """Hash over all that decides what comes."""
        sha = hashlib.sha256(repr(self.at_ns).encode())
        fresh = self._fresh_count
        count, lost = int(self._head[WAITING]), min(int(self._head[LOST]), LOSSES)
        for array in (
            self._head,
            self._bands,
            self.totals,
            self._fresh[:, :fresh],
            self._fresh_coins[:fresh],
            self._waiting[:, :count],
            self._waiting_left[:count],
            self._losses[:, :lost],
            self._losses_left[:lost],
        ):
            sha.update(array.tobytes())
        return sha.digest()
