"""Hot loops of the ladder. Columns are ticks minus the window's base; side 0 bids, 1 asks."""

from __future__ import annotations

import numpy as np

from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import floats_at, inlined, inner_kernel, ints_at, kernel
from liqfield.model.native import (
    as_int,
    bad_argument,
    drop,
    fill_tuple,
    has_failed,
    make_int,
    make_tuple,
    native,
    plain_array,
    take,
    words_of,
)

# Best ticks of a side with nothing in it: worse than any price, so that comparisons need no case.
NO_BID, NO_ASK = -(1 << 62), 1 << 62
# Words of `best`: best ticks inside the window and outside it, slots taken in the far table; what
# was said last (the best of all); then the tick of column 0, where the arrays lie that
# `apply_levels` changes, and the objects that it needs.
BEST_BID, BEST_ASK, FAR_BID, FAR_ASK, TAKEN, SAID_BID, SAID_ASK = range(7)
BASE, SIZE, WINDOW, KEYS, SIZES, SLOTS, BEFORE, ROOM = range(7, 15)
NOTHING, SEE_TO_IT, NOT_DONE, NDARRAY, INTS, FLOATS, WORDS = range(15, 22)

# Levels outside the window: an open-addressed table from tick * 2 + side to coins. A slot once
# taken keeps its key, a deleted level has size 0; the owner makes a new table before half is taken.
FREE = -1
_SPREAD = -7046029254386353131  # 2**64 over the golden ratio, as int64


@inner_kernel
def _slot(keys: IntArray, key: int) -> int:
    """Where a key is, or would be."""
    mask = len(keys) - 1
    at = ((key * _SPREAD) >> 40) & mask
    while keys[at] != key and keys[at] != FREE:
        at = (at + 1) & mask
    return at


@inner_kernel
def _far_best(keys: IntArray, sizes: FloatArray, side: int) -> int:
    """Best tick of a side among the far levels."""
    best = NO_BID if side == 0 else NO_ASK
    for at in range(len(keys)):
        if sizes[at] > 0.0 and keys[at] & 1 == side:
            tick = keys[at] >> 1
            best = max(best, tick) if side == 0 else min(best, tick)
    return best


@inlined
def _apply(
    ticks: IntArray, quantity: FloatArray, first: int, split: int, last: int, best: IntArray
) -> tuple[int, int, bool]:
    """Set sizes to the bids [first, split) and the asks [split, last); note what rested at each.

    Returns best bid and ask, and whether the owner must see to it: the touch has left the middle
    half of the window, or a quarter of the far slots is taken.
    """
    base, window = best[BASE], best[WINDOW]
    size = floats_at(best[SIZE], 2 * window)
    bids, asks = size[:window], size[window:]
    far_keys, far_sizes = ints_at(best[KEYS], best[SLOTS]), floats_at(best[SIZES], best[SLOTS])
    before = floats_at(best[BEFORE], best[ROOM])
    bid, ask = best[BEST_BID], best[BEST_ASK]
    for i in range(first, split):
        tick, coins = ticks[i], quantity[i]
        column = tick - base
        if not 0 <= column < window:
            before[i - first] = _set_far(far_keys, far_sizes, best, tick, 0, coins)
            continue
        before[i - first] = bids[column]
        bids[column] = coins
        if tick >= bid:  # few levels: what follows is seldom guessed wrong
            if coins > 0.0:
                bid = tick
            elif tick == bid:
                bid = _next_down(bids, column, base)
    for i in range(split, last):
        tick, coins = ticks[i], quantity[i]
        column = tick - base
        if not 0 <= column < window:
            before[i - first] = _set_far(far_keys, far_sizes, best, tick, 1, coins)
            continue
        before[i - first] = asks[column]
        asks[column] = coins
        if tick <= ask:
            if coins > 0.0:
                ask = tick
            elif tick == ask:
                ask = _next_up(asks, column, base)
    best[BEST_BID], best[BEST_ASK] = bid, ask
    far_bid, far_ask = best[FAR_BID], best[FAR_ASK]
    column, edge = (bid if bid != NO_BID else ask) - base, window // 4
    has_left = not edge <= column < window - edge or far_bid > bid or far_ask < ask
    bid, ask = max(bid, far_bid), min(ask, far_ask)
    return bid, ask, has_left or best[TAKEN] * 4 > len(far_keys)


