"""The last minutes of a market in tables: a second is written and judged in one compiled call.

Once a second everything else has pushed the tracker out of the processor's caches, so that what it
touches counts: two tables and a kernel in place of deques, numbers and methods of Python's.
"""

from __future__ import annotations

import math

import numpy as np

from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import direct, kernel

MEMORY_S = 300  # of prices
FLOW_S = 10  # of flows
WARM_S = 60  # before the scatter of prices is known
MOST = 25.0  # variances that one move counts as: one print is no regime
NOWHERE = -1
# Words: seconds that were written, seconds that the variance is of.
WRITTEN, SEEN = range(2)
# Figures: variance of the log price a second, usual depth of bids and asks.
VARIANCE, USUAL_BIDS, USUAL_ASKS = range(3)


@kernel
def add_second(
    prices: FloatArray,
    flows: FloatArray,
    words: IntArray,
    figures: FloatArray,
    price: float,
    net_flow: float,
    bid_usd: float,
    ask_usd: float,
    passed: int,
    keep: float,
    keep_depth: float,
    driven: float,
    at_extreme: float,
) -> int:
    """Write a second to prices float64[MEMORY_S + 1] (logarithms) and flows float64[FLOW_S], rings,
    and learn from it: volatility by `keep`, usual depth by `keep_depth`, 1 for not at all.

    passed: seconds since the last one; in those between nothing moved and nothing traded. Returns
    the side, 0 longs and 1 shorts, that a strong move forces: one of `driven` deviations in a
    minute that stands within `at_extreme` of those of one second of its extreme; else NOWHERE.
    """
    price = math.log(price)
    written, room = words[WRITTEN], len(prices)
    if written:
        before = prices[(written - 1) % room]
        move = price - before
        seen = words[SEEN]
        keep = min(keep, seen / (seen + passed))  # a plain mean at first
        most = MOST * figures[VARIANCE] if seen > WARM_S else np.inf
        square = min(move * move / passed, most)
        figures[VARIANCE] = keep * figures[VARIANCE] + (1.0 - keep) * square
        words[SEEN] = seen + passed
        for _ in range(min(passed - 1, MEMORY_S)):
            prices[written % room] = before
            flows[written % FLOW_S] = 0.0
            written += 1
    prices[written % room] = price
    flows[written % FLOW_S] = net_flow
    written += 1
    words[WRITTEN] = written
    if keep_depth < 1.0:
        for side in range(2):
            depth = bid_usd if side == 0 else ask_usd
            usual = figures[USUAL_BIDS + side]
            if depth > 0.0:
                usual = usual if usual != 0.0 else depth
                figures[USUAL_BIDS + side] = keep_depth * usual + (1.0 - keep_depth) * depth
    if words[SEEN] < WARM_S or not figures[VARIANCE] > 0.0:
        return NOWHERE
    sigma = math.sqrt(figures[VARIANCE])
    held = min(written, room)
    move = price - prices[(written - 1 - min(60, held - 1)) % room]
    side = 0 if move < 0.0 else 1
    if abs(move) < driven * sigma * math.sqrt(60.0):
        return NOWHERE
    sign = -1.0 if side == 0 else 1.0
    extreme = sign * price
    for k in range(held):
        extreme = max(extreme, sign * prices[k])
    return side if extreme - sign * price <= at_extreme * sigma else NOWHERE


class RecentSeconds:
    """Prices, flows, their scatter and the usual depth of one market; see `add_second`."""

    def __init__(self, driven: float, at_extreme: float) -> None:
        self._prices, self._flows = np.zeros(MEMORY_S + 1), np.zeros(FLOW_S)
        self._words, self._figures = np.zeros(2, np.int64), np.zeros(3)
        self._chosen = driven, at_extreme
        tables = self._prices, self._flows, self._words, self._figures
        self._add = direct(add_second, *tables, *[0.0] * 4, 0, *[0.0] * 4)

    def add(
        self,
        price: float,
        net_flow: float,
        depth_usd: tuple[float, float],
        passed: int,
        keep: float,
        keep_depth: float,
    ) -> int:
        """A second, `passed` after the last one; price in USD. Returns what `add_second` does."""
        return self._add(
            self._prices, self._flows, self._words, self._figures, price, net_flow,
            *depth_usd, passed, keep, keep_depth, *self._chosen,
        )  # fmt: skip

    def __len__(self) -> int:
        """Seconds that are remembered, at most MEMORY_S + 1."""
        return min(int(self._words[WRITTEN]), len(self._prices))

    def back(self, seconds: int) -> float:
        """Log price so long ago, or as long ago as is remembered."""
        newest = int(self._words[WRITTEN]) - 1
        at = newest - min(seconds, len(self) - 1)
        return float(self._prices[at % len(self._prices)])

    def newest(self, seconds: int) -> FloatArray:
        """Log prices of the last seconds, oldest first, as many as are remembered."""
        count, written = min(seconds, len(self)), int(self._words[WRITTEN])
        found: FloatArray = self._prices[np.arange(written - count, written) % len(self._prices)]
        return found

    def flow(self) -> float:
        """Net aggressive base coins of the last ten seconds."""
        written = int(self._words[WRITTEN])
        first = max(written - FLOW_S, 0)
        return sum(float(self._flows[k % FLOW_S]) for k in range(first, written))

    def sigma(self) -> float | None:
        """Standard deviation of the log price over one second; None in the first minute."""
        variance = float(self._figures[VARIANCE])
        is_known = self._words[SEEN] >= WARM_S and variance > 0.0
        return math.sqrt(variance) if is_known else None

    def usual_depth(self, side: int) -> float:
        """USD near the touch, bids 0 and asks 1, as usual in calm; 0 before any."""
        return float(self._figures[USUAL_BIDS + side])
