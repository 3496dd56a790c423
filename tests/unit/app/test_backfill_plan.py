"""The map is full for 24 h within a minute of the first start, at the venues' rate limits."""

from __future__ import annotations

import asyncio

import pytest

from liqfield.app.backfill_plan import plan
from liqfield.feeds.budget import TokenBucket
from liqfield.model.requests import HttpRequest
from liqfield.venues import registry


def test_a_day_of_three_markets_on_four_venues_takes_less_than_a_minute() -> None:
    found = plan(24.0)
    print(found)
    assert {pool.venue for pool in found.pools} == {"binance", "bybit", "okx", "hyperliquid"}
    # Every request is counted in some budget: none escapes the arithmetic.
    assert found.requests == sum(pool.requests for pool in found.pools) > 100
    assert found.seconds < 60.0


def test_every_request_names_a_budget_of_its_venue() -> None:
    found = plan(24.0)
    for name, venue in registry.make(("binance", "bybit", "okx", "hyperliquid")).items():
        pools = {budget.pool for budget in venue.budgets}
        requests = list(venue.bootstrap(("BTC", "ETH", "SOL")))
        assert {request.pool for request in requests} <= pools, name
        assert {pool.pool for pool in found.pools if pool.venue == name} == pools


def test_the_buckets_agree_with_the_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tightest budget of the plan, drained through the feeds' own bucket on a paper clock."""
    slowest = max(plan(24.0).pools, key=lambda pool: pool.seconds)
    venue = registry.make((slowest.venue,))[slowest.venue]
    budget = next(b for b in venue.budgets if b.pool == slowest.pool)
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("liqfield.feeds.budget.asyncio.sleep", sleep)
    bucket = TokenBucket(budget, lambda: now)
    weight = slowest.weight / slowest.requests
    requests = [HttpRequest(slowest.venue, "/", weight=weight)] * slowest.requests

    async def drain() -> None:
        for request in requests:
            await bucket.take(request.weight)

    asyncio.run(drain())
    assert now == pytest.approx(slowest.seconds, abs=0.05)
