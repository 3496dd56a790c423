"""Margin tiers and the liquidation-price algebra that every venue shares.

Symbols: s +1 long, -1 short; E entry; P price sought; q base coins (linear); Q USD (inverse);
M margin behind the position without its own unrealised PnL; m maintenance rate and c deduction of
the tier that holds the position's value AT P; fee joins m where the venue says so (OKX).

    linear   M + s q (P - E)     = q P m - c
    inverse  M + s Q (1/E - 1/P) = Q m / P - c        (M, c in base coins)

Source: the venues' published formulas; published worked examples are the tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from liqfield.model.errors import ModelError
from liqfield.model.sides import ContractKind, PositionSide


class MarginTier(msgspec.Struct, frozen=True, gc=False):
    """One risk tier: positions in [floor, cap).

    The bounds are USD notional (linear), base coins (inverse), or base coins at any price where
    `by_quantity` (OKX counts contracts: the tier depends on size alone and its rate applies to the
    whole position, deduction 0).
    """

    floor: float
    cap: float
    max_leverage: float
    maintenance_rate: float
    deduction: float = 0.0
    by_quantity: bool = False


def deductions(floors: Sequence[float], rates: Sequence[float]) -> list[float]:
    """c_n = c_{n-1} + floor_n (m_n - m_{n-1}), c_1 = 0: makes maintenance continuous in value."""
    out = [0.0]
    for n in range(1, len(floors)):
        out.append(out[-1] + floors[n] * (rates[n] - rates[n - 1]))
    return out


def solve_price(
    kind: ContractKind,
    position_side: PositionSide,
    entry_price: float,
    quantity: float,
    margin: float,
    maintenance_rate: float,
    deduction: float = 0.0,
) -> float | None:
    """The price where equity meets maintenance margin, for one given tier; None where none exists.

    quantity: base coins (linear) or USD (inverse); margin, deduction: USD (linear) or base coins.
    With maintenance_rate = deduction = 0 this is the bankruptcy price.
    """
    s = 1.0 if position_side is PositionSide.LONG else -1.0
    if kind is ContractKind.LINEAR:
        price = (margin + deduction - s * quantity * entry_price) / (
            quantity * maintenance_rate - s * quantity
        )
        return price if price > 0.0 else None
    denominator = margin + deduction + s * quantity / entry_price
    numerator = quantity * (maintenance_rate + s)
    if denominator * numerator <= 0.0:
        return None
    return numerator / denominator


def liquidation_price(
    kind: ContractKind,
    position_side: PositionSide,
    entry_price: float,
    quantity: float,
    margin: float,
    tiers: Sequence[MarginTier],
    fee_rate: float = 0.0,
) -> float | None:
    """Tier fixed point: solve for each tier, keep the price whose position value lies in that tier.

    Exactly one solution where maintenance is continuous (progressive tiers). Returns None where the
    collateral covers the position at any price.
    """
    if quantity <= 0.0 or entry_price <= 0.0:
        raise ModelError(f"quantity {quantity} and entry {entry_price} must be positive")
    if not tiers:
        raise ModelError("no margin tiers")
    best: float | None = None
    best_miss = float("inf")
    for tier in tiers:
        price = solve_price(
            kind,
            position_side,
            entry_price,
            quantity,
            margin,
            tier.maintenance_rate + fee_rate,
            tier.deduction,
        )
        if tier.by_quantity:
            if tier.floor <= quantity < tier.cap or tier is tiers[-1]:
                return price
            continue
        if price is None:
            continue
        value = quantity * price if kind is ContractKind.LINEAR else quantity / price
        # On a boundary both neighbours give the same price: a relative hair decides for either.
        # The last tier is open above: venues refuse larger positions, we do not lose them.
        over = 0.0 if tier is tiers[-1] else value - tier.cap
        miss = max(tier.floor - value, over, 0.0) / max(value, 1e-12)
        if miss < best_miss:
            best, best_miss = price, miss
    return best if best_miss <= 1e-9 else None


def bankruptcy_price(
    kind: ContractKind,
    position_side: PositionSide,
    entry_price: float,
    quantity: float,
    margin: float,
) -> float | None:
    """The price at which equity is zero."""
    return solve_price(kind, position_side, entry_price, quantity, margin, 0.0)


def tier_of(tiers: Sequence[MarginTier], value: float) -> MarginTier:
    """The tier that holds a position value (or quantity, where tiers count quantity)."""
    for tier in tiers:
        if value < tier.cap:
            return tier
    return tiers[-1]


def isolated_margin(
    kind: ContractKind, entry_price: float, quantity: float, leverage: float
) -> float:
    """Initial margin of an isolated position: USD (linear) or base coins (inverse)."""
    if kind is ContractKind.LINEAR:
        return entry_price * quantity / leverage
    return quantity / entry_price / leverage


def trigger_price(
    price: float,
    position_side: PositionSide,
    quantity: float,
    tiers: Sequence[MarginTier],
    kind: ContractKind = ContractKind.LINEAR,
    fee_rate: float = 0.0,
) -> float:
    """The mark at which a liquidation printed at its bankruptcy price (USD) was triggered.

    quantity: base coins of the print. The margin left at the trigger is maintenance less deduction
    of the tier that holds the print's size, a lower bound of the position's: for a large position
    cut in pieces the true trigger lies further off. Inverse: levels in 1/P move by the same share.
    """
    value = quantity * price
    by_coins = tiers[0].by_quantity or kind is ContractKind.INVERSE
    tier = tier_of(tiers, quantity if by_coins else value)
    base = quantity if kind is ContractKind.INVERSE else value
    rate = max(tier.maintenance_rate - tier.deduction / base, 0.0) + fee_rate
    s = 1.0 if position_side is PositionSide.LONG else -1.0
    return price * (1.0 + s * rate) if kind is ContractKind.INVERSE else price / (1.0 - s * rate)
