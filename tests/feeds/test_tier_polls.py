"""Polled tiers are kept like those of the start, and stand in when a venue does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from liqfield.feeds.socket import Socket
from liqfield.feeds.tier_cache import TierCache
from liqfield.feeds.transport import Clock, HttpReply
from liqfield.feeds.venue_feed import VenueFeed
from liqfield.model.events import Frame, Record
from liqfield.venues import registry
from liqfield.venues.contract import TIERS_S
from tests.lab.virtual import run_virtual
from tests.support import INSTRUMENTS

OF = INSTRUMENTS["gate:BTC_USDT"]
TIER = {"tier": 1, "risk_limit": "1000", "maintenance_rate": "0.004", "leverage_max": "100"}
TIERS, REFUSAL = msgspec.json.encode([TIER]), b'{"label":"SERVER_ERROR"}'


class _Gate:
    """Answers every request for tiers in turn, the last answer for ever; nothing else is there."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)

    async def open(self, venue: str, url: str, on_message: Callable[[bytes], None]) -> Socket:
        raise OSError(f"nobody at {venue} {url} {on_message}")

    async def request(self, url: str, body: str, timeout_s: float) -> HttpReply:
        await asyncio.sleep(0.1)
        if "risk_limit_tiers" not in url:
            raise OSError(f"no answer from {url}{body} in {timeout_s}")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise OSError("no answer")
        return HttpReply(200, {}, answer)


def tiers_of(gate: _Gate, folder: Path, for_s: float) -> list[tuple[int, bytes]]:
    """Time of receipt and body of the tier replies that came out of a feed that ran for a while."""
    records: list[Record] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        clock = Clock(loop.time, lambda: int(loop.time() * 1e9))
        venue = registry.VENUES["gate"]()
        feed = VenueFeed(
            venue, records.append, transport=gate, clock=clock, tiers=TierCache(folder)
        )
        feed.follow([OF])
        task = asyncio.create_task(feed.run())
        await asyncio.sleep(for_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtual(run())
    frames = [record for record in records if isinstance(record, Frame)]
    return [(f.received_ns, f.payload) for f in frames if "risk_limit_tiers" in f.source]


def test_what_a_poll_brought_stands_in_after_the_next_start(tmp_path: Path) -> None:
    ((received_ns, payload),) = tiers_of(_Gate(TIERS), tmp_path, 60.0)
    assert payload == TIERS
    assert tiers_of(_Gate(None), tmp_path, 60.0) == [(received_ns, TIERS)]
    assert tiers_of(_Gate(None), tmp_path / "elsewhere", 60.0) == []


def test_a_refusal_with_status_200_replaces_no_tiers(tmp_path: Path) -> None:
    came = tiers_of(_Gate(TIERS, REFUSAL), tmp_path, TIERS_S * 1.2)
    assert [payload for _, payload in came] == [TIERS, REFUSAL]
    assert tiers_of(_Gate(None), tmp_path, 60.0) == [(came[0][0], TIERS)]
