"""Bitget USDT perpetuals, unified v3 streams: quantities are coins, liquidations quote dollars.

The side of a liquidation is the position's and its amount is in USDT. Books chain by pseq = last
seq; pseq 0 is a reset. Rules and sources: docs/venues/bitget.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from liqfield.model.events import (
    BookDelta,
    BookSnapshot,
    Event,
    Frame,
    FundingRate,
    IndexPrice,
    Liquidation,
    MarkPrice,
    Notice,
    PositioningRatio,
    TierTable,
    Trade,
    Turnover,
    Unknown,
)
from liqfield.model.instrument import Instrument, tick_parts
from liqfield.model.margin import MarginTier, deductions
from liqfield.model.requests import HttpRequest
from liqfield.model.sides import (
    Aggressor,
    BookRule,
    CandleOf,
    Coverage,
    PositionSide,
    PriceKind,
)
from liqfield.venues.contract import Budget, Connection, Heartbeat, Poll, Resync, StreamSpec
from liqfield.venues.decoding import (
    MS,
    Found,
    Reader,
    base_and_factor,
    coins,
    find,
    finite,
    levels,
    listing,
    not_negative,
    open_interest,
    past_candle,
    positive,
    quote,
    request_of,
)

NAME = "bitget"
_PATH = "/v3/ws/public"
_KIND, _CATEGORY = "usdt-futures", "USDT-FUTURES"
_TAKER = {"buy": Aggressor.BUY, "sell": Aggressor.SELL}
_CLOSED = {"buy": PositionSide.LONG, "sell": PositionSide.SHORT}
_SPANS_MS = {"1m": 60_000, "5m": 300_000, "15m": 900_000, "1H": 3_600_000, "1D": 86_400_000}
_KINDS_OF = {"market": CandleOf.LAST, "mark": CandleOf.MARK, "index": CandleOf.INDEX}


class _Arg(msgspec.Struct, frozen=True):
    topic: str = ""
    instType: str = ""  # noqa: N815
    symbol: str = ""


class _Message(msgspec.Struct):
    arg: _Arg = _Arg()
    event: str = ""
    action: str = ""
    code: object = None
    msg: str = ""
    ts: int = 0
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _Book(msgspec.Struct):
    a: list[tuple[float, float]]
    b: list[tuple[float, float]]
    seq: int
    ts: int
    pseq: int = 0


class _Trade(msgspec.Struct):
    i: str
    p: float
    v: float
    S: str
    T: int


class _Ticker(msgspec.Struct):
    """An empty string = no value; `symbol` only in REST replies."""

    symbol: str = ""
    markPrice: str = ""  # noqa: N815
    indexPrice: str = ""  # noqa: N815
    fundingRate: str = ""  # noqa: N815
    nextFundingTime: str = ""  # noqa: N815
    openInterest: str = ""  # noqa: N815
    bid1Price: str = ""  # noqa: N815
    bid1Size: str = ""  # noqa: N815
    ask1Price: str = ""  # noqa: N815
    ask1Size: str = ""  # noqa: N815
    turnover24h: str = ""


class _Liquidated(msgspec.Struct):
    symbol: str
    side: str
    price: float
    amount: float
    ts: int


class _Contract(msgspec.Struct):
    symbol: str
    baseCoin: str  # noqa: N815
    quoteCoin: str  # noqa: N815
    priceMultiplier: str  # noqa: N815
    quantityMultiplier: str = "0"  # noqa: N815
    type: str = "perpetual"
    status: str = "online"
    maxLeverage: float = 0.0  # noqa: N815
    fundInterval: str = ""  # noqa: N815


class _Interest(msgspec.Struct):
    symbol: str
    openInterest: float  # noqa: N815


class _InterestList(msgspec.Struct):
    rows: list[_Interest] = msgspec.field(name="list")
    ts: int = 0


class _Funding(msgspec.Struct):
    symbol: str
    fundingRate: float  # noqa: N815
    fundingRateTimestamp: int  # noqa: N815


class _FundingList(msgspec.Struct):
    rows: list[_Funding] = msgspec.field(name="resultList")


class _Tier(msgspec.Struct):
    symbol: str
    startUnit: float  # noqa: N815
    endUnit: float  # noqa: N815
    leverage: float
    keepMarginRate: float  # noqa: N815


class _Ratio(msgspec.Struct):
    longAccountRatio: float  # noqa: N815
    shortAccountRatio: float  # noqa: N815
    ts: int


class _Envelope(msgspec.Struct):
    code: str
    msg: str = ""
    requestTime: int = 0  # noqa: N815
    data: msgspec.Raw = msgspec.Raw(b"null")


Instruments = Mapping[str, Instrument]
RestHandler = Callable[[_Envelope, Frame, dict[str, str], Instruments], list[Event]]


class Bitget:
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.PREVIOUS_ID
    rest_url = "https://api.bitget.com"
    ws_url = "wss://ws.bitget.com"
    budgets = (Budget("ip", 20.0, 1.0), Budget("ratio", 1.0, 1.0))

    def __init__(self) -> None:
        self._reader = Reader(NAME)
        self._topics: dict[str, Callable[[_Message, Frame, Instruments], list[Event]]] = {
            "books": self._on_book,
            "books1": self._on_quote,
            "publicTrade": self._on_trades,
            "ticker": self._on_ticker,
            "liquidation": self._on_liquidations,
        }
        self._rest: dict[str, RestHandler] = {
            "/api/v3/market/instruments": self._contracts,
            "/api/v3/market/tickers": self._tickers,
            "/api/v3/market/open-interest": self._open_interest,
            "/api/v3/market/history-fund-rate": self._funding,
            "/api/v3/market/candles": self._candles,
            "/api/v3/market/history-candles": self._candles,
            "/api/v2/mix/market/query-position-lever": self._tiers,
            "/api/v2/mix/market/account-long-short": self._ratios,
        }

    # ---- decode -------------------------------------------------------------------------------

    def decode(self, frame: Frame, instruments: Instruments) -> Sequence[Event]:
        """Bytes to events. Raises DecodeError on malformed messages."""
        if frame.source.startswith("rest:"):
            return self._decode_rest(frame, instruments)
        if frame.payload == b"pong":
            return [Notice(NAME, frame.received_ns, "pong")]
        m = self._reader.read(frame.payload, _Message, "stream")
        if m.event == "error":
            return [Notice(NAME, frame.received_ns, "error", f"{m.code} {m.msg}")]
        if m.event:
            return [Notice(NAME, frame.received_ns, "ack", m.arg.topic)]
        if not m.arg.topic:
            raise self._reader.error(frame, "stream", "neither a topic nor an event")
        topic = m.arg.topic
        if m.arg.instType and m.arg.instType != _KIND:
            return [Unknown(NAME, frame.received_ns, f"{m.arg.instType} {topic}")]
        handler = self._topics.get(topic)
        if handler is None:
            return [Unknown(NAME, frame.received_ns, topic)]
        return self._reader.guard(frame, topic, lambda: handler(m, frame, instruments))

    def _decode_rest(self, frame: Frame, instruments: Instruments) -> list[Event]:
        path, query, _ = request_of(frame.source)
        envelope = self._reader.read(frame.payload, _Envelope, path)
        if envelope.code != "00000":
            return [Notice(NAME, frame.received_ns, "error", f"{envelope.code} {envelope.msg}")]
        handler = self._rest.get(path)
        if handler is None:
            return [Unknown(NAME, frame.received_ns, f"rest {path}")]
        return self._reader.guard(frame, path, lambda: handler(envelope, frame, query, instruments))

    def _find(self, symbol: str, frame: Frame, known: Instruments) -> Found:
        return find(NAME, symbol, frame, known)

    def _on_book(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        of = self._find(m.arg.symbol, frame, known)
        rows = self._reader.read(bytes(m.data), list[_Book], "books")
        if isinstance(of, Unknown):
            return [of]
        got = frame.received_ns
        events: list[Event] = []
        for r in rows:
            made = levels(r.b, r.a, of)
            if m.action == "snapshot":
                events.append(BookSnapshot(of.id, r.ts * MS, got, r.seq, made))
            else:
                events.append(BookDelta(of.id, r.ts * MS, got, r.seq, r.seq, r.pseq, made))
        return events

    def _on_quote(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        of = self._find(m.arg.symbol, frame, known)
        rows = self._reader.read(bytes(m.data), list[_Book], "books1")
        if isinstance(of, Unknown):
            return [of]
        got = frame.received_ns
        return [quote(of, r.ts * MS, got, r.b[0], r.a[0], r.seq) for r in rows if r.b and r.a] or [
            Notice(NAME, got, "one-sided quote", of.symbol)
        ]

    def _on_trades(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        """A fresh subscription repeats the last trades: their ids tell."""
        of = self._find(m.arg.symbol, frame, known)
        rows = self._reader.read(bytes(m.data), list[_Trade], "publicTrade")
        if isinstance(of, Unknown):
            return [of]
        events: list[Event] = []
        for r in rows:
            price = positive(r.p) * of.price_factor
            quantity = coins(of, positive(r.v), price)
            got = frame.received_ns
            events.append(Trade(of.id, r.T * MS, got, price, quantity, _TAKER[r.S], r.i))
        return events

    def _on_ticker(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        of = self._find(m.arg.symbol, frame, known)
        rows = self._reader.read(bytes(m.data), list[_Ticker], "ticker")
        if isinstance(of, Unknown):
            return [of]
        return [event for r in rows for event in _ticker(of, r, m.ts * MS, frame)]

    def _on_liquidations(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        """One stream for all contracts; amount / price = coins of the contract's own unit."""
        events: list[Event] = []
        for r in self._reader.read(bytes(m.data), list[_Liquidated], "liquidation"):
            of = self._find(r.symbol, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            price = positive(r.price) * of.price_factor
            events.append(
                Liquidation(
                    of.id,
                    r.ts * MS,
                    frame.received_ns,
                    _CLOSED[r.side],
                    not_negative(r.amount) / price,
                    price,
                    PriceKind.FILL,
                    Coverage.SAMPLED,
                )
            )
        return events

    # ---- REST ---------------------------------------------------------------------------------

    def _contracts(
        self, m: _Envelope, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        rows = self._reader.read(bytes(m.data), list[_Contract], "instruments")
        at = frame.received_ns
        return [listing(_instrument(r), at, at) for r in rows]

    def _tickers(
        self, m: _Envelope, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        events: list[Event] = []
        at = m.requestTime * MS or frame.received_ns
        for r in self._reader.read(bytes(m.data), list[_Ticker], "tickers"):
            of = self._find(r.symbol, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            events += _ticker(of, r, at, frame)
            if r.turnover24h:
                usd = not_negative(float(r.turnover24h))
                events.append(Turnover(of.id, at, frame.received_ns, usd))
        return events

    def _open_interest(
        self, m: _Envelope, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        body = self._reader.read(bytes(m.data), _InterestList, "open-interest")
        events: list[Event] = []
        for r in body.rows:
            of = self._find(r.symbol, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            at = (body.ts or m.requestTime) * MS
            events.append(open_interest(of, at, frame.received_ns, r.openInterest, 0.0))
        return events

    def _funding(
        self, m: _Envelope, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        events: list[Event] = []
        for r in self._reader.read(bytes(m.data), _FundingList, "history-fund-rate").rows:
            of = self._find(r.symbol, frame, known)
            if isinstance(of, Unknown):
                return [of]
            at, hours = r.fundingRateTimestamp * MS, of.funding_interval_h
            rate, got = finite(r.fundingRate), frame.received_ns
            events.append(FundingRate(of.id, at, got, rate, hours, at, is_settled=True))
        return events

    def _candles(
        self, m: _Envelope, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        """[start, open, high, low, close, coins, quote]."""
        of = self._find(query.get("symbol", ""), frame, known)
        rows = self._reader.read(bytes(m.data), list[list[float]], "candles")
        if isinstance(of, Unknown):
            return [of]
        kind = _KINDS_OF[query.get("type", "market").lower()]
        span_ns = _SPANS_MS[query.get("interval", "1m")] * MS
        events: list[Event] = []
        for r in rows:
            span = (int(r[0]) * MS + span_ns, span_ns)
            volume = coins(of, r[5], positive(r[4])) if kind is CandleOf.LAST else 0.0
            events.append(past_candle(of, frame, kind, span, (r[1], r[2], r[3], r[4]), volume))
        return events

    def _tiers(
        self, m: _Envelope, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        rows = self._reader.read(bytes(m.data), list[_Tier], "query-position-lever")
        of = self._find(query.get("symbol", ""), frame, known)
        if isinstance(of, Unknown):
            return [of]
        if not rows:
            return [Notice(NAME, frame.received_ns, "unused", "no tiers")]
        rows.sort(key=lambda r: r.startUnit)
        floors = [not_negative(r.startUnit) for r in rows]
        rates = [positive(r.keepMarginRate) for r in rows]
        tiers = tuple(
            MarginTier(floor, positive(r.endUnit), positive(r.leverage), rate, deduction)
            for r, floor, rate, deduction in zip(
                rows, floors, rates, deductions(floors, rates), strict=True
            )
        )
        return [TierTable(of.id, frame.received_ns, frame.received_ns, tiers)]

    def _ratios(
        self, m: _Envelope, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        rows = self._reader.read(bytes(m.data), list[_Ratio], "account-long-short")
        of = self._find(query.get("symbol", ""), frame, known)
        if isinstance(of, Unknown):
            return [of]
        got = frame.received_ns
        return [
            PositioningRatio(
                of.id,
                r.ts * MS,
                got,
                "accounts",
                not_negative(r.longAccountRatio),
                not_negative(r.shortAccountRatio),
            )
            for r in rows[-1:]
        ]

    # ---- what to ask for ----------------------------------------------------------------------

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        paths = [f"/api/v3/market/instruments?category={_CATEGORY}"]
        paths += [
            f"/api/v2/mix/market/query-position-lever?symbol={base}USDT&productType={_KIND}"
            for base in bases
        ]
        return tuple(HttpRequest(NAME, path, pool="ip") for path in paths)

    def ranking(self) -> Sequence[HttpRequest]:
        path = f"/api/v3/market/tickers?category={_CATEGORY}"
        return (HttpRequest(NAME, path, pool="ip"),)

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Books, then everything else; the ticker carries mark, index, funding, open interest."""
        everything = [{"instType": _KIND, "topic": "liquidation"}]
        specs = [StreamSpec("liquidations", ("Liquidation",), "", 0.0)]
        for of in instruments:
            everything += [_arg(topic, of) for topic in ("ticker", "publicTrade")]
            specs.append(StreamSpec(f"mark {of.symbol}", ("MarkPrice",), of.id, 10.0))
            specs.append(StreamSpec(f"trades {of.symbol}", ("Trade",), of.id, 300.0))
        books = [
            StreamSpec(f"book {of.symbol}", ("BookDelta", "BookSnapshot"), of.id, 5.0)
            for of in instruments
        ]
        return (
            _connection("books", [_arg("books", of) for of in instruments], books),
            _connection("flow", everything, specs),
        )

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        polls = []
        for of in instruments:
            path = f"/api/v2/mix/market/account-long-short?symbol={of.symbol}&period=5m"
            request = HttpRequest(NAME, path, pool="ratio", instrument_id=of.id)
            polls.append(Poll(request, 300.0, ("PositioningRatio",)))
        return polls

    def backfill(self, instrument: Instrument, start_ns: int, end_ns: int) -> Sequence[HttpRequest]:
        """1-minute candles, 5-minute marks, funding; the venue keeps no past open interest."""
        s, paths = f"category={_CATEGORY}&symbol={instrument.symbol}", []
        begin, end = start_ns // MS, end_ns // MS
        for kind, interval in (("mark", "5m"), ("market", "1m")):
            step = 100 * _SPANS_MS[interval]  # rows that every version of the reply allows
            for at in range(begin, end, step):
                upto = min(at + step, end)
                paths.append(
                    f"/api/v3/market/history-candles?{s}&interval={interval}&type={kind}"
                    f"&startTime={at}&endTime={upto}&limit=100"
                )
        paths.append(f"/api/v3/market/history-fund-rate?{s}&limit=100")
        return [HttpRequest(NAME, path, "", 1.0, "ip", instrument.id) for path in paths]

    def resync(self, instrument: Instrument) -> Resync:
        """Leave and join: the first message is the whole book."""
        args = [_arg("books", instrument)]
        send = tuple(
            msgspec.json.encode({"op": op, "args": args}) for op in ("unsubscribe", "subscribe")
        )
        return Resync(connection="books", send=send)

    def infer_instrument(self, frame: Frame) -> Instrument | None:
        """The list is one request away; recordings hold it."""
        del frame
        return None


def _ticker(of: Instrument, t: _Ticker, at: int, frame: Frame) -> list[Event]:
    got, events, mark = frame.received_ns, list[Event](), 0.0
    if t.markPrice:
        mark = positive(float(t.markPrice)) * of.price_factor
        events.append(MarkPrice(of.id, at, got, mark))
    if t.indexPrice:
        index = positive(float(t.indexPrice)) * of.price_factor
        events.append(IndexPrice(of.id, at, got, index))
    if t.openInterest:
        events.append(open_interest(of, at, got, float(t.openInterest), mark))
    if t.fundingRate:
        due = int(t.nextFundingTime) * MS if t.nextFundingTime else 0
        rate = finite(float(t.fundingRate))
        events.append(FundingRate(of.id, at, got, rate, of.funding_interval_h, due))
    best = (t.bid1Price, t.bid1Size, t.ask1Price, t.ask1Size)
    if all(best):
        bid, bid_size, ask, ask_size = (float(x) for x in best)
        if bid > 0.0 and ask > 0.0:
            events.append(quote(of, at, got, (bid, bid_size), (ask, ask_size)))
    return events


def _instrument(c: _Contract) -> Instrument:
    mantissa, decimals = tick_parts(c.priceMultiplier)
    base, factor = base_and_factor(c.baseCoin)
    return Instrument(
        id=f"{NAME}:{c.symbol}",
        venue=NAME,
        symbol=c.symbol,
        base=base,
        quote=c.quoteCoin,
        settle=c.quoteCoin,
        tick_mantissa=mantissa,
        tick_decimals=decimals,
        price_factor=1.0 / factor,
        quantity_factor=factor,
        lot=float(c.quantityMultiplier),
        max_leverage=c.maxLeverage,
        funding_interval_h=positive(float(c.fundInterval)) if c.fundInterval else 8.0,
        is_trading=c.status == "online",
        is_perpetual=c.type == "perpetual",
    )


def _arg(topic: str, of: Instrument) -> dict[str, str]:
    return {"instType": _KIND, "topic": topic, "symbol": of.symbol}


def _connection(
    name: str, args: Sequence[dict[str, str]], streams: Sequence[StreamSpec]
) -> Connection:
    send = tuple(
        msgspec.json.encode({"op": "subscribe", "args": list(args[i : i + 10])})
        for i in range(0, len(args), 10)
    )
    return Connection(
        venue=NAME,
        name=name,
        path=_PATH,
        source=f"ws:{_PATH}#{name}",
        send=send,
        streams=tuple(streams),
        heartbeat=Heartbeat(25.0, b"ping"),
        max_age_s=82_800.0,
    )
