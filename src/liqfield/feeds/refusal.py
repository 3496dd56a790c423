"""Refusals and broken networks, put into words that tell a user what is wrong and for how long."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp

from liqfield.model.errors import VenueRefusal


class _Rule(NamedTuple):
    kind: str
    words: str
    wait_s: float


_RULES = {
    403: _Rule("ban", "access denied: too many requests, or the country is not served", 600.0),
    418: _Rule("ban", "banned for a while after ignoring its limits", 120.0),
    429: _Rule("rate", "too many requests", 30.0),
    451: _Rule("geo", "not available from this location", 600.0),
}
_TROUBLE = _Rule("maintenance", "in trouble or under maintenance", 1.0)
_OTHER = _Rule("other", "", 5.0)
_UNTIL = re.compile(rb"banned until (\d{13})")
_COUNTRY = re.compile(rb"your country|your region|restricted location|not available in", re.I)
STOPS = frozenset({"ban", "rate"})  # kinds after which a whole pool must be silent


def refusal(
    venue: str, status: int, headers: Mapping[str, str], payload: bytes, now_s: float | None = None
) -> VenueRefusal:
    """An HTTP status that is not 200, on REST or on a WebSocket upgrade.

    now_s: seconds since epoch, for bans that name their end.
    """
    rule = _RULES.get(status, _TROUBLE if status >= 500 else _OTHER)
    kind, words, wait_s = rule
    if status == 403 and _COUNTRY.search(payload):
        kind, words = "geo", _RULES[451].words
    until = _UNTIL.search(payload)
    stated = {key.lower(): value for key, value in headers.items()}.get("retry-after", "")
    if stated.isdigit():
        wait_s = float(stated)
    elif until is not None:
        now = time.time() if now_s is None else now_s
        wait_s = min(max(int(until[1]) / 1e3 - now, 1.0), 3 * 86_400.0)
    head = payload[:120].decode("utf-8", "replace")
    return VenueRefusal(venue, kind, f"HTTP {status} {words} {head}".strip(), wait_s)


def explain(error: BaseException) -> tuple[str, str]:
    """(kind, words) of what stopped a connection: dns, tls, refused, timeout, network, or refusal.

    Looks through wrappers, because libraries chain the cause that matters.
    """
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        if isinstance(at, VenueRefusal):
            return at.kind, at.why
        if isinstance(at, socket.gaierror | aiohttp.ClientConnectorDNSError):
            return "dns", "its name cannot be resolved: no network, or a blocked or wrong name"
        if isinstance(at, ssl.SSLCertVerificationError):
            return "tls", f"its certificate is not accepted: {at.verify_message or at.reason}"
        if isinstance(at, ssl.SSLError | aiohttp.ClientSSLError):
            return "tls", "no secure connection: something between here and the venue intercepts it"
        if isinstance(at, ConnectionRefusedError):
            return "refused", "nobody listens at its address"
        if isinstance(at, TimeoutError):
            return "timeout", "no answer in time"
        at = at.__cause__ or at.__context__
    return "network", f"{type(error).__name__}: {error}"
