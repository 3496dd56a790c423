"""Positions as kernels: chance, the leverage law, margin algebra, opening, adding, reducing.

The liquidation price is the exact tier fixed point of `model.margin` (its twin in the tests).
"""

from __future__ import annotations

import math

import numpy as np

from liqfield.lab import market_state as ms
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import inner_kernel, kernel


@inner_kernel
def uniform(xi: IntArray) -> float:
    """One number in (0, 1): splitmix64, so that the stream is ours on every platform."""
    z = np.uint64(xi[ms.RNG]) + np.uint64(0x9E3779B97F4A7C15)
    xi[ms.RNG] = np.int64(z)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (float(z >> np.uint64(11)) + 0.5) * (1.0 / 9007199254740992.0)


@inner_kernel
def whole(number: int) -> int:
    """The number as a plain integer: a literal argument would compile its own copy of a callee."""
    return np.int64(number)  # type: ignore[return-value]


@inner_kernel
def normal(xi: IntArray) -> float:
    """Standard normal by Box and Muller (the second half is thrown away: no hidden state)."""
    return math.sqrt(-2.0 * math.log(uniform(xi))) * math.cos(6.283185307179586 * uniform(xi))


@inner_kernel
def poisson(xi: IntArray, mean: float) -> int:
    """Poisson count; normal approximation above 30."""
    if mean <= 0.0:
        return 0
    if mean > 30.0:
        return max(0, round(mean + math.sqrt(mean) * normal(xi)))
    limit, product, count = math.exp(-mean), uniform(xi), 0
    while product > limit:
        product *= uniform(xi)
        count += 1
    return count


@inner_kernel
def draw_core(xf: FloatArray, xi: IntArray, law: int) -> float:
    """Effective leverage of the cross part; law: where (family, median, spread) stand."""
    family, median, spread = xf[law], xf[law + 1], xf[law + 2]
    if family == 1.0:  # gamma: shape `spread` < 8 by sums of exponentials on whole shapes
        total, shape = 0.0, max(1, round(spread))
        for _ in range(shape):
            total -= math.log(uniform(xi))
        return float(median * total / (shape - 0.32))
    if family == 2.0:  # Pareto with tail index `spread`
        return float(median * (2.0 * uniform(xi)) ** (-1.0 / spread))
    if family == 3.0:  # two crowds, the second `spread` times as levered
        centre = median if uniform(xi) < 0.6 else median * spread
        return float(centre * math.exp(0.35 * normal(xi)))
    if family == 4.0:  # people take round numbers, also on cross
        pick = uniform(xi)
        atom = 1.0
        if pick > 0.9:
            atom = 10.0
        elif pick > 0.65:
            atom = 5.0
        elif pick > 0.4:
            atom = 3.0
        elif pick > 0.15:
            atom = 2.0
        return float(median / 3.0 * atom * (1.0 - 0.1 * uniform(xi)))
    return float(median * math.exp(spread * normal(xi)))


@inner_kernel
def tier_index(xf: FloatArray, xi: IntArray, value: float, quantity: float) -> int:
    """Index of the tier that holds a value in USD (or quantity, where tiers count quantity)."""
    measure = quantity if xf[ms.BY_QUANTITY] > 0.0 else value
    last = int(xi[ms.TIER_COUNT]) - 1
    for k in range(last):
        if measure < xf[ms.TIER_CAP + k]:
            return k
    return last


@kernel
def solve_liquidation(
    xf: FloatArray, xi: IntArray, sign: int, entry: float, quantity: float, margin: float
) -> float:
    """USD price where equity meets maintenance; 0.0 = none. Linear contracts, base coins."""
    fee = xf[ms.FEE]
    last = int(xi[ms.TIER_COUNT]) - 1
    if xf[ms.BY_QUANTITY] > 0.0:
        k = tier_index(xf, xi, 0.0, quantity)
        rate = xf[ms.TIER_RATE + k] + fee
        price = (margin - sign * quantity * entry) / (quantity * (rate - sign))
        return float(max(price, 0.0))
    best, best_miss = 0.0, np.inf
    for k in range(last + 1):
        rate = xf[ms.TIER_RATE + k] + fee
        price = (margin + xf[ms.TIER_CUT + k] - sign * quantity * entry) / (
            quantity * (rate - sign)
        )
        if price <= 0.0:
            continue
        value = quantity * price
        over = 0.0 if k == last else value - xf[ms.TIER_CAP + k]
        miss = max(xf[ms.TIER_FLOOR + k] - value, over, 0.0) / max(value, 1e-12)
        if miss == 0.0:
            return float(price)
        if miss < best_miss:
            best, best_miss = price, miss
    return best if best_miss <= 1e-9 else 0.0


