"""How often the truth lies in the stated intervals, world by world, and how often it would if they
were perfectly honest.

A world has one law of openings, so that its bins err together: an interval that holds 80 % over all
worlds holds more in some and less in others. How much so is found by drawing truths from what the
map itself states: one error of the law by leverage band for the whole run, an error of its own for
every bin, and positions one by one. The published intervals are scored against each draw as they
are against the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from liqfield.app.study.world_accounts import counted_by_hour
from liqfield.app.study.world_specs import PUBLIC_VENUES, WorldSpec
from liqfield.app.study.worlds import SETTINGS, Moment, Played, on_window, play, scenes, told
from liqfield.density.combine import COMMON
from liqfield.density.estimator import DensityEstimator
from liqfield.density.readout import POSITIONS_PER_LUMP
from liqfield.density.settings import DensitySettings
from liqfield.lab.worlds import VenueWorld
from liqfield.model.estimates import LiquidationDensity
from liqfield.model.events import FloatArray
from liqfield.verify.field import REACH, WIDTH, facing

Flags = npt.NDArray[np.bool_]
LEVEL, NEAR = 0.8, 0.05  # stated; a world within NEAR of it is in the band that issue 3 asks for
DRAWS = 200
Q90 = 1.2815515655446004  # of a standard normal law
DISTANCE: FloatArray = np.abs(np.arange(2 * REACH) - (REACH - 0.5)) * WIDTH
NOTHING, ACCOUNTS, ALL = "nothing", "accounts", "all"
# Bins by distance from the mark, and by the number of positions that the map expects there.
BY_DISTANCE = ((0.0, 0.005), (0.005, 0.01), (0.01, 0.02), (0.02, 0.04), (0.04, 0.08))
BY_POSITIONS = ((0.0, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 16.0), (16.0, math.inf))


class Share(msgspec.Struct, frozen=True):
    """Shares of bins: truth inside [p10, p90], below, above; of: of all bins; empty: without
    any position."""

    inside: float
    below: float
    above: float
    of: float
    empty: float


class Honest(msgspec.Struct, frozen=True):
    """Coverage of a world over drawn truths: mean, 10 % and 90 % quantile; in_band: share of draws
    with 75 to 85 %."""

    mean: float
    low: float
    high: float
    in_band: float


class WorldCoverage(msgspec.Struct, frozen=True):
    """mass_ratio: map over truth; total_right: coverage once map and interval are multiplied by
    what puts that right."""

    name: str
    seed: int
    mass_ratio: float
    share: Share
    total_right: float
    honest: Honest
    by_distance: dict[str, Share]
    by_positions: dict[str, Share]


class Spread(msgspec.Struct, frozen=True):
    """Over worlds. sd: of coverage between them; off: mean of |coverage - 0.8|; in_band: share of
    worlds with 75 to 85 %."""

    mean: float
    sd: float
    off: float
    in_band: float


class FilterCoverage(msgspec.Struct, frozen=True):
    """told: what the filter was told (`ceilings`); honest_low, honest_high: 10 % and 90 % quantiles
    of `measured` over drawn truths."""

    told: str
    measured: Spread
    total_right: Spread
    honest_low: Spread
    honest_high: Spread
    by_distance: dict[str, Share]
    by_positions: dict[str, Share]
    worlds: list[WorldCoverage]


def study_coverage(
    worlds: Iterable[tuple[WorldSpec, int]],
    folder: Path,
    *,
    accounts: bool = False,
    settings: DensitySettings = SETTINGS,
) -> list[FilterCoverage]:
    """Two plays a world, of the filter in service and of one told all; accounts: one more, with
    what public accounts open, on worlds that have a venue with them."""
    if accounts:
        worlds = [(spec.small(PUBLIC_VENUES), seed) for spec, seed in worlds]
    found: dict[str, list[tuple[WorldCoverage, FloatArray]]] = {}
    for spec, seed, world, moments in scenes(worlds, folder):

        def in_service(venue: VenueWorld) -> DensityEstimator:
            return DensityEstimator(venue.instrument, settings)

        def ceiling(venue: VenueWorld, spec: WorldSpec = spec) -> DensityEstimator:
            return DensityEstimator(venue.instrument, settings, told=told(spec, venue))

        plays = {NOTHING: play(spec, world, moments, in_service, seed)}
        if accounts:
            counted = counted_by_hour(world, seed)
            plays[ACCOUNTS] = play(spec, world, moments, in_service, seed, counted=counted)
        plays[ALL] = play(spec, world, moments, ceiling, seed)
        for name, played in plays.items():
            one = _of_world(spec.name, seed, played, moments)
            found.setdefault(name, []).append(one)
    return [_of_filter(name, *zip(*rows, strict=True)) for name, rows in found.items()]


def _of_world(
    name: str, seed: int, played: Played, moments: list[Moment]
) -> tuple[WorldCoverage, FloatArray]:
    """What was measured, and the coverage of each draw [DRAWS]."""
    truth = np.stack([facing(moment.truth) for moment in moments])
    whole = played.maps()
    usd, p10, p90 = (
        np.stack(
            [facing(on_window(of(d), d.grid, m.grid)) for d, m in zip(whole, moments, strict=True)]
        )
        for of in (_usd, lambda d: d.p10, lambda d: d.p90)
    )
    right = truth.sum() / usd.sum()
    lumps = np.array([d.errs.lump_usd for d in whole])[:, None]
    positions = usd / lumps * POSITIONS_PER_LUMP
    at = np.broadcast_to(DISTANCE, truth.shape)
    drawn = drawn_coverage(played.parts, moments, p10, p90, np.random.default_rng(seed))
    return WorldCoverage(
        name=name,
        seed=seed,
        mass_ratio=float(1.0 / right),
        share=_share(truth, p10, p90, np.full(truth.shape, fill_value=True)),
        total_right=_share(truth / right, p10, p90, truth >= 0.0).inside,
        honest=Honest(
            float(drawn.mean()),
            float(np.quantile(drawn, 0.1)),
            float(np.quantile(drawn, 0.9)),
            float((np.abs(drawn - LEVEL) <= NEAR).mean()),
        ),
        by_distance=_by(at * 100.0, 100.0 * np.array(BY_DISTANCE), truth, p10, p90),
        by_positions=_by(positions, np.array(BY_POSITIONS), truth, p10, p90),
    ), drawn


def _usd(density: LiquidationDensity) -> FloatArray:
    out: FloatArray = density.notional_usd.sum(axis=1)
    return out


def drawn_coverage(
    parts: Sequence[Sequence[LiquidationDensity]],
    moments: Sequence[Moment],
    p10: FloatArray,
    p90: FloatArray,
    random: np.random.Generator,
    draws: int = DRAWS,
) -> FloatArray:
    """float64[draws]: share of bins [moments, 160] of the pooled interval that hold a truth drawn
    from what the venues' maps (by moment) state.

    The law's error and the answer to how heavily cross is levered are one for the whole run, and a
    bin's own error goes with its price; positions are drawn anew at every moment, of sizes whose
    mean weighted by notional is POSITIONS_PER_LUMP times the plain one. Where positions stay longer
    than a moment, worlds spread a little more than this says.
    """
    first = min(moment.grid.first_bin for moment in moments)
    last = max(moment.grid.first_bin for moment in moments) + 2 * REACH
    venues = len(parts[0])
    band_z = _correlated(random.normal(size=(1 + venues, draws, 3)))
    bin_z = _correlated(random.normal(size=(1 + venues, draws, last - first)))
    heavy = np.maximum(_correlated(random.normal(size=(1 + venues, draws, 1, 1))), 0.0) / Q90
    inside = np.zeros(draws)
    for venue_maps, moment, low, high in zip(parts, moments, p10, p90, strict=True):
        at = moment.grid.first_bin - first
        truth = np.zeros((draws, 2 * REACH))
        for v, density in enumerate(venue_maps):
            errs = density.errs
            root = _root(errs.bands)
            law = np.exp(band_z[v] @ root.T - 0.5 * np.diag(errs.bands))[:, :, None]
            log_sd = math.sqrt(math.log1p(errs.own))
            own = np.exp(log_sd * bin_z[v][:, at : at + 2 * REACH] - 0.5 * log_sd**2)
            bands = np.stack(
                [
                    facing(on_window(density.notional_usd[:, b], density.grid, moment.grid))
                    for b in range(3)
                ]
            )
            factors = law * (1.0 + heavy[v] * errs.heavier[None, :, None])
            mean = (bands * factors).sum(axis=1) * own
            size = errs.lump_usd / POSITIONS_PER_LUMP
            number = random.poisson(mean / size)
            truth += size * random.standard_gamma(np.maximum(number, 1e-9)) * (number > 0)
        inside += ((truth >= low) & (truth <= high)).mean(axis=1)
    return inside / len(moments)


def _correlated(normal: FloatArray) -> FloatArray:
    """Standard normals [venues, ...] of correlation COMMON, from independent ones, one more."""
    out: FloatArray = math.sqrt(COMMON) * normal[:1] + math.sqrt(1.0 - COMMON) * normal[1:]
    return out


def _root(covariance: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(covariance)
    out: FloatArray = vectors * np.sqrt(np.maximum(values, 0.0))
    return out


def _share(truth: FloatArray, p10: FloatArray, p90: FloatArray, which: Flags) -> Share:
    count = max(int(which.sum()), 1)
    below, above = (truth < p10) & which, (truth > p90) & which
    outside = float((below | above).sum() / count)
    return Share(
        inside=1.0 - outside if which.any() else math.nan,
        below=float(below.sum() / count),
        above=float(above.sum() / count),
        of=float(which.mean()),
        empty=float(((truth == 0.0) & which).sum() / count),
    )


def _by(
    values: FloatArray, ranges: FloatArray, truth: FloatArray, p10: FloatArray, p90: FloatArray
) -> dict[str, Share]:
    return {
        f"{low:g} to {high:g}": _share(truth, p10, p90, (values >= low) & (values < high))
        for low, high in ranges
    }


def _of_filter(
    name: str, worlds: Sequence[WorldCoverage], drawn: Sequence[FloatArray]
) -> FilterCoverage:
    by_draw = [_spread(column) for column in np.array(drawn).T]
    return FilterCoverage(
        told=name,
        measured=_spread(np.array([one.share.inside for one in worlds])),
        total_right=_spread(np.array([one.total_right for one in worlds])),
        honest_low=_over_draws(by_draw, 0.1),
        honest_high=_over_draws(by_draw, 0.9),
        by_distance=_mean_shares([one.by_distance for one in worlds]),
        by_positions=_mean_shares([one.by_positions for one in worlds]),
        worlds=list(worlds),
    )


def _spread(coverage: FloatArray) -> Spread:
    off = np.abs(coverage - LEVEL)
    return Spread(
        float(coverage.mean()),
        float(coverage.std()),
        float(off.mean()),
        float((off <= NEAR).mean()),
    )


def _over_draws(of: list[Spread], q: float) -> Spread:
    columns = np.array([msgspec.structs.astuple(one) for one in of])
    return Spread(*np.quantile(columns, q, axis=0).tolist())


def _mean_shares(of: Sequence[dict[str, Share]]) -> dict[str, Share]:
    """Means over the worlds that have such bins; of: over all worlds."""
    out = {}
    for key in of[0]:
        rows = np.array([msgspec.structs.astuple(one[key]) for one in of])
        some = rows[rows[:, 3] > 0.0]
        mean = some.mean(axis=0) if len(some) else np.full(5, math.nan)
        mean[3] = rows[:, 3].mean()
        out[key] = Share(*mean.tolist())
    return out
