"""Nothing is read in contracts of an unknown size: who needs the list waits for it, no longer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from liqfield.feeds.budget import Pools
from liqfield.feeds.relist import ANSWER_S, InstrumentList
from liqfield.feeds.rest import RestClient
from liqfield.feeds.socket import Socket
from liqfield.feeds.transport import Clock, HttpReply
from liqfield.model.events import Frame
from liqfield.model.requests import HttpRequest
from liqfield.venues import registry
from tests.lab.virtual import no_leaks, run_virtual

REQUEST = HttpRequest("okx", "/api/v5/public/instruments?instType=SWAP", pool="public")
LIST = b"a list"
HANG = None


class _Venue:
    """Answers in turn, the last one for ever: bytes, a status, or nothing."""

    def __init__(self, answers: Sequence[bytes | int | None]) -> None:
        self.answers = list(answers)
        self.asked_s: list[float] = []

    async def open(self, venue: str, url: str, on_message: Callable[[bytes], None]) -> Socket:
        raise AssertionError(f"nobody opens {venue} {url} {on_message}")

    async def request(self, url: str, body: str, timeout_s: float) -> HttpReply:
        self.asked_s.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.1)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, bytes):
            return HttpReply(200, {}, answer)
        if answer is not None:
            return HttpReply(answer, {}, b"")
        await asyncio.sleep(timeout_s)
        raise OSError(f"no answer from {url}{body}")


def made(venue: _Venue, sink: Callable[[Frame], None]) -> InstrumentList:
    clock = Clock(asyncio.get_running_loop().time)
    rest = RestClient(registry.VENUES["okx"](), venue, Pools(clock.now_s), clock=clock)
    return InstrumentList(
        REQUEST,
        rest,
        sink,
        lambda frame: frame.payload == LIST,
        rng=random.Random(3),
        now_s=clock.now_s,
    )


def test_waits_through_everything_that_is_no_list() -> None:
    """Nothing for 20 s, a 503, an apology with status 200; then it goes on at once."""

    async def run() -> None:
        venue = _Venue([HANG, HANG, HANG, 503, b'{"code":"50001","data":[]}', LIST])
        frames: list[Frame] = []
        wanted = made(venue, frames.append)
        loop = asyncio.get_running_loop()
        await wanted.younger_than(loop.time())
        assert [frame.payload for frame in frames] == [LIST]
        assert len(venue.asked_s) == 6
        assert loop.time() - venue.asked_s[-1] < 0.2
        waits = [b - a for a, b in zip(venue.asked_s, venue.asked_s[1:], strict=False)]
        assert max(waits) <= ANSWER_S + 0.1 + 1.5, "no wait is longer than an answer and a breath"
        assert wanted.failures == 0

    run_virtual(run())


def test_one_answer_serves_all_who_waited_when_it_was_asked_for() -> None:
    async def run() -> None:
        venue = _Venue([LIST])
        frames: list[Frame] = []
        wanted = made(venue, frames.append)
        now_s = asyncio.get_running_loop().time
        opened_s = now_s()
        await asyncio.gather(*(wanted.younger_than(opened_s) for _ in range(5)))
        assert len(frames) == 1
        await asyncio.sleep(0.01)
        later = asyncio.create_task(wanted.younger_than(now_s()))
        await asyncio.sleep(0.05)  # under way when the next socket opens: too old for it
        await asyncio.gather(later, wanted.younger_than(now_s()))
        assert len(frames) == 3

    run_virtual(run())


def test_who_gives_up_leaves_the_request_to_the_others() -> None:
    async def run() -> None:
        with no_leaks():
            venue = _Venue([HANG, LIST])
            frames: list[Frame] = []
            wanted = made(venue, frames.append)
            now_s = asyncio.get_running_loop().time
            hourly = asyncio.create_task(wanted.run())
            waiting = [asyncio.create_task(wanted.younger_than(now_s())) for _ in range(2)]
            await asyncio.sleep(1.0)
            waiting[0].cancel()
            await waiting[1]
            assert len(frames) == 1
            await asyncio.sleep(3_700.0)
            assert len(frames) == 2, "asked for hourly without a reason"
            late = asyncio.create_task(wanted.younger_than(now_s()))
            await asyncio.sleep(0.05)
            hourly.cancel()
            late.cancel()
            await asyncio.gather(hourly, late, return_exceptions=True)

    run_virtual(run())
