"""OKX v5 swaps: sizes are contracts, the book checksum is dead, only the sequence ids validate.

Liquidation `side` is the order's (with posSide net) and `bkPx` the bankruptcy price. Rules and
sources: docs/venues/okx.md.
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
    announcements,
    base_and_factor,
    candle,
    coins,
    finite,
    implied_price,
    levels,
    listing,
    not_negative,
    positive,
    quote,
    settled_funding,
    usd,
)
from liqfield.venues.routing import Envelope, Message, Routed, batches, leave_and_join, pages
from liqfield.venues.scan import Scanner, Shape, quoted

NAME = "okx"
_PUBLIC, _MARKET = "/api/v5/public", "/api/v5/market"
_RUBIK = "/api/v5/rubik/stat"
_TAKER = {"buy": Aggressor.BUY, "sell": Aggressor.SELL}
_ORDER_CLOSES = {"sell": PositionSide.LONG, "buy": PositionSide.SHORT}
_SPANS_MS = {"1m": 60_000, "5m": 300_000, "15m": 900_000, "1H": 3_600_000, "1D": 86_400_000}


class _Arg(msgspec.Struct, frozen=True):
    channel: str = ""
    instId: str = ""  # noqa: N815


class _Message(msgspec.Struct):
    arg: _Arg = _Arg()
    event: str = ""
    code: str = ""
    msg: str = ""
    action: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


class _Row(msgspec.Struct):
    symbol: str = msgspec.field(name="instId")


class _Book(msgspec.Struct):
    asks: list[tuple[float, float, str, str]]
    bids: list[tuple[float, float, str, str]]
    ts: int
    seqId: int = 0  # noqa: N815
    prevSeqId: int = 0  # noqa: N815


class _Trade(_Row):
    tradeId: str  # noqa: N815
    px: float
    sz: float
    side: str
    ts: int


class _Mark(_Row):
    markPx: float  # noqa: N815
    ts: int


class _Index(_Row):
    idxPx: float  # noqa: N815
    ts: int


class _Oi(_Row):
    oi: float
    ts: int
    oiCcy: str = ""  # noqa: N815
    oiUsd: str = ""  # noqa: N815


class _Funding(_Row):
    fundingTime: int  # noqa: N815
    fundingRate: str = ""  # noqa: N815
    nextFundingTime: str = ""  # noqa: N815
    ts: str = ""


class _FundingPast(_Row):
    fundingTime: int  # noqa: N815
    realizedRate: str = ""  # noqa: N815
    fundingRate: str = ""  # noqa: N815


class _LiquidationDetail(msgspec.Struct):
    bkPx: float  # noqa: N815
    side: str
    sz: float
    ts: int
    posSide: str = "net"  # noqa: N815


class _Liquidation(_Row):
    details: list[_LiquidationDetail]


class _Ticker(_Row):
    ts: int
    bidPx: str = ""  # noqa: N815
    bidSz: str = ""  # noqa: N815
    askPx: str = ""  # noqa: N815
    askSz: str = ""  # noqa: N815
    last: str = ""
    volCcy24h: str = ""  # noqa: N815 - base coins on swaps


class _Instrument(_Row):
    instType: str  # noqa: N815
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


class Okx(Routed):
    """The venue; see venues.contract.Venue."""

    name = NAME
    book_rule = BookRule.PREVIOUS_ID
    rest_url = "https://www.okx.com"
    ws_url = "wss://ws.okx.com"
    budgets = (Budget("public", 10.0, 2.0), Budget("market", 40.0, 2.0), Budget("rubik", 5.0, 2.0))
    socket_path = "/ws/v5/public"
    pool = "public"
    symbol_key = "instId"
    heartbeat = Heartbeat(25.0, b"ping", only_when_idle=True)

    def __init__(self) -> None:
        super().__init__(
            streams={
                "books": _books,
                "books-l2-tbt": _books,
                "books50-l2-tbt": _books,
                "bbo-tbt": _quotes,
                "books5": _quotes,
                "trades": _trades,
                "trades-all": _trades,
                "mark-price": _marks,
                "index-tickers": _indices,
                "open-interest": _open_interest,
                "funding-rate": _funding,
                "liquidation-orders": _liquidations,
                "tickers": _tickers,
                "instruments": _contracts,
                "status": _status,
                **{
                    f"{of_what}candle{bar}{zone}": _candles
                    for of_what in ("", "mark-price-", "index-")
                    for bar in _SPANS_MS
                    for zone in ("", "utc")
                },
            },
            replies={
                f"{_PUBLIC}/instruments": _contracts,
                f"{_PUBLIC}/open-interest": _open_interest,
                f"{_PUBLIC}/mark-price": _marks,
                f"{_PUBLIC}/funding-rate": _funding,
                f"{_PUBLIC}/funding-rate-history": _past_funding,
                f"{_PUBLIC}/position-tiers": _tiers,
                f"{_PUBLIC}/insurance-fund": _insurance,
                f"{_MARKET}/books": _quotes,
                f"{_MARKET}/trades": _trades,
                f"{_MARKET}/history-trades": _trades,
                f"{_MARKET}/index-tickers": _indices,
                f"{_MARKET}/tickers": _tickers,
                f"{_MARKET}/candles": _candles,
                f"{_MARKET}/history-candles": _candles,
                f"{_MARKET}/mark-price-candles": _candles,
                f"{_MARKET}/history-mark-price-candles": _candles,
                f"{_MARKET}/history-index-candles": _candles,
                f"{_RUBIK}/contracts/open-interest-history": _past_interest,
                f"{_RUBIK}/contracts/long-short-account-ratio-contract": _ratios,
                f"{_RUBIK}/taker-volume-contract": _taker_volume,
                "/api/v5/system/status": _status,
            },
        )
        self._socket = ""
        self._scanner = Scanner(NAME, _scanned_shapes())

    def decode(self, frame: Frame, instruments: Mapping[str, Instrument]) -> Sequence[Event]:
        """Frequent messages from their bytes where the scanner can; see Routed."""
        if frame.source != self._socket:
            if frame.source.startswith("rest:"):
                return super().decode(frame, instruments)
            self._socket = frame.source  # of the last message: a comparison is cheaper than a look
        events = self._scanner.scan(frame.payload, frame.received_ns, instruments)
        return super().decode(frame, instruments) if events is None else events

    def open_message(self, frame: Frame) -> Envelope | Notice | Unknown:
        if frame.payload == b"pong":
            return self.notice(frame, "pong")
        m = self._reader.read(frame.payload, _Message, "stream")
        if m.event in ("subscribe", "unsubscribe", "channel-conn-count"):
            return self.notice(frame, "ack", f"{m.arg.channel} {m.arg.instId}".strip())
        if m.event == "notice":
            return self.notice(frame, "close_soon" if m.code == "64008" else "notice", m.msg)
        if m.event in ("error", "channel-conn-count-error"):
            return self.notice(frame, "error", f"{m.code} {m.msg}")
        if m.event:
            return Unknown(NAME, frame.received_ns, f"event {m.event}")
        if not m.arg.channel:
            raise self._reader.error(frame, "stream", "no channel and no event")
        return Envelope(m.arg.channel, bytes(m.data), m.arg.instId, m.action)

    def open_reply(self, frame: Frame, path: str) -> Envelope | Notice | Unknown:
        m = self._reader.read(frame.payload, _Message, path)
        if m.code not in ("", "0"):
            return self.notice(frame, "error", f"{m.code} {m.msg}")
        return Envelope(path, bytes(m.data))

    # ---- what to ask for ----------------------------------------------------------------------

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        paths = [f"{_PUBLIC}/instruments?instType=SWAP"]
        paths += [_tiers_of(f"{base}-USDT") for base in bases]
        return [self.get(path) for path in paths]

    def ranking(self) -> Sequence[HttpRequest]:
        return (self.get(f"{_MARKET}/tickers?instType=SWAP"),)

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
            out.append(self._subscription(name, args, specs))
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
        out.append(self._subscription("flow", args, specs))
        args = [{"channel": "liquidation-orders", "instType": "SWAP"}]
        specs = [StreamSpec("liquidations", ("Liquidation",), "", 0.0)]
        for of in chosen[:1]:
            # Liquidations may be silent for hours: trades prove that the connection lives.
            args.append({"channel": "trades", "instId": of.symbol})
            specs.append(StreamSpec(f"canary {of.symbol}", ("Trade",), of.id, 60.0, is_canary=True))
        out.append(self._subscription("force", args, specs))
        return out

    def _subscription(
        self, name: str, args: Sequence[Mapping[str, str]], streams: Sequence[StreamSpec]
    ) -> Connection:
        args = [{"channel": "instruments", "instType": "SWAP"}, *args]
        return self.connection(name, [_ask("subscribe", a) for a in batches(args, 100)], streams)

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Ratios and the state of the venue every five minutes, funds of families every ten; tiers
        of each family."""
        polls = [Poll(self.get("/api/v5/system/status"), 300.0, ("Notice",))]
        for of in instruments:
            family = of.symbol.removesuffix("-SWAP")
            ratio = f"{_RUBIK}/contracts/long-short-account-ratio-contract?instId={of.symbol}"
            ratio += "&period=5m&limit=1"
            fund = f"{_PUBLIC}/insurance-fund?instType=SWAP&instFamily={family}"
            polls.append(Poll(self.get(ratio, of.id, "rubik"), 300.0, ("PositioningRatio",)))
            polls.append(Poll(self.get(fund), 600.0, ("InsuranceFund",)))
            polls.append(Poll(self.get(_tiers_of(family), of.id), TIERS_S, ("TierTable",)))
        return polls

    def backfill(self, instrument: Instrument, start_ns: int, end_ns: int) -> Sequence[HttpRequest]:
        """1-minute candles, 5-minute marks and open interest, 100 rows a page, walking back."""
        s, of_id = f"instId={instrument.symbol}", instrument.id
        begin, end = start_ns // MS, end_ns // MS
        requests = [
            self.get(
                f"{_MARKET}/{path}?{s}&bar={bar}&after={upto}&before={at - 1}&limit=100",
                of_id,
                "market",
            )
            for path, bar in (("history-mark-price-candles", "5m"), ("history-candles", "1m"))
            for at, upto in reversed(pages(begin, end, 100 * _SPANS_MS[bar]))
        ]
        past = f"{_RUBIK}/contracts/open-interest-history?{s}&period=5m"
        requests += [
            self.get(f"{past}&begin={at}&end={upto}&limit=100", of_id, "rubik")
            for at, upto in reversed(pages(begin, end, 100 * _SPANS_MS["5m"]))
        ]
        requests.append(self.get(f"{_PUBLIC}/funding-rate-history?{s}&limit=100", of_id))
        return requests

    def missed_trades(
        self, instrument: Instrument, before: Trade, after: Trade, page: int
    ) -> HttpRequest | None:
        """The newest 500, then backwards a hundred at a time (three months are there)."""
        del before
        s = f"instId={instrument.symbol}"
        if page == 0:
            return self.get(f"{_MARKET}/trades?{s}&limit=500", instrument.id, "market")
        path = f"{_MARKET}/history-trades?{s}&after={after.trade_id}&limit=100"
        return self.get(path, instrument.id, "market")

    def resync(self, instrument: Instrument) -> Resync:
        args = [{"channel": "books", "instId": instrument.symbol}]
        return leave_and_join(lambda op: _ask(op, args))


