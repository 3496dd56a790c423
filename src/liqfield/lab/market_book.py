"""The tick-level book of one venue as kernels: a ring of levels, quoting, walls, absorbers.

Owners of ordinary levels are decided when a level is hit (see market_trade), not when it is placed:
the same statistics without an order list. Walls and absorbers have an owner and are tracked.
"""

from __future__ import annotations

import math

import numpy as np

from liqfield.lab import market_state as ms
from liqfield.lab.market_positions import normal, uniform
from liqfield.lab.market_state import State
from liqfield.model.jit import kernel

DEPTH_POWER = 1.16  # cumulative depth grows as distance ** 1.16
TEN_BP = 0.001
NEAR = 40  # ticks from the touch that are requoted all the time
FAR = 14  # levels farther out that are touched a step and side
GAP_TICKS = 60.0  # beyond this distance every second tick is empty, then three of four, ...


@kernel
def mix(value: int) -> np.uint64:
    """A well-mixed 64-bit hash of a whole number."""
    z = np.uint64(value) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return z ^ (z >> np.uint64(32))


@kernel
def level(st: State, v: int, tick: int) -> int:
    """Signed lots at a tick: bids positive, asks negative, 0 outside the window."""
    width = st.lots.shape[1]
    if abs(tick - st.n[v, ms.CENTRE]) >= width // 2 - 1:
        return 0
    return int(st.lots[v, tick & (width - 1)])


@kernel
def set_level(st: State, v: int, tick: int, signed: int) -> None:
    """Write a level and remember that it changed."""
    width = st.lots.shape[1]
    if abs(tick - st.n[v, ms.CENTRE]) >= width // 2 - 1:
        return
    cell = tick & (width - 1)
    if st.lots[v, cell] == signed:
        return
    st.lots[v, cell] = signed
    if st.dirty[v, cell] == 0:
        st.dirty[v, cell] = 1
        st.dirty_list[v, st.n[v, ms.DIRTY]] = tick
        st.n[v, ms.DIRTY] += 1


@kernel
def report_change(st: State, v: int, tick: int, before: int, after: int) -> None:
    """Append what a reader of the book must be told to get from one level to the other."""
    if before != 0 and (after == 0 or (before > 0) != (after > 0)):
        row = st.n[v, ms.CHANGES]
        st.changes[v, row, 0] = tick if before > 0 else -tick
        st.changes[v, row, 1] = 0
        st.n[v, ms.CHANGES] += 1
    if after != 0:
        row = st.n[v, ms.CHANGES]
        st.changes[v, row, 0] = tick if after > 0 else -tick
        st.changes[v, row, 1] = abs(after)
        st.n[v, ms.CHANGES] += 1


@kernel
def collect_changes(st: State, v: int) -> None:
    """Compare every touched level with what was last shown and append the differences."""
    mask = st.lots.shape[1] - 1
    for k in range(st.n[v, ms.DIRTY]):
        tick = st.dirty_list[v, k]
        cell = tick & mask
        st.dirty[v, cell] = 0
        if st.lots[v, cell] != st.shown[v, cell]:
            report_change(st, v, tick, st.shown[v, cell], st.lots[v, cell])
            st.shown[v, cell] = st.lots[v, cell]
    st.n[v, ms.DIRTY] = 0


@kernel
def move_window(st: State, v: int, tick: int) -> None:
    """Keep the ring around the price; levels that leave it are deleted, visibly."""
    width = st.lots.shape[1]
    old = st.n[v, ms.CENTRE]
    if abs(tick - old) <= width // 8:
        return
    collect_changes(st, v)
    first, last = old - width // 2, old + width // 2  # [first, last)
    keep_first, keep_last = tick - width // 2 + 2, tick + width // 2 - 2
    for t in range(first, last):
        if keep_first <= t < keep_last:
            continue
        cell = t & (width - 1)
        if st.shown[v, cell] != 0:
            report_change(st, v, t, st.shown[v, cell], 0)
        st.lots[v, cell] = 0
        st.shown[v, cell] = 0
    st.n[v, ms.CENTRE] = tick


@kernel
def wall_rest(st: State, v: int, tick: int) -> int:
    """Lots that walls and absorbers hold at a tick."""
    total = 0
    for k in range(ms.WALLS):
        if st.walls[v, k, ms.W_KIND] != 0 and st.walls[v, k, ms.W_TICK] == tick:
            total += st.walls[v, k, ms.W_LEFT]
    return total


