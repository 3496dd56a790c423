"""Hot loops of the walls; what a wall is, and when it ends, is told in `walls.py`.

A wall is a slot: a column of `wall` int64[6, capacity] and of `coins` float64[13, capacity]. A key
is tick * 2 + is_ask, sizes are base coins, distances signed fractions of the mid. Each kernel
leaves its slots as the slow twin in tests/reference/walls.py leaves its objects.
"""

from __future__ import annotations

import math

import numpy as np

from liqfield.book.bands import band_at
from liqfield.book.plan import COUNT, KEYS, WALL_SLOTS, losses_at, walls_at
from liqfield.book.sizes import find_quantiles
from liqfield.book.survival import CENSORED, FILLED, PULLED, count_end
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import inner_kernel, kernel

FREE = -1
# Rows of `wall`. ENDED_NS 0: it has not begun to end.
KEY, BORN_NS, GROWN_NS, ENDED_NS, BORN_BAND, SEEN_BORN = range(6)
# Rows of `coins`. LAST_*: since it was last whole. END_*: as it ended.
SIZE, PEAK, FILL, CANCEL, ADD, LAST_FILL, LAST_CANCEL = range(7)
BORN_DISTANCE, DISTANCE, NEAREST, END_DISTANCE, END_SIZE, PULL_RATIO = range(7, 13)
# Words of `head`: walls that stand, slots in use, walls that end, verdicts told, walls refused.
STANDING, SLOTS, ENDING, JUDGED, IGNORED = range(5)
# Words of `limits`, named as the settings.
REACH, NEAR_SHARE, END_SHARE, PULLED_SHARE, MIN_AGE_NS, VERDICT_NS = range(6)


@inner_kernel
def find(plan: IntArray, key: int) -> int:
    """Slot of a key, FREE without one."""
    w = walls_at(plan)
    cell = w.watch[key & (len(w.watch) - 1)]
    if cell[COUNT] == 0 or (cell[COUNT] == 1 and cell[KEYS] != key):
        return FREE
    slot: int = cell[WALL_SLOTS]
    if cell[COUNT] == 1 and w.wall[KEY, slot] == key:
        return slot
    return scan(plan, key)


@inner_kernel
def scan(plan: IntArray, key: int) -> int:
    """The first slot with a key, FREE without one."""
    w = walls_at(plan)
    for slot in range(w.head[SLOTS]):
        if w.wall[KEY, slot] == key:
            return slot
    return FREE


@inner_kernel
def mark(watch: IntArray, key: int, slot: int, by: int) -> None:
    """Watch the level of a slot (by = 1), or stop (-1)."""
    cell = watch[key & (len(watch) - 1)]
    cell[COUNT] += by
    cell[KEYS] += by * key
    cell[WALL_SLOTS] += by * slot


@inner_kernel
def begin(
    key: int, before: float, after: float, at_ns: int, mid: float, seen_born: bool, plan: IntArray
) -> None:
    """A wall, if the level is large; seen_born: if it grew to that just now."""
    w = walls_at(plan)
    distance = (key >> 1) / mid - 1.0
    away = abs(distance)
    band = band_at(away)
    # Not grown: another level's cell of the watch.
    if after < w.large[band] or away > w.limits[REACH] or (seen_born and before >= w.large[band]):
        return
    if w.head[STANDING] >= w.wall.shape[1]:
        w.head[IGNORED] += 1
        return
    slot = scan(plan, FREE)
    if slot == FREE:
        slot = w.head[SLOTS]
        w.head[SLOTS] += 1
    w.head[STANDING] += 1
    mark(w.watch, key, slot, 1)
    w.wall[KEY, slot] = key
    w.wall[BORN_NS, slot] = w.wall[GROWN_NS, slot] = at_ns
    w.wall[ENDED_NS, slot] = 0
    w.wall[BORN_BAND, slot] = band
    w.wall[SEEN_BORN, slot] = seen_born
    w.coins[:, slot] = 0.0
    w.coins[SIZE, slot] = w.coins[PEAK, slot] = after
    w.coins[BORN_DISTANCE, slot] = w.coins[DISTANCE, slot] = distance
    w.coins[NEAREST, slot] = away


