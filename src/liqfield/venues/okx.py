"""OKX v5 swaps: sizes are contracts, the book checksum is dead, only the sequence ids validate.

Liquidation `side` is the order's (with posSide net) and `bkPx` the bankruptcy price. Rules and
sources: docs/venues/okx.md.
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
    implied_price,
    levels,
    listing,
    not_negative,
    positive,
    request_of,
)
from liqfield.venues.routing import leave_and_join
from liqfield.venues.scan import Build, Found, Scanner

NAME = "okx"
_TAKER = {"buy": Aggressor.BUY, "sell": Aggressor.SELL}
_ORDER_CLOSES = {"sell": PositionSide.LONG, "buy": PositionSide.SHORT}
_BOOK_HEAD = b'{"arg":{"channel":"books","instId":"'
_SPANS_MS = {"1m": 60_000, "5m": 300_000, "15m": 900_000, "1H": 3_600_000, "1D": 86_400_000}


class _Arg(msgspec.Struct, frozen=True):
    channel: str = ""
    instId: str = ""  # noqa: N815


class _Head(msgspec.Struct):
    arg: _Arg = _Arg()
    event: str = ""
    code: str = ""
    msg: str = ""
    action: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


class _Book(msgspec.Struct):
    asks: list[tuple[float, float, str, str]]
    bids: list[tuple[float, float, str, str]]
    ts: int
    seqId: int = 0  # noqa: N815
    prevSeqId: int = 0  # noqa: N815


class _Trade(msgspec.Struct):
    instId: str  # noqa: N815
    tradeId: str  # noqa: N815
    px: float
    sz: float
    side: str
    ts: int


class _Mark(msgspec.Struct):
    instId: str  # noqa: N815
    markPx: float  # noqa: N815
    ts: int


class _Index(msgspec.Struct):
    instId: str  # noqa: N815
    idxPx: float  # noqa: N815
    ts: int


class _Oi(msgspec.Struct):
    instId: str  # noqa: N815
    oi: float
    ts: int
    oiCcy: str = ""  # noqa: N815
    oiUsd: str = ""  # noqa: N815


class _Funding(msgspec.Struct):
    instId: str  # noqa: N815
    fundingTime: int  # noqa: N815
    fundingRate: str = ""  # noqa: N815
    nextFundingTime: str = ""  # noqa: N815
    ts: str = ""


class _FundingPast(msgspec.Struct):
    instId: str  # noqa: N815
    fundingTime: int  # noqa: N815
    realizedRate: str = ""  # noqa: N815
    fundingRate: str = ""  # noqa: N815


class _LiquidationDetail(msgspec.Struct):
    bkPx: float  # noqa: N815
    side: str
    sz: float
    ts: int
    posSide: str = "net"  # noqa: N815


class _Liquidation(msgspec.Struct):
    instId: str  # noqa: N815
    details: list[_LiquidationDetail]


class _Ticker(msgspec.Struct):
    instId: str  # noqa: N815
    ts: int
    bidPx: str = ""  # noqa: N815
    bidSz: str = ""  # noqa: N815
    askPx: str = ""  # noqa: N815
    askSz: str = ""  # noqa: N815
    last: str = ""
    volCcy24h: str = ""  # noqa: N815 - base coins on swaps


class _Instrument(msgspec.Struct):
    instType: str  # noqa: N815
    instId: str  # noqa: N815
    tickSz: str = ""  # noqa: N815
    lotSz: str = "0"  # noqa: N815
    ctVal: str = ""  # noqa: N815
    ctMult: str = ""  # noqa: N815
    ctType: str = ""  # noqa: N815
    settleCcy: str = ""  # noqa: N815
    lever: str = ""
    state: str = ""


class _Tier(msgspec.Struct):
    minSz: float  # noqa: N815
    maxSz: float  # noqa: N815
    mmr: float
    maxLever: float  # noqa: N815
    instFamily: str = ""  # noqa: N815
    uly: str = ""


class _FundDetail(msgspec.Struct):
    balance: float
    ccy: str
    ts: int


class _Fund(msgspec.Struct):
    details: list[_FundDetail]


class _Status(msgspec.Struct):
    state: str
    begin: int
    title: str = ""
    end: str = ""
    maintType: str = "1"  # noqa: N815 - 1 planned, 2 sudden, 3 a disruption
    env: str = "1"  # 1 production


Instruments = Mapping[str, Instrument]
Handler = Callable[[msgspec.Raw, _Head, Frame, Instruments], list[Event]]


class Okx:
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.PREVIOUS_ID
    rest_url = "https://www.okx.com"
    ws_url = "wss://ws.okx.com"
    budgets = (Budget("public", 10.0, 2.0), Budget("market", 40.0, 2.0), Budget("rubik", 5.0, 2.0))

    def __init__(self) -> None:
        self._reader = Reader(NAME)
        self._scanner = Scanner(NAME, _scanned_shapes())
        self._head = msgspec.json.Decoder(_Head)
        self._channels: dict[str, Handler] = {
            "books": self._on_book,
            "books-l2-tbt": self._on_book,
            "books50-l2-tbt": self._on_book,
            "bbo-tbt": self._on_top,
            "books5": self._on_top,
            "trades": self._on_trades,
            "trades-all": self._on_trades,
            "mark-price": self._on_mark,
            "index-tickers": self._on_index,
            "open-interest": self._on_oi,
            "funding-rate": self._on_funding,
            "liquidation-orders": self._on_liquidations,
            "tickers": self._on_tickers,
            "instruments": self._on_instruments,
            "status": self._status,
        }
        self._rest: dict[str, Handler] = {
            "/api/v5/public/instruments": self._on_instruments,
            "/api/v5/market/books": self._on_top,
            "/api/v5/market/trades": self._on_trades,
            "/api/v5/market/history-trades": self._on_trades,
            "/api/v5/public/open-interest": self._on_oi,
            "/api/v5/public/mark-price": self._on_mark,
            "/api/v5/market/index-tickers": self._on_index,
            "/api/v5/market/tickers": self._on_tickers,
            "/api/v5/public/funding-rate": self._on_funding,
            "/api/v5/public/funding-rate-history": self._funding_history,
            "/api/v5/public/position-tiers": self._tiers,
            "/api/v5/public/insurance-fund": self._insurance,
            "/api/v5/system/status": self._status,
            "/api/v5/market/candles": self._on_candles,
            "/api/v5/market/history-candles": self._on_candles,
            "/api/v5/market/mark-price-candles": self._on_candles,
            "/api/v5/market/history-mark-price-candles": self._on_candles,
            "/api/v5/market/history-index-candles": self._on_candles,
            "/api/v5/rubik/stat/contracts/open-interest-history": self._oi_history,
            "/api/v5/rubik/stat/contracts/long-short-account-ratio-contract": self._ratios,
            "/api/v5/rubik/stat/taker-volume-contract": self._taker_volume,
        }

    # ---- decode -------------------------------------------------------------------------------

    def decode(self, frame: Frame, instruments: Instruments) -> Sequence[Event]:
        """Bytes to events. Raises DecodeError on malformed messages."""
        if frame.payload == b"pong":
            return [Notice(NAME, frame.received_ns, "pong")]
        is_rest = frame.source.startswith("rest:")
        if not is_rest and frame.payload.startswith(_BOOK_HEAD):
            events = self._scanner.scan(frame, instruments)
            if events is not None:
                return events
        path, query, _ = request_of(frame.source)
        try:
            head = self._head.decode(frame.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            channel = path if is_rest else "stream"
            raise self._reader.error(frame, channel, str(error)) from error
        if is_rest:
            if head.code not in ("", "0"):
                return [Notice(NAME, frame.received_ns, "error", f"{head.code} {head.msg}")]
            channel, handler = path, self._rest.get(path)
            head.arg = _Arg("", query.get("instId", ""))
        else:
            if head.event:
                return [self._notice(head, frame)]
            channel = head.arg.channel
            handler = self._channels.get(channel)
            if handler is None and "candle" in channel:
                handler = self._on_candles
        if not channel:
            raise self._reader.error(frame, "stream", "no channel and no event")
        if handler is None:
            return [Unknown(NAME, frame.received_ns, f"rest {path}" if is_rest else channel)]
        return self._reader.guard(
            frame, channel, lambda: handler(head.data, head, frame, instruments)
        )

    def _notice(self, head: _Head, frame: Frame) -> Event:
        got = frame.received_ns
        if head.event in ("subscribe", "unsubscribe", "channel-conn-count"):
            return Notice(NAME, got, "ack", f"{head.arg.channel} {head.arg.instId}".strip())
        if head.event == "notice":
            return Notice(NAME, got, "close_soon" if head.code == "64008" else "notice", head.msg)
        if head.event in ("error", "channel-conn-count-error"):
            return Notice(NAME, got, "error", f"{head.code} {head.msg}")
        return Unknown(NAME, got, f"event {head.event}")

    def _find(self, symbol: str, frame: Frame, instruments: Instruments) -> Instrument | Unknown:
        found = instruments.get(f"{NAME}:{symbol}")
        return found or Unknown(NAME, frame.received_ns, f"instrument {symbol}")

    def _on_book(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        of = self._find(head.arg.instId, frame, known)
        events: list[Event] = []
        for book in self._reader.read(bytes(data), list[_Book], head.arg.channel):
            if isinstance(of, Unknown):
                return [of]
            made = levels([(b[0], b[1]) for b in book.bids], [(a[0], a[1]) for a in book.asks], of)
            at, got = book.ts * MS, frame.received_ns
            if head.action == "snapshot":
                events.append(BookSnapshot(of.id, at, got, book.seqId, made))
            elif head.action == "update":
                seq, prev = book.seqId, book.prevSeqId
                events.append(BookDelta(of.id, at, got, seq, seq, prev, made))
            else:
                raise ValueError(f"action {head.action!r}")
        return events

    def _on_top(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        of = self._find(head.arg.instId, frame, known)
        events: list[Event] = []
        for book in self._reader.read(bytes(data), list[_Book], head.arg.channel or "books"):
            if isinstance(of, Unknown):
                return [of]
            if not book.bids or not book.asks:
                continue
            bid, ask = book.bids[0], book.asks[0]
            events.append(
                _quote(of, book.ts * MS, frame, (bid[0], bid[1], ask[0], ask[1]), book.seqId)
            )
        return events

    def _on_trades(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        events: list[Event] = []
        for r in self._reader.read(bytes(data), list[_Trade], head.arg.channel or "trades"):
            of = self._find(r.instId, frame, known)
            if isinstance(of, Unknown):
                return [of]
            price = positive(r.px) * of.price_factor
            quantity = of.quantity_base(not_negative(r.sz), price)
            got = frame.received_ns
            events.append(Trade(of.id, r.ts * MS, got, price, quantity, _TAKER[r.side], r.tradeId))
        return events

    def _on_mark(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        events: list[Event] = []
        for r in self._reader.read(bytes(data), list[_Mark], "mark-price"):
            of = self._find(r.instId, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            price = positive(r.markPx) * of.price_factor
            events.append(MarkPrice(of.id, r.ts * MS, frame.received_ns, price))
        return events

    def _on_index(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        """The index of BTC-USDT belongs to BTC-USDT-SWAP."""
        events: list[Event] = []
        for r in self._reader.read(bytes(data), list[_Index], "index-tickers"):
            of = self._find(f"{r.instId}-SWAP", frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            price = positive(r.idxPx) * of.price_factor
            events.append(IndexPrice(of.id, r.ts * MS, frame.received_ns, price))
        return events

    def _on_oi(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        events: list[Event] = []
        for r in self._reader.read(bytes(data), list[_Oi], "open-interest"):
            of = self._find(r.instId, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            coins = _oi_coins(of, r.oi, r.oiCcy)
            if coins is None:
                events.append(Unknown(NAME, frame.received_ns, "open interest without coins"))
                continue
            usd = float(r.oiUsd or 0.0)
            price = implied_price(usd, coins)
            events.append(OpenInterest(of.id, r.ts * MS, frame.received_ns, coins, price))
        return events

    def _on_funding(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        events: list[Event] = []
        for r in self._reader.read(bytes(data), list[_Funding], "funding-rate"):
            of = self._find(r.instId, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            if not r.fundingRate:
                continue  # announced without a rate
            hours = of.funding_interval_h
            following = int(r.nextFundingTime or 0)
            if following > r.fundingTime:
                hours = (following - r.fundingTime) / 3_600_000
            at = int(r.ts) * MS if r.ts else frame.received_ns
            rate = finite(float(r.fundingRate))
            due = r.fundingTime * MS
            events.append(FundingRate(of.id, at, frame.received_ns, rate, hours, due))
        return events

    def _on_liquidations(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        events: list[Event] = []
        for row in self._reader.read(bytes(data), list[_Liquidation], "liquidation-orders"):
            of = self._find(row.instId, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            for d in row.details:
                price = positive(d.bkPx) * of.price_factor
                closed = _ORDER_CLOSES[d.side]
                if d.posSide in ("long", "short"):
                    closed = PositionSide(d.posSide)
                events.append(
                    Liquidation(
                        of.id,
                        d.ts * MS,
                        frame.received_ns,
                        closed,
                        of.quantity_base(not_negative(d.sz), price),
                        price,
                        PriceKind.BANKRUPTCY,
                        Coverage.SAMPLED,
                    )
                )
        return events

    def _on_tickers(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        events: list[Event] = []
        for r in self._reader.read(bytes(data), list[_Ticker], "tickers"):
            of = self._find(r.instId, frame, known)
            if isinstance(of, Unknown):
                events.append(of)
                continue
            quote = (r.bidPx, r.bidSz, r.askPx, r.askSz)
            if all(quote):
                bid, bid_size, ask, ask_size = (float(x) for x in quote)
                row = (bid, bid_size, ask, ask_size)
                events.append(_quote(of, r.ts * MS, frame, row, 0))
            if r.last and r.volCcy24h and frame.source.startswith("rest:"):
                usd = not_negative(float(r.last) * float(r.volCcy24h))
                events.append(Turnover(of.id, r.ts * MS, frame.received_ns, usd))
        return events

    def _on_candles(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        """[ts, o, h, l, c, contracts, coins, quote, confirm]; mark and index rows are shorter."""
        path, query, _ = request_of(frame.source)
        is_rest = frame.source.startswith("rest:")
        name = path if is_rest else head.arg.channel
        bar = query.get("bar", "1m") if is_rest else name.rpartition("candle")[2]
        span = _SPANS_MS.get(bar.removesuffix("utc"))
        of = self._find(head.arg.instId, frame, known)
        rows = self._reader.read(bytes(data), list[list[float]], name)
        if isinstance(of, Unknown):
            return [of]
        if span is None:
            return [Unknown(NAME, frame.received_ns, f"candle {bar}")]
        kind = CandleOf.LAST
        if "mark-price" in name:
            kind = CandleOf.MARK
        elif "index" in name:
            kind = CandleOf.INDEX
        return [_candle(of, frame, kind, r, span, is_history=is_rest) for r in rows]

    def _on_instruments(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        del head, known
        events: list[Event] = []
        for row in self._reader.read(bytes(data), list[_Instrument], "instruments"):
            if row.instType not in ("SWAP", "FUTURES") or not row.tickSz:
                continue
            at = frame.received_ns
            events.append(listing(_instrument(row), at, at))
        return events or [Notice(NAME, frame.received_ns, "unused", "instruments of other kinds")]

    def _status(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        """Work that the venue announces: scheduled, going on, or before trading begins again."""
        del head, known
        rows = [
            (r.title, r.state, r.begin, int(r.end or 0), r.maintType == "1")
            for r in self._reader.read(bytes(data), list[_Status], "status")
            if r.env in ("", "1")
        ]
        return announcements(NAME, rows, frame.received_ns)

    # ---- REST only ----------------------------------------------------------------------------

    def _funding_history(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        events: list[Event] = []
        for r in self._reader.read(bytes(data), list[_FundingPast], "funding-rate-history"):
            of = self._find(r.instId, frame, known)
            if isinstance(of, Unknown):
                return [of]
            if rate := r.realizedRate or r.fundingRate:
                at, hours = r.fundingTime * MS, of.funding_interval_h
                paid, got = finite(float(rate)), frame.received_ns
                events.append(FundingRate(of.id, at, got, paid, hours, at, is_settled=True))
        return events

    def _tiers(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        """Tiers count contracts; the rate applies to the whole position, without deduction."""
        rows: dict[str, list[_Tier]] = {}
        for r in self._reader.read(bytes(data), list[_Tier], "position-tiers"):
            rows.setdefault(r.instFamily or r.uly, []).append(r)
        events: list[Event] = []
        for family, group in rows.items():
            of = self._find(f"{family}-SWAP", frame, known)
            if isinstance(of, Unknown) or of.kind is ContractKind.INVERSE:
                continue
            factor = of.quantity_factor
            floor = 0.0
            tiers = []
            for r in sorted(group, key=lambda tier: tier.maxSz):
                cap = positive(r.maxSz) * factor
                leverage, rate = positive(r.maxLever), positive(r.mmr)
                tiers.append(MarginTier(floor, cap, leverage, rate, 0.0, by_quantity=True))
                floor = cap
            at = frame.received_ns
            events.append(TierTable(of.id, at, at, tuple(tiers)))
        return events or [Notice(NAME, frame.received_ns, "unused", "tiers of others")]

    def _insurance(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        del head, known
        return [
            InsuranceFund("", d.ts * MS, frame.received_ns, NAME, d.ccy, finite(d.balance))
            for row in self._reader.read(bytes(data), list[_Fund], "insurance-fund")
            for d in row.details
        ]

    def _oi_history(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        """[ts, contracts, coins, USD]."""
        of = self._find(head.arg.instId, frame, known)
        if isinstance(of, Unknown):
            return [of]
        events: list[Event] = []
        for r in self._reader.read(bytes(data), list[list[float]], "open-interest-history"):
            coins = not_negative(r[2])
            price = implied_price(r[3], coins) if len(r) > 3 else 0.0
            at = int(r[0]) * MS
            events.append(OpenInterest(of.id, at, frame.received_ns, coins, price, is_history=True))
        return events

    def _ratios(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        of = self._find(head.arg.instId, frame, known)
        if isinstance(of, Unknown):
            return [of]
        events: list[Event] = []
        for r in self._reader.read(bytes(data), list[tuple[int, float]], "ratio"):
            long = not_negative(r[1]) / (1.0 + r[1])
            at = r[0] * MS
            events.append(
                PositioningRatio(of.id, at, frame.received_ns, "accounts", long, 1.0 - long)
            )
        return events

    def _taker_volume(
        self, data: msgspec.Raw, head: _Head, frame: Frame, known: Instruments
    ) -> list[Event]:
        """[ts, SELL, buy] in this order."""
        of = self._find(head.arg.instId, frame, known)
        if isinstance(of, Unknown):
            return [of]
        events: list[Event] = []
        for ts, sold, bought in self._reader.read(
            bytes(data), list[tuple[int, float, float]], "taker-volume"
        ):
            total = positive(sold + bought)
            shares = not_negative(bought) / total, not_negative(sold) / total
            got = frame.received_ns
            events.append(PositioningRatio(of.id, ts * MS, got, "taker_volume", *shares))
        return events

    # ---- what to ask for ----------------------------------------------------------------------

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        path = "/api/v5/public/instruments?instType=SWAP"
        requests = [HttpRequest(NAME, path, pool="public")]
        return requests + [_tiers_of(f"{base}-USDT") for base in bases]

    def ranking(self) -> Sequence[HttpRequest]:
        return (HttpRequest(NAME, "/api/v5/market/tickers?instType=SWAP", pool="public"),)

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Books by thirty a socket, the rest on a second one, liquidations on a third.

        Each hears of changed instruments, in the order of its own messages: sizes are contracts.
        """
        out = []
        chosen = list(instruments)
        for i in range(0, len(chosen), 29):
            part = chosen[i : i + 29]
            name = "books" if i == 0 else f"books{i // 29}"
            args = [{"channel": "books", "instId": of.symbol} for of in part]
            specs = [
                StreamSpec(f"book {of.symbol}", ("BookDelta", "BookSnapshot"), of.id, 3.0)
                for of in part
            ]
            out.append(_connection(name, args, specs))
        args, specs = [], []
        for of in chosen:
            for channel, kind, label, expect_s in (
                ("trades", "Trade", "trades", 60.0),
                ("mark-price", "MarkPrice", "mark", 15.0),
                ("open-interest", "OpenInterest", "open interest", 15.0),
                ("funding-rate", "FundingRate", "funding", 180.0),
            ):
                args.append({"channel": channel, "instId": of.symbol})
                specs.append(StreamSpec(f"{label} {of.symbol}", (kind,), of.id, expect_s))
        for of in chosen:
            index = of.symbol.removesuffix("-SWAP")
            args.append({"channel": "index-tickers", "instId": index})
        out.append(_connection("flow", args, specs))
        args = [{"channel": "liquidation-orders", "instType": "SWAP"}]
        specs = [StreamSpec("liquidations", ("Liquidation",), "", 0.0)]
        for of in chosen[:1]:
            # Liquidations may be silent for hours: trades prove that the connection lives.
            args.append({"channel": "trades", "instId": of.symbol})
            specs.append(StreamSpec(f"canary {of.symbol}", ("Trade",), of.id, 60.0, is_canary=True))
        out.append(_connection("force", args, specs))
        return out

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Ratios and the state of the venue every five minutes, funds of families every ten; tiers
        of each family."""
        root = "/api/v5/rubik/stat/contracts/long-short-account-ratio-contract"
        ratios = tuple(
            Poll(
                HttpRequest(
                    NAME,
                    f"{root}?instId={of.symbol}&period=5m&limit=1",
                    pool="rubik",
                    instrument_id=of.id,
                ),
                300.0,
                ("PositioningRatio",),
            )
            for of in instruments
        )
        fund = "/api/v5/public/insurance-fund?instType=SWAP&instFamily="
        funds = tuple(
            Poll(
                HttpRequest(NAME, f"{fund}{of.symbol.removesuffix('-SWAP')}", pool="public"),
                600.0,
                ("InsuranceFund",),
            )
            for of in instruments
        )
        families = {of.symbol.removesuffix("-SWAP"): of.id for of in instruments}
        tiers = tuple(
            Poll(_tiers_of(family, of_id), TIERS_S, ("TierTable",))
            for family, of_id in families.items()
        )
        status = HttpRequest(NAME, "/api/v5/system/status", pool="public")
        return (*ratios, *funds, *tiers, Poll(status, 300.0, ("Notice",)))

    def backfill(self, instrument: Instrument, start_ns: int, end_ns: int) -> Sequence[HttpRequest]:
        """1-minute candles, 5-minute marks and open interest, 100 rows a page, walking back."""
        s, out = instrument.symbol, []
        begin, end = start_ns // MS, end_ns // MS
        for path, bar in (("history-mark-price-candles", "5m"), ("history-candles", "1m")):
            at = end
            while at > begin:
                back = max(begin, at - 100 * _SPANS_MS[bar])
                span = f"after={at}&before={back - 1}&limit=100"
                query = f"/api/v5/market/{path}?instId={s}&bar={bar}&{span}"
                out.append(HttpRequest(NAME, query, "", 1.0, "market", instrument.id))
                at = back
        at = end
        root = "/api/v5/rubik/stat/contracts/open-interest-history"
        while at > begin:
            back = max(begin, at - 100 * 300_000)
            query = f"{root}?instId={s}&period=5m&begin={back}&end={at}&limit=100"
            out.append(HttpRequest(NAME, query, "", 1.0, "rubik", instrument.id))
            at = back
        query = f"/api/v5/public/funding-rate-history?instId={s}&limit=100"
        out.append(HttpRequest(NAME, query, "", 1.0, "public", instrument.id))
        return out

    def resync(self, instrument: Instrument) -> Resync:
        args = [{"channel": "books", "instId": instrument.symbol}]
        return leave_and_join(lambda op: msgspec.json.encode({"op": op, "args": args}))

    def infer_instrument(self, frame: Frame) -> Instrument | None:
        """Recordings of this venue carry their instrument lists."""
        del frame
        return None


def _tiers_of(family: str, instrument_id: str = "") -> HttpRequest:
    path = f"/api/v5/public/position-tiers?instType=SWAP&tdMode=isolated&instFamily={family}"
    return HttpRequest(NAME, path, pool="public", instrument_id=instrument_id)


def _scanned_shapes() -> dict[str, Build]:
    """A level is price, size, a dead field, orders. Sequence ids came in 2023."""
    sides = '"asks":<long_asks>,"bids":<long_bids>,"ts":"<keep>","checksum":<whole>'
    shapes: dict[str, Build] = {}
    for action, ids, build in (
        ("update", ',"prevSeqId":<keep>,"seqId":<keep>', _scanned_update),
        ("update", "", _scanned_old_update),
        ("snapshot", ',"prevSeqId":<keep>,"seqId":<keep>', _scanned_book),
        ("snapshot", "", _scanned_old_book),
    ):
        head = f'{_BOOK_HEAD.decode()}<symbol>"}},"action":"{action}"'
        shapes[f'{head},"data":[{{{sides}{ids}}}]}}'] = build
    return shapes


def _scanned_update(of: Instrument, got: int, made: BookLevels, found: Found) -> list[Event]:
    sent, previous, sequence = found[6:9]
    return [BookDelta(of.id, sent * MS, got, sequence, sequence, previous, made)]


def _scanned_old_update(of: Instrument, got: int, made: BookLevels, found: Found) -> list[Event]:
    return [BookDelta(of.id, found[8] * MS, got, 0, 0, 0, made)]


def _scanned_book(of: Instrument, got: int, made: BookLevels, found: Found) -> list[Event]:
    return [BookSnapshot(of.id, found[6] * MS, got, found[8], made)]


def _scanned_old_book(of: Instrument, got: int, made: BookLevels, found: Found) -> list[Event]:
    return [BookSnapshot(of.id, found[8] * MS, got, 0, made)]


def _connection(
    name: str, args: Sequence[Mapping[str, str]], specs: Sequence[StreamSpec]
) -> Connection:
    path = "/ws/v5/public"
    args = [{"channel": "instruments", "instType": "SWAP"}, *args]
    send = tuple(
        msgspec.json.encode({"op": "subscribe", "args": list(args[i : i + 100])})
        for i in range(0, len(args), 100)
    )
    heartbeat = Heartbeat(25.0, b"ping", only_when_idle=True)
    return Connection(NAME, name, path, f"ws:{path}#{name}", send, tuple(specs), heartbeat)


def _quote(
    of: Instrument,
    at: int,
    frame: Frame,
    row: tuple[float, float, float, float],
    sequence: int,
) -> BestQuote:
    bid, ask = positive(row[0]) * of.price_factor, positive(row[2]) * of.price_factor
    return BestQuote(
        of.id,
        at,
        frame.received_ns,
        bid,
        of.quantity_base(not_negative(row[1]), bid),
        ask,
        of.quantity_base(not_negative(row[3]), ask),
        sequence,
    )


def _oi_coins(of: Instrument, contracts: float, coins: str) -> float | None:
    """The venue's own coin figure, or contracts times their size."""
    if coins:
        return not_negative(float(coins))
    if of.kind is ContractKind.INVERSE:
        return None
    return not_negative(contracts) * of.quantity_factor


