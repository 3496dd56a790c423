"""The life of a wall as a feed tells it: born, held, filled, pulled, layered, forgotten."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from liqfield.book.reader import BookReader
from liqfield.book.sync import BookSync
from liqfield.book.views import flow_event, wall_views
from liqfield.book.wall_facts import Flip, Layering, WallEnd, WallSettings
from liqfield.model.analytics import FlowEventKind, WallState
from liqfield.model.events import BookDelta, BookLevels, BookSnapshot, Gap
from liqfield.model.sides import BookRule, GapReason
from liqfield.model.tape import TradeTape

SECOND_NS = 1_000_000_000
START = 1_790_000_000 * SECOND_NS
BID, ASK = 0, 1
TICK = 0.1
MID = 600_000
Change = tuple[int, int, float]  # is_ask, tick, coins


class Feed:
    """A book of 400 levels a side of about one coin, fed like a venue feeds it."""

    def __init__(
        self, settings: WallSettings | None = None, rule: BookRule = BookRule.NEXT_BY_ONE
    ) -> None:
        self.sync = BookSync("v:X", rule)
        chosen = settings or WallSettings(min_age_s=3.0)
        self.trades = TradeTape()
        self.reader = BookReader(self.sync, TICK, self.trades, 0, chosen)
        self.now = START
        self.sequence = 1
        self.facts: list[WallEnd | Layering | Flip] = []
        rng = np.random.default_rng(1)
        rows = [(BID, MID - k, q) for k, q in enumerate(rng.lognormal(0.0, 0.3, 400), 1)]
        rows += [(ASK, MID + k, q) for k, q in enumerate(rng.lognormal(0.0, 0.3, 400), 1)]
        self.rows = rows
        self.trade(ASK, MID + 1, 1e-9)
        self.snapshot(rows)

    def snapshot(self, rows: Iterable[Change]) -> None:
        event = BookSnapshot("v:X", self.now, self.now, self.sequence, _levels(rows))
        self._push(event)

    def book(self, *changes: Change, after_s: float = 0.1) -> None:
        self.now += round(after_s * SECOND_NS)
        self.sequence += 1
        event = BookDelta(
            "v:X", self.now, self.now, self.sequence, self.sequence, -1, _levels(changes)
        )
        self._push(event)

    def trade(self, is_ask: int, tick: int, coins: float, before_s: float = 0.0) -> None:
        at = self.now + round((0.05 - before_s) * SECOND_NS)
        signed = coins if is_ask == ASK else -coins
        self.trades.append(0, at, tick * TICK, signed, at)

    def wait(self, seconds: float) -> None:
        """Time passes with nothing of interest."""
        for _ in range(round(seconds / 0.5)):
            self.book((BID, MID - 399, 1.0 + self.sequence % 2), after_s=0.5)

    def ends(self) -> list[WallEnd]:
        return [fact for fact in self.facts if isinstance(fact, WallEnd)]

    def _push(self, event: BookSnapshot | BookDelta) -> None:
        self.sync.push(event)
        self.reader.after(event, self.now)
        self.facts += self.reader.facts
        self.reader.facts.clear()


def _levels(rows: Iterable[Change]) -> BookLevels:
    ordered = sorted(rows)
    return BookLevels(
        np.array([tick for _, tick, _ in ordered], np.int64),
        np.array([coins for *_, coins in ordered]),
        sum(is_ask == BID for is_ask, *_ in ordered),
    )


def test_an_ordinary_book_has_no_walls() -> None:
    feed = Feed()
    feed.wait(15)
    assert list(wall_views("v", feed.reader, feed.now)) == []
    assert feed.facts == []


def test_a_wall_is_seen_once_it_has_stood() -> None:
    feed = Feed()
    feed.book((BID, MID - 50, 60.0))
    assert list(wall_views("v", feed.reader, feed.now)) == [], "not yet more than a flicker"
    feed.wait(4)
    (view,) = wall_views("v", feed.reader, feed.now)
    assert view.is_bid
    assert view.price == pytest.approx((MID - 50) * TICK)
    assert view.notional_usd == pytest.approx(60.0 * view.price)
    assert view.multiple == pytest.approx(60.0, rel=0.2)
    assert view.state is WallState.STANDING
    assert view.distance == pytest.approx(-50 / MID, rel=1e-3)
    feed.book((BID, MID - 50, 90.0))
    (view,) = wall_views("v", feed.reader, feed.now)
    assert view.state is WallState.GROWING


def test_pulled_means_cancelled_without_trades() -> None:
    feed = Feed()
    feed.book((BID, MID - 50, 60.0))
    feed.wait(5)
    feed.book((BID, MID - 50, 1.0))
    assert feed.ends() == [], "the verdict waits for trades that are told late"
    feed.wait(1)
    (end,) = feed.ends()
    assert end.state is WallState.PULLED
    assert (end.pull_ratio, end.filled, end.cancelled) == (1.0, 0.0, 59.0)
    assert end.on_approach, "50 ticks are 0.8 bp"
    event = flow_event("v", end, TICK)
    assert event.kind is FlowEventKind.WALL_PULLED
    assert event.is_bid
    assert event.notional_usd == pytest.approx(60.0 * (MID - 50) * TICK)
    assert event.duration_s == pytest.approx(5.1, abs=0.2)


@pytest.mark.parametrize("late_s", [0.0, 0.12])
def test_filled_means_trades_explain_the_loss_even_if_told_late(late_s: float) -> None:
    feed = Feed()
    feed.book((BID, MID - 50, 60.0))
    feed.wait(5)
    if late_s == 0.0:
        feed.trade(BID, MID - 50, 59.0)
    feed.book((BID, MID - 50, 1.0))
    if late_s > 0.0:
        feed.trade(BID, MID - 50, 59.0, before_s=late_s)
    feed.wait(1)
    (end,) = feed.ends()
    assert end.state is WallState.FILLED
    assert end.pull_ratio == pytest.approx(0.0)
    assert flow_event("v", end, TICK).kind is FlowEventKind.WALL_FILLED


def test_a_wall_that_is_hit_and_stands_has_held_then_is_partly_filled_then_pulled() -> None:
    feed = Feed()
    feed.book((BID, MID - 50, 60.0))
    feed.wait(4)
    feed.trade(BID, MID - 50, 6.0)
    feed.book((BID, MID - 50, 54.0))
    (view,) = wall_views("v", feed.reader, feed.now)
    assert view.state is WallState.HELD
    assert view.filled_usd == pytest.approx(6.0 * view.price)
    feed.trade(BID, MID - 50, 14.0)
    feed.book((BID, MID - 50, 40.0))
    (view,) = wall_views("v", feed.reader, feed.now)
    assert view.state is WallState.PARTLY_FILLED
    feed.book((BID, MID - 50, 0.0))
    feed.wait(1)
    (end,) = feed.ends()
    assert end.state is WallState.PARTLY_FILLED
    assert end.pull_ratio == pytest.approx(40.0 / 54.0)


def test_an_amended_order_did_not_end() -> None:
    feed = Feed()
    feed.book((BID, MID - 50, 60.0))
    feed.wait(4)
    feed.book((BID, MID - 50, 0.0))
    feed.book((BID, MID - 50, 62.0))
    feed.wait(2)
    assert feed.ends() == []
    assert len(list(wall_views("v", feed.reader, feed.now))) == 1
    feed.book((BID, MID - 50, 0.0))
    feed.wait(1)
    assert len(feed.ends()) == 1


def test_a_flicker_is_no_wall_but_counts_as_a_short_life() -> None:
    feed = Feed()
    feed.book((BID, MID - 50, 60.0))
    feed.book((BID, MID - 50, 1.0), after_s=0.4)
    feed.wait(1)
    assert feed.facts == []
    assert feed.reader.walls.survival.by_age.sum() == 1.0
    assert feed.reader.walls.standing == {}


def test_equal_orders_placed_and_pulled_together_are_layers() -> None:
    feed = Feed()
    feed.book(*[(ASK, MID + 30 + k, 80.0) for k in range(4)])
    feed.wait(5)
    feed.book(*[(ASK, MID + 30 + k, 1.0) for k in range(4)])
    feed.wait(1)
    layers = [fact for fact in feed.facts if isinstance(fact, Layering)]
    assert layers
    assert layers[0].is_ask == ASK
    assert layers[0].ticks == (MID + 30, MID + 31, MID + 32)
    assert flow_event("v", layers[0], TICK).kind is FlowEventKind.LAYERING


def test_a_bid_pulled_and_sold_into_is_a_flip_and_a_bid_pulled_in_peace_is_not() -> None:
    for sold in (0.0, 40.0):
        feed = Feed()
        feed.book((BID, MID - 50, 60.0))
        feed.wait(5)
        feed.book((BID, MID - 50, 1.0))
        if sold:
            feed.trade(BID, MID - 1, sold)
        feed.wait(4)
        flips = [fact for fact in feed.facts if isinstance(fact, Flip)]
        assert len(flips) == (sold > 0.0)
        if flips:
            assert (flips[0].aggression, flips[0].count) == (sold, 1)
            assert flow_event("v", flips[0], TICK).kind is FlowEventKind.FLIP


@pytest.mark.parametrize("what", ["gap", "trades"])
def test_a_loss_is_no_end(what: str) -> None:
    feed = Feed()
    feed.book((BID, MID - 50, 60.0))
    feed.wait(4)
    if what == "gap":
        feed.sync.push(Gap("v", "ws", feed.now, GapReason.DISCONNECT))
        feed.reader.gap(feed.now)
        feed.snapshot([row for row in feed.rows if row[1] != MID - 50])
    else:
        feed.reader.trades_lost()
        feed.book((BID, MID - 50, 1.0))
    feed.wait(2)
    assert feed.facts == []
    ends = feed.reader.walls.survival.ends_at.sum(axis=0)
    assert ends.tolist() == [0.0, 0.0, 1.0], "censored: what became of it cannot be told"


def test_the_digest_sees_every_fact() -> None:
    digests = set()
    for coins in (60.0, 61.0):
        feed = Feed()
        feed.book((BID, MID - 50, coins))
        digests.add(feed.reader.digest())
        again = Feed()
        again.book((BID, MID - 50, coins))
        assert again.reader.digest() in digests
    assert len(digests) == 2


def test_a_level_that_leaves_the_venues_window_was_not_cancelled() -> None:
    feed = Feed()
    feed.book((BID, MID - 390, 60.0))
    feed.wait(4)
    totals = feed.reader.attribution.totals.copy()
    feed.book((BID, MID - 390, 0.0))
    feed.wait(1)
    assert feed.ends() == []
    assert (feed.reader.attribution.totals[0] - totals[0]).sum() == 0.0
