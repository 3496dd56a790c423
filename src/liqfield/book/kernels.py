"""Hot loops of the ladder. Columns are ticks minus the window's base; side 0 bids, 1 asks."""

from __future__ import annotations

import numpy as np

from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import inner_kernel, kernel

# Best ticks of a side with nothing in it: worse than any price, so that comparisons need no case.
NO_BID, NO_ASK = -(1 << 62), 1 << 62


@kernel
def apply_levels(
    ticks: IntArray,
    quantity: FloatArray,
    bid_count: int,
    base: int,
    size: FloatArray,
    bid: int,
    ask: int,
) -> tuple[int, int, int]:
    """Set sizes inside the window: (levels outside it, best bid tick, best ask tick) there."""
    window = size.shape[1]
    outside = 0
    for i in range(bid_count):
        column = ticks[i] - base
        if 0 <= column < window:
            size[0, column] = quantity[i]
            if quantity[i] > 0.0:
                bid = max(bid, ticks[i])
            elif ticks[i] == bid:
                bid = _next_bid(size, column, base)
        else:
            outside += 1
    for i in range(bid_count, len(ticks)):
        column = ticks[i] - base
        if 0 <= column < window:
            size[1, column] = quantity[i]
            if quantity[i] > 0.0:
                ask = min(ask, ticks[i])
            elif ticks[i] == ask:
                ask = _next_ask(size, column, base)
        else:
            outside += 1
    return outside, bid, ask


@inner_kernel
def _next_bid(size: FloatArray, column: int, base: int) -> int:
    """Tick of the best bid below a column."""
    for at in range(column - 1, -1, -1):
        if size[0, at] > 0.0:
            return at + base
    return NO_BID


@inner_kernel
def _next_ask(size: FloatArray, column: int, base: int) -> int:
    """Tick of the best ask above a column."""
    for at in range(column + 1, size.shape[1]):
        if size[1, at] > 0.0:
            return at + base
    return NO_ASK


@kernel
def best_ticks(size: FloatArray, base: int) -> tuple[int, int]:
    """Best bid and ask from scratch."""
    return _next_bid(size, size.shape[1], base), _next_ask(size, -1, base)


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
def collect(size: FloatArray, side: int, first: int, last: int) -> tuple[IntArray, FloatArray]:
    """Columns in [first, last) with something resting, ascending."""
    count = 0
    for column in range(first, last):
        if size[side, column] > 0.0:
            count += 1
    columns = np.empty(count, np.int64)
    quantity = np.empty(count, np.float64)
    at = 0
    for column in range(first, last):
        if size[side, column] > 0.0:
            columns[at] = column
            quantity[at] = size[side, column]
            at += 1
    return columns, quantity


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


@kernel
def read_levels(
    ticks: IntArray,
    bid_count: int,
    base: int,
    size: FloatArray,
    quantity: FloatArray,
    outside: IntArray,
) -> int:
    """Sizes that rest now at the levels of a message; those outside the window go to `outside`."""
    missed = 0
    for i in range(len(ticks)):
        column = ticks[i] - base
        if 0 <= column < size.shape[1]:
            quantity[i] = size[0 if i < bid_count else 1, column]
        else:
            quantity[i] = 0.0
            outside[missed] = i
            missed += 1
    return missed
