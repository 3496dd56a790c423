"""Cumulative volume delta since the UTC day began, per venue and pooled, in buckets of event time.

CVD = sum of signed taker volume, base coins. Buckets are additive, so any split of the input gives
the same series, and pooled = sum over venues at every bucket. Memory is one day of buckets a venue.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from liqfield.model.durations import DAY_NS
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import direct, kernel
from liqfield.model.tape import TradeTape, tape_columns

DAY, LATE = range(2)


class CvdSeries(msgspec.Struct, frozen=True, eq=False):
    """int64[n] bucket starts without holes; float64[n] last price (nan before the first trade),
    pooled CVD at the bucket's end, and the same by venue."""

    bucket_ns: int
    start_ns: IntArray
    price: FloatArray
    cvd: FloatArray
    cvd_by_venue: dict[str, FloatArray]


@kernel
def add_to_buckets(
    tape: IntArray,
    first: int,
    last: int,
    mid: float,
    bucket_ns: int,
    head: IntArray,
    row_of: IntArray,
    price: FloatArray,
    signed: FloatArray,
    has_traded: IntArray,
) -> None:
    """Add trades [first, last) to the day's buckets: price float64[n], signed float64[venues, n].

    mid: the price to note, 0 = each trade's own. head: the day, late trades so far. row_of: row by
    instrument number.
    """
    at_ns, prices, sizes, numbers, mask = tape_columns(tape)
    for k in range(first, last):
        i = k & mask
        day = at_ns[i] // DAY_NS
        if day < head[DAY]:
            head[LATE] += 1
            continue
        if day > head[DAY]:
            head[DAY] = day
            price[:] = 0.0
            signed[:] = 0.0
        bucket = (at_ns[i] - day * DAY_NS) // bucket_ns
        price[bucket] = mid if mid != 0.0 else prices[i]
        row = row_of[numbers[i]]
        signed[row, bucket] += sizes[i]
        has_traded[row] = 1


class DayDelta:
    """Trades of any venue in any order; one of an earlier day is only counted."""

    def __init__(self, tape: TradeTape, bucket_ns: int = 5_000_000_000) -> None:
        if DAY_NS % bucket_ns:
            raise ValueError(f"bucket_ns {bucket_ns} does not divide a day")
        self.bucket_ns = bucket_ns
        self._tape, self._read = tape, tape.count
        self._size = DAY_NS // bucket_ns
        self._head = np.array([-1, 0], np.int64)
        self._venues: dict[str, int] = {}
        self._row_of: IntArray = np.zeros(0, np.int64)
        self._price = np.zeros(self._size)
        self._signed = np.zeros((0, self._size))
        self._has_traded: IntArray = np.zeros(0, np.int64)
        tables = self._head, self._row_of, self._price, self._signed, self._has_traded
        self._add = direct(add_to_buckets, tape.words, 0, 0, 0.0, 0, *tables)

    @property
    def late(self) -> int:
        """Trades of an earlier day so far."""
        return int(self._head[LATE])

    @property
    def _day(self) -> int:
        return int(self._head[DAY])

    def fold(self, mid: float = 0.0) -> None:
        """The trades on the tape that were not read yet; mid: the price to note, 0 = each one's."""
        tape = self._tape
        if len(self._row_of) < len(tape.ids):
            self._follow(tape.ids)
        first, self._read = self._read, tape.count
        self._add(
            tape.words,
            first,
            self._read,
            mid,
            self.bucket_ns,
            self._head,
            self._row_of,
            self._price,
            self._signed,
            self._has_traded,
        )

    def _follow(self, ids: Sequence[str]) -> None:
        venues = [key.partition(":")[0] for key in ids]
        self._row_of = np.array(
            [self._venues.setdefault(venue, len(self._venues)) for venue in venues], np.int64
        )
        more = len(self._venues) - len(self._signed)
        self._signed = np.concatenate((self._signed, np.zeros((more, self._size))))
        self._has_traded = np.append(self._has_traded, np.zeros(more, np.int64))

    def _rows(self) -> list[tuple[str, FloatArray]]:
        """(venue, its buckets), those that traded."""
        found = sorted(self._venues.items())
        return [(venue, self._signed[row]) for venue, row in found if self._has_traded[row]]

    def totals(self) -> dict[str, float]:
        """CVD of the day so far by venue, base coins."""
        return {venue: sum(signed.tolist()) for venue, signed in self._rows()}

    def get(self, now_ns: int, span_ns: int, most: int = 720) -> CvdSeries:
        """The last `span_ns` up to now within the UTC day, at most about `most` buckets.

        Wider spans merge whole buckets; the level counts from midnight whatever the span.
        """
        merge = max(1, -(-span_ns // (self.bucket_ns * most)))
        width = self.bucket_ns * merge
        last = (
            min(max(now_ns - self._day * DAY_NS, 0), DAY_NS - 1) // width if self._day >= 0 else -1
        )
        first = max(0, last + 1 - max(1, span_ns // width))
        low, high = first * merge, min((last + 1) * merge, self._size)
        starts = self._day * DAY_NS + np.arange(first, last + 1, dtype=np.int64) * width
        ends = np.minimum(np.arange(first + 1, last + 2) * merge, high) - 1
        by_venue = {venue: np.cumsum(signed[:high])[ends] for venue, signed in self._rows()}
        pooled = np.zeros(len(starts))
        for series in by_venue.values():
            pooled += series
        return CvdSeries(width, starts, self._prices(low, high, ends - low), pooled, by_venue)

    def _prices(self, low: int, high: int, ends: IntArray) -> FloatArray:
        """The last traded price at each bucket's end, carried forward."""
        prices = self._price[:high]
        at = np.maximum.accumulate(np.where(prices > 0.0, np.arange(high), -1))
        chosen = at[low + ends] if high else np.zeros(0, np.int64)
        found: FloatArray = np.where(chosen >= 0, prices[chosen], np.nan) if high else np.zeros(0)
        return found


def divergence(price: FloatArray, cvd: FloatArray, t_min: float = 2.0) -> int:
    """+1: price falls while CVD rises (bullish), -1: the mirror, 0: none.

    OLS slopes of both over the window have opposite signs, each with |t| > t_min.
    """
    slope_p, t_p = _slope(price)
    slope_c, t_c = _slope(cvd)
    if slope_p * slope_c >= 0.0 or min(abs(t_p), abs(t_c)) <= t_min:
        return 0
    return 1 if slope_c > 0.0 else -1


def _slope(y: FloatArray) -> tuple[float, float]:
    """OLS slope over 0..n-1 and its t-value."""
    n = len(y)
    if n < 4:
        return 0.0, 0.0
    x = np.arange(n) - (n - 1) / 2.0
    ss_x = float((x * x).sum())
    slope = float((x * (y - y.mean())).sum()) / ss_x
    rest = y - y.mean() - slope * x
    error = float(np.sqrt((rest * rest).sum() / (n - 2) / ss_x))
    if error == 0.0:
        return slope, 0.0 if slope == 0.0 else float("inf")
    return slope, slope / error
