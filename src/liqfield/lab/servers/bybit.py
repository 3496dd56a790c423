"""Bybit v5 linear as the built-in market speaks it: two-sided OI, position-side prints."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence

import msgspec

from liqfield.lab.market_types import LIQUIDATION, InstrumentStep, Market
from liqfield.lab.servers.binance import candles
from liqfield.lab.servers.desk import Client, Message, Reply
from liqfield.lab.servers.numbers import Windows, Writer, states
from liqfield.model.durations import MS

ENC = msgspec.json.Encoder()
PATH = "/v5/public/linear"
DEPTH = 200
DEPTHS = (1, 50, 200, 1000)  # of the order book topics; 1 has snapshots only
Sides = tuple[dict[int, float], dict[int, float]]


class BybitProtocol:
    """orderbook.200 holds exactly the best 200 a side; u = 1 would be a restart."""

    name = "bybit"
    ws_paths = (PATH,)

    def __init__(self, market: Market) -> None:
        self._market = market
        self._of = {i.symbol: i for i in market.instruments if i.venue == self.name}
        self._write = {symbol: Writer(i) for symbol, i in self._of.items()}
        # The newest trades, for those who ask by REST.
        self._past: dict[str, deque[dict[str, object]]] = {s: deque(maxlen=1_000) for s in self._of}
        self._u = dict.fromkeys(self._of, 100)
        self._seq = 400_000_000
        self._shown: dict[str, Sides] = {}
        self._others: dict[tuple[str, int], tuple[int, Sides]] = {}  # other depths: counter, shown
        self._ticker: dict[str, dict[str, str]] = {}
        self._prints: dict[str, list[dict[str, object]]] = {}
        self._half_s = 0
        self._oi_second: dict[str, int] = {}
        self._steps: dict[str, InstrumentStep] = {}
        self._ended: set[str] = set()
        self._windows: Windows = ()
        self._restarted: set[str] = set()

    # ---- WebSocket ----------------------------------------------------------------------------

    def control(self, client: Client, text: str) -> Sequence[bytes]:
        try:
            message = json.loads(text)
            op, args = message["op"], message.get("args", [])
        except (ValueError, KeyError, TypeError):
            return (b'{"success":false,"ret_msg":"error:invalid json","op":""}',)
        if op == "ping":
            return (b'{"success":true,"ret_msg":"pong","conn_id":"lab","op":"ping"}',)
        known = all(self._knows(topic) for topic in args)
        ack: dict[str, object] = {"success": known, "ret_msg": "", "conn_id": "lab", "op": op}
        if "req_id" in message:
            ack["req_id"] = message["req_id"]
        if not known:
            ack["ret_msg"] = "error:handler not found"
            return (ENC.encode(ack),)
        out = [ENC.encode(ack)]
        if op == "subscribe":
            client.topics.update(args)
            for topic in args:
                out += self._first(topic)
        elif op == "unsubscribe":
            client.topics.difference_update(args)
        return out

    def _knows(self, topic: str) -> bool:
        kind, _, rest = topic.partition(".")
        if kind == "orderbook" and not rest.startswith(tuple(f"{depth}." for depth in DEPTHS)):
            return False
        kinds = ("orderbook", "tickers", "publicTrade", "allLiquidation", "kline", "insurance")
        return kind in kinds and (rest.rpartition(".")[2] in self._of or kind == "insurance")

    def _first(self, topic: str) -> list[bytes]:
        """Snapshots come by themselves after subscribing."""
        kind, _, rest = topic.partition(".")
        symbol = rest.rpartition(".")[2]
        at = self._market.now_ns // MS
        if kind == "orderbook" and not rest.startswith(f"{DEPTH}."):
            depth = int(rest.partition(".")[0])
            counter, shown = self._others.get((symbol, depth), (1, self._levels(symbol, depth)))
            self._others[symbol, depth] = (counter, shown)
            data = {**self._book_data(symbol, *shown), "u": counter}
            body = {"topic": topic, "type": "snapshot", "ts": at, "data": data, "cts": at}
            return [ENC.encode(body)]
        if kind == "orderbook":
            bids, asks = self._shown.get(symbol) or self._levels(symbol)
            self._shown[symbol] = (bids, asks)
            data = self._book_data(symbol, bids, asks)
            return [
                ENC.encode({"topic": topic, "type": "snapshot", "ts": at, "data": data, "cts": at})
            ]
        if kind == "tickers" and symbol in self._ticker:
            data = {"symbol": symbol, **self._ticker[symbol]}
            return [
                ENC.encode({"topic": topic, "type": "snapshot", "data": data, "cs": 1, "ts": at})
            ]
        return []

    def step(self, steps: Sequence[InstrumentStep], now_ns: int) -> Sequence[Message]:
        out: list[Message] = []
        half = now_ns // 500_000_000
        for step in steps:
            symbol = step.instrument_id.partition(":")[2]
            if symbol in self._ended:
                continue
            self._steps[symbol] = step
            self._book(out, symbol, step)
            self._other_depths(out, symbol, step)
            self._trades(out, symbol, step)
            self._tickers(out, symbol, step)
            self._collect(symbol, step)
            if half > self._half_s and self._prints.get(symbol):
                body = {
                    "topic": f"allLiquidation.{symbol}",
                    "type": "snapshot",
                    "ts": now_ns // MS,
                    "data": self._prints.pop(symbol),
                }
                out.append(Message(PATH, f"allLiquidation.{symbol}", ENC.encode(body)))
        self._half_s = max(self._half_s, half)
        return out

    def _other_depths(self, out: list[Message], symbol: str, step: InstrumentStep) -> None:
        """What somebody has asked for besides 200 levels."""
        for (name, depth), (counter, before) in list(self._others.items()):
            if name != symbol or not len(step.book.price_ticks):
                continue
            now = self._levels(symbol, depth)
            changes = _changes(before, now)
            if not changes[0] and not changes[1]:
                continue
            self._others[symbol, depth] = (counter + 1, now)
            topic, at = f"orderbook.{depth}.{symbol}", step.at_ns // MS
            data = {**self._book_data(symbol, *(now if depth == 1 else changes)), "u": counter + 1}
            kind = "snapshot" if depth == 1 else "delta"
            body = {"topic": topic, "type": kind, "ts": at + 2, "data": data, "cts": at}
            out.append(Message(PATH, topic, ENC.encode(body)))

    def _levels(self, symbol: str, depth: int = DEPTH) -> Sides:
        book = self._market.book(self._of[symbol].id)
        return (
            dict(
                zip(
                    book.bid_ticks[:depth].tolist(), book.bid_quantity[:depth].tolist(), strict=True
                )
            ),
            dict(
                zip(
                    book.ask_ticks[:depth].tolist(), book.ask_quantity[:depth].tolist(), strict=True
                )
            ),
        )

    def _book_data(
        self, symbol: str, bids: dict[int, float], asks: dict[int, float]
    ) -> dict[str, object]:
        write = self._write[symbol]
        return {
            "s": symbol,
            "b": [
                [write.ticks(t), write.quantity(q)] for t, q in sorted(bids.items(), reverse=True)
            ],
            "a": [[write.ticks(t), write.quantity(q)] for t, q in sorted(asks.items())],
            "u": self._u[symbol],
            "seq": self._seq,
        }

    def _book(self, out: list[Message], symbol: str, step: InstrumentStep) -> None:
        """The difference between the 200 levels shown before and now, deletions included."""
        if not len(step.book.price_ticks) and symbol in self._shown:
            return
        before, now = self._shown.get(symbol), self._levels(symbol)
        self._shown[symbol] = now
        if before is None:
            return
        if symbol in self._restarted:
            self._restarted.discard(symbol)
            before = ({}, {})
        changes = _changes(before, now)
        if not changes[0] and not changes[1]:
            return
        self._u[symbol] += 1
        self._seq += 7
        at = step.at_ns // MS
        topic = f"orderbook.{DEPTH}.{symbol}"
        kind = "snapshot" if self._u[symbol] == 1 else "delta"
        data = self._book_data(symbol, changes[0], changes[1])
        body = {"topic": topic, "type": kind, "ts": at + 2, "data": data, "cts": at}
        out.append(Message(PATH, topic, ENC.encode(body)))

    def _trades(self, out: list[Message], symbol: str, step: InstrumentStep) -> None:
        write, t = self._write[symbol], step.trades
        rows: list[dict[str, object]] = [
            {
                "T": int(t.event_ns[i]) // MS,
                "s": symbol,
                "S": "Buy" if t.is_buy[i] else "Sell",
                "v": write.quantity(float(t.quantity[i])),
                "p": write.ticks(int(t.price_ticks[i])),
                "L": "PlusTick" if t.is_buy[i] else "MinusTick",
                "i": f"{int(t.trade_id[i]):08x}-lab-{symbol.lower()}",
                "BT": False,
                "RPI": False,
                "seq": self._seq,
            }
            for i in range(len(t))
            if t.kind[i] <= LIQUIDATION
        ]
        self._past[symbol].extend(rows)
        topic = f"publicTrade.{symbol}"
        for first in range(0, len(rows), 1024):
            body = {
                "topic": topic,
                "type": "snapshot",
                "ts": step.at_ns // MS,
                "data": rows[first : first + 1024],
            }
            out.append(Message(PATH, topic, ENC.encode(body)))

    def _tickers(self, out: list[Message], symbol: str, step: InstrumentStep) -> None:
        """Only the fields that changed; open interest every few seconds, as recorded."""
        write = self._write[symbol]
        before = self._ticker.get(symbol, {})
        now = {
            "lastPrice": write.price(step.last),
            "markPrice": write.price(step.mark),
            "indexPrice": write.price(step.index),
            "fundingRate": f"{step.funding_rate:.8f}",
            "nextFundingTime": str(step.next_funding_ns // MS),
            "fundingIntervalHour": "8",
            "bid1Price": write.ticks(step.bid_ticks),
            "bid1Size": write.quantity(step.bid_quantity),
            "ask1Price": write.ticks(step.ask_ticks),
            "ask1Size": write.quantity(step.ask_quantity),
        }
        second = step.at_ns // 2_000_000_000
        if second != self._oi_second.get(symbol):
            self._oi_second[symbol] = second
            single = step.open_interest_base
            now["openInterest"] = write.quantity(2.0 * single)
            now["singleOpenInterest"] = write.quantity(single)
            now["openInterestValue"] = f"{2.0 * single * step.mark:.4f}"
        changed = {k: v for k, v in now.items() if before.get(k) != v}
        self._ticker[symbol] = {**before, **now}
        if changed and before:
            topic = f"tickers.{symbol}"
            data = {"symbol": symbol, **changed}
            body = {"topic": topic, "type": "delta", "data": data, "cs": 1, "ts": step.at_ns // MS}
            out.append(Message(PATH, topic, ENC.encode(body)))

    def _collect(self, symbol: str, step: InstrumentStep) -> None:
        """Every liquidation, takeovers included: the side of the position, the bankruptcy price."""
        write, p = self._write[symbol], step.liquidations
        for i in range(len(p)):
            self._prints.setdefault(symbol, []).append(
                {
                    "T": int(p.event_ns[i]) // MS,
                    "s": symbol,
                    "S": "Buy" if p.position_side[i] == 0 else "Sell",
                    "v": write.quantity(float(p.quantity[i])),
                    "p": write.price(float(p.bankruptcy_price[i])),
                }
            )

    def restart(self) -> None:
        """The venue's service starts anew: counters begin at 1 with a whole book."""
        for symbol in self._of:
            self._u[symbol] = 0
            self._restarted.add(symbol)

    def announce(self, windows: Windows) -> None:
        """Planned work, listed from now on."""
        self._windows = windows

    def delist(self) -> None:
        """The first instrument ends: silent from now on, and listed as such."""
        self._ended.update(list(self._of)[:1])

    # ---- REST ---------------------------------------------------------------------------------

    def rest(self, path: str, query: dict[str, str], body: bytes) -> Reply:
        del body
        result = self._result(path, query)
        code = 0 if result is not None else 10001
        return Reply(
            ENC.encode(
                {
                    "retCode": code,
                    "retMsg": "OK" if code == 0 else "params error",
                    "result": result or {},
                    "retExtInfo": {},
                    "time": self._market.now_ns // MS,
                }
            )
        )

    def _result(self, path: str, query: dict[str, str]) -> object | None:
        symbol = query.get("symbol", "")
        if path == "/v5/market/time":
            return {"timeSecond": str(self._market.now_ns // 1_000_000_000)}
        if path == "/v5/system/status":
            rows = [
                {
                    "id": f"lab-{n}",
                    "title": "Matching engine upgrade",
                    "state": state,
                    "begin": begin,
                    "end": end,
                    "href": "",
                    "serviceTypes": [1, 5],
                    "product": [1],
                    "uidSuffix": [],
                    "maintainType": 1,
                    "env": 1,
                }
                for n, (state, begin, end) in enumerate(states(self._windows, self._market.now_ns))
            ]
            return {"list": rows}
        if path == "/v5/market/instruments-info":
            return {"category": "linear", "list": self._contracts(), "nextPageCursor": ""}
        if path == "/v5/market/tickers":
            chosen = [symbol] if symbol else list(self._ticker)
            rows = [{"symbol": s, **self._ticker[s]} for s in chosen if s in self._ticker]
            return {"category": "linear", "list": rows}
        if path == "/v5/market/insurance":
            rows = [
                {
                    "coin": "USDT",
                    "symbols": name,
                    "balance": f"{self._market.insurance_fund_usd(i.id):.8f}",
                    "value": f"{self._market.insurance_fund_usd(i.id):.8f}",
                }
                for name, i in self._of.items()
            ]
            return {"updatedTime": str(self._market.now_ns // MS), "list": rows}
        if symbol not in self._of:
            return None
        of, write = self._of[symbol], self._write[symbol]
        history = self._market.history(of.id)
        if path == "/v5/market/recent-trade":
            newest = list(self._past[symbol])[-int(query.get("limit", "500")) :]
            rows = [
                {
                    "execId": row["i"],
                    "symbol": symbol,
                    "price": row["p"],
                    "size": row["v"],
                    "side": row["S"],
                    "time": str(row["T"]),
                    "isBlockTrade": False,
                    "isRPITrade": False,
                    "seq": str(row["seq"]),
                }
                for row in reversed(newest)
            ]
            return {"category": "linear", "list": rows}
        if path == "/v5/market/risk-limit":
            return {"category": "linear", "list": self._tiers(symbol)}
        if path == "/v5/market/orderbook":
            bids, asks = self._levels(symbol)
            at = self._market.now_ns // MS
            return {**self._book_data(symbol, bids, asks), "ts": at, "cts": at}
        if path == "/v5/market/open-interest":
            rows = [
                {
                    "openInterest": write.quantity(2.0 * float(oi)),
                    "singleOpenInterest": write.quantity(float(oi)),
                    "timestamp": str(int(at) // MS),
                }
                for at, oi in zip(history.oi_ns, history.open_interest, strict=True)
                if _within(int(at) // MS, query, "startTime", "endTime")
            ]
            newest = rows[::-1][: int(query.get("limit", "50"))]
            return {"symbol": symbol, "category": "linear", "list": newest, "nextPageCursor": ""}
        if path == "/v5/market/funding/history":
            rows = [
                {
                    "symbol": symbol,
                    "fundingRate": f"{float(rate):.8f}",
                    "fundingRateTimestamp": str(int(at) // MS),
                }
                for at, rate in zip(history.funding_ns, history.funding_rate, strict=True)
                if _within(int(at) // MS, query, "startTime", "endTime")
            ]
            return {"category": "linear", "list": rows[::-1]}
        if path == "/v5/market/account-ratio":
            share = float(history.long_accounts[-1]) if len(history.long_accounts) else 0.5
            at = int(history.oi_ns[-1]) // MS if len(history.oi_ns) else 0
            row = {
                "symbol": symbol,
                "buyRatio": f"{share:.4f}",
                "sellRatio": f"{1 - share:.4f}",
                "timestamp": str(at),
            }
            return {"list": [row]}
        if path in (
            "/v5/market/kline",
            "/v5/market/mark-price-kline",
            "/v5/market/index-price-kline",
        ):
            return {"symbol": symbol, "category": "linear", "list": self._klines(path, query)}
        return None

    def _klines(self, path: str, query: dict[str, str]) -> list[list[str]]:
        symbol = query["symbol"]
        history, write = self._market.history(self._of[symbol].id), self._write[symbol]
        minutes = int(query.get("interval", "1"))
        table = history.last
        if "mark" in path:
            table = history.mark
        elif "index" in path:
            table = history.index
        rows = []
        for end_ns, o, h, low, c, volume, _ in candles(
            history.candle_end_ns, table, history.volume, history.taker_buy, minutes
        ):
            start_ms = end_ns // MS - minutes * 60_000
            if not _within(start_ms, query, "start", "end"):
                continue
            row = [str(start_ms), *(write.price(x) for x in (o, h, low, c))]
            if table is history.last:
                row += [write.quantity(volume), f"{volume * c:.4f}"]
            rows.append(row)
        return rows[::-1][: int(query.get("limit", "200"))]

    def _contracts(self) -> list[dict[str, object]]:
        return [
            {
                "symbol": i.symbol,
                "contractType": "LinearPerpetual",
                "status": "Closed" if i.symbol in self._ended else "Trading",
                "baseCoin": i.base,
                "quoteCoin": "USDT",
                "settleCoin": "USDT",
                "launchTime": "1584230400000",
                "deliveryTime": "0",
                "priceScale": str(i.tick_decimals),
                "leverageFilter": {"minLeverage": "1", "maxLeverage": f"{i.max_leverage:.2f}"},
                "priceFilter": {
                    "tickSize": f"{i.tick_mantissa / 10**i.tick_decimals:.8f}".rstrip("0")
                },
                "lotSizeFilter": {"qtyStep": f"{i.lot:.8f}".rstrip("0")},
                "fundingInterval": 480,
            }
            for i in self._of.values()
        ]

    def _tiers(self, symbol: str) -> list[dict[str, object]]:
        """The first deduction is an empty string, as the venue sends it."""
        return [
            {
                "id": n,
                "symbol": symbol,
                "riskLimitValue": f"{tier.cap:.0f}",
                "maintenanceMargin": f"{tier.maintenance_rate:.6f}",
                "initialMargin": f"{1 / tier.max_leverage:.6f}",
                "isLowestRisk": int(n == 1),
                "maxLeverage": f"{tier.max_leverage:.2f}",
                "mmDeduction": f"{tier.deduction:.4f}" if n > 1 else "",
            }
            for n, tier in enumerate(self._market.tiers(self._of[symbol].id), start=1)
        ]


def _changes(before: Sides, now: Sides) -> Sides:
    """Levels that differ, 0 for those that are gone."""
    sides = []
    for old, new in zip(before, now, strict=True):
        side = {t: 0.0 for t in old if t not in new}
        side.update({t: q for t, q in new.items() if old.get(t) != q})
        sides.append(side)
    return sides[0], sides[1]


def _within(at_ms: int, query: dict[str, str], first: str, last: str) -> bool:
    return int(query.get(first, "0")) <= at_ms <= int(query.get(last, str(1 << 60)))
