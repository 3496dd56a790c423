"""The compiled entries to attribution and walls: one call folds all that a book message does.

What they work on lies at the addresses of a plan, int64[PLAN]: see `model/jit.py`. Each table has a
word for its place; the words that are counts are named below. `Attribution` writes the first part,
`WallTracker` the second; without a tracker its words are 0 and walls are left out.
"""

from __future__ import annotations

import math

from liqfield.book.attribution_kernels import (
    AT,
    HEAD_WORDS,
    HIGH,
    LOW,
    SINCE,
    TIME,
    TOLD,
    TOUCHED,
    fold_levels,
    fold_trades,
)
from liqfield.book.attribution_kernels import KEY as TRADE_KEY
from liqfield.book.bands import BANDS
from liqfield.book.survival import AGE_STEPS
from liqfield.book.wall_kernels import (
    COIN_ROWS,
    ENDING,
    JUDGED,
    LIMITS,
    WALL_ROWS,
    Walls,
    age_walls,
    find_large,
    fold_walls,
    forget_walls,
)
from liqfield.book.wall_kernels import HEAD_WORDS as WALL_WORDS
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import floats_at, inner_kernel, ints_at, kernel

SECOND_NS = 1_000_000_000
AGGRESSION_S = 64  # seconds of aggression that are remembered
NO_SIGHT = 1 << 62
WINDOW_SHARE = 0.9  # of a venue's moving window is judged: levels that leave it were not cancelled

# The plan of the attribution: tables, then counts (trades that wait, losses, cells, rows).
HEAD, EDGES_AND_LARGE, WATCH, WAITING, WAITING_LEFT, LOSSES, LOSSES_LEFT, LOSS_BEFORE = range(8)
NEWEST, TOTALS, TOUCHES, EXPLAINED, FRESH, FRESH_COINS, SIGHT, SECOND, AGGRESSION = range(8, 17)
PENDING, LOSS_COUNT, CELLS, TOUCH_ROWS = range(17, 21)
# The plan of the walls; CAPACITY is a count.
WALL_LIMITS, WALL_HEAD, WALLS, WALL_COINS, WALL_ENDING, WALL_JUDGED = range(21, 27)
BY_AGE, APPROACH, ENDS_AT, EXPOSURE, CAPACITY = range(27, 32)
PLAN = 32


@inner_kernel
def walls_at(plan: IntArray) -> Walls:
    """The tables of a plan."""
    count = plan[CAPACITY]
    return Walls(
        floats_at(plan[EDGES_AND_LARGE], 2 * BANDS)[BANDS:],
        floats_at(plan[WALL_LIMITS], LIMITS),
        ints_at(plan[WALL_HEAD], WALL_WORDS),
        ints_at(plan[WALLS], WALL_ROWS * count).reshape((WALL_ROWS, count)),
        floats_at(plan[WALL_COINS], COIN_ROWS * count).reshape((COIN_ROWS, count)),
        ints_at(plan[WALL_ENDING], count),
        ints_at(plan[WALL_JUDGED], 2 * count).reshape((2, count)),
        ints_at(plan[WATCH], 2 * plan[CELLS]).reshape((plan[CELLS], 2)),
        floats_at(plan[BY_AGE], BANDS * AGE_STEPS * 3).reshape((BANDS, AGE_STEPS, 3)),
        floats_at(plan[APPROACH], BANDS * 3).reshape((BANDS, 3)),
        floats_at(plan[ENDS_AT], BANDS * 3).reshape((BANDS, 3)),
        floats_at(plan[EXPOSURE], BANDS),
    )


@inner_kernel
def count_aggression(
    first: int,
    last: int,
    fresh: IntArray,
    coins: FloatArray,
    newest: IntArray,
    aggression: FloatArray,
) -> None:
    """Add trades [first, last) to aggression[2, AGGRESSION_S] by side taken and second.

    newest int64[1]: the last second that anything was told of.
    """
    second = newest[0]
    for i in range(first, last):
        at = fresh[TIME, i] // SECOND_NS
        if at > second:  # what was there a minute ago is over
            for gone in range(second + 1, min(at, second + AGGRESSION_S) + 1):
                aggression[0, gone % AGGRESSION_S] = aggression[1, gone % AGGRESSION_S] = 0.0
            second = at
        if at > second - AGGRESSION_S:
            aggression[fresh[TRADE_KEY, i] & 1, at % AGGRESSION_S] += coins[i]
    newest[0] = second


