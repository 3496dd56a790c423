"""The filter as a whole: still markets, continuation, two kinds of data, bad data, skill."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from liqfield.app.study.playback import events as facts_of
from liqfield.app.study.world_specs import WORLDS
from liqfield.density.estimator import DensityEstimator
from liqfield.density.settings import DensitySettings
from liqfield.lab.market_truth import density_of
from liqfield.lab.worlds import simulate
from liqfield.model.estimates import Confidence, DensityColumn, LiquidationDensity
from liqfield.model.events import (
    Candle,
    Gap,
    Liquidation,
    MarketEvent,
    MarkPrice,
    OpenInterest,
    Trade,
)
from liqfield.model.grid import rebin
from liqfield.model.instrument import Instrument
from liqfield.model.sides import (
    Aggressor,
    CandleOf,
    Coverage,
    GapReason,
    PositionSide,
    PriceKind,
)
from liqfield.verify import baselines
from liqfield.verify.field import field_window, score_field

S = 1_000_000_000
MINUTE = 60 * S
START = 1_790_000_000_000_000_000 // MINUTE * MINUTE
KEY = "v:BTC"
BTC = Instrument(id=KEY, venue="v", symbol="BTC", base="BTC", quote="USDT", settle="USDT")
COARSE = DensitySettings(bin_width=0.001, bin_count=1024)


def candle(at: int, of: CandleOf, prices: Sequence[float], volume: float = 0.0) -> Candle:
    low, high = float(min(prices)), float(max(prices))
    return Candle(
        KEY, at, 0, of, MINUTE, float(prices[0]), high, low, float(prices[-1]), volume,
        0.5 * volume, is_closed=True, is_history=True,
    )  # fmt: skip


def walk(minutes: int, seed: int = 1, daily: float = 0.03) -> np.ndarray:
    """Prices every second of a random walk, USD."""
    random = np.random.default_rng(seed)
    steps = random.normal(0.0, daily / math.sqrt(86_400.0), minutes * 60)
    out: np.ndarray = 6e4 * np.exp(np.cumsum(steps))
    return out


def warmed(minutes: int = 600, settings: DensitySettings = COARSE) -> DensityEstimator:
    estimator = DensityEstimator(BTC, settings)
    for event in history(walk(minutes)):
        estimator.update(event)
    return estimator


def history(path: np.ndarray, oi: float = 9e4) -> list[MarketEvent]:
    """The path as klines and 5-minute open interest."""
    out: list[MarketEvent] = []
    for k in range(len(path) // 60):
        at = START + (k + 1) * MINUTE
        part = path[k * 60 : (k + 1) * 60].tolist()
        out.append(candle(at, CandleOf.MARK, part))
        out.append(candle(at, CandleOf.LAST, part, 600.0))
        if (k + 1) % 5 == 0:
            out.append(OpenInterest(KEY, at, 0, oi * (1.0 + 0.02 * math.sin(k / 90)), 0.0, True))
    return out


def map_of(estimator: DensityEstimator, at_ns: int | None = None) -> LiquidationDensity:
    density = estimator.get(at_ns)
    assert density is not None
    return density


def held(estimator: DensityEstimator) -> None:
    """Finite, conserved, nothing negative."""
    density = map_of(estimator)
    assert estimator.imbalance() < 1e-9
    assert np.isfinite(density.notional_usd).all()
    assert (density.notional_usd >= 0.0).all()
    assert np.isfinite(density.p90).all()
    total = density.notional_usd.sum(axis=(1, 2)) + density.outside_usd
    np.testing.assert_allclose(total, density.open_interest_usd, rtol=1e-6)


def test_a_still_market_changes_nothing() -> None:
    """Law: no flow, no change of open interest, mark at rest: the map stays as it is."""
    estimator = warmed()
    before = map_of(estimator)
    mark, oi = estimator.mark, estimator.open_interest
    # Five minutes of rest first: the churn of the last move is still in the path.
    first = estimator.clock_ns
    for k in range(1, 12 * 60):
        estimator.update(MarkPrice(KEY, first + k * 10 * S, 0, mark))
        if k == 60:
            before = map_of(estimator)
        if k % 30 == 0:
            estimator.update(OpenInterest(KEY, first + k * 10 * S, 0, oi))
    after = map_of(estimator)
    np.testing.assert_allclose(after.notional_usd, before.notional_usd, rtol=1e-5, atol=1.0)


def test_a_column_is_the_map_without_what_no_history_keeps() -> None:
    estimator = warmed()
    whole, column = map_of(estimator), estimator.column()
    assert column is not None
    assert column.notional_usd.tobytes() == whole.notional_usd.tobytes()
    for name in {*DensityColumn.__struct_fields__} - {"confidence"}:
        assert np.all(getattr(column, name) == getattr(whole, name)), name
    assert column.confidence == Confidence(whole.confidence.score), "the score without the words"
    assert whole.confidence.reasons


def test_volume_at_rest_only_ages_the_map() -> None:
    """Turnover at a resting mark thins what stands elsewhere by one factor a class, never adds
    to a level that no opening reaches."""
    estimator = warmed()
    before = estimator.state.raw * estimator.state.scale[:, :, None]  # type: ignore[union-attr]
    first, mark = estimator.clock_ns, estimator.mark
    for k in range(1, 200):
        at = first + k * 10 * S
        estimator.update(Trade(KEY, at, 0, mark, 50.0, Aggressor.BUY))
        estimator.update(MarkPrice(KEY, at, 0, mark))
    state = estimator.state
    assert state is not None
    after = state.raw * state.scale[:, :, None]
    for side, c in ((0, 10), (1, 15), (0, 25)):
        rows = before[side, c] > 1e-3 * before[side, c].max()
        ratio = after[side, c][rows] / before[side, c][rows]
        thinned = np.median(ratio)
        assert 0.0 < thinned < 1.0
        assert (ratio > 0.999 * thinned).all(), "no level fades faster than its class"
    held(estimator)


def test_a_restored_filter_goes_on_as_if_nothing_had_happened() -> None:
    rows = history(walk(900))
    whole = DensityEstimator(BTC, COARSE)
    for event in rows:
        whole.update(event)
    for split in (7, 801, len(rows) - 3):
        first = DensityEstimator(BTC, COARSE)
        for event in rows[:split]:
            first.update(event)
        second = DensityEstimator(BTC, COARSE)
        second.restore(first.checkpoint())
        for event in rows[split:]:
            second.update(event)
        assert second.digest() == whole.digest()
        np.testing.assert_array_equal(map_of(second).p90, map_of(whole).p90)


def test_klines_and_live_trades_agree_on_the_same_stretch() -> None:
    """One path as klines with 5-minute open interest, and as trades, marks, 3 s open interest."""
    path = walk(10 * 60)
    slow = DensityEstimator(BTC, COARSE)
    for event in history(path):
        slow.update(event)
    live = DensityEstimator(BTC, COARSE)
    for i, price in enumerate(path.tolist()):
        at = START + (i + 1) * S
        minute = i // 60
        side = Aggressor.BUY if i % 2 else Aggressor.SELL
        live.update(Trade(KEY, at, 0, price, 10.0, side))
        live.update(MarkPrice(KEY, at, 0, price))
        if i % 3 == 0 and minute >= 4:
            oi = 9e4 * (1.0 + 0.02 * math.sin(minute / 90))
            live.update(OpenInterest(KEY, at, 0, oi))
    a, b = map_of(slow), map_of(live)
    grid = field_window(a.mark_price)
    x, y = (
        np.stack([rebin(side, m.grid, grid)[0] for side in m.notional_usd.sum(axis=1)])
        for m in (a, b)
    )
    assert y.sum() == pytest.approx(x.sum(), rel=0.2)
    assert np.corrcoef(x.ravel(), y.ravel())[0, 1] > 0.85


def a_print(at: int, usd: float, mark: float) -> Liquidation:
    return Liquidation(
        KEY, at, 0, PositionSide.LONG, usd / mark, mark, PriceKind.FILL, Coverage.COMPLETE
    )


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("units", "open interest jumped"),
        ("hole", "no data for"),
        ("outlier", "implausible"),
        ("dark", "no mark price"),
        ("gap", "a stream was lost"),
    ],
)
def test_bad_data_widens_and_says_why(name: str, word: str) -> None:
    estimator = warmed()
    good = map_of(estimator)
    at, mark, oi = estimator.clock_ns, estimator.mark, estimator.open_interest
    if name == "units":
        estimator.update(OpenInterest(KEY, at + S, 0, oi * 1000.0))
    elif name == "hole":
        estimator.update(MarkPrice(KEY, at + 300 * MINUTE, 0, mark))
        estimator.update(OpenInterest(KEY, at + 300 * MINUTE + S, 0, oi))
    elif name == "outlier":
        estimator.update(MarkPrice(KEY, at + S, 0, mark * 3.0))
    elif name == "gap":
        estimator.update(Gap("v", "ws", at, GapReason.DISCONNECT))
    late = at + (180 * MINUTE if name == "dark" else 2 * S)
    bad = map_of(estimator, late)
    held(estimator)
    assert bad.confidence.score < good.confidence.score
    assert any(word in reason for reason in bad.confidence.reasons), bad.confidence.reasons
    x, y = good.notional_usd.sum(axis=1), bad.notional_usd.sum(axis=1)
    i = np.unravel_index(x.argmax(), x.shape)
    assert bad.p90[i] / y[i] > good.p90[i] / x[i]


def crash(estimator: DensityEstimator, minutes: int, move: float) -> list[list[Candle]]:
    """Each minute's candles of the mark and of trades: the market falls by `move` in every one."""
    out, mark = [], estimator.mark
    for k in range(minutes):
        at, fallen = estimator.clock_ns + (k + 1) * MINUTE, mark * math.exp(-move)
        path = (mark, fallen)
        out.append([candle(at, CandleOf.MARK, path), candle(at, CandleOf.LAST, path, 600.0)])
        mark = fallen
    return out


