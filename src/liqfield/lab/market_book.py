"""The tick-level book of one venue as kernels: a ring of levels, quoting, walls, absorbers.

Owners of ordinary levels are decided when a level is hit (see market_trade), not when it is placed:
the same statistics without an order list. Walls and absorbers have an owner and are tracked.
"""

from __future__ import annotations

import math

import numpy as np

from liqfield.lab import market_state as ms
from liqfield.lab.market_positions import normal, uniform, whole
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import inner_kernel, kernel

DEPTH_POWER = 1.16  # cumulative depth grows as distance ** 1.16
TEN_BP = 0.001
NEAR = 40  # ticks from the touch that are requoted all the time
FAR = 14  # levels farther out that are touched a step and side
GAP_TICKS = 60.0  # beyond this distance every second tick is empty, then three of four, ...


@inner_kernel
def mix(value: int) -> np.uint64:
    """A well-mixed 64-bit hash of a whole number."""
    z = np.uint64(value) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return z ^ (z >> np.uint64(32))


@inner_kernel
def level(xi: IntArray, tick: int) -> int:
    """Signed lots at a tick: bids positive, asks negative, 0 outside the window."""
    width = xi[ms.WIDTH]
    if abs(tick - xi[ms.CENTRE]) >= width // 2 - 1:
        return 0
    return int(xi[ms.BOOK + (tick & (width - 1))])


@inner_kernel
def set_level(xi: IntArray, tick: int, signed: int) -> None:
    """Write a level and remember that it changed."""
    width = xi[ms.WIDTH]
    if abs(tick - xi[ms.CENTRE]) >= width // 2 - 1:
        return
    cell = tick & (width - 1)
    if xi[ms.BOOK + cell] == signed:
        return
    xi[ms.BOOK + cell] = signed
    if xi[ms.TOUCHED_FLAG + cell] == 0:
        xi[ms.TOUCHED_FLAG + cell] = 1
        xi[ms.TOUCHED + xi[ms.DIRTY]] = tick
        xi[ms.DIRTY] += 1


@inner_kernel
def report_change(xi: IntArray, tick: int, before: int, after: int) -> None:
    """Append what a reader of the book must be told to get from one level to the other."""
    if before != 0 and (after == 0 or (before > 0) != (after > 0)):
        row = xi[ms.CHANGES]
        xi[ms.CH_TICK + row] = tick if before > 0 else -tick
        xi[ms.CH_LOTS + row] = 0
        xi[ms.CHANGES] += 1
    if after != 0:
        row = xi[ms.CHANGES]
        xi[ms.CH_TICK + row] = tick if after > 0 else -tick
        xi[ms.CH_LOTS + row] = abs(after)
        xi[ms.CHANGES] += 1


@kernel
def collect_changes(xi: IntArray) -> None:
    """Compare every touched level with what was last shown and append the differences."""
    mask = xi[ms.WIDTH] - 1
    for k in range(xi[ms.DIRTY]):
        tick = xi[ms.TOUCHED + k]
        cell = tick & mask
        xi[ms.TOUCHED_FLAG + cell] = 0
        if xi[ms.BOOK + cell] != xi[ms.SHOWN + cell]:
            report_change(xi, tick, xi[ms.SHOWN + cell], xi[ms.BOOK + cell])
            xi[ms.SHOWN + cell] = xi[ms.BOOK + cell]
    xi[ms.DIRTY] = 0


@inner_kernel
def move_window(xi: IntArray, tick: int) -> None:
    """Keep the ring around the price; levels that leave it are deleted, visibly."""
    width = xi[ms.WIDTH]
    old = xi[ms.CENTRE]
    if abs(tick - old) <= width // 8:
        return
    collect_changes(xi)
    first, last = old - width // 2, old + width // 2  # [first, last)
    keep_first, keep_last = tick - width // 2 + 2, tick + width // 2 - 2
    for t in range(first, last):
        if keep_first <= t < keep_last:
            continue
        cell = t & (width - 1)
        if xi[ms.SHOWN + cell] != 0:
            report_change(xi, t, xi[ms.SHOWN + cell], whole(0))
        xi[ms.BOOK + cell] = 0
        xi[ms.SHOWN + cell] = 0
    xi[ms.CENTRE] = tick


@inner_kernel
def wall_rest(xi: IntArray, tick: int) -> int:
    """Lots that walls and absorbers hold at a tick."""
    total = 0
    for k in range(ms.WALLS):
        if xi[ms.W_KIND + k] != 0 and xi[ms.W_TICK + k] == tick:
            total += xi[ms.W_LEFT + k]
    return total


