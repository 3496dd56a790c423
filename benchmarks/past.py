"""What is behind: 30 days of five-minute back-fill on four venues, and a day told second by second.

The price is a random walk of 2.5 % a day. Back-fill is what a venue's history has: a mark candle, a
candle of trades and open interest every five minutes, a settled funding rate every eight hours.
The day has a trade and a mark every second and open interest every three.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.rows import Row, row
from liqfield.density.estimator import DensityEstimator
from liqfield.engine.market import MarketEngine
from liqfield.model.events import (
    Candle,
    FundingRate,
    Liquidation,
    MarketEvent,
    MarkPrice,
    OpenInterest,
    Trade,
)
from liqfield.model.instrument import Instrument
from liqfield.model.sides import Aggressor, BookRule, CandleOf, Coverage, PositionSide, PriceKind

VENUES = ("binance", "bybit", "okx", "hyperliquid")
SECOND, STEP_S, DAY_S = 1_000_000_000, 300, 86_400
T0 = 1_790_000_000 // DAY_S * DAY_S * SECOND
DAILY_SD = 0.025
BACKFILL_S, DAY_OF_SECONDS_S = 3.0, 10.0


def _instrument(venue: str) -> Instrument:
    key = f"{venue}:BTC"
    return Instrument(id=key, venue=venue, symbol="BTC", base="BTC", quote="USDT", settle="USDT")


def backfill(days: int) -> list[MarketEvent]:
    """In event time, four venues."""
    rng = np.random.default_rng(5)
    inner = 30  # looks at the walk within a candle
    steps = days * DAY_S // STEP_S
    walk = np.cumsum(rng.normal(0.0, DAILY_SD * math.sqrt(STEP_S / inner / DAY_S), steps * inner))
    way = 85_000.0 * np.exp(walk.reshape(steps, inner))
    coins = 80_000.0 * np.exp(np.cumsum(rng.normal(0.0, 0.001, (4, steps)), axis=1))
    end_ns = T0 + days * DAY_S * SECOND
    made: list[MarketEvent] = []
    for step in range(steps):
        at = T0 + (step + 1) * STEP_S * SECOND
        part = way[step]
        prices = float(part[0]), float(part.max()), float(part.min()), float(part[-1])
        for index, venue in enumerate(VENUES):
            key = f"{venue}:BTC"
            volume = float(rng.exponential(600.0))
            for of, traded in ((CandleOf.MARK, 0.0), (CandleOf.LAST, volume)):
                span = STEP_S * SECOND
                bought = traded * float(rng.uniform(0.3, 0.7))
                made.append(
                    Candle(key, at, end_ns, of, span, *prices, traded, bought, is_history=True)
                )
            if step % 96 == 95:
                made.append(FundingRate(key, at, end_ns, 1e-4, 8.0, is_settled=True))
            made.append(OpenInterest(key, at, end_ns, float(coins[index, step]), is_history=True))
    return made


def day_of_seconds(seconds: int) -> list[MarketEvent]:
    """One instrument: a trade and a mark a second, open interest every third, a print a minute."""
    rng = np.random.default_rng(6)
    key = "binance:BTC"
    steps = rng.normal(0.0, DAILY_SD / math.sqrt(DAY_S), seconds)
    prices = 85_000.0 * np.exp(np.cumsum(steps))
    coins = 80_000.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-4, seconds)))
    made: list[MarketEvent] = []
    for second in range(seconds):
        at, price = T0 + second * SECOND, float(prices[second])
        took = Aggressor.BUY if rng.random() < 0.5 else Aggressor.SELL
        near = price * (1.0 + float(rng.normal(0.0, 5e-5)))
        made.append(Trade(key, at, at, near, float(rng.exponential(2.0)) + 0.001, took))
        made.append(MarkPrice(key, at + 1, at + 1, price))
        if second % 3 == 0:
            made.append(OpenInterest(key, at + 2, at + 2, float(coins[second])))
        if second % 60 == 59:
            side = PositionSide.LONG if steps[second] < 0.0 else PositionSide.SHORT
            words = PriceKind.FILL, Coverage.COMPLETE
            made.append(Liquidation(key, at + 3, at + 3, side, 0.5, price, *words))
    return made


def _seconds(work: Callable[[], object], rounds: int) -> float:
    """Median CPU seconds of whole runs; the kernels are compiled before."""
    taken = []
    for _ in range(rounds):
        start = time.process_time_ns()
        work()
        taken.append((time.process_time_ns() - start) / 1e9)
    return statistics.median(taken)


def _fold(events: Sequence[MarketEvent]) -> None:
    estimators = {f"{venue}:BTC": DensityEstimator(_instrument(venue)) for venue in VENUES}
    for event in events:
        estimators[event.instrument_id].update(event)
    worst = max(of.imbalance() for of in estimators.values() if of.state is not None)
    assert worst < 1e-6, f"long, short and open interest differ by {worst:.1e}"


def _through_engine(events: Sequence[MarketEvent]) -> None:
    """As at a start: the past waits, the first live event folds it, with its columns."""
    engine = MarketEngine("BTC", dict.fromkeys(VENUES, BookRule.REST_THEN_PREVIOUS))
    for venue in VENUES:
        engine.add(_instrument(venue))
    for event in events:
        engine.step(event)
    last = events[-1].event_ns
    for pieces in engine.past(MarkPrice("binance:BTC", last + 1, last + 1, 85_000.0)):
        del pieces


def rows(*, quick: bool = False) -> list[Row]:
    days, seconds, rounds = (1, 600, 1) if quick else (30, DAY_S, 3)
    events = backfill(days)
    _fold(events[:200])
    _through_engine(events[:200])
    name = f"{days} days of 5-minute back-fill, 4 venues"
    made = [
        row(name, _seconds(lambda: _fold(events), rounds), "s", BACKFILL_S),
        row(
            f"{name}, with the engine and its columns",
            _seconds(lambda: _through_engine(events), rounds),
            "s",
            BACKFILL_S,
        ),
    ]
    day = day_of_seconds(seconds)
    _fold(day[:1000])
    spent = _seconds(lambda: _fold(day), rounds)
    return [*made, row(f"{seconds} s of 1-second data, 1 venue", spent, "s", DAY_OF_SECONDS_S)]


if __name__ == "__main__":
    for line in rows():
        print(line)
