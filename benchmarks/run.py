"""`make bench`: every figure beside its budget and its peer, in one run.

    python -m benchmarks.run [--quick] [--only NAME]... [--out FILE]

A suite is a function that returns rows; a new one is a line in SUITES. `--quick` runs the pieces
with few repetitions, to see that they run: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import density, engine, past, wire
from benchmarks.rows import Row

ROOT = Path(__file__).resolve().parents[1]


def _tiles(*, quick: bool = False) -> list[Row]:
    from benchmarks import tiles

    return tiles.build_rows() if quick else tiles.rows()


def _fanout(*, quick: bool = False) -> list[Row]:
    from benchmarks import fanout

    return [] if quick else fanout.rows()


SUITES: dict[str, Callable[..., list[Row]]] = {
    "wire": wire.rows,
    "engine": engine.rows,
    "density": density.rows,
    "past": past.rows,
    "tiles": _tiles,
    "fanout": _fanout,
}


def line(of: Row) -> str:
    """Name, figure, peer and ratio, budget, met or missed."""
    value = f"{of['value']:>10.4g} {of['unit']}"
    peer = f"{of['ratio']:6.2f} x {of['peer']}" if isinstance(of["ratio"], float) else ""
    budget = "" if of["budget"] is None else f"budget {of['budget']:g}"
    verdict = {True: "met", False: "MISSED", None: ""}[of["met"]]  # type: ignore[index]
    return f"{of['name']!s:<66}{value:<18}{peer:<34}{budget:<14}{verdict}".rstrip()


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(prog="benchmarks.run")
    parser.add_argument("--quick", action="store_true", help="few repetitions, for CI")
    parser.add_argument("--only", action="append", choices=sorted(SUITES), help="some suites")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json")
    options = parser.parse_args(arguments)
    made: list[Row] = []
    for name in options.only or SUITES:
        print(f"# {name}", flush=True)
        for one in SUITES[name](quick=options.quick):
            made.append(one)
            print(line(one), flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(made, indent=1))
    return made


if __name__ == "__main__":
    main()
