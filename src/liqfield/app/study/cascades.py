"""How good the readings of absorption, cascade and where it stops are where the truth is known.

    liqfield study cascades --worlds 50 --first-seed 9100

Thresholds were chosen on seeds below 1000; figures in the documents are of seeds from 1000 on.
Intervals are 90 % percentiles of a bootstrap over worlds: what happens in one world hangs together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from liqfield.app.study.cascade_scores import (
    ACTIVE,
    absorbing,
    absorption,
    approaching,
    detection,
    driven,
    ending,
    entries,
    first_prints,
    silence,
    spells,
)
from liqfield.app.study.cascade_stops import stops
from liqfield.app.study.cascade_store import load_worlds
from liqfield.app.study.cascade_world import World, WorldSettings
from liqfield.app.study.intervals import Tally, bootstrap, share


def report(worlds: Sequence[World], warm_s: float) -> dict[str, object]:
    """Everything as plain numbers."""

    def of(
        tallies: Iterable[Tally], **ratios: tuple[str, str]
    ) -> dict[str, float | dict[str, float]]:
        rows = list(tallies)
        out: dict[str, float | dict[str, float]] = {
            name: bootstrap(rows, share(*pair)) for name, pair in ratios.items()
        }
        for name in rows[0] if rows else ():
            out[name] = float(sum(row[name] for row in rows))
        return out

    pr = {"precision": ("right", "calls"), "recall": ("caught", "cascades")}
    found = {
        "precision_absorber": ("at_absorber", "events"),
        "precision_level": ("at_absorber_or_wall", "events"),
        "recall": ("absorbers_found", "absorbers"),
    }
    lead = {"mean_lead_s": ("lead_s", "caught")}
    late = {"mean_delay_s": ("delay_s", "caught")}
    tracked = [spells(w, lambda i, w=w: _active(w, i)) for w in worlds]  # type: ignore[misc]
    counted = [spells(w, lambda i, w=w: _counted(w, i)) for w in worlds]  # type: ignore[misc]
    return {
        "worlds": len(worlds),
        "seeds": [w.seed for w in worlds],
        "cascades": sum(len(w.cascades) for w in worlds),
        "absorption": of((absorption(w, w.absorptions, warm_s) for w in worlds), **found),
        "absorption_by_volume": of((absorption(w, w.by_volume, warm_s) for w in worlds), **found),
        "running": of(
            (detection(w, s, warm_s) for w, s in zip(worlds, tracked, strict=True)), **pr, **late
        ),
        "running_by_count": of(
            (detection(w, s, warm_s) for w, s in zip(worlds, counted, strict=True)), **pr, **late
        ),
        "exhausted": of((ending(w, entries(w, "exhausted"), warm_s) for w in worlds), **pr, **late),
        "exhausted_by_silence": of((ending(w, silence(w), warm_s) for w in worlds), **pr, **late),
        "exhausted_by_silence_15": of(
            (ending(w, silence(w, 15), warm_s) for w in worlds), **pr, **late
        ),
        "absorbing": of(
            (absorbing(w, warm_s) for w in worlds),
            precision=("right", "calls"),
            base_rate=("seconds_right", "seconds"),
        ),
        "approaching": of(
            (approaching(w, entries(w, "approaching"), warm_s) for w in worlds), **pr, **lead
        ),
        "approaching_by_move": of(
            (approaching(w, driven(w), warm_s) for w in worlds), **pr, **lead
        ),
        "approaching_by_print": of(
            (approaching(w, first_prints(w), warm_s) for w in worlds), **pr, **lead
        ),
        "stops": stops(worlds, warm_s),
    }


def _active(world: World, i: int) -> int:
    reading = world.readings[i]
    return reading.side if reading.state in ACTIVE else -1


def _counted(world: World, i: int) -> int:
    """The simple rule: at least four prints of a side within twelve seconds."""
    visible = world.readings[i].visible
    side = 0 if visible[0] >= visible[1] else 1
    return side if visible[side] >= 4 else -1


def study(
    first_seed: int,
    worlds: int,
    folder: Path,
    settings: WorldSettings | None = None,
    budget_s: float = math.inf,
) -> dict[str, object]:
    """Run or load worlds and report on those that there are. Some dozen seconds of a core each."""
    chosen = settings or WorldSettings()
    seeds = range(first_seed, first_seed + worlds)
    return report(load_worlds(seeds, chosen, folder, budget_s), float(chosen.warm_s))
