"""What each venue allows one address: sockets, new connections, subscriptions, shared budgets.

Facts as data, so that feeds can keep to them without knowing a venue's name. A venue that is not
listed here gets the cautious defaults. Sources: docs/venues/*.md.
"""

from __future__ import annotations

import msgspec

Rate = tuple[float, float]  # (number, seconds)


class Allowance(msgspec.Struct, frozen=True):
    """Limits of the WebSocket side of one venue, per address; 0 = none is stated.

    sockets        open at the same time
    opens          new connections
    subscriptions  over all connections
    streams        per connection
    requests       subscribe and unsubscribe messages, per connection
    shared         budgets that several venues of one operator draw on together
    used_header    reply header with the weight used in the running window
    other_ws       addresses for when the usual one cannot be reached (of OKX some say that it has
                   left port 8443, others still use nothing else)
    counts_trades  public trade ids are consecutive: a jump is a loss (Binance aggregate trades;
                   296,171 ids of a day without a hole)
    """

    sockets: int = 0
    opens: Rate = (100.0, 300.0)
    subscriptions: int = 0
    streams: int = 0
    requests: Rate = (0.0, 1.0)
    shared: tuple[tuple[str, str], ...] = ()  # (budget of the venue, name of the common pool)
    used_header: tuple[tuple[str, str], ...] = ()  # (budget of the venue, header)
    other_ws: tuple[str, ...] = ()
    counts_trades: bool = False


_BINANCE = Allowance(
    opens=(300.0, 300.0),
    streams=1024,
    # Since 2026-06-30 USD-M and COIN-M draw on one weight.
    shared=(("weight", "binance futures weight"), ("data", "binance futures data")),
    used_header=(("weight", "X-MBX-USED-WEIGHT-1M"),),
    counts_trades=True,
)
_BYBIT = Allowance(
    sockets=1000,
    opens=(500.0, 300.0),
    shared=(("ip", "bybit ip"),),
)

ALLOWANCES: dict[str, Allowance] = {
    "binance": _BINANCE,
    # The ids of COIN-M trades have not been measured.
    "binance-coinm": msgspec.structs.replace(_BINANCE, counts_trades=False),
    "bybit": _BYBIT,
    "bybit-inverse": _BYBIT,
    "okx": Allowance(
        opens=(3.0, 1.0), requests=(480.0, 3600.0), other_ws=("wss://ws.okx.com:8443",)
    ),
    "hyperliquid": Allowance(sockets=10, opens=(30.0, 60.0), subscriptions=1000),
    "gate": Allowance(sockets=300),
    "bitget": Allowance(requests=(10.0, 1.0)),
    "bitmex": Allowance(sockets=40, opens=(3.0, 1.0)),
    "deribit": Allowance(requests=(3.3, 1.0)),
}


def allowance(venue: str) -> Allowance:
    """The facts of a venue by name."""
    return ALLOWANCES.get(venue, Allowance())
