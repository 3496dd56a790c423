"""Instruments: one contract on one venue, and how its raw numbers become USD and base coins.

Law: everything past `venues/` is in base coins and in USD per base coin. A venue's own units are
contracts (OKX), thousands of coins (1000PEPE, kPEPE) or USD (inverse); the factors live here.
"""

from __future__ import annotations

import msgspec

from liqfield.model.sides import ContractKind

_INVERSE = ContractKind.INVERSE  # looking a member up costs more than the test


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One contract.

    id                  "venue:symbol", e.g. "binance:BTCUSDT": the key everywhere
    base                canonical asset, "PEPE" for 1000PEPEUSDT, kPEPE
    tick_mantissa,      the tick as the venue quotes it is tick_mantissa * 10**-tick_decimals
      tick_decimals       (0.5 is 5, 1); prices in ticks are integers
    price_factor        venue price * price_factor = USD per base coin (0.001 for 1000PEPE)
    quantity_factor     linear: venue quantity * quantity_factor = base coins (0.01 on OKX BTC);
                        inverse: venue quantity * quantity_factor = USD
    lot                 smallest step of the venue's quantity, venue units
    is_main             the venue trades this base mostly in this contract, whatever its kind
    """

    id: str
    venue: str
    symbol: str
    base: str
    quote: str
    settle: str
    kind: ContractKind = ContractKind.LINEAR
    tick_mantissa: int = 1
    tick_decimals: int = 2
    price_factor: float = 1.0
    quantity_factor: float = 1.0
    lot: float = 0.0
    max_leverage: float = 0.0
    funding_interval_h: float = 8.0
    is_trading: bool = True
    is_perpetual: bool = True
    is_main: bool = False

    @property
    def tick_usd(self) -> float:
        """The tick in USD per base coin."""
        return self.tick_mantissa * 10.0**-self.tick_decimals * self.price_factor

    def price_ticks(self, price_usd: float) -> int:
        """Nearest tick of a price in USD per base coin."""
        return round(price_usd / self.tick_usd)

    def price_usd(self, ticks: int) -> float:
        """USD per base coin of a price in ticks."""
        return ticks * self.tick_mantissa / 10.0**self.tick_decimals * self.price_factor

    def quantity_base(self, venue_quantity: float, price_usd: float) -> float:
        """Base coins of a venue quantity (inverse contracts need the price, USD per base coin)."""
        if self.kind is _INVERSE:
            return venue_quantity * self.quantity_factor / price_usd
        return venue_quantity * self.quantity_factor


def tick_parts(tick: str) -> tuple[int, int]:
    """("0.10") -> (1, 1); ("0.5") -> (5, 1); ("5") -> (5, 0); ("1e-05") -> (1, 5)."""
    text = tick.strip().lower()
    shift = 0
    if "e" in text:
        text, exponent = text.split("e")
        shift = -int(exponent)
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    mantissa, decimals = int(whole + fraction or "0"), len(fraction) + shift
    if decimals < 0:
        mantissa, decimals = mantissa * 10**-decimals, 0
    if mantissa <= 0:
        raise ValueError(f"not a tick: {tick!r}")
    return mantissa, decimals