def _tiers_of(family: str) -> str:
    return f"{_PUBLIC}/position-tiers?instType=SWAP&tdMode=isolated&instFamily={family}"


def _ask(op: str, args: Sequence[Mapping[str, str]]) -> bytes:
    return msgspec.json.encode({"op": op, "args": args})


# ---- frequent messages as the scanner reads them ------------------------------------------------


def _scanned_shapes() -> list[Shape]:
    """A level is price, size, a dead field, orders. Sequence ids came in 2023."""
    sides = '"asks":<long_asks>,"bids":<long_bids>,"ts":"<ms:event_ns>","checksum":<int>'
    ids = ',"prevSeqId":<int:previous_sequence>,"seqId":<int:first_sequence,sequence>'
    none = {"first_sequence": 0, "sequence": 0, "previous_sequence": 0}
    last = ',"prevSeqId":<int>,"seqId":<int:sequence>'
    books = [
        Shape(
            '{"arg":{"channel":"books","instId":"<symbol>"},'
            f'"action":"{action}","data":[{{{sides}{rest}}}]}}',
            event,
            given,
        )
        for action, rest, event, given in (
            ("update", ids, BookDelta, {}),
            ("update", "", BookDelta, none),
            ("snapshot", last, BookSnapshot, {}),
            ("snapshot", "", BookSnapshot, {"sequence": 0}),
        )
    ]
    trades = Shape(
        '{"arg":{"channel":"trades","instId":"<text>"},"data":[<*{"instId":"<symbol>",'
        '"tradeId":"<text:trade_id>","px":<price:price>,"sz":<size:quantity>,'
        '"side":<word:aggressor>,"ts":"<ms:event_ns>"'
        '<?,"count":"<text>"?><?,"source":"<text>"?><?,"seqId":<int>?>}*>]}',
        Trade,
        {"aggressor": quoted(_TAKER)},
    )
    return [*books, trades]


