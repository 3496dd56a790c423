"""Public accounts, scanned within the venue's weight: positions as measured, with their coverage.

On Hyperliquid any account can be asked for its positions and liquidation prices. Addresses come
from the trade tape, which names both sides of every trade. A new face is asked first; whoever
trades is asked within a minute or as soon as the budget allows, a holder every minute, and whoever
shows no position for a while ever more rarely. What opens between two looks is the law of openings.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
from collections.abc import Callable, Sequence

from liqfield.feeds.rest import RestClient
from liqfield.model.errors import VenueRefusal
from liqfield.model.events import Event, Frame, MeasuredPosition, Record
from liqfield.venues.contract import Venue

# Of 1200 weight a minute at 2 an account; the rest is for everything else that asks.
SHARE = 0.5
KNOWN_MAX = 50_000
EVERY_S, IDLE_S = (
    60.0,
    1_800.0,
)  # between two looks at a holder, at most between two at an empty one


class AccountScan:
    """`run()` for ever where the venue has public accounts, else it waits for nothing.

    known: accounts seen on the tape; scanned: answers; holders: accounts with a position.
    """

    def __init__(
        self,
        venue: Venue,
        rest: RestClient,
        sink: Callable[[Record], None],
        rng: random.Random,
    ) -> None:
        self.scanned = 0
        self.holders: set[str] = set()
        self._venue = venue
        self._rest = rest
        self._sink = sink
        self._rng = rng
        # Venues without public accounts do not have these methods.
        self._ask = getattr(venue, "account_request", None)
        self._names = getattr(venue, "account_names", None)
        self._due: list[tuple[float, int, str]] = []
        self._turn: dict[str, tuple[float, int]] = {}  # what of `_due` holds, by account
        self._wait_s: dict[str, float] = {}
        self._looked_s: dict[str, float] = {}
        self._count = 0
        self._new = asyncio.Event()

    @property
    def known(self) -> int:
        return len(self._wait_s)

    def observe(self, frame: Frame, events: Sequence[Event]) -> None:
        """Addresses of a trade frame; holders of an account's reply."""
        if self._names is None:
            return
        if frame.source.startswith("rest:"):
            for event in events:
                if isinstance(event, MeasuredPosition):
                    self.holders.add(event.account)
                    self._wait_s[event.account] = EVERY_S
            return
        for name in self._names(frame):
            if name in self._wait_s:
                soon_s = self._looked_s.get(name, 0.0) + EVERY_S
                if soon_s < self._turn[name][0]:
                    self._wait_s[name] = EVERY_S
                    self._push(soon_s, name)
                    self._new.set()
            elif len(self._wait_s) < KNOWN_MAX:
                self._wait_s[name] = EVERY_S
                self._push(0.0, name)
                self._new.set()

    async def run(self) -> None:
        if self._ask is None:
            return
        loop = asyncio.get_running_loop()
        while True:
            if not self._due:
                self._new.clear()
                await self._new.wait()
            at_s, turn, name = self._due[0]
            if self._turn[name] != (at_s, turn):
                heapq.heappop(self._due)  # it has traded since and stands elsewhere in the queue
                continue
            now = loop.time()
            if at_s > now + 0.01:
                self._new.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(at_s - now, 5.0)):
                        await self._new.wait()
                continue
            heapq.heappop(self._due)
            await self._look(name)
            self._looked_s[name] = loop.time()
            # A new face is asked soon; then a holder every minute, an empty account ever later.
            wait_s = self._wait_s[name]
            self._wait_s[name] = min(2.0 * wait_s, IDLE_S)
            self._push(loop.time() + wait_s * self._rng.uniform(0.9, 1.1), name)

    async def _look(self, name: str) -> None:
        assert self._ask is not None
        request = self._ask(name)
        bucket = self._rest.buckets.get(request.pool)
        # Half of the budget stays free, so that back-fill and books never wait for accounts.
        while bucket is not None and bucket.level < SHARE:
            await asyncio.sleep(0.25)
        self.holders.discard(name)
        try:
            self._sink(await self._rest.fetch(request))
            self.scanned += 1
        except VenueRefusal as refusal:
            await asyncio.sleep(refusal.retry_after_s or 30.0)
        except OSError:
            await asyncio.sleep(5.0)

    def _push(self, at_s: float, name: str) -> None:
        self._count += 1
        self._turn[name] = (at_s, self._count)
        heapq.heappush(self._due, (at_s, self._count, name))
