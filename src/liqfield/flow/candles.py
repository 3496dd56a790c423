"""Candles from trades, per instrument, in event time."""

from __future__ import annotations

from liqfield.model.events import Candle, Trade
from liqfield.model.sides import Aggressor, CandleOf

_BUY = Aggressor.BUY


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

    def update(self, trade: Trade) -> Candle | None:
        closed: Candle | None = None
        price, quantity = trade.price, trade.quantity
        if trade.event_ns >= self._next_ns:
            closed = self.get(is_closed=True)
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
