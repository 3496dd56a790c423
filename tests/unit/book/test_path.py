"""The way to a cluster: what rests, against what is usual, what is forced, and who builds there."""

from __future__ import annotations

import math

import numpy as np
import pytest

from liqfield.book.ladder import ASK, BID
from liqfield.book.path import PathSettings, path_views, usual_within
from liqfield.book.reader import BookReader
from liqfield.book.sync import BookSync
from liqfield.book.usual import SAMPLE_NS
from liqfield.model.analytics import Confluence, PathClass, PathView
from liqfield.model.estimates import Cluster, Confidence, LiquidationDensity
from liqfield.model.events import BookDelta, BookLevels, BookSnapshot, Gap
from liqfield.model.grid import PriceGrid
from liqfield.model.sides import BookRule, GapReason, PositionSide
from liqfield.model.tape import TradeTape

SECOND_NS = 1_000_000_000
START = 1_790_000_000 * SECOND_NS
TICK = 1.0
MID = 60_000
REACH = 1_200  # ticks a side: 2 %


def cluster(side: PositionSide, near: float, width: float = 100.0) -> Cluster:
    low, high = (near - width, near) if side is PositionSide.LONG else (near, near + width)
    return Cluster(
        side, low, high, 0.5 * (low + high), 5e7, 4e7, 6e7, near / MID - 1.0,
        (0.0, 5e7, 0.0), {"v": 5e7}, 0.0, 0.0, False, Confidence(1.0),
    )  # fmt: skip


class Book:
    """One venue whose every tick holds `thick` coins on a side."""

    def __init__(self, rule: BookRule = BookRule.NEXT_BY_ONE, name: str = "v") -> None:
        self.sync = BookSync(f"{name}:X", rule)
        self.reader = BookReader(self.sync, TICK, TradeTape(), 0)
        self.now, self.sequence = START, 0
        self.thick = {BID: 1.0, ASK: 1.0}

    def show(self, seconds: float = 10.0, mid: int = MID, extra: float = 0.0) -> None:
        """A fresh snapshot; `extra` coins more on every bid from 59_400 to 59_459."""
        self.now += round(seconds * SECOND_NS)
        self.sequence += 1
        rows = [(mid - k, self.thick[BID] + extra * (59_400 <= mid - k < 59_460))
                for k in range(1, REACH)]  # fmt: skip
        asks = [(mid + k, self.thick[ASK]) for k in range(1, REACH)]
        ticks, quantity = zip(*rows, *asks, strict=True)
        levels = BookLevels(np.array(ticks, np.int64), np.array(quantity), len(rows))
        event: BookSnapshot | BookDelta
        if self.sync.ladder is None:
            event = BookSnapshot(self.sync.instrument_id, self.now, self.now, self.sequence, levels)
        else:
            gone = sorted(set(self.sync.ladder.levels(BID)[0]) - {t for t, _ in rows})
            gone_asks = sorted(set(self.sync.ladder.levels(ASK)[0]) - {t for t, _ in asks})
            levels = BookLevels(
                np.array([*gone, *ticks, *gone_asks], np.int64),
                np.array([*[0.0] * len(gone), *quantity, *[0.0] * len(gone_asks)]),
                len(gone) + len(rows),
            )
            now, at = self.now, self.sequence
            event = BookDelta(self.sync.instrument_id, now, now, at, at, -1, levels)
        assert event.levels.bid_count >= len(rows)
        self.sync.push(event)
        self.reader.after(event, self.now)
        assert self.sync.ladder is not None


def view(book: Book, of: Cluster, **books: Book) -> PathView:
    readers = {"v:X": book.reader} | {f"{k}:X": b.reader for k, b in books.items()}
    (found,) = path_views([of], None, readers, book.now)
    return found


LONG_600 = cluster(PositionSide.LONG, MID - 600)


def learnt(rule: BookRule = BookRule.NEXT_BY_ONE, name: str = "v") -> Book:
    book = Book(rule, name)
    for _ in range(30):
        book.show()
    return book


def test_resting_is_the_sum_of_the_levels_on_the_way() -> None:
    for side, sign in ((PositionSide.LONG, -1), (PositionSide.SHORT, 1)):
        found = view(learnt(), cluster(side, MID + sign * 600))
        assert found.resting_usd == pytest.approx(sum(MID + sign * k for k in range(1, 601)))
        assert found.visible_share == 1.0
        assert found.path_class is PathClass.NEUTRAL
        assert found.ratio == pytest.approx(1.0, rel=0.02)
        assert "median of the last 5 min" in found.reasons


@pytest.mark.parametrize(
    ("thick", "expected"),
    [
        (2.1, PathClass.DEFENDED),
        (1.8, PathClass.NEUTRAL),
        (0.6, PathClass.NEUTRAL),
        (0.45, PathClass.HOLLOW),
    ],
)
def test_the_class_is_against_the_usual_depth(thick: float, expected: PathClass) -> None:
    book = learnt()
    book.thick[BID] = thick
    book.show(1.0)
    found = view(book, LONG_600)
    assert found.path_class is expected
    assert found.ratio == pytest.approx(thick, rel=0.02)
    other = view(book, cluster(PositionSide.SHORT, MID + 600))
    assert other.path_class is PathClass.NEUTRAL, "the other side did not change"


