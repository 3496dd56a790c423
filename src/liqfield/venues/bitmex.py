"""BitMEX: tables with partial, insert, update, delete; quantities are contracts, XBT is BTC.

Book rows carry no counter: only the order of one socket proves them, and a row without a price
(before 2022) voids the book. A liquidation's side is its order's. Rules: docs/venues/bitmex.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from liqfield.model.durations import MS
from liqfield.model.events import (
    BookDelta,
    BookSnapshot,
    Event,
    Frame,
    Gap,
    InsuranceFund,
    Liquidation,
    Notice,
    TierTable,
    Trade,
    Turnover,
    Unknown,
)
from liqfield.model.instrument import Instrument, tick_parts
from liqfield.model.margin import MarginTier
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
    base_and_factor,
    candle,
    coins,
    finite,
    ladder,
    levels,
    listing,
    market_state,
    not_negative,
    positive,
    quote,
    settled_funding,
    usd,
)
from liqfield.venues.routing import Envelope, Message, Routed, batches, leave_and_join, pages

NAME = "bitmex"
_API = "/api/v1"
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


class Bitmex(Routed):
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.IN_ORDER
    rest_url = "https://www.bitmex.com"
    ws_url = "wss://ws.bitmex.com"
    budgets = (Budget("ip", 30.0, 60.0),)
    socket_path = "/realtime"
    pool = "ip"
    heartbeat = Heartbeat(5.0, b"ping", only_when_idle=True)
    send_spacing_s = 0.4

    def __init__(self) -> None:
        super().__init__(
            streams={
                "orderBookL2": _books,
                "trade": _trades,
                "quote": _quotes,
                "instrument": _states,
                "funding": _funding,
                "liquidation": _liquidations,
            },
            replies={
                f"{_API}/instrument/active": _contracts,
                f"{_API}/trade": _trades,
                f"{_API}/trade/bucketed": _candles,
                f"{_API}/funding": _funding,
                f"{_API}/insurance": _insurance,
            },
        )

    def open_message(self, frame: Frame) -> Envelope | Notice | Unknown:
        if frame.payload == b"pong":
            return self.notice(frame, "pong")
        m = self._reader.read(frame.payload, _Message, "stream")
        if m.error:
            return self.notice(frame, "error", m.error)
        if m.info:
            return self.notice(frame, "welcome", m.info)
        if m.success is not None:
            return self.notice(frame, "ack" if m.success else "error", m.subscribe)
        if not m.table:
            raise self._reader.error(frame, "stream", "no table")
        return Envelope(m.table, bytes(m.data), m.filter.symbol, m.action)

    # ---- what to ask for ----------------------------------------------------------------------

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        del bases
        return (self.get(f"{_API}/instrument/active"),)

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
        tables = [f"orderBookL2:{of.symbol}" for of in instruments]
        return (
            self.connection("books", [_ask("subscribe", t) for t in batches(tables, 20)], books),
            self.connection("flow", [_ask("subscribe", t) for t in batches(topics, 20)], flow),
        )

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        del instruments
        request = self.get(f"{_API}/insurance?count=1&reverse=true")
        return (Poll(request, 3_600.0, ("InsuranceFund",)),)

    def backfill(self, instrument: Instrument, start_ns: int, end_ns: int) -> Sequence[HttpRequest]:
        """1-minute candles and funding; past marks and open interest are not published."""
        s, rows = instrument.symbol, 1_000
        begin, end = start_ns // (60_000 * MS), end_ns // (60_000 * MS)
        paths = [
            f"{_API}/trade/bucketed?binSize=1m&symbol={s}&count={rows}"
            f"&startTime={_text(at)}&endTime={_text(upto)}"
            for at, upto in pages(begin, end, rows)
        ]
        paths.append(f"{_API}/funding?symbol={s}&count=500&startTime={_text(begin)}")
        return [self.get(path, instrument.id) for path in paths]

    def resync(self, instrument: Instrument) -> Resync:
        return leave_and_join(lambda op: _ask(op, [f"orderBookL2:{instrument.symbol}"]))


# ---- messages to facts --------------------------------------------------------------------------


def _books(m: Message) -> None:
    if m.action not in ("partial", "insert", "update", "delete"):
        raise ValueError(f"action {m.action!r}")
    by_symbol: dict[str, list[_Level]] = {}
    if m.action == "partial" and m.symbol:
        by_symbol[m.symbol] = []  # an empty book is a book
    for row in m.rows(_Level):
        by_symbol.setdefault(row.symbol, []).append(row)
    for symbol, rows in by_symbol.items():
        of = m.find(symbol)
        if of is not None:
            m.add(_book(of, m.action, rows, m.frame))


def _trades(m: Message) -> None:
    for of, r in m.listed(m.rows(_Trade)):
        price = usd(of, r.price)
        quantity, taker = coins(of, positive(r.size), price), _TAKER[r.side]
        kind = TradeKind.MARKET if r.trdType == "Regular" else TradeKind.BLOCK
        at_ns = _ns(r.timestamp)
        m.add(Trade(of.id, at_ns, m.got_ns, price, quantity, taker, r.trdMatchID, kind))


def _quotes(m: Message) -> None:
    for of, r in m.listed(m.rows(_Quote)):
        if r.bidPrice and r.askPrice:
            bid, ask = (r.bidPrice, r.bidSize or 0.0), (r.askPrice, r.askSize or 0.0)
            m.add(quote(of, _ns(r.timestamp), m.got_ns, bid, ask))


def _states(m: Message) -> None:
    for of, r in m.listed(m.rows(_Update)):
        m.add(
            *market_state(
                of,
                _ns(r.timestamp) if r.timestamp else m.got_ns,
                m.got_ns,
                mark=r.markPrice,
                index=r.indicativeSettlePrice,
                interest=r.openInterest,
                funding=r.fundingRate if of.is_perpetual else None,
                next_funding_ns=_ns(r.fundingTimestamp) if r.fundingTimestamp else 0,
            )
        )


def _liquidations(m: Message) -> None:
    """Only an insert is new; the table states no time, so ours stands."""
    if m.action != "insert":
        m.note("unused", f"liquidation {m.action}")
        return
    for of, r in m.listed(m.rows(_Liquidated)):
        price, closed = usd(of, r.price), _ORDER_CLOSES[r.side]
        quantity, limit = coins(of, r.leavesQty, price), PriceKind.LIMIT
        m.add(
            Liquidation(of.id, m.got_ns, m.got_ns, closed, quantity, price, limit, Coverage.SAMPLED)
        )


def _contracts(m: Message) -> None:
    """Instruments, their tiers and their turnover come in one list; quantos are left out."""
    at_ns = m.got_ns
    for r in m.rows(_Contract):
        if not r.typ.startswith("FF") or r.isQuanto or not r.settlCurrency:
            continue
        of = _instrument(r)
        m.add(listing(of, at_ns, at_ns))
        tiers = _tiers(r)
        if tiers:
            m.add(TierTable(of.id, at_ns, at_ns, tiers))
        if r.foreignNotional24h is not None:
            m.add(Turnover(of.id, at_ns, at_ns, not_negative(r.foreignNotional24h)))
    if not m.events:
        m.note("unused", "no contract that is read")


def _candles(m: Message) -> None:
    """Buckets are stamped with their end; minutes without a trade have no prices."""
    span_ns = _SPANS_S[m.query.get("binSize", "1m")] * 1_000 * MS
    for of, r in m.listed(m.rows(_Bucket)):
        if r.open is None or r.high is None or r.low is None or r.close is None:
            continue
        volume = coins(of, r.volume or 0.0, usd(of, r.close))
        span, ohlc = (_ns(r.timestamp), span_ns), (r.open, r.high, r.low, r.close)
        m.add(candle(of, m.frame, CandleOf.LAST, span, ohlc, volume))


def _funding(m: Message) -> None:
    for of, r in m.listed(m.rows(_Funding)):
        hours = _hours(r.fundingInterval)
        m.add(settled_funding(of, _ns(r.timestamp), m.got_ns, r.fundingRate, hours))


def _insurance(m: Message) -> None:
    for r in m.rows(_Fund):
        if r.currency in _COINS:
            coin, unit = _COINS[r.currency]
            balance = finite(r.walletBalance) / unit
            m.add(InsuranceFund("", _ns(r.timestamp), m.got_ns, NAME, coin, balance))


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
    steps = [n for n in range(_STEPS) if initial + n * rate <= 1.0]
    return ladder(
        [(positive(c.riskLimit) + n * positive(c.riskStep)) / unit for n in steps],
        [1.0 / (initial + n * rate) for n in steps],
        [rate * (1 + n) for n in steps],
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


def _ask(op: str, topics: Sequence[str]) -> bytes:
    return msgspec.json.encode({"op": op, "args": topics})
