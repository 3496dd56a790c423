"""Funding on one footing, and open-interest change with a bounded memory."""

from __future__ import annotations

import pytest

from liqfield.context.funding import OpenInterestChange, VenueFunding, basis, rate_8h, weighted_8h
from liqfield.model.events import FundingRate


def test_hourly_and_eight_hourly_rates_compare() -> None:
    hourly = FundingRate("hyperliquid:BTC", 0, 0, 0.0000125, 1.0)
    eight = FundingRate("binance:BTCUSDT", 0, 0, 0.0001, 8.0)
    assert rate_8h(hourly) == pytest.approx(rate_8h(eight))


def test_weighting_by_open_interest() -> None:
    rates = [VenueFunding("a", 0.0001, 0, 3.0), VenueFunding("b", -0.0001, 0, 1.0)]
    assert weighted_8h(rates) == pytest.approx(0.00005)
    assert weighted_8h([]) is None


def test_basis_needs_an_index() -> None:
    assert basis(101.0, 100.0) == pytest.approx(0.01)
    assert basis(101.0, 0.0) is None


def test_open_interest_change_is_none_until_memory_suffices() -> None:
    change = OpenInterestChange()
    for minute in range(120):
        change.update(minute * 60 * 10**9, 100.0 + minute)
    assert change.get(3600) == pytest.approx(219 / 159 - 1)
    assert change.get(86_400) is None
    change.update(0, 1e9)  # late: ignored
    assert change.get(3600) == pytest.approx(219 / 159 - 1)
