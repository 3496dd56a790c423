"""REST requests within the address's budgets, and refusals put into words."""

from __future__ import annotations

from liqfield.feeds.budget import Pools
from liqfield.feeds.refusal import STOPS, explain, refusal
from liqfield.feeds.transport import Clock, Transport
from liqfield.model.events import Frame
from liqfield.model.requests import HttpRequest
from liqfield.venues.allowances import allowance
from liqfield.venues.contract import Venue


class RestClient:
    """One venue's REST side. `base_url` replaces every host (the built-in servers)."""

    def __init__(
        self,
        venue: Venue,
        transport: Transport,
        pools: Pools,
        *,
        base_url: str = "",
        clock: Clock | None = None,
        timeout_s: float = 15.0,
    ) -> None:
        self.venue = venue
        self.buckets = {budget.pool: pools.rest(venue.name, budget) for budget in venue.budgets}
        self.detail = ""
        self._transport = transport
        self._headers = dict(allowance(venue.name).used_header)
        self._base_url = base_url
        self._clock = clock or Clock()
        self._timeout_s = timeout_s

    async def fetch(self, request: HttpRequest, timeout_s: float = 0.0) -> Frame:
        """The reply as a frame. Raises VenueRefusal (with words) or OSError (network)."""
        bucket = self.buckets.get(request.pool)
        if bucket is not None:
            await bucket.take(request.weight)
        url = (self._base_url or request.host or self.venue.rest_url) + request.path
        try:
            reply = await self._transport.request(url, request.body, timeout_s or self._timeout_s)
        except OSError as error:
            self.detail = explain(error)[1]
            raise OSError(f"{self.venue.name} {request.path}: {error}") from error
        header = self._headers.get(request.pool)
        if bucket is not None and header is not None:
            stated = reply.headers.get(header, "")
            if stated.isdigit():
                bucket.reported(float(stated))
        if reply.status != 200:
            now_s = self._clock.now_ns() / 1e9
            refused = refusal(self.venue.name, reply.status, reply.headers, reply.body, now_s)
            if bucket is not None and refused.kind in STOPS and refused.retry_after_s:
                bucket.empty_for(refused.retry_after_s)
            self.detail = f"{refused.why}, again in {refused.retry_after_s:.0f} s"
            raise refused
        self.detail = ""
        return Frame(self.venue.name, request.source, self._clock.now_ns(), reply.body)
