"""Fresh books are asked for once a loss, again after a refusal, and never in a storm."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import aiohttp
import msgspec
import pytest

from liqfield.feeds import resync
from liqfield.feeds.backoff import SHARE
from liqfield.feeds.socket import Socket
from liqfield.feeds.transport import Clock, HttpReply, NetTransport
from liqfield.feeds.venue_feed import VenueFeed
from liqfield.model.events import Frame, Record
from liqfield.model.requests import NeedSnapshot
from liqfield.venues import registry
from tests.feeds.loopback import BTC, Loopback, Reply, background, until
from tests.lab.virtual import run_virtual

NEED = NeedSnapshot(BTC.id, "a diff is missing")
BOOK = b'{"lastUpdateId":1,"E":1,"T":1,"bids":[["60000","1"]],"asks":[["60001","1"]]}'


def run_with(
    test: Callable[[VenueFeed, Loopback, list[Record]], object], *, reply: Callable[[str], Reply]
) -> None:
    """A feed whose resynchroniser runs against the loopback venue."""

    async def run() -> None:
        records: list[Record] = []
        async with aiohttp.ClientSession() as session, Loopback().serve() as server:
            server.reply = reply
            feed = VenueFeed(
                registry.VENUES["binance"](),
                records.append,
                transport=NetTransport(session),
                rest_url=server.rest_url,
                ws_url=server.ws_url,
            )
            feed.follow([BTC])
            async with background(feed._resync.run()):
                await test(feed, server, records)  # type: ignore[misc]

    asyncio.run(run())


def depth_requests(server: Loopback) -> int:
    return sum(path.startswith("/fapi/v1/depth") for path in server.asked)


def test_one_request_a_loss() -> None:
    async def test(feed: VenueFeed, server: Loopback, records: list[Record]) -> None:
        for _ in range(20):
            feed.request_snapshot(NEED)
        await until(lambda: records)
        for _ in range(50):  # nothing more comes of the other nineteen
            await asyncio.sleep(0.01)
        assert depth_requests(server) == 1
        assert isinstance(records[0], Frame)
        assert records[0].source.startswith("rest:/fapi/v1/depth?symbol=BTCUSDT")
        feed._resync.arrived(BTC.id)
        feed.request_snapshot(NEED)  # the next loss
        await until(lambda: len(records) == 2)
        assert depth_requests(server) == 2

    run_with(test, reply=lambda path: Reply(body=BOOK))


def test_a_refused_request_is_repeated_after_the_wait() -> None:
    answers = [Reply(429, b"", {"Retry-After": "1"}), Reply(503), Reply(body=BOOK)]
    answers[1].headers = {"Retry-After": "1"}

    async def test(feed: VenueFeed, server: Loopback, records: list[Record]) -> None:
        feed.request_snapshot(NEED)
        await until(lambda: records)
        assert depth_requests(server) == 3

    run_with(test, reply=lambda path: answers.pop(0))


def test_an_answer_that_never_arrives_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reply was lost on the way to the engine: nobody reported a snapshot."""
    monkeypatch.setattr(resync, "ANSWER_S", 0.3)

    async def test(feed: VenueFeed, server: Loopback, records: list[Record]) -> None:
        feed.request_snapshot(NEED)
        await until(lambda: len(records) == 2)
        feed._resync.arrived(BTC.id)
        count = depth_requests(server)
        await asyncio.sleep(1.0)
        assert depth_requests(server) == count, "it arrived: no more questions"

    run_with(test, reply=lambda path: Reply(body=BOOK))


def test_an_instrument_that_is_not_followed_is_not_asked_for() -> None:
    async def test(feed: VenueFeed, server: Loopback, records: list[Record]) -> None:
        feed.request_snapshot(NeedSnapshot("binance:XRPUSDT", "stray"))
        feed.request_snapshot(NEED)
        await until(lambda: records)
        assert [path.partition("&")[0] for path in server.asked] == [
            "/fapi/v1/depth?symbol=BTCUSDT"
        ]

    run_with(test, reply=lambda path: Reply(body=BOOK))


def test_a_hundred_books_lost_at_once_are_no_storm() -> None:
    """Every one is asked for once, one after the other, and the budget is never overdrawn."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        clock = Clock(loop.time, lambda: int(loop.time() * 1e9))
        asked: list[float] = []
        records: list[Record] = []
        transport = _Depth(asked)
        feed = VenueFeed(
            registry.VENUES["binance"](), records.append, transport=transport, clock=clock
        )
        many = [
            msgspec.structs.replace(BTC, id=f"binance:S{n}USDT", symbol=f"S{n}USDT")
            for n in range(100)
        ]
        feed.follow(many)
        began = loop.time()
        async with background(feed._resync.run()):
            for again in range(5):  # the engine asks once, an impatient one five times
                for of in many:
                    feed.request_snapshot(NeedSnapshot(of.id, f"lost {again}"))
            assert feed.resyncs_waiting == 100
            await until(lambda: len(records) == 100, 600.0)
        span = asked[-1] - began
        assert len(asked) == 100
        # At 20 weight each of 2,400 a minute, and the bucket full at the beginning.
        for at in asked:
            used = 20.0 * sum(began <= other <= at for other in asked)
            assert used <= 0.9 * 2400.0 * (1.0 + (at - began) / 60.0) + 1e-6
        gaps = [b - a for a, b in itertools.pairwise(asked)]
        assert min(gaps) >= 0.1, "one after the other, with jitter"
        assert span < 60.0

    run_virtual(run())


def test_a_book_that_is_lost_again_and_again_waits_longer() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        asked: list[float] = []
        records: list[Record] = []
        feed = VenueFeed(
            registry.VENUES["binance"](),
            records.append,
            transport=_Depth(asked),
            clock=Clock(loop.time, lambda: int(loop.time() * 1e9)),
        )
        feed.follow([BTC])
        async with background(feed._resync.run()):
            while not asked or loop.time() - asked[0] < 900.0:
                feed._resync.arrived(BTC.id)
                feed.request_snapshot(NEED)
                count = len(asked)
                await until(lambda n=count: len(records) > n, 600.0)  # type: ignore[misc]
        gaps = [b - a for a, b in itertools.pairwise(asked)]
        assert gaps[0] < 1.0
        for at, gap in zip(asked[1:], gaps, strict=True):
            trouble_s = at - asked[0]
            assert gap < 0.5 + max(1.0, SHARE * trouble_s), "soon enough after what lasted long"
        assert max(gaps) > 20.0
        minute = sum(at - asked[0] < 60.0 for at in asked)
        assert 20.0 * minute < 0.6 * 2400.0, "one book leaves budget to the others"

    run_virtual(run())


class _Depth:
    """A transport whose venue answers every request for a book."""

    def __init__(self, asked: list[float]) -> None:
        self._asked = asked

    async def open(self, venue: str, url: str, on_message: Callable[[bytes], None]) -> Socket:
        raise OSError(f"{venue} has no sockets at {url} for {on_message}")

    async def request(self, url: str, body: str, timeout_s: float) -> HttpReply:
        assert "/fapi/v1/depth" in url, (url, body, timeout_s)
        self._asked.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.02)
        return HttpReply(200, {}, BOOK)
