"""Everything of one venue: bootstrap, back-fill, connections, polls, resynchronisation, health."""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from liqfield.feeds.accounts import AccountScan
from liqfield.feeds.backfill_cache import BackfillCache, Stretch
from liqfield.feeds.budget import Pools
from liqfield.feeds.connection import ConnectionSupervisor
from liqfield.feeds.door import Door
from liqfield.feeds.missed_trades import MissedTrades
from liqfield.feeds.relist import InstrumentList
from liqfield.feeds.rest import RestClient
from liqfield.feeds.resync import Resynchroniser
from liqfield.feeds.tier_cache import TierCache
from liqfield.feeds.trade_chain import TradeChain
from liqfield.feeds.transport import Clock, Transport
from liqfield.model.errors import DecodeError, VenueRefusal
from liqfield.model.estimates import StreamHealth
from liqfield.model.events import (
    BookSnapshot,
    Event,
    Frame,
    Gap,
    Listing,
    Notice,
    Record,
    Trade,
    Unknown,
)
from liqfield.model.instrument import Instrument
from liqfield.model.requests import HttpRequest, NeedSnapshot
from liqfield.model.sides import GapReason
from liqfield.venues import registry
from liqfield.venues.allowances import allowance
from liqfield.venues.contract import Poll, Resync, Venue

log = structlog.get_logger()
ANNOUNCED = {"planned": "live", "maintenance": "stale", "open": ""}  # kind -> state in the health
FRESH_LIST_S = 60.0  # a list of instruments this young serves the tiers of all of them
LIST_WAIT_S = 10.0
CORRUPT_EVERY_S = 1.0  # one gap a connection for this long, however many frames are malformed
PAST_PAUSES_S = (1.0, 5.0)  # before the past is asked for again where the network did not answer


