"""The self-exciting fit: equals the pair-by-pair twin, recovers the process, stays finite."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqfield.cascade.excitation import Excitation, ExcitationSettings, fit_window, normalised
from liqfield.model.events import FloatArray
from tests.reference import cascade as slow

S = 1_000_000_000


def simulate(mu: float, branching: float, decay_s: float, span_s: float, seed: int) -> FloatArray:
    """Times of a self-exciting process with exponential answers, generation by generation."""
    rng = np.random.default_rng(seed)
    times = list(rng.uniform(0.0, span_s, rng.poisson(mu * span_s)))
    parents = list(times)
    while parents:
        children = [
            t + rng.exponential(decay_s) for t in parents for _ in range(rng.poisson(branching))
        ]
        parents = [t for t in children if t < span_s]
        times += parents
    return np.sort(np.array(times))


@given(
    st.lists(st.tuples(st.integers(1, 999), st.integers(1, 50)), min_size=2, max_size=25),
    st.floats(0.0, 0.9),
)
def test_equals_the_pair_by_pair_twin(rows: list[tuple[int, int]], prior: float) -> None:
    at = np.array(sorted(t for t, _ in rows)) / 10.0
    weight = normalised(np.array([float(w) for _, w in rows]))
    got = fit_window(at, weight, 100.0, 12, prior, 6.0, 6.0)
    want = slow.excitation(at.tolist(), weight.tolist(), 100.0, 12, prior, 6.0, 6.0)
    assert got == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("branching", [0.1, 0.5, 0.8])
def test_recovers_the_branching_ratio(branching: float) -> None:
    settings = ExcitationSettings(capacity=20_000, window_s=6_000.0)
    fits = []
    for seed in range(6):
        live = Excitation(settings)
        times = simulate(0.05, branching, 4.0, 6_000.0, seed)
        for t in times:
            live.add(int(t * S), 1e6)
        fit = live.fit(6_000 * S)
        assert fit is not None
        fits.append(fit)
    assert np.mean([fit.branching for fit in fits]) == pytest.approx(branching, abs=0.08)
    assert np.mean([fit.mu_per_s for fit in fits]) == pytest.approx(0.05, rel=0.25)
    if branching >= 0.5:
        assert np.mean([fit.decay_s for fit in fits]) == pytest.approx(4.0, rel=0.3)


@given(
    st.lists(
        st.tuples(st.integers(0, 4_000), st.floats(0.0, 1e12, allow_subnormal=False)), max_size=700
    )
)
def test_always_finite_and_bounded(rows: list[tuple[int, float]]) -> None:
    live = Excitation()
    for second, usd in rows:
        live.add(second * S, usd)
    assert len(live) <= live.settings.capacity
    fit = live.fit(4_000 * S)
    if fit is None:
        return
    for value in (fit.branching, fit.mu_per_s, fit.decay_s):
        assert math.isfinite(value)
        assert value >= 0.0


def test_the_order_of_arrival_does_not_matter() -> None:
    rows = [(3 * S, 5.0), (1 * S, 2.0), (2 * S, 9.0), (2 * S, 1.0)] * 4
    one, two = Excitation(), Excitation()
    for row in rows:
        one.add(*row)
    for row in reversed(rows):
        two.add(*row)
    assert one.fit(60 * S) == two.fit(60 * S)


def test_few_prints_are_no_fit() -> None:
    live = Excitation()
    for k in range(7):
        live.add(k * S, 1.0)
    assert live.fit(60 * S) is None
