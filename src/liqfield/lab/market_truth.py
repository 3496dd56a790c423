"""The truth of a market: who holds what, where it would be forced out, which cascades happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from liqfield.lab import market_state as ms
from liqfield.lab.market_state import State
from liqfield.lab.market_types import POSITION_DTYPE, AgentEvent, Prints
from liqfield.model.events import FloatArray
from liqfield.model.grid import PriceGrid

MAKERS_ACCOUNT, FUND_ACCOUNT = -1, -2  # pools without a liquidation price

CASCADE_GAP_NS = 12_000_000_000
CASCADE_ORDERS = 4


def positions_of(state: State, v: int) -> npt.NDArray[Any]:
    """POSITION_DTYPE array of every open position, the makers' and the fund's pools included.

    Both sides sum to the open interest exactly (in lots).
    """
    lot = float(state.xf[v, ms.LOT])
    count = int(state.xi[v, ms.SLOT_COUNT])
    slots = np.flatnonzero(state.column(v, ms.LOTS, count))
    pools = [
        (account, int(state.xi[v, column]))
        for account, column in ((MAKERS_ACCOUNT, ms.MM), (FUND_ACCOUNT, ms.FUND))
        if state.xi[v, column] != 0
    ]
    out = np.zeros(slots.size + len(pools), POSITION_DTYPE)
    body, xf, xi = out[: slots.size], state.xf[v], state.xi[v]
    body["account"] = xi[ms.ACCOUNT + slots]
    body["side"] = xi[ms.SIGN + slots] < 0
    body["entry"] = xf[ms.ENTRY + slots]
    body["quantity"] = xi[ms.LOTS + slots] * lot
    body["margin"] = xf[ms.MARGIN + slots]
    body["leverage"] = body["entry"] * body["quantity"] / np.maximum(body["margin"], 1e-9)
    body["leverage_setting"] = xf[ms.SETTING + slots]
    body["is_cross"] = (xi[ms.FLAGS + slots] & ms.CROSS) != 0
    body["liquidation_price"] = xf[ms.LP + slots]
    body["opened_ns"] = xi[ms.OPENED + slots]
    for k, (account, lots) in enumerate(pools):
        row = out[slots.size + k]
        row["account"], row["side"] = account, int(lots < 0)
        row["entry"] = row["liquidation_price"] = 0.0
        row["entry"], row["quantity"] = xf[ms.MARK], abs(lots) * lot
        row["leverage"], row["leverage_setting"], row["is_cross"] = 0.1, 1.0, True
        row["margin"] = row["entry"] * row["quantity"] / 0.1
    return out


def density_of(
    positions: npt.NDArray[Any], mark: float, grid: PriceGrid
) -> tuple[FloatArray, FloatArray]:
    """USD at mark by liquidation price: (float64[2, bins], float64[2] beyond or without one)."""
    mass, outside = np.zeros((2, grid.count)), np.zeros(2)
    for side in (0, 1):
        rows = positions[positions["side"] == side]
        usd = rows["quantity"] * mark
        price = rows["liquidation_price"]
        with np.errstate(divide="ignore"):
            bins = np.floor(np.log(price) / grid.width)
        inside = (price > 0.0) & (bins >= grid.first_bin) & (bins < grid.first_bin + grid.count)
        index = bins[inside].astype(np.int64) - grid.first_bin
        mass[side] = np.bincount(index, usd[inside], grid.count)
        outside[side] = usd[~inside].sum()
    return mass, outside


def take_prints(state: State, v: int) -> Prints:
    """Empty a venue's list of forced orders, in time order."""
    n = int(state.xi[v, ms.PRINTS])
    state.xi[v, ms.PRINTS] = 0
    order = np.argsort(state.column(v, ms.P_NS, n), kind="stable")
    return Prints(
        event_ns=state.column(v, ms.P_NS, n)[order],
        position_side=state.column(v, ms.P_SIDE, n)[order].astype(np.int8),
        quantity=state.base_coins(v, ms.P_LOTS, n)[order],
        fill_price=state.real(v, ms.P_FILL, n)[order],
        bankruptcy_price=state.real(v, ms.P_BANKRUPT, n)[order],
        trigger_price=state.real(v, ms.P_TRIGGER, n)[order],
        mark_price=state.real(v, ms.P_MARK, n)[order],
        is_takeover=state.column(v, ms.P_TAKEOVER, n)[order] == 1,
    )


def join_prints(parts: Sequence[Prints]) -> Prints:
    """Prints one after another."""
    if not parts:
        none = np.zeros(0)
        ints, flags = np.zeros(0, np.int64), np.zeros(0, np.bool_)
        return Prints(ints, np.zeros(0, np.int8), none, none, none, none, none, flags)
    return Prints(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in Prints.__struct_fields__
        )
    )


class CascadeLog:
    """Chains of forced orders on one side: at least four, no gap of 12 s, of material size."""

    def __init__(self, instrument_id: str, least_base: float) -> None:
        self._id = instrument_id
        self._least = least_base
        self._open: list[tuple[int, int, int, float, float, float] | None] = [None, None]

    def add(self, prints: Prints, high: float, low: float, now_ns: int) -> list[AgentEvent]:
        """Feed a step's prints and its extreme prices; returns the cascades that ended."""
        done: list[AgentEvent] = []
        for side in (0, 1):
            chain = self._open[side]
            extreme = low if side == 0 else high
            if chain is not None:
                first, last, count, quantity, start, far = chain
                far = min(far, extreme) if side == 0 else max(far, extreme)
                chain = (first, last, count, quantity, start, far)
            for k in np.flatnonzero(prints.position_side == side):
                ns = int(prints.event_ns[k])
                amount = float(prints.quantity[k])
                if chain is not None and ns - chain[1] > CASCADE_GAP_NS:
                    done += self._close(side, chain)
                    chain = None
                mark = float(prints.mark_price[k])
                if chain is None:
                    chain = (ns, ns, 1, amount, mark, extreme)
                else:
                    first, _, count, quantity, start, far = chain
                    chain = (first, ns, count + 1, quantity + amount, start, far)
            if chain is not None and now_ns - chain[1] > CASCADE_GAP_NS:
                done += self._close(side, chain)
                chain = None
            self._open[side] = chain
        return done

    def _close(
        self, side: int, chain: tuple[int, int, int, float, float, float]
    ) -> list[AgentEvent]:
        first, last, count, quantity, start, far = chain
        if count < CASCADE_ORDERS or quantity < self._least:
            return []
        return [AgentEvent("cascade", self._id, first, last, start, far, quantity, side == 0)]
