"""ccxt.pro and cryptofeed, their own message handlers called offline: no socket, no request.

Text is handed over already decoded and wrapped as their socket library would do it, which is in
their favour.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.messages import SYMBOL, snapshot

_INFO = {
    "symbol": SYMBOL,
    "pair": SYMBOL,
    "contractType": "PERPETUAL",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "pricePrecision": 2,
    "quantityPrecision": 3,
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "stepSize": "0.001"},
    ],
}


class CcxtPro:
    """`Client.handle_message` of ccxt.pro's binanceusdm, with orjson as it prefers."""

    name = "ccxt.pro"
    _SYMBOL = "BTC/USDT:USDT"

    def __init__(self) -> None:
        url = "wss://fstream.binance.com/public/stream"
        self._connect("binanceusdm", url, lambda exchange: exchange.parse_market(_INFO))
        raw = json.loads(snapshot())
        book = self._exchange.order_book({}, 1000)
        book.reset(self._exchange.parse_order_book(raw, self._SYMBOL, raw["E"], "bids", "asks"))
        book["nonce"] = raw["lastUpdateId"]
        self._exchange.orderbooks[self._SYMBOL] = book

    def _connect(self, exchange: str, url: str, market: Callable[[Any], Any]) -> None:
        import ccxt.pro
        from aiohttp import WSMessage, WSMsgType
        from ccxt.async_support.base.ws.client import Client

        self._message: Callable[[str], Any] = lambda text: WSMessage(WSMsgType.TEXT, text, None)
        self._exchange = getattr(ccxt.pro, exchange)()
        self._exchange.set_markets([market(self._exchange)])
        # `Client` makes a future, which wants a running loop only when somebody awaits it.
        self._client = Client(url, self._exchange.handle_message, print, print, print)

    def prepare(self, messages: Sequence[bytes]) -> list[Any]:
        return [self._message(data.decode()) for data in messages]

    def play(self, messages: Sequence[Any]) -> None:
        handle = self._client.handle_message
        for message in messages:
            handle(message)

    def best(self) -> tuple[float, float]:
        book = self._exchange.orderbooks[self._SYMBOL]
        return float(book["bids"][0][0]), float(book["asks"][0][0])

    def last_trade(self) -> tuple[float, float]:
        trade = self._exchange.trades[self._SYMBOL][-1]
        return trade["price"], trade["amount"]

    def last_liquidation(self) -> tuple[float, float]:
        last = self._exchange.liquidations[-1]
        return float(last["price"]), float(last["contracts"])


class CcxtTrades(CcxtPro):
    """The same of another exchange, with one market and no book."""

    def __init__(self, exchange: str, url: str, symbol: str) -> None:
        base = {"base": "BTC", "quote": "USDT", "settle": "USDT"}
        ids = {f"{name}Id": value for name, value in base.items()}
        what = {"type": "swap", "swap": True, "contract": True, "linear": True, "active": True}
        made = {"id": symbol, "symbol": self._SYMBOL, "contractSize": 1.0} | base | ids | what
        self._connect(exchange, url, lambda one: one.safe_market_structure(made))


class Cryptofeed:
    """`message_handler` of cryptofeed's BinanceFutures, one callback that keeps the newest."""

    name = "cryptofeed"

    def __init__(self) -> None:
        from cryptofeed.defines import L2_BOOK, LIQUIDATIONS, TRADES
        from cryptofeed.exchanges import BinanceFutures
        from cryptofeed.symbols import Symbols
        from cryptofeed.types import OrderBook

        symbols, info = BinanceFutures._parse_symbol_data({"symbols": [_INFO]})
        Symbols.set(BinanceFutures.id, symbols, info)
        (self._symbol,) = (s for s in symbols if s.endswith("-PERP"))
        self.newest: Any = None

        async def keep(event: Any, _: float) -> None:
            self.newest = event

        channels = [L2_BOOK, TRADES, LIQUIDATIONS]
        callbacks = dict.fromkeys(channels, keep)
        self._feed = BinanceFutures(symbols=[self._symbol], channels=channels, callbacks=callbacks)
        from decimal import Decimal

        raw = json.loads(snapshot())
        bids, asks = ({Decimal(p): Decimal(q) for p, q in raw[side]} for side in ("bids", "asks"))
        book = OrderBook(self._feed.id, self._symbol, bids=bids, asks=asks)
        book.delta = {}  # past its first message
        self._feed._l2_book[self._symbol] = book
        self._feed.last_update_id[self._symbol] = raw["lastUpdateId"]

    def prepare(self, messages: Sequence[bytes]) -> list[str]:
        return [data.decode() for data in messages]

    def play(self, messages: Sequence[str]) -> None:
        handle = self._feed.message_handler
        for message in messages:
            try:
                handle(message, None, 1.0).send(None)
            except StopIteration:
                continue
            raise RuntimeError("the handler waits for something")

    def best(self) -> tuple[float, float]:
        book = self._feed._l2_book[self._symbol].book
        return float(book.bids.index(0)[0]), float(book.asks.index(0)[0])

    def last_trade(self) -> tuple[float, float]:
        return float(self.newest.price), float(self.newest.amount)

    def last_liquidation(self) -> tuple[float, float]:
        return float(self.newest.price), float(self.newest.quantity)
