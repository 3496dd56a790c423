"""Gate USDT perpetuals: quantities are contracts, the sign of a size is its side.

The book stream brings its own snapshot. Liquidations: by stream the sign of a size is the order's,
in the list of REST it is the position's. Rules: docs/venues/gate.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from liqfield.model.durations import MS
from liqfield.model.events import (
    BookDelta,
    BookSnapshot,
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
    finite,
    implied_price,
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
from liqfield.venues.routing import (
    Envelope,
    Message,
    Routed,
    batches,
    leave_and_join,
    pages,
)

NAME = "gate"
_API = "/api/v4/futures/usdt"
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
    """The stream that brings its own snapshot; its name is "ob.<contract>.<depth>"."""

    t: int
    name: str = msgspec.field(name="s")
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
    symbol: str = msgspec.field(name="s")
    U: int
    u: int
    full: bool = False
    b: list[_Level] = []
    a: list[_Level] = []


class _Quote(msgspec.Struct):
    t: int
    u: int
    symbol: str = msgspec.field(name="s")
    b: str
    B: float
    a: str
    A: float


class _Trade(msgspec.Struct):
    id: int
    symbol: str = msgspec.field(name="contract")
    size: float
    price: float
    create_time: float
    create_time_ms: float = 0.0
    is_internal: bool = False


class _Ticker(msgspec.Struct):
    symbol: str = msgspec.field(name="contract")
    mark_price: str = ""
    index_price: str = ""
    funding_rate: str = ""
    total_size: str = ""
    volume_24h_quote: str = ""


class _Stats(msgspec.Struct):
    time: int
    symbol: str = msgspec.field(default="", name="contract")
    open_interest: float = -1.0
    open_interest_usd: float = 0.0
    lsr_taker: float = -1.0
    lsr_account: float = -1.0
    top_lsr_account: float = -1.0
    top_lsr_size: float = -1.0
    long_liq_usd: float = -1.0
    short_liq_usd: float = -1.0


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
    """The list: `size` is the position's, above zero a long. Prices "" or "0": no fill."""

    time: float
    symbol: str = msgspec.field(name="contract")
    size: float
    order_price: str = ""
    fill_price: str = ""


class _Forced(msgspec.Struct):
    """The stream: `size` is the order's, below zero one that sells; `price` its limit."""

    symbol: str = msgspec.field(name="contract")
    size: float
    price: float
    time: float = 0.0
    time_ms: int = 0


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


class Gate(Routed):
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.PREVIOUS_ID
    rest_url = "https://api.gateio.ws"
    ws_url = "wss://fx-ws.gateio.ws"
    budgets = (Budget("public", 200.0, 10.0),)
    socket_path = "/v4/ws/usdt"
    pool = "public"
    symbol_key = "contract"
    heartbeat = Heartbeat(20.0, b"")
    send_spacing_s = 0.05

    def __init__(self) -> None:
        super().__init__(
            streams={
                "futures.obu": _obu,
                "futures.order_book_update": _book_update,
                "futures.book_ticker": _quotes,
                "futures.trades": _trades,
                "futures.tickers": _tickers,
                "futures.contract_stats": _stats,
                "futures.public_liquidates": _forced,
            },
            replies={
                f"{_API}/contracts": _contracts,
                f"{_API}/tickers": _tickers,
                f"{_API}/trades": _trades,
                f"{_API}/liq_orders": _liquidated,
                f"{_API}/contract_stats": _stats,
                f"{_API}/candlesticks": _candles,
                f"{_API}/funding_rate": _funding,
                f"{_API}/risk_limit_tiers": _tiers,
                f"{_API}/insurance": _insurance,
            },
        )

    def open_message(self, frame: Frame) -> Envelope | Notice | Unknown:
        m = self._reader.read(frame.payload, _Message, "stream")
        if not m.channel:
            raise self._reader.error(frame, "stream", "no channel")
        if m.error is not None:
            return self.notice(frame, "error", str(m.error))
        if m.event in ("subscribe", "unsubscribe"):
            return self.notice(frame, "ack", m.channel)
        if m.channel == "futures.pong":
            return self.notice(frame, "pong")
        return Envelope(m.channel, bytes(m.result), at_ns=m.time_ms * MS or m.time * _S)

    # ---- what to ask for ----------------------------------------------------------------------

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        paths = [f"{_API}/contracts"]
        paths += [_tiers_of(f"{base}_USDT") for base in bases]
        return tuple(self.get(path) for path in paths)

    def ranking(self) -> Sequence[HttpRequest]:
        return (self.get(f"{_API}/tickers"),)

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Books alone, for slow readers are cut; everything else on a second socket."""
        names = [of.symbol for of in instruments]
        books = [StreamSpec(f"book {of.symbol}", _BOOK_KINDS, of.id, 5.0) for of in instruments]
        flow = [StreamSpec("liquidations", ("Liquidation",), "", 0.0)]
        for of in instruments:
            flow.append(StreamSpec(f"quote {of.symbol}", ("BestQuote",), of.id, 30.0))
            flow.append(StreamSpec(f"trades {of.symbol}", ("Trade",), of.id, 300.0))
            flow.append(StreamSpec(f"mark {of.symbol}", ("MarkPrice",), of.id, 30.0))
        send = [_ask("subscribe", "futures.public_liquidates", ["!all"])]
        for channel in ("futures.book_ticker", "futures.trades", "futures.tickers"):
            send += [_ask("subscribe", channel, part) for part in batches(names, 50)]
        return (
            self.connection("books", [_ask("subscribe", *_obu_of(s)) for s in names], books),
            self.connection("flow", send, flow),
        )

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Ratios and the venue's own totals of liquidations; tiers, whatever a contract's name."""
        polls = []
        for of in instruments:
            stats = f"{_API}/contract_stats?contract={of.symbol}&interval=5m&limit=1"
            polls.append(Poll(self.get(stats, of.id), 300.0, ("PositioningRatio",)))
            polls.append(Poll(self.get(_tiers_of(of.symbol), of.id), TIERS_S, ("TierTable",)))
        return polls

    def backfill(self, instrument: Instrument, start_ns: int, end_ns: int) -> Sequence[HttpRequest]:
        """1-minute candles, 5-minute marks and open interest, funding."""
        s, begin, end = instrument.symbol, start_ns // _S, end_ns // _S
        paths = [
            f"{_API}/candlesticks?contract={name}&from={at}&to={upto}&interval={interval}"
            for name, interval in ((f"mark_{s}", "5m"), (s, "1m"))
            for at, upto in pages(begin, end, 1_000 * _SPANS_S[interval])
        ]
        paths += [
            f"{_API}/contract_stats?contract={s}&from={at}&interval=5m&limit=100"
            for at, _ in pages(begin, end, 100 * 300)
        ]
        paths.append(f"{_API}/funding_rate?contract={s}&limit=100")
        return [self.get(path, instrument.id) for path in paths]

    def resync(self, instrument: Instrument) -> Resync:
        return leave_and_join(lambda op: _ask(op, *_obu_of(instrument.symbol)))


