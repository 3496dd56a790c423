"""The measured layer: newest snapshot per account, exact levels, coverage, staleness, the law."""

from __future__ import annotations

import math

import numpy as np
import pytest

from liqfield.density import law as laws
from liqfield.density.counted import CountedOpenings, Exits
from liqfield.density.estimator import DensityEstimator
from liqfield.density.fit import band_covariance, mass_covariance, prior_covariance
from liqfield.density.measured import STALE_NS, MeasuredBook, opening_leverage
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
from liqfield.model.margin import MarginTier
from liqfield.model.sides import BookRule, PositionSide
from tests.reference.density import law_variance

S = 1_000_000_000
T0 = 1_790_000_000 * S
BTC = instrument("hyperliquid", "BTC")
ELSEWHERE = instrument("bybit", "BTC")
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
    free = (MarginTier(0.0, math.inf, 50.0, 0.0),)
    assert opening_leverage(position, free) == pytest.approx(5.0)


def test_engine_keeps_the_layer_apart_and_lends_the_law_of_openings() -> None:
    """Public accounts all open at 8x: the filter of their venue, and with more doubt that of
    another without accounts, puts more there; the sum of a map stays the open interest."""
    maps = []
    for scanned in (False, True):
        rules = {"hyperliquid": BookRule.WHOLE, "bybit": BookRule.WHOLE}
        engine = Engine(rules, frozenset({"BTC"}))
        for one in (BTC, ELSEWHERE):
            engine.step(Listing(one.id, T0, T0, one))
        market = engine.markets["BTC"]
        assert market.measured() is None
        for k in range(14 * 12):
            at = T0 + k * 300 * S
            for one in (BTC, ELSEWHERE):
                engine.step(MarkPrice(one.id, at, at, 6e4))
                engine.step(OpenInterest(one.id, at, at, 500.0))
            for i in range(400 if scanned and (k < 3 or k % 12 == 0) else 0):
                side = LONG if i % 2 else SHORT
                level = 6e4 * (1.0 + (0.125 if side is SHORT else -0.125))
                coins = 0.8 if k else 0.0
                seen = held(f"a{i}", side, coins, level, at=at) if coins else empty(f"a{i}", at)
                engine.step(seen)
        found = {}
        for density in market.densities():
            assert density.open_interest_usd == pytest.approx(500.0 * 6e4)
            total = density.notional_usd.sum(axis=(1, 2)) + density.outside_usd
            np.testing.assert_allclose(total, density.open_interest_usd, rtol=1e-6)
            near = np.abs(np.log(density.grid.centres() / (6e4 * 0.875))) < 0.03
            usd, p90 = density.notional_usd[0][:, near].sum(), density.p90[0][near].sum()
            found[density.instrument_id] = float(usd), float(p90 / usd)
            said = " ".join(density.confidence.reasons)
            is_own = density.instrument_id == BTC.id
            assert ("law of openings measured: 400" in said) == (scanned and is_own)
            assert ("lent by hyperliquid: 400" in said) == (scanned and not is_own)
        maps.append(found)
        layer = market.measured()
        assert (layer is not None) == scanned
        if layer is not None:
            assert layer.coverage == pytest.approx((0.32, 0.32))
    without, scan = maps
    for key in (BTC.id, ELSEWHERE.id):
        assert scan[key][0] > 1.5 * without[key][0]
    assert scan[BTC.id][1] < scan[ELSEWHERE.id][1] < without[ELSEWHERE.id][1]


def test_a_measured_law_survives_a_restart() -> None:
    one = DensityEstimator(BTC, DensitySettings(bin_width=0.001, bin_count=512))
    one.update(MarkPrice(BTC.id, T0, T0, 6e4))
    one.update(OpenInterest(BTC.id, T0, T0, 50.0))
    even = np.full(laws.CLASSES, 1.0 / laws.CLASSES)
    one.learn_openings(CountedOpenings(even, 1_000.0, 125.0, "hyperliquid", Exits(0.3, 0.01)))
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
