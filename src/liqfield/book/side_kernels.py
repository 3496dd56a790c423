"""A side of the ladder as a list, best first: its window and its far table in one walk."""

from __future__ import annotations

import numpy as np

from liqfield.book.kernels import (
    BASE,
    BEST_BID,
    FREE,
    KEYS,
    NO_ASK,
    NO_BID,
    SIZE,
    SIZES,
    SLOTS,
    TAKEN,
    WINDOW,
)
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import floats_at, inner_kernel, ints_at, kernel, trailing_zeros

BLOCK = 64  # columns that are looked at together: bits of a word
DIGIT = 8  # bits


@kernel
def most_levels(best: IntArray) -> int:
    """As many as both sides can have: no column holds a bid and an ask of one book."""
    most: int = best[WINDOW] + best[TAKEN]
    return most


@kernel
def best_first(
    best: IntArray, side: int, low: int, high: int, unit: float
) -> tuple[FloatArray, FloatArray]:
    """Prices (ticks times unit) and sizes of a side's levels, low <= tick < high, best first."""
    room = best[WINDOW] + best[TAKEN]
    ticks, coins = np.empty(room, np.int64), np.empty(room)
    count = side_levels(best, side, low, high, ticks, coins, 0)
    price, quantity = np.empty(count), np.empty(count)
    for i in range(count):
        price[i], quantity[i] = ticks[i] * unit, coins[i]
    return price, quantity


@inner_kernel
def side_levels(
    best: IntArray, side: int, low: int, high: int, ticks: IntArray, coins: FloatArray, at: int
) -> int:
    """Ticks and sizes of a side's levels, low <= tick < high, best first, from index `at` on;
    returns where they end."""
    base, window = best[BASE], best[WINDOW]
    words, bits = _far_words(best, side, low, high)
    far_sizes, mask = floats_at(best[SIZES], best[SLOTS]), (1 << bits) - 1
    above = 0  # the far ones from here on are above the window, the others below it
    while above < len(words) and (words[above] >> bits) < base:
        above += 1
    if side == 0:
        for i in range(len(words) - 1, above - 1, -1):
            ticks[at], coins[at] = words[i] >> bits, far_sizes[words[i] & mask]
            at += 1
    else:
        for i in range(above):
            ticks[at], coins[at] = words[i] >> bits, far_sizes[words[i] & mask]
            at += 1
    first, last = min(max(low - base, 0), window), min(max(high - base, 0), window)
    if side == 0:
        last = min(last, best[BEST_BID] - base + 1)
    else:
        first = max(first, best[BEST_BID + side] - base)
    size = floats_at(best[SIZE] + 8 * window * side, window)
    done = 0
    while done < last - first:
        count = min(BLOCK, last - first - done)
        begin = last - done - count if side == 0 else first + done
        part = size[begin : begin + count]
        bits_of = _taken(part, side == 0)
        while bits_of != 0:
            k = trailing_zeros(bits_of)
            bits_of &= bits_of - np.uint64(1)
            column = count - 1 - k if side == 0 else k
            ticks[at], coins[at] = begin + column + base, part[column]
            at += 1
        done += count
    if side == 0:
        for i in range(above - 1, -1, -1):
            ticks[at], coins[at] = words[i] >> bits, far_sizes[words[i] & mask]
            at += 1
    else:
        for i in range(above, len(words)):
            ticks[at], coins[at] = words[i] >> bits, far_sizes[words[i] & mask]
            at += 1
    return at


@inner_kernel
def _taken(part: FloatArray, is_last_first: bool) -> np.uint64:
    """A bit for each of at most BLOCK columns, the lowest of the first: whether anything rests."""
    bits, last = np.uint64(0), np.uint64(len(part) - 1)
    if is_last_first:
        for k in range(np.uint64(len(part))):
            bits |= np.uint64(part[k] > 0.0) << (last - k)
    else:
        for k in range(np.uint64(len(part))):
            bits |= np.uint64(part[k] > 0.0) << k
    return bits


@kernel
def farthest(best: IntArray, side: int) -> int:
    """Tick of a side's worst level; of an empty side a tick that is better than any."""
    base, window = best[BASE], best[WINDOW]
    size = floats_at(best[SIZE] + 8 * window * side, window)
    worst = NO_ASK if side == 0 else NO_BID
    done = 0
    while done < window:
        count = min(BLOCK, window - done)
        begin = done if side == 0 else window - done - count
        bits = _taken(size[begin : begin + count], side == 1)
        if bits != 0:
            k = trailing_zeros(bits)
            worst = begin + (k if side == 0 else count - 1 - k) + base
            break
        done += count
    if best[TAKEN] > 0:
        keys = ints_at(best[KEYS], best[SLOTS])
        sizes = floats_at(best[SIZES], best[SLOTS])
        for i in range(len(keys)):
            if keys[i] != FREE and keys[i] & 1 == side and sizes[i] > 0.0:
                tick = keys[i] >> 1
                worst = min(worst, tick) if side == 0 else max(worst, tick)
    return worst


@inner_kernel
def _far_words(best: IntArray, side: int, low: int, high: int) -> tuple[IntArray, int]:
    """A side's far levels, low <= tick < high, ascending by tick: the tick, and below it in so
    many bits the slot of the table."""
    slots = best[SLOTS]
    bits = 0
    while (1 << bits) < slots:
        bits += 1
    words = np.empty(best[TAKEN], np.int64)
    if len(words) == 0:
        return words, bits
    keys, sizes = ints_at(best[KEYS], slots), floats_at(best[SIZES], slots)
    count = 0
    for i in range(slots):
        if keys[i] != FREE and keys[i] & 1 == side and sizes[i] > 0.0:
            tick = keys[i] >> 1
            if low <= tick < high:
                words[count] = tick << bits | i
                count += 1
    return _sorted(words[:count], bits), bits


@inner_kernel
def _sorted(words: IntArray, shift: int) -> IntArray:
    """In ascending order of what is above the lowest `shift` bits, digit by digit."""
    if len(words) < 2:
        return words
    least, most = words[0] >> shift, words[0] >> shift
    for word in words:
        least, most = min(least, word >> shift), max(most, word >> shift)
    other = np.empty_like(words)
    ends = np.empty(1 << DIGIT, np.int64)
    digit, done = (1 << DIGIT) - 1, 0
    while (most - least) >> done:
        ends[:] = 0
        for word in words:
            ends[(((word >> shift) - least) >> done) & digit] += 1
        total = 0
        for k in range(len(ends)):
            total += ends[k]
            ends[k] = total
        for i in range(len(words) - 1, -1, -1):
            k = (((words[i] >> shift) - least) >> done) & digit
            ends[k] -= 1
            other[ends[k]] = words[i]
        words, other = other, words
        done += DIGIT
    return words
