"""Bybit v5, linear perpetuals (inverse ones: bybit_inverse.py).

The liquidation side is the position's, open interest counts both sides. Linear and spot share topic
names: the path of the connection tells them apart. Ticker messages are patches: an absent field
means unchanged. Rules and sources: docs/venues/bybit.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from liqfield.model.durations import MS
from liqfield.model.events import (
    BookDelta,
    BookSnapshot,
    Event,
    Frame,
    InsuranceFund,
    Liquidation,
    Notice,
    PositioningRatio,
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
    PositionSide,
    PriceKind,
    TradeKind,
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
    announcements,
    base_and_factor,
    candle,
    coins,
    finite,
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
from liqfield.venues.scan import Scanner, Shape, quoted

NAME = "bybit"
_API = "/v5/market"
Pair = tuple[float, float]
_TAKER = {"Buy": Aggressor.BUY, "Sell": Aggressor.SELL}
# Here S names the POSITION that was closed, unlike on Binance and OKX.
_CLOSED = {"Buy": PositionSide.LONG, "Sell": PositionSide.SHORT}
_INTERVAL_NS = {"D": 86_400_000 * MS, "W": 604_800_000 * MS}
_DEPTHS = tuple(f"orderbook.{depth}" for depth in (50, 200, 500, 1000))
_KLINES = tuple(f"kline.{t}" for t in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720, "D", "W", "M"))
_SPECS: dict[str, tuple[str, tuple[str, ...], float]] = {
    "orderbook.200": ("book", ("BookDelta", "BookSnapshot"), 3.0),
    "tickers": ("mark", ("MarkPrice",), 10.0),
    "publicTrade": ("trades", ("Trade",), 60.0),
    "allLiquidation": ("liquidations", ("Liquidation",), 0.0),
}


class _Message(msgspec.Struct):
    """What any stream message is wrapped in."""

    topic: str = ""
    type: str = ""
    ts: int = 0
    cts: int = 0  # of books: when the orders matched
    data: msgspec.Raw = msgspec.Raw(b"null")
    op: str = ""
    success: bool | None = None
    ret_msg: str = ""


class _Row(msgspec.Struct):
    symbol: str = msgspec.field(name="s")


class _Book(_Row):
    b: list[Pair]
    a: list[Pair]
    u: int
    seq: int = 0


class _TradeRow(_Row):
    T: int
    S: str
    v: float
    p: float
    i: str
    BT: bool = False


class _Ticker(msgspec.Struct):
    """Absent = unchanged; an empty string = no value."""

    symbol: str
    markPrice: str = ""  # noqa: N815
    indexPrice: str = ""  # noqa: N815
    openInterest: str = ""  # noqa: N815
    singleOpenInterest: str = ""  # noqa: N815
    fundingRate: str = ""  # noqa: N815
    nextFundingTime: str = ""  # noqa: N815
    fundingIntervalHour: str = ""  # noqa: N815
    bid1Price: str = ""  # noqa: N815
    bid1Size: str = ""  # noqa: N815
    ask1Price: str = ""  # noqa: N815
    ask1Size: str = ""  # noqa: N815
    turnover24h: str = ""


class _LiquidationRow(_Row):
    T: int
    S: str
    v: float
    p: float


class _KlineRow(msgspec.Struct):
    start: int
    end: int
    interval: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    confirm: bool


class _Pool(msgspec.Struct):
    coin: str
    balance: float
    updateTime: int = 0  # noqa: N815


class _PriceFilter(msgspec.Struct):
    tickSize: str  # noqa: N815


class _LotFilter(msgspec.Struct, frozen=True):
    qtyStep: str = "0"  # noqa: N815


class _LeverageFilter(msgspec.Struct, frozen=True):
    maxLeverage: float = 0.0  # noqa: N815


class _Contract(msgspec.Struct):
    symbol: str
    baseCoin: str  # noqa: N815
    quoteCoin: str  # noqa: N815
    priceFilter: _PriceFilter  # noqa: N815
    status: str = ""
    contractType: str = ""  # noqa: N815
    settleCoin: str = ""  # noqa: N815
    lotSizeFilter: _LotFilter = _LotFilter()  # noqa: N815
    leverageFilter: _LeverageFilter = _LeverageFilter()  # noqa: N815
    fundingInterval: float = 480.0  # noqa: N815


class _ContractList(msgspec.Struct):
    rows: list[_Contract] = msgspec.field(name="list")
    category: str = ""


class _OiRow(msgspec.Struct):
    timestamp: int
    openInterest: str  # noqa: N815
    singleOpenInterest: str = ""  # noqa: N815


class _OiList(msgspec.Struct):
    symbol: str
    rows: list[_OiRow] = msgspec.field(name="list")


class _KlineList(msgspec.Struct):
    symbol: str
    rows: list[list[float]] = msgspec.field(name="list")


class _FundingRow(msgspec.Struct):
    symbol: str
    fundingRate: float  # noqa: N815
    fundingRateTimestamp: int  # noqa: N815


class _FundingList(msgspec.Struct):
    rows: list[_FundingRow] = msgspec.field(name="list")


class _RatioRow(msgspec.Struct):
    symbol: str
    buyRatio: float  # noqa: N815
    sellRatio: float  # noqa: N815
    timestamp: int


class _RatioList(msgspec.Struct):
    rows: list[_RatioRow] = msgspec.field(name="list")


class _TradeRest(msgspec.Struct):
    execId: str  # noqa: N815
    symbol: str
    price: float
    size: float
    side: str
    time: int
    isBlockTrade: bool = False  # noqa: N815


class _TradeList(msgspec.Struct):
    rows: list[_TradeRest] = msgspec.field(name="list")
    category: str = ""


class _RiskRow(msgspec.Struct):
    symbol: str
    riskLimitValue: float  # noqa: N815
    maintenanceMargin: float  # noqa: N815
    maxLeverage: float  # noqa: N815
    mmDeduction: str = ""  # noqa: N815


class _RiskList(msgspec.Struct):
    rows: list[_RiskRow] = msgspec.field(name="list")
    category: str = ""


class _TickerList(msgspec.Struct):
    rows: list[_Ticker] = msgspec.field(name="list")
    category: str = ""


class _InsuranceRow(msgspec.Struct):
    coin: str
    balance: float


class _InsuranceList(msgspec.Struct):
    rows: list[_InsuranceRow] = msgspec.field(name="list")
    updatedTime: int = 0  # noqa: N815


class _StatusRow(msgspec.Struct):
    state: str
    begin: int
    end: str = ""
    title: str = ""
    product: list[int] = []  # 1 futures
    maintainType: int | str = 1  # noqa: N815 - 1 planned, 2 sudden, 3 an incident
    env: int | str = 1  # 1 production


class _StatusList(msgspec.Struct):
    rows: list[_StatusRow] = msgspec.field(name="list", default_factory=list)


class _Reply(msgspec.Struct):
    result: msgspec.Raw
    retCode: int = 0  # noqa: N815
    retMsg: str = ""  # noqa: N815
    time: int = 0


class Bybit(Routed):
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.NEXT_BY_ONE
    rest_url = "https://api.bybit.com"
    ws_url = "wss://stream.bybit.com"
    category = "linear"
    settle = "USDT"  # how the likely symbol of a base ends
    budgets = (Budget("ip", 600.0, 5.0),)
    pool = "ip"
    heartbeat = Heartbeat(20.0, b'{"op":"ping"}')

    def __init__(self) -> None:
        self.socket_path = f"/v5/public/{self.category}"
        super().__init__(
            streams={
                "orderbook.1": _quotes,
                **dict.fromkeys(_DEPTHS, _books),
                "publicTrade": _trades,
                "tickers": _ticker,
                "allLiquidation": _liquidations,
                **dict.fromkeys(_KLINES, _klines),
                "insurance": _pools,
            },
            replies={
                f"{_API}/instruments-info": _contracts,
                f"{_API}/orderbook": _top,
                f"{_API}/tickers": _tickers,
                f"{_API}/open-interest": _past_interest,
                f"{_API}/account-ratio": _ratios,
                f"{_API}/funding/history": _past_funding,
                f"{_API}/kline": _past_klines,
                f"{_API}/mark-price-kline": _past_klines,
                f"{_API}/index-price-kline": _past_klines,
                f"{_API}/recent-trade": _past_trades,
                f"{_API}/risk-limit": _tiers,
                f"{_API}/insurance": _insurance,
                "/v5/system/status": _status,
            },
        )
        self._socket = ""
        self._scanner = Scanner(self.name, _scanned_shapes())

    def decode(self, frame: Frame, instruments: Mapping[str, Instrument]) -> Sequence[Event]:
        """Frequent messages from their bytes where the scanner can; see Routed."""
        if frame.source != self._socket:
            if "/linear" not in frame.source and "/inverse" not in frame.source:
                return super().decode(frame, instruments)
            self._socket = frame.source  # of the last message: a comparison is cheaper than a look
        events = self._scanner.scan(frame.payload, frame.received_ns, instruments)
        return super().decode(frame, instruments) if events is None else events

    def open_message(self, frame: Frame) -> Envelope | Notice | Unknown:
        """Topics end with what they are about."""
        m = self._reader.read(frame.payload, _Message, "stream")
        if not m.topic:
            return self._control(m, frame)
        channel, _, symbol = m.topic.rpartition(".")
        channel = channel or m.topic
        if "/spot" in frame.source or "/option" in frame.source:
            return Unknown(self.name, frame.received_ns, f"spot {channel.partition('.')[0]}")
        return Envelope(channel, bytes(m.data), symbol, m.type, (m.cts or m.ts) * MS)

    def _control(self, m: _Message, frame: Frame) -> Notice | Unknown:
        if m.op in ("ping", "pong") or m.ret_msg == "pong":
            return self.notice(frame, "pong")
        if m.op in ("subscribe", "unsubscribe"):
            return self.notice(frame, "error" if m.success is False else "ack", m.ret_msg)
        if m.op:
            return Unknown(self.name, frame.received_ns, f"op {m.op}")
        raise self._reader.error(frame, "stream", "neither a topic nor an operation")

    def open_reply(self, frame: Frame, path: str) -> Envelope | Notice | Unknown:
        m = self._reader.read(frame.payload, _Reply, path)
        if m.retCode != 0:
            return self.notice(frame, "error", f"{m.retCode} {m.retMsg}")
        return Envelope(path, bytes(m.result), at_ns=m.time * MS)

    # ---- what to ask for ----------------------------------------------------------------------

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        """The instrument list, then the tiers of the likely symbols."""
        paths = [f"{_API}/instruments-info?category={self.category}&limit=1000"]
        paths += [self._tiers_of(f"{base}{self.settle}") for base in bases]
        return [self.get(path) for path in paths]

    def _tiers_of(self, symbol: str) -> str:
        return f"{_API}/risk-limit?category={self.category}&symbol={symbol}"

    def ranking(self) -> Sequence[HttpRequest]:
        return (self.get(f"{_API}/tickers?category={self.category}"),)

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Books with tickers, trades, liquidations: a storm of books delays nothing else."""
        out = []
        for name, topics in (
            ("books", ("orderbook.200", "tickers")),
            ("trades", ("publicTrade",)),
            ("force", ("allLiquidation",)),
        ):
            args = [f"{topic}.{of.symbol}" for topic in topics for of in instruments]
            streams = [
                StreamSpec(f"{_SPECS[topic][0]} {of.symbol}", _SPECS[topic][1], of.id, expect_s)
                for topic in topics
                for expect_s in _SPECS[topic][2:]
                for of in instruments
            ]
            send = [
                _ask("subscribe", part, f"{name}{i}") for i, part in enumerate(batches(args, 50))
            ]
            if name == "force":
                # Liquidations may be silent for hours: trades prove that the connection lives.
                for of in instruments[:1]:
                    send.append(_ask("subscribe", [f"publicTrade.{of.symbol}"]))
                    canary = f"canary {of.symbol}"
                    streams.append(StreamSpec(canary, ("Trade",), of.id, 60.0, is_canary=True))
            out.append(self.connection(name, send, streams))
        return out

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Ratios and the state of the venue every five minutes; tiers; the isolated funds every
        minute, all in one answer."""
        polls = []
        for of in instruments:
            ratio = f"{_API}/account-ratio?category={self.category}&symbol={of.symbol}"
            ratio += "&period=5min&limit=1"
            polls.append(Poll(self.get(ratio, of.id), 300.0, ("PositioningRatio",)))
            polls.append(Poll(self.get(self._tiers_of(of.symbol), of.id), TIERS_S, ("TierTable",)))
        if instruments:
            polls.append(Poll(self.get("/v5/system/status"), 300.0, ("Notice",)))
        if instruments and self.category == "linear":
            polls.append(Poll(self.get(f"{_API}/insurance?coin=USDT"), 60.0, ("InsuranceFund",)))
        return polls

    def backfill(self, instrument: Instrument, start_ns: int, end_ns: int) -> Sequence[HttpRequest]:
        """1-minute candles, 5-minute marks (1000 rows) and open interest (200 rows), funding."""
        s = f"category={self.category}&symbol={instrument.symbol}"
        begin, end = start_ns // MS, end_ns // MS
        paths = [
            f"{_API}/{path}?{s}&{since}={at}&{until}={upto}&{unit}&limit={rows}"
            for path, since, until, unit, unit_ms, rows in (
                ("mark-price-kline", "start", "end", "interval=5", 300_000, 1000),
                ("kline", "start", "end", "interval=1", 60_000, 1000),
                ("open-interest", "startTime", "endTime", "intervalTime=5min", 300_000, 200),
            )
            for at, upto in pages(begin, end, rows * unit_ms)
        ]
        paths.append(f"{_API}/funding/history?{s}&startTime={begin}&endTime={end}&limit=200")
        return [self.get(path, instrument.id) for path in paths]

    def missed_trades(
        self, instrument: Instrument, before: Trade, after: Trade, page: int
    ) -> HttpRequest | None:
        """The newest thousand: there is no deeper history by REST."""
        del before, after
        s = f"category={self.category}&symbol={instrument.symbol}"
        path = f"{_API}/recent-trade?{s}&limit=1000"
        return None if page else self.get(path, instrument.id)

    def resync(self, instrument: Instrument) -> Resync:
        return leave_and_join(lambda op: _ask(op, [f"orderbook.200.{instrument.symbol}"]))


def _ask(op: str, args: Sequence[str], request_id: str = "") -> bytes:
    body = {"op": op, "args": args}
    return msgspec.json.encode({**body, "req_id": request_id} if request_id else body)


# ---- frequent messages as the scanner reads them ------------------------------------------------


def _scanned_shapes() -> list[Shape]:
    """A delta whose u is 1 is the whole book, a time of 0 is none, a block trade is of another
    kind: left to JSON."""
    book = '{"topic":"orderbook.200.<text>","type":'
    data = '"ts":<int>,"data":{"s":"<symbol>","b":<bids>,"a":<asks>,"u":'
    ids, tail = "<above_one:first_sequence,sequence>", '"seq":<int>},"cts":<ms:event_ns>}'
    rows = '.<text>","type":"snapshot","ts":<int>,"data":[<*{"T":<ms:event_ns>,"s":"<symbol>","S":'
    deal = '"v":<size:quantity>,"p":<price:price>'
    late = '"BT":false<?,"RPI":false?><?,"RPI":true?><?,"seq":<int>?>'
    print_ = {"price_kind": PriceKind.BANKRUPTCY, "coverage": Coverage.COMPLETE}
    return [
        Shape(f'{book}"delta",{data}{ids},{tail}', BookDelta, {"previous_sequence": -1}),
        Shape(f'{book}"snapshot",{data}<int:sequence>,{tail}', BookSnapshot),
        Shape(
            f'{{"topic":"publicTrade{rows}<word:aggressor>,{deal},"L":"<text>",'
            f'"i":"<text:trade_id>",{late}}}*>]}}',
            Trade,
            {"aggressor": quoted(_TAKER)},
        ),
        Shape(
            f'{{"topic":"allLiquidation{rows}<word:position_side>,{deal}}}*>]}}',
            Liquidation,
            {"position_side": quoted(_CLOSED), **print_},
        ),
    ]


# ---- messages to facts --------------------------------------------------------------------------


def _books(m: Message) -> None:
    for of, r in m.listed([m.row(_Book)]):
        made = levels(r.b, r.a, of)
        # u = 1 is a restart of the venue's service: the message is the whole book.
        if m.action == "snapshot" or r.u == 1:
            m.add(BookSnapshot(of.id, m.at_ns, m.got_ns, r.u, made))
        elif m.action == "delta":
            m.add(BookDelta(of.id, m.at_ns, m.got_ns, r.u, r.u, -1, made))
        else:
            raise ValueError(f"type {m.action!r}")


def _quotes(m: Message) -> None:
    for of, r in m.listed([m.row(_Book)]):
        if r.b and r.a:
            m.add(quote(of, m.at_ns, m.got_ns, r.b[0], r.a[0], r.u))


def _top(m: Message) -> None:
    """An audit of the top only, at our time: the stream brings its own snapshots."""
    for of, r in m.listed([m.row(_Book)]):
        if r.b and r.a:
            m.add(quote(of, m.got_ns, m.got_ns, r.b[0], r.a[0], r.u))


def _trades(m: Message) -> None:
    for of, r in m.listed(m.rows(_TradeRow)):
        price = usd(of, r.p)
        kind = TradeKind.BLOCK if r.BT else TradeKind.MARKET
        quantity, taker = coins(of, r.v, price), _TAKER[r.S]
        m.add(Trade(of.id, r.T * MS, m.got_ns, price, quantity, taker, r.i, kind))


def _past_trades(m: Message) -> None:
    body = m.row(_TradeList)
    if body.category == "spot":
        m.add(Unknown(m.venue, m.got_ns, "spot recent-trade"))
        return
    for of, r in m.listed(body.rows):
        price = usd(of, r.price)
        kind = TradeKind.BLOCK if r.isBlockTrade else TradeKind.MARKET
        quantity, taker = coins(of, r.size, price), _TAKER[r.side]
        m.add(Trade(of.id, r.time * MS, m.got_ns, price, quantity, taker, r.execId, kind))


def _ticker(m: Message) -> None:
    for of, r in m.listed([m.row(_Ticker)]):
        m.add(*_state(of, r, m))


def _tickers(m: Message) -> None:
    for of, r in m.listed(m.row(_TickerList).rows):
        m.add(*_state(of, r, m))
        if r.turnover24h:
            traded = not_negative(float(r.turnover24h))  # the settling coin: USDT, or the base
            if of.kind is ContractKind.INVERSE:
                traded *= usd(of, float(r.markPrice)) if r.markPrice else 0.0
            m.add(Turnover(of.id, m.at_ns, m.got_ns, not_negative(traded)))


def _state(of: Instrument, t: _Ticker, m: Message) -> list[Event]:
    events = market_state(
        of,
        m.at_ns,
        m.got_ns,
        mark=number(t.markPrice),
        index=number(t.indexPrice),
        interest=_one_side(t.openInterest, t.singleOpenInterest),
        funding=number(t.fundingRate),
        funding_h=positive(float(t.fundingIntervalHour)) if t.fundingIntervalHour else 0.0,
        next_funding_ns=int(t.nextFundingTime or 0) * MS,
    )
    best = (t.bid1Price, t.bid1Size, t.ask1Price, t.ask1Size)
    if all(best):
        bid, bid_size, ask, ask_size = (not_negative(float(text)) for text in best)
        if bid > 0.0 and ask > 0.0:
            events.append(quote(of, m.at_ns, m.got_ns, (bid, bid_size), (ask, ask_size)))
    return events


def _liquidations(m: Message) -> None:
    for of, r in m.listed(m.rows(_LiquidationRow)):
        price, closed = usd(of, r.p), _CLOSED[r.S]
        quantity, stated = coins(of, r.v, price), PriceKind.BANKRUPTCY
        at_ns, whole = r.T * MS, Coverage.COMPLETE
        m.add(Liquidation(of.id, at_ns, m.got_ns, closed, quantity, price, stated, whole))


def _klines(m: Message) -> None:
    for of, r in m.of_subject(m.rows(_KlineRow)):
        span = ((r.end + 1) * MS, (r.end + 1 - r.start) * MS)
        prices, volume = (r.open, r.high, r.low, r.close), coins(of, r.volume, usd(of, r.close))
        m.add(candle(of, m.frame, CandleOf.LAST, span, prices, volume, r.confirm, is_history=False))


def _past_klines(m: Message) -> None:
    """[start, open, high, low, close, volume, turnover]; of marks and indices without the last."""
    kind = CandleOf.LAST
    if "mark-price" in m.channel:
        kind = CandleOf.MARK
    elif "index-price" in m.channel:
        kind = CandleOf.INDEX
    interval = m.query.get("interval", "1")
    span_ns = _INTERVAL_NS.get(interval) or int(interval) * 60_000 * MS
    body = m.row(_KlineList)
    for of, r in m.of_subject(body.rows, body.symbol):
        span = (int(r[0]) * MS + span_ns, span_ns)
        volume = coins(of, r[5], usd(of, r[4])) if len(r) > 5 else 0.0
        m.add(candle(of, m.frame, kind, span, (r[1], r[2], r[3], r[4]), volume))


def _pools(m: Message) -> None:
    for r in m.rows(_Pool):
        at_ns = r.updateTime * MS or m.at_ns
        m.add(InsuranceFund("", at_ns, m.got_ns, m.venue, r.coin, finite(r.balance)))


def _insurance(m: Message) -> None:
    body = m.row(_InsuranceList)
    at_ns = body.updatedTime * MS or m.at_ns
    for r in body.rows:
        m.add(InsuranceFund("", at_ns, m.got_ns, m.venue, r.coin, finite(r.balance)))


def _contracts(m: Message) -> None:
    body = m.row(_ContractList)
    if body.category in ("linear", "inverse"):
        m.add(*(listing(_instrument(m.venue, c), m.at_ns, m.got_ns) for c in body.rows))
    else:
        m.note("unused", f"instruments {body.category}")


def _past_interest(m: Message) -> None:
    body = m.row(_OiList)
    for of, r in m.of_subject(body.rows, body.symbol):
        stated = _one_side(r.openInterest, r.singleOpenInterest) or 0.0
        m.add(open_interest(of, r.timestamp * MS, m.got_ns, stated, 0.0, is_history=True))


def _ratios(m: Message) -> None:
    for of, r in m.listed(m.row(_RatioList).rows):
        long, short = not_negative(r.buyRatio), not_negative(r.sellRatio)
        m.add(PositioningRatio(of.id, r.timestamp * MS, m.got_ns, "accounts", long, short))


def _past_funding(m: Message) -> None:
    for of, r in m.listed(m.row(_FundingList).rows):
        m.add(settled_funding(of, r.fundingRateTimestamp * MS, m.got_ns, r.fundingRate))


def _tiers(m: Message) -> None:
    rows: dict[str, list[_RiskRow]] = {}
    for of, r in m.listed(m.row(_RiskList).rows, quietly=True):
        rows.setdefault(of.id, []).append(r)
    for of_id, group in rows.items():
        m.add(TierTable(of_id, m.at_ns, m.got_ns, _ladder(group)))
    if not rows:
        m.note("unused", "risk limits of others")


def _status(m: Message) -> None:
    """Work on the futures; interruptions below 10 s are not announced."""
    rows = [
        (r.title, r.state, r.begin, int(r.end or 0), str(r.maintainType) == "1")
        for r in m.row(_StatusList).rows
        if str(r.env) == "1" and (not r.product or 1 in r.product)
    ]
    m.add(*announcements(m.venue, rows, m.got_ns))


def _one_side(both: str, single: str) -> float | None:
    """Open interest of one side, venue units; None where the message says nothing."""
    if single:
        return not_negative(float(single))
    if both:
        return not_negative(float(both)) / 2.0
    return None


def _ladder(rows: Sequence[_RiskRow]) -> tuple[MarginTier, ...]:
    """Rates come as fractions or percent: a maintenance rate of 0.1 and more is percent.

    Detected on the lowest tier, whose rate is below 10 % everywhere; a missing deduction is
    computed, because maintenance is continuous in value on this venue.
    """
    ordered = sorted(rows, key=lambda r: r.riskLimitValue)
    unit = 0.01 if ordered[0].maintenanceMargin >= 0.1 else 1.0
    stated = [float(r.mmDeduction or 0.0) for r in ordered]
    return ladder(
        [r.riskLimitValue for r in ordered],
        [r.maxLeverage for r in ordered],
        [r.maintenanceMargin * unit for r in ordered],
        [deduction if deduction > 0.0 else None for deduction in stated],
    )


def _instrument(venue: str, c: _Contract) -> Instrument:
    mantissa, decimals = tick_parts(c.priceFilter.tickSize)
    base, factor = base_and_factor(c.baseCoin)
    inverse = c.contractType.startswith("Inverse")
    return Instrument(
        id=f"{venue}:{c.symbol}",
        venue=venue,
        symbol=c.symbol,
        base=base,
        quote=c.quoteCoin,
        settle=c.settleCoin or c.quoteCoin,
        kind=ContractKind.INVERSE if inverse else ContractKind.LINEAR,
        tick_mantissa=mantissa,
        tick_decimals=decimals,
        price_factor=1.0 / factor,
        quantity_factor=1.0 if inverse else factor,
        lot=float(c.lotSizeFilter.qtyStep),
        max_leverage=c.leverageFilter.maxLeverage,
        funding_interval_h=c.fundingInterval / 60.0 or 8.0,
        is_trading=c.status == "Trading",
        is_perpetual=c.contractType.endswith("Perpetual"),
    )
