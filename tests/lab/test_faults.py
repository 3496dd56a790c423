"""Everything that can go wrong at a venue: never a wrong book, every loss told, soon live again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from liqfield.lab.servers.faults import KINDS, Fault, FaultPlan, random_plan, read_plan
from tests.lab.faults import (
    VENUES,
    account_of,
    read_journal,
    run_on_sockets,
    run_range,
    run_scenario,
)
from tests.lab.scenario import Outcome, Scenario
from tests.lab.virtual import run_virtual

SOAK = 10_000


@pytest.mark.parametrize("first", range(0, 48, 12))
def test_a_dozen_scenarios(first: int) -> None:
    account = run_range(first, 12)
    assert account.problems == {}
    assert account.wrong == 0
    assert account.compared > 100


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_alone(kind: str) -> None:
    """One fault of each kind at the venue that it says most about."""
    venue = {"unit": "okx", "maintenance": "okx", "old_snapshot": "binance"}.get(kind, "bybit")
    plan = random_plan(1, span_s=0.0, count=1, kinds=(kind,))

    async def run() -> None:
        outcome = await Scenario(venue, plan).run()
        assert outcome.problem == ""
        assert outcome.compared > 5

    run_virtual(run())


@pytest.mark.parametrize("number", [2398, 2558, 3926, 4634, 20330])
def test_contracts_of_another_size_while_the_venue_hides_it(number: int) -> None:
    """Requests hang, are refused, or answers are old: the book waits for the list."""
    outcome = run_scenario(number)
    assert "unit" in outcome.kinds
    assert outcome.problem == ""
    assert outcome.compared > 30


@pytest.mark.parametrize("number", [10_094, 16_132])
def test_back_soon_where_requests_or_sockets_were_swallowed(number: int) -> None:
    """A socket that hears nothing is given up in time; a lost snapshot request is asked again."""
    outcome = run_scenario(number)
    assert outcome.problem == ""
    assert 0.0 <= outcome.back_s <= outcome.allowed_s


def test_contracts_of_another_size_on_connections_that_stay_up() -> None:
    """OKX tells it on every connection, before the first message in the new size."""
    plan = FaultPlan(0, (Fault(8.0, "resize", "okx", 0.2, 10.0), Fault(16.0, "resize", "okx", 0.2)))

    async def run() -> None:
        scenario = Scenario("okx", plan)
        outcome = await scenario.run()
        assert outcome.problem == ""
        assert outcome.losses == 2, "void until a snapshot in the new size"
        assert scenario.gaps["disconnect"] == 0
        assert outcome.compared > 50
        factor = scenario.of.quantity_factor * 100.0
        assert scenario.state.instrument.quantity_factor == pytest.approx(factor)

    run_virtual(run())


def test_a_range_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    journal, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    run_range(0, 2, journal)
    journal.write_bytes(journal.read_bytes() + b'{"type":"Outc')
    journal.write_bytes(journal.read_bytes().rpartition(b"\n")[0] + b"\n")
    began = journal.stat().st_mtime_ns
    whole = run_range(0, 3, journal)
    assert journal.stat().st_mtime_ns > began
    assert [o.seed for o in read_journal([journal])[0]] == [0, 1, 2]
    run_range(3, 1, other)
    total = account_of(*read_journal([journal, other]))
    assert (total.scenarios, total.first, total.last) == (4, 0, 3)
    assert total.compared > whole.compared > 0
    bad = Outcome(9, "okx", ("unit",), wrong=1, back_s=9.0, allowed_s=3.0, problem="crash: x")
    worse = account_of([bad])
    assert worse.wrong_books == worse.late == worse.crashes == [9]
    assert worse.invisible_losses == worse.doubled == worse.leaks == []


def test_the_same_seed_is_the_same_run() -> None:
    for number in (3, 5):
        assert run_scenario(number) == run_scenario(number)


def test_a_notice_of_closing_loses_nothing() -> None:
    """OKX says 64008, waits, then cuts: by then the feed is elsewhere, and no book was void."""
    plan = FaultPlan(0, (Fault(10.0, "maintenance", "okx", 6.0),))

    async def run() -> None:
        scenario = Scenario("okx", plan)
        outcome = await scenario.run()
        assert outcome.problem == ""
        assert outcome.losses == 0
        assert scenario.gaps["disconnect"] == 0
        assert all(c.rotations == 1 for c in scenario.feed.connections)
        assert set(scenario.sent) <= set(scenario.got) | last(scenario), "a trade was lost"
        assert max(scenario.got.values()) == 1, "a trade came twice"

    def last(scenario: Scenario) -> set[str]:
        """Sent before the feed had subscribed."""
        first = min(scenario.sent[key] for key in scenario.got)
        return {key for key, step in scenario.sent.items() if step <= first}

    run_virtual(run())


@pytest.mark.parametrize("venue", VENUES)
def test_rotations_of_a_busy_venue_lose_and_double_nothing(venue: str) -> None:
    """A thousand trades a second through rotations every few seconds: each arrives once.

    More pass during one overlap than the engine remembers ids, so that it is the rotation itself
    that keeps doubles out.
    """
    plan = FaultPlan(0, (Fault(24.0, "delay", "nobody"),))

    async def run() -> None:
        scenario = Scenario(venue, plan, trades=200.0, max_age_s=8.0)
        outcome = await scenario.run()
        assert outcome.problem == ""
        assert outcome.losses == 0, "the book was never void"
        assert scenario.gaps["disconnect"] == 0
        flow = [c for c in scenario.feed.connections if not c.spec.name.startswith("force")]
        assert all(c.rotations >= 2 for c in flow)
        if venue != "binance":  # its aggregates have ids of their own
            first = min(scenario.sent[key] for key in raw_ids(scenario))
            lost = {k for k, step in scenario.sent.items() if step > first} - raw_ids(scenario)
            assert len(lost) == 0
        assert max(scenario.got.values()) == 1
        assert sum(c.repeats for c in flow) > 0, "the sockets did overlap"

    def raw_ids(scenario: Scenario) -> set[str]:
        """Trade ids of the market out of the venue's own."""
        if venue == "bybit":
            return {str(int(key.partition("-")[0], 16)) for key in scenario.got}
        return {key.rpartition("-")[2] for key in scenario.got}

    run_virtual(run())


