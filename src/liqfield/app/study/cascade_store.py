"""Worlds of the cascade study on disk, one file a seed: a run that was cut short goes on.

Two commands on different seeds may fill one folder at the same time.
"""

from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from liqfield.app.study.cascade_tape import replay
from liqfield.app.study.cascade_world import World, WorldSettings, run_world
from liqfield.cascade.tracker import CascadeSettings

VERSION = 3  # raise when the built-in market, or what an engine reads from it, changes


def world_path(seed: int, settings: WorldSettings, folder: Path) -> Path:
    """Where the world of (seed, settings) is kept."""
    key = hashlib.sha256(msgspec.json.encode((VERSION, settings))).hexdigest()[:12]
    return folder / f"{seed}-{key}.pickle"


def load_worlds(
    seeds: Iterable[int], settings: WorldSettings, folder: Path, budget_s: float
) -> list[World]:
    """Worlds in order of seed; those not yet on disk are simulated until the budget is spent.

    budget_s: wall time; 0 = only what is there. The folder holds only our own files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + budget_s
    found = []
    for seed in seeds:
        path = world_path(seed, settings, folder)
        if not path.exists():
            if time.monotonic() >= until:
                continue
            part = path.with_suffix(".part")
            part.write_bytes(pickle.dumps(run_world(seed, settings), protocol=5))
            part.replace(path)
        world: World = pickle.loads(path.read_bytes())
        # Tracker and outlook of today on the facts of then.
        said = replay(world.told, world.ahead, CascadeSettings())
        world.readings, world.outlooks, world.map_factors = said
        found.append(world)
    return found
