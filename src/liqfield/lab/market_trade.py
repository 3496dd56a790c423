"""Executions as kernels: one aggressive order meets the book, and who stood behind the book.

Fine mode walks the tick-level book. Coarse mode (history, worlds) walks the same depth profile in
closed form, displacement ~ volume ** (1 / 1.16), so that hours run in milliseconds.
Law: every execution adds the same lots to a buyer and takes them from a seller.
"""

from __future__ import annotations

import math

from liqfield.lab import market_state as ms
from liqfield.lab.market_book import DEPTH_POWER, TEN_BP, level, set_level
from liqfield.lab.market_positions import add, create, reduce, whole
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import inner_kernel

PERMANENT = 0.5  # share of an order's displacement by which makers move their reference
MAX_LEVELS = 900  # levels that one order may walk through


@inner_kernel
def open_fill(xf: FloatArray, xi: IntArray, i: int, lots: int, price: float) -> None:
    """An opening execution of a known position."""
    add(xf, xi, i, lots, price)
    column = ms.X_OPEN_L if xi[ms.SIGN + i] > 0 else ms.X_OPEN_S
    xf[column + xi[ms.ROW]] += lots


@inner_kernel
def close_fill(xf: FloatArray, xi: IntArray, i: int, lots: int, price: float, forced: int) -> None:
    """A closing execution of a known position."""
    is_long = xi[ms.SIGN + i] > 0
    reduce(xf, xi, i, lots, price, forced)
    if forced == 1:
        column = ms.X_FORCED_L if is_long else ms.X_FORCED_S
    else:
        column = ms.X_CLOSE_L if is_long else ms.X_CLOSE_S
    xf[column + xi[ms.ROW]] += lots


@inner_kernel
def push_intent(
    xf: FloatArray,
    xi: IntArray,
    side: int,
    slot: int,
    lots: int,
    flags: int,
    leverage: float,
    setting: float,
) -> bool:
    """Queue a passive order (side 0 buys); slot >= 0 closes that position, -1 opens a new one."""
    head, count = xi[ms.Q_HEAD + side], xi[ms.Q_COUNT + side]
    if count >= ms.QUEUE:
        return False
    k = (head + count) % ms.QUEUE
    xi[ms.Q_KIND + side * ms.QUEUE + k] = 1 if slot >= 0 else 0
    xi[ms.Q_SLOT + side * ms.QUEUE + k] = slot
    xi[ms.Q_ACCOUNT + side * ms.QUEUE + k] = xi[ms.ACCOUNT + slot] if slot >= 0 else 0
    xi[ms.Q_LOTS + side * ms.QUEUE + k] = lots
    xi[ms.Q_NS + side * ms.QUEUE + k] = xi[ms.NOW]
    xi[ms.Q_FLAGS + side * ms.QUEUE + k] = flags
    xf[ms.Q_LEVERAGE + side * ms.QUEUE + k] = leverage
    xf[ms.Q_SETTING + side * ms.QUEUE + k] = setting
    xi[ms.Q_COUNT + side] = count + 1
    return True


@inner_kernel
def pop_intent(xi: IntArray, side: int) -> None:
    xi[ms.Q_HEAD + side] = (xi[ms.Q_HEAD + side] + 1) % ms.QUEUE
    xi[ms.Q_COUNT + side] -= 1


@inner_kernel
def fill_intent(
    xf: FloatArray, xi: IntArray, side: int, lots: int, price: float
) -> tuple[int, int]:
    """Execute up to `lots` of the oldest passive order; returns (lots done, 1 opened / 2 closed).

    A closing order whose position is gone, or an opening one without a free slot, is dropped: 0.
    """
    k = xi[ms.Q_HEAD + side]
    left = xi[ms.Q_LOTS + side * ms.QUEUE + k]
    slot = xi[ms.Q_SLOT + side * ms.QUEUE + k]
    account = xi[ms.Q_ACCOUNT + side * ms.QUEUE + k]
    n = min(left, lots)
    if xi[ms.Q_KIND + side * ms.QUEUE + k] == 1:
        n = min(n, xi[ms.LOTS + slot]) if xi[ms.ACCOUNT + slot] == account else 0
        if n == 0:
            pop_intent(xi, side)
            return 0, 0
        close_fill(xf, xi, slot, n, price, whole(0))
        done = 2
    else:
        if account == 0 or xi[ms.ACCOUNT + slot] != account:
            sign = 1 - 2 * side
            flags = xi[ms.Q_FLAGS + side * ms.QUEUE + k]
            slot = create(
                xf,
                xi,
                sign,
                flags,
                xf[ms.Q_LEVERAGE + side * ms.QUEUE + k],
                xf[ms.Q_SETTING + side * ms.QUEUE + k],
                xi[ms.NOW],
            )
            if slot < 0:
                pop_intent(xi, side)
                return 0, 0
            xi[ms.Q_SLOT + side * ms.QUEUE + k] = slot
            xi[ms.Q_ACCOUNT + side * ms.QUEUE + k] = xi[ms.ACCOUNT + slot]
        open_fill(xf, xi, slot, n, price)
        done = 1
    xi[ms.Q_LOTS + side * ms.QUEUE + k] = left - n
    if left == n:
        pop_intent(xi, side)
    return n, done


