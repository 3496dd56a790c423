"""Positions as kernels: chance, the leverage law, margin algebra, opening, adding, reducing.

The liquidation price is the exact tier fixed point of `model.margin` (its twin in the tests).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from liqfield.lab.market_state import (
    ACCOUNT,
    BY_QUANTITY,
    CROSS,
    ENTRY,
    FEE,
    FLAGS,
    FREE,
    HOLD,
    HOLD_S,
    LEVERAGE,
    LOST_SLOTS,
    LOT,
    LOTS,
    LP,
    MARGIN,
    MARK,
    MAX_LONG,
    MEAN_LOTS,
    MIN_SHORT,
    MM,
    N_TARGET,
    NEXT_ACCOUNT,
    OI_TARGET,
    OPENED,
    PLACE,
    SETTING,
    SIGMA,
    SIGN,
    SIZE_SD,
    STOP,
    STOP_PLACE,
    STOP_SHARE,
    SUM_LONG,
    SUM_SHORT,
    TICK,
    TIERS,
    TOP_UP,
    TOPPER,
    WAIT,
    F,
    State,
)
from liqfield.model.events import FloatArray
from liqfield.model.jit import kernel


@kernel
def uniform(rng: npt.NDArray[np.uint64]) -> float:
    """One number in (0, 1): splitmix64, so that the stream is ours on every platform."""
    rng[0] += np.uint64(0x9E3779B97F4A7C15)
    z = rng[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (float(z >> np.uint64(11)) + 0.5) * (1.0 / 9007199254740992.0)


@kernel
def normal(rng: npt.NDArray[np.uint64]) -> float:
    """Standard normal by Box and Muller (the second half is thrown away: no hidden state)."""
    return math.sqrt(-2.0 * math.log(uniform(rng))) * math.cos(6.283185307179586 * uniform(rng))


@kernel
def poisson(rng: npt.NDArray[np.uint64], mean: float) -> int:
    """Poisson count; normal approximation above 30."""
    if mean <= 0.0:
        return 0
    if mean > 30.0:
        return max(0, round(mean + math.sqrt(mean) * normal(rng)))
    limit, product, count = math.exp(-mean), uniform(rng), 0
    while product > limit:
        product *= uniform(rng)
        count += 1
    return count


@kernel
def draw_core(rng: npt.NDArray[np.uint64], law: FloatArray) -> float:
    """Effective leverage of the cross part: law = (family, median, spread, isolated share)."""
    family, median, spread = law[0], law[1], law[2]
    if family == 1.0:  # gamma: shape `spread` < 8 by sums of exponentials on whole shapes
        total, shape = 0.0, max(1, round(spread))
        for _ in range(shape):
            total -= math.log(uniform(rng))
        return float(median * total / (shape - 0.32))
    if family == 2.0:  # Pareto with tail index `spread`
        return float(median * (2.0 * uniform(rng)) ** (-1.0 / spread))
    if family == 3.0:  # two crowds, the second `spread` times as levered
        centre = median if uniform(rng) < 0.6 else median * spread
        return float(centre * math.exp(0.35 * normal(rng)))
    if family == 4.0:  # people take round numbers, also on cross
        pick = uniform(rng)
        atom = 1.0
        if pick > 0.9:
            atom = 10.0
        elif pick > 0.65:
            atom = 5.0
        elif pick > 0.4:
            atom = 3.0
        elif pick > 0.15:
            atom = 2.0
        return float(median / 3.0 * atom * (1.0 - 0.1 * uniform(rng)))
    return float(median * math.exp(spread * normal(rng)))


@kernel
def tier_index(st: State, v: int, value: float, quantity: float) -> int:
    """Index of the tier that holds a value in USD (or quantity, where tiers count quantity)."""
    measure = quantity if st.par[v, BY_QUANTITY] > 0.0 else value
    last = int(st.par[v, TIERS]) - 1
    for k in range(last):
        if measure < st.tiers[v, k, 1]:
            return k
    return last


@kernel
def solve_liquidation(
    st: State, v: int, sign: int, entry: float, quantity: float, margin: float
) -> float:
    """USD price where equity meets maintenance; 0.0 = none. Linear contracts, base coins."""
    fee = st.par[v, FEE]
    last = int(st.par[v, TIERS]) - 1
    if st.par[v, BY_QUANTITY] > 0.0:
        k = tier_index(st, v, 0.0, quantity)
        rate = st.tiers[v, k, 3] + fee
        price = (margin - sign * quantity * entry) / (quantity * (rate - sign))
        return float(max(price, 0.0))
    best, best_miss = 0.0, np.inf
    for k in range(last + 1):
        rate = st.tiers[v, k, 3] + fee
        price = (margin + st.tiers[v, k, 4] - sign * quantity * entry) / (quantity * (rate - sign))
        if price <= 0.0:
            continue
        value = quantity * price
        over = 0.0 if k == last else value - st.tiers[v, k, 1]
        miss = max(st.tiers[v, k, 0] - value, over, 0.0) / max(value, 1e-12)
        if miss < best_miss:
            best, best_miss = price, miss
    return best if best_miss <= 1e-9 else 0.0


@kernel
def refresh(st: State, v: int, i: int) -> None:
    """Recompute liquidation price, stop and the nearest trigger of a position."""
    if st.pi[v, i, LOTS] == 0:
        st.trig_long[v, i] = -np.inf
        st.trig_short[v, i] = np.inf
        return
    sign = st.pi[v, i, SIGN]
    entry = st.pf[v, i, ENTRY]
    quantity = st.pi[v, i, LOTS] * st.par[v, LOT]
    lp = solve_liquidation(st, v, sign, entry, quantity, st.pf[v, i, MARGIN])
    st.pf[v, i, LP] = lp
    has_lp = lp > 0.0
    place = st.pf[v, i, PLACE]
    st.pf[v, i, STOP] = entry + (lp - entry) * place if place > 0.0 and has_lp else 0.0
    top_up = entry + (lp - entry) * 0.85
    trigger = lp
    is_topper = (st.pi[v, i, FLAGS] & TOPPER) != 0 and has_lp
    if sign > 0:
        trigger = max(trigger, st.pf[v, i, STOP])
        if is_topper:
            trigger = max(trigger, top_up)
        st.trig_long[v, i] = trigger if has_lp else -np.inf
        st.f[v, MAX_LONG] = max(st.f[v, MAX_LONG], st.trig_long[v, i])
    else:
        if st.pf[v, i, STOP] > 0.0:
            trigger = min(trigger, st.pf[v, i, STOP])
        if is_topper:
            trigger = min(trigger, top_up)
        st.trig_short[v, i] = trigger if has_lp else np.inf
        st.f[v, MIN_SHORT] = min(st.f[v, MIN_SHORT], st.trig_short[v, i])


@kernel
def draw_intent(st: State, v: int, is_maker: bool) -> tuple[int, int, float, float]:
    """A fresh trader: (lots, flags, effective leverage, leverage setting)."""
    row = 1 if is_maker else 0
    law = st.law[row]
    flags = 0
    if uniform(st.rng) < law[3]:
        pick, k = uniform(st.rng), 0
        while k < 15 and st.menu[row, 1, k] < pick:
            k += 1
        setting = st.menu[row, 0, k]
        leverage = setting * (1.0 - 0.2 * uniform(st.rng) ** 3)
    else:
        flags = CROSS
        leverage = draw_core(st.rng, law)
        setting = 0.0
    sd = st.par[v, SIZE_SD]
    # Margin, not notional, is what people have: high leverage goes with somewhat smaller size.
    scale = math.exp(sd * normal(st.rng) - 0.5 * sd * sd) * (3.0 / max(leverage, 0.5)) ** 0.35
    mean = st.par[v, OI_TARGET] / st.par[v, N_TARGET]
    lots = max(1, int(mean * min(scale, 80.0)))
    quantity = lots * st.par[v, LOT]
    k = tier_index(st, v, quantity * st.f[v, MARK], quantity)
    most = min(st.tiers[v, k, 2], 0.7 / (st.tiers[v, k, 3] + st.par[v, FEE]))
    leverage = min(max(leverage, 0.15), most)
    if flags == CROSS:
        setting = max(min(st.tiers[v, 0, 2], 20.0), leverage)
    if uniform(st.rng) < st.par[v, TOP_UP]:
        flags |= TOPPER
    return lots, flags, leverage, max(setting, leverage)


@kernel
def create(
    st: State, v: int, sign: int, flags: int, leverage: float, setting: float, now: int
) -> int:
    """An empty position in a fresh slot; -1 when all slots are taken."""
    if st.n[v, FREE] == 0:
        st.n[v, LOST_SLOTS] += 1
        return -1
    st.n[v, FREE] -= 1
    i = st.free[v, st.n[v, FREE]]
    st.pi[v, i, ACCOUNT] = st.n[v, NEXT_ACCOUNT]
    st.n[v, NEXT_ACCOUNT] += 1
    st.pi[v, i, SIGN] = sign
    st.pi[v, i, LOTS] = 0
    st.pi[v, i, FLAGS] = flags
    st.pi[v, i, OPENED] = now
    st.pi[v, i, HOLD] = 0
    st.pi[v, i, WAIT] = 0
    st.pf[v, i, ENTRY] = 0.0
    st.pf[v, i, MARGIN] = 0.0
    st.pf[v, i, LEVERAGE] = leverage
    st.pf[v, i, SETTING] = setting
    st.pf[v, i, PLACE] = 0.0
    if uniform(st.rng) < st.par[v, STOP_SHARE]:
        place = st.par[v, STOP_PLACE] + 0.12 * normal(st.rng)
        st.pf[v, i, PLACE] = min(max(place, 0.1), 0.97)
    return int(i)


@kernel
def add(st: State, v: int, i: int, lots: int, price: float) -> None:
    """Add to a position at a price; margin follows its leverage."""
    before = st.pi[v, i, LOTS]
    total = before + lots
    st.pf[v, i, ENTRY] = (st.pf[v, i, ENTRY] * before + price * lots) / total
    st.pf[v, i, MARGIN] += price * lots * st.par[v, LOT] / st.pf[v, i, LEVERAGE]
    st.pi[v, i, LOTS] = total
    if st.pi[v, i, SIGN] > 0:
        st.n[v, SUM_LONG] += lots
    else:
        st.n[v, SUM_SHORT] += lots
    refresh(st, v, i)


@kernel
def reduce(st: State, v: int, i: int, lots: int, price: float, is_forced: bool) -> None:
    """Take lots off; a forced reduction realises its loss from the margin, a free one does not."""
    before = st.pi[v, i, LOTS]
    sign = st.pi[v, i, SIGN]
    if is_forced:
        st.pf[v, i, MARGIN] += sign * lots * st.par[v, LOT] * (price - st.pf[v, i, ENTRY])
    else:
        st.pf[v, i, MARGIN] *= (before - lots) / before
    st.pi[v, i, LOTS] = before - lots
    if sign > 0:
        st.n[v, SUM_LONG] -= lots
    else:
        st.n[v, SUM_SHORT] -= lots
    if before == lots:
        st.pi[v, i, ACCOUNT] = 0
        st.free[v, st.n[v, FREE]] = i
        st.n[v, FREE] += 1
    refresh(st, v, i)


@kernel
def seed_positions(st: State, v: int) -> None:
    """Fill a venue with positions opened at past prices; the market maker holds the difference."""
    price = math.exp(st.base[F])
    st.f[v, MARK] = price
    target = int(st.par[v, OI_TARGET])
    for side in range(2):
        sign = 1 - 2 * side
        total, tries = 0, 0
        while total < target and st.n[v, FREE] > 0 and tries < 100_000:
            tries += 1
            lots, flags, leverage, setting = draw_intent(st, v, uniform(st.rng) < 0.5)
            lots = min(lots, target - total)
            age_s = -math.log(uniform(st.rng)) * st.par[v, HOLD_S] * 3.0 / (3.0 + leverage)
            entry = price * math.exp(st.base[SIGMA] * math.sqrt(age_s / 86400.0) * normal(st.rng))
            i = create(st, v, sign, flags, leverage, setting, st.now[0] - int(age_s * 1e9))
            add(st, v, i, lots, max(st.par[v, TICK], entry))
            distance = sign * (price - (st.trig_long[v, i] if sign > 0 else st.trig_short[v, i]))
            if distance < 0.003 * price:
                reduce(st, v, i, lots, price, False)
                continue
            total += lots
    st.n[v, MM] = st.n[v, SUM_SHORT] - st.n[v, SUM_LONG]
    st.f[v, MEAN_LOTS] = st.par[v, OI_TARGET] / st.par[v, N_TARGET]
