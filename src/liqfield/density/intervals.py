"""10-90 % intervals: a gamma law around the mean, wide by law error and by lumps of positions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from liqfield.density import readout
from liqfield.model.estimates import IntervalLaw
from liqfield.model.events import FloatArray

# Quantiles 0.1 and 0.9 of a gamma variable of mean 1, by natural log of its shape (computed with an
# independent library; tests/unit/density compares them).
LOG_SHAPE: FloatArray = np.array(
    [-4.0, -3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
)
Q10: FloatArray = np.array(
    [
        0.0,
        0.0,
        1.88048e-07,
        9.80014e-05,
        0.00378622,
        0.0311534,
        0.105361,
        0.21778,
        0.342972,
        0.46221,
        0.566919,
        0.726815,
        0.830954,
        0.93675,
    ]
)
Q90: FloatArray = np.array(
    [
        0.0989645,
        1.51784,
        2.91465,
        3.01969,
        2.86507,
        2.59451,
        2.30259,
        2.03654,
        1.81296,
        1.63282,
        1.49086,
        1.29448,
        1.17689,
        1.06431,
    ]
)

# The same lines between knots at equal steps, where the kernel finds its place by a division.
_AT: FloatArray = np.arange(readout.FIRST_KNOT, LOG_SHAPE[-1] + 0.1, readout.KNOT_STEP)
_LOW: FloatArray = np.interp(_AT, LOG_SHAPE, Q10)
_HIGH: FloatArray = np.interp(_AT, LOG_SHAPE, Q90)


def gamma_interval(
    mean: FloatArray, relative_sd: FloatArray | float, lump: float
) -> tuple[FloatArray, FloatArray]:
    """(p10, p90) of non-negative quantities with variance (relative_sd x mean)^2 + lump x mean.

    mean and lump in USD. A mean of zero gives (0, 0).
    """
    variance = np.square(relative_sd) + lump / np.maximum(mean, 1e-300)
    log_shape = -np.log(np.maximum(variance, 1e-12))
    p10, p90 = np.interp(log_shape, LOG_SHAPE, Q10), np.interp(log_shape, LOG_SHAPE, Q90)
    return mean * p10, mean * p90


def price_map(
    mass: FloatArray,
    born: FloatArray,
    span: npt.NDArray[np.int64],
    unit_usd: float,
    now_h: float,
    law: IntervalLaw,
) -> FloatArray:
    """(p10, p90) float64[2, 2, bins] of a map's sum over bands. In place, mass[2, 3, bins], coins,
    becomes USD, and born[2, bins], sums of coins x birth hour, the mean age in seconds."""
    bounds = np.empty((2, *born.shape))
    readout.price(
        mass, born, unit_usd, now_h, law.own, law.bands, law.heavier, law.lump_usd, _LOW, _HIGH,
        span, bounds,
    )  # fmt: skip
    return bounds


def bound_map(mass: FloatArray, weighted: FloatArray, law: IntervalLaw) -> FloatArray:
    """(p10, p90) float64[2, 2, bins] of mass[2, 3, bins], USD, summed over bands. In place,
    weighted[2, bins], sums of USD x age, becomes the mean age."""
    bounds = np.empty((2, *weighted.shape))
    readout.bound(
        mass, law.own, law.bands, law.heavier, law.lump_usd, _LOW, _HIGH, bounds, weighted
    )
    return bounds


def pooled_law(parts: Sequence[tuple[float, IntervalLaw]], common: float) -> IntervalLaw:
    """The interval law of a sum of venues: (weight, law) of each; weights are relative.

    Errors of two venues have the correlation `common`, positions are of one venue each.
    """
    whole = sum(weight for weight, _ in parts) or 1.0
    own, lump_usd = 0.0, 0.0
    bands, heavier = np.zeros((3, 3)), np.zeros(3)
    for weight, law in parts:
        share = weight / whole
        counts = share * (share + common * (1.0 - share))
        own += counts * law.own
        bands += counts * law.bands
        heavier += counts * np.square(law.heavier)
        lump_usd += share * law.lump_usd
    return IntervalLaw(own=own, bands=bands, heavier=np.sqrt(heavier), lump_usd=lump_usd)
