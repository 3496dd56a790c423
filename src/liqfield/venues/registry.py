"""The venues, one line each: a readable list beats discovery that must be trusted."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from liqfield.model.errors import SettingError
from liqfield.venues.binance import Binance
from liqfield.venues.binance_coinm import BinanceCoinM
from liqfield.venues.bitget import Bitget
from liqfield.venues.bitmex import Bitmex
from liqfield.venues.bybit import Bybit
from liqfield.venues.bybit_inverse import BybitInverse
from liqfield.venues.contract import Venue
from liqfield.venues.deribit import Deribit
from liqfield.venues.gate import Gate
from liqfield.venues.hyperliquid import Hyperliquid
from liqfield.venues.okx import Okx

VENUES: dict[str, Callable[[], Venue]] = {
    "binance": Binance,
    "bybit": Bybit,
    "okx": Okx,
    "hyperliquid": Hyperliquid,
    "binance-coinm": BinanceCoinM,
    "bybit-inverse": BybitInverse,
    "gate": Gate,
    "bitget": Bitget,
    "bitmex": Bitmex,
    "deribit": Deribit,
}


def make(names: tuple[str, ...] = tuple(VENUES)) -> dict[str, Venue]:
    """Fresh venues by name. Raises SettingError naming the valid ones."""
    unknown = [name for name in names if name not in VENUES]
    if unknown:
        near = get_close_matches(unknown[0], VENUES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SettingError(f"unknown venue {unknown[0]!r}: {hint}valid are {', '.join(VENUES)}")
    return {name: VENUES[name]() for name in names}
