"""Where the tables of attribution and walls lie: the words of a plan, int64[PLAN].

`Attribution` writes the first part, `WallTracker` the second; without a tracker its words are 0.
Kernels are handed the plan and make arrays of the addresses: see `model/jit.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from liqfield.book.bands import BANDS
from liqfield.book.survival import AGE_STEPS
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import floats_at, inner_kernel, ints_at
from liqfield.model.tape import TAPE_WORDS

AGGRESSION_S = 64  # seconds of aggression that are remembered

# The plan of the attribution: tables, then counts (trades that wait, losses, cells,
# rows, rows) and the number of its trades.
HEAD, LARGE, WATCH, WAITING, WAITING_LEFT, LOSSES, LOSSES_LEFT, LOSS_BEFORE = range(8)
NEWEST, TOTALS, TOUCHES, EXPLAINED, TAPE, UNITS, SECOND, AGGRESSION = range(8, 16)
PENDING, LOSS_COUNT, CELLS, TOUCH_ROWS, TOLD_ROWS, NUMBER = range(16, 22)
# The plan of the walls; CAPACITY is a count.
WALL_LIMITS, WALL_HEAD, WALLS, WALL_COINS, WALL_ENDING, WALL_JUDGED = range(22, 28)
BY_AGE, APPROACH, ENDS_AT, EXPOSURE, CAPACITY = range(28, 33)
# Objects, and where the fields of levels lie, for the native entry.
NOT_DONE, NDARRAY, INTS, FLOATS, LEVELS = range(33, 38)
AT_TICKS, AT_QUANTITY, AT_BIDS, AT_FIRST, AT_LAST = range(38, 43)
PLAN = 43

# Words of `units`: how wide the venue's window is on either side of the mid, ticks; USD of a tick.
BID_WIDTH, ASK_WIDTH, TICK_USD = range(3)

# Words of a cell of the watch: levels watched there, the sum of their keys and of their slots. Of a
# lone level they are its own.
COUNT, KEYS, WALL_SLOTS, WATCH_WORDS = range(4)
# Words of the attribution's head; rows of `wall` and `coins`, words of the walls' head and limits.
HEAD_WORDS = 13
WALL_ROWS, COIN_ROWS, WALL_WORDS, LIMITS = 6, 13, 5, 6


class Losses(NamedTuple):
    """What the attribution knows of trades and losses. A chain leads from a level's newest loss to
    older ones: before, by row, the loss before it; newest, by cell of the key, the newest one plus
    one. Rows and words are named in `attribution_kernels.py`."""

    head: IntArray
    large: FloatArray
    watch: IntArray
    waiting: IntArray
    waiting_left: FloatArray
    losses: IntArray
    left: FloatArray
    before: IntArray
    newest: IntArray
    totals: FloatArray
    touched: FloatArray
    told: FloatArray
    tape: IntArray
    units: FloatArray
    second: IntArray
    aggression: FloatArray


class Walls(NamedTuple):
    """Their tables. ending int64[capacity]: slots that wait for their verdict, in their order;
    judged int64[3, capacity]: key, slot and how it ended of verdicts; the last four are those of
    `Survival`."""

    large: FloatArray
    limits: FloatArray
    head: IntArray
    wall: IntArray
    coins: FloatArray
    ending: IntArray
    judged: IntArray
    watch: IntArray
    by_age: FloatArray
    approach: FloatArray
    ends_at: FloatArray
    exposure_s: FloatArray


@inner_kernel
def watch_at(plan: IntArray) -> IntArray:
    """The levels watched, by cell."""
    cells = plan[CELLS]
    return ints_at(plan[WATCH], (cells, WATCH_WORDS))


@inner_kernel
def losses_at(plan: IntArray) -> Losses:
    """The tables of the attribution."""
    pending, count = plan[PENDING], plan[LOSS_COUNT]
    return Losses(
        ints_at(plan[HEAD], HEAD_WORDS),
        floats_at(plan[LARGE], BANDS),
        watch_at(plan),
        ints_at(plan[WAITING], (2, pending)),
        floats_at(plan[WAITING_LEFT], pending),
        ints_at(plan[LOSSES], (3, count)),
        floats_at(plan[LOSSES_LEFT], count),
        ints_at(plan[LOSS_BEFORE], count),
        ints_at(plan[NEWEST], plan[CELLS]),
        floats_at(plan[TOTALS], (2, BANDS, 3)),
        floats_at(plan[TOUCHES], (plan[TOUCH_ROWS], 6)),
        floats_at(plan[EXPLAINED], (3, plan[TOLD_ROWS])),
        ints_at(plan[TAPE], TAPE_WORDS),
        floats_at(plan[UNITS], 3),
        ints_at(plan[SECOND], 1),
        floats_at(plan[AGGRESSION], (2, AGGRESSION_S)),
    )


@inner_kernel
def walls_at(plan: IntArray) -> Walls:
    """The tables of the walls."""
    count = plan[CAPACITY]
    return Walls(
        floats_at(plan[LARGE], BANDS),
        floats_at(plan[WALL_LIMITS], LIMITS),
        ints_at(plan[WALL_HEAD], WALL_WORDS),
        ints_at(plan[WALLS], (WALL_ROWS, count)),
        floats_at(plan[WALL_COINS], (COIN_ROWS, count)),
        ints_at(plan[WALL_ENDING], count),
        ints_at(plan[WALL_JUDGED], (3, count)),
        watch_at(plan),
        floats_at(plan[BY_AGE], (BANDS, AGE_STEPS, 3)),
        floats_at(plan[APPROACH], (BANDS, 3)),
        floats_at(plan[ENDS_AT], (BANDS, 3)),
        floats_at(plan[EXPOSURE], BANDS),
    )
