"""OKX v5 swaps as the built-in market speaks it: contracts, sequence ids, a partial feed."""

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
PATH = "/ws/v5/public"
HEARTBEAT_NS = 60_000_000_000


class OkxProtocol:
    """books: 400 levels, prevSeqId chain, checksum always 0, empty heartbeats after a minute."""

    name = "okx"
    ws_paths = ("/ws/v5/public", "/ws/v5/business")

    def __init__(self, market: Market) -> None:
        self._market = market
        self._of = {i.symbol: i for i in market.instruments if i.venue == self.name}
        self._write = {symbol: Writer(i) for symbol, i in self._of.items()}
        # The newest trades, for those who ask by REST.
        self._past: dict[str, deque[dict[str, object]]] = {s: deque(maxlen=4_000) for s in self._of}
        self._seq = dict.fromkeys(self._of, 1_000)
        self._book_ns = dict.fromkeys(self._of, 0)
        self._shown: dict[str, tuple[float, float, int]] = {}
        self._steps: dict[str, InstrumentStep] = {}
        self._ended: set[str] = set()
        self._windows: Windows = ()
        self._is_changed = False  # the list of instruments: told with the next step
        self._sent: dict[str, int] = {}

    # ---- WebSocket ----------------------------------------------------------------------------

    def control(self, client: Client, text: str) -> Sequence[bytes]:
        if text == "ping":
            return (b"pong",)
        try:
            message = json.loads(text)
            op, args = message["op"], message["args"]
        except (ValueError, KeyError, TypeError):
            return (b'{"event":"error","code":"60012","msg":"Invalid request","connId":"lab"}',)
        out: list[bytes] = []
        for arg in args:
            topic = _topic(arg)
            if op == "subscribe" and not self._knows(arg):
                why = f"Wrong URL or channel:{arg.get('channel')} doesn't exist"
                out.append(
                    ENC.encode({"event": "error", "code": "60018", "msg": why, "connId": "lab"})
                )
                continue
            out.append(ENC.encode({"event": op, "arg": arg, "connId": "lab"}))
            if op == "subscribe":
                client.topics.add(topic)
                out += self._first(arg)
            else:
                client.topics.discard(topic)
        return out

    def _knows(self, arg: dict[str, str]) -> bool:
        if arg.get("channel") in ("liquidation-orders", "instruments"):
            return arg.get("instType") == "SWAP"
        name = arg.get("instId", "")
        if arg.get("channel") == "index-tickers":
            name += "-SWAP"
        return name in self._of

    def _first(self, arg: dict[str, str]) -> list[bytes]:
        """A snapshot of the book; the current state of the slow channels."""
        symbol, channel = arg.get("instId", ""), arg["channel"]
        if not symbol:
            return []
        if channel == "books":
            book, write = self._market.book(self._of[symbol].id), self._write[symbol]
            sides = [
                [
                    [write.ticks(t), write.quantity(q), "0", "1"]
                    for t, q in zip(ticks[:400].tolist(), sizes[:400].tolist(), strict=True)
                ]
                for ticks, sizes in (
                    (book.ask_ticks, book.ask_quantity),
                    (book.bid_ticks, book.bid_quantity),
                )
            ]
            row = self._book_row(sides[0], sides[1], -1, self._seq[symbol])
            return [ENC.encode({"arg": arg, "action": "snapshot", "data": [row]})]
        step = self._steps.get(symbol)
        if step is None:
            return []
        return [m.payload for m in self._slow(symbol, step) if m.topic == _topic(arg)]

    def _book_row(
        self, asks: list[list[str]], bids: list[list[str]], previous: int, now: int
    ) -> dict[str, object]:
        return {
            "asks": asks,
            "bids": bids,
            "ts": str(self._market.now_ns // MS),
            "checksum": 0,
            "prevSeqId": previous,
            "seqId": now,
        }

    def step(self, steps: Sequence[InstrumentStep], now_ns: int) -> Sequence[Message]:
        out: list[Message] = []
        if self._is_changed:
            self._is_changed = False
            arg = {"channel": "instruments", "instType": "SWAP"}
            body = {"arg": arg, "data": self._instruments()}
            out.append(Message(PATH, _topic(arg), ENC.encode(body)))
        for step in steps:
            symbol = step.instrument_id.partition(":")[2]
            if symbol in self._ended:
                continue
            self._steps[symbol] = step
            self._book(out, symbol, step)
            self._trades(out, symbol, step)
            for message in self._slow(symbol, step):
                every = 3_000_000_000
                if message.topic.startswith("mark-price"):
                    every = 200_000_000
                elif message.topic.startswith("index"):
                    every = 500_000_000
                elif message.topic.startswith("funding"):
                    every = 30_000_000_000
                if now_ns - self._sent.get(message.topic, 0) >= every:
                    self._sent[message.topic] = now_ns
                    out.append(message)
            self._liquidations(out, symbol, step)
        return out

    def _book(self, out: list[Message], symbol: str, step: InstrumentStep) -> None:
        write, book = self._write[symbol], step.book
        arg = {"channel": "books", "instId": symbol}
        previous = self._seq[symbol]
        if not len(book.price_ticks):
            if step.at_ns - self._book_ns[symbol] > HEARTBEAT_NS:
                self._book_ns[symbol] = step.at_ns
                row = self._book_row([], [], previous, previous)
                body = {"arg": arg, "action": "update", "data": [row]}
                out.append(Message(PATH, _topic(arg), ENC.encode(body)))
            return
        self._book_ns[symbol] = step.at_ns
        self._seq[symbol] = previous + len(book.price_ticks)
        sides: tuple[list[list[str]], list[list[str]]] = ([], [])
        for tick, quantity, is_bid in zip(
            book.price_ticks.tolist(), book.quantity.tolist(), book.is_bid.tolist(), strict=True
        ):
            orders = "1" if quantity > 0.0 else "0"
            sides[1 if is_bid else 0].append(
                [write.ticks(tick), write.quantity(quantity), "0", orders]
            )
        row = self._book_row(sides[0], sides[1], previous, self._seq[symbol])
        body = {"arg": arg, "action": "update", "data": [row]}
        out.append(Message(PATH, _topic(arg), ENC.encode(body)))

    def _trades(self, out: list[Message], symbol: str, step: InstrumentStep) -> None:
        write, t = self._write[symbol], step.trades
        arg = {"channel": "trades", "instId": symbol}
        for i in range(len(t)):
            if t.kind[i] > LIQUIDATION:
                continue
            row: dict[str, object] = {
                "instId": symbol,
                "tradeId": str(int(t.trade_id[i])),
                "px": write.ticks(int(t.price_ticks[i])),
                "sz": write.quantity(float(t.quantity[i])),
                "side": "buy" if t.is_buy[i] else "sell",
                "ts": str(int(t.event_ns[i]) // MS),
                "count": "1",
                "source": "0",
                "seqId": self._seq[symbol],
            }
            self._past[symbol].append(row)
            out.append(Message(PATH, _topic(arg), ENC.encode({"arg": arg, "data": [row]})))

    def _slow(self, symbol: str, step: InstrumentStep) -> list[Message]:
        write, at = self._write[symbol], str(step.at_ns // MS)
        index = symbol.removesuffix("-SWAP")
        coins = step.open_interest_base
        contracts = coins / self._of[symbol].quantity_factor
        interval_ms = 8 * 3_600_000
        rows = {
            "mark-price": (symbol, {"markPx": write.price(step.mark)}),
            "index-tickers": (index, {"idxPx": write.price(step.index)}),
            "open-interest": (
                symbol,
                {
                    "oi": f"{contracts:.2f}",
                    "oiCcy": f"{coins:.4f}",
                    "oiUsd": f"{coins * step.mark:.4f}",
                },
            ),
            "funding-rate": (
                symbol,
                {
                    "fundingRate": f"{step.funding_rate:.10f}",
                    "fundingTime": str(step.next_funding_ns // MS),
                    "nextFundingTime": str(step.next_funding_ns // MS + interval_ms),
                    "nextFundingRate": "",
                    "method": "current_period",
                },
            ),
        }
        out = []
        for channel, (name, body) in rows.items():
            arg = {"channel": channel, "instId": name}
            row = {"instId": name, "instType": "SWAP", **body, "ts": at}
            out.append(Message(PATH, _topic(arg), ENC.encode({"arg": arg, "data": [row]})))
        return out

    def _liquidations(self, out: list[Message], symbol: str, step: InstrumentStep) -> None:
        """At most one a contract and second: the venue says that its feed is not the total."""
        write, p = self._write[symbol], step.liquidations
        arg = {"channel": "liquidation-orders", "instType": "SWAP"}
        for i in range(len(p)):
            second = int(p.event_ns[i]) // 1_000_000_000
            if self._shown.get(symbol, (0.0, 0.0, 0))[2] == second:
                continue
            self._shown[symbol] = (0.0, 0.0, second)
            detail = {
                "bkLoss": "0",
                "bkPx": write.price(float(p.bankruptcy_price[i])),
                "ccy": "",
                "posSide": "net",
                "side": "sell" if p.position_side[i] == 0 else "buy",
                "sz": write.quantity(float(p.quantity[i])),
                "ts": str(int(p.event_ns[i]) // MS),
            }
            family = symbol.removesuffix("-SWAP")
            row = {
                "details": [detail],
                "instFamily": family,
                "instId": symbol,
                "instType": "SWAP",
                "uly": family,
            }
            out.append(Message(PATH, _topic(arg), ENC.encode({"arg": arg, "data": [row]})))

    def closing_notice(self) -> bytes:
        """What the venue says before it closes connections for an upgrade."""
        why = "The connection will soon be closed for a service upgrade. Please reconnect."
        return ENC.encode({"event": "notice", "code": "64008", "msg": why, "connId": "lab"})

    def change_contract(self, factor: float) -> None:
        """Contracts are `factor` times as large from now on, and listed as such."""
        for symbol, of in self._of.items():
            changed = msgspec.structs.replace(
                of, quantity_factor=of.quantity_factor * factor, lot=of.lot / factor
            )
            self._of[symbol], self._write[symbol] = changed, Writer(changed)
        self._is_changed = True

    def announce(self, windows: Windows) -> None:
        """Planned work, listed from now on."""
        self._windows = windows

    def delist(self) -> None:
        """The first instrument ends: silent from now on, and listed as such."""
        self._ended.update(list(self._of)[:1])
        self._is_changed = True

    # ---- REST ---------------------------------------------------------------------------------

    def rest(self, path: str, query: dict[str, str], body: bytes) -> Reply:
        del body
        data = self._data(path, query)
        if data is None:
            return Reply(b'{"code":"51001","msg":"Instrument ID does not exist","data":[]}')
        return Reply(ENC.encode({"code": "0", "msg": "", "data": data}))

    def _data(self, path: str, query: dict[str, str]) -> object | None:
        if path == "/api/v5/public/instruments":
            return self._instruments()
        if path == "/api/v5/public/position-tiers":
            return self._tiers(query.get("instFamily", ""))
        if path == "/api/v5/public/insurance-fund":
            return self._fund(query.get("instFamily", ""))
        if path == "/api/v5/system/status":
            return [
                {
                    "title": "Service upgrade",
                    "state": state,
                    "begin": begin,
                    "end": end,
                    "preOpenBegin": "",
                    "href": "",
                    "serviceType": "0",
                    "system": "unified",
                    "scheDesc": "",
                    "maintType": "1",
                    "env": "1",
                }
                for state, begin, end in states(self._windows, self._market.now_ns)
                if state != "completed"
            ]
        symbol = query.get("instId", "")
        if symbol not in self._of:
            return None
        history = self._market.history(self._of[symbol].id)
        if path == "/api/v5/rubik/stat/contracts/open-interest-history":
            factor = self._of[symbol].quantity_factor
            rows = []
            for at, oi in zip(history.oi_ns.tolist(), history.open_interest.tolist(), strict=True):
                if int(query.get("begin", "0")) <= at // MS <= int(query.get("end", str(1 << 60))):
                    mark = float(history.mark[-1, 3]) if len(history.mark) else 0.0
                    k = int(history.candle_end_ns.searchsorted(at))
                    if k < len(history.mark):
                        mark = float(history.mark[k, 3])
                    usd = f"{oi * mark:.4f}"
                    rows.append([str(at // MS), f"{oi / factor:.2f}", f"{oi:.4f}", usd])
            return rows[::-1][: int(query.get("limit", "100"))]
        if path == "/api/v5/rubik/stat/contracts/long-short-account-ratio-contract":
            share = float(history.long_accounts[-1]) if len(history.long_accounts) else 0.5
            at = int(history.oi_ns[-1]) // MS if len(history.oi_ns) else 0
            return [[str(at), f"{share / (1 - share):.4f}"]]
        if path == "/api/v5/public/funding-rate-history":
            paid = [
                {
                    "instId": symbol,
                    "instType": "SWAP",
                    "fundingRate": f"{rate:.10f}",
                    "realizedRate": f"{rate:.10f}",
                    "fundingTime": str(at // MS),
                }
                for at, rate in zip(
                    history.funding_ns.tolist(), history.funding_rate.tolist(), strict=True
                )
            ]
            return paid[::-1]
        if path in ("/api/v5/market/trades", "/api/v5/market/history-trades"):
            last = int(query.get("after", str(1 << 62)))
            older = [row for row in self._past[symbol] if int(str(row["tradeId"])) < last]
            return older[: -int(query.get("limit", "100")) - 1 : -1]
        if "candles" in path:
            return self._candles(path, symbol, query)
        step = self._steps.get(symbol)
        channel = path.rpartition("/")[2]
        for message in self._slow(symbol, step) if step is not None else []:
            if message.topic.startswith(channel):
                data: object = json.loads(message.payload)["data"]
                return data
        return None

    def _fund(self, family: str) -> list[dict[str, object]] | None:
        of = self._of.get(f"{family}-SWAP")
        if of is None:
            return None
        balance = f"{self._market.insurance_fund_usd(of.id):.4f}"
        row = {
            "adlType": "",
            "amt": "",
            "balance": balance,
            "ccy": "USDT",
            "decRate": "",
            "maxBal": "",
            "maxBalTs": "",
            "ts": str(self._market.now_ns // MS),
            "type": "regular_update",
        }
        return [{"details": [row], "instFamily": family, "instType": "SWAP", "total": balance}]

    def _candles(self, path: str, symbol: str, query: dict[str, str]) -> list[list[str]]:
        history, write = self._market.history(self._of[symbol].id), self._write[symbol]
        table = history.last
        if "mark-price" in path:
            table = history.mark
        elif "index" in path:
            table = history.index
        minutes = {"1m": 1, "5m": 5, "15m": 15, "1H": 60}[query.get("bar", "1m")]
        after, before = int(query.get("after", str(1 << 60))), int(query.get("before", "0"))
        rows = []
        for end_ns, o, h, low, c, volume, _ in candles(
            history.candle_end_ns, table, history.volume, history.taker_buy, minutes
        ):
            start_ms = end_ns // MS - minutes * 60_000
            if not before < start_ms < after:
                continue
            row = [str(start_ms), *(write.price(x) for x in (o, h, low, c))]
            if table is history.last:
                contracts = volume / self._of[symbol].quantity_factor
                row += [f"{contracts:.2f}", f"{volume:.4f}", f"{volume * c:.2f}"]
            rows.append([*row, "1"])
        return rows[::-1][: int(query.get("limit", "100"))]

    def _instruments(self) -> list[dict[str, str]]:
        return [
            {
                "instType": "SWAP",
                "instId": i.symbol,
                "instFamily": i.symbol.removesuffix("-SWAP"),
                "uly": i.symbol.removesuffix("-SWAP"),
                "ctVal": f"{i.quantity_factor:g}",
                "ctMult": "1",
                "ctValCcy": i.base,
                "ctType": "linear",
                "settleCcy": "USDT",
                "tickSz": f"{i.tick_mantissa / 10**i.tick_decimals:.8f}".rstrip("0"),
                "lotSz": f"{i.lot:g}",
                "minSz": f"{i.lot:g}",
                "lever": f"{i.max_leverage:g}",
                "state": "suspend" if i.symbol in self._ended else "live",
                "listTime": "1573557408000",
                "expTime": "",
            }
            for i in self._of.values()
        ]

    def _tiers(self, family: str) -> list[dict[str, str]] | None:
        of = self._of.get(f"{family}-SWAP")
        if of is None:
            return None
        return [
            {
                "tier": str(n),
                "instFamily": family,
                "uly": family,
                "instId": "",
                "minSz": f"{tier.floor / of.quantity_factor:.2f}",
                "maxSz": f"{tier.cap / of.quantity_factor:.2f}",
                "mmr": f"{tier.maintenance_rate:.6f}",
                "imr": f"{1 / tier.max_leverage:.6f}",
                "maxLever": f"{tier.max_leverage:g}",
            }
            for n, tier in enumerate(self._market.tiers(of.id), start=1)
        ]


def _topic(arg: dict[str, str]) -> str:
    return f"{arg.get('channel', '')}:{arg.get('instId', arg.get('instType', ''))}"
