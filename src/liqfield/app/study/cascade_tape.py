"""All that a cascade tracker was told in a run, so that other rules can be tried on it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from liqfield.cascade.outlook import Outlook
from liqfield.cascade.tracker import CascadeSettings, CascadeTracker, Surroundings
from liqfield.engine.project import Way
from liqfield.model.analytics import CascadeOutlook, CascadeState

S = 1_000_000_000
START_NS = 1_790_000_000 * S


class Reading(msgspec.Struct, frozen=True):
    """What the engine said at the end of second `at` since live began."""

    at: int
    state: str
    side: int  # -1 = none
    visible: tuple[int, int]  # prints of the last 12 s
    still_s: float  # since the engine's last visible print of the side
    drive: float  # move of the last minute in deviations, positive: up
    move_sd_s: float = math.nan  # of log price over one second


class Told(msgspec.Struct, frozen=True):
    """What one second told the tracker, in order: surroundings, then the prints that followed.

    around: mostly one; prints: (time in ns, side, USD) that came before it and after it.
    """

    before: tuple[tuple[int, int, float], ...]
    around: tuple[Surroundings, ...]
    after: tuple[tuple[int, int, float], ...]


class Ahead(msgspec.Struct, frozen=True):
    """What lay ahead as a cascade was seen: the inputs of a projection but for the push."""

    at: int
    side: int
    price: float
    way: Way
    fuel: float  # distance to the next cluster, fraction; nan = none


class Taped(CascadeTracker):
    """A tracker that keeps what it is told."""

    def __init__(self, settings: CascadeSettings) -> None:
        super().__init__(settings)
        self._before: list[tuple[int, int, float]] = []
        self._after: list[tuple[int, int, float]] = []
        self._around_all: list[Surroundings] = []

    def print_(self, at_ns: int, side: int, notional_usd: float) -> None:
        (self._after if self._around_all else self._before).append((at_ns, side, notional_usd))
        super().print_(at_ns, side, notional_usd)

    def second(self, around: Surroundings) -> CascadeState | None:
        self._around_all.append(around)
        return super().second(around)

    def take(self) -> Told:
        """What came since the last call."""
        told = Told(tuple(self._before), tuple(self._around_all), tuple(self._after))
        self._before, self._around_all, self._after = [], [], []
        return told


def replay(
    told: Sequence[Told], ahead: Sequence[Ahead], settings: CascadeSettings
) -> tuple[list[Reading], list[CascadeOutlook | None], list[float]]:
    """What a tracker says at the end of each second that is told of what was told; what the outlook
    says at each moment of `ahead`, and its factor on the map."""
    tracker, outlook = CascadeTracker(settings), Outlook()
    moments = {moment.at: moment for moment in ahead}
    out: list[Reading] = []
    outlooks: dict[int, CascadeOutlook | None] = {}
    factors: dict[int, float] = {}
    for k, second in enumerate(told):
        for print_ in second.before:
            tracker.print_(*print_)
        for around in second.around:
            tracker.second(around)
        for print_ in second.after:
            tracker.print_(*print_)
        moment = moments.get(k + 1)
        if second.around:
            price = second.around[-1].price
            outlook.second(tracker, price, moment.way.forced() if moment is not None else None)
            if moment is not None:
                outlooks[moment.at] = outlook.view(tracker, price)
                factors[moment.at] = outlook.moves.map_factor()
        out.append(_reading(tracker, k + 1))
    moments_at = [moment.at for moment in ahead]
    return (
        out,
        [outlooks.get(at) for at in moments_at],
        [factors.get(at, 1.0) for at in moments_at],
    )


def _reading(tracker: CascadeTracker, at: int) -> Reading:
    now = START_NS + at * S
    sigma = tracker.sigma()
    side = -1 if tracker.side is None else tracker.side
    last = max((tracker.last_print_ns(k) for k in (0, 1)), default=0)
    still = (now - tracker.last_print_ns(side)) / 1e9 if side >= 0 else (now - last) / 1e9
    return Reading(
        at,
        str(tracker.state),
        side,
        (tracker.recent(0, now)[0], tracker.recent(1, now)[0]),
        still,
        tracker.move(60) / (sigma * math.sqrt(60.0)) if sigma else 0.0,
        sigma or math.nan,
    )
