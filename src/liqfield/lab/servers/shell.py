"""One aiohttp server a venue on loopback: real sockets in front of a desk.

A slow consumer is disconnected, as venues do. Everything venue-specific is in the desk's protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Sequence

from aiohttp import WSMsgType, web

from liqfield.lab.servers.desk import Client, Desk, Message, Reply, VenueProtocol
from liqfield.lab.servers.faults import FaultPlan

MAILBOX = 4_000  # messages a client may be behind
HANG_S = 30.0  # how long a request that is never answered is kept


class _Wire:
    """The mailbox of one socket and the task that empties it."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self._request = request
        self._mail: deque[bytes] = deque()
        self._ready = asyncio.Event()
        task = asyncio.current_task()
        assert task is not None
        self._task: asyncio.Task[object] = task

    def out(self, payload: bytes) -> None:
        if len(self._mail) >= MAILBOX:
            self._task.cancel()
            return
        self._mail.append(payload)
        self._ready.set()

    def close(self, is_abrupt: bool) -> None:
        transport = self._request.transport
        if is_abrupt and transport is not None:
            transport.abort()
        else:
            self._task.cancel()

    async def pump(self) -> None:
        while True:
            while self._mail:
                with contextlib.suppress(ConnectionError):
                    await self.socket.send_str(self._mail.popleft().decode("utf-8", "replace"))
            self._ready.clear()
            await self._ready.wait()


class VenueServer:
    """`start()` gives (rest_url, ws_url); `tick` and `broadcast` are the market's clock's."""

    def __init__(self, protocol: VenueProtocol, plan: FaultPlan | None = None) -> None:
        self.protocol = protocol
        self.desk = Desk(protocol, plan)
        self.host = "127.0.0.1"
        self.port = 0
        self.tls_port = 0
        self.sockets: dict[Client, web.WebSocketResponse] = {}
        self._runner: web.AppRunner | None = None

    @property
    def clients(self) -> set[Client]:
        return self.desk.clients

    async def start(self, tls: ssl.SSLContext | None = None) -> tuple[str, str]:
        """With `tls` it also listens on `tls_port`, for clients that insist on it."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{tail:.*}", self._route)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        if tls is not None:
            await web.TCPSite(self._runner, self.host, 0, ssl_context=tls).start()
            self.tls_port = self._runner.addresses[1][1]
        return f"http://{self.host}:{self.port}", f"ws://{self.host}:{self.port}"

    async def stop(self) -> None:
        for socket in list(self.sockets.values()):
            await socket.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def tick(self, now_ns: int) -> None:
        self.desk.tick(now_ns)

    def broadcast(self, messages: Sequence[Message]) -> None:
        self.desk.broadcast(messages)

    async def _route(self, request: web.Request) -> web.StreamResponse:
        if self.desk.network_fault() and request.transport is not None:
            request.transport.abort()
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        reply = self.desk.rest(request.path, dict(request.query), await request.read())
        if reply is None:
            await asyncio.sleep(HANG_S)
            reply = Reply(b"", 504)
        return _response(reply)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        refused = self.desk.refusal(request.path)
        if refused is not None:
            return _response(refused)
        socket = web.WebSocketResponse(autoping=False, compress=False)
        try:
            await socket.prepare(request)
        except ConnectionError:
            return _response(Reply(b"", 400))  # gone before it was answered
        wire = _Wire(request, socket)
        client = self.desk.connect(request.path, dict(request.query), wire.out, wire.close)
        self.sockets[client] = socket
        pump = asyncio.ensure_future(wire.pump())
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self.desk.heard(client, message.data)
                elif message.type is WSMsgType.PING and not client.is_dead:
                    await socket.pong(message.data)
        except (asyncio.CancelledError, ConnectionError):
            pass  # a slow consumer, one that vanished, or the server stops
        finally:
            self.desk.leave(client)
            self.sockets.pop(client, None)
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        return socket


def _response(reply: Reply) -> web.Response:
    return web.Response(
        body=reply.body,
        status=reply.status,
        headers=dict(reply.headers),
        content_type="application/json",
    )
