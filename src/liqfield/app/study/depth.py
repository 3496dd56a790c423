"""How well depth beyond the view is told: hide the far part of a book, extrapolate, look.

    python -m liqfield.app.study.depth RECORDING [RECORDING ...]
    python -m liqfield.app.study.depth --seeds 6          # books of the built-in market

Every second and side: everything beyond half (a quarter, ...) of what the venue shows is hidden,
the law is fitted to the rest and asked for the whole. covered: share of truths within the 80 %
interval; error: median of |log(told / true)|; naive_error: the same for depth that grows evenly
with distance. Samples of one book follow each other closely: read the shares as such.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
from cyclopts import App

from liqfield.app.pipeline import Pipeline
from liqfield.app.study.lab_events import LabEvents
from liqfield.app.study.walls import START_NS, VENUES, Watcher
from liqfield.app.terminal import infer_instruments
from liqfield.book.depth import LEAST_POINTS, SideDepth, fit_law, side_depth
from liqfield.book.wall_facts import WallSettings
from liqfield.engine.engine import Engine
from liqfield.lab.market import LabMarket
from liqfield.lab.market_setup import demo_spec
from liqfield.model.durations import SECOND_NS
from liqfield.model.events import FloatArray
from liqfield.model.sides import BookRule
from liqfield.store.foreign import open_recording
from liqfield.venues import registry

OCTAVES = (1, 2, 3)
_Z90 = 1.2815515655446004
Sample = tuple[int, float, float, float]  # octaves hidden, log(true / told), sd, log(true / even)


class DepthScore(msgspec.Struct):
    """One distance beyond the view, in octaves of it."""

    octaves: int
    samples: int
    covered: float
    error: float
    naive_error: float


def samples_of(whole: SideDepth) -> Iterator[Sample]:
    """Hide what lies beyond 1/2, 1/4, ... of the view."""
    true = whole.within(whole.seen)
    for octaves in OCTAVES:
        seen = whole.seen * 0.5**octaves
        part = msgspec.structs.replace(whole, seen=seen)
        law = fit_law(part)
        if law.points < LEAST_POINTS or law.seen_usd <= 0.0:
            continue
        even = law.seen_usd * 2.0**octaves
        told = law.usd(whole.seen)
        yield octaves, math.log(true / told), law.log_sd(whole.seen), math.log(true / even)


def from_recording(path: Path) -> Iterator[Sample]:
    """Books whose venue shows a window; a book joined with a short snapshot has no edge."""
    venues = registry.make()
    engine = Engine({name: venue.book_rule for name, venue in venues.items()})
    pipeline = Pipeline(engine, venues)
    records = list(open_recording(path))
    infer_instruments(pipeline, records)
    due_ns = 0
    for record in records:
        pipeline.consume([record])
        if record.received_ns < due_ns:
            continue
        due_ns = record.received_ns + SECOND_NS
        for market in engine.markets.values():
            for state in market.instruments.values():
                bid, ask = (
                    (state.sync.ladder.best_bid, state.sync.ladder.best_ask)
                    if state.sync.ladder is not None
                    else (None, None)
                )
                if bid is None or ask is None or state.sync.rule is BookRule.REST_THEN_PREVIOUS:
                    continue
                unit = state.instrument.tick_usd
                assert state.sync.ladder is not None
                for is_ask in (0, 1):
                    side = side_depth(
                        state.sync.ladder, is_ask, 0.5 * (bid + ask) * unit, unit, 1.0
                    )
                    if len(side.price) > 10:
                        yield from samples_of(
                            msgspec.structs.replace(side, seen=float(side.distance[-1]))
                        )


def from_lab(seed: int, seconds: int = 60) -> Iterator[Sample]:
    """Whole books of three venues, to 1.2 % of the mid, every ten seconds."""
    spec = msgspec.structs.replace(
        demo_spec(START_NS, ("BTC", "ETH", "SOL")), history_h=0.1, accounts_per_instrument=300
    )
    market = LabMarket(spec, seed)
    events = LabEvents(market, venues=VENUES)
    watcher = Watcher(WallSettings())
    for second in range(0, seconds + 1, 10):
        watcher.fold(
            events.open() if second == 0 else events.advance(START_NS + second * SECOND_NS)
        )
        for _, book in watcher.books.values():
            for side in book.depth(0.012) or ():
                yield from samples_of(msgspec.structs.replace(side, seen=0.012))


def score(samples: list[Sample]) -> list[DepthScore]:
    """By octaves hidden."""
    rows: FloatArray = np.array(samples, np.float64).reshape(-1, 4)
    out = []
    for octaves in OCTAVES:
        part = rows[rows[:, 0] == octaves]
        if not len(part):
            continue
        covered = np.abs(part[:, 1]) <= _Z90 * part[:, 2]
        out.append(
            DepthScore(
                octaves,
                len(part),
                float(covered.mean()),
                float(np.median(np.abs(part[:, 1]))),
                float(np.median(np.abs(part[:, 3]))),
            )
        )
    return out


app = App(name="depth", help="How well depth beyond the view is told.")


@app.default
def main(*recordings: Path, seeds: int = 0, first: int = 1) -> None:
    """Print one JSON row a source."""
    for path in recordings:
        _print(path.name, score(list(from_recording(path))))
    if seeds:
        found = [sample for seed in range(first, first + seeds) for sample in from_lab(seed)]
        _print("built-in market", score(found))


def _print(source: str, scores: list[DepthScore]) -> None:
    row = {"source": source, "scores": scores}
    sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")


if __name__ == "__main__":
    app()
