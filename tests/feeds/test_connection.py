"""The supervisor on real sockets: it comes back, subscribes again, and says what was lost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import aiohttp
import msgspec
import pytest

from liqfield.app.pipeline import Pipeline
from liqfield.engine.engine import Engine
from liqfield.feeds import socket as socket_room
from liqfield.feeds.connection import ConnectionSupervisor
from liqfield.feeds.transport import Clock, NetTransport
from liqfield.model.events import Frame, Gap, Record, Trade
from liqfield.model.sides import GapReason
from liqfield.venues import registry
from liqfield.venues.contract import Connection, Heartbeat, StreamSpec
from tests.feeds.loopback import BTC, Loopback, background, connection, trade, until


@pytest.fixture(params=["picows", "aiohttp"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both libraries that can carry a socket."""
    if request.param == "aiohttp":
        monkeypatch.setattr(socket_room, "picows", None)
    return str(request.param)


def supervisor(
    spec: Connection,
    server: Loopback,
    sink: Callable[[Record], None],
    session: aiohttp.ClientSession,
    now_s: Callable[[], float] = time.monotonic,
) -> ConnectionSupervisor:
    rng = random.Random(1)
    return ConnectionSupervisor(
        spec, server.ws_url, sink, NetTransport(session), rng=rng, clock=Clock(now_s)
    )


def gaps(records: list[Record]) -> list[GapReason]:
    return [record.reason for record in records if isinstance(record, Gap)]


def frames(records: list[Record]) -> list[bytes]:
    return [record.payload for record in records if isinstance(record, Frame)]


@pytest.mark.parametrize("how", ["farewell", "cut"])
def test_reconnects_and_subscribes_again_after_a_drop(transport: str, how: str) -> None:
    async def run() -> None:
        records: list[Record] = []
        spec = connection()
        async with aiohttp.ClientSession() as session, Loopback().serve() as server:
            feed = supervisor(spec, server, records.append, session)
            async with background(feed.run()):
                for count in (1, 2, 3):
                    await until(lambda n=count: len(server.clients) == n)  # type: ignore[misc]
                    await until(lambda: server.heard[-1] == list(spec.send))
                    await server.say(trade(count))
                    await until(lambda n=count: len(frames(records)) == n)  # type: ignore[misc]
                    if how == "cut":
                        server.cut(server.clients[-1])
                    else:
                        await server.clients[-1].close(code=1001)
                await until(lambda: len(server.clients) == 4)
                await until(lambda: gaps(records)[-1] is GapReason.CONNECT)
                assert feed.reconnects == 3
        # Every loss is told before the next frame, with what the stream carried.
        kinds = [r.reason if isinstance(r, Gap) else "frame" for r in records]
        life = [GapReason.CONNECT, "frame", GapReason.DISCONNECT]
        assert kinds == [*life * 3, GapReason.CONNECT]
        assert {(g.instrument_id, g.kinds) for g in records if isinstance(g, Gap)} == {
            (BTC.id, ("Trade",))
        }

    asyncio.run(run())


def test_waits_for_a_venue_that_is_not_there_yet(transport: str) -> None:
    async def run() -> None:
        records: list[Record] = []
        server = Loopback()
        async with server.serve():
            pass  # the port is known, nobody listens there any more
        async with aiohttp.ClientSession() as session:
            feed = supervisor(connection(), server, records.append, session)
            async with background(feed.run()):
                await until(lambda: feed.detail.startswith("cannot connect"))
                assert records == []
                async with server.serve(server.port):
                    await until(lambda: gaps(records) == [GapReason.CONNECT])

    asyncio.run(run())


def test_the_other_address_is_tried_when_nobody_listens_at_the_usual_one(transport: str) -> None:
    """And kept as long as it works."""

    async def run() -> None:
        async with aiohttp.ClientSession() as session, Loopback().serve() as server:
            feed = ConnectionSupervisor(
                connection(),
                "ws://127.0.0.1:9",
                lambda _: None,
                NetTransport(session),
                rng=random.Random(1),
                other_urls=[server.ws_url],
            )
            async with background(feed.run()):
                for count in (1, 2):
                    await until(lambda n=count: len(server.clients) == n)  # type: ignore[misc]
                    await until(lambda: feed.detail == "subscribed")
                    server.cut(server.clients[-1])

    asyncio.run(run())


def test_large_messages_arrive_whole(transport: str) -> None:
    async def run() -> None:
        records: list[Record] = []
        body = {"e": "big", "data": "x" * 3_000_000}
        async with aiohttp.ClientSession() as session, Loopback().serve() as server:
            feed = supervisor(connection(), server, records.append, session)
            async with background(feed.run()):
                await until(lambda: server.open)
                await server.say(body)
                await until(lambda: frames(records))
        assert len(frames(records)[0]) > 3_000_000

    asyncio.run(run())


@pytest.mark.parametrize("payload", [b'{"op":"ping"}', b""])
def test_heartbeats_are_sent(transport: str, payload: bytes) -> None:
    async def run() -> None:
        spec = connection(heartbeat=Heartbeat(5.0, payload))
        async with aiohttp.ClientSession() as session, Loopback().serve() as server:
            fast = supervisor(spec, server, lambda _: None, session, _hundredfold())
            async with background(fast.run()):
                if payload:
                    await until(lambda: server.heard and payload in server.heard[0])
                else:
                    await until(lambda: server.pings > 0)

    asyncio.run(run())


def _hundredfold() -> Callable[[], float]:
    """A clock that makes minutes of silence short."""
    return lambda: time.monotonic() * 100.0


