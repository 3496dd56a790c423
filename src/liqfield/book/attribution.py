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

from liqfield.book.bands import BANDS, EDGES
from liqfield.model.events import BookLevels, FloatArray, IntArray
from liqfield.model.jit import inner_kernel, kernel

ADDED, FILLED, CANCELLED = 0, 1, 2
TOLERANCE_NS = 100_000_000
PENDING = 4_096  # trades that wait for their loss
LOSSES = 16_384  # cancelled levels that a late trade can still explain, a power of two
WATCH = 4_096  # cells of the watch table, a power of two
NO_SIGHT = 1 << 62
# Words of the kernels' head: times of the message, counts, what is judged.
SINCE, AT, TOLERANCE, WAITING, TOUCHED, TOLD, LOST, LOW, HIGH, DROPPED = range(10)
# Rows of their tables.
KEY, TIME = 0, 1
LOSS_KEY, LOSS_SINCE, LOSS_UNTIL = 0, 1, 2


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


@inner_kernel
def band(edges: FloatArray, mid: float, tick: int) -> int:
    away = abs(tick - mid) / mid
    found = 0
    while found < len(edges) - 1 and away >= edges[found]:
        found += 1
    return found


@inner_kernel
def is_watched(watch: IntArray, key: int) -> bool:
    """False only for a level that is not watched; two that share a cell stand for each other."""
    cell = key & (len(watch) - 1)
    count: int = watch[cell, 0]
    return count > 1 or (count == 1 and bool(watch[cell, 1] == key))


@inner_kernel
def explain_past(
    losses: IntArray, left: FloatArray, head: IntArray, key: int, quantity: float, at: int
) -> float:
    """Turn past cancellations at a level into fills; returns coins.

    First those of the message that covers the time, then those within the tolerance, oldest first.
    """
    mask, count, tolerance = losses.shape[1] - 1, head[LOST], head[TOLERANCE]
    first, oldest = count, max(count - losses.shape[1], 0)
    while first > oldest and losses[LOSS_UNTIL, (first - 1) & mask] + tolerance >= at:
        first -= 1
    moved = 0.0
    for want_cover in range(2):
        for j in range(first, count):
            row = j & mask
            if losses[LOSS_KEY, row] != key or losses[LOSS_SINCE, row] - tolerance >= at:
                continue
            if moved >= quantity:
                return moved
            covers = losses[LOSS_SINCE, row] < at <= losses[LOSS_UNTIL, row]
            if covers == (want_cover == 0):
                part = min(quantity - moved, left[row])
                left[row] -= part
                moved += part
    return moved


@inner_kernel
def settle(
    key: int,
    quantity: float,
    moved: float,
    is_over: bool,
    mid: float,
    head: IntArray,
    bands: FloatArray,
    watch: IntArray,
    totals: FloatArray,
    told: FloatArray,
) -> None:
    """Book what a trade explained, and a refill if its time is over."""
    refilled = quantity - moved if is_over else 0.0
    cell = totals[key & 1, band(bands[0], mid, key >> 1)]
    cell[FILLED] += moved + refilled
    cell[CANCELLED] -= moved
    cell[ADDED] += refilled
    if is_watched(watch, key) and moved + refilled > 0.0:
        row = head[TOLD]
        told[0, row], told[1, row], told[2, row] = key, moved, refilled
        head[TOLD] += 1


@inner_kernel
def fold_trades(
    keys: IntArray,
    times: IntArray,
    quantity: FloatArray,
    mid: float,
    head: IntArray,
    bands: FloatArray,
    watch: IntArray,
    waiting: IntArray,
    waiting_left: FloatArray,
    losses: IntArray,
    losses_left: FloatArray,
    totals: FloatArray,
    told: FloatArray,
) -> None:
    """Trades in the order of their arrival: the late ones explain the past, the others wait."""
    for i in range(len(keys)):
        left, is_late = quantity[i], times[i] <= head[AT]
        if is_late:
            moved = explain_past(losses, losses_left, head, keys[i], left, times[i])
            is_over = times[i] <= head[AT] - head[TOLERANCE]
            settle(keys[i], left, moved, is_over, mid, head, bands, watch, totals, told)
            left -= moved
            if is_over or left <= 0.0:
                continue
        count = head[WAITING]
        if (
            count > 0
            and waiting[KEY, count - 1] == keys[i]
            and waiting[TIME, count - 1] == times[i]
        ):
            waiting_left[count - 1] += left  # one order, many executions
        elif count == len(waiting_left):
            head[DROPPED] += 1
        else:
            waiting[KEY, count], waiting[TIME, count] = keys[i], times[i]
            waiting_left[count] = left
            head[WAITING] += 1


