"""Executions as kernels: one aggressive order meets the book, and who stood behind the book.

Fine mode walks the tick-level book. Coarse mode (history, worlds) walks the same depth profile in
closed form, displacement ~ volume ** (1 / 1.16), so that hours run in milliseconds.
Law: every execution adds the same lots to a buyer and takes them from a seller.
"""

from __future__ import annotations

import math

from liqfield.lab import market_state as ms
from liqfield.lab.market_book import DEPTH_POWER, TEN_BP, level, set_level
from liqfield.lab.market_positions import add, create, reduce
from liqfield.lab.market_state import State
from liqfield.model.jit import kernel

PERMANENT = 0.5  # share of an order's displacement by which makers move their reference
MAX_LEVELS = 900  # levels that one order may walk through


@kernel
def open_fill(st: State, v: int, i: int, lots: int, price: float) -> None:
    """An opening execution of a known position."""
    add(st, v, i, lots, price)
    column = ms.X_OPEN_L if st.pi[v, i, ms.SIGN] > 0 else ms.X_OPEN_S
    st.tape[v, st.now[1], column] += lots


@kernel
def close_fill(st: State, v: int, i: int, lots: int, price: float, is_forced: bool) -> None:
    """A closing execution of a known position."""
    is_long = st.pi[v, i, ms.SIGN] > 0
    reduce(st, v, i, lots, price, is_forced)
    if is_forced:
        column = ms.X_FORCED_L if is_long else ms.X_FORCED_S
    else:
        column = ms.X_CLOSE_L if is_long else ms.X_CLOSE_S
    st.tape[v, st.now[1], column] += lots


@kernel
def push_intent(
    st: State, v: int, side: int, slot: int, lots: int, flags: int, leverage: float, setting: float
) -> bool:
    """Queue a passive order (side 0 buys); slot >= 0 closes that position, -1 opens a new one."""
    head, count = st.qn[v, side, 0], st.qn[v, side, 1]
    if count >= ms.QUEUE:
        return False
    k = (head + count) % ms.QUEUE
    st.qi[v, side, k, ms.Q_KIND] = 1 if slot >= 0 else 0
    st.qi[v, side, k, ms.Q_SLOT] = slot
    st.qi[v, side, k, ms.Q_ACCOUNT] = st.pi[v, slot, ms.ACCOUNT] if slot >= 0 else 0
    st.qi[v, side, k, ms.Q_LOTS] = lots
    st.qi[v, side, k, ms.Q_NS] = st.now[0]
    st.qi[v, side, k, ms.Q_FLAGS] = flags
    st.qf[v, side, k, 0] = leverage
    st.qf[v, side, k, 1] = setting
    st.qn[v, side, 1] = count + 1
    return True


@kernel
def pop_intent(st: State, v: int, side: int) -> None:
    st.qn[v, side, 0] = (st.qn[v, side, 0] + 1) % ms.QUEUE
    st.qn[v, side, 1] -= 1


@kernel
def fill_intent(st: State, v: int, side: int, lots: int, price: float) -> tuple[int, int]:
    """Execute up to `lots` of the oldest passive order; returns (lots done, 1 opened / 2 closed).

    A closing order whose position is gone, or an opening one without a free slot, is dropped: 0.
    """
    k = st.qn[v, side, 0]
    left = st.qi[v, side, k, ms.Q_LOTS]
    slot = st.qi[v, side, k, ms.Q_SLOT]
    account = st.qi[v, side, k, ms.Q_ACCOUNT]
    n = min(left, lots)
    if st.qi[v, side, k, ms.Q_KIND] == 1:
        n = min(n, st.pi[v, slot, ms.LOTS]) if st.pi[v, slot, ms.ACCOUNT] == account else 0
        if n == 0:
            pop_intent(st, v, side)
            return 0, 0
        close_fill(st, v, slot, n, price, False)
        done = 2
    else:
        if account == 0 or st.pi[v, slot, ms.ACCOUNT] != account:
            sign = 1 - 2 * side
            flags = st.qi[v, side, k, ms.Q_FLAGS]
            slot = create(st, v, sign, flags, st.qf[v, side, k, 0], st.qf[v, side, k, 1], st.now[0])
            if slot < 0:
                pop_intent(st, v, side)
                return 0, 0
            st.qi[v, side, k, ms.Q_SLOT] = slot
            st.qi[v, side, k, ms.Q_ACCOUNT] = st.pi[v, slot, ms.ACCOUNT]
        open_fill(st, v, slot, n, price)
        done = 1
    st.qi[v, side, k, ms.Q_LOTS] = left - n
    if left == n:
        pop_intent(st, v, side)
    return n, done


