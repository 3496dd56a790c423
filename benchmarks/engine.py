"""The fold: what one event costs by its kind, and a frame through the whole pipeline.

One to a hundred markets on one venue, each with a book of 1,000 levels a side. New analytics show
up here by themselves, because they hang on `engine.step`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from benchmarks import messages
from benchmarks.rows import Row, in_turns, median_us, row
from liqfield.app.pipeline import Pipeline
from liqfield.engine.engine import Engine
from liqfield.model.events import Event, Frame, IndexPrice, MarkPrice, OpenInterest
from liqfield.model.instrument import Instrument
from liqfield.venues.binance import Binance

LEVELS = 50
# us a step: a core keeps up with a venue at its worst second, some 5,000 events, in a quarter of it
SECOND_PASSES = "a second passes"
BUDGETS_US = {
    "depth diff of 50 levels": 50.0,
    # Once a second and market: a hundred markets in a tenth of a core.
    SECOND_PASSES: 1_000.0,
    "open interest": 50.0,
    "mark": 50.0,
    "trade": 50.0,
}
FRAME_US = 100.0
SECOND = 1_000_000_000


def _market(base: str) -> Instrument:
    symbol = f"{base}USDT"
    key = f"binance:{symbol}"
    more = {"base": base, "quote": "USDT", "settle": "USDT", "tick_decimals": 1}
    return Instrument(id=key, venue="binance", symbol=symbol, **more)  # type: ignore[arg-type]


def _frame(base: str, payload: bytes) -> Frame:
    data = payload.replace(b"BTCUSDT", f"{base}USDT".encode())
    ms = int(msgspec.json.decode(data)["data"]["E"])
    return Frame("binance", "ws:/public/stream#all", ms * 1_000_000, data)


def _pipeline(bases: list[str]) -> Pipeline:
    venue = Binance()
    pipeline = Pipeline(Engine({"binance": venue.book_rule}), {"binance": venue})
    for base in bases:
        of = _market(base)
        pipeline.engine.list(of)
        source = f"rest:/fapi/v1/depth?symbol={of.symbol}"
        pipeline.consume([Frame("binance", source, 1, messages.snapshot())])
    return pipeline


def step_rows(*, quick: bool = False) -> list[Row]:
    """One event of a kind, in a market that is warm.

    The first event of a second carries the second's work (flow, cascade, every tenth time the map's
    column with its clusters): an index price, of which nothing else is made, shows it alone.
    """
    count, rounds = (20, 2) if quick else (1_000, 7)
    pipeline = _pipeline(["BTC"])
    engine, known = pipeline.engine, pipeline.engine.instruments
    venue = pipeline.venues["binance"]

    def decoded(payloads: list[bytes]) -> list[Event]:
        frames = [_frame("BTC", data) for data in payloads]
        return [event for frame in frames for event in venue.decode(frame, known)]

    total = count * (rounds + 1)
    diffs, trades = messages.depth_diffs(total, LEVELS), messages.trades(total)
    start = msgspec.json.decode(diffs[0])["data"]["E"] * 1_000_000
    key = "binance:BTCUSDT"
    times = [start + i * SECOND for i in range(total)]
    kinds: dict[str, list[Event]] = {
        "depth diff of 50 levels": decoded(diffs),
        SECOND_PASSES: [IndexPrice(key, t, t, 61_700.0) for t in times],
        "open interest": [OpenInterest(key, t, t, 80_000.0 + t // SECOND % 40) for t in times],
        "mark": [MarkPrice(key, t, t, 61_700.0 + t // SECOND % 60) for t in times],
        "trade": decoded(trades),
    }
    engine.step(kinds["open interest"][0])
    engine.step(kinds["mark"][0])

    def part(events: list[Event]) -> Callable[[int], None]:
        def work(n: int) -> None:
            for event in events[n * count : (n + 1) * count]:
                engine.step(event)

        return work

    taken = in_turns({name: part(events) for name, events in kinds.items()}, rounds)
    return [
        row(
            f"engine step, {name}",
            median_us([s / count for s in taken[name]]),
            "us",
            BUDGETS_US[name],
        )
        for name in kinds
    ]


def growth_rows(*, quick: bool = False) -> list[Row]:
    """A frame decoded and folded, with 1, 10 and 100 markets side by side."""
    rounds = 2 if quick else 5
    works: dict[str, Callable[[int], None]] = {}
    counts: dict[str, int] = {}
    for markets in (1, 10) if quick else (1, 10, 100):
        bases = [f"A{i:03d}" for i in range(markets)]
        pipeline = _pipeline(bases)
        each = max(20, (40 if quick else 1_000) // markets)
        diffs = messages.depth_diffs(each * (rounds + 1), LEVELS)
        frames = [[_frame(base, data) for base in bases] for data in diffs]
        name = f"frame to engine, {markets} market{'s' if markets > 1 else ''}, 50 levels"

        def work(
            n: int,
            pipeline: Pipeline = pipeline,
            frames: list[list[Frame]] = frames,
            each: int = each,
        ) -> None:
            for batch in frames[n * each : (n + 1) * each]:
                pipeline.consume(batch)

        works[name], counts[name] = work, each * markets
    taken = in_turns(works, rounds)
    return [
        row(name, median_us([s / counts[name] for s in spent]), "us", FRAME_US)
        for name, spent in taken.items()
    ]


def rows(*, quick: bool = False) -> list[Row]:
    return step_rows(quick=quick) + growth_rows(quick=quick)


if __name__ == "__main__":
    for line in rows():
        print(line)
