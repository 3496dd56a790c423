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
from collections import deque

import msgspec
import numpy as np

from liqfield.book.attribution import Explained, Touch
from liqfield.book.bands import BANDS, band_of
from liqfield.book.sizes import LevelSizes
from liqfield.book.survival import CENSORED, FILLED, PULLED, Survival
from liqfield.model.analytics import WallState
from liqfield.model.events import FloatArray, IntArray

SECOND_NS = 1_000_000_000
AGGRESSION_S = 64


class WallSettings(msgspec.Struct, frozen=True):
    """Thresholds; docs/order-book.md says where each comes from.

    stand_out   multiple of the usual size, at the distance where it is, from which it is told;
    spread_power where levels are alike less is enough: (90 % quantile / usual) to this power
    near_share  of the peak: at least this much left is "whole" (held, or not yet begun to end)
    end_share   of the peak: at most this much left is the end
    pulled_share of the last loss that cancellations must have for "pulled"
    approach    distance at the end below which a pulled wall was pulled in the price's face
    flip_times  aggression within flip_ns of the pull over its usual pace
    """

    quantile: float = 0.99
    times_usual: float = 5.0
    reach: float = 0.03
    min_age_s: float = 3.0
    stand_out: float = 50.0
    spread_power: float = 3.8
    near_share: float = 0.8
    end_share: float = 0.15
    pulled_share: float = 0.5
    verdict_ns: int = 300_000_000
    approach: float = 0.0005
    flip_ns: int = 2_000_000_000
    flip_times: float = 3.0
    layer_ns: int = 2_000_000_000
    layer_count: int = 3
    layer_size: float = 0.05
    layer_span: float = 0.0005
    capacity: int = 256


class Wall:
    """One large level. Sizes base coins, distances signed fractions of mid at the moment."""

    __slots__ = (
        "added",
        "at_end",
        "born_band",
        "born_distance",
        "born_ns",
        "cancelled",
        "distance",
        "ended_ns",
        "filled",
        "grown_ns",
        "is_ask",
        "last_cancelled",
        "last_filled",
        "nearest",
        "peak",
        "seen_born",
        "size",
        "tick",
    )

    def __init__(self, touch: Touch, at_ns: int, distance: float, seen_born: bool) -> None:
        self.tick, self.is_ask = touch.tick, touch.is_ask
        self.size = self.peak = touch.after
        self.born_ns, self.grown_ns, self.ended_ns = at_ns, at_ns, 0
        self.seen_born = seen_born
        self.born_distance = self.distance = distance
        self.born_band = band_of(abs(distance))
        self.nearest = abs(distance)
        self.filled = self.cancelled = self.added = 0.0
        self.last_filled = self.last_cancelled = 0.0  # since it was last whole
        self.at_end = (0.0, 0.0)  # distance, size

    @property
    def key(self) -> int:
        return self.tick * 2 + self.is_ask

    def state(self, now_ns: int, near_share: float) -> WallState:
        """What it is while it stands."""
        if self.filled > 0.0:
            is_whole = self.size >= near_share * self.peak
            return WallState.HELD if is_whole else WallState.PARTLY_FILLED
        is_new = self.grown_ns > self.born_ns and now_ns - self.grown_ns < 60 * SECOND_NS
        return WallState.GROWING if is_new else WallState.STANDING


class WallEnd(msgspec.Struct, frozen=True, gc=False):
    """How a wall ended. state: PULLED, FILLED or PARTLY_FILLED (a part, then the rest pulled).

    pull_ratio: cancelled / (cancelled + filled) of its last loss. multiple: peak over the usual
    size, excess: peak over the size that counts as large, both at the distance where it ended.
    on_approach: pulled while the price had come close. Sizes base coins.
    """

    tick: int
    is_ask: int
    born_ns: int
    ended_ns: int
    peak: float
    filled: float
    cancelled: float
    pull_ratio: float
    multiple: float
    excess: float
    born_distance: float
    distance: float
    state: WallState
    on_approach: bool


class Layering(msgspec.Struct, frozen=True, gc=False):
    """Equal sizes beside each other, placed and cancelled together."""

    at_ns: int
    is_ask: int
    ticks: tuple[int, ...]
    quantity: float
    duration_s: float


class Flip(msgspec.Struct, frozen=True, gc=False):
    """A wall pulled on one side with aggression that its presence helped, within two seconds."""

    at_ns: int
    is_ask: int  # of the wall
    tick: int
    pulled: float
    aggression: float
    count: int  # of this side within the last ten minutes


WallFact = WallEnd | Layering | Flip


