"""Hyperliquid as the built-in market speaks it: whole books, hourly funding, public accounts."""

from __future__ import annotations

import hashlib
import json
import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from liqfield.lab.market_types import LIQUIDATION, InstrumentStep, Market
from liqfield.lab.servers.binance import candles
from liqfield.lab.servers.desk import Client, Message, Reply
from liqfield.lab.servers.numbers import Writer
from liqfield.model.durations import MS
from liqfield.model.events import IntArray

ENC = msgspec.json.Encoder()
PATH = "/ws"
_MINUTES = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240}


_USDC = {
    "name": "USDC",
    "szDecimals": 8,
    "weiDecimals": 8,
    "index": 0,
    "tokenId": "0x6d1e7cde53ba9467b783cb7c530ce054",
    "isCanonical": True,
    "evmContract": None,
    "fullName": None,
}


def address(account: int) -> str:
    """A stable pseudonym that looks like an address."""
    return "0x" + hashlib.sha256(f"lab {account}".encode()).hexdigest()[:40]


class HyperliquidProtocol:
    """Cadence as of late 2026: 20 levels every 5 s, `fast` 5 levels every 0.5 s."""

    name = "hyperliquid"
    ws_paths = (PATH,)

    def __init__(self, market: Market) -> None:
        self._market = market
        self._of = {i.symbol: i for i in market.instruments if i.venue == self.name}
        self._write = {symbol: Writer(i) for symbol, i in self._of.items()}
        # The newest trades, for those who ask by REST.
        self._past: dict[str, deque[dict[str, object]]] = {s: deque(maxlen=60) for s in self._of}
        self._steps: dict[str, InstrumentStep] = {}
        self._ended: set[str] = set()
        self._sent: dict[str, int] = {}
        self._quote: dict[str, tuple[int, float, int, float]] = {}
        self._accounts: dict[str, IntArray | None] = {}
        self._names: dict[int, str] = {}
        self._account_of: dict[str, int] = {}

    # ---- WebSocket ----------------------------------------------------------------------------

    def control(self, client: Client, text: str) -> Sequence[bytes]:
        try:
            message = json.loads(text)
            method = message["method"]
        except (ValueError, KeyError, TypeError):
            return (
                b'{"channel":"error","data":"Error parsing JSON into valid websocket request"}',
            )
        if method == "ping":
            return (b'{"channel":"pong"}',)
        subscription = message.get("subscription", {})
        topic = _topic(subscription)
        ack = {"channel": "subscriptionResponse", "data": message}
        if method == "unsubscribe":
            client.topics.discard(topic)
            return (ENC.encode(ack),)
        if topic in client.topics:
            return (ENC.encode({"channel": "error", "data": f"Already subscribed: {text[:80]}"}),)
        if subscription.get("coin") not in self._of and subscription.get("type") != "allMids":
            return (ENC.encode({"channel": "error", "data": f"Invalid subscription {text[:80]}"}),)
        client.topics.add(topic)
        return (ENC.encode(ack), *self._first(subscription))

    def _first(self, subscription: dict[str, Any]) -> list[bytes]:
        coin = subscription.get("coin", "")
        step = self._steps.get(coin)
        if subscription["type"] == "l2Book":
            return [self._book(coin, fast=bool(subscription.get("fast")))]
        if subscription["type"] == "activeAssetCtx" and step is not None:
            return [self._context(coin, step)]
        return []

    def step(self, steps: Sequence[InstrumentStep], now_ns: int) -> Sequence[Message]:
        out: list[Message] = []
        for step in steps:
            coin = step.instrument_id.partition(":")[2]
            if coin in self._ended:
                continue
            self._steps[coin] = step
            if self._due(f"slow {coin}", now_ns, 5_000_000_000):
                out.append(Message(PATH, f"l2Book:{coin}", self._book(coin, fast=False)))
            if self._due(f"fast {coin}", now_ns, 500_000_000):
                out.append(Message(PATH, f"l2Book:{coin}:fast", self._book(coin, fast=True)))
            if self._due(f"ctx {coin}", now_ns, 1_000_000_000):
                out.append(Message(PATH, f"activeAssetCtx:{coin}", self._context(coin, step)))
            self._trades(out, coin, step)
            self._bbo(out, coin, step)
        return out

    def _due(self, key: str, now_ns: int, every_ns: int) -> bool:
        if now_ns - self._sent.get(key, 0) < every_ns:
            return False
        self._sent[key] = now_ns
        return True

    def _book_data(self, coin: str, count: int) -> dict[str, object]:
        book, write = self._market.book(self._of[coin].id), self._write[coin]
        sides = [
            [
                {"px": write.ticks(t), "sz": write.quantity(q), "n": 1}
                for t, q in zip(ticks[:count].tolist(), sizes[:count].tolist(), strict=True)
            ]
            for ticks, sizes in (
                (book.bid_ticks, book.bid_quantity),
                (book.ask_ticks, book.ask_quantity),
            )
        ]
        return {"coin": coin, "time": self._market.now_ns // MS, "levels": sides}

    def _book(self, coin: str, *, fast: bool) -> bytes:
        data = self._book_data(coin, 5 if fast else 20)
        if fast:
            data["fast"] = True
        return ENC.encode({"channel": "l2Book", "data": data})

    def _users(self, coin: str, trade_id: int) -> list[str]:
        """Two accounts that hold positions, so that whoever follows the tape can find them."""
        accounts = self._accounts.get(coin)
        if accounts is None:
            return [self._name(trade_id), self._name(trade_id + 1)]
        return [
            self._name(int(accounts[(trade_id * k + 1) % len(accounts)])) for k in (7_919, 104_729)
        ]

    def _name(self, account: int) -> str:
        name = self._names.get(account)
        if name is None:
            name = self._names[account] = address(account)
            self._account_of[name] = account
        return name

    def _trades(self, out: list[Message], coin: str, step: InstrumentStep) -> None:
        write, t = self._write[coin], step.trades
        if len(t) and self._due(f"accounts {coin}", step.at_ns, 10_000_000_000):
            accounts = self._market.positions(self._of[coin].id)["account"]
            self._accounts[coin] = accounts if len(accounts) else None
        rows: list[dict[str, object]] = [
            {
                "coin": coin,
                "side": "B" if t.is_buy[i] else "A",
                "px": write.ticks(int(t.price_ticks[i])),
                "sz": write.quantity(float(t.quantity[i])),
                "time": int(t.event_ns[i]) // MS,
                "hash": "0x" + "0" * 64,
                "tid": int(t.trade_id[i]),
                "users": self._users(coin, int(t.trade_id[i])),
            }
            for i in range(len(t))
            if t.kind[i] <= LIQUIDATION
        ]
        self._past[coin].extend(rows)
        if rows:
            body = ENC.encode({"channel": "trades", "data": rows})
            out.append(Message(PATH, f"trades:{coin}", body))

    def _bbo(self, out: list[Message], coin: str, step: InstrumentStep) -> None:
        write = self._write[coin]
        quote = (step.bid_ticks, step.bid_quantity, step.ask_ticks, step.ask_quantity)
        if quote == self._quote.get(coin) or not step.bid_ticks or not step.ask_ticks:
            return
        self._quote[coin] = quote
        bbo = [
            {"px": write.ticks(quote[0]), "sz": write.quantity(quote[1]), "n": 1},
            {"px": write.ticks(quote[2]), "sz": write.quantity(quote[3]), "n": 1},
        ]
        data = {"coin": coin, "time": step.at_ns // MS, "bbo": bbo}
        out.append(Message(PATH, f"bbo:{coin}", ENC.encode({"channel": "bbo", "data": data})))

    def _context_data(self, coin: str, step: InstrumentStep) -> dict[str, object]:
        write = self._write[coin]
        return {
            "funding": f"{step.funding_rate:.10f}",
            "openInterest": write.quantity(step.open_interest_base),
            "prevDayPx": write.price(step.mark),
            "dayNtlVlm": "0.0",
            "premium": f"{step.mark / step.index - 1.0:.10f}" if step.index else None,
            "oraclePx": f"{step.index:.6f}",
            "markPx": f"{step.mark:.6f}",
            "midPx": f"{step.last:.6f}",
            "impactPxs": [write.ticks(step.bid_ticks), write.ticks(step.ask_ticks)],
        }

    def _context(self, coin: str, step: InstrumentStep) -> bytes:
        data = {"coin": coin, "ctx": self._context_data(coin, step)}
        return ENC.encode({"channel": "activeAssetCtx", "data": data})

    def delist(self) -> None:
        """The first instrument ends: silent from now on, and listed as such."""
        self._ended.update(list(self._of)[:1])

    # ---- REST ---------------------------------------------------------------------------------

    def rest(self, path: str, query: dict[str, str], body: bytes) -> Reply:
        del query
        if path != "/info":
            return Reply(b'"not found"', 404)
        try:
            request = json.loads(body)
            made = self._info(request)
        except (ValueError, KeyError, TypeError):
            return Reply(b'"Failed to deserialize the JSON body into the target type"', 422)
        return Reply(ENC.encode(made)) if made is not None else Reply(b'"unknown type"', 422)

    def _info(self, request: dict[str, Any]) -> object | None:
        kind = request["type"]
        coin = request.get("coin") or request.get("req", {}).get("coin", "")
        if kind == "meta":
            return self._meta()
        if kind == "spotMeta":
            return {"tokens": [_USDC], "universe": []}
        if kind == "metaAndAssetCtxs":
            rows = [self._latest(symbol) for symbol in self._of]
            return [self._meta(), rows]
        if kind == "allMids":
            return {symbol: f"{step.last:.6f}" for symbol, step in self._steps.items()}
        if kind == "clearinghouseState":
            return self._account(str(request["user"]))
        if coin not in self._of:
            return None
        history, write = self._market.history(self._of[coin].id), self._write[coin]
        if kind == "l2Book":
            return self._book_data(coin, 20)
        if kind == "candleSnapshot":
            req = request["req"]
            minutes = _MINUTES[req["interval"]]
            start, end = int(req["startTime"]), int(req.get("endTime", 1 << 60))
            rows = []
            for end_ns, o, h, low, c, volume, _ in candles(
                history.candle_end_ns, history.last, history.volume, history.taker_buy, minutes
            ):
                end_ms = end_ns // MS
                if start <= end_ms - minutes * 60_000 <= end:
                    rows.append(
                        {
                            "t": end_ms - minutes * 60_000,
                            "T": end_ms - 1,
                            "s": coin,
                            "i": req["interval"],
                            "o": write.price(o),
                            "c": write.price(c),
                            "h": write.price(h),
                            "l": write.price(low),
                            "v": write.quantity(volume),
                            "n": 100,
                        }
                    )
            return rows[-5000:]
        if kind == "fundingHistory":
            start, end = int(request["startTime"]), int(request.get("endTime", 1 << 60))
            return [
                {"coin": coin, "fundingRate": f"{rate:.10f}", "premium": "0.0", "time": at // MS}
                for at, rate in zip(
                    history.funding_ns.tolist(), history.funding_rate.tolist(), strict=True
                )
                if start <= at // MS <= end
            ][:500]
        if kind == "recentTrades":
            return list(self._past[coin])[::-1]
        return None

    def _latest(self, symbol: str) -> dict[str, object]:
        step = self._steps.get(symbol)
        if step is not None:
            return self._context_data(symbol, step)
        history = self._market.history(self._of[symbol].id)
        mark = float(history.mark[-1, 3]) if len(history.mark) else 1.0
        oi = float(history.open_interest[-1]) if len(history.open_interest) else 0.0
        return {
            "funding": "0.0000125",
            "openInterest": self._write[symbol].quantity(oi),
            "prevDayPx": f"{mark:.6f}",
            "dayNtlVlm": "0.0",
            "premium": None,
            "oraclePx": f"{mark:.6f}",
            "markPx": f"{mark:.6f}",
            "midPx": None,
            "impactPxs": None,
        }

    def _meta(self) -> dict[str, object]:
        universe, tables = [], []
        for n, i in enumerate(self._of.values()):
            tiers = self._market.tiers(i.id)
            universe.append(
                {
                    "name": i.symbol,
                    "szDecimals": max(0, round(-math.log10(i.lot))),
                    "maxLeverage": int(tiers[0].max_leverage),
                    "marginTableId": 51 + n,
                    **({"isDelisted": True} if i.symbol in self._ended else {}),
                }
            )
            rows = [
                {"lowerBound": f"{t.floor:.1f}", "maxLeverage": int(t.max_leverage)} for t in tiers
            ]
            tables.append([51 + n, {"description": f"lab {i.symbol}", "marginTiers": rows}])
        return {"universe": universe, "marginTables": tables}

    def _account(self, user: str) -> dict[str, object]:
        """Any account of the market: the truth, as this venue publishes it."""
        positions = []
        value = 0.0
        account = self._account_of.get(user, -1)
        for symbol, of in self._of.items():
            write = self._write[symbol]
            table = self._market.positions(of.id)
            for row in table[table["account"] == account]:
                sign = "-" if row["side"] == 1 else ""
                value += float(row["margin"])
                liquidation = float(row["liquidation_price"])
                positions.append(
                    {
                        "type": "oneWay",
                        "position": {
                            "coin": symbol,
                            "szi": sign + write.quantity(float(row["quantity"])),
                            "entryPx": f"{row['entry']:.6f}",
                            "leverage": {
                                "type": "cross" if row["is_cross"] else "isolated",
                                "value": max(1, round(float(row["leverage_setting"]))),
                            },
                            "liquidationPx": f"{liquidation:.6f}" if liquidation > 0.0 else None,
                            "marginUsed": f"{row['margin']:.6f}",
                        },
                    }
                )
        summary = {"accountValue": f"{value:.6f}", "totalNtlPos": "0.0"}
        now = self._market.now_ns // MS
        return {"assetPositions": positions, "marginSummary": summary, "time": now}


def _topic(subscription: dict[str, Any]) -> str:
    suffix = ":fast" if subscription.get("fast") else ""
    return f"{subscription.get('type', '')}:{subscription.get('coin', '')}{suffix}"
