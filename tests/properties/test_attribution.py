"""Laws of the attribution: every change is explained, and the kernel is its slow twin."""

from __future__ import annotations

import math
import sys
from typing import cast

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.book.attribution import LOSSES, WATCH
from liqfield.book.attribution_kernels import ADDED, CANCELLED, FILLED
from liqfield.book.bands import EDGES, band_at, band_of
from liqfield.model.events import BookLevels, IntArray
from tests.reference.attribution import SlowAttribution
from tests.support import TapedAttribution

TOLERANCE = 100
MID = 1_000.0
level_st = st.tuples(st.integers(0, 1), st.integers(990, 1010))
trade_st = st.tuples(level_st, st.integers(1, 5), st.integers(-260, 90))
message_st = st.tuples(
    st.integers(1, 120),
    st.dictionaries(level_st, st.integers(0, 8), min_size=1, max_size=6),
    st.lists(trade_st, max_size=4),
)


def _levels(changes: dict[tuple[int, int], int]) -> BookLevels:
    rows = sorted(changes.items())
    return BookLevels(
        np.array([tick for (_, tick), _ in rows], np.int64),
        np.array([float(quantity) for _, quantity in rows]),
        sum(is_ask == 0 for (is_ask, _), _ in rows),
    )


@settings(max_examples=150)
@given(story=st.lists(message_st, min_size=1, max_size=25))
def test_the_kernel_is_its_slow_twin_and_every_change_is_explained(
    story: list[tuple[int, dict[tuple[int, int], int], list[tuple[tuple[int, int], int, int]]]],
) -> None:
    """Whole numbers: the law holds exactly, level by level."""
    fast = TapedAttribution(TOLERANCE)
    start = 1_000
    fast.restart(start)
    slow = SlowAttribution(start, TOLERANCE)
    book: dict[tuple[int, int], int] = {}
    first: dict[tuple[int, int], int] = {}
    at, traded = start, 0
    for step, changes, trades in story:
        at += step
        told = [(of[0], of[1], float(q), max(at + away, 1)) for of, q, away in trades]
        for is_ask, tick, coins, ns in told:
            fast.trade(tick, is_ask, coins, ns)
            traded += int(coins)
        if len(told) == 2:  # some trades are looked at before their message, which changes nothing
            fast.settle()
        slow.trades(told)
        levels = _levels(changes)
        before = [book.get(key, 0) for key, _ in sorted(changes.items())]
        fast.delta(levels, np.array(before, np.float64), at, MID)
        rows = [
            (key[0], key[1], float(was), float(now))
            for (key, now), was in zip(sorted(changes.items()), before, strict=True)
        ]
        slow.message(rows, at)
        for key, now in changes.items():
            first.setdefault(key, 0)
            book[key] = now
    totals = fast.totals.sum(axis=1)
    for is_ask in (0, 1):
        cells = [cell for (side, _), cell in slow.by_level.items() if side == is_ask]
        assert totals[is_ask].tolist() == [sum(cell[k] for cell in cells) for k in range(3)]
    waiting = sum(trade[2] for trade in slow.waiting)
    assert fast.pending == waiting
    assert totals[:, FILLED].sum() + waiting == traded, "every coin that traded is in its place"
    for key, cell in slow.by_level.items():
        assert cell[0] - cell[1] - cell[2] == book.get(key, 0) - first.get(key, 0)
        assert min(cell) >= 0.0
    net = totals[:, ADDED] - totals[:, FILLED] - totals[:, CANCELLED]
    assert net.sum() == sum(book.values())


def test_a_trade_before_its_message_is_a_fill_and_the_rest_was_cancelled() -> None:
    book = TapedAttribution(TOLERANCE)
    book.restart(0)
    book.watch(999 * 2, 1)
    book.trade(999, 0, 3.0, 40)
    book.delta(_levels({(0, 999): 2}), np.array([10.0]), 50, MID)
    assert book.explained() == []
    assert [(t.tick, t.is_ask, t.filled, t.cancelled) for t in book.touches()] == [
        (999, 0, 3.0, 5.0)
    ]


def test_a_trade_told_late_turns_the_cancellation_into_a_fill() -> None:
    book = TapedAttribution(TOLERANCE)
    book.restart(0)
    book.watch(999 * 2, 1)
    book.delta(_levels({(0, 999): 2}), np.array([10.0]), 50, MID)
    book.trade(999, 0, 3.0, 40)
    book.delta(_levels({(0, 998): 1}), np.array([0.0]), 60, MID)
    assert [(t.key, t.moved, t.refilled) for t in book.explained()] == [(999 * 2, 3.0, 0.0)]
    assert book.totals.sum(axis=(0, 1)).tolist() == [1.0, 3.0, 5.0]


