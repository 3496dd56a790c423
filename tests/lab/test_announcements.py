"""What a venue announces of itself reaches the health view in words, over real sockets."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from liqfield.feeds.transport import NetTransport
from liqfield.feeds.venue_feed import VenueFeed
from liqfield.lab.market_setup import instrument
from liqfield.lab.quick_market import QuickMarket
from liqfield.lab.servers.faults import Fault, FaultPlan
from liqfield.lab.servers.servers import PROTOCOLS
from liqfield.lab.servers.shell import VenueServer
from liqfield.model.errors import DecodeError
from liqfield.model.events import Frame, Record
from liqfield.venues import registry

START_NS = 1_790_000_000_000_000_000  # 2026-09-21 14:13:20 UTC


@pytest.mark.parametrize("venue", ["bybit", "okx"])
def test_planned_work_is_shown_before_while_and_not_after(venue: str) -> None:
    of = instrument(venue, "BTC")
    market = QuickMarket(
        [(of, 84_000.0)],
        start_ns=START_NS,
        step_ms=200,
        levels=25,
        changes=6.0,
        trades=1.0,
        seed=1,
    )
    plan = FaultPlan(0, (Fault(100.0, "maintenance", venue, 600.0),))
    server = VenueServer(PROTOCOLS[venue](market), plan)
    decoder = registry.VENUES[venue]()

    async def run() -> None:
        rest_url, ws_url = await server.start()
        market.advance(START_NS + 200_000_000)
        server.tick(market.now_ns)
        try:
            async with aiohttp.ClientSession() as session:
                feed = VenueFeed(
                    decoder,
                    lambda record: observe(record),
                    transport=NetTransport(session),
                    rest_url=rest_url,
                    ws_url=ws_url,
                )

                def observe(record: Record) -> None:
                    if isinstance(record, Frame):
                        try:
                            feed.observe(record, decoder.decode(record, {of.id: of}))
                        except DecodeError:
                            feed.malformed(record)

                feed.follow([of])
                poll = next(p for p in decoder.polls([of]) if p.request.path.endswith("status"))
                shown = []
                for at_s in (0.2, 300.0, 800.0):
                    market.advance(START_NS + round(at_s * 1e9))
                    observe(await feed.rest.fetch(poll.request))
                    shown.append([r for r in feed.health() if r.stream == "announced"])
        finally:
            await server.stop()
        (before,), (during,), after = shown
        assert (before.state, during.state, after) == ("live", "stale", [])
        for row in (before, during):
            assert row.detail.startswith(
                "planned maintenance from 2026-09-21 14:15 to 14:25 UTC: "
            ), row.detail

    asyncio.run(run())


@pytest.mark.parametrize("stamp", ["99999999999999999", "9" * 30, "-" + "9" * 25, "soon"])
def test_a_time_that_cannot_be_is_a_malformed_message(stamp: str) -> None:
    for venue, path, frame in (
        ("okx", "/api/v5/system/status", '{"code":"0","data":[%s]}'),
        ("bybit", "/v5/system/status", '{"retCode":0,"result":{"list":[%s]}}'),
    ):
        for begin, end in ((stamp, "1"), ("1", stamp)):
            row = f'{{"state":"ongoing","begin":"{begin}","end":"{end}"}}'
            with pytest.raises(DecodeError):
                registry.VENUES[venue]().decode(
                    Frame(venue, f"rest:{path}", 1, (frame % row).encode()), {}
                )
