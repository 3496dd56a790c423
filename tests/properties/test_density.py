"""Laws of the density: long = short = OI after every step, nothing negative, nothing infinite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.density.estimator import DensityEstimator
from liqfield.density.settings import DensitySettings
from liqfield.model.events import Candle, Gap, MarketEvent, MarkPrice, OpenInterest, Trade
from liqfield.model.instrument import Instrument
from liqfield.model.sides import Aggressor, CandleOf, GapReason

S = 1_000_000_000
BTC = Instrument(id="v:BTC", venue="v", symbol="BTC", base="BTC", quote="USDT", settle="USDT")
SMALL = DensitySettings(bin_count=1024, bin_width=0.002)

event_st = st.one_of(
    st.tuples(st.just("trade"), st.floats(0.5, 2.0), st.floats(0.0, 1e3)),
    st.tuples(st.just("mark"), st.floats(0.5, 2.0), st.just(0.0)),
    st.tuples(st.just("oi"), st.floats(0.0, 3.0), st.just(0.0)),
    st.tuples(st.just("candle"), st.floats(0.8, 1.2), st.floats(0.0, 1e3)),
    st.tuples(st.just("gap"), st.just(0.0), st.just(0.0)),
    # What a broken feed sends: absurd prices, a thousandfold open interest.
    st.tuples(st.just("mark"), st.sampled_from([1e-9, 1e9]), st.just(0.0)),
    st.tuples(st.just("oi"), st.sampled_from([1e3, 1e-3]), st.just(0.0)),
)


def event(i: int, row: tuple[str, float, float]) -> MarketEvent | Gap:
    kind, x, quantity = row
    at = (i + 1) * 60 * S
    if kind == "trade":
        return Trade("v:BTC", at, at, 1e4 * x, quantity, Aggressor.BUY)
    if kind == "mark":
        return MarkPrice("v:BTC", at, at, 1e4 * x)
    if kind == "oi":
        return OpenInterest("v:BTC", at, at, 1e5 * x)
    if kind == "gap":
        return Gap("v", "ws", at, GapReason.DISCONNECT)
    price = 1e4 * x
    return Candle(
        "v:BTC", at, at, CandleOf.MARK, 60 * S, price, price * 1.01, price * 0.98, price, quantity
    )


def check(estimator: DensityEstimator) -> None:
    assert estimator.imbalance() < 1e-9
    density = estimator.get()
    if density is None:
        return
    assert np.isfinite(density.notional_usd).all()
    assert (density.notional_usd >= 0.0).all()
    for side in (0, 1):
        total = density.notional_usd[side].sum() + density.outside_usd[side]
        assert total == pytest.approx(density.open_interest_usd, rel=1e-6)
    at = density.grid.bin_of(density.mark_price)
    assert density.notional_usd[0, :, at + 1 :].sum() == 0.0, "longs above the mark"
    assert density.notional_usd[1, :, :at].sum() == 0.0, "shorts below the mark"
    assert (density.p10 <= density.p90).all()


@settings(max_examples=60)
@given(st.lists(event_st, max_size=40))
def test_conserved_after_every_step(rows: list[tuple[str, float, float]]) -> None:
    estimator = DensityEstimator(BTC, SMALL)
    estimator.update(MarkPrice("v:BTC", 1, 1, 1e4))
    estimator.update(OpenInterest("v:BTC", 2, 2, 1e5))
    check(estimator)
    for i, row in enumerate(rows):
        estimator.update(event(i, row))
        check(estimator)


def standing() -> DensityEstimator:
    estimator = DensityEstimator(BTC, SMALL)
    estimator.update(MarkPrice("v:BTC", 1, 1, 1e4))
    estimator.update(OpenInterest("v:BTC", 2, 2, 1e5))
    return estimator


def test_there_and_back_sweeps_once() -> None:
    estimator = standing()
    before = estimator.get()
    estimator.update(MarkPrice("v:BTC", 3, 3, 9_500.0))
    estimator.update(MarkPrice("v:BTC", 4, 4, 1e4))
    once = estimator.get()
    estimator.update(MarkPrice("v:BTC", 5, 5, 9_500.0))
    estimator.update(MarkPrice("v:BTC", 6, 6, 1e4))
    twice = estimator.get()
    assert before is not None
    assert once is not None
    assert twice is not None
    assert once.notional_usd[0].sum() < before.notional_usd[0].sum()
    np.testing.assert_array_equal(once.notional_usd, twice.notional_usd)
    np.testing.assert_array_equal(once.notional_usd[1], before.notional_usd[1])


def test_shifting_the_window_loses_nothing() -> None:
    estimator = standing()
    for i, price in enumerate(np.geomspace(1e4, 3e4, 200)):
        estimator.update(MarkPrice("v:BTC", 10 + i, 0, float(price)))
        check(estimator)