@pytest.mark.parametrize("is_mark_first", [True, False])
@pytest.mark.parametrize("move", [0.12, 0.25])
def test_a_crash_that_was_traded_is_followed(move: float, is_mark_first: bool) -> None:
    """No two marks of a crash lie near each other: trades of the same minute confirm them."""
    estimator = warmed()
    for pair in crash(estimator, 5, move):
        for event in pair if is_mark_first else pair[::-1]:
            estimator.update(event)
        assert estimator.mark == pytest.approx(pair[0].close)
    held(estimator)
    density = map_of(estimator)
    assert not any("implausible" in reason for reason in density.confidence.reasons)
    standing = density.notional_usd[0].sum(axis=0)
    assert standing[density.grid.centres() > estimator.mark * 1.001].sum() == 0.0


def test_a_crash_of_the_mark_alone_is_not_believed_at_once() -> None:
    estimator = warmed()
    before = estimator.mark
    for mark, last in crash(estimator, 3, 0.25):
        estimator.update(mark)
        quiet = candle(last.event_ns, CandleOf.LAST, (before, before), 600.0)
        estimator.update(quiet)
        assert estimator.mark == before
    assert any("implausible" in reason for reason in map_of(estimator).confidence.reasons)


def test_repeated_prints_count_once() -> None:
    estimator = warmed()
    at, mark = estimator.clock_ns, estimator.mark
    for _ in range(5):
        estimator.update(a_print(at, 1e6, mark))
    assert estimator.level.seen[0] == pytest.approx(1e6)
    assert estimator.level.prints == 1


