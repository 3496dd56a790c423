"""`liqfield study ...`: the proofs, as JSON on standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from liqfield.app.study import cascades as cascade_study
from liqfield.app.study import depth as depth_study
from liqfield.app.study import pushes as push_study
from liqfield.app.study import walls as wall_study
from liqfield.app.study.ceilings import study_ceilings
from liqfield.app.study.constants import study_constants
from liqfield.app.study.coverage import study_coverage
from liqfield.app.study.history import study_history
from liqfield.app.study.other_worlds import study_others
from liqfield.app.study.positions import study_positions
from liqfield.app.study.worlds import pick_worlds, study_worlds

Worlds = Annotated[Path, Parameter(help="where simulated worlds are kept")]
WORLDS = Path("build/worlds")
study = App(name="study", help="How good estimates and readings are where the truth is known.")
study.command(wall_study.app)
study.command(depth_study.app)
study.command(push_study.app)


def _write(report: object) -> None:
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


@study.command
def worlds(
    *names: str,
    seed: int = 2026,
    days: float = 7.0,
    small: Annotated[bool, Parameter(help="two venues and 16,000 accounts a world")] = False,
    accounts: Annotated[bool, Parameter(help="also with what public accounts open")] = False,
    apart: Annotated[bool, Parameter(help="each venue's law drawn around the world's")] = False,
    folder: Worlds = WORLDS,
) -> None:
    """Known truth: the map against every position of simulated markets; one to four minutes a
    world that is not kept yet, a quarter of it for a small one."""
    _write(
        study_worlds(seed, folder, names, days=days, small=small, accounts=accounts, apart=apart)
    )


@study.command
def others(
    *names: str,
    seed: int = 2026,
    folder: Annotated[Path, Parameter(help="where the worlds' public files are written")] = Path(
        "build/other-worlds"
    ),
) -> None:
    """Known truth of another make: worlds of a simulator that shares nothing with the filter,
    written as vendors' files and mapped by `liqfield map`'s code; a minute each."""
    _write(study_others(names, seed, folder))


@study.command
def ceilings(
    *names: str,
    seed: int = 11,
    small: Annotated[bool, Parameter(help="two venues and 16,000 accounts a world")] = False,
    only_mass: Annotated[bool, Parameter(help="the regression alone, over more worlds")] = False,
    folder: Worlds = WORLDS,
) -> None:
    """What of the truth public feeds can tell: the filter with one hidden thing told at a time,
    and the error of total mass regressed on what feeds show. NAME:SEED is a world of that seed."""
    _write(study_ceilings(pick_worlds(names, seed, small=small), folder, only_mass=only_mass))


@study.command
def constants(
    *names: str,
    seed: int = 11,
    small: Annotated[bool, Parameter(help="two venues and 16,000 accounts a world")] = False,
    only_interval: Annotated[bool, Parameter(help="what moves no mean: a quarter of it")] = False,
    folder: Worlds = WORLDS,
) -> None:
    """The estimator's hand-set constants, one at a time, on tuning worlds; NAME:SEED as above."""
    _write(
        study_constants(pick_worlds(names, seed, small=small), folder, only_interval=only_interval)
    )


@study.command
def coverage(
    *names: str,
    seed: int = 11,
    small: Annotated[bool, Parameter(help="two venues and 16,000 accounts a world")] = False,
    accounts: Annotated[bool, Parameter(help="three venues, also with what accounts open")] = False,
    folder: Worlds = WORLDS,
) -> None:
    """Coverage of the stated intervals, world by world and where; what it would be were they
    perfectly honest; NAME:SEED as above."""
    _write(study_coverage(pick_worlds(names, seed, small=small), folder, accounts=accounts))


@study.command
def history(
    data: Annotated[Path, Parameter(help="folder with btc_hourly.csv and its companions")],
) -> None:
    """Real market: each hour's liquidations against the map before the hour."""
    _write(study_history(data))


@study.command
def positions(
    data: Annotated[Path, Parameter(help="folder with positions.csv and account_equity.csv")],
) -> None:
    """Measured accounts beside the prior of the cross law."""
    _write(study_positions(data))


@study.command
def cascades(
    *,
    worlds: int = 50,
    first_seed: int = 5000,
    folder: Annotated[Path, Parameter(help="where worlds are kept, a file a seed")] = Path(
        "build/cascades"
    ),
    minutes: Annotated[float, Parameter(help="simulate for so long at most, then report")] = 600.0,
) -> None:
    """Absorption, cascade states and projection in the built-in market, where the truth is known.

    Precision, recall and errors beside simpler rules, with 90 % intervals. A run that was stopped
    goes on where it was.
    """
    _write(cascade_study.study(first_seed, worlds, folder, budget_s=minutes * 60.0))
