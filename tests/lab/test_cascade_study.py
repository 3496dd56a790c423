"""Readings against the known truth: a short run on every change, the long one under soak."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from liqfield.app.study.cascade_scores import (
    absorption,
    approaching,
    detection,
    ending,
    is_over,
    spells,
)
from liqfield.app.study.cascade_store import load_worlds, world_path
from liqfield.app.study.cascade_tape import START_NS, Reading
from liqfield.app.study.cascade_world import (
    Cascade,
    Standing,
    World,
    WorldSettings,
    pooled_cascades,
    run_world,
)
from liqfield.app.study.cascades import report, study
from liqfield.app.study.intervals import bootstrap, bootstrap_median, share
from liqfield.lab.market_types import AgentEvent
from liqfield.model.analytics import FlowEvent, FlowEventKind

S = 1_000_000_000


def world(**parts: object) -> World:
    """A hand-made world of five minutes: one cascade of longs from second 100 to 130."""
    price = np.full(300, 7.0)
    price[100:130] -= np.linspace(0.0, 0.01, 30)
    price[130:] -= 0.01
    plain = World(
        seed=1,
        base="BTC",
        price=price,
        forced=(np.arange(100.0, 130.0), np.zeros(30, np.int64), np.full(30, 1e5)),
        cascades=[Cascade(0, 100.0, 129.0, 3e6, 6.99)],
        standing=[Standing("absorber", "binance", True, 50.0, 80.0, 1_000.0, 5e6, 1e7)],
        readings=[
            Reading(at, "running" if 105 <= at < 140 else "calm", 0, (0, 0), 0.0, 0.0)
            for at in range(1, 301)
        ],
        told=[],
        absorptions=[],
        by_volume=[],
        ahead=[],
        volume_s=np.arange(1.0, 301.0),
    )
    return msgspec.structs.replace(plain, **parts)


def event(second: float, price: float, venue: str = "binance", *, is_bid: bool = True) -> FlowEvent:
    at = START_NS + round(second * S)
    kind = FlowEventKind.ABSORPTION
    return FlowEvent(at, kind, venue, price, is_bid, 1e6, 5.0, 10.0, "held", "")


def test_scores_count_what_they_say() -> None:
    w = world()
    found = spells(w, lambda i: 0 if w.readings[i].state == "running" else -1)
    assert found == [(0, 105, 139)]
    assert detection(w, found, 0.0) == {
        "calls": 1, "right": 1, "cascades": 1, "caught": 1, "delay_s": 5.0,
    }  # fmt: skip
    assert detection(w, [(1, 105, 139)], 0.0)["right"] == 0  # the other side
    assert is_over(w, 0, 140) == (True, True)
    assert is_over(w, 0, 110) == (False, False)
    assert ending(w, [(0, 140)], 0.0)["caught"] == 1
    assert approaching(w, [(0, 60), (1, 60), (0, 200)], 0.0) == {
        "calls": 3, "right": 1, "cascades": 1, "caught": 1, "lead_s": 40.0,
    }  # fmt: skip
    assert approaching(w, [(0, 99)], 0.0)["right"] == 0, "too late to foretell"


@pytest.mark.parametrize(
    ("found", "right"),
    [
        (event(55, 1_000.1), True),
        (event(55, 1_000.1, "bybit"), False),
        (event(55, 1_000.1, is_bid=False), False),
        (event(55, 1_003.0), False),
        (event(95, 1_000.1), False),
    ],
)
def test_an_absorption_is_right_at_the_absorbers_place_and_time(
    found: FlowEvent, right: bool
) -> None:
    tally = absorption(world(), [found], 0.0)
    assert tally["at_absorber"] == tally["absorbers_found"] == int(right)
    assert tally["absorbers"] == 1


def test_chains_of_venues_that_touch_are_one_cascade() -> None:
    def chain(key: str, start: float, end: float, *, is_bid: bool = True) -> AgentEvent:
        begin, last = START_NS + round(start * S), START_NS + round(end * S)
        return AgentEvent("cascade", key, begin, last, 1.0, 1.0, 1.0, is_bid)

    forced = (np.array([12.0, 33.0]), np.zeros(2, np.int64), np.array([5.0, 7.0]))
    found = pooled_cascades(
        [
            chain("a:X", 10, 20),
            chain("b:X", 30, 40),  # ten seconds later: the same
            chain("b:X", 60, 70),
            chain("a:X", 30, 40, is_bid=False),
        ],
        forced,
        np.linspace(7.0, 6.9, 100),
    )
    assert [(c.side, c.start, c.end, c.forced_usd) for c in found] == [
        (0, 10.0, 40.0, 12.0),
        (1, 30.0, 40.0, 0.0),
        (0, 60.0, 70.0, 0.0),
    ]


def test_intervals_hold_the_value() -> None:
    rows = [{"a": float(k), "b": 10.0} for k in range(10)]
    found = bootstrap(rows, share("a", "b"))
    assert found["low"] <= found["value"] == 0.45 <= found["high"]
    assert math.isnan(bootstrap([], share("a", "b"))["value"])
    middle = bootstrap_median([[1.0, math.nan], [2.0], [9.0, 3.0]])
    assert middle["low"] <= middle["value"] == 2.5 <= middle["high"]
    assert math.isnan(bootstrap_median([[math.nan]])["value"])


def test_a_pushed_market_has_cascades_that_are_seen() -> None:
    """One world, two moves: what the long run measures, in small. Figures: the soak test."""
    settings = WorldSettings(warm_s=150, episodes=2, episode_s=110, move=0.08, history_h=0.5)
    seen = run_world(1001, settings)
    again = report([seen], 120.0)
    assert seen.cascades
    assert len(seen.readings) == 370
    running = cast("dict[str, Any]", again["running"])
    assert running["caught"] >= 1
    assert running["right"] >= 1
    assert json.loads(msgspec.json.encode(again))["cascades"] == len(seen.cascades)


def test_worlds_are_kept_and_a_spent_budget_simulates_none(tmp_path: Path) -> None:
    settings = WorldSettings(warm_s=70, episodes=1, episode_s=30, history_h=0.1)
    assert load_worlds([3, 4], settings, tmp_path, 0.0) == []
    made = run_world(3, settings)
    world_path(3, settings, tmp_path).write_bytes(pickle.dumps(made))
    (kept,) = load_worlds([3, 4], settings, tmp_path, 0.0)
    assert kept.seed == 3
    assert kept.outlooks == made.outlooks
    assert kept.readings == made.readings, "the tape tells a tracker all that the engine's was told"
    other = msgspec.structs.replace(settings, move=0.01)
    assert load_worlds([3], other, tmp_path, 0.0) == []


@pytest.mark.soak
def test_readings_over_five_hundred_cascades() -> None:
    """`liqfield study cascades --first-seed 9100`: prints its figures; the laws are what must hold.

    Goes on where an earlier run in the same folder was stopped.
    """
    found = study(9100, 50, Path("build/cascades"))
    print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    assert cast("int", found["cascades"]) >= 500

    def value(part: str, name: str) -> float:
        return float(cast("dict[str, Any]", found[part])[name]["value"])

    assert value("running", "precision") > 0.8
    assert value("running", "recall") > 0.7
    assert value("absorbing", "precision") > value("absorbing", "base_rate")
    assert value("absorption", "recall") > value("absorption_by_volume", "recall")
    assert value("absorption", "precision_absorber") > 0.65
    assert value("absorption", "recall") > 0.5
    for rule in ("here", "cluster", "root", "projection"):
        assert value("stops", f"median_gain_bp_over_{rule}") > 0.0, rule
    assert 0.7 < value("stops", "coverage_outlook") < 0.9
