"""The projection, dollar by dollar: the obvious loop."""

from __future__ import annotations

from collections.abc import Sequence


def stop(
    price: Sequence[float], forced: Sequence[float], depth: Sequence[float], push: float
) -> tuple[float, float]:
    """(stop price, forced USD) of one run."""
    flow, eaten, triggered = push, 0.0, 0.0
    for i in range(len(forced)):
        flow += forced[i]
        triggered += forced[i]
        if flow < eaten + depth[i]:
            share = max(0.0, (flow - eaten) / depth[i])
            return price[i] + share * (price[i + 1] - price[i]), triggered
        eaten += depth[i]
    return price[-1], triggered