def test_plans_are_read_from_seeds_and_scripts(tmp_path: Path) -> None:
    assert read_plan("7") == read_plan("7") != read_plan("8")
    script = tmp_path / "faults.json"
    faults = [{"at_s": 1.0, "kind": "silent", "venue": "okx", "for_s": 3.0}]
    script.write_text(json.dumps(faults))
    assert read_plan(str(script)).faults == (Fault(1.0, "silent", "okx", 3.0),)
    script.write_text(json.dumps([{"at_s": 1.0, "kind": "earthquake"}]))
    with pytest.raises(ValueError, match="earthquake"):
        read_plan(str(script))


@pytest.mark.soak
def test_ten_thousand_scenarios() -> None:
    account = run_range(0, SOAK)
    print(msgspec.json.format(msgspec.json.encode(account), indent=2).decode())
    assert account.scenarios == SOAK
    assert account.problems == {}
    assert account.wrong == 0
    assert account.memory_growth_mb < 50.0


@pytest.mark.soak
@pytest.mark.parametrize("first", range(0, 240, 24))
def test_scenarios_on_real_sockets(first: int) -> None:
    """Safety only: recovery times in real time are the machine's, not the program's."""
    outcomes = asyncio.run(run_on_sockets(range(first, first + 24)))
    print(
        sum(o.compared for o in outcomes), "books compared,", max(o.back_s for o in outcomes), "s"
    )
    assert [o for o in outcomes if o.wrong] == []
    assert sum(o.compared for o in outcomes) > 200
