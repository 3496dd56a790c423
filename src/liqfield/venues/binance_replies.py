"""Binance's REST replies to facts."""

from __future__ import annotations

import msgspec

from liqfield.model.durations import MS
from liqfield.model.events import (
    BookSnapshot,
    InsuranceFund,
    OpenInterest,
    PositioningRatio,
    Turnover,
)
from liqfield.model.instrument import Instrument, tick_parts
from liqfield.model.margin import MarginTier
from liqfield.model.sides import CandleOf, ContractKind
from liqfield.venues.binance_streams import Aggregate, Pair, binance_candle, mark, tier_table, trade
from liqfield.venues.decoding import (
    base_and_factor,
    finite,
    implied_price,
    levels,
    listing,
    not_negative,
    open_interest,
    positive,
    settled_funding,
)
from liqfield.venues.routing import Builder, Message

_BASES = {
    "/futures/data/globalLongShortAccountRatio": "accounts",
    "/futures/data/topLongShortAccountRatio": "top_accounts",
    "/futures/data/topLongShortPositionRatio": "top_positions",
    "/futures/data/takerlongshortRatio": "taker_volume",
}


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


class _Depth(msgspec.Struct):
    lastUpdateId: int  # noqa: N815
    bids: list[Pair]
    asks: list[Pair]
    E: int = 0
    T: int = 0


class _Interest(msgspec.Struct):
    symbol: str
    openInterest: float  # noqa: N815
    time: int = 0


class _PastInterest(msgspec.Struct):
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


class _Trade(msgspec.Struct):
    id: int
    price: float
    qty: float
    time: int
    isBuyerMaker: bool  # noqa: N815


class _Bracket(msgspec.Struct):
    notionalFloor: float  # noqa: N815
    notionalCap: float  # noqa: N815
    maintMarginRatio: float  # noqa: N815
    initialLeverage: float  # noqa: N815
    cum: float


class _Brackets(msgspec.Struct):
    symbol: str
    brackets: list[_Bracket]


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


def replies(api: str) -> dict[str, Builder]:
    """By request path. api: where the venue's own paths begin; statistics stand elsewhere."""
    own: dict[str, Builder] = {
        "exchangeInfo": _listings,
        "depth": _book,
        "openInterest": _interest,
        "ticker/24hr": _turnover,
        "premiumIndex": _premium,
        "fundingRate": _funding,
        "fundingInfo": _ignored,
        "klines": _klines,
        "markPriceKlines": _klines,
        "indexPriceKlines": _klines,
        "aggTrades": _aggregates,
        "trades": _trades,
        "leverageBracket": _brackets,
        "insuranceBalance": _insurance,
    }
    return {
        **{f"{api}/{path}": build for path, build in own.items()},
        **dict.fromkeys(_BASES, _ratios),
        "/futures/data/openInterestHist": _past_interest,
        "/futures/data/basis": _ignored,
        "/bapi/futures/v1/friendly/future/common/brackets": _web_brackets,
    }


def _ignored(m: Message) -> None:
    m.row(object)
    m.note("unused", m.frame.source)


def _listings(m: Message) -> None:
    for s in m.row(_ExchangeInfo).symbols:
        if s.filters:
            m.add(listing(_instrument(m.venue, s), m.got_ns, m.got_ns))


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


def _book(m: Message) -> None:
    for of, r in m.of_subject([m.row(_Depth)]):
        at_ns = (r.T or r.E) * MS or m.got_ns
        book = levels(r.bids, r.asks, of)
        m.add(BookSnapshot(of.id, at_ns, m.got_ns, r.lastUpdateId, book, is_rest=True))


def _interest(m: Message) -> None:
    for of, r in m.listed([m.row(_Interest)]):
        m.add(open_interest(of, r.time * MS or m.got_ns, m.got_ns, r.openInterest, 0.0))


def _past_interest(m: Message) -> None:
    for r in m.rows(_PastInterest):
        of = m.find(r.symbol or f"{r.pair}_PERP")
        if of is None:
            continue
        coins = not_negative(r.sumOpenInterest) * of.quantity_factor
        usd = not_negative(r.sumOpenInterestValue)
        if of.kind is ContractKind.INVERSE:  # contracts are dollars, the value is in coins
            coins, usd = usd, coins
        price, at_ns = implied_price(usd, coins), r.timestamp * MS
        m.add(OpenInterest(of.id, at_ns, m.got_ns, coins, price, is_history=True))


