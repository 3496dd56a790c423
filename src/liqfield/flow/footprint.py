"""Footprint: traded volume by price row and aggressor within one bar, and what stands out in it.

Sell aggressors hit bids (`bid_volume`), buy aggressors lift asks (`ask_volume`); base coins. Row r
covers [r step, (r+1) step). Totals equal traded volume exactly: nothing is dropped.
"""

from __future__ import annotations

import msgspec
import numpy as np

from liqfield.model.events import FloatArray, Trade
from liqfield.model.sides import Aggressor


class FootprintSettings(msgspec.Struct, frozen=True):
    """Usual starting values of the trade; tune per market."""

    imbalance_ratio: float = 3.0
    volume_quantile: float = 0.70  # rows below it do not count as imbalanced
    stacked_rows: int = 3
    value_area: float = 0.70


class Footprint(msgspec.Struct, frozen=True, eq=False):
    """One bar. Arrays are float64[rows] from first_row upwards.

    imbalance: int8[rows], +1 buy (ask volume against the bid one row below), -1 sell, 0 none.
    stacked: rows (absolute) where a run of at least `stacked_rows` begins, with its sign.
    poc_row, value_low_row, value_high_row: absolute rows. unfinished_*: both sides traded at the
    extreme.
    """

    start_ns: int
    step: float
    first_row: int
    bid_volume: FloatArray
    ask_volume: FloatArray
    imbalance: np.ndarray[tuple[int], np.dtype[np.int8]]
    stacked: tuple[tuple[int, int], ...]
    poc_row: int
    value_low_row: int
    value_high_row: int
    unfinished_high: bool
    unfinished_low: bool

    @property
    def delta(self) -> float:
        return float(self.ask_volume.sum() - self.bid_volume.sum())

    @property
    def volume(self) -> float:
        return float(self.ask_volume.sum() + self.bid_volume.sum())


class FootprintBuilder:
    """Rows of the running bar; `update` returns the finished bar when a trade opens the next."""

    def __init__(self, bar_ns: int, step: float, settings: FootprintSettings | None = None) -> None:
        self._bar_ns = bar_ns
        self._step = step
        self._settings = settings or FootprintSettings()
        self._start_ns = -1
        self._rows: dict[int, list[float]] = {}

    def update(self, trade: Trade) -> Footprint | None:
        start_ns = trade.event_ns - trade.event_ns % self._bar_ns
        done: Footprint | None = None
        if start_ns > self._start_ns:
            done = self.get()
            self._start_ns = start_ns
            self._rows = {}
        row = int(np.floor(trade.price / self._step + 1e-9))
        pair = self._rows.setdefault(row, [0.0, 0.0])
        pair[trade.aggressor is Aggressor.BUY] += trade.quantity
        return done

    def get(self) -> Footprint | None:
        """The running bar, None before the first trade."""
        if not self._rows:
            return None
        first, last = min(self._rows), max(self._rows)
        bid = np.zeros(last - first + 1)
        ask = np.zeros(last - first + 1)
        for row, (sold, bought) in self._rows.items():
            bid[row - first], ask[row - first] = sold, bought
        return analyse(self._start_ns, self._step, first, bid, ask, self._settings)


def analyse(
    start_ns: int,
    step: float,
    first_row: int,
    bid: FloatArray,
    ask: FloatArray,
    settings: FootprintSettings,
) -> Footprint:
    """Everything that stands out in rows of sold (`bid`) and bought (`ask`) volume."""
    total = bid + ask
    imbalance = _imbalance(bid, ask, settings)
    poc = int(np.argmax(total))
    low, high = _value_area(total, poc, settings.value_area)
    return Footprint(
        start_ns=start_ns,
        step=step,
        first_row=first_row,
        bid_volume=bid,
        ask_volume=ask,
        imbalance=imbalance,
        stacked=_stacked(imbalance, first_row, settings.stacked_rows),
        poc_row=first_row + poc,
        value_low_row=first_row + low,
        value_high_row=first_row + high,
        unfinished_high=bool(bid[-1] > 0.0 and ask[-1] > 0.0),
        unfinished_low=bool(bid[0] > 0.0 and ask[0] > 0.0),
    )


def _imbalance(
    bid: FloatArray, ask: FloatArray, settings: FootprintSettings
) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """Diagonal: the ask of a row against the bid one row below, and the mirror."""
    total = bid + ask
    loud = total >= np.quantile(total[total > 0.0], settings.volume_quantile)
    below = np.concatenate(([0.0], bid[:-1]))
    above = np.concatenate((ask[1:], [0.0]))
    buy = (ask > 0.0) & (ask >= settings.imbalance_ratio * below) & (below > 0.0) & loud
    sell = (bid > 0.0) & (bid >= settings.imbalance_ratio * above) & (above > 0.0) & loud
    sign = buy.astype(np.int8) - sell.astype(np.int8)
    return sign.astype(np.int8)


def _stacked(
    imbalance: np.ndarray[tuple[int], np.dtype[np.int8]], first_row: int, least: int
) -> tuple[tuple[int, int], ...]:
    runs: list[tuple[int, int]] = []
    start = 0
    for i in range(1, len(imbalance) + 1):
        if i == len(imbalance) or imbalance[i] != imbalance[start]:
            if imbalance[start] != 0 and i - start >= least:
                runs.append((first_row + start, int(imbalance[start])))
            start = i
    return tuple(runs)


def _value_area(total: FloatArray, poc: int, share: float) -> tuple[int, int]:
    """Grow from the point of control towards the heavier neighbour until `share` is inside."""
    low = high = poc
    inside, goal = total[poc], share * total.sum()
    while inside < goal and (low > 0 or high < len(total) - 1):
        under = total[low - 1] if low > 0 else -1.0
        over = total[high + 1] if high < len(total) - 1 else -1.0
        if over >= under:
            high += 1
            inside += over
        else:
            low -= 1
            inside += under
    return low, high
