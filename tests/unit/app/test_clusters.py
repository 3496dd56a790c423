"""Clusters of a moment of the past: those of the map that was known then, and of nothing later."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from liqfield.app.clusters import GROWTH_NS, ClusterFinder
from liqfield.density.clusters import ClusterSettings
from liqfield.density.combine import combine, combine_columns
from liqfield.model.estimates import Cluster, Confidence, LiquidationDensity
from liqfield.model.grid import PriceGrid
from liqfield.model.tiles import BIN_WIDTH, QUANTISATION_ERROR
from liqfield.store.map_history import MapHistory

SECOND = 1_000_000_000
T0 = 1_700_000_000 // 43200 * 43200  # s, where columns of every width begin
MARK = 85_000.0
SETTINGS = ClusterSettings(min_usd=30e6)


def density(venue: str, at_s: float, share: float, size: float) -> LiquidationDensity:
    """One ridge 2 % below, `size` times as large; nothing that stands out above."""
    grid = PriceGrid.around(MARK, BIN_WIDTH, 600)
    away = np.log(grid.centres() / MARK)
    usd = np.full((2, 3, 600), 1e4)
    usd[0] += 5e6 * size * np.exp(-(((away + 0.02) / 0.002) ** 2)) * np.array([[0.2], [0.5], [0.3]])
    usd *= share
    sides = usd.sum(axis=1)
    return LiquidationDensity(
        f"{venue}:BTCUSDT", int(at_s * SECOND), MARK, grid, usd, np.zeros(2),
        float(sides[0].sum()), Confidence(0.7, ("a test",)), p10=sides * 0.5, p90=sides * 2.0,
    )  # fmt: skip


def venues_at(at_s: float, size: float) -> list[LiquidationDensity]:
    return [density("binance", at_s, 0.6, size), density("okx", at_s, 0.4, size)]


@pytest.fixture(params=["memory", "disk"])
def maps(request: pytest.FixtureRequest, tmp_path: Path) -> MapHistory:
    """Three hours in columns of 300 s; the ridge grows by a tenth of its first size each."""
    history = MapHistory(tmp_path if request.param == "disk" else None)
    for step in range(1, 37):
        at_s = T0 + 300 * step
        venues = venues_at(at_s, 1.0 + step / 10)
        for one in venues:
            name = one.instrument_id.partition(":")[0]
            history.append("BTC", name, one.at_ns, one, 300)
        pooled = combine_columns(venues)
        assert pooled is not None
        history.append("BTC", "all", pooled.at_ns, pooled, 300)
    history.flush()
    return history


def close(got: float, want: float) -> bool:
    return math.isclose(got, want, rel_tol=QUANTISATION_ERROR)


@pytest.mark.parametrize("step", [1, 7, 8, 35])
def test_they_are_those_that_were_found_then(maps: MapHistory, step: int) -> None:
    finder = ClusterFinder(maps, SETTINGS)
    at_s = T0 + 300 * step
    wanted: tuple[Cluster, ...] = ClusterFinder(MapHistory(None), SETTINGS).now(
        "BTC", venues_at(at_s, 1.0 + step / 10), at_s * SECOND
    )
    then = finder.known_at("BTC", ("binance", "okx"), (at_s + 299) * SECOND)
    assert then is not None
    assert (then.at_ms, then.mark, then.min_usd) == (at_s * 1e3, MARK, 30e6)
    (row,), (want,) = then.clusters, wanted
    assert row.side == "long"
    assert [row.low, row.high, row.peak] == pytest.approx([want.low, want.high, want.peak])
    assert close(row.usd, want.notional_usd)
    assert row.distance == pytest.approx(want.distance)
    assert all(close(a, b) for a, b in zip(row.band_usd, want.band_usd, strict=True))
    assert list(row.venue_usd) == ["binance", "okx"]
    assert all(close(row.venue_usd[v], usd) for v, usd in want.venue_usd.items())
    # What no history keeps is not invented.
    assert (row.usd_p10, row.usd_p90, row.age_s, row.path) == (None, None, None, None)
    assert row.confidence == pytest.approx(0.7, abs=1e-6)


def test_growth_is_that_of_the_ten_minutes_before(maps: MapHistory) -> None:
    step = 20
    row = ClusterFinder(maps, SETTINGS).known_at(
        "BTC", ("binance", "okx"), (T0 + 300 * step) * SECOND
    )
    assert row is not None
    now, before = 1.0 + step / 10, 1.0 + (step - 2) / 10
    rate = (now - before) / (0.5 * (now + before)) / (GROWTH_NS / 3600e9)
    assert row.clusters[0].growth_per_h == pytest.approx(rate, rel=0.35)


def test_before_the_history_nothing_was_known(maps: MapHistory) -> None:
    finder = ClusterFinder(maps, SETTINGS)
    assert finder.known_at("BTC", ("binance",), (T0 + 299) * SECOND) is None
    assert finder.known_at("ETH", ("binance",), (T0 + 4000) * SECOND) is None


def test_none_above_the_threshold_says_which_threshold(maps: MapHistory) -> None:
    finder = ClusterFinder(maps, ClusterSettings(min_usd=1e12))
    then = finder.known_at("BTC", ("binance", "okx"), (T0 + 4000) * SECOND)
    assert then is not None
    assert (then.clusters, then.min_usd, then.reach) == ((), 1e12, 0.15)
    venues = venues_at(T0, 1.0)
    pooled = combine(venues)
    assert pooled is not None
    now = finder.message("BTC", pooled, finder.now("BTC", venues, T0 * SECOND))
    assert (now.clusters, now.min_usd) == ((), 1e12)


@pytest.mark.parametrize("share", [1e-3, 1.0, 1e3])
def test_without_a_threshold_it_follows_the_size_of_the_market(share: float) -> None:
    """0.2 % of what is open, to two digits, never above 50 M: a small market has clusters too."""
    finder = ClusterFinder(MapHistory(None), ClusterSettings(min_usd=0.0))
    venues = [density("binance", T0, share, 1.0)]
    pooled = combine(venues)
    assert pooled is not None
    found = finder.now("BTC", venues, T0 * SECOND)
    message = finder.message("BTC", pooled, found)
    wanted = min(2e-3 * pooled.open_interest_usd, 50e6)
    assert message.min_usd == pytest.approx(wanted, rel=0.05)
    assert (share < 1e3) == (wanted < 50e6), "both cases are looked at"
    assert [row.side for row in message.clusters] == ["long"]
    assert message.clusters[0].usd >= message.min_usd
    assert (message.default_usd, message.default_why) == (
        message.min_usd,
        "share" if share < 1e3 else "most",
    )


def test_a_reader_may_want_smaller_ones_and_others_do_not_see_them() -> None:
    """One search for all readers; each is told those of its own threshold, and the usual one."""
    finder = ClusterFinder(MapHistory(None), ClusterSettings(min_usd=1e9))
    venues = venues_at(T0, 1.0)
    pooled = combine(venues)
    assert pooled is not None
    found = finder.now("BTC", venues, T0 * SECOND, [30e6])
    usual = finder.message("BTC", pooled, found)
    assert (usual.clusters, usual.min_usd, usual.default_usd) == ((), 1e9, 1e9)
    own = finder.message("BTC", pooled, found, (), 30e6)
    assert [row.usd >= 30e6 for row in own.clusters] == [True]
    assert (own.min_usd, own.default_usd, own.default_why) == (30e6, 1e9, "setting")


def test_one_that_was_too_small_to_be_told_is_not_new_because_somebody_asks() -> None:
    finder = ClusterFinder(MapHistory(None), ClusterSettings(min_usd=1e9))
    for minute in range(15):
        finder.now("BTC", venues_at(T0, 1.0), (T0 + 60 * minute) * SECOND)
    for minute in range(15, 30):
        at_ns = (T0 + 60 * minute) * SECOND
        (cluster,) = finder.now("BTC", venues_at(T0, 1.0), at_ns, [30e6])
        assert cluster.growth_per_h == 0.0
    (grown,) = finder.now("BTC", venues_at(T0, 1.5), (T0 + 1800) * SECOND, [30e6])
    assert grown.growth_per_h > 0.0, "and its growth is measured from then on"


def test_the_past_is_told_from_the_threshold_that_is_asked_for(maps: MapHistory) -> None:
    finder = ClusterFinder(maps, ClusterSettings(min_usd=1e9))
    then = finder.known_at("BTC", ("binance", "okx"), (T0 + 4000) * SECOND, 30e6)
    assert then is not None
    assert ([row.side for row in then.clusters], then.min_usd) == (["long"], 30e6)