def _turnover(m: Message) -> None:
    for of, r in m.listed(m.one_or_more(_Ticker), quietly=True):
        usd = not_negative(r.quoteVolume) or not_negative(r.baseVolume * r.weightedAvgPrice)
        m.add(Turnover(of.id, r.closeTime * MS, m.got_ns, usd))


def _premium(m: Message) -> None:
    for of, r in m.listed(m.one_or_more(_Premium)):
        mark(of, m, r.time, r.markPrice, r.indexPrice, r.lastFundingRate, r.nextFundingTime)


def _funding(m: Message) -> None:
    for of, r in m.listed(m.rows(_Funding)):
        m.add(settled_funding(of, r.fundingTime * MS, m.got_ns, r.fundingRate))


def _klines(m: Message) -> None:
    """Columns 5 and 9 are volume and buying takers' in the unit of quantity, 7 and 10 in the other:
    an inverse contract's coins stand there."""
    kind = CandleOf.LAST
    if "mark" in m.channel:
        kind = CandleOf.MARK
    elif "index" in m.channel:
        kind = CandleOf.INDEX
    rows = m.rows(list[float])
    for of, row in m.of_subject(rows, m.symbol or f"{m.query.get('pair', '')}_PERP"):
        first_ms, last_ms = int(row[0]), int(row[6])
        all_at, taker_at = (7, 10) if of.kind is ContractKind.INVERSE else (5, 9)
        volume = (row[all_at], row[taker_at] if kind is CandleOf.LAST else -1.0)
        span, ohlc = (first_ms, last_ms), (row[1], row[2], row[3], row[4])
        m.add(binance_candle(of, m, kind, span, ohlc, volume, is_history=True))


def _ratios(m: Message) -> None:
    basis = _BASES[m.channel]
    for r in m.rows(_Ratio):
        of = m.find(r.symbol or m.symbol or f"{r.pair or m.query.get('pair', '')}_PERP")
        if of is None:
            continue
        long, short = r.longAccount, r.shortAccount
        if basis == "taker_volume":
            total = positive(r.buyVol + r.sellVol)
            long, short = r.buyVol / total, r.sellVol / total
        shares = not_negative(long), not_negative(short)
        m.add(PositioningRatio(of.id, r.timestamp * MS, m.got_ns, basis, *shares))


def _aggregates(m: Message) -> None:
    for of, r in m.of_subject(m.rows(Aggregate)):
        m.add(trade(of, m, r.T, (r.p, r.q), str(r.a), is_buyer_maker=r.m))


def _trades(m: Message) -> None:
    for of, r in m.of_subject(m.rows(_Trade)):
        m.add(trade(of, m, r.time, (r.price, r.qty), str(r.id), is_buyer_maker=r.isBuyerMaker))


def _brackets(m: Message) -> None:
    for of, row in m.listed(m.rows(_Brackets), quietly=True):
        tiers = (
            MarginTier(b.notionalFloor, b.notionalCap, b.initialLeverage, b.maintMarginRatio, b.cum)
            for b in row.brackets
        )
        m.add(tier_table(of, m.got_ns, m.got_ns, tiers))


def _web_brackets(m: Message) -> None:
    for of, row in m.listed(m.row(_WebBrackets).data.brackets, quietly=True):
        tiers = (
            MarginTier(
                b.bracketNotionalFloor,
                b.bracketNotionalCap,
                b.maxOpenPosLeverage,
                b.bracketMaintenanceMarginRate,
                b.cumFastMaintenanceAmount,
            )
            for b in row.riskBrackets
        )
        m.add(tier_table(of, m.got_ns, m.got_ns, tiers))


def _insurance(m: Message) -> None:
    for group in m.one_or_more(_FundGroup):
        for a in group.assets:
            balance, at_ns = finite(a.marginBalance), a.updateTime * MS
            m.add(InsuranceFund("", at_ns, m.got_ns, m.venue, a.asset, balance))
