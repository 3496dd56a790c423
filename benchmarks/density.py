"""The map's estimator: an event folded, and the whole map read out.

Four venues of one asset, 2 sides x 40 classes x 4,000 bins each. The floor of a read-out is one
multiplication in place over the same memory: it has to look at every number at least once.
"""

from __future__ import annotations

import itertools

import numpy as np

from benchmarks.rows import Row, in_turns, median_us, ratio, ratio_row, row
from liqfield.density.estimator import DensityEstimator
from liqfield.density.settings import DensitySettings
from liqfield.model.events import MarketEvent, MarkPrice, OpenInterest, Trade
from liqfield.model.instrument import Instrument
from liqfield.model.sides import Aggressor

VENUES, BINS = ("binance", "bybit", "okx", "hyperliquid"), 4_000
SECOND = 1_000_000_000
T0 = 1_790_000_000 * SECOND
UPDATE_US, READ_RATIO = 15.0, 2.0


def _instrument(venue: str) -> Instrument:
    key = f"{venue}:BTC"
    return Instrument(id=key, venue=venue, symbol="BTC", base="BTC", quote="USDT", settle="USDT")


def _event(venue: str, second: int, rng: np.random.Generator, price: float) -> list[MarketEvent]:
    """A second of a venue: eight trades and a mark; open interest every five."""
    key, at = f"{venue}:BTC", T0 + second * SECOND
    made: list[MarketEvent] = [
        Trade(
            key,
            at + i * SECOND // 10,
            at + i * SECOND // 10,
            price * (1 + float(rng.normal(0, 5e-5))),
            float(rng.exponential(0.2)) + 0.001,
            Aggressor.BUY if rng.random() < 0.5 else Aggressor.SELL,
        )
        for i in range(8)
    ]
    made.append(MarkPrice(key, at + 9 * SECOND // 10, at + 9 * SECOND // 10, price))
    if second % 5 == 0:
        coins = 80_000.0 * (1 + 0.01 * float(np.sin(second / 300)))
        made.append(OpenInterest(key, at + 9 * SECOND // 10, at + 9 * SECOND // 10, coins))
    return made


def _events(seconds: int) -> dict[str, list[tuple[str, MarketEvent]]]:
    rng = np.random.default_rng(11)
    prices = 85_000.0 * np.exp(np.cumsum(rng.normal(0, 1e-4, seconds)))
    made: list[tuple[str, MarketEvent]] = []
    for second in range(seconds):
        for venue in VENUES:
            price = float(prices[second])
            made += [(venue, event) for event in _event(venue, second, rng, price)]
    return {"all": made}


def rows(*, quick: bool = False) -> list[Row]:
    rounds = 2 if quick else 9
    settings = DensitySettings(bin_count=BINS)
    estimators = {name: DensityEstimator(_instrument(name), settings) for name in VENUES}
    warm, a_round = (120, 30) if quick else (1_800, 300)
    events = _events(warm + a_round * (rounds + 1))["all"]
    seconds = itertools.groupby(events, key=lambda pair: (pair[1].event_ns - T0) // SECOND)
    by_second = [list(group) for _, group in seconds]
    for venue, event in itertools.chain.from_iterable(by_second[:warm]):
        estimators[venue].update(event)
    parts = [
        list(
            itertools.chain.from_iterable(by_second[warm + n * a_round : warm + (n + 1) * a_round])
        )
        for n in range(rounds + 1)
    ]

    def fold(n: int) -> None:
        for venue, event in parts[n]:
            estimators[venue].update(event)

    def read(_: int) -> None:
        for estimator in estimators.values():
            assert estimator.get() is not None

    states = [estimator.state for estimator in estimators.values()]
    memory = [array.copy() for s in states if s is not None for array in (s.raw, s.birth)]
    assert len(memory) == 2 * len(VENUES)

    def multiply(_: int) -> None:
        for array in memory:
            np.multiply(array, 1.0000001, out=array, casting="unsafe")

    taken = in_turns({"update": fold, "read": read, "multiply": multiply}, rounds)
    an_event = [s / len(part) for s, part in zip(taken["update"], parts[1:], strict=True)]
    megabytes = sum(array.nbytes for array in memory) / 1e6
    name = f"density of {len(VENUES)} venues x 2 sides x 40 classes x {BINS} bins"
    floor = ratio(taken["read"], taken["multiply"])
    read_row = ratio_row(
        f"{name}: read out whole",
        median_us(taken["read"]),
        "us",
        f"one multiply in place over the same {megabytes:.0f} MB",
        floor,
        None,
    )
    return [
        row(f"{name}: an event folded", median_us(an_event), "us", UPDATE_US),
        read_row | {"budget": READ_RATIO, "met": floor <= READ_RATIO},
    ]


if __name__ == "__main__":
    for line in rows():
        print(line)