@kernel
def assign(st: State, v: int, side: int, lots: int, price: float) -> int:
    """Give an execution to the passive side (0 buyers): waiting traders first, then the makers.

    Returns the effect on the larger part: 0 opened, 1 closed, 2 neither (a maker's inventory).
    """
    left, opened, closed = lots, 0, 0
    while left > 0 and st.qn[v, side, 1] > 0:
        n, done = fill_intent(st, v, side, left, price)
        left -= n
        if done == 1:
            opened += n
        elif done == 2:
            closed += n
    st.n[v, ms.MM] += left * (1 - 2 * side)
    if left >= opened and left >= closed:
        return 2
    return 0 if opened > closed else 1


@kernel
def note(st: State, v: int, lots: int, price: float, sign: int) -> None:
    """Book an execution on the tape of the step."""
    row = st.now[1]
    st.tape[v, row, ms.X_LOTS] += lots
    st.tape[v, row, ms.X_VALUE] += lots * price
    if sign > 0:
        st.tape[v, row, ms.X_BUY] += lots
    st.tape[v, row, ms.X_HIGH] = max(st.tape[v, row, ms.X_HIGH], price)
    st.tape[v, row, ms.X_LOW] = min(st.tape[v, row, ms.X_LOW], price)
    st.f[v, ms.LAST] = price


@kernel
def write_trade(
    st: State, v: int, ns: int, tick: int, lots: int, sign: int, kind: int, taker: int, maker: int
) -> None:
    """One row of the public trade list."""
    row = st.n[v, ms.TRADES]
    if row >= st.tr.shape[1]:
        return
    st.n[v, ms.TRADE_ID] += 1
    st.tr[v, row, ms.T_NS] = ns
    st.tr[v, row, ms.T_TICK] = tick
    st.tr[v, row, ms.T_LOTS] = lots
    st.tr[v, row, ms.T_BUY] = 1 if sign > 0 else 0
    st.tr[v, row, ms.T_KIND] = kind
    st.tr[v, row, ms.T_TAKER] = taker
    st.tr[v, row, ms.T_MAKER] = maker
    st.tr[v, row, ms.T_ID] = st.n[v, ms.TRADE_ID]
    st.n[v, ms.TRADES] = row + 1


@kernel
def displacement(st: State, v: int, consumed: float) -> float:
    """Log-price displacement after that many lots of net consumption (coarse mode)."""
    depth = st.par[v, ms.D10] / st.base[ms.STRESS]
    size = TEN_BP * (abs(consumed) / depth) ** (1.0 / DEPTH_POWER)
    return float(size if consumed > 0.0 else -size)


@kernel
def consumed_at(st: State, v: int, shift: float) -> float:
    """The inverse of `displacement`."""
    depth = st.par[v, ms.D10] / st.base[ms.STRESS]
    lots = depth * (abs(shift) / TEN_BP) ** DEPTH_POWER
    return float(lots if shift > 0.0 else -lots)