# ---- messages to facts --------------------------------------------------------------------------


def _books(m: Message) -> None:
    for of, r in m.of_subject(m.rows(_Book)):
        made = levels([(b[0], b[1]) for b in r.bids], [(a[0], a[1]) for a in r.asks], of)
        if m.action == "snapshot":
            m.add(BookSnapshot(of.id, r.ts * MS, m.got_ns, r.seqId, made))
        elif m.action == "update":
            m.add(BookDelta(of.id, r.ts * MS, m.got_ns, r.seqId, r.seqId, r.prevSeqId, made))
        else:
            raise ValueError(f"action {m.action!r}")


def _quotes(m: Message) -> None:
    for of, r in m.of_subject(m.rows(_Book)):
        if r.bids and r.asks:
            m.add(quote(of, r.ts * MS, m.got_ns, r.bids[0][:2], r.asks[0][:2], r.seqId))


def _trades(m: Message) -> None:
    for of, r in m.listed(m.rows(_Trade)):
        price = usd(of, r.px)
        quantity = coins(of, r.sz, price)
        m.add(Trade(of.id, r.ts * MS, m.got_ns, price, quantity, _TAKER[r.side], r.tradeId))


def _marks(m: Message) -> None:
    for of, r in m.listed(m.rows(_Mark)):
        m.add(MarkPrice(of.id, r.ts * MS, m.got_ns, usd(of, r.markPx)))