@inner_kernel
def refresh(xf: FloatArray, xi: IntArray, i: int) -> None:
    """Recompute liquidation price, stop and the nearest trigger of a position."""
    if xi[ms.LOTS + i] == 0:
        xf[ms.TRIG_LONG + i] = -np.inf
        xf[ms.TRIG_SHORT + i] = np.inf
        return
    sign = xi[ms.SIGN + i]
    entry = xf[ms.ENTRY + i]
    quantity = xi[ms.LOTS + i] * xf[ms.LOT]
    lp = solve_liquidation(xf, xi, sign, entry, quantity, xf[ms.MARGIN + i])
    xf[ms.LP + i] = lp
    has_lp = lp > 0.0
    place = xf[ms.PLACE + i]
    xf[ms.STOP + i] = entry + (lp - entry) * place if place > 0.0 and has_lp else 0.0
    top_up = entry + (lp - entry) * 0.85
    trigger = lp
    is_topper = (xi[ms.FLAGS + i] & ms.TOPPER) != 0 and has_lp
    if sign > 0:
        trigger = max(trigger, xf[ms.STOP + i])
        if is_topper:
            trigger = max(trigger, top_up)
        xf[ms.TRIG_LONG + i] = trigger if has_lp else -np.inf
        xf[ms.MAX_LONG] = max(xf[ms.MAX_LONG], xf[ms.TRIG_LONG + i])
    else:
        if xf[ms.STOP + i] > 0.0:
            trigger = min(trigger, xf[ms.STOP + i])
        if is_topper:
            trigger = min(trigger, top_up)
        xf[ms.TRIG_SHORT + i] = trigger if has_lp else np.inf
        xf[ms.MIN_SHORT] = min(xf[ms.MIN_SHORT], xf[ms.TRIG_SHORT + i])


@inner_kernel
def draw_intent(xf: FloatArray, xi: IntArray, is_maker: bool) -> tuple[int, int, float, float]:
    """A fresh trader: (lots, flags, effective leverage, leverage setting)."""
    row = 1 if is_maker else 0
    law = ms.LAW + 4 * row
    flags = 0
    if uniform(xi) < xf[law + 3]:
        pick, k = uniform(xi), 0
        while k < ms.ATOMS - 1 and xf[ms.MENU_SUM + row * ms.ATOMS + k] < pick:
            k += 1
        setting = xf[ms.MENU_ATOM + row * ms.ATOMS + k]
        leverage = setting * (1.0 - 0.2 * uniform(xi) ** 3)
    else:
        flags = ms.CROSS
        leverage = draw_core(xf, xi, law)
        setting = 0.0
    sd = xf[ms.SIZE_SD]
    # Margin, not notional, is what people have: high leverage goes with somewhat smaller size.
    scale = math.exp(sd * normal(xi) - 0.5 * sd * sd) * (3.0 / max(leverage, 0.5)) ** 0.35
    mean = xf[ms.OI_TARGET] / xf[ms.N_TARGET]
    lots = max(1, int(mean * min(scale, 80.0)))
    quantity = lots * xf[ms.LOT]
    k = tier_index(xf, xi, quantity * xf[ms.MARK], quantity)
    most = min(xf[ms.TIER_LEVERAGE + k], 0.7 / (xf[ms.TIER_RATE + k] + xf[ms.FEE]))
    leverage = min(max(leverage, 0.15), most)
    if flags == ms.CROSS:
        setting = max(min(xf[ms.TIER_LEVERAGE + 0], 20.0), leverage)
    if uniform(xi) < xf[ms.TOP_UP]:
        flags |= ms.TOPPER
    return lots, flags, leverage, max(setting, leverage)