def test_sizes_of_prints_put_classes_into_their_tiers() -> None:
    """Prints of a log-normal law give it back, weighted by notional; large positions pay a higher
    maintenance rate, so that their levels lie nearer, in a copy from a checkpoint as well."""
    random = np.random.default_rng(3)
    estimator = warmed()
    level, settings = estimator.level, estimator.settings
    guess = settings.size_median_usd, settings.size_sigma
    assert level.size_law(*guess, settings.size_worth) == guess, "no print, no news"
    before, n = estimator.law.table.copy(), 10  # 20x, isolated
    for i, usd in enumerate(np.exp(random.normal(math.log(3e6), 0.7, 3_000))):
        estimator.update(a_print(estimator.clock_ns + i, float(usd), estimator.mark))
    median, sigma = level.size_law(*guess, 0.0)
    assert math.log(median / 3e6) == pytest.approx(0.7**2, abs=0.1)
    assert sigma == pytest.approx(0.7, abs=0.1)
    assert level.size_law(*guess, math.inf) == pytest.approx(guess)
    pooled = level.size_law(*guess, settings.size_worth)
    assert guess[0] < pooled[0] < median
    end = estimator.clock_ns
    for event in history(walk(800, seed=2)):
        event = msgspec.structs.replace(event, event_ns=event.event_ns - START + end)
        estimator.update(event)
    assert (np.abs(estimator.law.table[:, n]) < 0.95 * np.abs(before[:, n])).all()
    copy = DensityEstimator(BTC, settings)
    copy.restore(estimator.checkpoint())
    assert (copy.law.table == estimator.law.table).all()
    assert copy.level.size_law(*guess, 30.0) == level.size_law(*guess, 30.0)


