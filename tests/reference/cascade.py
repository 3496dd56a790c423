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


class SlowSeconds:
    """The last minutes of a market as lists: log prices, flows, variance a second, usual depth."""

    def __init__(self, half_life_s: float, depth_half_life_s: float) -> None:
        self.half_life_s, self.depth_half_life_s = half_life_s, depth_half_life_s
        self.prices: list[float] = []
        self.flows: list[float] = []
        self.variance, self.seen = 0.0, 0
        self.depth = [0.0, 0.0]

    def add(
        self, price: float, flow: float, depth: Sequence[float], passed: int, *, learn_depth: bool
    ) -> None:
        price = math.log(price)
        if self.prices:
            move = price - self.prices[-1]
            most = 25.0 * self.variance if self.seen > 60 else math.inf
            keep = min(0.5 ** (passed / self.half_life_s), self.seen / (self.seen + passed))
            self.variance = keep * self.variance + (1.0 - keep) * min(move**2 / passed, most)
            self.seen += passed
            self.prices += [self.prices[-1]] * (passed - 1)
            self.flows += [0.0] * (passed - 1)
        self.prices.append(price)
        self.flows.append(flow)
        keep = 0.5 ** (1.0 / self.depth_half_life_s)
        for side, usd in enumerate(depth):
            if learn_depth and usd > 0.0:
                self.depth[side] = keep * (self.depth[side] or usd) + (1.0 - keep) * usd

    def sigma(self) -> float | None:
        is_known = self.seen >= 60 and self.variance > 0.0
        return math.sqrt(self.variance) if is_known else None

    def towards(self, driven: float, at_extreme: float) -> int:
        """The side that a strong move at its extreme of five minutes forces; -1 for none."""
        sigma = self.sigma()
        if sigma is None:
            return -1
        past = self.prices[-301:]
        move = past[-1] - past[-min(61, len(past))]
        away = max(past) - past[-1] if move >= 0.0 else past[-1] - min(past)
        is_driven = abs(move) >= driven * sigma * math.sqrt(60.0) and away <= at_extreme * sigma
        return int(move >= 0.0) if is_driven else -1


class SlowFlows:
    """Sums over a window of seconds, and whether their size is beyond a quantile of its past."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.rows: list[tuple[float, float, float]] = []

    def add(
        self, net: float, gross: float, price: float, passed: int
    ) -> tuple[float, float, float]:
        """(net and gross of the window, move of the price since the second before it)."""
        if self.rows:
            self.rows += [(0.0, 0.0, self.rows[-1][2])] * (passed - 1)
        self.rows.append((net, gross, price))
        last = self.rows[-self.window :]
        before = self.rows[-self.window - 1 :][0][2]
        return sum(row[0] for row in last), sum(row[1] for row in last), price - before