@inner_kernel
def wanted(xf: FloatArray, xi: IntArray, tick: int, distance: int) -> int:
    """Lots that ordinary makers want at a tick, `distance` ticks behind the touch."""
    gap = int(math.log2(1.0 + distance / GAP_TICKS))
    seed = mix(tick)
    if gap > 0 and (seed & np.uint64((1 << gap) - 1)) != np.uint64(0):
        return 0
    tick_fraction = xf[ms.TICK] / xf[ms.MID]
    away = max(distance, 1) * tick_fraction / TEN_BP
    per_tick = xf[ms.D10] * DEPTH_POWER * away ** (DEPTH_POWER - 1.0)
    per_tick *= tick_fraction / TEN_BP * (1 << gap)
    epoch = (xi[ms.NOW] // 1_000_000_000 + (tick & 15)) // 16
    z = mix(tick * 7_919 + epoch * 104_729)
    rough = 0.0
    for shift in range(4):
        rough += float((z >> np.uint64(16 * shift)) & np.uint64(0xFFFF)) / 65536.0
    noise = math.exp(1.4 * (rough - 2.0) - 0.33)
    return max(1, int(per_tick * noise / xf[ms.STRESS]))


@inner_kernel
def place(xf: FloatArray, xi: IntArray, tick: int, distance: int, sign: int) -> None:
    """Bring one level to what its makers want, walls on top."""
    lots = wanted(xf, xi, tick, distance) + wall_rest(xi, tick)
    set_level(xi, tick, sign * lots)


@inner_kernel
def requote(xf: FloatArray, xi: IntArray, share: float) -> None:
    """Makers move their quotes to the reference: cancel what is stale, fill in, refresh some.

    share: of the near levels that are refreshed in this step.
    """
    tick_size = xf[ms.TICK]
    price = math.exp(xf[ms.M])
    half = max(0.5, price * xf[ms.HALF_SPREAD] * xf[ms.STRESS] / tick_size)
    bid = math.floor(price / tick_size - half + 0.5)
    ask = max(math.ceil(price / tick_size + half - 0.5), bid + 1)
    for k in range(ms.WALLS):  # a standing wall is the touch: nobody quotes through it
        if xi[ms.W_KIND + k] != 0 and xi[ms.W_LEFT + k] > 0 and bid < xi[ms.W_TICK + k] < ask:
            if xi[ms.W_BID + k] == 1:
                bid = xi[ms.W_TICK + k]
            else:
                ask = xi[ms.W_TICK + k]
    xf[ms.MID] = 0.5 * (bid + ask) * tick_size
    old_bid, old_ask = xi[ms.BEST_BID], xi[ms.BEST_ASK]
    move_window(xi, bid)
    for tick in range(old_ask, min(ask, old_ask + xi[ms.WIDTH])):
        if level(xi, tick) < 0:
            set_level(xi, tick, whole(0))
    for tick in range(max(bid + 1, old_bid - xi[ms.WIDTH]), old_bid + 1):
        if level(xi, tick) > 0:
            set_level(xi, tick, whole(0))
    place(xf, xi, ask, whole(0), whole(-1))
    place(xf, xi, bid, whole(0), whole(1))
    for k in range(1, NEAR):
        if level(xi, ask + k) == 0 or uniform(xi) < share:
            place(xf, xi, ask + k, k, whole(-1))
        if level(xi, bid - k) == 0 or uniform(xi) < share:
            place(xf, xi, bid - k, k, whole(1))
    reach = math.log(xi[ms.WIDTH] * 0.36 / NEAR)
    for _ in range(FAR):
        k = int(NEAR * math.exp(reach * uniform(xi)))
        span = 1 << int(math.log2(1.0 + k / GAP_TICKS))
        for j in range(k, k + span):  # one populated tick is here on average
            place(xf, xi, ask + j, j, whole(-1))
            place(xf, xi, bid - j, j, whole(1))
    xi[ms.BEST_BID] = bid
    xi[ms.BEST_ASK] = ask


@kernel
def fill_book(xf: FloatArray, xi: IntArray) -> None:
    """A complete book around the reference, from nothing."""
    for cell in range(xi[ms.WIDTH]):
        xi[ms.BOOK + cell] = 0
    xf[ms.MID] = math.exp(xf[ms.M])
    tick = int(xf[ms.MID] / xf[ms.TICK])
    xi[ms.CENTRE] = tick
    xi[ms.BEST_BID] = tick
    xi[ms.BEST_ASK] = tick + 1
    for k in range(1, int(xi[ms.WIDTH] * 0.36)):
        place(xf, xi, tick + 1 + k, k, whole(-1))
        place(xf, xi, tick - k, k, whole(1))
    requote(xf, xi, 1.0)


@inner_kernel
def log_event(xi: IntArray, kind: int, k: int, lots: int) -> None:
    """Write down what became of a wall or absorber."""
    row = xi[ms.EVENTS]
    if row >= ms.EVENT_ROWS:
        return
    xi[ms.E_KIND + row] = kind
    xi[ms.E_START + row] = xi[ms.W_START + k]
    xi[ms.E_END + row] = xi[ms.NOW]
    xi[ms.E_TICK + row] = xi[ms.W_TICK + k]
    xi[ms.E_LOTS + row] = lots
    xi[ms.E_BID + row] = xi[ms.W_BID + k]
    xi[ms.EVENTS] += 1


@inner_kernel
def end_wall(xi: IntArray, k: int, kind: int, lots: int) -> None:
    """Take a wall or absorber out of the book and log how it ended."""
    log_event(xi, kind, k, lots)
    tick, sign = xi[ms.W_TICK + k], 1 if xi[ms.W_BID + k] == 1 else -1
    rest = xi[ms.W_LEFT + k]
    xi[ms.W_KIND + k] = 0
    now = level(xi, tick)
    if rest > 0 and now * sign > 0:
        set_level(xi, tick, sign * max(abs(now) - rest, 0))


@inner_kernel
def stand(
    xi: IntArray, k: int, kind: int, tick: int, is_bid: bool, lots: int, shown: int, end_ns: int
) -> bool:
    """Put a large order into slot k and into the book, if the price does not stand there."""
    now = level(xi, tick)
    sign = 1 if is_bid else -1
    if now * sign < 0 or (tick >= xi[ms.BEST_ASK] - 1) == is_bid:
        return False
    xi[ms.W_KIND + k] = kind
    xi[ms.W_TICK + k] = tick
    xi[ms.W_BID + k] = 1 if is_bid else 0
    xi[ms.W_START + k] = xi[ms.NOW]
    xi[ms.W_END + k] = end_ns
    xi[ms.W_LEFT + k] = shown
    xi[ms.W_SHOW + k] = shown
    xi[ms.W_TOTAL + k] = lots  # of an absorber: the hidden budget
    set_level(xi, tick, now + sign * shown)
    return True


@inner_kernel
def start_wall(
    xf: FloatArray, xi: IntArray, kind: int, away: float, size: float, seconds: float
) -> None:
    """Put a wall (or absorber) `away` from the mid, as a fraction; size in lots."""
    for k in range(ms.WALLS):
        if xi[ms.W_KIND + k] != 0:
            continue
        is_bid = uniform(xi) < 0.5
        if kind == 3:  # absorbers stand against the move
            is_bid = (xf[ms.TREND] < 0.0) == (uniform(xi) < 0.8)
        tick_size = xf[ms.TICK]
        if is_bid:
            tick = min(int(xf[ms.MID] * (1.0 - away) / tick_size), xi[ms.BEST_BID] - 2)
        else:
            tick = max(int(xf[ms.MID] * (1.0 + away) / tick_size), xi[ms.BEST_ASK] + 2)
        step = 50 if tick_size < xf[ms.MID] * 1e-5 else 5
        if kind != 3:
            tick = tick // step * step  # round prices
        lots = max(1, int(size))
        shown = lots if kind != 3 else max(1, lots // 12)
        end_ns = xi[ms.NOW] + int(seconds * 1e9)
        if stand(xi, k, kind, tick, is_bid, lots, shown, end_ns) and kind != 3:
            log_event(xi, whole(1), k, lots)
        return


@inner_kernel
def whales(xf: FloatArray, xi: IntArray, seconds: float) -> None:
    """Place, pull, refill and end walls and absorbers."""
    if uniform(xi) < xf[ms.WALLS_PER_S] * seconds:
        kind = 2 if uniform(xi) < 0.45 else 1
        size = xf[ms.D10] * 0.25 * math.exp(0.6 * normal(xi))
        start_wall(xf, xi, kind, 0.0006 * math.exp(0.9 * normal(xi)), size, 900.0)
    rate = xf[ms.ABSORB_PER_S] * (1.0 + min(xf[ms.STRESS] - 1.0, 4.0))
    if uniform(xi) < rate * seconds:
        size = xf[ms.D10] * 0.9 * math.exp(0.5 * normal(xi))
        start_wall(xf, xi, whole(3), 0.0002 * math.exp(0.7 * normal(xi)), size, 240.0)
    tick_size = xf[ms.TICK]
    for k in range(ms.WALLS):
        kind = xi[ms.W_KIND + k]
        if kind == 0:
            continue
        tick = xi[ms.W_TICK + k]
        away = abs(tick * tick_size / xf[ms.MID] - 1.0)
        is_over = xi[ms.NOW] >= xi[ms.W_END + k] or away > 0.012
        left = xi[ms.W_LEFT + k]
        if kind == 3:
            missing = xi[ms.W_SHOW + k] - left
            budget = xi[ms.W_TOTAL + k] - xi[ms.W_SHOW + k]
            refill = min(missing, max(budget, 0))
            if refill > 0 and not is_over:
                sign = 1 if xi[ms.W_BID + k] == 1 else -1
                xi[ms.W_LEFT + k] += refill
                xi[ms.W_TOTAL + k] -= refill
                xi[ms.W_TAKEN + k] += refill
                now = level(xi, tick)
                set_level(xi, tick, sign * (max(now * sign, 0) + refill))
            elif is_over or left == 0:
                taken = xi[ms.W_TAKEN + k] + missing
                xi[ms.W_TAKEN + k] = 0
                end_wall(xi, k, whole(3), taken)
        elif left == 0:
            end_wall(xi, k, whole(5), xi[ms.W_TOTAL + k])
        elif kind == 2 and away < 0.00025 and left == xi[ms.W_TOTAL + k]:
            end_wall(xi, k, whole(4), left)
        elif is_over:
            end_wall(xi, k, whole(6), left)
