"""Waiting before another try: exponential, jittered, capped; only data makes it short again."""

from __future__ import annotations

import random

QUICK, QUICK_CAP_S = 8, 1.5  # the first failures are probably a short outage


class Backoff:
    """`next_s()` after a failure; `reset()` once data has flowed for a while.

    The first eight steps stay below 1.5 s, so that a short outage is not answered with a long
    absence; then they double up to the cap.
    """

    def __init__(self, rng: random.Random, *, base_s: float = 0.5, cap_s: float = 30.0) -> None:
        self._rng = rng
        self._base_s = base_s
        self._cap_s = cap_s
        self.failures = 0

    def next_s(self) -> float:
        """Seconds to wait: uniform between a tenth of and the whole exponential step."""
        ceiling = self.ceiling_s(self.failures)
        self.failures += 1
        return self._rng.uniform(0.1 * ceiling, ceiling)

    def ceiling_s(self, failures: int) -> float:
        """The longest wait after this many failures."""
        if failures < QUICK:
            return min(self._cap_s, QUICK_CAP_S, self._base_s * 2.0**failures)
        return min(self._cap_s, QUICK_CAP_S * 2.0 ** min(failures - QUICK + 1, 16))

    def ease(self) -> None:
        """Some data came: back to short waits, though not yet forgiven."""
        self.failures = min(self.failures, 2)

    def reset(self) -> None:
        self.failures = 0
