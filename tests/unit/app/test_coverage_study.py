"""What honest intervals would cover: 80 % in every world whose bins err alone, and less or more
where they err together."""

from __future__ import annotations

import numpy as np
import pytest

from liqfield.app.study.coverage import drawn_coverage
from liqfield.app.study.worlds import Moment
from liqfield.density.combine import combine
from liqfield.density.intervals import bound_map
from liqfield.model.estimates import Confidence, IntervalLaw, LiquidationDensity
from liqfield.verify.field import facing, field_window

MARK = 6e4


def drawn(law_variance: float, usd: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    grid = field_window(MARK)
    mass = np.full((2, 3, grid.count), usd / 3.0)
    errs = IntervalLaw(0.2, np.full((3, 3), law_variance), np.zeros(3), 1.0)
    p10, p90 = bound_map(mass, np.zeros((2, grid.count)), errs)
    parts = [
        LiquidationDensity(
            name, 1, MARK, grid, mass, np.zeros(2), 1.0, Confidence(1.0), p10=p10, p90=p90,
            errs=errs,
        )
        for name in ("a:BTC", "b:BTC")
    ]  # fmt: skip
    whole = combine(parts)
    assert whole is not None
    none = np.zeros((2, grid.count))
    moments = [Moment(at, MARK, grid, none, none[None]) for at in range(2)]
    low, high = facing(whole.p10), facing(whole.p90)
    random = np.random.default_rng(1)
    return drawn_coverage([parts] * 2, moments, np.stack([low] * 2), np.stack([high] * 2), random)


@pytest.mark.parametrize("usd", [2.0, 6.0, 30.0])
def test_bins_that_err_alone_cover_what_is_stated_in_every_world(usd: float) -> None:
    found = drawn(0.0, usd)
    assert found.mean() == pytest.approx(0.8, abs=0.04)
    assert found.std() < 0.035


def test_bins_that_err_together_cover_it_over_worlds_only() -> None:
    found = drawn(0.3, 30.0)
    assert found.mean() == pytest.approx(0.8, abs=0.06)
    assert found.std() > 0.12
