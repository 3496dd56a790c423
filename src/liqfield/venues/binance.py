"""Binance futures: the USD-M venue, and the protocol that COIN-M (binance_coinm.py) shares.

USD-M quantities are coins, liquidation side is the order's, open interest is counted once.
Streams are split over /public and /market; a stream on the wrong path is acknowledged and silent.
Rules and sources: docs/venues/binance.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from liqfield.model.events import (
    BestQuote,
    BookDelta,
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
    OpenInterest,
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
from liqfield.venues.binance_scan import scanned_shapes
from liqfield.venues.contract import (
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
    base_and_factor,
    coins,
    decimals_of,
    finite,
    implied_price,
    levels,
    listing,
    not_negative,
    open_interest,
    positive,
    request_of,
)
from liqfield.venues.scan import Scanner

NAME = "binance"
Pair = tuple[float, float]
_KINDS = {"ADL": TradeKind.ADL, "INSURANCE_FUND": TradeKind.INSURANCE}
_PARTIAL = re.compile(rb'\{"stream":"[^"]*@depth(5|10|20)[@"]')
_BUY, _SELL, _MARKET = Aggressor.BUY, Aggressor.SELL, TradeKind.MARKET
# The side of the order closes the other side's position.
_CLOSED = {"SELL": PositionSide.LONG, "BUY": PositionSide.SHORT}
_FILL, _LIMIT, _LARGEST = PriceKind.FILL, PriceKind.LIMIT, Coverage.LARGEST_PER_SECOND


class _Message(msgspec.Struct, tag_field="e", gc=False):
    """A stream message; `e` names its kind."""


class _AggTrade(_Message, tag="aggTrade"):
    s: str
    a: int
    p: float
    q: float
    T: int
    m: bool
    st: int = 0


class _Trade(_Message, tag="trade"):
    s: str
    t: int
    p: float
    q: float
    T: int
    m: bool
    X: str = "MARKET"
    st: int = 0


class _Depth(_Message, tag="depthUpdate"):
    s: str
    E: int
    T: int
    U: int
    u: int
    pu: int
    b: list[Pair]
    a: list[Pair]
    st: int = 0


class _BookTicker(_Message, tag="bookTicker"):
    s: str
    u: int
    b: float
    B: float
    a: float
    A: float
    T: int
    E: int = 0
    st: int = 0


class _Mark(_Message, tag="markPriceUpdate"):
    s: str
    E: int
    p: float
    T: int = 0
    i: float = 0.0
    r: str = ""
    st: int = 0


class _Index(_Message, tag="indexPriceUpdate"):
    """COIN-M only: `i` names the pair, whose index all its contracts share."""

    E: int
    i: str
    p: float


class _ForceBody(msgspec.Struct, gc=False):
    s: str
    S: str
    p: float
    ap: float
    z: float
    T: int
    st: int = 0


class _Force(_Message, tag="forceOrder"):
    E: int
    o: _ForceBody


class _KlineBody(msgspec.Struct):
    t: int
    T: int
    i: str
    o: float
    h: float
    l: float  # noqa: E741 - the venue's name
    c: float
    v: float
    x: bool
    V: float = -1.0
    q: float = 0.0
    Q: float = -1.0


class _Kline(_Message, tag="kline"):
    E: int
    s: str
    k: _KlineBody
    st: int = 0


class _ContinuousKline(_Message, tag="continuous_kline"):
    E: int
    ps: str
    k: _KlineBody
    ct: str = "PERPETUAL"
    st: int = 0


class _Bracket(msgspec.Struct):
    bnf: float
    bnc: float
    mmr: float
    cf: float
    ma: float


class _ContractInfo(_Message, tag="contractInfo"):
    E: int
    s: str
    bks: list[_Bracket] = []
    st: int = 0


_Stream = (
    _AggTrade
    | _Trade
    | _Depth
    | _BookTicker
    | _Mark
    | _Index
    | _Force
    | _Kline
    | _ContinuousKline
    | _ContractInfo
)


class _Combined(msgspec.Struct, gc=False):
    stream: str
    data: _Stream


class _Kind(msgspec.Struct):
    """The cheap look at a message that no known kind fits."""

    e: str = ""
    stream: str = ""
    data: object = None
    result: object = msgspec.UNSET
    id: object = None
    error: object = None


class _Filter(msgspec.Struct):
    filterType: str  # noqa: N815
    tickSize: str = ""  # noqa: N815
    stepSize: str = "0"  # noqa: N815


class _Symbol(msgspec.Struct):
    symbol: str
    contractType: str  # noqa: N815
    baseAsset: str  # noqa: N815
    quoteAsset: str  # noqa: N815
    marginAsset: str  # noqa: N815
    status: str = ""
    contractStatus: str = ""  # noqa: N815
    contractSize: float = 0.0  # noqa: N815 - USD a contract, COIN-M only
    filters: list[_Filter] = []


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]


class _RestDepth(msgspec.Struct):
    lastUpdateId: int  # noqa: N815
    bids: list[Pair]
    asks: list[Pair]
    E: int = 0
    T: int = 0


class _RestOi(msgspec.Struct):
    symbol: str
    openInterest: float  # noqa: N815
    time: int = 0


class _OiHist(msgspec.Struct):
    sumOpenInterest: float  # noqa: N815
    sumOpenInterestValue: float  # noqa: N815
    timestamp: int
    symbol: str = ""
    pair: str = ""


class _Ticker(msgspec.Struct):
    symbol: str
    weightedAvgPrice: float  # noqa: N815
    closeTime: int  # noqa: N815
    quoteVolume: float = 0.0  # noqa: N815
    baseVolume: float = 0.0  # noqa: N815


class _Premium(msgspec.Struct):
    symbol: str
    markPrice: float  # noqa: N815
    indexPrice: float  # noqa: N815
    lastFundingRate: str  # noqa: N815
    nextFundingTime: int  # noqa: N815
    time: int


class _Funding(msgspec.Struct):
    symbol: str
    fundingTime: int  # noqa: N815
    fundingRate: float  # noqa: N815


class _Ratio(msgspec.Struct):
    timestamp: int
    symbol: str = ""
    pair: str = ""
    longAccount: float = -1.0  # noqa: N815
    shortAccount: float = -1.0  # noqa: N815
    buyVol: float = -1.0  # noqa: N815
    sellVol: float = -1.0  # noqa: N815


class _RestAgg(msgspec.Struct):
    a: int
    p: float
    q: float
    T: int
    m: bool


class _RestTrade(msgspec.Struct):
    id: int
    price: float
    qty: float
    time: int
    isBuyerMaker: bool  # noqa: N815


class _RestBracket(msgspec.Struct):
    notionalFloor: float  # noqa: N815
    notionalCap: float  # noqa: N815
    maintMarginRatio: float  # noqa: N815
    initialLeverage: float  # noqa: N815
    cum: float


class _SymbolBrackets(msgspec.Struct):
    symbol: str
    brackets: list[_RestBracket]


class _WebBracket(msgspec.Struct):
    bracketNotionalFloor: float  # noqa: N815
    bracketNotionalCap: float  # noqa: N815
    bracketMaintenanceMarginRate: float  # noqa: N815
    maxOpenPosLeverage: float  # noqa: N815
    cumFastMaintenanceAmount: float  # noqa: N815


class _WebSymbol(msgspec.Struct):
    symbol: str
    riskBrackets: list[_WebBracket]  # noqa: N815


class _WebData(msgspec.Struct):
    brackets: list[_WebSymbol]


class _WebBrackets(msgspec.Struct):
    data: _WebData


class _FundAsset(msgspec.Struct):
    asset: str
    marginBalance: float  # noqa: N815
    updateTime: int  # noqa: N815


class _FundGroup(msgspec.Struct):
    assets: list[_FundAsset]
    symbols: list[str] = []


Instruments = Mapping[str, Instrument]


class Binance:
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.REST_THEN_PREVIOUS
    rest_url = "https://fapi.binance.com"
    ws_url = "wss://fstream.binance.com"
    api = "/fapi/v1"
    market = 1  # `st` of our messages on merged streams: contracts of the others are not coins
    budgets = (Budget("weight", 2400.0, 60.0), Budget("data", 1000.0, 300.0))

    def __init__(self) -> None:
        self._reader = Reader(self.name)
        self._prefix = f"{self.name}:"
        self._rest: dict[str, Callable[[Frame, dict[str, str], Instruments], list[Event]]] = {
            f"{self.api}/exchangeInfo": self._exchange_info,
            f"{self.api}/depth": self._rest_depth,
            f"{self.api}/openInterest": self._rest_oi,
            f"{self.api}/ticker/24hr": self._turnover,
            "/futures/data/openInterestHist": self._oi_history,
            f"{self.api}/premiumIndex": self._premium,
            f"{self.api}/fundingRate": self._funding_history,
            f"{self.api}/fundingInfo": self._ignored,
            "/futures/data/basis": self._ignored,
            f"{self.api}/klines": self._rest_klines,
            f"{self.api}/markPriceKlines": self._rest_klines,
            f"{self.api}/indexPriceKlines": self._rest_klines,
            "/futures/data/globalLongShortAccountRatio": self._ratios,
            "/futures/data/topLongShortAccountRatio": self._ratios,
            "/futures/data/topLongShortPositionRatio": self._ratios,
            "/futures/data/takerlongshortRatio": self._ratios,
            f"{self.api}/aggTrades": self._rest_agg_trades,
            f"{self.api}/trades": self._rest_trades,
            f"{self.api}/leverageBracket": self._rest_brackets,
            "/bapi/futures/v1/friendly/future/common/brackets": self._web_brackets,
            f"{self.api}/insuranceBalance": self._insurance,
        }
        self._stream: dict[type, Callable[[Any, Frame, Instruments], list[Event]]] = {
            _AggTrade: self._on_agg_trade,
            _Trade: self._on_trade,
            _Depth: self._on_depth,
            _BookTicker: self._on_book_ticker,
            _Mark: self._on_mark,
            _Index: self._on_index,
            _Force: self._on_force,
            _Kline: self._on_kline,
            _ContinuousKline: self._on_kline,
            _ContractInfo: self._on_contract_info,
        }
        self._raw = msgspec.json.Decoder(_Stream, strict=False)
        self._combined = msgspec.json.Decoder(_Combined, strict=False)
        self._socket = ""
        self._scanner = Scanner(self.name, scanned_shapes(self.market))

    # ---- decode -------------------------------------------------------------------------------

    def decode(self, frame: Frame, instruments: Instruments) -> Sequence[Event]:
        """Bytes to events. Raises DecodeError on malformed messages."""
        if frame.source != self._socket:
            if frame.source.startswith("rest:"):
                return self._decode_rest(frame, instruments)
            self._socket = frame.source  # of the last message: a comparison is cheaper than a look
        events = self._scanner.scan(frame.payload, frame.received_ns, instruments)
        if events is not None:
            return events
        payload = frame.payload
        try:
            if payload.startswith(b'{"stream"'):
                message = self._combined.decode(payload).data
            else:
                message = self._raw.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._odd(frame, error)
        try:
            return self._stream[type(message)](message, frame, instruments)
        except (ValueError, KeyError, ArithmeticError) as error:
            raise self._reader.error(frame, type(message).__name__, str(error)) from error

    def _decode_rest(self, frame: Frame, instruments: Instruments) -> list[Event]:
        path, query, _ = request_of(frame.source)
        handler = self._rest.get(path)
        if handler is None:
            return [Unknown(self.name, frame.received_ns, f"rest {path}")]
        return self._reader.guard(frame, path, lambda: handler(frame, query, instruments))

    def _odd(self, frame: Frame, error: Exception) -> list[Event]:
        """Acknowledgements and kinds we do not read; anything else is malformed."""
        kind = self._reader.read(frame.payload, _Kind, "stream")
        if kind.result is not msgspec.UNSET and kind.e == "" and kind.stream == "":
            return [Notice(self.name, frame.received_ns, "ack", str(kind.id))]
        if kind.error is not None:
            return [Notice(self.name, frame.received_ns, "error", str(kind.error)[:200])]
        data = kind.data
        if isinstance(data, list) and data:
            data = data[0]
        name = str(data.get("e", "")) if isinstance(data, dict) else kind.e
        known = {getattr(t, "__struct_config__").tag for t in self._stream}  # noqa: B009
        if not name or name in known:
            raise self._reader.error(frame, name or "stream", str(error)) from error
        return [Unknown(self.name, frame.received_ns, name)]

    def _find(
        self, symbol: str, frame: Frame, instruments: Instruments, st: int = 0
    ) -> Instrument | Unknown:
        if st and st != self.market:
            other = "coin-margined" if self.market == 1 else "USD-margined"
            return Unknown(self.name, frame.received_ns, other)
        found = instruments.get(self._prefix + symbol)
        if found is None:
            return Unknown(self.name, frame.received_ns, f"instrument {symbol}")
        return found

    def _on_agg_trade(self, m: _AggTrade, frame: Frame, instruments: Instruments) -> list[Event]:
        return self._trade(m, str(m.a), _MARKET, frame, instruments)

    def _on_trade(self, m: _Trade, frame: Frame, instruments: Instruments) -> list[Event]:
        return self._trade(m, str(m.t), _KINDS.get(m.X, _MARKET), frame, instruments)

    def _trade(
        self,
        m: _AggTrade | _Trade,
        trade_id: str,
        kind: TradeKind,
        frame: Frame,
        instruments: Instruments,
    ) -> list[Event]:
        of = self._find(m.s, frame, instruments, m.st)
        if isinstance(of, Unknown):
            return [of]
        usd = positive(m.p) * of.price_factor
        aggressor = _SELL if m.m else _BUY
        size, got = coins(of, m.q, usd), frame.received_ns
        return [Trade(of.id, m.T * MS, got, usd, size, aggressor, trade_id, kind)]

    def _on_depth(self, m: _Depth, frame: Frame, instruments: Instruments) -> list[Event]:
        of = self._find(m.s, frame, instruments, m.st)
        if isinstance(of, Unknown):
            return [of]
        if _PARTIAL.match(frame.payload):
            return self._on_partial(m, frame, instruments)
        return [BookDelta(of.id, m.T * MS, frame.received_ns, m.U, m.u, m.pu, levels(m.b, m.a, of))]

    def _on_partial(self, m: _Depth, frame: Frame, instruments: Instruments) -> list[Event]:
        """The best few levels: no diff and not the whole book, but a quote."""
        if not m.b or not m.a:
            return []
        (bid, bid_size), (ask, ask_size) = max(m.b), min(m.a)
        quote = _BookTicker(m.s, m.u, bid, bid_size, ask, ask_size, m.T, m.E, m.st)
        return self._on_book_ticker(quote, frame, instruments)

    def _on_book_ticker(
        self, m: _BookTicker, frame: Frame, instruments: Instruments
    ) -> list[Event]:
        of = self._find(m.s, frame, instruments, m.st)
        if isinstance(of, Unknown):
            return [of]
        bid, ask = not_negative(m.b) * of.price_factor, not_negative(m.a) * of.price_factor
        return [
            BestQuote(
                of.id,
                m.T * MS,
                frame.received_ns,
                bid,
                coins(of, m.B, bid),
                ask,
                coins(of, m.A, ask),
                m.u,
            )
        ]

    def _on_mark(self, m: _Mark, frame: Frame, instruments: Instruments) -> list[Event]:
        of = self._find(m.s, frame, instruments, m.st)
        if isinstance(of, Unknown):
            return [of]
        at, got = m.E * MS, frame.received_ns
        events: list[Event] = [MarkPrice(of.id, at, got, positive(m.p) * of.price_factor)]
        if m.i > 0.0:
            events.append(IndexPrice(of.id, at, got, positive(m.i) * of.price_factor))
        if m.r and m.T > 0:
            hours = of.funding_interval_h
            events.append(FundingRate(of.id, at, got, finite(float(m.r)), hours, m.T * MS))
        return events

    def _on_index(self, m: _Index, frame: Frame, instruments: Instruments) -> list[Event]:
        of = self._find(f"{m.i}_PERP", frame, instruments)
        if isinstance(of, Unknown):
            return [of]
        usd = positive(m.p) * of.price_factor
        return [IndexPrice(of.id, m.E * MS, frame.received_ns, usd)]

    def _on_force(self, m: _Force, frame: Frame, instruments: Instruments) -> list[Event]:
        """SELL closes a long. Filled size at the average fill; `p` is near the bankruptcy price."""
        o = m.o
        of = self._find(o.s, frame, instruments, o.st)
        if isinstance(of, Unknown):
            return [of]
        filled = o.ap > 0.0
        usd = positive(o.ap if filled else o.p) * of.price_factor
        return [
            Liquidation(
                of.id,
                o.T * MS,
                frame.received_ns,
                _CLOSED[o.S],
                coins(of, o.z, usd),
                usd,
                _FILL if filled else _LIMIT,
                _LARGEST,
            )
        ]

    def _on_kline(
        self, m: _Kline | _ContinuousKline, frame: Frame, instruments: Instruments
    ) -> list[Event]:
        symbol = m.s if isinstance(m, _Kline) else m.ps
        of = self._find(symbol, frame, instruments, m.st)
        if isinstance(of, Unknown):
            return [of]
        k = m.k
        inverse = of.kind is ContractKind.INVERSE
        # COIN-M states volume in contracts and, in q and Q, the coins that they were.
        row = (k.o, k.h, k.l, k.c, k.q, k.Q) if inverse else (k.o, k.h, k.l, k.c, k.v, k.V)
        return [_candle(of, frame, CandleOf.LAST, k.t, k.T, row, is_closed=k.x)]

    def _on_contract_info(
        self, m: _ContractInfo, frame: Frame, instruments: Instruments
    ) -> list[Event]:
        of = self._find(m.s, frame, instruments, m.st)
        if isinstance(of, Unknown):
            return [of]
        if not m.bks:
            return [Notice(self.name, frame.received_ns, "contract", m.s)]
        tiers = [MarginTier(b.bnf, b.bnc, b.ma, b.mmr, b.cf) for b in m.bks]
        return [_tier_table(of.id, m.E * MS, frame.received_ns, tiers)]

    # ---- REST ---------------------------------------------------------------------------------

    def _ignored(
        self, frame: Frame, query: dict[str, str], instruments: Instruments
    ) -> list[Event]:
        del query, instruments
        self._reader.read(frame.payload, object, frame.source)
        return [Notice(self.name, frame.received_ns, "unused", frame.source)]

    def _exchange_info(
        self, frame: Frame, query: dict[str, str], instruments: Instruments
    ) -> list[Event]:
        del query, instruments
        info = self._reader.read(frame.payload, _ExchangeInfo, "exchangeInfo")
        at = frame.received_ns
        return [listing(_instrument(self.name, s), at, at) for s in info.symbols if s.filters]

    def _rest_depth(
        self, frame: Frame, query: dict[str, str], instruments: Instruments
    ) -> list[Event]:
        m = self._reader.read(frame.payload, _RestDepth, "depth")
        of = self._find(query.get("symbol", ""), frame, instruments)
        if isinstance(of, Unknown):
            return [of]
        at = (m.T or m.E) * MS or frame.received_ns
        book = levels(m.bids, m.asks, of)
        return [BookSnapshot(of.id, at, frame.received_ns, m.lastUpdateId, book, is_rest=True)]

    def _rest_oi(
        self, frame: Frame, query: dict[str, str], instruments: Instruments
    ) -> list[Event]:
        del query
        m = self._reader.read(frame.payload, _RestOi, "openInterest")
        of = self._find(m.symbol, frame, instruments)
        if isinstance(of, Unknown):
            return [of]
        at = m.time * MS or frame.received_ns
        return [open_interest(of, at, frame.received_ns, m.openInterest, 0.0)]

    def _oi_history(
        self, frame: Frame, query: dict[str, str], instruments: Instruments
    ) -> list[Event]:
        del query
        events: list[Event] = []
        for row in self._reader.read(frame.payload, list[_OiHist], "openInterestHist"):
            of = self._find(row.symbol or f"{row.pair}_PERP", frame, instruments)
            if isinstance(of, Unknown):
                return [of]
            outstanding = not_negative(row.sumOpenInterest) * of.quantity_factor
            usd = not_negative(row.sumOpenInterestValue)
            if of.kind is ContractKind.INVERSE:  # contracts are dollars, the value is in coins
                outstanding, usd = usd, outstanding
            price = implied_price(usd, outstanding)
            at, got = row.timestamp * MS, frame.received_ns
            events.append(OpenInterest(of.id, at, got, outstanding, price, is_history=True))
        return events

    def _turnover(
        self, frame: Frame, query: dict[str, str], instruments: Instruments
    ) -> list[Event]:
        del query
        events: list[Event] = []
        for row in self._reader.read_many(frame.payload, _Ticker, "ticker"):
            of = self._find(row.symbol, frame, instruments)
            if isinstance(of, Instrument):
                usd = not_negative(row.quoteVolume) or not_negative(
                    row.baseVolume * row.weightedAvgPrice
                )
                at = row.closeTime * MS
                events.append(Turnover(of.id, at, frame.received_ns, usd))
        return events

    def _premium(
        self, frame: Frame, query: dict[str, str], instruments: Instruments
    ) -> list[Event]:
        del query
        rows = self._reader.read_many(frame.payload, _Premium, "premiumIndex")
        events: list[Event] = []
        for m in rows:
            mark = _Mark(
                m.symbol, m.time, m.markPrice, m.nextFundingTime, m.indexPrice, m.lastFundingRate
            )
            events += self._on_mark(mark, frame, instruments)
        return events

    def _funding_history(
        self, frame: Frame, query: dict[str, str], instruments: Instruments
    ) -> list[Event]:
        del query
        events: list[Event] = []
        for row in self._reader.read(frame.payload, list[_Funding], "fundingRate"):
            of = self._find(row.symbol, frame, instruments)
            if isinstance(of, Unknown):
                return [of]
            at, hours = row.fundingTime * MS, of.funding_interval_h
            rate = finite(row.fundingRate)
            events.append(
                FundingRate(of.id, at, frame.received_ns, rate, hours, at, is_settled=True)
            )
        return events

    def _rest_klines(
        self, frame: Frame, query: dict[str, str], instruments: Instruments
    ) -> list[Event]:
        path, _, _ = request_of(frame.source)
        of = self._find(query.get("symbol") or f"{query.get('pair', '')}_PERP", frame, instruments)
        rows = self._reader.read(frame.payload, list[list[float]], "klines")
        if isinstance(of, Unknown):
            return [of]
        kind = CandleOf.LAST
        if "mark" in path:
            kind = CandleOf.MARK
        elif "index" in path:
            kind = CandleOf.INDEX
        events: list[Event] = []
        for row in rows:
            start, end = int(row[0]), int(row[6])
            is_closed = (end + 1) * MS <= frame.received_ns
            inverse = of.kind is ContractKind.INVERSE  # its coins stand in other columns
            taker = row[10 if inverse else 9] if kind is CandleOf.LAST else -1.0
            body = (row[1], row[2], row[3], row[4], row[7 if inverse else 5], taker)
            events.append(
                _candle(of, frame, kind, start, end, body, is_closed=is_closed, is_history=True)
            )
        return events

    def _ratios(self, frame: Frame, query: dict[str, str], instruments: Instruments) -> list[Event]:
        path, _, _ = request_of(frame.source)
        basis = {
            "/futures/data/globalLongShortAccountRatio": "accounts",
            "/futures/data/topLongShortAccountRatio": "top_accounts",
            "/futures/data/topLongShortPositionRatio": "top_positions",
            "/futures/data/takerlongshortRatio": "taker_volume",
        }[path]
        events: list[Event] = []
        for row in self._reader.read(frame.payload, list[_Ratio], "ratio"):
            pair = row.pair or query.get("pair", "")
            symbol = row.symbol or query.get("symbol", "") or f"{pair}_PERP"
            of = self._find(symbol, frame, instruments)
            if isinstance(of, Unknown):
                return [of]
            long, short = row.longAccount, row.shortAccount
            if basis == "taker_volume":
                total = positive(row.buyVol + row.sellVol)
                long, short = row.buyVol / total, row.sellVol / total
            at = row.timestamp * MS
            events.append(
                PositioningRatio(
                    of.id, at, frame.received_ns, basis, not_negative(long), not_negative(short)
                )
            )
        return events

    def _rest_agg_trades(
        self, frame: Frame, query: dict[str, str], instruments: Instruments
    ) -> list[Event]:
        symbol, events = query.get("symbol", ""), []
        for r in self._reader.read(frame.payload, list[_RestAgg], "aggTrades"):
            trade = _AggTrade(symbol, r.a, r.p, r.q, r.T, r.m)
            events += self._on_agg_trade(trade, frame, instruments)
        return events

    def _rest_trades(
        self, frame: Frame, query: dict[str, str], instruments: Instruments
    ) -> list[Event]:
        symbol, events = query.get("symbol", ""), []
        for r in self._reader.read(frame.payload, list[_RestTrade], "trades"):
            trade = _Trade(symbol, r.id, r.price, r.qty, r.time, r.isBuyerMaker)
            events += self._on_trade(trade, frame, instruments)
        return events

    def _rest_brackets(
        self, frame: Frame, query: dict[str, str], instruments: Instruments
    ) -> list[Event]:
        del query
        events: list[Event] = []
        for row in self._reader.read(frame.payload, list[_SymbolBrackets], "leverageBracket"):
            tiers = [
                MarginTier(
                    b.notionalFloor, b.notionalCap, b.initialLeverage, b.maintMarginRatio, b.cum
                )
                for b in row.brackets
            ]
            of = self._find(row.symbol, frame, instruments)
            if isinstance(of, Instrument):
                events.append(_tier_table(of.id, frame.received_ns, frame.received_ns, tiers))
        return events

    def _web_brackets(
        self, frame: Frame, query: dict[str, str], instruments: Instruments
    ) -> list[Event]:
        del query
        events: list[Event] = []
        for row in self._reader.read(frame.payload, _WebBrackets, "brackets").data.brackets:
            tiers = [
                MarginTier(
                    b.bracketNotionalFloor,
                    b.bracketNotionalCap,
                    b.maxOpenPosLeverage,
                    b.bracketMaintenanceMarginRate,
                    b.cumFastMaintenanceAmount,
                )
                for b in row.riskBrackets
            ]
            of = self._find(row.symbol, frame, instruments)
            if isinstance(of, Instrument):
                events.append(_tier_table(of.id, frame.received_ns, frame.received_ns, tiers))
        return events

    def _insurance(
        self, frame: Frame, query: dict[str, str], instruments: Instruments
    ) -> list[Event]:
        del query, instruments
        groups = self._reader.read_many(frame.payload, _FundGroup, "insuranceBalance")
        return [
            InsuranceFund(
                "",
                a.updateTime * MS,
                frame.received_ns,
                self.name,
                a.asset,
                finite(a.marginBalance),
            )
            for group in groups
            for a in group.assets
        ]

    # ---- what to ask for ----------------------------------------------------------------------

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        """Instruments, then the public bracket table (another host)."""
        del bases
        return (
            HttpRequest(self.name, f"{self.api}/exchangeInfo", weight=1.0, pool="weight"),
            HttpRequest(
                self.name,
                "/bapi/futures/v1/friendly/future/common/brackets",
                weight=1.0,
                pool="weight",
                host="https://www.binance.com",
            ),
        )

    def ranking(self) -> Sequence[HttpRequest]:
        return (HttpRequest(self.name, f"{self.api}/ticker/24hr", weight=40.0, pool="weight"),)

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
            subscription(self.name, "books", "/public/ws", params["books"], books),
            subscription(self.name, "flow", "/market/ws", params["flow"], flow),
            subscription(self.name, "force", "/market/ws", params["force"], force),
        )

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Open interest has no stream; ratios refresh every five minutes, the fund every minute."""
        polls = []
        for of in instruments:
            path = f"{self.api}/openInterest?symbol={of.symbol}"
            request = HttpRequest(self.name, path, weight=1.0, pool="weight", instrument_id=of.id)
            polls.append(Poll(request, 5.0, ("OpenInterest",)))
            for series in ("globalLongShortAccountRatio", "topLongShortPositionRatio"):
                path = f"/futures/data/{series}?{self._series_of(of)}&period=5m&limit=1"
                request = HttpRequest(self.name, path, weight=1.0, pool="data", instrument_id=of.id)
                polls.append(Poll(request, 300.0, ("PositioningRatio",)))
        if self.market == 1 and polls:
            request = HttpRequest(self.name, f"{self.api}/insuranceBalance", pool="weight")
            polls.append(Poll(request, 60.0, ("InsuranceFund",)))
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
            for at in range(start, end, rows * unit_ms):
                upto = min(at + rows * unit_ms, end)
                of = series if pool == "data" else f"symbol={s}"
                query = f"{path}?{of}&startTime={at}&endTime={upto}&{tail}&limit={rows}"
                out.append(HttpRequest(self.name, query, "", weight, pool, instrument.id))
        span = f"symbol={s}&startTime={start_ns // MS}&endTime={end}"
        query = f"{self.api}/fundingRate?{span}&limit=1000"
        out.append(HttpRequest(self.name, query, "", 1.0, "data", instrument.id))
        return out

    def _series_of(self, of: Instrument) -> str:
        """How the statistics name an instrument."""
        return f"symbol={of.symbol}"

    def resync(self, instrument: Instrument) -> Resync:
        path = f"{self.api}/depth?symbol={instrument.symbol}&limit=1000"
        return Resync(HttpRequest(self.name, path, "", 20.0, "weight", instrument.id))

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
        return HttpRequest(self.name, path, "", 20.0, "weight", instrument.id)

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


