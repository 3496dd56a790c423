"""Traded volume by price over the recent past: the delta and volume columns of the ladder."""

from __future__ import annotations

import numpy as np

from liqfield.model.events import FloatArray, IntArray, Trade
from liqfield.model.sides import Aggressor


class RecentVolume:
    """A ring of the newest `capacity` trades; memory is fixed, the oldest are overwritten.

    Trades wait in a list and enter the ring many at a time.
    """

    def __init__(self, capacity: int = 1 << 15) -> None:
        self._at_ns = np.zeros(capacity, np.int64)
        self._price = np.zeros(capacity)
        self._signed = np.zeros(capacity)
        self._venue = np.zeros(capacity, np.int16)
        self._venues: dict[str, int] = {}
        self._numbers: dict[str, int] = {}  # of instruments: their venue's
        self._count = 0
        self._fresh: list[Trade] = []
        self._batch = min(capacity, 256)

    def update(self, trade: Trade) -> None:
        self._fresh.append(trade)
        if len(self._fresh) >= self._batch:
            self._settle()

    def _settle(self) -> None:
        fresh = self._fresh
        count, capacity, buy, numbers = len(fresh), len(self._at_ns), Aggressor.BUY, self._numbers
        for key in {t.instrument_id for t in fresh}.difference(numbers):
            venue = key.partition(":")[0]
            numbers[key] = self._venues.setdefault(venue, len(self._venues))
        first = self._count % capacity
        if first + count <= capacity:
            at: slice | IntArray = slice(first, first + count)
        else:
            at = np.arange(first, first + count) % capacity
        self._at_ns[at] = [t.event_ns for t in fresh]
        self._price[at] = [t.price for t in fresh]
        self._signed[at] = [t.quantity if t.aggressor is buy else -t.quantity for t in fresh]
        self._venue[at] = [numbers[t.instrument_id] for t in fresh]
        self._count += count
        fresh.clear()

    def rows(
        self, step: float, first_row: int, count: int, since_ns: int, venue: str = ""
    ) -> tuple[FloatArray, FloatArray]:
        """(delta, traded), float64[count] base coins each: rows of `step` USD from first_row on.

        venue: of that one alone; "" of all.
        """
        self._settle()
        filled = min(self._count, len(self._at_ns))
        fresh = self._at_ns[:filled] >= since_ns
        if venue:
            fresh &= self._venue[:filled] == self._venues.get(venue, -1)
        row = np.floor(self._price[:filled][fresh] / step + 1e-9).astype(np.int64) - first_row
        inside = (row >= 0) & (row < count)
        signed = self._signed[:filled][fresh][inside]
        delta: FloatArray = np.bincount(row[inside], signed, count).astype(np.float64)
        traded: FloatArray = np.bincount(row[inside], np.abs(signed), count).astype(np.float64)
        return delta, traded
