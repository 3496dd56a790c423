"""REST on a real server: budgets are kept, refusals have words, networks fail as OSError."""

from __future__ import annotations

import asyncio
import random
import time

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.feeds.backoff import Backoff
from liqfield.feeds.budget import Pools, TokenBucket
from liqfield.feeds.rest import RestClient
from liqfield.feeds.transport import NetTransport
from liqfield.model.errors import VenueRefusal
from liqfield.model.requests import HttpRequest
from liqfield.venues import registry
from liqfield.venues.contract import Budget
from tests.feeds.loopback import Loopback, Reply

PATH = "/fapi/v1/openInterest?symbol=BTCUSDT"
REQUEST = HttpRequest("binance", PATH, weight=1.0, pool="weight")


def fetch(server: Loopback, session: aiohttp.ClientSession, timeout_s: float = 5.0) -> RestClient:
    venue = registry.VENUES["binance"]()
    pools = Pools(time.monotonic)
    return RestClient(
        venue, NetTransport(session), pools, base_url=server.rest_url, timeout_s=timeout_s
    )


def test_a_reply_is_a_frame_that_knows_its_request() -> None:
    async def run() -> None:
        async with aiohttp.ClientSession() as session, Loopback().serve() as server:
            server.reply = lambda path: Reply(body=b'{"openInterest":"1"}')
            frame = await fetch(server, session).fetch(REQUEST)
            assert (frame.source, frame.payload) == (f"rest:{PATH}", b'{"openInterest":"1"}')
            assert server.asked == [PATH]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "headers", "kind", "words", "wait_s"),
    [
        (403, {}, "ban", "access denied", 600.0),
        (418, {}, "ban", "banned", 120.0),
        (418, {"Retry-After": "3600"}, "ban", "banned", 3600.0),
        (429, {}, "rate", "too many requests", 30.0),
        (429, {"Retry-After": "7"}, "rate", "too many requests", 7.0),
        (451, {}, "geo", "location", 600.0),
        (500, {}, "maintenance", "maintenance", 1.0),
        (503, {"Retry-After": "60"}, "maintenance", "maintenance", 60.0),
        (404, {}, "other", "", 5.0),
    ],
)
def test_a_refusal_has_words(
    status: int, headers: dict[str, str], kind: str, words: str, wait_s: float
) -> None:
    async def run() -> VenueRefusal:
        async with aiohttp.ClientSession() as session, Loopback().serve() as server:
            server.reply = lambda path: Reply(status, b"<html>go away</html>", headers)
            client = fetch(server, session)
            with pytest.raises(VenueRefusal) as raised:
                await client.fetch(REQUEST)
            assert str(status) in client.detail
            return raised.value

    refusal = asyncio.run(run())
    assert (refusal.venue, refusal.kind, refusal.retry_after_s) == ("binance", kind, wait_s)
    assert words in str(refusal)
    assert f"HTTP {status}" in refusal.why
    assert "go away" in refusal.why


def test_a_limit_that_was_hit_stops_all_requests_of_its_pool() -> None:
    """After a 429 that says 1 s, the next request of the pool reaches the venue a second later."""

    async def run() -> None:
        times: list[float] = []

        def reply(path: str) -> Reply:
            times.append(time.monotonic())
            return Reply(429, b"", {"Retry-After": "1"}) if len(times) == 1 else Reply()

        async with aiohttp.ClientSession() as session, Loopback().serve() as server:
            server.reply = reply
            client = fetch(server, session)
            with pytest.raises(VenueRefusal):
                await client.fetch(REQUEST)
            await client.fetch(HttpRequest("binance", "/futures/data/x", pool="data"))
            await client.fetch(REQUEST)
        # Lower bounds only: a slow machine cannot break them.
        assert times[2] - times[0] >= 0.95

    asyncio.run(run())


def test_networks_fail_as_os_errors() -> None:
    async def run() -> None:
        server = Loopback()
        async with aiohttp.ClientSession() as session:
            async with server.serve():
                pass
            with pytest.raises(OSError, match="binance"):
                await fetch(server, session).fetch(REQUEST)

            ended = asyncio.Event()

            async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.read()
                writer.close()
                ended.set()

            silent = await asyncio.start_server(hang, "127.0.0.1", 0)
            server.port = silent.sockets[0].getsockname()[1]
            with pytest.raises(OSError, match="Timeout"):
                await fetch(server, session, timeout_s=0.2).fetch(REQUEST)
            await ended.wait()
            silent.close()

    asyncio.run(run())


def test_a_bucket_never_gives_more_than_it_holds_and_refills() -> None:
    """By the time t the weight given is at most nine tenths of capacity and what flowed in."""

    async def run() -> None:
        bucket = TokenBucket(Budget("ip", 100.0, 0.4), time.monotonic)
        began = time.monotonic()
        order: list[int] = []

        async def ask(number: int, weight: float) -> None:
            await bucket.take(weight)
            order.append(number)
            assert bucket.used <= 90.0 + 225.0 * (time.monotonic() - began) + 1e-6

        await asyncio.gather(*(ask(i, w) for i, w in enumerate([60, 30, 20, 5, 40, 1])))
        assert order == [0, 1, 2, 3, 4, 5], "in order of arrival"
        assert bucket.used == 156.0

    asyncio.run(run())


def test_a_request_heavier_than_the_bucket_passes_alone() -> None:
    async def run() -> None:
        bucket = TokenBucket(Budget("ip", 10.0, 0.05), time.monotonic)
        async with asyncio.timeout(10.0):
            await bucket.take(25.0)
            await bucket.take(1.0)
        assert bucket.used == 26.0

    asyncio.run(run())


def test_a_banned_bucket_stays_empty_for_as_long_as_the_venue_said() -> None:
    clock = [0.0]
    bucket = TokenBucket(Budget("ip", 100.0, 10.0), lambda: clock[0])
    bucket.empty_for(30.0)

    async def run() -> None:
        task = asyncio.create_task(bucket.take(1.0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        clock[0] = 31.0
        async with asyncio.timeout(10.0):
            await bucket.take(1.0)

    asyncio.run(run())
    assert bucket.used == 1.0


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 200))
def test_backoff_is_jittered_capped_and_forgets(seed: int, failures: int) -> None:
    backoff = Backoff(random.Random(seed))
    waited_s = 0.0
    for n in range(failures):
        ceiling = min(30.0, max(min(1.5, 0.5 * 2.0**n), 0.05 * waited_s))
        wait_s = backoff.next_s()
        assert 0.1 * ceiling <= wait_s <= ceiling
        waited_s += wait_s
    backoff.reset()
    assert backoff.next_s() <= 0.5
