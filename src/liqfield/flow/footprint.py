"""Footprint: traded volume by price row and aggressor within one bar, and what stands out in it.

Sell aggressors hit bids (`bid`), buy aggressors lift asks (`ask`); base coins. Row r covers
[r step, (r+1) step). Totals equal traded volume: nothing is dropped.
"""

from __future__ import annotations

import math
from collections import deque

import msgspec
import numpy as np

from liqfield.model.analytics import FlowEvent, FlowEventKind, FootprintBar
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import direct, kernel
from liqfield.model.tape import TradeTape, slot, tape_columns


class FootprintSettings(msgspec.Struct, frozen=True):
    """Usual starting values of the trade; tune per market."""

    imbalance_ratio: float = 3.0
    volume_quantile: float = 0.70  # rows below it do not count as imbalanced
    stacked_rows: int = 3
    value_area: float = 0.70
    row_share: float = 0.0003  # row height as a share of the price


def row_step(price: float, tick_usd: float, share: float = 0.0003) -> float:
    """Row height in USD: `share` of the price, at least a tick, rounded up to 1, 2 or 5 x 10^k."""
    raw = max(tick_usd, share * price)
    power = 10.0 ** math.floor(math.log10(raw))
    return next(s * power for s in (1.0, 2.0, 5.0, 10.0) if s * power >= raw * (1.0 - 1e-9))


@kernel
def add_to_rows(
    tape: IntArray,
    first: int,
    last: int,
    end_ns: int,
    step: float,
    rows: IntArray,
    sums: FloatArray,
    count: int,
) -> tuple[int, int]:
    """Add trades [first, last) to rows[count] and sums float64[2, n]: sold, bought.

    Stops before a trade from `end_ns` on, and where a row would find no room. Returns (the trade
    where it stopped, rows now).
    """
    at_ns, prices, sizes, _, mask = tape_columns(tape)
    guess = 0
    for k in range(first, last):
        i = k & mask
        if at_ns[i] >= end_ns:
            return k, count
        row = int(np.floor(prices[i] / step + 1e-9))
        guess = slot(rows, 0, count, row, guess)
        if guess == count:
            if count == len(rows):
                return k, count
            rows[count] = row
            sums[0, count] = sums[1, count] = 0.0
            count += 1
        if sizes[i] > 0.0:
            sums[1, guess] += sizes[i]
        else:
            sums[0, guess] -= sizes[i]
    return last, count


class FootprintBuilder:
    """Rows of the running bar, pooled over whatever trades come; finished bars are kept, bounded.

    A trade that arrives after its bar closed counts in the running one. The row height is chosen
    when a bar opens and kept while it is right within a factor of two, so that bars line up.
    """

    def __init__(
        self,
        tape: TradeTape,
        bar_ns: int,
        tick_usd: float = 0.0,
        settings: FootprintSettings | None = None,
        keep: int = 24,
    ) -> None:
        self._tape, self._read = tape, tape.count
        self._bar_ns = bar_ns
        self._tick_usd = tick_usd
        self._settings = settings or FootprintSettings()
        self.bars: deque[FootprintBar] = deque(maxlen=keep)
        self._start_ns = -1
        self._end_ns = -(1 << 62)
        self._step = 0.0
        self._rows, self._sums = np.zeros(64, np.int64), np.zeros((2, 64))
        self._count = 0
        self._add = direct(add_to_rows, tape.words, 0, 0, 0, 0.0, self._rows, self._sums, 0)

    def coarsest_tick(self, tick_usd: float) -> None:
        """Rows are never finer than the coarsest tick among the venues; from the next bar on."""
        self._tick_usd = max(self._tick_usd, tick_usd)

    def fold(self) -> list[FootprintBar]:
        """The trades on the tape that were not read yet; returns the bars that they closed."""
        closed: list[FootprintBar] = []
        tape = self._tape
        while self._read < tape.count:
            at_ns, price, _ = tape.row(self._read)
            if at_ns >= self._end_ns:
                done = self.get()
                if done is not None:
                    self.bars.append(done)
                    closed.append(done)
                self._open(at_ns - at_ns % self._bar_ns, price)
            elif self._count == len(self._rows):
                self._rows = np.concatenate((self._rows, self._rows))
                self._sums = np.concatenate((self._sums, self._sums), axis=1)
            self._read, self._count = self._add(
                tape.words,
                self._read,
                tape.count,
                self._end_ns,
                self._step,
                self._rows,
                self._sums,
                self._count,
            )
        return closed

    def _open(self, start_ns: int, price: float) -> None:
        step = row_step(price, self._tick_usd, self._settings.row_share)
        if not 0.5 <= self._step / step <= 2.0:
            self._step = step
        self._start_ns, self._end_ns, self._count = start_ns, start_ns + self._bar_ns, 0

    def get(self) -> FootprintBar | None:
        """The running bar as far as it is folded, None before the first trade."""
        if not self._count:
            return None
        rows = self._rows[: self._count]
        first = int(rows.min())
        bid, ask = np.zeros((2, int(rows.max()) - first + 1))
        bid[rows - first], ask[rows - first] = self._sums[:, : self._count]
        end_ns = self._start_ns + self._bar_ns
        return analyse(self._start_ns, end_ns, self._step, first, bid, ask, self._settings)


