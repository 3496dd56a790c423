"""Price impact as a line through the origin over the recent windows: what a flow usually moves."""

from __future__ import annotations

import msgspec
import numpy as np

LEAST_WINDOWS = 10


class ImpactFit(msgspec.Struct, frozen=True):
    """dP (USD) = beta * flow (base coins); n windows with flow; r2 through the origin."""

    beta: float
    r2: float
    windows: int


class RollingImpact:
    """Regression of price moves on flow over the last `keep` windows; `add` closes one."""

    def __init__(self, keep: int = 180) -> None:
        self._flow = np.zeros(keep)
        self._move = np.zeros(keep)
        self._count = 0

    def add(self, flow: float, move: float) -> None:
        i = self._count % len(self._flow)
        self._flow[i], self._move[i] = flow, move
        self._count += 1

    def fit(self) -> ImpactFit | None:
        """None before ten windows with flow."""
        n = min(self._count, len(self._flow))
        flow, move = self._flow[:n], self._move[:n]
        windows = int(np.count_nonzero(flow))
        if windows < LEAST_WINDOWS:
            return None
        moving = flow != 0.0
        xx = float(flow @ flow)
        xy = float(flow @ move)
        yy = float(move[moving] @ move[moving])
        if not xx > 0.0:  # squares of denormal flow
            return None
        return ImpactFit(xy / xx, xy * xy / (xx * yy) if yy > 0.0 else 0.0, windows)
