"""A venue that cannot be reached: one attempt at a time, everybody in at once when it answers."""

from __future__ import annotations

import asyncio
import random

from liqfield.feeds.door import SLOW_S, Door
from tests.lab.virtual import no_leaks, run_virtual


class _Outage:
    """Connections that try until they are in. back_s: when the venue answers again."""

    def __init__(self, back_s: float, *, broken: str = "", hangs_s: float = 0.0) -> None:
        loop = asyncio.get_running_loop()
        self.now_s = loop.time
        self.back_s = loop.time() + back_s
        self.door = Door(random.Random(5), loop.time)
        self.tries: list[tuple[str, float]] = []
        self.entered_s: dict[str, float] = {}
        self._broken = broken
        self._hangs_s = hangs_s

    async def connect(self, who: str) -> None:
        while True:
            await self.door.turn(who)
            self.tries.append((who, self.now_s()))
            await asyncio.sleep(0.05)
            if self.now_s() < self.back_s:
                await asyncio.sleep(self._hangs_s)
            elif who != self._broken:
                self.door.entered()
                self.entered_s[who] = self.now_s()
                return
            self.door.failed(who)


NAMES = ("a", "b", "c", "d", "e")


def test_one_tries_for_all_and_all_enter_with_it() -> None:
    async def run() -> None:
        with no_leaks():
            outage = _Outage(20.0)
            await asyncio.gather(*(outage.connect(name) for name in NAMES))
        late = [at - outage.back_s for at in outage.entered_s.values()]
        assert max(late) < 1.7
        assert max(late) - min(late) < 0.2, "the first lets everybody in"
        # All five at the beginning and the end; one after the other between.
        assert len(outage.tries) < 2 * 5 + 20.0 / 0.5
        assert outage.door.is_open

    run_virtual(run())


def test_a_connection_that_alone_is_refused_holds_up_nobody() -> None:
    """Its path is broken, and it may be the first in the line."""

    async def run() -> None:
        outage = _Outage(5.0, broken="a")
        tasks = {name: asyncio.create_task(outage.connect(name)) for name in NAMES}
        await asyncio.sleep(9.0)
        assert set(outage.entered_s) == set(NAMES) - {"a"}
        tasks["a"].cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    run_virtual(run())


def test_an_attempt_that_hangs_gives_way() -> None:
    async def run() -> None:
        outage = _Outage(10.0, hangs_s=9.5)
        await asyncio.gather(*(outage.connect(name) for name in NAMES))
        first = min(outage.entered_s.values())
        assert first - outage.back_s < SLOW_S + 2.0

    run_virtual(run())


def test_what_the_venue_says_of_the_next_attempt_is_kept_to() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        door = Door(random.Random(5), loop.time)
        began_s = loop.time()
        await door.turn("a")
        door.failed("a", 120.0)
        await door.turn("b")
        assert loop.time() - began_s >= 120.0
        await asyncio.sleep(0.01)
        door.entered()
        await door.turn("a")
        assert loop.time() - began_s < 120.0 + SLOW_S + 1.0, "who does not come gives way"

    run_virtual(run())
