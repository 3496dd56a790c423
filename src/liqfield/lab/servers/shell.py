"""One aiohttp server a venue on loopback: clients, topics, bounded mailboxes, REST routes.

A slow consumer is disconnected, as venues do. Everything venue-specific is in the `Protocol` given.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from aiohttp import WSMsgType, web

from liqfield.lab.market_types import InstrumentStep

MAILBOX = 4_000  # messages a client may be behind


class Reply(NamedTuple):
    """A REST answer."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class Message(NamedTuple):
    """One broadcast: who subscribed to `topic` on a path that starts with `path` gets it."""

    path: str
    topic: str
    payload: bytes


class Client:
    """One connected WebSocket."""

    def __init__(self, path: str, socket: web.WebSocketResponse, stop: Callable[[], None]) -> None:
        self.path = path
        self.topics: set[str] = set()
        self.socket = socket
        self.memory: dict[str, Any] = {}  # the protocol's own notes about this client
        self._mail: deque[bytes] = deque()
        self._ready = asyncio.Event()
        self._stop = stop

    def send(self, payload: bytes) -> None:
        if len(self._mail) >= MAILBOX:
            self._stop()
            return
        self._mail.append(payload)
        self._ready.set()

    async def pump(self) -> None:
        while True:
            while self._mail:
                await self.socket.send_str(self._mail.popleft().decode())
            self._ready.clear()
            await self._ready.wait()


class VenueProtocol(Protocol):
    """A venue's language: pure but for its own counters."""

    @property
    def name(self) -> str: ...
    @property
    def ws_paths(self) -> tuple[str, ...]: ...
    def rest(self, path: str, query: dict[str, str], body: bytes) -> Reply: ...
    def control(self, client: Client, text: str) -> Sequence[bytes]: ...
    def step(self, steps: Sequence[InstrumentStep], now_ns: int) -> Sequence[Message]: ...


def _stop(task: asyncio.Task[object]) -> None:
    task.cancel()


class VenueServer:
    """`start()` gives (rest_url, ws_url); `broadcast` is called by the market's clock."""

    def __init__(self, protocol: VenueProtocol) -> None:
        self.protocol = protocol
        self.clients: set[Client] = set()
        self.requests = 0
        self.host = "127.0.0.1"
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> tuple[str, str]:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{tail:.*}", self._route)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, 0)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        return f"http://{self.host}:{self.port}", f"ws://{self.host}:{self.port}"

    async def stop(self) -> None:
        for client in list(self.clients):
            await client.socket.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def broadcast(self, messages: Sequence[Message]) -> None:
        for client in self.clients:
            topics, path = client.topics, client.path
            for message in messages:
                if message.topic in topics and path.startswith(message.path):
                    client.send(message.payload)

    async def _route(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        self.requests += 1
        reply = self.protocol.rest(request.path, dict(request.query), await request.read())
        return web.Response(
            body=reply.body,
            status=reply.status,
            headers=dict(reply.headers),
            content_type="application/json",
        )

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if not request.path.startswith(self.protocol.ws_paths):
            return web.Response(status=404)
        socket = web.WebSocketResponse(autoping=True, compress=False)
        await socket.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        client = Client(request.path, socket, lambda: _stop(task))
        self.clients.add(client)
        pump = asyncio.ensure_future(client.pump())
        try:
            for payload in self._greet(client, request):
                client.send(payload)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    for payload in self.protocol.control(client, message.data):
                        client.send(payload)
        except asyncio.CancelledError:
            pass  # a slow consumer, or the server stops
        finally:
            self.clients.discard(client)
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        return socket

    def _greet(self, client: Client, request: web.Request) -> Sequence[bytes]:
        """Streams named in the address (Binance): the protocol reads them as a subscription."""
        greet = getattr(self.protocol, "greet", None)
        return greet(client, request.path, dict(request.query)) if greet else ()
