"""The built-in market: nothing is created or lost, and the seed decides everything."""

from __future__ import annotations

import numpy as np
import pytest

from liqfield.lab.market import LabMarket
from liqfield.model.grid import PriceGrid
from tests.lab.market import SECOND_NS, START_NS, small_market


def assert_conserved(market: LabMarket, instrument_id: str, open_interest: float) -> None:
    positions = market.positions(instrument_id)
    long = positions["quantity"][positions["side"] == 0].sum()
    short = positions["quantity"][positions["side"] == 1].sum()
    assert long == pytest.approx(short, rel=1e-9)
    assert long == pytest.approx(open_interest, rel=1e-9)
    assert (positions["quantity"] > 0.0).all()
    assert len(np.unique(positions["account"])) == len(positions)


def test_longs_equal_shorts_equal_open_interest_at_every_report() -> None:
    market = small_market()
    for second in range(1, 16):
        for key, step in market.advance(START_NS + second * SECOND_NS).items():
            assert_conserved(market, key, step.open_interest_base)


def test_conservation_survives_a_crash_with_forced_exits() -> None:
    market = small_market()
    before = {of.id: market.mark(of.id) for of in market.instruments}
    market.shock("BTC", -0.12, 15.0)
    for second in range(1, 26):
        for key, step in market.advance(START_NS + second * SECOND_NS).items():
            assert_conserved(market, key, step.open_interest_base)
            book = market.book(key)
            if len(book.bid_ticks) and len(book.ask_ticks):  # a crash may eat a whole side
                assert book.bid_ticks[0] < book.ask_ticks[0], "a book is never crossed"
            assert (book.bid_quantity > 0.0).all()
            assert (book.ask_quantity > 0.0).all()
    forced = 0
    for of in market.instruments:
        assert market.mark(of.id) < 0.95 * before[of.id]
        prints = market.prints(of.id)
        longs = prints.position_side == 0
        forced += int(longs.sum())
        # Longs are closed at or below the price that triggered them, never before.
        tick = of.tick_usd
        assert (prints.mark_price[longs] <= prints.trigger_price[longs] + tick).all()
        assert (prints.quantity > 0.0).all()
    assert forced > 20, "a fall of 12 % closes leveraged longs"


def test_the_true_density_holds_every_position_once() -> None:
    market = small_market()
    key = market.instruments[0].id
    grid = PriceGrid.around(market.mark(key), 0.001, 400)
    inside, outside = market.true_density(key, grid)
    positions = market.positions(key)
    for side in (0, 1):
        held = positions["quantity"][positions["side"] == side].sum() * market.mark(key)
        assert inside[side].sum() + outside[side] == pytest.approx(held, rel=1e-9)


def test_the_seed_decides_everything() -> None:
    one, two, other = small_market(3), small_market(3), small_market(4)
    for at_s in (1.0, 1.7, 6.0):
        steps = [m.advance(START_NS + int(at_s * SECOND_NS)) for m in (one, two, other)]
        assert one.digest() == two.digest()
        assert one.digest() != other.digest()
        for key, step in steps[0].items():
            np.testing.assert_array_equal(step.trades.price, steps[1][key].trades.price)
            np.testing.assert_array_equal(step.book.quantity, steps[1][key].book.quantity)


def test_a_checkpoint_goes_on_as_the_market_would_have() -> None:
    market = small_market()
    market.advance(START_NS + 3 * SECOND_NS)
    again = LabMarket.from_bytes(market.to_bytes())
    assert again.digest() == market.digest()
    for of in market.instruments:
        np.testing.assert_array_equal(again.positions(of.id), market.positions(of.id))
    market.advance(START_NS + 8 * SECOND_NS)
    again.advance(START_NS + 8 * SECOND_NS)
    assert again.digest() == market.digest()