@kernel
def wanted(st: State, v: int, tick: int, distance: int) -> int:
    """Lots that ordinary makers want at a tick, `distance` ticks behind the touch."""
    gap = int(math.log2(1.0 + distance / GAP_TICKS))
    seed = mix(tick)
    if gap > 0 and (seed & np.uint64((1 << gap) - 1)) != np.uint64(0):
        return 0
    tick_fraction = st.par[v, ms.TICK] / st.f[v, ms.MID]
    away = max(distance, 1) * tick_fraction / TEN_BP
    per_tick = st.par[v, ms.D10] * DEPTH_POWER * away ** (DEPTH_POWER - 1.0)
    per_tick *= tick_fraction / TEN_BP * (1 << gap)
    epoch = (st.now[0] // 1_000_000_000 + (tick & 15)) // 16
    z = mix(tick * 7_919 + epoch * 104_729)
    rough = 0.0
    for shift in range(4):
        rough += float((z >> np.uint64(16 * shift)) & np.uint64(0xFFFF)) / 65536.0
    noise = math.exp(1.4 * (rough - 2.0) - 0.33)
    return max(1, int(per_tick * noise / st.base[ms.STRESS]))


@kernel
def place(st: State, v: int, tick: int, distance: int, sign: int) -> None:
    """Bring one level to what its makers want, walls on top."""
    lots = wanted(st, v, tick, distance) + wall_rest(st, v, tick)
    set_level(st, v, tick, sign * lots)


@kernel
def requote(st: State, v: int, share: float) -> None:
    """Makers move their quotes to the reference: cancel what is stale, fill in, refresh some.

    share: of the near levels that are refreshed in this step.
    """
    tick_size = st.par[v, ms.TICK]
    price = math.exp(st.f[v, ms.M])
    half = max(0.5, price * st.par[v, ms.HALF_SPREAD] * st.base[ms.STRESS] / tick_size)
    bid = math.floor(price / tick_size - half + 0.5)
    ask = max(math.ceil(price / tick_size + half - 0.5), bid + 1)
    st.f[v, ms.MID] = 0.5 * (bid + ask) * tick_size
    old_bid, old_ask = st.n[v, ms.BEST_BID], st.n[v, ms.BEST_ASK]
    move_window(st, v, bid)
    for tick in range(old_ask, min(ask, old_ask + st.lots.shape[1])):
        if level(st, v, tick) < 0:
            set_level(st, v, tick, 0)
    for tick in range(max(bid + 1, old_bid - st.lots.shape[1]), old_bid + 1):
        if level(st, v, tick) > 0:
            set_level(st, v, tick, 0)
    place(st, v, ask, 0, -1)
    place(st, v, bid, 0, 1)
    for k in range(1, NEAR):
        if level(st, v, ask + k) == 0 or uniform(st.rng) < share:
            place(st, v, ask + k, k, -1)
        if level(st, v, bid - k) == 0 or uniform(st.rng) < share:
            place(st, v, bid - k, k, 1)
    reach = math.log(st.lots.shape[1] * 0.36 / NEAR)
    for _ in range(FAR):
        k = int(NEAR * math.exp(reach * uniform(st.rng)))
        span = 1 << int(math.log2(1.0 + k / GAP_TICKS))
        for j in range(k, k + span):  # one populated tick is here on average
            place(st, v, ask + j, j, -1)
            place(st, v, bid - j, j, 1)
    st.n[v, ms.BEST_BID] = bid
    st.n[v, ms.BEST_ASK] = ask


@kernel
def fill_book(st: State, v: int) -> None:
    """A complete book around the reference, from nothing."""
    st.lots[v, :] = 0
    st.f[v, ms.MID] = math.exp(st.f[v, ms.M])
    tick = int(st.f[v, ms.MID] / st.par[v, ms.TICK])
    st.n[v, ms.CENTRE] = tick
    st.n[v, ms.BEST_BID] = tick
    st.n[v, ms.BEST_ASK] = tick + 1
    for k in range(1, int(st.lots.shape[1] * 0.36)):
        place(st, v, tick + 1 + k, k, -1)
        place(st, v, tick - k, k, 1)
    requote(st, v, 1.0)


@kernel
def log_event(st: State, v: int, kind: int, k: int, lots: int) -> None:
    """Write down what became of a wall or absorber."""
    row = st.n[v, ms.EVENTS]
    if row >= ms.EVENT_ROWS:
        return
    st.ev[v, row, ms.E_KIND] = kind
    st.ev[v, row, ms.E_START] = st.walls[v, k, ms.W_START]
    st.ev[v, row, ms.E_END] = st.now[0]
    st.ev[v, row, ms.E_TICK] = st.walls[v, k, ms.W_TICK]
    st.ev[v, row, ms.E_LOTS] = lots
    st.ev[v, row, ms.E_BID] = st.walls[v, k, ms.W_BID]
    st.n[v, ms.EVENTS] += 1


@kernel
def end_wall(st: State, v: int, k: int, kind: int, lots: int) -> None:
    """Take a wall or absorber out of the book and log how it ended."""
    log_event(st, v, kind, k, lots)
    tick, sign = st.walls[v, k, ms.W_TICK], 1 if st.walls[v, k, ms.W_BID] == 1 else -1
    rest = st.walls[v, k, ms.W_LEFT]
    st.walls[v, k, ms.W_KIND] = 0
    now = level(st, v, tick)
    if rest > 0 and now * sign > 0:
        set_level(st, v, tick, sign * max(abs(now) - rest, 0))


@kernel
def start_wall(st: State, v: int, kind: int, away: float, size: float, seconds: float) -> None:
    """Put a wall (or absorber) `away` from the mid, as a fraction; size in lots."""
    for k in range(ms.WALLS):
        if st.walls[v, k, ms.W_KIND] != 0:
            continue
        is_bid = uniform(st.rng) < 0.5
        if kind == 3:  # absorbers stand against the move
            is_bid = (st.base[ms.TREND] < 0.0) == (uniform(st.rng) < 0.8)
        tick_size = st.par[v, ms.TICK]
        if is_bid:
            tick = min(int(st.f[v, ms.MID] * (1.0 - away) / tick_size), st.n[v, ms.BEST_BID] - 2)
        else:
            tick = max(int(st.f[v, ms.MID] * (1.0 + away) / tick_size), st.n[v, ms.BEST_ASK] + 2)
        step = 50 if tick_size < st.f[v, ms.MID] * 1e-5 else 5
        if kind != 3:
            tick = tick // step * step  # round prices
        now = level(st, v, tick)
        sign = 1 if is_bid else -1
        if now * sign < 0 or (tick >= st.n[v, ms.BEST_ASK] - 1) == is_bid:
            return
        lots = max(1, int(size))
        st.walls[v, k, ms.W_KIND] = kind
        st.walls[v, k, ms.W_TICK] = tick
        st.walls[v, k, ms.W_BID] = 1 if is_bid else 0
        st.walls[v, k, ms.W_START] = st.now[0]
        st.walls[v, k, ms.W_END] = st.now[0] + int(seconds * 1e9)
        shown = lots if kind != 3 else max(1, lots // 12)
        st.walls[v, k, ms.W_LEFT] = shown
        st.walls[v, k, ms.W_SHOW] = shown
        st.walls[v, k, ms.W_TOTAL] = lots  # of an absorber: the hidden budget
        set_level(st, v, tick, now + sign * shown)
        if kind != 3:
            log_event(st, v, 1, k, lots)
        return


@kernel
def whales(st: State, v: int, seconds: float) -> None:
    """Place, pull, refill and end walls and absorbers."""
    if uniform(st.rng) < st.par[v, ms.WALLS_PER_S] * seconds:
        kind = 2 if uniform(st.rng) < 0.45 else 1
        size = st.par[v, ms.D10] * 0.25 * math.exp(0.6 * normal(st.rng))
        start_wall(st, v, kind, 0.0006 * math.exp(0.9 * normal(st.rng)), size, 900.0)
    rate = st.par[v, ms.ABSORB_PER_S] * (1.0 + min(st.base[ms.STRESS] - 1.0, 4.0))
    if uniform(st.rng) < rate * seconds:
        size = st.par[v, ms.D10] * 0.9 * math.exp(0.5 * normal(st.rng))
        start_wall(st, v, 3, 0.0002 * math.exp(0.7 * normal(st.rng)), size, 240.0)
    tick_size = st.par[v, ms.TICK]
    for k in range(ms.WALLS):
        kind = st.walls[v, k, ms.W_KIND]
        if kind == 0:
            continue
        tick = st.walls[v, k, ms.W_TICK]
        away = abs(tick * tick_size / st.f[v, ms.MID] - 1.0)
        is_over = st.now[0] >= st.walls[v, k, ms.W_END] or away > 0.012
        left = st.walls[v, k, ms.W_LEFT]
        if kind == 3:
            missing = st.walls[v, k, ms.W_SHOW] - left
            budget = st.walls[v, k, ms.W_TOTAL] - st.walls[v, k, ms.W_SHOW]
            refill = min(missing, max(budget, 0))
            if refill > 0 and not is_over:
                sign = 1 if st.walls[v, k, ms.W_BID] == 1 else -1
                st.walls[v, k, ms.W_LEFT] += refill
                st.walls[v, k, ms.W_TOTAL] -= refill
                st.walls[v, k, ms.HIDDEN_TAKEN] += refill
                now = level(st, v, tick)
                set_level(st, v, tick, sign * (max(now * sign, 0) + refill))
            elif is_over or left == 0:
                taken = st.walls[v, k, ms.HIDDEN_TAKEN] + missing
                st.walls[v, k, ms.HIDDEN_TAKEN] = 0
                end_wall(st, v, k, 3, taken)
        elif left == 0:
            end_wall(st, v, k, 5, st.walls[v, k, ms.W_TOTAL])
        elif kind == 2 and away < 0.00025 and left == st.walls[v, k, ms.W_TOTAL]:
            end_wall(st, v, k, 4, left)
        elif is_over:
            end_wall(st, v, k, 6, left)
