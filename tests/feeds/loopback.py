"""A venue of our own on a real loopback server: it says what a test tells it, and drops when told.

REST answers and WebSocket messages are those of Binance, so that the real decoder reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from liqfield.venues.contract import Connection, Heartbeat, StreamSpec
from tests.support import INSTRUMENTS

BTC = INSTRUMENTS["binance:BTCUSDT"]
T_MS = 1_790_000_000_000


class Reply(msgspec.Struct):
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = {}


class Loopback:
    """`clients` in order of arrival; `heard` per client what it sent; `asked` the REST paths."""

    def __init__(self, *, acknowledges: bool = False) -> None:
        self.acknowledges = acknowledges
        self.clients: list[web.WebSocketResponse] = []
        self.open: set[web.WebSocketResponse] = set()
        self.heard: list[list[bytes]] = []
        self.pings = 0
        self.asked: list[str] = []
        self.reply: Callable[[str], Reply] = lambda path: Reply()
        self._requests: dict[web.WebSocketResponse, web.Request] = {}
        self.port = 0

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[Loopback]:
        app = web.Application()
        app.router.add_get("/ws", self._socket)
        app.router.add_route("*", "/{tail:.*}", self._rest)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, reuse_address=True)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            for socket in list(self.open):
                await socket.close()
            await runner.cleanup()

    async def say(self, message: object) -> None:
        """To every open client, as a venue broadcasts."""
        text = json.dumps(message)
        for socket in list(self.open):
            with contextlib.suppress(ConnectionError):
                await socket.send_str(text)

    def cut(self, socket: web.WebSocketResponse) -> None:
        """The line goes dead without a farewell."""
        transport = self._requests[socket].transport
        assert transport is not None
        transport.abort()

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        heard: list[bytes] = []
        self._requests[socket] = request
        self.clients.append(socket)
        self.open.add(socket)
        self.heard.append(heard)
        try:
            async for message in socket:
                if message.type is WSMsgType.PING:
                    self.pings += 1
                    await socket.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    heard.append(message.data.encode())
                    if self.acknowledges:
                        await socket.send_str('{"result":null,"id":1}')
        finally:
            self.open.discard(socket)
        return socket

    async def _rest(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        reply = self.reply(request.path)
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


def trade(number: int) -> dict[str, object]:
    return {
        "e": "aggTrade",
        "s": "BTCUSDT",
        "a": number,
        "p": "60000.1",
        "q": "0.001",
        "T": T_MS + number,
        "m": False,
    }


def connection(
    *streams: StreamSpec,
    max_age_s: float = 3_600.0,
    heartbeat: Heartbeat | None = None,
) -> Connection:
    """Two subscriptions on one socket; by default one stream of trades, silent for long."""
    return Connection(
        venue="binance",
        name="flow",
        path="/ws",
        source="ws:/ws#flow",
        send=(b'{"method":"SUBSCRIBE","id":1}', b'{"method":"SUBSCRIBE","id":2}'),
        streams=streams or (StreamSpec("trades BTCUSDT", ("Trade",), BTC.id, 600.0),),
        heartbeat=heartbeat,
        send_spacing_s=0.01,
        max_age_s=max_age_s,
    )


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something that must come; the limit only ends a test that has failed already."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """A supervisor while the block runs; what it raises on its own fails the test."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        died = task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if died:
            task.result()