@kernel
def tell_trades(first: int, last: int, plan: IntArray) -> None:
    """Count the fresh trades [first, last) as aggression, without a book message."""
    room = plan[PENDING] + 1
    count_aggression(
        first,
        last,
        ints_at(plan[FRESH], 2 * room).reshape((2, room)),
        floats_at(plan[FRESH_COINS], room),
        ints_at(plan[SECOND], 1),
        floats_at(plan[AGGRESSION], 2 * AGGRESSION_S).reshape((2, AGGRESSION_S)),
    )


@inner_kernel
def sight_of(plan: IntArray, mid: float) -> tuple[int, int]:
    """Lowest and highest tick whose changes are judged."""
    width = floats_at(plan[SIGHT], 2)
    if width[0] == math.inf:
        return -NO_SIGHT, NO_SIGHT  # every change is told, however far
    low = math.ceil(mid - WINDOW_SHARE * width[0])
    high = math.floor(mid + WINDOW_SHARE * width[1])
    return int(low), int(high)


@kernel
def fold_message(
    told_count: int,
    fresh_count: int,
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

    The first `told_count` of the fresh trades are counted as aggression already. Levels: as
    `fold_levels` takes them. Returns how many walls got their verdict.
    """
    pending, count, cells = plan[PENDING], plan[LOSS_COUNT], plan[CELLS]
    head = ints_at(plan[HEAD], HEAD_WORDS)
    bands = floats_at(plan[EDGES_AND_LARGE], 2 * BANDS).reshape((2, BANDS))
    watch = ints_at(plan[WATCH], 2 * cells).reshape((cells, 2))
    waiting = ints_at(plan[WAITING], 2 * pending).reshape((2, pending))
    waiting_left = floats_at(plan[WAITING_LEFT], pending)
    losses = ints_at(plan[LOSSES], 3 * count).reshape((3, count))
    losses_left = floats_at(plan[LOSSES_LEFT], count)
    loss_before, newest = ints_at(plan[LOSS_BEFORE], count), ints_at(plan[NEWEST], cells)
    totals = floats_at(plan[TOTALS], 2 * BANDS * 3).reshape((2, BANDS, 3))
    touched = floats_at(plan[TOUCHES], 6 * plan[TOUCH_ROWS]).reshape((plan[TOUCH_ROWS], 6))
    told = floats_at(plan[EXPLAINED], 6 * pending).reshape((3, 2 * pending))
    head[LOW], head[HIGH] = sight_of(plan, mid)
    head[TOLD] = 0
    if fresh_count:
        fresh = ints_at(plan[FRESH], 2 * (pending + 1)).reshape((2, pending + 1))
        fresh_coins = floats_at(plan[FRESH_COINS], pending)
        tell_trades(told_count, fresh_count, plan)
        fold_trades(
            fresh_count,
            fresh,
            fresh_coins,
            mid,
            head,
            bands,
            watch,
            waiting,
            waiting_left,
            losses,
            losses_left,
            loss_before,
            newest,
            totals,
            told,
        )
    head[SINCE] = head[AT]
    head[AT] = max(at_ns, head[AT])
    fold_levels(
        ticks,
        before,
        after,
        first,
        bid_count,
        level_count,
        mid,
        head,
        bands,
        watch,
        waiting,
        waiting_left,
        losses,
        losses_left,
        loss_before,
        newest,
        totals,
        touched,
        told,
    )
    if plan[CAPACITY] == 0:
        return 0
    w = walls_at(plan)
    if head[TOUCHED] == 0 and head[TOLD] == 0 and w.head[ENDING] == 0:
        return 0
    fold_walls(head[TOUCHED], head[TOLD], at_ns, head[AT], mid, touched, told, w)
    judged: int = w.head[JUDGED]
    return judged


@kernel
def find_walls(
    tick: IntArray, quantity: FloatArray, bid_count: int, at_ns: int, mid: float, plan: IntArray
) -> None:
    """`find_large` with the walls of a plan."""
    find_large(tick, quantity, bid_count, at_ns, mid, walls_at(plan))


@kernel
def pass_time(seconds: float, at_ns: int, mid: float, plan: IntArray) -> None:
    """`age_walls` with the walls of a plan, within what its attribution sees."""
    low, high = sight_of(plan, mid)
    age_walls(seconds, at_ns, mid, low, high, walls_at(plan))


@kernel
def forget(at_ns: int, plan: IntArray) -> None:
    """`forget_walls` with the walls of a plan."""
    forget_walls(at_ns, walls_at(plan))
