"""The estimator's hand-set constants, one at a time, on worlds that may be tuned on.

Each row is the estimator of service with one constant changed. A constant is worth changing where a
row beats the one in force by more than `noise`: the standard error, over worlds, of the difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from liqfield.app.study.playback import shown
from liqfield.app.study.world_specs import WorldSpec
from liqfield.app.study.worlds import SETTINGS, Moment, on_window, play, scenes, score_maps
from liqfield.density.combine import combine
from liqfield.density.estimator import DensityEstimator
from liqfield.density.level import Level, Shown
from liqfield.density.settings import DensitySettings
from liqfield.lab.worlds import VenueWorld
from liqfield.model.estimates import LiquidationDensity
from liqfield.model.events import Liquidation
from liqfield.model.sides import Coverage, PositionSide, PriceKind
from liqfield.verify.field import FieldScore, facing

LEVEL = 0.8  # of the stated intervals
IN_FORCE = "in force"
# What the fit and the level depend on: a play each. What only the interval depends on: read again.
PLAYED: dict[str, dict[str, float]] = {
    "independent_h 0.5": {"independent_h": 0.5},
    "independent_h 5": {"independent_h": 5.0},
    "sampled_share 0.25": {"sampled_share": 0.25},
    "sampled_share 0.5": {"sampled_share": 0.5},
}
READ: dict[str, dict[str, float]] = {
    "spread 0.3": {"spread": 0.3},
    "spread 0.6": {"spread": 0.6},
    "heavy cross law: none": {"heavy_median": 2.0, "heavy_sigma": 0.72},
    "heavy cross law: 3.5x": {"heavy_median": 3.5},
    "heavy cross law: 6x": {"heavy_median": 6.0},
}
# Correlation of the venues' errors in one bin (`combine.COMMON`).
POOLED: dict[str, float] = {"common 0.2": 0.2, "common 0.8": 0.8}
ONE_A_SECOND = {
    Coverage.LARGEST_PER_SECOND: (Shown(0.01, 0.6), Shown(0.01, 1.0), Shown(0.1, 0.8)),
    Coverage.LATEST_PER_SECOND: (Shown(0.01, 1.5), Shown(0.1, 1.2), Shown(0.1, 1.5)),
}


class ConstantRow(msgspec.Struct, frozen=True):
    """Means over worlds. rms_ln_mass: of ln(mass / truth); coverage and coverage_sd: of the 80 %
    interval, between worlds; in_band: worlds of 75 to 85 %; off: mean of |coverage - 0.8|;
    interval_score: over mean truth, lower is better; noise: standard error of this row's difference
    to the one in force, of the squared ln mass, of `off` and of the score."""

    name: str
    rms_ln_mass: float
    wasserstein_bp: float
    correlation: float
    coverage: float
    coverage_sd: float
    in_band: int
    off: float
    interval_score: float
    noise: tuple[float, float, float]


class ShownRow(msgspec.Struct, frozen=True):
    """Feeds of one print a second: root mean square of ln(USD taken to be forced / forced)."""

    coverage: Coverage
    blend: float
    power: float
    rms_ln: float


class ConstantsReport(msgspec.Struct, frozen=True):
    """worlds: NAME:SEED; coverage_by_world: of the settings in force."""

    worlds: list[str]
    coverage_by_world: list[float]
    rows: list[ConstantRow]
    shown: list[ShownRow]


class _Scored(msgspec.Struct, frozen=True):
    score: FieldScore
    interval: float


def changed(settings: DensitySettings, values: dict[str, float]) -> DensitySettings:
    """Settings with some constants changed, of the law or of their own."""
    of_law = {k: v for k, v in values.items() if k in settings.law.__struct_fields__}
    own = {k: v for k, v in values.items() if k not in of_law}
    return msgspec.structs.replace(
        settings, law=msgspec.structs.replace(settings.law, **of_law), **own
    )


def study_constants(
    worlds: Iterable[tuple[WorldSpec, int]],
    folder: Path,
    *,
    only_interval: bool = False,
    settings: DensitySettings = SETTINGS,
) -> ConstantsReport:
    """1 + len(PLAYED) plays a world; only_interval: one, for what moves no mean."""
    names: list[str] = []
    scored: dict[str, list[_Scored]] = {}
    tapes: dict[tuple[Coverage, Shown], list[float]] = {}
    for spec, seed, world, moments in scenes(worlds, folder):
        names.append(f"{spec.name}:{seed}")
        played = {} if only_interval else PLAYED
        for name, found in _maps(spec, world, moments, seed, settings, played).items():
            scored.setdefault(name, []).append(_score(found, moments))
        if not only_interval:
            _read_tapes(world, seed, tapes)
    return ConstantsReport(
        worlds=names,
        coverage_by_world=[one.score.coverage for one in scored[IN_FORCE]],
        rows=[_row(name, found, scored[IN_FORCE]) for name, found in scored.items()],
        shown=[
            ShownRow(coverage, *how, float(np.sqrt(np.mean(np.square(errors)))))
            for (coverage, how), errors in sorted(tapes.items())
        ],
    )


def _maps(
    spec: WorldSpec,
    world: tuple[VenueWorld, ...],
    moments: list[Moment],
    seed: int,
    settings: DensitySettings,
    played: dict[str, dict[str, float]],
) -> dict[str, list[LiquidationDensity]]:
    variants = {name: changed(settings, values) for name, values in READ.items()}
    read: dict[str, list[list[LiquidationDensity]]] = {
        name: [[] for _ in moments] for name in variants
    }

    def also(estimator: DensityEstimator, at: int) -> None:
        for name, variant in variants.items():
            density = estimator.get_as(variant)
            if density is not None:
                read[name][at].append(density)

    def make(venue: VenueWorld) -> DensityEstimator:
        return DensityEstimator(venue.instrument, settings)

    base = play(spec, world, moments, make, seed, at_moment=also)
    out = {IN_FORCE: base.maps()}
    out |= {name: base.maps(common) for name, common in POOLED.items()}
    for name, found in read.items():
        whole = [combine(parts) for parts in found]
        out[name] = [one for one in whole if one is not None]
    for name, values in played.items():
        other = changed(settings, values)

        def with_other(venue: VenueWorld, other: DensitySettings = other) -> DensityEstimator:
            return DensityEstimator(venue.instrument, other)

        out[name] = play(spec, world, moments, with_other, seed).maps()
    return out


def _score(maps: list[LiquidationDensity], moments: list[Moment]) -> _Scored:
    interval = []
    for density, moment in zip(maps, moments, strict=True):
        low, high = (
            facing(on_window(part, density.grid, moment.grid))
            for part in (density.p10, density.p90)
        )
        truth = facing(moment.truth)
        missed = np.maximum(low - truth, 0.0) + np.maximum(truth - high, 0.0)
        score = (high - low + 2.0 / (1.0 - LEVEL) * missed).mean()
        interval.append(float(score / truth.mean()))
    return _Scored(score_maps(maps, moments), float(np.mean(interval)))


def _row(name: str, found: list[_Scored], base: list[_Scored]) -> ConstantRow:
    def columns(of: list[_Scored]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return np.array(
            [
                (
                    math.log(one.score.mass_ratio) ** 2,
                    abs(one.score.coverage - LEVEL),
                    one.interval,
                    one.score.wasserstein_bp,
                    one.score.correlation,
                    one.score.coverage,
                )
                for one in of
            ]
        )

    mine, theirs = columns(found), columns(base)
    mean = mine.mean(axis=0)
    noise = (mine - theirs)[:, :3].std(axis=0) / math.sqrt(max(len(mine) - 1, 1))
    band = np.abs(mine[:, 5] - LEVEL) <= 0.05
    return ConstantRow(
        name=name,
        rms_ln_mass=math.sqrt(mean[0]),
        wasserstein_bp=float(mean[3]),
        correlation=float(mean[4]),
        coverage=float(mean[5]),
        coverage_sd=float(mine[:, 5].std()),
        in_band=int(band.sum()),
        off=float(mean[1]),
        interval_score=float(mean[2]),
        noise=(float(noise[0]), float(noise[1]), float(noise[2])),
    )


def _read_tapes(
    world: tuple[VenueWorld, ...], seed: int, found: dict[tuple[Coverage, Shown], list[float]]
) -> None:
    """Every venue's forced orders as if its feed showed one a second."""
    for venue in world:
        prints = venue.prints
        usd = prints.quantity * prints.mark_price
        for coverage, ways in ONE_A_SECOND.items():
            index = shown(prints, coverage, 1.0, np.random.default_rng(seed)).tolist()
            if len(index) < 2:
                continue
            for how in ways:
                level = Level(1.0, math.inf, largest=how, latest=how)
                for i in index:
                    ns = int(prints.event_ns[i])
                    side = (PositionSide.LONG, PositionSide.SHORT)[prints.position_side[i]]
                    event = Liquidation(
                        venue.instrument.id, ns, ns, side, float(prints.quantity[i]),
                        float(prints.mark_price[i]), PriceKind.FILL, coverage,
                    )  # fmt: skip
                    level.print(event, float(usd[i]))
                error = math.log(sum(level.seen) / float(usd.sum()))
                found.setdefault((coverage, how), []).append(error)
