"""Deribit: JSON-RPC; amounts are dollars on inverse contracts and coins on linear ones.

Liquidations are flags on trades: "T" the taker was closed, "M" the maker, "MT" both. Books chain by
prev_change_id. Rules and sources: docs/venues/deribit.md.
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
    base_and_factor,
    candle,
    coins,
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

NAME = "deribit"
_API = "/api/v2/public"
_TAKER = {"buy": Aggressor.BUY, "sell": Aggressor.SELL}
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
    symbol: str = msgspec.field(name="instrument_name")
    timestamp: int
    change_id: int
    bids: list[Row]
    asks: list[Row]
    type: str = ""
    prev_change_id: int | None = None


class _Trade(msgspec.Struct):
    symbol: str = msgspec.field(name="instrument_name")
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
    symbol: str = msgspec.field(name="instrument_name")
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
    symbol: str = msgspec.field(name="instrument_name")
    timestamp: int
    best_bid_price: float | None = 0.0
    best_bid_amount: float = 0.0
    best_ask_price: float | None = 0.0
    best_ask_amount: float = 0.0


class _Contract(msgspec.Struct):
    symbol: str = msgspec.field(name="instrument_name")
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
    symbol: str = msgspec.field(name="instrument_name")
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


class Deribit(Routed):
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.PREVIOUS_ID
    rest_url = "https://www.deribit.com"
    ws_url = "wss://streams.deribit.com"
    budgets = (Budget("credits", 50_000.0, 5.0),)
    socket_path = "/ws/api/v2"
    pool = "credits"
    weight = 500.0  # credits of a call, except subscriptions
    symbol_key = "instrument_name"
    heartbeat = Heartbeat(15.0, b'{"jsonrpc":"2.0","id":9,"method":"public/test","params":{}}')
    send_spacing_s = 0.35

    def __init__(self) -> None:
        super().__init__(
            streams={"book": _book, "trades": _trades, "ticker": _ticker, "quote": _quotes},
            replies={
                f"{_API}/get_instruments": _contracts,
                f"{_API}/get_book_summary_by_currency": _summaries,
                f"{_API}/ticker": _ticker,
                f"{_API}/get_tradingview_chart_data": _candles,
                f"{_API}/get_funding_rate_history": _funding,
                f"{_API}/get_last_trades_by_instrument_and_time": _past_trades,
            },
        )

    def open_message(self, frame: Frame) -> Envelope | Notice | Unknown:
        m = self._reader.read(frame.payload, _Message, "stream")
        if m.error is not None:
            return self.notice(frame, "error", str(m.error))
        if m.method == "heartbeat":
            return self.notice(frame, "heartbeat", m.params.type)
        if not m.method:
            if bytes(m.result):
                return self.notice(frame, "ack", str(m.id))
            raise self._reader.error(frame, "stream", "neither a method nor a result")
        if m.method != "subscription":
            return Unknown(NAME, frame.received_ns, f"method {m.method}")
        return Envelope(m.params.channel.partition(".")[0], bytes(m.params.data))

    def open_reply(self, frame: Frame, path: str) -> Envelope | Notice | Unknown:
        m = self._reader.read(frame.payload, _Message, path)
        if m.error is not None:
            return self.notice(frame, "error", str(m.error))
        return Envelope(path, bytes(m.result), at_ns=m.usOut * 1_000)

    # ---- what to ask for ----------------------------------------------------------------------

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        """All futures in one reply; margin tables are not published by the interface."""
        del bases
        return (self.get(f"{_API}/get_instruments?currency=any&kind=future"),)

    def ranking(self) -> Sequence[HttpRequest]:
        path = f"{_API}/get_book_summary_by_currency?kind=future&currency="
        return tuple(self.get(path + currency) for currency in _RANKED)

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
        chains = [f"book.{of.symbol}.100ms" for of in instruments]
        return (
            self.connection("books", [_ask("subscribe", c) for c in batches(chains, 50)], books),
            self.connection("flow", [_ask("subscribe", c) for c in batches(channels, 50)], flow),
        )

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Everything streams."""
        del instruments
        return ()

    def backfill(self, instrument: Instrument, start_ns: int, end_ns: int) -> Sequence[HttpRequest]:
        """1-minute candles and funding; past marks and open interest are not published."""
        s = f"instrument_name={instrument.symbol}"
        begin, end = start_ns // MS, end_ns // MS
        paths = [
            f"{_API}/get_tradingview_chart_data?{s}&resolution=1"
            f"&start_timestamp={at}&end_timestamp={upto}"
            for at, upto in pages(begin, end, 86_400_000)
        ]
        span = f"start_timestamp={begin}&end_timestamp={end}"
        paths.append(f"{_API}/get_funding_rate_history?{s}&{span}")
        return [self.get(path, instrument.id) for path in paths]

    def resync(self, instrument: Instrument) -> Resync:
        return leave_and_join(lambda op: _ask(op, [f"book.{instrument.symbol}.100ms"]))


# ---- messages to facts --------------------------------------------------------------------------


