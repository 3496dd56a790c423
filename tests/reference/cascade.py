"""The projection, dollar by dollar: the obvious loop."""

from __future__ import annotations

import math
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


def excitation(
    at_s: Sequence[float],
    weight: Sequence[float],
    end_s: float,
    rounds: int,
    prior_branching: float,
    prior_decay_s: float,
    prior_prints: float,
) -> tuple[float, float, float]:
    """(branching, mu, beta) by expectation-maximisation with every pair written out."""
    n = len(at_s)
    beta, branching = 1.0 / prior_decay_s, prior_branching
    mu = max((1.0 - branching) * n / end_s, 1e-9)
    for _ in range(rounds):
        own = born = waited = 0.0
        for i in range(n):
            parts = [
                branching * weight[j] * beta * math.exp(-beta * (at_s[i] - at_s[j]))
                for j in range(i)
            ]
            rate = mu + sum(parts)
            own += mu / rate
            born += sum(parts) / rate
            waited += sum(p * (at_s[i] - at_s[j]) for j, p in enumerate(parts)) / rate
        seen = sum(
            w * (1.0 - math.exp(-beta * (end_s - t))) for t, w in zip(at_s, weight, strict=True)
        )
        branching = (born + prior_prints * prior_branching) / (seen + prior_prints)
        mu = max((own + 1e-3) / end_s, 1e-9)
        beta = min(max((born + prior_prints) / (waited + prior_prints * prior_decay_s), 1 / 300), 5)
    return branching, mu, beta
