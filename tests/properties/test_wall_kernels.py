"""The kernels that follow walls are their slow twin, for any story and any split of it."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.book.attribution import Touch
from liqfield.book.bands import BANDS, band_of
from liqfield.book.wall_facts import WallEnd, WallSettings
from liqfield.book.walls import WallTracker
from liqfield.model.analytics import WallState
from liqfield.model.durations import SECOND_NS
from liqfield.model.events import BookLevels
from tests.reference.walls import SlowWalls
from tests.support import TapedAttribution

MID = 200_000
APART = 2_048  # ticks: two levels of a side so far apart share a cell of the watch
SHOWN = 5_000.0  # ticks from the mid
SETTINGS = WallSettings(capacity=5, min_age_s=0.1)
START = 1_000 * SECOND_NS
tick_st = st.integers(-2, 2).map(lambda away: MID + APART * away)
side_st = st.integers(0, 1)
story_st = st.lists(
    st.tuples(
        st.sampled_from(["fold"] * 20 + ["age", "age", "find", "forget"]),
        st.integers(0, 200),  # ms
        st.dictionaries(
            st.tuples(side_st, tick_st), st.sampled_from([0, 1, 9, 12, 20, 40]), max_size=6
        ),
        # Trades: level, coins, ms before the message.
        st.lists(
            st.tuples(side_st, tick_st, st.floats(0.5, 30.0), st.integers(0, 250)), max_size=4
        ),
        st.integers(-4_000, 4_000),  # of the mid
    ),
    min_size=10,
    max_size=40,
)


class Both:
    """A tracker behind an attribution, and its twin, told what the attribution reports."""

    def __init__(self) -> None:
        self.attribution = TapedAttribution()
        self.attribution.restart(START)
        self.attribution.see(SHOWN, SHOWN)
        self.fast = WallTracker(self.attribution, SETTINGS)
        self.fast.large[:] = 10.0
        self.fast.usual[:] = 2.0
        self.fast.told[:] = 0.0
        self.slow = SlowWalls(SETTINGS, [10.0] * BANDS)
        self.book: dict[int, float] = {}
        self.facts: list[WallEnd] = []

    def fold(
        self,
        changes: dict[tuple[int, int], int],
        trades: list[tuple[int, int, float, int]],
        at_ns: int,
        mid: float,
    ) -> None:
        for side, tick, coins, ms in trades:
            self.attribution.trade(tick, side, coins, at_ns - ms * 1_000_000)
        rows = sorted(changes.items())
        keys = [tick * 2 + side for (side, tick), _ in rows]
        before = np.array([self.book.get(key, 0.0) for key in keys])
        levels = BookLevels(
            np.array([tick for (_, tick), _ in rows], np.int64),
            np.array([float(after) for _, after in rows]),
            sum(side == 0 for (side, _), _ in rows),
        )
        self.book.update(zip(keys, levels.quantity.tolist(), strict=True))
        judged = self.attribution.delta(levels, before, at_ns, mid)
        for touch in self.attribution.touches():
            self.slow.touch(touch, at_ns, mid)
        for one in self.attribution.explained():
            self.slow.explain(one)
        facts = self.fast.facts(judged)
        self.facts += [fact for fact in facts if isinstance(fact, WallEnd)]
        self.slow.due(at_ns)

    def find(self, at_ns: int, mid: float) -> None:
        levels = sorted((k & 1, k >> 1, size) for k, size in self.book.items())
        ticks = np.array([tick for _, tick, _ in levels], np.int64)
        sizes = np.array([size for *_, size in levels])
        bands = np.array([band_of(abs(tick / mid - 1.0)) for _, tick, _ in levels], np.int64)
        bids = sum(side == 0 for side, *_ in levels)
        self.fast.find(ticks, sizes, bands, bids, at_ns, mid)
        for side, tick, size in levels:
            if size >= 10.0 and tick * 2 + side not in self.slow.standing:
                self.slow.touch(
                    Touch(tick, side, size, size, 0.0, 0.0), at_ns, mid, seen_born=False
                )

    def check(self) -> None:
        standing = self.fast.standing
        assert sorted(self.slow.standing) == list(standing)
        for key, wall in standing.items():
            for name in ("born_ns", "grown_ns", "ended_ns", "size", "peak"):
                assert getattr(wall, name) == getattr(self.slow.standing[key], name), name
            for name in ("filled", "cancelled", "distance"):
                assert getattr(wall, name) == getattr(self.slow.standing[key], name), name
        for name in ("by_age", "approach", "exposure_s", "ends_at"):
            fast, slow = getattr(self.fast.survival, name), getattr(self.slow.survival, name)
            assert fast.tolist() == slow.tolist(), name
        assert self.fast.ignored == self.slow.ignored
        told = [(e.tick * 2 + e.is_ask, e.born_ns, e.ended_ns) for e in self.facts]
        assert told == [row[:3] for row in self.slow.judged]
        for end, row in zip(self.facts, self.slow.judged, strict=True):
            assert end.pull_ratio == row[3]
            assert (end.state is WallState.FILLED) == (row[3] < SETTINGS.pulled_share)
        # What is watched is what stands.
        watched = self.attribution.watched
        assert int(watched[:, 0].sum()) == len(standing)
        assert int(watched[:, 1].sum()) == sum(standing)


@settings(max_examples=150)
@given(story=story_st)
def test_the_kernels_are_their_slow_twin(
    story: list[
        tuple[str, int, dict[tuple[int, int], int], list[tuple[int, int, float, int]], int]
    ],
) -> None:
    both, at_ns = Both(), START
    for what, after_ms, changes, trades, drift in story:
        at_ns += after_ms * 1_000_000
        mid = float(MID + drift)
        if what == "fold":
            both.fold(changes, trades, at_ns, mid)
        elif what == "age":
            both.fast.age(1.0, at_ns, mid)
            sight = math.ceil(mid - 0.9 * SHOWN), math.floor(mid + 0.9 * SHOWN)
            both.slow.age(1.0, at_ns, mid, sight)
        elif what == "find":
            both.find(at_ns, mid)
        else:
            both.fast.forget(at_ns)
            both.slow.forget(at_ns)
        both.check()
