"""Token buckets: a venue's REST weight, shared by everything that asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

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
            if self._tokens < weight:
                await asyncio.sleep((min(weight, self.capacity) - self._tokens) / self._rate)
                self._refill()
            self._tokens -= weight
            self.used += weight

    def empty_for(self, seconds: float) -> None:
        """The venue said stop: nothing for a while (the next taker waits it out)."""
        self._refill()
        self._tokens = min(self._tokens, -seconds * self._rate)

    def _refill(self) -> None:
        now = self._now_s()
        self._tokens = min(self.capacity, self._tokens + (now - self._at_s) * self._rate)
        self._at_s = now