class WallTracker:
    """Follows the walls of one book; facts come out of `due`."""

    def __init__(self, settings: WallSettings | None = None) -> None:
        self.settings = settings or WallSettings()
        self.sizes = LevelSizes()
        self.survival = Survival()
        self.standing: dict[int, Wall] = {}
        self.large = np.full(BANDS, np.inf)
        self.usual = np.full(BANDS, np.inf)
        self.told = np.full(BANDS, np.inf)  # size from which a wall is told of
        self.ignored = 0
        self._ending: deque[Wall] = deque()
        self._ended: deque[WallEnd] = deque(maxlen=32)
        self._flips: deque[WallEnd] = deque(maxlen=64)
        self._flip_ns: tuple[deque[int], deque[int]] = (deque(maxlen=64), deque(maxlen=64))
        # Coins bought [1] and sold [0] by second.
        self._aggression = ([0.0] * AGGRESSION_S, [0.0] * AGGRESSION_S)
        self._second = 0

    # ---- what the book says -------------------------------------------------------------------

    def learn(self, distance: FloatArray, quantity: FloatArray) -> IntArray:
        """Sample all levels of the book: thresholds follow. Returns which levels are large."""
        chosen = self.settings
        bands = self.sizes.sample(distance, quantity)
        for band in range(BANDS):
            usual, wide, least = self.sizes.quantiles(band, (0.5, 0.9, chosen.quantile))
            self.usual[band] = usual
            if usual == math.inf:
                continue
            self.large[band] = large = max(least, chosen.times_usual * usual)
            times = min(chosen.stand_out, math.pow(wide / usual, chosen.spread_power))
            self.told[band] = max(large, times * usual)
        self.large[band_of(chosen.reach) + 1 :] = np.inf
        return np.flatnonzero(quantity >= self.large[bands])

    def touch(self, touch: Touch, at_ns: int, mid_tick: float, *, seen_born: bool = True) -> int:
        """Fold a change of a watched or large level; +1 a wall began, 0 nothing to watch."""
        chosen = self.settings
        distance = touch.tick / mid_tick - 1.0
        wall = self.standing.get(touch.tick * 2 + touch.is_ask)
        if wall is None:
            return self._begin(touch, at_ns, distance, seen_born)
        size = touch.after
        wall.size, wall.distance = size, distance
        if abs(distance) < wall.nearest:
            wall.nearest = abs(distance)
        if size > touch.before:
            wall.added += size - touch.before
        else:
            filled, cancelled = touch.filled, touch.cancelled
            wall.filled += filled
            wall.cancelled += cancelled
            wall.last_filled += filled
            wall.last_cancelled += cancelled
        peak = wall.peak
        if size >= peak:
            if size > 1.2 * peak:
                wall.grown_ns = at_ns
            wall.peak = peak = size
        if size >= chosen.near_share * peak:
            wall.last_filled = wall.last_cancelled = 0.0
            if wall.ended_ns:
                self._ending.remove(wall)
                wall.ended_ns = 0
        elif wall.ended_ns == 0 and size <= chosen.end_share * peak:
            wall.ended_ns, wall.at_end = at_ns, (distance, size)
            self._ending.append(wall)
        return 0

    def explain(self, told: Explained) -> None:
        """A trade told late: what seemed cancelled was filled, or it was refilled."""
        wall = self.standing.get(told.key)
        if wall is None:
            return
        wall.filled += told.moved + told.refilled
        wall.cancelled -= told.moved
        wall.added += told.refilled
        if wall.last_cancelled > 0.0:
            moved = min(told.moved, wall.last_cancelled)
            wall.last_cancelled -= moved
            wall.last_filled += moved

    def aggress(self, is_buy: int, quantity: float, at_ns: int) -> None:
        """Volume by aggressor and second, for flips."""
        second = at_ns // SECOND_NS
        if second > self._second:
            for gone in range(self._second + 1, min(second, self._second + AGGRESSION_S) + 1):
                for flow in self._aggression:
                    flow[gone % AGGRESSION_S] = 0.0
            self._second = second
        if second > self._second - AGGRESSION_S:
            self._aggression[is_buy][second % AGGRESSION_S] += quantity

    def watch_time(self, seconds: float, mid_tick: float, sight: tuple[int, int]) -> list[int]:
        """Once a pace: exposure by distance, the nearest approach; returns keys out of sight."""
        gone = []
        low, high = sight
        farthest = 1.5 * self.settings.reach
        expose = self.survival.expose
        for key, wall in self.standing.items():
            if wall.ended_ns:
                continue
            wall.distance = distance = wall.tick / mid_tick - 1.0
            away = abs(distance)
            if away < wall.nearest:
                wall.nearest = away
            expose(band_of(away), seconds)
            if away > farthest or not low <= wall.tick <= high:
                gone.append(key)
        return gone

    def forget(self, key: int, at_ns: int) -> None:
        """A wall that cannot be followed any more: censored, without a verdict."""
        wall = self.standing.pop(key)
        if wall.ended_ns:
            self._ending.remove(wall)
        self._note(wall, at_ns, CENSORED)

    def due(self, now_ns: int) -> tuple[list[WallFact], list[int]]:
        """(facts whose time has come, keys that need no watching any more)."""
        facts: list[WallFact] = []
        over: list[int] = []
        while self._ending and now_ns - self._ending[0].ended_ns >= self.settings.verdict_ns:
            wall = self._ending.popleft()
            del self.standing[wall.key]
            over.append(wall.key)
            facts += self._judge(wall)
        while self._flips and now_ns - self._flips[0].ended_ns >= self.settings.flip_ns:
            facts += self._flip(self._flips.popleft())
        return facts, over

    def digest(self) -> bytes:
        """Hash over all that decides what comes."""
        sha = hashlib.sha256()
        for key, wall in self.standing.items():
            values = [getattr(wall, name) for name in Wall.__slots__]
            sha.update(repr((key, values)).encode())
        for end in (*self._ended, *self._flips, *self._flip_ns[0], *self._flip_ns[1]):
            sha.update(repr(end).encode())
        survival = self.survival
        for array in (
            self.sizes.counts,
            np.array(self._aggression),
            survival.by_age,
            survival.approach,
            survival.exposure_s,
            survival.ends_at,
        ):
            sha.update(array.tobytes())
        return sha.digest()

    # ---- inside -------------------------------------------------------------------------------

    def _begin(self, touch: Touch, at_ns: int, distance: float, seen_born: bool) -> int:
        away = abs(distance)
        band = band_of(away)
        large = self.large[band]
        if touch.after < large or away > self.settings.reach:
            return 0
        if seen_born and touch.before >= large:
            return 0  # it did not grow: another level's cell of the watch
        if len(self.standing) >= self.settings.capacity:
            self.ignored += 1
            return 0
        wall = Wall(touch, at_ns, distance, seen_born)
        self.standing[wall.key] = wall
        return 1

    def _note(self, wall: Wall, at_ns: int, how: int) -> None:
        last = band_of(abs(wall.distance))
        if wall.seen_born:
            age_s = (at_ns - wall.born_ns) / SECOND_NS
            nearest = min(band_of(wall.nearest), wall.born_band)
            self.survival.end(wall.born_band, nearest, last, age_s, how)
        else:
            self.survival.end_unborn(last, how)

    def _judge(self, wall: Wall) -> list[WallFact]:
        chosen = self.settings
        lost = wall.last_filled + wall.last_cancelled
        ratio = wall.last_cancelled / lost if lost > 0.0 else 1.0
        is_pulled = ratio >= chosen.pulled_share
        self._note(wall, wall.ended_ns, PULLED if is_pulled else FILLED)
        if wall.ended_ns - wall.born_ns < chosen.min_age_s * SECOND_NS:
            return []  # a flicker: market makers move their quotes all the time
        distance = wall.at_end[0]
        band = band_of(abs(distance))
        if wall.peak < self.told[band]:
            return []  # large where it was born, ordinary where it ended
        if not is_pulled:
            state = WallState.FILLED
        else:
            state = WallState.PULLED if ratio >= 0.8 else WallState.PARTLY_FILLED
        near = abs(distance) <= chosen.approach
        end = WallEnd(
            wall.tick,
            wall.is_ask,
            wall.born_ns,
            wall.ended_ns,
            wall.peak,
            wall.filled,
            wall.cancelled,
            ratio,
            wall.peak / float(self.usual[band]),
            wall.peak / float(self.large[band]),
            wall.born_distance,
            distance,
            state,
            is_pulled and near,
        )
        if not is_pulled:
            return [end]
        self._flips.append(end)
        return [end, *self._layers(end)]

    def _layers(self, end: WallEnd) -> list[WallFact]:
        """Do the last pulled walls, this one included, form a layer?"""
        chosen = self.settings
        self._ended.append(end)
        like = [
            other
            for other in self._ended
            if other.is_ask == end.is_ask
            and abs(other.peak / end.peak - 1.0) <= chosen.layer_size
            and abs(other.born_ns - end.born_ns) <= chosen.layer_ns
            and abs(other.ended_ns - end.ended_ns) <= chosen.layer_ns
            and abs(other.tick / end.tick - 1.0) <= chosen.layer_span
        ]
        if len(like) < chosen.layer_count:
            return []
        for other in like:
            self._ended.remove(other)
        return [
            Layering(
                end.ended_ns,
                end.is_ask,
                tuple(sorted(other.tick for other in like)),
                sum(other.peak for other in like),
                (end.ended_ns - min(other.born_ns for other in like)) / SECOND_NS,
            )
        ]

    def _flip(self, end: WallEnd) -> list[WallFact]:
        """Bids pulled and sold into, or asks pulled and bought from, within two seconds."""
        chosen = self.settings
        span = chosen.flip_ns // SECOND_NS
        middle = end.ended_ns // SECOND_NS
        seconds = [s for s in range(middle - span, middle + span + 1) if s <= self._second]
        flow = self._aggression[end.is_ask]
        within = float(sum(flow[s % AGGRESSION_S] for s in seconds))
        pace = float(np.sum(flow)) / AGGRESSION_S * len(seconds)
        if within < chosen.flip_times * pace or within < 0.25 * end.peak:
            return []
        times = self._flip_ns[end.is_ask]
        times.append(end.ended_ns)
        count = sum(end.ended_ns - t <= 600 * SECOND_NS for t in times)
        return [Flip(end.ended_ns, end.is_ask, end.tick, end.peak, within, count)]
