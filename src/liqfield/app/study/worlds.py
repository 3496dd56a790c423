"""The known-truth proof: estimate against truth, beside the naive ladder and a told filter.

The ceiling is the same filter, told what no reader of feeds can know: the world's law of openings,
its exit rates and the coins really opened. Its score is what the model's form allows.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from liqfield.app.study.playback import MINUTE_NS, events
from liqfield.app.study.world_cache import load_world
from liqfield.app.study.world_specs import WORLDS, Role, WorldSpec
from liqfield.density import law as laws
from liqfield.density.combine import combine
from liqfield.density.estimator import DensityEstimator
from liqfield.density.openings import Told
from liqfield.density.settings import DensitySettings
from liqfield.lab.market_truth import density_of
from liqfield.lab.worlds import VenueWorld, opening_draws
from liqfield.model.estimates import LiquidationDensity
from liqfield.model.events import FloatArray
from liqfield.model.grid import PriceGrid, rebin
from liqfield.verify import baselines
from liqfield.verify.field import FieldScore, field_window, gap_closed, mean_score, score_field

DAY_NS = 86_400_000_000_000
# Bins of 0.1 %, as scored: intervals of these bins are what is published, not sums of finer ones.
SETTINGS = DensitySettings(bin_width=0.001, bin_count=2000)


class WorldReport(msgspec.Struct, frozen=True):
    """One world: mean scores over its snapshots and the share of the gap closed."""

    name: str
    role: Role
    seed: int
    snapshots: int
    naive: FieldScore
    profile: FieldScore
    ours: FieldScore
    ceiling: FieldScore
    closed_correlation: float
    closed_wasserstein: float
    churn_true_per_day: float
    churn_ours_per_day: float


class _Moment(msgspec.Struct, frozen=True, eq=False):
    at_ns: int
    mark: float
    grid: PriceGrid
    truth: FloatArray


def _moments(world: tuple[VenueWorld, ...], burn_days: float) -> list[_Moment]:
    first_ns = int(world[0].history.candle_end_ns[0])
    out = []
    for i, shot in enumerate(world[0].snapshots):
        if shot.at_ns < first_ns + burn_days * DAY_NS:
            continue
        grid = field_window(shot.mark)
        shots = [venue.snapshots[i] for venue in world]
        truth = np.sum([density_of(s.positions, s.mark, grid)[0] for s in shots], axis=0)
        out.append(_Moment(shot.at_ns, shot.mark, grid, truth))
    return out


def _naive(world: tuple[VenueWorld, ...], moment: _Moment) -> tuple[FloatArray, FloatArray]:
    """The ladder and the shifted profile, USD [2, 160]."""
    grid = moment.grid
    centres = np.log(grid.centres())
    mark = float(np.log(moment.mark))
    ladder, profile = np.zeros((2, grid.count)), np.zeros((2, grid.count))
    for venue in world:
        past = venue.history
        known = past.oi_ns <= moment.at_ns
        entry = np.log(past.mark[np.searchsorted(past.candle_end_ns, past.oi_ns[known]), 3])
        oi = past.open_interest[known]
        ladder += baselines.naive_ladder(centres, mark, entry, np.diff(oi, prepend=oi[0]))
        candles = past.candle_end_ns <= moment.at_ns
        traded = np.log(past.last[candles, 3])
        profile += baselines.shifted_profile(centres, mark, traded, past.volume[candles])
    return ladder * moment.mark, profile * moment.mark


def _told(spec: WorldSpec, venue: VenueWorld) -> Told:
    """What the ceiling filter is told."""
    index = spec.venues.index(venue.instrument.venue)
    weights = []
    for notional, leverage, is_cross in opening_draws(spec.market(1.0), index):
        isolated = np.abs(np.log(leverage[:, None] / laws.CLASS_LEVERAGE[:20])).argmin(axis=1)
        cross = np.clip(np.searchsorted(laws.EDGES, leverage) - 1, 0, 19) + 20
        share = np.bincount(np.where(is_cross, cross, isolated), notional, laws.CLASSES)
        weights.append(share / share.sum())
    minutes = int(venue.history.candle_end_ns[0]) - MINUTE_NS
    return Told(
        weights=np.stack(weights),
        rates=(laws.CLASS_LEVERAGE / 3.0) ** spec.positions.holding_tilt,
        begin_ns=minutes,
        every_ns=MINUTE_NS,
        opened=np.concatenate(([0.0], np.cumsum(venue.opened.mean(axis=1)))),
    )


def _play(
    spec: WorldSpec,
    world: tuple[VenueWorld, ...],
    moments: list[_Moment],
    settings: DensitySettings,
    seed: int,
    *,
    is_told: bool,
) -> tuple[list[LiquidationDensity], float]:
    """(the map at each moment, OI replaced a day)."""
    found: list[list[LiquidationDensity]] = [[] for _ in moments]
    turned = 0.0
    for v, venue in enumerate(world):
        told = _told(spec, venue) if is_told else None
        estimator = DensityEstimator(venue.instrument, settings, told=told)
        at = 0
        facts = events(venue, spec.feeds[venue.instrument.venue], spec.sampled_share, seed + v)
        for event in facts:
            while at < len(moments) and event.event_ns > moments[at].at_ns:
                found[at] += _known(estimator)
                at += 1
            estimator.update(event)
        for late in range(at, len(moments)):
            found[late] += _known(estimator)
        turned += estimator.trust.turned / len(world)
    days = (moments[-1].at_ns - int(world[0].history.candle_end_ns[0])) / DAY_NS
    maps = [combine(parts) for parts in found]
    return [one for one in maps if one is not None], turned / days


def _known(estimator: DensityEstimator) -> list[LiquidationDensity]:
    density = estimator.get()
    return [] if density is None else [density]


def _scores(maps: list[LiquidationDensity], moments: list[_Moment]) -> FieldScore:
    scores = []
    for density, moment in zip(maps, moments, strict=True):
        usd, p10, p90 = density.notional_usd.sum(axis=1), density.p10, density.p90
        on = [
            np.stack([rebin(part[side], density.grid, moment.grid)[0] for side in range(2)])
            for part in (usd, p10, p90)
        ]
        scores.append(score_field(on[0], moment.truth, on[1], on[2]))
    return mean_score(scores)


def study_world(
    spec: WorldSpec,
    seed: int,
    folder: Path,
    *,
    days: float = 7.0,
    burn_days: float = 4.0,
    snapshot_h: float = 4.0,
    settings: DensitySettings = SETTINGS,
) -> WorldReport:
    """One world: simulate (or load), play its feeds to the filter, score every snapshot."""
    world = load_world(spec, seed, days, snapshot_h, folder)
    moments = _moments(world, burn_days)
    ladders, profiles = [], []
    for moment in moments:
        ladder, profile = _naive(world, moment)
        ladders.append(score_field(ladder, moment.truth))
        profiles.append(score_field(profile, moment.truth))
    ours, turned = _play(spec, world, moments, settings, seed, is_told=False)
    best, _ = _play(spec, world, moments, settings, seed, is_told=True)
    naive, score, ceiling = mean_score(ladders), _scores(ours, moments), _scores(best, moments)
    true = [v.opened.mean(axis=1).sum() / v.history.open_interest.mean() / days for v in world]
    return WorldReport(
        name=spec.name,
        role=spec.role,
        seed=seed,
        snapshots=len(moments),
        naive=naive,
        profile=mean_score(profiles),
        ours=score,
        ceiling=ceiling,
        closed_correlation=gap_closed(score.correlation, naive.correlation, ceiling.correlation),
        closed_wasserstein=gap_closed(
            score.wasserstein_bp, naive.wasserstein_bp, ceiling.wasserstein_bp
        ),
        churn_true_per_day=float(np.mean(true)),
        churn_ours_per_day=turned,
    )


def study_worlds(
    seed: int, folder: Path, names: Iterable[str] = (), *, days: float = 7.0
) -> list[WorldReport]:
    """Every world, or those named."""
    chosen = set(names)
    return [
        study_world(spec, seed, folder, days=days)
        for spec in WORLDS
        if not chosen or spec.name in chosen
    ]
