"""How feeds reach a venue: sockets and requests over the network, or what behaves alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import aiohttp

from liqfield.feeds.socket import Socket, open_socket


def wall_ns() -> int:
    """Ns since epoch in whole microseconds: finer is noise that a recording would have to keep."""
    return time.time_ns() // 1_000 * 1_000


class Clock(NamedTuple):
    """`now_s` for durations (never jumps), `now_ns` since epoch for stamps."""

    now_s: Callable[[], float] = time.monotonic
    now_ns: Callable[[], int] = wall_ns


class HeldClock:
    """Monotonic seconds that stand still between `hold` and `release`.

    What waits in our own queue is no silence of a venue: feeds see no time pass meanwhile.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._held_at_s: float | None = None
        self._held_s = 0.0  # in all, of holds that are over

    def now_s(self) -> float:
        at_s = self._now_s() if self._held_at_s is None else self._held_at_s
        return at_s - self._held_s

    def hold(self) -> None:
        if self._held_at_s is None:
            self._held_at_s = self._now_s()

    def release(self) -> None:
        if self._held_at_s is not None:
            self._held_s += self._now_s() - self._held_at_s
            self._held_at_s = None


class HttpReply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """Both methods raise OSError when the network fails, VenueRefusal when the venue refuses."""

    async def open(self, venue: str, url: str, on_message: Callable[[bytes], None]) -> Socket: ...

    async def request(self, url: str, body: str, timeout_s: float) -> HttpReply:
        """GET, or POST of JSON where there is a body."""
        ...


class NetTransport:
    """The real one: picows or aiohttp for sockets, aiohttp for requests."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def open(self, venue: str, url: str, on_message: Callable[[bytes], None]) -> Socket:
        return await open_socket(url, on_message, session=self._session, venue=venue)

    async def request(self, url: str, body: str, timeout_s: float) -> HttpReply:
        headers = {"Content-Type": "application/json"} if body else None
        try:
            async with self._session.request(
                "POST" if body else "GET",
                url,
                data=body.encode() if body else None,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as response:
                return HttpReply(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OSError(f"{type(error).__name__}: {error}") from error
