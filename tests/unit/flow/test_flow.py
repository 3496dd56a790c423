"""Flow analytics equal their batch twins for any input, and say what they should on clear cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqfield.flow.candles import CandleBuilder
from liqfield.flow.cvd import CumulativeDelta, divergence
from liqfield.flow.footprint import FootprintBuilder, FootprintSettings, analyse
from liqfield.flow.imbalance import OrderFlowImbalance, microprice, queue_imbalance
from liqfield.flow.recent import RecentVolume
from liqfield.model.events import BestQuote, Trade
from liqfield.model.sides import Aggressor
from tests.reference import flow as slow

S = 1_000_000_000


def trade(at: int, price: float, quantity: float, buy: bool) -> Trade:
    side = Aggressor.BUY if buy else Aggressor.SELL
    return Trade("x:Y", at, at, price, quantity, side)


trades_st = st.lists(
    st.tuples(st.integers(0, 400), st.integers(9_900, 10_100), st.integers(1, 500), st.booleans()),
    min_size=1,
    max_size=80,
).map(
    lambda rows: [
        trade(at * S // 4, price / 100, quantity / 64, buy)
        for at, price, quantity, buy in sorted(rows)
    ]
)


@given(trades_st)
def test_cvd_equals_batch_and_pools(trades: list[Trade]) -> None:
    live = CumulativeDelta(S)
    for i, t in enumerate(trades):
        live.update("ab"[i % 2], t)
    pooled = live.get()
    assert list(zip(pooled.start_ns.tolist(), pooled.cvd.tolist(), strict=True)) == slow.cvd(
        trades, S
    )
    parts = sum(float(live.get(v).cvd[-1]) for v in live.venues())
    assert parts == pytest.approx(float(pooled.cvd[-1]))


def test_cvd_keeps_its_level_when_memory_is_full() -> None:
    live = CumulativeDelta(S, keep=3)
    for second in range(10):
        live.update("v", trade(second * S, 100.0, 1.0, True))
    assert live.get().cvd.tolist() == [8.0, 9.0, 10.0]


@given(trades_st)
def test_recent_rows_equal_batch(trades: list[Trade]) -> None:
    live = RecentVolume(256)
    for t in trades:
        live.update(t)
    first, count, since = 980, 50, 20 * S
    delta, traded = live.rows(0.1, first, count, since)
    expected = slow.rows(trades, 0.1, since)
    for i in range(count):
        bought, sold = expected.get(first + i, (0.0, 0.0))
        assert delta[i] == pytest.approx(bought - sold)
        assert traded[i] == pytest.approx(bought + sold)


@given(trades_st)
def test_footprint_totals_equal_traded_volume(trades: list[Trade]) -> None:
    builder = FootprintBuilder(30 * S, 0.05)
    bars = [bar for t in trades if (bar := builder.update(t)) is not None]
    last = builder.get()
    assert last is not None
    bars.append(last)
    assert sum(bar.volume for bar in bars) == pytest.approx(sum(t.quantity for t in trades))
    assert sum(bar.delta for bar in bars) == pytest.approx(slow.cvd(trades, S)[-1][1])
    for bar in bars:
        inside = bar.bid_volume + bar.ask_volume
        low, high = bar.value_low_row - bar.first_row, bar.value_high_row - bar.first_row
        assert inside[low : high + 1].sum() >= 0.7 * bar.volume - 1e-9


def test_stacked_imbalance_and_point_of_control() -> None:
    bid = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    ask = np.array([1.0, 9.0, 12.0, 10.0, 1.0, 2.0])
    bar = analyse(0, 1.0, 100, bid, ask, FootprintSettings(volume_quantile=0.3))
    assert bar.stacked == ((101, 1),)
    assert bar.poc_row == 102
    assert bar.unfinished_low
    assert not bar.unfinished_high


@given(trades_st)
def test_candles_cover_every_trade(trades: list[Trade]) -> None:
    builder = CandleBuilder("x:Y", 20 * S)
    candles = [c for t in trades if (c := builder.update(t)) is not None]
    running = builder.get()
    assert running is not None
    candles.append(running)
    assert sum(c.volume for c in candles) == pytest.approx(sum(t.quantity for t in trades))
    assert max(c.high for c in candles) == max(t.price for t in trades)
    assert candles[-1].close == trades[-1].price
    assert all(c.low <= min(c.open, c.close) <= max(c.open, c.close) <= c.high for c in candles)


def quote(at: int, bid: float, qb: float, ask: float, qa: float) -> BestQuote:
    return BestQuote("x:Y", at, at, bid, qb, ask, qa)


quotes_st = st.lists(
    st.tuples(st.integers(95, 100), st.integers(1, 9), st.integers(101, 106), st.integers(1, 9)),
    min_size=2,
    max_size=40,
).map(lambda rows: [quote(i, b, qb, a, qa) for i, (b, qb, a, qa) in enumerate(rows)])


@given(quotes_st)
def test_ofi_equals_the_formula(quotes: list[BestQuote]) -> None:
    live = OrderFlowImbalance(window_ns=10 * S)
    for q in quotes:
        live.update(q)
    assert live.ofi == pytest.approx(slow.ofi(quotes))


def test_impact_recovers_a_linear_law() -> None:
    rng = np.random.default_rng(5)
    live = OrderFlowImbalance(window_ns=S)
    mid = 1000.0
    for i in range(400):
        # Both quotes of size 10 move one USD: the formula counts 20 coins of flow for each.
        mid += float(rng.choice([-1.0, 0.0, 1.0]))
        live.update(quote(i * S // 4, mid - 0.5, 10.0, mid + 0.5, 10.0))
    fit = live.impact()
    assert fit is not None
    assert fit.beta == pytest.approx(1 / 20)
    assert fit.r2 == pytest.approx(1.0)


def test_microprice_leans_to_the_thin_side() -> None:
    q = quote(0, 99.0, 30.0, 101.0, 10.0)
    assert queue_imbalance(q) == 0.5
    assert microprice(q) == 100.5


def test_divergence_needs_both_slopes() -> None:
    x = np.arange(30.0)
    wave = np.sin(x) * 0.1
    assert divergence(100 - x + wave, x + wave) == 1
    assert divergence(100 + x + wave, -x + wave) == -1
    assert divergence(100 + x, x) == 0
    assert divergence(np.full(30, 5.0), x) == 0
