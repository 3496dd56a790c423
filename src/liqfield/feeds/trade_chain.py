"""Trade ids that count: where a venue numbers its public trades without holes, a jump is a loss."""

from __future__ import annotations

from liqfield.model.events import Trade
from liqfield.venues.allowances import allowance


class TradeChain:
    """The newest id of each instrument; `push` says how many trades are missing before one."""

    def __init__(self, venue: str) -> None:
        self._is_counted = allowance(venue).counts_trades
        self._last: dict[str, int] = {}

    def push(self, trade: Trade) -> int:
        """Ids at or below the newest one are repeats or late, never a loss."""
        if not self._is_counted or not trade.trade_id.isdigit():
            return 0
        number = int(trade.trade_id)
        last = self._last.get(trade.instrument_id)
        if last is None or number > last:
            self._last[trade.instrument_id] = number
        return max(number - last - 1, 0) if last is not None else 0

    def forget(self, instrument_id: str) -> None:
        """A loss is known already: the next id is where the count starts again."""
        self._last.pop(instrument_id, None)
