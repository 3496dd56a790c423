"""How long the first start takes until the map is full: requests x weight against the budgets.

`python -m liqfield.app.backfill_plan [HOURS]` prints the arithmetic as JSON. It counts what the
feeds really ask for (`Venue.bootstrap`, `Venue.backfill`) and how their buckets let it through.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from liqfield.app.instruments import archived
from liqfield.feeds.budget import TokenBucket
from liqfield.model.instrument import Instrument
from liqfield.model.requests import HttpRequest
from liqfield.venues import registry
from liqfield.venues.contract import Venue

BASES = ("BTC", "ETH", "SOL")
VENUES = ("binance", "bybit", "okx", "hyperliquid")
#: Not of any venue: a slow round trip, and aiohttp's limit of connections.
ROUND_TRIP_S = 0.5
PARALLEL = 100
_SYMBOLS = {
    "binance": "{base}USDT",
    "bybit": "{base}USDT",
    "okx": "{base}-USDT-SWAP",
    "hyperliquid": "{base}",
}


class PoolPlan(msgspec.Struct):
    """One budget of one venue. usable: what is there at once (weight); refill_per_s: after that.

    seconds = (weight - usable) / refill_per_s where the weight does not fit at once, else 0.
    """

    venue: str
    pool: str
    requests: int
    weight: float
    usable: float
    refill_per_s: float
    seconds: float


class BackfillPlan(msgspec.Struct):
    """seconds: the slowest pool (pools and venues run side by side) and the round trips."""

    hours: float
    bases: tuple[str, ...]
    pools: list[PoolPlan]
    requests: int
    round_trips_s: float
    seconds: float


def plan(
    hours: float = 24.0, bases: Sequence[str] = BASES, venues: Sequence[str] = VENUES
) -> BackfillPlan:
    """The arithmetic of a first start."""
    pools: list[PoolPlan] = []
    slowest_trip = 0.0
    end_ns = 1_767_225_600_000_000_000  # any time: spans decide, not dates
    start_ns = end_ns - int(hours * 3.6e12)
    for name in venues:
        venue = registry.make((name,))[name]
        requests = list(venue.bootstrap(bases))
        first = len(requests)
        for base in bases:
            requests += venue.backfill(_instrument(name, base), start_ns, end_ns)
        pools += _pools(venue, requests)
        # Lists come one after the other, the history side by side.
        trips = first + -(-(len(requests) - first) // PARALLEL)
        slowest_trip = max(slowest_trip, trips * ROUND_TRIP_S)
    slowest = max(pool.seconds for pool in pools)
    return BackfillPlan(
        hours=hours,
        bases=tuple(bases),
        pools=pools,
        requests=sum(pool.requests for pool in pools),
        round_trips_s=slowest_trip,
        seconds=slowest + slowest_trip,
    )


def _instrument(venue: str, base: str) -> Instrument:
    instrument_id = f"{venue}:{_SYMBOLS[venue].format(base=base)}"
    return archived(instrument_id, {}, contract_value=1.0)


def _pools(venue: Venue, requests: Sequence[HttpRequest]) -> list[PoolPlan]:
    out = []
    for budget in venue.budgets:
        mine = [request for request in requests if request.pool == budget.pool]
        usable = TokenBucket(budget, lambda: 0.0).capacity
        rate = usable / budget.per_s
        weight = sum(request.weight for request in mine)
        seconds = max(weight - usable, 0.0) / rate
        out.append(
            PoolPlan(
                venue.name, budget.pool, len(mine), weight, usable, round(rate, 3),
                round(seconds, 2),
            )
        )  # fmt: skip
    return out


if __name__ == "__main__":
    chosen = plan(float(sys.argv[1]) if len(sys.argv) > 1 else 24.0)
    print(msgspec.json.format(msgspec.json.encode(chosen), indent=2).decode())
