"""A world's public accounts as the live scan would see them: looks at addresses that traded.

People of a pool take the world's positions one after another, as addresses do. A seeded share of
them is on the scan's list: it learns of a person when that one first trades, looks at whoever
traded within LOOK_NS, and at holders and empty accounts again and again. Of the looks between that
show nothing new only the last one before a change is told, and of holders one every AGAIN_NS.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from liqfield.density.counted import CountedOpenings
from liqfield.density.measured import MeasuredBook
from liqfield.lab.worlds import LOOK_NS, VenueWorld
from liqfield.model.durations import HOUR_NS
from liqfield.model.events import MeasuredPosition, PositionSnapshot
from liqfield.model.sides import PositionSide

LOOKS_PER_MINUTE = 300  # the scan's share of the venue's weight
SCANNED_SHARE = 0.3
PEOPLE = 3.0  # addresses per position that stands
AGAIN_NS = 3 * HOUR_NS


def account_looks(
    world: VenueWorld, seed: int, scanned_share: float = SCANNED_SHARE
) -> Iterator[PositionSnapshot]:
    """Answers of the scan, in time order; none where the venue has no public accounts."""
    random = np.random.default_rng((seed, 77))
    standing = max((len(s.positions) for s in world.snapshots), default=0)
    free = random.permutation(int(PEOPLE * standing) + 1).tolist()
    is_listed = random.random(len(free)) < scanned_share
    person_of: dict[int, int] = {}
    told: dict[int, PositionSnapshot] = {}  # the newest answer, by person
    most = LOOKS_PER_MINUTE * LOOK_NS // 60_000_000_000
    for number, change in enumerate(world.changes):
        looks = 0
        if number % (AGAIN_NS // LOOK_NS) == 0:
            for holder, known in told.items():
                if known.positions and change.at_ns - known.event_ns > LOOK_NS:
                    told[holder] = _again(known, change.at_ns - LOOK_NS)
                    yield told[holder]
        for row in change.positions:
            account = int(row["account"])
            person = person_of.get(account)
            if person is None:
                if not free:
                    continue
                at = int(random.integers(len(free)))
                free[at], free[-1] = free[-1], free[at]
                person = person_of[account] = free.pop()
            if not row["quantity"] > 0.0:
                free.append(person_of.pop(account))
            if not is_listed[person] or looks >= most:
                continue
            before = told.get(person)
            if before is not None:
                looks += 1
                yield _again(before, change.at_ns - LOOK_NS)
            looks += 1
            told[person] = _look(world, person, row, change.at_ns)
            yield told[person]


def _again(before: PositionSnapshot, at_ns: int) -> PositionSnapshot:
    return PositionSnapshot(
        "", max(at_ns, before.event_ns), at_ns, before.venue, before.account, before.positions, 0.0
    )


def _look(world: VenueWorld, person: int, row: Any, at_ns: int) -> PositionSnapshot:
    name, venue = f"person {person}", world.instrument.venue
    positions: tuple[MeasuredPosition, ...] = ()
    if row["quantity"] > 0.0:
        side = PositionSide.SHORT if row["side"] == 1 else PositionSide.LONG
        positions = (
            MeasuredPosition(
                world.instrument.id, at_ns, at_ns, name, side, float(row["quantity"]),
                float(row["entry"]), float(row["liquidation_price"]),
                float(row["leverage_setting"]), bool(row["is_cross"]), 0.0,
            ),
        )  # fmt: skip
    return PositionSnapshot("", at_ns, at_ns, venue, name, positions, 0.0)


def counted_by_hour(
    worlds: tuple[VenueWorld, ...], seed: int, scanned_share: float = SCANNED_SHARE
) -> list[tuple[int, CountedOpenings]]:
    """(event time, what has been counted until then), hourly from when there is enough, of the
    first venue with public accounts."""
    out: list[tuple[int, CountedOpenings]] = []
    for world in worlds:
        if not world.changes:
            continue
        book = MeasuredBook(world.instrument.id)
        due_ns = world.changes[0].at_ns + HOUR_NS
        for look in account_looks(world, seed, scanned_share):
            while look.event_ns > due_ns:
                found = book.openings(due_ns, world.tiers)
                if found is not None:
                    out.append((due_ns, found))
                due_ns += HOUR_NS
            book.fold(look, world.tiers)
        break
    return out
