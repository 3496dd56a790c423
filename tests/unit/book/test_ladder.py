"""The ladder equals two dicts, wherever the price goes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.book.ladder import ASK, BID, WINDOW, Ladder
from liqfield.model.events import BookLevels
from tests.reference.book import DictBook


def levels(bids: list[tuple[int, float]], asks: list[tuple[int, float]]) -> BookLevels:
    both = bids + asks
    return BookLevels(
        np.array([t for t, _ in both], np.int64), np.array([q for _, q in both]), len(bids)
    )


level_st = st.tuples(st.integers(-60, 60), st.sampled_from([0.0, 0.5, 1.0, 2.25]))
# Messages around centres that may lie many windows apart: the ladder must follow.
message_st = st.tuples(
    st.integers(-3, 3).map(lambda k: 10_000_000 + k * (WINDOW // 3)),
    st.lists(level_st, max_size=12),
    st.lists(level_st, max_size=12),
)


@settings(max_examples=60)
@given(st.lists(message_st, min_size=1, max_size=12))
def test_equals_two_dicts(
    messages: list[tuple[int, list[tuple[int, float]], list[tuple[int, float]]]],
) -> None:
    fast, slow = Ladder(), DictBook()
    for centre, bids, asks in messages:
        message = levels([(centre + t, q) for t, q in bids], [(centre + t, q) for t, q in asks])
        rested = _one_by_one(slow, message)
        fast.apply(message)
        assert fast.applied is message or not len(message.price_ticks)
        assert fast.before.tolist() == rested or not len(message.price_ticks)
    for side in (BID, ASK):
        ticks, quantity = fast.levels(side)
        assert dict(zip(ticks.tolist(), quantity.tolist(), strict=True)) == slow.sides[side]
        assert ticks.tolist() == sorted(ticks.tolist())
    want_bid = slow.top(BID, 1)
    want_ask = slow.top(ASK, 1)
    # The window follows the bid; a side wholly outside it is still found.
    assert fast.best_bid == (want_bid[0][0] if want_bid else None)
    assert fast.best_ask == (want_ask[0][0] if want_ask else None)


@settings(max_examples=40)
@given(st.lists(message_st, min_size=1, max_size=6), st.sampled_from([0.0, 1e-6, 1e-3, 0.02]))
def test_what_rests_near_the_touch_is_what_rests_there(
    messages: list[tuple[int, list[tuple[int, float]], list[tuple[int, float]]]], share: float
) -> None:
    fast = Ladder()
    for centre, bids, asks in messages:
        fast.apply(levels([(centre + t, q) for t, q in bids], [(centre + t, q) for t, q in asks]))
    bid, ask = fast.best_bid, fast.best_ask
    expected = (0.0, 0.0)
    if bid is not None and ask is not None:
        low, high = bid - math.floor(bid * share), ask + math.floor(ask * share) + 1
        expected = fast.resting(BID, low, bid + 1), fast.resting(ASK, ask, high)
    assert fast.near(share) == expected


def _one_by_one(book: DictBook, message: BookLevels) -> list[float]:
    """Apply a message level by level; what rested at each."""
    rested = []
    for i, (tick, coins) in enumerate(
        zip(message.price_ticks.tolist(), message.quantity.tolist(), strict=True)
    ):
        side = BID if i < message.bid_count else ASK
        rested.append(book.sides[side].get(tick, 0.0))
        one = [(tick, coins)]
        book.apply(levels(one, []) if side == BID else levels([], one))
    return rested


def test_far_levels_come_and_go_by_the_thousand() -> None:
    """The table of far levels grows, forgets what was deleted, and keeps the rest."""
    fast, slow = Ladder(), DictBook()
    centre = 10_000_000
    for turn in range(40):
        first = centre + WINDOW + turn * 700
        gone = [(first - 2_100 + k, 0.0) for k in range(0, 700, 2)]
        message = levels([(centre, 1.0 + turn)], [(first + k, 0.5 + k) for k in range(700)] + gone)
        fast.apply(message)
        slow.apply(message)
    ticks, quantity = fast.levels(ASK)
    assert dict(zip(ticks.tolist(), quantity.tolist(), strict=True)) == slow.sides[ASK]
    assert [fast.quantity(ASK, t) for t in ticks[:50].tolist()] == quantity[:50].tolist()
    best, _ = fast.top(ASK, 3)
    assert best.tolist() == ticks[:3].tolist() == sorted(slow.sides[ASK])[:3]
    assert fast.best_ask == best[0]
    price, quantity = fast.best_first(ASK, 0, 1 << 60, 1.0)
    assert dict(zip(price.tolist(), quantity.tolist(), strict=True)) == slow.sides[ASK]
    assert price.tolist() == sorted(price.tolist())
    assert fast.farthest(ASK) == price[-1]


@given(st.lists(st.integers(1, 300), min_size=1, unique=True), st.integers(1, 30))
def test_top_is_best_first(ticks: list[int], count: int) -> None:
    fast = Ladder()
    fast.replace(levels([(t, float(t)) for t in ticks], [(t + 1000, 1.0) for t in ticks]))
    got, quantity = fast.top(BID, count)
    assert got.tolist() == sorted(ticks, reverse=True)[:count]
    assert quantity.tolist() == [float(t) for t in got.tolist()]
    assert fast.top(ASK, count)[0].tolist() == [t + 1000 for t in sorted(ticks)[:count]]


def test_digest_does_not_depend_on_the_window() -> None:
    a, b = Ladder(), Ladder()
    a.replace(levels([(100, 1.0)], [(101, 2.0)]))
    b.replace(levels([(90_000_000, 1.0)], []))
    b.apply(levels([(90_000_000, 0.0), (100, 1.0)], [(101, 2.0)]))
    assert a.digest() == b.digest()


def test_crossed_is_seen() -> None:
    ladder = Ladder()
    ladder.replace(levels([(100, 1.0)], [(101, 1.0)]))
    assert not ladder.is_crossed
    ladder.apply(levels([(101, 1.0)], []))
    assert ladder.is_crossed


def test_levels_in_any_array_are_read() -> None:
    """Kernels read plain arrays where they lie; others are copied first."""
    table = np.array([[100.0, 1.0], [99.0, 2.0], [102.0, 4.0]])
    ladder = Ladder()
    ladder.replace(levels([(98, 1.0)], [(103, 1.0)]))
    for ticks in (table[:, 0].astype(np.int32), table[:, 0].astype(">i8"), table[:, 0]):
        message = BookLevels(ticks, table[:, 1], 2)  # type: ignore[arg-type]
        ladder.apply(message)
        assert ladder.applied is message
        assert ladder.levels(BID)[0].tolist() == [98, 99, 100]
        assert ladder.levels(BID)[1].tolist() == [1.0, 2.0, 1.0]
        assert ladder.levels(ASK)[0].tolist() == [102, 103]
        assert (ladder.best_bid, ladder.best_ask) == (100, 102)
        ladder.apply(BookLevels(message.price_ticks, np.zeros(3), 2))
        assert (ladder.best_bid, ladder.best_ask) == (98, 103)


@pytest.mark.parametrize(
    ("bids", "first", "last"), [(4, 0, -1), (-1, 0, -1), (2, 2, 3), (1, -2, 2)]
)
def test_parts_that_are_none_are_refused(bids: int, first: int, last: int) -> None:
    ladder = Ladder()
    ladder.replace(levels([(98, 1.0)], [(103, 1.0)]))
    with pytest.raises(ValueError, match="no levels"):
        ladder.apply(BookLevels(np.array([1, 2, 3]), np.ones(3), bids, first, last))
    with pytest.raises(TypeError):
        ladder.apply(BookLevels(np.array([1]), np.ones(1), "one"))  # type: ignore[arg-type]
    assert (ladder.best_bid, ladder.best_ask) == (98, 103)


@given(
    st.lists(st.integers(-2 * WINDOW, 2 * WINDOW), min_size=1, max_size=30, unique=True),
    st.integers(-3 * WINDOW, 3 * WINDOW),
    st.integers(0, 3 * WINDOW),
)
def test_between_is_in_order_in_and_outside_the_window(
    away: list[int], low: int, span: int
) -> None:
    centre = 10_000_000
    bids = [(centre - abs(t) - 1, 1.0 + abs(t)) for t in away]
    asks = [(centre + abs(t), 2.0 + abs(t)) for t in away]
    fast, slow = Ladder(), DictBook()
    message = levels([(centre - 1, 1.0), *bids], asks)
    fast.replace(message)
    slow.apply(message)
    for side in (BID, ASK):
        ticks, quantity = fast.between(side, centre + low, centre + low + span)
        want = sorted(
            (t, q) for t, q in slow.sides[side].items() if centre + low <= t < centre + low + span
        )
        assert list(zip(ticks.tolist(), quantity.tolist(), strict=True)) == want
        price, quantity = fast.best_first(side, centre + low, centre + low + span, 0.5)
        best_first = [(t * 0.5, q) for t, q in (want[::-1] if side == BID else want)]
        assert list(zip(price.tolist(), quantity.tolist(), strict=True)) == best_first
        every = slow.sides[side]
        assert not every or fast.farthest(side) == (min(every) if side == BID else max(every))
        assert fast.resting(side, centre + low, centre + low + span) == sum(q for _, q in want)
