"""Binance's stream messages to facts: every kind that is read, when the scanner left it to JSON.

One letter names a field in the streams; `o` of a forced order is a message within one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from liqfield.model.durations import MS
from liqfield.model.events import (
    BestQuote,
    BookDelta,
    Candle,
    IndexPrice,
    Liquidation,
    TierTable,
    Trade,
)
from liqfield.model.instrument import Instrument
from liqfield.model.margin import MarginTier
from liqfield.model.sides import (
    Aggressor,
    CandleOf,
    ContractKind,
    Coverage,
    PositionSide,
    PriceKind,
    TradeKind,
)
from liqfield.venues.decoding import (
    candle,
    coins,
    finite,
    levels,
    market_state,
    not_negative,
    number,
    positive,
    usd,
)
from liqfield.venues.routing import Builder, Message

Pair = tuple[float, float]
Ohlc = tuple[float, float, float, float]
_KINDS = {"ADL": TradeKind.ADL, "INSURANCE_FUND": TradeKind.INSURANCE}
_PARTIAL = re.compile(r"@depth(5|10|20)(@|$)")
# The side of the order closes the other side's position.
_CLOSED = {"SELL": PositionSide.LONG, "BUY": PositionSide.SHORT}


class Aggregate(msgspec.Struct):
    """As requested: which contract it is of stands in the request."""

    a: int
    p: float
    q: float
    T: int
    m: bool


class _AggTrade(Aggregate):
    symbol: str = msgspec.field(name="s")


class _Trade(msgspec.Struct):
    symbol: str = msgspec.field(name="s")
    t: int
    p: float
    q: float
    T: int
    m: bool
    X: str = "MARKET"


class _Depth(msgspec.Struct):
    symbol: str = msgspec.field(name="s")
    E: int
    T: int
    U: int
    u: int
    pu: int
    b: list[Pair]
    a: list[Pair]


class _BookTicker(msgspec.Struct):
    symbol: str = msgspec.field(name="s")
    u: int
    b: float
    B: float
    a: float
    A: float
    T: int


class _Mark(msgspec.Struct):
    symbol: str = msgspec.field(name="s")
    E: int
    p: float
    T: int = 0
    i: float = 0.0
    r: str = ""


class _Index(msgspec.Struct):
    """COIN-M only: `i` names the pair, whose index all its contracts share."""

    E: int
    i: str
    p: float


class _Order(msgspec.Struct):
    symbol: str = msgspec.field(name="s")
    S: str
    p: float
    ap: float
    z: float
    T: int


class _Force(msgspec.Struct):
    o: _Order


class _KlineBody(msgspec.Struct):
    t: int
    T: int
    o: float
    h: float
    l: float  # noqa: E741 - the venue's name
    c: float
    v: float
    x: bool
    V: float = -1.0
    q: float = 0.0
    Q: float = -1.0


class _Kline(msgspec.Struct):
    """`ps` on streams of a pair's perpetual, else `s`."""

    k: _KlineBody
    s: str = ""
    ps: str = ""


class _Bracket(msgspec.Struct):
    bnf: float
    bnc: float
    mmr: float
    cf: float
    ma: float


class _ContractInfo(msgspec.Struct):
    symbol: str = msgspec.field(name="s")
    E: int
    bks: list[_Bracket] = []


def _aggregates(m: Message) -> None:
    for of, r in m.listed([m.row(_AggTrade)]):
        m.add(trade(of, m, r.T, (r.p, r.q), str(r.a), is_buyer_maker=r.m))


def _trades(m: Message) -> None:
    for of, r in m.listed([m.row(_Trade)]):
        kind = _KINDS.get(r.X, TradeKind.MARKET)
        m.add(trade(of, m, r.T, (r.p, r.q), str(r.t), kind, is_buyer_maker=r.m))


def trade(
    of: Instrument,
    m: Message,
    at_ms: int,
    deal: Pair,
    trade_id: str,
    kind: TradeKind = TradeKind.MARKET,
    *,
    is_buyer_maker: bool,
) -> Trade:
    """deal: price and quantity as the venue writes them."""
    price = usd(of, deal[0])
    aggressor = Aggressor.SELL if is_buyer_maker else Aggressor.BUY
    size = coins(of, deal[1], price)
    return Trade(of.id, at_ms * MS, m.got_ns, price, size, aggressor, trade_id, kind)


def _depth(m: Message) -> None:
    for of, r in m.listed([m.row(_Depth)]):
        if not _PARTIAL.search(m.action):
            book = levels(r.b, r.a, of)
            m.add(BookDelta(of.id, r.T * MS, m.got_ns, r.U, r.u, r.pu, book))
        elif r.b and r.a:  # the best few levels: no diff and not the whole book, but a quote
            m.add(_quote(of, m, r.T, max(r.b), min(r.a), r.u))


