"""Fresh books, throttled: one request in flight an instrument, a breaker after a refusal.

A snapshot that was lost on the way is asked for again on our own timer; storms after a reconnect
are what gets an address banned.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from liqfield.feeds.rest import RestClient
from liqfield.model.errors import VenueRefusal
from liqfield.model.events import Record
from liqfield.model.requests import NeedSnapshot
from liqfield.venues.contract import Resync

RETRY_S = 5.0
ANSWER_S = 10.0  # a snapshot that has not come by then is asked for again


class Resynchroniser:
    """`request(need)` returns at once; `run()` serves the queue one after the other."""

    def __init__(
        self,
        plan: Callable[[str], Resync | None],
        rest: RestClient,
        send: Callable[[str, Resync], None],
        sink: Callable[[Record], None],
        rng: random.Random,
    ) -> None:
        self.counts: dict[str, int] = {}
        self._plan = plan
        self._rest = rest
        self._send = send
        self._sink = sink
        self._rng = rng
        self._queue: asyncio.Queue[NeedSnapshot] = asyncio.Queue()
        self._pending: set[str] = set()
        self._awaited: dict[str, asyncio.TimerHandle] = {}

    def request(self, need: NeedSnapshot) -> None:
        """Merge with a request under way; otherwise queue."""
        if need.instrument_id not in self._pending:
            self._pending.add(need.instrument_id)
            self._queue.put_nowait(need)

    def arrived(self, instrument_id: str) -> None:
        """A snapshot of this instrument was decoded: nothing is awaited any more."""
        timer = self._awaited.pop(instrument_id, None)
        if timer is not None:
            timer.cancel()

    async def run(self) -> None:
        try:
            while True:
                await self._next()
        finally:
            for timer in self._awaited.values():
                timer.cancel()

    async def _next(self) -> None:
        need = await self._queue.get()
        # A little later than asked: diffs that a snapshot must join arrive meanwhile.
        await asyncio.sleep(self._rng.uniform(0.1, 0.4))
        self._pending.discard(need.instrument_id)
        try:
            await self._serve(need)
        except VenueRefusal as refusal:
            await asyncio.sleep(refusal.retry_after_s or RETRY_S)
            self.request(need)
        except OSError:
            await asyncio.sleep(self._rng.uniform(0.5, RETRY_S))
            self.request(need)

    async def _serve(self, need: NeedSnapshot) -> None:
        plan = self._plan(need.instrument_id)
        if plan is None:
            return
        self.counts[need.instrument_id] = self.counts.get(need.instrument_id, 0) + 1
        self.arrived(need.instrument_id)
        loop = asyncio.get_running_loop()
        self._awaited[need.instrument_id] = loop.call_later(ANSWER_S, self.request, need)
        if plan.request is not None:
            self._sink(await self._rest.fetch(plan.request))
        elif plan.send:
            self._send(need.instrument_id, plan)
