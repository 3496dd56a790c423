"""Layering and flips against scripts that do them on purpose, and look-alikes that do not.

A reading is right if a script's play of that kind on that side ended within three seconds and, for
a layer, at those prices, for a flip, at that tick. Baselines on the same followed walls: three of a
side withdrawn within two seconds (whatever their sizes and when they were placed); every one
withdrawn that is large enough for a flip (whatever was traded).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from liqfield.book.wall_facts import Flip, Layering, WallEnd, WallSettings
from liqfield.lab.market import LabMarket
from liqfield.lab.market_actors import Actor, Desk, Flipper, Layerer
from liqfield.lab.market_types import AgentEvent
from liqfield.model.instrument import Instrument

S = 1_000_000_000
MATCH_NS = 3 * S
TOGETHER_NS = 2 * S
PAUSE_S = 60.0  # between two plays of a script
PLAYS = ("layering", "flip")


class Said(msgspec.Struct, frozen=True):
    """A reading: ticks from low to high of one side of one book."""

    kind: str
    instrument_id: str
    at_ns: int
    is_bid: bool
    low: int
    high: int


def scripts(market: LabMarket, venues: Sequence[str], seed: int, start_ns: int) -> list[Actor]:
    """One of each kind on every venue."""
    found: list[Actor] = []
    for k, of in enumerate(market.instruments):
        if of.venue in venues:
            desk = Desk(market, of.id)
            found.append(Layerer(desk, 1_000 * seed + 2 * k, start_ns, PAUSE_S))
            found.append(Flipper(desk, 1_000 * seed + 2 * k + 1, start_ns, PAUSE_S))
    return found


def said(plays: Sequence[tuple[Instrument, Layering | Flip]]) -> Iterator[Said]:
    """What the readings claim."""
    for of, fact in plays:
        if isinstance(fact, Layering):
            ticks = fact.ticks
            yield Said("layering", of.id, fact.at_ns, not fact.is_ask, ticks[0], ticks[-1])
        else:
            yield Said("flip", of.id, fact.at_ns, not fact.is_ask, fact.tick, fact.tick)


def said_simply(
    pulled: Iterable[tuple[Instrument, WallEnd]], settings: WallSettings
) -> Iterator[Said]:
    """What the simple rules claim."""
    open_: dict[tuple[str, int], list[WallEnd]] = {}
    for of, end in sorted(pulled, key=lambda pair: pair[1].ended_ns):
        if end.excess >= settings.flip_excess:
            yield Said("flip", of.id, end.ended_ns, not end.is_ask, end.tick, end.tick)
        group = open_.setdefault((of.id, end.is_ask), [])
        group[:] = [other for other in group if end.ended_ns - other.ended_ns <= TOGETHER_NS]
        group.append(end)
        if len(group) >= settings.layer_count:
            ticks = [other.tick for other in group]
            yield Said("layering", of.id, end.ended_ns, not end.is_ask, min(ticks), max(ticks))
            group.clear()


def verdicts(
    claims: Iterator[Said], truth: Sequence[AgentEvent], ticks: dict[str, Instrument]
) -> dict[str, tuple[int, int]]:
    """(right, wrong) by kind; a second claim of the same play is wrong."""
    out = {kind: [0, 0] for kind in PLAYS}
    found: set[int] = set()
    for claim in claims:
        of = ticks[claim.instrument_id]
        hit = None
        for k, play in enumerate(truth):
            if (
                k not in found
                and play.kind == claim.kind
                and play.instrument_id == claim.instrument_id
                and play.is_bid == claim.is_bid
                and abs(play.end_ns - claim.at_ns) <= MATCH_NS
                and of.price_ticks(play.price_from) <= claim.high
                and of.price_ticks(play.price_to) >= claim.low
            ):
                hit = k
                break
        if hit is None:
            out[claim.kind][1] += 1
        else:
            found.add(hit)
            out[claim.kind][0] += 1
    return {kind: (right, wrong) for kind, (right, wrong) in out.items()}
