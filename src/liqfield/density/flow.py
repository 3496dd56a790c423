"""What happened since the last step: traded volume by price and taker, and the mark's way.

Trades and candles fill the same buffer, so live and back-fill are the same mathematics.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from liqfield.density.marks import NEAR
from liqfield.density.trust import SILENCE_NS
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import direct, inner_kernel, kernel
from liqfield.model.tape import slot, tape_columns

MOVE_NS = 300_000_000_000  # churn is tied to moves over five minutes
LEAST_VOLUME = 1e-200  # below it shares of the volume cannot be told in floating point
MAX_POINTS = 24
WAY_POINTS = 9
MARK_STALE_NS = 600_000_000_000  # then trades stand in for marks


@inner_kernel
def add_to_bin(
    bins: IntArray, sums: FloatArray, count: int, key: int, guess: int, buy: float, sell: float
) -> tuple[int, int]:
    """Add coins to bins[:count], which has room; returns (bins now, where this one stands)."""
    at = slot(bins, 0, count, key, guess)
    if at == count:
        bins[count] = key
        sums[0, count] = sums[1, count] = 0.0
        count += 1
    sums[0, at] += buy
    sums[1, at] += sell
    return count, at


@kernel
def spread_evenly(
    bins: IntArray,
    sums: FloatArray,
    count: int,
    first: int,
    last: int,
    every: int,
    buy: float,
    sell: float,
) -> int:
    """Add coins to each `every`-th bin from first to last; returns the bins now."""
    at = 0
    for key in range(first, last + 1, every):
        count, at = add_to_bin(bins, sums, count, key, at, buy, sell)
    return count


@kernel
def sort_bins(bins: IntArray, sums: FloatArray, count: int, width: float, rows: FloatArray) -> None:
    """Bins[:count] in order of price into rows float64[count, 3]: log-price, bought, sold."""
    for i in range(count):
        at, x = i, (bins[i] + 0.5) * width
        while at > 0 and rows[at - 1, 0] > x:
            rows[at] = rows[at - 1]
            at -= 1
        rows[at, 0], rows[at, 1], rows[at, 2] = x, sums[0, i], sums[1, i]


@kernel
def add_plain_trades(
    tape: IntArray,
    first: int,
    last: int,
    number: int,
    counts_usd: bool,
    width: float,
    clock_ns: int,
    step_ns: int,
    pace_ns: float,
    mark_ns: int,
    mark: float,
    low: float,
    high: float,
    bins: IntArray,
    sums: FloatArray,
    count: int,
    volume: float,
) -> tuple[int, int, float, bool, int, float]:
    """Add an instrument's trades of [first, last) to their bins, as long as they are nothing else.

    Stops before a trade that is not believed, ends a silence, moves the mark beyond [low, high]
    (its way so far; low above high: it is not followed) or makes a step due at `step_ns` +
    `pace_ns`, and where a bin may find no room. Returns (the trade where it stopped, the clock, the
    mark, whether a trade stood in for it, bins now, their volume).
    """
    at_ns, prices, sizes, numbers, mask = tape_columns(tape)
    is_borrowed, guess = False, 0
    for k in range(first, last):
        i = k & mask
        price, coins = prices[i], abs(sizes[i])
        if numbers[i] != number or not (0.0 < price < np.inf and 0.0 < coins < np.inf):
            continue
        now_ns = max(clock_ns, at_ns[i])
        is_silence_over = clock_ns != 0 and now_ns - clock_ns > SILENCE_NS
        is_believed = mark == 0.0 or NEAR * mark <= price <= mark / NEAR
        is_stale = now_ns - mark_ns > MARK_STALE_NS
        is_new = is_stale and not (mark > 0.0 and 0.0 < low <= price <= high)
        is_due = now_ns - step_ns >= pace_ns
        if is_silence_over or not is_believed or is_new or is_due or count == len(bins):
            return k, clock_ns, mark, is_borrowed, count, volume
        clock_ns = now_ns
        if is_stale:
            mark, is_borrowed = price, True
        units = coins * price if counts_usd else coins
        key = int(np.floor(np.log(price) / width))
        buy, sell = (units, 0.0) if sizes[i] > 0.0 else (0.0, units)
        count, guess = add_to_bin(bins, sums, count, key, guess, buy, sell)
        volume += units
    return last, clock_ns, mark, is_borrowed, count, volume


class FlowBuffer:
    """Volume since the last step: bins of the lattice -> coins that takers [bought, sold]."""

    def __init__(self, width: float) -> None:
        self._width = width
        self.bins, self.sums = np.zeros(64, np.int64), np.zeros((2, 64))
        tables = self.bins, self.sums, 0
        self._spread_evenly = direct(spread_evenly, *tables, 0, 0, 0, 0.0, 0.0)
        self._sort = direct(sort_bins, *tables, 0.0, np.zeros((1, 3)))
        self.count = 0
        self.volume = 0.0

    def trade(self, price: float, quantity: float, is_buy: bool) -> None:
        """One execution, coins."""
        key = math.floor(math.log(price) / self._width)
        self._spread(range(key, key + 1), *((quantity, 0.0) if is_buy else (0.0, quantity)))
        self.volume += quantity

    def candle(self, low: float, high: float, buy: float, sell: float) -> None:
        """Volume of a candle, spread evenly in log-price over its range."""
        first = math.floor(math.log(low) / self._width)
        last = math.floor(math.log(high) / self._width)
        keys = range(first, last + 1, (last - first) // MAX_POINTS + 1)
        self._spread(keys, buy / len(keys), sell / len(keys))
        self.volume += buy + sell

    def _spread(self, keys: range, buy: float, sell: float) -> None:
        while self.count + len(keys) > len(self.bins):
            self.grow()
        every = keys.start, keys.stop - 1, keys.step
        self.count = self._spread_evenly(self.bins, self.sums, self.count, *every, buy, sell)

    def grow(self) -> None:
        """Room for twice as many bins."""
        self.bins = np.concatenate((self.bins, self.bins))
        self.sums = np.concatenate((self.sums, self.sums), axis=1)

    def take(self, low: float, high: float) -> FloatArray:
        """float64[J, 3]: log-price and what takers bought and sold there; empties the buffer.

        Without any volume the openings are put evenly along the mark's way [low, high].
        """
        if self.volume <= LEAST_VOLUME:
            self.clear()
            if high <= low:
                return np.array([[math.log(low), 1.0, 1.0]])
            way = np.ones((WAY_POINTS, 3))
            way[:, 0] = np.linspace(math.log(low), math.log(high), WAY_POINTS)
            return way
        taken = np.empty((self.count, 3))
        self._sort(self.bins, self.sums, self.count, self._width, taken)
        self.clear()
        return taken if len(taken) <= 2 * MAX_POINTS else _merged(taken)

    def clear(self) -> None:
        self.count = 0
        self.volume = 0.0

    def dump(self) -> list[object]:
        """Everything as plain data."""
        bought, sold = self.sums[:, : self.count].tolist()
        rows = zip(self.bins[: self.count].tolist(), bought, sold, strict=True)
        return [self.volume, [[*row] for row in rows]]

    def load(self, data: tuple[float, list[tuple[int, float, float]]]) -> None:
        """The inverse of `dump`."""
        self.volume, rows = data
        self.count = len(rows)
        while self.count > len(self.bins):
            self.grow()
        for at, (key, bought, sold) in enumerate(rows):
            self.bins[at] = key
            self.sums[:, at] = bought, sold


def _merged(taken: FloatArray) -> FloatArray:
    """A long gap or a crash: neighbours together, at their mean log-price, MAX_POINTS of them."""
    group = (np.arange(len(taken)) * MAX_POINTS) // len(taken)
    x, buys, sells = taken.T
    bought, sold = np.bincount(group, buys), np.bincount(group, sells)
    both = bought + sold
    mean = np.bincount(group, (buys + sells) * x) / np.maximum(both, 1e-300)
    return np.ascontiguousarray(np.stack((mean, bought, sold), axis=1)[both > 0.0])


class MovePath:
    """The mark over the last five minutes: |log return| that a step of dt adds to turnover."""

    def __init__(self) -> None:
        self._points: deque[tuple[int, float]] = deque()

    def step(self, now_ns: int, log_price: float, dt_ns: int) -> float:
        """|return over five minutes| x dt / five minutes; sums to |returns| on any step."""
        points = self._points
        points.append((now_ns, log_price))
        while len(points) > 1 and points[1][0] <= now_ns - MOVE_NS:
            points.popleft()
        span_ns = now_ns - points[0][0]
        if span_ns <= 0:
            return 0.0
        move = abs(log_price - points[0][1])
        return (
            move * min(dt_ns / max(span_ns, 1), 1.0)
            if span_ns < MOVE_NS
            else (move * min(dt_ns, span_ns) / span_ns)
        )

    def points(self) -> list[tuple[int, float]]:
        return list(self._points)

    def load(self, points: list[tuple[int, float]]) -> None:
        self._points = deque((int(t), float(x)) for t, x in points)