def test_a_trade_on_the_other_side_or_another_level_explains_nothing() -> None:
    book = TapedAttribution(TOLERANCE)
    book.restart(0)
    book.trade(999, 1, 3.0, 40)
    book.trade(998, 0, 3.0, 40)
    book.delta(_levels({(0, 999): 2}), np.array([10.0]), 50, MID)
    assert book.totals.sum(axis=(0, 1))[CANCELLED] == 8.0


def test_a_level_that_is_hit_and_stands_was_refilled() -> None:
    book = TapedAttribution(TOLERANCE)
    book.restart(0)
    book.watch(999 * 2, 1)
    book.trade(999, 0, 3.0, 40)
    book.delta(_levels({(0, 990): 1}), np.array([0.0]), 50, MID)
    book.delta(_levels({(0, 990): 2}), np.array([1.0]), 200, MID)
    assert [(t.key, t.moved, t.refilled) for t in book.explained()] == [(999 * 2, 0.0, 3.0)]
    assert book.totals.sum(axis=(0, 1)).tolist() == [5.0, 3.0, 0.0]


@pytest.mark.parametrize(("width", "judged"), [(4.5, True), (4.4, False)])
def test_the_edge_of_a_window_is_not_judged(width: float, judged: bool) -> None:
    """Four ticks away: nine tenths of the window, or more."""
    book = TapedAttribution(TOLERANCE)
    book.restart(0)
    book.see(width, 10.0)
    book.delta(_levels({(0, 996): 0}), np.array([10.0]), 50, MID)
    assert book.totals.sum() == (10.0 if judged else 0.0)


def test_late_trades_find_what_the_ring_holds_of_their_level() -> None:
    """Two levels in one cell of the chain, more losses than the ring holds, a replaced book."""
    book = TapedAttribution(TOLERANCE)
    ticks = [1_000, 1_000 + WATCH // 2]
    for start in (0, 1_000_000):
        book.restart(start)
        for n in range(LOSSES + 1_000):
            last = start + 10 + n // 1_000
            book.delta(_levels({(0, ticks[n % 2]): 0}), np.array([2.0]), last, MID)
        before = book.totals.sum(axis=(0, 1))
        for tick in (*ticks, 1_001):
            book.trade(tick, 0, 3.0, last)
        book.trade(ticks[0], 0, 1e6, last)
        book.delta(_levels({(0, 990): 1}), np.array([0.0]), last + 1, MID)
        moved = book.totals.sum(axis=(0, 1)) - before
        assert moved[FILLED] == -moved[CANCELLED] == 2.0 * LOSSES / 2 + 3.0
        assert book.pending == 3 * 3.0 + 1e6 - moved[FILLED]


def test_trades_of_a_silent_book_are_dropped_when_the_tape_is_half_full() -> None:
    """They still count as aggression; those after them are judged."""
    book = TapedAttribution(TOLERANCE)
    book.restart(0)
    for _ in range(17_000):
        book.trade(999, 0, 1.0, 40)
    dropped = book.dropped
    assert 16_384 < dropped <= 17_000
    book.delta(_levels({(0, 999): 2}), np.array([2_000.0]), 50, MID)
    assert book.dropped == dropped
    assert book.totals.sum(axis=(0, 1))[FILLED] == 17_000 - dropped
    assert book.aggression.sum() == 17_000.0


def test_levels_in_any_array_and_of_any_number_are_folded() -> None:
    """Columns of a table, other types, more levels than there is room for; nothing is kept."""
    count = 200
    table = np.array([[990.0 - k, 1.0] for k in range(count)])
    plain, odd = TapedAttribution(TOLERANCE), TapedAttribution(TOLERANCE)
    for book, ticks, coins in (
        (plain, table[:, 0].astype(np.int64), table[:, 1].copy()),
        (odd, cast("IntArray", table[:, 0].astype(np.int32)), table[:, 1]),
    ):
        book.restart(0)
        levels, before = BookLevels(ticks, coins, count), np.full(count + 3, 3.0)
        counted = [sys.getrefcount(of) for of in (levels, ticks, coins, before)]
        for at_ns in (10, 20):
            book.delta(levels, before, at_ns, MID)
        assert [sys.getrefcount(of) for of in (levels, ticks, coins, before)] == counted
    assert (plain.totals == odd.totals).all()
    assert plain.totals[0, :, CANCELLED].sum() == 2 * 2.0 * count
    with pytest.raises(TypeError):
        plain._fold(None, before, 30, MID, 0)
    with pytest.raises(ValueError, match="no levels"):
        plain.delta(levels, before[:9], 30, MID)


distance_st = st.one_of(st.floats(0.0, 2.0), st.sampled_from([*EDGES.tolist(), math.inf]))


@given(distance=distance_st)
def test_a_band_is_read_off_the_exponent(distance: float) -> None:
    for near in (distance, math.nextafter(distance, 0.0), math.nextafter(distance, 1.0)):
        assert _band_at(near) == band_of(near)


_band_at = numba.njit(lambda distance: band_at(distance))  # kernels only