def _indices(m: Message) -> None:
    """The index of BTC-USDT belongs to BTC-USDT-SWAP."""
    for r in m.rows(_Index):
        if of := m.find(f"{r.symbol}-SWAP"):
            m.add(IndexPrice(of.id, r.ts * MS, m.got_ns, usd(of, r.idxPx)))


def _open_interest(m: Message) -> None:
    """The venue's own coin figure, or contracts times their size."""
    for of, r in m.listed(m.rows(_Oi)):
        if r.oiCcy:
            base = not_negative(float(r.oiCcy))
        elif of.kind is ContractKind.LINEAR:
            base = not_negative(r.oi) * of.quantity_factor
        else:
            m.add(Unknown(NAME, m.got_ns, "open interest without coins"))
            continue
        price = implied_price(float(r.oiUsd or 0.0), base)
        m.add(OpenInterest(of.id, r.ts * MS, m.got_ns, base, price))


def _funding(m: Message) -> None:
    for of, r in m.listed(m.rows(_Funding)):
        if not r.fundingRate:
            continue  # announced without a rate
        hours = of.funding_interval_h
        following = int(r.nextFundingTime or 0)
        if following > r.fundingTime:
            hours = (following - r.fundingTime) / 3_600_000
        at_ns = int(r.ts) * MS if r.ts else m.got_ns
        rate = finite(float(r.fundingRate))
        m.add(FundingRate(of.id, at_ns, m.got_ns, rate, hours, r.fundingTime * MS))


def _past_funding(m: Message) -> None:
    for of, r in m.listed(m.rows(_FundingPast)):
        if rate := r.realizedRate or r.fundingRate:
            m.add(settled_funding(of, r.fundingTime * MS, m.got_ns, float(rate)))


def _liquidations(m: Message) -> None:
    for of, row in m.listed(m.rows(_Liquidation)):
        for r in row.details:
            price, closed = usd(of, r.bkPx), _ORDER_CLOSES[r.side]
            if r.posSide in ("long", "short"):
                closed = PositionSide(r.posSide)
            quantity, stated = coins(of, r.sz, price), PriceKind.BANKRUPTCY
            at_ns, sampled = r.ts * MS, Coverage.SAMPLED
            m.add(Liquidation(of.id, at_ns, m.got_ns, closed, quantity, price, stated, sampled))


def _tickers(m: Message) -> None:
    for of, r in m.listed(m.rows(_Ticker)):
        best = (r.bidPx, r.bidSz, r.askPx, r.askSz)
        if all(best):
            bid, bid_size, ask, ask_size = (float(text) for text in best)
            m.add(quote(of, r.ts * MS, m.got_ns, (bid, bid_size), (ask, ask_size)))
        if r.last and r.volCcy24h and m.is_reply:
            traded = not_negative(float(r.last) * float(r.volCcy24h))
            m.add(Turnover(of.id, r.ts * MS, m.got_ns, traded))


