"""The compiled entries to attribution and walls: one call folds all that a book message does."""

from __future__ import annotations

import math

from liqfield.book.attribution_kernels import (
    AT,
    COUNTED,
    DROPPED,
    HIGH,
    LOW,
    READ,
    SINCE,
    TOLD,
    TOUCHED,
    count_aggression,
    fold_levels,
    fold_trades,
)
from liqfield.book.plan import (
    ASK_WIDTH,
    AT_BIDS,
    AT_FIRST,
    AT_LAST,
    AT_QUANTITY,
    AT_TICKS,
    BID_WIDTH,
    CAPACITY,
    FLOATS,
    INTS,
    LEVELS,
    NDARRAY,
    NOT_DONE,
    NUMBER,
    PLAN,
    TOUCH_ROWS,
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
from liqfield.model.jit import floats_at, inner_kernel, ints_at, kernel
from liqfield.model.native import (
    as_float,
    as_int,
    bad_argument,
    field,
    has_failed,
    is_of,
    make_int,
    native,
    plain_array,
    take,
    words_of,
)
from liqfield.model.tape import told_columns

NO_SIGHT = 1 << 62
WINDOW_SHARE = 0.9  # of a venue's moving window is judged: levels that leave it were not cancelled


@kernel
def hear_trades(told: int, is_over: bool, plan: IntArray) -> None:
    """Without a book message: count the trades as aggression; is_over: and that is all of them."""
    t = losses_at(plan)
    head = t.head
    count_aggression(head[COUNTED], told, plan)
    head[COUNTED] = told
    if is_over:
        _, _, _, numbers, mask = told_columns(t.tape)
        for k in range(head[READ], told):
            head[DROPPED] += numbers[k & mask] == plan[NUMBER]
        head[READ] = told


@inner_kernel
def sight_of(plan: IntArray, mid: float) -> tuple[int, int]:
    """Lowest and highest tick whose changes are judged."""
    units = floats_at(plan[UNITS], 2)
    if units[BID_WIDTH] == math.inf:
        return -NO_SIGHT, NO_SIGHT  # every change is told, however far
    low = math.ceil(mid - WINDOW_SHARE * units[BID_WIDTH])
    high = math.floor(mid + WINDOW_SHARE * units[ASK_WIDTH])
    return int(low), int(high)


@inner_kernel
def fold_message(
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

    told: trades on the tape so far. Levels: as `fold_levels` takes them. Returns how many walls got
    a verdict that is told of.
    """
    head = losses_at(plan).head
    head[LOW], head[HIGH] = sight_of(plan, mid)
    head[TOLD] = 0
    if head[READ] < told:
        count_aggression(head[COUNTED], told, plan)
        fold_trades(head[READ], told, mid, plan)
        head[READ] = head[COUNTED] = told
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


def fold_delta(bound: int, given: int, count: int) -> int:
    """(levels, before, at_ns, mid, told) -> as `fold_message`. False, and nothing is done, for
    levels that do not fit: too many, or not in plain arrays."""
    plan = ints_at(words_of(bound), PLAN)
    arguments = ints_at(given, 5)
    if count != 5 or not is_of(arguments[0], plan[LEVELS]):
        bad_argument()
        return 0
    levels = arguments[0]
    ticks_at, room = plain_array(field(levels, plan[AT_TICKS]), plan[NDARRAY], plan[INTS])
    after_at, after_room = plain_array(
        field(levels, plan[AT_QUANTITY]), plan[NDARRAY], plan[FLOATS]
    )
    before_at, before_room = plain_array(arguments[1], plan[NDARRAY], plan[FLOATS])
    first, last = as_int(field(levels, plan[AT_FIRST])), as_int(field(levels, plan[AT_LAST]))
    bids, at_ns = as_int(field(levels, plan[AT_BIDS])), as_int(arguments[2])
    mid, told = as_float(arguments[3]), as_int(arguments[4])
    if has_failed() != 0:
        return 0
    if last < 0:
        last = room
    level_count = last - first
    fits = first >= 0 and 0 <= bids <= level_count and last <= min(room, after_room)
    is_plain = ticks_at != 0 and after_at != 0 and before_at != 0
    if not (fits and is_plain and level_count <= min(before_room, plan[TOUCH_ROWS])):
        take(plan[NOT_DONE])
        return int(plan[NOT_DONE])
    ticks, after = ints_at(ticks_at, room), floats_at(after_at, room)
    before = floats_at(before_at, before_room)
    return int(
        make_int(
            fold_message(told, first, bids, level_count, at_ns, mid, ticks, before, after, plan)
        )
    )


delta_folder = native(fold_delta)


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
