"""Runs the application on a loopback address."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import msgspec
import uvicorn

from liqfield.model.errors import SettingError
from liqfield.server.guard import Guard, is_loopback


class Address(msgspec.Struct, frozen=True):
    """Where the server really listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"


class _Server(uvicorn.Server):
    """Signals belong to the program, not to its server."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises SettingError with the reason: not loopback, or not free."""
    if not is_loopback(host):
        raise SettingError(
            f"host {host!r} is refused: anybody who reaches it could read this terminal, because "
            "pairing and tokens do not exist yet. Use 127.0.0.1; from another machine, an ssh "
            "tunnel (ssh -L 8765:127.0.0.1:8765 HOST)"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        why = error.strerror or str(error)
        raise SettingError(f"port {port} on {host}: {why}; port 0 picks a free one") from error
    listener.setblocking(False)
    return listener


@contextlib.asynccontextmanager
async def serving(app: Guard, host: str, port: int) -> AsyncIterator[Address]:
    """Listens inside the block; on leaving, tells clients goodbye and stops."""
    listener = bind(host, port)
    name = listener.getsockname()
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        # Frames are compressed once when they are made, not once a client.
        ws_per_message_deflate=False,
        ws_max_size=64 * 1024,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    ready = asyncio.create_task(server.ready.wait())
    try:
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
            raise SettingError(f"the server on {host}:{port} ended at once")
        yield Address(str(name[0]), int(name[1]))
    finally:
        ready.cancel()
        server.should_exit = True
        await task
        listener.close()
