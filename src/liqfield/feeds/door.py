"""A venue that cannot be reached is tried by one connection at a time, for all of them.

All connections of a venue fail together, and what the venue counts is attempts from this address.
One after the other tries, soon after each other; the first that gets in lets everybody in at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable

from liqfield.feeds.backoff import Backoff

SLOW_S = 3.0  # whoever does not come, or hangs, does not hold up the next one any longer


class Door:
    """`turn(who)` before every attempt, then `failed(who)` or `entered()`."""

    def __init__(self, rng: random.Random, now_s: Callable[[], float]) -> None:
        self._backoff = Backoff(rng)
        self._now_s = now_s
        self._line: list[object] = []  # who waits or tries while the door is shut
        self._next_s = 0.0  # when the first of the line may try
        self._due_s = 0.0  # when it must have failed or entered, else the next may
        self._moved = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return not self._line

    async def turn(self, who: object) -> None:
        """Returns when this connection may try."""
        if self._line and who not in self._line:
            self._line.append(who)
        while self._line:
            now_s, is_first = self._now_s(), self._line[0] is who
            if now_s >= self._due_s:
                self._step_back(self._line[0])
            elif is_first and now_s >= self._next_s:
                self._due_s = now_s + SLOW_S
                return
            else:
                await self._wait((self._next_s if is_first else self._due_s) - now_s)

    def failed(self, who: object, at_least_s: float = 0.0) -> None:
        """Not reached, or sent away; at_least_s: what the venue says of the next attempt."""
        now_s = self._now_s()
        if not self._line or self._line[0] is who:
            self._next_s = now_s + max(at_least_s, self._backoff.next_s())
        else:  # others have tried meanwhile
            self._next_s = max(self._next_s, now_s + at_least_s)
        self._step_back(who)

    def entered(self) -> None:
        """The venue answers again."""
        if self._line:
            self._line.clear()
            self._move()
        self._backoff.reset()

    def _step_back(self, who: object) -> None:
        if not self._line or self._line[0] is who:
            self._due_s = max(self._now_s(), self._next_s) + SLOW_S
        if who in self._line:
            self._line.remove(who)
        self._line.append(who)
        self._move()

    def _move(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def _wait(self, limit_s: float) -> None:
        """Until the line moves, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(limit_s, 0.001)):
                await self._moved.wait()
