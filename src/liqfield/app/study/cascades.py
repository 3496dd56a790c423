"""How good the readings of absorption, cascade and projection are where the truth is known.

    liqfield study cascades --worlds 60 --first-seed 1000

Thresholds were chosen on seeds below 1000; figures in the documents are of seeds from 1000 on.
Intervals are 90 % percentiles of a bootstrap over worlds: what happens in one world hangs together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from liqfield.app.study.cascade_store import load_worlds
from liqfield.app.study.cascade_world import (
    GAP_S,
    SIGN,
    START_NS,
    Cascade,
    Standing,
    World,
    WorldSettings,
)
from liqfield.cascade.projection import ProjectionSettings
from liqfield.model.analytics import FlowEvent
from liqfield.model.events import FloatArray

Tally = dict[str, float]
ACTIVE = ("running", "absorbing")
PERSIST_MIN = (0.5, 1.0, 2.0)
LEAST_PUSH = 0.5  # of the usual traded volume: a lull of ten seconds does not end a move
USUAL_WAY = 0.0278  # median way still to go on the tuning seeds 400-404, log price
MATERIAL = 0.1  # an absorber counts when it took in this share of its venue's 10 bp depth
LEAST_LIFE_S = 8.0
NEAR = 2e-4  # an event belongs to a level within 2 bp
BEYOND = 5e-4  # a new extreme counts when it is 5 bp beyond the old one


# ---- absorption ---------------------------------------------------------------------------------


def absorption(world: World, events: Sequence[FlowEvent], warm_s: float) -> Tally:
    """Events against the agents' absorbers and walls."""
    absorbers = [s for s in world.standing if s.kind == "absorber"]
    walls = [s for s in world.standing if s.kind in ("wall_eaten", "wall_pulled", "wall_expired")]
    material = [
        s
        for s in absorbers
        if s.taken_usd > MATERIAL * s.depth_usd
        and s.end > warm_s
        and s.end - s.start >= LEAST_LIFE_S
    ]
    found: set[int] = set()
    right = at_wall = 0
    for event in events:
        hits = [k for k, s in enumerate(absorbers) if _is_at(event, s)]
        right += bool(hits)
        at_wall += not hits and any(_is_at(event, s) for s in walls)
        found.update(hits)
    caught = sum(k in found for k, s in enumerate(absorbers) if s in material)
    return {
        "events": len(events),
        "at_absorber": right,
        "at_absorber_or_wall": right + at_wall,
        "absorbers": len(material),
        "absorbers_found": caught,
    }


def _is_at(event: FlowEvent, standing: Standing) -> bool:
    start = (event.at_ns - START_NS) / 1e9
    return (
        event.venue == standing.venue
        and event.is_bid == standing.is_bid
        and abs(event.price / standing.price - 1.0) < NEAR
        and start <= standing.end + 2.0
        and start + event.duration_s >= standing.start - 2.0
    )


# ---- cascade states -----------------------------------------------------------------------------


def spells(world: World, holds: Callable[[int], int]) -> list[tuple[int, int, int]]:
    """(side, first second, last second) of stretches in which holds(index) gives a side >= 0."""
    out: list[tuple[int, int, int]] = []
    for i in range(len(world.readings)):
        side = holds(i)
        at = world.readings[i].at
        if side >= 0 and out and out[-1][0] == side and out[-1][2] == at - 1:
            out[-1] = (side, out[-1][1], at)
        elif side >= 0:
            out.append((side, at, at))
    return out


def detection(world: World, found: Sequence[tuple[int, int, int]], warm_s: float) -> Tally:
    """Spells against true cascades; delay from the fourth forced order of the cascade."""
    truth = [c for c in world.cascades if c.start >= warm_s]
    found = [spell for spell in found if spell[1] >= warm_s]
    right = sum(any(_overlap(spell, c) for c in truth) for spell in found)
    delays = []
    for c in truth:
        at = [first for side, first, last in found if _overlap((side, first, last), c)]
        if at:
            delays.append(max(min(at) - c.start, 0.0))
    return {
        "calls": len(found),
        "right": right,
        "cascades": len(truth),
        "caught": len(delays),
        "delay_s": sum(delays),
    }


def _overlap(spell: tuple[int, int, int], cascade: Cascade) -> bool:
    side, first, last = spell
    return side == cascade.side and first <= cascade.end + 15.0 and last >= cascade.start - 2.0


def is_over(world: World, side: int, at: int, horizon: int = 60) -> tuple[bool, bool]:
    """(no new extreme beyond 5 bp in the horizon, under a tenth of the forced dollars to come).

    The extreme and the dollars so far are counted over the last five minutes.
    """
    past = SIGN[side] * world.price[max(at - 300, 0) : at]
    ahead = SIGN[side] * world.price[at : at + horizon]
    if not len(past) or not len(ahead):
        return True, True
    seconds, sides, usd = world.forced
    mine = sides == side
    before = float(usd[mine & (seconds > at - 300) & (seconds <= at)].sum())
    after = float(usd[mine & (seconds > at) & (seconds <= at + horizon)].sum())
    return bool(ahead.max() <= past.max() + BEYOND), after <= 0.1 * max(before, 1.0)


