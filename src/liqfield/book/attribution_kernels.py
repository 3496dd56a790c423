"""Hot loops of the attribution; the law they keep is told in `attribution.py`.

A key is tick * 2 + is_ask. Sizes are base coins, times ns. Tables: `plan.Losses`.
"""

from __future__ import annotations

import numpy as np

from liqfield.book.bands import band_at
from liqfield.book.plan import AGGRESSION_S, COUNT, KEYS, NUMBER, TICK_USD, losses_at
from liqfield.model.durations import SECOND_NS
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import inner_kernel
from liqfield.model.tape import told_columns

NO_TICK = 1 << 62
ADDED, FILLED, CANCELLED = 0, 1, 2
# Words of the kernels' head: times of the message, counts, what is judged, trades dropped and
# heard; where on the tape those are that are not judged, not counted as aggression.
SINCE, AT, TOLERANCE, WAITING, TOUCHED, TOLD, LOST, LOW, HIGH, DROPPED = range(10)
HEARD, READ, COUNTED = range(10, 13)
# Rows of their tables.
KEY, TIME = 0, 1
LOSS_KEY, LOSS_SINCE, LOSS_UNTIL = 0, 1, 2


@inner_kernel
def is_watched(watch: IntArray, key: int) -> bool:
    """False only for a level that is not watched; two that share a cell stand for each other."""
    cell = key & (len(watch) - 1)
    count: int = watch[cell, COUNT]
    return count > 1 or (count == 1 and bool(watch[cell, KEYS] == key))


@inner_kernel
def explain_past(key: int, quantity: float, at: int, plan: IntArray) -> float:
    """Turn past cancellations at a level into fills; returns coins.

    First those of the message that covers the time, then those within the tolerance, oldest first.
    """
    t = losses_at(plan)
    mask, tolerance = t.losses.shape[1] - 1, t.head[TOLERANCE]
    oldest = max(t.head[LOST] - t.losses.shape[1], 0)
    start = t.newest[key & (len(t.newest) - 1)] - 1
    count, j = 0, start
    while j >= oldest and t.losses[LOSS_UNTIL, j & mask] + tolerance >= at:
        row = j & mask
        count += t.losses[LOSS_KEY, row] == key and t.losses[LOSS_SINCE, row] - tolerance < at
        j = t.before[row]
    if count == 0:
        return 0.0
    rows = np.empty(count, np.int64)
    j = start
    while count > 0:
        row = j & mask
        if t.losses[LOSS_KEY, row] == key and t.losses[LOSS_SINCE, row] - tolerance < at:
            count -= 1
            rows[count] = row
        j = t.before[row]
    moved = 0.0
    for want_cover in range(2):
        for row in rows:
            if moved >= quantity:
                return moved
            covers = t.losses[LOSS_SINCE, row] < at <= t.losses[LOSS_UNTIL, row]
            if covers == (want_cover == 0):
                part = min(quantity - moved, t.left[row])
                t.left[row] -= part
                moved += part
    return moved


@inner_kernel
def account(
    key: int, quantity: float, moved: float, is_over: bool, mid: float, plan: IntArray
) -> None:
    """Book what a trade explained, and a refill if its time is over."""
    t = losses_at(plan)
    refilled = quantity - moved if is_over else 0.0
    cell = t.totals[key & 1, band_at(abs((key >> 1) - mid) / mid)]
    cell[FILLED] += moved + refilled
    cell[CANCELLED] -= moved
    cell[ADDED] += refilled
    if is_watched(t.watch, key) and moved + refilled > 0.0:
        row = t.head[TOLD]
        t.told[0, row], t.told[1, row], t.told[2, row] = key, moved, refilled
        t.head[TOLD] += 1


@inner_kernel
def count_aggression(first: int, last: int, plan: IntArray) -> None:
    """Add the book's trades of [first, last) on the tape to aggression[2, AGGRESSION_S], by side
    taken and second."""
    t = losses_at(plan)
    told_ns, _, sizes, numbers, mask = told_columns(t.tape)
    number = plan[NUMBER]
    second = t.second[0]
    for k in range(first, last):
        i = k & mask
        if numbers[i] != number:
            continue
        t.head[HEARD] += 1
        at = told_ns[i] // SECOND_NS
        if at > second:  # what was there a minute ago is over
            for gone in range(second + 1, min(at, second + AGGRESSION_S) + 1):
                t.aggression[0, gone % AGGRESSION_S] = t.aggression[1, gone % AGGRESSION_S] = 0.0
            second = at
        if at > second - AGGRESSION_S:
            t.aggression[1 if sizes[i] > 0.0 else 0, at % AGGRESSION_S] += abs(sizes[i])
    t.second[0] = second


