"""One projection as the page asks for it: pooled map and books of four venues, CPU time a run.

PYTHONPATH=src python -m benchmarks.projection
"""

from __future__ import annotations

import sys
import time

import msgspec
import numpy as np

from liqfield.book.depth import SideDepth, side_of
from liqfield.engine.project import project_market
from liqfield.model.estimates import Confidence, LiquidationDensity
from liqfield.model.events import FloatArray
from liqfield.model.grid import PriceGrid
from liqfield.model.sides import PositionSide

RUNS = 20
LIMIT_MS = 50.0
VENUES = ("binance", "bybit", "okx", "hyperliquid")


def _density(venue: str, rng: np.random.Generator) -> LiquidationDensity:
    grid = PriceGrid.around(84_000.0, 0.0005, 4_000)
    usd = rng.lognormal(14.0, 1.0, (2, 3, grid.count))
    total = usd.sum(axis=1)
    return LiquidationDensity(
        instrument_id=f"{venue}:BTCUSDT",
        at_ns=1,
        mark_price=84_000.0,
        grid=grid,
        notional_usd=usd,
        p10=0.5 * total,
        p90=1.8 * total,
        outside_usd=np.zeros(2),
        open_interest_usd=float(total.sum()),
        confidence=Confidence(1.0),
    )


def _bids(rng: np.random.Generator) -> SideDepth:
    price: FloatArray = 84_000.0 - 0.1 * np.arange(1, 12_001, dtype=np.float64)
    quantity = rng.lognormal(-1.0, 1.0, len(price))
    return side_of(84_000.0, price, quantity, 0.0142)


def cost_ms() -> float:
    """Median process CPU time of a run, ms."""
    rng = np.random.default_rng(1)
    densities = [_density(venue, rng) for venue in VENUES]
    sides = [_bids(rng) for _ in VENUES]
    spent = []
    for k in range(RUNS):
        started = time.process_time_ns()
        project_market(densities, sides, 84_000.0 * (1 - 0.001 * k), PositionSide.LONG, 1e8)
        spent.append((time.process_time_ns() - started) / 1e6)
    return float(np.median(spent))


def main() -> None:
    """Print one JSON row."""
    found = {"projection_ms": cost_ms(), "limit_ms": LIMIT_MS}
    sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")


if __name__ == "__main__":
    main()