def ending(world: World, calls: Sequence[tuple[int, int]], warm_s: float) -> Tally:
    """Calls (side, second) that a cascade is over, against what came after."""
    calls = [call for call in calls if call[1] >= warm_s]
    truth = [c for c in world.cascades if c.start >= warm_s]
    verdicts = [is_over(world, side, at) for side, at in calls]
    delays = []
    for c in truth:
        at = [t for side, t in calls if side == c.side and c.end - 2.0 <= t <= c.end + 60.0]
        if at:
            delays.append(min(at) - c.end)
    return {
        "calls": len(calls),
        "no_new_extreme": sum(a for a, _ in verdicts),
        "right": sum(a and b for a, b in verdicts),
        "cascades": len(truth),
        "caught": len(delays),
        "delay_s": sum(delays),
    }


def entries(world: World, state: str) -> list[tuple[int, int]]:
    """(side, second) at which the tracker entered a state."""
    out = []
    before = ""
    for reading in world.readings:
        if reading.state == state and before != state:
            out.append((reading.side, reading.at))
        before = reading.state
    return out


def silence(world: World) -> list[tuple[int, int]]:
    """The simple rule for an end: no visible print of that side for 12 s."""
    out: list[tuple[int, int]] = []
    last = [0, 0]  # second in which at least four prints were seen
    for reading in world.readings:
        for side in (0, 1):
            if reading.visible[side] >= 4:
                last[side] = reading.at
            elif last[side] and reading.visible[side] == 0:
                out.append((side, reading.at))
                last[side] = 0
    return out


def absorbing(world: World, warm_s: float) -> Tally:
    """Absorbing calls: the extreme is in while forced orders go on; base rate: any second of
    running."""
    calls = [call for call in entries(world, "absorbing") if call[1] >= warm_s]
    right = sum(is_over(world, side, at, 30)[0] for side, at in calls)
    running = [r for r in world.readings if r.state == "running" and r.at >= warm_s]
    base = sum(is_over(world, r.side, r.at, 30)[0] for r in running)
    return {"calls": len(calls), "right": right, "seconds": len(running), "seconds_right": base}


def approaching(
    world: World, calls: Sequence[tuple[int, int]], warm_s: float, horizon: float = 120.0
) -> Tally:
    """Calls that a cascade is near, against cascades of that side that start within the horizon."""
    calls = [call for call in calls if call[1] >= warm_s]
    truth = [c for c in world.cascades if c.start >= warm_s]
    right = sum(
        any(c.side == side and -5.0 <= c.start - at <= horizon for c in truth) for side, at in calls
    )
    caught = sum(
        any(c.side == side and -5.0 <= c.start - at <= horizon for side, at in calls) for c in truth
    )
    return {"calls": len(calls), "right": right, "cascades": len(truth), "caught": caught}


def driven(world: World, least: float = 3.0) -> list[tuple[int, int]]:
    """The rule without a map: the last minute moved by three deviations."""
    out: list[tuple[int, int]] = []
    before = 0.0
    for reading in world.readings:
        if abs(reading.drive) >= least > abs(before):
            out.append((0 if reading.drive < 0.0 else 1, reading.at))
        before = reading.drive
    return out


# ---- projection ---------------------------------------------------------------------------------


def net_usd(world: World, at: int, span_s: int = 10) -> float:
    """Net aggressive flow of the seconds up to `at`; bought > 0."""
    told = world.told[max(at - span_s, 0) : at]
    return sum(around.net_flow * around.price for second in told for around in second.around)


def projection_rows(
    world: World, warm_s: float, minutes: float, settings: ProjectionSettings | None = None
) -> list[dict[str, float]]:
    """Each projection beside the truth and the rules that it must beat; distances in log price.

    minutes: for so long the pace of the last ten seconds, at least half the usual volume, is taken
    to go on.
    """
    rows = []
    seconds, sides, usd = world.forced
    for seen in world.ahead:
        side, at = seen.side, seen.at
        mine = [c for c in world.cascades if c.side == side and c.start - 2 <= at <= c.end + 15]
        if at < warm_s or not mine:
            continue
        end = mine[0].end + GAP_S
        stretch = SIGN[side] * (world.price[at - 1 : int(end) + 1] - math.log(seen.price))
        if not len(stretch):
            continue
        inside = (sides == side) & (seconds > at) & (seconds <= end)
        usual = float(world.volume_s[at - 1]) / at  # USD a second, both sides
        pace = SIGN[side] * net_usd(world, at)
        push = max(pace, LEAST_PUSH * usual * 10.0) * 6.0 * minutes
        found = seen.way.project(push, settings)
        way_price = np.log(found.path_price)
        truth = max(float(stretch.max()), 0.0)
        forced_way = np.interp(
            truth, np.abs(way_price - way_price[0])[1:], found.path_forced_usd - push
        )
        day = world.readings[at - 1].move_sd_s * math.sqrt(86_400.0)
        share = push / max(usual * 86_400.0, 1.0)
        rows.append(
            {
                "forced_way": float(forced_way),
                "truth": truth,
                "stop": abs(math.log(found.stop_price / seen.price)),
                "near": abs(math.log(found.stop_price_near / seen.price)),
                "far": abs(math.log(found.stop_price_far / seen.price)),
                "cluster": seen.fuel,
                "root": day * math.sqrt(share),
                "here": 0.0,
                "usual": USUAL_WAY,
                "forced": float(usd[inside].sum()),
                "forced_stop": found.forced_usd,
                "forced_p10": found.forced_usd_p10,
                "forced_p90": found.forced_usd_p90,
            }
        )
    return rows


