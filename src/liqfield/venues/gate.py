"""Gate USDT perpetuals: quantities are contracts, the sign of a size is its side.

The book stream brings its own snapshot. The liquidation stream does not say whose side its sign
is, so liquidations come by REST, where the size is the position's. Rules: docs/venues/gate.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from liqfield.model.events import (
    BookDelta,
    BookSnapshot,
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
from liqfield.model.margin import MarginTier, deductions
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
    NOW_S,
    Budget,
    Connection,
    Heartbeat,
    Poll,
    Resync,
    StreamSpec,
)
from liqfield.venues.decoding import (
    MS,
    Found,
    Reader,
    base_and_factor,
    coins,
    find,
    finite,
    implied_price,
    levels,
    listing,
    not_negative,
    open_interest,
    past_candle,
    positive,
    quote,
    request_of,
)

NAME = "gate"
_PATH, _API = "/v4/ws/usdt", "/api/v4/futures/usdt"
_SPANS_S = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "1d": 86_400}
_S = 1_000 * MS
_BOOK_KINDS = ("BookDelta", "BookSnapshot")
_T = TypeVar("_T")


class _Message(msgspec.Struct):
    channel: str = ""
    event: str = ""
    time: int = 0
    time_ms: int = 0
    error: object = None
    result: msgspec.Raw = msgspec.Raw(b"null")


class _Obu(msgspec.Struct):
    """The stream that brings its own snapshot; `s` is "ob.<contract>.<depth>"."""

    t: int
    s: str
    u: int
    U: int = 0
    full: bool = False
    b: list[tuple[float, float]] = []
    a: list[tuple[float, float]] = []


class _Level(msgspec.Struct):
    p: float
    s: float


class _BookUpdate(msgspec.Struct):
    """The older stream: the same counters, levels as objects."""

    t: int
    s: str
    U: int
    u: int
    full: bool = False
    b: list[_Level] = []
    a: list[_Level] = []


class _Quote(msgspec.Struct):
    t: int
    u: int
    s: str
    b: str
    B: float
    a: str
    A: float


class _Trade(msgspec.Struct):
    id: int
    contract: str
    size: float
    price: float
    create_time: float
    create_time_ms: float = 0.0
    is_internal: bool = False


class _Ticker(msgspec.Struct):
    contract: str
    mark_price: str = ""
    index_price: str = ""
    funding_rate: str = ""
    total_size: str = ""
    volume_24h_quote: str = ""


class _Stats(msgspec.Struct):
    time: int
    contract: str = ""
    open_interest: float = -1.0
    open_interest_usd: float = 0.0
    lsr_taker: float = -1.0
    lsr_account: float = -1.0
    top_lsr_account: float = -1.0
    top_lsr_size: float = -1.0


class _Contract(msgspec.Struct):
    name: str
    order_price_round: str
    quanto_multiplier: str = ""
    type: str = "direct"
    leverage_max: float = 0.0
    funding_interval: int = 28_800
    order_size_min: float = 0.0
    in_delisting: bool = False
    status: str = "trading"


class _Liquidated(msgspec.Struct):
    """`size` is the position's: above zero a long. Prices are strings, "" or "0" without a fill."""

    time: float
    contract: str
    size: float
    order_price: str = ""
    fill_price: str = ""


class _Candle(msgspec.Struct):
    t: int
    o: float
    h: float
    l: float  # noqa: E741 - the venue's name
    c: float
    v: float = 0.0


class _Funding(msgspec.Struct):
    t: int
    r: float


class _Tier(msgspec.Struct):
    tier: int
    risk_limit: float
    maintenance_rate: float
    leverage_max: float
    contract: str = ""
    deduction: str = ""


class _Fund(msgspec.Struct):
    t: int
    b: float


Instruments = Mapping[str, Instrument]


