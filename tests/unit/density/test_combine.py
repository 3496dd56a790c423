"""Sums of venues: intervals between independent and common errors; prints at their triggers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.density.clusters import BACKGROUND_BINS, SMOOTH_BINS, find_rises
from liqfield.density.combine import COMMON, combine, combine_columns
from liqfield.density.intervals import bound_map
from liqfield.density.settings import PRIOR_TIERS
from liqfield.density.triggers import trigger_of
from liqfield.model.estimates import Confidence, IntervalLaw, LiquidationDensity
from liqfield.model.events import Liquidation
from liqfield.model.grid import PriceGrid
from liqfield.model.margin import isolated_margin, liquidation_price, solve_price, trigger_price
from liqfield.model.sides import ContractKind, Coverage, PositionSide, PriceKind
from tests.reference.density import rises

GRID = PriceGrid.around(6e4, 0.001, 64)
SIDES = (PositionSide.LONG, PositionSide.SHORT)


def density(name: str, usd: float, sd: float, lump_usd: float = 0.0) -> LiquidationDensity:
    mass = np.full((2, 3, 64), usd / 3.0)
    errs = IntervalLaw(own=sd * sd, lump_usd=lump_usd)
    p10, p90 = bound_map(mass, np.zeros((2, 64)), errs)
    return LiquidationDensity(
        instrument_id=f"{name}:BTC",
        at_ns=1,
        mark_price=6e4,
        grid=GRID,
        notional_usd=mass,
        p10=p10,
        p90=p90,
        outside_usd=np.zeros(2),
        open_interest_usd=64 * usd,
        confidence=Confidence(1.0),
        errs=errs,
    )


def test_pooled_intervals_lie_between_independent_and_common_errors() -> None:
    parts = [density(name, 1e6, 0.8) for name in ("a", "b", "c", "d")]
    pooled = combine(parts)
    assert pooled is not None
    assert pooled.errs.own == pytest.approx(0.64 * (COMMON + 0.25 * (1.0 - COMMON)))
    one = parts[0]
    for bound, pooled_bound in ((one.p10, pooled.p10), (one.p90, pooled.p90)):
        usd = one.notional_usd.sum(axis=1)
        apart = np.abs(pooled_bound - 4.0 * usd) / np.abs(bound - usd)
        assert (apart > 2.0).all()
        assert (apart < 4.0).all()
    alone = combine(parts[:1])
    assert alone is not None
    np.testing.assert_allclose(alone.p10, one.p10)
    np.testing.assert_allclose(alone.p90, one.p90)


@pytest.mark.parametrize("positions", [0.5, 1.5, 4.0, 12.0])
def test_intervals_cover_sums_of_few_positions(positions: float) -> None:
    """Sums of a Poisson number of log-normal sizes about an uncertain mean: 10 % below p10 and 10 %
    above p90, but where no position is the lower end."""
    random = np.random.default_rng(4)
    n, sd, venues = 20_000, 0.45, 2
    lump = np.exp(0.83**2)  # mean size 1
    parts = [density(f"v{i}", positions, sd, lump) for i in range(venues)]
    pooled = combine(parts)
    assert pooled is not None
    shape = 1.0 / pooled.errs.own
    mean = venues * positions * random.gamma(shape, 1.0 / shape, n)
    number = random.poisson(mean)
    sizes = random.lognormal(-0.5 * 0.83**2, 0.83, int(number.sum()))
    truth = np.bincount(np.repeat(np.arange(n), number), sizes, n)
    low, high = pooled.p10[0, 0], pooled.p90[0, 0]
    none = float((truth == 0.0).mean())
    if none > 0.12:
        assert low == 0.0
    assert float((truth > high).mean()) == pytest.approx(0.1, abs=0.025)
    below = float((truth < low).mean())
    assert below == (0.0 if low == 0.0 else pytest.approx(0.1, abs=0.04))


def test_columns_add_up_to_what_maps_do() -> None:
    parts = [density(name, usd, 0.8) for name, usd in (("a", 1e6), ("b", 3e5), ("c", 2e6))]
    for some in (parts, parts[1:], parts[:1]):
        whole, column = combine(some), combine_columns(some)
        assert whole is not None
        assert column is not None
        assert column.notional_usd.tobytes() == whole.notional_usd.tobytes()
        assert column.outside_usd.tolist() == whole.outside_usd.tolist()
        told = whole.instrument_id, whole.at_ns, whole.mark_price, whole.grid
        assert (column.instrument_id, column.at_ns, column.mark_price, column.grid) == told
        assert column.confidence == whole.confidence
        assert column.forced_share == whole.forced_share


@settings(max_examples=50)
@given(
    seed=st.integers(0, 1_000),
    bins=st.integers(1, 600),
    cut=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)),
    prominence=st.sampled_from([1.05, 1.4, 3.0]),
)
def test_what_stands_out_equals_its_slow_twin(
    seed: int, bins: int, cut: tuple[float, float], prominence: float
) -> None:
    random = np.random.default_rng(seed)
    mass = random.lognormal(0.0, 2.0, (2, 3, bins)) * (random.random((2, 1, bins)) < 0.3)
    first, last = sorted(int(share * bins) for share in cut)
    usd, smooth = np.empty((2, bins)), np.empty((2, last - first))
    runs = np.empty((last - first + 2, 3), np.int64)
    count = find_rises(mass, first, last, prominence, usd, smooth, runs)
    want = rises(mass, first, last, prominence, SMOOTH_BINS, BACKGROUND_BINS)
    assert [tuple(run) for run in runs[:count].tolist()] == want
    inside = slice(first, last)
    np.testing.assert_allclose(usd[:, inside], mass.sum(axis=1)[:, inside], rtol=1e-15)


def test_pooled_intervals_cover_sums_of_partly_common_errors() -> None:
    """Venues that share an error of half their variance: the pooled 80 % interval holds 75 to 90 %;
    quadrature alone holds less."""
    random = np.random.default_rng(3)
    n, venues, sd = 20_000, 4, 0.5
    parts = [density(f"v{i}", 1.0, sd) for i in range(venues)]
    pooled = combine(parts)
    assert pooled is not None
    common = random.gamma(8.0, 1.0 / 8.0, n)
    own = random.gamma(8.0, 1.0 / 8.0, (venues, n))
    truth = (common * own).sum(axis=0)  # variance of each about 0.25
    low, high = pooled.p10[0, 0], pooled.p90[0, 0]
    inside = float(((truth >= low) & (truth <= high)).mean())
    assert 0.75 < inside < 0.92
    one = (parts[0].p10[0, 0], parts[0].p90[0, 0])
    narrow = (4.0 - 2.0 * (1.0 - one[0]), 4.0 + 2.0 * (one[1] - 1.0))
    assert float(((truth >= narrow[0]) & (truth <= narrow[1])).mean()) < inside - 0.05


@pytest.mark.parametrize("kind", [ContractKind.LINEAR, ContractKind.INVERSE])
def test_a_bankruptcy_price_goes_back_to_the_trigger(kind: ContractKind) -> None:
    """Against the venues' algebra: where equity ends, and where maintenance begins."""
    entry = 6e4
    coins = 0.5
    quantity = coins if kind is ContractKind.LINEAR else coins * entry
    margin = isolated_margin(kind, entry, quantity, 20.0)
    for side in SIDES:
        bust = solve_price(kind, side, entry, quantity, margin, 0.0)
        level = liquidation_price(kind, side, entry, quantity, margin, PRIOR_TIERS, 0.0)
        assert bust is not None
        assert level is not None
        found = trigger_price(bust, side, coins, PRIOR_TIERS, kind)
        assert found == pytest.approx(level, rel=1e-4)
        assert abs(found / bust - 1.0) > 0.003


def test_only_bankruptcy_prices_are_moved() -> None:
    for price_kind in PriceKind:
        event = Liquidation(
            "okx:BTC", 1, 1, PositionSide.LONG, 1.0, 55_000.0, price_kind, Coverage.SAMPLED
        )
        found = trigger_of(event, PRIOR_TIERS, ContractKind.LINEAR)
        assert (found > 55_000.0) == (price_kind is PriceKind.BANKRUPTCY)
