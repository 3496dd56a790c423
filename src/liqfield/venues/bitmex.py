"""BitMEX: tables with partial, insert, update, delete; quantities are contracts, XBT is BTC.

Book rows carry no counter: only the order of one socket proves them, and a row without a price
(before 2022) voids the book. A liquidation's side is its order's. Rules: docs/venues/bitmex.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from liqfield.model.events import (
    BestQuote,
    BookDelta,
    BookSnapshot,
    Event,
    Frame,
    FundingRate,
    Gap,
    IndexPrice,
    InsuranceFund,
    Liquidation,
    MarkPrice,
    Notice,
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
    ContractKind,
    Coverage,
    GapReason,
    PositionSide,
    PriceKind,
    TradeKind,
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

NAME = "bitmex"
_PATH, _API = "/realtime", "/api/v1"
_TAKER = {"Buy": Aggressor.BUY, "Sell": Aggressor.SELL}
# The side of the liquidation ORDER: one that buys closes a short.
_ORDER_CLOSES = {"Sell": PositionSide.LONG, "Buy": PositionSide.SHORT}
_COINS = {"XBt": ("BTC", 1e8), "USDt": ("USDT", 1e6), "Gwei": ("ETH", 1e9), "LAMp": ("SOL", 1e9)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOOK_KINDS = ("BookDelta", "BookSnapshot")
_SPANS_S = {"1m": 60, "5m": 300, "1h": 3_600, "1d": 86_400}
_STEPS = 20  # risk limits have no stated end: so many tiers of them


class _Filter(msgspec.Struct, frozen=True):
    symbol: str = ""


class _Message(msgspec.Struct):
    table: str = ""
    action: str = ""
    filter: _Filter = _Filter()
    data: msgspec.Raw = msgspec.Raw(b"[]")
    success: bool | None = None
    subscribe: str = ""
    error: str = ""
    info: str = ""


class _Level(msgspec.Struct):
    symbol: str
    id: int
    side: str
    price: float | None = None
    size: float = 0.0
    timestamp: datetime | None = None


class _Trade(msgspec.Struct):
    timestamp: datetime
    symbol: str
    side: str
    size: float
    price: float
    trdMatchID: str = ""  # noqa: N815
    trdType: str = "Regular"  # noqa: N815


class _Quote(msgspec.Struct):
    timestamp: datetime
    symbol: str
    bidPrice: float | None = None  # noqa: N815
    bidSize: float | None = None  # noqa: N815
    askPrice: float | None = None  # noqa: N815
    askSize: float | None = None  # noqa: N815


class _Update(msgspec.Struct):
    """The instrument table: an absent field has not changed."""

    symbol: str
    timestamp: datetime | None = None
    markPrice: float | None = None  # noqa: N815
    indicativeSettlePrice: float | None = None  # noqa: N815
    openInterest: float | None = None  # noqa: N815
    fundingRate: float | None = None  # noqa: N815
    fundingTimestamp: datetime | None = None  # noqa: N815


class _Liquidated(msgspec.Struct):
    symbol: str
    side: str
    price: float
    leavesQty: float  # noqa: N815


class _Contract(msgspec.Struct):
    symbol: str
    typ: str
    underlying: str
    quoteCurrency: str  # noqa: N815
    tickSize: float  # noqa: N815
    settlCurrency: str | None = None  # noqa: N815
    lotSize: float | None = None  # noqa: N815
    multiplier: float | None = None
    underlyingToPositionMultiplier: float | None = None  # noqa: N815
    quoteToSettleMultiplier: float | None = None  # noqa: N815
    isInverse: bool = False  # noqa: N815
    isQuanto: bool = False  # noqa: N815
    state: str = ""
    initMargin: float | None = None  # noqa: N815
    maintMargin: float | None = None  # noqa: N815
    riskLimit: float | None = None  # noqa: N815
    riskStep: float | None = None  # noqa: N815
    fundingInterval: datetime | None = None  # noqa: N815
    foreignNotional24h: float | None = None  # noqa: N815


class _Bucket(msgspec.Struct):
    timestamp: datetime
    symbol: str
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: float | None = None


class _Funding(msgspec.Struct):
    timestamp: datetime
    symbol: str
    fundingRate: float  # noqa: N815
    fundingInterval: datetime | None = None  # noqa: N815


class _Fund(msgspec.Struct):
    currency: str
    timestamp: datetime
    walletBalance: float  # noqa: N815


Instruments = Mapping[str, Instrument]


class Bitmex:
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.IN_ORDER
    rest_url = "https://www.bitmex.com"
    ws_url = "wss://ws.bitmex.com"
    budgets = (Budget("ip", 30.0, 60.0),)

    def __init__(self) -> None:
        self._reader = Reader(NAME)
        self._tables: dict[str, Callable[[_Message, Frame, Instruments], list[Event]]] = {
            "orderBookL2": self._on_book,
            "trade": self._on_trades,
            "quote": self._on_quotes,
            "instrument": self._on_instrument,
            "funding": self._on_funding,
            "liquidation": self._on_liquidations,
        }
        self._rest: dict[str, Callable[[Frame, dict[str, str], Instruments], list[Event]]] = {
            f"{_API}/instrument/active": self._contracts,
            f"{_API}/trade": self._rest_trades,
            f"{_API}/trade/bucketed": self._candles,
            f"{_API}/funding": self._rest_funding,
            f"{_API}/insurance": self._insurance,
        }

    # ---- decode -------------------------------------------------------------------------------

    def decode(self, frame: Frame, instruments: Instruments) -> Sequence[Event]:
        """Bytes to events. Raises DecodeError on malformed messages."""
        if frame.source.startswith("rest:"):
            path, query, _ = request_of(frame.source)
            handler = self._rest.get(path)
            if handler is None:
                return [Unknown(NAME, frame.received_ns, f"rest {path}")]
            return self._reader.guard(frame, path, lambda: handler(frame, query, instruments))
        if frame.payload == b"pong":
            return [Notice(NAME, frame.received_ns, "pong")]
        m = self._reader.read(frame.payload, _Message, "stream")
        if m.error:
            return [Notice(NAME, frame.received_ns, "error", m.error[:200])]
        if m.info:
            return [Notice(NAME, frame.received_ns, "welcome", m.info[:200])]
        if m.success is not None:
            return [Notice(NAME, frame.received_ns, "ack" if m.success else "error", m.subscribe)]
        if not m.table:
            raise self._reader.error(frame, "stream", "no table")
        on_table = self._tables.get(m.table)
        if on_table is None:
            return [Unknown(NAME, frame.received_ns, m.table)]
        return self._reader.guard(frame, m.table, lambda: on_table(m, frame, instruments))

    def _find(self, symbol: str, frame: Frame, known: Instruments) -> Found:
        return find(NAME, symbol, frame, known)

    def _on_book(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        if m.action not in ("partial", "insert", "update", "delete"):
            raise ValueError(f"action {m.action!r}")
        by_symbol: dict[str, list[_Level]] = {}
        if m.action == "partial" and m.filter.symbol:
            by_symbol[m.filter.symbol] = []  # an empty book is a book
        for row in self._reader.read(bytes(m.data), list[_Level], "orderBookL2"):
            by_symbol.setdefault(row.symbol, []).append(row)
        events: list[Event] = []
        for symbol, rows in by_symbol.items():
            of = self._find(symbol, frame, known)
            events.append(of if isinstance(of, Unknown) else _book(of, m.action, rows, frame))
        return events

    def _on_trades(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        return self._trades(self._reader.read(bytes(m.data), list[_Trade], "trade"), frame, known)

    def _rest_trades(self, frame: Frame, query: dict[str, str], known: Instruments) -> list[Event]:
        return self._trades(self._reader.read(frame.payload, list[_Trade], "trade"), frame, known)

    def _trades(self, rows: list[_Trade], frame: Frame, known: Instruments) -> list[Event]:
        events: list[Event] = []
        for r in rows:
            of = self._find(r.symbol, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            price = positive(r.price) * of.price_factor
            events.append(
                Trade(
                    of.id,
                    _ns(r.timestamp),
                    frame.received_ns,
                    price,
                    coins(of, positive(r.size), price),
                    _TAKER[r.side],
                    r.trdMatchID,
                    TradeKind.MARKET if r.trdType == "Regular" else TradeKind.BLOCK,
                )
            )
        return events

    def _on_quotes(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        events: list[Event] = []
        for r in self._reader.read(bytes(m.data), list[_Quote], "quote"):
            of = self._find(r.symbol, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
            elif r.bidPrice and r.askPrice:
                events.append(_quote(of, r, frame))
        return events

    def _on_instrument(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        events: list[Event] = []
        got = frame.received_ns
        for r in self._reader.read(bytes(m.data), list[_Update], "instrument"):
            of = self._find(r.symbol, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            at = _ns(r.timestamp) if r.timestamp else got
            mark = 0.0
            if r.markPrice is not None:
                mark = positive(r.markPrice) * of.price_factor
                events.append(MarkPrice(of.id, at, got, mark))
            if r.indicativeSettlePrice is not None:
                index = positive(r.indicativeSettlePrice) * of.price_factor
                events.append(IndexPrice(of.id, at, got, index))
            if r.openInterest is not None:
                events.append(open_interest(of, at, got, r.openInterest, mark))
            if r.fundingRate is not None and of.is_perpetual:
                due = _ns(r.fundingTimestamp) if r.fundingTimestamp else 0
                rate, hours = finite(r.fundingRate), of.funding_interval_h
                events.append(FundingRate(of.id, at, got, rate, hours, due))
        return events

    def _on_funding(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        rows = self._reader.read(bytes(m.data), list[_Funding], "funding")
        return self._funding(rows, frame, known)

    def _on_liquidations(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        """Only an insert is new; the table states no time, so ours stands."""
        if m.action != "insert":
            return [Notice(NAME, frame.received_ns, "unused", f"liquidation {m.action}")]
        events: list[Event] = []
        got = frame.received_ns
        for r in self._reader.read(bytes(m.data), list[_Liquidated], "liquidation"):
            of = self._find(r.symbol, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            price = positive(r.price) * of.price_factor
            events.append(
                Liquidation(
                    of.id,
                    got,
                    got,
                    _ORDER_CLOSES[r.side],
                    coins(of, r.leavesQty, price),
                    price,
                    PriceKind.LIMIT,
                    Coverage.SAMPLED,
                )
            )
        return events

    # ---- REST ---------------------------------------------------------------------------------

    def _contracts(self, frame: Frame, query: dict[str, str], known: Instruments) -> list[Event]:
        """Instruments, their tiers and their turnover come in one list; quantos are left out."""
        at = frame.received_ns
        events: list[Event] = []
        for r in self._reader.read(frame.payload, list[_Contract], "instrument"):
            if not r.typ.startswith("FF") or r.isQuanto or not r.settlCurrency:
                continue
            of = _instrument(r)
            events.append(listing(of, at, at))
            tiers = _tiers(r)
            if tiers:
                events.append(TierTable(of.id, at, at, tiers))
            if r.foreignNotional24h is not None:
                usd = not_negative(r.foreignNotional24h)
                events.append(Turnover(of.id, at, at, usd))
        return events or [Notice(NAME, at, "unused", "no contract that is read")]

    def _candles(self, frame: Frame, query: dict[str, str], known: Instruments) -> list[Event]:
        """Buckets are stamped with their end; minutes without a trade have no prices."""
        span_ns = _SPANS_S[query.get("binSize", "1m")] * 1_000 * MS
        events: list[Event] = []
        for r in self._reader.read(frame.payload, list[_Bucket], "trade/bucketed"):
            of = self._find(r.symbol, frame, known)
            if isinstance(of, Unknown):
                return [of]
            if r.open is None or r.high is None or r.low is None or r.close is None:
                continue
            volume = coins(of, r.volume or 0.0, positive(r.close) * of.price_factor)
            span, ohlc = (_ns(r.timestamp), span_ns), (r.open, r.high, r.low, r.close)
            events.append(past_candle(of, frame, CandleOf.LAST, span, ohlc, volume))
        return events

    def _rest_funding(self, frame: Frame, query: dict[str, str], known: Instruments) -> list[Event]:
        rows = self._reader.read(frame.payload, list[_Funding], "funding")
        return self._funding(rows, frame, known)

    def _funding(self, rows: list[_Funding], frame: Frame, known: Instruments) -> list[Event]:
        events: list[Event] = []
        for r in rows:
            of = self._find(r.symbol, frame, known)
            if isinstance(of, Unknown):
                return [of]
            at, got = _ns(r.timestamp), frame.received_ns
            hours = _hours(r.fundingInterval)
            rate = finite(r.fundingRate)
            events.append(FundingRate(of.id, at, got, rate, hours, at, is_settled=True))
        return events

    def _insurance(self, frame: Frame, query: dict[str, str], known: Instruments) -> list[Event]:
        events: list[Event] = []
        got = frame.received_ns
        for r in self._reader.read(frame.payload, list[_Fund], "insurance"):
            if r.currency in _COINS:
                coin, unit = _COINS[r.currency]
                balance = finite(r.walletBalance) / unit
                events.append(InsuranceFund("", _ns(r.timestamp), got, NAME, coin, balance))
        return events

    # ---- what to ask for ----------------------------------------------------------------------

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        del bases
        return (HttpRequest(NAME, f"{_API}/instrument/active", pool="ip"),)

    def ranking(self) -> Sequence[HttpRequest]:
        return ()  # the bootstrap reply ranks already

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Books alone; trades, quotes and the instrument table; liquidations of everything."""
        books = [StreamSpec(f"book {of.symbol}", _BOOK_KINDS, of.id, 30.0) for of in instruments]
        flow = [StreamSpec("liquidations", ("Liquidation",), "", 0.0)]
        topics = ["liquidation"]
        for of in instruments:
            topics += [f"{table}:{of.symbol}" for table in ("trade", "quote", "instrument")]
            flow.append(StreamSpec(f"trades {of.symbol}", ("Trade",), of.id, 900.0))
            flow.append(StreamSpec(f"quote {of.symbol}", ("BestQuote",), of.id, 60.0))
            flow.append(StreamSpec(f"mark {of.symbol}", ("MarkPrice",), of.id, 60.0))
        return (
            _connection("books", [f"orderBookL2:{of.symbol}" for of in instruments], books),
            _connection("flow", topics, flow),
        )

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        del instruments
        request = HttpRequest(NAME, f"{_API}/insurance?count=1&reverse=true", pool="ip")
        return (Poll(request, 3_600.0, ("InsuranceFund",)),)

    def backfill(self, instrument: Instrument, start_ns: int, end_ns: int) -> Sequence[HttpRequest]:
        """1-minute candles and funding; past marks and open interest are not published."""
        s, rows = instrument.symbol, 1_000
        begin, end = start_ns // (60_000 * MS), end_ns // (60_000 * MS)
        paths = [
            f"{_API}/trade/bucketed?binSize=1m&symbol={s}&count={rows}"
            f"&startTime={_text(at)}&endTime={_text(min(at + rows, end))}"
            for at in range(begin, end, rows)
        ]
        paths.append(f"{_API}/funding?symbol={s}&count=500&startTime={_text(begin)}")
        return [HttpRequest(NAME, path, "", 1.0, "ip", instrument.id) for path in paths]

    def resync(self, instrument: Instrument) -> Resync:
        """Leave and join: the first message is the whole book."""
        args = [f"orderBookL2:{instrument.symbol}"]
        send = tuple(
            msgspec.json.encode({"op": op, "args": args}) for op in ("unsubscribe", "subscribe")
        )
        return Resync(connection="books", send=send)

    def infer_instrument(self, frame: Frame) -> Instrument | None:
        """Contracts need the list: their size is nowhere else."""
        del frame
        return None


