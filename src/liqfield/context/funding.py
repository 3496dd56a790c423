"""Funding over venues on one footing, basis, and open-interest change.

Positive funding: longs pay shorts. A rate per interval becomes a rate per 8 hours before venues are
compared or weighted by open interest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from liqfield.model.events import FundingRate


class VenueFunding(msgspec.Struct, frozen=True):
    """One venue's rate on the common footing; weight_usd is its open interest."""

    venue: str
    rate_8h: float
    next_funding_ns: int
    weight_usd: float


def rate_8h(funding: FundingRate) -> float:
    """The fraction that would be paid over eight hours at this rate."""
    return funding.rate * 8.0 / funding.interval_h


def weighted_8h(venues: Sequence[VenueFunding]) -> float | None:
    """Open-interest-weighted rate per 8 h; None without any weight."""
    weight = sum(v.weight_usd for v in venues)
    if weight <= 0.0:
        return None
    return sum(v.rate_8h * v.weight_usd for v in venues) / weight


def basis(mark: float, index: float) -> float | None:
    """(mark - index) / index, relative; None without an index."""
    return mark / index - 1.0 if index > 0.0 else None


class OpenInterestChange:
    """Relative change over given horizons, from a bounded, thinned memory of past values.

    `update(at_ns, quantity)`; values closer than `spacing_s` overwrite each other.
    """

    def __init__(self, horizon_s: float = 86_400.0, spacing_s: float = 60.0) -> None:
        self._spacing_ns = int(spacing_s * 1e9)
        self._points: deque[tuple[int, float]] = deque(maxlen=int(horizon_s / spacing_s) + 2)

    def update(self, at_ns: int, quantity: float) -> None:
        if self._points and at_ns < self._points[-1][0]:
            return  # late statements do not rewrite the past
        if len(self._points) > 1 and at_ns - self._points[-2][0] < self._spacing_ns:
            self._points[-1] = (at_ns, quantity)
        else:
            self._points.append((at_ns, quantity))

    def newest(self) -> tuple[int, float] | None:
        """(event time, quantity) of the newest value."""
        return self._points[-1] if self._points else None

    def pair(self, over_s: float) -> tuple[float, float] | None:
        """(newest, the last one at least `over_s` older); None where memory is short."""
        if not self._points:
            return None
        at_ns, newest = self._points[-1]
        past: float | None = None
        for then_ns, quantity in self._points:
            if then_ns > at_ns - int(over_s * 1e9):
                break
            past = quantity
        return (newest, past) if past else None

    def get(self, over_s: float) -> float | None:
        """Relative change over `over_s`; None where memory is short."""
        pair = self.pair(over_s)
        return pair[0] / pair[1] - 1.0 if pair is not None else None
