"""The hot loops. One state is raw[2 sides, classes, bins] with a lazy factor a class.

mass = raw * scale: closing changes the factors only; opening, sweeping and stopping out touch only
the bins they change. `sums` (float64[2, classes]) is kept equal to the bins' sum as stored.
"""

from __future__ import annotations

import math

import numpy as np

from liqfield.model.events import FloatArray
from liqfield.model.jit import inner_kernel, kernel

READ_BLOCK = 512
FIRST_KNOT, KNOT_STEP = -4.0, 0.5


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
    """mass[2, 3, bins] = coins by leverage band; born[2, bins] = sum of coins x birth hour.

    born of no bins ([2, 0]) is left out. Each side is looked at as far as it may hold something,
    in blocks whose sums stay in the nearest cache, so the state is what comes from memory.
    """
    classes, bins = raw.shape[1], raw.shape[2]
    is_aged = born.shape[1] > 0
    for side in range(2):
        low = 0 if side == 0 else max(top_short, 0)
        high = min(top_long + 1, bins) if side == 0 else bins
        mass[side] = 0.0
        if is_aged:
            born[side] = 0.0
        for start in range(low, high, READ_BLOCK):
            stop = min(start + READ_BLOCK, high)
            # Slices of one known length: the loops over them become vector instructions.
            for c in range(classes):
                factor = scale[side, c]
                _add(mass[side, bands[c], start:stop], raw[side, c, start:stop], factor)
                if is_aged:
                    _add(born[side, start:stop], birth[side, c, start:stop], factor)


@inner_kernel
def _add(sums: FloatArray, of: FloatArray, factor: float) -> None:
    for b in range(len(sums)):
        sums[b] += of[b] * factor


@kernel
def intervals(
    mean: FloatArray,
    variance: FloatArray,
    lump: float,
    low_knots: FloatArray,
    high_knots: FloatArray,
    p10: FloatArray,
    p90: FloatArray,
) -> None:
    """p10, p90 [n] of gamma laws of mean[n] and variance (variance[n] + lump / mean) x mean^2.

    *_knots: quantiles of mean 1 at ln shape = FIRST_KNOT, FIRST_KNOT + KNOT_STEP, ...
    """
    last = len(low_knots) - 1
    for i in range(len(mean)):
        m = mean[i]
        if not m > 0.0:
            p10[i] = m
            p90[i] = m
            continue
        ratio = max(variance[i] + lump / max(m, 1e-300), 1e-12)
        at = min(max((-math.log(ratio) - FIRST_KNOT) / KNOT_STEP, 0.0), float(last))
        k = min(int(at), last - 1)
        part = at - k
        p10[i] = m * (low_knots[k] + part * (low_knots[k + 1] - low_knots[k]))
        p90[i] = m * (high_knots[k] + part * (high_knots[k + 1] - high_knots[k]))


@kernel
def notional(
    mass: FloatArray,
    born: FloatArray,
    unit_usd: float,
    now_h: float,
    usd: FloatArray,
    age_s: FloatArray,
) -> None:
    """Coins mass[2, 3, bins] become USD in place; usd[2, bins] is their sum, age_s its mean age.

    born[2, bins] as `read_out` gives it, now_h the hour of the reading.
    """
    for side in range(2):
        for b in range(usd.shape[1]):
            coins = mass[side, 0, b] + mass[side, 1, b] + mass[side, 2, b]
            age_s[side, b] = 0.0
            usd[side, b] = coins * unit_usd
            if coins > 0.0:
                age_s[side, b] = max((now_h - born[side, b] / coins) * 3600.0, 0.0)
                for band in range(3):
                    mass[side, band, b] *= unit_usd


@kernel
def pool(
    part: FloatArray,
    offset: int,
    p10: FloatArray,
    p90: FloatArray,
    age_s: FloatArray,
    mass: FloatArray,
    below: FloatArray,
    above: FloatArray,
    weighted: FloatArray,
    lost: FloatArray,
) -> None:
    """Add part[2, 3, n] to mass[2, 3, bins] from bin `offset` on; what falls beside it to lost[2].

    below and above [2, bins] take the squared distances of p10 and p90 [2, n] from the sum over
    bands, weighted takes notional x age_s; inputs of no bins are left out.
    """
    count, bins = part.shape[2], mass.shape[2]
    low, high = max(-offset, 0), min(bins - offset, count)
    for side in range(2):
        for b in range(count):
            usd = part[side, 0, b] + part[side, 1, b] + part[side, 2, b]
            if usd == 0.0:
                continue
            if b < low or b >= high:
                lost[side] += usd
                continue
            at = b + offset
            for band in range(3):
                mass[side, band, at] += part[side, band, b]
            if p10.shape[1] > 0:
                below[side, at] += (usd - p10[side, b]) ** 2
                above[side, at] += (p90[side, b] - usd) ** 2
            if age_s.shape[1] > 0:
                weighted[side, at] += usd * age_s[side, b]
