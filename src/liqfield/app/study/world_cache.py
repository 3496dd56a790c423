"""Simulated worlds on disk: minutes to make, milliseconds to load."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import msgspec

from liqfield.app.study.world_specs import WorldSpec
from liqfield.lab.worlds import VenueWorld, simulate

VERSION = 2  # raise when the built-in market changes what it does


def load_world(
    spec: WorldSpec, seed: int, days: float, snapshot_h: float, folder: Path
) -> tuple[VenueWorld, ...]:
    """The world of (spec, seed), simulated on first use. The folder holds only our own files."""
    market = spec.market(days)
    key = msgspec.json.encode((VERSION, market, seed, snapshot_h))
    path = folder / f"{spec.name}-{seed}-{hashlib.sha256(key).hexdigest()[:12]}.pickle"
    if path.exists():
        found: tuple[VenueWorld, ...] = pickle.loads(path.read_bytes())
        return found
    made = simulate(market, seed, snapshot_h)
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(pickle.dumps(made, protocol=5))
    part.replace(path)
    return made
