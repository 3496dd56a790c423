"""Slow twins of depth, usual depth, level sizes and survival: whole lists, plain loops."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence

from liqfield.book.bands import EDGES, band_of
from liqfield.book.sample import LATTICE, REACH
from liqfield.book.sizes import BINS, LOWEST, PARTS
from liqfield.book.wall_facts import WallSettings

Level = tuple[float, float]  # price, coins


def within(levels: Sequence[Level], mid: float, distance: float) -> float:
    """USD of the levels no farther than `distance` from the mid."""
    return sum(p * q for p, q in levels if abs(p / mid - 1.0) <= distance * (1.0 + 1e-12))


def sweep(levels: Sequence[Level], mid: float, notional: float) -> tuple[float, float]:
    """(USD filled, slippage in bp) of an order that takes level by level, nearest first."""
    left, coins = notional, 0.0
    for price, quantity in sorted(levels, key=lambda level: abs(level[0] - mid)):
        part = min(left, price * quantity)
        coins += part / price
        left -= part
        if left <= 0.0:
            break
    filled = notional - left
    return filled, abs(filled / coins / mid - 1.0) * 1e4 if coins > 0.0 else 0.0


def usual(
    samples: Sequence[tuple[int, float]],
    now_ns: int,
    *,
    slot_ns: int,
    hour_ns: int,
    recent: int,
    least_recent: int,
    slots: int,
    least_slots: int,
) -> float | None:
    """Usual depth at one distance from all (time, USD) samples at once."""
    by_slot: dict[int, list[float]] = {}
    for at_ns, value in samples:
        by_slot.setdefault(at_ns // slot_ns, []).append(value)
    running = samples[-1][0] // slot_ns if samples else -1
    medians = [
        (slot, statistics.median(values))
        for slot, values in sorted(by_slot.items())
        if slot != running and len(values) >= least_recent
    ]
    hour = now_ns // hour_ns % 24
    of_hour = [value for slot, value in medians if slot * slot_ns // hour_ns % 24 == hour]
    if len(of_hour) >= least_slots:
        return statistics.median(of_hour[-slots:])
    newest = [value for _, value in samples[-recent:]]
    return statistics.median(newest) if len(newest) >= least_recent else None


def quantile(sizes: Sequence[tuple[float, float]], share: float) -> float:
    """Weighted quantile of (size, weight): the smallest size that covers the share."""
    total, reached = sum(weight for _, weight in sizes), 0.0
    for size, weight in sorted(sizes):
        reached += weight
        if reached >= share * total:
            return size
    return math.inf


def kaplan_meier(lives: Sequence[tuple[int, bool]], steps: int) -> list[float]:
    """Lives as (step in which it left, did it end there): survival after each step."""
    alive, out = 1.0, []
    for step in range(steps):
        at_risk = sum(left >= step for left, _ in lives)
        ended = sum(left == step and is_end for left, is_end in lives)
        if at_risk:
            alive *= 1.0 - ended / at_risk
        out.append(alive)
    return out


def size_bin(coins: float) -> int:
    """Bin of a level's size: its octave in quarters by value."""
    mantissa, octave = math.frexp(coins)
    bin_ = (octave - LOWEST) * PARTS + math.floor((mantissa * 2.0 - 1.0) * PARTS)
    return min(max(bin_, 0), BINS - 1)


def look(
    sides: Sequence[Sequence[Level]], mid: float, seen: Sequence[float]
) -> tuple[list[list[float]], Counter[tuple[int, int]], dict[int, float]]:
    """Of whole sides: USD to each edge (nan where it is not shown), levels by band and size bin,
    USD by bin of the lattice of prices."""
    cum = []
    sizes: Counter[tuple[int, int]] = Counter()
    by_price: dict[int, float] = {}
    for side, shown in zip(sides, seen, strict=True):
        near = [(p, q) for p, q in side if abs(p / mid - 1.0) <= REACH * (1.0 + 1e-12)]
        cum.append([within(near, mid, e) if e <= shown * (1.0 + 1e-9) else math.nan for e in EDGES])
        for price, coins in near:
            sizes[band_of(abs(price / mid - 1.0)), size_bin(coins)] += 1
            bin_ = math.floor(math.log(price) / LATTICE)
            by_price[bin_] = by_price.get(bin_, 0.0) + price * coins
    return cum, sizes, by_price


def thresholds(usual: float, wide: float, least: float, s: WallSettings) -> tuple[float, float]:
    """Sizes from which a level is large, and from which a wall is told of, by the quantiles 0.5,
    0.9 and `s.quantile` of sizes in its band."""
    spread = wide / usual
    large = max(min(least, spread**s.quantile_power * usual), s.times_usual * usual)
    return large, max(large, least, min(s.stand_out, spread**s.spread_power) * usual)
