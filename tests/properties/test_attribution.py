"""Laws of the attribution: every change is explained, and the kernel is its slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.book.attribution import Attribution
from liqfield.book.attribution_kernels import ADDED, CANCELLED, FILLED
from liqfield.model.events import BookLevels
from tests.reference.attribution import SlowAttribution

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
    fast = Attribution(TOLERANCE)
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
    book = Attribution(TOLERANCE)
    book.restart(0)
    book.watch(999 * 2, 1)
    book.trade(999, 0, 3.0, 40)
    changes = book.delta(_levels({(0, 999): 2}), np.array([10.0]), 50, MID)
    assert changes.explained() == []
    assert [(t.tick, t.is_ask, t.filled, t.cancelled) for t in changes.touches()] == [
        (999, 0, 3.0, 5.0)
    ]


def test_a_trade_told_late_turns_the_cancellation_into_a_fill() -> None:
    book = Attribution(TOLERANCE)
    book.restart(0)
    book.watch(999 * 2, 1)
    book.delta(_levels({(0, 999): 2}), np.array([10.0]), 50, MID)
    book.trade(999, 0, 3.0, 40)
    changes = book.delta(_levels({(0, 998): 1}), np.array([0.0]), 60, MID)
    assert [(t.key, t.moved, t.refilled) for t in changes.explained()] == [(999 * 2, 3.0, 0.0)]
    assert book.totals.sum(axis=(0, 1)).tolist() == [1.0, 3.0, 5.0]


def test_a_trade_on_the_other_side_or_another_level_explains_nothing() -> None:
    book = Attribution(TOLERANCE)
    book.restart(0)
    book.trade(999, 1, 3.0, 40)
    book.trade(998, 0, 3.0, 40)
    book.delta(_levels({(0, 999): 2}), np.array([10.0]), 50, MID)
    assert book.totals.sum(axis=(0, 1))[CANCELLED] == 8.0


def test_a_level_that_is_hit_and_stands_was_refilled() -> None:
    book = Attribution(TOLERANCE)
    book.restart(0)
    book.watch(999 * 2, 1)
    book.trade(999, 0, 3.0, 40)
    book.delta(_levels({(0, 990): 1}), np.array([0.0]), 50, MID)
    changes = book.delta(_levels({(0, 990): 2}), np.array([1.0]), 200, MID)
    assert [(t.key, t.moved, t.refilled) for t in changes.explained()] == [(999 * 2, 0.0, 3.0)]
    assert book.totals.sum(axis=(0, 1)).tolist() == [5.0, 3.0, 0.0]


@pytest.mark.parametrize("low", [995, 1_000])
def test_levels_out_of_sight_are_not_judged(low: int) -> None:
    book = Attribution(TOLERANCE)
    book.restart(0)
    book.see(low, 1_010)
    book.delta(_levels({(0, 996): 0}), np.array([10.0]), 50, MID)
    assert book.totals.sum() == (10.0 if low == 995 else 0.0)
