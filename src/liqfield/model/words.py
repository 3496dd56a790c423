"""Numbers as people read them in evidence sentences."""

from __future__ import annotations


def usd_words(amount: float) -> str:
    """$1.2B, $84.0M, $250.0k, $90."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(amount) >= size:
            return f"${amount / size:.1f}{unit}"
    return f"${amount:.0f}"


def percent_words(share: float) -> str:
    """Two digits that count, in percent."""
    return f"{share * 100:.2f} %"
