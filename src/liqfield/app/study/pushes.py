"""Whale pushes against scripts that push on purpose, among moves of the index that nobody pushed.

    liqfield study pushes --worlds 4

A script knows where positions would be forced out and sells or buys towards the larger side. A
reading is right if a script pushed that way meanwhile. Baseline: a flow in the top 5 % of its past,
as one-sided, whatever rests there and however far the price went. Intervals: 90 %, over worlds.
Recall is told of all pushes, and of those that brought at least the depth within 10 bp of their
venue in ten seconds: a smaller one is like any other minute.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, cast

import msgspec
import numpy as np
from cyclopts import App, Parameter

from liqfield.app.study.cascade_tape import START_NS, S
from liqfield.app.study.cascade_world import LAW, NAMES, STEP_NS, FlowOnly, history_events
from liqfield.app.study.intervals import Tally, bootstrap, share
from liqfield.app.study.lab_events import RULES, LabEvents
from liqfield.cascade.push import PushDetector, PushSettings
from liqfield.cascade.tracker import Surroundings
from liqfield.engine.flow import FlowSettings
from liqfield.engine.market import MarketEngine
from liqfield.lab.market import LabMarket
from liqfield.lab.market_actors import Desk, Pusher, StagedMarket
from liqfield.lab.market_setup import BASES, DEPTH_FACTOR, demo_spec
from liqfield.lab.market_types import AgentEvent, Market
from liqfield.model.analytics import FlowEvent, FlowEventKind
from liqfield.model.events import Listing
from liqfield.model.grid import PriceGrid

VERSION = 2  # raise when the market, or what is read from it, changes
WARM_S, LENGTH_S = 330, 1230
PAUSE_S = 120.0
MOVE_EVERY_S, MOVE = 240, 0.03  # of the index, as look-alikes
AIM_REACH = 0.02
WINDOW_NS = 10 * S
SIMPLE = PushSettings(flow_quantile=0.95, depth_share=0.0, most_move=math.inf, reach=1.0)


class Twice(PushDetector):
    """The detector, and beside it the rule of flow alone."""

    def __init__(self) -> None:
        super().__init__()
        self.simple: list[FlowEvent] = []
        self._simple = PushDetector(SIMPLE)

    def second(self, around: Surroundings, gross_flow: float) -> FlowEvent | None:
        found = self._simple.second(around, gross_flow)
        if found is not None:
            self.simple.append(found)
        return super().second(around, gross_flow)


def larger_side(market: LabMarket, instrument_id: str) -> int:
    """0 longs below, 1 shorts above: where more would be forced out within AIM_REACH."""
    mark = market.mark(instrument_id)
    grid = PriceGrid.around(mark, 0.001, 200)
    usd, _ = market.true_density(instrument_id, grid)
    centre = np.sqrt(grid.edges()[:-1] * grid.edges()[1:])
    near = np.abs(centre / mark - 1.0) <= AIM_REACH
    below, above = usd[0, near & (centre < mark)].sum(), usd[1, near & (centre > mark)].sum()
    return int(above > below)


def run_seed(seed: int) -> dict[str, Tally]:
    """One market: tallies of the detector and of the simple rule."""
    base = NAMES[seed % len(NAMES)]
    spec = msgspec.structs.replace(
        demo_spec(START_NS, (base,)),
        venues=("binance", "bybit"),
        history_h=2.0,
        accounts_per_instrument=8_000,
        positions=LAW,
    )
    market = LabMarket(spec, seed)
    keys = [of.id for of in market.instruments]
    start_ns = START_NS + WARM_S * S
    pushers = [
        Pusher(
            Desk(market, key),
            1_000 * seed + k,
            start_ns,
            PAUSE_S,
            lambda key=key: larger_side(market, key),  # type: ignore[misc]
        )
        for k, key in enumerate(keys)
    ]
    staged = StagedMarket(market, pushers)
    events = LabEvents(cast("Market", staged), step_ns=STEP_NS)
    flow = FlowSettings()
    engine = MarketEngine(base, RULES, flow)
    engine.analytics = FlowOnly(base, engine.trades, flow)
    twice = engine.analytics.flow.push = Twice()
    for event in events.open():
        if isinstance(event, Listing):
            engine.add(event.instrument)
        else:
            engine.step(event)
    for event in history_events(market):
        engine.step(event)
    rng = np.random.default_rng(seed)
    for second in range(LENGTH_S):
        if second >= WARM_S and (second - WARM_S) % MOVE_EVERY_S == MOVE_EVERY_S // 2:
            market.shock(base, float(rng.choice((-MOVE, MOVE))), 30.0)
        for event in events.advance(START_NS + (second + 1) * S):
            engine.step(event)
    told = [e for e in engine.analytics.flow.events() if e.kind is FlowEventKind.WHALE_PUSH]
    plays = [play for pusher in pushers for play in pusher.events]
    depth = {
        of.id: BASES[base].depth_10bp_usd * DEPTH_FACTOR[of.venue] for of in market.instruments
    }
    return {"ours": tally(told, plays, depth), "flow_alone": tally(twice.simple, plays, depth)}


def tally(
    told: Sequence[FlowEvent], plays: Sequence[AgentEvent], depth_usd: Mapping[str, float]
) -> Tally:
    """Right calls and found pushes; an event tells of the ten seconds from `at_ns`.

    depth_usd: within 10 bp by specification, by instrument.
    """

    def fits(event: FlowEvent, play: AgentEvent) -> bool:
        meets = event.at_ns < play.end_ns and event.at_ns + WINDOW_NS > play.start_ns
        return event.is_bid == play.is_bid and meets

    def is_visible(play: AgentEvent) -> bool:
        in_window = min(WINDOW_NS / max(play.end_ns - play.start_ns, 1), 1.0)
        usd = play.quantity * play.price_from * in_window
        return usd >= depth_usd[play.instrument_id]

    seen = [play for play in plays if is_visible(play)]
    return {
        "calls": len(told),
        "right": sum(any(fits(event, play) for play in plays) for event in told),
        "pushes": len(plays),
        "caught": sum(any(fits(event, play) for event in told) for play in plays),
        "visible": len(seen),
        "visible_caught": sum(any(fits(event, play) for event in told) for play in seen),
    }


app = App(name="pushes", help="Whale pushes, where the truth is known.")


@app.default
def main(
    *,
    worlds: int = 4,
    first_seed: int = 6000,
    folder: Annotated[Path, Parameter(help="where results are kept, a file a seed")] = Path(
        "build/pushes"
    ),
) -> None:
    """Print precision and recall as JSON. A run that was stopped goes on where it was."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in range(first_seed, first_seed + worlds):
        key = hashlib.sha256(msgspec.json.encode((VERSION, PushSettings()))).hexdigest()[:12]
        path = folder / f"{seed}-{key}.json"
        if not path.exists():
            path.write_bytes(msgspec.json.encode(run_seed(seed)))
        found.append(msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, float]]))
    report = {
        name: {
            "precision": bootstrap([row[name] for row in found], share("right", "calls")),
            "recall": bootstrap([row[name] for row in found], share("caught", "pushes")),
            "recall_visible": bootstrap(
                [row[name] for row in found], share("visible_caught", "visible")
            ),
            **{part: sum(row[name][part] for row in found) for part in found[0][name]},
        }
        for name in ("ours", "flow_alone")
    }
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
