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

import msgspec
import numpy as np

from liqfield.book.bands import BANDS, EDGES, band_of
from liqfield.model.events import BookLevels, FloatArray, IntArray
from liqfield.model.jit import kernel

ADDED, FILLED, CANCELLED = 0, 1, 2
TOLERANCE_NS = 100_000_000
PENDING = 4_096  # trades that wait for their loss
LOSSES = 16_384  # cancelled levels that a late trade can still explain
WATCH = 4_096  # cells of the watch table, a power of two
NO_SIGHT = 1 << 62
# Words of the kernel's head: times of the message, counts, sight.
SINCE, AT, TOLERANCE, WAITING, TOUCHED, EXPIRED, LOST, LOW, HIGH = range(9)
# Rows of its tables.
KEY, TIME, OLD_KEY, OLD_TIME = range(4)
LOSS_KEY, LOSS_SINCE, LOSS_UNTIL = range(3)


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
    head: IntArray,
    bands: FloatArray,
    watch: IntArray,
    waiting: IntArray,
    waiting_left: FloatArray,
    losses: IntArray,
    losses_left: FloatArray,
    totals: FloatArray,
    out: FloatArray,
    touched: IntArray,
) -> None:
    """Attribute one message. bands: float64[2, n], edges and the sizes that are large there.

    out: float64[2, n], filled and cancelled a level. Trades whose time is over move to the OLD
    rows of `waiting` and to waiting_left[1].
    """
    since, at, tolerance = head[SINCE], head[AT], head[TOLERANCE]
    count = head[WAITING]
    mask, ring = len(watch) - 1, losses.shape[1]
    edges = bands.shape[1] - 1
    n_touched = 0
    for i in range(len(ticks)):
        out[0, i] = 0.0
        out[1, i] = 0.0
        change = after[i] - before[i]
        tick = ticks[i]
        if change == 0.0 or tick < head[LOW] or tick > head[HIGH]:
            continue
        side = 0 if i < bid_count else 1
        key = tick * 2 + side
        away = abs(tick - mid) / mid
        band = 0
        while band < edges and away >= bands[0, band]:
            band += 1
        if change > 0.0:
            totals[side, band, ADDED] += change
        else:
            lost = -change
            for j in range(count):
                if waiting[KEY, j] != key or waiting_left[0, j] <= 0.0:
                    continue
                if waiting[TIME, j] <= since - tolerance or waiting[TIME, j] > at:
                    continue
                part = min(lost, waiting_left[0, j])
                waiting_left[0, j] -= part
                out[0, i] += part
                lost -= part
                if lost <= 0.0:
                    break
            totals[side, band, FILLED] += out[0, i]
            if lost > 0.0:
                out[1, i] = lost
                totals[side, band, CANCELLED] += lost
                row = head[LOST] % ring
                losses[LOSS_KEY, row] = key
                losses[LOSS_SINCE, row] = since
                losses[LOSS_UNTIL, row] = at
                losses_left[row] = lost
                head[LOST] += 1
        if watch[key & mask] > 0 or (before[i] < bands[1, band] <= after[i]):
            touched[n_touched] = i
            n_touched += 1
    kept, expired = 0, 0
    for j in range(count):
        left = waiting_left[0, j]
        if left <= 0.0:
            continue
        if waiting[TIME, j] > at - tolerance:
            waiting[KEY, kept] = waiting[KEY, j]
            waiting[TIME, kept] = waiting[TIME, j]
            waiting_left[0, kept] = left
            kept += 1
        else:
            waiting[OLD_KEY, expired] = waiting[KEY, j]
            waiting[OLD_TIME, expired] = waiting[TIME, j]
            waiting_left[1, expired] = left
            expired += 1
    head[WAITING], head[TOUCHED], head[EXPIRED] = kept, n_touched, expired


@kernel
def explain_past(
    losses: IntArray,
    losses_left: FloatArray,
    count: int,
    key: int,
    quantity: float,
    at: int,
    tolerance: int,
) -> float:
    """Turn past cancellations at a level into fills; returns coins.

    First those of the message that covers the time, then those within the tolerance, oldest first.
    """
    ring = losses.shape[1]
    first = count
    oldest = max(count - ring, 0)
    while first > oldest and losses[LOSS_UNTIL, (first - 1) % ring] + tolerance >= at:
        first -= 1
    moved = 0.0
    for want_cover in range(2):
        for j in range(first, count):
            row = j % ring
            if moved >= quantity:
                break
            if losses[LOSS_KEY, row] != key or losses[LOSS_SINCE, row] - tolerance >= at:
                continue
            covers = losses[LOSS_SINCE, row] < at <= losses[LOSS_UNTIL, row]
            if covers == (want_cover == 0):
                part = min(quantity - moved, losses_left[row])
                losses_left[row] -= part
                moved += part
    return moved