# ---- messages to facts --------------------------------------------------------------------------


def _rows(m: Message, kind: type[_T]) -> list[_T]:
    """`result` came as a row, as rows, and once as rows in rows."""
    opening = m.body.lstrip()
    if not opening.startswith(b"["):
        return [m.row(kind)]
    if opening[1:].lstrip().startswith(b"["):
        return [row for rows in m.rows(list[kind]) for row in rows]  # type: ignore[valid-type]
    return m.rows(kind)


def _obu(m: Message) -> None:
    row = m.row(_Obu)
    of = m.find(row.name.removeprefix("ob.").rpartition(".")[0])
    if of is not None:
        m.add(_book(of, m, row, row.b, row.a))


def _book_update(m: Message) -> None:
    for of, row in m.listed([m.row(_BookUpdate)]):
        bids, asks = [(x.p, x.s) for x in row.b], [(x.p, x.s) for x in row.a]
        m.add(_book(of, m, row, bids, asks))


def _book(
    of: Instrument,
    m: Message,
    row: _Obu | _BookUpdate,
    bids: Sequence[tuple[float, float]],
    asks: Sequence[tuple[float, float]],
) -> BookSnapshot | BookDelta:
    """U..u are the counters covered, so what came before is U - 1."""
    made = levels(bids, asks, of)
    if row.full:
        return BookSnapshot(of.id, row.t * MS, m.got_ns, row.u, made)
    return BookDelta(of.id, row.t * MS, m.got_ns, row.U, row.u, row.U - 1, made)


def _quotes(m: Message) -> None:
    for of, row in m.listed([m.row(_Quote)]):
        if row.b and row.a:
            bid, ask = (float(row.b), row.B), (float(row.a), row.A)
            m.add(quote(of, row.t * MS, m.got_ns, bid, ask, row.u))
        else:
            m.note("one-sided quote", of.symbol)


def _trades(m: Message) -> None:
    for of, r in m.listed(_rows(m, _Trade)):
        price = usd(of, r.price)
        # REST states milliseconds as seconds with a fraction, under the same name.
        at_ms = r.create_time_ms * (1000.0 if m.is_reply else 1.0) or r.create_time * 1000.0
        m.add(
            Trade(
                of.id,
                round(not_negative(at_ms)) * MS,
                m.got_ns,
                price,
                coins(of, positive(abs(r.size)), price),
                Aggressor.BUY if r.size > 0.0 else Aggressor.SELL,
                str(r.id),
                # takeovers by the insurance fund and deleveraging are no volume
                TradeKind.INSURANCE if r.is_internal else TradeKind.MARKET,
            )
        )


