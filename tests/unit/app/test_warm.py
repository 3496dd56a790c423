"""Warming up goes through the engine's whole day: a book, a map, a column."""

from __future__ import annotations

from liqfield.app import warm
from liqfield.engine.market import MarketEngine
from liqfield.model.instrument import Instrument
from liqfield.model.sides import BookRule


def test_what_warms_the_kernels_makes_a_book_and_a_map() -> None:
    engine = MarketEngine("BTC", {"warm-up": BookRule.NEXT_BY_ONE})
    words = {"base": "BTC", "quote": "USDT", "settle": "USDT", "venue": "warm-up", "symbol": "BTC"}
    engine.add(Instrument(id=warm.KEY, tick_decimals=1, **words))  # type: ignore[arg-type]
    outputs = [out for event in warm.events() for out in engine.step(event)]
    assert any(type(out).__name__ == "ColumnDue" for out in outputs)
    assert engine.instruments[warm.KEY].sync.ladder is not None
    (density,) = engine.densities()
    assert density.notional_usd.sum() > 0.0


def test_it_runs_to_its_end() -> None:
    warm.warm()
