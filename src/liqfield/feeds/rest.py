"""REST requests within a venue's budget, and refusals put into words."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import aiohttp

from liqfield.feeds.budget import TokenBucket
from liqfield.model.errors import VenueRefusal
from liqfield.model.events import Frame
from liqfield.model.requests import HttpRequest
from liqfield.venues.contract import Venue

_WORDS = {
    403: ("ban", "access denied: too many requests, or the country is not served"),
    418: ("ban", "banned for a while after ignoring its limits"),
    429: ("rate", "too many requests"),
    451: ("geo", "not available from this location"),
}
_BAN_S = {403: 600.0, 418: 120.0, 429: 30.0}


class RestClient:
    """One venue's REST side. `base_url` replaces every host (the built-in servers)."""

    def __init__(
        self,
        venue: Venue,
        session: aiohttp.ClientSession,
        *,
        base_url: str = "",
        now_s: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
        timeout_s: float = 15.0,
    ) -> None:
        self.venue = venue
        self.buckets = {budget.pool: TokenBucket(budget, now_s) for budget in venue.budgets}
        self.detail = ""
        self._session = session
        self._base_url = base_url
        self._now_ns = now_ns
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def fetch(self, request: HttpRequest) -> Frame:
        """The reply as a frame. Raises VenueRefusal (with words) or OSError (network)."""
        bucket = self.buckets.get(request.pool)
        if bucket is not None:
            await bucket.take(request.weight)
        url = (self._base_url or request.host or self.venue.rest_url) + request.path
        method = "POST" if request.body else "GET"
        headers = {"Content-Type": "application/json"} if request.body else None
        try:
            async with self._session.request(
                method,
                url,
                data=request.body.encode() if request.body else None,
                headers=headers,
                timeout=self._timeout,
            ) as response:
                payload = await response.read()
                if response.status != 200:
                    raise self._refusal(response.status, response.headers, payload, bucket)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.detail = f"{type(error).__name__}: {error}"
            raise OSError(f"{self.venue.name} {request.path}: {self.detail}") from error
        self.detail = ""
        return Frame(self.venue.name, request.source, self._now_ns(), payload)

    def _refusal(
        self,
        status: int,
        headers: Mapping[str, str],
        payload: bytes,
        bucket: TokenBucket | None,
    ) -> VenueRefusal:
        kind, words = _WORDS.get(status, ("maintenance" if status >= 500 else "other", ""))
        if status >= 500:
            words = "in trouble or under maintenance"
        wait_s = _BAN_S.get(status, 5.0)
        stated = headers.get("Retry-After", "")
        if stated.isdigit():
            wait_s = float(stated)
        if bucket is not None and status in _BAN_S:
            bucket.empty_for(wait_s)
        head = payload[:120].decode("utf-8", "replace")
        self.detail = f"{words or 'refused'} (HTTP {status}), again in {wait_s:.0f} s"
        return VenueRefusal(self.venue.name, kind, f"HTTP {status} {words} {head}", wait_s)
