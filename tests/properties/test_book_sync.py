"""Safety: what comes out is the true book or nothing. Liveness: one request a loss, then live."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.book.sync import BookSync
from liqfield.model.events import BookDelta, BookLevels, BookSnapshot, Gap
from liqfield.model.requests import NeedSnapshot
from liqfield.model.sides import BookRule, GapReason
from tests.reference.book import DictBook

ID = "v:X"
CHAINED = [BookRule.REST_THEN_PREVIOUS, BookRule.NEXT_BY_ONE, BookRule.PREVIOUS_ID]


class TrueVenue:
    """A venue that knows its book: emits diffs with the rule's counters, snapshots on demand."""

    def __init__(self, rule: BookRule, seed: int) -> None:
        self.rule = rule
        self.book = DictBook()
        self.rng = np.random.default_rng(seed)
        self.sequence = 1000
        self.book.apply(self._levels({999: 5.0}, {1001: 5.0}))
        self.states = {self.sequence: self._copy()}

    def diff(self) -> BookDelta:
        step = int(self.rng.integers(1, 4)) if self.rule is not BookRule.NEXT_BY_ONE else 1
        previous, first = self.sequence, self.sequence + 1
        self.sequence += step
        bids = {int(self.rng.integers(980, 1000)): float(self.rng.integers(0, 4))}
        asks = {int(self.rng.integers(1001, 1021)): float(self.rng.integers(0, 4))}
        levels = self._levels(bids, asks)
        self.book.apply(levels)
        self.states[self.sequence] = self._copy()
        stated = -1 if self.rule is BookRule.NEXT_BY_ONE else previous
        return BookDelta(ID, self.sequence, self.sequence, first, self.sequence, stated, levels)

    def snapshot(self) -> BookSnapshot:
        levels = self._levels(*self.book.sides)
        return BookSnapshot(ID, self.sequence, self.sequence, self.sequence, levels)

    def _copy(self) -> tuple[dict[int, float], dict[int, float]]:
        return dict(self.book.sides[0]), dict(self.book.sides[1])

    @staticmethod
    def _levels(bids: dict[int, float], asks: dict[int, float]) -> BookLevels:
        ticks = np.array([*bids, *asks], np.int64)
        return BookLevels(ticks, np.array([*bids.values(), *asks.values()]), len(bids))


def mistreat(venue: TrueVenue, plan: list[str]) -> Iterator[BookDelta]:
    """Diffs as a bad network delivers them."""
    held: list[BookDelta] = []
    for what in plan:
        diff = venue.diff()
        if what == "drop":
            continue
        if what == "hold":
            held.append(diff)
            continue
        yield diff
        if what == "twice":
            yield diff
        while held:
            yield held.pop()


def check(sync: BookSync, venue: TrueVenue) -> None:
    if sync.ladder is None:
        return
    truth = venue.states[sync.sequence]
    for side in (0, 1):
        ticks, quantity = sync.ladder.levels(side)
        assert dict(zip(ticks.tolist(), quantity.tolist(), strict=True)) == truth[side]


plan_st = st.lists(
    st.sampled_from(["send"] * 6 + ["drop", "twice", "hold"]), min_size=1, max_size=60
)


@settings(max_examples=80)
@pytest.mark.parametrize("rule", CHAINED)
@given(plan=plan_st, seed=st.integers(0, 10_000), delay=st.integers(0, 6))
def test_true_or_nothing_and_one_request_a_loss(
    rule: BookRule, plan: list[str], seed: int, delay: int
) -> None:
    venue, sync = TrueVenue(rule, seed), BookSync(ID, rule)
    waiting: list[int] = []
    requests = 0
    for diff in mistreat(venue, plan):
        need = sync.push(diff)
        check(sync, venue)
        if isinstance(need, NeedSnapshot):
            requests += 1
            waiting.append(delay)
        waiting = [w - 1 for w in waiting]
        if waiting and waiting[0] < 0:
            waiting.pop(0)
            again = sync.push(venue.snapshot())
            check(sync, venue)
            if again is not None:
                requests += 1
                waiting.append(delay)
    bad = sum(what != "send" for what in plan)
    # The first snapshot, one a disturbance, and a retry where diffs overtook the reply.
    assert requests <= 1 + 2 * bad + 1
    # Left alone, it gets live and stays.
    for _ in range(3):
        need = sync.push(venue.diff())
        if need is not None or sync.ladder is None:
            sync.push(venue.snapshot())
        check(sync, venue)
    sync.push(venue.diff())
    assert sync.ladder is not None
    check(sync, venue)


@pytest.mark.parametrize("rule", CHAINED)
def test_a_gap_voids_the_book_and_asks_once(rule: BookRule) -> None:
    venue, sync = TrueVenue(rule, 1), BookSync(ID, rule)
    sync.push(venue.diff())
    sync.push(venue.snapshot())
    sync.push(venue.diff())
    assert sync.ladder is not None
    gap = Gap("v", "ws", 0, GapReason.DISCONNECT)
    assert sync.push(gap) is None
    assert sync.ladder is None
    assert sync.push(venue.diff()) is not None
    assert sync.push(venue.diff()) is None


def test_rest_snapshot_older_than_the_stream_asks_again() -> None:
    venue, sync = (
        TrueVenue(BookRule.REST_THEN_PREVIOUS, 2),
        BookSync(ID, BookRule.REST_THEN_PREVIOUS),
    )
    old = venue.snapshot()
    venue.diff()
    venue.diff()
    assert sync.push(venue.diff()) is not None
    assert sync.push(old) is not None
    assert sync.ladder is None


def test_okx_heartbeat_and_sequence_reset_are_legal() -> None:
    sync = BookSync(ID, BookRule.PREVIOUS_ID)
    some = TrueVenue._levels({10: 1.0}, {12: 1.0})
    none = TrueVenue._levels({}, {})
    sync.push(BookSnapshot(ID, 1, 1, 100, some))
    assert sync.push(BookDelta(ID, 2, 2, 100, 100, 100, none)) is None  # heartbeat
    assert sync.push(BookDelta(ID, 3, 3, 7, 7, 100, some)) is None  # maintenance: ids fall
    assert sync.push(BookDelta(ID, 4, 4, 9, 9, 7, some)) is None
    assert sync.ladder is not None
    assert sync.push(BookDelta(ID, 5, 5, 20, 20, 15, some)) is not None
    assert sync.ladder is None


def test_whole_books_replace_and_never_step_back() -> None:
    sync = BookSync(ID, BookRule.WHOLE)
    sync.push(BookSnapshot(ID, 10, 0, 0, TrueVenue._levels({10: 1.0}, {12: 1.0})))
    sync.push(BookSnapshot(ID, 5, 0, 0, TrueVenue._levels({9: 1.0}, {12: 1.0})))
    assert sync.ladder is not None
    assert sync.ladder.best_bid == 10
    assert sync.push(Gap("v", "ws", 0, GapReason.DISCONNECT)) is None
    assert sync.ladder is None
    sync.push(BookSnapshot(ID, 11, 0, 0, TrueVenue._levels({8: 1.0}, {12: 1.0})))
    assert sync.ladder is not None


def test_crossed_book_is_no_book() -> None:
    sync = BookSync(ID, BookRule.NEXT_BY_ONE)
    sync.push(BookSnapshot(ID, 1, 1, 1, TrueVenue._levels({10: 1.0}, {12: 1.0})))
    need = sync.push(BookDelta(ID, 2, 2, 2, 2, -1, TrueVenue._levels({13: 1.0}, {})))
    assert need is not None
    assert "crossed" in need.reason
    assert sync.ladder is None
