"""Kept replies of a back-fill: every stretch covered, what was answered not asked again."""

from __future__ import annotations

import asyncio
import re
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.feeds.backfill_cache import OVERLAP_NS, SHORTEST_NS, BackfillCache
from liqfield.feeds.socket import Socket
from liqfield.feeds.transport import Clock, HeldClock, HttpReply
from liqfield.feeds.venue_feed import VenueFeed
from liqfield.model.durations import MINUTE_NS
from liqfield.model.events import Candle, Event, Frame, Notice, Record
from liqfield.model.requests import HttpRequest
from liqfield.model.sides import CandleOf
from liqfield.venues import registry
from tests.support import INSTRUMENTS

BTC = "binance:BTCUSDT"
T0 = 1_790_000_000_000_000_000
REQUEST = HttpRequest("binance", "/fapi/v1/klines?symbol=BTCUSDT&startTime=1", instrument_id=BTC)
FRAME = Frame("binance", REQUEST.source, T0, b"[[1,2]]")


@settings(max_examples=60)
@given(
    starts=st.lists(
        st.tuples(st.integers(1, 20 * 60), st.integers(0, 48 * 60)), min_size=1, max_size=8
    )
)
def test_stretches_cover_what_is_asked_and_repeat_little(starts: list[tuple[int, int]]) -> None:
    """Starts at growing times with any span: minutes since the last start, minutes of past."""
    with TemporaryDirectory() as folder:
        cache, now_ns = BackfillCache(Path(folder)), T0
        known: set[tuple[int, int]] = set()
        for pause, span in starts:
            now_ns += pause * MINUTE_NS
            begin_ns = now_ns - span * MINUTE_NS
            cache.prune(begin_ns)
            plan = cache.plan(BTC, begin_ns, now_ns)
            assert plan[0][0] <= begin_ns
            assert plan[-1][1] == now_ns
            for (_, stop_ns), (next_ns, _) in pairwise(plan):
                assert next_ns <= stop_ns, "no hole"
            kept = [s for s in plan if cache.load(s, REQUEST) is not None]
            assert set(kept) == known & set(plan)
            for stretch in plan:
                cache.store(stretch, REQUEST, FRAME)
                if stretch[1] - stretch[0] >= SHORTEST_NS:
                    known.add(stretch)
            # At once again: nothing but the overlap and what is too short to be kept.
            again = [s for s in cache.plan(BTC, begin_ns, now_ns) if cache.load(s, REQUEST) is None]
            assert all(stop - at <= max(OVERLAP_NS, SHORTEST_NS) for at, stop in again)


def test_a_reply_comes_back_as_it_was_and_only_for_its_stretch(tmp_path: Path) -> None:
    cache = BackfillCache(tmp_path)
    stretch = (T0 - 2 * SHORTEST_NS, T0)
    cache.store(stretch, REQUEST, FRAME)
    assert BackfillCache(tmp_path).load(stretch, REQUEST) == FRAME
    assert cache.load((T0 - 3 * SHORTEST_NS, T0), REQUEST) is None, "the newest hundred of then"
    (file,) = tmp_path.rglob("*.reply")
    file.write_bytes(file.read_bytes()[:-3])
    assert cache.load(stretch, REQUEST) is None, "a damaged one is asked for again"
    cache.prune(T0 + 1)
    assert not list(tmp_path.rglob("*.reply"))


def test_nothing_is_kept_without_a_folder_and_a_full_disk_is_told(tmp_path: Path) -> None:
    cache = BackfillCache(None)
    stretch = cache.plan(BTC, T0, T0 + 1)[0]
    cache.store(stretch, REQUEST, FRAME)
    cache.prune(T0)
    assert cache.load(stretch, REQUEST) is None
    (tmp_path / "file").write_text("no folder")
    cache = BackfillCache(tmp_path / "file")
    cache.store((T0, T0 + SHORTEST_NS), REQUEST, FRAME)
    assert "back-fill is not kept" in cache.problem


class _Answers:
    """A network that answers every request alike."""

    def __init__(self) -> None:
        self.from_ms: list[int] = []  # of each request

    async def open(self, venue: str, url: str, on_message: object) -> Socket:
        raise OSError("no sockets here")

    async def request(self, url: str, body: str, timeout_s: float) -> HttpReply:
        self.from_ms += [int(found) for found in re.findall(r"startTime=(\d+)", url)]
        return HttpReply(200, {}, b"[]")


@pytest.mark.parametrize("folds", [True, False])
def test_only_what_was_folded_counts_as_answered(tmp_path: Path, *, folds: bool) -> None:
    """A complaint with status 200, and a reply that never reached the fold, are asked again."""
    candle = Candle(BTC, T0, T0, CandleOf.LAST, MINUTE_NS, 1.0, 1.0, 1.0, 1.0, is_history=True)
    events: list[Event] = [candle] if folds else [Notice("binance", T0, "error", "too many")]

    def start() -> set[int]:
        network, records = _Answers(), list[Record]()
        feed = VenueFeed(
            registry.make(("binance",))["binance"],
            records.append,
            transport=network,
            clock=Clock(now_ns=lambda: T0),
            replies=BackfillCache(tmp_path),
        )
        feed.follow([INSTRUMENTS[BTC]])
        begins = asyncio.run(feed.backfill(3_600.0, lambda done, total: None))
        assert begins == {BTC: T0 - 60 * MINUTE_NS}
        for record in records:
            assert isinstance(record, Frame)
            feed.observe(record, events)
        assert len(network.from_ms) == 4, "marks, candles, open interest, funding"
        return {(T0 // 1_000_000 - at) // 60_000 for at in network.from_ms}

    assert start() == {60}
    assert start() == ({15} if folds else {60}), "minutes of the past that are asked for"


class _Deaf(_Answers):
    """A network that answers an address only when it is asked for the n-th time."""

    def __init__(self, deaf: int) -> None:
        super().__init__()
        self._deaf = deaf
        self._asked: dict[str, int] = {}

    async def request(self, url: str, body: str, timeout_s: float) -> HttpReply:
        self._asked[url] = self._asked.get(url, 0) + 1
        if self._asked[url] <= self._deaf:
            raise TimeoutError
        return await super().request(url, body, timeout_s)


@pytest.mark.parametrize(("deaf", "unanswered"), [(0, 0), (2, 0), (3, 4)])
def test_a_silent_venue_is_asked_for_its_past_again_and_what_is_missing_is_told(
    monkeypatch: pytest.MonkeyPatch, deaf: int, unanswered: int
) -> None:
    monkeypatch.setattr("liqfield.feeds.venue_feed.PAST_PAUSES_S", (0.0, 0.0))
    records = list[Record]()
    feed = VenueFeed(
        registry.make(("binance",))["binance"],
        records.append,
        transport=_Deaf(deaf),
        clock=Clock(now_ns=lambda: T0),
    )
    feed.follow([INSTRUMENTS[BTC]])
    asyncio.run(feed.backfill(3_600.0, lambda done, total: None))
    assert feed.unanswered[0] == unanswered
    assert len(records) == 4 - unanswered, "marks, candles, open interest, funding"


def test_a_held_clock_stands_still_and_never_jumps() -> None:
    now = 100.0
    clock = HeldClock(lambda: now)
    assert clock.now_s() == 100.0
    now = 103.0
    clock.hold()
    now = 110.0
    clock.hold()
    assert clock.now_s() == 103.0
    clock.release()
    clock.release()
    assert clock.now_s() == 103.0
    now = 112.0
    assert clock.now_s() == 105.0
    clock.hold()
    now = 113.0
    clock.release()
    assert clock.now_s() == 105.0
