"""One step of time as kernels: index, quotes, traders, mark, forced exits, funding, tape."""

from __future__ import annotations

import math

import numpy as np

from liqfield.lab import market_state as ms
from liqfield.lab.market_book import collect_changes, mix, requote, whales
from liqfield.lab.market_liquidation import sweep
from liqfield.lab.market_positions import create, draw_intent, normal, poisson, refresh, uniform
from liqfield.lab.market_state import State
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
from liqfield.model.jit import kernel

QUOTE_TAU_S = 3.0  # makers return to the index
INDEX_TAU_S = 6.0  # the spot market follows the perpetuals
REFILL_TAU_S = 5.0  # consumed depth comes back (coarse mode)
ROTATION_S = 60.0  # every position is looked at once a minute
PATIENCE_NS = 45_000_000_000  # then a passive order crosses the spread
VARIANCE_TAU_S = 150.0


@kernel
def step_index(st: State, seconds: float, common_seed: int) -> None:
    """The index price: stochastic volatility, shocks spread over seconds, a common factor."""
    b = st.base
    b[ms.LOGVOL] += -b[ms.LOGVOL] * seconds / 14_400.0 + b[ms.VOLVOL] * math.sqrt(
        2.0 * seconds / 14_400.0
    ) * normal(st.rng)
    sigma = b[ms.SIGMA] * math.exp(b[ms.LOGVOL] - b[ms.VOLVOL] ** 2)
    z = mix(common_seed * 1_000_003 + st.now[0] // 100_000_000)
    u = (float(z >> np.uint64(40)) + 0.5) / 16777216.0
    w = float(z & np.uint64(0xFFFFFF)) / 16777216.0
    common = math.sqrt(-2.0 * math.log(u)) * math.cos(6.283185307179586 * w)
    own = normal(st.rng)
    beta = b[ms.BETA]
    move = sigma * math.sqrt(seconds / 86_400.0)
    move *= beta * common + math.sqrt(1.0 - beta * beta) * own
    if b[ms.SHOCK_LEFT] <= 0.0 and uniform(st.rng) < b[ms.JUMP_PER_DAY] * seconds / 86_400.0:
        b[ms.SHOCK_LEFT] = 10.0 + 110.0 * uniform(st.rng)
        b[ms.SHOCK] = b[ms.JUMP_SD] * normal(st.rng) / b[ms.SHOCK_LEFT]
    if b[ms.SHOCK_LEFT] > 0.0:
        span = min(seconds, b[ms.SHOCK_LEFT])
        move += b[ms.SHOCK] * span
        b[ms.SHOCK_LEFT] -= seconds
    b[ms.LAST_F] = b[ms.F]
    b[ms.F] += move


@kernel
def settle_index(st: State, seconds: float) -> None:
    """After the venues traded: the index follows them; volatility, trend and stress move on."""
    b = st.base
    venues = st.par.shape[0]
    premium = 0.0
    for v in range(venues):
        premium += (math.log(st.f[v, ms.MID]) - b[ms.F] - st.f[v, ms.BASIS]) / venues
    b[ms.F] += premium * (1.0 - math.exp(-seconds / INDEX_TAU_S))
    move = b[ms.F] - b[ms.LAST_F]
    keep = math.exp(-seconds / VARIANCE_TAU_S)
    b[ms.VAR] = b[ms.VAR] * keep + (1.0 - keep) * move * move / seconds
    slow = math.exp(-seconds / 600.0)
    b[ms.TREND] = b[ms.TREND] * slow + move
    normal_sd = b[ms.SIGMA] / math.sqrt(86_400.0)
    ratio = math.sqrt(b[ms.VAR]) / normal_sd
    b[ms.STRESS] = min(max(ratio * 0.7, 1.0), 15.0) ** 0.9


@kernel
def middle(st: State, v: int, is_fine: bool) -> float:
    """The mid now, USD."""
    if is_fine:
        both = st.n[v, ms.BEST_BID] + st.n[v, ms.BEST_ASK]
        return float(0.5 * both * st.par[v, ms.TICK])
    return math.exp(st.f[v, ms.M] + displacement(st, v, st.f[v, ms.C]))


@kernel
def take_open(st: State, v: int, sign: int, is_fine: bool) -> None:
    """A trader opens a position, by a market order or patiently."""
    is_maker = uniform(st.rng) > st.par[v, ms.TAKER_SHARE]
    lots, flags, leverage, setting = draw_intent(st, v, is_maker)
    st.f[v, ms.MEAN_LOTS] += 0.002 * (lots - st.f[v, ms.MEAN_LOTS])
    side = 0 if sign > 0 else 1
    if is_maker:
        push_intent(st, v, side, -1, lots, flags, leverage, setting)
        return
    slice_lots = min(lots, max(1, int(0.12 * st.par[v, ms.D10])))
    filled, average = trade(st, v, sign, slice_lots, 0.0, 0, 0, is_fine)
    if filled == 0:
        return
    i = create(st, v, sign, flags, leverage, setting, st.now[0])
    if i < 0:
        st.n[v, ms.MM] += sign * filled
        return
    open_fill(st, v, i, filled, average)
    if lots > filled and push_intent(st, v, side, -1, lots - filled, flags, leverage, setting):
        k = (st.qn[v, side, 0] + st.qn[v, side, 1] - 1) % ms.QUEUE
        st.qi[v, side, k, ms.Q_SLOT] = i
        st.qi[v, side, k, ms.Q_ACCOUNT] = st.pi[v, i, ms.ACCOUNT]


@kernel
def take_close(st: State, v: int, i: int, is_fine: bool) -> None:
    """A trader leaves by own will: at market or patiently."""
    sign, lots = st.pi[v, i, ms.SIGN], st.pi[v, i, ms.LOTS]
    side = 1 if sign > 0 else 0
    slice_lots = min(lots, max(1, int(0.12 * st.par[v, ms.D10])))
    if uniform(st.rng) < st.par[v, ms.TAKER_SHARE]:
        account = st.pi[v, i, ms.ACCOUNT]
        filled, average = trade(st, v, -sign, slice_lots, 0.0, 0, 1, is_fine)
        if filled > 0:
            close_fill(st, v, i, filled, average, False)
        if st.pi[v, i, ms.ACCOUNT] != account:
            return
    if st.pi[v, i, ms.LOTS] > 0 and push_intent(st, v, side, i, st.pi[v, i, ms.LOTS], 0, 0.0, 0.0):
        st.pi[v, i, ms.WAIT] = 1


@kernel
def work_intents(st: State, v: int, is_fine: bool) -> None:
    """Coarse: passive orders are met by ordinary volume at once. Fine: the impatient cross."""
    for side in range(2):
        sign = 1 - 2 * side
        count = st.qn[v, side, 1]
        for _ in range(count):
            if st.qn[v, side, 1] == 0:
                break
            k = st.qn[v, side, 0]
            if not is_fine:
                price = st.f[v, ms.MID] * (1.0 - sign * st.par[v, ms.HALF_SPREAD])
                n, done = fill_intent(st, v, side, st.qi[v, side, k, ms.Q_LOTS], price)
                st.n[v, ms.MM] -= sign * n
                if done > 0:
                    note(st, v, n, price, -sign)
                continue
            is_late = st.now[0] - st.qi[v, side, k, ms.Q_NS] > PATIENCE_NS
            if not is_late and st.qn[v, side, 1] < ms.QUEUE // 2:
                break
            cross_intent(st, v, side, k)


@kernel
def cross_intent(st: State, v: int, side: int, k: int) -> None:
    """The oldest passive order of a side becomes a market order, a slice at a time."""
    sign = 1 - 2 * side
    slot, account = st.qi[v, side, k, ms.Q_SLOT], st.qi[v, side, k, ms.Q_ACCOUNT]
    left = st.qi[v, side, k, ms.Q_LOTS]
    flags, leverage = st.qi[v, side, k, ms.Q_FLAGS], st.qf[v, side, k, 0]
    setting = st.qf[v, side, k, 1]
    is_close = st.qi[v, side, k, ms.Q_KIND] == 1
    is_alive = account != 0 and st.pi[v, slot, ms.ACCOUNT] == account
    pop_intent(st, v, side)
    if is_close:
        left = min(left, st.pi[v, slot, ms.LOTS]) if is_alive else 0
    n = min(left, max(1, int(0.12 * st.par[v, ms.D10])))
    if n == 0:
        return
    filled, average = trade(st, v, sign, n, 0.0, 0, 1 if is_close else 0, True)
    if filled > 0:
        if is_close:
            close_fill(st, v, slot, filled, average, False)
        else:
            if not is_alive:
                slot = create(st, v, sign, flags, leverage, setting, st.now[0])
            if slot < 0:
                st.n[v, ms.MM] += sign * filled
                return
            open_fill(st, v, slot, filled, average)
            account = st.pi[v, slot, ms.ACCOUNT]
    if left > filled:
        push_intent(st, v, side, slot if is_close else -1, left - filled, flags, leverage, setting)
        if not is_close and filled > 0:
            j = (st.qn[v, side, 0] + st.qn[v, side, 1] - 1) % ms.QUEUE
            st.qi[v, side, j, ms.Q_SLOT] = slot
            st.qi[v, side, j, ms.Q_ACCOUNT] = account


@kernel
def rotate(st: State, v: int, seconds: float, is_fine: bool) -> None:
    """Look at a slice of all positions: voluntary exits, collateral of cross accounts drifting."""
    slots = st.pi.shape[1]
    count = min(slots, int(slots * seconds / ROTATION_S) + 1)
    span = max(seconds, slots / count * seconds)
    move_5m = 0.8 * math.sqrt(st.base[ms.VAR] * 300.0)
    rate = 1.0 / st.par[v, ms.HOLD_S] + st.par[v, ms.CHURN_VOL] * move_5m / 300.0
    mark, lot, tilt = st.f[v, ms.MARK], st.par[v, ms.LOT], st.par[v, ms.HOLD_TILT]
    first = st.n[v, ms.ROTATE]
    for j in range(first, first + count):
        i = j % slots
        lots = st.pi[v, i, ms.LOTS]
        if lots == 0:
            continue
        if (st.pi[v, i, ms.FLAGS] & ms.CROSS) != 0:
            jitter = 0.12 * math.sqrt(span / 86_400.0) * normal(st.rng)
            floor = 0.2 * lots * lot * st.pf[v, i, ms.ENTRY] / st.pf[v, i, ms.LEVERAGE]
            st.pf[v, i, ms.MARGIN] = max(st.pf[v, i, ms.MARGIN] * (1.0 + jitter), floor)
            refresh(st, v, i)
        if st.pi[v, i, ms.WAIT] == 1:
            st.pi[v, i, ms.WAIT] = 0  # its patient order is looked at again next time
            continue
        sign = st.pi[v, i, ms.SIGN]
        profit = sign * lots * lot * (mark - st.pf[v, i, ms.ENTRY])
        winner = math.tanh(2.0 * profit / max(st.pf[v, i, ms.MARGIN], 1e-9))
        hazard = rate * (st.pf[v, i, ms.LEVERAGE] / 3.0) ** tilt * (1.0 + 0.3 * winner)
        if uniform(st.rng) < 1.0 - math.exp(-hazard * span):
            take_close(st, v, i, is_fine)
    st.n[v, ms.ROTATE] = (first + count) % slots


@kernel
def open_interest(st: State, v: int) -> int:
    """Lots outstanding, one-sided."""
    return int(st.n[v, ms.SUM_LONG] + max(st.n[v, ms.MM], 0) + max(st.n[v, ms.FUND], 0))


@kernel
def openings(st: State, v: int, seconds: float, is_fine: bool) -> None:
    """New positions: replace what closes, drift to the wanted open interest, follow momentum."""
    st.f[v, ms.OI_LOG] += -st.f[v, ms.OI_LOG] * seconds / 86_400.0 + 0.08 * math.sqrt(
        2.0 * seconds / 86_400.0
    ) * normal(st.rng)
    oi = open_interest(st, v)
    want = st.par[v, ms.OI_TARGET] * math.exp(st.f[v, ms.OI_LOG])
    # each opening lifts one side; two sides, hence twice the rate
    rate = st.f[v, ms.CLOSE_RATE] + 2.0 * (want - oi) / 7_200.0
    mean = max(st.f[v, ms.MEAN_LOTS], 1.0)
    count = min(poisson(st.rng, rate * seconds / mean), 60)
    capacity = 0.06 * st.par[v, ms.OI_TARGET]
    trend = st.base[ms.TREND] / (st.base[ms.SIGMA] * math.sqrt(600.0 / 86_400.0))
    lean = 0.10 * math.tanh(0.7 * trend) + 0.35 * math.tanh(st.n[v, ms.MM] / capacity)
    for _ in range(count):
        sign = 1 if uniform(st.rng) < 0.5 + lean else -1
        take_open(st, v, sign, is_fine)


@kernel
def ordinary_volume(st: State, v: int, seconds: float, is_fine: bool) -> None:
    """Volume that hands no position on: fast traders against each other and the makers."""
    activity = 0.4 + 0.6 * min(math.sqrt(st.base[ms.VAR] * 86_400.0) / st.base[ms.SIGMA], 12.0)
    volume = st.par[v, ms.TURNOVER] * st.par[v, ms.OI_TARGET] * seconds / 86_400.0 * activity
    if not is_fine:
        lots = int(volume * math.exp(0.5 * normal(st.rng) - 0.125))
        move = (st.base[ms.F] - st.base[ms.LAST_F]) / math.sqrt(st.base[ms.VAR] * seconds + 1e-18)
        share = min(max(0.5 + 0.08 * math.tanh(move) + 0.05 * normal(st.rng), 0.02), 0.98)
        buys = int(lots * share)
        half = st.par[v, ms.HALF_SPREAD]
        if uniform(st.rng) < 0.5:
            note(st, v, buys, st.f[v, ms.MID] * (1.0 + half), 1)
            note(st, v, lots - buys, st.f[v, ms.MID] * (1.0 - half), -1)
        else:
            note(st, v, lots - buys, st.f[v, ms.MID] * (1.0 - half), -1)
            note(st, v, buys, st.f[v, ms.MID] * (1.0 + half), 1)
        return
    mean = 9_000.0 / (st.f[v, ms.MID] * st.par[v, ms.LOT])
    for _ in range(min(poisson(st.rng, volume / mean), 25)):
        if uniform(st.rng) < 0.35:
            st.f[v, ms.FLOW_SIGN] = 1.0 if uniform(st.rng) < 0.5 else -1.0
        sign = 1 if st.f[v, ms.FLOW_SIGN] >= 0.0 else -1
        lots = max(1, int(mean * math.exp(1.5 * normal(st.rng) - 1.125)))
        filled, _price = trade(st, v, sign, lots, 0.0, 0, 2, True)
        st.n[v, ms.MM] += sign * filled


@kernel
def press_walls(st: State, v: int) -> None:
    """A reference beyond a standing wall: arbitrage buys into it; makers stay behind it."""
    tick_size = st.par[v, ms.TICK]
    for k in range(ms.WALLS):
        if st.walls[v, k, ms.W_KIND] == 0 or st.walls[v, k, ms.W_LEFT] == 0:
            continue
        sign = -1 if st.walls[v, k, ms.W_BID] == 1 else 1  # of the order that would eat it
        edge = math.log((st.walls[v, k, ms.W_TICK] - sign * 0.6) * tick_size)
        over = sign * (st.f[v, ms.M] - edge)
        if over <= 0.0:
            continue
        lots = max(1, int(st.par[v, ms.D10] * min((over / 0.001) ** 1.16 * 0.5, 0.3)))
        limit = st.walls[v, k, ms.W_TICK] * tick_size * (1.0 + sign * 1e-9)
        filled, _price = trade(st, v, sign, lots, limit, 0, 2, True)
        st.n[v, ms.MM] += sign * filled
        if st.walls[v, k, ms.W_LEFT] > 0:
            st.f[v, ms.M] = edge


@kernel
def set_mark(st: State, v: int, seconds: float) -> None:
    """Mark = median of (index with funding, index with averaged basis, last)."""
    index = math.exp(st.base[ms.F])
    keep = math.exp(-seconds / st.par[v, ms.MARK_TAU])
    basis = math.log(st.f[v, ms.MID]) - st.base[ms.F]
    st.f[v, ms.BASIS_EMA] = st.f[v, ms.BASIS_EMA] * keep + (1.0 - keep) * basis
    left_h = (st.n[v, ms.NEXT_FUNDING] - st.now[0]) / 3.6e12
    a = index * (1.0 + st.f[v, ms.FUNDING] * left_h / st.par[v, ms.FUND_H])
    b = index * math.exp(st.f[v, ms.BASIS_EMA])
    c = st.f[v, ms.LAST]
    st.f[v, ms.MARK] = max(min(a, b), min(max(a, b), c))


@kernel
def funding(st: State, v: int, seconds: float) -> None:
    """Premium, the running estimate, and the payment when its hour has come."""
    hours = st.par[v, ms.FUND_H]
    keep = math.exp(-seconds / (hours * 1_800.0))
    premium = st.f[v, ms.MID] / math.exp(st.base[ms.F]) - 1.0
    st.f[v, ms.PREMIUM] = st.f[v, ms.PREMIUM] * keep + (1.0 - keep) * premium
    p = st.f[v, ms.PREMIUM]
    eight = p + min(max(0.0001 - p, -0.0005), 0.0005)
    st.f[v, ms.FUNDING] = min(max(eight, -0.003), 0.003) * hours / 8.0
    st.n[v, ms.IS_SETTLED] = 0
    if st.now[0] + int(seconds * 1e9) < st.n[v, ms.NEXT_FUNDING]:
        return
    rate = st.f[v, ms.FUNDING]
    for i in range(st.pi.shape[1]):
        lots = st.pi[v, i, ms.LOTS]
        if lots == 0:
            continue
        paid = st.pi[v, i, ms.SIGN] * lots * st.par[v, ms.LOT] * st.f[v, ms.MARK] * rate
        st.pf[v, i, ms.MARGIN] = max(st.pf[v, i, ms.MARGIN] - paid, 1e-6)
        refresh(st, v, i)
    st.f[v, ms.SETTLED] = rate
    st.n[v, ms.IS_SETTLED] = 1
    st.n[v, ms.NEXT_FUNDING] += int(hours * 3.6e12)


@kernel
def work_off(st: State, v: int, seconds: float, is_fine: bool) -> None:
    """The fund trades what it took over into the book within seconds."""
    held = st.n[v, ms.FUND]
    if held == 0:
        return
    sign = -1 if held > 0 else 1
    lots = max(1, int(abs(held) * (1.0 - math.exp(-seconds / 8.0))))
    filled, average = trade(st, v, sign, min(lots, abs(held)), 0.0, 1, 1, is_fine)
    st.n[v, ms.FUND] += sign * filled
    st.f[v, ms.FUND_USD] -= sign * filled * st.par[v, ms.LOT] * average


@kernel
def step_venue(st: State, v: int, seconds: float, is_fine: bool) -> None:
    """Everything that happens on one venue in one step."""
    row = st.now[1]
    st.tape[v, row, :] = 0.0
    st.tape[v, row, ms.X_LOW] = np.inf
    st.n[v, ms.ORDERS] = 0
    f = st.f
    skew = 0.0025 * math.tanh(-st.n[v, ms.MM] / (0.25 * st.par[v, ms.OI_TARGET]))
    target = st.par[v, ms.BASIS0] + skew
    f[v, ms.BASIS] += (target - f[v, ms.BASIS]) * seconds / 3_600.0 + 0.00015 * math.sqrt(
        2.0 * seconds / 3_600.0
    ) * normal(st.rng)
    pull = 1.0 - math.exp(-seconds / QUOTE_TAU_S)
    f[v, ms.M] += (st.base[ms.F] + f[v, ms.BASIS] - f[v, ms.M]) * pull
    if is_fine:
        press_walls(st, v)
        whales(st, v, seconds)
        requote(st, v, 1.0 - math.exp(-seconds / 1.5))
    else:
        f[v, ms.C] *= math.exp(-seconds / REFILL_TAU_S)
        f[v, ms.MID] = middle(st, v, False)
    ordinary_volume(st, v, seconds, is_fine)
    work_intents(st, v, is_fine)
    openings(st, v, seconds, is_fine)
    rotate(st, v, seconds, is_fine)
    work_off(st, v, seconds, is_fine)
    f[v, ms.MID] = middle(st, v, is_fine)
    set_mark(st, v, seconds)
    sweep(st, v, is_fine)
    f[v, ms.MID] = middle(st, v, is_fine)
    funding(st, v, seconds)
    record(st, v, seconds)


@kernel
def record(st: State, v: int, seconds: float) -> None:
    """Finish the tape row; learn the pace of closing, which openings replace."""
    x = st.tape[v, st.now[1]]
    f = st.f
    if x[ms.X_LOTS] == 0.0:
        x[ms.X_HIGH] = f[v, ms.LAST]
        x[ms.X_LOW] = f[v, ms.LAST]
    x[ms.X_LAST] = f[v, ms.LAST]
    x[ms.X_MARK] = f[v, ms.MARK]
    x[ms.X_INDEX] = math.exp(st.base[ms.F])
    x[ms.X_OI] = open_interest(st, v)
    x[ms.X_FUNDING] = f[v, ms.SETTLED] if st.n[v, ms.IS_SETTLED] == 1 else np.nan
    closed = x[ms.X_CLOSE_L] + x[ms.X_CLOSE_S] + x[ms.X_FORCED_L] + x[ms.X_FORCED_S]
    keep = math.exp(-seconds / 600.0)
    f[v, ms.CLOSE_RATE] = f[v, ms.CLOSE_RATE] * keep + (1.0 - keep) * closed / seconds


@kernel
def run(st: State, steps: int, step_ns: int, is_fine: bool, common_seed: int) -> int:
    """Run up to `steps` steps; stops early when a report buffer could overflow. Steps done."""
    venues = st.par.shape[0]
    seconds = step_ns * 1e-9
    done = 0
    for s in range(min(steps, st.tape.shape[1])):
        is_full = False
        for v in range(venues):
            is_full |= st.n[v, ms.PRINTS] > ms.PRINT_ROWS - 256
            is_full |= is_fine and st.n[v, ms.TRADES] > ms.TRADE_ROWS // 2
            is_full |= is_fine and st.n[v, ms.EVENTS] > ms.EVENT_ROWS // 2
        if is_full and s > 0:
            break
        st.now[1] = s
        step_index(st, seconds, common_seed)
        for v in range(venues):
            step_venue(st, v, seconds, is_fine)
        settle_index(st, seconds)
        st.now[0] += step_ns
        done += 1
    if is_fine:
        for v in range(venues):
            collect_changes(st, v)
    return done
