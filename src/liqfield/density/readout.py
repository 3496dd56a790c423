"""Compiled loops of the read-out: the state summed by leverage band, priced, with intervals."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from liqfield.model.events import FloatArray
from liqfield.model.jit import inner_kernel, kernel

BLOCK = 512
FIRST_KNOT, KNOT_STEP = -4.0, 0.5  # natural log of a gamma law's shape
LEAST = 1e-300
# A lump is the size of a position weighted by notional; there are more positions than lumps: twice
# as many where sizes are log-normal with an sd of 0.83. Coverage moves by 0.02 for half or double.
POSITIONS_PER_LUMP = 2.0
ROOT_2 = 1.4142135623730951
LN_2 = 0.6931471805599453
LN_10 = 2.302585092994046


@kernel
def read_out(
    raw: FloatArray,
    birth: FloatArray,
    scale: FloatArray,
    unit: float,
    span: npt.NDArray[np.int64],
    bands: npt.NDArray[np.int64],
    mass: FloatArray,
    born: FloatArray,
) -> None:
    """mass[2, 3, bins] = coins by leverage band x unit; born[2, bins] = sum of coins x birth hour.

    born of no bins ([2, 0]) is left out. Each class is looked at where it may hold something, in
    blocks whose sums stay in the nearest cache, so the state is what comes from memory.
    """
    classes = raw.shape[1]
    is_aged = born.shape[1] > 0
    for side in range(2):
        first, end = span[side, :, 0].min(), span[side, :, 1].max()
        end = max(first, end)
        for band in range(3):
            mass[side, band, :first] = 0.0
            mass[side, band, end:] = 0.0
        if is_aged:
            born[side, :first] = 0.0
            born[side, end:] = 0.0
        for start in range(first, end, BLOCK):
            stop = min(start + BLOCK, end)
            mass[side, :, start:stop] = 0.0
            if is_aged:
                born[side, start:stop] = 0.0
            for c in range(classes):
                low = max(start, span[side, c, 0])
                high = min(stop, span[side, c, 1])
                if low >= high:
                    continue
                # Slices of one known length: the loops over them become vector instructions.
                factor = scale[side, c]
                _add(mass[side, bands[c], low:high], raw[side, c, low:high], factor)
                if is_aged:
                    _add(born[side, low:high], birth[side, c, low:high], factor)
            if unit != 1.0:
                for band in range(3):
                    _multiply(mass[side, band, start:stop], unit)


@kernel
def outside(scale: FloatArray, out: FloatArray, pending: FloatArray, coins: FloatArray) -> None:
    """coins[2] = what has no level in the grid: `out` of all classes and what is pending."""
    for side in range(2):
        coins[side] = pending[side]
        for c in range(scale.shape[1]):
            coins[side] += scale[side, c] * out[side, c]


@inner_kernel
def _add(sums: FloatArray, of: FloatArray, factor: float) -> None:
    for b in range(len(sums)):
        sums[b] += of[b] * factor


@inner_kernel
def _multiply(values: FloatArray, factor: float) -> None:
    for b in range(len(values)):
        values[b] *= factor


@kernel
def price(
    mass: FloatArray,
    born: FloatArray,
    unit_usd: float,
    now_h: float,
    own: float,
    bands: FloatArray,
    heavier: FloatArray,
    lump_usd: float,
    low_knots: FloatArray,
    high_knots: FloatArray,
    span: npt.NDArray[np.int64],
    bounds: FloatArray,
) -> None:
    """Coins mass[2, 3, bins] become USD in place, born[2, bins] (of `read_out`) the mean age in
    seconds at hour now_h; bounds[2, 2, bins] = 10 % and 90 % quantiles of the sum over bands, see
    `_bounds`. span: where each class may hold something.

    In blocks and without branches, so that all but the look-up become vector instructions.
    """
    shape, fewest = np.empty(BLOCK), np.empty(BLOCK)
    for side in range(2):
        first, end = span[side, :, 0].min(), span[side, :, 1].max()
        for n in range(2):
            bounds[n, side, :first] = 0.0
            bounds[n, side, max(first, end) :] = 0.0
        for start in range(first, end, BLOCK):
            stop = min(start + BLOCK, end)
            low, mid = mass[side, 0, start:stop], mass[side, 1, start:stop]
            high = mass[side, 2, start:stop]
            _price(low, mid, high, unit_usd, now_h, born[side, start:stop])
            _bounds(
                low, mid, high, own, bands, heavier, lump_usd, low_knots, high_knots,
                shape[: stop - start], fewest[: stop - start],
                bounds[0, side, start:stop], bounds[1, side, start:stop],
            )  # fmt: skip


@kernel
def bound(
    mass: FloatArray,
    own: float,
    bands: FloatArray,
    heavier: FloatArray,
    lump_usd: float,
    low_knots: FloatArray,
    high_knots: FloatArray,
    bounds: FloatArray,
    weighted: FloatArray,
) -> None:
    """bounds[2, 2, bins] = 10 % and 90 % quantiles of mass[2, 3, bins], USD, summed over bands, and
    weighted[2, bins], sums of USD x age (of `pool`), become the mean age."""
    shape, fewest = np.empty(BLOCK), np.empty(BLOCK)
    for side in range(2):
        for start in range(0, mass.shape[2], BLOCK):
            stop = min(start + BLOCK, mass.shape[2])
            low, mid = mass[side, 0, start:stop], mass[side, 1, start:stop]
            high = mass[side, 2, start:stop]
            _bounds(
                low, mid, high, own, bands, heavier, lump_usd, low_knots, high_knots,
                shape[: stop - start], fewest[: stop - start],
                bounds[0, side, start:stop], bounds[1, side, start:stop],
            )  # fmt: skip
            _mean_of(weighted[side, start:stop], low, mid, high)


@inner_kernel
def _mean_of(weighted: FloatArray, low: FloatArray, mid: FloatArray, high: FloatArray) -> None:
    for b in range(len(weighted)):
        weighted[b] /= max(low[b] + mid[b] + high[b], LEAST)


@inner_kernel
def _bounds(
    low: FloatArray,
    mid: FloatArray,
    high: FloatArray,
    own: float,
    bands: FloatArray,
    heavier: FloatArray,
    lump_usd: float,
    low_knots: FloatArray,
    high_knots: FloatArray,
    shape: FloatArray,
    fewest: FloatArray,
    p10: FloatArray,
    p90: FloatArray,
) -> None:
    """Quantiles of low + mid + high, the notional of the leverage bands, USD.

    They are those of a gamma law with relative variance A + lump_usd / mean, A = `own` + the law's,
    s' bands s with s the shares of the leverage bands. *_knots: quantiles of mean 1 at ln shape
    FIRST_KNOT, FIRST_KNOT + KNOT_STEP, ... The lower one is 0 where a bin holds no position at all
    with 10 % or more. heavier, float64[3]: by how much of itself each band could be more under
    another law: its distance above the mean and the 90 % quantile's add up in squares. shape and
    fewest are room to work in.
    """
    _variance(low, mid, high, own, bands, lump_usd, shape, fewest)
    _ln(shape)
    _quantiles(low, mid, high, shape, low_knots, high_knots, p10, p90)
    _empty(low, mid, high, fewest, p10)
    _raise(low, mid, high, heavier, p90)


@inner_kernel
def _price(
    low: FloatArray,
    mid: FloatArray,
    high: FloatArray,
    unit_usd: float,
    now_h: float,
    born: FloatArray,
) -> None:
    for b in range(len(born)):
        coins = low[b] + mid[b] + high[b]
        age_s = (now_h - born[b] / max(coins, LEAST)) * 3600.0
        born[b] = max(age_s, 0.0) if coins > 0.0 else 0.0
        low[b] *= unit_usd
        mid[b] *= unit_usd
        high[b] *= unit_usd


@inner_kernel
def _variance(
    low: FloatArray,
    mid: FloatArray,
    high: FloatArray,
    own: float,
    bands: FloatArray,
    lump_usd: float,
    shape: FloatArray,
    fewest: FloatArray,
) -> None:
    """1 / relative variance of each bin, the shape of its gamma law, and the notional up to which
    it is empty with 10 %.

    The number of positions is a Poisson number of a mean that varies by A, relative: none with
    (1 + A n)^(-1 / A) for a mean n. That is 10 % at n = (10^A - 1) / A, here by its series.
    """
    lump_share = lump_usd / POSITIONS_PER_LUMP * LN_10
    b00, b11, b22 = bands[0, 0], bands[1, 1], bands[2, 2]
    b01, b02, b12 = 2.0 * bands[0, 1], 2.0 * bands[0, 2], 2.0 * bands[1, 2]
    for b in range(len(shape)):
        x, y, z = low[b], mid[b], high[b]
        inverse = 1.0 / max(x + y + z, LEAST)
        x, y, z = x * inverse, y * inverse, z * inverse
        law = x * (b00 * x + b01 * y + b02 * z) + y * (b11 * y + b12 * z) + b22 * z * z
        common = own + max(law, 0.0)
        shape[b] = 1.0 / max(common + lump_usd * inverse, 1e-12)
        a = LN_10 * common
        fewest[b] = lump_share * (1.0 + a * (1.0 / 2.0 + a * (1.0 / 6.0 + a * (1.0 / 24.0))))


@inner_kernel
def _ln(values: FloatArray) -> None:
    """Natural logarithm of positive normal numbers in place, to 1e-11: libm's, eight at a time.

    The number is split into 2^k m with m in [1, 2); ln m by the series of artanh about root 2.
    """
    bits = values.view(np.int64)
    for b in range(len(values)):
        exponent = (bits[b] >> 52) - 1023
        bits[b] = (bits[b] & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000
        m = values[b]
        t = (m - ROOT_2) / (m + ROOT_2)
        u = t * t
        series = 1.0 / 9.0 + u * (1.0 / 11.0 + u * (1.0 / 13.0))
        series = 1.0 + u * (1.0 / 3.0 + u * (1.0 / 5.0 + u * (1.0 / 7.0 + u * series)))
        values[b] = (exponent + 0.5) * LN_2 + 2.0 * t * series


@inner_kernel
def _quantiles(
    low: FloatArray,
    mid: FloatArray,
    high: FloatArray,
    ln_shape: FloatArray,
    low_knots: FloatArray,
    high_knots: FloatArray,
    p10: FloatArray,
    p90: FloatArray,
) -> None:
    last = len(low_knots) - 1
    for b in range(len(p10)):
        usd = low[b] + mid[b] + high[b]
        at = min(max((ln_shape[b] - FIRST_KNOT) / KNOT_STEP, 0.0), float(last))
        k = min(int(at), last - 1)
        part = at - k
        p10[b] = usd * (low_knots[k] + part * (low_knots[k + 1] - low_knots[k]))
        p90[b] = usd * (high_knots[k] + part * (high_knots[k + 1] - high_knots[k]))


@inner_kernel
def _empty(
    low: FloatArray, mid: FloatArray, high: FloatArray, fewest: FloatArray, p10: FloatArray
) -> None:
    for b in range(len(p10)):
        p10[b] = p10[b] if low[b] + mid[b] + high[b] > fewest[b] else 0.0


@inner_kernel
def _raise(
    low: FloatArray, mid: FloatArray, high: FloatArray, heavier: FloatArray, p90: FloatArray
) -> None:
    h0, h1, h2 = heavier[0], heavier[1], heavier[2]
    for b in range(len(p90)):
        above = abs(p90[b] - (low[b] + mid[b] + high[b]))
        more = low[b] * h0 + mid[b] * h1 + high[b] * h2
        p90[b] += math.sqrt(above * above + more * more) - above


@kernel
def pool(
    part: FloatArray,
    offset: int,
    age_s: FloatArray,
    mass: FloatArray,
    weighted: FloatArray,
    lost: FloatArray,
) -> None:
    """Add part[2, 3, n] to mass[2, 3, bins] from bin `offset` on; what falls beside it to lost[2].

    weighted [2, bins] takes notional x age_s [2, n]; an age_s of no bins is left out.
    """
    count, bins = part.shape[2], mass.shape[2]
    low, high = max(-offset, 0), min(bins - offset, count)
    is_aged = age_s.shape[1] > 0
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
            if is_aged:
                weighted[side, at] += usd * age_s[side, b]
