"""Waiting before another try: exponential, jittered, capped; only data makes it short again."""

from __future__ import annotations

import random


class Backoff:
    """`next_s()` after a failure; `reset()` once data has flowed for a while."""

    def __init__(self, rng: random.Random, *, base_s: float = 0.5, cap_s: float = 30.0) -> None:
        self._rng = rng
        self._base_s = base_s
        self._cap_s = cap_s
        self.failures = 0

    def next_s(self) -> float:
        """Seconds to wait: uniform between a tenth of and the whole exponential step."""
        ceiling = min(self._cap_s, self._base_s * 2.0 ** min(self.failures, 16))
        self.failures += 1
        return self._rng.uniform(0.1 * ceiling, ceiling)

    def reset(self) -> None:
        self.failures = 0
