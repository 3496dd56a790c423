"""10-90 % intervals: a gamma law around the mean, wide by law error and by lumps of positions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from liqfield.density import readout
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
    own_sd: float,
    bands: FloatArray,
    heavier: FloatArray,
    lump_usd: float,
) -> FloatArray:
    """(p10, p90) float64[2, 2, bins] of a map's sum over bands. In place, mass[2, 3, bins], coins,
    becomes USD, and born[2, bins], sums of coins x birth hour, the mean age in seconds.

    The interval is `gamma_interval`'s with the relative sd of every bin, own_sd, and that of the
    law: `bands` is the covariance of ln mass by leverage band, float64[3, 3]. p90 is raised by what
    another law would add: `heavier`, float64[3], as a share of each band (`readout.price`).
    """
    bounds = np.empty((2, *born.shape))
    readout.price(
        mass, born, unit_usd, now_h, own_sd * own_sd, bands, heavier, lump_usd, _LOW, _HIGH, span,
        bounds,
    )  # fmt: skip
    return bounds