@inlined
def _answer(object_: int) -> int:
    take(object_)
    return object_


@inlined
def _pair(bid: int, ask: int) -> int:
    """A tuple of two numbers; 0 on failure."""
    made, one, other = make_tuple(2), make_int(bid), make_int(ask)
    if made == 0 or one == 0 or other == 0:
        for part in (made, one, other):
            if part != 0:
                drop(part)
        return 0
    fill_tuple(made, 0, one)
    fill_tuple(made, 1, other)
    return int(made)


def apply_levels(ladder: int, given: int, count: int) -> int:
    """(ticks, quantity, first, bids, last) -> None if the best of both sides are as they were, else
    (best bid, best ask). True if the owner must see to it, as `_apply` says. False, and nothing is
    done, for levels that do not fit: too many, or not in plain arrays."""
    if count != 5:
        bad_argument()
        return 0
    best, arguments = ints_at(words_of(ladder), WORDS), ints_at(given, 5)
    ticks_at, room = plain_array(arguments[0], best[NDARRAY], best[INTS])
    quantity_at, other_room = plain_array(arguments[1], best[NDARRAY], best[FLOATS])
    first, bids, last = as_int(arguments[2]), as_int(arguments[3]), as_int(arguments[4])
    if last < 0:
        last = room
    split = first + bids
    fits = 0 <= first <= split <= last <= min(room, other_room) and last - first <= best[ROOM]
    if ticks_at == 0 or quantity_at == 0 or not fits:
        return 0 if has_failed() != 0 else _answer(best[NOT_DONE])
    ticks, quantity = ints_at(ticks_at, room), floats_at(quantity_at, room)
    bid, ask, must_see = _apply(ticks, quantity, first, split, last, best)
    was_bid, was_ask = best[SAID_BID], best[SAID_ASK]
    best[SAID_BID], best[SAID_ASK] = bid, ask
    if must_see:
        return _answer(best[SEE_TO_IT])
    return _answer(best[NOTHING]) if bid == was_bid and ask == was_ask else _pair(bid, ask)


applier = native(apply_levels)


@inner_kernel
def _set_far(
    keys: IntArray, sizes: FloatArray, best: IntArray, tick: int, side: int, coins: float
) -> float:
    """Set a far level; returns what rested there."""
    key = tick * 2 + side
    at = _slot(keys, key)
    if keys[at] == FREE:
        if coins <= 0.0:
            return 0.0
        keys[at] = key
        best[TAKEN] += 1
    before: float = sizes[at]
    sizes[at] = coins
    word = FAR_BID + side
    if coins > 0.0:
        best[word] = max(best[word], tick) if side == 0 else min(best[word], tick)
    elif tick == best[word]:
        best[word] = _far_best(keys, sizes, side)
    return before


@kernel
def fill_far(keys: IntArray, sizes: FloatArray, new: IntArray, coins: FloatArray) -> None:
    """Put levels (keys, each once) into a table that has room."""
    for i in range(len(new)):
        at = _slot(keys, new[i])
        keys[at] = new[i]
        sizes[at] = coins[i]


@kernel
def read_far(keys: IntArray, sizes: FloatArray, key: int) -> float:
    """Coins at a key."""
    at = _slot(keys, key)
    coins: float = sizes[at] if keys[at] == key else 0.0
    return coins


@inner_kernel
def _next_down(bids: FloatArray, column: int, base: int) -> int:
    """Tick of the best bid below a column."""
    for at in range(column - 1, -1, -1):
        if bids[at] > 0.0:
            return at + base
    return NO_BID


@inner_kernel
def _next_up(asks: FloatArray, column: int, base: int) -> int:
    """Tick of the best ask above a column."""
    for at in range(column + 1, len(asks)):
        if asks[at] > 0.0:
            return at + base
    return NO_ASK


@kernel
def best_ticks(size: FloatArray, base: int) -> tuple[int, int]:
    """Best bid and ask from scratch."""
    return _next_down(size[0], size.shape[1], base), _next_up(size[1], -1, base)


