"""What is usual here: quantiles of a stream with exponential forgetting.

Thresholds relative to them let one set of defaults serve a deep and a thin market.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from liqfield.model.events import FloatArray
from liqfield.model.jit import direct, kernel

_BINS, _WIDTH = 1024, 0.05
_ONE = _BINS // 2 + 1  # the cell of values from one on


@kernel
def quantile_cell(weights: FloatArray, first: int, last: int, share: float) -> int:
    """The first cell of [first, last] up to which `share` of all weight lies; none is outside."""
    total = 0.0
    for at in range(first, last + 1):
        total += weights[at]
    least = share * total
    total = 0.0
    for at in range(first, last + 1):
        total += weights[at]
        if total >= least:
            return at
    return last


class DecayedQuantile:
    """Quantiles of a positive stream with exponential forgetting: log bins of 5 %, O(1) to add.

    Newer values get exponentially growing weight (rescaled before it overflows), which is the same
    as decaying every older one. Values of 0 count below every bin.
    """

    BINS = _BINS
    WIDTH = _WIDTH

    def __init__(self, half_life: float) -> None:
        """half_life: in values added."""
        self._weights = np.zeros(self.BINS + 1)
        # The same memory: an element of it costs half of numpy's own.
        self._cells = cast("memoryview[float]", self._weights.data)
        self._first, self._last = self.BINS, 0  # cells that were ever hit
        self._grow = 2.0 ** (1.0 / half_life)
        self._weight = 1.0
        self.count = 0
        self._find = direct(quantile_cell, self._weights, 0, 0, 0.0)

    def add(self, value: float) -> None:
        self._weight = weight = self._weight * self._grow
        if weight > 1e12:
            self._weights /= weight
            self._weight = weight = 1.0
        at = 0
        if value > 0.0:
            at = math.floor(math.log(value) / _WIDTH) + _ONE
            if not 1 <= at <= _BINS:
                at = 1 if at < 1 else _BINS
        self._cells[at] += weight
        self.count += 1
        if at < self._first:
            self._first = at
        if at > self._last:
            self._last = at

    def quantile(self, share: float) -> float:
        """The upper edge of the bin that holds it; 0 before any value."""
        if self.count == 0:
            return 0.0
        at = self._find(self._weights, self._first, self._last, share)
        return math.exp((at - self.BINS // 2) * self.WIDTH) if at > 0 else 0.0
