"""Bitget USDT perpetuals, unified v3 streams: quantities are coins, liquidations quote dollars.

The side of a liquidation is the position's and its amount is in USDT. Books chain by pseq = last
seq; pseq 0 is a reset. Rules and sources: docs/venues/bitget.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from liqfield.model.durations import MS
from liqfield.model.events import (
    BookDelta,
    BookSnapshot,
    Event,
    Frame,
    Liquidation,
    Notice,
    PositioningRatio,
    TierTable,
    Trade,
    Turnover,
    Unknown,
)
from liqfield.model.instrument import Instrument, tick_parts
from liqfield.model.requests import HttpRequest
from liqfield.model.sides import (
    Aggressor,
    BookRule,
    CandleOf,
    Coverage,
    PositionSide,
    PriceKind,
)
from liqfield.venues.contract import (
    TIERS_S,
    Budget,
    Connection,
    Heartbeat,
    Poll,
    Resync,
    StreamSpec,
)
from liqfield.venues.decoding import (
    base_and_factor,
    candle,
    coins,
    ladder,
    levels,
    listing,
    market_state,
    not_negative,
    number,
    open_interest,
    positive,
    quote,
    settled_funding,
    usd,
)
from liqfield.venues.routing import Envelope, Message, Routed, batches, leave_and_join, pages

NAME = "bitget"
_V3, _V2 = "/api/v3/market", "/api/v2/mix/market"
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


class _Reply(msgspec.Struct):
    code: str
    msg: str = ""
    requestTime: int = 0  # noqa: N815
    data: msgspec.Raw = msgspec.Raw(b"null")


class Bitget(Routed):
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.PREVIOUS_ID
    rest_url = "https://api.bitget.com"
    ws_url = "wss://ws.bitget.com"
    budgets = (Budget("ip", 20.0, 1.0), Budget("ratio", 1.0, 1.0))
    socket_path = "/v3/ws/public"
    pool = "ip"
    heartbeat = Heartbeat(25.0, b"ping")
    max_age_s = 82_800.0

    def __init__(self) -> None:
        super().__init__(
            streams={
                "books": _books,
                "books1": _quotes,
                "publicTrade": _trades,
                "ticker": _ticker,
                "liquidation": _liquidations,
            },
            replies={
                f"{_V3}/instruments": _contracts,
                f"{_V3}/tickers": _tickers,
                f"{_V3}/open-interest": _open_interest,
                f"{_V3}/history-fund-rate": _funding,
                f"{_V3}/candles": _candles,
                f"{_V3}/history-candles": _candles,
                f"{_V2}/query-position-lever": _tiers,
                f"{_V2}/account-long-short": _ratios,
            },
        )

    def open_message(self, frame: Frame) -> Envelope | Notice | Unknown:
        if frame.payload == b"pong":
            return self.notice(frame, "pong")
        m = self._reader.read(frame.payload, _Message, "stream")
        topic = m.arg.topic
        if m.event == "error":
            return self.notice(frame, "error", f"{m.code} {m.msg}")
        if m.event:
            return self.notice(frame, "ack", topic)
        if not topic:
            raise self._reader.error(frame, "stream", "neither a topic nor an event")
        if m.arg.instType and m.arg.instType != _KIND:
            return Unknown(NAME, frame.received_ns, f"{m.arg.instType} {topic}")
        return Envelope(topic, bytes(m.data), m.arg.symbol, m.action, m.ts * MS)

    def open_reply(self, frame: Frame, path: str) -> Envelope | Notice | Unknown:
        m = self._reader.read(frame.payload, _Reply, path)
        if m.code != "00000":
            return self.notice(frame, "error", f"{m.code} {m.msg}")
        return Envelope(path, bytes(m.data), at_ns=m.requestTime * MS)

    # ---- what to ask for ----------------------------------------------------------------------

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        paths = [f"{_V3}/instruments?category={_CATEGORY}"]
        paths += [_tiers_of(f"{base}USDT") for base in bases]
        return tuple(self.get(path) for path in paths)

    def ranking(self) -> Sequence[HttpRequest]:
        return (self.get(f"{_V3}/tickers?category={_CATEGORY}"),)

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Books, then everything else; the ticker carries mark, index, funding, open interest."""
        everything = [{"instType": _KIND, "topic": "liquidation"}]
        flow = [StreamSpec("liquidations", ("Liquidation",), "", 0.0)]
        for of in instruments:
            everything += [_arg(topic, of) for topic in ("ticker", "publicTrade")]
            flow.append(StreamSpec(f"mark {of.symbol}", ("MarkPrice",), of.id, 10.0))
            flow.append(StreamSpec(f"trades {of.symbol}", ("Trade",), of.id, 300.0))
        books = [
            StreamSpec(f"book {of.symbol}", ("BookDelta", "BookSnapshot"), of.id, 5.0)
            for of in instruments
        ]
        chains = [_arg("books", of) for of in instruments]
        return (
            self.connection("books", [_ask("subscribe", a) for a in batches(chains, 10)], books),
            self.connection("flow", [_ask("subscribe", a) for a in batches(everything, 10)], flow),
        )

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        polls = []
        for of in instruments:
            ratio = f"{_V2}/account-long-short?symbol={of.symbol}&period=5m"
            polls.append(Poll(self.get(ratio, of.id, "ratio"), 300.0, ("PositioningRatio",)))
            polls.append(Poll(self.get(_tiers_of(of.symbol), of.id), TIERS_S, ("TierTable",)))
        return polls

    def backfill(self, instrument: Instrument, start_ns: int, end_ns: int) -> Sequence[HttpRequest]:
        """1-minute candles, 5-minute marks, funding; the venue keeps no past open interest."""
        s = f"category={_CATEGORY}&symbol={instrument.symbol}"
        paths = [
            f"{_V3}/history-candles?{s}&interval={interval}&type={kind}"
            f"&startTime={at}&endTime={upto}&limit=100"
            for kind, interval in (("mark", "5m"), ("market", "1m"))
            # rows that every version of the reply allows
            for at, upto in pages(start_ns // MS, end_ns // MS, 100 * _SPANS_MS[interval])
        ]
        paths.append(f"{_V3}/history-fund-rate?{s}&limit=100")
        return [self.get(path, instrument.id) for path in paths]

    def resync(self, instrument: Instrument) -> Resync:
        return leave_and_join(lambda op: _ask(op, [_arg("books", instrument)]))


# ---- messages to facts --------------------------------------------------------------------------


def _books(m: Message) -> None:
    for of, r in m.of_subject(m.rows(_Book)):
        made = levels(r.b, r.a, of)
        if m.action == "snapshot":
            m.add(BookSnapshot(of.id, r.ts * MS, m.got_ns, r.seq, made))
        else:
            m.add(BookDelta(of.id, r.ts * MS, m.got_ns, r.seq, r.seq, r.pseq, made))


def _quotes(m: Message) -> None:
    for of, r in m.of_subject(m.rows(_Book)):
        if r.b and r.a:
            m.add(quote(of, r.ts * MS, m.got_ns, r.b[0], r.a[0], r.seq))
    if not m.events:
        m.note("one-sided quote", m.symbol)


def _trades(m: Message) -> None:
    """A fresh subscription repeats the last trades: their ids tell."""
    for of, r in m.of_subject(m.rows(_Trade)):
        price = usd(of, r.p)
        quantity = coins(of, positive(r.v), price)
        m.add(Trade(of.id, r.T * MS, m.got_ns, price, quantity, _TAKER[r.S], r.i))


def _ticker(m: Message) -> None:
    for of, r in m.of_subject(m.rows(_Ticker)):
        m.add(*_state(of, r, m))


def _tickers(m: Message) -> None:
    for of, r in m.listed(m.rows(_Ticker)):
        m.add(*_state(of, r, m))
        if r.turnover24h:
            m.add(Turnover(of.id, m.at_ns, m.got_ns, not_negative(float(r.turnover24h))))


def _state(of: Instrument, t: _Ticker, m: Message) -> list[Event]:
    events = market_state(
        of,
        m.at_ns,
        m.got_ns,
        mark=number(t.markPrice),
        index=number(t.indexPrice),
        interest=number(t.openInterest),
        funding=number(t.fundingRate),
        next_funding_ns=int(t.nextFundingTime or 0) * MS,
    )
    best = (t.bid1Price, t.bid1Size, t.ask1Price, t.ask1Size)
    if all(best):
        bid, bid_size, ask, ask_size = (float(text) for text in best)
        if bid > 0.0 and ask > 0.0:
            events.append(quote(of, m.at_ns, m.got_ns, (bid, bid_size), (ask, ask_size)))
    return events


def _liquidations(m: Message) -> None:
    """One stream for all contracts; amount / price = coins of the contract's own unit."""
    for of, r in m.listed(m.rows(_Liquidated)):
        price, closed = usd(of, r.price), _CLOSED[r.side]
        quantity, fill = not_negative(r.amount) / price, PriceKind.FILL
        at_ns, sampled = r.ts * MS, Coverage.SAMPLED
        m.add(Liquidation(of.id, at_ns, m.got_ns, closed, quantity, price, fill, sampled))


def _contracts(m: Message) -> None:
    m.add(*(listing(_instrument(r), m.got_ns, m.got_ns) for r in m.rows(_Contract)))


def _open_interest(m: Message) -> None:
    body = m.row(_InterestList)
    at_ns = body.ts * MS or m.at_ns
    for of, r in m.listed(body.rows):
        m.add(open_interest(of, at_ns, m.got_ns, r.openInterest, 0.0))


def _funding(m: Message) -> None:
    for of, r in m.listed(m.row(_FundingList).rows):
        m.add(settled_funding(of, r.fundingRateTimestamp * MS, m.got_ns, r.fundingRate))


def _candles(m: Message) -> None:
    """[start, open, high, low, close, coins, quote]."""
    kind = _KINDS_OF[m.query.get("type", "market").lower()]
    span_ns = _SPANS_MS[m.query.get("interval", "1m")] * MS
    for of, r in m.of_subject(m.rows(list[float])):
        span = (int(r[0]) * MS + span_ns, span_ns)
        volume = coins(of, r[5], positive(r[4])) if kind is CandleOf.LAST else 0.0
        m.add(candle(of, m.frame, kind, span, (r[1], r[2], r[3], r[4]), volume))


def _tiers(m: Message) -> None:
    rows = sorted(m.rows(_Tier), key=lambda r: r.startUnit)
    of = m.subject_of_tiers(rows)
    if of is not None:
        tiers = ladder(
            [r.endUnit for r in rows],
            [r.leverage for r in rows],
            [r.keepMarginRate for r in rows],
        )
        m.add(TierTable(of.id, m.got_ns, m.got_ns, tiers))


def _ratios(m: Message) -> None:
    for of, r in m.of_subject(m.rows(_Ratio)[-1:]):
        long, short = not_negative(r.longAccountRatio), not_negative(r.shortAccountRatio)
        m.add(PositioningRatio(of.id, r.ts * MS, m.got_ns, "accounts", long, short))


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


def _tiers_of(symbol: str) -> str:
    return f"{_V2}/query-position-lever?symbol={symbol}&productType={_KIND}"


def _arg(topic: str, of: Instrument) -> dict[str, str]:
    return {"instType": _KIND, "topic": topic, "symbol": of.symbol}


def _ask(op: str, args: Sequence[dict[str, str]]) -> bytes:
    return msgspec.json.encode({"op": op, "args": args})