def _candles(m: Message) -> None:
    """[ts, o, h, l, c, contracts, coins, quote, confirm]; mark and index rows are shorter."""
    kind = CandleOf.LAST
    if "mark-price" in m.channel:
        kind = CandleOf.MARK
    elif "index" in m.channel:
        kind = CandleOf.INDEX
    bar = m.query.get("bar", "1m") if m.is_reply else m.channel.rpartition("candle")[2]
    span_ns = _SPANS_MS[bar.removesuffix("utc")] * MS
    for of, r in m.of_subject(m.rows(list[float])):
        volume = r[6] if kind is CandleOf.LAST and len(r) > 6 else 0.0
        span, prices = (int(r[0]) * MS + span_ns, span_ns), (r[1], r[2], r[3], r[4])
        is_closed = True if r[-1] == 1.0 else None
        m.add(candle(of, m.frame, kind, span, prices, volume, is_closed, m.is_reply))


def _contracts(m: Message) -> None:
    for row in m.rows(_Instrument):
        if row.instType in ("SWAP", "FUTURES") and row.tickSz:
            m.add(listing(_instrument(row), m.got_ns, m.got_ns))
    if not m.events:
        m.note("unused", "instruments of other kinds")


def _status(m: Message) -> None:
    """Work that the venue announces: scheduled, going on, or before trading begins again."""
    rows = [
        (r.title, r.state, r.begin, int(r.end or 0), r.maintType == "1")
        for r in m.rows(_Status)
        if r.env in ("", "1")
    ]
    m.add(*announcements(NAME, rows, m.got_ns))


def _tiers(m: Message) -> None:
    """Tiers count contracts; the rate applies to the whole position, without deduction."""
    families: dict[str, list[_Tier]] = {}
    for r in m.rows(_Tier):
        families.setdefault(r.instFamily or r.uly, []).append(r)
    for family, rows in families.items():
        symbol = f"{family}-SWAP"
        of = m.find(symbol) if m.knows(symbol) else None
        if of is None or of.kind is ContractKind.INVERSE:
            continue
        floor, tiers = 0.0, []
        for r in sorted(rows, key=lambda tier: tier.maxSz):
            cap = positive(r.maxSz) * of.quantity_factor
            leverage, rate = positive(r.maxLever), positive(r.mmr)
            tiers.append(MarginTier(floor, cap, leverage, rate, 0.0, by_quantity=True))
            floor = cap
        m.add(TierTable(of.id, m.got_ns, m.got_ns, tuple(tiers)))
    if not m.events:
        m.note("unused", "tiers of others")


def _insurance(m: Message) -> None:
    for row in m.rows(_Fund):
        for r in row.details:
            m.add(InsuranceFund("", r.ts * MS, m.got_ns, NAME, r.ccy, finite(r.balance)))


def _past_interest(m: Message) -> None:
    """[ts, contracts, coins, USD]."""
    for of, r in m.of_subject(m.rows(list[float])):
        base = not_negative(r[2])
        price = implied_price(r[3], base) if len(r) > 3 else 0.0
        m.add(OpenInterest(of.id, int(r[0]) * MS, m.got_ns, base, price, is_history=True))


def _ratios(m: Message) -> None:
    for of, (ts, ratio) in m.of_subject(m.rows(tuple[int, float])):
        long = not_negative(ratio) / (1.0 + ratio)
        m.add(PositioningRatio(of.id, ts * MS, m.got_ns, "accounts", long, 1.0 - long))


def _taker_volume(m: Message) -> None:
    """[ts, SELL, buy] in this order."""
    for of, (ts, sold, bought) in m.of_subject(m.rows(tuple[int, float, float])):
        total = positive(sold + bought)
        shares = not_negative(bought) / total, not_negative(sold) / total
        m.add(PositioningRatio(of.id, ts * MS, m.got_ns, "taker_volume", *shares))


def _instrument(row: _Instrument) -> Instrument:
    mantissa, decimals = tick_parts(row.tickSz)
    parts = row.symbol.split("-")
    value = float(row.ctVal or 1.0)
    multiple = float(row.ctMult or 1.0)
    base, factor = base_and_factor(parts[0])
    inverse = row.ctType == "inverse"
    return Instrument(
        id=f"{NAME}:{row.symbol}",
        venue=NAME,
        symbol=row.symbol,
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