def analyse(
    start_ns: int,
    end_ns: int,
    step: float,
    first_row: int,
    bid: FloatArray,
    ask: FloatArray,
    settings: FootprintSettings,
) -> FootprintBar:
    """Everything that stands out in rows of sold (`bid`) and bought (`ask`) volume."""
    total = bid + ask
    imbalance = _imbalance(bid, ask, settings)
    poc = int(np.argmax(total))
    low, high = _value_area(total, poc, settings.value_area)
    return FootprintBar(
        start_ns=start_ns,
        end_ns=end_ns,
        step=step,
        first_row=first_row,
        bid=bid,
        ask=ask,
        imbalance=imbalance,
        poc_row=first_row + poc,
        value_low_row=first_row + low,
        value_high_row=first_row + high,
        stacked=_stacked(imbalance, first_row, settings.stacked_rows),
        unfinished_high=bool(bid[-1] > 0.0 and ask[-1] > 0.0),
        unfinished_low=bool(bid[0] > 0.0 and ask[0] > 0.0),
    )


def _imbalance(bid: FloatArray, ask: FloatArray, settings: FootprintSettings) -> IntArray:
    """Diagonal: the ask of a row against the bid one row below, and the mirror."""
    total = bid + ask
    loud = total >= np.quantile(total[total > 0.0], settings.volume_quantile)
    below = np.concatenate(([0.0], bid[:-1]))
    above = np.concatenate((ask[1:], [0.0]))
    buy = (ask > 0.0) & (ask >= settings.imbalance_ratio * below) & (below > 0.0) & loud
    sell = (bid > 0.0) & (bid >= settings.imbalance_ratio * above) & (above > 0.0) & loud
    sign: IntArray = buy.astype(np.int64) - sell.astype(np.int64)
    return sign


def _stacked(imbalance: IntArray, first_row: int, least: int) -> tuple[tuple[int, int], ...]:
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


def stacked_events(bar: FootprintBar) -> list[FlowEvent]:
    """A closed bar's stacked imbalances."""
    return [
        FlowEvent(
            at_ns=bar.end_ns,
            kind=FlowEventKind.STACKED_IMBALANCE,
            venue="all",
            price=row * bar.step,
            is_bid=None,
            notional_usd=0.0,
            score=float(sign),
            duration_s=(bar.end_ns - bar.start_ns) / 1e9,
            outcome="done",
            text=f"Stacked {'buying' if sign > 0 else 'selling'} from {row * bar.step:,.6g} up "
            "in one bar",
        )
        for row, sign in bar.stacked
    ]
