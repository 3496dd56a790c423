"""What each venue does that makes a map or a print mean less than it seems: data, with its price.

Sources: the venues' own documentation of liquidation and of their public streams, autumn 2026.
`confidence` multiplies the score of that venue's map; 1 = said only where it matters.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import msgspec


class Quirk(msgspec.Struct, frozen=True, gc=False):
    """One peculiarity in a sentence."""

    text: str
    confidence: float = 1.0


_KNOWN: dict[str, tuple[Quirk, ...]] = {
    "binance": (
        Quirk("prints at most one liquidation a second and symbol: a lower bound", 0.9),
        Quirk("fills of the insurance fund and deleveraging are not in the trade stream", 0.97),
    ),
    "bybit": (
        Quirk("prints carry the bankruptcy price, beyond the level that was hit", 1.0),
        Quirk("large positions are cut tier by tier: one position, several prints", 0.97),
    ),
    "okx": (
        Quirk("not every liquidation is published", 0.92),
        Quirk("partial liquidation rescues positions: the rest gets a farther level", 0.95),
    ),
    "gate": (Quirk("liquidations come by polling and in part: late, and a lower bound", 0.9),),
    "bitget": (Quirk("liquidations are published in dollars and may be a sample", 0.92),),
    "bitmex": (Quirk("liquidation orders are shown while they rest, not as they fill", 0.92),),
    "deribit": (Quirk("liquidations are known from flagged trades only", 0.92),),
    "hyperliquid": (
        Quirk("no public liquidation channel: cascades here are seen in price and flow only", 0.9),
        Quirk("deep losses go to the liquidator vault and meet no book: silent clusters", 0.95),
    ),
}

# Coin-margined siblings: the same engines and feeds.
QUIRKS: Mapping[str, tuple[Quirk, ...]] = _KNOWN | {
    "binance-coinm": _KNOWN["binance"],
    "bybit-inverse": _KNOWN["bybit"],
}


def quirks_of(venue: str) -> tuple[Quirk, ...]:
    """Known quirks of a venue; none for a venue that is not described."""
    return QUIRKS.get(venue, ())


@functools.cache
def lowering(venue: str) -> tuple[float, tuple[str, ...]]:
    """`confidence_of` a venue, and the quirks that lower it."""
    told = tuple(quirk.text for quirk in quirks_of(venue) if quirk.confidence < 1.0)
    return confidence_of(venue), told


def confidence_of(venue: str) -> float:
    """Product over the venue's quirks, 0..1."""
    product = 1.0
    for quirk in quirks_of(venue):
        product *= quirk.confidence
    return product
