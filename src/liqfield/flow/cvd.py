"""Cumulative volume delta, per venue and pooled, in fixed buckets of event time.

CVD = sum of signed taker volume, base coins. Buckets are additive, so any split of the input gives
the same series, and pooled = sum over venues at every bucket.
"""

from __future__ import annotations

from collections import deque

import msgspec
import numpy as np

from liqfield.model.events import FloatArray, IntArray, Trade
from liqfield.model.sides import Aggressor


class DeltaBucket(msgspec.Struct):
    """One bucket: bought and sold taker volume, base coins."""

    start_ns: int
    buy: float = 0.0
    sell: float = 0.0


class CvdSeries(msgspec.Struct, frozen=True, eq=False):
    """int64[n] bucket starts (only buckets with trades), float64[n] bought, sold, running CVD."""

    start_ns: IntArray
    buy: FloatArray
    sell: FloatArray
    cvd: FloatArray


class CumulativeDelta:
    """`update` with trades of any venue; late trades are put into their own bucket while kept."""

    def __init__(self, bucket_ns: int = 1_000_000_000, keep: int = 3_600) -> None:
        self.bucket_ns = bucket_ns
        self._keep = keep
        self._buckets: dict[str, deque[DeltaBucket]] = {}
        self._before: dict[str, float] = {}  # CVD of buckets that left the memory

    def update(self, venue: str, trade: Trade) -> None:
        start_ns = trade.event_ns - trade.event_ns % self.bucket_ns
        bucket = self._bucket(venue, start_ns)
        if trade.aggressor is Aggressor.BUY:
            bucket.buy += trade.quantity
        else:
            bucket.sell += trade.quantity

    def venues(self) -> tuple[str, ...]:
        return tuple(sorted(self._buckets))

    def get(self, venue: str = "") -> CvdSeries:
        """The series of one venue, or of all pooled ("")."""
        chosen = [venue] if venue else list(self.venues())
        sums: dict[int, list[float]] = {}
        running = 0.0
        for name in chosen:
            running += self._before.get(name, 0.0)
            for bucket in self._buckets.get(name, ()):
                pair = sums.setdefault(bucket.start_ns, [0.0, 0.0])
                pair[0] += bucket.buy
                pair[1] += bucket.sell
        starts = np.array(sorted(sums), dtype=np.int64)
        buy = np.array([sums[int(s)][0] for s in starts])
        sell = np.array([sums[int(s)][1] for s in starts])
        return CvdSeries(starts, buy, sell, running + np.cumsum(buy - sell))

    def _bucket(self, venue: str, start_ns: int) -> DeltaBucket:
        buckets = self._buckets.setdefault(venue, deque())
        if not buckets or start_ns > buckets[-1].start_ns:
            buckets.append(DeltaBucket(start_ns))
            if len(buckets) > self._keep:
                old = buckets.popleft()
                self._before[venue] = self._before.get(venue, 0.0) + old.buy - old.sell
            return buckets[-1]
        for bucket in reversed(buckets):
            if bucket.start_ns == start_ns:
                return bucket
            if bucket.start_ns < start_ns:
                break
        # Older than memory, or a bucket that never existed: count it where memory begins.
        return buckets[0] if start_ns < buckets[0].start_ns else buckets[-1]


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
