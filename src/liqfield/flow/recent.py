"""Traded volume by price over the recent past: the delta and volume columns of the ladder."""

from __future__ import annotations

import numpy as np

from liqfield.model.events import FloatArray
from liqfield.model.tape import TradeTape


class RecentVolume:
    """Looks at what is left on the tape: its newest trades, bounded."""

    def __init__(self, tape: TradeTape) -> None:
        self._tape = tape

    def rows(
        self, step: float, first_row: int, count: int, since_ns: int, venue: str = ""
    ) -> tuple[FloatArray, FloatArray]:
        """(delta, traded), float64[count] base coins each: rows of `step` USD from first_row on.

        venue: of that one alone; "" of all.
        """
        tape = self._tape
        filled = min(tape.count, tape.capacity)
        fresh = tape.at_ns[:filled] >= since_ns
        if venue:
            is_mine = np.array([key.partition(":")[0] == venue for key in tape.ids], np.bool_)
            fresh &= is_mine[tape.number[:filled]]
        row = np.floor(tape.price[:filled][fresh] / step + 1e-9).astype(np.int64) - first_row
        inside = (row >= 0) & (row < count)
        signed = tape.signed[:filled][fresh][inside]
        delta: FloatArray = np.bincount(row[inside], signed, count).astype(np.float64)
        traded: FloatArray = np.bincount(row[inside], np.abs(signed), count).astype(np.float64)
        return delta, traded
