"""What happened since the last step: traded volume by price and taker, and the mark's way.

Trades and candles fill the same buffer, so live and back-fill are the same mathematics.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from liqfield.model.events import FloatArray

MOVE_NS = 300_000_000_000  # churn is tied to moves over five minutes
LEAST_VOLUME = 1e-200  # below it shares of the volume cannot be told in floating point
MAX_POINTS = 24
WAY_POINTS = 9
_floor, _log = math.floor, math.log  # called with every trade and candle


class FlowBuffer:
    """Volume since the last step: bins of the lattice -> coins that takers [bought, sold]."""

    def __init__(self, width: float) -> None:
        self._width = width
        self._bins: dict[int, list[float]] = {}
        self.volume = 0.0

    def trade(self, price: float, quantity: float, is_buy: bool) -> None:
        """One execution, coins."""
        key = _floor(_log(price) / self._width)
        pair = self._bins.get(key)
        if pair is None:
            pair = self._bins[key] = [0.0, 0.0]
        pair[not is_buy] += quantity
        self.volume += quantity

    def candle(self, low: float, high: float, buy: float, sell: float) -> None:
        """Volume of a candle, spread evenly in log-price over its range."""
        first, last = _floor(_log(low) / self._width), _floor(_log(high) / self._width)
        keys = range(first, last + 1, (last - first) // MAX_POINTS + 1)
        each_buy, each_sell = buy / len(keys), sell / len(keys)
        self.volume += buy + sell
        bins = self._bins
        if not bins:  # as a rule, in history
            self._bins = {key: [each_buy, each_sell] for key in keys}
            return
        for key in keys:
            pair = bins.get(key)
            if pair is None:
                bins[key] = [each_buy, each_sell]
            else:
                pair[0] += each_buy
                pair[1] += each_sell

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
        width, bins = self._width, self._bins
        flat: list[float] = []
        for key in sorted(bins):
            flat.append((key + 0.5) * width)
            flat += bins[key]
        taken = np.array(flat).reshape(-1, 3)
        self.clear()
        return taken if len(taken) <= 2 * MAX_POINTS else _merged(taken)

    def clear(self) -> None:
        self._bins.clear()
        self.volume = 0.0

    def dump(self) -> list[object]:
        """Everything as plain data."""
        return [self.volume, [[key, *pair] for key, pair in self._bins.items()]]

    def load(self, data: tuple[float, list[tuple[int, float, float]]]) -> None:
        """The inverse of `dump`."""
        self.volume, rows = data
        self._bins = {key: [bought, sold] for key, bought, sold in rows}


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
