"""Walls: the life of large resting orders of one book, from what the book and its trades show.

A wall is a level that grew to at least `times_usual` times the usual size at its distance and to
the `quantile` of sizes there. It ends when little of it is left; how is told by the loss since it
was last near its peak: mostly trades means filled, mostly cancellations means pulled. A venue may
tell of trades after the book, so the verdict waits `verdict_ns`; a level that is back by then did
not end. Books by price level carry no owners: all of this is inference, and intent is not visible.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np

from liqfield.book.attribution import Changes
from liqfield.book.bands import BANDS, band_of
from liqfield.book.patterns import PulledPatterns
from liqfield.book.sizes import LevelSizes
from liqfield.book.survival import PULLED, Survival
from liqfield.book.wall_facts import SECOND_NS, Wall, WallEnd, WallFact, WallSettings
from liqfield.book.wall_kernels import (
    BORN_DISTANCE,
    CANCEL,
    DISTANCE,
    END_DISTANCE,
    ENDING,
    FILL,
    FREE,
    IGNORED,
    KEY,
    PEAK,
    PULL_RATIO,
    SIZE,
    SLOTS,
    age_walls,
    find_large,
    fold_walls,
    forget_walls,
)
from liqfield.model.analytics import WallState
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import direct


class WallTracker:
    """Follows the walls of one book.

    watch: the table of an `Attribution`, which is told which levels are walls.
    """

    def __init__(self, watch: IntArray, settings: WallSettings | None = None) -> None:
        self.settings = s = settings or WallSettings()
        self.sizes = LevelSizes()
        self.survival = Survival()
        self.large = np.full(BANDS, np.inf)
        self.usual = np.full(BANDS, np.inf)
        self.told = np.full(BANDS, np.inf)  # size from which a wall is told of
        self._watch = watch
        least_ns = s.min_age_s * SECOND_NS
        self._limits = np.array(
            [s.reach, s.near_share, s.end_share, s.pulled_share, least_ns, s.verdict_ns], np.float64
        )
        self._head = np.zeros(5, np.int64)
        self._wall = np.full((6, s.capacity), FREE, np.int64)
        self._coins = np.zeros((13, s.capacity))
        self._ending = np.zeros(s.capacity, np.int64)
        self._judged = np.zeros((3, s.capacity), np.int64)
        self._ends = 0  # walls that wait for their verdict
        self.patterns = PulledPatterns(s)
        survival = self.survival
        self._tables = (
            self.large,
            self._limits,
            self._head,
            self._wall,
            self._coins,
            self._ending,
            self._judged,
            self._watch,
            survival.by_age,
            survival.approach,
            survival.ends_at,
        )
        like = 0, 0, 0, 0, 0.0, np.empty((1, 6)), np.empty((3, 1)), *self._tables
        self._fold = cast("Callable[..., tuple[int, int]]", direct(fold_walls, *like))

    @property
    def standing(self) -> dict[int, Wall]:
        """Walls by key (tick * 2 + is_ask), those included that wait for their verdict."""
        found = {}
        for slot in np.flatnonzero(self._wall[KEY] != FREE).tolist():
            key, born_ns, grown_ns, ended_ns, *_ = self._wall[:, slot].tolist()
            of = self._coins[:, slot].tolist()
            found[key] = Wall(
                key >> 1,
                key & 1,
                born_ns,
                grown_ns,
                ended_ns,
                of[SIZE],
                of[PEAK],
                of[FILL],
                of[CANCEL],
                of[DISTANCE],
            )
        return dict(sorted(found.items()))

    @property
    def ignored(self) -> int:
        """Walls that were refused because too many stand."""
        return int(self._head[IGNORED])

    # ---- what the book says -------------------------------------------------------------------

    def learn(self, distance: FloatArray, quantity: FloatArray) -> IntArray:
        """Sample all levels of the book: thresholds follow. Returns which levels are large."""
        chosen = self.settings
        bands = self.sizes.sample(distance, quantity)
        laws = self.sizes.quantiles((0.5, 0.9, chosen.quantile)).tolist()
        for band, (usual, wide, least) in enumerate(laws):
            self.usual[band] = usual
            if usual == math.inf:
                continue
            spread = wide / usual
            # Walls that often stand here must not raise their own bar.
            lawful = min(least, math.pow(spread, chosen.quantile_power) * usual)
            self.large[band] = large = max(lawful, chosen.times_usual * usual)
            times = min(chosen.stand_out, math.pow(spread, chosen.spread_power))
            self.told[band] = max(large, least, times * usual)
        self.large[band_of(chosen.reach) + 1 :] = np.inf
        return np.flatnonzero(quantity >= self.large[bands])

    def find(
        self, ticks: IntArray, quantity: FloatArray, bids: int, at_ns: int, mid: float
    ) -> None:
        """Large levels that stood before they were large, or before we looked; bids first."""
        find_large(
            ticks,
            quantity,
            bids,
            at_ns,
            mid,
            self.large,
            self._limits,
            self._head,
            self._wall,
            self._coins,
            self._watch,
        )

    def fold(
        self, changes: Changes, at_ns: int, now_ns: int, mid_tick: float
    ) -> Sequence[WallFact]:
        """Fold what a message did to watched and large levels; the facts whose time has come.

        at_ns: the message's time, now_ns: the book's, which never runs back.
        """
        touched, told = changes.touched_count, changes.told_count
        if touched or told or self._ends:
            judged, self._ends = self._fold(
                touched,
                told,
                at_ns,
                now_ns,
                mid_tick,
                changes.touched,
                changes.told,
                *self._tables,
            )
            if judged:
                return [*self._facts(judged), *self.patterns.due(now_ns)]
        return self.patterns.due(now_ns)

    def age(self, seconds: float, at_ns: int, mid_tick: float, sight: tuple[int, int]) -> None:
        """Once a pace: exposure by distance, the nearest approach; what is out of sight is
        forgotten."""
        survival = self.survival
        age_walls(
            seconds,
            at_ns,
            mid_tick,
            *sight,
            self._limits,
            self._head,
            self._wall,
            self._coins,
            self._watch,
            survival.exposure_s,
            survival.by_age,
            survival.approach,
            survival.ends_at,
        )

    def forget(self, at_ns: int) -> None:
        """No wall can be followed any more: censored, without a verdict."""
        survival = self.survival
        forget_walls(
            at_ns,
            self._head,
            self._wall,
            self._coins,
            self._watch,
            survival.by_age,
            survival.approach,
            survival.ends_at,
        )
        self._ends = 0

    def digest(self) -> bytes:
        """Hash over all that decides what comes."""
        sha = hashlib.sha256()
        slots = int(self._head[SLOTS])
        live = np.flatnonzero(self._wall[KEY, :slots] != FREE)
        ending = self._ending[: self._head[ENDING]]
        sha.update(self.patterns.digest())
        survival = self.survival
        for array in (
            self._wall[:, live],
            self._coins[:, live],
            self._wall[KEY, ending],
            self.sizes.counts,
            survival.by_age,
            survival.approach,
            survival.exposure_s,
            survival.ends_at,
        ):
            sha.update(array.tobytes())
        return sha.digest()

    # ---- inside -------------------------------------------------------------------------------

    def _facts(self, judged: int) -> list[WallFact]:
        """Walls that are told of, and what all that were followed tell together."""
        facts: list[WallFact] = []
        for key, slot, how in self._judged[:, :judged].T.tolist():
            _, born_ns, _, ended_ns, *_ = self._wall[:, slot].tolist()
            of = self._coins[:, slot].tolist()
            end = self._end(key, born_ns, ended_ns, of, is_pulled=how == PULLED)
            # Large where it was born, but ordinary where it ended: not told of alone.
            if end.peak >= self.told[band_of(abs(end.distance))]:
                facts.append(end)
            if end.state is not WallState.FILLED:
                facts += self.patterns.pulled(end)
        return facts

    def _end(
        self, key: int, born_ns: int, ended_ns: int, of: list[float], *, is_pulled: bool
    ) -> WallEnd:
        distance, peak, ratio = of[END_DISTANCE], of[PEAK], of[PULL_RATIO]
        band = band_of(abs(distance))
        if not is_pulled:
            state = WallState.FILLED
        else:
            state = WallState.PULLED if ratio >= 0.8 else WallState.PARTLY_FILLED
        return WallEnd(
            key >> 1,
            key & 1,
            born_ns,
            ended_ns,
            peak,
            of[FILL],
            of[CANCEL],
            ratio,
            peak / float(self.usual[band]),
            peak / float(self.large[band]),
            of[BORN_DISTANCE],
            distance,
            state,
            is_pulled and abs(distance) <= self.settings.approach,
        )
