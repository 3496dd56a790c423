"""Hyperliquid perpetuals: every book message is whole, accounts are public, no liquidation feed.

Sizes and open interest are coins counted once, funding is per hour, `k` names are thousands of
coins. Rules and sources: docs/venues/hyperliquid.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from liqfield.model.durations import MS
from liqfield.model.events import (
    BookSnapshot,
    Candle,
    Event,
    Frame,
    Liquidation,
    MeasuredPosition,
    Notice,
    PositionSnapshot,
    TierTable,
    Trade,
    Turnover,
    Unknown,
)
from liqfield.model.instrument import Instrument
from liqfield.model.margin import MarginTier
from liqfield.model.requests import HttpRequest
from liqfield.model.sides import (
    Aggressor,
    BookRule,
    CandleOf,
    Coverage,
    PositionSide,
    PriceKind,
)
from liqfield.venues.contract import Budget, Connection, Heartbeat, Poll, Resync, StreamSpec
from liqfield.venues.decoding import (
    candle,
    coins,
    decimals_of,
    finite,
    ladder,
    levels,
    listing,
    market_state,
    not_negative,
    positive,
    quote,
    request_of,
    settled_funding,
    usd,
)
from liqfield.venues.routing import Envelope, Message, Routed

NAME = "hyperliquid"
_NEWS = {"subscriptionResponse": "ack", "pong": "pong", "error": "error"}
_TAKER = {"B": Aggressor.BUY, "A": Aggressor.SELL}


class _Head(msgspec.Struct):
    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Level(msgspec.Struct):
    px: float
    sz: float


class _Book(msgspec.Struct):
    symbol: str = msgspec.field(name="coin")
    time: int
    levels: tuple[list[_Level], list[_Level]]


class _Trade(msgspec.Struct):
    symbol: str = msgspec.field(name="coin")
    side: str
    px: float
    sz: float
    time: int
    tid: int


class _Users(msgspec.Struct):
    users: tuple[str, ...] = ()


class _UserTrades(msgspec.Struct):
    channel: str = ""
    data: list[_Users] = []


class _Bbo(msgspec.Struct):
    symbol: str = msgspec.field(name="coin")
    time: int
    bbo: list[_Level | None]


class _Ctx(msgspec.Struct):
    funding: float
    openInterest: float  # noqa: N815
    oraclePx: float  # noqa: N815
    markPx: float  # noqa: N815
    dayNtlVlm: float = 0.0  # noqa: N815


class _ActiveCtx(msgspec.Struct):
    symbol: str = msgspec.field(name="coin")
    ctx: _Ctx


class _Candle(msgspec.Struct):
    t: int
    T: int
    symbol: str = msgspec.field(name="s")
    o: float
    c: float
    h: float
    l: float  # noqa: E741 - the venue's name
    v: float


class _Asset(msgspec.Struct):
    name: str
    szDecimals: int  # noqa: N815
    maxLeverage: float  # noqa: N815
    marginTableId: int = -1  # noqa: N815
    isDelisted: bool = False  # noqa: N815


class _TierRow(msgspec.Struct):
    lowerBound: float  # noqa: N815
    maxLeverage: float  # noqa: N815


class _Table(msgspec.Struct):
    marginTiers: list[_TierRow]  # noqa: N815


class _Meta(msgspec.Struct):
    universe: list[_Asset]
    marginTables: list[tuple[int, _Table]] = []  # noqa: N815


class _FundingRow(msgspec.Struct):
    symbol: str = msgspec.field(name="coin")
    fundingRate: float  # noqa: N815
    time: int


class _Leverage(msgspec.Struct, frozen=True):
    type: str
    value: float


class _Position(msgspec.Struct):
    symbol: str = msgspec.field(name="coin")
    szi: float
    entryPx: float | None = None  # noqa: N815
    leverage: _Leverage = _Leverage("cross", 1.0)
    liquidationPx: float | None = None  # noqa: N815


class _AssetPosition(msgspec.Struct):
    position: _Position


class _Summary(msgspec.Struct):
    accountValue: float  # noqa: N815


class _Account(msgspec.Struct):
    assetPositions: list[_AssetPosition]  # noqa: N815
    marginSummary: _Summary  # noqa: N815
    time: int = 0


class _FillLiquidation(msgspec.Struct):
    liquidatedUser: str = ""  # noqa: N815
    markPx: float = 0.0  # noqa: N815


class _Fill(msgspec.Struct):
    symbol: str = msgspec.field(name="coin")
    px: float
    sz: float
    side: str
    time: int
    liquidation: _FillLiquidation | None = None


class _UserEvents(msgspec.Struct):
    fills: list[_Fill] = []


class _Request(msgspec.Struct):
    """What a REST reply answers: the body of its request."""

    type: str = ""
    user: str = ""


class Hyperliquid(Routed):
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.WHOLE
    rest_url = "https://api.hyperliquid.xyz"
    ws_url = "wss://api.hyperliquid.xyz"
    budgets = (Budget("weight", 1200.0, 60.0),)
    socket_path = "/ws"
    pool = "weight"
    heartbeat = Heartbeat(30.0, b'{"method":"ping"}')
    send_spacing_s = 0.03

    def __init__(self) -> None:
        super().__init__(
            streams={
                "l2Book": _book,
                "trades": _trades,
                "bbo": _quotes,
                "activeAssetCtx": _contexts,
                "candle": _candles_now,
                "user": _fills,
            },
            replies={
                "meta": _meta,
                "metaAndAssetCtxs": _meta_and_contexts,
                "l2Book": _book,
                "candleSnapshot": _candles,
                "fundingHistory": _funding,
                "recentTrades": _trades,
                "clearinghouseState": _account,
            },
        )
        self._user_trades = msgspec.json.Decoder(_UserTrades)

    def open_message(self, frame: Frame) -> Envelope | Notice | Unknown:
        head = self._reader.read(frame.payload, _Head, "stream")
        kind = _NEWS.get(head.channel)
        if kind is not None:
            return self.notice(frame, kind, bytes(head.data)[:200].decode("utf-8", "replace"))
        return Envelope(head.channel, bytes(head.data))

    def open_reply(self, frame: Frame, path: str) -> Envelope | Notice | Unknown:
        """All requests go to one path: what was asked stands in the body."""
        _, _, body = request_of(frame.source)
        request = self._reader.read(body.encode() or b"{}", _Request, "request")
        return Envelope(request.type, frame.payload, action=request.user)

    def account_request(self, account: str) -> HttpRequest:
        """What asks for the positions of an account; the reply is decoded like any other."""
        return _ask({"type": "clearinghouseState", "user": account}, 2.0)

    def account_names(self, frame: Frame) -> Sequence[str]:
        """Both sides of every trade in a frame of trades; () for any other frame."""
        if not frame.payload.startswith(b'{"channel":"trades"'):
            return ()
        try:
            trades = self._user_trades.decode(frame.payload).data
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ()
        return [user for trade in trades for user in trade.users]

    # ---- what to ask for ----------------------------------------------------------------------

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        del bases
        return (_ask({"type": "metaAndAssetCtxs"}, 20.0),)

    def ranking(self) -> Sequence[HttpRequest]:
        return ()  # the bootstrap reply ranks already

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Few sockets: ten an address. Fast books for the top, slow ones for twenty levels."""
        plans: dict[str, list[dict[str, object]]] = {"flow": [], "books": [], "context": []}
        specs: dict[str, list[StreamSpec]] = {"flow": [], "books": [], "context": []}
        for of in instruments:
            coin = of.symbol
            plans["flow"] += [{"type": "trades", "coin": coin}, {"type": "bbo", "coin": coin}]
            plans["books"].append({"type": "l2Book", "coin": coin})
            plans["context"].append({"type": "activeAssetCtx", "coin": coin})
            specs["flow"].append(StreamSpec(f"trades {coin}", ("Trade",), of.id, 120.0))
            specs["flow"].append(StreamSpec(f"quote {coin}", ("BestQuote",), of.id, 30.0))
            specs["books"].append(StreamSpec(f"book {coin}", ("BookSnapshot",), of.id, 12.0))
            specs["context"].append(StreamSpec(f"mark {coin}", ("MarkPrice",), of.id, 20.0))
        return tuple(
            self.connection(name, [_subscribe(row) for row in rows], specs[name])
            for name, rows in plans.items()
        )

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Nothing: contexts come by stream. Accounts are scanned by feeds, within the weight."""
        del instruments
        return ()

    def backfill(self, instrument: Instrument, start_ns: int, end_ns: int) -> Sequence[HttpRequest]:
        """1-minute candles (5,000 at most) and hourly funding; past open interest is not public."""
        begin, end = start_ns // MS, end_ns // MS
        coin = instrument.symbol
        candles = {
            "type": "candleSnapshot",
            "req": {"coin": coin, "interval": "1m", "startTime": begin, "endTime": end},
        }
        funding = {"type": "fundingHistory", "coin": coin, "startTime": begin, "endTime": end}
        return _ask(candles, 25.0, instrument.id), _ask(funding, 25.0, instrument.id)

    def resync(self, instrument: Instrument) -> Resync:
        """The next message is the whole book: nothing to ask."""
        del instrument
        return Resync()

    def missed_trades(
        self, instrument: Instrument, before: Trade, after: Trade, page: int
    ) -> HttpRequest | None:
        """The newest ones; there is no deeper history."""
        del before, after
        body = {"type": "recentTrades", "coin": instrument.symbol}
        return None if page else _ask(body, 25.0, instrument.id)

    def infer_instrument(self, frame: Frame) -> Instrument | None:
        """From a book of a recording without a list: the tick as written."""
        try:
            message = msgspec.json.decode(frame.payload)
            data = message["data"]
            coin, price = data["coin"], data["levels"][0][0]["px"]
        except (msgspec.DecodeError, KeyError, IndexError, TypeError):
            return None
        if not isinstance(coin, str) or not isinstance(price, str):
            return None
        return msgspec.structs.replace(
            _instrument(_Asset(coin, 0, 0.0)), tick_decimals=decimals_of(price), max_leverage=0.0
        )


def _ask(body: Mapping[str, object], weight: float, instrument_id: str = "") -> HttpRequest:
    text = msgspec.json.encode(body).decode()
    return HttpRequest(NAME, "/info", text, weight, "weight", instrument_id)


def _subscribe(to: dict[str, object]) -> bytes:
    return msgspec.json.encode({"method": "subscribe", "subscription": to})


# ---- messages to facts --------------------------------------------------------------------------


def _book(m: Message) -> None:
    for of, r in m.listed([m.row(_Book)]):
        bids, asks = ([(level.px, level.sz) for level in side] for side in r.levels)
        m.add(BookSnapshot(of.id, r.time * MS, m.got_ns, 0, levels(bids, asks, of)))


def _trades(m: Message) -> None:
    for of, r in m.listed(m.rows(_Trade)):
        price = usd(of, r.px)
        quantity = coins(of, r.sz, price)
        # tid alone is a hash: the venue's unique key has the time in it.
        trade_id = f"{r.time}-{r.tid}"
        m.add(Trade(of.id, r.time * MS, m.got_ns, price, quantity, _TAKER[r.side], trade_id))


def _quotes(m: Message) -> None:
    for of, r in m.listed([m.row(_Bbo)]):
        # One element has been recorded: which side is missing cannot be known, so it says nothing.
        bid, ask = r.bbo if len(r.bbo) == 2 else (None, None)
        if bid is None or ask is None:
            m.note("one-sided quote", r.symbol)
        else:
            m.add(quote(of, r.time * MS, m.got_ns, (bid.px, bid.sz), (ask.px, ask.sz)))


def _contexts(m: Message) -> None:
    for of, r in m.listed([m.row(_ActiveCtx)]):
        m.add(*_context(of, r.ctx, m.got_ns))


def _context(of: Instrument, ctx: _Ctx, got_ns: int) -> list[Event]:
    """At our time: the message carries none of its own."""
    return market_state(
        of,
        got_ns,
        got_ns,
        mark=ctx.markPx,
        index=ctx.oraclePx,
        interest=ctx.openInterest,
        funding=ctx.funding,
        funding_h=1.0,
    )


def _candles_now(m: Message) -> None:
    for of, r in m.listed([m.row(_Candle)]):
        m.add(_candle(of, r, m, is_history=False))


def _candles(m: Message) -> None:
    for of, r in m.listed(m.rows(_Candle)):
        m.add(_candle(of, r, m, is_history=True))


def _candle(of: Instrument, r: _Candle, m: Message, *, is_history: bool) -> Candle:
    span = (r.T + 1) * MS, (r.T + 1 - r.t) * MS
    volume = not_negative(r.v) * of.quantity_factor
    ohlc = (r.o, r.h, r.l, r.c)
    return candle(of, m.frame, CandleOf.LAST, span, ohlc, volume, is_history=is_history)


def _fills(m: Message) -> None:
    """Fills of a followed account; one with a liquidation object shows a forced close.

    The recorded fill is the counterparty's: its taker or maker role tells nothing, but the
    liquidated account trades against it, so a fill on side B met a forced sale of a long.
    """
    for of, r in m.listed(m.row(_UserEvents).fills):
        if r.liquidation is None:
            continue
        closed = PositionSide.LONG if _TAKER[r.side] is Aggressor.BUY else PositionSide.SHORT
        price = usd(of, r.px)
        size = coins(of, r.sz, price)
        fill, some = PriceKind.FILL, Coverage.SAMPLED
        m.add(Liquidation(of.id, r.time * MS, m.got_ns, closed, size, price, fill, some))
    if not m.events:
        m.note("unused", "fills without liquidation")


def _meta(m: Message) -> None:
    _listings(m, m.row(_Meta))


def _meta_and_contexts(m: Message) -> None:
    meta, rows = m.row(tuple[_Meta, list[_Ctx]])
    if len(rows) != len(meta.universe):
        raise ValueError(f"{len(rows)} contexts for {len(meta.universe)} assets")
    _listings(m, meta)
    for asset, ctx in zip(meta.universe, rows, strict=True):
        if not asset.isDelisted and ctx.markPx > 0.0:
            of = _instrument(asset)
            m.add(*_context(of, ctx, m.got_ns))
            m.add(Turnover(of.id, m.got_ns, m.got_ns, not_negative(ctx.dayNtlVlm)))


def _listings(m: Message, meta: _Meta) -> None:
    tables = dict(meta.marginTables)
    for asset in meta.universe:
        of = _instrument(asset)
        m.add(listing(of, m.got_ns, m.got_ns))
        tiers = _tiers(asset, tables.get(asset.marginTableId))
        m.add(TierTable(of.id, m.got_ns, m.got_ns, tiers))


def _funding(m: Message) -> None:
    for of, r in m.listed(m.rows(_FundingRow)):
        m.add(settled_funding(of, r.time * MS, m.got_ns, r.fundingRate, 1.0))


def _account(m: Message) -> None:
    """Any address's positions: the measured layer."""
    r, user = m.row(_Account), m.action
    at_ns, value = r.time * MS or m.got_ns, finite(r.marginSummary.accountValue)
    held: list[MeasuredPosition] = []
    for of, p in m.listed((row.position for row in r.assetPositions), quietly=True):
        if p.szi == 0.0:
            continue
        held.append(
            MeasuredPosition(
                of.id,
                at_ns,
                m.got_ns,
                user,
                PositionSide.LONG if p.szi > 0.0 else PositionSide.SHORT,
                positive(abs(p.szi)) * of.quantity_factor,
                not_negative(p.entryPx or 0.0) * of.price_factor,
                not_negative(p.liquidationPx or 0.0) * of.price_factor,
                positive(p.leverage.value),
                p.leverage.type == "cross",
                value,
            )
        )
    m.add(*held, PositionSnapshot("", at_ns, m.got_ns, m.venue, user, tuple(held), value))


def _instrument(asset: _Asset) -> Instrument:
    thousands = asset.name.startswith("k") and asset.name[1:].isupper()
    factor = 1000.0 if thousands else 1.0
    return Instrument(
        id=f"{NAME}:{asset.name}",
        venue=NAME,
        symbol=asset.name,
        base=asset.name[1:] if thousands else asset.name,
        quote="USD",
        settle="USDC",
        tick_mantissa=1,
        tick_decimals=max(6 - asset.szDecimals, 0),
        price_factor=1.0 / factor,
        quantity_factor=factor,
        lot=10.0**-asset.szDecimals,
        max_leverage=asset.maxLeverage,
        funding_interval_h=1.0,
        is_trading=not asset.isDelisted,
    )


def _tiers(asset: _Asset, table: _Table | None) -> tuple[MarginTier, ...]:
    """Maintenance is half the initial margin at the tier's maximum leverage."""
    rows = table.marginTiers if table else [_TierRow(0.0, asset.maxLeverage)]
    rows = sorted(rows, key=lambda row: row.lowerBound)
    return ladder(
        [*(row.lowerBound for row in rows[1:]), 1e12],
        [row.maxLeverage for row in rows],
        [0.5 / positive(row.maxLeverage) for row in rows],
    )