# ---- over worlds --------------------------------------------------------------------------------


def bootstrap(
    tallies: Sequence[Tally], ratio: Callable[[Tally], float], draws: int = 500
) -> dict[str, float]:
    """A ratio of sums over worlds with its 90 % interval."""
    if not tallies:
        return {"value": math.nan, "low": math.nan, "high": math.nan}
    names = list(tallies[0])
    table = np.array([[tally[name] for name in names] for tally in tallies])

    def value(rows: FloatArray) -> float:
        return ratio(dict(zip(names, rows.sum(axis=0).tolist(), strict=True)))

    rng = np.random.default_rng(1)
    picks = rng.integers(0, len(table), (draws, len(table)))
    drawn = np.array([value(table[pick]) for pick in picks])
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, (0.05, 0.95)) if len(drawn) else (math.nan, math.nan)
    return {"value": value(table), "low": float(low), "high": float(high)}


def share(part: str, whole: str) -> Callable[[Tally], float]:
    return lambda t: t[part] / t[whole] if t[whole] else math.nan


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
        "absorbing": of(
            (absorbing(w, warm_s) for w in worlds),
            precision=("right", "calls"),
            base_rate=("seconds_right", "seconds"),
        ),
        "approaching": of(
            (approaching(w, entries(w, "approaching"), warm_s) for w in worlds), **pr
        ),
        "approaching_by_move": of((approaching(w, driven(w), warm_s) for w in worlds), **pr),
        "projection": {
            f"pace_{minutes:.2g}_min": projection(worlds, warm_s, minutes)
            for minutes in PERSIST_MIN
        },
    }


def _active(world: World, i: int) -> int:
    reading = world.readings[i]
    return reading.side if reading.state in ACTIVE else -1


def _counted(world: World, i: int) -> int:
    """The simple rule: at least four prints of a side within twelve seconds."""
    visible = world.readings[i].visible
    side = 0 if visible[0] >= visible[1] else 1
    return side if visible[side] >= 4 else -1


def projection(worlds: Sequence[World], warm_s: float, minutes: float) -> dict[str, object]:
    """Errors in basis points, shares of truths inside the fan; intervals over worlds."""
    by_world = [projection_rows(w, warm_s, minutes) for w in worlds]
    rows = [row for part in by_world for row in part]
    if not rows:
        return {"runs": 0}
    out: dict[str, object] = {"runs": len(rows)}
    truth = np.array([row["truth"] for row in rows])
    out["truth_bp"] = _quartiles(truth * 1e4)
    for name in ("stop", "cluster", "root", "here", "usual"):
        guess = np.array([row[name] for row in rows])
        error = np.abs(guess - truth)[np.isfinite(guess)] * 1e4
        out[f"error_bp_{name}"] = _quartiles(error)
    pairs = [
        {
            "in": float(sum(r["near"] <= r["truth"] <= r["far"] for r in part)),
            "in_forced": float(
                sum(r["forced_p10"] <= r["forced"] <= r["forced_p90"] for r in part)
            ),
            "n": float(len(part)),
        }
        for part in by_world
    ]
    wide = np.array([row["far"] - row["near"] for row in rows])
    out["fan_width_bp"] = _quartiles(wide * 1e4)
    out["coverage_stop"] = bootstrap(pairs, share("in", "n"))
    out["coverage_forced"] = bootstrap(pairs, share("in_forced", "n"))
    forced = np.array([row["forced"] for row in rows])
    guess = np.array([row["forced_stop"] for row in rows])
    both = (forced > 0.0) & (guess > 0.0)
    out["forced_factor"] = _quartiles(np.exp(np.abs(np.log(guess[both] / forced[both]))))
    out["forced_ratio"] = _quartiles(guess[both] / forced[both])
    way = np.array([row["forced_way"] for row in rows])
    both = (forced > 0.0) & (way > 0.0)
    out["map_ratio"] = _quartiles(way[both] / forced[both])
    out["map_factor"] = _quartiles(np.exp(np.abs(np.log(way[both] / forced[both]))))
    return out


def _quartiles(values: FloatArray) -> list[float]:
    if not len(values):
        return []
    return [round(float(x), 3) for x in np.quantile(values, (0.25, 0.5, 0.75))]


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