def test_a_silent_stream_is_a_gap_of_its_own(transport: str) -> None:
    """The other stream of the connection lives: the connection stays, the loss names its kinds."""

    async def run() -> None:
        records: list[Record] = []
        spec = connection(
            StreamSpec("trades BTCUSDT", ("Trade",), BTC.id, 400.0),
            StreamSpec("book BTCUSDT", ("BookDelta",), BTC.id, 20.0),
        )
        async with (
            aiohttp.ClientSession() as session,
            Loopback(acknowledges=True).serve() as server,
        ):
            feed = supervisor(spec, server, records.append, session, _hundredfold())
            async with background(feed.run()):
                await until(lambda: feed.watch.state["book BTCUSDT"] == "subscribed")
                feed.seen(BTC.id, "BookDelta", 1)
                feed.seen(BTC.id, "Trade", 1)
                assert feed.watch.is_live
                await until(lambda: GapReason.STALE in gaps(records))
                stale = [g for g in records if isinstance(g, Gap) and g.reason is GapReason.STALE]
                assert [(g.instrument_id, g.kinds) for g in stale] == [(BTC.id, ("BookDelta",))]
                rows = {row.stream: row for row in feed.health({})}
                assert rows["book BTCUSDT"].state == "stale"
                assert "silent" in rows["book BTCUSDT"].detail
                assert rows["book BTCUSDT"].gaps == 1
                feed.seen(BTC.id, "BookDelta", 2)
                assert feed.watch.state["book BTCUSDT"] == "live"
                assert feed.reconnects == 0, "at most a rotation for its sake"

    asyncio.run(run())


def test_a_connection_whose_streams_are_all_silent_is_replaced(transport: str) -> None:
    async def run() -> None:
        records: list[Record] = []
        spec = connection(
            StreamSpec("trades BTCUSDT", ("Trade",), BTC.id, 10.0),
            StreamSpec("liquidations BTCUSDT", ("Liquidation",), BTC.id, 0.0),
        )
        async with aiohttp.ClientSession() as session, Loopback().serve() as server:
            feed = supervisor(spec, server, records.append, session, _hundredfold())
            async with background(feed.run()):
                while len(server.clients) < 2:
                    # Acknowledgements are no data: the server speaks, but no event comes of it.
                    await server.say({"result": None, "id": 1})
                    await asyncio.sleep(0.01)
        order = gaps(records)
        assert order[:3] == [GapReason.CONNECT, GapReason.STALE, GapReason.DISCONNECT]

    asyncio.run(run())


def test_rotation_loses_and_doubles_nothing(transport: str) -> None:
    """Trades flow through three planned rotations; the engine counts each of them once."""

    async def run() -> None:
        venues = registry.make(("binance",))
        engine = Engine({"binance": venues["binance"].book_rule})
        engine.list(BTC)
        ids: list[str] = []

        def note(frame: Frame, events: object) -> None:
            assert isinstance(events, list)
            ids.extend(e.trade_id for e in events if isinstance(e, Trade))

        pipeline = Pipeline(engine, venues, on_events=note)
        records: list[Record] = []

        def sink(record: Record) -> None:
            records.append(record)
            pipeline.consume([record])

        sent = 0
        async with aiohttp.ClientSession() as session, Loopback().serve() as server:
            feed = supervisor(connection(max_age_s=0.6), server, sink, session)
            async with background(feed.run()):
                await until(lambda: server.open)
                while len(server.clients) < 4:
                    sent += 1
                    await server.say(trade(sent))
                    await asyncio.sleep(0.005)
                # The newest socket may still be waiting for its turn.
                await until(lambda: len(server.open) == 1)
                sent += 1
                await server.say(trade(sent))
                await until(lambda: str(sent) in ids)
                assert feed.reconnects == 0
        assert gaps(records) == [GapReason.CONNECT]
        assert set(ids) == {str(n) for n in range(1, sent + 1)}, "a trade was lost"
        market = engine.markets["BTC"]
        candle = market.instruments[BTC.id].candle()
        assert candle is not None
        assert feed.rotations >= 3
        assert len(ids) == sent, "the old and the new socket overlap, and nothing came twice"
        assert candle.volume == pytest.approx(0.001 * sent), "a trade was counted twice"

    asyncio.run(run())


def test_a_rotation_that_cannot_open_keeps_the_old_socket(transport: str) -> None:
    async def run() -> None:
        records: list[Record] = []
        async with aiohttp.ClientSession() as session, Loopback().serve() as server:
            feed = supervisor(connection(max_age_s=0.4), server, records.append, session)
            async with background(feed.run()):
                await until(lambda: len(server.open) == 1)
                feed._url = "ws://127.0.0.1:9/ws"
                await until(lambda: "rotation postponed" in feed.detail)
                await server.say(trade(1))
                await until(lambda: len(frames(records)) == 1)
                assert len(server.clients) == 1

    asyncio.run(run())


def test_what_answers_a_subscription_at_once_is_not_voided(transport: str) -> None:
    """The connection's gap comes before the first subscription, not after the last."""

    async def run() -> None:
        records: list[Record] = []
        spec = msgspec.structs.replace(connection(), send_spacing_s=0.3)
        async with aiohttp.ClientSession() as session, Loopback().serve() as server:
            feed = supervisor(spec, server, records.append, session)
            async with background(feed.run()):
                await until(lambda: server.heard and len(server.heard[0]) == 1)
                await server.say(trade(1))
                await until(lambda: frames(records))
                feed.seen(BTC.id, "Trade", 1)
                await until(lambda: len(server.heard[0]) == 2)
                await asyncio.sleep(0.6)
                assert [type(record) for record in records] == [Gap, Frame]
                assert feed.watch.state["trades BTCUSDT"] == "live"

    asyncio.run(run())
