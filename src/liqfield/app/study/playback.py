"""A world's public facts as events: candles, open interest, funding, censored prints."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from liqfield.lab.market_types import History, Prints
from liqfield.lab.worlds import VenueWorld
from liqfield.model.durations import MINUTE_NS, SECOND_NS
from liqfield.model.events import (
    Candle,
    FundingRate,
    IntArray,
    Liquidation,
    MarketEvent,
    OpenInterest,
    TierTable,
)
from liqfield.model.sides import CandleOf, Coverage, PositionSide, PriceKind


def shown(
    prints: Prints, coverage: Coverage | None, sampled_share: float, random: np.random.Generator
) -> IntArray:
    """Indices of the prints that the feed shows, in time order."""
    n = len(prints)
    if coverage is None or n == 0:
        return np.zeros(0, np.int64)
    if coverage is Coverage.COMPLETE:
        return np.arange(n, dtype=np.int64)
    if coverage is Coverage.SAMPLED:
        return np.flatnonzero(random.random(n) < sampled_share).astype(np.int64)
    second = prints.event_ns // SECOND_NS
    if coverage is Coverage.LATEST_PER_SECOND:
        return np.flatnonzero(np.append(np.diff(second) > 0, True)).astype(np.int64)
    usd = prints.quantity * prints.mark_price
    order = np.lexsort((usd, second))
    last = np.flatnonzero(np.append(np.diff(second[order]) > 0, True))
    return np.sort(order[last]).astype(np.int64)


def events(
    world: VenueWorld, coverage: Coverage | None, sampled_share: float, seed: int
) -> Iterator[MarketEvent]:
    """Everything a reader of public feeds could know, in time order.

    Klines and 5-minute open interest, as back-fill gives them, with prints as they came.
    """
    key, past = world.instrument.id, world.history
    random = np.random.default_rng(seed)
    index = shown(world.prints, coverage, sampled_share, random)
    yield TierTable(key, int(past.candle_end_ns[0]) - MINUTE_NS, 0, world.tiers)
    at, oi, paid = 0, 0, 0
    for k, end in enumerate(past.candle_end_ns.tolist()):
        while at < len(index) and world.prints.event_ns[index[at]] <= end:
            yield _print(world, int(index[at]), coverage or Coverage.SAMPLED)
            at += 1
        while paid < len(past.funding_ns) and past.funding_ns[paid] <= end:
            rate, when = float(past.funding_rate[paid]), int(past.funding_ns[paid])
            hours = world.instrument.funding_interval_h
            yield FundingRate(key, when, 0, rate, hours, 0, is_settled=True)
            paid += 1
        yield _candle(key, past, k, CandleOf.MARK)
        yield _candle(key, past, k, CandleOf.LAST)
        while oi < len(past.oi_ns) and past.oi_ns[oi] <= end:
            quantity = float(past.open_interest[oi])
            yield OpenInterest(key, int(past.oi_ns[oi]), 0, quantity, 0.0, is_history=True)
            oi += 1


def _print(world: VenueWorld, i: int, coverage: Coverage) -> Liquidation:
    p = world.prints
    ns = int(p.event_ns[i])
    side = PositionSide.LONG if p.position_side[i] == 0 else PositionSide.SHORT
    return Liquidation(
        world.instrument.id,
        ns,
        ns,
        side,
        float(p.quantity[i]),
        float(p.bankruptcy_price[i]),
        PriceKind.BANKRUPTCY,
        coverage,
    )


def _candle(key: str, past: History, k: int, of: CandleOf) -> Candle:
    o, h, low, c = (past.mark if of is CandleOf.MARK else past.last)[k].tolist()
    end = int(past.candle_end_ns[k])
    volume, buy = float(past.volume[k]), float(past.taker_buy[k])
    return Candle(
        key, end, 0, of, MINUTE_NS, o, h, low, c, volume, buy, is_closed=True, is_history=True
    )
