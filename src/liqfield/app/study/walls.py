"""How well walls are read: pulled and filled against what the agents of the built-in market did.

    liqfield study walls --seeds 20 --minutes 20

The readings get the public feed only (books, trades). Truth: `wall_pulled` (withdrawn untouched as
the price came within 2.5 bp), `wall_eaten` (traded away), `wall_expired` (taken out far away or
after its time). A reading is right if the agent's order at that tick and side ended so within
three seconds. Orders that did not stand for `min_age_s` are counted apart; absorbers are large
orders of another kind: neither right nor wrong. Baselines on the same detected levels: every large
level that vanishes near the price was pulled (or: filled). Intervals: 95 %, over seeds.
"""

from __future__ import annotations

import hashlib
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, cast

import msgspec
import numpy as np
from cyclopts import App, Parameter

from liqfield.app.study.lab_events import RULES, LabEvents
from liqfield.app.study.wall_plays import PLAYS, said, said_simply, scripts, verdicts
from liqfield.book.attribution import Attribution
from liqfield.book.patterns import PulledPatterns
from liqfield.book.reader import BookReader
from liqfield.book.sync import BookSync
from liqfield.book.wall_facts import Flip, Layering, WallEnd, WallFact, WallSettings
from liqfield.lab.market import LabMarket
from liqfield.lab.market_actors import StagedMarket
from liqfield.lab.market_setup import demo_spec
from liqfield.lab.market_types import AgentEvent, Market
from liqfield.model.analytics import WallState
from liqfield.model.durations import SECOND_NS
from liqfield.model.events import BookDelta, BookSnapshot, FloatArray, Listing, Trade
from liqfield.model.instrument import Instrument
from liqfield.model.sides import Aggressor
from liqfield.model.tape import TradeTape

START_NS = 1_790_000_000_000_000_000
MATCH_NS = 3 * SECOND_NS
WARM_NS = 120 * SECOND_NS  # scripts wait until the readings know what is usual
VENUES = ("binance", "bybit", "okx")  # whole books of 20 levels show too little to follow a wall
TUNING_SEEDS = range(1_000, 1_020)  # thresholds were chosen on these
KINDS = ("pulled", "filled", "withdrawn")
NEITHER = ("absorber", "wall_withdrawn")  # of absorbers, and of scripts
VERSION = 3  # raise when the built-in market, or what is read from its books, changes


class Count(msgspec.Struct):
    """Hits, false alarms and the truths there were."""

    right: int = 0
    wrong: int = 0
    truths: int = 0
    found: int = 0


class SeedResult(msgspec.Struct):
    """Counts of one seed: by kind the reading's own, and the baseline's.

    young: orders withdrawn before they had stood for `min_age_s`; no reading claims them.
    """

    seed: int
    ours: dict[str, Count]
    naive: dict[str, Count]
    ends: int
    absorbers: int
    young: int


class Score(msgspec.Struct):
    """Precision and recall over all seeds, with intervals over seeds."""

    precision: float
    precision_low: float
    precision_high: float
    recall: float
    recall_low: float
    recall_high: float
    readings: int
    truths: int


class WallStudy(msgspec.Struct):
    seeds: list[int]
    minutes: float
    trades_late: bool
    settings: WallSettings
    ours: dict[str, Score]
    naive: dict[str, Score]
    ends: int
    absorbers: int
    young: int


class Kept(PulledPatterns):
    """The patterns, and every pulled wall that they were told of."""

    def __init__(self, settings: WallSettings, of: Attribution) -> None:
        super().__init__(settings, of)
        self.told: list[WallEnd] = []

    def pulled(self, end: WallEnd) -> list[WallFact]:
        self.told.append(end)
        return super().pulled(end)


