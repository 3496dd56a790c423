"""Fresh books are asked for once a loss, again after a refusal, and never in a storm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import pytest

from liqfield.feeds import resync
from liqfield.feeds.transport import NetTransport
from liqfield.feeds.venue_feed import VenueFeed
from liqfield.model.events import Frame, Record
from liqfield.model.requests import NeedSnapshot
from liqfield.venues import registry
from tests.feeds.loopback import BTC, Loopback, Reply, background, until

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
