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
from collections import deque

import msgspec
import numpy as np

from liqfield.book.bands import BANDS, EDGES, band_of
from liqfield.model.events import BookLevels, FloatArray, IntArray
from liqfield.model.jit import kernel

ADDED, FILLED, CANCELLED = 0, 1, 2
TOLERANCE_NS = 100_000_000
PENDING = 4_096  # trades that wait for their loss
REMEMBERED = 64  # messages whose losses a late trade can still explain
WATCH = 4_096  # cells of the watch table, a power of two
NO_SIGHT = 1 << 62


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


@kernel
def fold_delta(
    ticks: IntArray,
    before: FloatArray,
    after: FloatArray,
    bid_count: int,
    mid: float,
    sight: IntArray,
    edges: FloatArray,
    large: FloatArray,
    watch: IntArray,
    interval: IntArray,
    trade_key: IntArray,
    trade_ns: IntArray,
    trade_left: FloatArray,
    counts: IntArray,
    totals: FloatArray,
    filled: FloatArray,
    cancelled: FloatArray,
    touched: IntArray,
    expired_key: IntArray,
    expired_ns: IntArray,
    expired_left: FloatArray,
) -> None:
    """Attribute one message.

    interval: since_ns, at_ns, tolerance_ns. counts: in [0] the pending trades (compacted here);
    out [1] touched rows, [2] trades whose time is over. sight: lowest and highest tick judged.
    """
    since, at, tolerance = interval[0], interval[1], interval[2]
    pending = counts[0]
    mask = len(watch) - 1
    n_touched = 0
    for i in range(len(ticks)):
        filled[i] = 0.0
        cancelled[i] = 0.0
        change = after[i] - before[i]
        tick = ticks[i]
        if change == 0.0 or tick < sight[0] or tick > sight[1]:
            continue
        side = 0 if i < bid_count else 1
        key = tick * 2 + side
        away = abs(tick - mid) / mid
        band = 0
        while band < len(edges) and away >= edges[band]:
            band += 1
        if change > 0.0:
            totals[side, band, 0] += change
        else:
            lost = -change
            for j in range(pending):
                if trade_key[j] != key or trade_ns[j] <= since - tolerance:
                    continue
                if trade_ns[j] > at:
                    continue
                part = min(lost, trade_left[j])
                trade_left[j] -= part
                filled[i] += part
                lost -= part
                if lost <= 0.0:
                    break
            cancelled[i] = lost
            totals[side, band, 1] += filled[i]
            totals[side, band, 2] += lost
        if watch[key & mask] > 0 or (change > 0.0 and after[i] >= large[band]):
            touched[n_touched] = i
            n_touched += 1
    kept, n_expired = 0, 0
    for j in range(pending):
        if trade_left[j] <= 0.0:
            continue
        if trade_ns[j] > at - tolerance:
            trade_key[kept] = trade_key[j]
            trade_ns[kept] = trade_ns[j]
            trade_left[kept] = trade_left[j]
            kept += 1
        else:
            expired_key[n_expired] = trade_key[j]
            expired_ns[n_expired] = trade_ns[j]
            expired_left[n_expired] = trade_left[j]
            n_expired += 1
    counts[0], counts[1], counts[2] = kept, n_touched, n_expired


