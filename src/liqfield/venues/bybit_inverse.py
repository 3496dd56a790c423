"""Bybit v5 inverse: the protocol of bybit.py where a quantity counts contracts of one USD.

Same topics and book rule on another path; ticker patches and the history of open interest name no
price: the engine makes coins of them. Rules and sources: docs/venues/bybit-inverse.md.
"""

from __future__ import annotations

from liqfield.venues.bybit import Bybit


class BybitInverse(Bybit):
    """The venue; see venues.contract.Venue."""

    name = "bybit-inverse"
    category = "inverse"
    settle = "USD"
