"""Hot loops of the attribution; the law they keep is told in `attribution.py`.

A key is tick * 2 + is_ask. Sizes are base coins, times ns.
"""

from __future__ import annotations

import numpy as np

from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import inner_kernel

ADDED, FILLED, CANCELLED = 0, 1, 2
# Words of the kernels' head: times of the message, counts, what is judged.
SINCE, AT, TOLERANCE, WAITING, TOUCHED, TOLD, LOST, LOW, HIGH, DROPPED = range(10)
HEAD_WORDS = 10
# Rows of their tables.
KEY, TIME = 0, 1
LOSS_KEY, LOSS_SINCE, LOSS_UNTIL = 0, 1, 2


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
    losses: IntArray,
    left: FloatArray,
    before: IntArray,
    newest: IntArray,
    head: IntArray,
    key: int,
    quantity: float,
    at: int,
) -> float:
    """Turn past cancellations at a level into fills; returns coins.

    First those of the message that covers the time, then those within the tolerance, oldest first.
    A chain leads from a level's newest loss to older ones: before, by row, the loss before it, and
    newest, by cell of the key, the newest loss plus one.
    """
    mask, tolerance = losses.shape[1] - 1, head[TOLERANCE]
    oldest = max(head[LOST] - losses.shape[1], 0)
    start = newest[key & (len(newest) - 1)] - 1
    count, j = 0, start
    while j >= oldest and losses[LOSS_UNTIL, j & mask] + tolerance >= at:
        row = j & mask
        count += losses[LOSS_KEY, row] == key and losses[LOSS_SINCE, row] - tolerance < at
        j = before[row]
    if count == 0:
        return 0.0
    rows = np.empty(count, np.int64)
    j = start
    while count > 0:
        row = j & mask
        if losses[LOSS_KEY, row] == key and losses[LOSS_SINCE, row] - tolerance < at:
            count -= 1
            rows[count] = row
        j = before[row]
    moved = 0.0
    for want_cover in range(2):
        for row in rows:
            if moved >= quantity:
                return moved
            covers = losses[LOSS_SINCE, row] < at <= losses[LOSS_UNTIL, row]
            if covers == (want_cover == 0):
                part = min(quantity - moved, left[row])
                left[row] -= part
                moved += part
    return moved


@inner_kernel
def account(
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
    count: int,
    fresh: IntArray,
    fresh_coins: FloatArray,
    mid: float,
    head: IntArray,
    bands: FloatArray,
    watch: IntArray,
    waiting: IntArray,
    waiting_left: FloatArray,
    losses: IntArray,
    losses_left: FloatArray,
    loss_before: IntArray,
    newest: IntArray,
    totals: FloatArray,
    told: FloatArray,
) -> None:
    """Trades in the order of their arrival: the late ones explain the past, the others wait."""
    for i in range(count):
        key, time, left = fresh[KEY, i], fresh[TIME, i], fresh_coins[i]
        if time <= head[AT]:
            moved = explain_past(losses, losses_left, loss_before, newest, head, key, left, time)
            is_over = time <= head[AT] - head[TOLERANCE]
            account(key, left, moved, is_over, mid, head, bands, watch, totals, told)
            left -= moved
            if is_over or left <= 0.0:
                continue
        last = head[WAITING] - 1
        if last >= 0 and waiting[KEY, last] == key and waiting[TIME, last] == time:
            waiting_left[last] += left  # one order, many executions
        elif last + 1 == len(waiting_left):
            head[DROPPED] += 1
        else:
            waiting[KEY, last + 1], waiting[TIME, last + 1] = key, time
            waiting_left[last + 1] = left
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
    head: IntArray,
    bands: FloatArray,
    watch: IntArray,
    waiting: IntArray,
    waiting_left: FloatArray,
    losses: IntArray,
    losses_left: FloatArray,
    loss_before: IntArray,
    newest: IntArray,
    totals: FloatArray,
    touched: FloatArray,
    told: FloatArray,
) -> None:
    """Attribute one message: levels `first` and on of ticks and after, before from 0 on, bids
    first. bands: float64[2, n], edges and the sizes that are large there.

    touched: float64[n, 6], rows of `Touch`.
    """
    since, at, tolerance = head[SINCE], head[AT], head[TOLERANCE]
    count = head[WAITING]
    ring = losses.shape[1] - 1
    low, high, lost_count = head[LOW], head[HIGH], head[LOST]
    edges, large = bands[0], bands[1]
    row = 0
    for i in range(level_count):
        size, was = after[first + i], before[i]
        change = size - was
        tick = ticks[first + i]
        if change == 0.0 or tick < low or tick > high:
            continue
        side = 0 if i < bid_count else 1
        key = tick * 2 + side
        at_band = band(edges, mid, tick)
        filled = lost = 0.0
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
                filled += part
                lost -= part
                if lost <= 0.0:
                    break
            totals[side, at_band, FILLED] += filled
            if lost > 0.0:
                totals[side, at_band, CANCELLED] += lost
                slot = lost_count & ring
                losses[LOSS_KEY, slot] = key
                losses[LOSS_SINCE, slot] = since
                losses[LOSS_UNTIL, slot] = at
                losses_left[slot] = lost
                cell = key & (len(newest) - 1)
                loss_before[slot] = newest[cell] - 1
                lost_count += 1
                newest[cell] = lost_count
        if is_watched(watch, key) or (was < large[at_band] <= size):
            touched[row, 0], touched[row, 1] = tick, side
            touched[row, 2], touched[row, 3] = was, size
            touched[row, 4], touched[row, 5] = filled, lost
            row += 1
    head[TOUCHED], head[LOST] = row, lost_count
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
            moved = explain_past(losses, losses_left, loss_before, newest, head, key, left, time)
            account(key, left, moved, True, mid, head, bands, watch, totals, told)
    head[WAITING] = kept
