"""Dollars of inverse contracts become coins at the mark, live and past; never without a price."""

from __future__ import annotations

import pytest

from liqfield.engine.engine import Engine
from liqfield.model.events import Candle, Event, MarkPrice, OpenInterest
from liqfield.model.sides import CandleOf
from liqfield.venues import registry
from tests.support import INSTRUMENTS

S = 1_000_000_000
OF = INSTRUMENTS["binance-coinm:BTCUSD_PERP"]
LINEAR = INSTRUMENTS["binance:BTCUSDT"]


def engine() -> Engine:
    made = Engine(
        {name: venue.book_rule for name, venue in registry.make().items()}, frozenset({"BTC"})
    )
    made.list(LINEAR)
    made.list(OF)
    return made


def interest(at: int, usd: float, *, is_history: bool = False) -> Event:
    return OpenInterest(OF.id, at, at, 0.0, is_history=is_history, notional_usd=usd)


def test_one_family_is_two_venues_and_both_are_followed() -> None:
    assert set(engine().markets["BTC"].instruments) == {OF.id, LINEAR.id}


def test_live_dollars_wait_for_a_mark() -> None:
    made = engine()
    state = made.markets["BTC"].instruments[OF.id]
    made.step(interest(S, 1e6))
    assert state.open_interest is None
    made.step(MarkPrice(OF.id, 2 * S, 2 * S, 50_000.0))
    made.step(interest(3 * S, 1e6))
    assert state.open_interest is not None
    assert state.open_interest.quantity == pytest.approx(20.0)
    assert state.open_interest.price == 50_000.0
    density = state.density.get()
    assert density is not None
    assert density.open_interest_usd == pytest.approx(1e6)


def test_past_dollars_take_the_price_of_their_time() -> None:
    made = engine()
    state = made.markets["BTC"].instruments[OF.id]
    for i, price in enumerate((40_000.0, 41_000.0, 42_000.0)):
        at = (i + 1) * 300 * S
        made.step(
            Candle(
                OF.id, at, at, CandleOf.MARK, 300 * S, price, price, price, price, is_history=True
            )
        )
        made.step(interest(at, 4.2e6, is_history=True))
    made.step(MarkPrice(OF.id, 1000 * S, 1000 * S, 42_000.0))
    assert state.open_interest is not None
    assert state.open_interest.quantity == pytest.approx(100.0)
    density = state.density.get()
    assert density is not None
    assert density.open_interest_usd == pytest.approx(4.2e6)


def test_coins_that_a_venue_states_are_left_alone() -> None:
    made = engine()
    state = made.markets["BTC"].instruments[LINEAR.id]
    made.step(MarkPrice(LINEAR.id, S, S, 50_000.0))
    made.step(OpenInterest(LINEAR.id, 2 * S, 2 * S, 7.0))
    assert state.open_interest is not None
    assert state.open_interest.quantity == 7.0
