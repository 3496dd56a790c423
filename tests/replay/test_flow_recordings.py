"""Flow on real traffic: footprint and CVD close with the trades, OFI and microprice with quotes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from liqfield.app.pipeline import Pipeline
from liqfield.app.terminal import infer_instruments
from liqfield.engine.engine import Engine
from liqfield.engine.market import MarketEngine
from liqfield.flow.absorption import AbsorptionDetector
from liqfield.flow.imbalance import TouchImbalance
from liqfield.flow.quotes import QuoteReader
from liqfield.model.events import BestQuote, Event, Frame, Trade
from liqfield.model.sides import Aggressor, TradeKind
from liqfield.model.tape import TradeTape
from liqfield.store.foreign import open_recording
from liqfield.venues import registry
from tests.reference import flow as slow

RECORDINGS = {
    "binance": ("binance_usdm/btcusdt_20240808.gz", 12_000),
    "bybit": ("bybit/bybit_v5_20260809.jsonl.zst", 4_000),
    "hyperliquid": ("hyperliquid/btcusd_20250126.gz", 100),
}


@pytest.fixture(scope="module", params=RECORDINGS)
def folded(request: pytest.FixtureRequest, shared_data: Path) -> tuple[MarketEngine, list[Event]]:
    """The market of BTC after a recording, and its events."""
    name, count = RECORDINGS[request.param]
    venues = registry.make()
    seen: list[Event] = []

    def keep(frame: Frame, events: Sequence[Event]) -> None:
        del frame
        seen.extend(events)

    engine = Engine({key: venue.book_rule for key, venue in venues.items()})
    pipeline = Pipeline(engine, venues, on_events=keep)
    path = shared_data / "data/recordings" / name
    records = list(itertools.islice(open_recording(path), count))
    infer_instruments(pipeline, records)
    pipeline.consume(records)
    market = engine.markets["BTC"]
    mine = [e for e in seen if getattr(e, "instrument_id", "") in market.instruments]
    return market, mine


def trades_of(events: list[Event]) -> list[Trade]:
    """Each market execution once, as the engine counts them."""
    found: dict[tuple[str, str], Trade] = {}
    for event in events:
        if isinstance(event, Trade) and event.kind is TradeKind.MARKET:
            found.setdefault((event.instrument_id, event.trade_id), event)
    return list(found.values())


def test_footprint_totals_equal_traded_volume(
    folded: tuple[MarketEngine, list[Event]],
) -> None:
    market, events = folded
    trades = trades_of(events)
    assert trades
    bars = market.flow(market.clock_ns).bars
    total = sum(float((bar.bid + bar.ask).sum()) for bar in bars)
    assert total == pytest.approx(sum(t.quantity for t in trades))


def test_cvd_equals_the_sum_of_signed_trades(folded: tuple[MarketEngine, list[Event]]) -> None:
    market, events = folded
    day = market.clock_ns // 86_400_000_000_000
    signed = [
        t.quantity if t.aggressor is Aggressor.BUY else -t.quantity
        for t in trades_of(events)
        if min(t.event_ns, market.clock_ns) // 86_400_000_000_000 == day
    ]
    view = market.flow(market.clock_ns, span_s=86_400.0)
    assert view.cvd[-1] == pytest.approx(sum(signed), abs=1e-6)


def test_ofi_and_microprice_equal_the_slow_twin(folded: tuple[MarketEngine, list[Event]]) -> None:
    market, events = folded
    for key, flow in market.analytics.flow.of.items():
        quotes = [e for e in events if isinstance(e, BestQuote) and e.instrument_id == key]
        if len(quotes) < 50:
            continue
        touch = TouchImbalance()
        reader = QuoteReader(touch, AbsorptionDetector("alone", 1.0, TradeTape(), 0))
        for q in quotes:
            reader.fold(q)
        assert touch.ofi == pytest.approx(slow.ofi(quotes), rel=1e-9, abs=1e-6)
        last = quotes[-1]
        lean = (last.bid_quantity - last.ask_quantity) / (last.bid_quantity + last.ask_quantity)
        half = 0.5 * (last.ask_price - last.bid_price)
        expected = 0.5 * (last.bid_price + last.ask_price) + half * lean
        assert flow.row().microprice == pytest.approx(expected)
