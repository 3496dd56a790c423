"""Everything of one venue: bootstrap, back-fill, connections, polls, resynchronisation, health."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import aiohttp
import structlog

from liqfield.feeds.connection import ConnectionSupervisor
from liqfield.feeds.rest import RestClient
from liqfield.feeds.resync import Resynchroniser
from liqfield.model.errors import VenueRefusal
from liqfield.model.estimates import StreamHealth
from liqfield.model.events import Record
from liqfield.model.instrument import Instrument
from liqfield.model.requests import HttpRequest, NeedSnapshot
from liqfield.venues.contract import Poll, Resync, Venue

log = structlog.get_logger()


class VenueFeed:
    """`prepare()`, then `backfill()`, then `run()` for ever; all records go to `sink`.

    instruments: a function that says which instruments to follow, asked after the bootstrap replies
    have been consumed (decoding is the pipeline's, not ours).
    """

    def __init__(
        self,
        venue: Venue,
        sink: Callable[[Record], None],
        *,
        session: aiohttp.ClientSession,
        rest_url: str = "",
        ws_url: str = "",
        seed: int = 0,
    ) -> None:
        self.venue = venue
        self.rest = RestClient(venue, session, base_url=rest_url)
        self.connections: list[ConnectionSupervisor] = []
        self.state = "connecting"
        self._sink = sink
        self._session = session
        self._ws_url = ws_url or venue.ws_url
        self._rng = random.Random(f"{venue.name} {seed}")
        self._instruments: dict[str, Instrument] = {}
        self._by_source: dict[str, ConnectionSupervisor] = {}
        self._prepared: set[HttpRequest] = set()
        self._resync = Resynchroniser(self._plan, self.rest, self._send, sink, self._rng)

    async def prepare(self, bases: Sequence[str]) -> None:
        """Instrument lists and tiers; retries until the venue answers the first of them.

        Asked again with more assets it fetches only what is new.
        """
        first = not self._prepared
        for request in self.venue.bootstrap(bases):
            while request not in self._prepared:
                try:
                    self._sink(await self.rest.fetch(request))
                    self._prepared.add(request)
                except (VenueRefusal, OSError) as error:
                    self.state = str(error)
                    if not first:
                        break  # tiers may be missing: the estimator says so and goes on
                    await asyncio.sleep(self._rng.uniform(1.0, 5.0))
            first = False

    async def rank(self) -> None:
        """Turnover of everything listed; a venue that does not tell takes no part in the choice."""
        for request in self.venue.ranking():
            try:
                self._sink(await self.rest.fetch(request))
            except (VenueRefusal, OSError) as error:
                log.warning("no turnover", venue=self.venue.name, why=str(error))

    def follow(self, instruments: Sequence[Instrument]) -> None:
        """What to connect for."""
        self._instruments = {of.id: of for of in instruments}
        self.connections = [
            ConnectionSupervisor(spec, self._ws_url, self._sink, self._session, rng=self._rng)
            for spec in self.venue.connections(instruments)
        ]
        self._by_source = {c.spec.source: c for c in self.connections}

    async def backfill(self, span_s: float, on_progress: Callable[[int, int], None]) -> None:
        """The past `span_s`, concurrently within the budget; what fails is left out and told."""
        end_ns = time.time_ns()
        start_ns = end_ns - int(span_s * 1e9)
        requests = [
            request
            for of in self._instruments.values()
            for request in self.venue.backfill(of, start_ns, end_ns)
        ]
        done = 0

        async def fetch(request: HttpRequest) -> None:
            nonlocal done
            try:
                self._sink(await self.rest.fetch(request))
            except (VenueRefusal, OSError) as error:
                log.warning("back-fill incomplete", venue=self.venue.name, why=str(error))
            done += 1
            on_progress(done, len(requests))

        await asyncio.gather(*(fetch(request) for request in requests))

    async def run(self) -> None:
        """Until cancelled."""
        self.state = "running"
        async with asyncio.TaskGroup() as group:
            group.create_task(self._resync.run())
            for connection in self.connections:
                group.create_task(connection.run())
            for poll in self.venue.polls(list(self._instruments.values())):
                group.create_task(self._poll(poll))

    def request_snapshot(self, need: NeedSnapshot) -> None:
        self._resync.request(need)

    def seen(self, source: str, instrument_id: str, kind: str, received_ns: int) -> None:
        """The pipeline decoded an event from this source."""
        connection = self._by_source.get(source)
        if connection is not None:
            connection.seen(instrument_id, kind, received_ns)
        if kind == "BookSnapshot":
            self._resync.arrived(instrument_id)

    def health(self) -> list[StreamHealth]:
        """One row a stream; before connecting, one row that says what is awaited."""
        if not self.connections:
            return [StreamHealth(self.venue.name, "venue", "connecting", 0, 0, 0, 0, 0, self.state)]
        return [
            row for connection in self.connections for row in connection.health(self._resync.counts)
        ]

    def _plan(self, instrument_id: str) -> Resync | None:
        of = self._instruments.get(instrument_id)
        return self.venue.resync(of) if of is not None else None

    def _send(self, instrument_id: str, plan: Resync) -> None:
        for supervisor in self.connections:
            carries = any(spec.instrument_id == instrument_id for spec in supervisor.spec.streams)
            if carries and supervisor.spec.name.startswith(plan.connection):
                supervisor.send(plan.send)

    async def _poll(self, poll: Poll) -> None:
        await asyncio.sleep(self._rng.uniform(0.0, min(poll.every_s, 2.0)))
        while True:
            try:
                self._sink(await self.rest.fetch(poll.request))
            except VenueRefusal as refusal:
                await asyncio.sleep(refusal.retry_after_s or poll.every_s)
            except OSError:
                await asyncio.sleep(poll.every_s)
            await asyncio.sleep(poll.every_s * self._rng.uniform(0.9, 1.1))
