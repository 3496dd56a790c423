"""One step of time as kernels: index, quotes, traders, mark, forced exits, funding, tape.

Compiled code is cached by this file's date alone: after a change in a kernel of another file, this
one must be touched, or the old step goes on running.
"""

from __future__ import annotations

import math

import numpy as np

from liqfield.lab import market_state as ms
from liqfield.lab.market_book import collect_changes, mix, requote, whales
from liqfield.lab.market_liquidation import sweep
from liqfield.lab.market_positions import (
    create,
    draw_intent,
    normal,
    poisson,
    refresh,
    uniform,
    whole,
)
from liqfield.lab.market_trade import (
    close_fill,
    displacement,
    fill_intent,
    note,
    open_fill,
    pop_intent,
    push_intent,
    trade,
)
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import inner_kernel, long_kernel

QUOTE_TAU_S = 3.0  # makers return to the index
REFILL_TAU_S = 5.0  # consumed depth comes back (coarse mode)
ROTATION_S = 180.0  # every position is looked at that often
PATIENCE_NS = 45_000_000_000  # then a passive order crosses the spread
VARIANCE_TAU_S = 150.0


@inner_kernel
def step_index(b: FloatArray, clock: IntArray, seconds: float, common_seed: int) -> None:
    """The index price: stochastic volatility, shocks spread over seconds, a common factor."""
    b[ms.B_LOGVOL] += -b[ms.B_LOGVOL] * seconds / 14_400.0 + b[ms.B_VOLVOL] * math.sqrt(
        2.0 * seconds / 14_400.0
    ) * normal(clock)
    sigma = b[ms.B_SIGMA] * math.exp(b[ms.B_LOGVOL] - b[ms.B_VOLVOL] ** 2)
    z = mix(common_seed * 1_000_003 + clock[1] // 100_000_000)
    u = (float(z >> np.uint64(40)) + 0.5) / 16777216.0
    w = float(z & np.uint64(0xFFFFFF)) / 16777216.0
    common = math.sqrt(-2.0 * math.log(u)) * math.cos(6.283185307179586 * w)
    own = normal(clock)
    beta = b[ms.B_BETA]
    move = sigma * math.sqrt(seconds / 86_400.0)
    move *= beta * common + math.sqrt(1.0 - beta * beta) * own
    is_due = uniform(clock) < b[ms.B_JUMPS_PER_DAY] * seconds / 86_400.0
    if b[ms.B_SHOCK_LEFT] <= 0.0 and is_due:
        b[ms.B_SHOCK_LEFT] = 10.0 + 110.0 * uniform(clock)
        b[ms.B_SHOCK] = b[ms.B_JUMP_SD] * normal(clock) / b[ms.B_SHOCK_LEFT]
    if b[ms.B_SHOCK_LEFT] > 0.0:
        move += b[ms.B_SHOCK] * min(seconds, b[ms.B_SHOCK_LEFT])
        b[ms.B_SHOCK_LEFT] -= seconds
    b[ms.B_LAST] = b[ms.B_INDEX]
    b[ms.B_INDEX] += move


@inner_kernel
def settle_index(b: FloatArray, premium: float, seconds: float) -> None:
    """After the venues traded: the index follows them; volatility, trend and stress move on.

    premium: mean log distance of the venues' mids from where the index and basis put them.
    """
    b[ms.B_INDEX] += premium * (1.0 - math.exp(-seconds / b[ms.B_FOLLOW_S]))
    move = b[ms.B_INDEX] - b[ms.B_LAST]
    keep = math.exp(-seconds / VARIANCE_TAU_S)
    b[ms.B_VAR] = b[ms.B_VAR] * keep + (1.0 - keep) * move * move / seconds
    b[ms.B_TREND] = b[ms.B_TREND] * math.exp(-seconds / 600.0) + move
    ratio = math.sqrt(b[ms.B_VAR]) / (b[ms.B_SIGMA] / math.sqrt(86_400.0))
    b[ms.B_STRESS] = min(max(ratio * 0.7, 1.0), 15.0) ** 0.9


@inner_kernel
def show_base(xf: FloatArray, b: FloatArray) -> None:
    """Copy what a venue's agents see of the base into the venue's row."""
    xf[ms.INDEX] = b[ms.B_INDEX]
    xf[ms.MOVE] = b[ms.B_INDEX] - b[ms.B_LAST]
    xf[ms.STRESS] = b[ms.B_STRESS]
    xf[ms.VAR] = b[ms.B_VAR]
    xf[ms.TREND] = b[ms.B_TREND]
    xf[ms.SIGMA] = b[ms.B_SIGMA]


@inner_kernel
def middle(xf: FloatArray, xi: IntArray, is_fine: bool) -> float:
    """The mid now, USD."""
    if is_fine:
        both = xi[ms.BEST_BID] + xi[ms.BEST_ASK]
        return float(0.5 * both * xf[ms.TICK])
    return math.exp(xf[ms.M] + displacement(xf, xf[ms.C]))


@inner_kernel
def take_open(xf: FloatArray, xi: IntArray, sign: int, is_fine: bool) -> None:
    """A trader opens a position, by a market order or patiently."""
    is_maker = uniform(xi) > xf[ms.TAKER_SHARE]
    lots, flags, leverage, setting = draw_intent(xf, xi, is_maker)
    xf[ms.MEAN_LOTS] += 0.002 * (lots - xf[ms.MEAN_LOTS])
    side = 0 if sign > 0 else 1
    if is_maker:
        push_intent(xf, xi, side, whole(-1), lots, flags, leverage, setting)
        return
    slice_lots = min(lots, max(1, int(0.12 * xf[ms.D10])))
    filled, average = trade(xf, xi, sign, slice_lots, 0.0, whole(0), whole(0), is_fine)
    if filled == 0:
        return
    i = create(xf, xi, sign, flags, leverage, setting, xi[ms.NOW])
    if i < 0:
        xi[ms.MM] += sign * filled
        return
    open_fill(xf, xi, i, filled, average)
    if lots > filled and push_intent(
        xf, xi, side, whole(-1), lots - filled, flags, leverage, setting
    ):
        k = (xi[ms.Q_HEAD + side] + xi[ms.Q_COUNT + side] - 1) % ms.QUEUE
        xi[ms.Q_SLOT + side * ms.QUEUE + k] = i
        xi[ms.Q_ACCOUNT + side * ms.QUEUE + k] = xi[ms.ACCOUNT + i]


@inner_kernel
def take_close(xf: FloatArray, xi: IntArray, i: int, is_fine: bool) -> None:
    """A trader leaves by own will: at market or patiently."""
    sign, lots = xi[ms.SIGN + i], xi[ms.LOTS + i]
    side = 1 if sign > 0 else 0
    slice_lots = min(lots, max(1, int(0.12 * xf[ms.D10])))
    if uniform(xi) < xf[ms.TAKER_SHARE]:
        account = xi[ms.ACCOUNT + i]
        filled, average = trade(xf, xi, -sign, slice_lots, 0.0, whole(0), whole(1), is_fine)
        if filled > 0:
            close_fill(xf, xi, i, filled, average, whole(0))
        if xi[ms.ACCOUNT + i] != account:
            return
    if xi[ms.LOTS + i] > 0 and push_intent(xf, xi, side, i, xi[ms.LOTS + i], whole(0), 0.0, 0.0):
        xi[ms.WAIT + i] = 1


@inner_kernel
def work_intents(xf: FloatArray, xi: IntArray, is_fine: bool) -> None:
    """Coarse: passive orders are met by ordinary volume at once. Fine: the impatient cross."""
    for side in range(2):
        sign = 1 - 2 * side
        count = xi[ms.Q_COUNT + side]
        for _ in range(count):
            if xi[ms.Q_COUNT + side] == 0:
                break
            k = xi[ms.Q_HEAD + side]
            if not is_fine:
                price = xf[ms.MID] * (1.0 - sign * xf[ms.HALF_SPREAD])
                n, done = fill_intent(xf, xi, side, xi[ms.Q_LOTS + side * ms.QUEUE + k], price)
                xi[ms.MM] -= sign * n
                if done > 0:
                    note(xf, xi, n, price, -sign)
                continue
            is_late = xi[ms.NOW] - xi[ms.Q_NS + side * ms.QUEUE + k] > PATIENCE_NS
            if not is_late and xi[ms.Q_COUNT + side] < ms.QUEUE // 2:
                break
            cross_intent(xf, xi, side, k, is_fine)


@inner_kernel
def cross_intent(xf: FloatArray, xi: IntArray, side: int, k: int, is_fine: bool) -> None:
    """The oldest passive order of a side becomes a market order, a slice at a time."""
    sign = 1 - 2 * side
    slot, account = xi[ms.Q_SLOT + side * ms.QUEUE + k], xi[ms.Q_ACCOUNT + side * ms.QUEUE + k]
    left = xi[ms.Q_LOTS + side * ms.QUEUE + k]
    flags, leverage = xi[ms.Q_FLAGS + side * ms.QUEUE + k], xf[ms.Q_LEVERAGE + side * ms.QUEUE + k]
    setting = xf[ms.Q_SETTING + side * ms.QUEUE + k]
    is_close = xi[ms.Q_KIND + side * ms.QUEUE + k] == 1
    is_alive = account != 0 and xi[ms.ACCOUNT + slot] == account
    pop_intent(xi, side)
    if is_close:
        left = min(left, xi[ms.LOTS + slot]) if is_alive else 0
    n = min(left, max(1, int(0.12 * xf[ms.D10])))
    if n == 0:
        return
    filled, average = trade(xf, xi, sign, n, 0.0, whole(0), whole(1 if is_close else 0), is_fine)
    if filled > 0:
        if is_close:
            close_fill(xf, xi, slot, filled, average, whole(0))
        else:
            if not is_alive:
                slot = create(xf, xi, sign, flags, leverage, setting, xi[ms.NOW])
            if slot < 0:
                xi[ms.MM] += sign * filled
                return
            open_fill(xf, xi, slot, filled, average)
            account = xi[ms.ACCOUNT + slot]
    if left > filled:
        push_intent(
            xf, xi, side, whole(slot if is_close else -1), left - filled, flags, leverage, setting
        )
        if not is_close and filled > 0:
            j = (xi[ms.Q_HEAD + side] + xi[ms.Q_COUNT + side] - 1) % ms.QUEUE
            xi[ms.Q_SLOT + side * ms.QUEUE + j] = slot
            xi[ms.Q_ACCOUNT + side * ms.QUEUE + j] = account


@inner_kernel
def rotate(xf: FloatArray, xi: IntArray, seconds: float, is_fine: bool) -> None:
    """Look at a slice of all positions: voluntary exits, collateral of cross accounts drifting."""
    slots = xi[ms.SLOT_COUNT]
    count = min(slots, int(slots * seconds / ROTATION_S) + 1)
    span = max(seconds, slots / count * seconds)
    move_5m = 0.8 * math.sqrt(xf[ms.VAR] * 300.0)
    rate = 1.0 / xf[ms.HOLD_S] + xf[ms.CHURN_VOL] * move_5m / 300.0
    mark, lot, tilt = xf[ms.MARK], xf[ms.LOT], xf[ms.HOLD_TILT]
    first = xi[ms.ROTATE]
    for j in range(first, first + count):
        i = j % slots
        lots = xi[ms.LOTS + i]
        if lots == 0:
            continue
        if (xi[ms.FLAGS + i] & ms.CROSS) != 0:
            jitter = xf[ms.CROSS_NOISE] * math.sqrt(span / 86_400.0) * normal(xi)
            floor = 0.2 * lots * lot * xf[ms.ENTRY + i] / xf[ms.LEVERAGE + i]
            xf[ms.MARGIN + i] = max(xf[ms.MARGIN + i] * (1.0 + jitter), floor)
            refresh(xf, xi, i)
        if xi[ms.WAIT + i] == 1:
            xi[ms.WAIT + i] = 0  # its patient order is looked at again next time
            continue
        sign = xi[ms.SIGN + i]
        profit = sign * lots * lot * (mark - xf[ms.ENTRY + i])
        winner = math.tanh(2.0 * profit / max(xf[ms.MARGIN + i], 1e-9))
        hazard = rate * (xf[ms.LEVERAGE + i] / 3.0) ** tilt * (1.0 + 0.3 * winner)
        if uniform(xi) < 1.0 - math.exp(-hazard * span):
            take_close(xf, xi, i, is_fine)
    xi[ms.ROTATE] = (first + count) % slots


@inner_kernel
def open_interest(xi: IntArray) -> int:
    """Lots outstanding, one-sided."""
    return int(xi[ms.SUM_LONG] + max(xi[ms.MM], 0) + max(xi[ms.FUND], 0))


@inner_kernel
def openings(xf: FloatArray, xi: IntArray, seconds: float, is_fine: bool) -> None:
    """New positions: replace what closes, drift to the wanted open interest, follow momentum."""
    xf[ms.OI_LOG] += -xf[ms.OI_LOG] * seconds / 86_400.0 + 0.08 * math.sqrt(
        2.0 * seconds / 86_400.0
    ) * normal(xi)
    oi = open_interest(xi)
    want = xf[ms.OI_TARGET] * math.exp(xf[ms.OI_LOG])
    # each opening lifts one side; two sides, hence twice the rate
    rate = xf[ms.CLOSE_RATE] + 2.0 * (want - oi) / 7_200.0
    mean = max(xf[ms.MEAN_LOTS], 1.0)
    count = min(poisson(xi, rate * seconds / mean), 60)
    capacity = 0.06 * xf[ms.OI_TARGET]
    trend = xf[ms.TREND] / (xf[ms.SIGMA] * math.sqrt(600.0 / 86_400.0))
    lean = 0.10 * math.tanh(0.7 * trend) + 0.35 * math.tanh(xi[ms.MM] / capacity)
    for _ in range(count):
        sign = 1 if uniform(xi) < 0.5 + lean else -1
        take_open(xf, xi, sign, is_fine)


@inner_kernel
def ordinary_volume(xf: FloatArray, xi: IntArray, seconds: float, is_fine: bool) -> None:
    """Volume that hands no position on: fast traders against each other and the makers."""
    activity = 0.4 + 0.6 * min(math.sqrt(xf[ms.VAR] * 86_400.0) / xf[ms.SIGMA], 12.0)
    volume = xf[ms.TURNOVER] * xf[ms.OI_TARGET] * seconds / 86_400.0 * activity
    if not is_fine:
        lots = int(volume * math.exp(0.5 * normal(xi) - 0.125))
        move = xf[ms.MOVE] / math.sqrt(xf[ms.VAR] * seconds + 1e-18)
        share = min(max(0.5 + 0.08 * math.tanh(move) + 0.05 * normal(xi), 0.02), 0.98)
        buys = int(lots * share)
        half = xf[ms.HALF_SPREAD]
        if uniform(xi) < 0.5:
            note(xf, xi, buys, xf[ms.MID] * (1.0 + half), whole(1))
            note(xf, xi, lots - buys, xf[ms.MID] * (1.0 - half), whole(-1))
        else:
            note(xf, xi, lots - buys, xf[ms.MID] * (1.0 - half), whole(-1))
            note(xf, xi, buys, xf[ms.MID] * (1.0 + half), whole(1))
        return
    mean = 9_000.0 / (xf[ms.MID] * xf[ms.LOT])
    for _ in range(min(poisson(xi, volume / mean), 25)):
        if uniform(xi) < 0.35:
            xf[ms.FLOW_SIGN] = 1.0 if uniform(xi) < 0.5 else -1.0
        sign = 1 if xf[ms.FLOW_SIGN] >= 0.0 else -1
        lots = max(1, int(mean * math.exp(1.5 * normal(xi) - 1.125)))
        filled, _price = trade(xf, xi, sign, lots, 0.0, whole(0), whole(2), is_fine)
        xi[ms.MM] += sign * filled


@inner_kernel
def outside_order(xf: FloatArray, xi: IntArray, is_fine: bool) -> None:
    """The market order of a script (`market_actors`), if there is one."""
    lots = xi[ms.OUTSIDE]
    if lots == 0:
        return
    sign = 1 if lots > 0 else -1
    filled, _price = trade(xf, xi, sign, abs(lots), 0.0, whole(0), whole(2), is_fine)
    xi[ms.MM] += sign * filled
    xi[ms.OUTSIDE] = 0


@inner_kernel
def press_walls(xf: FloatArray, xi: IntArray, is_fine: bool) -> None:
    """A reference beyond a standing wall: arbitrage buys into it; makers stay behind it."""
    tick_size = xf[ms.TICK]
    for k in range(ms.WALLS):
        if xi[ms.W_KIND + k] == 0 or xi[ms.W_LEFT + k] == 0:
            continue
        sign = -1 if xi[ms.W_BID + k] == 1 else 1  # of the order that would eat it
        edge = math.log((xi[ms.W_TICK + k] - sign * 0.6) * tick_size)
        over = sign * (xf[ms.M] - edge)
        if over <= 0.0:
            continue
        lots = max(1, int(xf[ms.D10] * min((over / 0.001) ** 1.16 * 0.5, 0.3)))
        limit = xi[ms.W_TICK + k] * tick_size * (1.0 + sign * 1e-9)
        filled, _price = trade(xf, xi, sign, lots, limit, whole(0), whole(2), is_fine)
        xi[ms.MM] += sign * filled
        if xi[ms.W_LEFT + k] > 0:
            xf[ms.M] = edge


@inner_kernel
def set_mark(xf: FloatArray, xi: IntArray, seconds: float) -> None:
    """Mark = median of (index with funding, index with averaged basis, last)."""
    index = math.exp(xf[ms.INDEX])
    keep = math.exp(-seconds / xf[ms.MARK_TAU])
    basis = math.log(xf[ms.MID]) - xf[ms.INDEX]
    xf[ms.BASIS_EMA] = xf[ms.BASIS_EMA] * keep + (1.0 - keep) * basis
    left_h = (xi[ms.NEXT_FUNDING] - xi[ms.NOW]) / 3.6e12
    a = index * (1.0 + xf[ms.FUNDING] * left_h / xf[ms.FUND_H])
    b = index * math.exp(xf[ms.BASIS_EMA])
    c = xf[ms.LAST]
    xf[ms.MARK] = max(min(a, b), min(max(a, b), c))


@inner_kernel
def funding(xf: FloatArray, xi: IntArray, seconds: float) -> None:
    """Premium, the running estimate, and the payment when its hour has come."""
    hours = xf[ms.FUND_H]
    keep = math.exp(-seconds / (hours * 1_800.0))
    premium = xf[ms.MID] / math.exp(xf[ms.INDEX]) - 1.0
    xf[ms.PREMIUM] = xf[ms.PREMIUM] * keep + (1.0 - keep) * premium
    p = xf[ms.PREMIUM]
    eight = p + min(max(0.0001 - p, -0.0005), 0.0005)
    xf[ms.FUNDING] = min(max(eight, -0.003), 0.003) * hours / 8.0
    xi[ms.IS_SETTLED] = 0
    if xi[ms.NOW] + int(seconds * 1e9) < xi[ms.NEXT_FUNDING]:
        return
    rate = xf[ms.FUNDING]
    for i in range(xi[ms.SLOT_COUNT]):
        lots = xi[ms.LOTS + i]
        if lots == 0:
            continue
        paid = xi[ms.SIGN + i] * lots * xf[ms.LOT] * xf[ms.MARK] * rate
        xf[ms.MARGIN + i] = max(xf[ms.MARGIN + i] - paid, 1e-6)
        refresh(xf, xi, i)
    xf[ms.SETTLED] = rate
    xi[ms.IS_SETTLED] = 1
    xi[ms.NEXT_FUNDING] += int(hours * 3.6e12)


@inner_kernel
def work_off(xf: FloatArray, xi: IntArray, seconds: float, is_fine: bool) -> None:
    """The fund trades what it took over into the book within seconds."""
    held = xi[ms.FUND]
    if held == 0:
        return
    sign = -1 if held > 0 else 1
    lots = max(1, int(abs(held) * (1.0 - math.exp(-seconds / 8.0))))
    filled, average = trade(xf, xi, sign, min(lots, abs(held)), 0.0, whole(1), whole(1), is_fine)
    xi[ms.FUND] += sign * filled
    xf[ms.FUND_USD] -= sign * filled * xf[ms.LOT] * average


@inner_kernel
def step_venue(xf: FloatArray, xi: IntArray, seconds: float, is_fine: bool) -> None:
    """Everything that happens on one venue in one step."""
    row = xi[ms.ROW]
    for column in range(ms.TAPE_COLUMNS):
        xf[ms.TAPE + column * ms.TAPE_ROWS + row] = 0.0
    xf[ms.X_LOW + row] = np.inf
    xi[ms.ORDERS] = 0
    skew = 0.0025 * math.tanh(-xi[ms.MM] / (0.25 * xf[ms.OI_TARGET]))
    target = xf[ms.BASIS0] + skew
    xf[ms.BASIS] += (target - xf[ms.BASIS]) * seconds / 3_600.0 + 0.00015 * math.sqrt(
        2.0 * seconds / 3_600.0
    ) * normal(xi)
    pull = 1.0 - math.exp(-seconds / QUOTE_TAU_S)
    xf[ms.M] += (xf[ms.INDEX] + xf[ms.BASIS] - xf[ms.M]) * pull
    if is_fine:
        press_walls(xf, xi, is_fine)
        whales(xf, xi, seconds)
        requote(xf, xi, 1.0 - math.exp(-seconds / 1.5))
    else:
        xf[ms.C] *= math.exp(-seconds / REFILL_TAU_S)
        xf[ms.MID] = middle(xf, xi, is_fine)
    outside_order(xf, xi, is_fine)
    ordinary_volume(xf, xi, seconds, is_fine)
    work_intents(xf, xi, is_fine)
    openings(xf, xi, seconds, is_fine)
    rotate(xf, xi, seconds, is_fine)
    work_off(xf, xi, seconds, is_fine)
    xf[ms.MID] = middle(xf, xi, is_fine)
    set_mark(xf, xi, seconds)
    sweep(xf, xi, is_fine)
    xf[ms.MID] = middle(xf, xi, is_fine)
    funding(xf, xi, seconds)
    record(xf, xi, seconds)


@inner_kernel
def record(xf: FloatArray, xi: IntArray, seconds: float) -> None:
    """Finish the tape row; learn the pace of closing, which openings replace."""
    row = xi[ms.ROW]
    if xf[ms.X_LOTS + row] == 0.0:
        xf[ms.X_HIGH + row] = xf[ms.LAST]
        xf[ms.X_LOW + row] = xf[ms.LAST]
    xf[ms.X_LAST + row] = xf[ms.LAST]
    xf[ms.X_MARK + row] = xf[ms.MARK]
    xf[ms.X_INDEX + row] = math.exp(xf[ms.INDEX])
    xf[ms.X_OI + row] = open_interest(xi)
    xf[ms.X_FUNDING + row] = xf[ms.SETTLED] if xi[ms.IS_SETTLED] == 1 else np.nan
    closed = xf[ms.X_CLOSE_L + row] + xf[ms.X_CLOSE_S + row]
    closed += xf[ms.X_FORCED_L + row] + xf[ms.X_FORCED_S + row]
    keep = math.exp(-seconds / 600.0)
    xf[ms.CLOSE_RATE] = xf[ms.CLOSE_RATE] * keep + (1.0 - keep) * closed / seconds


@long_kernel
def run(
    all_xf: FloatArray,
    all_xi: IntArray,
    base: FloatArray,
    clock: IntArray,
    steps: int,
    step_ns: int,
    is_fine: bool,
    common_seed: int,
) -> int:
    """Run up to `steps` steps; stops early when a report buffer could overflow. Steps done."""
    venues = all_xf.shape[0]
    seconds = step_ns * 1e-9
    done = 0
    for s in range(min(steps, ms.TAPE_ROWS)):
        is_full = False
        for v in range(venues):
            is_full |= all_xi[v, ms.PRINTS] > ms.PRINT_ROWS - 256
            is_full |= all_xi[v, ms.TRADES] > ms.TRADE_ROWS // 2
            is_full |= all_xi[v, ms.EVENTS] > ms.EVENT_ROWS // 2
        if is_full and s > 0:
            break
        step_index(base, clock, seconds, common_seed)
        premium = 0.0
        for v in range(venues):
            xf, xi = all_xf[v], all_xi[v]
            xi[ms.NOW] = clock[1]
            xi[ms.ROW] = s
            xi[ms.STEP_NS] = step_ns
            show_base(xf, base)
            step_venue(xf, xi, seconds, is_fine)
            premium += (math.log(xf[ms.MID]) - base[ms.B_INDEX] - xf[ms.BASIS]) / venues
        settle_index(base, premium, seconds)
        clock[1] += step_ns
        done += 1
    if is_fine:
        for v in range(venues):
            collect_changes(all_xi[v])
    return done
