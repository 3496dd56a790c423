"""The projection, dollar by dollar, and the outlook, move by move: the obvious loops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from liqfield.cascade.outlook import OutlookSettings


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


def rest(wholes: list[float], done: float, over: float, s: OutlookSettings) -> list[float]:
    """Ways still to go of many moves that came as far as `done`: draws, kept if they did."""
    rng = np.random.default_rng(3)
    laws = [(s.prior_median, s.prior_log_sd, s.prior_moves)]
    laws += [(whole, s.kernel, 1.0) for whole in wholes]
    done = max(done, 1e-4)
    normal = [(NormalDist(math.log(middle), sd), weight) for middle, sd, weight in laws]
    tails = [0.5 * math.erfc((math.log(done) - of.mean) / (of.stdev * 2**0.5)) for of, _ in normal]
    total = sum(weight * tail for (_, weight), tail in zip(normal, tails, strict=True))
    found: list[float] = []
    for (law, weight), tail in zip(normal, tails, strict=True):
        for u in rng.random(round(4_000 * weight * tail / total)):
            share = 1.0 - u * tail  # a draw beyond `done`
            if share < 1.0:
                found.append(max(math.exp(law.inv_cdf(share)) - done, 0.0))
    still = round(len(found) * over / (1.0 - over))
    return [0.0] * still + sorted(found)
