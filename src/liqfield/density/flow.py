"""What happened since the last step: traded volume by price and taker, and the mark's way.

Trades and candles fill the same buffer, so live and back-fill are the same mathematics.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from liqfield.model.events import FloatArray

MOVE_NS = 300_000_000_000  # churn is tied to moves over five minutes
MAX_POINTS = 24


class FlowBuffer:
    """Volume since the last step: bins of the lattice -> coins bought and sold by takers."""

    def __init__(self, width: float) -> None:
        self._width = width
        self.buys: dict[int, float] = {}
        self.sells: dict[int, float] = {}
        self.volume = 0.0

    def trade(self, price: float, quantity: float, is_buy: bool) -> None:
        """One execution, coins."""
        key = math.floor(math.log(price) / self._width)
        book = self.buys if is_buy else self.sells
        book[key] = book.get(key, 0.0) + quantity
        self.volume += quantity

    def candle(self, low: float, high: float, buy: float, sell: float) -> None:
        """Volume of a candle, spread evenly in log-price over its range."""
        first = math.floor(math.log(low) / self._width)
        last = math.floor(math.log(high) / self._width)
        stride = max(1, (last - first) // MAX_POINTS + 1)
        keys = range(first, last + 1, stride)
        for key in keys:
            self.buys[key] = self.buys.get(key, 0.0) + buy / len(keys)
            self.sells[key] = self.sells.get(key, 0.0) + sell / len(keys)
        self.volume += buy + sell

    def take(self, low: float, high: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(log-prices[J], taker-buy share[J], volume share[J]); empties the buffer.

        Without any volume the openings are put evenly along the mark's way [low, high].
        """
        keys = sorted(self.buys.keys() | self.sells.keys())
        if not keys or self.volume <= 0.0:
            points = np.linspace(math.log(low), math.log(high), 9 if high > low else 1)
            self.clear()
            n = len(points)
            return points, np.full(n, 0.5), np.full(n, 1.0 / n)
        buys = np.array([self.buys.get(key, 0.0) for key in keys])
        sells = np.array([self.sells.get(key, 0.0) for key in keys])
        x = (np.array(keys, dtype=float) + 0.5) * self._width
        both = buys + sells
        if len(keys) > 2 * MAX_POINTS:  # a long gap or a crash: merge neighbours
            group = (np.arange(len(keys)) * MAX_POINTS) // len(keys)
            weight = np.bincount(group, both)
            keep = weight > 0.0
            x = (np.bincount(group, both * x)[keep]) / weight[keep]
            buys = np.bincount(group, buys)[keep]
            both = weight[keep]
        self.clear()
        return x, buys / np.maximum(both, 1e-300), both / both.sum()

    def clear(self) -> None:
        self.buys.clear()
        self.sells.clear()
        self.volume = 0.0


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