@kernel
def top_levels(size: FloatArray, column: int, side: int, count: int) -> tuple[IntArray, FloatArray]:
    """Columns and sizes of the best `count` levels from a column on, best first."""
    columns = np.empty(count, np.int64)
    quantity = np.empty(count, np.float64)
    found = 0
    step = -1 if side == 0 else 1
    while found < count and 0 <= column < size.shape[1]:
        if size[side, column] > 0.0:
            columns[found] = column
            quantity[found] = size[side, column]
            found += 1
        column += step
    return columns[:found], quantity[:found]


@kernel
def best_levels(best: IntArray, ticks: IntArray, coins: FloatArray) -> int:
    """Best levels of both sides into ticks int64[2, n] and coins float64[2, n], best first.

    What is not found has no coins and the worst thinkable tick; returns how many that are.
    """
    base, window, missing = best[BASE], best[WINDOW], 0
    size = floats_at(best[SIZE], (2, window))
    for side in range(2):
        column = best[BEST_BID + side] - base
        step = -1 if side == 0 else 1
        found = 0
        while found < ticks.shape[1] and 0 <= column < window:
            if size[side, column] > 0.0:
                ticks[side, found] = column + base
                coins[side, found] = size[side, column]
                found += 1
            column += step
        for k in range(found, ticks.shape[1]):
            ticks[side, k] = NO_BID if side == 0 else NO_ASK
            coins[side, k] = 0.0
            missing += 1
    return missing


@kernel
def collect(size: FloatArray, side: int, first: int, last: int) -> tuple[IntArray, FloatArray]:
    """Columns in [first, last) with something resting, ascending."""
    columns = np.empty(last - first, np.int64)
    quantity = np.empty(last - first, np.float64)
    at = 0
    for column in range(first, last):
        # Written over by the next one unless it is kept: no branch to guess wrong.
        coins = size[side, column]
        columns[at] = column
        quantity[at] = coins
        at += coins > 0.0
    return columns[:at].copy(), quantity[:at].copy()


@kernel
def collect_far(
    keys: IntArray, sizes: FloatArray, side: int, low: int, high: int
) -> tuple[IntArray, FloatArray]:
    """Ticks in [low, high) and sizes of a side's far levels, in the order of the table."""
    ticks = np.empty(len(keys), np.int64)
    coins = np.empty(len(keys), np.float64)
    at = 0
    for i in range(len(keys)):
        tick = keys[i] >> 1
        ticks[at], coins[at] = tick, sizes[i]
        at += (sizes[i] > 0.0) & (keys[i] & 1 == side) & (low <= tick) & (tick < high)
    return ticks[:at].copy(), coins[:at].copy()


@kernel
def sum_columns(size: FloatArray, side: int, first: int, last: int) -> float:
    """Coins resting at columns in [first, last)."""
    total = 0.0
    for column in range(first, last):
        total += size[side, column]
    return total


@kernel
def sum_sides(
    size: FloatArray, first_bid: int, last_bid: int, first_ask: int, last_ask: int
) -> tuple[float, float]:
    """Coins of bids at columns in [first_bid, last_bid) and of asks in [first_ask, last_ask)."""
    bids, asks = 0.0, 0.0
    both = min(last_bid - first_bid, last_ask - first_ask)
    for k in range(both):  # two sums at once: each waits for its own last addition
        bids += size[0, first_bid + k]
        asks += size[1, first_ask + k]
    for column in range(first_bid + both, last_bid):
        bids += size[0, column]
    for column in range(first_ask + both, last_ask):
        asks += size[1, column]
    return bids, asks


@kernel
def fill(size: FloatArray, side: int, columns: IntArray, quantity: FloatArray) -> None:
    for i in range(len(columns)):
        size[side, columns[i]] = quantity[i]


@kernel
def bin_rows(
    ticks: IntArray,
    quantity: FloatArray,
    tick_usd: float,
    step: float,
    first_row: int,
    rows: FloatArray,
) -> None:
    """Add levels to rows of `step` USD; the hair keeps a price on a row's edge in that row."""
    for i in range(len(ticks)):
        row = int(np.floor(ticks[i] * tick_usd / step + 1e-7)) - first_row
        if 0 <= row < len(rows):
            rows[row] += quantity[i]
