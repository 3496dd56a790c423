"""Hyperliquid perpetuals: every book message is whole, accounts are public, no liquidation feed.

Sizes and open interest are coins counted once, funding is per hour, `k` names are thousands of
coins. Rules and sources: docs/venues/hyperliquid.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from liqfield.model.events import (
    BestQuote,
    BookSnapshot,
    Candle,
    Event,
    Frame,
    FundingRate,
    IndexPrice,
    Liquidation,
    MarkPrice,
    MeasuredPosition,
    Notice,
    OpenInterest,
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
    MS,
    Reader,
    decimals_of,
    finite,
    ladder,
    levels,
    listing,
    not_negative,
    positive,
    request_of,
)

NAME = "hyperliquid"
_TAKER = {"B": Aggressor.BUY, "A": Aggressor.SELL}


class _Head(msgspec.Struct):
    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Level(msgspec.Struct):
    px: float
    sz: float


class _Book(msgspec.Struct):
    coin: str
    time: int
    levels: tuple[list[_Level], list[_Level]]


class _Trade(msgspec.Struct):
    coin: str
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
    coin: str
    time: int
    bbo: list[_Level | None]


class _Ctx(msgspec.Struct):
    funding: float
    openInterest: float  # noqa: N815
    oraclePx: float  # noqa: N815
    markPx: float  # noqa: N815
    dayNtlVlm: float = 0.0  # noqa: N815


class _ActiveCtx(msgspec.Struct):
    coin: str
    ctx: _Ctx


class _Candle(msgspec.Struct):
    t: int
    T: int
    s: str
    i: str
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
    coin: str
    fundingRate: float  # noqa: N815
    time: int


class _Leverage(msgspec.Struct, frozen=True):
    type: str
    value: float


class _Position(msgspec.Struct):
    coin: str
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
    coin: str
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
    coin: str = ""


Instruments = Mapping[str, Instrument]
Handler = Callable[[bytes, Frame, _Request, Instruments], list[Event]]


class Hyperliquid:
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.WHOLE
    rest_url = "https://api.hyperliquid.xyz"
    ws_url = "wss://api.hyperliquid.xyz"
    budgets = (Budget("weight", 1200.0, 60.0),)

    def __init__(self) -> None:
        self._reader = Reader(NAME)
        self._head = msgspec.json.Decoder(_Head)
        self._user_trades = msgspec.json.Decoder(_UserTrades)
        self._channels: dict[str, Handler] = {
            "l2Book": self._on_book,
            "trades": self._on_trades,
            "bbo": self._on_bbo,
            "activeAssetCtx": self._on_ctx,
            "candle": self._on_candle,
            "user": self._on_user,
        }
        self._rest: dict[str, Handler] = {
            "meta": self._meta,
            "metaAndAssetCtxs": self._meta_and_ctxs,
            "l2Book": self._on_book,
            "candleSnapshot": self._candles,
            "fundingHistory": self._funding_history,
            "recentTrades": self._on_trades,
            "clearinghouseState": self._account,
        }

    # ---- decode -------------------------------------------------------------------------------

    def decode(self, frame: Frame, instruments: Instruments) -> Sequence[Event]:
        """Bytes to events. Raises DecodeError on malformed messages."""
        got = frame.received_ns
        if frame.source.startswith("rest:"):
            _, _, body = request_of(frame.source)
            request = self._reader.read(body.encode() or b"{}", _Request, "request")
            answer = self._rest.get(request.type)
            if answer is None:
                return [Unknown(NAME, got, f"rest {request.type}")]
            return self._reader.guard(
                frame, request.type, lambda: answer(frame.payload, frame, request, instruments)
            )
        head = self._reader.read(frame.payload, _Head, "stream")
        if head.channel in ("subscriptionResponse", "pong", "error"):
            kind = {"subscriptionResponse": "ack", "pong": "pong", "error": "error"}[head.channel]
            return [Notice(NAME, got, kind, bytes(head.data)[:200].decode("utf-8", "replace"))]
        handler = self._channels.get(head.channel)
        if handler is None:
            return [Unknown(NAME, got, head.channel)]
        return self._reader.guard(
            frame,
            head.channel,
            lambda: handler(bytes(head.data), frame, _Request(), instruments),
        )

    def _find(self, coin: str, frame: Frame, instruments: Instruments) -> Instrument | Unknown:
        found = instruments.get(f"{NAME}:{coin}")
        return found or Unknown(NAME, frame.received_ns, f"instrument {coin}")

    def _on_book(
        self, data: bytes, frame: Frame, request: _Request, known: Instruments
    ) -> list[Event]:
        m = self._reader.read(data, _Book, "l2Book")
        of = self._find(m.coin, frame, known)
        if isinstance(of, Unknown):
            return [of]
        bids, asks = ([(level.px, level.sz) for level in side] for side in m.levels)
        made = levels(bids, asks, of)
        return [BookSnapshot(of.id, m.time * MS, frame.received_ns, 0, made)]

    def _on_trades(
        self, data: bytes, frame: Frame, request: _Request, known: Instruments
    ) -> list[Event]:
        events: list[Event] = []
        for r in self._reader.read(data, list[_Trade], "trades"):
            of = self._find(r.coin, frame, known)
            if isinstance(of, Unknown):
                return [of]
            price = positive(r.px) * of.price_factor
            quantity = not_negative(r.sz) * of.quantity_factor
            # tid alone is a hash: the venue's unique key has the time in it.
            trade_id = f"{r.time}-{r.tid}"
            got = frame.received_ns
            events.append(Trade(of.id, r.time * MS, got, price, quantity, _TAKER[r.side], trade_id))
        return events

    def _on_bbo(
        self, data: bytes, frame: Frame, request: _Request, known: Instruments
    ) -> list[Event]:
        m = self._reader.read(data, _Bbo, "bbo")
        of = self._find(m.coin, frame, known)
        if isinstance(of, Unknown):
            return [of]
        # One element has been recorded: which side is missing cannot be known, so it says nothing.
        bid, ask = m.bbo if len(m.bbo) == 2 else (None, None)
        if bid is None or ask is None:
            return [Notice(NAME, frame.received_ns, "one-sided quote", m.coin)]
        p, q = of.price_factor, of.quantity_factor
        return [
            BestQuote(
                of.id,
                m.time * MS,
                frame.received_ns,
                positive(bid.px) * p,
                not_negative(bid.sz) * q,
                positive(ask.px) * p,
                not_negative(ask.sz) * q,
            )
        ]

    def _on_ctx(
        self, data: bytes, frame: Frame, request: _Request, known: Instruments
    ) -> list[Event]:
        m = self._reader.read(data, _ActiveCtx, "activeAssetCtx")
        of = self._find(m.coin, frame, known)
        if isinstance(of, Unknown):
            return [of]
        return _context(of, m.ctx, frame)

    def _on_candle(
        self, data: bytes, frame: Frame, request: _Request, known: Instruments
    ) -> list[Event]:
        m = self._reader.read(data, _Candle, "candle")
        of = self._find(m.s, frame, known)
        if isinstance(of, Unknown):
            return [of]
        return [_candle(of, m, frame, is_history=False)]

    def _on_user(
        self, data: bytes, frame: Frame, request: _Request, known: Instruments
    ) -> list[Event]:
        """Fills of a followed account; one with a liquidation object shows a forced close.

        The recorded fill is the counterparty's: its taker or maker role tells nothing, but the
        liquidated account trades against it, so a fill on side B met a forced sale of a long.
        """
        events: list[Event] = []
        for r in self._reader.read(data, _UserEvents, "user").fills:
            of = self._find(r.coin, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            if r.liquidation is None:
                continue
            closed = PositionSide.LONG if _TAKER[r.side] is Aggressor.BUY else PositionSide.SHORT
            events.append(
                Liquidation(
                    of.id,
                    r.time * MS,
                    frame.received_ns,
                    closed,
                    not_negative(r.sz) * of.quantity_factor,
                    positive(r.px) * of.price_factor,
                    PriceKind.FILL,
                    Coverage.SAMPLED,
                )
            )
        return events or [Notice(NAME, frame.received_ns, "unused", "fills without liquidation")]

    # ---- REST ---------------------------------------------------------------------------------

    def _meta(
        self, data: bytes, frame: Frame, request: _Request, known: Instruments
    ) -> list[Event]:
        return self._listings(self._reader.read(data, _Meta, "meta"), frame)

    def _meta_and_ctxs(
        self, data: bytes, frame: Frame, request: _Request, known: Instruments
    ) -> list[Event]:
        meta, rows = self._reader.read(data, tuple[_Meta, list[_Ctx]], "metaAndAssetCtxs")
        if len(rows) != len(meta.universe):
            raise ValueError(f"{len(rows)} contexts for {len(meta.universe)} assets")
        events = self._listings(meta, frame)
        for asset, ctx in zip(meta.universe, rows, strict=True):
            if not asset.isDelisted and ctx.markPx > 0.0:
                of, at = _instrument(asset), frame.received_ns
                events += _context(of, ctx, frame)
                events.append(Turnover(of.id, at, at, not_negative(ctx.dayNtlVlm)))
        return events

    def _listings(self, meta: _Meta, frame: Frame) -> list[Event]:
        tables = dict(meta.marginTables)
        at = frame.received_ns
        events: list[Event] = []
        for asset in meta.universe:
            of = _instrument(asset)
            events.append(listing(of, at, at))
            events.append(TierTable(of.id, at, at, _tiers(asset, tables.get(asset.marginTableId))))
        return events

    def _candles(
        self, data: bytes, frame: Frame, request: _Request, known: Instruments
    ) -> list[Event]:
        events: list[Event] = []
        for row in self._reader.read(data, list[_Candle], "candleSnapshot"):
            of = self._find(row.s, frame, known)
            if isinstance(of, Unknown):
                return [of]
            events.append(_candle(of, row, frame, is_history=True))
        return events

    def _funding_history(
        self, data: bytes, frame: Frame, request: _Request, known: Instruments
    ) -> list[Event]:
        events: list[Event] = []
        for r in self._reader.read(data, list[_FundingRow], "fundingHistory"):
            of = self._find(r.coin, frame, known)
            if isinstance(of, Unknown):
                return [of]
            at, rate = r.time * MS, finite(r.fundingRate)
            events.append(FundingRate(of.id, at, frame.received_ns, rate, 1.0, at, is_settled=True))
        return events

    def _account(
        self, data: bytes, frame: Frame, request: _Request, known: Instruments
    ) -> list[Event]:
        """Any address's positions: the measured layer."""
        m = self._reader.read(data, _Account, "clearinghouseState")
        at = m.time * MS or frame.received_ns
        events: list[MeasuredPosition] = []
        for row in m.assetPositions:
            p = row.position
            of = self._find(p.coin, frame, known)
            if isinstance(of, Unknown) or p.szi == 0.0:
                continue
            events.append(
                MeasuredPosition(
                    of.id,
                    at,
                    frame.received_ns,
                    request.user,
                    PositionSide.LONG if p.szi > 0.0 else PositionSide.SHORT,
                    positive(abs(p.szi)) * of.quantity_factor,
                    not_negative(p.entryPx or 0.0) * of.price_factor,
                    not_negative(p.liquidationPx or 0.0) * of.price_factor,
                    positive(p.leverage.value),
                    p.leverage.type == "cross",
                    finite(m.marginSummary.accountValue),
                )
            )
        whole = PositionSnapshot(
            "",
            at,
            frame.received_ns,
            NAME,
            request.user,
            tuple(events),
            finite(m.marginSummary.accountValue),
        )
        return [*events, whole]

    def account_request(self, account: str) -> HttpRequest:
        """What asks for the positions of an account; the reply is decoded like any other."""
        body = msgspec.json.encode({"type": "clearinghouseState", "user": account}).decode()
        return HttpRequest(NAME, "/info", body, 2.0, "weight")

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
        return (HttpRequest(NAME, "/info", '{"type":"metaAndAssetCtxs"}', 20.0, "weight"),)

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
            Connection(
                NAME,
                name,
                "/ws",
                f"ws:/ws#{name}",
                tuple(
                    msgspec.json.encode({"method": "subscribe", "subscription": row})
                    for row in rows
                ),
                tuple(specs[name]),
                Heartbeat(30.0, b'{"method":"ping"}'),
                send_spacing_s=0.03,
            )
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
        return tuple(
            HttpRequest(
                NAME, "/info", msgspec.json.encode(body).decode(), weight, "weight", instrument.id
            )
            for body, weight in ((candles, 25.0), (funding, 25.0))
        )

    def resync(self, instrument: Instrument) -> Resync:
        """The next message is the whole book: nothing to ask."""
        del instrument
        return Resync()

    def missed_trades(
        self, instrument: Instrument, before: Trade, after: Trade, page: int
    ) -> HttpRequest | None:
        """The newest ones; there is no deeper history."""
        del before, after
        body = msgspec.json.encode({"type": "recentTrades", "coin": instrument.symbol}).decode()
        return None if page else HttpRequest(NAME, "/info", body, 25.0, "weight", instrument.id)

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


def _context(of: Instrument, ctx: _Ctx, frame: Frame) -> list[Event]:
    at = frame.received_ns  # the message carries no time of its own
    p = of.price_factor
    mark = positive(ctx.markPx) * p
    coins = not_negative(ctx.openInterest) * of.quantity_factor
    return [
        MarkPrice(of.id, at, at, mark),
        IndexPrice(of.id, at, at, positive(ctx.oraclePx) * p),
        FundingRate(of.id, at, at, finite(ctx.funding), 1.0),
        OpenInterest(of.id, at, at, coins, mark),
    ]


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


def _candle(of: Instrument, c: _Candle, frame: Frame, *, is_history: bool) -> Candle:
    p = of.price_factor
    end_ns = (c.T + 1) * MS
    return Candle(
        of.id,
        end_ns,
        frame.received_ns,
        CandleOf.LAST,
        (c.T + 1 - c.t) * MS,
        positive(c.o) * p,
        positive(c.h) * p,
        positive(c.l) * p,
        positive(c.c) * p,
        not_negative(c.v) * of.quantity_factor,
        -1.0,
        end_ns <= frame.received_ns,
        is_history,
    )