class Gate:
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.PREVIOUS_ID
    rest_url = "https://api.gateio.ws"
    ws_url = "wss://fx-ws.gateio.ws"
    budgets = (Budget("public", 200.0, 10.0),)

    def __init__(self) -> None:
        self._reader = Reader(NAME)
        self._channels: dict[str, Callable[[_Message, Frame, Instruments], list[Event]]] = {
            "futures.obu": self._on_obu,
            "futures.order_book_update": self._on_book_update,
            "futures.book_ticker": self._on_quote,
            "futures.trades": self._on_trades,
            "futures.tickers": self._on_tickers,
            "futures.contract_stats": self._on_stats,
        }
        self._rest: dict[str, Callable[[Frame, dict[str, str], Instruments], list[Event]]] = {
            f"{_API}/contracts": self._contracts,
            f"{_API}/tickers": self._rest_tickers,
            f"{_API}/trades": self._rest_trades,
            f"{_API}/liq_orders": self._liquidations,
            f"{_API}/contract_stats": self._rest_stats,
            f"{_API}/candlesticks": self._candles,
            f"{_API}/funding_rate": self._funding,
            f"{_API}/risk_limit_tiers": self._tiers,
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
        m = self._reader.read(frame.payload, _Message, "stream")
        if not m.channel:
            raise self._reader.error(frame, "stream", "no channel")
        if m.error is not None:
            return [Notice(NAME, frame.received_ns, "error", str(m.error)[:200])]
        if m.event in ("subscribe", "unsubscribe"):
            return [Notice(NAME, frame.received_ns, "ack", m.channel)]
        if m.channel == "futures.pong":
            return [Notice(NAME, frame.received_ns, "pong")]
        if m.channel == "futures.public_liquidates":
            return [Notice(NAME, frame.received_ns, "liquidations without a side")]
        on_message = self._channels.get(m.channel)
        if on_message is None:
            return [Unknown(NAME, frame.received_ns, m.channel)]
        return self._reader.guard(frame, m.channel, lambda: on_message(m, frame, instruments))

    def _find(self, symbol: str, frame: Frame, known: Instruments) -> Found:
        return find(NAME, symbol, frame, known)

    def _rows(self, m: _Message, kind: type[_T]) -> list[_T]:
        """`result` came as a row, as rows, and once as rows in rows."""
        raw = bytes(m.result)
        if raw.lstrip().startswith(b"["):
            inner = raw.lstrip()[1:].lstrip()
            if inner.startswith(b"["):
                nested = self._reader.read(raw, list[list[kind]], m.channel)  # type: ignore[valid-type]
                return [row for rows in nested for row in rows]
        return self._reader.read_many(raw, kind, m.channel)

    def _on_obu(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        row = self._reader.read(bytes(m.result), _Obu, m.channel)
        of = self._find(row.s.removeprefix("ob.").rpartition(".")[0], frame, known)
        if isinstance(of, Unknown):
            return [of]
        return [_book(of, frame, row, row.b, row.a)]

    def _on_book_update(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        row = self._reader.read(bytes(m.result), _BookUpdate, m.channel)
        of = self._find(row.s, frame, known)
        if isinstance(of, Unknown):
            return [of]
        bids, asks = [(x.p, x.s) for x in row.b], [(x.p, x.s) for x in row.a]
        return [_book(of, frame, row, bids, asks)]

    def _on_quote(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        row = self._reader.read(bytes(m.result), _Quote, m.channel)
        of = self._find(row.s, frame, known)
        if isinstance(of, Unknown):
            return [of]
        if not row.b or not row.a:
            return [Notice(NAME, frame.received_ns, "one-sided quote", row.s)]
        bid, ask = (float(row.b), row.B), (float(row.a), row.A)
        return [quote(of, row.t * MS, frame.received_ns, bid, ask, row.u)]

    def _on_trades(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        return self._trades(self._rows(m, _Trade), frame, known)

    def _rest_trades(self, frame: Frame, query: dict[str, str], known: Instruments) -> list[Event]:
        # REST states milliseconds as seconds with a fraction, under the same name.
        rows = self._reader.read(frame.payload, list[_Trade], "trades")
        for row in rows:
            row.create_time_ms *= 1000.0
        return self._trades(rows, frame, known)

    def _trades(self, rows: list[_Trade], frame: Frame, known: Instruments) -> list[Event]:
        events: list[Event] = []
        for r in rows:
            of = self._find(r.contract, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            price = positive(r.price) * of.price_factor
            at_ms = r.create_time_ms or r.create_time * 1000.0
            events.append(
                Trade(
                    of.id,
                    round(not_negative(at_ms)) * MS,
                    frame.received_ns,
                    price,
                    coins(of, positive(abs(r.size)), price),
                    Aggressor.BUY if r.size > 0.0 else Aggressor.SELL,
                    str(r.id),
                    # takeovers by the insurance fund and deleveraging are no volume
                    TradeKind.INSURANCE if r.is_internal else TradeKind.MARKET,
                )
            )
        return events

    def _on_tickers(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        at_ns = m.time_ms * MS or m.time * _S or frame.received_ns
        return self._tickers(self._rows(m, _Ticker), at_ns, frame, known)

    def _rest_tickers(self, frame: Frame, query: dict[str, str], known: Instruments) -> list[Event]:
        rows = self._reader.read(frame.payload, list[_Ticker], "tickers")
        return self._tickers(rows, frame.received_ns, frame, known)

    def _tickers(
        self, rows: list[_Ticker], at: int, frame: Frame, known: Instruments
    ) -> list[Event]:
        events: list[Event] = []
        got = frame.received_ns
        for r in rows:
            of = self._find(r.contract, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            mark = 0.0
            if r.mark_price:
                mark = positive(float(r.mark_price)) * of.price_factor
                events.append(MarkPrice(of.id, at, got, mark))
            if r.index_price:
                index = positive(float(r.index_price)) * of.price_factor
                events.append(IndexPrice(of.id, at, got, index))
            if r.total_size:
                events.append(open_interest(of, at, got, float(r.total_size), mark))
            if r.funding_rate:
                rate = finite(float(r.funding_rate))
                events.append(FundingRate(of.id, at, got, rate, of.funding_interval_h))
            if r.volume_24h_quote and frame.source.startswith("rest:"):
                usd = not_negative(float(r.volume_24h_quote))
                events.append(Turnover(of.id, at, got, usd))
        return events

    def _on_stats(self, m: _Message, frame: Frame, known: Instruments) -> list[Event]:
        events: list[Event] = []
        for row in self._rows(m, _Stats):
            of = self._find(row.contract, frame, known)
            events += [of] if isinstance(of, Unknown) else _stats(of, row, frame, is_history=False)
        return events

    # ---- REST ---------------------------------------------------------------------------------

    def _rest_stats(self, frame: Frame, query: dict[str, str], known: Instruments) -> list[Event]:
        of = self._find(query.get("contract", ""), frame, known)
        rows = self._reader.read(frame.payload, list[_Stats], "contract_stats")
        if isinstance(of, Unknown):
            return [of]
        past = "from" in query
        return [event for row in rows for event in _stats(of, row, frame, is_history=past)]

    def _contracts(self, frame: Frame, query: dict[str, str], known: Instruments) -> list[Event]:
        rows = self._reader.read(frame.payload, list[_Contract], "contracts")
        at = frame.received_ns
        return [listing(_instrument(r), at, at) for r in rows]

    def _liquidations(self, frame: Frame, query: dict[str, str], known: Instruments) -> list[Event]:
        events: list[Event] = []
        for r in self._reader.read(frame.payload, list[_Liquidated], "liq_orders"):
            of = self._find(r.contract, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            fill = float(r.fill_price or 0.0)
            filled = fill > 0.0
            price = positive(fill if filled else float(r.order_price or 0.0)) * of.price_factor
            events.append(
                Liquidation(
                    of.id,
                    round(not_negative(r.time) * 1000.0) * MS,
                    frame.received_ns,
                    PositionSide.LONG if r.size > 0.0 else PositionSide.SHORT,
                    coins(of, positive(abs(r.size)), price),
                    price,
                    PriceKind.FILL if filled else PriceKind.LIMIT,
                    Coverage.SAMPLED,
                )
            )
        return events

    def _candles(self, frame: Frame, query: dict[str, str], known: Instruments) -> list[Event]:
        kind, symbol = CandleOf.LAST, query.get("contract", "")
        for prefix, of_what in (("mark_", CandleOf.MARK), ("index_", CandleOf.INDEX)):
            if symbol.startswith(prefix):
                kind, symbol = of_what, symbol.removeprefix(prefix)
        of = self._find(symbol, frame, known)
        rows = self._reader.read(frame.payload, list[_Candle], "candlesticks")
        if isinstance(of, Unknown):
            return [of]
        span_ns = _SPANS_S[query.get("interval", "5m")] * _S
        events: list[Event] = []
        for r in rows:
            span = (r.t * _S + span_ns, span_ns)
            volume = coins(of, r.v, positive(r.c) * of.price_factor) if r.v else 0.0
            events.append(past_candle(of, frame, kind, span, (r.o, r.h, r.l, r.c), volume))
        return events

    def _funding(self, frame: Frame, query: dict[str, str], known: Instruments) -> list[Event]:
        of = self._find(query.get("contract", ""), frame, known)
        rows = self._reader.read(frame.payload, list[_Funding], "funding_rate")
        if isinstance(of, Unknown):
            return [of]
        hours, got = of.funding_interval_h, frame.received_ns
        return [
            FundingRate(of.id, r.t * _S, got, finite(r.r), hours, r.t * _S, is_settled=True)
            for r in rows
        ]

    def _tiers(self, frame: Frame, query: dict[str, str], known: Instruments) -> list[Event]:
        rows = self._reader.read(frame.payload, list[_Tier], "risk_limit_tiers")
        of = self._find(query.get("contract", ""), frame, known)
        if isinstance(of, Unknown):
            return [of]
        if not rows:
            return [Notice(NAME, frame.received_ns, "unused", "no tiers")]
        rows.sort(key=lambda r: r.risk_limit)
        floors = [0.0] + [positive(r.risk_limit) for r in rows[:-1]]
        rates = [positive(r.maintenance_rate) for r in rows]
        tiers = tuple(
            MarginTier(
                floor,
                positive(r.risk_limit),
                positive(r.leverage_max),
                rate,
                finite(float(r.deduction)) if r.deduction else computed,
            )
            for r, floor, rate, computed in zip(
                rows, floors, rates, deductions(floors, rates), strict=True
            )
        )
        return [TierTable(of.id, frame.received_ns, frame.received_ns, tiers)]

    def _insurance(self, frame: Frame, query: dict[str, str], known: Instruments) -> list[Event]:
        rows = self._reader.read(frame.payload, list[_Fund], "insurance")
        got = frame.received_ns
        return [InsuranceFund("", r.t * _S, got, NAME, "USDT", finite(r.b)) for r in rows]

    # ---- what to ask for ----------------------------------------------------------------------

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        paths = [f"{_API}/contracts"]
        paths += [f"{_API}/risk_limit_tiers?contract={base}_USDT" for base in bases]
        return tuple(HttpRequest(NAME, path, pool="public") for path in paths)

    def ranking(self) -> Sequence[HttpRequest]:
        return (HttpRequest(NAME, f"{_API}/tickers", pool="public"),)

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Books alone, for slow readers are cut; everything else on a second socket."""
        names = [of.symbol for of in instruments]
        books = [StreamSpec(f"book {of.symbol}", _BOOK_KINDS, of.id, 5.0) for of in instruments]
        flow: list[StreamSpec] = []
        for of in instruments:
            flow.append(StreamSpec(f"quote {of.symbol}", ("BestQuote",), of.id, 30.0))
            flow.append(StreamSpec(f"trades {of.symbol}", ("Trade",), of.id, 300.0))
            flow.append(StreamSpec(f"mark {of.symbol}", ("MarkPrice",), of.id, 30.0))
        channels = ("futures.book_ticker", "futures.trades", "futures.tickers")
        flow_send = tuple(
            _ask(channel, "subscribe", names[i : i + 50])
            for channel in channels
            for i in range(0, len(names), 50)
        )
        book_send = tuple(_ask("futures.obu", "subscribe", [f"ob.{s}.400"]) for s in names)
        return (
            _connection("books", book_send, books),
            _connection("flow", flow_send, flow),
        )

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Liquidations of all contracts in one request; ratios a contract."""
        recent = HttpRequest(NAME, f"{_API}/liq_orders?limit=200", pool="public")
        polls = [Poll(recent, 5.0, ("Liquidation",))]
        for of in instruments:
            path = f"{_API}/contract_stats?contract={of.symbol}&interval=5m&limit=1"
            request = HttpRequest(NAME, path, pool="public", instrument_id=of.id)
            polls.append(Poll(request, 300.0, ("PositioningRatio",)))
        return polls

    def backfill(self, instrument: Instrument, start_ns: int, end_ns: int) -> Sequence[HttpRequest]:
        """1-minute candles, 5-minute marks and open interest, funding."""
        s, paths = instrument.symbol, []
        begin, end = start_ns // _S, end_ns // _S
        for name, rows, unit_s, tail in (
            (f"mark_{s}", 1_000, 300, "interval=5m"),
            (s, 1_000, 60, "interval=1m"),
        ):
            for at in range(begin, end, rows * unit_s):
                upto = min(at + rows * unit_s, end)
                paths.append(f"{_API}/candlesticks?contract={name}&from={at}&to={upto}&{tail}")
        for at in range(begin, end, 100 * 300):
            paths.append(  # noqa: PERF401
                f"{_API}/contract_stats?contract={s}&from={at}&interval=5m&limit=100"
            )
        paths.append(f"{_API}/funding_rate?contract={s}&limit=100")
        return [HttpRequest(NAME, path, "", 1.0, "public", instrument.id) for path in paths]

    def resync(self, instrument: Instrument) -> Resync:
        """Leave and join: the first message is the whole book."""
        payload = [f"ob.{instrument.symbol}.400"]
        send = tuple(_ask("futures.obu", event, payload) for event in ("unsubscribe", "subscribe"))
        return Resync(connection="books", send=send)

    def infer_instrument(self, frame: Frame) -> Instrument | None:
        """Contracts need the list: their size is nowhere else."""
        del frame
        return None


def _book(
    of: Instrument,
    frame: Frame,
    row: _Obu | _BookUpdate,
    bids: Sequence[tuple[float, float]],
    asks: Sequence[tuple[float, float]],
) -> BookSnapshot | BookDelta:
    """U..u are the counters covered, so what came before is U - 1."""
    made = levels(bids, asks, of)
    at, got = row.t * MS, frame.received_ns
    if row.full:
        return BookSnapshot(of.id, at, got, row.u, made)
    return BookDelta(of.id, at, got, row.U, row.u, row.U - 1, made)


def _stats(of: Instrument, row: _Stats, frame: Frame, *, is_history: bool) -> list[Event]:
    at, got = row.time * _S, frame.received_ns
    events: list[Event] = []
    if row.open_interest >= 0.0:
        stated = row.open_interest * of.quantity_factor
        price = implied_price(row.open_interest_usd, stated) if is_history else 0.0
        events.append(open_interest(of, at, got, row.open_interest, price, is_history=is_history))
    for basis, ratio in (
        ("accounts", row.lsr_account),
        ("top_accounts", row.top_lsr_account),
        ("top_positions", row.top_lsr_size),
        ("taker_volume", row.lsr_taker),
    ):
        if ratio >= 0.0 and not is_history:
            long = not_negative(ratio) / (1.0 + ratio)
            events.append(PositioningRatio(of.id, at, got, basis, long, 1.0 - long))
    return events


def _instrument(c: _Contract) -> Instrument:
    mantissa, decimals = tick_parts(c.order_price_round)
    name, _, settle = c.name.rpartition("_")
    base, factor = base_and_factor(name)
    inverse = c.type == "inverse"
    # A contract of an inverse market is one dollar and its multiplier is stated as 0.
    size = 1.0 if inverse else positive(float(c.quanto_multiplier or 0.0)) * factor
    return Instrument(
        id=f"{NAME}:{c.name}",
        venue=NAME,
        symbol=c.name,
        base=base,
        quote=settle,
        settle=base if inverse else settle,
        kind=ContractKind.INVERSE if inverse else ContractKind.LINEAR,
        tick_mantissa=mantissa,
        tick_decimals=decimals,
        price_factor=1.0 / factor,
        quantity_factor=size,
        lot=c.order_size_min or 1.0,
        max_leverage=c.leverage_max,
        funding_interval_h=positive(float(c.funding_interval)) / 3600.0,
        is_trading=c.status == "trading" and not c.in_delisting,
    )


def _ask(channel: str, event: str, payload: Sequence[str]) -> bytes:
    body = {"time": "@now", "channel": channel, "event": event, "payload": list(payload)}
    message = msgspec.json.encode(body)
    assert NOW_S in message
    return message


def _connection(name: str, send: tuple[bytes, ...], streams: Sequence[StreamSpec]) -> Connection:
    return Connection(
        venue=NAME,
        name=name,
        path=_PATH,
        source=f"ws:{_PATH}#{name}",
        send=send,
        streams=tuple(streams),
        heartbeat=Heartbeat(20.0, b""),
        send_spacing_s=0.05,
    )
