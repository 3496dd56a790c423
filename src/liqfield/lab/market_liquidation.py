"""Forced exits as kernels: what each venue does when the mark reaches a trigger.

STYLE: 0 Binance (one order down to the bankruptcy price, rest taken over), 1 Bybit (tier ladder,
then takeover), 2 OKX (two tiers down with a pause, then takeover), 3 Hyperliquid (20 % first when
large, pause, then all; backstop when deep under). An empty fund means auto-deleveraging.
"""

from __future__ import annotations

from liqfield.lab import market_state as ms
from liqfield.lab.market_positions import refresh, tier_index
from liqfield.lab.market_state import State
from liqfield.lab.market_trade import close_fill, trade, write_trade
from liqfield.model.jit import kernel

LIQUIDATION, ADL, INSURANCE = 1, 2, 3  # trade kinds, as in market_types
CLEARANCE = 0.004  # of the notional, at most what is left of the margin


@kernel
def write_print(
    st: State, v: int, i: int, lots: int, fill: float, bankrupt: float, trigger: float, take: int
) -> None:
    """One liquidation as the venue knows it; censoring comes later."""
    row = st.n[v, ms.PRINTS]
    if row >= ms.PRINT_ROWS:
        return
    st.pr_i[v, row, ms.P_NS] = st.now[0] + min(st.n[v, ms.ORDERS] * 1_300_000, 98_000_000)
    st.pr_i[v, row, ms.P_SIDE] = 0 if st.pi[v, i, ms.SIGN] > 0 else 1
    st.pr_i[v, row, ms.P_LOTS] = lots
    st.pr_i[v, row, ms.P_TAKEOVER] = take
    st.pr_f[v, row, ms.P_FILL] = fill
    st.pr_f[v, row, ms.P_BANKRUPT] = bankrupt
    st.pr_f[v, row, ms.P_TRIGGER] = trigger
    st.pr_f[v, row, ms.P_MARK] = st.f[v, ms.MARK]
    st.n[v, ms.PRINTS] = row + 1


@kernel
def fund_equity(st: State, v: int) -> float:
    """USD: cash plus what the fund's own position is worth at mark."""
    return float(st.f[v, ms.FUND_USD] + st.n[v, ms.FUND] * st.par[v, ms.LOT] * st.f[v, ms.MARK])


@kernel
def deleverage(st: State, v: int, sign: int, lots: int, price: float, is_fine: bool) -> int:
    """Close winners of the other side at a price, best profit x leverage first; lots closed."""
    mark, left = st.f[v, ms.MARK], lots
    for _ in range(40):
        best, best_rank = -1, 0.0
        for j in range(st.pi.shape[1]):
            if st.pi[v, j, ms.LOTS] == 0 or st.pi[v, j, ms.SIGN] == sign:
                continue
            profit = -sign * (mark / st.pf[v, j, ms.ENTRY] - 1.0)
            rank = profit * st.pf[v, j, ms.LEVERAGE]
            if rank > best_rank:
                best, best_rank = j, rank
        if best < 0 or left == 0:
            break
        n = min(left, st.pi[v, best, ms.LOTS])
        close_fill(st, v, best, n, price, False)
        if is_fine:
            tick = round(price / st.par[v, ms.TICK])
            write_trade(st, v, st.now[0], tick, n, -sign, ADL, 1, 1)
        left -= n
    return lots - left


@kernel
def take_over(st: State, v: int, i: int, lots: int, bankrupt: float, is_fine: bool) -> None:
    """The fund takes a position at its bankruptcy price; with an empty fund, winners must."""
    sign = st.pi[v, i, ms.SIGN]
    done = 0
    if fund_equity(st, v) <= 0.0:
        done = deleverage(st, v, sign, lots, bankrupt, is_fine)
    rest = lots - done
    st.n[v, ms.FUND] += sign * rest
    st.f[v, ms.FUND_USD] -= sign * rest * st.par[v, ms.LOT] * bankrupt
    if is_fine and rest > 0:
        tick = max(1, round(bankrupt / st.par[v, ms.TICK]))
        write_trade(st, v, st.now[0], tick, rest, -sign, INSURANCE, 1, 0)
    close_fill(st, v, i, lots, bankrupt, True)


