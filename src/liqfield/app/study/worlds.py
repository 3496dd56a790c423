"""The known-truth proof: estimate against truth, beside the naive ladder and a told filter.

The ceiling is the same filter, told what no reader of feeds can know: the world's law of openings,
its exit rates and the coins really opened. Its score is what the model's form allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from liqfield.app.study.playback import events
from liqfield.app.study.world_accounts import counted_by_hour
from liqfield.app.study.world_cache import load_world
from liqfield.app.study.world_specs import SMALL_VENUES, WORLDS, Role, WorldSpec
from liqfield.density import law as laws
from liqfield.density.combine import COMMON, combine
from liqfield.density.counted import CountedOpenings
from liqfield.density.estimator import DensityEstimator
from liqfield.density.openings import Told
from liqfield.density.settings import DensitySettings
from liqfield.lab.market_truth import density_of
from liqfield.lab.worlds import VenueWorld, opening_draws
from liqfield.model.durations import DAY_NS, MINUTE_NS
from liqfield.model.errors import SettingError
from liqfield.model.estimates import LiquidationDensity
from liqfield.model.events import FloatArray
from liqfield.model.grid import PriceGrid, rebin
from liqfield.model.sides import Coverage
from liqfield.verify import baselines
from liqfield.verify.field import (
    FieldScore,
    facing,
    field_window,
    gap_closed,
    mean_score,
    score_field,
)

DAYS, BURN_DAYS, SNAPSHOT_H = 7.0, 4.0, 4.0  # simulated; not scored at first; between snapshots
# Bins of 0.1 %, as scored: intervals of these bins are what is published, not sums of finer ones.
SETTINGS = DensitySettings(bin_width=0.001, bin_count=2000)


class CountedReport(msgspec.Struct, frozen=True):
    """The same filter when it is told what public accounts open, at each venue by its own (`score`)
    and by the venue's mass over truth; counted: positions in effect at the end."""

    score: FieldScore
    closed_correlation: float
    closed_wasserstein: float
    counted: float
    mass_by_venue: dict[str, float]
    mass_by_venue_without: dict[str, float]


class WorldReport(msgspec.Struct, frozen=True):
    """One world: mean scores over its snapshots and the share of the gap closed.

    mark_low, mark_high: USD, of the first venue over the whole run: a market whose forced orders
    ran away with it is no likeness of a real one. with_accounts: where they were asked for and the
    world has a venue that shows them.
    """

    name: str
    role: Role
    seed: int
    snapshots: int
    mark_low: float
    mark_high: float
    naive: FieldScore
    profile: FieldScore
    ours: FieldScore
    ceiling: FieldScore
    closed_correlation: float
    closed_wasserstein: float
    churn_true_per_day: float
    churn_ours_per_day: float
    with_accounts: CountedReport | None = None


class Moment(msgspec.Struct, frozen=True, eq=False):
    """A scored snapshot: the truth on grid, USD, of all venues [2, 160], of each [v, 2, 160]."""

    at_ns: int
    mark: float
    grid: PriceGrid
    truth: FloatArray
    by_venue: FloatArray


def moments_of(world: tuple[VenueWorld, ...], burn_days: float) -> list[Moment]:
    """The snapshots after the first days, in which the filter forgets what it had to assume."""
    first_ns = int(world[0].history.candle_end_ns[0])
    out = []
    for i, shot in enumerate(world[0].snapshots):
        if shot.at_ns < first_ns + burn_days * DAY_NS:
            continue
        grid = field_window(shot.mark)
        shots = [venue.snapshots[i] for venue in world]
        truth = np.stack([density_of(s.positions, s.mark, grid)[0] for s in shots])
        out.append(Moment(shot.at_ns, shot.mark, grid, truth.sum(axis=0), truth))
    return out


def scenes(
    worlds: Iterable[tuple[WorldSpec, int]], folder: Path, days: float = DAYS
) -> Iterator[tuple[WorldSpec, int, tuple[VenueWorld, ...], list[Moment]]]:
    """Each world and seed with what was simulated (or loaded) and the snapshots to be scored."""
    for spec, seed in worlds:
        world = load_world(spec, seed, days, SNAPSHOT_H, folder)
        yield spec, seed, world, moments_of(world, BURN_DAYS)


def _naive(world: tuple[VenueWorld, ...], moment: Moment) -> tuple[FloatArray, FloatArray]:
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


class TrueLaw(NamedTuple):
    """Of what a world opens, by class, float64[40]: shares of notional; relative exit rates, 1 at
    3x, at which all that is opened in a class lives as long on average as it does one by one: a
    class is as wide as from nothing to 1.2x, where rates differ by a factor of two and more."""

    shares: FloatArray
    rates: FloatArray