@inner_kernel
def fold_levels(
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
    touched: FloatArray,
    told: FloatArray,
) -> None:
    """Attribute one message. bands: float64[2, n], edges and the sizes that are large there.

    out: float64[2, n], filled and cancelled a level. touched: float64[n, 6], rows of `Touch`.
    """
    since, at, tolerance = head[SINCE], head[AT], head[TOLERANCE]
    count = head[WAITING]
    ring = losses.shape[1] - 1
    head[TOUCHED] = 0
    for i in range(len(ticks)):
        out[0, i] = 0.0
        out[1, i] = 0.0
        change = after[i] - before[i]
        tick = ticks[i]
        if change == 0.0 or tick < head[LOW] or tick > head[HIGH]:
            continue
        side = 0 if i < bid_count else 1
        key = tick * 2 + side
        at_band = band(bands[0], mid, tick)
        if change > 0.0:
            totals[side, at_band, ADDED] += change
        else:
            lost = -change
            for j in range(count):
                if waiting[KEY, j] != key or waiting_left[j] <= 0.0:
                    continue
                if waiting[TIME, j] <= since - tolerance or waiting[TIME, j] > at:
                    continue
                part = min(lost, waiting_left[j])
                waiting_left[j] -= part
                out[0, i] += part
                lost -= part
                if lost <= 0.0:
                    break
            totals[side, at_band, FILLED] += out[0, i]
            if lost > 0.0:
                out[1, i] = lost
                totals[side, at_band, CANCELLED] += lost
                row = head[LOST] & ring
                losses[LOSS_KEY, row] = key
                losses[LOSS_SINCE, row] = since
                losses[LOSS_UNTIL, row] = at
                losses_left[row] = lost
                head[LOST] += 1
        if is_watched(watch, key) or (before[i] < bands[1, at_band] <= after[i]):
            row = head[TOUCHED]
            touched[row, 0], touched[row, 1] = tick, side
            touched[row, 2], touched[row, 3] = before[i], after[i]
            touched[row, 4], touched[row, 5] = out[0, i], out[1, i]
            head[TOUCHED] += 1
    kept = 0
    for j in range(count):
        key, left, time = waiting[KEY, j], waiting_left[j], waiting[TIME, j]
        if left <= 0.0:
            continue
        if time > at - tolerance:
            waiting[KEY, kept], waiting[TIME, kept] = key, time
            waiting_left[kept] = left
            kept += 1
        else:
            moved = explain_past(losses, losses_left, head, key, left, time)
            settle(key, left, moved, True, mid, head, bands, watch, totals, told)
    head[WAITING] = kept


@kernel
def fold_message(
    keys: IntArray,
    times: IntArray,
    coins: FloatArray,
    ticks: IntArray,
    before: FloatArray,
    after: FloatArray,
    bid_count: int,
    at_ns: int,
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
    touched: FloatArray,
    told: FloatArray,
) -> tuple[int, int]:
    """The trades since the last message, then this one; (rows of touched, columns of told)."""
    head[TOLD] = 0
    fold_trades(
        keys,
        times,
        coins,
        mid,
        head,
        bands,
        watch,
        waiting,
        waiting_left,
        losses,
        losses_left,
        totals,
        told,
    )
    head[SINCE] = head[AT]
    head[AT] = max(at_ns, head[AT])
    fold_levels(
        ticks,
        before,
        after,
        bid_count,
        mid,
        head,
        bands,
        watch,
        waiting,
        waiting_left,
        losses,
        losses_left,
        totals,
        out,
        touched,
        told,
    )
    return head[TOUCHED], head[TOLD]


