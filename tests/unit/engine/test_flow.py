"""Flow, cascade and context in the fold: sums close, readers change nothing, losses are no flow."""

from __future__ import annotations

import itertools
import math

import msgspec
import pytest

from liqfield.app.study.lab_events import RULES, LabEvents
from liqfield.cascade.projection import Projection
from liqfield.context.quirks import confidence_of
from liqfield.engine.market import MarketEngine
from liqfield.lab.market import LabMarket
from liqfield.model.analytics import FlowEventKind, FlowView
from liqfield.model.errors import ModelError
from liqfield.model.events import (
    BestQuote,
    Gap,
    Listing,
    MarketEvent,
    OpenInterest,
    PositioningRatio,
    Trade,
)
from liqfield.model.sides import Aggressor, GapReason, PositionSide
from tests.lab.market import START_NS, small_market
from tests.reference import flow as slow

S = 1_000_000_000


@pytest.fixture(scope="module")
def story() -> list[MarketEvent]:
    """Listings and half a minute of four venues with a fall in the middle."""
    market: LabMarket = small_market(5)
    events = LabEvents(market)
    told = list(events.open())
    told += events.advance(START_NS + 10 * S)
    market.shock("BTC", -0.03, 12.0)
    told += events.advance(START_NS + 35 * S)
    return told


def fold(events: list[MarketEvent], *, read_every: int = 0) -> MarketEngine:
    engine = MarketEngine("BTC", RULES)
    for i, event in enumerate(events):
        if isinstance(event, Listing):
            engine.add(event.instrument)
            continue
        engine.step(event)
        if read_every and i % read_every == 0:
            engine.flow(engine.clock_ns)
            engine.cascade()
            engine.context()
            if engine.densities():
                engine.project(engine.densities()[0].mark_price, PositionSide.LONG, 1e6)
    return engine


@pytest.fixture(scope="module")
def engine(story: list[MarketEvent]) -> MarketEngine:
    return fold(story)


@pytest.fixture(scope="module")
def view(engine: MarketEngine) -> FlowView:
    return engine.flow(engine.clock_ns)


def test_sums_close_over_venues_and_bars(story: list[MarketEvent], view: FlowView) -> None:
    trades = [event for event in story if isinstance(event, Trade)]
    assert len(trades) > 500
    signed = [t.quantity if t.aggressor is Aggressor.BUY else -t.quantity for t in trades]
    assert view.cvd[-1] == pytest.approx(sum(signed))
    for venue, series in view.cvd_by_venue.items():
        mine = [x for t, x in zip(trades, signed, strict=True) if t.instrument_id.startswith(venue)]
        assert series[-1] == pytest.approx(sum(mine))
    assert sum(float((bar.bid + bar.ask).sum()) for bar in view.bars) == pytest.approx(
        sum(t.quantity for t in trades)
    )
    # The mid of one venue, which stands near any last trade.
    assert view.price[-1] == pytest.approx(trades[-1].price, rel=1e-3)


def test_touch_is_the_venues_own_quote_and_ofi_the_formula(
    story: list[MarketEvent], engine: MarketEngine
) -> None:
    key = "binance:BTCUSDT"
    quotes = [e for e in story if isinstance(e, BestQuote) and e.instrument_id == key]
    touch = engine.analytics.flow.of[key].touch
    last = quotes[-1]
    assert (touch.bid, touch.ask) == (last.bid_price, last.ask_price)
    half = 0.5 * (last.ask_price - last.bid_price)
    total = last.bid_quantity + last.ask_quantity
    lean = (last.bid_quantity - last.ask_quantity) / total
    row = next(v for v in engine.flow(0).venues if v.venue == "binance")
    assert row.microprice == pytest.approx(touch.mid + half * lean)
    # The running window began at the last whole ten seconds of the clock.
    begun = engine.clock_ns // (10 * S) * 10 * S
    split = next(i for i, q in enumerate(quotes) if q.event_ns >= begun)
    assert touch.ofi == pytest.approx(slow.ofi(quotes[split - 1 :]), rel=1e-9)
    whole = next(i for i, q in enumerate(quotes) if q.event_ns >= begun - 10 * S)
    assert row.ofi == pytest.approx(slow.ofi(quotes[whole - 1 : split]), rel=1e-9)


