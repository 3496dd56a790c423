"""The WebSocket over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from liqfield.server import wire
from liqfield.server.session import nice_rows, nice_step, nice_usd
from tests.unit.server.support import Running, receive, running


def test_hello_then_the_newest_value_then_changes() -> None:
    async def scenario() -> None:
        async with running() as server:
            server.hub.publish("market:BTC", wire.Pong(1, 0.0))
            server.hub.publish("map:BTC:all", b"tile")
            async with server.socket() as socket:
                hello = await receive(socket)
                assert isinstance(hello, wire.Hello)
                assert hello.source == "demo"
                assert [m.base for m in hello.markets] == ["BTC", "ETH"]
                assert hello.dataset == server.maps.dataset_id
                subscribe = wire.Subscribe(("market:BTC", "map:BTC:all"))
                await socket.send(msgspec.json.encode(subscribe).decode())
                assert await receive(socket) == wire.Pong(1, 0.0)
                assert await receive(socket) == b"tile"
                server.hub.publish("market:BTC", wire.Pong(2, 0.0))
                server.hub.publish("market:ETH", wire.Pong(3, 0.0))  # not followed
                assert await receive(socket) == wire.Pong(2, 0.0)
                await socket.send('{"t":"unsubscribe","topics":["market:BTC"]}')
                await socket.send('{"t":"ping","nonce":9}')
                pong = await receive(socket)
                assert isinstance(pong, wire.Pong)
                assert pong.nonce == 9
                assert server.hub.followed() == ("map:BTC:all",)
            for _ in range(100):
                if not server.hub.clients:
                    break
                await asyncio.sleep(0.01)
            assert server.hub.clients == 0

    asyncio.run(scenario())


def test_hello_again_when_markets_are_found() -> None:
    """A page that opens before the first venue has answered is told of the markets later."""

    async def scenario() -> None:
        async with running() as server:
            later = server.sources.listed
            server.sources.listed = []
            async with server.socket() as socket:
                hello = await receive(socket)
                assert isinstance(hello, wire.Hello)
                assert hello.markets == ()
                server.sources.listed = later
                again = await receive(socket)
                assert isinstance(again, wire.Hello)
                assert [m.base for m in again.markets] == ["BTC", "ETH"]

    asyncio.run(scenario())


def test_a_stalled_client_gets_the_newest_and_slows_nobody() -> None:
    """64 kB a message: what one client does not read must neither pile up nor hold up another."""

    async def scenario() -> None:
        async with running() as server:
            filler = b"x" * 65_000
            subscribe = msgspec.json.encode(wire.Subscribe(("map:BTC:all",))).decode()
            async with server.socket(max_queue=1) as stalled, server.socket() as quick:
                for socket in (stalled, quick):
                    assert isinstance(await receive(socket), wire.Hello)
                    await socket.send(subscribe)
                while len(server.hub._readers.get("map:BTC:all", ())) < 2:
                    await asyncio.sleep(0.01)
                slowest_ms = 0.0
                for i in range(400):
                    sent = time.perf_counter()
                    server.hub.publish("map:BTC:all", i.to_bytes(4, "little") + filler)
                    data = await receive(quick)
                    slowest_ms = max(slowest_ms, (time.perf_counter() - sent) * 1e3)
                    assert isinstance(data, bytes)
                    assert int.from_bytes(data[:4], "little") == i
                waiting = [len(mailbox) for mailbox in server.hub._mailboxes]
                assert max(waiting) <= 1
                assert server.hub.conflated > 100
                assert slowest_ms < 1000
                seen: list[int] = []
                while not seen or seen[-1] != 399:
                    data = await receive(stalled)
                    assert isinstance(data, bytes)
                    seen.append(int.from_bytes(data[:4], "little"))
                assert seen == sorted(set(seen))
                assert len(seen) < 400 - 100

    asyncio.run(scenario())


def test_ladders_are_shared_by_step() -> None:
    async def scenario() -> None:
        async with running() as server, server.socket() as socket:
            await receive(socket)
            await socket.send(
                '{"t":"subscribe","topics":["ladder:BTC"],"ladderStep":9.2,"ladderRows":50}'
            )
            await socket.send('{"t":"ping","nonce":1}')
            await receive(socket)
            (want,) = server.hub.ladders("BTC")
            assert (want.step, want.rows) == (10.0, 60)
            await socket.send('{"t":"subscribe","topics":["ladder:BTC"]}')
            await socket.send('{"t":"ping","nonce":2}')
            await receive(socket)
            (want,) = server.hub.ladders("BTC")
            assert (want.step, want.rows, want.venue) == (0.0, 60, "")
            for nonce, venue in ((4, "okx"), (5, "gate")):
                await socket.send(
                    f'{{"t":"subscribe","topics":["ladder:BTC"],"ladderVenue":"{venue}"}}'
                )
                await socket.send(f'{{"t":"ping","nonce":{nonce}}}')
                answer = await receive(socket)
                if venue == "okx":
                    (want,) = server.hub.ladders("BTC")
                    assert want.venue == "okx"
                else:
                    assert isinstance(answer, wire.Problem)
                    assert "no venue 'gate'" in answer.message
                    assert server.hub.ladders("BTC") == (), "another venue's would be a lie"
                    await receive(socket)
            await socket.send('{"t":"unsubscribe","topics":["ladder:BTC"]}')
            await socket.send('{"t":"ping","nonce":3}')
            await receive(socket)
            assert server.hub.ladders("BTC") == ()

    asyncio.run(scenario())


def test_clusters_are_shared_by_threshold() -> None:
    async def scenario() -> None:
        async with running() as server, server.socket() as socket:
            await receive(socket)
            server.hub.publish("clusters:BTC", wire.Pong(1, 0.0))
            for nonce, least, wanted in ((1, 4.8e7, [5e7]), (2, 2e6, [2e6]), (3, 0.0, [])):
                await socket.send(
                    f'{{"t":"subscribe","topics":["clusters:BTC"],"clusterMinUsd":{least}}}'
                )
                await socket.send(f'{{"t":"ping","nonce":{nonce}}}')
                answer = await receive(socket)
                # The usual ones greet; those of a threshold come when they are found.
                assert answer == wire.Pong(1, 0.0) if not least else answer != wire.Pong(1, 0.0)
                wants = server.hub.cluster_wants("BTC")
                assert [want.min_usd for want in wants] == wanted
                for want in wants:
                    server.hub.publish(want.topic, wire.Pong(99, 0.0))
                    assert await receive(socket) == wire.Pong(99, 0.0)
            assert server.hub.latest("clusters:BTC:5e+07") is None, "an old one greets nobody"
            assert server.hub.latest("clusters:BTC") is not None

    asyncio.run(scenario())


def test_thresholds_are_round_and_sane() -> None:
    given = (0.0, -1.0, 1.0, 999.0, 1e3, 2.7e7, 3.3e7, 1e12, 1e13, float("nan"))
    assert [nice_usd(x) for x in given] == [0, 0, 0, 0, 1e3, 2e7, 5e7, 1e12, 0, 0]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"\x00\xff binary", "not a message"),
        ("nonsense", "not a message"),
        ('{"t":"launch"}', "launch"),
        ('{"t":"subscribe","topics":["market:DOGE"]}', "BTC, ETH"),
        ('{"t":"subscribe","topics":["map:BTC"]}', "map:BTC:<all, binance, okx>"),
        ('{"t":"subscribe","topics":["gossip:BTC"]}', "no topic"),
        ('{"t":"subscribe","topics":["market:BTC:x"]}', "too many parts"),
    ],
)
def test_what_is_wrong_is_said_and_the_connection_lives(sent: str | bytes, words: str) -> None:
    async def scenario() -> None:
        async with running() as server, server.socket() as socket:
            await receive(socket)
            await socket.send(sent)
            problem = await receive(socket)
            assert isinstance(problem, wire.Problem)
            assert words in problem.message
            await socket.send('{"t":"ping","nonce":5}')
            assert isinstance(await receive(socket), wire.Pong)

    asyncio.run(scenario())


def test_a_client_of_nothing_but_nonsense_is_sent_away() -> None:
    async def scenario() -> int:
        async with running() as server, server.socket() as socket:
            try:
                for _ in range(60):
                    await socket.send("[]")
                    await receive(socket)
            except ConnectionClosed as closed:
                return int(closed.rcvd.code if closed.rcvd else 0)
            return 0

    assert asyncio.run(scenario()) == 1008


def test_a_too_long_message_ends_the_connection() -> None:
    async def scenario() -> None:
        async with running() as server, server.socket() as socket:
            await receive(socket)
            await socket.send('{"t":"ping","nonce":' + "1" * 100_000 + "}")
            with pytest.raises(ConnectionClosed):
                await receive(socket)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("headers", "words"),
    [({"Origin": "http://evil.example"}, "evil.example"), ({"Origin": "null"}, "null")],
)
def test_pages_from_elsewhere_get_no_socket(headers: dict[str, str], words: str) -> None:
    async def scenario() -> None:
        async with running() as server:
            url = f"ws://127.0.0.1:{server.address.port}/ws"
            with pytest.raises(InvalidStatus) as refused:
                async with connect(url, additional_headers=headers):
                    pass
            response = refused.value.response
            assert response.status_code == 403
            assert words in msgspec.json.decode(response.body or b"", type=wire.Problem).message

    asyncio.run(scenario())


def test_nice_steps_and_rows() -> None:
    assert [nice_step(s) for s in (0, -1, 0.7, 1.3, 3, 7.5, 40, 1e-12, 1e9)] == [
        *(0.0, 0.0, 0.5, 1.0, 2.0, 10.0, 50.0, 0.0, 0.0)
    ]
    assert nice_step(float("nan")) == 0.0
    assert [nice_rows(r) for r in (-5, 20, 21, 60, 10_000)] == [20, 20, 40, 60, 400]


def test_no_rubbish_hurts_the_server_or_its_other_clients() -> None:
    """30 hostile connections, seeded; a well-behaved client sees nothing of it."""
    rng = random.Random(5)
    pieces = ["{", "}", "[", "]", '"t"', ":", '"subscribe"', '"topics"', ",", "1e999", "\x00", "é"]

    async def abuse(server: Running) -> None:
        async with server.socket() as socket:
            with contextlib.suppress(ConnectionClosed):
                for _ in range(30):
                    text = "".join(rng.choices(pieces, k=rng.randrange(12)))
                    await socket.send(text if rng.random() < 0.7 else text.encode())

    async def scenario() -> None:
        async with running() as server, server.socket() as calm:
            await receive(calm)
            await calm.send('{"t":"subscribe","topics":["market:BTC"]}')
            for i in range(10):
                await asyncio.gather(*(abuse(server) for _ in range(3)))
                server.hub.publish("market:BTC", wire.Pong(i, 0.0))
                assert await receive(calm) == wire.Pong(i, 0.0)
            for _ in range(200):
                if server.hub.clients == 1:
                    break
                await asyncio.sleep(0.01)
            assert server.hub.clients == 1

    asyncio.run(scenario())
