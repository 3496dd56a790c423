"""The hot loops. One state is raw[2 sides, classes, bins] with a lazy factor a class.

mass = raw * scale: closing changes the factors only; opening, sweeping and stopping out touch only
the bins they change. `sums` (float64[2, classes]) is kept equal to the bins' sum as stored.
"""

from __future__ import annotations

import math

import numpy as np

from liqfield.model.events import FloatArray
from liqfield.model.jit import kernel


@kernel
def turn_over(
    raw: FloatArray,
    birth: FloatArray,
    sums: FloatArray,
    out: FloatArray,
    scale: FloatArray,
    pending: FloatArray,
    table: FloatArray,
    counter: int,
    log_prices: FloatArray,
    buy_share: FloatArray,
    share: FloatArray,
    churn: float,
    delta: float,
    quantity: float,
    rates: FloatArray,
    weights: FloatArray,
    first_bin: int,
    width: float,
    mark_bin: int,
    now_h: float,
    opened: FloatArray,
    dead: FloatArray,
) -> int:
    """One step of the flow identity; afterwards each side is `quantity` coins.

    opens - closes = delta with closes = pending (swept before) + voluntary ones. Voluntary closing
    is in proportion to rates[classes]; opening goes to log_prices[J] by share[J]; takers' and
    makers' positions draw from weights[2, classes]; half of each class goes to each of two
    quadrature points of table[2, classes, points]. What would be liquidated at once is returned in
    dead[2] and stays pending; what lies outside the grid goes to out. Returns the new counter.
    """
    classes, bins = raw.shape[1], raw.shape[2]
    points = table.shape[2]
    after = counter
    for side in range(2):
        total, weighted = 0.0, 0.0
        for c in range(classes):
            mass = scale[side, c] * (sums[side, c] + out[side, c])
            total += mass
            weighted += mass * rates[c]
        opens = max(churn + max(delta, 0.0), pending[side] + delta)
        if total > 0.0:
            opens = min(opens, 0.999 * quantity)
            share_closed = min(max(opens - delta - pending[side], 0.0) / total, 0.999999)
            if share_closed > 0.0 and weighted > 0.0:
                z = -math.log(1.0 - share_closed) * total / weighted
                total = 0.0
                for c in range(classes):
                    scale[side, c] *= math.exp(-min(z * rates[c], 30.0))
                    total += scale[side, c] * (sums[side, c] + out[side, c])
            factor = (quantity - opens) / total
            for c in range(classes):
                scale[side, c] *= factor
        else:
            opens = quantity
        opened[side] = opens
        after = counter
        for j in range(log_prices.shape[0]):
            x = log_prices[j]
            is_taker = buy_share[j] if side == 0 else 1.0 - buy_share[j]
            amount = 0.5 * opens * share[j]
            if amount <= 0.0:
                continue
            for c in range(classes):
                mass = amount * (is_taker * weights[0, c] + (1.0 - is_taker) * weights[1, c])
                if mass <= 0.0:
                    continue
                add = mass / scale[side, c]
                for half in range(2):
                    step = table[side, c, (after + half) % points]
                    if not math.isfinite(step):
                        out[side, c] += add
                        continue
                    b = math.floor((x + step) / width) - first_bin
                    if (side == 0 and b >= mark_bin) or (side == 1 and b <= mark_bin):
                        dead[side] += mass
                    elif b < 0 or b >= bins:
                        out[side, c] += add
                    else:
                        old = raw[side, c, b]
                        raw[side, c, b] = old + add
                        # what is stored, not what was meant: sums stay exact in single precision
                        kept = raw[side, c, b] - old
                        sums[side, c] += kept
                        birth[side, c, b] += kept * now_h
            after += 2
        owned = 0.0
        for c in range(classes):
            owned += scale[side, c] * (sums[side, c] + out[side, c])
        pending[side] = max(quantity - owned, 0.0)
        if owned > quantity:
            for c in range(classes):
                scale[side, c] *= quantity / owned
    return int(after % points)


@kernel
def clear(
    raw: FloatArray,
    birth: FloatArray,
    sums: FloatArray,
    scale: FloatArray,
    side: int,
    low: int,
    high: int,
    swept: FloatArray,
    born: FloatArray,
) -> None:
    """Take the bins [low, high) of a side away.

    Adds the mass taken to swept[classes] and mass x birth hour to born[classes].
    """
    for c in range(raw.shape[1]):
        taken, when = 0.0, 0.0
        for b in range(low, high):
            taken += raw[side, c, b]
            when += birth[side, c, b]
            raw[side, c, b] = 0.0
            birth[side, c, b] = 0.0
        if taken > 0.0:
            sums[side, c] = max(sums[side, c] - taken, 0.0)
            swept[c] += taken * scale[side, c]
            born[c] += when * scale[side, c]


@kernel
def erode(
    raw: FloatArray,
    birth: FloatArray,
    sums: FloatArray,
    scale: FloatArray,
    side: int,
    frontier: int,
    moved: float,
    reach: FloatArray,
    exponent: float,
    stopped: FloatArray,
) -> None:
    """Stop-outs ahead of an adverse move by `moved` bins that ends at bin `frontier`.

    A class gives up exp(-exponent) of itself while the mark covers the last reach[c] bins (half of
    its margin) before its level; adds what left to stopped[classes].
    """
    bins = raw.shape[2]
    for c in range(raw.shape[1]):
        span = int(reach[c])
        if span < 1:
            continue
        keep = math.exp(-exponent * min(moved / reach[c], 1.0))
        if side == 0:
            low, high = max(frontier - span, 0), min(frontier, bins)
        else:
            low, high = max(frontier + 1, 0), min(frontier + 1 + span, bins)
        taken = 0.0
        for b in range(low, high):
            old = raw[side, c, b]
            if old > 0.0:
                raw[side, c, b] = old * keep
                birth[side, c, b] *= keep
                taken += old - raw[side, c, b]
        if taken > 0.0:
            sums[side, c] = max(sums[side, c] - taken, 0.0)
            stopped[c] += taken * scale[side, c]


@kernel
def read_out(
    raw: FloatArray,
    birth: FloatArray,
    scale: FloatArray,
    bands: np.ndarray,
    top_long: int,
    top_short: int,
    mass: FloatArray,
    born: FloatArray,
) -> None:
    """mass[2, 3, bins] = coins by leverage band; born[2, bins] = sum of coins x birth hour."""
    bins = raw.shape[2]
    mass[:] = 0.0
    born[:] = 0.0
    for side in range(2):
        for c in range(raw.shape[1]):
            factor = scale[side, c]
            row = mass[side, bands[c]]
            when = born[side]
            first = 0 if side == 0 else top_short
            stop = top_long + 1 if side == 0 else bins
            for b in range(first, stop):
                row[b] += raw[side, c, b] * factor
                when[b] += birth[side, c, b] * factor
