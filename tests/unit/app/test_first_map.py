"""The first map of a market is told at once, not with the next second's round."""

from __future__ import annotations

import msgspec

from liqfield.app import warm
from liqfield.app.settings import Settings
from liqfield.app.terminal import Terminal
from liqfield.model.events import OpenInterest
from liqfield.model.instrument import Instrument

KEY = "binance:BTCUSDT"
WORDS = {"base": "BTC", "quote": "USDT", "settle": "USDT", "venue": "binance", "symbol": "BTCUSDT"}


def test_a_first_map_is_due_from_its_open_interest_until_it_was_told() -> None:
    terminal = Terminal(Settings(markets=("BTC",), venues=("binance",)), "live", None)
    publisher, engine = terminal.publisher, terminal.pipeline.engine
    engine.list(Instrument(id=KEY, tick_decimals=1, **WORDS))  # type: ignore[arg-type]
    for made in warm.events():
        event = msgspec.structs.replace(made, instrument_id=KEY)
        due = publisher.is_first_map_due
        engine.step(event)
        if isinstance(event, OpenInterest):
            break
        assert not due
        assert not publisher.is_first_map_due, "no open interest, no map"
    assert publisher.is_first_map_due
    terminal.pipeline.is_in_past = True
    assert not publisher.is_first_map_due, "a map of some hours ago is no first map"
    terminal.pipeline.is_in_past = False
    publisher.slow(engine.markets["BTC"].clock_ns)
    assert terminal.hub.latest("map:BTC:all") is not None
    assert not publisher.is_first_map_due
    terminal.close()
