"""Who may ask: only pages of this server, under a loopback name. Also the security headers.

A page elsewhere can send requests here (cross-site) or point its own name at 127.0.0.1 (DNS
rebinding); the Origin and Host it cannot fake tell. Applies to HTTP and WebSocket alike.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import msgspec

from liqfield.server.problems import MEDIA_TYPE
from liqfield.server.wire import Problem

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]


class Guard:
    """Wraps an ASGI app."""

    def __init__(
        self,
        app: App,
        extra_origins: Iterable[str] = (),
        scripts: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """scripts: sources of the page's own inline scripts, as the policy names them."""
        self._app = app
        self._scripts = scripts
        self._extra_origins = frozenset(extra_origins)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = scope["headers"]
        host = _header(headers, b"host")
        why = self._refusal(host, _header(headers, b"origin"))
        if why:
            await _refuse(scope, send, why)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    *security_headers(host, self._scripts()),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, host: str, origin: str) -> str:
        """Why not, "" when fine."""
        if not is_loopback(urlsplit(f"//{host}").hostname or ""):
            return f"this server answers only under localhost or 127.0.0.1, not as {host[:80]!r}"
        if origin and origin not in self._extra_origins:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or parts.netloc != host:
                return f"a page from {origin[:80]!r} may not use this server"
        return ""


def is_loopback(name: str) -> bool:
    """localhost, 127.0.0.0/8 or ::1."""
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def security_headers(host: str, scripts: Iterable[str] = ()) -> list[tuple[bytes, bytes]]:
    """The page may load only from here and talk only to here; `scripts`: what it may run inline."""
    allowed = " ".join(["'self'", *scripts])
    policy = (
        f"default-src 'self'; script-src {allowed}; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data: blob:; connect-src 'self' ws://{host} wss://{host}; "
        "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    ]


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    values = [value for key, value in headers if key == name]
    # Two Host headers are an attack or a bug: neither counts.
    return values[0].decode("latin-1") if len(values) == 1 else ""


async def _refuse(scope: Message, send: Send, why: str) -> None:
    body = msgspec.json.encode(Problem("forbidden", why))
    prefix = "websocket." if scope["type"] == "websocket" else ""
    if prefix and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": why[:100]})
        return
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": f"{prefix}http.response.start", "status": 403, "headers": headers})
    await send({"type": f"{prefix}http.response.body", "body": body})
