"""Hot loops of the walls; what a wall is, and when it ends, is told in `walls.py`.

A wall is a slot: a column of `wall` int64[6, capacity] and of `coins` float64[13, capacity]. A key
is tick * 2 + is_ask, sizes are base coins, distances signed fractions of the mid. Each kernel
leaves its slots as the slow twin in tests/reference/walls.py leaves its objects.
"""

from __future__ import annotations

from liqfield.book.attribution_kernels import is_watched
from liqfield.book.bands import band_at
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
def find(wall: IntArray, head: IntArray, key: int) -> int:
    """Slot of a key, FREE without one."""
    for slot in range(head[SLOTS]):
        if wall[KEY, slot] == key:
            return slot
    return FREE


@inner_kernel
def mark(watch: IntArray, key: int, by: int) -> None:
    """Watch a level (by = 1), or stop (-1)."""
    cell = key & (len(watch) - 1)
    watch[cell, 0] += by
    watch[cell, 1] += by * key


@inner_kernel
def begin(
    key: int,
    before: float,
    after: float,
    at_ns: int,
    mid: float,
    seen_born: bool,
    large: FloatArray,
    limits: FloatArray,
    head: IntArray,
    wall: IntArray,
    coins: FloatArray,
    watch: IntArray,
) -> None:
    """A wall, if the level is large; seen_born: if it grew to that just now."""
    distance = (key >> 1) / mid - 1.0
    away = abs(distance)
    band = band_at(away)
    # Not grown: another level's cell of the watch.
    if after < large[band] or away > limits[REACH] or (seen_born and before >= large[band]):
        return
    if head[STANDING] >= wall.shape[1]:
        head[IGNORED] += 1
        return
    slot = find(wall, head, FREE)
    if slot == FREE:
        slot = head[SLOTS]
        head[SLOTS] += 1
    head[STANDING] += 1
    mark(watch, key, 1)
    wall[KEY, slot] = key
    wall[BORN_NS, slot] = wall[GROWN_NS, slot] = at_ns
    wall[ENDED_NS, slot] = 0
    wall[BORN_BAND, slot] = band
    wall[SEEN_BORN, slot] = seen_born
    coins[:, slot] = 0.0
    coins[SIZE, slot] = coins[PEAK, slot] = after
    coins[BORN_DISTANCE, slot] = coins[DISTANCE, slot] = distance
    coins[NEAREST, slot] = away


@inner_kernel
def drop(
    slot: int,
    at_ns: int,
    how: int,
    head: IntArray,
    wall: IntArray,
    coins: FloatArray,
    watch: IntArray,
    by_age: FloatArray,
    approach: FloatArray,
    ends_at: FloatArray,
) -> None:
    """Count the end of a wall and free its slot."""
    last = band_at(abs(coins[DISTANCE, slot]))
    born = wall[BORN_BAND, slot]
    if wall[SEEN_BORN, slot]:
        nearest = min(band_at(coins[NEAREST, slot]), born)
        age_s = (at_ns - wall[BORN_NS, slot]) / 1e9
        count_end(by_age, approach, ends_at, born, nearest, last, age_s, how)
    else:
        ends_at[last, how] += 1.0
    mark(watch, wall[KEY, slot], -1)
    wall[KEY, slot] = FREE
    head[STANDING] -= 1


@inner_kernel
def stop_ending(slot: int, head: IntArray, ending: IntArray) -> None:
    """Take a slot out of those that wait for their verdict."""
    kept = 0
    for i in range(head[ENDING]):
        if ending[i] != slot:
            ending[kept] = ending[i]
            kept += 1
    head[ENDING] = kept


@inner_kernel
def change(
    slot: int,
    row: FloatArray,
    at_ns: int,
    mid: float,
    limits: FloatArray,
    head: IntArray,
    wall: IntArray,
    coins: FloatArray,
    ending: IntArray,
) -> None:
    """Fold a change of a wall's level; row: as of `Touch`."""
    before, size = row[2], row[3]
    distance = (wall[KEY, slot] >> 1) / mid - 1.0
    coins[SIZE, slot], coins[DISTANCE, slot] = size, distance
    coins[NEAREST, slot] = min(coins[NEAREST, slot], abs(distance))
    if size > before:
        coins[ADD, slot] += size - before
    else:
        coins[FILL, slot] += row[4]
        coins[CANCEL, slot] += row[5]
        coins[LAST_FILL, slot] += row[4]
        coins[LAST_CANCEL, slot] += row[5]
    peak = coins[PEAK, slot]
    if size >= peak:
        if size > 1.2 * peak:
            wall[GROWN_NS, slot] = at_ns
        coins[PEAK, slot] = peak = size
    if size >= limits[NEAR_SHARE] * peak:
        coins[LAST_FILL, slot] = coins[LAST_CANCEL, slot] = 0.0
        if wall[ENDED_NS, slot]:
            stop_ending(slot, head, ending)
            wall[ENDED_NS, slot] = 0
    elif wall[ENDED_NS, slot] == 0 and size <= limits[END_SHARE] * peak:
        wall[ENDED_NS, slot] = at_ns
        coins[END_DISTANCE, slot], coins[END_SIZE, slot] = distance, size
        ending[head[ENDING]] = slot
        head[ENDING] += 1