@inner_kernel
def fold_trades(first: int, last: int, mid: float, plan: IntArray) -> None:
    """The book's trades of [first, last) on the tape, in the order of their arrival: the late ones
    explain the past, the others wait."""
    t = losses_at(plan)
    head = t.head
    told_ns, prices, sizes, numbers, mask = told_columns(t.tape)
    number = plan[NUMBER]
    for k in range(first, last):
        i = k & mask
        if numbers[i] != number:
            continue
        tick = int(np.rint(prices[i] / t.units[TICK_USD]))
        key, time, left = tick * 2 + (sizes[i] > 0.0), told_ns[i], abs(sizes[i])
        if time <= head[AT]:
            moved = explain_past(key, left, time, plan)
            is_over = time <= head[AT] - head[TOLERANCE]
            account(key, left, moved, is_over, mid, plan)
            left -= moved
            if is_over or left <= 0.0:
                continue
        last_one = head[WAITING] - 1
        if last_one >= 0 and t.waiting[KEY, last_one] == key and t.waiting[TIME, last_one] == time:
            t.waiting_left[last_one] += left  # one order, many executions
        elif last_one + 1 == len(t.waiting_left):
            head[DROPPED] += 1
        else:
            t.waiting[KEY, last_one + 1], t.waiting[TIME, last_one + 1] = key, time
            t.waiting_left[last_one + 1] = left
            head[WAITING] += 1


@inner_kernel
def fold_levels(
    ticks: IntArray,
    before: FloatArray,
    after: FloatArray,
    first: int,
    bid_count: int,
    level_count: int,
    mid: float,
    plan: IntArray,
) -> None:
    """Attribute one message: levels `first` and on of ticks and after, before from 0 on, bids
    first."""
    t = losses_at(plan)
    head, losses, waiting = t.head, t.losses, t.waiting
    since, at, tolerance = head[SINCE], head[AT], head[TOLERANCE]
    count = head[WAITING]
    traded_low, traded_high = NO_TICK, -NO_TICK
    for j in range(count):
        traded_low = min(traded_low, waiting[KEY, j] >> 1)
        traded_high = max(traded_high, waiting[KEY, j] >> 1)
    ring = losses.shape[1] - 1
    low, high, lost_count = head[LOW], head[HIGH], head[LOST]
    row = 0
    for i in range(level_count):
        size, was = after[first + i], before[i]
        change = size - was
        tick = ticks[first + i]
        if change == 0.0 or tick < low or tick > high:
            continue
        side = 0 if i < bid_count else 1
        key = tick * 2 + side
        at_band = band_at(abs(tick - mid) / mid)
        filled = lost = 0.0
        if change > 0.0:
            t.totals[side, at_band, ADDED] += change
        else:
            lost = -change
            for j in range(count if traded_low <= tick <= traded_high else 0):
                if waiting[KEY, j] != key or t.waiting_left[j] <= 0.0:
                    continue
                if waiting[TIME, j] <= since - tolerance or waiting[TIME, j] > at:
                    continue
                part = min(lost, t.waiting_left[j])
                t.waiting_left[j] -= part
                filled += part
                lost -= part
                if lost <= 0.0:
                    break
            t.totals[side, at_band, FILLED] += filled
            if lost > 0.0:
                t.totals[side, at_band, CANCELLED] += lost
                slot = lost_count & ring
                losses[LOSS_KEY, slot] = key
                losses[LOSS_SINCE, slot] = since
                losses[LOSS_UNTIL, slot] = at
                t.left[slot] = lost
                cell = key & (len(t.newest) - 1)
                t.before[slot] = t.newest[cell] - 1
                lost_count += 1
                t.newest[cell] = lost_count
        if is_watched(t.watch, key) or (was < t.large[at_band] <= size):
            touch = t.touched[row]
            touch[0], touch[1], touch[2], touch[3] = tick, side, was, size
            touch[4], touch[5] = filled, lost
            row += 1
    head[TOUCHED], head[LOST] = row, lost_count
    kept = 0
    for j in range(count):
        key, left, time = waiting[KEY, j], t.waiting_left[j], waiting[TIME, j]
        if left <= 0.0:
            continue
        if time > at - tolerance:
            waiting[KEY, kept], waiting[TIME, kept] = key, time
            t.waiting_left[kept] = left
            kept += 1
        else:
            moved = explain_past(key, left, time, plan)
            account(key, left, moved, True, mid, plan)
    head[WAITING] = kept
