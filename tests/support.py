"""What several suites share: one small catalogue of instruments over all venues, an attribution
that is told trades one by one."""

from __future__ import annotations

from liqfield.book.attribution import TOLERANCE_NS, Attribution
from liqfield.model.instrument import Instrument
from liqfield.model.sides import ContractKind
from liqfield.model.tape import TradeTape


def _linear(
    venue: str,
    symbol: str,
    base: str,
    tick: tuple[int, int],
    factor: float = 1.0,
    quantity_factor: float = 0.0,
    quote: str = "USDT",
) -> Instrument:
    return Instrument(
        id=f"{venue}:{symbol}",
        venue=venue,
        symbol=symbol,
        base=base,
        quote=quote,
        settle=quote,
        tick_mantissa=tick[0],
        tick_decimals=tick[1],
        price_factor=1.0 / factor,
        quantity_factor=quantity_factor or factor,
        max_leverage=50.0,
        funding_interval_h=1.0 if venue == "hyperliquid" else 8.0,
    )


def _inverse(venue: str, symbol: str, base: str, usd: float) -> Instrument:
    return Instrument(
        id=f"{venue}:{symbol}",
        venue=venue,
        symbol=symbol,
        base=base,
        quote="USD",
        settle=base,
        kind=ContractKind.INVERSE,
        is_perpetual=not symbol[-1].isdigit(),
        tick_decimals=3,
        quantity_factor=usd,
    )


INSTRUMENTS: dict[str, Instrument] = {
    of.id: of
    for of in (
        _linear("binance", "BTCUSDT", "BTC", (1, 1)),
        _linear("binance", "ETHUSDT", "ETH", (1, 2)),
        _linear("binance", "1000PEPEUSDT", "PEPE", (1, 7), 1000.0),
        _linear("bybit", "BTCUSDT", "BTC", (1, 1)),
        _linear("bybit", "ETHUSDT", "ETH", (1, 2)),
        _linear("bybit", "SOLUSDT", "SOL", (1, 2)),
        _linear("bybit", "1000PEPEUSDT", "PEPE", (1, 7), 1000.0),
        _inverse("bybit", "BTCUSD", "BTC", 1.0),
        _linear("okx", "BTC-USDT-SWAP", "BTC", (1, 1), 1.0, 0.01),
        _inverse("okx", "BTC-USD-SWAP", "BTC", 100.0),
        _linear("hyperliquid", "BTC", "BTC", (1, 1), quote="USDC"),
        _linear("hyperliquid", "kPEPE", "PEPE", (1, 6), 1000.0, quote="USDC"),
        _inverse("binance-coinm", "BTCUSD_PERP", "BTC", 100.0),
        _inverse("binance-coinm", "BTCUSD_200925", "BTC", 100.0),
        _inverse("binance-coinm", "BNBUSD_PERP", "BNB", 10.0),
        _inverse("bybit-inverse", "BTCUSD", "BTC", 1.0),
        _linear("gate", "BTC_USDT", "BTC", (1, 1), 1.0, 0.0001),
        _linear("gate", "ETH_USDT", "ETH", (1, 2), 1.0, 0.01),
        _inverse("gate", "BTC_USD", "BTC", 1.0),
        _linear("bitget", "BTCUSDT", "BTC", (1, 1)),
        _linear("bitget", "1000BONKUSDT", "BONK", (1, 6), 1000.0),
        _linear("bitmex", "XBTUSDT", "BTC", (1, 1), 1.0, 1e-6),
        _inverse("bitmex", "XBTUSD", "BTC", 1.0),
        _linear("deribit", "BTC_USDC-PERPETUAL", "BTC", (1, 1), quote="USDC"),
        _inverse("deribit", "BTC-PERPETUAL", "BTC", 1.0),
        _inverse("deribit", "ETH-PERPETUAL", "ETH", 1.0),
    )
}


class TapedAttribution(Attribution):
    """With a tape of its own; a tick is a dollar."""

    def __init__(self, tolerance_ns: int = TOLERANCE_NS) -> None:
        self._tape = TradeTape()
        super().__init__(self._tape, 0, 1.0, tolerance_ns)

    def trade(self, tick: int, is_ask: int, coins: float, at_ns: int) -> None:
        """A trade at a resting level."""
        if self._tape.append(0, at_ns, float(tick), coins if is_ask else -coins, at_ns):
            self.settle()
