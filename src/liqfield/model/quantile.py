"""How large is large, of a stream: quantiles with exponential forgetting.

Thresholds relative to them let one set of defaults serve a deep and a thin market.
"""

from __future__ import annotations

import math

import numpy as np

from liqfield.model.events import FloatArray
from liqfield.model.jit import direct, inner_kernel, kernel

_BINS, _WIDTH = 1024, 0.05
_ONE = _BINS // 2 + 1  # the cell of values from one on
_MOST_WEIGHT = 1e12
# Words of a table before its cells: weight of the newest value and by how much the next one has
# more, first and last cell that were ever hit, values so far.
_WEIGHT, _GROW, _FIRST, _LAST, _COUNT, _CELLS = range(6)


@inner_kernel
def add_value(table: FloatArray, value: float) -> None:
    """`DecayedQuantile.add`, for kernels."""
    cells = table[_CELLS:]
    weight = table[_WEIGHT] * table[_GROW]
    if weight > _MOST_WEIGHT:
        for k in range(len(cells)):
            cells[k] /= weight
        weight = 1.0
    at = 0
    if value > 0.0:
        at = min(max(int(np.floor(math.log(value) / _WIDTH)) + _ONE, 1), _BINS)
    cells[at] += weight
    table[_WEIGHT] = weight
    table[_COUNT] += 1.0
    table[_FIRST], table[_LAST] = min(table[_FIRST], at), max(table[_LAST], at)


@inner_kernel
def quantile_of(table: FloatArray, share: float) -> float:
    """`DecayedQuantile.quantile`, for kernels."""
    if table[_COUNT] == 0.0:
        return 0.0
    cells, first, last = table[_CELLS:], int(table[_FIRST]), int(table[_LAST])
    total = 0.0
    for at in range(first, last + 1):
        total += cells[at]
    least, total = share * total, 0.0
    found = last
    for at in range(first, last + 1):
        total += cells[at]
        if total >= least:
            found = at
            break
    return math.exp((found - _BINS // 2) * _WIDTH) if found > 0 else 0.0


@inner_kernel
def count_of(table: FloatArray) -> int:
    """`DecayedQuantile.count`, for kernels."""
    return int(table[_COUNT])


@kernel
def _add(table: FloatArray, value: float) -> None:
    add_value(table, value)


@kernel
def _quantile(table: FloatArray, share: float) -> float:
    return quantile_of(table, share)


class DecayedQuantile:
    """Quantiles of a positive stream with exponential forgetting: log bins of 5 %, O(1) to add.

    Newer values get exponentially growing weight (rescaled before it overflows), which is the same
    as decaying every older one. Values of 0 count below every bin. `table` is for kernels.
    """

    BINS = _BINS
    WIDTH = _WIDTH

    def __init__(self, half_life: float) -> None:
        """half_life: in values added."""
        self.table = np.zeros(_CELLS + _BINS + 1)
        self.table[:_CELLS] = 1.0, 2.0 ** (1.0 / half_life), _BINS, 0.0, 0.0
        self._add = direct(_add, self.table, 0.0)
        self._quantile = direct(_quantile, self.table, 0.0)

    @property
    def count(self) -> int:
        """Values so far."""
        return int(self.table[_COUNT])

    def add(self, value: float) -> None:
        """One value >= 0."""
        self._add(self.table, value)

    def quantile(self, share: float) -> float:
        """The upper edge of the bin that holds it; 0 before any value."""
        return self._quantile(self.table, share)
