"""Each venue's own protocol on loopback: the real feeds and decoders end with the true market.

The truth is noted at every step of the market; whatever book the engine holds must be the true one
as of the book's own time, at every message, not only at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

import aiohttp
import msgspec
import numpy as np
import pytest

from liqfield.app.pipeline import Pipeline
from liqfield.book.ladder import ASK, BID
from liqfield.engine.engine import Engine
from liqfield.engine.instrument import InstrumentState
from liqfield.engine.outputs import Output
from liqfield.feeds.intake import Intake
from liqfield.feeds.transport import NetTransport
from liqfield.feeds.venue_feed import VenueFeed
from liqfield.lab.servers.servers import PROTOCOLS, LabServers
from liqfield.model.events import (
    BookDelta,
    BookSnapshot,
    Event,
    Frame,
    Gap,
    Listing,
    OpenInterest,
    Record,
    TierTable,
    Trade,
)
from liqfield.model.instrument import Instrument
from liqfield.model.requests import NeedSnapshot
from liqfield.model.sides import GapReason
from liqfield.venues import registry
from tests.lab.market import SECOND_NS, small_market

VENUES = sorted(PROTOCOLS)
DEPTH = 20  # levels a side that every venue shows
MS = 1_000_000


class Rig:
    """A market, one venue's server, its feed and an engine; `notes` of what was compared."""

    def __init__(self, venue: str, session: aiohttp.ClientSession) -> None:
        start_ns = time.time_ns() // SECOND_NS * SECOND_NS
        self.servers = LabServers(small_market(start_ns=start_ns), (venue,))
        self.market = self.servers.market
        (self.of,) = (of for of in self.market.instruments if of.venue == venue)
        self.venue = registry.VENUES[venue]()
        self.engine = Engine({venue: self.venue.book_rule}, frozenset({"BTC"}))
        self.pipeline = Pipeline(self.engine, {venue: self.venue}, on_events=self._seen)
        self.intake = Intake()
        self.records: list[Record] = []
        self.events: list[Event] = []
        self.truth: dict[int, list[list[float]]] = {}
        self.open_interest: set[float] = set()
        self.trades: dict[str, float] = {}
        self.compared = 0
        self.needs = 0
        self._session = session
        self.feed: VenueFeed

    async def step_for_ever(self) -> None:
        while True:
            self.step()
            await asyncio.sleep(0.05)

    def step(self) -> None:
        steps = self.market.advance(time.time_ns())
        (server,) = self.servers.servers.values()
        mine = [steps[self.of.id]] if self.of.id in steps else []
        self.note_truth()
        for step in mine:
            self.open_interest.add(round(step.open_interest_base, 6))
        server.broadcast(server.protocol.step(mine, self.market.now_ns))

    def note_truth(self) -> None:
        book = self.market.book(self.of.id)
        columns = (book.bid_ticks, book.bid_quantity, book.ask_ticks, book.ask_quantity)
        self.truth[self.market.now_ns // MS] = [c[:DEPTH].tolist() for c in columns]

    def state(self) -> InstrumentState:
        return self.engine.markets["BTC"].instruments[self.of.id]

    @contextlib.asynccontextmanager
    async def running(self, max_age_s: float = 3_600.0) -> AsyncIterator[None]:
        self.note_truth()
        addresses = await self.servers.start()
        rest_url, ws_url = addresses[self.venue.name]
        self.feed = VenueFeed(
            self.venue,
            self.intake.put,
            transport=NetTransport(self._session),
            rest_url=rest_url,
            ws_url=ws_url,
        )
        tasks = [
            asyncio.create_task(self.step_for_ever()),
            asyncio.create_task(self._consume()),
        ]
        try:
            await self.feed.prepare(("BTC",))
            await self.until(lambda: self.engine.markets)
            self.feed.follow([self.state().instrument])
            for connection in self.feed.connections:
                connection.spec = msgspec.structs.replace(connection.spec, max_age_s=max_age_s)
            await self.feed.backfill(1_200.0, lambda done, total: None)
            tasks.append(asyncio.create_task(self.feed.run()))
            yield
            assert not [task for task in tasks if task.done()]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.servers.stop()

    async def until(self, condition: object, seconds: float = 30.0) -> None:
        assert callable(condition)
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.02)

    async def _consume(self) -> None:
        while True:
            for record in await self.intake.drain(64):
                self.records.append(record)
                self._requests(self.pipeline.consume([record]))
            await asyncio.sleep(0)

    def _requests(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, NeedSnapshot):
                self.needs += 1
                self.feed.request_snapshot(output)

    def _seen(self, frame: Frame, events: Sequence[Event]) -> None:
        self.events += events
        self.feed.observe(frame, events)
        for event in events:
            if isinstance(event, Trade) and event.instrument_id == self.of.id:
                self.trades[event.trade_id] = event.quantity
        if any(isinstance(event, BookSnapshot | BookDelta) for event in events):
            self._compare()

    def _compare(self) -> None:
        """Safety: the book is the true one of its own time, or there is none."""
        sync = self.state().sync
        if sync.ladder is None:
            return
        truth = self.truth[sync.event_ns // MS]
        for side, ticks, sizes in ((BID, truth[0], truth[1]), (ASK, truth[2], truth[3])):
            got_ticks, got_sizes = sync.ladder.top(side, DEPTH)
            # Hyperliquid lists finer ticks than its five significant figures use: compare prices.
            got_prices = got_ticks * self.state().instrument.tick_usd
            np.testing.assert_allclose(got_prices, np.array(ticks) * self.of.tick_usd, rtol=1e-12)
            np.testing.assert_allclose(got_sizes, sizes, rtol=1e-9)
        self.compared += 1


@pytest.mark.parametrize("venue", VENUES)
def test_real_feeds_end_with_the_true_market(venue: str) -> None:
    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            rig = Rig(venue, session)
            async with rig.running():
                whole = venue == "hyperliquid"  # its book comes every five seconds
                await rig.until(lambda: rig.compared >= (2 if whole else 20))
                state = rig.state()
                await rig.until(lambda: state.mark and state.last and state.open_interest)
                check_market(rig)
        assert rig.pipeline.decode_errors == 0, list(rig.pipeline.failures)
        assert not rig.engine.unknown
        assert rig.intake.dropped == 0
        # One start costs one snapshot where the venue wants to be asked, none elsewhere.
        assert rig.needs == (1 if venue == "binance" else 0)
        reasons = {r.reason for r in rig.records if isinstance(r, Gap)}
        assert reasons == {GapReason.CONNECT}

    asyncio.run(run())


def check_market(rig: Rig) -> None:
    """What the venue said is what the market is: listing, tiers, open interest, past."""
    (listing,) = {
        e.instrument.id: e.instrument
        for e in rig.events
        if isinstance(e, Listing) and e.instrument_id == rig.of.id
    }.values()
    same = ("symbol", "base", "settle", "kind", "price_factor", "lot")
    for name in (*same, "quantity_factor", "funding_interval_h"):
        assert getattr(listing, name) == pytest.approx(getattr(rig.of, name)), name
    # Hyperliquid lists size decimals only: the finest tick follows, prices have five figures.
    coarser = rig.of.tick_usd / listing.tick_usd
    assert coarser == pytest.approx(10.0 if rig.venue.name == "hyperliquid" else 1.0)
    tables = [e for e in rig.events if isinstance(e, TierTable) and e.instrument_id == rig.of.id]
    truth = rig.market.tiers(rig.of.id)
    assert len(tables[-1].tiers) == len(truth)
    for got, want in zip(tables[-1].tiers, truth, strict=True):
        assert got.by_quantity == want.by_quantity
        for name in ("floor", "maintenance_rate", "max_leverage"):
            assert getattr(got, name) == pytest.approx(getattr(want, name), rel=1e-3), name
        assert got.deduction == pytest.approx(want.deduction, rel=1e-3, abs=1.0)
    live = [e.quantity for e in rig.events if isinstance(e, OpenInterest) and not e.is_history]
    assert live
    known = np.array(sorted(rig.open_interest))
    for quantity in live:
        nearest = known[np.abs(known - quantity).argmin()]
        assert quantity == pytest.approx(nearest, rel=1e-5)
    check_trades(rig.of, rig)
    assert rig.state().closes, "the past was asked for and folded"


def check_trades(of: Instrument, rig: Rig) -> None:
    assert rig.trades
    lot = of.lot * of.quantity_factor  # base coins
    for quantity in rig.trades.values():
        assert quantity / lot == pytest.approx(round(quantity / lot), abs=1e-4)
        assert quantity >= lot * 0.999


@pytest.mark.parametrize("venue", VENUES)
def test_after_every_drop_the_book_is_true_again(venue: str) -> None:
    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            rig = Rig(venue, session)
            async with rig.running():
                await rig.until(lambda: rig.state().sync.ladder is not None)
                for _ in range(2):
                    (server,) = rig.servers.servers.values()
                    for client in list(server.clients):
                        client.close(True)
                    await rig.until(lambda: rig.state().sync.ladder is None)
                    compared = rig.compared
                    await rig.until(lambda n=compared: rig.compared > n)
                assert rig.state().sync.losses == 2
        assert rig.needs == (3 if venue == "binance" else 0), "one request a loss"

    asyncio.run(run())


@pytest.mark.parametrize("venue", VENUES)
def test_planned_rotations_never_lose_the_book(venue: str) -> None:
    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            rig = Rig(venue, session)
            async with rig.running(max_age_s=1.5):
                await rig.until(lambda: rig.state().sync.ladder is not None)
                (server,) = rig.servers.servers.values()
                first = set(server.clients)
                await rig.until(lambda: server.clients and not first & server.clients)
                second = set(server.clients)
                if venue != "hyperliquid":  # its slow book may be silent for the whole rotation
                    await rig.until(lambda: not second & server.clients)
                compared = rig.compared
                await rig.until(lambda: rig.compared > compared)
                assert rig.state().sync.losses == 0
        reasons = {r.reason for r in rig.records if isinstance(r, Gap)}
        assert reasons == {GapReason.CONNECT}
        assert rig.needs == (1 if venue == "binance" else 0)

    asyncio.run(run())
