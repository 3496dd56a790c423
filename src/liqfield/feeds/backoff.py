"""Waiting before another try: exponential, jittered, capped; only data makes it short again."""

from __future__ import annotations

import random

QUICK_CAP_S = 1.5  # the first failures are probably a short outage
SHARE = 0.05  # of the outage so far that a wait may add to it


class Backoff:
    """`next_s()` after a failure; `reset()` once data has flowed for a while.

    The first half minute is waited for in steps below 1.5 s, so that a short outage is not answered
    with a long absence; later a wait is at most a twentieth of all waits so far, up to the cap.
    """

    def __init__(self, rng: random.Random, *, base_s: float = 0.5, cap_s: float = 30.0) -> None:
        self._rng = rng
        self._base_s = base_s
        self._cap_s = cap_s
        self._waited_s = 0.0
        self.failures = 0

    def next_s(self) -> float:
        """Seconds to wait: uniform between a tenth of and the whole ceiling."""
        ceiling = self.ceiling_s
        self.failures += 1
        wait_s = self._rng.uniform(0.1 * ceiling, ceiling)
        self._waited_s += wait_s
        return wait_s

    @property
    def ceiling_s(self) -> float:
        """The longest that the next wait may be."""
        quick_s = min(QUICK_CAP_S, self._base_s * 2.0 ** min(self.failures, 16))
        return min(self._cap_s, max(quick_s, SHARE * self._waited_s))

    def ease(self) -> None:
        """Some data came: back to short waits, though not yet forgiven."""
        self.failures = min(self.failures, 2)
        self._waited_s = 0.0

    def reset(self) -> None:
        self.failures = 0
        self._waited_s = 0.0
