"""Candles from trades, per instrument, in event time."""

from __future__ import annotations

import bisect

import msgspec

from liqfield.model.events import Candle, Trade
from liqfield.model.sides import Aggressor, CandleOf

_BUY = Aggressor.BUY
KEPT = 30  # closed candles that a missed trade may still change


class CandleBuilder:
    """One running candle; `update` hands out the closed one when a trade opens the next.

    A minute without trades gives no candle: nothing is invented.
    """

    def __init__(self, instrument_id: str, interval_ns: int) -> None:
        self._id = instrument_id
        self._interval_ns = interval_ns
        self._start_ns = -1
        self._next_ns = 0
        self._open = self._high = self._low = self._close = 0.0
        self._volume = self._buy = 0.0
        self._received_ns = 0
        self._closed: list[Candle] = []
        self._made: set[int] = set()  # minutes of nothing but missed trades, by their end

    def update(self, trade: Trade) -> Candle | None:
        closed: Candle | None = None
        price, quantity = trade.price, trade.quantity
        if trade.event_ns >= self._next_ns:
            closed = self.get(is_closed=True)
            if closed is not None:
                self._closed.append(closed)
                while len(self._closed) > KEPT:
                    self._made.discard(self._closed.pop(0).event_ns)
            self._start_ns = trade.event_ns - trade.event_ns % self._interval_ns
            self._next_ns = self._start_ns + self._interval_ns
            self._open = self._high = self._low = price
            self._volume = self._buy = 0.0
        # A trade that arrives after its minute closed still counts, in the running one.
        if price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price
        self._close = price
        self._volume += quantity
        if trade.aggressor is _BUY:
            self._buy += quantity
        self._received_ns = trade.received_ns
        return closed

    def amend(self, trade: Trade) -> Candle | None:
        """A trade that was missed when it happened: it counts in its own minute, but is no close.

        Returns the closed candle that it changes; None where that still runs or is not kept. A
        minute of which nothing was heard gets a candle of what was missed, told in order.
        """
        price, at_ns = trade.price, trade.event_ns
        buy = trade.quantity if trade.aggressor is _BUY else 0.0
        if at_ns >= self._start_ns:
            self._high, self._low = max(self._high, price), min(self._low, price)
            self._volume += trade.quantity
            self._buy += buy
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

    def get(self, *, is_closed: bool = False) -> Candle | None:
        """The running candle, None before the first trade."""
        if self._start_ns < 0:
            return None
        return Candle(
            instrument_id=self._id,
            event_ns=self._start_ns + self._interval_ns,
            received_ns=self._received_ns,
            of=CandleOf.LAST,
            interval_ns=self._interval_ns,
            open=self._open,
            high=self._high,
            low=self._low,
            close=self._close,
            volume=self._volume,
            taker_buy_volume=self._buy,
            is_closed=is_closed,
        )
