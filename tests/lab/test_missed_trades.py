"""Trades that streams lose are fetched by REST: the engine counts what the market traded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from liqfield.app.export import export_recording
from liqfield.app.pipeline import Pipeline
from liqfield.engine.engine import Engine
from liqfield.lab.servers.faults import Fault, FaultPlan
from liqfield.model.events import Record
from liqfield.store.frames import RecordWriter
from liqfield.venues import registry
from tests.lab.faults import VENUES
from tests.lab.scenario import Scenario
from tests.lab.virtual import run_virtual

OUTAGES = (Fault(8.0, "dns", for_s=4.0), Fault(20.0, "dns", for_s=2.0))


class Recorded(Scenario):
    """Runs on for a while after the faults, and keeps what was consumed."""

    def __init__(self, venue: str, plan: FaultPlan, trades: float) -> None:
        super().__init__(venue, plan, trades=trades)
        self.records: list[Record] = []

    def _sink(self, record: Record) -> None:
        self.records.append(record)
        super()._sink(record)

    async def _live(self) -> None:
        await super()._live()
        for _ in range(100):
            await asyncio.sleep(self.step_s)
            self._advance()


def outage(venue: str, faults: tuple[Fault, ...], trades: float) -> Recorded:
    scenario = Recorded(venue, FaultPlan(3, faults), trades)
    run_virtual(_run(scenario))
    return scenario


async def _run(scenario: Scenario) -> None:
    await scenario.run()


def digest_of_replay(scenario: Recorded) -> str:
    venue = registry.VENUES[scenario.venue.name]()
    engine = Engine({venue.name: venue.book_rule}, frozenset({"BTC"}))
    Pipeline(engine, {venue.name: venue}).consume(scenario.records)
    return engine.digest()


@pytest.mark.parametrize("venue", VENUES)
def test_what_an_outage_lost_is_fetched_and_counted_once(venue: str) -> None:
    # Hyperliquid tells the newest sixty only.
    scenario = outage(venue, OUTAGES, trades=0.3 if venue == "hyperliquid" else 4.0)
    outcome = scenario.outcome
    print(venue, outcome)
    assert outcome.problem == ""
    assert outcome.repaired_trades > 3
    assert outcome.lost_trades == outcome.doubled_trades == 0
    assert scenario.volume == pytest.approx(scenario.true_volume, rel=1e-9)
    assert scenario.feed.missed.filled >= 2
    assert scenario.feed.missed.short == 0
    assert digest_of_replay(scenario) == scenario.engine.digest()


def test_a_hole_in_binance_ids_is_filled_without_a_reconnect() -> None:
    scenario = outage("binance", (Fault(8.0, "drop", for_s=4.0, amount=0.5),), trades=4.0)
    assert scenario.outcome.repaired_trades > 3
    assert scenario.outcome.lost_trades == 0
    assert scenario.volume == pytest.approx(scenario.true_volume, rel=1e-9)


@pytest.mark.parametrize("venue", ["okx", "binance"])
def test_a_long_hole_takes_several_pages(venue: str) -> None:
    scenario = outage(venue, (Fault(8.0, "dns", for_s=6.0),), trades=80.0)
    assert scenario.outcome.repaired_trades > 1_000
    assert scenario.outcome.lost_trades == 0
    assert scenario.volume == pytest.approx(scenario.true_volume, rel=1e-9)


def test_what_no_history_reaches_stays_a_told_gap() -> None:
    """Bybit tells the newest thousand."""
    scenario = outage("bybit", (Fault(8.0, "dns", for_s=20.0),), trades=40.0)
    assert scenario.outcome.repaired_trades > 0
    assert scenario.outcome.lost_trades > 0
    assert scenario.feed.missed.short >= 1
    assert scenario.outcome.problem == ""  # a gap tells of it


def test_contracts_of_another_size_are_not_read_back() -> None:
    scenario = outage("okx", (Fault(8.0, "unit", for_s=3.0, amount=10.0),), trades=4.0)
    assert scenario.outcome.wrong == 0
    assert scenario.outcome.repaired_trades == 0


def test_an_export_tells_every_trade_once(tmp_path: Path) -> None:
    """Canaries and pages repeat trades in a recording."""
    scenario = outage("binance", OUTAGES, trades=4.0)
    writer = RecordWriter(tmp_path / "frames")
    for record in scenario.records:
        writer.append(record)
    writer.close()
    out = tmp_path / "trades.csv"
    rows = export_recording("trades", tmp_path / "frames", out)
    ids = [int(key) for key in scenario.canary | scenario.got.keys()]
    assert rows == len(ids) == max(ids) - min(ids) + 1
