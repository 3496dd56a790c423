"""How long large resting orders live: Kaplan-Meier over age and over the approach of the price.

Bounded: counts by age step and distance band, not lives. Age steps double from one second.
`S(k) = prod over j <= k of (1 - ended[j] / at_risk[j])`; a life that leaves in a step for another
reason (out of sight, a gap) is at risk in it and then is not: the textbook's censoring.
"""

from __future__ import annotations

import numpy as np

from liqfield.book.bands import BANDS
from liqfield.model.events import FloatArray
from liqfield.model.jit import kernel

AGE_STEPS = 16  # step 0: below 1 s, step k: [2**(k-1), 2**k) s, the last one open
PULLED, FILLED, CENSORED = 0, 1, 2


@kernel
def age_step(age_s: float) -> int:
    """Index of the age step."""
    step, bound = 0, 1.0
    while age_s >= bound and step < AGE_STEPS - 1:
        step, bound = step + 1, bound * 2.0
    return step


@kernel
def count_end(
    by_age: FloatArray,
    approach: FloatArray,
    ends_at: FloatArray,
    born: int,
    nearest: int,
    last: int,
    age_s: float,
    how: int,
) -> None:
    """A life is over. Bands: at birth, nearest the price ever came, at the end."""
    by_age[born, age_step(age_s), how] += 1.0
    ends_at[last, how] += 1.0
    # The price came through every band from birth to the nearest.
    for band in range(nearest, max(born, nearest) + 1):
        approach[band, 0] += 1.0
    if how != CENSORED:
        approach[nearest, 1 + how] += 1.0


class Survival:
    """Ends of walls. by_age[born band, age step, end]; approach[band, 0 reached, 1 pulled,
    2 filled]; exposure_s[band]: wall-seconds spent with the price at that distance, and
    ends_at[band, end] the ends there: their ratio is the hazard by distance at each moment.

    The kernels that follow the walls count into these arrays. The end of a life whose beginning was
    not seen counts in `ends_at` only.
    """

    def __init__(self) -> None:
        self.by_age = np.zeros((BANDS, AGE_STEPS, 3))
        self.approach = np.zeros((BANDS, 3))
        self.exposure_s = np.zeros(BANDS)
        self.ends_at = np.zeros((BANDS, 3))

    def end(self, born: int, nearest: int, last: int, age_s: float, how: int) -> None:
        """A life is over; see `count_end`."""
        count_end(self.by_age, self.approach, self.ends_at, born, nearest, last, age_s, how)

    def survival(self, how: int | None = None, born: slice = slice(None)) -> FloatArray:
        """float64[AGE_STEPS]: share alive after each age step; how: only that end counts."""
        ends: FloatArray = self.by_age[born].sum(axis=0)
        ended: FloatArray = ends[:, PULLED] + ends[:, FILLED] if how is None else ends[:, how]
        at_risk: FloatArray = np.cumsum(ends.sum(axis=1)[::-1])[::-1]
        return _product(ended, at_risk)

    def survival_on_approach(self) -> FloatArray:
        """float64[BANDS]: share not pulled by the time the price is within band k, far to near."""
        backwards = _product(self.approach[::-1, 1], self.approach[::-1, 0])
        nearest_last: FloatArray = backwards[::-1]
        return nearest_last

    def hazard_per_s(self, how: int) -> FloatArray:
        """float64[BANDS]: ends a second and wall, nan where none stood."""
        with np.errstate(invalid="ignore", divide="ignore"):
            rate: FloatArray = np.where(
                self.exposure_s > 0.0, self.ends_at[:, how] / self.exposure_s, np.nan
            )
        return rate


def _product(ended: FloatArray, at_risk: FloatArray) -> FloatArray:
    share = np.divide(ended, at_risk, out=np.zeros_like(ended), where=at_risk > 0.0)
    alive: FloatArray = np.cumprod(1.0 - share, dtype=np.float64)
    return alive
