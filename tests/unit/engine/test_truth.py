"""Live reconciliation: what was promised before an hour against what the hour printed."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from liqfield.density.openings import OwnOpenings
from liqfield.engine.truth import KEEP_ROWS, TruthKeeper, TruthKeepers
from liqfield.model.durations import HOUR_NS
from liqfield.model.estimates import Confidence, LiquidationDensity
from liqfield.model.events import Liquidation
from liqfield.model.grid import PriceGrid
from liqfield.model.sides import Coverage, PositionSide, PriceKind

ID = "bybit:BTCUSDT"
START = 500_000 * HOUR_NS
MARK = 60_000.0


def density(usd_per_bin: float = 1e6, share: tuple[float, float] = (0.5, 0.25)) -> object:
    grid = PriceGrid.around(MARK, 0.0005, 400)
    mass = np.zeros((2, 3, 400))
    at = grid.bin_of(MARK)
    mass[0, 1, :at] = usd_per_bin
    mass[1, 1, at + 1 :] = usd_per_bin
    return LiquidationDensity(
        instrument_id=ID,
        at_ns=START,
        mark_price=MARK,
        grid=grid,
        notional_usd=mass,
        p10=mass.sum(axis=1) * 0.5,
        p90=mass.sum(axis=1) * 1.5,
        outside_usd=np.zeros(2),
        open_interest_usd=1e9,
        confidence=Confidence(1.0),
        printed_share=share,
        printed_sd=0.5,
        printed_lump_usd=1e4,
    )


def a_print(quantity: float, side: PositionSide, price: float = MARK) -> Liquidation:
    return Liquidation(
        ID, START, START, side, quantity, price, PriceKind.BANKRUPTCY, Coverage.COMPLETE
    )


def hour(keeper: TruthKeeper, n: int, low: float, high: float, long_btc: float) -> None:
    keeper.mark(ID, MARK * math.exp(-low))
    keeper.mark(ID, MARK * math.exp(high))
    if long_btc:
        keeper.print(a_print(long_btc, PositionSide.LONG))
    keeper.roll(START + (n + 1) * HOUR_NS, ID, [density()])  # type: ignore[list-item]


def test_a_row_is_the_mass_between_low_and_high_times_the_printed_share() -> None:
    keeper = TruthKeeper()
    keeper.roll(START, ID, [density()])  # type: ignore[list-item]
    hour(keeper, 0, 0.0100, 0.0050, 3.0)
    (row,) = keeper.rows
    # 20 bins of a million down (less what of the mark's own bin is not long), 10 up.
    assert row.predicted_usd[0] == pytest.approx(0.5 * 20e6, rel=0.06)
    assert row.predicted_usd[1] == pytest.approx(0.25 * 10e6, rel=0.11)
    assert row.realised_usd == (3.0 * MARK, 0.0)
    assert row.p10[0] < row.predicted_usd[0] < row.p90[0]
    assert row.at_ns == START
    assert row.flat_usd == (0.0, 0.0), "nothing was known of the past"


def test_what_the_hour_itself_opens_is_part_of_its_prediction() -> None:
    """As `DensityEstimator.predicted`, which Proof 2 measures; of a still hour nothing."""
    reach = np.full((2, 40, 64), 0.004)
    own = OwnOpenings(1e8, 1e9, np.stack((-reach[0], reach[1])), np.full(40, 1.0 / 40.0))
    bare, keeper = TruthKeeper(), TruthKeeper()
    bare.roll(START, ID, [density()])  # type: ignore[list-item]
    keeper.roll(START, ID, [density()], {ID: own})  # type: ignore[list-item]
    still = keeper.running()
    assert still is not None
    assert still.predicted_usd == (0.0, 0.0)
    low, high = MARK * math.exp(-0.01), MARK * math.exp(0.005)
    for one in (bare, keeper):
        one.mark(ID, low)
        one.mark(ID, high)
    row, less = keeper.running(), bare.running()
    assert row is not None
    assert less is not None
    more = np.array(row.predicted_usd) - np.array(less.predicted_usd)
    np.testing.assert_allclose(more, own.usd(low, high) * (0.5, 0.25))
    assert (more > 0.0).all()


def test_the_flat_baseline_knows_the_past_rate_and_this_path() -> None:
    keeper = TruthKeeper()
    keeper.roll(START, ID, [density()])  # type: ignore[list-item]
    hour(keeper, 0, 0.01, 0.0, 3.0)
    hour(keeper, 1, 0.02, 0.0, 1.0)
    assert keeper.rows[1].flat_usd[0] == pytest.approx(6.0 * MARK, rel=1e-6)


def test_an_interval_that_began_late_or_fell_silent_gives_no_row() -> None:
    keeper = TruthKeeper()
    keeper.roll(START + HOUR_NS // 2, ID, [density()])  # type: ignore[list-item]
    keeper.roll(START + HOUR_NS, ID, [density()])  # type: ignore[list-item]
    assert not keeper.rows, "half an hour is no hour"
    keeper.roll(START + 4 * HOUR_NS, ID, [density()])  # type: ignore[list-item]
    assert not keeper.rows, "nothing was heard for hours"
    keeper.roll(START + 5 * HOUR_NS, ID, [density()])  # type: ignore[list-item]
    assert len(keeper.rows) == 1


def test_absurd_prices_move_no_path_and_rows_are_bounded() -> None:
    keeper = TruthKeeper()
    keeper.roll(START, ID, [density()])  # type: ignore[list-item]
    keeper.mark(ID, 1.0)
    keeper.mark(ID, math.inf)
    keeper.print(a_print(1.0, PositionSide.SHORT, 1e12))
    hour(keeper, 0, 0.001, 0.001, 0.0)
    assert keeper.rows[0].mark_low == pytest.approx(MARK, rel=2e-3)
    assert keeper.rows[0].realised_usd[1] == pytest.approx(MARK)
    for n in range(1, KEEP_ROWS + 20):
        hour(keeper, n, 0.001, 0.001, 0.0)
    assert len(keeper.rows) == KEEP_ROWS


def test_the_report_sums_rows_and_finds_a_good_map_skilful() -> None:
    keeper = TruthKeeper()
    assert keeper.report("BTC", START) is None
    keeper.roll(START, ID, [density(share=(1.0, 1.0))])  # type: ignore[list-item]
    random = np.random.default_rng(3)
    for n in range(60):
        keeper._maps[ID].share = (float(random.uniform(0.01, 1.0)), 1.0)  # maps that differ
        keeper.mark(ID, MARK * math.exp(-0.01))
        usd = keeper._maps[ID].predicted()[0] * float(random.lognormal(-0.02, 0.2))
        hour(keeper, n, 0.01, 0.001, usd / MARK)
    report = keeper.report("BTC", START + 60 * HOUR_NS)
    assert report is not None
    assert report.is_complete
    assert report.venues == ("bybit",)
    assert 0.9 < report.total_ratio[0] < 1.1
    assert report.total_ratio[1] == 0.0, "nothing printed: no ratio"
    assert report.skill[0] > 0.8
    assert report.rank[0] > 0.8
    bins = report.calibration[0]
    assert [b.predicted_usd for b in bins] == sorted(b.predicted_usd for b in bins)
    assert sum(b.n for b in bins) == 60
    assert all(b.realised_low <= b.realised_usd <= b.realised_high for b in bins)


def test_the_running_hour_is_the_row_that_it_becomes() -> None:
    keeper = TruthKeeper()
    assert keeper.running() is None
    keeper.roll(START + HOUR_NS // 2, ID, [density()])  # type: ignore[list-item]
    assert keeper.running() is None, "its beginning was missed"
    keeper.roll(START + HOUR_NS, ID, [density()])  # type: ignore[list-item]
    still = keeper.running()
    assert still is not None
    assert still.predicted_usd == (0.0, 0.0)
    keeper.mark(ID, MARK * math.exp(-0.01))
    keeper.print(a_print(2.0, PositionSide.LONG))
    before = keeper.running()
    assert before is not None
    assert before == keeper.running(), "asking changes nothing"
    assert before.predicted_usd[0] > 0.0
    assert before.realised_usd == (2.0 * MARK, 0.0)
    keeper.roll(START + 2 * HOUR_NS, ID, [density()])  # type: ignore[list-item]
    assert keeper.rows[-1] == before


def test_the_venues_are_scored_alone_and_add_up_to_the_pool() -> None:
    keepers = TruthKeepers()
    other = "okx:BTCUSDT"
    both = [density(), msgspec.structs.replace(density(2e6), instrument_id=other)]  # type: ignore[type-var]
    keepers.roll(START, ID, both)  # type: ignore[arg-type]
    for name in (ID, other):
        keepers.mark(name, MARK * math.exp(-0.01))
    keepers.print(a_print(3.0, PositionSide.LONG))
    keepers.print(msgspec.structs.replace(a_print(1.0, PositionSide.LONG), instrument_id=other))
    venue = ID.partition(":")[0]
    pool, own, theirs = (keepers.running(v) for v in ("all", venue, "okx"))
    assert pool is not None
    assert own is not None
    assert theirs is not None
    assert own.realised_usd == (3.0 * MARK, 0.0)
    assert theirs.realised_usd == (MARK, 0.0)
    assert pool.realised_usd[0] == pytest.approx(own.realised_usd[0] + theirs.realised_usd[0])
    assert pool.predicted_usd[0] == pytest.approx(own.predicted_usd[0] + theirs.predicted_usd[0])
    assert theirs.predicted_usd[0] == pytest.approx(2.0 * own.predicted_usd[0])
    assert keepers.running("gate") is None
    # A venue that goes dark ends its hour and begins none.
    keepers.roll(START + HOUR_NS, ID, both[:1])  # type: ignore[arg-type]
    report = keepers.report("BTC", START + HOUR_NS, "okx")
    assert report is not None
    assert len(report.rows) == 1
    assert keepers.running("okx") is None
    assert keepers.running("all") is not None


def test_a_bankruptcy_price_counts_at_the_mark_that_forced_it() -> None:
    keeper = TruthKeeper()
    keeper.roll(START, ID, [density()])  # type: ignore[list-item]
    beyond = a_print(2.0, PositionSide.LONG, 0.994 * MARK)
    keeper.print(beyond, 0.998 * MARK)
    hour(keeper, 0, 0.003, 0.001, 0.0)
    assert keeper.rows[0].realised_usd[0] == pytest.approx(2.0 * 0.998 * MARK)
