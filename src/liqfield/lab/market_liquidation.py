"""Forced exits as kernels: what each venue does when the mark reaches a trigger.

STYLE: 0 Binance (one order down to the bankruptcy price, rest taken over), 1 Bybit (tier ladder,
then takeover), 2 OKX (two tiers down with a pause, then takeover), 3 Hyperliquid (20 % first when
large, pause, then all; backstop when deep under). An empty fund means auto-deleveraging.
"""

from __future__ import annotations

from liqfield.lab import market_state as ms
from liqfield.lab.market_positions import refresh, tier_index, uniform, whole
from liqfield.lab.market_trade import close_fill, trade, write_trade
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import inner_kernel, kernel

LIQUIDATION, ADL, INSURANCE = 1, 2, 3  # trade kinds, as in market_types
CLEARANCE = 0.004  # of the notional, at most what is left of the margin


@inner_kernel
def write_print(
    xf: FloatArray,
    xi: IntArray,
    i: int,
    lots: int,
    fill: float,
    bankrupt: float,
    trigger: float,
    take: int,
) -> None:
    """One liquidation as the venue knows it; censoring comes later."""
    row = xi[ms.PRINTS]
    if row >= ms.PRINT_ROWS:
        return
    if xi[ms.STEP_NS] > 1_000_000_000:  # a coarse step stands for many moments
        xi[ms.P_NS + row] = xi[ms.NOW] + int(uniform(xi) * xi[ms.STEP_NS])
    else:
        xi[ms.P_NS + row] = xi[ms.NOW] + min(xi[ms.ORDERS] * 1_300_000, 98_000_000)
    xi[ms.P_SIDE + row] = 0 if xi[ms.SIGN + i] > 0 else 1
    xi[ms.P_LOTS + row] = lots
    xi[ms.P_TAKEOVER + row] = take
    xf[ms.P_FILL + row] = fill
    xf[ms.P_BANKRUPT + row] = bankrupt
    xf[ms.P_TRIGGER + row] = trigger
    xf[ms.P_MARK + row] = xf[ms.MARK]
    xi[ms.PRINTS] = row + 1


@kernel
def fund_equity(xf: FloatArray, xi: IntArray) -> float:
    """USD: cash plus what the fund's own position is worth at mark."""
    return float(xf[ms.FUND_USD] + xi[ms.FUND] * xf[ms.LOT] * xf[ms.MARK])


@inner_kernel
def deleverage(
    xf: FloatArray, xi: IntArray, sign: int, lots: int, price: float, is_fine: bool
) -> int:
    """Close winners of the other side at a price, best profit x leverage first; lots closed."""
    mark, left = xf[ms.MARK], lots
    for _ in range(40):
        best, best_rank = -1, 0.0
        for j in range(xi[ms.SLOT_COUNT]):
            if xi[ms.LOTS + j] == 0 or xi[ms.SIGN + j] == sign:
                continue
            profit = -sign * (mark / xf[ms.ENTRY + j] - 1.0)
            rank = profit * xf[ms.LEVERAGE + j]
            if rank > best_rank:
                best, best_rank = j, rank
        if best < 0 or left == 0:
            break
        n = min(left, xi[ms.LOTS + best])
        close_fill(xf, xi, best, n, price, whole(0))
        if is_fine:
            tick = round(price / xf[ms.TICK])
            write_trade(xi, xi[ms.NOW], tick, n, -sign, whole(ADL), whole(1), whole(1))
        left -= n
    return lots - left


@inner_kernel
def take_over(
    xf: FloatArray, xi: IntArray, i: int, lots: int, bankrupt: float, is_fine: bool
) -> None:
    """The fund takes a position at its bankruptcy price; with an empty fund, winners must."""
    sign = xi[ms.SIGN + i]
    done = 0
    if fund_equity(xf, xi) <= 0.0:
        done = deleverage(xf, xi, sign, lots, bankrupt, is_fine)
    rest = lots - done
    xi[ms.FUND] += sign * rest
    xf[ms.FUND_USD] -= sign * rest * xf[ms.LOT] * bankrupt
    if is_fine and rest > 0:
        tick = max(1, round(bankrupt / xf[ms.TICK]))
        write_trade(xi, xi[ms.NOW], tick, rest, -sign, whole(INSURANCE), whole(1), whole(0))
    close_fill(xf, xi, i, lots, bankrupt, whole(1))