class VenueFeed:
    """`prepare()`, then `backfill()`, then `run()` for ever; all records go to `sink`.

    What the pipeline makes of the frames comes back through `observe` and `malformed`: decoding is
    the pipeline's. pools: the budgets of this address, one object for all feeds of the program.
    """

    def __init__(
        self,
        venue: Venue,
        sink: Callable[[Record], None],
        *,
        transport: Transport,
        pools: Pools | None = None,
        clock: Clock | None = None,
        rest_url: str = "",
        ws_url: str = "",
        tiers: TierCache | None = None,
        replies: BackfillCache | None = None,
        seed: int = 0,
    ) -> None:
        self.venue = venue
        self.state = "connecting"
        self.connections: list[ConnectionSupervisor] = []
        self.unanswered = (0, 0)  # of the back-fill's requests: without a reply, all
        self._clock = clock or Clock()
        self._pools = pools or Pools(self._clock.now_s)
        self._transport = transport
        self.rest = RestClient(venue, transport, self._pools, base_url=rest_url, clock=self._clock)
        self._sink = self._told(sink)
        self._ws_url = ws_url or venue.ws_url
        self._other_ws = () if ws_url else allowance(venue.name).other_ws
        self._rng = random.Random(f"{venue.name} {seed}")
        self._tiers = tiers
        self._replies = replies or BackfillCache(None)
        self._to_keep: dict[tuple[str, int], tuple[Stretch, HttpRequest]] = {}
        self._instruments: dict[str, Instrument] = {}
        self._by_source: dict[str, ConnectionSupervisor] = {}
        self._has_contracts = False
        self._prepared: set[HttpRequest] = set()
        self._corrupt_s: dict[str, float] = {}
        self._announced: Sequence[Event] = ()  # what the venue last said of itself
        self._lags_ns: deque[int] = deque(maxlen=256)
        self._chain = TradeChain(venue.name)
        # What is looked at before its turn is read with a decoder of its own, because the
        # pipeline's may keep state.
        self._second: Venue | None = None
        self.missed = MissedTrades(
            venue.missed_trades,
            self.rest,
            sink,
            self._decoded,
            lambda: self._instruments,
            counts_ids=allowance(venue.name).counts_trades,
        )
        self.list = InstrumentList(
            venue.bootstrap(())[0],
            self.rest,
            sink,
            self._is_list,
            rng=self._rng,
            now_s=self._clock.now_s,
        )
        self._resync = Resynchroniser(
            self._plan,
            self.rest,
            self._send,
            sink,
            self._rng,
            stubborn=self._rotate,
            now_s=self._clock.now_s,
        )
        self.accounts = AccountScan(venue, self.rest, sink, self._rng)

    # ---- life ---------------------------------------------------------------------------------

    async def prepare(self, bases: Sequence[str]) -> None:
        """Instrument lists and tiers; retries until the venue answers the first of them.

        Asked again with more assets it fetches only what is new.
        """
        first = not self._prepared
        for request in self.venue.bootstrap(bases):
            while request not in self._prepared:
                try:
                    frame = await self.rest.fetch(request)
                    self._sink(frame)
                    if self._tiers is not None and not first:
                        self._tiers.store(frame)
                    self._prepared.add(request)
                except (VenueRefusal, OSError) as error:
                    self.state = self.rest.detail or str(error)
                    if not first:
                        # Tiers of an earlier day are better than none; without any the estimator
                        # says so and goes on.
                        kept = self._tiers.load(request) if self._tiers is not None else None
                        if kept is not None:
                            self._sink(kept)
                        break
                    refused = isinstance(error, VenueRefusal) and error.retry_after_s
                    await asyncio.sleep(max(refused or 0.0, self._rng.uniform(1.0, 5.0)))
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
        has_contracts = self._has_contracts = any(of.quantity_factor != 1.0 for of in instruments)
        door = Door(self._rng, self._clock.now_s)
        self.connections = [
            ConnectionSupervisor(
                spec,
                self._ws_url,
                self._sink,
                self._transport,
                rng=self._rng,
                door=door,
                pools=self._pools,
                clock=self._clock,
                probe=self._probe,
                before_subscribe=self.list.younger_than if has_contracts else None,
                other_urls=self._other_ws,
            )
            for spec in self.venue.connections(instruments)
        ]
        self._by_source = {c.spec.source: c for c in self.connections}

    async def backfill(
        self, span_s: float, on_progress: Callable[[int, int], None]
    ) -> dict[str, int]:
        """The past `span_s`, concurrently within the budget; what fails is left out and told
        (`unanswered`).

        Replies that an earlier start has received are not asked for again. Returns where the past
        begins, ns by instrument: earlier than asked where such replies reach further back.
        """
        end_ns = self._clock.now_ns()
        start_ns = end_ns - int(span_s * 1e9)
        plans = {of: self._replies.plan(of, start_ns, end_ns) for of in self._instruments}
        requests = [
            (stretch, request)
            for of, stretches in plans.items()
            for stretch in stretches
            for request in self.venue.backfill(self._instruments[of], *stretch)
        ]
        done = missing = 0

        async def fetch(stretch: Stretch, request: HttpRequest) -> None:
            nonlocal done, missing
            kept = self._replies.load(stretch, request)
            try:
                frame = kept or await self._past(request)
                if kept is None:
                    self._to_keep[frame.source, frame.received_ns] = (stretch, request)
                self._sink(frame)
            except (VenueRefusal, OSError) as error:
                log.warning("back-fill incomplete", venue=self.venue.name, why=str(error))
                missing += 1
                self.unanswered = (missing, len(requests))
            done += 1
            on_progress(done, len(requests))

        await asyncio.gather(*(fetch(*wanted) for wanted in requests))
        return {of: stretches[0][0] for of, stretches in plans.items()}

    async def run(self) -> None:
        """Until cancelled."""
        self.state = "running"
        self._to_keep.clear()  # what holds nothing was never observed
        async with asyncio.TaskGroup() as group:
            group.create_task(self._resync.run())
            group.create_task(self.accounts.run())
            group.create_task(self.missed.run())
            for connection in self.connections:
                group.create_task(connection.run())
            for poll in self.venue.polls(list(self._instruments.values())):
                group.create_task(self._poll(poll))
            group.create_task(self.list.run())

    # ---- what the pipeline tells --------------------------------------------------------------

    def request_snapshot(self, need: NeedSnapshot) -> None:
        self._resync.request(need)

    def observe(self, frame: Frame, events: Sequence[Event]) -> None:
        """The pipeline decoded a frame of this venue."""
        if self._to_keep:
            self._keep(frame, events)
        connection = self._by_source.get(frame.source)
        for event in events:
            if isinstance(event, Notice):
                if connection is not None:
                    connection.noticed(event)
                elif event.kind in ANNOUNCED:
                    self._announced = events
                continue
            instrument_id = getattr(event, "instrument_id", "")
            if connection is not None:
                connection.seen(instrument_id, type(event).__name__, frame.received_ns)
            if isinstance(event, Trade) and connection is not None:
                self._lags_ns.append(frame.received_ns - event.event_ns)
                self._on_trade(frame, event)
            elif isinstance(event, BookSnapshot):
                self._resync.arrived(instrument_id)
            elif isinstance(event, Listing):
                self._relisted(event.instrument)
        self.accounts.observe(frame, events)

    def malformed(self, frame: Frame) -> None:
        """The pipeline could not decode a frame of this venue: the loss is told, once a second."""
        connection = self._by_source.get(frame.source)
        if connection is None:
            return
        now = self._clock.now_s()
        if now - self._corrupt_s.get(frame.source, -CORRUPT_EVERY_S) < CORRUPT_EVERY_S:
            connection.watch.errors += 1
            return
        self._corrupt_s[frame.source] = now
        connection.corrupt()

    def health(self) -> list[StreamHealth]:
        """One row a stream; before connecting, one row that says what is awaited."""
        if not self.connections:
            return [StreamHealth(self.venue.name, "venue", "connecting", 0, 0, 0, 0, 0, self.state)]
        rows = [row for c in self.connections for row in c.health(self._resync.counts)]
        if self.rest.detail:
            refused = StreamHealth(
                self.venue.name, "REST", "stale", 0, 0, 0, 0, 0, self.rest.detail
            )
            rows.append(refused)
        at = self.venue.name, "announced"
        rows += [
            StreamHealth(*at, state, said.received_ns, 0, 0, 0, 0, said.detail)
            for said in self._announced
            if isinstance(said, Notice) and (state := ANNOUNCED.get(said.kind))
        ]
        return rows

    def budgets(self) -> dict[str, float]:
        """REST budget -> share left, below 0 while the venue has told us to stop."""
        return self._pools.levels()

    @property
    def lag_s(self) -> float | None:
        """Received minus the venue's own time, median of the newest trades and book messages.

        Not clamped: below 0 our clock is behind the venue's. None before anything came.
        """
        if not self._lags_ns:
            return None
        return statistics.median(self._lags_ns) / 1e9

    @property
    def resyncs_waiting(self) -> int:
        """Books that are void and queued for a snapshot."""
        return self._resync.waiting

    # ---- parts --------------------------------------------------------------------------------

    async def _past(self, request: HttpRequest) -> Frame:
        """Asked again after a silence, which may be ours: a first start is busy with compiling."""
        for pause_s in PAST_PAUSES_S:
            with contextlib.suppress(OSError):
                return await self.rest.fetch(request)
            await asyncio.sleep(pause_s)
        return await self.rest.fetch(request)

    def _keep(self, frame: Frame, events: Sequence[Event]) -> None:
        """A back-fill reply that was folded need not be asked for again; a complaint must be."""
        wanted = self._to_keep.pop((frame.source, frame.received_ns), None)
        if wanted is not None and not any(isinstance(e, Notice | Unknown) for e in events):
            self._replies.store(*wanted, frame)

    def _on_trade(self, frame: Frame, trade: Trade) -> None:
        last, missing = self.missed.last(trade.instrument_id), self._chain.push(trade)
        was_told = self.missed.heard(trade)
        if missing:
            self._sink(
                Gap(
                    self.venue.name,
                    frame.source,
                    frame.received_ns,
                    GapReason.SEQUENCE,
                    trade.instrument_id,
                    f"{missing} trades are missing",
                    ("Trade",),
                )
            )
            if last is not None and not was_told:
                self.missed.hole(last, trade)

    def _relisted(self, instrument: Instrument) -> None:
        """A list that was asked for again: a followed instrument may have ended."""
        if instrument.id not in self._instruments:
            return
        if instrument.quantity_factor != self._instruments[instrument.id].quantity_factor:
            self.missed.forget(instrument.id)
        self._instruments[instrument.id] = instrument
        if instrument.is_trading:
            return
        for connection in self.connections:
            connection.watch.delisted(instrument.id)

    def _probe(self, frame: Frame) -> list[tuple[str, str]]:
        """(instrument id, kind) of what a frame holds, ahead of the pipeline."""
        return [(getattr(e, "instrument_id", ""), type(e).__name__) for e in self._decoded(frame)]

    def _decoded(self, frame: Frame) -> Sequence[Event]:
        if self._second is None:
            self._second = registry.make((self.venue.name,))[self.venue.name]
        try:
            return self._second.decode(frame, self._instruments)
        except DecodeError:
            return ()

    def _told(self, sink: Callable[[Record], None]) -> Callable[[Record], None]:
        """Losses that connections tell begin holes in the trades."""

        def tell(record: Record) -> None:
            if isinstance(record, Gap):
                self.missed.lost(record)
            sink(record)

        return tell

    def _is_list(self, reply: Frame) -> bool:
        return any(kind == "Listing" for _, kind in self._probe(reply))

    def _plan(self, instrument_id: str) -> Resync | None:
        of = self._instruments.get(instrument_id)
        return self.venue.resync(of) if of is not None else None

    def _carriers(self, instrument_id: str, plan: Resync) -> list[ConnectionSupervisor]:
        return [
            supervisor
            for supervisor in self.connections
            if supervisor.spec.name.startswith(plan.connection)
            and any(spec.instrument_id == instrument_id for spec in supervisor.spec.streams)
        ]

    def _send(self, instrument_id: str, plan: Resync) -> None:
        for supervisor in self._carriers(instrument_id, plan):
            supervisor.send(plan.send)

    def _rotate(self, instrument_id: str, plan: Resync) -> None:
        for supervisor in self._carriers(instrument_id, plan):
            supervisor.rotate_soon("a book was lost again and again")

    async def _poll(self, poll: Poll) -> None:
        tiers = self._tiers if "TierTable" in poll.kinds else None
        has_tiers = any(done.source == poll.request.source for done in self._prepared)
        await asyncio.sleep(self._rng.uniform(0.0, min(poll.every_s, 2.0)))
        while True:
            wait_s, frame = 0.0, None
            if tiers is not None and self._has_contracts:
                # Tiers count contracts: the size is to be known as of now, if the venue says.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LIST_WAIT_S):
                        await self.list.younger_than(self._clock.now_s() - FRESH_LIST_S)
            try:
                frame = await self.rest.fetch(poll.request)
                self._sink(frame)
            except VenueRefusal as refusal:
                wait_s = refusal.retry_after_s or poll.every_s
            except OSError:
                pass
            if tiers is not None:
                # Some venues refuse with status 200: that replaces no tiers.
                if frame is not None and any(kind == "TierTable" for _, kind in self._probe(frame)):
                    has_tiers = True
                    tiers.store(frame)
                elif not has_tiers and (kept := tiers.load(poll.request)) is not None:
                    has_tiers = True
                    self._sink(kept)
            await asyncio.sleep(max(wait_s, poll.every_s) * self._rng.uniform(0.9, 1.1))
