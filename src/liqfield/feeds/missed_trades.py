"""Trades that a stream lost are asked for by REST, where the venue's history reaches.

A hole begins with the last trade before a told loss and ends with the first one after it. Pages go
the way of all frames: recorded, decoded, folded; the engine takes of them what is new within the
hole. What a venue no longer tells stays the gap that was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from liqfield.feeds.rest import RestClient
from liqfield.model.errors import VenueRefusal
from liqfield.model.events import Event, Frame, Gap, Record, Trade
from liqfield.model.instrument import Instrument
from liqfield.model.requests import HttpRequest

SETTLE_S = 1.0  # after the stream is back: the venue's history has the newest trades by then
SHARE = 0.4  # of a budget that stays free: books come first
PAGES = 40
WAITING = 256  # holes; more are left as they are
TRIES = 3

Asked = Callable[[Instrument, Trade, Trade, int], HttpRequest | None]


class MissedTrades:
    """`lost` and `heard` follow the stream, `run()` asks, one request at a time.

    counts_ids: consecutive ids, so that a hole without a trade in it is known. filled: holes whose
    beginning was reached; short: those that the venue's history did not reach, or that failed.
    """

    def __init__(
        self,
        ask: Asked | None,
        rest: RestClient,
        sink: Callable[[Record], None],
        decode: Callable[[Frame], Sequence[Event]],
        known: Callable[[], Mapping[str, Instrument]],
        *,
        counts_ids: bool,
    ) -> None:
        self.filled = self.short = 0
        self._ask = ask
        self._rest = rest
        self._sink = sink
        self._decode = decode
        self._known = known
        self._counts_ids = counts_ids
        self._last: dict[str, Trade] = {}
        self._before: dict[str, Trade] = {}  # the last trade before a loss
        self._holes: asyncio.Queue[tuple[Trade, Trade]] = asyncio.Queue(WAITING)

    def lost(self, gap: Gap) -> None:
        """A loss was told; where it may be of trades, a hole begins."""
        if gap.kinds and "Trade" not in gap.kinds:
            return
        for key in (gap.instrument_id,) if gap.instrument_id else tuple(self._last):
            if key in self._last:
                self._before.setdefault(key, self._last[key])

    def heard(self, trade: Trade) -> bool:
        """A trade of a stream: the first one after a loss ends the hole (True)."""
        key = trade.instrument_id
        last = self._last.get(key)
        if last is not None and trade.event_ns < last.event_ns:
            return False  # late, or repeated
        self._last[key] = trade
        before = self._before.get(key)
        if before is not None and trade.trade_id != before.trade_id:
            del self._before[key]
            self.hole(before, trade)
            return True
        return False

    def last(self, instrument_id: str) -> Trade | None:
        """The newest trade that was heard."""
        return self._last.get(instrument_id)

    def hole(self, before: Trade, after: Trade) -> None:
        """Between these two something may be missing."""
        if self._ask is None or (self._counts_ids and not missing_between(before, after)):
            return
        if self._holes.full():
            self.short += 1
            return
        self._holes.put_nowait((before, after))

    def forget(self, instrument_id: str) -> None:
        """The units have changed: what was traded before could not be read."""
        self._last.pop(instrument_id, None)
        self._before.pop(instrument_id, None)

    async def run(self) -> None:
        while True:
            before, after = await self._holes.get()
            await asyncio.sleep(SETTLE_S)
            is_filled = await self._fill(before, after)
            self.filled += is_filled
            self.short += not is_filled

    async def _fill(self, before: Trade, after: Trade) -> bool:
        """Page by page until both ends have met; False where they do not."""
        assert self._ask is not None
        for page in range(PAGES):
            of = self._known().get(before.instrument_id)
            if of is None:
                return False
            request = self._ask(of, before, after, page)
            if request is None:
                return page == 0  # nothing can be missing, or the venue has no more
            frame = await self._fetch(request)
            if frame is None:
                return False
            self._sink(frame)
            found = [event for event in self._decode(frame) if isinstance(event, Trade)]
            if not found:
                return False
            oldest, newest = min(found, key=self._place), max(found, key=self._place)
            reaches_begin = self._is_next(before, oldest) or self._place(oldest) <= (
                self._place(before)
            )
            if reaches_begin:
                if self._is_next(newest, after) or self._place(newest) >= self._place(after):
                    return True
                before = newest
            elif self._place(oldest) < self._place(after):
                after = oldest
        return False

    def _place(self, trade: Trade) -> int:
        is_counted = self._counts_ids and trade.trade_id.isdigit()
        return int(trade.trade_id) if is_counted else trade.event_ns

    def _is_next(self, trade: Trade, other: Trade) -> bool:
        return self._counts_ids and not missing_between(trade, other)

    async def _fetch(self, request: HttpRequest) -> Frame | None:
        bucket = self._rest.buckets.get(request.pool)
        for _ in range(TRIES):
            while bucket is not None and bucket.level < SHARE:
                await asyncio.sleep(0.25)
            try:
                return await self._rest.fetch(request)
            except VenueRefusal as refusal:
                await asyncio.sleep(refusal.retry_after_s or 5.0)
            except OSError:
                await asyncio.sleep(1.0)
        return None


def missing_between(before: Trade, after: Trade) -> int:
    """Trades between two whose ids count; 0 where they do not."""
    if not (before.trade_id.isdigit() and after.trade_id.isdigit()):
        return 0
    return max(int(after.trade_id) - int(before.trade_id) - 1, 0)