def true_law(spec: WorldSpec, venue: VenueWorld) -> TrueLaw:
    """As the world draws it: takers are `taker_share` of openings by number, of smaller size."""
    index = spec.venues.index(venue.instrument.venue)
    law = spec.laws.get(venue.instrument.venue, spec.positions)
    opened, lives = np.zeros(laws.CLASSES), np.zeros(laws.CLASSES)
    drawn = opening_draws(spec.market(1.0), index)
    for part, draws in zip((law.taker_share, 1.0 - law.taker_share), drawn, strict=True):
        notional, leverage, is_cross = draws
        isolated = np.abs(np.log(leverage[:, None] / laws.CLASS_LEVERAGE[:20])).argmin(axis=1)
        cross = np.clip(np.searchsorted(laws.EDGES, leverage) - 1, 0, 19) + 20
        at = np.where(is_cross, cross, isolated)
        life = (3.0 / leverage) ** law.holding_tilt
        opened += part * np.bincount(at, notional, laws.CLASSES)
        lives += part * np.bincount(at, notional * life, laws.CLASSES)
    centre = (laws.CLASS_LEVERAGE / 3.0) ** law.holding_tilt
    rates = np.where(lives > 0.0, opened / np.maximum(lives, 1e-300), centre)
    return TrueLaw(opened / opened.sum(), rates)


def told(
    spec: WorldSpec, venue: VenueWorld, *, with_law: bool = True, with_churn: bool = True
) -> Told:
    """What a ceiling filter is told: the law of openings; exit rates and the coins opened."""
    out, true = Told(), true_law(spec, venue)
    if with_law:
        out = msgspec.structs.replace(out, weights=np.stack((true.shares, true.shares)))
    if with_churn:
        out = msgspec.structs.replace(
            out,
            rates=true.rates,
            begin_ns=int(venue.history.candle_end_ns[0]) - MINUTE_NS,
            every_ns=MINUTE_NS,
            opened=np.concatenate(([0.0], np.cumsum(venue.opened.mean(axis=1)))),
        )
    return out


class Played(NamedTuple):
    """parts: the venues' maps at each moment; estimators: of each venue, at the end."""

    parts: list[list[LiquidationDensity]]
    estimators: list[DensityEstimator]

    def maps(self, common: float = COMMON) -> list[LiquidationDensity]:
        """The venues' maps as one, by moment; common: correlation of their errors."""
        found = [combine(parts, common) for parts in self.parts]
        return [one for one in found if one is not None]


def play(
    spec: WorldSpec,
    world: tuple[VenueWorld, ...],
    moments: list[Moment],
    make: Callable[[VenueWorld], DensityEstimator],
    seed: int,
    feeds: Mapping[str, Coverage | None] | None = None,
    at_moment: Callable[[DensityEstimator, int], None] | None = None,
    counted: Sequence[tuple[int, CountedOpenings]] = (),
) -> Played:
    """Each venue's public facts folded by the estimator that `make` gives; feeds: other than the
    world's own; at_moment: called with each venue's estimator and the number of the moment;
    counted: openings of public accounts, by the hour, which every estimator is told of."""
    shows = spec.feeds if feeds is None else feeds
    found: list[list[LiquidationDensity]] = [[] for _ in moments]
    estimators = []
    for v, venue in enumerate(world):
        estimator = make(venue)

        def look(at: int, estimator: DensityEstimator = estimator) -> None:
            found[at] += _known(estimator)
            if at_moment is not None:
                at_moment(estimator, at)

        at = told_of = 0
        facts = events(venue, shows[venue.instrument.venue], spec.sampled_share, seed + v)
        for event in facts:
            while at < len(moments) and event.event_ns > moments[at].at_ns:
                look(at)
                at += 1
            while told_of < len(counted) and event.event_ns > counted[told_of][0]:
                estimator.learn_openings(counted[told_of][1])
                told_of += 1
            estimator.update(event)
        for late in range(at, len(moments)):
            look(late)
        estimators.append(estimator)
    return Played(found, estimators)


def _known(estimator: DensityEstimator) -> list[LiquidationDensity]:
    density = estimator.get()
    return [] if density is None else [density]


def on_window(values: FloatArray, grid: PriceGrid, window: PriceGrid) -> FloatArray:
    """Values[2, n] of a lattice on another of the same width, [2, window.count]."""
    return np.stack([rebin(values[side], grid, window)[0] for side in range(2)])


def score_maps(maps: list[LiquidationDensity], moments: list[Moment]) -> FieldScore:
    """Mean score of maps at their moments."""
    scores = []
    for density, moment in zip(maps, moments, strict=True):
        usd, p10, p90 = density.notional_usd.sum(axis=1), density.p10, density.p90
        on = [on_window(part, density.grid, moment.grid) for part in (usd, p10, p90)]
        scores.append(score_field(on[0], moment.truth, on[1], on[2]))
    return mean_score(scores)