class Attribution:
    """Additions, fills and cancellations of one book.

    totals: float64[2 sides, BANDS, 3] since the beginning, base coins by distance at the time.
    """

    def __init__(self, tolerance_ns: int = TOLERANCE_NS) -> None:
        self.totals = np.zeros((2, BANDS, 3))
        self.overflowed = 0
        self.out = np.empty((2, 0))  # filled and cancelled by level of the last message
        self._head = np.zeros(9, np.int64)
        self._head[TOLERANCE] = tolerance_ns
        self._bands = np.full((2, BANDS), np.inf)
        self._bands[0, :-1] = EDGES
        self._watch = np.zeros(WATCH, np.int64)
        self._waiting = np.empty((4, PENDING), np.int64)
        self._waiting_left = np.empty((2, PENDING))
        self._losses = np.empty((3, LOSSES), np.int64)
        self._losses_left = np.empty(LOSSES)
        self._touched = np.empty(1024, np.int64)
        self._tolerance_ns = tolerance_ns
        self._mid = 1.0
        self._last = (0, 0)  # key and time of the newest waiting trade
        self.at_ns = -1
        self.see(-NO_SIGHT, NO_SIGHT)

    def watch(self, key: int, by: int) -> None:
        """Report every change of a level (tick * 2 + is_ask), or stop (by = 1, -1)."""
        self._watch[key & (WATCH - 1)] += by

    def report_from(self, large: FloatArray) -> None:
        """float64[BANDS]: a level that grows to this size is reported as a Touch."""
        self._bands[1] = large

    def see(self, low_tick: int, high_tick: int) -> None:
        """Only changes between these ticks are judged."""
        self._head[LOW], self._head[HIGH] = low_tick, high_tick

    def restart(self, at_ns: int) -> None:
        """The book was replaced: what happened before it cannot be told any more."""
        self.at_ns = at_ns
        self._head[WAITING] = self._head[LOST] = 0
        self._last = (0, 0)

    def trade(self, tick: int, is_ask: int, quantity: float, at_ns: int) -> Explained | None:
        """Fold a trade at a resting level; says what it explained if its message is past."""
        now_ns = self.at_ns
        if now_ns < 0:
            return None
        key = tick * 2 + is_ask
        if at_ns > now_ns:
            self._wait(key, quantity, at_ns)
            return None
        moved = self._explain(key, quantity, at_ns)
        left = quantity - moved
        if left > 0.0 and at_ns > now_ns - self._tolerance_ns:
            self._wait(key, left, at_ns)
            left = 0.0
        elif left > 0.0:
            self._refill(key, left)
        return Explained(key, moved, left) if moved > 0.0 or left > 0.0 else None

    def delta(
        self, levels: BookLevels, before: FloatArray, at_ns: int, mid_tick: float
    ) -> tuple[list[Touch], list[Explained]]:
        """Fold a book message: the touched levels, and what became of trades that waited."""
        ticks, after, bids = levels.price_ticks, levels.quantity, levels.bid_count
        n = len(ticks)
        if n > len(self._touched):
            self._touched = np.empty(2 * n, np.int64)
        self.out = out = np.empty((2, n))
        head = self._head
        head[SINCE] = self.at_ns
        self.at_ns = max(at_ns, self.at_ns)
        head[AT] = self.at_ns
        self._mid = mid_tick
        fold_delta(
            ticks,
            before,
            after,
            bids,
            mid_tick,
            head,
            self._bands,
            self._watch,
            self._waiting,
            self._waiting_left,
            self._losses,
            self._losses_left,
            self.totals,
            out,
            self._touched,
        )
        touches = [
            Touch(
                int(ticks[i]),
                int(i >= bids),
                float(before[i]),
                float(after[i]),
                float(out[0, i]),
                float(out[1, i]),
            )
            for i in self._touched[: head[TOUCHED]].tolist()
        ]
        self._last = (0, 0)
        return touches, [self._expire(j) for j in range(head[EXPIRED])]

    @property
    def pending(self) -> float:
        """Coins of trades that wait for their loss."""
        return float(self._waiting_left[0, : self._head[WAITING]].sum())

    def digest(self) -> bytes:
        """Hash over all that decides what comes."""
        sha = hashlib.sha256(f"{self.at_ns} {self.overflowed}".encode())
        count, lost = int(self._head[WAITING]), min(int(self._head[LOST]), LOSSES)
        for array in (
            self._head,
            self._bands,
            self.totals,
            self._waiting[:2, :count],
            self._waiting_left[0, :count],
            self._losses[:, :lost],
            self._losses_left[:lost],
        ):
            sha.update(array.tobytes())
        return sha.digest()

    # ---- trades -------------------------------------------------------------------------------

    def _wait(self, key: int, quantity: float, at_ns: int) -> None:
        count = int(self._head[WAITING])
        if self._last == (key, at_ns) and count:
            self._waiting_left[0, count - 1] += quantity  # one order, many executions
            return
        if count == PENDING:
            self.overflowed += 1
            return
        self._last = (key, at_ns)
        self._waiting[KEY, count], self._waiting[TIME, count] = key, at_ns
        self._waiting_left[0, count] = quantity
        self._head[WAITING] = count + 1

    def _expire(self, j: int) -> Explained:
        """A trade that no later message explained: the past within the tolerance, else refilled."""
        key, left = int(self._waiting[OLD_KEY, j]), float(self._waiting_left[1, j])
        moved = self._explain(key, left, int(self._waiting[OLD_TIME, j]))
        if left > moved:
            self._refill(key, left - moved)
        return Explained(key, moved, left - moved)

    def _explain(self, key: int, quantity: float, at_ns: int) -> float:
        moved = explain_past(
            self._losses,
            self._losses_left,
            int(self._head[LOST]),
            key,
            quantity,
            at_ns,
            self._tolerance_ns,
        )
        if moved > 0.0:
            cell = self._cell(key)
            cell[FILLED] += moved
            cell[CANCELLED] -= moved
        return moved

    def _refill(self, key: int, quantity: float) -> None:
        cell = self._cell(key)
        cell[ADDED] += quantity
        cell[FILLED] += quantity

    def _cell(self, key: int) -> FloatArray:
        cell: FloatArray = self.totals[key & 1, band_of(abs((key >> 1) - self._mid) / self._mid)]
        return cell
