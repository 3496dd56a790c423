"""Walls: the life of large resting orders of one book, from what the book and its trades show.

A wall is a level that grew to at least `times_usual` times the usual size at its distance and to
the `quantile` of sizes there. It ends when little of it is left; how is told by the loss since it
was last near its peak: mostly trades means filled, mostly cancellations means pulled. A venue may
tell of trades after the book, so the verdict waits `verdict_ns`; a level that is back by then did
not end. Books by price level carry no owners: all of this is inference, and intent is not visible.
"""

from __future__ import annotations

import hashlib

import numpy as np

from liqfield.book.attribution import Attribution
from liqfield.book.bands import BANDS, band_of
from liqfield.book.message_kernels import find_walls, forget, pass_time
from liqfield.book.patterns import PulledPatterns
from liqfield.book.plan import CAPACITY, COIN_ROWS, WALL_LIMITS, WALL_ROWS, WALL_WORDS
from liqfield.book.sizes import LevelSizes
from liqfield.book.survival import PULLED, Survival
from liqfield.book.wall_facts import Wall, WallEnd, WallFact, WallSettings
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
    set_thresholds,
)
from liqfield.model.analytics import WallState
from liqfield.model.durations import SECOND_NS
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import address_of, direct


class WallTracker:
    """Follows the walls of one book: its attribution's `delta` folds each message into them."""

    def __init__(self, of: Attribution, settings: WallSettings | None = None) -> None:
        self.settings = s = settings or WallSettings()
        self.sizes = LevelSizes()
        self.survival = survival = Survival()
        self.large = of.large
        self.usual = np.full(BANDS, np.inf)
        self.told = np.full(BANDS, np.inf)  # size from which a wall is told of
        least_ns = s.min_age_s * SECOND_NS
        self._limits = np.array(
            [s.reach, s.near_share, s.end_share, s.pulled_share, least_ns, s.verdict_ns], np.float64
        )
        self._shares = np.array([0.5, 0.9, s.quantile])
        self._stand_out = np.array(
            [s.quantile_power, s.times_usual, s.stand_out, s.spread_power, s.reach]
        )
        self._head = np.zeros(WALL_WORDS, np.int64)
        self._wall = np.full((WALL_ROWS, s.capacity), FREE, np.int64)
        self._coins = np.zeros((COIN_ROWS, s.capacity))
        self._ending = np.zeros(s.capacity, np.int64)
        self._judged = np.zeros((3, s.capacity), np.int64)
        self.patterns = PulledPatterns(s, of)
        tables = (
            *(self._limits, self._head, self._wall, self._coins, self._ending, self._judged),
            *(survival.by_age, survival.approach, survival.ends_at, survival.exposure_s),
        )
        self._plan = of.plan
        self._plan[WALL_LIMITS:CAPACITY] = [address_of(table) for table in tables]
        self._plan[CAPACITY] = s.capacity
        self._pass = direct(pass_time, 0.0, 0, 0.0, self._plan)

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

    def learn(self) -> None:
        """The book was looked at, and `sizes` took its levels in: thresholds follow."""
        sizes = self.sizes
        set_thresholds(
            sizes.counts, sizes.used, self._shares, self._stand_out,
            self.usual, self.large, self.told,
        )  # fmt: skip

    def find(
        self,
        ticks: IntArray,
        quantity: FloatArray,
        band: IntArray,
        bids: int,
        at_ns: int,
        mid: float,
    ) -> None:
        """Levels of the whole book, bids first, each with its distance band: walls of those that
        are large and stood before they were, or before we looked."""
        find_walls(ticks, quantity, band, bids, at_ns, mid, self._plan)

    def facts(self, judged: int) -> list[WallFact]:
        """Of the last message's verdicts: walls that are told of, and what all that were followed
        tell together."""
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

    def age(self, seconds: float, at_ns: int, mid_tick: float) -> None:
        """Once a pace: exposure by distance, the nearest approach; what is out of sight is
        forgotten."""
        self._pass(seconds, at_ns, mid_tick, self._plan)

    def forget(self, at_ns: int) -> None:
        """No wall can be followed any more: censored, without a verdict."""
        forget(at_ns, self._plan)

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
