"""The composite: sums of true books, and silence about a venue is impossible."""

from __future__ import annotations

import numpy as np
import pytest

from liqfield.book.composite import BookSource, compose, nice_step
from liqfield.book.sync import BookSync
from liqfield.model.events import BookLevels, BookSnapshot, Gap
from liqfield.model.sides import BookRule, GapReason


def source(venue: str, unit: float, bids: dict[int, float], asks: dict[int, float]) -> BookSource:
    sync = BookSync(f"{venue}:X", BookRule.NEXT_BY_ONE)
    levels = BookLevels(
        np.array([*bids, *asks], np.int64), np.array([*bids.values(), *asks.values()]), len(bids)
    )
    sync.push(BookSnapshot(sync.instrument_id, 1, 1, 1, levels))
    return BookSource(venue, sync, unit)


def test_rows_add_up_over_venues_and_ticks() -> None:
    a = source("a", 0.1, {999: 1.0, 995: 2.0}, {1001: 4.0})
    b = source("b", 0.5, {199: 8.0}, {201: 16.0, 210: 32.0})
    view = compose("X", [a, b], at_ns=5, step=1.0, rows=20)
    assert view is not None
    price = (view.first_row + np.arange(20)) * view.step
    assert dict(zip(price[view.bid > 0], view.bid[view.bid > 0], strict=True)) == {99.0: 11.0}
    asks = dict(zip(price[view.ask > 0], view.ask[view.ask > 0], strict=True))
    assert asks == {100.0: 20.0, 105.0: 32.0}
    assert (view.best_bid, view.best_ask) == pytest.approx((99.9, 100.1))


def test_a_venue_in_gap_is_dropped_within_one_step_and_named() -> None:
    a = source("a", 0.1, {999: 1.0}, {1001: 4.0})
    b = source("b", 0.1, {999: 1.0}, {1001: 4.0})
    b.sync.push(Gap("b", "ws", 0, GapReason.SEQUENCE))
    view = compose("X", [a, b], at_ns=5, step=1.0)
    assert view is not None
    assert view.venues == ("a",)
    assert list(view.absent) == ["b"]
    assert view.ask.sum() == 4.0
    a.sync.push(Gap("a", "ws", 0, GapReason.SEQUENCE))
    assert compose("X", [a, b], at_ns=5) is None


@pytest.mark.parametrize(("price", "step"), [(84_000.0, 10.0), (1_900.0, 0.2), (77.3, 0.01)])
def test_steps_are_nice(price: float, step: float) -> None:
    assert nice_step(price) == pytest.approx(step)
