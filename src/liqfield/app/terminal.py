"""The running terminal: one engine task, its feeds or its recording, and the server in front."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import aiohttp
import structlog

from liqfield import __version__
from liqfield.app import warm
from liqfield.app.archive_maps import fold_archives
from liqfield.app.cot_files import load_cot
from liqfield.app.imported_past import hand_over
from liqfield.app.instruments import of_archived_book
from liqfield.app.learnt import LearntLaws
from liqfield.app.markets import parse, resolve
from liqfield.app.metrics import TerminalCollector, exposition
from liqfield.app.pipeline import Pipeline
from liqfield.app.publish import Load, Publisher
from liqfield.app.settings import Settings
from liqfield.app.upkeep import look_after
from liqfield.engine.engine import Engine
from liqfield.engine.instrument import InstrumentState
from liqfield.feeds.backfill_cache import BackfillCache
from liqfield.feeds.budget import Pools
from liqfield.feeds.intake import Intake
from liqfield.feeds.tier_cache import TierCache
from liqfield.feeds.transport import Clock, HeldClock, NetTransport, wall_ns
from liqfield.feeds.venue_feed import VenueFeed
from liqfield.model.errors import StoreError
from liqfield.model.estimates import StreamHealth
from liqfield.model.events import Event, Frame, Record
from liqfield.model.requests import NeedSnapshot
from liqfield.server.app import build_app
from liqfield.server.hub import Hub
from liqfield.server.serve import Address, serving
from liqfield.server.sources import ServerSettings
from liqfield.store.candle_history import CandleHistory
from liqfield.store.frames import RecordWriter
from liqfield.store.map_history import MapHistory
from liqfield.store.upkeep import BACKFILL, LEARNT, TIERS
from liqfield.venues import registry

log = structlog.get_logger()
LISTED_S = 20.0  # so long the choice of markets waits for the lists of all venues
PREPARE_S = 45.0  # venues that have not answered by then join later, without holding up the rest


class Terminal:
    """Build with settings; `serve()` is the server, `feed()` or `replay()` the source."""

    def __init__(self, settings: Settings, source: str, folder: Path | None) -> None:
        self.settings = settings
        self.venues = registry.make(settings.venues)
        rules = {name: venue.book_rule for name, venue in self.venues.items()}
        self.choice = parse(settings.markets, settings.venues)
        bases = frozenset(self.choice.bases) if settings.markets else None
        self.recorder: RecordWriter | None = None
        self.problems: list[str] = []
        self.progress = ""
        self._archive = ""
        self._folder = folder
        if folder is not None and settings.record and source != "replay":
            self._open_recorder(folder / "frames")
        self.pipeline = Pipeline(
            Engine(rules, bases, frozenset(self.choice.contracts)),
            self.venues,
            recorder=_Recorder(self) if self.recorder else None,
            on_events=self._seen,
            on_malformed=self._malformed,
        )
        self.pipeline.engine.cot = load_cot(settings.cot_path, self.problems)
        self.intake = Intake()
        self.feeds: dict[str, VenueFeed] = {}
        self._listed: set[str] = set()
        self._all_listed = asyncio.Event()
        self._bases: tuple[str, ...] | None = None  # what the choice has come to
        self.tiers = TierCache(folder / TIERS if folder is not None else None)
        self.replies = BackfillCache(folder / BACKFILL if folder is not None else None)
        self.learnt = LearntLaws(folder / LEARNT if folder is not None else None)
        self._held = HeldClock()
        self.hub = Hub()
        self.maps = MapHistory(folder / "map" if folder else None)
        self.candles = CandleHistory(folder / "candles" if folder else None)
        self.publisher = Publisher(
            self.pipeline,
            self.hub,
            self.maps,
            self.candles,
            cluster_min_usd=settings.cluster_min_usd,
            health=self._health,
            need_snapshot=self._need_snapshot,
            notes=self._notes,
            load=self._load,
        )
        self._app = build_app(
            self.hub,
            self.publisher,
            self.maps,
            self.candles,
            ServerSettings(version=__version__, source=source),
            metrics=self._metrics,
        )

    # ---- server -------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[Address]:
        """Listens and publishes while the block runs."""
        async with serving(self._app, self.settings.host, self.settings.port) as address:
            pace = asyncio.create_task(self._pace())
            try:
                yield address
            finally:
                pace.cancel()
                await asyncio.gather(pace, return_exceptions=True)
                self.close()

    async def _pace(self) -> None:
        beat = 0
        while True:
            if self.recorder is not None:
                _Recorder(self).tick(time.time_ns())
            self.publisher.fast()
            if beat % 10 == 0 or self.publisher.is_first_map_due:
                self.publisher.slow(time.time_ns())
            beat += 1
            await asyncio.sleep(0.1)

    def close(self) -> None:
        """Flush everything that is kept."""
        if self.recorder is not None:
            with contextlib.suppress(StoreError):
                self.recorder.close()
        self.candles.flush()
        self.maps.close()
        self.learnt.keep(state.density for state in self._states())

    # ---- live ---------------------------------------------------------------------------------

    async def feed(self, endpoints: Mapping[str, tuple[str, str]] | None = None) -> None:
        """Follow the venues until cancelled. endpoints: venue -> (rest_url, ws_url) overrides."""
        pools = Pools(time.monotonic)
        self.replies.prune(time.time_ns() - int(self.settings.backfill_h * 3.6e12))
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for name, venue in self.venues.items():
                rest_url, ws_url = (endpoints or {}).get(name, ("", ""))
                self.feeds[name] = VenueFeed(
                    venue,
                    self.intake.put,
                    transport=NetTransport(session),
                    pools=pools,
                    clock=Clock(self._held.now_s, wall_ns),
                    rest_url=rest_url,
                    ws_url=ws_url,
                    tiers=self.tiers,
                    replies=self.replies,
                )
            group.create_task(self._consume())
            ready = [group.create_task(self._start(feed)) for feed in self.feeds.values()]
            # History of all venues is folded together when the first of them goes live.
            await asyncio.wait(ready, timeout=PREPARE_S)
            for feed, task in zip(self.feeds.values(), ready, strict=True):
                group.create_task(self._run(feed, task))
            if self._folder is not None:
                group.create_task(self._fold_archives(self._folder))
                group.create_task(look_after(self._folder, self.settings))

    async def _start(self, feed: VenueFeed) -> None:
        name = feed.venue.name
        await feed.prepare(self.choice.bases)
        await self._drained()
        await self._settle(feed)
        followed = [state for state in self._states() if state.instrument.venue == name]
        self.learnt.teach((state.density for state in followed), time.time_ns())
        feed.follow([state.instrument for state in followed])

        def on_progress(done: int, total: int) -> None:
            self.progress = f"back-fill {name}: {done} of {total} requests"

        begins_ns = await feed.backfill(self.settings.backfill_h * 3600.0, on_progress)
        await self._hand_over(begins_ns)
        await self._drained()
        self.progress = ""

    def _states(self) -> list[InstrumentState]:
        markets = self.pipeline.engine.markets.values()
        return [state for market in markets for state in market.instruments.values()]

    async def _settle(self, feed: VenueFeed) -> None:
        """Markets that only the lists tell: waits for all venues, but not for ever.

        The first venue that has waited long enough settles it for all, so that every venue follows
        the same markets.
        """
        if self.choice.top:
            await feed.rank()
            await self._drained()
        self._listed.add(feed.venue.name)
        if len(self._listed) == len(self.feeds):
            self._all_listed.set()
        if self.choice.needs_lists:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LISTED_S):
                    await self._all_listed.wait()
        if self._bases is None and (self.choice.needs_lists or self._all_listed.is_set()):
            self._bases, problems = resolve(self.choice, self.pipeline.engine)
            self.problems += problems
            self.pipeline.engine.follow(frozenset(self._bases))
        if self.choice.needs_lists:
            await feed.prepare(self._bases or ())
            await self._drained()

    async def _run(self, feed: VenueFeed, ready: asyncio.Task[None]) -> None:
        await ready
        await feed.run()

    async def _drained(self) -> None:
        """Until everything queued so far has been folded."""
        while len(self.intake):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)

    async def _consume(self) -> None:
        """The engine task: drains the queue in batches and never blocks the loop for long."""
        while True:
            records = await self.intake.drain(256)
            await self._fold(records)
            await asyncio.sleep(0)

    async def _fold(self, records: Sequence[Record]) -> None:
        """In pieces: while a long past is folded, sockets and readers have their turns."""
        for outputs in self.pipeline.pieces(records):
            self.publisher.consume(outputs)
            if self.pipeline.is_in_past:
                self._held.hold()
                await asyncio.sleep(0)
            else:
                self._held.release()

    async def _hand_over(self, begins_ns: Mapping[str, int]) -> None:
        """Imported days before what the venue's back-fill covers, to the live estimators."""
        if self._folder is None:
            return
        followed = [self.pipeline.engine.instruments[key] for key in begins_ns]
        days, put = self.settings.archive_days, self.intake.put
        try:
            await hand_over(self._folder, followed, begins_ns, days, time.time_ns, put)
        except StoreError as error:
            self.problems.append(f"imported history: {error}")

    async def _fold_archives(self, folder: Path) -> None:
        """Imported history behind what the venues' back-fill covers."""
        end_ns = time.time_ns() - int(self.settings.backfill_h * 3.6e12)
        start_ns = end_ns - int(self.settings.archive_days * 8.64e13)
        markets = [
            (base, [state.instrument for state in market.instruments.values()])
            for base, market in self.pipeline.engine.markets.items()
        ]
        await fold_archives(
            folder, self.maps, self.candles, markets, start_ns, end_ns, self._say_archive
        )

    def _say_archive(self, text: str) -> None:
        self._archive = text

    # ---- replay -------------------------------------------------------------------------------

    async def replay(self, records: Iterator[Record], speed: float) -> None:
        """Fold a recording; speed 1 = as recorded, 0 = as fast as possible."""
        first_ns, started_s = 0, time.monotonic()
        batch: list[Record] = []
        for record in records:
            first_ns = first_ns or record.received_ns
            batch.append(record)
            due_s = (record.received_ns - first_ns) / 1e9 / speed if speed > 0.0 else 0.0
            ahead_s = due_s - (time.monotonic() - started_s)
            if ahead_s > 0.02 or len(batch) >= 512:
                self._infer(batch)
                await self._fold(batch)
                batch = []
                await asyncio.sleep(max(ahead_s, 0.0))
        self._infer(batch)
        await self._fold(batch)

    def _infer(self, records: Sequence[Record]) -> None:
        infer_instruments(self.pipeline, records)

    # ---- small parts --------------------------------------------------------------------------

    def _open_recorder(self, folder: Path) -> None:
        try:
            self.recorder = RecordWriter(folder)
        except StoreError as error:
            self.problems.append(str(error))
            log.warning("not recording", why=str(error))

    def _seen(self, frame: Frame, events: Sequence[Event]) -> None:
        feed = self.feeds.get(frame.venue)
        if feed is not None:
            feed.observe(frame, events)

    def _malformed(self, frame: Frame) -> None:
        feed = self.feeds.get(frame.venue)
        if feed is not None:
            feed.malformed(frame)

    def _need_snapshot(self, need: NeedSnapshot) -> None:
        feed = self.feeds.get(need.instrument_id.partition(":")[0])
        if feed is not None:
            feed.request_snapshot(need)

    def _metrics(self) -> bytes:
        return exposition(TerminalCollector(self.pipeline, self.intake, self.feeds))

    def _load(self) -> Load:
        budgets: dict[str, float] = {}
        lags: dict[str, float] = {}
        for name, feed in self.feeds.items():
            budgets |= feed.budgets()
            if feed.lag_s is not None:
                lags[name] = feed.lag_s * 1e3
        return Load(len(self.intake), budgets, lags)

    def _health(self) -> list[StreamHealth]:
        return [row for feed in self.feeds.values() for row in feed.health()]

    def _notes(self) -> list[str]:
        notes = [*self.problems]
        told = (
            self.progress,
            warm.said(),
            self._archive,
            self.replies.problem,
            self.learnt.problem,
        )
        notes += [text for text in told if text]
        for name, feed in self.feeds.items():
            missing, asked = feed.unanswered
            if missing:
                notes.append(
                    f"{name} did not answer {missing} of {asked} requests for its past: the map "
                    "begins with less"
                )
        if self.intake.dropped:
            notes.append(f"{self.intake.dropped} frames dropped: the program was too slow")
        return notes


class _Recorder:
    """Stops at the first failure of the disk, says so, and lets the terminal go on."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def append(self, record: Record) -> None:
        self._try(lambda recorder: recorder.append(record))

    def tick(self, now_ns: int) -> None:
        """A silent feed must not hold the newest records back."""
        self._try(lambda recorder: recorder.tick(now_ns))

    def _try(self, act: Callable[[RecordWriter], None]) -> None:
        recorder = self._terminal.recorder
        if recorder is None:
            return
        try:
            act(recorder)
        except StoreError as error:
            self._terminal.recorder = None
            self._terminal.problems.append(str(error))
            log.error("recording stopped", why=str(error))


def infer_instruments(pipeline: Pipeline, records: Sequence[Record]) -> None:
    """Recordings without an instrument list: take the tick from the prices as written."""
    engine = pipeline.engine
    for record in records:
        if not isinstance(record, Frame) or not (
            record.source.startswith("ws:/recorded") or record.source.endswith("#archive")
        ):
            continue
        venue = pipeline.venues.get(record.venue)
        if venue is None or any(i.venue == record.venue for i in engine.instruments.values()):
            continue
        guess = venue.infer_instrument(record) or of_archived_book(record)
        if guess is not None:
            engine.list(guess)
