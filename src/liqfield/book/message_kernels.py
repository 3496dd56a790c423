"""The compiled entries to attribution and walls: one call folds all that a book message does."""

from __future__ import annotations

import math

from liqfield.book.attribution_kernels import (
    AT,
    DROPPED,
    HIGH,
    LOW,
    SINCE,
    TOLD,
    TOUCHED,
    count_aggression,
    fold_levels,
    fold_trades,
)
from liqfield.book.plan import (
    ASK_WIDTH,
    BID_WIDTH,
    CAPACITY,
    NUMBER,
    UNITS,
    losses_at,
    walls_at,
)
from liqfield.book.wall_kernels import (
    ENDING,
    JUDGED,
    age_walls,
    find_large,
    fold_walls,
    forget_walls,
)
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import floats_at, inner_kernel, kernel
from liqfield.model.tape import told_columns

NO_SIGHT = 1 << 62
WINDOW_SHARE = 0.9  # of a venue's moving window is judged: levels that leave it were not cancelled


@kernel
def hear_trades(heard: int, last: int, dropped: int, plan: IntArray) -> None:
    """Without a book message: count the book's trades of [heard, last) on the tape as aggression,
    and those of [dropped, last) as trades that are no more than that."""
    count_aggression(heard, last, plan)
    t = losses_at(plan)
    _, _, _, numbers, mask = told_columns(t.tape)
    for k in range(dropped, last):
        t.head[DROPPED] += numbers[k & mask] == plan[NUMBER]


@inner_kernel
def sight_of(plan: IntArray, mid: float) -> tuple[int, int]:
    """Lowest and highest tick whose changes are judged."""
    units = floats_at(plan[UNITS], 2)
    if units[BID_WIDTH] == math.inf:
        return -NO_SIGHT, NO_SIGHT  # every change is told, however far
    low = math.ceil(mid - WINDOW_SHARE * units[BID_WIDTH])
    high = math.floor(mid + WINDOW_SHARE * units[ASK_WIDTH])
    return int(low), int(high)


@kernel
def fold_message(
    read: int,
    heard: int,
    told: int,
    first: int,
    bid_count: int,
    level_count: int,
    at_ns: int,
    mid: float,
    ticks: IntArray,
    before: FloatArray,
    after: FloatArray,
    plan: IntArray,
) -> int:
    """The trades since the last message, then this one, then what both do to walls.

    The trades are those of [read, told) on the tape; those up to `heard` are counted as aggression
    already. Levels: as `fold_levels` takes them. Returns how many walls got a verdict that is told
    of.
    """
    head = losses_at(plan).head
    head[LOW], head[HIGH] = sight_of(plan, mid)
    head[TOLD] = 0
    if read < told:
        count_aggression(heard, told, plan)
        fold_trades(read, told, mid, plan)
    head[SINCE] = head[AT]
    head[AT] = max(at_ns, head[AT])
    fold_levels(ticks, before, after, first, bid_count, level_count, mid, plan)
    if plan[CAPACITY] == 0:
        return 0
    walls = walls_at(plan).head
    if head[TOUCHED] == 0 and head[TOLD] == 0 and walls[ENDING] == 0:
        return 0
    fold_walls(head[TOUCHED], head[TOLD], at_ns, head[AT], mid, plan)
    judged: int = walls[JUDGED]
    return judged


@kernel
def find_walls(
    tick: IntArray,
    quantity: FloatArray,
    band: IntArray,
    bid_count: int,
    at_ns: int,
    mid: float,
    plan: IntArray,
) -> None:
    """`find_large`, for Python."""
    find_large(tick, quantity, band, bid_count, at_ns, mid, plan)


@kernel
def pass_time(seconds: float, at_ns: int, mid: float, plan: IntArray) -> None:
    """`age_walls` within what the attribution sees."""
    low, high = sight_of(plan, mid)
    age_walls(seconds, at_ns, mid, low, high, plan)


@kernel
def forget(at_ns: int, plan: IntArray) -> None:
    """`forget_walls`, for Python."""
    forget_walls(at_ns, plan)