def test_nothing_is_claimed_before_it_is_learnt() -> None:
    book = Book()
    book.show()
    found = view(book, LONG_600)
    assert (found.path_class, found.ratio, found.usual_usd) == (PathClass.UNKNOWN, None, None)
    assert (found.confluence, found.edge_change) == (Confluence.UNKNOWN, None)
    assert "usual depth not learnt yet" in found.reasons


def test_a_venue_without_a_book_drops_out_of_both_sums_and_is_named() -> None:
    one, two = learnt(), learnt(name="w")
    both = view(one, LONG_600, w=two)
    assert both.resting_usd == pytest.approx(2.0 * view(one, LONG_600).resting_usd)
    two.sync.push(Gap("w", "ws", two.now, GapReason.DISCONNECT))
    two.reader.gap(two.now)
    left = view(one, LONG_600, w=two)
    assert left.resting_usd == view(one, LONG_600).resting_usd
    assert left.ratio == pytest.approx(1.0, rel=0.02)
    assert "w has no book" in left.reasons


def test_beyond_the_view_it_is_extrapolated_and_said() -> None:
    far = cluster(PositionSide.LONG, MID - 2.0 * REACH)
    found = view(learnt(), far)
    assert found.visible_share == pytest.approx(0.5, abs=0.01)
    assert any("extrapolated" in reason for reason in found.reasons)
    # Even depth goes on evenly.
    assert found.resting_usd == pytest.approx(2.0 * REACH * MID, rel=0.05)
    near = view(learnt(), LONG_600)
    assert found.stressed_usd_p10 / found.resting_usd < near.stressed_usd_p10 / near.resting_usd


def test_stress_is_the_published_thinning() -> None:
    found = view(learnt(), LONG_600)
    assert found.stressed_usd_p10 == pytest.approx(found.resting_usd / 17.0)
    assert found.stressed_usd_p90 == pytest.approx(found.resting_usd * 17.0 / 3.4**2, rel=1e-6) or (
        found.stressed_usd_p90 == found.resting_usd
    )
    assert found.stressed_usd_p90 <= found.resting_usd


def test_forced_on_the_way_is_the_density_between_mark_and_edge() -> None:
    grid = PriceGrid.around(float(MID), 0.001, 200)
    usd = np.zeros((2, 3, 200))
    usd[0, 1] = 1e6
    usd[1, 1] = 7e6
    sides = usd.sum(axis=1)
    density = LiquidationDensity(
        "v:X", START, float(MID), grid, usd, np.zeros(2), 1e9,
        Confidence(1.0), 0.5, p10=sides, p90=sides,
    )  # fmt: skip
    book = learnt()
    near = MID * math.exp(-0.0105)
    (found,) = path_views(
        [cluster(PositionSide.LONG, near)], density, {"v:X": book.reader}, book.now
    )
    bins = grid.bin_of(MID) - grid.bin_of(near) + 1
    assert found.forced_usd == pytest.approx(bins * 1e6 * 0.5)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [(2.0, Confluence.BUILDING), (0.0, Confluence.STEADY), (-0.9, Confluence.THINNING)],
)
def test_walls_that_build_or_thin_at_the_near_edge_while_the_price_comes(
    extra: float, expected: Confluence
) -> None:
    book = Book()
    for _ in range(60):
        book.show()
    for step in range(20):
        book.show(mid=MID - 15 * (step + 1), extra=extra if step > 8 else 0.0)
    found = view(book, cluster(PositionSide.LONG, 59_430.0))
    assert found.confluence is expected
    assert found.edge_change is not None
    assert found.edge_usd > 0.0


def test_an_edge_that_grows_while_the_price_stands_still_is_no_confluence() -> None:
    book = Book()
    for step in range(80):
        book.show(extra=2.0 if step > 70 else 0.0)
    found = view(book, cluster(PositionSide.LONG, 59_430.0))
    assert found.confluence is Confluence.STEADY
    assert found.edge_change is not None
    assert found.edge_change > 0.5
    assert "price is not approaching" in found.reasons


def test_usual_between_the_edges_is_read_in_logarithms() -> None:
    usual = np.array([1.0, 2.0, 4.0, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan])
    assert usual_within(usual, 0.0005) == pytest.approx(2.0)
    assert usual_within(usual, 0.0005 * math.sqrt(2.0)) == pytest.approx(2.0 * math.sqrt(2.0))
    assert usual_within(usual, 0.0015) == pytest.approx(6.0)
    assert usual_within(usual, 0.01) is None
    assert usual_within(np.full(10, np.nan), 0.001) is None


def test_thresholds_are_settings() -> None:
    book = learnt()
    book.thick[BID] = 1.6
    book.show(1.0)
    tuned = PathSettings(defended=1.5)
    (found,) = path_views([LONG_600], None, {"v:X": book.reader}, book.now, tuned)
    assert found.path_class is PathClass.DEFENDED
    assert SAMPLE_NS == 10 * SECOND_NS
