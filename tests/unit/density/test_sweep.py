"""Two laws of the map: a mark at rest liquidates nobody, and a mark that passes a level liquidates
that level and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.density.estimator import DensityEstimator
from liqfield.density.settings import DensitySettings
from liqfield.density.state import DensityState
from liqfield.model.events import MarkPrice, OpenInterest, Trade
from liqfield.model.instrument import Instrument
from liqfield.model.sides import Aggressor

S = 1_000_000_000
START = 1_790_000_000 * S
KEY = "v:BTC"
BTC = Instrument(id=KEY, venue="v", symbol="BTC", base="BTC", quote="USDT", settle="USDT")
PRICE, COINS = 60_000.0, 9e4
# Nobody leaves of their own will ahead of the mark, and levels do not wander.
FORCED_ONLY = DensitySettings(bin_width=0.001, bin_count=512, stop_exponent=0.0, cross_noise=0.0)
SIDES = pytest.mark.parametrize("side", [0, 1])


def at_rest(chosen: DensitySettings = FORCED_ONLY) -> DensityEstimator:
    """A market that was just met, at PRICE."""
    estimator = DensityEstimator(BTC, chosen)
    estimator.update(MarkPrice(KEY, START, 0, PRICE))
    estimator.update(OpenInterest(KEY, START, 0, COINS))
    return estimator


def state_of(estimator: DensityEstimator) -> DensityState:
    assert estimator.state is not None
    return estimator.state


def coins(state: DensityState) -> np.ndarray:
    """float64[2, bins]."""
    held: np.ndarray = (state.raw * state.scale[:, :, None]).sum(axis=1, dtype=np.float64)
    return held


def only(estimator: DensityEstimator, levels: dict[tuple[int, int], float]) -> None:
    """A map of known levels alone: (side, bins beyond the mark) -> coins of one class. What is
    left of the open interest has no level."""
    state = state_of(estimator)
    state.raw[:] = state.birth[:] = 0.0
    state.out[:] = 0.0
    state.scale[:] = 1.0
    centre = math.floor(math.log(estimator.mark) / state.grid.width) - state.grid.first_bin
    for (side, away), amount in levels.items():
        state.raw[side, 7, centre - away if side == 0 else centre + away] = amount
    state.pending[:] = COINS - coins(state).sum(axis=1)
    state._recount()
    state.top = [centre, centre]


@given(
    st.lists(st.tuples(st.floats(0.5, 400.0), st.booleans()), min_size=1, max_size=80),
    st.sampled_from([FORCED_ONLY, DensitySettings(bin_width=0.001, bin_count=512)]),
)
@settings(max_examples=20, deadline=None)
def test_a_mark_at_rest_sweeps_nothing_and_volume_only_turns_positions_over(
    traded: list[tuple[float, bool]], chosen: DensitySettings
) -> None:
    """Law: whatever trades at a resting mark, nobody is liquidated; who closes is replaced."""
    estimator = at_rest(chosen)
    swept = estimator.level.open_swept.copy()
    before = coins(state_of(estimator))
    for k, (amount, is_buy) in enumerate(traded):
        at = START + (k + 1) * 10 * S
        of = Aggressor.BUY if is_buy else Aggressor.SELL
        estimator.update(Trade(KEY, at - S, 0, PRICE, amount, of))
        estimator.update(MarkPrice(KEY, at, 0, PRICE))
        estimator.update(OpenInterest(KEY, at, 0, COINS))
    state = state_of(estimator)
    np.testing.assert_array_equal(estimator.level.open_swept, swept)
    np.testing.assert_allclose(state.totals(), COINS, rtol=1e-6)
    after = coins(state)
    volume = sum(amount for amount, _ in traded)
    churned = 2.0 * estimator.settings.churn_volume * estimator.kappa * volume
    for side in (0, 1):
        closed = np.maximum(before[side] - after[side], 0.0).sum()
        opened = np.maximum(after[side] - before[side], 0.0).sum()
        assert closed <= churned + 1e-3 * COINS
        assert opened <= churned + 1e-3 * COINS


@SIDES
@given(
    away=st.integers(2, 40),
    amount=st.floats(1.0, 3_000.0),
    beyond=st.floats(0.02, 0.98),
)
@settings(max_examples=25, deadline=None)
def test_a_mark_that_passes_one_level_liquidates_exactly_its_mass(
    side: int, away: int, amount: float, beyond: float
) -> None:
    """Law: the level that the mark passes is gone to the last coin, its neighbours keep theirs, the
    other side too, and the same amount waits to be explained by open interest."""
    estimator = at_rest()
    others = {
        (side, away + 1): 11.0,
        (side, away + 3): 5.0,
        (1 - side, 2): 7.0,
        (1 - side, 30): 3.0,
    }
    only(estimator, {(side, away): amount, **others})
    state = state_of(estimator)
    held, pending = coins(state), state.pending.copy()
    swept = estimator.level.open_swept.copy()
    sign = -1.0 if side == 0 else 1.0
    width = state.grid.width
    centre = (math.floor(math.log(estimator.mark) / width) + sign * away + 0.5) * width
    # Past the centre of that bin, short of the centre of the next.
    estimator.update(MarkPrice(KEY, START + S, 0, math.exp(centre + sign * beyond * width)))

    gone = held - coins(state)
    row = int(np.flatnonzero(np.abs(gone[side]) > 0.0)[0])
    assert state.grid.first_bin + row == math.floor(centre / width)
    assert gone[side, row] == pytest.approx(amount, rel=1e-6)
    gone[side, row] = 0.0
    np.testing.assert_array_equal(gone, 0.0)
    np.testing.assert_allclose((state.pending - pending)[side], amount, rtol=1e-6)
    assert state.pending[1 - side] == pending[1 - side]
    usd = estimator.level.open_swept - swept
    assert usd[side].sum() == pytest.approx(amount * estimator.mark, rel=1e-6)
    assert usd[1 - side].sum() == 0.0


@SIDES
def test_a_mark_that_stops_short_liquidates_nobody_and_the_way_back_neither(side: int) -> None:
    estimator = at_rest()
    only(estimator, {(side, 10): 100.0, (side, 11): 50.0})
    state = state_of(estimator)
    width, sign = state.grid.width, -1.0 if side == 0 else 1.0
    centre = (math.floor(math.log(PRICE) / width) + sign * 10 + 0.5) * width
    for k, x in enumerate((centre - sign * 0.02 * width, math.log(PRICE))):
        estimator.update(MarkPrice(KEY, START + (k + 1) * S, 0, math.exp(x)))
        assert coins(state)[side].sum() == pytest.approx(150.0)
    for k in range(3, 6):  # passed, back, and there again: once is all there is
        x = centre + sign * 0.02 * width if k % 2 else math.log(PRICE)
        estimator.update(MarkPrice(KEY, START + k * S, 0, math.exp(x)))
        assert coins(state)[side].sum() == pytest.approx(50.0)
