"""The kernels that follow walls are their slow twin, for any story and any split of it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.book.attribution import Changes, Explained, Touch
from liqfield.book.bands import BANDS
from liqfield.book.wall_facts import SECOND_NS, WallEnd, WallSettings
from liqfield.book.walls import WallTracker
from liqfield.model.analytics import WallState
from tests.reference.walls import SlowWalls

MID = 10_000
SETTINGS = WallSettings(capacity=5, min_age_s=0.1)
START = 1_000 * SECOND_NS
tick_st = st.integers(-2, 2).map(lambda away: MID + 110 * away)
touch_st = st.tuples(
    tick_st, st.integers(0, 1), st.sampled_from([0, 1, 9, 12, 20, 40]), st.floats(0.0, 1.0)
)
story_st = st.lists(
    st.tuples(
        st.sampled_from(["fold"] * 20 + ["age", "age", "find", "forget"]),
        st.integers(0, 200),  # ms
        st.lists(touch_st, max_size=6),
        st.lists(st.tuples(tick_st, st.integers(0, 1), st.floats(0.0, 9.0)), max_size=4),
        st.integers(-200, 200),  # of the mid
    ),
    min_size=10,
    max_size=40,
)


class Both:
    """A tracker and its twin, told the same."""

    def __init__(self) -> None:
        self.watch = np.zeros((64, 2), np.int64)  # small: levels share cells
        self.fast = WallTracker(self.watch, SETTINGS)
        self.fast.large[:] = 10.0
        self.fast.usual[:] = 2.0
        self.fast.told[:] = 0.0
        self.slow = SlowWalls(SETTINGS, [10.0] * BANDS)
        self.book: dict[int, float] = {}
        self.facts: list[WallEnd] = []

    def touches(self, rows: list[tuple[int, int, int, float]]) -> list[Touch]:
        found = []
        for tick, is_ask, after, share in rows:
            before = self.book.get(tick * 2 + is_ask, 0.0)
            lost = max(before - after, 0.0)
            self.book[tick * 2 + is_ask] = float(after)
            filled = share * lost
            found.append(Touch(tick, is_ask, before, float(after), filled, lost - filled))
        return found

    def fold(self, touches: list[Touch], told: list[Explained], at_ns: int, mid: float) -> None:
        changes = Changes()
        for i, t in enumerate(touches):
            changes.touched[i] = (t.tick, t.is_ask, t.before, t.after, t.filled, t.cancelled)
            self.slow.touch(t, at_ns, mid)
        for i, one in enumerate(told):
            changes.told[:, i] = one.key, one.moved, one.refilled
            self.slow.explain(one)
        changes.touched_count, changes.told_count = len(touches), len(told)
        facts = self.fast.fold(changes, at_ns, at_ns, mid)
        self.facts += [fact for fact in facts if isinstance(fact, WallEnd)]
        self.slow.due(at_ns)

    def find(self, at_ns: int, mid: float) -> None:
        large = sorted((k & 1, k >> 1, size) for k, size in self.book.items() if size >= 10.0)
        ticks = np.array([tick for _, tick, _ in large], np.int64)
        sizes = np.array([size for *_, size in large])
        self.fast.find(ticks, sizes, sum(side == 0 for side, *_ in large), at_ns, mid)
        for side, tick, size in large:
            if tick * 2 + side not in self.slow.standing:
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
        assert int(self.watch[:, 0].sum()) == len(standing)
        assert int(self.watch[:, 1].sum()) == sum(standing)


@settings(max_examples=150)
@given(story=story_st)
def test_the_kernels_are_their_slow_twin(
    story: list[
        tuple[str, int, list[tuple[int, int, int, float]], list[tuple[int, int, float]], int]
    ],
) -> None:
    both, at_ns = Both(), START
    for what, after_ms, rows, trades, drift in story:
        at_ns += after_ms * 1_000_000
        mid = float(MID + drift)
        if what == "fold":
            told = [Explained(tick * 2 + side, coins, coins / 2) for tick, side, coins in trades]
            both.fold(both.touches(rows), told, at_ns, mid)
        elif what == "age":
            sight = MID - 200, MID + 200
            both.fast.age(1.0, at_ns, mid, sight)
            both.slow.age(1.0, at_ns, mid, sight)
        elif what == "find":
            both.find(at_ns, mid)
        else:
            both.fast.forget(at_ns)
            both.slow.forget(at_ns)
        both.check()