@kernel
def trade_coarse(st: State, v: int, sign: int, lots: int, limit: float) -> tuple[int, float]:
    """Closed-form walk; returns (lots filled, average price)."""
    half = st.par[v, ms.HALF_SPREAD] * st.base[ms.STRESS]
    start = displacement(st, v, st.f[v, ms.C])
    end = displacement(st, v, st.f[v, ms.C] + sign * lots)
    if limit > 0.0:
        bound = math.log(limit) - st.f[v, ms.M] - sign * half
        if sign * (bound - start) <= 0.0:
            return 0, 0.0
        if sign * (end - bound) > 0.0:
            fit = sign * (consumed_at(st, v, bound) - st.f[v, ms.C])
            lots = min(lots, int(fit))
            if lots <= 0:
                return 0, 0.0
            end = displacement(st, v, st.f[v, ms.C] + sign * lots)
    reference = st.f[v, ms.M]
    price = math.exp(reference + 0.5 * (start + end) + sign * half)
    st.f[v, ms.M] += PERMANENT * (end - start)
    st.f[v, ms.C] = consumed_at(st, v, start + (1.0 - PERMANENT) * (end - start))
    side = 1 if sign > 0 else 0
    assign(st, v, side, lots, price)
    note(st, v, lots, price, sign)
    extreme = math.exp(reference + end + sign * half)
    row = st.now[1]
    st.tape[v, row, ms.X_HIGH] = max(st.tape[v, row, ms.X_HIGH], extreme)
    st.tape[v, row, ms.X_LOW] = min(st.tape[v, row, ms.X_LOW], extreme)
    st.f[v, ms.LAST] = extreme
    return lots, price


@kernel
def hit_walls(st: State, v: int, tick: int, remaining: int) -> None:
    """Walls stand last in the queue of their level: they can hold no more than what is left."""
    for k in range(ms.WALLS):
        if st.walls[v, k, ms.W_KIND] != 0 and st.walls[v, k, ms.W_TICK] == tick:
            st.walls[v, k, ms.W_LEFT] = min(st.walls[v, k, ms.W_LEFT], remaining)


@kernel
def trade_fine(
    st: State, v: int, sign: int, lots: int, limit: float, kind: int, effect: int
) -> tuple[int, float]:
    """Walk the ladder tick by tick; returns (lots filled, average price)."""
    tick_size = st.par[v, ms.TICK]
    width = st.lots.shape[1]
    first = st.n[v, ms.BEST_ASK] if sign > 0 else st.n[v, ms.BEST_BID]
    bound = first + sign * (width // 2)
    if limit > 0.0:
        edge = math.floor(limit / tick_size) if sign > 0 else math.ceil(limit / tick_size)
        bound = min(bound, edge) if sign > 0 else max(bound, edge)
    # 1.3 ms between orders of a step keeps times increasing and inside the step
    ns = st.now[0] + min(st.n[v, ms.ORDERS] * 1_300_000, 98_000_000)
    st.n[v, ms.ORDERS] += 1
    left, value, tick, last = lots, 0.0, first, first
    levels = 0
    while left > 0 and sign * (bound - tick) >= 0 and levels < MAX_LEVELS:
        available = -sign * level(st, v, tick)
        if available > 0:
            n = min(available, left)
            price = tick * tick_size
            set_level(st, v, tick, -sign * (available - n))
            hit_walls(st, v, tick, available - n)
            maker = assign(st, v, 1 if sign > 0 else 0, n, price)
            write_trade(st, v, ns, tick, n, sign, kind, effect, maker)
            note(st, v, n, price, sign)
            left -= n
            value += n * price
            last = tick
            levels += 1
            if n < available:
                break
        tick += sign
    filled = lots - left
    if filled == 0:
        return 0, 0.0
    tick = last
    while -sign * level(st, v, tick) <= 0 and abs(tick - first) < width // 2:
        tick += sign
    if sign > 0:
        st.n[v, ms.BEST_ASK] = tick
    else:
        st.n[v, ms.BEST_BID] = tick
    st.f[v, ms.M] += PERMANENT * math.log(last / first) if first > 0 else 0.0
    return filled, value / filled


@kernel
def trade(
    st: State, v: int, sign: int, lots: int, limit: float, kind: int, effect: int, is_fine: bool
) -> tuple[int, float]:
    """One aggressive order (sign +1 buys); limit 0 = none. The caller books the taker's side."""
    if lots <= 0:
        return 0, 0.0
    if is_fine:
        return trade_fine(st, v, sign, lots, limit, kind, effect)
    return trade_coarse(st, v, sign, lots, limit)
