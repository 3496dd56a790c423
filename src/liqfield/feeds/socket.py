"""One open WebSocket, whatever library carries it: picows where it is installed, else aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import aiohttp

from liqfield.feeds.refusal import refusal

try:
    import picows
except ImportError:  # pragma: no cover - wheels exist for every platform we test
    picows = None

MAX_MESSAGE = 16 << 20


class Socket(Protocol):
    """`closed` resolves with the reason when the connection ends."""

    closed: asyncio.Future[str]

    def send(self, payload: bytes) -> None: ...
    def ping(self) -> None: ...
    async def close(self) -> None: ...


async def open_socket(
    url: str,
    on_message: Callable[[bytes], None],
    *,
    session: aiohttp.ClientSession,
    timeout_s: float = 10.0,
    venue: str = "",
) -> Socket:
    """Connect. `on_message` gets whole data messages as bytes.

    Raises OSError with a reason, or VenueRefusal where the venue answered the upgrade with no.
    """
    if picows is not None:
        return await _open_picows(url, on_message, timeout_s, venue)
    return await _open_aiohttp(url, on_message, session, timeout_s, venue)


class _PicowsSocket:
    def __init__(self, transport: Any, closed: asyncio.Future[str]) -> None:
        self.closed = closed
        self._transport = transport

    def send(self, payload: bytes) -> None:
        self._transport.send(picows.WSMsgType.TEXT, payload)

    def ping(self) -> None:
        self._transport.send_ping()

    async def close(self) -> None:
        if not self.closed.done():
            self._transport.send_close(picows.WSCloseCode.OK)
            self._transport.disconnect()
            await asyncio.wait([self.closed], timeout=2.0)


async def _open_picows(
    url: str, on_message: Callable[[bytes], None], timeout_s: float, venue: str
) -> Socket:
    closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    class Listener(picows.WSListener):  # type: ignore[misc]
        def __init__(self) -> None:
            self._parts: list[bytes] = []

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            kind = frame.msg_type
            if kind == picows.WSMsgType.CLOSE:
                code = frame.get_close_code()
                _resolve(closed, f"closed by the venue ({code})")
                transport.disconnect()
            elif kind in (
                picows.WSMsgType.TEXT,
                picows.WSMsgType.BINARY,
                picows.WSMsgType.CONTINUATION,
            ):
                data = frame.get_payload_as_bytes()
                if frame.fin and not self._parts:
                    on_message(data)
                    return
                self._parts.append(data)
                if frame.fin:
                    whole = b"".join(self._parts)
                    self._parts.clear()
                    on_message(whole)

        def on_ws_disconnected(self, transport: Any) -> None:
            del transport
            _resolve(closed, "connection lost")

    try:
        transport, _ = await picows.ws_connect(
            Listener,
            url,
            websocket_handshake_timeout=timeout_s,
            max_frame_size=MAX_MESSAGE,
            enable_auto_pong=True,
        )
    except picows.WSInvalidStatusError as error:
        answer = error.response
        headers = {str(key): str(value) for key, value in (answer.headers or {}).items()}
        raise refusal(venue, int(answer.status), headers, error.raw_body or b"") from error
    except (picows.WSError, TimeoutError) as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    return _PicowsSocket(transport, closed)


class _AiohttpSocket:
    def __init__(self, ws: aiohttp.ClientWebSocketResponse, closed: asyncio.Future[str]) -> None:
        self.closed = closed
        self._ws = ws
        self._sends: set[asyncio.Task[None]] = set()

    def send(self, payload: bytes) -> None:
        self._spawn(self._ws.send_str(payload.decode()))

    def ping(self) -> None:
        self._spawn(self._ws.ping())

    async def close(self) -> None:
        await self._ws.close()
        await asyncio.wait([self.closed], timeout=2.0)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._sends.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _resolve(self.closed, f"send failed: {task.exception()}")


async def _open_aiohttp(
    url: str,
    on_message: Callable[[bytes], None],
    session: aiohttp.ClientSession,
    timeout_s: float,
    venue: str,
) -> Socket:
    closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    try:
        # `wait_for` would lose a cancellation that comes as the socket opens (before Python 3.12).
        async with asyncio.timeout(timeout_s):
            ws = await session.ws_connect(url, max_msg_size=MAX_MESSAGE, autoping=True)
    except aiohttp.WSServerHandshakeError as error:
        headers = dict((error.headers or {}).items())
        raise refusal(venue, error.status, headers, b"") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise OSError(f"{type(error).__name__}: {error}") from error

    async def read() -> None:
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                on_message(message.data.encode())
            elif message.type is aiohttp.WSMsgType.BINARY:
                on_message(message.data)
        _resolve(closed, f"closed by the venue ({ws.close_code})")

    task = asyncio.ensure_future(read())
    closed.add_done_callback(lambda _: task.cancel())
    return _AiohttpSocket(ws, closed)


def _resolve(closed: asyncio.Future[str], why: str) -> None:
    if not closed.done():
        closed.set_result(why)