@inner_kernel
def create(
    xf: FloatArray, xi: IntArray, sign: int, flags: int, leverage: float, setting: float, now: int
) -> int:
    """An empty position in a fresh slot; -1 when all slots are taken."""
    if xi[ms.FREE] == 0:
        xi[ms.LOST_SLOTS] += 1
        return -1
    xi[ms.FREE] -= 1
    i = xi[ms.FREE_LIST + xi[ms.FREE]]
    xi[ms.ACCOUNT + i] = xi[ms.NEXT_ACCOUNT]
    xi[ms.NEXT_ACCOUNT] += 1
    xi[ms.SIGN + i] = sign
    xi[ms.LOTS + i] = 0
    xi[ms.FLAGS + i] = flags
    xi[ms.OPENED + i] = now
    xi[ms.HOLD + i] = 0
    xi[ms.WAIT + i] = 0
    xf[ms.ENTRY + i] = 0.0
    xf[ms.MARGIN + i] = 0.0
    xf[ms.LEVERAGE + i] = leverage
    xf[ms.SETTING + i] = setting
    xf[ms.PLACE + i] = 0.0
    if uniform(xi) < xf[ms.STOP_SHARE]:
        place = xf[ms.STOP_PLACE] + 0.12 * normal(xi)
        xf[ms.PLACE + i] = min(max(place, 0.1), 0.97)
    return int(i)


@inner_kernel
def add(xf: FloatArray, xi: IntArray, i: int, lots: int, price: float) -> None:
    """Add to a position at a price; margin follows its leverage."""
    before = xi[ms.LOTS + i]
    total = before + lots
    xf[ms.ENTRY + i] = (xf[ms.ENTRY + i] * before + price * lots) / total
    xf[ms.MARGIN + i] += price * lots * xf[ms.LOT] / xf[ms.LEVERAGE + i]
    xi[ms.LOTS + i] = total
    if xi[ms.SIGN + i] > 0:
        xi[ms.SUM_LONG] += lots
    else:
        xi[ms.SUM_SHORT] += lots
    refresh(xf, xi, i)


@inner_kernel
def reduce(xf: FloatArray, xi: IntArray, i: int, lots: int, price: float, forced: int) -> None:
    """Take lots off; a forced reduction realises its loss from the margin, a free one does not."""
    before = xi[ms.LOTS + i]
    sign = xi[ms.SIGN + i]
    if forced == 1:
        xf[ms.MARGIN + i] += sign * lots * xf[ms.LOT] * (price - xf[ms.ENTRY + i])
    else:
        xf[ms.MARGIN + i] *= (before - lots) / before
    xi[ms.LOTS + i] = before - lots
    if sign > 0:
        xi[ms.SUM_LONG] -= lots
    else:
        xi[ms.SUM_SHORT] -= lots
    if before == lots:
        xi[ms.ACCOUNT + i] = 0
        xi[ms.FREE_LIST + xi[ms.FREE]] = i
        xi[ms.FREE] += 1
    refresh(xf, xi, i)


@kernel
def seed_positions(xf: FloatArray, xi: IntArray) -> None:
    """Fill a venue with positions opened at past prices; the market maker holds the difference."""
    price = math.exp(xf[ms.INDEX])
    xf[ms.MARK] = price
    target = int(xf[ms.OI_TARGET])
    for side in range(2):
        sign = 1 - 2 * side
        total, tries = 0, 0
        while total < target and xi[ms.FREE] > 0 and tries < 100_000:
            tries += 1
            lots, flags, leverage, setting = draw_intent(xf, xi, uniform(xi) < 0.5)
            lots = min(lots, target - total)
            age_s = -math.log(uniform(xi)) * xf[ms.HOLD_S] * 3.0 / (3.0 + leverage)
            entry = price * math.exp(xf[ms.SIGMA] * math.sqrt(age_s / 86400.0) * normal(xi))
            i = create(xf, xi, sign, flags, leverage, setting, xi[ms.NOW] - int(age_s * 1e9))
            add(xf, xi, i, lots, max(xf[ms.TICK], entry))
            distance = sign * (
                price - (xf[ms.TRIG_LONG + i] if sign > 0 else xf[ms.TRIG_SHORT + i])
            )
            if distance < 0.003 * price:
                reduce(xf, xi, i, lots, price, whole(0))
                continue
            total += lots
    xi[ms.MM] = xi[ms.SUM_SHORT] - xi[ms.SUM_LONG]
    xf[ms.MEAN_LOTS] = xf[ms.OI_TARGET] / xf[ms.N_TARGET]
