"""Hot loops of the ladder. Columns are ticks minus the window's base; side 0 bids, 1 asks."""

from __future__ import annotations

import numpy as np

from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import kernel

NO_TICK = -1


@kernel
def apply_levels(
    ticks: IntArray,
    quantity: FloatArray,
    bid_count: int,
    base: int,
    size: FloatArray,
    best: IntArray,
    outside: IntArray,
) -> int:
    """Set sizes and keep best pointers; indices of levels outside the window go to `outside`."""
    window = size.shape[1]
    missed = 0
    for i in range(len(ticks)):
        side = 0 if i < bid_count else 1
        column = ticks[i] - base
        if column < 0 or column >= window:
            outside[missed] = i
            missed += 1
            continue
        q = quantity[i]
        size[side, column] = q
        at = best[side]
        if q > 0.0:
            if at < 0 or (column > at if side == 0 else column < at):
                best[side] = column
        elif column == at:
            step = -1 if side == 0 else 1
            column += step
            while 0 <= column < window and size[side, column] <= 0.0:
                column += step
            best[side] = column if 0 <= column < window else -1
    return missed


@kernel
def top_levels(
    size: FloatArray, best: IntArray, side: int, count: int
) -> tuple[IntArray, FloatArray]:
    """Columns and sizes of the best `count` levels inside the window, best first."""
    columns = np.empty(count, np.int64)
    quantity = np.empty(count, np.float64)
    found = 0
    column = best[side]
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
def rescan_best(size: FloatArray, best: IntArray) -> None:
    """Find both best pointers from scratch."""
    best[0] = -1
    for column in range(size.shape[1] - 1, -1, -1):
        if size[0, column] > 0.0:
            best[0] = column
            break
    best[1] = -1
    for column in range(size.shape[1]):
        if size[1, column] > 0.0:
            best[1] = column
            break


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
