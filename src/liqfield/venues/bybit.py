"""Bybit v5, linear perpetuals (inverse ones: bybit_inverse.py).

The liquidation side is the position's, open interest counts both sides. Linear and spot share topic
names: the path of the connection tells them apart. Ticker messages are patches: an absent field
means unchanged. Rules and sources: docs/venues/bybit.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from liqfield.model.events import (
    BestQuote,
    BookDelta,
    BookLevels,
    BookSnapshot,
    Candle,
    Event,
    Frame,
    FundingRate,
    IndexPrice,
    InsuranceFund,
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
    MS,
    Reader,
    announcements,
    base_and_factor,
    finite,
    ladder,
    levels,
    listing,
    not_negative,
    open_interest,
    positive,
    request_of,
)
from liqfield.venues.routing import leave_and_join
from liqfield.venues.scan import Build, Found, Scanner

NAME = "bybit"
Pair = tuple[float, float]
_BOOK_HEAD = b'{"topic":"orderbook.200.'
_TAKER = {"Buy": Aggressor.BUY, "Sell": Aggressor.SELL}
# Here S names the POSITION that was closed, unlike on Binance and OKX.
_CLOSED = {"Buy": PositionSide.LONG, "Sell": PositionSide.SHORT}
_INTERVAL_NS = {"D": 86_400_000 * MS, "W": 604_800_000 * MS}


class _Head(msgspec.Struct):
    """The routing look at any WebSocket message."""

    topic: str = ""
    op: str = ""
    success: bool | None = None
    ret_msg: str = ""


class _Book(msgspec.Struct):
    s: str
    b: list[Pair]
    a: list[Pair]
    u: int
    seq: int = 0


class _BookMessage(msgspec.Struct):
    type: str
    ts: int
    data: _Book
    cts: int = 0


class _TradeRow(msgspec.Struct):
    T: int
    s: str
    S: str
    v: float
    p: float
    i: str
    BT: bool = False


class _Trades(msgspec.Struct):
    data: list[_TradeRow]


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


class _TickerMessage(msgspec.Struct):
    ts: int
    data: _Ticker


class _LiquidationRow(msgspec.Struct):
    T: int
    s: str
    S: str
    v: float
    p: float


class _Liquidations(msgspec.Struct):
    data: list[_LiquidationRow]


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


class _Klines(msgspec.Struct):
    data: list[_KlineRow]


class _Pool(msgspec.Struct):
    coin: str
    balance: float
    updateTime: int = 0  # noqa: N815


class _Pools(msgspec.Struct):
    ts: int
    data: list[_Pool]


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


class _Raw(msgspec.Struct):
    result: msgspec.Raw
    retCode: int = 0  # noqa: N815
    retMsg: str = ""  # noqa: N815
    time: int = 0


Instruments = Mapping[str, Instrument]
RestHandler = Callable[[msgspec.Raw, int, Frame, dict[str, str], Instruments], list[Event]]


class Bybit:
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.NEXT_BY_ONE
    rest_url = "https://api.bybit.com"
    ws_url = "wss://stream.bybit.com"
    category = "linear"
    settle = "USDT"  # how the likely symbol of a base ends
    budgets = (Budget("ip", 600.0, 5.0),)

    def __init__(self) -> None:
        self._reader = Reader(self.name)
        self._scanner = Scanner(self.name, _scanned_shapes())
        self._head = msgspec.json.Decoder(_Head)
        self._topics: dict[str, Callable[[str, Frame, Instruments], list[Event]]] = {
            "orderbook": self._on_book,
            "publicTrade": self._on_trades,
            "tickers": self._on_ticker,
            "allLiquidation": self._on_liquidations,
            "kline": self._on_klines,
            "insurance": self._on_insurance,
        }
        self._rest: dict[str, RestHandler] = {
            "/v5/market/instruments-info": self._instruments,
            "/v5/market/orderbook": self._rest_book,
            "/v5/market/tickers": self._rest_tickers,
            "/v5/market/open-interest": self._oi_history,
            "/v5/market/account-ratio": self._ratios,
            "/v5/market/funding/history": self._funding_history,
            "/v5/market/kline": self._rest_klines,
            "/v5/market/mark-price-kline": self._rest_klines,
            "/v5/market/index-price-kline": self._rest_klines,
            "/v5/market/recent-trade": self._rest_trades,
            "/v5/market/risk-limit": self._risk_limits,
            "/v5/market/insurance": self._rest_insurance,
            "/v5/system/status": self._status,
        }

    # ---- decode -------------------------------------------------------------------------------

    def decode(self, frame: Frame, instruments: Instruments) -> Sequence[Event]:
        """Bytes to events. Raises DecodeError on malformed messages."""
        is_contract = "/linear" in frame.source or "/inverse" in frame.source
        if is_contract and frame.payload.startswith(_BOOK_HEAD):
            events = self._scanner.scan(frame, instruments)
            if events is not None:
                return events
        path, query, _ = request_of(frame.source)
        if frame.source.startswith("rest:"):
            return self._decode_rest(path, query, frame, instruments)
        try:
            head = self._head.decode(frame.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._reader.error(frame, "stream", str(error)) from error
        if not head.topic:
            return self._control(head, frame)
        if "/spot" in path or "/option" in path:
            return [Unknown(self.name, frame.received_ns, f"spot {head.topic.partition('.')[0]}")]
        kind, _, rest = head.topic.partition(".")
        handler = self._topics.get(kind)
        if handler is None or rest.startswith(("rpi", "full")):
            return [Unknown(self.name, frame.received_ns, f"{kind}.{rest}" if handler else kind)]
        return self._reader.guard(
            frame, head.topic, lambda: handler(head.topic, frame, instruments)
        )

    def _control(self, head: _Head, frame: Frame) -> list[Event]:
        if head.op in ("ping", "pong") or head.ret_msg == "pong":
            return [Notice(self.name, frame.received_ns, "pong")]
        if head.op in ("subscribe", "unsubscribe"):
            kind = "error" if head.success is False else "ack"
            return [Notice(self.name, frame.received_ns, kind, head.ret_msg)]
        if head.op:
            return [Unknown(self.name, frame.received_ns, f"op {head.op}")]
        raise self._reader.error(frame, "stream", "neither a topic nor an operation")

    def _decode_rest(
        self, path: str, query: dict[str, str], frame: Frame, instruments: Instruments
    ) -> list[Event]:
        envelope = self._reader.read(frame.payload, _Raw, path)
        if envelope.retCode != 0:
            why = f"{envelope.retCode} {envelope.retMsg}"
            return [Notice(self.name, frame.received_ns, "error", why)]
        handler = self._rest.get(path)
        if handler is None:
            return [Unknown(self.name, frame.received_ns, f"rest {path}")]
        at_ns = envelope.time * MS or frame.received_ns
        return self._reader.guard(
            frame, path, lambda: handler(envelope.result, at_ns, frame, query, instruments)
        )

    def _find(self, symbol: str, frame: Frame, instruments: Instruments) -> Instrument | Unknown:
        found = instruments.get(f"{self.name}:{symbol}")
        return found or Unknown(self.name, frame.received_ns, f"instrument {symbol}")

    def _on_book(self, topic: str, frame: Frame, instruments: Instruments) -> list[Event]:
        m = self._reader.read(frame.payload, _BookMessage, topic)
        of = self._find(m.data.s, frame, instruments)
        if isinstance(of, Unknown):
            return [of]
        at, got = (m.cts or m.ts) * MS, frame.received_ns
        book = m.data
        if topic.startswith("orderbook.1."):
            return [_quote(of, at, got, book)] if book.b and book.a else []
        made = levels(book.b, book.a, of)
        # u = 1 is a restart of the venue's service: the message is the whole book.
        if m.type == "snapshot" or book.u == 1:
            return [BookSnapshot(of.id, at, got, book.u, made)]
        return [BookDelta(of.id, at, got, book.u, book.u, -1, made)]

    def _on_trades(self, topic: str, frame: Frame, instruments: Instruments) -> list[Event]:
        rows = self._reader.read(frame.payload, _Trades, topic).data
        events: list[Event] = []
        got = frame.received_ns
        for r in rows:
            of = self._find(r.s, frame, instruments)
            if isinstance(of, Unknown):
                return [of]
            price = positive(r.p) * of.price_factor
            quantity = of.quantity_base(not_negative(r.v), price)
            kind = TradeKind.BLOCK if r.BT else TradeKind.MARKET
            events.append(Trade(of.id, r.T * MS, got, price, quantity, _TAKER[r.S], r.i, kind))
        return events

    def _on_ticker(self, topic: str, frame: Frame, instruments: Instruments) -> list[Event]:
        m = self._reader.read(frame.payload, _TickerMessage, topic)
        return self._ticker(m.data, m.ts * MS, frame, instruments)

    def _ticker(self, t: _Ticker, at: int, frame: Frame, instruments: Instruments) -> list[Event]:
        of = self._find(t.symbol, frame, instruments)
        if isinstance(of, Unknown):
            return [of]
        got, p = frame.received_ns, of.price_factor
        events: list[Event] = []
        mark = 0.0
        if t.markPrice:
            mark = positive(float(t.markPrice)) * p
            events.append(MarkPrice(of.id, at, got, mark))
        if t.indexPrice:
            events.append(IndexPrice(of.id, at, got, positive(float(t.indexPrice)) * p))
        one_side = _one_side(t.openInterest, t.singleOpenInterest)
        if one_side is not None:
            events.append(open_interest(of, at, got, one_side, mark))
        if t.turnover24h and frame.source.startswith("rest:"):
            traded = not_negative(float(t.turnover24h))  # the settling coin: USDT, or the base
            usd = traded if of.kind is ContractKind.LINEAR else traded * mark
            events.append(Turnover(of.id, at, got, not_negative(usd)))
        if t.fundingRate:
            hours = of.funding_interval_h
            if t.fundingIntervalHour:
                hours = positive(float(t.fundingIntervalHour))
            due = int(t.nextFundingTime) * MS if t.nextFundingTime else 0
            events.append(FundingRate(of.id, at, got, finite(float(t.fundingRate)), hours, due))
        quote = (t.bid1Price, t.bid1Size, t.ask1Price, t.ask1Size)
        if all(quote):
            bid, bid_size, ask, ask_size = (not_negative(float(x)) for x in quote)
            if bid > 0.0 and ask > 0.0:
                book = _Book(t.symbol, [(bid, bid_size)], [(ask, ask_size)], 0)
                events.append(_quote(of, at, got, book))
        return events

    def _on_liquidations(self, topic: str, frame: Frame, instruments: Instruments) -> list[Event]:
        events: list[Event] = []
        for r in self._reader.read(frame.payload, _Liquidations, topic).data:
            of = self._find(r.s, frame, instruments)
            if isinstance(of, Unknown):
                return [of]
            price = positive(r.p) * of.price_factor
            events.append(
                Liquidation(
                    of.id,
                    r.T * MS,
                    frame.received_ns,
                    _CLOSED[r.S],
                    of.quantity_base(not_negative(r.v), price),
                    price,
                    PriceKind.BANKRUPTCY,
                    Coverage.COMPLETE,
                )
            )
        return events

    def _on_klines(self, topic: str, frame: Frame, instruments: Instruments) -> list[Event]:
        of = self._find(topic.rpartition(".")[2], frame, instruments)
        rows = self._reader.read(frame.payload, _Klines, topic).data
        if isinstance(of, Unknown):
            return [of]
        return [
            _candle(
                of,
                frame,
                CandleOf.LAST,
                r.start,
                (r.end + 1 - r.start) * MS,
                (r.open, r.high, r.low, r.close, r.volume),
                is_closed=r.confirm,
            )
            for r in rows
        ]

    def _on_insurance(self, topic: str, frame: Frame, instruments: Instruments) -> list[Event]:
        del instruments
        m = self._reader.read(frame.payload, _Pools, topic)
        return [
            InsuranceFund(
                "",
                (r.updateTime or m.ts) * MS,
                frame.received_ns,
                self.name,
                r.coin,
                finite(r.balance),
            )
            for r in m.data
        ]

    # ---- REST ---------------------------------------------------------------------------------

    def _instruments(
        self, raw: msgspec.Raw, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        del query, known
        body = self._reader.read(bytes(raw), _ContractList, "instruments-info")
        if body.category not in ("linear", "inverse"):
            return [Notice(self.name, frame.received_ns, "unused", f"instruments {body.category}")]
        got = frame.received_ns
        return [listing(_instrument(self.name, c), at, got) for c in body.rows]

    def _rest_book(
        self, raw: msgspec.Raw, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        del query, at
        body = self._reader.read(bytes(raw), _Book, "orderbook")
        of = self._find(body.s, frame, known)
        if isinstance(of, Unknown):
            return [of]
        if not body.b or not body.a:
            return []
        # An audit of the top only: the stream brings its own snapshots.
        return [_quote(of, frame.received_ns, frame.received_ns, body)]

    def _rest_tickers(
        self, raw: msgspec.Raw, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        del query
        events: list[Event] = []
        for row in self._reader.read(bytes(raw), _TickerList, "tickers").rows:
            events += self._ticker(row, at, frame, known)
        return events

    def _oi_history(
        self, raw: msgspec.Raw, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        del query, at
        body = self._reader.read(bytes(raw), _OiList, "open-interest")
        of = self._find(body.symbol, frame, known)
        if isinstance(of, Unknown):
            return [of]
        got = frame.received_ns
        return [
            open_interest(
                of,
                r.timestamp * MS,
                got,
                _one_side(r.openInterest, r.singleOpenInterest) or 0.0,
                0.0,
                is_history=True,
            )
            for r in body.rows
        ]

    def _ratios(
        self, raw: msgspec.Raw, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        del query, at
        events: list[Event] = []
        for r in self._reader.read(bytes(raw), _RatioList, "account-ratio").rows:
            of = self._find(r.symbol, frame, known)
            if isinstance(of, Unknown):
                return [of]
            long, short = not_negative(r.buyRatio), not_negative(r.sellRatio)
            at_ns = r.timestamp * MS
            events.append(
                PositioningRatio(of.id, at_ns, frame.received_ns, "accounts", long, short)
            )
        return events

    def _funding_history(
        self, raw: msgspec.Raw, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        del query, at
        events: list[Event] = []
        for r in self._reader.read(bytes(raw), _FundingList, "funding").rows:
            of = self._find(r.symbol, frame, known)
            if isinstance(of, Unknown):
                return [of]
            paid, hours = r.fundingRateTimestamp * MS, of.funding_interval_h
            rate, got = finite(r.fundingRate), frame.received_ns
            events.append(FundingRate(of.id, paid, got, rate, hours, paid, is_settled=True))
        return events

    def _rest_klines(
        self, raw: msgspec.Raw, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        del at
        body = self._reader.read(bytes(raw), _KlineList, "kline")
        of = self._find(body.symbol, frame, known)
        if isinstance(of, Unknown):
            return [of]
        path, _, _ = request_of(frame.source)
        kind = CandleOf.LAST
        if "mark-price" in path:
            kind = CandleOf.MARK
        elif "index-price" in path:
            kind = CandleOf.INDEX
        interval = query.get("interval", "1")
        span_ns = _INTERVAL_NS.get(interval) or int(interval) * 60_000 * MS
        events: list[Event] = []
        for r in body.rows:
            start = int(r[0])
            row = (r[1], r[2], r[3], r[4], r[5] if len(r) > 5 else 0.0)
            closed = start * MS + span_ns <= frame.received_ns
            events.append(
                _candle(of, frame, kind, start, span_ns, row, is_closed=closed, is_history=True)
            )
        return events

    def _rest_trades(
        self, raw: msgspec.Raw, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        del query, at
        body = self._reader.read(bytes(raw), _TradeList, "recent-trade")
        if body.category == "spot":
            return [Unknown(self.name, frame.received_ns, "spot recent-trade")]
        events: list[Event] = []
        for r in body.rows:
            of = self._find(r.symbol, frame, known)
            if isinstance(of, Unknown):
                return [of]
            price = positive(r.price) * of.price_factor
            quantity = of.quantity_base(not_negative(r.size), price)
            kind = TradeKind.BLOCK if r.isBlockTrade else TradeKind.MARKET
            got = frame.received_ns
            events.append(
                Trade(of.id, r.time * MS, got, price, quantity, _TAKER[r.side], r.execId, kind)
            )
        return events

    def _risk_limits(
        self, raw: msgspec.Raw, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        del query
        rows: dict[str, list[_RiskRow]] = {}
        for r in self._reader.read(bytes(raw), _RiskList, "risk-limit").rows:
            rows.setdefault(r.symbol, []).append(r)
        events: list[Event] = []
        for symbol, group in rows.items():
            of = self._find(symbol, frame, known)
            if isinstance(of, Instrument):
                events.append(TierTable(of.id, at, frame.received_ns, _tiers(group)))
        return events or [Notice(self.name, frame.received_ns, "unused", "risk limits of others")]

    def _rest_insurance(
        self, raw: msgspec.Raw, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        del query, known
        body = self._reader.read(bytes(raw), _InsuranceList, "insurance")
        stamp = body.updatedTime * MS or at
        return [
            InsuranceFund("", stamp, frame.received_ns, self.name, r.coin, finite(r.balance))
            for r in body.rows
        ]

    def _status(
        self, raw: msgspec.Raw, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        """Work on the futures; interruptions below 10 s are not announced."""
        del at, query, known
        rows = [
            (r.title, r.state, r.begin, int(r.end or 0), str(r.maintainType) == "1")
            for r in self._reader.read(bytes(raw), _StatusList, "system status").rows
            if str(r.env) == "1" and (not r.product or 1 in r.product)
        ]
        return announcements(self.name, rows, frame.received_ns)

    # ---- what to ask for ----------------------------------------------------------------------

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        """The instrument list, then the tiers of the likely symbols."""
        path = f"/v5/market/instruments-info?category={self.category}&limit=1000"
        requests = [HttpRequest(self.name, path, pool="ip")]
        requests += [self._tiers_of(f"{base}{self.settle}") for base in bases]
        return requests

    def _tiers_of(self, symbol: str, instrument_id: str = "") -> HttpRequest:
        path = f"/v5/market/risk-limit?category={self.category}&symbol={symbol}"
        return HttpRequest(self.name, path, pool="ip", instrument_id=instrument_id)

    def ranking(self) -> Sequence[HttpRequest]:
        path = f"/v5/market/tickers?category={self.category}"
        return (HttpRequest(self.name, path, pool="ip"),)

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Books with tickers, trades, liquidations: a storm of books delays nothing else."""
        return tuple(
            _connection(self.name, self.category, name, topics, instruments)
            for name, topics in (
                ("books", ("orderbook.200", "tickers")),
                ("trades", ("publicTrade",)),
                ("force", ("allLiquidation",)),
            )
        )

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Ratios and the state of the venue every five minutes; tiers; the isolated funds every
        minute, all in one answer."""
        if not instruments:
            return ()
        ratios = tuple(
            Poll(
                HttpRequest(
                    self.name,
                    f"/v5/market/account-ratio?category={self.category}&symbol={of.symbol}"
                    "&period=5min&limit=1",
                    pool="ip",
                    instrument_id=of.id,
                ),
                300.0,
                ("PositioningRatio",),
            )
            for of in instruments
        )
        tiers = tuple(
            Poll(self._tiers_of(of.symbol, of.id), TIERS_S, ("TierTable",)) for of in instruments
        )
        status = HttpRequest(self.name, "/v5/system/status", pool="ip")
        ratios += (*tiers, Poll(status, 300.0, ("Notice",)))
        if self.category != "linear":
            return ratios
        fund = HttpRequest(self.name, "/v5/market/insurance?coin=USDT", pool="ip")
        return (*ratios, Poll(fund, 60.0, ("InsuranceFund",)))

    def backfill(self, instrument: Instrument, start_ns: int, end_ns: int) -> Sequence[HttpRequest]:
        """1-minute candles, 5-minute marks (1000 rows) and open interest (200 rows), funding."""
        s, out = f"category={self.category}&symbol={instrument.symbol}", []
        begin, end = start_ns // MS, end_ns // MS
        for path, keys, rows in (
            ("/v5/market/mark-price-kline", ("start", "end", "interval=5"), 1000),
            ("/v5/market/kline", ("start", "end", "interval=1"), 1000),
            ("/v5/market/open-interest", ("startTime", "endTime", "intervalTime=5min"), 200),
        ):
            at = begin
            unit_ms = 60_000 if keys[2] == "interval=1" else 300_000
            while at < end:
                upto = min(at + rows * unit_ms, end)
                query = f"{path}?{s}&{keys[0]}={at}&{keys[1]}={upto}&{keys[2]}&limit={rows}"
                out.append(HttpRequest(self.name, query, "", 1.0, "ip", instrument.id))
                at = upto
        query = f"/v5/market/funding/history?{s}&startTime={begin}&endTime={end}&limit=200"
        out.append(HttpRequest(self.name, query, "", 1.0, "ip", instrument.id))
        return out

    def resync(self, instrument: Instrument) -> Resync:
        args = [f"orderbook.200.{instrument.symbol}"]
        return leave_and_join(lambda op: msgspec.json.encode({"op": op, "args": args}))

    def infer_instrument(self, frame: Frame) -> Instrument | None:
        """Recordings of this venue carry their instrument lists."""
        del frame
        return None


_SPECS: dict[str, tuple[str, tuple[str, ...], float]] = {
    "orderbook.200": ("book", ("BookDelta", "BookSnapshot"), 3.0),
    "tickers": ("mark", ("MarkPrice",), 10.0),
    "publicTrade": ("trades", ("Trade",), 60.0),
    "allLiquidation": ("liquidations", ("Liquidation",), 0.0),
}


def _connection(
    venue: str,
    category: str,
    name: str,
    topics: Sequence[str],
    instruments: Sequence[Instrument],
) -> Connection:
    args = [f"{topic}.{of.symbol}" for topic in topics for of in instruments]
    send = tuple(
        msgspec.json.encode({"op": "subscribe", "args": args[i : i + 50], "req_id": f"{name}{i}"})
        for i in range(0, len(args), 50)
    )
    streams = tuple(
        StreamSpec(f"{_SPECS[topic][0]} {of.symbol}", _SPECS[topic][1], of.id, _SPECS[topic][2])
        for topic in topics
        for of in instruments
    )
    if topics == ("allLiquidation",) and instruments:
        # Liquidations may be silent for hours: trades prove that the connection lives.
        of = instruments[0]
        send += (msgspec.json.encode({"op": "subscribe", "args": [f"publicTrade.{of.symbol}"]}),)
        canary = StreamSpec(f"canary {of.symbol}", ("Trade",), of.id, 60.0, is_canary=True)
        streams += (canary,)
    path = f"/v5/public/{category}"
    ping = Heartbeat(20.0, b'{"op":"ping"}')
    return Connection(venue, name, path, f"ws:{path}#{name}", send, streams, ping)


def _one_side(both: str, single: str) -> float | None:
    """Open interest of one side, venue units; None where the message says nothing."""
    if single:
        return not_negative(float(single))
    if both:
        return not_negative(float(both)) / 2.0
    return None


def _scanned_shapes() -> dict[str, Build]:
    data = '{"s":"<symbol>","b":<bids>,"a":<asks>,"u":<keep>,"seq":<whole>}'
    head, tail = _BOOK_HEAD.decode() + "<text>", f'"ts":<keep>,"data":{data},"cts":<keep>}}'
    return {
        f'{head}","type":"delta",{tail}': _scanned_delta,
        f'{head}","type":"snapshot",{tail}': _scanned_book,
    }


def _scanned_delta(of: Instrument, got: int, made: BookLevels, found: Found) -> list[Event]:
    """As `_on_book`."""
    sent, u, matched = found[6:9]
    if u == 1:
        return _scanned_book(of, got, made, found)
    return [BookDelta(of.id, (matched or sent) * MS, got, u, u, -1, made)]


def _scanned_book(of: Instrument, got: int, made: BookLevels, found: Found) -> list[Event]:
    sent, u, matched = found[6:9]
    return [BookSnapshot(of.id, (matched or sent) * MS, got, u, made)]


def _quote(of: Instrument, at: int, got: int, book: _Book) -> BestQuote:
    (bid, bid_size), (ask, ask_size) = book.b[0], book.a[0]
    bid, ask = positive(bid) * of.price_factor, positive(ask) * of.price_factor
    return BestQuote(
        of.id,
        at,
        got,
        bid,
        of.quantity_base(not_negative(bid_size), bid),
        ask,
        of.quantity_base(not_negative(ask_size), ask),
        book.u,
    )


def _tiers(rows: Sequence[_RiskRow]) -> tuple[MarginTier, ...]:
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


def _candle(
    of: Instrument,
    frame: Frame,
    kind: CandleOf,
    start_ms: int,
    span_ns: int,
    row: tuple[float, float, float, float, float],
    *,
    is_closed: bool,
    is_history: bool = False,
) -> Candle:
    p = of.price_factor
    close = positive(row[3]) * p
    return Candle(
        of.id,
        start_ms * MS + span_ns,
        frame.received_ns,
        kind,
        span_ns,
        positive(row[0]) * p,
        positive(row[1]) * p,
        positive(row[2]) * p,
        close,
        of.quantity_base(not_negative(row[4]), close),
        -1.0,
        is_closed,
        is_history,
    )
