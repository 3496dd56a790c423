"""What prints taught survives a restart: the law at once, the evidence with the first print."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from liqfield.app.learnt import LearntLaws
from liqfield.density import law as laws
from liqfield.density.estimator import DensityEstimator
from liqfield.density.kept import LEARNT_AGE_NS
from liqfield.density.settings import DensitySettings
from liqfield.model.events import Candle, Liquidation, MarketEvent, OpenInterest
from liqfield.model.instrument import Instrument
from liqfield.model.sides import CandleOf, Coverage, PositionSide, PriceKind

MINUTE = 60_000_000_000
START = 1_790_000_000_000_000_000 // MINUTE * MINUTE
KEY = "v:BTC"
BTC = Instrument(id=KEY, venue="v", symbol="BTC", base="BTC", quote="USDT", settle="USDT")
SETTINGS = DensitySettings(bin_width=0.002, bin_count=512)


def facts(minutes: int, *, prints: bool, begin: int = START) -> list[MarketEvent]:
    """A mark that swings by half a per cent; where it falls, longs are printed."""
    out: list[MarketEvent] = []
    random = np.random.default_rng(2)
    prices = 6e4 * np.exp(np.cumsum(random.normal(0.0, 0.0012, minutes + 1)))
    for k in range(minutes):
        at, low, high = begin + (k + 1) * MINUTE, prices[k : k + 2].min(), prices[k : k + 2].max()
        path = (float(prices[k]), float(high), float(low), float(prices[k + 1]))
        out += [
            Candle(KEY, at, 0, of, MINUTE, *path, 900.0, 450.0, True, True)
            for of in (CandleOf.MARK, CandleOf.LAST)
        ]
        if k % 5 == 4:
            out.append(OpenInterest(KEY, at, 0, 9e4, 0.0, is_history=True))
            if prints:
                out.append(a_print(at, float(low)))
    return out


def a_print(at: int, price: float) -> Liquidation:
    return Liquidation(
        KEY, at, at, PositionSide.LONG, 3.0, price, PriceKind.FILL, Coverage.COMPLETE
    )


def fed(events: list[MarketEvent], one: DensityEstimator | None = None) -> DensityEstimator:
    one = one or DensityEstimator(BTC, SETTINGS)
    for event in events:
        one.update(event)
    return one


def test_a_learnt_law_is_in_force_after_a_restart(tmp_path: Path) -> None:
    taught = fed(facts(1500, prints=True))
    assert taught.law.is_fitted
    store = LearntLaws(tmp_path)
    store.keep([taught])

    fresh = DensityEstimator(BTC, SETTINGS)
    store.teach([fresh], taught.clock_ns + MINUTE)
    assert store.problem == ""
    np.testing.assert_array_equal(fresh.law.shares, taught.law.shares)
    assert np.abs(fresh.law.shares - laws.class_shares(SETTINGS.law, 125.0)).sum() > 1e-3

    fed(facts(900, prints=False, begin=START + 60 * MINUTE), fresh)
    assert fresh.level.prints == 0, "history without prints is no evidence of silence"
    assert not fresh.level.evidence
    np.testing.assert_array_equal(fresh.law.shares, taught.law.shares)
    assert fresh.learnt() == b"", "nothing new: the older file stays"
    assert fresh.imbalance() < 1e-6

    again = DensityEstimator(BTC, SETTINGS)
    again.restore(fresh.checkpoint())
    first = a_print(fresh.clock_ns + MINUTE, 6e4)
    for one in (fresh, again):
        one.update(first)
        assert len(one.level.evidence) == len(taught.level.evidence)
        assert one.level.prints == taught.level.prints + 1
    assert again.digest() == fresh.digest()


def test_old_foreign_and_torn_files_teach_nothing(tmp_path: Path) -> None:
    taught = fed(facts(1500, prints=True))
    store = LearntLaws(tmp_path)
    store.keep([taught])
    prior = laws.class_shares(SETTINGS.law, 125.0)

    late = DensityEstimator(BTC, SETTINGS)
    store.teach([late], taught.clock_ns + LEARNT_AGE_NS + MINUTE)
    np.testing.assert_array_equal(late.law.shares, prior)

    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for bad in (b"", whole[: len(whole) // 2], b"\x00" * 50):
        file.write_bytes(bad)
        one = DensityEstimator(BTC, SETTINGS)
        store.teach([one], taught.clock_ns + MINUTE)
        assert "was not read" in store.problem
        np.testing.assert_array_equal(one.law.shares, prior)


def test_without_a_folder_nothing_is_kept() -> None:
    store = LearntLaws(None)
    store.keep([DensityEstimator(BTC, SETTINGS)])
    store.teach([DensityEstimator(BTC, SETTINGS)], START)
    assert store.problem == ""
    with pytest.raises(AssertionError):
        store._path(DensityEstimator(BTC, SETTINGS))
