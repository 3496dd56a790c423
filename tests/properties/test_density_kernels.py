"""The fast state against its slow twin, whatever the order of steps."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.density import law as laws
from liqfield.density.intervals import bound_map, gamma_interval, price_map
from liqfield.density.readout import POSITIONS_PER_LUMP
from liqfield.density.settings import PRIOR_TIERS, LeverageLaw
from liqfield.density.state import DensityState
from liqfield.model.estimates import IntervalLaw
from liqfield.model.sides import ContractKind
from tests.reference.density import SlowState, law_variance, positions_that_may_be_none

WIDTH, BINS, PRICE = 0.004, 256, 1e4
RATES = laws.maintenance_rates(PRIOR_TIERS, PRICE, 1e5, 1.5, 0.0, ContractKind.LINEAR)
TABLE = laws.distance_table(ContractKind.LINEAR, RATES)
SHARES = laws.class_shares(LeverageLaw(), 100.0)
WEIGHTS = np.stack((laws.tilted(SHARES, 0.2), laws.tilted(SHARES, -0.2)))
EXITS = laws.exit_rates(LeverageLaw())
REACH = 0.5 * np.where(np.isfinite(TABLE), np.abs(TABLE), 3.0).mean(axis=(0, 2))

step_st = st.tuples(
    st.floats(-0.05, 0.05),  # where the mark goes
    st.floats(0.0, 0.3),  # churn as a share of open interest
    st.floats(-0.2, 0.2),  # change of open interest
    st.floats(0.0, 1.0),  # takers' buys
    st.booleans(),  # stop-outs in this step
)


@settings(max_examples=25, deadline=None)
@given(st.lists(step_st, min_size=1, max_size=5), st.floats(0.0, 4.0), st.sampled_from([0.0, 6e4]))
def test_fast_equals_slow(
    rows: list[tuple[float, float, float, float, bool]], spread: float, lump: float
) -> None:
    fast, slow = DensityState(PRICE, WIDTH, BINS), SlowState(laws.CLASSES, BINS)
    first, quantity, x = fast.grid.first_bin, 1000.0, math.log(PRICE)
    counter = 0
    for move, churn, change, buys, stops in rows:
        before, x = x, math.log(PRICE) + move
        low, high = math.exp(min(before, x)), math.exp(max(before, x))
        if stops and x < before:
            reach = REACH / WIDTH
            edge, moved = math.floor(x / WIDTH) - first, (before - x) / WIDTH
            np.testing.assert_allclose(
                fast.erode(0, x, before - x, REACH, 0.7),
                slow.erode(0, edge, moved, reach, 0.7),
                rtol=1e-4,
                atol=1e-6,
            )
        swept, born = np.zeros((2, laws.CLASSES)), np.zeros((2, laws.CLASSES))
        fast.sweep(min(before, x), max(before, x), swept, born)
        np.testing.assert_allclose(swept, slow.sweep(WIDTH, first, low, high), rtol=1e-4, atol=1e-5)
        delta = change * quantity
        flow = np.array(
            [[before, 4.0 * buys, 4.0 * (1.0 - buys)], [x, 6.0 * (1.0 - buys), 6.0 * buys]]
        )
        mark_bin = math.floor(x / WIDTH) - first
        _, _, *dead = fast.turn_over(
            flow, churn * quantity, delta, quantity + delta, EXITS, WEIGHTS, TABLE, x, 0.0
        )
        want = slow.turn_over(
            TABLE, counter, flow, churn * quantity, delta, quantity + delta, EXITS, WEIGHTS,
            first, WIDTH, mark_bin,
        )  # fmt: skip
        counter = fast.counter
        quantity += delta
        np.testing.assert_allclose(dead, want, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            fast.raw * fast.scale[:, :, None], slow.mass, rtol=1e-3, atol=1e-4
        )
        np.testing.assert_allclose(fast.scale * fast.out, slow.out, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(fast.totals(), quantity, rtol=1e-9)
        inside = np.arange(BINS) >= fast.span[:, :, :1]
        inside &= np.arange(BINS) < fast.span[:, :, 1:]
        assert not fast.raw[~inside].any()
    mass, born = fast.read()
    for band in range(3):
        wanted = slow.mass[:, band == laws.CLASS_BAND].sum(axis=1)
        np.testing.assert_allclose(mass[:, band], wanted, rtol=1e-3, atol=1e-3)
    bands = spread * np.array([[0.04, 0.01, 0.0], [0.01, 0.2, 0.1], [0.0, 0.1, 0.6]])
    coins, hours, unit = mass.copy(), born.copy(), 1e4
    heavier = spread * np.array([2.0, 3.0, 0.5])
    errs = IntervalLaw(0.85**2, bands, heavier, lump)
    bounds = price_map(mass, born, fast.span, unit, 3.0, errs)
    np.testing.assert_allclose(mass, coins * unit)
    usd = mass.sum(axis=1)
    common = 0.85**2 + law_variance(mass, bands)
    p10, p90 = gamma_interval(usd, np.sqrt(common), lump)
    p10 = np.where(usd > positions_that_may_be_none(common) * lump / POSITIONS_PER_LUMP, p10, 0.0)
    above, more = np.abs(p90 - usd), np.einsum("sbk,b->sk", mass, heavier)
    p90 = p90 + np.hypot(above, more) - above
    np.testing.assert_allclose(bounds, (p10, p90), rtol=1e-7, atol=1e-9)
    again = bound_map(mass, born.copy(), errs)
    np.testing.assert_allclose(again, bounds, rtol=1e-12, atol=1e-12)
    ages = (3.0 - hours / np.maximum(usd / unit, 1e-300)) * 3600.0
    np.testing.assert_allclose(born, np.where(usd > 0.0, ages, 0.0), atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(0.001, 40.0), min_size=1, max_size=4),
    st.integers(0, BINS - 1),
    st.integers(0, laws.CLASSES - 1),
)
def test_wandering_levels_equal_their_slow_twin_and_keep_all(
    spreads: list[float], at: int, c: int
) -> None:
    fast, slow = DensityState(PRICE, WIDTH, BINS), SlowState(laws.CLASSES, BINS)
    for side in range(2):
        for b, coins in ((at, 900.0), ((at * 7 + 3) % BINS, 100.0)):
            fast.raw[side, c, b] += coins
            fast.birth[side, c, b] += 2.0 * coins
            slow.mass[side, c, b] += coins
    fast.sums[:, c], fast.span[:, c] = 1000.0, (0, BINS)
    mean = float((fast.raw[0, c] * np.arange(BINS)).sum())
    for spread in spreads:
        by = np.zeros((2, laws.CLASSES))
        by[:, c] = spread * WIDTH
        fast.wander(by)
        for side in range(2):
            slow.wander(side, c, spread)
    np.testing.assert_allclose(fast.raw, slow.mass, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fast.birth, 2.0 * fast.raw, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fast.out, slow.out, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(fast.totals(), 1000.0, rtol=1e-12)
    np.testing.assert_allclose(fast.sums, fast.raw.sum(axis=2, dtype=np.float64), rtol=1e-12)
    for side in range(2):
        held = np.flatnonzero(fast.raw[side, c])
        tightest = (held[0], held[-1] + 1) if len(held) else (BINS, 0)
        assert tuple(fast.span[side, c]) == tightest
    if fast.out[0, c] < 1e-6:
        moved = float((fast.raw[0, c] * np.arange(BINS)).sum()) - mean
        assert abs(moved) < 1e-2 * 1000.0, "levels wander, they do not drift"
