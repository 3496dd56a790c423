"""The market as events: the engine's books are the market's books, trades are its trades."""

from __future__ import annotations

import pytest

from liqfield.app.study.lab_events import RULES, WHOLE_LEVELS, LabEvents
from liqfield.book.ladder import ASK, BID
from liqfield.engine.market import MarketEngine
from liqfield.model.events import Listing, MarketEvent, Trade
from tests.lab.market import SECOND_NS, START_NS, small_market


def _step(engine: MarketEngine, event: MarketEvent) -> None:
    if isinstance(event, Listing):
        engine.add(event.instrument)
    else:
        engine.step(event)


@pytest.mark.parametrize("trades_late", [False, True])
def test_the_engine_holds_the_markets_books_and_its_trades(trades_late: bool) -> None:
    market = small_market()
    events = LabEvents(market, trades_late=trades_late)
    engine = MarketEngine("BTC", RULES)
    for event in events.open():
        _step(engine, event)
    traded: dict[str, float] = {}
    for event in events.advance(START_NS + 10 * SECOND_NS):
        _step(engine, event)
        if isinstance(event, Trade):
            traded[event.instrument_id] = traded.get(event.instrument_id, 0.0) + event.quantity
    for key, state in engine.instruments.items():
        book, ladder = market.book(key), state.sync.ladder
        assert ladder is not None
        assert state.resyncs == 0
        count = WHOLE_LEVELS if state.instrument.venue == "hyperliquid" else 200
        for side, ticks, quantity in (
            (BID, book.bid_ticks, book.bid_quantity),
            (ASK, book.ask_ticks, book.ask_quantity),
        ):
            shown = ladder.top(side, count)
            assert shown[0].tolist() == ticks[:count].tolist()
            assert shown[1].tolist() == quantity[:count].tolist()
        candle = state.candle()
        assert candle is not None
        assert traded[key] > 0.0
        assert state.mark is not None
        assert state.open_interest is not None