def test_a_delisting_ends_in_nothing_left_but_a_sound_state() -> None:
    estimator = warmed()
    at, mark, oi = estimator.clock_ns, estimator.mark, estimator.open_interest
    for k in range(40):
        oi *= 0.7
        estimator.update(MarkPrice(KEY, at + k * MINUTE, 0, mark))
        estimator.update(OpenInterest(KEY, at + k * MINUTE, 0, oi))
        held(estimator)


def test_conserved_after_a_month() -> None:
    """Law: |side - open interest| stays below 1e-6 of it over 30 days of 15-minute steps."""
    estimator = DensityEstimator(BTC, DensitySettings(bin_width=0.002, bin_count=512))
    random = np.random.default_rng(9)
    x, oi = math.log(6e4), 9e4
    worst = 0.0
    for k in range(30 * 96):  # a month
        at = START + (k + 1) * 900 * S
        x += float(random.normal(0.0, 0.003))
        oi *= math.exp(float(random.normal(0.0, 0.003)))
        estimator.update(MarkPrice(KEY, at, 0, math.exp(x)))
        if k % 50 == 0:
            estimator.update(a_print(at, 1e5, math.exp(x)))
        estimator.update(OpenInterest(KEY, at, 0, oi))
        if k % 100 == 0:
            worst = max(worst, estimator.imbalance())
    assert worst < 1e-6
    held(estimator)


def test_the_map_beats_the_naive_ladder_on_a_small_world() -> None:
    """Skill with a threshold: a world of known truth, one venue, three days."""
    market = WORLDS[0].market(3.0)
    market = type(market)(
        bases=market.bases,
        start_ns=market.start_ns,
        venues=("binance",),
        history_h=72.0,
        coarse_step_s=5.0,
        positions=market.positions,
        accounts_per_instrument=8_000,
    )
    (world,) = simulate(market, 1, 12.0)
    estimator = DensityEstimator(world.instrument, COARSE)
    for event in facts_of(world, Coverage.COMPLETE, 1.0, 0):
        estimator.update(event)
    shot = world.snapshots[-1]
    grid = field_window(shot.mark)
    truth, _ = density_of(shot.positions, shot.mark, grid)
    density = map_of(estimator)
    offset = grid.first_bin - density.grid.first_bin
    inside = slice(offset, offset + grid.count)
    ours = score_field(density.notional_usd.sum(axis=1)[:, inside], truth)
    past = world.history
    entry = np.log(past.mark[np.searchsorted(past.candle_end_ns, past.oi_ns), 3])
    change = np.diff(past.open_interest, prepend=past.open_interest[0])
    centres, mark = np.log(grid.centres()), math.log(shot.mark)
    ladder = baselines.naive_ladder(centres, mark, entry, change) * shot.mark
    naive = score_field(ladder, truth)
    assert ours.correlation > naive.correlation + 0.1
    assert ours.wasserstein_bp < 0.6 * naive.wasserstein_bp
    assert 0.4 < ours.mass_ratio < 2.5 < naive.mass_ratio
