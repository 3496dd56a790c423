"""Usual depth of one book: rolling medians by distance and hour of day, in event time.

A sample is USD from the mid to each edge, [2 sides, edges], nan where the venue does not show it.
Recent samples (an hour of them) answer at once; every slot leaves its median in the ring of its
hour of day (UTC), and an hour that has seen enough slots answers with those. All bounded.
"""

from __future__ import annotations

import hashlib
import warnings

import numpy as np

from liqfield.book.bands import EDGES
from liqfield.model.durations import HOUR_NS, SECOND_NS
from liqfield.model.events import FloatArray

SAMPLE_NS = 10 * SECOND_NS
SLOT_NS = 300 * SECOND_NS
RECENT = 360  # samples: one hour
SLOTS = 12 * 14  # of one hour of day: two weeks
LEAST_RECENT = 6  # a minute
LEAST_SLOTS = 24  # two days' worth of that hour


class UsualDepth:
    """Rolling medians of one venue's cumulative depth."""

    def __init__(self) -> None:
        shape = (2, len(EDGES))
        self._recent = np.empty((RECENT, *shape))
        self._taken = 0
        self._hours = np.empty((24, SLOTS, *shape), np.float32)
        self._filled = np.zeros(24, np.int64)
        self._slot = -1
        self._in_slot = 0
        self._cached: tuple[int, int, FloatArray | None, str] | None = None

    def sample(self, at_ns: int, cum_usd: FloatArray) -> None:
        """Take a sample; the caller keeps the pace of SAMPLE_NS."""
        slot = at_ns // SLOT_NS
        if slot != self._slot:
            self._close()
            self._slot, self._in_slot = slot, 0
        self._recent[self._taken % RECENT] = cum_usd
        self._taken += 1
        self._in_slot = min(self._in_slot + 1, RECENT)

    def get(self, at_ns: int) -> tuple[FloatArray | None, str]:
        """(float64[2, edges] USD or None, where it comes from)."""
        hour = at_ns // HOUR_NS % 24
        stamp = (self._taken, int(hour))
        if self._cached is None or self._cached[:2] != stamp:
            self._cached = (*stamp, *self._find(int(hour)))
        return self._cached[2], self._cached[3]

    def digest(self) -> bytes:
        """Hash over all samples."""
        sha = hashlib.sha256(f"{self._taken} {self._slot} {self._in_slot}".encode())
        sha.update(self._recent[: self._taken].tobytes())
        for hour in range(24):
            sha.update(self._hours[hour, : min(int(self._filled[hour]), SLOTS)].tobytes())
        return sha.digest()

    def _find(self, hour: int) -> tuple[FloatArray | None, str]:
        slots = min(int(self._filled[hour]), SLOTS)
        if slots >= LEAST_SLOTS:
            usual = _median(self._hours[hour, :slots].astype(np.float64))
            return usual, f"median of {slots / 12:.0f} h at this hour of day"
        taken = min(self._taken, RECENT)
        if taken < LEAST_RECENT:
            return None, "usual depth not learnt yet"
        minutes = taken * SAMPLE_NS / SECOND_NS / 60.0
        return _median(self._recent[:taken]), f"median of the last {minutes:.0f} min"

    def _close(self) -> None:
        """The running slot is over: its median goes to its hour of day."""
        if self._slot < 0 or self._in_slot < LEAST_RECENT:
            return
        rows = np.arange(self._taken - self._in_slot, self._taken) % RECENT
        hour = self._slot * SLOT_NS // HOUR_NS % 24
        self._hours[hour, self._filled[hour] % SLOTS] = _median(self._recent[rows])
        self._filled[hour] += 1


def _median(samples: FloatArray) -> FloatArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an edge that was never seen: nan
        middle: FloatArray = np.nanmedian(samples, axis=0)
    return middle