def _instrument(row: _Instrument) -> Instrument:
    mantissa, decimals = tick_parts(row.tickSz)
    parts = row.instId.split("-")
    value = float(row.ctVal or 1.0)
    multiple = float(row.ctMult or 1.0)
    base, factor = base_and_factor(parts[0])
    inverse = row.ctType == "inverse"
    return Instrument(
        id=f"{NAME}:{row.instId}",
        venue=NAME,
        symbol=row.instId,
        base=base,
        quote=parts[1] if len(parts) > 1 else "",
        settle=row.settleCcy,
        kind=ContractKind.INVERSE if inverse else ContractKind.LINEAR,
        tick_mantissa=mantissa,
        tick_decimals=decimals,
        price_factor=1.0 / factor,
        quantity_factor=value * multiple * (1.0 if inverse else factor),
        lot=float(row.lotSz or 0.0),
        max_leverage=float(row.lever or 0.0),
        is_trading=row.state == "live",
        is_perpetual=row.instType == "SWAP",
    )


def _candle(
    of: Instrument,
    frame: Frame,
    kind: CandleOf,
    row: Sequence[float],
    span_ms: int,
    *,
    is_history: bool,
) -> Candle:
    p = of.price_factor
    end_ns = (int(row[0]) + span_ms) * MS
    volume = not_negative(row[6]) if kind is CandleOf.LAST and len(row) > 6 else 0.0
    return Candle(
        of.id,
        end_ns,
        frame.received_ns,
        kind,
        span_ms * MS,
        positive(row[1]) * p,
        positive(row[2]) * p,
        positive(row[3]) * p,
        positive(row[4]) * p,
        volume,
        -1.0,
        row[-1] == 1.0 or end_ns <= frame.received_ns,
        is_history,
    )
