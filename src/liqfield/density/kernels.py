"""The hot loops of a step. One state is raw[2 sides, classes, bins] with a lazy factor a class.

mass = raw * scale: closing changes the factors only; opening, sweeping and stopping out touch only
the bins they change. `sums` (float64[2, classes]) is kept equal to the bins' sum as stored, and
`span` (int64[2, classes, 2]) to bins [first, end) that hold all of it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from liqfield.model.events import FloatArray
from liqfield.model.jit import inner_kernel, kernel, summing_kernel

IntArray = npt.NDArray[np.int64]
LEAST_SHARE, MOST_CLOSED = 0.001, 0.999999  # of open interest: kept in a step, closed in a step
MOST_DECAY = 30.0  # e-foldings of a class in one step

THIN = 1e-10  # share of a class below which a bin is empty


@kernel
def turn_over(
    raw: FloatArray,
    birth: FloatArray,
    sums: FloatArray,
    out: FloatArray,
    scale: FloatArray,
    pending: FloatArray,
    span: IntArray,
    table: FloatArray,
    counter: int,
    flow: FloatArray,
    churn: float,
    delta: float,
    quantity: float,
    rates: FloatArray,
    weights: FloatArray,
    first_bin: int,
    width: float,
    mark_bin: int,
    now_h: float,
) -> tuple[int, float, float, float, float, float]:
    """One step of the flow identity; afterwards each side is `quantity` coins.

    opens - closes = delta with closes = pending (swept before) + voluntary ones. Voluntary closing
    is in proportion to rates[classes]; opening goes to the log-prices flow[:, 0] by the volume that
    takers bought and sold there, flow[:, 1:]. What would be liquidated at once is dead on arrival
    and stays pending; what lies outside the grid goes to out. Returns the new counter of quadrature
    points, the lowest factor, the coins opened longs and shorts, and the dead of both.
    """
    points = table.shape[2]
    shares = flow[:, 1:] / flow[:, 1:].sum()
    opened, dead = np.zeros(2), np.zeros(2)
    for side in range(2):
        opened[side] = _close(
            sums[side], out[side], scale[side], pending[side], rates, churn, delta, quantity
        )
        grid = first_bin, width, mark_bin, now_h
        for c in range(len(rates)):
            dead[side] += _open(
                raw[side, c], birth[side, c], sums[side], out[side], span[side, c], scale[side, c],
                c, side, table[side, c], counter, flow[:, 0], shares, 0.5 * opened[side], weights,
                grid,
            )  # fmt: skip
        pending[side] = _settle(sums[side], out[side], scale[side], quantity)
    after = (counter + 2 * len(flow)) % points
    return after, scale.min(), opened[0], opened[1], dead[0], dead[1]


@inner_kernel
def _close(
    sums: FloatArray,
    out: FloatArray,
    scale: FloatArray,
    pending: float,
    rates: FloatArray,
    churn: float,
    delta: float,
    quantity: float,
) -> float:
    """Voluntary closing on a side, by its factors alone; returns the coins to be opened."""
    total, weighted = 0.0, 0.0
    for c in range(len(rates)):
        mass = scale[c] * (sums[c] + out[c])
        total += mass
        weighted += mass * rates[c]
    if total <= 0.0:
        return quantity
    opens = max(churn + max(delta, 0.0), pending + delta)
    opens = min(opens, (1.0 - LEAST_SHARE) * quantity)
    closed = min(max(opens - delta - pending, 0.0) / total, MOST_CLOSED)
    if closed > 0.0 and weighted > 0.0:
        z = -math.log(1.0 - closed) * total / weighted
        total = 0.0
        for c in range(len(rates)):
            scale[c] *= math.exp(-min(z * rates[c], MOST_DECAY))
            total += scale[c] * (sums[c] + out[c])
    factor = (quantity - opens) / total
    for c in range(len(rates)):
        scale[c] *= factor
    return opens


@inner_kernel
def _open(
    raw: FloatArray,
    birth: FloatArray,
    sums: FloatArray,
    out: FloatArray,
    span: IntArray,
    scale: float,
    c: int,
    side: int,
    steps: FloatArray,
    counter: int,
    log_prices: FloatArray,
    shares: FloatArray,
    coins: float,
    weights: FloatArray,
    grid: tuple[int, float, int, float],
) -> float:
    """Openings of one class: `coins` of the law's go to each of two quadrature points `steps`, by
    shares[J, 2] of what takers bought and sold; takers and makers draw from weights[2, classes].
    Returns the dead on arrival."""
    first_bin, width, mark_bin, now_h = grid
    low, high = span[0], span[1]
    stored = beyond = dead = 0.0
    at = counter
    for j in range(len(shares)):
        takers, makers = shares[j, 0], shares[j, 1]
        if side == 1:
            takers, makers = makers, takers
        mass = coins * (takers * weights[0, c] + makers * weights[1, c])
        add = mass / scale
        for _ in range(2):
            b = -1
            level = (log_prices[j] + steps[at]) / width
            at = at + 1 if at + 1 < len(steps) else 0
            if math.isfinite(level):
                b = math.floor(level) - first_bin
                if (side == 0 and b >= mark_bin) or (side == 1 and b <= mark_bin):
                    dead += mass
                    continue
            if b < 0 or b >= len(raw):
                beyond += add
                continue
            old = np.float64(raw[b])
            raw[b] = old + add
            # what is stored, not what was meant, in double: sums stay exact
            kept = np.float64(raw[b]) - old
            stored += kept
            birth[b] += kept * now_h
            low, high = min(low, b), max(high, b + 1)
    sums[c] += stored
    out[c] += beyond
    span[0], span[1] = low, high
    return dead


@inner_kernel
def _settle(sums: FloatArray, out: FloatArray, scale: FloatArray, quantity: float) -> float:
    """What is still without an owner; no side ever has more than `quantity`."""
    owned = 0.0
    for c in range(len(scale)):
        owned += scale[c] * (sums[c] + out[c])
    if owned > quantity:
        for c in range(len(scale)):
            scale[c] *= quantity / owned
    return max(quantity - owned, 0.0)


@kernel
def sweep(
    raw: FloatArray,
    birth: FloatArray,
    sums: FloatArray,
    scale: FloatArray,
    pending: FloatArray,
    span: IntArray,
    longs: tuple[int, int],
    shorts: tuple[int, int],
    unit: float,
    swept: FloatArray,
    born: FloatArray,
) -> tuple[float, float]:
    """Bins [first, end) of longs and of shorts become pending; returns the coins of both sides.

    Adds coins x unit to swept[2, classes] and coins x unit x birth hour to born[2, classes].
    """
    taken = np.zeros(2)
    for side, (low, high) in enumerate((longs, shorts)):
        if low < high:
            taken[side] = _clear(raw, birth, sums, scale, span, side, low, high, unit, swept, born)
            pending[side] += taken[side]
    return taken[0], taken[1]


@inner_kernel
def _clear(
    raw: FloatArray,
    birth: FloatArray,
    sums: FloatArray,
    scale: FloatArray,
    span: IntArray,
    side: int,
    low: int,
    high: int,
    unit: float,
    swept: FloatArray,
    born: FloatArray,
) -> float:
    total = 0.0
    for c in range(raw.shape[1]):
        taken, when = 0.0, 0.0
        for b in range(max(low, span[side, c, 0]), min(high, span[side, c, 1])):
            taken += raw[side, c, b]
            when += birth[side, c, b]
            raw[side, c, b] = 0.0
            birth[side, c, b] = 0.0
        if taken > 0.0:
            sums[side, c] = max(sums[side, c] - taken, 0.0)
            total += taken * scale[side, c]
            swept[side, c] += taken * scale[side, c] * unit
            born[side, c] += when * scale[side, c] * unit
    return total


@kernel
def erode(
    raw: FloatArray,
    birth: FloatArray,
    sums: FloatArray,
    scale: FloatArray,
    span: IntArray,
    side: int,
    frontier: int,
    moved: float,
    reach: FloatArray,
    width: float,
    exponent: float,
) -> float:
    """Stop-outs ahead of an adverse move by `moved` (log-price) that ends at bin `frontier`.

    A class gives up exp(-exponent) of itself while the mark covers the last reach[c] (log-price,
    half of its margin) before its level; returns the coins that left.
    """
    left = 0.0
    for c in range(raw.shape[1]):
        ahead = int(reach[c] / width)
        if ahead < 1:
            continue
        keep = math.exp(-exponent * min(moved / reach[c], 1.0))
        if side == 0:
            low, high = frontier - ahead, frontier
        else:
            low, high = frontier + 1, frontier + 1 + ahead
        low, high = max(low, span[side, c, 0]), min(high, span[side, c, 1])
        if low >= high:
            continue
        taken = _fade(raw[side, c, low:high], keep)
        _fade(birth[side, c, low:high], keep)
        if taken > 0.0:
            sums[side, c] = max(sums[side, c] - taken, 0.0)
            left += taken * scale[side, c]
    return left


@summing_kernel
def _fade(values: FloatArray, keep: float) -> float:
    """Multiply by `keep`; returns what was lost, as stored."""
    lost = 0.0
    for b in range(len(values)):
        old = np.float64(values[b])
        values[b] = old * keep
        lost += old - np.float64(values[b])
    return lost


@kernel
def wander(
    raw: FloatArray,
    birth: FloatArray,
    sums: FloatArray,
    out: FloatArray,
    scale: FloatArray,
    span: IntArray,
    spread: FloatArray,
    row: FloatArray,
) -> tuple[int, int]:
    """A random walk of levels by spread[2, classes] bins (standard deviation); 0 stands still.

    A share of every bin goes a stride down, as much goes up. What leaves the window, and what gets
    too thin to count, goes to `out`; row[bins] is scratch. Returns the longest stride of longs and
    of shorts, bins.
    """
    bins = raw.shape[2]
    longest = np.zeros(2, np.int64)
    for side in range(2):
        for c in range(raw.shape[1]):
            before = sums[side, c]
            if spread[side, c] <= 0.0 or before <= 0.0:
                continue
            stride = min(max(math.ceil(1.23 * spread[side, c]), 1), bins - 1)
            part = min(0.5 * (spread[side, c] / stride) ** 2, 0.33)
            low = max(span[side, c, 0] - stride, 0)
            high = min(span[side, c, 1] + stride, bins)
            levels, births = raw[side, c, low:high], birth[side, c, low:high]
            _walk(levels, stride, part, row[: high - low])
            _walk(births, stride, part, row[: high - low])
            _thin(levels, births, THIN * before)
            total = _total(levels)
            first, end = _bounds(levels)
            span[side, c, 0], span[side, c, 1] = low + first, low + end
            if first == end:
                span[side, c, 0], span[side, c, 1] = bins, 0
            sums[side, c] = total
            out[side, c] += before - total
            if out[side, c] < 0.0:  # rounding of single precision: nothing outside to give it to
                scale[side, c] *= 1.0 + out[side, c] / total
                out[side, c] = 0.0
            longest[side] = max(longest[side], stride)
    return longest[0], longest[1]


# Loops over whole slices, without branches: they become vector instructions.


@inner_kernel
def _walk(values: FloatArray, stride: int, part: float, row: FloatArray) -> None:
    for b in range(len(values)):
        row[b] = part * values[b]
        values[b] -= 2.0 * row[b]
    if stride < len(values):
        _add(values[stride:], row[: len(row) - stride])
        _add(values[: len(values) - stride], row[stride:])


@inner_kernel
def _add(values: FloatArray, more: FloatArray) -> None:
    for b in range(len(values)):
        values[b] += more[b]


@inner_kernel
def _thin(levels: FloatArray, births: FloatArray, least: float) -> None:
    """Empty what holds less than `least`."""
    for b in range(len(levels)):
        is_kept = levels[b] >= least
        levels[b] = levels[b] if is_kept else 0.0
        births[b] = births[b] if is_kept else 0.0


@summing_kernel
def _total(values: FloatArray) -> float:
    """The sum in double precision."""
    total = 0.0
    for b in range(len(values)):
        total += np.float64(values[b])
    return total


@inner_kernel
def _bounds(values: FloatArray) -> tuple[int, int]:
    """[first bin with mass, last + 1); [n, n) for none."""
    low, high = 0, len(values)
    while low < high and not values[low] > 0.0:
        low += 1
    while high > low and not values[high - 1] > 0.0:
        high -= 1
    return low, high


@kernel
def find_spans(raw: FloatArray, span: IntArray) -> None:
    """The tightest span of every class: [first bin with mass, last + 1), [bins, 0) for none."""
    bins = raw.shape[2]
    for side in range(2):
        for c in range(raw.shape[1]):
            low, high = _bounds(raw[side, c])
            span[side, c, 0], span[side, c, 1] = (low, high) if low < high else (bins, 0)
