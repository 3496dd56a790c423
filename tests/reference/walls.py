"""The slow twin of the walls' kernels: one object a wall, lists, no slots."""

from __future__ import annotations

import msgspec

from liqfield.book.attribution import Explained, Touch
from liqfield.book.bands import band_of
from liqfield.book.survival import CENSORED, FILLED, PULLED, Survival
from liqfield.book.wall_facts import WallSettings
from liqfield.model.durations import SECOND_NS


class SlowWall(msgspec.Struct):
    """One wall; figures as of `Wall`, and what its verdict needs."""

    key: int
    born_ns: int
    grown_ns: int
    ended_ns: int
    size: float
    peak: float
    filled: float
    cancelled: float
    distance: float
    nearest: float
    born_band: int
    seen_born: bool
    last_filled: float = 0.0
    last_cancelled: float = 0.0


class SlowWalls:
    """large: coins from which a level is large, by band. judged: keys of walls that ended after
    they had stood long enough, with times and the cancelled share of the last loss."""

    def __init__(self, settings: WallSettings, large: list[float]) -> None:
        self.settings, self.large = settings, large
        self.standing: dict[int, SlowWall] = {}
        self.ending: list[SlowWall] = []
        self.survival = Survival()
        self.judged: list[tuple[int, int, int, float]] = []
        self.ignored = 0

    def touch(self, touch: Touch, at_ns: int, mid: float, *, seen_born: bool = True) -> None:
        s = self.settings
        key, distance = touch.tick * 2 + touch.is_ask, touch.tick / mid - 1.0
        wall = self.standing.get(key)
        if wall is None:
            self._begin(key, touch, at_ns, distance, seen_born)
            return
        wall.size, wall.distance = touch.after, distance
        wall.nearest = min(wall.nearest, abs(distance))
        if touch.after <= touch.before:
            wall.filled += touch.filled
            wall.cancelled += touch.cancelled
            wall.last_filled += touch.filled
            wall.last_cancelled += touch.cancelled
        if touch.after >= wall.peak:
            if touch.after > 1.2 * wall.peak:
                wall.grown_ns = at_ns
            wall.peak = touch.after
        if touch.after >= s.near_share * wall.peak:
            wall.last_filled = wall.last_cancelled = 0.0
            if wall.ended_ns:
                self.ending = [other for other in self.ending if other is not wall]
                wall.ended_ns = 0
        elif not wall.ended_ns and touch.after <= s.end_share * wall.peak:
            wall.ended_ns = at_ns
            self.ending.append(wall)

    def _begin(self, key: int, touch: Touch, at_ns: int, distance: float, seen_born: bool) -> None:
        away = abs(distance)
        large = self.large[band_of(away)]
        if touch.after < large or away > self.settings.reach:
            return
        if seen_born and touch.before >= large:
            return
        if len(self.standing) == self.settings.capacity:
            self.ignored += 1
            return
        size, band = touch.after, band_of(away)
        self.standing[key] = SlowWall(
            key, at_ns, at_ns, 0, size, size, 0.0, 0.0, distance, away, band, seen_born
        )

    def explain(self, told: Explained) -> None:
        wall = self.standing.get(told.key)
        if wall is not None:
            wall.filled += told.moved + told.refilled
            wall.cancelled -= told.moved
            moved = min(told.moved, max(wall.last_cancelled, 0.0))
            wall.last_cancelled -= moved
            wall.last_filled += moved

    def due(self, now_ns: int) -> None:
        s = self.settings
        while self.ending and now_ns - self.ending[0].ended_ns >= s.verdict_ns:
            wall = self.ending.pop(0)
            lost = wall.last_filled + wall.last_cancelled
            ratio = wall.last_cancelled / lost if lost > 0.0 else 1.0
            how = PULLED if ratio >= s.pulled_share else FILLED
            self._end(wall, wall.ended_ns, how)
            if wall.ended_ns - wall.born_ns >= s.min_age_s * SECOND_NS:
                self.judged.append((wall.key, wall.born_ns, wall.ended_ns, ratio))

    def age(self, seconds: float, at_ns: int, mid: float, sight: tuple[int, int]) -> None:
        for wall in [wall for wall in self.standing.values() if not wall.ended_ns]:
            wall.distance = (wall.key >> 1) / mid - 1.0
            away = abs(wall.distance)
            wall.nearest = min(wall.nearest, away)
            self.survival.exposure_s[band_of(away)] += seconds
            if away > 1.5 * self.settings.reach or not sight[0] <= wall.key >> 1 <= sight[1]:
                self._end(wall, at_ns, CENSORED)

    def forget(self, at_ns: int) -> None:
        for wall in list(self.standing.values()):
            self._end(wall, at_ns, CENSORED)
        self.ending.clear()

    def _end(self, wall: SlowWall, at_ns: int, how: int) -> None:
        del self.standing[wall.key]
        last = band_of(abs(wall.distance))
        if not wall.seen_born:
            self.survival.ends_at[last, how] += 1.0
            return
        nearest = min(band_of(wall.nearest), wall.born_band)
        age_s = (at_ns - wall.born_ns) / SECOND_NS
        self.survival.end(wall.born_band, nearest, last, age_s, how)