def subscription(
    venue: str, name: str, path: str, params: Sequence[str], streams: Sequence[StreamSpec]
) -> Connection:
    # 200 streams a SUBSCRIBE keep each message small; 10 messages a second are allowed.
    send = tuple(
        msgspec.json.encode(
            {"method": "SUBSCRIBE", "params": list(params[i : i + 200]), "id": i + 1}
        )
        for i in range(0, len(params), 200)
    )
    return Connection(
        venue=venue,
        name=name,
        path=path,
        source=f"ws:{path}#{name}",
        send=send,
        streams=tuple(streams),
        heartbeat=Heartbeat(180.0, b"", only_when_idle=True),
        max_age_s=82_800.0,
    )


def _instrument(venue: str, s: _Symbol) -> Instrument:
    tick = next((f.tickSize for f in s.filters if f.filterType == "PRICE_FILTER"), "none")
    lot = next((f.stepSize for f in s.filters if f.filterType == "LOT_SIZE"), "0")
    mantissa, decimals = tick_parts(tick)
    base, factor = base_and_factor(s.baseAsset)
    return Instrument(
        id=f"{venue}:{s.symbol}",
        venue=venue,
        symbol=s.symbol,
        base=base,
        quote=s.quoteAsset,
        settle=s.marginAsset,
        kind=ContractKind.INVERSE if s.contractSize > 0.0 else ContractKind.LINEAR,
        tick_mantissa=mantissa,
        tick_decimals=decimals,
        price_factor=1.0 / factor,
        quantity_factor=s.contractSize or factor,
        lot=float(lot),
        is_trading=(s.status or s.contractStatus) == "TRADING",
        is_perpetual=s.contractType == "PERPETUAL",
    )