@inner_kernel
def portion(xf: FloatArray, xi: IntArray, i: int) -> tuple[int, int]:
    """How many lots the venue closes now, and the pause after it in seconds (0 = final leg)."""
    lots = xi[ms.LOTS + i]
    mark, lot = xf[ms.MARK], xf[ms.LOT]
    style = int(xf[ms.STYLE])
    quantity = lots * lot
    k = tier_index(xf, xi, quantity * mark, quantity)
    if style == 1 and k > 0:
        keep = xf[ms.TIER_FLOOR + k] * 0.995 / mark / lot
        return max(1, lots - int(keep)), 1
    if style == 2 and k >= 2:
        keep = xf[ms.TIER_CAP + k - 2] * 0.995 / lot
        return max(1, lots - int(keep)), 60
    is_staged = (xi[ms.FLAGS + i] & ms.STAGED) != 0
    if style == 3 and quantity * mark > 100_000.0 and not is_staged:
        return max(1, lots // 5), 30
    return lots, 0


@inner_kernel
def liquidate(xf: FloatArray, xi: IntArray, i: int, is_fine: bool) -> None:
    """The mark has reached the liquidation price of position i."""
    sign = xi[ms.SIGN + i]
    lots = xi[ms.LOTS + i]
    mark, lot = xf[ms.MARK], xf[ms.LOT]
    style = int(xf[ms.STYLE])
    trigger = xf[ms.LP + i]
    margin = xf[ms.MARGIN + i]
    bankrupt = max(xf[ms.ENTRY + i] - sign * margin / (lots * lot), xf[ms.TICK])
    n, pause = portion(xf, xi, i)
    equity = margin + sign * lots * lot * (mark - xf[ms.ENTRY + i])
    quantity = lots * lot
    k = tier_index(xf, xi, quantity * mark, quantity)
    maintenance = quantity * mark * xf[ms.TIER_RATE + k] - xf[ms.TIER_CUT + k]
    is_backstop = style == 3 and equity < maintenance * 2.0 / 3.0
    if equity <= 0.0 or is_backstop or (pause == 0 and (style == 1 or style == 2)):
        write_print(xf, xi, i, lots, 0.0, bankrupt, trigger, whole(1))
        take_over(xf, xi, i, lots, bankrupt, is_fine)
        return
    filled, average = trade(xf, xi, -sign, n, bankrupt, whole(LIQUIDATION), whole(1), is_fine)
    write_print(xf, xi, i, n, average, bankrupt, trigger, whole(0))
    if filled > 0:
        fee = min(CLEARANCE * average, max(sign * (average - bankrupt), 0.0)) * filled * lot
        xf[ms.FUND_USD] += fee
        close_fill(xf, xi, i, filled, average, whole(1))
    if xi[ms.LOTS + i] == 0:
        return
    xi[ms.FLAGS + i] |= ms.STAGED
    if pause == 0 or filled == 0 or xf[ms.MARGIN + i] <= 0.0:
        rest = xi[ms.LOTS + i]
        if pause > 0:
            write_print(xf, xi, i, rest, 0.0, bankrupt, trigger, whole(1))
        take_over(xf, xi, i, rest, bankrupt, is_fine)
        return
    xi[ms.HOLD + i] = xi[ms.NOW] + pause * 1_000_000_000


@inner_kernel
def fire(xf: FloatArray, xi: IntArray, i: int, is_fine: bool) -> None:
    """The mark crossed the nearest trigger of a position: liquidation, stop or top-up."""
    sign, mark = xi[ms.SIGN + i], xf[ms.MARK]
    if sign * (mark - xf[ms.LP + i]) <= 0.0:
        if xi[ms.HOLD + i] <= xi[ms.NOW]:
            liquidate(xf, xi, i, is_fine)
        return
    stop = xf[ms.STOP + i]
    if stop > 0.0 and sign * (mark - stop) <= 0.0:
        most = max(1, int(0.5 * xf[ms.D10]))
        lots = min(xi[ms.LOTS + i], most)
        filled, average = trade(xf, xi, -sign, lots, 0.0, whole(0), whole(1), is_fine)
        if filled > 0:
            close_fill(xf, xi, i, filled, average, whole(0))
        return
    entry, leverage = xf[ms.ENTRY + i], xf[ms.LEVERAGE + i]
    xf[ms.MARGIN + i] += 0.5 * entry * xi[ms.LOTS + i] * xf[ms.LOT] / leverage
    xi[ms.FLAGS + i] &= ~ms.TOPPER
    refresh(xf, xi, i)


@inner_kernel
def sweep(xf: FloatArray, xi: IntArray, is_fine: bool) -> None:
    """Fire every trigger at or beyond the mark, at most 60 a step and side (engines queue too)."""
    mark = xf[ms.MARK]
    slots = xi[ms.SLOT_COUNT]
    if mark <= xf[ms.MAX_LONG]:
        count = 0
        for i in range(slots):
            if xf[ms.TRIG_LONG + i] >= mark and count < 60:
                fire(xf, xi, i, is_fine)
                count += 1
        xf[ms.MAX_LONG] = xf[ms.TRIG_LONG : ms.TRIG_LONG + slots].max()
    if mark >= xf[ms.MIN_SHORT]:
        count = 0
        for i in range(slots):
            if xf[ms.TRIG_SHORT + i] <= mark and count < 60:
                fire(xf, xi, i, is_fine)
                count += 1
        xf[ms.MIN_SHORT] = xf[ms.TRIG_SHORT : ms.TRIG_SHORT + slots].min()