def _tickers(m: Message) -> None:
    for of, r in m.listed(_rows(m, _Ticker)):
        state = market_state(
            of,
            m.at_ns,
            m.got_ns,
            mark=number(r.mark_price),
            index=number(r.index_price),
            interest=number(r.total_size),
            funding=number(r.funding_rate),
        )
        m.add(*state)
        if r.volume_24h_quote and m.is_reply:
            m.add(Turnover(of.id, m.at_ns, m.got_ns, not_negative(float(r.volume_24h_quote))))


def _stats(m: Message) -> None:
    """By stream a row names its contract, by REST the request does; `from` asks for the past."""
    rows, is_history = _rows(m, _Stats), "from" in m.query
    for of, row in m.of_subject(rows) if m.is_reply else m.listed(rows):
        at, got = row.time * _S, m.got_ns
        if row.open_interest >= 0.0:
            base = row.open_interest * of.quantity_factor
            price = implied_price(row.open_interest_usd, base) if is_history else 0.0
            m.add(open_interest(of, at, got, row.open_interest, price, is_history=is_history))
        if is_history:
            continue
        for basis, ratio in (
            ("accounts", row.lsr_account),
            ("top_accounts", row.top_lsr_account),
            ("top_positions", row.top_lsr_size),
            ("taker_volume", row.lsr_taker),
        ):
            if ratio >= 0.0:
                long = not_negative(ratio) / (1.0 + ratio)
                m.add(PositioningRatio(of.id, at, got, basis, long, 1.0 - long))


def _forced(m: Message) -> None:
    for of, r in m.listed(_rows(m, _Forced)):
        price = usd(of, r.price)
        at_ms = r.time_ms or not_negative(r.time) * 1000.0
        m.add(
            Liquidation(
                of.id,
                round(at_ms) * MS or m.at_ns,
                m.got_ns,
                PositionSide.LONG if r.size < 0.0 else PositionSide.SHORT,
                coins(of, positive(abs(r.size)), price),
                price,
                PriceKind.LIMIT,
                Coverage.SAMPLED,
            )
        )


def _liquidated(m: Message) -> None:
    for of, r in m.listed(m.rows(_Liquidated)):
        fill = float(r.fill_price or 0.0)
        price = usd(of, fill if fill > 0.0 else float(r.order_price or 0.0))
        m.add(
            Liquidation(
                of.id,
                round(not_negative(r.time) * 1000.0) * MS,
                m.got_ns,
                PositionSide.LONG if r.size > 0.0 else PositionSide.SHORT,
                coins(of, positive(abs(r.size)), price),
                price,
                PriceKind.FILL if fill > 0.0 else PriceKind.LIMIT,
                Coverage.SAMPLED,
            )
        )


def _contracts(m: Message) -> None:
    m.add(*(listing(_instrument(r), m.got_ns, m.got_ns) for r in m.rows(_Contract)))


def _candles(m: Message) -> None:
    kind, symbol = CandleOf.LAST, m.symbol
    for prefix, of_what in (("mark_", CandleOf.MARK), ("index_", CandleOf.INDEX)):
        if symbol.startswith(prefix):
            kind, symbol = of_what, symbol.removeprefix(prefix)
    span_ns = _SPANS_S[m.query.get("interval", "5m")] * _S
    for of, r in m.of_subject(m.rows(_Candle), symbol):
        volume = coins(of, r.v, usd(of, r.c)) if r.v else 0.0
        span = (r.t * _S + span_ns, span_ns)
        m.add(candle(of, m.frame, kind, span, (r.o, r.h, r.l, r.c), volume))


def _funding(m: Message) -> None:
    for of, r in m.of_subject(m.rows(_Funding)):
        m.add(settled_funding(of, r.t * _S, m.got_ns, r.r))


def _tiers(m: Message) -> None:
    rows = sorted(m.rows(_Tier), key=lambda r: r.risk_limit)
    of = m.subject_of_tiers(rows)
    if of is not None:
        tiers = ladder(
            [r.risk_limit for r in rows],
            [r.leverage_max for r in rows],
            [r.maintenance_rate for r in rows],
            [number(r.deduction) for r in rows],
        )
        m.add(TierTable(of.id, m.got_ns, m.got_ns, tiers))


def _insurance(m: Message) -> None:
    for r in m.rows(_Fund):
        m.add(InsuranceFund("", r.t * _S, m.got_ns, NAME, "USDT", finite(r.b)))


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


def _tiers_of(symbol: str) -> str:
    return f"{_API}/risk_limit_tiers?contract={symbol}"


def _obu_of(symbol: str) -> tuple[str, list[str]]:
    return "futures.obu", [f"ob.{symbol}.400"]


def _ask(event: str, channel: str, payload: Sequence[str]) -> bytes:
    body = {"time": "@now", "channel": channel, "event": event, "payload": payload}
    message = msgspec.json.encode(body)
    assert NOW_S in message
    return message
