"""What is usual here: quantiles of a stream with exponential forgetting.

Thresholds relative to them let one set of defaults serve a deep and a thin market.
"""

from __future__ import annotations

import math

import numpy as np


class DecayedQuantile:
    """Quantiles of a positive stream with exponential forgetting: log bins of 5 %, O(1) to add.

    Newer values get exponentially growing weight (rescaled before it overflows), which is the same
    as decaying every older one. Values of 0 count below every bin.
    """

    BINS = 1024
    WIDTH = 0.05

    def __init__(self, half_life: float) -> None:
        """half_life: in values added."""
        self._weights = np.zeros(self.BINS + 1)
        self._grow = 2.0 ** (1.0 / half_life)
        self._weight = 1.0
        self.count = 0

    def add(self, value: float) -> None:
        self._weight *= self._grow
        if self._weight > 1e12:
            self._weights /= self._weight
            self._weight = 1.0
        self._weights[self._bin(value)] += self._weight
        self.count += 1

    def _bin(self, value: float) -> int:
        if value <= 0.0:
            return 0
        raw = math.floor(math.log(value) / self.WIDTH) + self.BINS // 2
        return 1 + min(max(raw, 0), self.BINS - 1)

    def quantile(self, share: float) -> float:
        """The upper edge of the bin that holds it; 0 before any value."""
        if self.count == 0:
            return 0.0
        sums = np.cumsum(self._weights)
        at = int(np.searchsorted(sums, share * sums[-1]))
        return math.exp((at - self.BINS // 2) * self.WIDTH) if at > 0 else 0.0
