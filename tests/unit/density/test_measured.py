"""The measured layer: newest snapshot per account, exact levels, coverage, staleness, the law."""

from __future__ import annotations

import math

import numpy as np
import pytest

from liqfield.density import law as laws
from liqfield.density.estimator import DensityEstimator
from liqfield.density.fit import band_covariance, mass_covariance, prior_covariance
from liqfield.density.measured import MOST_WEIGHT, STALE_NS, MeasuredBook, implied_leverage
from liqfield.density.settings import DensitySettings, LeverageLaw
from liqfield.engine.engine import Engine
from liqfield.lab.market_setup import instrument
from liqfield.model.events import (
    Listing,
    MarkPrice,
    MeasuredPosition,
    OpenInterest,
    PositionSnapshot,
)
from liqfield.model.sides import BookRule, PositionSide
from tests.reference.density import law_variance

S = 1_000_000_000
T0 = 1_790_000_000 * S
BTC = instrument("hyperliquid", "BTC")
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


def held(
    account: str, side: PositionSide, coins: float, level: float, *, at: int = T0,
    is_cross: bool = True, entry: float = 6e4, key: str = BTC.id,
) -> PositionSnapshot:  # fmt: skip
    position = MeasuredPosition(
        key, at, at, account, side, coins, entry, level, 20.0, is_cross, 1e5
    )
    return PositionSnapshot("", at, at, "hyperliquid", account, (position,), 1e5)


def empty(account: str, at: int) -> PositionSnapshot:
    return PositionSnapshot("", at, at, "hyperliquid", account, (), 1e5)


def test_positions_stand_in_the_bin_of_their_stated_level() -> None:
    book = MeasuredBook(BTC.id)
    book.fold(held("a", LONG, 2.0, 55_000.0))
    book.fold(held("b", SHORT, 1.0, 66_000.0, is_cross=False))
    book.fold(held("c", LONG, 3.0, 0.0))  # no level
    book.fold(held("d", LONG, 5.0, 61_000.0))  # the mark is below: was liquidated since
    book.fold(held("e", SHORT, 4.0, 9e6))  # beyond the grid
    book.fold(held("f", LONG, 9.0, 50_000.0, key="hyperliquid:ETH"))  # another instrument
    layer = book.layer(6e4, 20.0, T0 + S, 0.0005, 4000)
    assert layer is not None
    wanted = np.zeros_like(layer.notional_usd)
    wanted[0, 1, layer.grid.bin_of(55_000.0)] = 2.0 * 6e4
    wanted[1, 0, layer.grid.bin_of(66_000.0)] = 1.0 * 6e4
    np.testing.assert_allclose(layer.notional_usd, wanted)
    assert layer.without_level_usd.tolist() == [3.0 * 6e4, 0.0]
    assert layer.beyond_usd.tolist() == [0.0, 4.0 * 6e4]
    assert layer.coverage == pytest.approx((5.0 / 20.0, 5.0 / 20.0))
    assert (layer.accounts, layer.passed_accounts, layer.stale_accounts) == (5, 1, 0)


def test_the_newest_snapshot_of_an_account_counts_once() -> None:
    book = MeasuredBook(BTC.id)
    book.fold(held("a", LONG, 2.0, 55_000.0, at=T0 + 5 * S))
    book.fold(held("a", LONG, 9.0, 50_000.0, at=T0))  # late reply: older
    layer = book.layer(6e4, 0.0, T0 + 6 * S, 0.0005, 4000)
    assert layer is not None
    assert layer.notional_usd.sum() == pytest.approx(2.0 * 6e4)
    assert layer.coverage == (0.0, 0.0), "venue's open interest is not known"
    book.fold(empty("a", T0 + 7 * S))
    assert book.layer(6e4, 0.0, T0 + 8 * S, 0.0005, 4000) is None


def test_old_accounts_drop_out() -> None:
    book = MeasuredBook(BTC.id)
    book.fold(held("old", LONG, 2.0, 55_000.0))
    book.fold(held("new", LONG, 1.0, 55_000.0, at=T0 + STALE_NS))
    layer = book.layer(6e4, 10.0, T0 + STALE_NS + S, 0.0005, 4000)
    assert layer is not None
    assert (layer.accounts, layer.stale_accounts) == (1, 1)
    assert layer.coverage[0] == pytest.approx(0.1)


def test_leverage_is_read_from_the_level_not_from_the_setting() -> None:
    (position,) = held("a", LONG, 1.0, 48_000.0).positions
    assert implied_leverage(position) == pytest.approx(5.0)