@inner_kernel
def drop(slot: int, at_ns: int, how: int, plan: IntArray) -> None:
    """Count the end of a wall and free its slot."""
    w = walls_at(plan)
    last = band_at(abs(w.coins[DISTANCE, slot]))
    born = w.wall[BORN_BAND, slot]
    if w.wall[SEEN_BORN, slot]:
        nearest = min(band_at(w.coins[NEAREST, slot]), born)
        age_s = (at_ns - w.wall[BORN_NS, slot]) / 1e9
        count_end(w.by_age, w.approach, w.ends_at, born, nearest, last, age_s, how)
    else:
        w.ends_at[last, how] += 1.0
    mark(w.watch, w.wall[KEY, slot], slot, -1)
    w.wall[KEY, slot] = FREE
    w.head[STANDING] -= 1


@inner_kernel
def stop_ending(slot: int, plan: IntArray) -> None:
    """Take a slot out of those that wait for their verdict."""
    w = walls_at(plan)
    kept = 0
    for i in range(w.head[ENDING]):
        if w.ending[i] != slot:
            w.ending[kept] = w.ending[i]
            kept += 1
    w.head[ENDING] = kept


@inner_kernel
def change(slot: int, row: FloatArray, at_ns: int, mid: float, plan: IntArray) -> None:
    """Fold a change of a wall's level; row: as of `Touch`."""
    w = walls_at(plan)
    before, size = row[2], row[3]
    distance = (w.wall[KEY, slot] >> 1) / mid - 1.0
    w.coins[SIZE, slot], w.coins[DISTANCE, slot] = size, distance
    w.coins[NEAREST, slot] = min(w.coins[NEAREST, slot], abs(distance))
    if size > before:
        w.coins[ADD, slot] += size - before
    else:
        w.coins[FILL, slot] += row[4]
        w.coins[CANCEL, slot] += row[5]
        w.coins[LAST_FILL, slot] += row[4]
        w.coins[LAST_CANCEL, slot] += row[5]
    peak = w.coins[PEAK, slot]
    if size >= peak:
        if size > 1.2 * peak:
            w.wall[GROWN_NS, slot] = at_ns
        w.coins[PEAK, slot] = peak = size
    if size >= w.limits[NEAR_SHARE] * peak:
        w.coins[LAST_FILL, slot] = w.coins[LAST_CANCEL, slot] = 0.0
        if w.wall[ENDED_NS, slot]:
            stop_ending(slot, plan)
            w.wall[ENDED_NS, slot] = 0
    elif w.wall[ENDED_NS, slot] == 0 and size <= w.limits[END_SHARE] * peak:
        w.wall[ENDED_NS, slot] = at_ns
        w.coins[END_DISTANCE, slot], w.coins[END_SIZE, slot] = distance, size
        w.ending[w.head[ENDING]] = slot
        w.head[ENDING] += 1


@inner_kernel
def explain(slot: int, moved: float, refilled: float, plan: IntArray) -> None:
    """A trade told late: what seemed cancelled was filled, or it was refilled."""
    w = walls_at(plan)
    w.coins[FILL, slot] += moved + refilled
    w.coins[CANCEL, slot] -= moved
    w.coins[ADD, slot] += refilled
    if w.coins[LAST_CANCEL, slot] > 0.0:
        part = min(moved, w.coins[LAST_CANCEL, slot])
        w.coins[LAST_CANCEL, slot] -= part
        w.coins[LAST_FILL, slot] += part