def study_world(
    spec: WorldSpec,
    seed: int,
    folder: Path,
    *,
    days: float = DAYS,
    settings: DensitySettings = SETTINGS,
    accounts: bool = False,
) -> WorldReport:
    """One world: simulate (or load), play its feeds to the filter, score every snapshot; accounts:
    once more with what public accounts open."""
    ((_, _, world, moments),) = scenes([(spec, seed)], folder, days)
    ladders, profiles = [], []
    for moment in moments:
        ladder, profile = _naive(world, moment)
        ladders.append(score_field(ladder, moment.truth))
        profiles.append(score_field(profile, moment.truth))

    def make(venue: VenueWorld) -> DensityEstimator:
        return DensityEstimator(venue.instrument, settings)

    ours = play(spec, world, moments, make, seed)
    best = play(
        spec,
        world,
        moments,
        lambda v: DensityEstimator(v.instrument, settings, told=told(spec, v)),
        seed,
    )
    turned = float(np.mean([one.trust.turned for one in ours.estimators]))
    scored_days = (moments[-1].at_ns - int(world[0].history.candle_end_ns[0])) / DAY_NS
    naive = mean_score(ladders)
    score, ceiling = score_maps(ours.maps(), moments), score_maps(best.maps(), moments)
    counted = counted_by_hour(world, seed) if accounts else []
    with_accounts = None
    if counted:
        fed = play(spec, world, moments, make, seed, counted=counted)
        fed_score = score_maps(fed.maps(), moments)
        correlation, wasserstein = _closed(fed_score, naive, ceiling)
        with_accounts = CountedReport(
            score=fed_score,
            closed_correlation=correlation,
            closed_wasserstein=wasserstein,
            counted=counted[-1][1].effective,
            mass_by_venue=_mass_by_venue(spec, fed, moments),
            mass_by_venue_without=_mass_by_venue(spec, ours, moments),
        )
    correlation, wasserstein = _closed(score, naive, ceiling)
    true = [v.opened.mean(axis=1).sum() / v.history.open_interest.mean() / days for v in world]
    return WorldReport(
        name=spec.name,
        role=spec.role,
        seed=seed,
        snapshots=len(moments),
        mark_low=float(world[0].history.mark[:, 2].min()),
        mark_high=float(world[0].history.mark[:, 1].max()),
        naive=naive,
        profile=mean_score(profiles),
        ours=score,
        ceiling=ceiling,
        closed_correlation=correlation,
        closed_wasserstein=wasserstein,
        churn_true_per_day=float(np.mean(true)),
        churn_ours_per_day=turned / scored_days,
        with_accounts=with_accounts,
    )


def _closed(ours: FieldScore, naive: FieldScore, ceiling: FieldScore) -> tuple[float, float]:
    """Shares of the gap closed: in correlation, in Wasserstein-1."""
    return (
        gap_closed(ours.correlation, naive.correlation, ceiling.correlation),
        gap_closed(ours.wasserstein_bp, naive.wasserstein_bp, ceiling.wasserstein_bp),
    )


def _mass_by_venue(spec: WorldSpec, played: Played, moments: list[Moment]) -> dict[str, float]:
    logs = venue_errors(played, moments)
    return {venue: float(np.exp(log)) for venue, log in zip(spec.venues, logs, strict=True)}


def venue_errors(played: Played, moments: list[Moment]) -> FloatArray:
    """float64[venues]: ln of mass over truth, both summed over the moments."""
    ours = np.zeros(len(played.estimators))
    truth = np.zeros(len(played.estimators))
    for parts, moment in zip(played.parts, moments, strict=True):
        for v, density in enumerate(parts):
            usd = on_window(density.notional_usd.sum(axis=1), density.grid, moment.grid)
            ours[v] += facing(usd).sum()
            truth[v] += facing(moment.by_venue[v]).sum()
    out: FloatArray = np.log(ours / truth)
    return out


def chosen_worlds(
    names: Iterable[str] = (), *, small: bool = False, accounts: bool = False
) -> list[WorldSpec]:
    """Every world, or those named; small: with two venues and half the accounts, as drawn ones;
    accounts: with its own venues and half the accounts."""
    chosen = set(names)
    found = [spec for spec in WORLDS if not chosen or spec.name in chosen]
    if not small:
        return found
    return [spec.small(spec.venues if accounts else SMALL_VENUES) for spec in found]


def pick_worlds(
    names: Iterable[str], seed: int, *, small: bool = False
) -> list[tuple[WorldSpec, int]]:
    """Worlds and seeds by NAME or NAME:SEED; without names those that may be tuned on.

    Raises SettingError for a name that no world has.
    """
    by_name = {spec.name: spec for spec in chosen_worlds(small=small)}
    wanted = list(names) or [name for name, spec in by_name.items() if spec.role is Role.TUNING]
    found = []
    for one in wanted:
        name, _, own = one.partition(":")
        if name not in by_name or not (own or "0").isdigit():
            raise SettingError(f"no world {one}; NAME or NAME:SEED, names: {', '.join(by_name)}")
        found.append((by_name[name], int(own) if own else seed))
    return found


def study_worlds(
    seed: int,
    folder: Path,
    names: Iterable[str] = (),
    *,
    days: float = DAYS,
    small: bool = False,
    accounts: bool = False,
    apart: bool = False,
) -> list[WorldReport]:
    """Every world, or those named; accounts: also with public accounts; apart: each venue with a
    law of its own around the world's."""
    found = chosen_worlds(names, small=small, accounts=accounts)
    return [
        study_world(spec.apart(seed) if apart else spec, seed, folder, days=days, accounts=accounts)
        for spec in found
    ]
