"""Where the mark stood when a print was forced: what a map speaks of is that level."""

from __future__ import annotations

from collections.abc import Sequence

from liqfield.model.events import Liquidation
from liqfield.model.margin import MarginTier, trigger_price
from liqfield.model.sides import ContractKind, PriceKind

OKX_FEE = 0.0005  # counts as maintenance there


def fee_rate(venue: str) -> float:
    """Share of the value that a venue adds to its maintenance margin."""
    return OKX_FEE if venue == "okx" else 0.0


def trigger_of(event: Liquidation, tiers: Sequence[MarginTier], kind: ContractKind) -> float:
    """The mark at the trigger, USD: a bankruptcy price lies beyond the level that a map speaks of.

    Prints by fill or mark price keep theirs.
    """
    if event.price_kind is not PriceKind.BANKRUPTCY:
        return event.price
    fee = fee_rate(event.instrument_id.partition(":")[0])
    return trigger_price(event.price, event.position_side, event.quantity, tiers, kind, fee)