@inner_kernel
def assign(xf: FloatArray, xi: IntArray, side: int, lots: int, price: float) -> int:
    """Give an execution to the passive side (0 buyers): waiting traders first, then the makers.

    Returns the effect on the larger part: 0 opened, 1 closed, 2 neither (a maker's inventory).
    """
    left, opened, closed = lots, 0, 0
    while left > 0 and xi[ms.Q_COUNT + side] > 0:
        n, done = fill_intent(xf, xi, side, left, price)
        left -= n
        if done == 1:
            opened += n
        elif done == 2:
            closed += n
    xi[ms.MM] += left * (1 - 2 * side)
    if left >= opened and left >= closed:
        return 2
    return 0 if opened > closed else 1


@inner_kernel
def note(xf: FloatArray, xi: IntArray, lots: int, price: float, sign: int) -> None:
    """Book an execution on the tape of the step."""
    row = xi[ms.ROW]
    xf[ms.X_LOTS + row] += lots
    xf[ms.X_VALUE + row] += lots * price
    if sign > 0:
        xf[ms.X_BUY + row] += lots
    xf[ms.X_HIGH + row] = max(xf[ms.X_HIGH + row], price)
    xf[ms.X_LOW + row] = min(xf[ms.X_LOW + row], price)
    xf[ms.LAST] = price


@inner_kernel
def write_trade(
    xi: IntArray,
    ns: int,
    tick: int,
    lots: int,
    sign: int,
    kind: int,
    taker: int,
    maker: int,
) -> None:
    """One row of the public trade list."""
    row = xi[ms.TRADES]
    if row >= ms.TRADE_ROWS:
        return
    xi[ms.TRADE_ID] += 1
    xi[ms.T_NS + row] = ns
    xi[ms.T_TICK + row] = tick
    xi[ms.T_LOTS + row] = lots
    xi[ms.T_BUY + row] = 1 if sign > 0 else 0
    xi[ms.T_KIND + row] = kind
    xi[ms.T_TAKER + row] = taker
    xi[ms.T_MAKER + row] = maker
    xi[ms.T_ID + row] = xi[ms.TRADE_ID]
    xi[ms.TRADES] = row + 1


@inner_kernel
def displacement(xf: FloatArray, consumed: float) -> float:
    """Log-price displacement after that many lots of net consumption (coarse mode)."""
    depth = xf[ms.D10] / xf[ms.STRESS]
    size = TEN_BP * (abs(consumed) / depth) ** (1.0 / DEPTH_POWER)
    return float(size if consumed > 0.0 else -size)


@inner_kernel
def consumed_at(xf: FloatArray, shift: float) -> float:
    """The inverse of `displacement`."""
    depth = xf[ms.D10] / xf[ms.STRESS]
    lots = depth * (abs(shift) / TEN_BP) ** DEPTH_POWER
    return float(lots if shift > 0.0 else -lots)


@inner_kernel
def trade_coarse(
    xf: FloatArray, xi: IntArray, sign: int, lots: int, limit: float
) -> tuple[int, float]:
    """Closed-form walk; returns (lots filled, average price)."""
    half = xf[ms.HALF_SPREAD] * xf[ms.STRESS]
    start = displacement(xf, xf[ms.C])
    end = displacement(xf, xf[ms.C] + sign * lots)
    if limit > 0.0:
        bound = math.log(limit) - xf[ms.M] - sign * half
        if sign * (bound - start) <= 0.0:
            return 0, 0.0
        if sign * (end - bound) > 0.0:
            fit = sign * (consumed_at(xf, bound) - xf[ms.C])
            lots = min(lots, int(fit))
            if lots <= 0:
                return 0, 0.0
            end = displacement(xf, xf[ms.C] + sign * lots)
    reference = xf[ms.M]
    price = math.exp(reference + 0.5 * (start + end) + sign * half)
    xf[ms.M] += PERMANENT * (end - start)
    xf[ms.C] = consumed_at(xf, start + (1.0 - PERMANENT) * (end - start))
    side = 1 if sign > 0 else 0
    assign(xf, xi, side, lots, price)
    note(xf, xi, lots, price, sign)
    extreme = math.exp(reference + end + sign * half)
    row = xi[ms.ROW]
    xf[ms.X_HIGH + row] = max(xf[ms.X_HIGH + row], extreme)
    xf[ms.X_LOW + row] = min(xf[ms.X_LOW + row], extreme)
    xf[ms.LAST] = extreme
    return lots, price


