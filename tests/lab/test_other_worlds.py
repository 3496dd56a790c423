"""The market of another make obeys its own laws, and its public files say what happened."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from liqfield.app.sources import event_ns, open_source
from liqfield.app.study.other_worlds import study_other, study_others, write_public
from liqfield.lab.other_worlds import (
    BEGIN_NS,
    TIER_CAP,
    TIER_CUT,
    TIER_FLOOR,
    TIER_RATE,
    TIER_TOP,
    OtherTruth,
    OtherWorld,
    liquidation_levels,
    simulate,
)
from liqfield.model.durations import HOUR_NS, MINUTE_NS
from liqfield.model.errors import SettingError
from liqfield.model.events import Candle, Liquidation, MarkPrice, OpenInterest, Trade
from liqfield.model.margin import MarginTier, deductions, isolated_margin, liquidation_price
from liqfield.model.sides import CandleOf, ContractKind, Coverage, PositionSide

TINY = OtherWorld(
    name="tiny", days=0.2, hidden_days=0.05, open_interest=800.0, volatility=0.06, stop_share=0.3
)
TIERS = [
    MarginTier(floor, cap, top, rate, cut)
    for floor, cap, top, rate, cut in np.stack(
        (TIER_FLOOR, TIER_CAP, TIER_TOP, TIER_RATE, TIER_CUT), axis=1
    ).tolist()
]


@pytest.fixture(scope="module")
def truth() -> OtherTruth:
    return simulate(TINY, 3, MINUTE_NS)


def test_levels_are_those_of_the_margin_equation() -> None:
    assert deductions(TIER_FLOOR.tolist(), TIER_RATE.tolist()) == pytest.approx(TIER_CUT.tolist())
    rng = np.random.default_rng(5)
    entry = rng.uniform(1_000.0, 90_000.0, 400)
    coins = np.exp(rng.uniform(math.log(20.0), math.log(90e6), 400)) / entry
    leverage = np.exp(rng.uniform(0.05, math.log(30.0), 400))
    linear = ContractKind.LINEAR
    for sign, side in ((1.0, PositionSide.LONG), (-1.0, PositionSide.SHORT)):
        levels = liquidation_levels(sign, entry, coins, leverage)
        for e, q, x, level in zip(entry, coins, leverage, levels, strict=True):
            margin = isolated_margin(linear, float(e), float(q), float(x))
            wanted = liquidation_price(linear, side, float(e), float(q), margin, TIERS)
            assert level == pytest.approx(wanted or 0.0, rel=1e-9)


def test_longs_shorts_and_open_interest_are_one_number_every_minute(truth: OtherTruth) -> None:
    assert len(truth.shots) == len(truth.interest) == 288
    for shot, interest in zip(truth.shots, truth.interest, strict=True):
        for coins in shot.coins:
            assert coins.min() > 0.0
            assert coins.sum() == pytest.approx(interest, rel=1e-9)


def test_nobody_stands_where_the_mark_has_been(truth: OtherTruth) -> None:
    for shot, path in zip(truth.shots, truth.path, strict=True):
        longs, shorts = shot.levels
        assert longs.max() < path[-1] == shot.mark < shorts.min()


def test_prints_come_at_their_trigger_and_before_bankruptcy(truth: OtherTruth) -> None:
    at, side, coins, bankrupt, mark = truth.prints.T
    assert len(at) > 50
    assert (np.diff(at) >= 0.0).all()
    assert (at >= 0.0).all()
    assert (coins > 0.0).all()
    longs = side == 0.0
    # the mark has passed the level, whose margin left is the maintenance of the lowest tier at most
    assert (mark[longs] < bankrupt[longs] * 1.05).all()
    assert (mark[~longs] > bankrupt[~longs] * 0.95).all()


def test_the_same_seed_is_the_same_world(truth: OtherTruth) -> None:
    again = simulate(TINY, 3, HOUR_NS)
    assert np.array_equal(again.prints, truth.prints)
    assert not np.array_equal(simulate(TINY, 4, HOUR_NS).path, truth.path)


@pytest.mark.parametrize("feed", ["klines", "trades", "complete", "second"])
def test_the_public_files_are_read_for_what_they_are(
    feed: str, truth: OtherTruth, tmp_path: Path
) -> None:
    spec = msgspec.structs.replace(TINY, feed=feed)
    text, instrument_id = write_public(spec, truth, tmp_path)
    source = open_source(text)
    facts = list(source.events(instrument_id))
    blank = {reason for report in source.reports for reason in report.skipped}
    assert all("blank ratio" in reason for reason in blank)
    interest = [f for f in facts if isinstance(f, OpenInterest)]
    assert interest[-1].quantity == pytest.approx(
        truth.interest[-4 if feed == "klines" else -1], rel=0.01
    )
    traded = sum(f.quantity for f in facts if isinstance(f, Trade))
    traded += sum(f.volume for f in facts if isinstance(f, Candle) and f.of is CandleOf.LAST)
    assert traded == pytest.approx(truth.volume.sum(), rel=1e-3)
    marks = [f.price for f in facts if isinstance(f, MarkPrice)]
    marks += [f.low for f in facts if isinstance(f, Candle) and f.of is CandleOf.MARK]
    assert min(marks) == pytest.approx(truth.path.min(), abs=0.1)
    prints = [f for f in facts if isinstance(f, Liquidation)]
    shown = sum(f.quantity for f in prints)
    if feed == "complete":
        assert shown == pytest.approx(truth.prints[:, 2].sum(), rel=1e-3)
        assert {f.coverage for f in prints} == {Coverage.COMPLETE}
    elif feed == "second":
        assert 0.0 < shown <= truth.prints[:, 2].sum()
        assert len({f.event_ns // 10**9 for f in prints}) == len(prints)
    else:
        assert not prints
    assert event_ns(facts[0]) >= BEGIN_NS


def test_a_world_is_mapped_and_scored(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(TINY, days=0.5)
    report = study_other(spec, 1, tmp_path, burn_days=0.1)
    assert report.maps == 3
    for score in (report.ours, report.ceiling):
        assert -1.0 <= score.correlation <= 1.0
        assert 0.0 < score.mass_ratio < 100.0
        assert 0.0 <= score.coverage <= 1.0
    assert report.ceiling.correlation > report.naive.correlation
    with pytest.raises(SettingError, match="no world nowhere"):
        study_others(["nowhere"], 1, tmp_path)
