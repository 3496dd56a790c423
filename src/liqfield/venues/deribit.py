"""Deribit: JSON-RPC; amounts are dollars on inverse contracts and coins on linear ones.

Liquidations are flags on trades: "T" the taker was closed, "M" the maker, "MT" both. Books chain by
prev_change_id. Rules and sources: docs/venues/deribit.md.
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
    ContractKind,
    Coverage,
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

NAME = "deribit"
_PATH, _API = "/ws/api/v2", "/api/v2/public"
_TAKER = {"buy": Aggressor.BUY, "sell": Aggressor.SELL}
_COST = 500.0  # credits of a call, except subscriptions
_RANKED = ("BTC", "ETH", "USDC", "USDT")  # currencies that perpetuals settle in
Row = tuple[str, float, float]  # "new" | "change" | "delete", price, amount


class _Params(msgspec.Struct, frozen=True):
    channel: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Message(msgspec.Struct):
    method: str = ""
    params: _Params = _Params()
    result: msgspec.Raw = msgspec.Raw(b"")
    error: object = None
    usOut: int = 0  # noqa: N815
    id: object = None


class _Book(msgspec.Struct):
    instrument_name: str
    timestamp: int
    change_id: int
    bids: list[Row]
    asks: list[Row]
    type: str = ""
    prev_change_id: int | None = None


class _Trade(msgspec.Struct):
    instrument_name: str
    trade_id: str
    timestamp: int
    price: float
    amount: float
    direction: str
    liquidation: str = ""
    block_trade_id: str = ""


class _Trades(msgspec.Struct):
    trades: list[_Trade]


class _Ticker(msgspec.Struct):
    instrument_name: str
    timestamp: int
    mark_price: float
    index_price: float = 0.0
    open_interest: float = -1.0
    current_funding: float | None = None
    best_bid_price: float | None = 0.0
    best_bid_amount: float = 0.0
    best_ask_price: float | None = 0.0
    best_ask_amount: float = 0.0


class _Quote(msgspec.Struct):
    instrument_name: str
    timestamp: int
    best_bid_price: float | None = 0.0
    best_bid_amount: float = 0.0
    best_ask_price: float | None = 0.0
    best_ask_amount: float = 0.0


class _Contract(msgspec.Struct):
    instrument_name: str
    base_currency: str
    quote_currency: str
    tick_size: float
    settlement_currency: str = ""
    settlement_period: str = ""
    instrument_type: str = ""
    kind: str = "future"
    min_trade_amount: float = 0.0
    max_leverage: float = 0.0
    is_active: bool = True


class _Summary(msgspec.Struct):
    instrument_name: str
    volume_usd: float | None = 0.0
    creation_timestamp: int = 0


class _Chart(msgspec.Struct):
    ticks: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]


class _Funding(msgspec.Struct):
    timestamp: int
    interest_1h: float


Instruments = Mapping[str, Instrument]
RestHandler = Callable[[bytes, int, Frame, dict[str, str], Instruments], list[Event]]


class Deribit:
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.PREVIOUS_ID
    rest_url = "https://www.deribit.com"
    ws_url = "wss://streams.deribit.com"
    budgets = (Budget("credits", 50_000.0, 5.0),)

    def __init__(self) -> None:
        self._reader = Reader(NAME)
        self._channels: dict[str, Callable[[bytes, Frame, Instruments], list[Event]]] = {
            "book": self._on_book,
            "trades": self._on_trades,
            "ticker": self._on_ticker,
            "quote": self._on_quote,
        }
        self._rest: dict[str, RestHandler] = {
            f"{_API}/get_instruments": self._contracts,
            f"{_API}/get_book_summary_by_currency": self._summaries,
            f"{_API}/ticker": self._rest_ticker,
            f"{_API}/get_tradingview_chart_data": self._candles,
            f"{_API}/get_funding_rate_history": self._funding,
            f"{_API}/get_last_trades_by_instrument_and_time": self._rest_trades,
        }

    # ---- decode -------------------------------------------------------------------------------

    def decode(self, frame: Frame, instruments: Instruments) -> Sequence[Event]:
        """Bytes to events. Raises DecodeError on malformed messages."""
        m = self._reader.read(frame.payload, _Message, "stream")
        if m.error is not None:
            return [Notice(NAME, frame.received_ns, "error", str(m.error)[:200])]
        if frame.source.startswith("rest:"):
            path, query, _ = request_of(frame.source)
            handler = self._rest.get(path)
            if handler is None:
                return [Unknown(NAME, frame.received_ns, f"rest {path}")]
            at, body = m.usOut * 1_000 or frame.received_ns, bytes(m.result)
            return self._reader.guard(
                frame, path, lambda: handler(body, at, frame, query, instruments)
            )
        if m.method == "heartbeat":
            return [Notice(NAME, frame.received_ns, "heartbeat", m.params.type)]
        if not m.method and bytes(m.result):
            return [Notice(NAME, frame.received_ns, "ack", str(m.id))]
        if m.method != "subscription":
            if not m.method:
                raise self._reader.error(frame, "stream", "neither a method nor a result")
            return [Unknown(NAME, frame.received_ns, f"method {m.method}")]
        kind = m.params.channel.partition(".")[0]
        on_data = self._channels.get(kind)
        if on_data is None:
            return [Unknown(NAME, frame.received_ns, kind)]
        data = bytes(m.params.data)
        return self._reader.guard(frame, kind, lambda: on_data(data, frame, instruments))

    def _find(self, symbol: str, frame: Frame, known: Instruments) -> Found:
        return find(NAME, symbol, frame, known)

    def _on_book(self, data: bytes, frame: Frame, known: Instruments) -> list[Event]:
        m = self._reader.read(data, _Book, "book")
        of = self._find(m.instrument_name, frame, known)
        if isinstance(of, Unknown):
            return [of]
        made = levels(_levels(m.bids), _levels(m.asks), of)
        at, got = m.timestamp * MS, frame.received_ns
        # Messages of before 2021 carry no type: the first one names no predecessor.
        if m.type == "snapshot" or (not m.type and m.prev_change_id is None):
            return [BookSnapshot(of.id, at, got, m.change_id, made)]
        before = -1 if m.prev_change_id is None else m.prev_change_id
        return [BookDelta(of.id, at, got, m.change_id, m.change_id, before, made)]

    def _on_trades(self, data: bytes, frame: Frame, known: Instruments) -> list[Event]:
        return self._trades(self._reader.read(data, list[_Trade], "trades"), frame, known)

    def _trades(self, rows: list[_Trade], frame: Frame, known: Instruments) -> list[Event]:
        events: list[Event] = []
        for r in rows:
            of = self._find(r.instrument_name, frame, known)
            if isinstance(of, Unknown):
                return [of]
            price = positive(r.price) * of.price_factor
            quantity, taker = coins(of, positive(r.amount), price), _TAKER[r.direction]
            kind = TradeKind.MARKET
            if r.liquidation not in ("", "none"):
                kind = TradeKind.LIQUIDATION
            elif r.block_trade_id:
                kind = TradeKind.BLOCK
            at, got = r.timestamp * MS, frame.received_ns
            events.append(Trade(of.id, at, got, price, quantity, taker, r.trade_id, kind))
            # The taker who sells closes a long; the maker stands on the other side.
            for flag, closes in (("T", Aggressor.SELL), ("M", Aggressor.BUY)):
                if kind is TradeKind.LIQUIDATION and flag in r.liquidation:
                    side = PositionSide.LONG if taker is closes else PositionSide.SHORT
                    fill, all_of_them = PriceKind.FILL, Coverage.COMPLETE
                    events.append(
                        Liquidation(of.id, at, got, side, quantity, price, fill, all_of_them)
                    )
        return events

    def _on_ticker(self, data: bytes, frame: Frame, known: Instruments) -> list[Event]:
        m = self._reader.read(data, _Ticker, "ticker")
        of = self._find(m.instrument_name, frame, known)
        if isinstance(of, Unknown):
            return [of]
        at, got = m.timestamp * MS, frame.received_ns
        mark = positive(m.mark_price) * of.price_factor
        events: list[Event] = [MarkPrice(of.id, at, got, mark)]
        if m.index_price:
            events.append(IndexPrice(of.id, at, got, positive(m.index_price) * of.price_factor))
        if m.open_interest >= 0.0:
            events.append(open_interest(of, at, got, m.open_interest, mark))
        if m.current_funding is not None:
            # Paid continuously; the figure is the rate of eight hours.
            events.append(FundingRate(of.id, at, got, finite(m.current_funding), 8.0))
        return events + _quote(of, m, at, got)

    def _on_quote(self, data: bytes, frame: Frame, known: Instruments) -> list[Event]:
        m = self._reader.read(data, _Quote, "quote")
        of = self._find(m.instrument_name, frame, known)
        if isinstance(of, Unknown):
            return [of]
        got = frame.received_ns
        return _quote(of, m, m.timestamp * MS, got) or [
            Notice(NAME, got, "one-sided quote", of.symbol)
        ]

    # ---- REST ---------------------------------------------------------------------------------

    def _contracts(
        self, body: bytes, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        rows = self._reader.read(body, list[_Contract], "get_instruments")
        got = frame.received_ns
        return [listing(_instrument(r), at, got) for r in rows if r.kind == "future"]

    def _summaries(
        self, body: bytes, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        events: list[Event] = []
        for r in self._reader.read(body, list[_Summary], "get_book_summary_by_currency"):
            of = self._find(r.instrument_name, frame, known)
            if isinstance(of, Instrument):
                usd = not_negative(r.volume_usd or 0.0)
                events.append(Turnover(of.id, at, frame.received_ns, usd))
        return events

    def _rest_ticker(
        self, body: bytes, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        return self._on_ticker(body, frame, known)

    def _rest_trades(
        self, body: bytes, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        rows = self._reader.read(body, _Trades, "get_last_trades").trades
        return self._trades(rows, frame, known)

    def _candles(
        self, body: bytes, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        """Columns; ticks are starts in ms, volume is in coins on every contract."""
        chart = self._reader.read(body, _Chart, "chart")
        of = self._find(query.get("instrument_name", ""), frame, known)
        if isinstance(of, Unknown):
            return [of]
        resolution = query.get("resolution", "1")
        minutes = 1_440 if resolution == "1D" else int(resolution)
        span_ns = minutes * 60_000 * MS
        columns = (chart.ticks, chart.open, chart.high, chart.low, chart.close, chart.volume)
        return [
            past_candle(of, frame, CandleOf.LAST, (t * MS + span_ns, span_ns), (o, h, low, c), v)
            for t, o, h, low, c, v in zip(*columns, strict=True)
        ]

    def _funding(
        self, body: bytes, at: int, frame: Frame, query: dict[str, str], known: Instruments
    ) -> list[Event]:
        """What each hour has cost."""
        rows = self._reader.read(body, list[_Funding], "get_funding_rate_history")
        of = self._find(query.get("instrument_name", ""), frame, known)
        if isinstance(of, Unknown):
            return [of]
        got = frame.received_ns
        return [
            FundingRate(
                of.id,
                r.timestamp * MS,
                got,
                finite(r.interest_1h),
                1.0,
                r.timestamp * MS,
                is_settled=True,
            )
            for r in rows
        ]

    # ---- what to ask for ----------------------------------------------------------------------

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        """All futures in one reply; margin tables are not published by the interface."""
        del bases
        path = f"{_API}/get_instruments?currency=any&kind=future"
        return (HttpRequest(NAME, path, "", _COST, "credits"),)

    def ranking(self) -> Sequence[HttpRequest]:
        path = f"{_API}/get_book_summary_by_currency?kind=future&currency="
        return tuple(HttpRequest(NAME, path + c, "", _COST, "credits") for c in _RANKED)

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Public channels at 100 ms: raw ones need a login."""
        books = [
            StreamSpec(f"book {of.symbol}", ("BookDelta", "BookSnapshot"), of.id, 10.0)
            for of in instruments
        ]
        flow: list[StreamSpec] = []
        channels: list[str] = []
        for of in instruments:
            channels += [f"trades.{of.symbol}.100ms", f"ticker.{of.symbol}.100ms"]
            flow.append(StreamSpec(f"trades {of.symbol}", ("Trade",), of.id, 600.0))
            flow.append(StreamSpec(f"mark {of.symbol}", ("MarkPrice",), of.id, 10.0))
            flow.append(StreamSpec(f"liquidations {of.symbol}", ("Liquidation",), of.id, 0.0))
        return (
            _connection("books", [f"book.{of.symbol}.100ms" for of in instruments], books),
            _connection("flow", channels, flow),
        )

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Everything streams."""
        del instruments
        return ()

    def backfill(self, instrument: Instrument, start_ns: int, end_ns: int) -> Sequence[HttpRequest]:
        """1-minute candles and funding; past marks and open interest are not published."""
        s = f"instrument_name={instrument.symbol}"
        begin, end, day = start_ns // MS, end_ns // MS, 86_400_000
        paths = [
            f"{_API}/get_tradingview_chart_data?{s}&resolution=1"
            f"&start_timestamp={at}&end_timestamp={min(at + day, end)}"
            for at in range(begin, end, day)
        ]
        span = f"start_timestamp={begin}&end_timestamp={end}"
        paths.append(f"{_API}/get_funding_rate_history?{s}&{span}")
        return [HttpRequest(NAME, path, "", _COST, "credits", instrument.id) for path in paths]

    def resync(self, instrument: Instrument) -> Resync:
        """Leave and join: the first message is the whole book."""
        channels = [f"book.{instrument.symbol}.100ms"]
        send = (_call("public/unsubscribe", channels), _call("public/subscribe", channels))
        return Resync(connection="books", send=send)

    def infer_instrument(self, frame: Frame) -> Instrument | None:
        """The list is one request away; recordings hold it."""
        del frame
        return None


def _levels(rows: Sequence[Row]) -> list[tuple[float, float]]:
    return [(price, 0.0 if action == "delete" else amount) for action, price, amount in rows]


def _quote(of: Instrument, m: _Ticker | _Quote, at: int, got: int) -> list[Event]:
    if not m.best_bid_price or not m.best_ask_price:
        return []
    bid, ask = (m.best_bid_price, m.best_bid_amount), (m.best_ask_price, m.best_ask_amount)
    return [quote(of, at, got, bid, ask)]


def _instrument(c: _Contract) -> Instrument:
    mantissa, decimals = tick_parts(repr(c.tick_size))
    base, factor = base_and_factor(c.base_currency)
    # Lists of before 2023 name no type: what settles in its own base is inverse.
    inverse = c.instrument_type == "reversed" or (
        not c.instrument_type and c.settlement_currency in ("", c.base_currency)
    )
    return Instrument(
        id=f"{NAME}:{c.instrument_name}",
        venue=NAME,
        symbol=c.instrument_name,
        base=base,
        quote=c.quote_currency,
        settle=c.settlement_currency or c.base_currency,
        kind=ContractKind.INVERSE if inverse else ContractKind.LINEAR,
        tick_mantissa=mantissa,
        tick_decimals=decimals,
        price_factor=1.0 / factor,
        quantity_factor=1.0 if inverse else factor,
        lot=c.min_trade_amount,
        max_leverage=c.max_leverage,
        is_trading=c.is_active,
        is_perpetual=c.settlement_period == "perpetual",
        is_main=inverse,
    )


def _call(method: str, channels: Sequence[str]) -> bytes:
    params = {"channels": list(channels)}
    return msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


def _connection(name: str, channels: Sequence[str], streams: Sequence[StreamSpec]) -> Connection:
    send = tuple(
        _call("public/subscribe", channels[i : i + 50]) for i in range(0, len(channels), 50)
    )
    alive = b'{"jsonrpc":"2.0","id":9,"method":"public/test","params":{}}'
    return Connection(
        venue=NAME,
        name=name,
        path=_PATH,
        source=f"ws:{_PATH}#{name}",
        send=send,
        streams=tuple(streams),
        heartbeat=Heartbeat(15.0, alive),
        send_spacing_s=0.35,
    )
