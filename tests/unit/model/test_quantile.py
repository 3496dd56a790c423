"""The kernel of the decayed quantile finds the very cell that the whole sum of weights does."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from liqfield.model.quantile import DecayedQuantile


@given(
    st.lists(st.one_of(st.just(0.0), st.floats(1e-12, 1e12)), min_size=1, max_size=60),
    st.floats(0.01, 1.0),
)
def test_it_is_the_quantile_over_every_cell(values: list[float], share: float) -> None:
    live = DecayedQuantile(3.0)
    weights = np.zeros(live.BINS + 1)
    weight = 1.0
    for value in values:
        live.add(value)
        weight *= 2.0 ** (1.0 / 3.0)
        raw = math.floor(math.log(value) / live.WIDTH) + live.BINS // 2 if value else -1
        weights[1 + min(max(raw, 0), live.BINS - 1) if value else 0] += weight
    sums = np.cumsum(weights)
    at = int(np.searchsorted(sums, share * sums[-1]))
    assert live.quantile(share) == (math.exp((at - live.BINS // 2) * live.WIDTH) if at else 0.0)
