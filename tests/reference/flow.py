"""Slow, obvious twins of the flow analytics: batch, from the whole list of trades."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from liqfield.model.events import BestQuote, Trade
from liqfield.model.sides import Aggressor


def cvd(trades: Sequence[Trade], bucket_ns: int) -> list[tuple[int, float]]:
    """(bucket start, CVD at its end) over buckets with trades."""
    totals: dict[int, float] = {}
    for t in trades:
        start = t.event_ns // bucket_ns * bucket_ns
        signed = t.quantity if t.aggressor is Aggressor.BUY else -t.quantity
        totals[start] = totals.get(start, 0.0) + signed
    out, running = [], 0.0
    for start in sorted(totals):
        running += totals[start]
        out.append((start, running))
    return out


def rows(trades: Sequence[Trade], step: float, since_ns: int) -> dict[int, tuple[float, float]]:
    """row -> (bought, sold)."""
    out: dict[int, tuple[float, float]] = {}
    for t in trades:
        if t.event_ns < since_ns:
            continue
        row = math.floor(t.price / step + 1e-9)
        bought, sold = out.get(row, (0.0, 0.0))
        if t.aggressor is Aggressor.BUY:
            bought += t.quantity
        else:
            sold += t.quantity
        out[row] = (bought, sold)
    return out


def ofi(quotes: Sequence[BestQuote]) -> float:
    """Literal transcription of the paper's formula, summed."""
    total = 0.0
    for a, b in itertools.pairwise(quotes):
        total += (b.bid_price >= a.bid_price) * b.bid_quantity
        total -= (b.bid_price <= a.bid_price) * a.bid_quantity
        total -= (b.ask_price <= a.ask_price) * b.ask_quantity
        total += (b.ask_price >= a.ask_price) * a.ask_quantity
    return total


def through_origin(rows: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """(beta, r2) of move on flow; None with fewer than ten windows that had flow."""
    moving = [(x, y) for x, y in rows if x != 0.0]
    if len(moving) < 10:
        return None
    xx = sum(x * x for x, _ in moving)
    xy = sum(x * y for x, y in moving)
    yy = sum(y * y for _, y in moving)
    return xy / xx, (xy * xy / (xx * yy) if yy > 0.0 else 0.0)


def candles(trades: Sequence[Trade], interval_ns: int) -> list[tuple[float, ...]]:
    """(open, high, low, close, volume, bought) of every candle; a late trade counts in the running
    one."""
    groups: list[list[Trade]] = []
    end_ns = -(1 << 62)
    for t in trades:
        if t.event_ns >= end_ns:
            groups.append([])
            end_ns = t.event_ns // interval_ns * interval_ns + interval_ns
        groups[-1].append(t)
    return [
        (
            group[0].price,
            max(t.price for t in group),
            min(t.price for t in group),
            group[-1].price,
            sum(t.quantity for t in group),
            sum(t.quantity for t in group if t.aggressor is Aggressor.BUY),
        )
        for group in groups
    ]


def hits(trades: Sequence[Trade], row_usd: float) -> tuple[dict[int, float], dict[int, float]]:
    """Row -> coins that sellers, and that buyers, traded there."""
    sold: dict[int, float] = {}
    bought: dict[int, float] = {}
    for t in trades:
        row = math.floor(t.price / row_usd + 1e-9)
        side = bought if t.aggressor is Aggressor.BUY else sold
        side[row] = side.get(row, 0.0) + t.quantity
    return sold, bought


def shown(quotes: Sequence[BestQuote], row_usd: float) -> tuple[dict[int, float], dict[int, float]]:
    """Row -> most displayed at the best bid, and at the best ask."""
    bids: dict[int, float] = {}
    asks: dict[int, float] = {}
    for q in quotes:
        for most, price, coins in (
            (bids, q.bid_price, q.bid_quantity),
            (asks, q.ask_price, q.ask_quantity),
        ):
            row = math.floor(price / row_usd + 1e-9)
            most[row] = max(most.get(row, 0.0), coins)
    return bids, asks