class Watcher:
    """The books of a market read from its public feed, and what became of their walls."""

    def __init__(self, settings: WallSettings) -> None:
        self.ends: list[tuple[Instrument, WallEnd]] = []
        self.plays: list[tuple[Instrument, Layering | Flip]] = []
        self.books: dict[str, tuple[Instrument, BookReader]] = {}
        self.kept: dict[str, Kept] = {}
        self.settings = settings
        self.trades = TradeTape()

    def pulled(self) -> Iterator[tuple[Instrument, WallEnd]]:
        """Every followed wall that was pulled, told of or not."""
        for key, kept in self.kept.items():
            for end in kept.told:
                yield self.books[key][0], end

    def fold(self, events: Iterable[object]) -> None:
        for event in events:
            if isinstance(event, Listing):
                of = event.instrument
                sync = BookSync(of.id, RULES[of.venue])
                number = self.trades.number_of(of.id)
                reader = BookReader(sync, of.tick_usd, self.trades, number, self.settings)
                reader.walls.patterns = self.kept[of.id] = Kept(self.settings, reader.attribution)
                self.books[of.id] = (of, reader)
            elif isinstance(event, Trade):
                at_ns, number = event.event_ns, self.trades.number_of(event.instrument_id)
                coins = event.quantity if event.aggressor is Aggressor.BUY else -event.quantity
                if self.trades.append(number, at_ns, event.price, coins, at_ns):
                    for _, book in self.books.values():
                        book.attribution.settle()
            elif isinstance(event, BookSnapshot | BookDelta):
                of, book = self.books[event.instrument_id]
                book.sync.push(event)
                book.after(event, event.event_ns)
                while book.facts:
                    fact = book.facts.popleft()
                    if isinstance(fact, WallEnd):
                        self.ends.append((of, fact))
                    else:
                        self.plays.append((of, fact))


def run_seed(
    seed: int, minutes: float, settings: WallSettings, *, trades_late: bool = False
) -> SeedResult:
    """One market, from nothing."""
    spec = msgspec.structs.replace(
        demo_spec(START_NS, ("BTC",)), history_h=0.25, accounts_per_instrument=400
    )
    market = LabMarket(spec, seed)
    staged = StagedMarket(market, scripts(market, VENUES, seed, START_NS + WARM_NS))
    events = LabEvents(cast("Market", staged), venues=VENUES, trades_late=trades_late)
    watcher = Watcher(settings)
    watcher.fold(events.open())
    watcher.fold(events.advance(START_NS + round(minutes * 60 * SECOND_NS)))
    truth = [e for e in staged.agent_events() if e.instrument_id in watcher.books]
    return judge(seed, watcher, truth, market.now_ns)


def judge(seed: int, watcher: Watcher, truth: Sequence[AgentEvent], until_ns: int) -> SeedResult:
    """Compare every reading with the agents' orders at that tick."""
    by_level: dict[tuple[str, int, bool], list[AgentEvent]] = {}
    ours = {kind: Count() for kind in KINDS}
    naive = {kind: Count() for kind in KINDS}
    young, least_ns = 0, watcher.settings.min_age_s * SECOND_NS
    for event in truth:
        if event.kind in ("wall_placed", "cascade", *PLAYS):
            continue
        of, _ = watcher.books[event.instrument_id]
        key = (of.id, of.price_ticks(event.price_from), event.is_bid)
        by_level.setdefault(key, []).append(event)
        if event.end_ns < until_ns - MATCH_NS:
            if event.end_ns - event.start_ns < least_ns:
                young += event.kind == "wall_pulled"
                continue
            for kind in KINDS:
                if event.kind in TRUE_KINDS[kind]:
                    ours[kind].truths += 1
                    naive[kind].truths += 1
    absorbers = 0
    hit: dict[str, set[int]] = {}
    for of, end in watcher.ends:
        near = [
            event
            for event in by_level.get((of.id, end.tick, not end.is_ask), ())
            if abs(event.end_ns - end.ended_ns) <= MATCH_NS
        ]
        if any(event.kind in NEITHER for event in near):
            absorbers += 1
            continue
        is_near = abs(end.distance) <= watcher.books[of.id][1].walls.settings.approach
        says = {
            "pulled": end.on_approach,
            "filled": end.state is WallState.FILLED,
            "withdrawn": end.state is not WallState.FILLED,
        }
        guess = {"pulled": is_near, "filled": is_near, "withdrawn": True}
        for counts, claim, name in ((ours, says, "ours"), (naive, guess, "naive")):
            for kind in KINDS:
                if claim[kind]:
                    _count(counts[kind], kind, near, hit.setdefault(f"{name} {kind}", set()))
    plays = [event for event in truth if event.kind in PLAYS and event.end_ns < until_ns - MATCH_NS]
    instruments = {key: of for key, (of, _) in watcher.books.items()}
    for counts, claims in (
        (ours, said(watcher.plays)),
        (naive, said_simply(watcher.pulled(), watcher.settings)),
    ):
        for kind, (right, wrong) in verdicts(claims, plays, instruments).items():
            there = sum(event.kind == kind for event in plays)
            counts[kind] = Count(right, wrong, there, right)
    return SeedResult(seed, ours, naive, len(watcher.ends), absorbers, young)


