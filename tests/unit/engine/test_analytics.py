"""Readings inside the fold: deterministic, in the digest, fed once, and told of losses."""

from __future__ import annotations

import itertools

import pytest

from liqfield.app.study.lab_events import RULES, LabEvents
from liqfield.book.attribution_kernels import FILLED
from liqfield.density.clusters import ClusterSettings, find_clusters
from liqfield.density.combine import combine
from liqfield.engine.analytics import PATH_NS
from liqfield.engine.flow import FlowSettings
from liqfield.engine.market import MarketEngine
from liqfield.model.analytics import PathClass
from liqfield.model.events import Gap, Listing, MarketEvent, Trade
from liqfield.model.sides import GapReason, PositionSide
from tests.lab.market import SECOND_NS, START_NS, small_market

SECONDS = 75


@pytest.fixture(scope="module")
def events() -> list[MarketEvent]:
    """A minute and a quarter of a small market on four venues, with a fall in it."""
    market = small_market()
    source = LabEvents(market)
    found = list(source.open())
    found += source.advance(START_NS + 20 * SECOND_NS)
    market.shock("BTC", -0.004, 20.0)
    found += source.advance(START_NS + SECONDS * SECOND_NS)
    return found


def fold(events: list[MarketEvent], loss: Gap | None = None, at: int = 0) -> MarketEngine:
    # Half an hour of past brings no cluster near the price: look farther than a live market does.
    engine = MarketEngine("BTC", RULES, FlowSettings(cluster_reach=0.15))
    for i, event in enumerate(events):
        if loss is not None and i == at:
            engine.gap(loss)
        if isinstance(event, Listing):
            engine.add(event.instrument)
        else:
            engine.step(event)
    return engine


@pytest.fixture(scope="module")
def engine(events: list[MarketEvent]) -> MarketEngine:
    return fold(events)


def test_the_same_events_give_the_same_readings(
    events: list[MarketEvent], engine: MarketEngine
) -> None:
    again = fold(events)
    assert again.analytics.digest() == engine.analytics.digest()
    assert again.digest() == engine.digest()
    assert again.flow_events() == engine.flow_events()
    assert again.walls() == engine.walls()
    shorter = fold(events[:-1_000])
    assert shorter.analytics.digest() != engine.analytics.digest()


def test_reading_changes_nothing(events: list[MarketEvent], engine: MarketEngine) -> None:
    half = len(events) // 2
    curious = fold(events[:half])
    paths_of(curious)
    curious.walls()
    for event in events[half:]:
        curious.step(event)
    assert curious.digest() == engine.digest()


def paths_of(engine: MarketEngine) -> None:
    densities = engine.densities()
    clusters = find_clusters(densities, ClusterSettings(min_usd=1e6))
    pooled = combine(densities)
    views = engine.paths(clusters, pooled)
    assert len(views) == len(clusters)
    assert pooled is None or clusters
    for view in views:
        assert view.resting_usd > 0.0
        assert 0.0 < view.visible_share <= 1.0
        assert 0.0 < view.stressed_usd_p10 <= view.stressed_usd_p90
        assert view.forced_usd >= 0.0
        if view.ratio is None:
            assert view.path_class is PathClass.UNKNOWN
    for side in PositionSide:
        along = [
            (abs(c.distance), v.resting_usd)
            for c, v in zip(clusters, views, strict=True)
            if c.position_side is side
        ]
        resting = [usd for _, usd in sorted(along)]
        assert resting == sorted(resting), "farther clusters lie behind more orders"


def test_every_cluster_has_a_path(engine: MarketEngine) -> None:
    paths_of(engine)


def test_paths_are_remembered_once_a_minute(engine: MarketEngine) -> None:
    history = engine.analytics.path_history
    assert history
    assert history[-1].at_ns <= engine.clock_ns
    stamps = sorted({record.at_ns for record in history})
    assert all(b - a >= PATH_NS for a, b in itertools.pairwise(stamps))
    for record in history:
        assert record.low < record.high
        assert record.view.resting_usd > 0.0


def test_walls_are_nearest_first_and_large(engine: MarketEngine) -> None:
    walls = engine.walls()
    distances = [abs(wall.distance) for wall in walls]
    assert distances == sorted(distances)
    for wall in walls:
        assert wall.is_bid == (wall.distance < 0.0)
        assert wall.notional_usd > 0.0


def test_every_coin_traded_at_a_book_is_accounted_for(
    events: list[MarketEvent], engine: MarketEngine
) -> None:
    """Trades are the fills of the attribution, or wait for the next message."""
    for key, of in engine.analytics._of.items():
        if key.startswith("hyperliquid"):
            continue  # its whole books begin with the first message, not with a snapshot at start
        of.book.attribution.settle()
        attribution = of.book.attribution
        traded = sum(e.quantity for e in events if isinstance(e, Trade) and e.instrument_id == key)
        filled = attribution.totals[:, :, FILLED].sum() + attribution.pending
        assert attribution.dropped == 0
        assert filled == pytest.approx(traded, rel=1e-9)


@pytest.mark.parametrize("kinds", [(), ("Trade",), ("BookDelta", "BookSnapshot")])
def test_a_loss_forgets_the_walls_of_its_venue_only(
    events: list[MarketEvent], kinds: tuple[str, ...]
) -> None:
    loss = Gap("binance", "ws:/x", 0, GapReason.DISCONNECT, kinds=kinds)
    engine = fold(events)
    others = [wall for wall in engine.walls() if wall.venue != "binance"]
    engine.gap(loss)
    assert [wall.venue for wall in engine.walls()] == [wall.venue for wall in others]