def _candle(
    of: Instrument,
    frame: Frame,
    kind: CandleOf,
    start_ms: int,
    end_ms: int,
    row: tuple[float, float, float, float, float, float],
    *,
    is_closed: bool,
    is_history: bool = False,
) -> Candle:
    # The volumes of inverse contracts were taken from the columns that count coins.
    q = 1.0 if of.kind is ContractKind.INVERSE else of.quantity_factor
    p = of.price_factor
    return Candle(
        of.id,
        (end_ms + 1) * MS,
        frame.received_ns,
        kind,
        (end_ms + 1 - start_ms) * MS,
        positive(row[0]) * p,
        positive(row[1]) * p,
        positive(row[2]) * p,
        positive(row[3]) * p,
        not_negative(row[4]) * q,
        finite(row[5]) * q if row[5] >= 0.0 else -1.0,
        is_closed,
        is_history,
    )


def _tier_table(
    instrument_id: str, event_ns: int, received_ns: int, tiers: Sequence[MarginTier]
) -> TierTable:
    ordered = tuple(sorted(tiers, key=lambda tier: tier.floor))
    for tier in ordered:
        positive(tier.cap - tier.floor)
        positive(tier.max_leverage)
        positive(tier.maintenance_rate)
        finite(tier.deduction)
    return TierTable(instrument_id, event_ns, received_ns, ordered)
