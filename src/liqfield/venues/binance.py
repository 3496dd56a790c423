"""Binance futures: the USD-M venue, and the protocol that COIN-M (binance_coinm.py) shares.

USD-M quantities are coins, liquidation side is the order's, open interest is counted once.
Streams are split over /public and /market; a stream on the wrong path is acknowledged and silent.
Rules and sources: docs/venues/binance.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from liqfield.model.durations import MS
from liqfield.model.events import Event, Frame, Notice, Trade, Unknown
from liqfield.model.instrument import Instrument
from liqfield.model.requests import HttpRequest
from liqfield.model.sides import BookRule
from liqfield.venues.binance_replies import replies
from liqfield.venues.binance_scan import scanned_shapes
from liqfield.venues.binance_streams import STREAMS
from liqfield.venues.contract import Budget, Connection, Heartbeat, Poll, Resync, StreamSpec
from liqfield.venues.decoding import base_and_factor, decimals_of
from liqfield.venues.routing import Envelope, Routed, batches, pages
from liqfield.venues.scan import Scanner

NAME = "binance"


class _Head(msgspec.Struct):
    """What says which message it is. `data`: the message, on combined streams; `st`: whose market
    it is of; `o`: a forced order, with an `st` of its own."""

    e: str = ""
    st: int = 0
    o: object = None
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    result: object = msgspec.UNSET
    id: object = None
    error: object = None


class Binance(Routed):
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.REST_THEN_PREVIOUS
    rest_url = "https://fapi.binance.com"
    ws_url = "wss://fstream.binance.com"
    api = "/fapi/v1"
    market = 1  # `st` of our messages on merged streams: contracts of the others are not coins
    budgets = (Budget("weight", 2400.0, 60.0), Budget("data", 1000.0, 300.0))
    pool = "weight"
    heartbeat = Heartbeat(180.0, b"", only_when_idle=True)
    max_age_s = 82_800.0

    def __init__(self) -> None:
        super().__init__(STREAMS, replies(self.api))
        self._scanner = Scanner(self.name, scanned_shapes(self.market))
        self._socket = ""

    def decode(self, frame: Frame, instruments: Mapping[str, Instrument]) -> Sequence[Event]:
        """Bytes to events. Raises DecodeError on malformed messages."""
        if frame.source != self._socket:
            if frame.source.startswith("rest:"):
                return super().decode(frame, instruments)
            self._socket = frame.source  # of the last message: a comparison is cheaper than a look
        events = self._scanner.scan(frame.payload, frame.received_ns, instruments)
        return super().decode(frame, instruments) if events is None else events

    def open_message(self, frame: Frame) -> Envelope | Notice | Unknown:
        head, body = self._reader.read(frame.payload, _Head, "stream"), frame.payload
        stream = head.stream
        if bytes(head.data):
            body = bytes(head.data)
            # Streams of all contracts come in rows of one kind.
            heads = self._reader.guard(
                frame, "stream", lambda: self._reader.read_many(body, _Head, "stream")
            )
            head = heads[0] if heads else _Head()
        elif head.error is not None:
            return self.notice(frame, "error", str(head.error))
        elif head.result is not msgspec.UNSET and not head.e:
            return self.notice(frame, "ack", str(head.id))
        if not head.e:
            raise self._reader.error(frame, "stream", "no kind")
        market = head.st or (head.o.get("st") if isinstance(head.o, dict) else 0)
        if market and market != self.market:
            other = "coin-margined" if self.market == 1 else "USD-margined"
            return Unknown(self.name, frame.received_ns, other)
        return Envelope(head.e, body, action=stream)

    # ---- what to ask for ----------------------------------------------------------------------

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        """Instruments, then the public bracket table (another host)."""
        del bases
        return (
            self.get(f"{self.api}/exchangeInfo"),
            HttpRequest(
                self.name,
                "/bapi/futures/v1/friendly/future/common/brackets",
                pool=self.pool,
                host="https://www.binance.com",
            ),
        )

    def ranking(self) -> Sequence[HttpRequest]:
        return (self.get(f"{self.api}/ticker/24hr", weight=40.0),)

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Books and quotes, trades and marks, liquidations: three sockets, two paths."""
        books, flow, force = [], [], []
        params: dict[str, list[str]] = {"books": [], "flow": [], "force": ["!contractInfo"]}
        for of in instruments:
            s = of.symbol.lower()
            params["books"] += [f"{s}@depth@100ms", f"{s}@bookTicker"]
            params["flow"] += [f"{s}@aggTrade", f"{s}@markPrice@1s"]
            params["force"] += [f"{s}@forceOrder"]
            books.append(StreamSpec(f"book {of.symbol}", ("BookDelta",), of.id, 3.0))
            books.append(StreamSpec(f"quote {of.symbol}", ("BestQuote",), of.id, 5.0))
            flow.append(StreamSpec(f"trades {of.symbol}", ("Trade",), of.id, 60.0))
            flow.append(StreamSpec(f"mark {of.symbol}", ("MarkPrice",), of.id, 4.0))
            force.append(StreamSpec(f"liquidations {of.symbol}", ("Liquidation",), of.id, 0.0))
        for of in instruments[:1]:
            # Liquidations may be silent for hours: trades prove that the connection lives.
            params["force"].append(f"{of.symbol.lower()}@aggTrade")
            force.append(StreamSpec(f"canary {of.symbol}", ("Trade",), of.id, 60.0, is_canary=True))
        return (
            self.subscription("books", "/public/ws", params["books"], books),
            self.subscription("flow", "/market/ws", params["flow"], flow),
            self.subscription("force", "/market/ws", params["force"], force),
        )

    def subscription(
        self, name: str, path: str, params: Sequence[str], streams: Iterable[StreamSpec]
    ) -> Connection:
        # 200 streams a SUBSCRIBE keep each message small; 10 messages a second are allowed.
        send = [
            msgspec.json.encode({"method": "SUBSCRIBE", "params": part, "id": n})
            for n, part in enumerate(batches(params, 200), 1)
        ]
        return self.connection(name, send, streams, path)

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Open interest has no stream; ratios refresh every five minutes, the fund every minute."""
        polls = []
        for of in instruments:
            path = f"{self.api}/openInterest?symbol={of.symbol}"
            polls.append(Poll(self.get(path, of.id), 5.0, ("OpenInterest",)))
            for series in ("globalLongShortAccountRatio", "topLongShortPositionRatio"):
                path = f"/futures/data/{series}?{self._series_of(of)}&period=5m&limit=1"
                polls.append(Poll(self.get(path, of.id, "data"), 300.0, ("PositioningRatio",)))
        if self.market == 1 and polls:
            polls.append(Poll(self.get(f"{self.api}/insuranceBalance"), 60.0, ("InsuranceFund",)))
        return polls

    def backfill(self, instrument: Instrument, start_ns: int, end_ns: int) -> Sequence[HttpRequest]:
        """1-minute candles, 5-minute marks and open interest, funding."""
        s, out = instrument.symbol, []
        start, end = start_ns // MS, end_ns // MS
        series = self._series_of(instrument)
        for path, pool, weight, unit_ms, rows, tail in (
            (f"{self.api}/markPriceKlines", "weight", 5.0, 300_000, 500, "interval=5m"),
            (f"{self.api}/klines", "weight", 10.0, 60_000, 1500, "interval=1m"),
            ("/futures/data/openInterestHist", "data", 1.0, 300_000, 500, "period=5m"),
        ):
            for at, upto in pages(start, end, rows * unit_ms):
                of = series if pool == "data" else f"symbol={s}"
                query = f"{path}?{of}&startTime={at}&endTime={upto}&{tail}&limit={rows}"
                out.append(self.get(query, instrument.id, pool, weight))
        query = f"{self.api}/fundingRate?symbol={s}&startTime={start}&endTime={end}&limit=1000"
        out.append(self.get(query, instrument.id, "data"))
        return out

    def _series_of(self, of: Instrument) -> str:
        """How the statistics name an instrument."""
        return f"symbol={of.symbol}"

    def resync(self, instrument: Instrument) -> Resync:
        path = f"{self.api}/depth?symbol={instrument.symbol}&limit=1000"
        return Resync(self.get(path, instrument.id, weight=20.0))

    def missed_trades(
        self, instrument: Instrument, before: Trade, after: Trade, page: int
    ) -> HttpRequest | None:
        """Aggregates by id: from the one after `before`, no more than are missing."""
        del page
        count = int(after.trade_id) - int(before.trade_id) - 1
        if count <= 0:
            return None
        first = int(before.trade_id) + 1
        path = f"{self.api}/aggTrades?symbol={instrument.symbol}&fromId={first}"
        path += f"&limit={min(count, 1000)}"
        return self.get(path, instrument.id, weight=20.0)

    def infer_instrument(self, frame: Frame) -> Instrument | None:
        """From a book or quote message of a recording without a list: the tick as written."""
        try:
            message = msgspec.json.decode(frame.payload)
        except msgspec.DecodeError:
            return None
        data = message.get("data", message) if isinstance(message, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get("s"), str):
            return None
        price = data.get("b")
        if isinstance(price, list) and price:
            price = price[0][0]
        price = price or data.get("p")
        if not isinstance(price, str):
            return None
        base, factor = base_and_factor(data["s"].removesuffix("USDT"))
        return Instrument(
            id=f"{self.name}:{data['s']}",
            venue=self.name,
            symbol=data["s"],
            base=base,
            quote="USDT",
            settle="USDT",
            tick_decimals=decimals_of(price),
            price_factor=1.0 / factor,
            quantity_factor=factor,
        )
