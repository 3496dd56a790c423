"""The study of walls: how readings are judged, and (soak) how good they are on fresh seeds."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from liqfield.app.study.walls import (
    TUNING_SEEDS,
    SeedResult,
    Watcher,
    judge,
    study,
    summarise,
)
from liqfield.book.reader import BookReader
from liqfield.book.sync import BookSync
from liqfield.book.wall_facts import WallEnd, WallSettings
from liqfield.lab.market_types import AgentEvent
from liqfield.model.analytics import WallState
from liqfield.model.sides import BookRule
from liqfield.model.tape import TradeTape
from tests.support import INSTRUMENTS

SECOND_NS = 1_000_000_000
OF = INSTRUMENTS["bybit:BTCUSDT"]
UNTIL = 1_000 * SECOND_NS


def told(tick: int, at_s: float, state: WallState, *, distance: float = 0.0002) -> WallEnd:
    is_pulled = state is not WallState.FILLED
    at = round(at_s * SECOND_NS)
    return WallEnd(
        tick, 1, 0, at, 50.0, 0.0, 50.0, float(is_pulled), 60.0, 3.0, 0.001, distance, state,
        is_pulled and distance <= WallSettings().approach,
    )  # fmt: skip


def truth(kind: str, tick: int, at_s: float, is_bid: bool = False) -> AgentEvent:
    price = OF.price_usd(tick)
    at = round(at_s * SECOND_NS)
    return AgentEvent(kind, OF.id, 0, at, price, price, 50.0, is_bid)


def result(ends: list[WallEnd], truths: list[AgentEvent]) -> SeedResult:
    watcher = Watcher(WallSettings())
    reader = BookReader(BookSync(OF.id, BookRule.NEXT_BY_ONE), OF.tick_usd, TradeTape(), 0)
    watcher.books[OF.id] = (OF, reader)
    watcher.ends = [(OF, end) for end in ends]
    return judge(1, watcher, truths, UNTIL)


def test_a_reading_is_right_once_at_its_tick_side_and_time() -> None:
    pulled, filled = WallState.PULLED, WallState.FILLED
    found = result(
        [
            told(840_000, 10.0, pulled),
            told(840_000, 11.0, pulled),  # the same order again
            told(840_010, 20.0, pulled),  # other side
            told(840_020, 30.0, pulled),  # too late
            told(840_030, 40.0, filled),
            told(840_040, 50.0, pulled, distance=0.01),
            told(840_050, 60.0, pulled),  # an absorber: neither
        ],
        [
            truth("wall_pulled", 840_000, 11.5),
            truth("wall_pulled", 840_010, 20.0, is_bid=True),
            truth("wall_pulled", 840_020, 24.0),
            truth("wall_eaten", 840_030, 40.5),
            truth("wall_expired", 840_040, 50.0),
            truth("absorber", 840_050, 60.0),
            truth("wall_placed", 840_060, 60.0),
        ],
    )
    ours = found.ours
    assert (ours["pulled"].right, ours["pulled"].wrong, ours["pulled"].truths) == (1, 3, 3)
    assert (ours["filled"].right, ours["filled"].wrong, ours["filled"].truths) == (1, 0, 1)
    assert (ours["withdrawn"].right, ours["withdrawn"].truths) == (2, 4)
    naive = found.naive
    assert (naive["pulled"].right, naive["pulled"].wrong) == (1, 4), "it takes the eaten wall too"
    assert found.absorbers == 1


def test_truths_too_late_to_be_seen_are_not_counted() -> None:
    found = result([], [truth("wall_pulled", 840_000, 998.5)])
    assert found.ours["pulled"].truths == 0
    young = msgspec.structs.replace(truth("wall_pulled", 840_000, 10.0), start_ns=9 * SECOND_NS)
    found = result([], [young])
    assert (found.ours["pulled"].truths, found.young) == (0, 1)


def test_the_interval_is_over_seeds() -> None:
    good = result([told(840_000, 10.0, WallState.PULLED)], [truth("wall_pulled", 840_000, 10.0)])
    bad = result([told(840_000, 10.0, WallState.PULLED)], [truth("wall_pulled", 840_100, 10.0)])
    both = summarise([good, bad], "ours", "pulled")
    assert (both.precision, both.recall) == (0.5, 0.5)
    assert (both.precision_low, both.precision_high) == (0.0, 1.0)
    same = summarise([good, good], "ours", "pulled")
    assert (same.precision_low, same.precision_high) == (1.0, 1.0)


def test_results_of_a_seed_are_kept(tmp_path: Path) -> None:
    first = study([1], 0.05, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    again = study([1, 2], 0.05, folder=tmp_path, budget_s=0.0)
    assert again.seeds == first.seeds == [1], "seed 2 would have to be simulated"
    assert msgspec.json.encode(again.ours) == msgspec.json.encode(first.ours)
    assert study([1], 0.1, folder=tmp_path, budget_s=0.0).seeds == [], "another length"


@pytest.mark.soak
@pytest.mark.parametrize("late", [False, True])
def test_walls_are_read_better_than_by_vanishing(late: bool) -> None:
    seeds = range(1, 13)
    assert not set(seeds) & set(TUNING_SEEDS)
    report = study(seeds, 20.0, trades_late=late)
    print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    for kind in ("pulled", "filled"):
        ours, naive = report.ours[kind], report.naive[kind]
        assert ours.truths > 0
        assert ours.precision >= naive.precision, kind
        assert ours.recall >= 0.5 * naive.recall, kind
