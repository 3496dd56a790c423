"""Token buckets: a venue's REST weight, shared by everything that asks from this address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from liqfield.venues.allowances import allowance
from liqfield.venues.contract import Budget


class TokenBucket:
    """Refills evenly; `take` waits in order of arrival until the weight is there.

    A tenth of the capacity is never used: our clock and the venue's window are not the same.
    """

    def __init__(self, budget: Budget, now_s: Callable[[], float]) -> None:
        self.capacity = 0.9 * budget.capacity
        self.used = 0.0
        self._rate = self.capacity / budget.per_s
        self._now_s = now_s
        self._tokens = self.capacity
        self._at_s = now_s()
        self._turn = asyncio.Lock()

    async def take(self, weight: float) -> None:
        async with self._turn:
            self._refill()
            # Again after the wait: a refusal may have emptied the bucket meanwhile.
            while self._tokens < min(weight, self.capacity) - 1e-9:
                short = min(weight, self.capacity) - self._tokens
                await asyncio.sleep(max(short / self._rate, 0.001))
                self._refill()
            self._tokens -= weight
            self.used += weight

    def try_take(self, weight: float) -> bool:
        """Take without waiting; False when it is not there."""
        self._refill()
        if self._turn.locked() or self._tokens < weight:
            return False
        self._tokens -= weight
        self.used += weight
        return True

    @property
    def level(self) -> float:
        """Share of the usable budget that is left, below 0 while the venue has told us to stop."""
        self._refill()
        return self._tokens / self.capacity

    def empty_for(self, seconds: float) -> None:
        """The venue said stop: nothing for a while (the next taker waits it out)."""
        self._refill()
        self._tokens = min(self._tokens, -seconds * self._rate)

    def reported(self, used: float) -> None:
        """The venue counts `used` in its running window: never believe to have more than is left.

        Something else on this address, or we before a restart, may have used the rest.
        """
        self._refill()
        self._tokens = min(self._tokens, max(self.capacity - used, 0.0))

    def _refill(self) -> None:
        now = self._now_s()
        self._tokens = min(self.capacity, self._tokens + (now - self._at_s) * self._rate)
        self._at_s = now


class Pools:
    """The budgets of this address. One object for all feeds: venues of one operator share."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._rest: dict[str, TokenBucket] = {}
        self._opens: dict[str, TokenBucket] = {}
        self._slots: dict[str, asyncio.Semaphore] = {}

    def rest(self, venue: str, budget: Budget) -> TokenBucket:
        """The bucket of a venue's budget, the same one for all who share it."""
        name = dict(allowance(venue).shared).get(budget.pool, f"{venue} {budget.pool}")
        if name not in self._rest:
            self._rest[name] = TokenBucket(budget, self._now_s)
        return self._rest[name]

    def opens(self, venue: str) -> TokenBucket:
        """Attempts to connect."""
        if venue not in self._opens:
            number, per_s = allowance(venue).opens
            self._opens[venue] = TokenBucket(Budget("opens", number, per_s), self._now_s)
        return self._opens[venue]

    def slots(self, venue: str) -> asyncio.Semaphore:
        """Sockets that may be open at the same time."""
        if venue not in self._slots:
            self._slots[venue] = asyncio.Semaphore(allowance(venue).sockets or 10_000)
        return self._slots[venue]

    def levels(self) -> dict[str, float]:
        """Budget -> share that is left, for the health view."""
        return {name: bucket.level for name, bucket in sorted(self._rest.items())}
