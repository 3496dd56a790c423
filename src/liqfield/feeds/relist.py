"""The venue's list of instruments, asked for again whenever the size of a contract is in doubt.

A venue that changes the size of a contract does so while we are away: what a new socket says may be
read only with a list that is younger than the socket. Who needs one waits here, for as long as the
venue does not answer, because a book of the wrong size is worse than none.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from liqfield.feeds.backoff import Backoff
from liqfield.feeds.rest import RestClient
from liqfield.model.errors import VenueRefusal
from liqfield.model.events import Frame
from liqfield.model.requests import HttpRequest

EVERY_S = 3_600.0  # without a reason
ANSWER_S = 5.0  # a request that hangs is given up, so that the next may be answered
PATIENT_AFTER = 5  # failures; a slow line may need the client's whole time-out
FIRST_TRY_S = 0.5


class InstrumentList:
    """One request at a time, whoever waits for it. `is_list`: does this reply name instruments?

    A reply goes to `sink` before those who wait go on, so that whoever reads frames in their order
    knows the sizes before the first message that is counted in them.
    """

    def __init__(
        self,
        request: HttpRequest,
        rest: RestClient,
        sink: Callable[[Frame], None],
        is_list: Callable[[Frame], bool],
        *,
        rng: random.Random,
        now_s: Callable[[], float],
    ) -> None:
        self.failures = 0  # in a row
        self._request = request
        self._rest = rest
        self._sink = sink
        self._is_list = is_list
        self._rng = rng
        self._backoff = Backoff(rng, base_s=FIRST_TRY_S)
        self._now_s = now_s
        self._asked_s = float("-inf")  # when the newest list that came was asked for
        self._asking: asyncio.Task[None] | None = None

    async def younger_than(self, moment_s: float) -> None:
        """Returns once a list has come that was asked for after this moment.

        One answer serves all who waited when it was asked for. Cancelling a waiter leaves the
        request to the others.
        """
        while self._asked_s < moment_s:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.ensure_future(self._ask())
            await asyncio.shield(self._asking)

    async def run(self) -> None:
        """Ask every hour; ends with the feed, and the request under way with it."""
        try:
            while True:
                await asyncio.sleep(EVERY_S * self._rng.uniform(0.9, 1.1))
                await self.younger_than(self._now_s())
        finally:
            if self._asking is not None:
                self._asking.cancel()
                await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> None:
        """Once; after a failure with the wait that it calls for."""
        asked_s, wait_s = self._now_s(), 0.0
        timeout_s = ANSWER_S if self.failures < PATIENT_AFTER else 0.0
        try:
            frame = await self._rest.fetch(self._request, timeout_s)
        except VenueRefusal as refusal:
            wait_s = refusal.retry_after_s or 0.0
        except OSError:
            pass
        else:
            if self._is_list(frame):  # and no apology with status 200
                self._asked_s = asked_s
                self.failures = 0
                self._backoff.reset()
                self._sink(frame)
                return
        self.failures += 1
        await asyncio.sleep(max(wait_s, self._backoff.next_s()))