TRUE_KINDS = {
    "pulled": ("wall_pulled",),
    "filled": ("wall_eaten",),
    "withdrawn": ("wall_pulled", "wall_expired"),
}


def _count(count: Count, kind: str, near: Sequence[AgentEvent], hit: set[int]) -> None:
    """A second reading of the same order is as wrong as one of none."""
    for event in near:
        if event.kind in TRUE_KINDS[kind] and id(event) not in hit:
            hit.add(id(event))
            count.right += 1
            count.found += 1
            return
    count.wrong += 1


def summarise(results: Sequence[SeedResult], which: str, kind: str) -> Score:
    """Pooled over seeds; the interval resamples whole seeds."""
    counts = np.array(
        [
            [(c := getattr(r, which)[kind]).right, c.right + c.wrong, c.found, c.truths]
            for r in results
        ],
        np.float64,
    )
    rng = np.random.default_rng(1)
    if not len(counts):
        none = math.nan
        return Score(none, none, none, none, none, none, 0, 0)
    picks = rng.integers(0, len(counts), (2_000, len(counts)))
    drawn = counts[picks].sum(axis=1)
    total = counts.sum(axis=0)
    precision = _rate(drawn[:, 0], drawn[:, 1], float(total[0]), float(total[1]))
    recall = _rate(drawn[:, 2], drawn[:, 3], float(total[2]), float(total[3]))
    return Score(*precision, *recall, int(total[1]), int(total[3]))


def _rate(
    hits: FloatArray, trials: FloatArray, hit: float, tried: float
) -> tuple[float, float, float]:
    """(rate, low, high); nan without a trial. Draws without one say nothing and are left out."""
    some = trials > 0.0
    if tried == 0.0 or not some.any():
        return math.nan, math.nan, math.nan
    low, high = np.quantile(hits[some] / trials[some], (0.025, 0.975))
    return hit / tried, float(low), float(high)


def study(
    seeds: Sequence[int],
    minutes: float = 20.0,
    settings: WallSettings | None = None,
    *,
    trades_late: bool = False,
    folder: Path | None = None,
    budget_s: float = math.inf,
) -> WallStudy:
    """All seeds, or as many as the budget (wall time) allows; those kept in the folder are read."""
    chosen = settings or WallSettings()
    until = time.monotonic() + budget_s
    results: list[SeedResult] = []
    for seed in seeds:
        path = None if folder is None else _path(folder, seed, minutes, chosen, late=trades_late)
        if path is not None and path.exists():
            results.append(msgspec.json.decode(path.read_bytes(), type=SeedResult))
        elif time.monotonic() < until:
            results.append(run_seed(seed, minutes, chosen, trades_late=trades_late))
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(msgspec.json.encode(results[-1]))
    return WallStudy(
        [result.seed for result in results],
        minutes,
        trades_late,
        chosen,
        {kind: summarise(results, "ours", kind) for kind in (*KINDS, *PLAYS)},
        {kind: summarise(results, "naive", kind) for kind in (*KINDS, *PLAYS)},
        sum(r.ends for r in results),
        sum(r.absorbers for r in results),
        sum(r.young for r in results),
    )


def _path(folder: Path, seed: int, minutes: float, settings: WallSettings, *, late: bool) -> Path:
    key = hashlib.sha256(msgspec.json.encode((VERSION, minutes, settings, late))).hexdigest()[:12]
    return folder / f"{seed}-{key}.json"


app = App(name="walls", help="How well walls are read, where the truth is known.")


@app.default
def main(
    *,
    seeds: Annotated[int, Parameter(help="number of fresh seeds")] = 20,
    first: Annotated[int, Parameter(help="the first seed; 1000-1019 chose the thresholds")] = 1,
    minutes: float = 20.0,
    late: Annotated[bool, Parameter(help="trades arrive after the book that holds them")] = False,
    folder: Annotated[Path, Parameter(help="where results are kept, a file a seed")] = Path(
        "build/walls"
    ),
    budget_minutes: Annotated[float, Parameter(help="run new seeds for so long at most")] = 600.0,
) -> None:
    """Print the study as JSON. A run that was stopped goes on where it was."""
    report = study(
        range(first, first + seeds),
        minutes,
        trades_late=late,
        folder=folder,
        budget_s=budget_minutes * 60.0,
    )
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


if __name__ == "__main__":
    app()
