"""Fresh books, throttled: one request in flight an instrument, one queue, ever slower repeats.

A snapshot that was lost on the way is asked for again on our own timer. Storms after a reconnect
are what gets an address banned: requests leave one after the other with jitter, a refusal stops
them all, and an instrument that keeps losing its book waits longer each time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from liqfield.feeds.backoff import SHARE, Backoff
from liqfield.feeds.rest import RestClient
from liqfield.model.errors import VenueRefusal
from liqfield.model.events import Record
from liqfield.model.requests import NeedSnapshot
from liqfield.venues.contract import Resync

RETRY_S = 5.0
ANSWER_S = 10.0  # a snapshot that has not come by then is asked for again
CALM_S = 60.0  # a minute without a loss: the next one is a first one again
STUBBORN = 3  # losses in a minute after which the connection itself is replaced
OFTEN_S, MAX_WAIT_S = 1.0, 30.0  # longest wait before such a repeat, and after much trouble
SPACING_S = 0.1  # between requests at least
SNAPSHOT_S = 5.0  # a request that hangs must not hold up the books of others


class Resynchroniser:
    """`request(need)` returns at once; `run()` serves the queue one after the other."""

    def __init__(
        self,
        plan: Callable[[str], Resync | None],
        rest: RestClient,
        send: Callable[[str, Resync], None],
        sink: Callable[[Record], None],
        rng: random.Random,
        *,
        stubborn: Callable[[str, Resync], None] | None = None,
        now_s: Callable[[], float] | None = None,
    ) -> None:
        self.counts: dict[str, int] = {}
        self._plan = plan
        self._rest = rest
        self._send = send
        self._sink = sink
        self._rng = rng
        self._stubborn = stubborn
        self._backoff = Backoff(rng)  # of requests that the network lost
        self._now_s = now_s or (lambda: asyncio.get_running_loop().time())
        self._queue: asyncio.Queue[NeedSnapshot] = asyncio.Queue()
        self._pending: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}  # awaited answers, and delayed requests
        # losses in a row, time of the first and of the last of them
        self._recent: dict[str, tuple[int, float, float]] = {}

    @property
    def waiting(self) -> int:
        """Books that are void and have not been asked for yet."""
        return len(self._pending)

    def request(self, need: NeedSnapshot) -> None:
        """Merge with a request under way; otherwise queue, later if it has failed often."""
        if need.instrument_id in self._pending:
            return
        self._pending.add(need.instrument_id)
        now = self._now_s()
        losses, first_s, last_s = self._recent.get(need.instrument_id, (0, now, now))
        if now - last_s >= CALM_S:
            losses, first_s = 0, now
        losses += 1
        self._recent[need.instrument_id] = (losses, first_s, now)
        self._stop_timer(need.instrument_id)
        if losses <= 2:
            self._queue.put_nowait(need)
            return
        longest_s = min(MAX_WAIT_S, max(OFTEN_S, SHARE * (now - first_s)))
        delay_s = longest_s * self._rng.uniform(0.5, 1.0)
        loop = asyncio.get_running_loop()
        self._timers[need.instrument_id] = loop.call_later(delay_s, self._queue.put_nowait, need)

    def arrived(self, instrument_id: str) -> None:
        """A snapshot of this instrument was decoded: nothing is wanted or awaited any more.

        If the book is void all the same, the engine asks again after this.
        """
        self._pending.discard(instrument_id)
        self._stop_timer(instrument_id)

    def _stop_timer(self, instrument_id: str) -> None:
        timer = self._timers.pop(instrument_id, None)
        if timer is not None:
            timer.cancel()

    async def run(self) -> None:
        try:
            while True:
                await self._next()
        finally:
            for timer in self._timers.values():
                timer.cancel()

    async def _next(self) -> None:
        need = await self._queue.get()
        # A little later than asked: diffs that a snapshot must join arrive meanwhile. Where it has
        # waited already they have, and the pause only keeps requests apart.
        has_waited = self._recent.get(need.instrument_id, (0, 0.0, 0.0))[0] > 2
        await asyncio.sleep(SPACING_S if has_waited else self._rng.uniform(SPACING_S, 0.4))
        if need.instrument_id not in self._pending:
            return
        self._pending.discard(need.instrument_id)
        try:
            await self._serve(need)
            self._backoff.reset()
        except VenueRefusal as refusal:
            await asyncio.sleep(refusal.retry_after_s or RETRY_S)
            self._again(need)
        except OSError:
            await asyncio.sleep(self._backoff.next_s())
            self._again(need)

    def _again(self, need: NeedSnapshot) -> None:
        """The question was not answered, which is no loss of the instrument's own."""
        if need.instrument_id not in self._pending:
            self._pending.add(need.instrument_id)
            self._queue.put_nowait(need)

    async def _serve(self, need: NeedSnapshot) -> None:
        plan = self._plan(need.instrument_id)
        if plan is None:
            return
        self.counts[need.instrument_id] = self.counts.get(need.instrument_id, 0) + 1
        self._stop_timer(need.instrument_id)
        loop = asyncio.get_running_loop()
        self._timers[need.instrument_id] = loop.call_later(ANSWER_S, self.request, need)
        if plan.request is not None:
            self._sink(await self._rest.fetch(plan.request, SNAPSHOT_S))
        elif plan.send:
            losses, _, _ = self._recent.get(need.instrument_id, (0, 0.0, 0.0))
            if losses > STUBBORN and self._stubborn is not None:
                self._stubborn(need.instrument_id, plan)
            else:
                self._send(need.instrument_id, plan)