@inner_kernel
def hit_walls(xi: IntArray, tick: int, remaining: int) -> int:
    """Walls stand last in the queue of their level: they can hold no more than what is left.

    An absorber whose shown part is gone shows the next part at once, as icebergs do, so that an
    order cannot walk past it; returns the lots shown anew.
    """
    shown = 0
    for k in range(ms.WALLS):
        if xi[ms.W_KIND + k] == 0 or xi[ms.W_TICK + k] != tick:
            continue
        xi[ms.W_LEFT + k] = min(xi[ms.W_LEFT + k], remaining)
        budget = xi[ms.W_TOTAL + k] - xi[ms.W_SHOW + k]
        if xi[ms.W_KIND + k] == 3 and xi[ms.W_LEFT + k] == 0 and budget > 0:
            refill = min(xi[ms.W_SHOW + k], budget)
            xi[ms.W_LEFT + k] = refill
            xi[ms.W_TOTAL + k] -= refill
            xi[ms.W_TAKEN + k] += refill
            shown += refill
    return shown


@inner_kernel
def trade_fine(
    xf: FloatArray, xi: IntArray, sign: int, lots: int, limit: float, kind: int, effect: int
) -> tuple[int, float]:
    """Walk the ladder tick by tick; returns (lots filled, average price)."""
    tick_size = xf[ms.TICK]
    width = xi[ms.WIDTH]
    first = xi[ms.BEST_ASK] if sign > 0 else xi[ms.BEST_BID]
    bound = first + sign * (width // 2)
    if limit > 0.0:
        edge = math.floor(limit / tick_size) if sign > 0 else math.ceil(limit / tick_size)
        bound = min(bound, edge) if sign > 0 else max(bound, edge)
    # 1.3 ms between orders of a step keeps times increasing and inside the step
    ns = xi[ms.NOW] + min(xi[ms.ORDERS] * 1_300_000, 98_000_000)
    xi[ms.ORDERS] += 1
    left, value, tick, last = lots, 0.0, first, first
    levels = 0
    while left > 0 and sign * (bound - tick) >= 0 and levels < MAX_LEVELS:
        available = -sign * level(xi, tick)
        if available > 0:
            n = min(available, left)
            price = tick * tick_size
            set_level(xi, tick, -sign * (available - n))
            refill = hit_walls(xi, tick, available - n)
            if refill > 0:
                set_level(xi, tick, -sign * (available - n + refill))
            maker = assign(xf, xi, whole(1 if sign > 0 else 0), n, price)
            write_trade(xi, ns, tick, n, sign, kind, effect, maker)
            note(xf, xi, n, price, sign)
            left -= n
            value += n * price
            last = tick
            levels += 1
            if n < available:
                break
            if refill > 0:
                continue
        tick += sign
    filled = lots - left
    if filled == 0:
        return 0, 0.0
    tick = last
    while -sign * level(xi, tick) <= 0 and abs(tick - first) < width // 2:
        tick += sign
    if sign > 0:
        xi[ms.BEST_ASK] = tick
    else:
        xi[ms.BEST_BID] = tick
    xf[ms.M] += PERMANENT * math.log(last / first) if first > 0 else 0.0
    return filled, value / filled


@inner_kernel
def trade(
    xf: FloatArray,
    xi: IntArray,
    sign: int,
    lots: int,
    limit: float,
    kind: int,
    effect: int,
    is_fine: bool,
) -> tuple[int, float]:
    """One aggressive order (sign +1 buys); limit 0 = none. The caller books the taker's side."""
    if lots <= 0:
        return 0, 0.0
    if is_fine:
        return trade_fine(xf, xi, sign, lots, limit, kind, effect)
    return trade_coarse(xf, xi, sign, lots, limit)
