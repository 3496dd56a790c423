"""Binance USD-M as the built-in market speaks it: paths, ids, units and sampling of the venue."""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Sequence

import msgspec
import numpy as np

from liqfield.lab.market_types import ADL, INSURANCE, LIQUIDATION, InstrumentStep, Market
from liqfield.lab.servers.desk import Client, Message, Reply
from liqfield.lab.servers.numbers import Writer
from liqfield.model.durations import MS
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.margin import MarginTier

ENC = msgspec.json.Encoder()
_PUBLIC = ("depth", "bookTicker", "trade", "rpiDepth")
_WEIGHTS = {"/fapi/v1/depth": 20, "/fapi/v1/klines": 5, "/fapi/v1/aggTrades": 20}
WEIGHT_LIMIT = 2_400
_EXECUTION = {ADL: "ADL", INSURANCE: "INSURANCE_FUND"}


class BinanceProtocol:
    """One instance a server. Depth ids advance by the number of changed levels."""

    name = "binance"
    ws_paths = ("/public", "/market", "/ws", "/stream")

    def __init__(self, market: Market) -> None:
        self._market = market
        self._of = {i.symbol: i for i in market.instruments if i.venue == self.name}
        self._write = {symbol: Writer(i) for symbol, i in self._of.items()}
        # The newest trades, for those who ask by REST.
        self._past: dict[str, deque[dict[str, object]]] = {s: deque(maxlen=4_000) for s in self._of}
        self._u = dict.fromkeys(self._of, 5_000_000_000)
        self._agg = dict.fromkeys(self._of, 1_000_000)
        self._quote: dict[str, tuple[int, float, int, float]] = {}
        self._mark_s = 0
        self._force: dict[str, tuple[int, dict[str, object]]] = {}
        self._steps: dict[str, InstrumentStep] = {}
        self._ended: set[str] = set()
        self._weight = (0, 0)  # (minute, used)

    # ---- WebSocket ----------------------------------------------------------------------------

    def greet(self, client: Client, path: str, query: dict[str, str]) -> Sequence[bytes]:
        """/public/ws/<a>/<b> and /public/stream?streams=a/b subscribe by address."""
        client.memory["combined"] = "/stream" in path
        names = query.get("streams", "")
        if "/ws/" in path:
            names = path.partition("/ws/")[2]
        client.topics.update(name for name in names.split("/") if name)
        if not path.startswith(("/public", "/market")):
            client.path = "/public" + path  # without a path only the public group is served
        return ()

    def control(self, client: Client, text: str) -> Sequence[bytes]:
        """SUBSCRIBE and friends; acknowledged even where nothing will ever come."""
        try:
            message = json.loads(text)
            method, params = message["method"], message.get("params", [])
        except (ValueError, KeyError, TypeError):
            return (b'{"error":{"code":2,"msg":"Invalid request: not JSON"}}',)
        number = message.get("id")
        if method == "SUBSCRIBE":
            client.topics.update(params)
        elif method == "UNSUBSCRIBE":
            client.topics.difference_update(params)
        elif method == "LIST_SUBSCRIPTIONS":
            return (ENC.encode({"result": sorted(client.topics), "id": number}),)
        elif method == "SET_PROPERTY":
            client.memory["combined"] = bool(params[1])
        return (ENC.encode({"result": None, "id": number}),)

    def step(self, steps: Sequence[InstrumentStep], now_ns: int) -> Sequence[Message]:
        """All stream messages of one step of the market."""
        out: list[Message] = []
        second = now_ns // 1_000_000_000
        for step in steps:
            symbol = step.instrument_id.partition(":")[2]
            if symbol in self._ended:
                continue
            self._steps[symbol] = step
            self._depth(out, symbol, step)
            self._trades(out, symbol, step)
            self._prints(symbol, step)
            if second > self._mark_s:
                self._send(out, symbol, "markPrice@1s", self._mark(symbol, step))
                held = self._force.pop(symbol, None)
                if held is not None:
                    order = {"e": "forceOrder", "E": now_ns // MS, "o": held[1]}
                    self._send(out, symbol, "forceOrder", order)
                    out.append(Message("/market", "!forceOrder@arr", ENC.encode(order)))
        self._mark_s = max(self._mark_s, second)
        return out

    def _send(self, out: list[Message], symbol: str, stream: str, body: dict[str, object]) -> None:
        kind = stream.partition("@")[0]
        path = "/public" if kind in _PUBLIC else "/market"
        topic = f"{symbol.lower()}@{stream}"
        out.append(Message(path, topic, ENC.encode(body)))

    def _depth(self, out: list[Message], symbol: str, step: InstrumentStep) -> None:
        write, book = self._write[symbol], step.book
        count = len(book.price_ticks)
        at = step.at_ns // MS
        if count:
            previous = self._u[symbol]
            self._u[symbol] = previous + count
            sides: tuple[list[list[str]], list[list[str]]] = ([], [])
            for tick, quantity, is_bid in zip(
                book.price_ticks.tolist(), book.quantity.tolist(), book.is_bid.tolist(), strict=True
            ):
                sides[0 if is_bid else 1].append([write.ticks(tick), write.quantity(quantity)])
            body: dict[str, object] = {
                "e": "depthUpdate",
                "E": at,
                "T": at,
                "s": symbol,
                "ps": symbol,
                "st": 1,
                "U": previous + 1,
                "u": self._u[symbol],
                "pu": previous,
                "b": sides[0],
                "a": sides[1],
            }
            self._send(out, symbol, "depth@100ms", body)
            self._send(out, symbol, "depth", body)
        quote = (step.bid_ticks, step.bid_quantity, step.ask_ticks, step.ask_quantity)
        if quote != self._quote.get(symbol) and step.bid_ticks and step.ask_ticks:
            self._quote[symbol] = quote
            body = {
                "e": "bookTicker",
                "u": self._u[symbol],
                "s": symbol,
                "ps": symbol,
                "b": write.ticks(quote[0]),
                "B": write.quantity(quote[1]),
                "a": write.ticks(quote[2]),
                "A": write.quantity(quote[3]),
                "T": at,
                "E": at,
                "st": 1,
            }
            self._send(out, symbol, "bookTicker", body)

    def _trades(self, out: list[Message], symbol: str, step: InstrumentStep) -> None:
        """Runs of one side at one price are one aggregate; fund and ADL fills are not in it."""
        write, t = self._write[symbol], step.trades
        rows = [
            (bool(t.is_buy[i]), int(t.price_ticks[i]), i)
            for i in range(len(t))
            if t.kind[i] <= LIQUIDATION
        ]
        for (is_buy, tick), group in itertools.groupby(rows, key=lambda r: (r[0], r[1])):
            index = [i for _, _, i in group]
            quantity = write.quantity(float(t.quantity[index].sum()))
            self._agg[symbol] += 1
            body: dict[str, object] = {
                "e": "aggTrade",
                "E": step.at_ns // MS,
                "s": symbol,
                "a": self._agg[symbol],
                "p": write.ticks(tick),
                "q": quantity,
                "nq": quantity,
                "f": int(t.trade_id[index[0]]),
                "l": int(t.trade_id[index[-1]]),
                "T": int(t.event_ns[index[-1]]) // MS,
                "m": not is_buy,
                "st": 1,
            }
            self._send(out, symbol, "aggTrade", body)
            self._past[symbol].append(
                {key: body[key] for key in ("a", "p", "q", "f", "l", "T", "m")}
            )
        self._raw_trades(out, symbol, step)

    def _raw_trades(self, out: list[Message], symbol: str, step: InstrumentStep) -> None:
        """Undocumented, still on the public path: every fill, with fund and ADL fills marked."""
        write, t = self._write[symbol], step.trades
        for i in range(len(t)):
            body: dict[str, object] = {
                "e": "trade",
                "E": step.at_ns // MS,
                "T": int(t.event_ns[i]) // MS,
                "s": symbol,
                "ps": symbol,
                "st": 1,
                "t": int(t.trade_id[i]),
                "p": write.ticks(int(t.price_ticks[i])),
                "q": write.quantity(float(t.quantity[i])),
                "X": _EXECUTION.get(int(t.kind[i]), "MARKET"),
                "m": not bool(t.is_buy[i]),
            }
            self._send(out, symbol, "trade", body)

    def _mark(self, symbol: str, step: InstrumentStep) -> dict[str, object]:
        write = self._write[symbol]
        return {
            "e": "markPriceUpdate",
            "E": step.at_ns // MS,
            "s": symbol,
            "p": write.fine(step.mark),
            "ap": write.fine(step.mark),
            "i": write.fine(step.index),
            "P": write.fine(step.index),
            "r": f"{step.funding_rate:.8f}",
            "T": step.next_funding_ns // MS,
            "st": 1,
        }

    def _prints(self, symbol: str, step: InstrumentStep) -> None:
        """The largest order of the second survives: the feed is a sample."""
        write, p = self._write[symbol], step.liquidations
        for i in range(len(p)):
            if p.fill_price[i] <= 0.0:
                continue  # a takeover never met the book and is never shown
            size = float(p.quantity[i] * p.fill_price[i])
            held = self._force.get(symbol)
            if held is not None and held[0] >= size:
                continue
            quantity = write.quantity(float(p.quantity[i]))
            order: dict[str, object] = {
                "s": symbol,
                "ps": symbol,
                "st": 1,
                "S": "SELL" if p.position_side[i] == 0 else "BUY",
                "o": "LIMIT",
                "f": "IOC",
                "q": quantity,
                "p": write.price(float(p.bankruptcy_price[i])),
                "ap": write.price(float(p.fill_price[i])),
                "X": "FILLED",
                "l": quantity,
                "z": quantity,
                "T": int(p.event_ns[i]) // MS,
            }
            self._force[symbol] = (int(size), order)

    def delist(self) -> None:
        """The first instrument ends: silent from now on, and listed as such."""
        self._ended.update(list(self._of)[:1])

    # ---- REST ---------------------------------------------------------------------------------

    def rest(self, path: str, query: dict[str, str], body: bytes) -> Reply:
        del body
        used = self._spend(path)
        headers = (("X-MBX-USED-WEIGHT-1M", str(used)),)
        if used > WEIGHT_LIMIT:
            text = (
                b'{"code":-1003,"msg":"Too many requests; current limit is 2400 weight a minute"}'
            )
            return Reply(text, 429, (*headers, ("Retry-After", "10")))
        if path == "/fapi/v1/exchangeInfo":
            return Reply(ENC.encode(self._exchange_info()), 200, headers)
        if path == "/bapi/futures/v1/friendly/future/common/brackets":
            return Reply(ENC.encode(self._brackets()), 200, headers)
        if path in ("/fapi/v1/time", "/fapi/v1/ping"):
            return Reply(ENC.encode({"serverTime": self._market.now_ns // MS}), 200, headers)
        if path == "/fapi/v1/insuranceBalance":
            return Reply(ENC.encode(self._insurance()), 200, headers)
        if path == "/fapi/v1/fundingInfo":
            return Reply(b"[]", 200, headers)
        symbol = query.get("symbol", query.get("pair", ""))
        if symbol not in self._of:
            return Reply(b'{"code":-1121,"msg":"Invalid symbol."}', 400, headers)
        made = self._symbol_reply(path, symbol, query)
        if made is None:
            return Reply(b'{"code":-5000,"msg":"Path not found"}', 404, headers)
        return Reply(ENC.encode(made), 200, headers)

    def _spend(self, path: str) -> int:
        minute = self._market.now_ns // 60_000_000_000
        used = self._weight[1] if self._weight[0] == minute else 0
        cost = 0 if path.startswith("/futures/data") else _WEIGHTS.get(path, 1)
        self._weight = (minute, used + cost)
        return used + cost

    def _symbol_reply(self, path: str, symbol: str, query: dict[str, str]) -> object | None:
        step, write = self._steps.get(symbol), self._write[symbol]
        now_ms = self._market.now_ns // MS
        if path == "/fapi/v1/depth":
            return self._depth_reply(symbol, int(query.get("limit", "500")))
        if path == "/fapi/v1/aggTrades":
            first, limit = int(query.get("fromId", "0")), int(query.get("limit", "500"))
            rows = [row for row in self._past[symbol] if int(str(row["a"])) >= first]
            return rows[:limit] if first else rows[-limit:]
        if path == "/fapi/v1/openInterest":
            coins = step.open_interest_base if step else self._last_oi(symbol)
            return {"openInterest": write.quantity(coins), "symbol": symbol, "time": now_ms}
        if path == "/fapi/v1/premiumIndex" and step is not None:
            mark = self._mark(symbol, step)
            return {
                "symbol": symbol,
                "markPrice": mark["p"],
                "indexPrice": mark["i"],
                "estimatedSettlePrice": mark["P"],
                "lastFundingRate": mark["r"],
                "interestRate": "0.00010000",
                "nextFundingTime": mark["T"],
                "time": mark["E"],
            }
        if path in ("/fapi/v1/klines", "/fapi/v1/markPriceKlines", "/fapi/v1/indexPriceKlines"):
            return self._klines(path, symbol, query)
        if path == "/futures/data/openInterestHist":
            return self._oi_history(symbol, query)
        if path == "/fapi/v1/fundingRate":
            history = self._market.history(self._of[symbol].id)
            chosen = _window(history.funding_ns, query)
            return [
                {
                    "symbol": symbol,
                    "fundingTime": int(history.funding_ns[i]) // MS,
                    "fundingRate": f"{history.funding_rate[i]:.8f}",
                    "markPrice": "",
                }
                for i in chosen
            ]
        if path.startswith(("/futures/data/globalLong", "/futures/data/topLong")):
            return self._ratio(symbol, query)
        return None

    def _depth_reply(self, symbol: str, limit: int) -> object:
        book, write = self._market.book(self._of[symbol].id), self._write[symbol]
        now_ms = self._market.now_ns // MS

        def side(ticks: IntArray, quantity: FloatArray) -> list[list[str]]:
            pairs = zip(ticks[:limit].tolist(), quantity[:limit].tolist(), strict=True)
            return [[write.ticks(t), write.quantity(q)] for t, q in pairs]

        return {
            "lastUpdateId": self._u[symbol],
            "E": now_ms,
            "T": now_ms,
            "bids": side(book.bid_ticks, book.bid_quantity),
            "asks": side(book.ask_ticks, book.ask_quantity),
        }

    def _last_oi(self, symbol: str) -> float:
        oi = self._market.history(self._of[symbol].id).open_interest
        return float(oi[-1]) if len(oi) else 0.0

    def _klines(self, path: str, symbol: str, query: dict[str, str]) -> object:
        history, write = self._market.history(self._of[symbol].id), self._write[symbol]
        kind = {"markPriceKlines": history.mark, "indexPriceKlines": history.index}
        table = kind.get(path.rpartition("/")[2], history.last)
        minutes = {"1m": 1, "5m": 5, "15m": 15, "1h": 60}[query.get("interval", "1m")]
        rows = candles(history.candle_end_ns, table, history.volume, history.taker_buy, minutes)
        only_price = table is not history.last
        out: list[list[object]] = []
        for end_ns, o, h, low, c, volume, buy in rows:
            start_ms = end_ns // MS - minutes * 60_000
            if not _inside(start_ms, query):
                continue
            base = [0, write.fine(o), write.fine(h), write.fine(low), write.fine(c)]
            if only_price:
                rest: list[object] = ["0", end_ns // MS - 1, "0", 60, "0", "0", "0"]
            else:
                base = [0, write.price(o), write.price(h), write.price(low), write.price(c)]
                quote = f"{volume * c:.4f}"
                rest = [
                    write.quantity(volume),
                    end_ns // MS - 1,
                    quote,
                    100,
                    write.quantity(buy),
                    f"{buy * c:.4f}",
                    "0",
                ]
            base[0] = start_ms
            out.append([*base, *rest])
        return out[-int(query.get("limit", "500")) :] if "startTime" not in query else out[:1500]

    def _oi_history(self, symbol: str, query: dict[str, str]) -> object:
        history, write = self._market.history(self._of[symbol].id), self._write[symbol]
        chosen = _window(history.oi_ns, query)[: int(query.get("limit", "500"))]
        out = []
        for i in chosen:
            at = int(history.oi_ns[i])
            coins = float(history.open_interest[i])
            k = min(int(np.searchsorted(history.candle_end_ns, at)), len(history.mark) - 1)
            out.append(
                {
                    "symbol": symbol,
                    "sumOpenInterest": write.quantity(coins),
                    "sumOpenInterestValue": f"{coins * float(history.mark[k, 3]):.4f}",
                    "timestamp": str(at // MS),
                }
            )
        return out

    def _ratio(self, symbol: str, query: dict[str, str]) -> object:
        history = self._market.history(self._of[symbol].id)
        limit = int(query.get("limit", "30"))
        out = []
        for at, share in zip(history.oi_ns[-limit:], history.long_accounts[-limit:], strict=True):
            long = min(max(float(share), 1e-4), 1 - 1e-4)
            out.append(
                {
                    "symbol": symbol,
                    "longShortRatio": f"{long / (1 - long):.4f}",
                    "longAccount": f"{long:.4f}",
                    "shortAccount": f"{1 - long:.4f}",
                    "timestamp": str(int(at) // MS),
                }
            )
        return out

    def _insurance(self) -> object:
        return [
            {
                "symbols": [symbol],
                "assets": [
                    {
                        "asset": "USDT",
                        "marginBalance": f"{self._market.insurance_fund_usd(of.id):.8f}",
                        "updateTime": self._market.now_ns // MS,
                    }
                ],
            }
            for symbol, of in self._of.items()
        ]

    def _exchange_info(self) -> object:
        symbols = []
        for i in self._of.values():
            tick = f"{i.tick_mantissa / 10**i.tick_decimals:.{i.tick_decimals}f}"
            symbols.append(
                {
                    "symbol": i.symbol,
                    "pair": i.symbol,
                    "contractType": "PERPETUAL",
                    "deliveryDate": 4133404800000,
                    "onboardDate": 1569398400000,
                    "status": "SETTLING" if i.symbol in self._ended else "TRADING",
                    "baseAsset": i.base,
                    "quoteAsset": "USDT",
                    "marginAsset": "USDT",
                    "pricePrecision": 2,
                    "quantityPrecision": 3,
                    "liquidationFee": "0.012500",
                    "filters": [
                        {"filterType": "PRICE_FILTER", "tickSize": tick},
                        {"filterType": "LOT_SIZE", "stepSize": f"{i.lot:.8f}".rstrip("0")},
                    ],
                }
            )
        limits = [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": WEIGHT_LIMIT,
            }
        ]
        return {
            "timezone": "UTC",
            "serverTime": self._market.now_ns // MS,
            "rateLimits": limits,
            "symbols": symbols,
        }

    def _brackets(self) -> object:
        return {
            "code": "000000",
            "data": {
                "brackets": [
                    {
                        "symbol": i.symbol,
                        "riskBrackets": [
                            _bracket(n, tier)
                            for n, tier in enumerate(self._market.tiers(i.id), start=1)
                        ],
                    }
                    for i in self._of.values()
                ]
            },
            "success": True,
        }


def _bracket(number: int, tier: MarginTier) -> dict[str, float]:
    return {
        "bracketSeq": number,
        "bracketNotionalFloor": tier.floor,
        "bracketNotionalCap": tier.cap,
        "bracketMaintenanceMarginRate": tier.maintenance_rate,
        "cumFastMaintenanceAmount": tier.deduction,
        "minOpenPosLeverage": 1,
        "maxOpenPosLeverage": tier.max_leverage,
    }


def candles(
    end_ns: IntArray,
    table: FloatArray,
    volume: FloatArray,
    taker_buy: FloatArray,
    minutes: int,
) -> list[tuple[int, float, float, float, float, float, float]]:
    """Closed candles of `minutes` from 1-minute rows: (end_ns, o, h, l, c, volume, taker_buy)."""
    span = minutes * 60_000_000_000
    if not len(end_ns):
        return []
    group = -(-end_ns // span)
    first = np.flatnonzero(np.diff(group, prepend=group[0] - 1))
    last = np.append(first[1:], len(group)) - 1
    out = []
    for a, b in zip(first.tolist(), last.tolist(), strict=True):
        if int(end_ns[b]) % span:
            continue  # still open
        rows = slice(a, b + 1)
        out.append(
            (
                int(end_ns[b]),
                float(table[a, 0]),
                float(table[rows, 1].max()),
                float(table[rows, 2].min()),
                float(table[b, 3]),
                float(volume[rows].sum()),
                float(taker_buy[rows].sum()),
            )
        )
    return out


def _inside(at_ms: int, query: dict[str, str]) -> bool:
    start, end = int(query.get("startTime", "0")), int(query.get("endTime", str(1 << 60)))
    return start <= at_ms <= end


def _window(at_ns: IntArray, query: dict[str, str]) -> list[int]:
    return [i for i in range(len(at_ns)) if _inside(int(at_ns[i]) // MS, query)]