def crowd(leverage: float, accounts: int, coins: float) -> MeasuredBook:
    book = MeasuredBook(BTC.id)
    for i in range(accounts):
        side = LONG if i % 2 else SHORT
        away = 1.0 / leverage * (1.0 if side is SHORT else -1.0)
        book.fold(held(f"a{i}", side, coins, 6e4 * (1.0 + away)))
    return book


def test_a_law_needs_coverage_and_many_accounts_and_its_weight_is_bounded() -> None:
    assert crowd(8.0, 10, 1.0).cross_law(20.0, T0) is None, "ten accounts are no law"
    assert crowd(8.0, 100, 1.0).cross_law(1e5, T0) is None, "covers 0.05 %"
    law = crowd(8.0, 100, 1.0).cross_law(50.0, T0)
    assert law is not None
    assert law.weight == MOST_WEIGHT
    assert law.standing.sum() == pytest.approx(1.0)
    assert laws.EDGES[law.standing.argmax()] <= 8.0 <= laws.EDGES[law.standing.argmax() + 1]


def test_engine_keeps_the_layer_apart_and_bends_the_prior_of_its_venue() -> None:
    """Public accounts all at 8x: the filter of a venue without prints puts more there, the sum of
    its map stays the open interest."""
    maps = []
    for scanned in (False, True):
        engine = Engine({"hyperliquid": BookRule.WHOLE}, frozenset({"BTC"}))
        engine.step(Listing(BTC.id, T0, T0, BTC))
        market = engine.markets["BTC"]
        assert market.measured() is None
        for k in range(14 * 12):
            at = T0 + k * 300 * S
            engine.step(MarkPrice(BTC.id, at, at, 6e4))
            engine.step(OpenInterest(BTC.id, at, at, 50.0))
            if scanned:
                for i in range(100):
                    side = LONG if i % 2 else SHORT
                    level = 6e4 * (1.0 + (0.125 if side is SHORT else -0.125))
                    engine.step(held(f"a{i}", side, 0.8, level, at=at))
        (density,) = market.densities()
        assert density.open_interest_usd == pytest.approx(50.0 * 6e4)
        total = density.notional_usd.sum(axis=(1, 2)) + density.outside_usd
        np.testing.assert_allclose(total, density.open_interest_usd, rtol=1e-6)
        at_8x = np.abs(np.log(density.grid.centres() / (6e4 * 0.875))) < 0.03
        maps.append(float(density.notional_usd[0][:, at_8x].sum()))
        layer = market.measured()
        assert (layer is not None) == scanned
        if layer is not None:
            assert layer.coverage == pytest.approx((0.8, 0.8))
    assert maps[1] > 1.5 * maps[0]


def test_a_measured_law_survives_a_restart() -> None:
    one = DensityEstimator(BTC, DensitySettings(bin_width=0.001, bin_count=512))
    one.update(MarkPrice(BTC.id, T0, T0, 6e4))
    one.update(OpenInterest(BTC.id, T0, T0, 50.0))
    one.learn_cross(np.full(laws.LEVERAGES, 1.0 / laws.LEVERAGES), 0.4)
    other = DensityEstimator(BTC, one.settings)
    other.restore(one.checkpoint())
    for estimator in (one, other):
        for k in range(1, 14):
            at = T0 + k * 3600 * S
            estimator.update(MarkPrice(BTC.id, at, at, 6e4))
            estimator.update(OpenInterest(BTC.id, at, at, 50.0))
    assert one.digest() == other.digest()
    fresh = laws.class_shares(LeverageLaw(), 125.0)
    assert np.abs(one.law.shares - fresh).sum() > 0.1


def test_law_error_is_common_to_a_band_and_wider_where_nothing_was_swept() -> None:
    """Mass of one band errs as one; the shares' sum does not err at all."""
    shares = laws.class_shares(LeverageLaw(), 125.0)
    covariance = mass_covariance(prior_covariance(0.3), shares)
    assert abs(float(shares @ covariance @ shares)) < 1e-12, "open interest is given"
    bands = band_covariance(covariance, shares)
    mass = np.zeros((2, 3, 4))
    mass[0, 0], mass[1, 2] = 1.0, 1.0
    variance = law_variance(mass, bands)
    np.testing.assert_allclose(variance[0], bands[0, 0])
    np.testing.assert_allclose(variance[1], bands[2, 2])
    assert math.sqrt(bands[2, 2]) > 0.5