class Attribution:
    """Additions, fills and cancellations of one book.

    totals: float64[2 sides, BANDS, 3] since the beginning, base coins by distance at the time.
    """

    def __init__(self, tolerance_ns: int = TOLERANCE_NS) -> None:
        self.totals = np.zeros((2, BANDS, 3))
        self.out = np.empty((2, 0))  # filled and cancelled by level of the last message
        self.at_ns = -1
        self._head = np.zeros(10, np.int64)
        self._head[TOLERANCE] = tolerance_ns
        self._bands = np.full((2, BANDS), np.inf)
        self._bands[0, :-1] = EDGES
        self._watch = np.zeros((WATCH, 2), np.int64)  # levels watched and the sum of their keys
        self._waiting = np.empty((2, PENDING), np.int64)
        self._waiting_left = np.empty(PENDING)
        self._losses = np.empty((3, LOSSES), np.int64)
        self._losses_left = np.empty(LOSSES)
        self._touched = np.empty((64, 6))
        self._told = np.empty((3, 2 * PENDING))
        # Trades since the last message: keys, times, coins. They are folded with the next one.
        self._fresh: tuple[list[int], list[int], list[float]] = ([], [], [])
        self.see(-NO_SIGHT, NO_SIGHT)

    def watch(self, key: int, by: int) -> None:
        """Report every change of a level (tick * 2 + is_ask), or stop (by = 1, -1)."""
        cell = key & (WATCH - 1)
        self._watch[cell, 0] += by
        self._watch[cell, 1] += by * key

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
        for part in self._fresh:
            part.clear()

    def trade(self, tick: int, is_ask: int, quantity: float, at_ns: int) -> None:
        """A trade at a resting level; it is judged with the next book message."""
        keys, times, coins = self._fresh
        if len(keys) < PENDING and self.at_ns >= 0:
            keys.append(tick * 2 + is_ask)
            times.append(at_ns)
            coins.append(quantity)
        else:
            self._head[DROPPED] += 1

    def delta(
        self, levels: BookLevels, before: FloatArray, at_ns: int, mid_tick: float
    ) -> tuple[list[Touch], list[Explained]]:
        """Fold a book message: the touched levels, and what became of trades at watched ones."""
        n = len(levels.price_ticks)
        if n > len(self._touched):
            self._touched = np.empty((2 * n, 6))
        keys, times, coins = self._fresh
        self.out = np.empty((2, n))
        self.at_ns = max(at_ns, self.at_ns)
        touched, moved = fold_message(
            np.array(keys, np.int64),
            np.array(times, np.int64),
            np.array(coins, np.float64),
            levels.price_ticks,
            before,
            levels.quantity,
            levels.bid_count,
            at_ns,
            mid_tick,
            self._head,
            self._bands,
            self._watch,
            self._waiting,
            self._waiting_left,
            self._losses,
            self._losses_left,
            self.totals,
            self.out,
            self._touched,
            self._told,
        )
        if keys:
            for part in self._fresh:
                part.clear()
        told = []
        if moved:
            told = [
                Explained(int(key), moved, refilled)
                for key, moved, refilled in self._told[:, :moved].T.tolist()
            ]
        if not touched:
            return [], told
        rows = self._touched[:touched].tolist()
        return [Touch(int(tick), int(side), *rest) for tick, side, *rest in rows], told

    @property
    def pending(self) -> float:
        """Coins of trades that wait for their loss."""
        waiting = float(self._waiting_left[: self._head[WAITING]].sum())
        return waiting + sum(self._fresh[2])

    @property
    def dropped(self) -> int:
        """Trades that could not be judged: before a book, or too many at once."""
        return int(self._head[DROPPED])

    def digest(self) -> bytes:
        """Hash over all that decides what comes."""
        sha = hashlib.sha256(repr((self.at_ns, self._fresh)).encode())
        count, lost = int(self._head[WAITING]), min(int(self._head[LOST]), LOSSES)
        for array in (
            self._head,
            self._bands,
            self.totals,
            self._waiting[:, :count],
            self._waiting_left[:count],
            self._losses[:, :lost],
            self._losses_left[:lost],
        ):
            sha.update(array.tobytes())
        return sha.digest()