def test_readers_change_nothing(story: list[MarketEvent], engine: MarketEngine) -> None:
    assert fold(story, read_every=997).digest() == engine.digest()


def test_another_trade_is_another_digest(story: list[MarketEvent], engine: MarketEngine) -> None:
    at = max(i for i, event in enumerate(story) if isinstance(event, Trade))
    changed = list(story)
    trade = changed[at]
    assert isinstance(trade, Trade)
    changed[at] = msgspec.structs.replace(trade, quantity=trade.quantity * 2)
    assert fold(changed).digest() != engine.digest()


def test_every_view_is_finite_and_ordered(view: FlowView) -> None:
    assert [row.venue for row in view.venues] == ["all", *sorted(RULES)]
    for row in view.venues:
        for value in (row.ofi, row.ofi_multi, row.queue_imbalance, row.microprice):
            assert value is not None
            assert math.isfinite(value)
    assert all(a.at_ns <= b.at_ns for a, b in itertools.pairwise(view.events))
    assert view.cascade.evidence
    assert {event.kind for event in view.events} <= set(FlowEventKind)


def test_a_gap_voids_what_it_fed_and_is_no_flow(story: list[MarketEvent]) -> None:
    engine = fold(story)
    flow = engine.analytics.flow.of["bybit:BTCUSDT"]
    assert flow.touch.mid > 0.0
    engine.gap(Gap("bybit", "ws:/x#y", engine.clock_ns, GapReason.DISCONNECT))
    assert flow.touch.mid == 0.0
    assert flow.touch.ofi == 0.0
    row = next(v for v in engine.flow(0).venues if v.venue == "bybit")
    assert row.microprice is None
    assert row.queue_imbalance is None


def test_context_has_what_was_told(engine: MarketEngine) -> None:
    engine.step(PositioningRatio("binance:BTCUSDT", START_NS, START_NS, "accounts", 0.6, 0.4))
    context = engine.context()
    assert {row.venue for row in context.funding} == set(RULES)
    assert context.funding_8h is not None
    assert context.ratios == {"binance": pytest.approx(1.5)}
    assert context.open_interest_usd > 1e9
    assert context.open_interest_change_1h is None  # half a minute is no hour
    assert any(quirk.startswith("okx: ") for quirk in context.quirks)
    assert context.next_session_ns > engine.clock_ns


def test_quirks_lower_the_confidence_of_a_map_and_say_why(engine: MarketEngine) -> None:
    for density in engine.densities():
        plain = engine.instruments[density.instrument_id].density.get()
        assert plain is not None
        venue = density.instrument_id.partition(":")[0]
        assert density.confidence.score == pytest.approx(
            plain.confidence.score * confidence_of(venue)
        )
        assert len(density.confidence.reasons) > len(plain.confidence.reasons)


def test_open_interest_change_pools_venues_whose_memory_reaches(story: list[MarketEvent]) -> None:
    engine = fold(story[:400])
    at = START_NS + 10 * S
    for hour in range(3):
        for key, quantity in (("binance:BTCUSDT", 100.0), ("okx:BTC-USDT-SWAP", 50.0)):
            now = at + hour * 3_600 * S
            engine.step(OpenInterest(key, now, now, quantity * 1.02**hour))
    assert engine.context().open_interest_change_1h == pytest.approx(0.02)


def test_a_projection_needs_a_map_and_a_book() -> None:
    engine = MarketEngine("BTC", RULES)
    assert engine.project(80_000.0, PositionSide.LONG) is None


def test_projections_run_both_ways_and_farther_with_a_push(engine: MarketEngine) -> None:
    price = engine.densities()[0].mark_price

    def run(start: float, side: PositionSide, push_usd: float) -> Projection:
        found = engine.project(start, side, push_usd)
        assert found is not None
        return found

    down = run(price, PositionSide.LONG, 1e6)
    pushed = run(price, PositionSide.LONG, 1e8)
    up = run(price, PositionSide.SHORT, 1e6)
    assert pushed.stop_price <= down.stop_price <= price <= up.stop_price
    assert down.stop_price_far <= down.stop_price_near <= price
    start = run(price * 0.98, PositionSide.LONG, 1e6)
    assert start.start_price == pytest.approx(price * 0.98)
    assert start.stop_price <= start.start_price
    with pytest.raises(ModelError, match="outside the map"):
        engine.project(price * 100.0, PositionSide.LONG)