def _book(m: Message) -> None:
    for of, r in m.listed([m.row(_Book)]):
        made = levels(_levels(r.bids), _levels(r.asks), of)
        at_ns = r.timestamp * MS
        # Messages of before 2021 carry no type: the first one names no predecessor.
        if r.type == "snapshot" or (not r.type and r.prev_change_id is None):
            m.add(BookSnapshot(of.id, at_ns, m.got_ns, r.change_id, made))
        else:
            before = -1 if r.prev_change_id is None else r.prev_change_id
            m.add(BookDelta(of.id, at_ns, m.got_ns, r.change_id, r.change_id, before, made))


def _trades(m: Message) -> None:
    _prints(m, m.rows(_Trade))


def _past_trades(m: Message) -> None:
    _prints(m, m.row(_Trades).trades)


def _prints(m: Message, rows: Sequence[_Trade]) -> None:
    for of, r in m.listed(rows):
        price = usd(of, r.price)
        quantity, taker = coins(of, positive(r.amount), price), _TAKER[r.direction]
        kind = TradeKind.MARKET
        if r.liquidation not in ("", "none"):
            kind = TradeKind.LIQUIDATION
        elif r.block_trade_id:
            kind = TradeKind.BLOCK
        at, got = r.timestamp * MS, m.got_ns
        m.add(Trade(of.id, at, got, price, quantity, taker, r.trade_id, kind))
        # The taker who sells closes a long; the maker stands on the other side.
        for flag, closes in (("T", Aggressor.SELL), ("M", Aggressor.BUY)):
            if kind is TradeKind.LIQUIDATION and flag in r.liquidation:
                side = PositionSide.LONG if taker is closes else PositionSide.SHORT
                fill, all_of_them = PriceKind.FILL, Coverage.COMPLETE
                m.add(Liquidation(of.id, at, got, side, quantity, price, fill, all_of_them))


def _ticker(m: Message) -> None:
    for of, r in m.listed([m.row(_Ticker)]):
        state = market_state(
            of,
            r.timestamp * MS,
            m.got_ns,
            mark=r.mark_price,
            index=r.index_price or None,
            interest=r.open_interest if r.open_interest >= 0.0 else None,
            funding=r.current_funding,
            funding_h=8.0,  # paid continuously; the figure is the rate of eight hours
        )
        m.add(*state, *_quote(of, r, m.got_ns))


def _quotes(m: Message) -> None:
    for of, r in m.listed([m.row(_Quote)]):
        m.add(*_quote(of, r, m.got_ns))
        if not m.events:
            m.note("one-sided quote", of.symbol)


def _contracts(m: Message) -> None:
    rows = m.rows(_Contract)
    m.add(*(listing(_instrument(r), m.at_ns, m.got_ns) for r in rows if r.kind == "future"))


def _summaries(m: Message) -> None:
    for of, r in m.listed(m.rows(_Summary), quietly=True):
        m.add(Turnover(of.id, m.at_ns, m.got_ns, not_negative(r.volume_usd or 0.0)))


def _candles(m: Message) -> None:
    """Columns; ticks are starts in ms, volume is in coins on every contract."""
    chart = m.row(_Chart)
    resolution = m.query.get("resolution", "1")
    span_ns = (1_440 if resolution == "1D" else int(resolution)) * 60_000 * MS
    columns = (chart.ticks, chart.open, chart.high, chart.low, chart.close, chart.volume)
    for of, (t, o, h, low, c, volume) in m.of_subject(zip(*columns, strict=True)):
        span = (t * MS + span_ns, span_ns)
        m.add(candle(of, m.frame, CandleOf.LAST, span, (o, h, low, c), volume))


def _funding(m: Message) -> None:
    """What each hour has cost."""
    for of, r in m.of_subject(m.rows(_Funding)):
        m.add(settled_funding(of, r.timestamp * MS, m.got_ns, r.interest_1h, 1.0))


def _levels(rows: Sequence[Row]) -> list[tuple[float, float]]:
    return [(price, 0.0 if action == "delete" else amount) for action, price, amount in rows]


def _quote(of: Instrument, r: _Ticker | _Quote, got_ns: int) -> list[Event]:
    if not r.best_bid_price or not r.best_ask_price:
        return []
    bid, ask = (r.best_bid_price, r.best_bid_amount), (r.best_ask_price, r.best_ask_amount)
    return [quote(of, r.timestamp * MS, got_ns, bid, ask)]


def _instrument(c: _Contract) -> Instrument:
    mantissa, decimals = tick_parts(repr(c.tick_size))
    base, factor = base_and_factor(c.base_currency)
    # Lists of before 2023 name no type: what settles in its own base is inverse.
    inverse = c.instrument_type == "reversed" or (
        not c.instrument_type and c.settlement_currency in ("", c.base_currency)
    )
    return Instrument(
        id=f"{NAME}:{c.symbol}",
        venue=NAME,
        symbol=c.symbol,
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


def _ask(op: str, channels: Sequence[str]) -> bytes:
    body = {"jsonrpc": "2.0", "id": 1, "method": f"public/{op}", "params": {"channels": channels}}
    return msgspec.json.encode(body)
