"""The real feeds against the lab's venues without sockets, on a clock that jumps over every wait.

An event loop whose time moves only when nothing is left to do makes minutes of a connection's life
last milliseconds, and the same seed gives the same run.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from liqfield.feeds.refusal import refusal
from liqfield.feeds.socket import Socket
from liqfield.feeds.transport import HttpReply
from liqfield.lab.servers.desk import Client, Desk

LATENCY_S = 0.05


class _Jumping(selectors.SelectSelector):
    """Never waits: a wait moves the loop's own time."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen again: every task waits for another")
        self.loop.now_s += max(timeout, 0.0)
        return super().select(0) if timeout == 0.0 else []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 1,000 s and advances only over waits."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        selector = _Jumping()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now_s


def run_virtual(work: Coroutine[Any, Any, None]) -> None:
    """asyncio.run on a virtual clock; a task that is left over fails the run."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work)


class MemorySocket:
    """One side of a connection; the other is a client at the desk."""

    def __init__(self, desk: Desk, url: str, on_message: Callable[[bytes], None]) -> None:
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._desk = desk
        self._on_message = on_message
        self._mail: deque[bytes] = deque()
        self._is_scheduled = False
        parts = urlsplit(url)
        self.client: Client = desk.connect(
            parts.path, dict(parse_qsl(parts.query)), self._out, self._cut
        )

    def send(self, payload: bytes) -> None:
        if not self.closed.done():
            self._desk.heard(self.client, payload.decode())

    def ping(self) -> None:
        return None  # a pong proves nothing, so that none is modelled

    async def close(self) -> None:
        self._cut(True)

    def _out(self, payload: bytes) -> None:
        self._mail.append(payload)
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        self._is_scheduled = False
        while self._mail and not self.closed.done():
            self._on_message(self._mail.popleft())

    def _cut(self, is_abrupt: bool) -> None:
        del is_abrupt
        self._desk.leave(self.client)
        if not self.closed.done():
            self.closed.set_result("connection lost")


class MemoryTransport:
    """Reaches the desks by `memory://<venue>/path`, with the failures a network has."""

    def __init__(self, desks: dict[str, Desk]) -> None:
        self.desks = desks
        self.open_sockets = 0

    async def open(self, venue: str, url: str, on_message: Callable[[bytes], None]) -> Socket:
        await asyncio.sleep(LATENCY_S)
        desk = self.desks[venue]
        self._network(desk)
        refused = desk.refusal(urlsplit(url).path)
        if refused is not None:
            raise refusal(venue, refused.status, dict(refused.headers), refused.body, desk.now_s)
        made = MemorySocket(desk, url, on_message)
        self.open_sockets += 1
        made.closed.add_done_callback(self._ended)
        return made

    async def request(self, url: str, body: str, timeout_s: float) -> HttpReply:
        await asyncio.sleep(LATENCY_S)
        parts = urlsplit(url)
        desk = self.desks[parts.netloc]
        self._network(desk)
        reply = desk.rest(parts.path, dict(parse_qsl(parts.query)), body.encode())
        if reply is None:
            await asyncio.sleep(timeout_s)
            raise OSError("TimeoutError: no answer") from TimeoutError()
        return HttpReply(reply.status, dict(reply.headers), reply.body)

    def _network(self, desk: Desk) -> None:
        fault = desk.network_fault()
        if fault == "dns":
            raise socket.gaierror(-2, "Name or service not known")
        if fault == "tls":
            raise ssl.SSLError(1, "wrong version number")

    def _ended(self, future: asyncio.Future[str]) -> None:
        del future
        self.open_sockets -= 1


@contextlib.contextmanager
def no_leaks() -> Iterator[None]:
    """Every task that the block started has ended with it."""
    before = asyncio.all_tasks()
    yield
    assert asyncio.all_tasks() == before
