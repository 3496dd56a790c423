"""Cumulative volume delta since the UTC day began, per venue and pooled, in buckets of event time.

CVD = sum of signed taker volume, base coins. Buckets are additive, so any split of the input gives
the same series, and pooled = sum over venues at every bucket. Memory is one day of buckets a venue.
"""

from __future__ import annotations

from array import array

import msgspec
import numpy as np

from liqfield.model.events import FloatArray, IntArray

DAY_NS = 86_400_000_000_000


class CvdSeries(msgspec.Struct, frozen=True, eq=False):
    """int64[n] bucket starts without holes; float64[n] last price (nan before the first trade),
    pooled CVD at the bucket's end, and the same by venue."""

    bucket_ns: int
    start_ns: IntArray
    price: FloatArray
    cvd: FloatArray
    cvd_by_venue: dict[str, FloatArray]


class DayDelta:
    """`update` with trades of any venue in any order; a trade of an earlier day is only counted."""

    def __init__(self, bucket_ns: int = 5_000_000_000) -> None:
        if DAY_NS % bucket_ns:
            raise ValueError(f"bucket_ns {bucket_ns} does not divide a day")
        self.bucket_ns = bucket_ns
        self.late = 0
        self._size = DAY_NS // bucket_ns
        self._day = -1
        self._bucket, self._bucket_at_ns = 0, -(1 << 62)
        self._signed: dict[str, array[float]] = {}
        self._price = array("d", bytes(8 * self._size))

    def update(self, venue: str, at_ns: int, price: float, signed: float) -> None:
        """One trade; signed: base coins, bought > 0."""
        since_ns = at_ns - self._bucket_at_ns
        if not 0 <= since_ns < self.bucket_ns:  # not in the bucket of the trade before
            day, into = divmod(at_ns, DAY_NS)
            if day != self._day:
                if day < self._day:
                    self.late += 1
                    return
                self._begin(day)
            self._bucket = into // self.bucket_ns
            self._bucket_at_ns = at_ns - into % self.bucket_ns
        bucket = self._bucket
        self._price[bucket] = price
        try:
            self._signed[venue][bucket] += signed
        except KeyError:
            self._signed[venue] = array("d", bytes(8 * self._size))
            self._signed[venue][bucket] = signed

    def _begin(self, day: int) -> None:
        self._day = day
        self._price = array("d", bytes(8 * self._size))
        self._signed = {venue: array("d", bytes(8 * self._size)) for venue in self._signed}

    def totals(self) -> dict[str, float]:
        """CVD of the day so far by venue, base coins."""
        return {venue: sum(signed) for venue, signed in sorted(self._signed.items())}

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
        by_venue = {
            venue: np.cumsum(np.frombuffer(signed, np.float64)[:high])[ends]
            for venue, signed in sorted(self._signed.items())
        }
        pooled = np.zeros(len(starts))
        for series in by_venue.values():
            pooled += series
        return CvdSeries(width, starts, self._prices(low, high, ends - low), pooled, by_venue)

    def _prices(self, low: int, high: int, ends: IntArray) -> FloatArray:
        """The last traded price at each bucket's end, carried forward."""
        prices = np.frombuffer(self._price, np.float64)[:high]
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