@inner_kernel
def fold_walls(
    touched_count: int,
    told_count: int,
    at_ns: int,
    due_ns: int,
    mid: float,
    plan: IntArray,
) -> None:
    """Changes, then late trades, then the verdicts that are due, JUDGED of them.

    judged int64[3, capacity] receives key, slot and how it ended of each wall that stood long
    enough to be told of; the slot is free, its figures stand until the next call.
    """
    w, t = walls_at(plan), losses_at(plan)
    for i in range(touched_count):
        row = t.touched[i]
        key = int(row[0]) * 2 + int(row[1])
        slot = find(plan, key)
        if slot == FREE:
            begin(key, row[2], row[3], at_ns, mid, True, plan)
        else:
            change(slot, row, at_ns, mid, plan)
    for i in range(told_count):
        slot = find(plan, int(t.told[0, i]))
        if slot != FREE:
            explain(slot, t.told[1, i], t.told[2, i], plan)
    w.head[JUDGED] = 0
    over = 0
    while over < w.head[ENDING]:
        slot = w.ending[over]
        if due_ns - w.wall[ENDED_NS, slot] < w.limits[VERDICT_NS]:
            break
        over += 1
        lost = w.coins[LAST_FILL, slot] + w.coins[LAST_CANCEL, slot]
        ratio = w.coins[LAST_CANCEL, slot] / lost if lost > 0.0 else 1.0
        how = PULLED if ratio >= w.limits[PULLED_SHARE] else FILLED
        # Younger ones are a flicker: market makers move their quotes all the time.
        if w.wall[ENDED_NS, slot] - w.wall[BORN_NS, slot] >= w.limits[MIN_AGE_NS]:
            w.coins[PULL_RATIO, slot] = ratio
            told = w.head[JUDGED]
            w.judged[0, told], w.judged[1, told], w.judged[2, told] = w.wall[KEY, slot], slot, how
            w.head[JUDGED] += 1
        ended = w.wall[ENDED_NS, slot]
        drop(slot, ended, how, plan)
    for i in range(over, w.head[ENDING]):
        w.ending[i - over] = w.ending[i]
    w.head[ENDING] -= over


@inner_kernel
def find_large(
    tick: IntArray,
    quantity: FloatArray,
    band: IntArray,
    bid_count: int,
    at_ns: int,
    mid: float,
    plan: IntArray,
) -> None:
    """Walls of large levels that stood before they were large, or before we looked; bids first."""
    large = walls_at(plan).large
    for i in range(len(tick)):
        size = quantity[i]
        if size >= large[band[i]]:
            key = tick[i] * 2 + (0 if i < bid_count else 1)
            if find(plan, key) == FREE:
                begin(key, size, size, at_ns, mid, False, plan)


@kernel
def set_thresholds(
    counts: FloatArray,
    used: IntArray,
    shares: FloatArray,
    chosen: FloatArray,
    usual: FloatArray,
    large: FloatArray,
    told: FloatArray,
) -> None:
    """By distance band, float64[BANDS]: the usual size, that from which a level is large, and that
    from which a wall is told of. A band without a law keeps what it has.

    counts, used: of `LevelSizes`. shares: of the usual, the wide and the least large size. chosen:
    quantile_power, times_usual, stand_out, spread_power and reach of the settings.
    """
    laws = np.empty((len(usual), 3))
    find_quantiles(counts, used, shares, laws)
    quantile_power, times_usual, stand_out, spread_power, reach = chosen
    for band in range(len(usual)):
        usual[band], wide, least = laws[band]
        if usual[band] == np.inf:
            continue
        spread = wide / usual[band]
        # Walls that often stand here must not raise their own bar.
        lawful = min(least, math.pow(spread, quantile_power) * usual[band])
        large[band] = max(lawful, times_usual * usual[band])
        times = min(stand_out, math.pow(spread, spread_power))
        told[band] = max(large[band], least, times * usual[band])
    large[band_at(reach) + 1 :] = np.inf


@inner_kernel
def age_walls(seconds: float, at_ns: int, mid: float, low: int, high: int, plan: IntArray) -> None:
    """Exposure by distance, the nearest approach; walls out of sight [low, high] are forgotten."""
    w = walls_at(plan)
    for slot in range(w.head[SLOTS]):
        if w.wall[KEY, slot] == FREE or w.wall[ENDED_NS, slot]:
            continue
        tick = w.wall[KEY, slot] >> 1
        distance = tick / mid - 1.0
        away = abs(distance)
        w.coins[DISTANCE, slot] = distance
        w.coins[NEAREST, slot] = min(w.coins[NEAREST, slot], away)
        w.exposure_s[band_at(away)] += seconds
        if away > 1.5 * w.limits[REACH] or not low <= tick <= high:
            drop(slot, at_ns, CENSORED, plan)


@inner_kernel
def forget_walls(at_ns: int, plan: IntArray) -> None:
    """All of them, without a verdict."""
    w = walls_at(plan)
    for slot in range(w.head[SLOTS]):
        if w.wall[KEY, slot] != FREE:
            drop(slot, at_ns, CENSORED, plan)
    w.head[ENDING] = w.head[SLOTS] = 0
