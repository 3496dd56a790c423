"""Flow analytics equal their batch twins for any input, and say what they should on clear cases."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from random import Random
from typing import cast

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqfield.flow.absorption import ASK, BID, AbsorptionDetector
from liqfield.flow.candles import CandleBuilder
from liqfield.flow.cvd import DayDelta, divergence
from liqfield.flow.footprint import FootprintBuilder, FootprintSettings, analyse, row_step
from liqfield.flow.imbalance import (
    LEVELS,
    LevelImbalance,
    TouchImbalance,
    first_component,
    microprice,
    queue_imbalance,
)
from liqfield.flow.impact import RollingImpact
from liqfield.flow.quotes import QuoteReader
from liqfield.flow.recent import RecentVolume
from liqfield.model.durations import DAY_NS
from liqfield.model.events import BestQuote, Candle, Trade
from liqfield.model.sides import Aggressor
from liqfield.model.tape import TradeTape
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


def signed(t: Trade) -> float:
    return t.quantity if t.aggressor is Aggressor.BUY else -t.quantity


def write(tape: TradeTape, trades: Sequence[Trade]) -> None:
    for t in trades:
        tape.append(tape.number_of(t.instrument_id), t.event_ns, t.price, signed(t))


def taped(trades: Sequence[Trade]) -> TradeTape:
    tape = TradeTape()
    write(tape, trades)
    return tape


class Candles(CandleBuilder):
    """With a tape of its own."""

    def __init__(self, interval_ns: int) -> None:
        super().__init__("x:Y", interval_ns, TradeTape(), 0)

    def update(self, t: Trade) -> Candle | None:
        closed = self.close(t.event_ns, 0) if t.event_ns >= self.end_ns else None
        write(self._tape, [t])
        return closed


def day_delta(trades: Sequence[tuple[str, Trade]]) -> DayDelta:
    """The delta of trades by venue."""
    tape = TradeTape()
    live = DayDelta(tape, 5 * S)
    write(tape, [msgspec.structs.replace(t, instrument_id=f"{venue}:X") for venue, t in trades])
    live.fold()
    return live


@given(trades_st, st.randoms(use_true_random=False))
def test_cvd_equals_batch_in_any_order_and_pools(trades: list[Trade], chance: Random) -> None:
    """Buckets are sums: any split and any order of the input gives the same series."""
    mixed = list(enumerate(trades))
    chance.shuffle(mixed)
    live = day_delta([("ab"[i % 2], t) for i, t in mixed])
    end = trades[-1].event_ns
    series = live.get(end, DAY_NS, most=DAY_NS)
    known = dict(slow.cvd(trades, 5 * S))
    running = 0.0
    for start, value in zip(series.start_ns.tolist(), series.cvd.tolist(), strict=True):
        running = known.get(start, running)
        assert value == pytest.approx(running)
    assert series.start_ns[-1] == end - end % (5 * S)
    pooled = sum(series.cvd_by_venue.values())
    np.testing.assert_allclose(pooled, series.cvd)
    assert sum(live.totals().values()) == pytest.approx(known[max(known)])


@given(trades_st, st.integers(1, 40))
def test_a_shorter_span_is_the_end_of_the_longer_one(trades: list[Trade], buckets: int) -> None:
    live = day_delta([("v", t) for t in trades])
    now = trades[-1].event_ns
    whole, part = live.get(now, DAY_NS, most=DAY_NS), live.get(now, buckets * 5 * S)
    n = len(part.cvd)
    assert n <= buckets
    np.testing.assert_array_equal(part.cvd, whole.cvd[-n:])
    np.testing.assert_array_equal(part.price, whole.price[-n:])


def test_buckets_merge_when_the_span_is_wide() -> None:
    live = day_delta([("v", trade(k * 5 * S, 100.0 + k, 1.0, True)) for k in range(2_000)])
    series = live.get(1_999 * 5 * S, 2_000 * 5 * S, most=100)
    assert series.bucket_ns == 20 * 5 * S
    assert len(series.cvd) == 100
    assert series.cvd.tolist() == [20.0 * (i + 1) for i in range(100)]
    assert series.price[-1] == 2_099.0


def test_cvd_starts_anew_with_the_utc_day() -> None:
    told = (
        trade(DAY_NS - S, 100.0, 5.0, True),
        trade(DAY_NS + S, 101.0, 2.0, True),
        trade(DAY_NS - 2 * S, 99.0, 7.0, True),  # late, of the day before
    )
    live = day_delta([("v", t) for t in told])
    series = live.get(DAY_NS + S, 3_600 * S)
    assert series.start_ns.tolist() == [DAY_NS]
    assert series.cvd.tolist() == [2.0]
    assert live.late == 1


@given(trades_st)
def test_recent_rows_equal_batch(trades: list[Trade]) -> None:
    live = RecentVolume(taped(trades))
    first, count, since = 980, 50, 20 * S
    delta, traded = live.rows(0.1, first, count, since)
    expected = slow.rows(trades, 0.1, since)
    for i in range(count):
        bought, sold = expected.get(first + i, (0.0, 0.0))
        assert delta[i] == pytest.approx(bought - sold)
        assert traded[i] == pytest.approx(bought + sold)


@given(trades_st)
def test_recent_rows_of_a_venue_are_those_of_its_trades(trades: list[Trade]) -> None:
    told = [
        msgspec.structs.replace(t, instrument_id=f"{'ab'[i % 2]}:X") for i, t in enumerate(trades)
    ]
    live, alone = RecentVolume(taped(told)), RecentVolume(taped(told[1::2]))
    for mine, expected in zip(
        live.rows(0.1, 980, 50, 0, "b"), alone.rows(0.1, 980, 50, 0), strict=True
    ):
        np.testing.assert_allclose(mine, expected)
    assert not live.rows(0.1, 980, 50, 0, "c")[1].any()


@given(trades_st)
def test_footprint_totals_equal_traded_volume(trades: list[Trade]) -> None:
    tape = TradeTape()
    builder = FootprintBuilder(tape, 30 * S, 0.05, keep=1_000)
    write(tape, trades)
    closed = builder.fold()
    last = builder.get()
    assert last is not None
    bars = [*closed, last]
    assert list(builder.bars) == closed
    assert sum(float((bar.bid + bar.ask).sum()) for bar in bars) == pytest.approx(
        sum(t.quantity for t in trades)
    )
    assert sum(float((bar.ask - bar.bid).sum()) for bar in bars) == pytest.approx(
        sum(map(signed, trades))
    )
    for bar in bars:
        inside = [t for t in trades if bar.start_ns <= t.event_ns < bar.end_ns]
        expected = slow.rows(inside, bar.step, 0)
        for i in range(len(bar.bid)):
            bought, sold = expected.get(bar.first_row + i, (0.0, 0.0))
            assert (bar.ask[i], bar.bid[i]) == pytest.approx((bought, sold))
        total = bar.bid + bar.ask
        low, high = bar.value_low_row - bar.first_row, bar.value_high_row - bar.first_row
        assert total[low : high + 1].sum() >= 0.7 * total.sum() - 1e-9
        assert total[bar.poc_row - bar.first_row] == total.max()


def test_stacked_imbalance_and_point_of_control() -> None:
    bid = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    ask = np.array([1.0, 9.0, 12.0, 10.0, 1.0, 2.0])
    bar = analyse(0, 60, 1.0, 100, bid, ask, FootprintSettings(volume_quantile=0.3))
    assert bar.stacked == ((101, 1),)
    assert bar.poc_row == 102
    assert bar.unfinished_low
    assert not bar.unfinished_high


@pytest.mark.parametrize(
    ("price", "tick", "step"),
    [(84_000.0, 0.1, 50.0), (2_700.0, 0.01, 1.0), (0.142, 1e-5, 5e-5), (100.0, 1.0, 1.0)],
)
def test_rows_are_a_few_basis_points_and_never_under_a_tick(
    price: float, tick: float, step: float
) -> None:
    assert row_step(price, tick) == pytest.approx(step)


@given(trades_st)
def test_candles_cover_every_trade(trades: list[Trade]) -> None:
    builder = Candles(20 * S)
    candles = [c for t in trades if (c := builder.update(t)) is not None]
    running = builder.get(0)
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


@given(quotes_st, st.data())
def test_ofi_equals_the_formula_for_any_split(quotes: list[BestQuote], data: st.DataObject) -> None:
    """Windows may be closed anywhere: their sum is the formula over the whole stream."""
    live, total = TouchImbalance(), 0.0
    fold = QuoteReader(live, AbsorptionDetector("binance", 1.0, TradeTape(), 0)).fold
    cuts = data.draw(st.sets(st.integers(0, len(quotes))))
    for i, q in enumerate(quotes):
        fold(q)
        if i in cuts:
            total += live.close()
    assert total + live.ofi == pytest.approx(slow.ofi(quotes))


@given(quotes_st, st.integers(0, 40))
def test_the_most_displayed_by_row_is_its_slow_twin(quotes: list[BestQuote], first: int) -> None:
    """Of every second alone, from the first trade on, which lays out the rows."""
    tape = TradeTape()
    live = AbsorptionDetector("binance", 2.0, tape, 0)
    fold = QuoteReader(TouchImbalance(), live).fold
    for i, q in enumerate(quotes):
        if i == first:
            tape.append(0, 0, 100.0, 1.0)
            live.fold()
        if i % 7 == 0:
            live.second(i, None)
        fold(q)
    begin = max(first, (len(quotes) - 1) // 7 * 7)
    for side, expected in enumerate(slow.shown(quotes[begin:], 2.0)):
        rows, most = live.shown.running(side)
        assert dict(zip(rows.tolist(), most.tolist(), strict=True)) == expected
    best = [live.facts[k].item() for k in (BID, ASK)]
    assert best == [quotes[-1].bid_price, quotes[-1].ask_price]


def test_quotes_of_many_rows_find_room() -> None:
    live = AbsorptionDetector("binance", 1.0, tape := TradeTape(), 0)
    tape.append(0, 0, 100.0, 1.0)
    live.fold()
    fold = QuoteReader(touch := TouchImbalance(), live).fold
    for k in range(1_000):
        fold(quote(k, 1_000 + k, 1, 3_000 - k, 2))
    assert [len(live.shown.running(side)[0]) for side in (0, 1)] == [1_000, 1_000]
    assert (touch.bid, touch.ask) == (1_999, 2_001)


def test_a_price_that_is_none_is_no_quote_and_what_is_no_quote_is_refused() -> None:
    touch = TouchImbalance()
    fold = QuoteReader(touch, AbsorptionDetector("binance", 1.0, TradeTape(), 0)).fold
    fold(quote(0, 99, 5, 101, 5))
    fold(quote(1, 0, 7, 101, 5))
    assert (touch.bid, touch.bid_quantity, touch.ofi) == (99.0, 5.0, 0.0)
    refused: tuple[object, ...] = (
        None,
        Trade("x:Y", 0, 0, 1.0, 1.0, Aggressor.BUY),
        BestQuote("x:Y", 0, 0, cast("float", "98"), 1.0, 99.0, 1.0),
    )
    for odd in refused:
        with pytest.raises(TypeError):
            fold(odd)
    assert touch.bid == 99.0


def test_a_quote_is_only_borrowed() -> None:
    live = AbsorptionDetector("binance", 1.0, tape := TradeTape(), 0)
    tape.append(0, 0, 100.0, 1.0)
    live.fold()
    fold, q = QuoteReader(TouchImbalance(), live).fold, quote(0, 99, 5, 101, 6)
    objects = (q, q.bid_price, q.ask_quantity, None)
    counted = [sys.getrefcount(of) for of in objects]
    for _ in range(10_000):
        fold(q)
    for of, count in zip(objects, counted, strict=True):
        assert abs(sys.getrefcount(of) - count) < 100


def test_a_gap_is_no_flow() -> None:
    live = TouchImbalance()
    fold = QuoteReader(live, AbsorptionDetector("binance", 1.0, TradeTape(), 0)).fold
    fold(quote(0, 99, 5, 101, 5))
    live.reset()
    fold(quote(1, 199, 50, 201, 5))
    assert live.ofi == 0.0


NO_ASK = 1 << 62


@given(st.lists(quotes_st, min_size=2, max_size=6))
def test_level_one_of_the_book_is_the_touch(books: list[list[BestQuote]]) -> None:
    """Level m is the formula at level m: built from books whose levels are given."""
    live = LevelImbalance()
    depth = min(LEVELS, *(len(book) for book in books))
    states = []
    for book in books:
        bids = sorted({int(q.bid_price): q.bid_quantity for q in book}.items(), reverse=True)
        asks = sorted({int(q.ask_price): q.ask_quantity for q in book}.items())
        bids, asks = bids[:LEVELS], asks[:LEVELS]
        states.append((bids, asks))
        ticks, coins = live.ticks, live.coins
        ticks[0], ticks[1], coins[:] = 0, NO_ASK, 0.0
        for side, rows in enumerate((bids, asks)):
            for k, (price, size) in enumerate(rows):
                ticks[side, k], coins[side, k] = price, size
        live.update()
    assert depth >= 1
    for m in range(LEVELS):
        chain = [
            quote(
                k,
                bids[m][0] if m < len(bids) else 0,
                bids[m][1] if m < len(bids) else 0.0,
                asks[m][0] if m < len(asks) else NO_ASK,
                asks[m][1] if m < len(asks) else 0.0,
            )
            for k, (bids, asks) in enumerate(states)
        ]
        assert live.ofi[m] == pytest.approx(slow.ofi(chain))


def test_weights_are_those_of_the_windows_so_far_whenever_they_are_asked_for() -> None:
    rng = np.random.default_rng(4)
    seldom, often = LevelImbalance(keep=30), LevelImbalance(keep=30)
    windows = rng.standard_normal((70, LEVELS)) + rng.standard_normal((70, 1))
    for k, window in enumerate(windows):
        for live in (seldom, often):
            live.ofi[:] = window
            live.close()
            assert not live.ofi.any()
        want = first_component(windows[max(k - 29, 0) : k + 1])
        assert often.last() == pytest.approx(float(window @ want), rel=1e-9)
    assert seldom.last() == often.last()


def test_the_first_component_is_the_common_direction() -> None:
    rng = np.random.default_rng(2)
    common = rng.standard_normal(200)
    windows = np.outer(common, [1.0, 2.0, 3.0, 2.0, 1.0]) + 0.01 * rng.standard_normal((200, 5))
    weights = first_component(windows)
    assert np.abs(weights).sum() == pytest.approx(1.0)
    np.testing.assert_allclose(weights, np.array([1, 2, 3, 2, 1]) / 9.0, atol=0.01)
    assert first_component(np.zeros((50, 5))).tolist() == [0.2] * 5


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), max_size=60))
def test_impact_is_the_line_through_the_origin_of_the_last_windows(
    rows: list[tuple[int, int]],
) -> None:
    live = RollingImpact(keep=25)
    for flow, move in rows:
        live.add(flow / 8, move / 8)
    expected = slow.through_origin([(f / 8, m / 8) for f, m in rows[-25:]])
    fit = live.fit()
    if expected is None:
        assert fit is None
        return
    assert fit is not None
    assert (fit.beta, fit.r2) == pytest.approx(expected)


def test_impact_recovers_a_linear_law() -> None:
    rng = np.random.default_rng(5)
    live = RollingImpact()
    for _ in range(400):
        flow = float(rng.standard_normal())
        live.add(flow, 0.05 * flow)
    fit = live.fit()
    assert fit is not None
    assert fit.beta == pytest.approx(0.05)
    assert fit.r2 == pytest.approx(1.0)


def test_microprice_leans_to_the_thin_side() -> None:
    assert queue_imbalance(30.0, 10.0) == 0.5
    assert microprice(99.0, 30.0, 101.0, 10.0) == 100.5


def test_divergence_needs_both_slopes() -> None:
    x = np.arange(30.0)
    wave = np.sin(x) * 0.1
    assert divergence(100 - x + wave, x + wave) == 1
    assert divergence(100 + x + wave, -x + wave) == -1
    assert divergence(100 + x, x) == 0
    assert divergence(np.full(30, 5.0), x) == 0


@given(trades_st, st.data())
def test_missed_trades_count_in_their_own_candle(trades: list[Trade], data: st.DataObject) -> None:
    """A stretch that comes late: volume, range and taker side of every candle as if it had not."""
    first = data.draw(st.integers(1, len(trades)))
    last = data.draw(st.integers(first, len(trades)))
    missed, interval_ns = trades[first:last], 20 * S
    whole, late = Candles(interval_ns), Candles(interval_ns)
    want = {c.event_ns: c for t in trades if (c := whole.update(t)) is not None}
    got = {
        c.event_ns: c for t in trades[:first] + trades[last:] if (c := late.update(t)) is not None
    }
    amended = (late.amend(t) for t in missed)
    got |= {c.event_ns: c for c in amended if c is not None}
    for builder, candles in ((whole, want), (late, got)):
        running = builder.get(0)
        assert running is not None
        candles[running.event_ns] = running
    # A loss ends with a trade that is heard; without one the newest candle is not complete.
    end_ns = max(got) + (last < len(trades))
    assert {k: _facts(c) for k, c in got.items() if k < end_ns} == {
        k: pytest.approx(_facts(c)) for k, c in want.items() if k < end_ns
    }


def _facts(candle: Candle) -> tuple[float, float, float, float]:
    return candle.high, candle.low, candle.volume, candle.taker_buy_volume