@kernel
def portion(st: State, v: int, i: int) -> tuple[int, int]:
    """How many lots the venue closes now, and the pause after it in seconds (0 = final leg)."""
    lots = st.pi[v, i, ms.LOTS]
    mark, lot = st.f[v, ms.MARK], st.par[v, ms.LOT]
    style = int(st.par[v, ms.STYLE])
    quantity = lots * lot
    k = tier_index(st, v, quantity * mark, quantity)
    if style == 1 and k > 0:
        keep = st.tiers[v, k, 0] * 0.995 / mark / lot
        return max(1, lots - int(keep)), 1
    if style == 2 and k >= 2:
        keep = st.tiers[v, k - 2, 1] * 0.995 / lot
        return max(1, lots - int(keep)), 60
    is_staged = (st.pi[v, i, ms.FLAGS] & ms.STAGED) != 0
    if style == 3 and quantity * mark > 100_000.0 and not is_staged:
        return max(1, lots // 5), 30
    return lots, 0


@kernel
def liquidate(st: State, v: int, i: int, is_fine: bool) -> None:
    """The mark has reached the liquidation price of position i."""
    sign = st.pi[v, i, ms.SIGN]
    lots = st.pi[v, i, ms.LOTS]
    mark, lot = st.f[v, ms.MARK], st.par[v, ms.LOT]
    style = int(st.par[v, ms.STYLE])
    trigger = st.pf[v, i, ms.LP]
    margin = st.pf[v, i, ms.MARGIN]
    bankrupt = max(st.pf[v, i, ms.ENTRY] - sign * margin / (lots * lot), st.par[v, ms.TICK])
    n, pause = portion(st, v, i)
    equity = margin + sign * lots * lot * (mark - st.pf[v, i, ms.ENTRY])
    quantity = lots * lot
    k = tier_index(st, v, quantity * mark, quantity)
    maintenance = quantity * mark * st.tiers[v, k, 3] - st.tiers[v, k, 4]
    is_backstop = style == 3 and equity < maintenance * 2.0 / 3.0
    if equity <= 0.0 or is_backstop or (pause == 0 and (style == 1 or style == 2)):
        write_print(st, v, i, lots, 0.0, bankrupt, trigger, 1)
        take_over(st, v, i, lots, bankrupt, is_fine)
        return
    filled, average = trade(st, v, -sign, n, bankrupt, LIQUIDATION, 1, is_fine)
    write_print(st, v, i, n, average, bankrupt, trigger, 0)
    if filled > 0:
        fee = min(CLEARANCE * average, max(sign * (average - bankrupt), 0.0)) * filled * lot
        st.f[v, ms.FUND_USD] += fee
        close_fill(st, v, i, filled, average, True)
    if st.pi[v, i, ms.LOTS] == 0:
        return
    st.pi[v, i, ms.FLAGS] |= ms.STAGED
    if pause == 0 or filled == 0 or st.pf[v, i, ms.MARGIN] <= 0.0:
        rest = st.pi[v, i, ms.LOTS]
        if pause > 0:
            write_print(st, v, i, rest, 0.0, bankrupt, trigger, 1)
        take_over(st, v, i, rest, bankrupt, is_fine)
        return
    st.pi[v, i, ms.HOLD] = st.now[0] + pause * 1_000_000_000


@kernel
def fire(st: State, v: int, i: int, is_fine: bool) -> None:
    """The mark crossed the nearest trigger of a position: liquidation, stop or top-up."""
    sign, mark = st.pi[v, i, ms.SIGN], st.f[v, ms.MARK]
    if sign * (mark - st.pf[v, i, ms.LP]) <= 0.0:
        if st.pi[v, i, ms.HOLD] <= st.now[0]:
            liquidate(st, v, i, is_fine)
        return
    stop = st.pf[v, i, ms.STOP]
    if stop > 0.0 and sign * (mark - stop) <= 0.0:
        most = max(1, int(0.5 * st.par[v, ms.D10]))
        lots = min(st.pi[v, i, ms.LOTS], most)
        filled, average = trade(st, v, -sign, lots, 0.0, 0, 1, is_fine)
        if filled > 0:
            close_fill(st, v, i, filled, average, False)
        return
    entry, leverage = st.pf[v, i, ms.ENTRY], st.pf[v, i, ms.LEVERAGE]
    st.pf[v, i, ms.MARGIN] += 0.5 * entry * st.pi[v, i, ms.LOTS] * st.par[v, ms.LOT] / leverage
    st.pi[v, i, ms.FLAGS] &= ~ms.TOPPER
    refresh(st, v, i)


@kernel
def sweep(st: State, v: int, is_fine: bool) -> None:
    """Fire every trigger at or beyond the mark, at most 60 a step and side (engines queue too)."""
    mark = st.f[v, ms.MARK]
    slots = st.pi.shape[1]
    if mark <= st.f[v, ms.MAX_LONG]:
        count = 0
        for i in range(slots):
            if st.trig_long[v, i] >= mark and count < 60:
                fire(st, v, i, is_fine)
                count += 1
        st.f[v, ms.MAX_LONG] = st.trig_long[v].max()
    if mark >= st.f[v, ms.MIN_SHORT]:
        count = 0
        for i in range(slots):
            if st.trig_short[v, i] <= mark and count < 60:
                fire(st, v, i, is_fine)
                count += 1
        st.f[v, ms.MIN_SHORT] = st.trig_short[v].min()
