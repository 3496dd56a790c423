"""Units: a venue's numbers become base coins and USD per base coin, ticks stay integers."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqfield.model.instrument import Instrument, tick_parts
from liqfield.model.sides import ContractKind
from tests.support import INSTRUMENTS

BTC = INSTRUMENTS["binance:BTCUSDT"]


@given(st.integers(1, 2_000_000_000), st.integers(1, 50), st.integers(0, 9))
def test_ticks_and_prices_are_one_to_one(ticks: int, mantissa: int, decimals: int) -> None:
    for factor in (1.0, 0.001, 1e-6):
        of = msgspec.structs.replace(
            BTC, tick_mantissa=mantissa, tick_decimals=decimals, price_factor=factor
        )
        assert of.price_ticks(of.price_usd(ticks)) == ticks


def test_thousand_coin_symbols_are_one_market_with_the_coin() -> None:
    """1 contract of 1000PEPE at 0.0123 is 1000 coins at 0.0000123: the notional is the same."""
    pepe = INSTRUMENTS["binance:1000PEPEUSDT"]
    price_usd, coins = 0.0123 * pepe.price_factor, pepe.quantity_base(7.0, 0.0)
    assert coins == 7_000.0
    assert price_usd * coins == pytest.approx(0.0123 * 7.0)
    assert pepe.tick_usd == pytest.approx(1e-10)


def test_contracts_are_counted_in_coins() -> None:
    okx = INSTRUMENTS["okx:BTC-USDT-SWAP"]
    assert okx.quantity_base(250.0, 60_000.0) == pytest.approx(2.5)


def test_inverse_contracts_are_counted_in_usd() -> None:
    inverse = Instrument(
        id="okx:BTC-USD-SWAP",
        venue="okx",
        symbol="BTC-USD-SWAP",
        base="BTC",
        quote="USD",
        settle="BTC",
        kind=ContractKind.INVERSE,
        quantity_factor=100.0,
    )
    assert inverse.quantity_base(30.0, 60_000.0) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("0.10", (1, 1)),
        ("0.5", (5, 1)),
        ("5", (5, 0)),
        ("1e-05", (1, 5)),
        ("2.5E-3", (25, 4)),
        ("1e2", (100, 0)),
        ("0.00000100", (1, 6)),
        ("10", (10, 0)),
    ],
)
def test_ticks_as_written(text: str, parts: tuple[int, int]) -> None:
    assert tick_parts(text) == parts


@pytest.mark.parametrize("text", ["0", "0.000", "-1", "", "abc"])
def test_a_tick_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        tick_parts(text)
