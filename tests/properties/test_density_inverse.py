"""Inverse contracts are held in dollars: the density conserves them, whatever the price does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.density.estimator import DensityEstimator
from liqfield.density.settings import DensitySettings
from liqfield.model.events import MarkPrice, OpenInterest, TierTable, Trade
from liqfield.model.instrument import Instrument
from liqfield.model.margin import MarginTier, liquidation_price
from liqfield.model.sides import Aggressor, ContractKind, PositionSide
from tests.support import INSTRUMENTS

S = 1_000_000_000
SMALL = DensitySettings(bin_count=1024, bin_width=0.002)
# No stop-outs: only sweeps, trades and open interest may move a level.
STILL = DensitySettings(bin_count=1024, bin_width=0.002, stop_exponent=0.0)
INVERSE = INSTRUMENTS["bybit-inverse:BTCUSD"]
OPEN_USD = 4e8


def estimator(of: Instrument = INVERSE) -> DensityEstimator:
    made = DensityEstimator(of, SMALL)
    # Progressive tiers in coins, as COIN-M and Bybit inverse state them.
    tiers = (MarginTier(0.0, 150.0, 100.0, 0.005), MarginTier(150.0, 600.0, 50.0, 0.01, 0.75))
    made.update(TierTable(of.id, 1, 1, tiers))
    return made


def tell(made: DensityEstimator, at: int, mark: float, usd: float, traded_usd: float = 0.0) -> None:
    """A mark, a trade and open interest, as decoded: coins at the price."""
    name = made.instrument.id
    made.update(MarkPrice(name, at, at, mark))
    if traded_usd > 0.0:
        made.update(Trade(name, at, at, mark, traded_usd / mark, Aggressor.BUY, str(at)))
    made.update(OpenInterest(name, at, at, usd / mark, mark, notional_usd=usd))


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.floats(-0.03, 0.03), st.floats(0.8, 1.25), st.floats(0.0, 1e8)),
        min_size=1,
        max_size=30,
    )
)
def test_dollars_and_coins_are_conserved(steps: list[tuple[float, float, float]]) -> None:
    made, mark, usd = estimator(), 50_000.0, OPEN_USD
    tell(made, S, mark, usd)
    for i, (move, growth, traded) in enumerate(steps):
        mark, usd = mark * float(np.exp(move)), usd * growth
        tell(made, (i + 2) * 60 * S, mark, usd, traded)
        density = made.get()
        assert density is not None
        assert made.imbalance() < 1e-9
        assert density.open_interest_usd == pytest.approx(usd, rel=1e-9)
        assert density.open_interest_usd / density.mark_price == pytest.approx(usd / mark, rel=1e-9)
        for side in (0, 1):
            held = density.notional_usd[side].sum() + density.outside_usd[side]
            assert held == pytest.approx(usd, rel=1e-6)
            coins = held / density.mark_price
            assert coins == pytest.approx(usd / mark, rel=1e-6)


@pytest.mark.parametrize("counted_in", ["dollars", "coins"])
def test_a_move_without_trades_opens_nothing(counted_in: str) -> None:
    """The price moves, nothing trades, nothing is swept: hardly a level changes.

    The twin, a linear contract told the same coins, shows what the dollars are for: there the
    change of the coins must be openings.
    """
    of = INVERSE if counted_in == "dollars" else INSTRUMENTS["bybit:BTCUSDT"]
    made = DensityEstimator(of, STILL)
    for i in range(6):  # until what was born beyond the mark at first sight has settled
        tell(made, (1 + 60 * i) * S, 50_000.0, OPEN_USD)
    before = made.get()
    swept = sum(made.level.swept)
    for i in range(1, 9):
        tell(made, (1 + 60 * (i + 6)) * S, 50_000.0 * (1.0 - 0.0001 * i), OPEN_USD)
    after = made.get()
    assert before is not None
    assert after is not None
    assert sum(made.level.swept) <= swept, "nothing was swept: the sum only forgets"
    assert after.grid == before.grid
    units = [before.notional_usd, after.notional_usd]
    if counted_in == "coins":
        units = [units[0] / before.mark_price, units[1] / after.mark_price]
    opened = np.maximum(units[1] - units[0], 0.0).sum() / units[0].sum()
    # The price moved by 8 bp; the little that remains is the turnover that any move brings.
    assert opened < 3e-4 if counted_in == "dollars" else opened > 8e-4


def test_levels_stand_where_the_inverse_algebra_puts_them() -> None:
    """Where the most levered longs of the map stand, the margin equation of coins has its root."""
    made = estimator()
    tell(made, S, 50_000.0, OPEN_USD)
    density = made.get()
    assert density is not None
    usd = density.notional_usd[0].sum(axis=0)
    first = int(np.flatnonzero(usd > 0.0)[-1])
    nearest = np.exp((density.grid.first_bin + first) * density.grid.width)
    tiers = (MarginTier(0.0, 150.0, 100.0, 0.005),)
    root = liquidation_price(
        ContractKind.INVERSE,
        PositionSide.LONG,
        50_000.0,
        100_000.0,
        100_000.0 / 50_000.0 / 100.0,
        tiers,
    )
    assert root is not None
    # 100x at the mark dies 0.5 % below it: nothing of the map may stand nearer than that allows.
    assert root / 50_000.0 == pytest.approx(1.005 / 1.01, rel=1e-12)
    assert nearest < 50_000.0
    assert density.grid.bin_of(root) - density.grid.bin_of(float(nearest)) <= 5