def _quotes(m: Message) -> None:
    for of, r in m.listed([m.row(_BookTicker)]):
        m.add(_quote(of, m, r.T, (r.b, r.B), (r.a, r.A), r.u))


def _quote(
    of: Instrument, m: Message, at_ms: int, bid: Pair, ask: Pair, sequence: int
) -> BestQuote:
    """A side without orders has the price 0."""
    bid_usd, ask_usd = (
        not_negative(bid[0]) * of.price_factor,
        not_negative(ask[0]) * of.price_factor,
    )
    bid_coins, ask_coins = coins(of, bid[1], bid_usd), coins(of, ask[1], ask_usd)
    at_ns = at_ms * MS
    return BestQuote(of.id, at_ns, m.got_ns, bid_usd, bid_coins, ask_usd, ask_coins, sequence)


def _marks(m: Message) -> None:
    for of, r in m.listed([m.row(_Mark)]):
        mark(of, m, r.E, r.p, r.i, r.r, r.T)


def mark(
    of: Instrument, m: Message, at_ms: int, price: float, index: float, rate: str, next_ms: int
) -> None:
    """Mark, index (0: not told) and the rate that will be paid at next_ms (0: none is)."""
    m.add(
        *market_state(
            of,
            at_ms * MS,
            m.got_ns,
            mark=price,
            index=index if index > 0.0 else None,
            funding=number(rate) if next_ms > 0 else None,
            next_funding_ns=next_ms * MS,
        )
    )


def _indices(m: Message) -> None:
    r = m.row(_Index)
    of = m.find(f"{r.i}_PERP")
    if of is not None:
        m.add(IndexPrice(of.id, r.E * MS, m.got_ns, usd(of, r.p)))


def _forced(m: Message) -> None:
    """SELL closes a long. Filled size at the average fill; `p` is near the bankruptcy price."""
    for of, r in m.listed([m.row(_Force).o]):
        filled = r.ap > 0.0
        price = usd(of, r.ap if filled else r.p)
        m.add(
            Liquidation(
                of.id,
                r.T * MS,
                m.got_ns,
                _CLOSED[r.S],
                coins(of, r.z, price),
                price,
                PriceKind.FILL if filled else PriceKind.LIMIT,
                Coverage.LARGEST_PER_SECOND,
            )
        )


def _klines(m: Message) -> None:
    row = m.row(_Kline)
    of = m.find(row.s or row.ps)
    if of is not None:
        k = row.k
        # COIN-M states volume in contracts and, in q and Q, the coins that they were.
        volume = (k.q, k.Q) if of.kind is ContractKind.INVERSE else (k.v, k.V)
        span = (k.t, k.T)
        ohlc = (k.o, k.h, k.l, k.c)
        m.add(binance_candle(of, m, CandleOf.LAST, span, ohlc, volume, is_closed=k.x))


def binance_candle(
    of: Instrument,
    m: Message,
    kind: CandleOf,
    span_ms: tuple[int, int],
    ohlc: Ohlc,
    volume: Pair,
    *,
    is_closed: bool | None = None,
    is_history: bool = False,
) -> Candle:
    """span_ms: first and last; volume: of all and of buying takers (below 0: not told), of inverse
    contracts from the columns that count coins."""
    q = 1.0 if of.kind is ContractKind.INVERSE else of.quantity_factor
    first_ms, last_ms = span_ms
    span = (last_ms + 1) * MS, (last_ms + 1 - first_ms) * MS
    whole = not_negative(volume[0]) * q
    taker = finite(volume[1]) * q if volume[1] >= 0.0 else -1.0
    return candle(of, m.frame, kind, span, ohlc, whole, is_closed, is_history, taker)


def _contracts(m: Message) -> None:
    for of, r in m.listed([m.row(_ContractInfo)]):
        if r.bks:
            tiers = (MarginTier(b.bnf, b.bnc, b.ma, b.mmr, b.cf) for b in r.bks)
            m.add(tier_table(of, r.E * MS, m.got_ns, tiers))
        else:
            m.note("contract", r.symbol)


def tier_table(
    of: Instrument, event_ns: int, received_ns: int, tiers: Iterable[MarginTier]
) -> TierTable:
    """Tiers as the venue states them, deductions included, if they can be true."""
    ordered = tuple(sorted(tiers, key=lambda tier: tier.floor))
    for tier in ordered:
        positive(tier.cap - tier.floor)
        positive(tier.max_leverage)
        positive(tier.maintenance_rate)
        finite(tier.deduction)
    return TierTable(of.id, event_ns, received_ns, ordered)


STREAMS: Mapping[str, Builder] = MappingProxyType(
    {
        "aggTrade": _aggregates,
        "trade": _trades,
        "depthUpdate": _depth,
        "bookTicker": _quotes,
        "markPriceUpdate": _marks,
        "indexPriceUpdate": _indices,
        "forceOrder": _forced,
        "kline": _klines,
        "continuous_kline": _klines,
        "contractInfo": _contracts,
    }
)
