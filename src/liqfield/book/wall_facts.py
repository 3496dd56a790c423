"""What is said of walls: as they stand, how one ended, what several tell together."""

from __future__ import annotations

import msgspec

from liqfield.model.analytics import WallState
from liqfield.model.durations import SECOND_NS


class WallSettings(msgspec.Struct, frozen=True):
    """Thresholds; docs/order-book.md says where each comes from.

    quantile_power  of (90 % quantile / usual), where that is less: a log-normal law's own quantile
    stand_out   multiple of the usual size, at the distance where it is, from which it is told;
    spread_power where levels are alike less is enough: (90 % quantile / usual) to this power
    near_share  of the peak: at least this much left is "whole" (held, or not yet begun to end)
    end_share   of the peak: at most this much left is the end
    pulled_share of the last loss that cancellations must have for "pulled"
    approach    distance at the end below which a pulled wall was pulled in the price's face
    flip_excess over the size that counts as large, from which a pulled wall may be a flip
    flip_times  aggression within flip_ns of the pull over its usual pace, and
    flip_least, flip_most  over the wall's peak, and
    flip_share  of all aggression then
    layer_*     so many pulled walls within layer_span of price, born and ended within layer_ns,
                sizes alike within layer_size
    """

    quantile: float = 0.99
    quantile_power: float = 1.815
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
    flip_excess: float = 2.0
    flip_times: float = 3.0
    flip_least: float = 0.25
    flip_most: float = 2.0
    flip_share: float = 0.6
    layer_ns: int = 2_000_000_000
    layer_count: int = 3
    layer_size: float = 0.08
    layer_span: float = 0.0005
    capacity: int = 256


class Wall(msgspec.Struct, frozen=True, gc=False):
    """One large level as it is. Sizes base coins, distance a signed fraction of the mid."""

    tick: int
    is_ask: int
    born_ns: int
    grown_ns: int
    ended_ns: int  # 0 = it stands
    size: float
    peak: float
    filled: float
    cancelled: float
    distance: float

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
