"""One book over venues: rows of a common step in USD. A venue in gap is left out and named.

Every level belongs to the row [r step, (r+1) step) that holds its price: the sum over rows equals
the sum over levels. Best prices are the best of any venue, so a composite may be crossed by a hair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from liqfield.book.kernels import bin_rows
from liqfield.book.ladder import ASK, BID
from liqfield.book.sync import BookSync
from liqfield.model.estimates import LadderView

STEPS = (1.0, 2.0, 5.0)


class BookSource(msgspec.Struct, frozen=True, eq=False):
    """One venue's book as the composite needs it. unit_usd: USD per base coin of one tick."""

    venue: str
    sync: BookSync
    unit_usd: float


def nice_step(price: float, bp: float = 1.0) -> float:
    """A step of 1, 2 or 5 times a power of ten near `bp` basis points of the price."""
    raw = price * bp * 1e-4
    power = 10.0 ** math.floor(math.log10(raw))
    return min((s * power for s in (*STEPS, 10.0)), key=lambda step: abs(math.log(step / raw)))


def compose(
    base: str,
    sources: Sequence[BookSource],
    *,
    at_ns: int,
    step: float = 0.0,
    rows: int = 60,
    centre: float = 0.0,
) -> LadderView | None:
    """The composite around `centre` (0 = the mid). None while no venue has a book."""
    live, absent = [], {}
    for source in sources:
        ladder = source.sync.ladder
        if ladder is None:
            absent[source.venue] = "no book: waiting for a snapshot"
        elif ladder.best_bid is None or ladder.best_ask is None:
            absent[source.venue] = "one side is empty"
        else:
            live.append((source, ladder))
    if not live:
        return None
    best_bid = max((ladder.best_bid or 0) * s.unit_usd for s, ladder in live)
    best_ask = min((ladder.best_ask or 0) * s.unit_usd for s, ladder in live)
    mid = centre or 0.5 * (best_bid + best_ask)
    width = step or nice_step(mid)
    first_row = math.floor(mid / width) - rows // 2
    bid, ask = np.zeros(rows), np.zeros(rows)
    for source, ladder in live:
        low = math.floor(first_row * width / source.unit_usd) - 1
        high = math.ceil((first_row + rows) * width / source.unit_usd) + 1
        for side, target in ((BID, bid), (ASK, ask)):
            ticks, quantity = ladder.between(side, low, high)
            bin_rows(ticks, quantity, source.unit_usd, width, first_row, target)
    return LadderView(
        base=base,
        at_ns=at_ns,
        step=width,
        first_row=first_row,
        bid=bid,
        ask=ask,
        best_bid=best_bid,
        best_ask=best_ask,
        venues=tuple(source.venue for source, _ in live),
        absent=absent,
    )