def _book(of: Instrument, action: str, rows: Sequence[_Level], frame: Frame) -> Event:
    got = frame.received_ns
    sides: dict[str, list[tuple[float, float]]] = {"Buy": [], "Sell": []}
    at = got
    for r in rows:
        if r.price is None:
            # The map from id to price is not ours to keep: the book starts afresh.
            return Gap(NAME, frame.source, got, GapReason.SEQUENCE, of.id, "no price", _BOOK_KINDS)
        sides[r.side].append((r.price, 0.0 if action == "delete" else r.size))
        at = _ns(r.timestamp) if r.timestamp else at
    made = levels(sides["Buy"], sides["Sell"], of)
    if action == "partial":
        return BookSnapshot(of.id, at, got, 0, made)
    return BookDelta(of.id, at, got, 0, 0, -1, made)


def _quote(of: Instrument, r: _Quote, frame: Frame) -> BestQuote:
    assert r.bidPrice is not None
    assert r.askPrice is not None
    bid, ask = (r.bidPrice, r.bidSize or 0.0), (r.askPrice, r.askSize or 0.0)
    return quote(of, _ns(r.timestamp), frame.received_ns, bid, ask)


def _instrument(c: _Contract) -> Instrument:
    mantissa, decimals = tick_parts(repr(c.tickSize))
    settle, unit = _COINS.get(c.settlCurrency or "", (c.settlCurrency or "", 1.0))
    base, factor = base_and_factor("BTC" if c.underlying == "XBT" else c.underlying)
    if c.isInverse:
        size = abs(c.multiplier or unit) / unit  # USD
    elif c.underlyingToPositionMultiplier:
        size = factor / c.underlyingToPositionMultiplier
    else:
        size = factor * positive(c.multiplier or 0.0) / positive(c.quoteToSettleMultiplier or 0.0)
    return Instrument(
        id=f"{NAME}:{c.symbol}",
        venue=NAME,
        symbol=c.symbol,
        base=base,
        quote="USDT" if c.quoteCurrency == "USDT" else c.quoteCurrency,
        settle=settle,
        kind=ContractKind.INVERSE if c.isInverse else ContractKind.LINEAR,
        tick_mantissa=mantissa,
        tick_decimals=decimals,
        price_factor=1.0 / factor,
        quantity_factor=positive(size),
        lot=c.lotSize or 0.0,
        max_leverage=1.0 / positive(c.initMargin) if c.initMargin else 0.0,
        funding_interval_h=_hours(c.fundingInterval),
        is_trading=c.state == "Open",
        is_perpetual=c.typ == "FFWCSX",
        is_main=c.isInverse and c.typ == "FFWCSX",
    )


