"""Candles from trades, per instrument, in event time."""

from __future__ import annotations

import bisect

import msgspec
import numpy as np

from liqfield.model.events import Candle, FloatArray, IntArray, Trade
from liqfield.model.jit import direct, kernel
from liqfield.model.sides import Aggressor, CandleOf
from liqfield.model.tape import TradeTape, tape_columns

KEPT = 30  # closed candles that a missed trade may still change
# Words of a candle: USD, then base coins. OPEN 0 = no trade yet.
OPEN, HIGH, LOW, CLOSE, VOLUME, BUY = range(6)


@kernel
def add_to_candle(tape: IntArray, first: int, last: int, number: int, candle: FloatArray) -> None:
    """Add an instrument's trades of [first, last) to a candle, float64[6]."""
    _, prices, sizes, numbers, mask = tape_columns(tape)
    for k in range(first, last):
        i = k & mask
        if numbers[i] != number:
            continue
        price = prices[i]
        if candle[OPEN] == 0.0:
            candle[OPEN] = candle[HIGH] = candle[LOW] = price
        candle[HIGH], candle[LOW] = max(candle[HIGH], price), min(candle[LOW], price)
        candle[CLOSE] = price
        candle[VOLUME] += abs(sizes[i])
        candle[BUY] += max(sizes[i], 0.0)


class CandleBuilder:
    """One running candle over the tape; `close` hands out the one that a trade ends.

    A minute without trades gives no candle: nothing is invented. A trade that arrives after its
    minute closed still counts, in the running one.
    """

    def __init__(self, instrument_id: str, interval_ns: int, tape: TradeTape, number: int) -> None:
        self._id = instrument_id
        self._interval_ns = interval_ns
        self._tape, self._number, self._read = tape, number, tape.count
        self._start_ns = -1
        self.end_ns = 0  # a trade from here on begins the next
        self._candle = np.zeros(6)
        self._closed: list[Candle] = []
        self._made: set[int] = set()  # minutes of nothing but missed trades, by their end
        self._add = direct(add_to_candle, tape.words, 0, 0, 0, self._candle)

    def close(self, at_ns: int, received_ns: int) -> Candle | None:
        """Before a trade at `end_ns` or later enters the tape: the candle that it ends.

        received_ns: of the trade before, as for `get`.
        """
        closed = self.get(received_ns, is_closed=True)
        if closed is not None:
            self._closed.append(closed)
            while len(self._closed) > KEPT:
                self._made.discard(self._closed.pop(0).event_ns)
        self._start_ns = at_ns - at_ns % self._interval_ns
        self.end_ns = self._start_ns + self._interval_ns
        self._candle[:] = 0.0
        return closed

    def amend(self, trade: Trade) -> Candle | None:
        """A trade that was missed when it happened: it counts in its own minute, but is no close.

        Returns the closed candle that it changes; None where that still runs or is not kept. A
        minute of which nothing was heard gets a candle of what was missed, told in order.
        """
        price, at_ns = trade.price, trade.event_ns
        buy = trade.quantity if trade.aggressor is Aggressor.BUY else 0.0
        if at_ns >= self._start_ns:
            self.fold()
            running = self._candle
            running[HIGH], running[LOW] = max(running[HIGH], price), min(running[LOW], price)
            running[VOLUME] += trade.quantity
            running[BUY] += buy
            return None
        end_ns = at_ns - at_ns % self._interval_ns + self._interval_ns
        at = bisect.bisect_left(self._closed, end_ns, key=lambda candle: candle.event_ns)
        if at == 0 and (not self._closed or self._closed[0].event_ns != end_ns):
            return None
        if at == len(self._closed) or self._closed[at].event_ns != end_ns:
            # Nothing was heard of this minute.
            made = msgspec.structs.replace(
                self._closed[at - 1], event_ns=end_ns, open=price, high=price, low=price,
                close=price, volume=0.0, taker_buy_volume=0.0,
            )  # fmt: skip
            self._closed.insert(at, made)
            self._made.add(end_ns)
        candle = self._closed[at]
        self._closed[at] = msgspec.structs.replace(
            candle,
            received_ns=trade.received_ns,
            high=max(candle.high, price),
            low=min(candle.low, price),
            close=price if end_ns in self._made else candle.close,
            volume=candle.volume + trade.quantity,
            taker_buy_volume=candle.taker_buy_volume + buy,
        )
        return self._closed[at]

    def fold(self) -> None:
        """The trades on the tape that were not read yet."""
        first, self._read = self._read, self._tape.count
        if first < self._read:
            self._add(self._tape.words, first, self._read, self._number, self._candle)

    def get(self, received_ns: int, *, is_closed: bool = False) -> Candle | None:
        """The running candle, None before the first trade; received_ns: of the newest trade."""
        self.fold()
        if self._start_ns < 0:
            return None
        opened, high, low, close, volume, bought = self._candle.tolist()
        return Candle(
            instrument_id=self._id,
            event_ns=self._start_ns + self._interval_ns,
            received_ns=received_ns,
            of=CandleOf.LAST,
            interval_ns=self._interval_ns,
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=volume,
            taker_buy_volume=bought,
            is_closed=is_closed,
        )
