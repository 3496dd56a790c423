"""Readings of absorption and cascade states against the truth of one world, as tallies.

What counts as right stands in docs/cascade.md; tallies of several worlds add up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from liqfield.app.study.cascade_tape import START_NS
from liqfield.app.study.cascade_world import SIGN, Cascade, Standing, World
from liqfield.app.study.intervals import Tally
from liqfield.model.analytics import FlowEvent

ACTIVE = ("running", "absorbing")
MATERIAL = 0.1  # an absorber counts when it took in this share of its venue's 10 bp depth
LEAST_LIFE_S = 8.0
NEAR = 2e-4  # an event belongs to a level within 2 bp
LEAD_S = 3.0
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


def silence(world: World, seconds: int = 12) -> list[tuple[int, int]]:
    """The simple rule for an end: no visible print of that side for so long (from 12 s)."""
    out: list[tuple[int, int]] = []
    last = [0, 0]  # second in which at least four prints were seen
    silent = [0, 0]  # seconds for which none was in the last twelve
    for reading in world.readings:
        for side in (0, 1):
            silent[side] = 0 if reading.visible[side] else silent[side] + 1
            if reading.visible[side] >= 4:
                last[side] = reading.at
            elif last[side] and silent[side] == seconds - 11:
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
    """Calls that a cascade is near, against cascades of that side whose first forced order comes
    LEAD_S to `horizon` later: a call that comes with the cascade foretells nothing."""
    calls = [call for call in calls if call[1] >= warm_s]
    truth = [c for c in world.cascades if c.start >= warm_s]

    def tells(side: int, at: int, cascade: Cascade) -> bool:
        return cascade.side == side and LEAD_S <= cascade.start - at <= horizon

    right = sum(any(tells(side, at, c) for c in truth) for side, at in calls)
    caught = [
        max((c.start - at for side, at in calls if tells(side, at, c)), default=-1.0) for c in truth
    ]
    return {
        "calls": len(calls),
        "right": right,
        "cascades": len(truth),
        "caught": sum(lead >= 0.0 for lead in caught),
        "lead_s": sum(max(lead, 0.0) for lead in caught),
    }


def driven(world: World, least: float = 3.0) -> list[tuple[int, int]]:
    """The rule without a map: the last minute moved by three deviations."""
    out: list[tuple[int, int]] = []
    before = 0.0
    for reading in world.readings:
        if abs(reading.drive) >= least > abs(before):
            out.append((0 if reading.drive < 0.0 else 1, reading.at))
        before = reading.drive
    return out


def first_prints(world: World) -> list[tuple[int, int]]:
    """The rule of the tape: a forced order after twelve seconds without any of that side."""
    out: list[tuple[int, int]] = []
    before = (0, 0)
    for reading in world.readings:
        out += [(k, reading.at) for k in (0, 1) if reading.visible[k] and not before[k]]
        before = reading.visible
    return out
