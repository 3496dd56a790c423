"""The bounded queue between sockets and the pipeline. Loss is a recorded gap, never silent."""

from __future__ import annotations

import asyncio
from collections import deque

from liqfield.model.events import Frame, Gap, Record
from liqfield.model.sides import GapReason


class Intake:
    """Single consumer. Policy when full: the newest frame is dropped and counted; the first frame
    of that source that fits again is preceded by a Gap(OVERFLOW) saying how many were lost.
    Replies are never dropped: a list of instruments may say how the next messages are to be read,
    and the budgets of requests bound them.
    """

    def __init__(self, capacity: int = 65_536) -> None:
        self.capacity = capacity
        self.dropped = 0
        self._queue: deque[Record] = deque()
        self._lost: dict[tuple[str, str], int] = {}
        self._ready = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, record: Record) -> None:
        """Called by sockets; never waits."""
        if isinstance(record, Frame) and not record.source.startswith("rest:"):
            key = (record.venue, record.source)
            if len(self._queue) >= self.capacity:
                self.dropped += 1
                self._lost[key] = self._lost.get(key, 0) + 1
                return
            lost = self._lost.pop(key, 0) if self._lost else 0
            if lost:
                detail = f"{lost} frames dropped: the program was too slow"
                reason = GapReason.OVERFLOW
                self._queue.append(
                    Gap(record.venue, record.source, record.received_ns, reason, detail=detail)
                )
        self._queue.append(record)
        self._ready.set()

    async def drain(self, limit: int = 2_000) -> list[Record]:
        """Wait for something, then take up to `limit` in order."""
        while not self._queue:
            self._ready.clear()
            await self._ready.wait()
        return self.take(limit)

    def take(self, limit: int = 2_000) -> list[Record]:
        """What is there, at most `limit`."""
        count = min(limit, len(self._queue))
        return [self._queue.popleft() for _ in range(count)]