@inner_kernel
def explain(slot: int, moved: float, refilled: float, coins: FloatArray) -> None:
    """A trade told late: what seemed cancelled was filled, or it was refilled."""
    coins[FILL, slot] += moved + refilled
    coins[CANCEL, slot] -= moved
    coins[ADD, slot] += refilled
    if coins[LAST_CANCEL, slot] > 0.0:
        part = min(moved, coins[LAST_CANCEL, slot])
        coins[LAST_CANCEL, slot] -= part
        coins[LAST_FILL, slot] += part


@kernel
def fold_walls(
    touched_count: int,
    told_count: int,
    at_ns: int,
    due_ns: int,
    mid: float,
    touched: FloatArray,
    told: FloatArray,
    large: FloatArray,
    limits: FloatArray,
    head: IntArray,
    wall: IntArray,
    coins: FloatArray,
    ending: IntArray,
    judged: IntArray,
    watch: IntArray,
    by_age: FloatArray,
    approach: FloatArray,
    ends_at: FloatArray,
) -> tuple[int, int]:
    """Changes, then late trades, then the verdicts that are due; (JUDGED, ENDING).

    judged int64[3, capacity] receives key, slot and how it ended of each wall that stood long
    enough to be told of; the slot is free, its figures stand until the next call.
    """
    for i in range(touched_count):
        row = touched[i]
        key = int(row[0]) * 2 + int(row[1])
        slot = find(wall, head, key) if is_watched(watch, key) else FREE
        if slot == FREE:
            begin(key, row[2], row[3], at_ns, mid, True, large, limits, head, wall, coins, watch)
        else:
            change(slot, row, at_ns, mid, limits, head, wall, coins, ending)
    for i in range(told_count):
        slot = find(wall, head, int(told[0, i]))
        if slot != FREE:
            explain(slot, told[1, i], told[2, i], coins)
    head[JUDGED] = 0
    over = 0
    while over < head[ENDING]:
        slot = ending[over]
        if due_ns - wall[ENDED_NS, slot] < limits[VERDICT_NS]:
            break
        over += 1
        lost = coins[LAST_FILL, slot] + coins[LAST_CANCEL, slot]
        ratio = coins[LAST_CANCEL, slot] / lost if lost > 0.0 else 1.0
        how = PULLED if ratio >= limits[PULLED_SHARE] else FILLED
        # Younger ones are a flicker: market makers move their quotes all the time.
        if wall[ENDED_NS, slot] - wall[BORN_NS, slot] >= limits[MIN_AGE_NS]:
            coins[PULL_RATIO, slot] = ratio
            judged[0, head[JUDGED]], judged[1, head[JUDGED]] = wall[KEY, slot], slot
            judged[2, head[JUDGED]] = how
            head[JUDGED] += 1
        ended = wall[ENDED_NS, slot]
        drop(slot, ended, how, head, wall, coins, watch, by_age, approach, ends_at)
    for i in range(over, head[ENDING]):
        ending[i - over] = ending[i]
    head[ENDING] -= over
    return head[JUDGED], head[ENDING]


@kernel
def find_large(
    tick: IntArray,
    quantity: FloatArray,
    bid_count: int,
    at_ns: int,
    mid: float,
    large: FloatArray,
    limits: FloatArray,
    head: IntArray,
    wall: IntArray,
    coins: FloatArray,
    watch: IntArray,
) -> None:
    """Walls of large levels that stood before they were large, or before we looked; bids first."""
    for i in range(len(tick)):
        key = tick[i] * 2 + (0 if i < bid_count else 1)
        if find(wall, head, key) == FREE:
            size = quantity[i]
            begin(key, size, size, at_ns, mid, False, large, limits, head, wall, coins, watch)


@kernel
def age_walls(
    seconds: float,
    at_ns: int,
    mid: float,
    low: int,
    high: int,
    limits: FloatArray,
    head: IntArray,
    wall: IntArray,
    coins: FloatArray,
    watch: IntArray,
    exposure_s: FloatArray,
    by_age: FloatArray,
    approach: FloatArray,
    ends_at: FloatArray,
) -> None:
    """Exposure by distance, the nearest approach; walls out of sight [low, high] are forgotten."""
    for slot in range(head[SLOTS]):
        if wall[KEY, slot] == FREE or wall[ENDED_NS, slot]:
            continue
        tick = wall[KEY, slot] >> 1
        distance = tick / mid - 1.0
        away = abs(distance)
        coins[DISTANCE, slot] = distance
        coins[NEAREST, slot] = min(coins[NEAREST, slot], away)
        exposure_s[band_at(away)] += seconds
        if away > 1.5 * limits[REACH] or not low <= tick <= high:
            drop(slot, at_ns, CENSORED, head, wall, coins, watch, by_age, approach, ends_at)


@kernel
def forget_walls(
    at_ns: int,
    head: IntArray,
    wall: IntArray,
    coins: FloatArray,
    watch: IntArray,
    by_age: FloatArray,
    approach: FloatArray,
    ends_at: FloatArray,
) -> None:
    """All of them, without a verdict."""
    for slot in range(head[SLOTS]):
        if wall[KEY, slot] != FREE:
            drop(slot, at_ns, CENSORED, head, wall, coins, watch, by_age, approach, ends_at)
    head[ENDING] = head[SLOTS] = 0
