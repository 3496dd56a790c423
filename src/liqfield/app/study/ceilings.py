"""What of the truth public feeds can tell: the same filter with one hidden thing told at a time.

    nothing   as in service
    prints    every forced order of the venues that print, instead of what their feeds show
    level     ... and the share of what the mark sweeps that is force-closed
    cross     the law of cross openings, as the centre of its prior; the share of cross mode is not
    law       the law of all openings
    churn     the coins really opened and the exit rates; the law is fitted
    all       law and churn: the ceiling of `liqfield study worlds`

And what nothing but feeds could say of the total: the error of ln mass by venue regressed on what a
reader sees, scored on worlds that the regression was not fitted on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from liqfield.app.study.world_specs import WorldSpec
from liqfield.app.study.worlds import (
    SETTINGS,
    Moment,
    Played,
    play,
    scenes,
    score_maps,
    told,
    true_law,
    venue_errors,
)
from liqfield.density import law as laws
from liqfield.density.estimator import DensityEstimator
from liqfield.density.openings import Told
from liqfield.density.settings import DensitySettings
from liqfield.lab.worlds import VenueWorld
from liqfield.model.events import FloatArray
from liqfield.model.sides import Coverage
from liqfield.verify.field import FieldScore

SEEN_BY_A_READER = (
    "ln of forced USD seen a day over open interest",
    "ln turnover a day",
    "ln daily volatility",
    "ln forced share",
    "ln of what a heavy cross law would add",
    "share of cross within reach",
)
RIDGE = 1.0  # on standardised features: a prior of one standard deviation a coefficient
TINY = 1e-6


class KnownWorld(msgspec.Struct, frozen=True):
    """scores: by what was told; posterior_sd: of ln mass near the mark, as the filter states it."""

    name: str
    seed: int
    scores: dict[str, FieldScore]
    posterior_sd: float


class MassRegression(msgspec.Struct, frozen=True):
    """Root mean squares of ln(mass / truth) by venue: as is, less the mean of the other worlds,
    less what the regression on the other worlds says."""

    venues: int
    features: tuple[str, ...]
    rms: float
    rms_less_mean: float
    rms_less_regression: float


class CeilingReport(msgspec.Struct, frozen=True):
    """rms_ln_mass, wasserstein_bp, correlation, coverage: over worlds, by what was told."""

    worlds: list[KnownWorld]
    rms_ln_mass: dict[str, float]
    wasserstein_bp: dict[str, float]
    correlation: dict[str, float]
    coverage: dict[str, float]
    regression: MassRegression


def study_ceilings(
    worlds: Iterable[tuple[WorldSpec, int]],
    folder: Path,
    *,
    only_mass: bool = False,
    settings: DensitySettings = SETTINGS,
) -> CeilingReport:
    """Eight plays a world; only_mass: one, for the regression alone."""
    known: list[KnownWorld] = []
    features: list[FloatArray] = []
    errors: list[FloatArray] = []
    for spec, seed, world, moments in scenes(worlds, folder):
        played = _by_what_is_told(spec, world, moments, seed, settings, only_mass=only_mass)
        ours = played["nothing"]
        known.append(
            KnownWorld(
                spec.name,
                seed,
                {name: score_maps(one.maps(), moments) for name, one in played.items()},
                float(np.mean([one.law.near_sd for one in ours.estimators])),
            )
        )
        features.append(_features(ours))
        errors.append(venue_errors(ours, moments))
    return CeilingReport(
        worlds=known,
        rms_ln_mass=_over(known, lambda s: math.log(s.mass_ratio), rms=True),
        wasserstein_bp=_over(known, lambda s: s.wasserstein_bp),
        correlation=_over(known, lambda s: s.correlation),
        coverage=_over(known, lambda s: s.coverage),
        regression=regress(features, errors),
    )


def _over(
    known: list[KnownWorld], of: Callable[[FieldScore], float], *, rms: bool = False
) -> dict[str, float]:
    out = {}
    for name in known[0].scores if known else ():
        values = np.array([of(one.scores[name]) for one in known])
        out[name] = float(np.sqrt(np.mean(values**2)) if rms else np.mean(values))
    return out


def _by_what_is_told(
    spec: WorldSpec,
    world: tuple[VenueWorld, ...],
    moments: list[Moment],
    seed: int,
    settings: DensitySettings,
    *,
    only_mass: bool,
) -> dict[str, Played]:
    whole = {
        venue: None if shown is None else Coverage.COMPLETE for venue, shown in spec.feeds.items()
    }
    run = partial(play, spec, world, moments, seed=seed)

    def make(venue: VenueWorld, what: Told | None = None) -> DensityEstimator:
        return DensityEstimator(venue.instrument, settings, told=what)

    played = {"nothing": run(make)}
    if only_mass:
        return played
    played["prints"] = run(make, feeds=whole)
    everything = run(lambda v: make(v, told(spec, v)), feeds=whole)
    forced = {one.instrument.id: one.forced_shares() for one in everything.estimators}

    def levelled(venue: VenueWorld) -> DensityEstimator:
        share = min(float(forced[venue.instrument.id].mean()), 1.0)
        known = msgspec.structs.replace(settings, forced_share=share, forced_log_sd=0.03)
        return DensityEstimator(venue.instrument, known)

    def of_cross(venue: VenueWorld) -> Told:
        prior = laws.class_shares(settings.law, laws.top_leverage(venue.tiers))
        cross = true_law(spec, venue).shares[laws.IS_CROSS]
        prior[laws.IS_CROSS] = cross * prior[laws.IS_CROSS].sum() / cross.sum()
        return Told(prior=prior)

    played["level"] = run(levelled, feeds=whole)
    played["cross"] = run(lambda v: make(v, of_cross(v)))
    played["law"] = run(lambda v: make(v, told(spec, v, with_churn=False)))
    played["churn"] = run(lambda v: make(v, told(spec, v, with_law=False)))
    played["all"] = run(lambda v: make(v, told(spec, v)))
    return played


def _features(played: Played) -> FloatArray:
    """float64[venues, features], of SEEN_BY_A_READER."""
    rows = []
    for one, density in zip(played.estimators, played.parts[-1], strict=True):
        near = one.would_sweep(one.mark / 1.1, one.mark * 1.1).sum(axis=0)
        days = one.settings.level_half_life_h / math.log(2.0) / 24.0
        rows.append(
            (
                math.log(TINY + sum(one.level.seen) / days / density.open_interest_usd),
                math.log(TINY + one.pace[0]),
                0.5 * math.log(TINY + one.pace[1]),
                float(np.log(one.forced_shares()).mean()),
                math.log(TINY + one.law.near_heavier),
                float(near[laws.IS_CROSS].sum() / max(near.sum(), TINY)),
            )
        )
    return np.array(rows)


def regress(features: list[FloatArray], errors: list[FloatArray]) -> MassRegression:
    """Ridge regression; each world's venues are predicted from the other worlds' alone."""
    less_mean, less_regression = [], []
    for left in range(len(errors)):
        rest = [k for k in range(len(errors)) if k != left]
        if not rest:
            break
        x, y = (
            np.concatenate([features[k] for k in rest]),
            np.concatenate([errors[k] for k in rest]),
        )
        centre, scale = x.mean(axis=0), np.maximum(x.std(axis=0), TINY)
        z = (x - centre) / scale
        slope = np.linalg.solve(z.T @ z + RIDGE * np.eye(z.shape[1]), z.T @ (y - y.mean()))
        told_by = y.mean() + (features[left] - centre) / scale @ slope
        less_mean.append(errors[left] - y.mean())
        less_regression.append(errors[left] - told_by)

    def rms(parts: list[FloatArray]) -> float:
        return float(np.sqrt(np.mean(np.concatenate(parts) ** 2))) if parts else math.nan

    return MassRegression(
        venues=sum(len(part) for part in errors),
        features=SEEN_BY_A_READER,
        rms=rms(errors),
        rms_less_mean=rms(less_mean),
        rms_less_regression=rms(less_regression),
    )
