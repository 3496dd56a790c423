"""What the cascade tracker is told and by which thresholds it judges."""

from __future__ import annotations

import math
from collections import deque

import msgspec

S = 1_000_000_000


class CascadeSettings(msgspec.Struct, frozen=True):
    """Thresholds; where each comes from stands in docs/cascade.md.

    burst_s, least_prints   so many prints of one side within so many seconds start a cascade ...
    depth_share             ... if they are worth this share of the depth within 10 bp
    tau_s                   intensity is an exponential average with this time constant
    stall_s                 prints go on, but no new extreme for so long: absorbing
                            and no print for burst_s as well: exhausted
    fade                    under this share of the peak a burst of the other side takes over
    rest_s                  exhausted for so long: another move may be an approach
    calm_s                  exhausted for so long: calm
    drive_sigmas            the last minute moved one way by so many of its standard deviations:
                            approaching what would be forced there
    at_extreme_sigmas       ... and the price is its farthest of five minutes, within so many of
                            those of one second: a bounce is no approach
    leave                   approaching is left when that falls under this share of its threshold
    extreme_sigmas          a new extreme counts when it is beyond by so many of one second
    """

    burst_s: float = 12.0
    least_prints: int = 4
    depth_share: float = 0.01
    tau_s: float = 15.0
    stall_s: float = 10.0
    fade: float = 0.2
    rest_s: float = 30.0
    calm_s: float = 180.0
    drive_sigmas: float = 3.0
    at_extreme_sigmas: float = 2.0
    leave: float = 0.5
    extreme_sigmas: float = 0.5
    variance_half_life_s: float = 900.0
    depth_half_life_s: float = 300.0
    refit_s: int = 5


class Fuel(msgspec.Struct, frozen=True, gc=False):
    """The next cluster on one side of the price. distance: of its near edge, fraction > 0."""

    distance: float
    notional_usd: float


class Surroundings(msgspec.Struct, frozen=True, gc=False):
    """What the tracker is told once a second.

    price: pooled, USD. net_flow: signed aggressive base coins of the last second. impact: USD per
    base coin, None = not fitted. depth_usd: within 10 bp of the touch, (bids, asks), 0 = unknown.
    open_interest: base coins of all venues, 0 = unknown. fuel: (clusters of longs below, of shorts
    above), None = none in reach.
    """

    now_ns: int
    price: float
    net_flow: float
    impact: float | None
    depth_usd: tuple[float, float]
    open_interest: float
    fuel: tuple[Fuel | None, Fuel | None]


class Burst:
    """Recent prints of one side: count and notional within the burst window, and intensity."""

    def __init__(self, burst_s: float, tau_s: float, capacity: int = 1024) -> None:
        self._burst_ns = int(burst_s * S)
        self._tau_s = tau_s
        self._prints: deque[tuple[int, float]] = deque(maxlen=capacity)
        self._level = 0.0  # USD, decayed to `_at_ns`
        self._at_ns = 0
        self.last_ns = 0

    def __bool__(self) -> bool:
        """Whether there are prints that may lie in the burst window."""
        return bool(self._prints)

    def add(self, at_ns: int, usd: float) -> None:
        self._decay(at_ns)
        self._level += usd
        self._prints.append((at_ns, usd))
        self.last_ns = max(self.last_ns, at_ns)

    def _decay(self, at_ns: int) -> None:
        if at_ns > self._at_ns:
            self._level *= math.exp(-(at_ns - self._at_ns) / 1e9 / self._tau_s)
            self._at_ns = at_ns

    def recent(self, now_ns: int) -> tuple[int, float]:
        """(prints, USD) within the burst window."""
        if not self._prints:
            return 0, 0.0
        while self._prints and self._prints[0][0] <= now_ns - self._burst_ns:
            self._prints.popleft()
        return len(self._prints), sum(usd for _, usd in self._prints)

    def usd_per_min(self, now_ns: int) -> float:
        self._decay(now_ns)
        return self._level / self._tau_s * 60.0


class Ended(msgspec.Struct, frozen=True, gc=False):
    """A cascade that is over. forced_usd: printed since it began; extreme: USD."""

    begun_ns: int
    forced_usd: float
    extreme: float