class Attribution:
    """Additions, fills and cancellations of one book.

    totals: float64[2 sides, BANDS, 3] since the beginning, base coins by distance at the time.
    large: float64[BANDS], the size from which a level that grows is reported as a Touch.
    """

    def __init__(self, tolerance_ns: int = TOLERANCE_NS) -> None:
        self.totals = np.zeros((2, BANDS, 3))
        self.large = np.full(BANDS, np.inf)
        self.sight = np.array([-NO_SIGHT, NO_SIGHT], np.int64)
        self.at_ns = -1
        self.overflowed = 0
        self._tolerance_ns = tolerance_ns
        self._watch = np.zeros(WATCH, np.int64)
        self._key = np.zeros(PENDING, np.int64)
        self._ns = np.zeros(PENDING, np.int64)
        self._left = np.zeros(PENDING)
        self._counts = np.zeros(3, np.int64)
        self._interval = np.zeros(3, np.int64)
        self._touched = np.empty(1024, np.int64)
        self._expired_key = np.empty(PENDING, np.int64)
        self._expired_ns = np.empty(PENDING, np.int64)
        self._expired_left = np.empty(PENDING)
        self._mid = 1.0
        # (since, at, ticks, bid count, cancellations that are still unexplained)
        self._recent: deque[tuple[int, int, IntArray, int, FloatArray]] = deque(maxlen=REMEMBERED)

    def watch(self, key: int, by: int) -> None:
        """Report every change of a level (tick * 2 + is_ask), or stop (by = 1, -1)."""
        self._watch[key & (WATCH - 1)] += by

    def restart(self, at_ns: int) -> None:
        """The book was replaced: what happened before it cannot be told any more."""
        self.at_ns = at_ns
        self._counts[0] = 0
        self._recent.clear()

    def trade(self, tick: int, is_ask: int, quantity: float, at_ns: int) -> Explained | None:
        """Fold a trade at a resting level; says what it explained if its message is past."""
        if self.at_ns < 0:
            return None
        key, moved = tick * 2 + is_ask, 0.0
        if at_ns <= self.at_ns:
            moved = self._explain_past(key, quantity, at_ns)
        left = quantity - moved
        if left > 0.0 and at_ns > self.at_ns - self._tolerance_ns:
            self._wait(key, left, at_ns)
            left = 0.0
        elif left > 0.0:
            self._refill(key, left)
        return Explained(key, moved, left) if moved > 0.0 or left > 0.0 else None

    def delta(
        self, levels: BookLevels, before: FloatArray, at_ns: int, mid_tick: float
    ) -> tuple[list[Touch], list[Explained]]:
        """Fold a book message: the touched levels, and what became of trades that waited."""
        n = len(levels.price_ticks)
        if n > len(self._touched):
            self._touched = np.empty(2 * n, np.int64)
        filled, cancelled = np.empty(n), np.empty(n)
        at_ns = max(at_ns, self.at_ns)
        self._interval[:] = (self.at_ns, at_ns, self._tolerance_ns)
        self._mid = mid_tick
        fold_delta(
            levels.price_ticks,
            before,
            levels.quantity,
            levels.bid_count,
            mid_tick,
            self.sight,
            EDGES,
            self.large,
            self._watch,
            self._interval,
            self._key,
            self._ns,
            self._left,
            self._counts,
            self.totals,
            filled,
            cancelled,
            self._touched,
            self._expired_key,
            self._expired_ns,
            self._expired_left,
        )
        self._recent.append((self.at_ns, at_ns, levels.price_ticks, levels.bid_count, cancelled))
        self.at_ns = at_ns
        touches = [
            Touch(
                int(levels.price_ticks[i]),
                int(i >= levels.bid_count),
                float(before[i]),
                float(levels.quantity[i]),
                float(filled[i]),
                float(cancelled[i]),
            )
            for i in self._touched[: self._counts[1]]
        ]
        return touches, [self._expire(j) for j in range(self._counts[2])]

    @property
    def pending(self) -> float:
        """Coins of trades that wait for their loss."""
        return float(self._left[: self._counts[0]].sum())

    def digest(self) -> bytes:
        """Hash over all that decides what comes."""
        sha = hashlib.sha256(f"{self.at_ns} {self.overflowed}".encode())
        count = int(self._counts[0])
        for array in (self._key[:count], self._ns[:count], self._left[:count]):
            sha.update(array.tobytes())
        sha.update(self.totals.tobytes())
        for *_, cancelled in self._recent:
            sha.update(cancelled.tobytes())
        return sha.digest()

    # ---- trades -------------------------------------------------------------------------------

    def _wait(self, key: int, quantity: float, at_ns: int) -> None:
        count = int(self._counts[0])
        if count and self._key[count - 1] == key and self._ns[count - 1] == at_ns:
            self._left[count - 1] += quantity  # one order, many executions
            return
        if count == PENDING:
            self.overflowed += 1
            return
        self._key[count], self._ns[count], self._left[count] = key, at_ns, quantity
        self._counts[0] = count + 1

    def _expire(self, j: int) -> Explained:
        """A trade that no later message explained: the past within the tolerance, else refilled."""
        key, left = int(self._expired_key[j]), float(self._expired_left[j])
        moved = self._explain_past(key, left, int(self._expired_ns[j]))
        if left > moved:
            self._refill(key, left - moved)
        return Explained(key, moved, left - moved)

    def _refill(self, key: int, quantity: float) -> None:
        cell = self._cell(key)
        cell[ADDED] += quantity
        cell[FILLED] += quantity

    def _cell(self, key: int) -> FloatArray:
        cell: FloatArray = self.totals[key & 1, band_of(abs((key >> 1) - self._mid) / self._mid)]
        return cell

    def _explain_past(self, key: int, quantity: float, at_ns: int) -> float:
        """Turn cancellations of past messages at this level into fills; returns coins.

        First the message that covers the time, then those within the tolerance, oldest first.
        """
        near = [
            row
            for row in self._recent
            if row[0] - self._tolerance_ns < at_ns <= row[1] + self._tolerance_ns
        ]
        moved = 0.0
        for covers in (True, False):
            for since, until, ticks, bid_count, cancelled in near:
                if moved < quantity and covers == (since < at_ns <= until):
                    for i in np.flatnonzero(ticks == key >> 1):
                        if int(i >= bid_count) == key & 1:
                            part = min(quantity - moved, float(cancelled[i]))
                            cancelled[i] -= part
                            moved += part
        if moved > 0.0:
            cell = self._cell(key)
            cell[FILLED] += moved
            cell[CANCELLED] -= moved
        return moved