def _tiers(c: _Contract) -> tuple[MarginTier, ...]:
    """Each step of the risk limit lifts both rates by the base maintenance rate."""
    if not (c.initMargin and c.maintMargin and c.riskLimit and c.riskStep):
        return ()
    _, unit = _COINS.get(c.settlCurrency or "", ("", 0.0))
    if unit == 0.0:
        return ()
    initial, rate = positive(c.initMargin), positive(c.maintMargin)
    caps = [(positive(c.riskLimit) + n * positive(c.riskStep)) / unit for n in range(_STEPS)]
    floors = [0.0, *caps[:-1]]
    rates = [rate * (1 + n) for n in range(_STEPS)]
    steps = zip(floors, caps, rates, deductions(floors, rates), strict=True)
    return tuple(
        MarginTier(floor, cap, 1.0 / (initial + n * rate), m, deduction)
        for n, (floor, cap, m, deduction) in enumerate(steps)
        if initial + n * rate <= 1.0
    )


def _ns(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1_000


def _hours(interval: datetime | None) -> float:
    """The venue writes eight hours as 2000-01-01T08:00."""
    if interval is None:
        return 8.0
    return (interval.hour + interval.minute / 60.0) or 24.0


def _text(minute: int) -> str:
    at = _EPOCH + timedelta(minutes=minute)
    return f"{at:%Y-%m-%dT%H:%M:00.000Z}"


def _connection(name: str, topics: Sequence[str], streams: Sequence[StreamSpec]) -> Connection:
    send = tuple(
        msgspec.json.encode({"op": "subscribe", "args": list(topics[i : i + 20])})
        for i in range(0, len(topics), 20)
    )
    return Connection(
        venue=NAME,
        name=name,
        path=_PATH,
        source=f"ws:{_PATH}#{name}",
        send=send,
        streams=tuple(streams),
        heartbeat=Heartbeat(5.0, b"ping", only_when_idle=True),
        send_spacing_s=0.4,
    )
