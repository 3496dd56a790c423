"""Wall facts of one book in the words that every reader knows."""

from __future__ import annotations

from collections.abc import Iterator

from liqfield.book.bands import band_of
from liqfield.book.reader import BookReader
from liqfield.book.wall_facts import Flip, Layering, WallEnd, WallFact
from liqfield.model.analytics import FlowEvent, FlowEventKind, WallState, WallView
from liqfield.model.durations import SECOND_NS


def wall_views(venue: str, book: BookReader, now_ns: int) -> Iterator[WallView]:
    """Walls that stand, old enough to be more than a flicker."""
    if book.mid_tick <= 0.0 or book.sync.ladder is None:
        return
    least_s = book.walls.settings.min_age_s
    for wall in book.walls.standing.values():
        age_s = (now_ns - wall.born_ns) / SECOND_NS
        if age_s < least_s or wall.ended_ns:
            continue
        price = wall.tick * book.tick_usd
        distance = wall.tick / book.mid_tick - 1.0
        band = band_of(abs(distance))
        usual = float(book.walls.usual[band])
        if wall.peak < book.walls.told[band]:
            continue
        yield WallView(
            venue=venue,
            is_bid=not wall.is_ask,
            price=price,
            notional_usd=wall.size * price,
            multiple=wall.size / usual,
            age_s=age_s,
            state=wall.state(now_ns, book.walls.settings.near_share),
            filled_usd=wall.filled * price,
            pulled_usd=max(wall.cancelled, 0.0) * price,
            distance=distance,
        )


def flow_event(venue: str, fact: WallFact, tick_usd: float) -> FlowEvent:
    """A fact as an event of the flow. score: multiple of the usual size (walls), number of levels
    (layering), repetitions within ten minutes (flip)."""
    if isinstance(fact, WallEnd):
        return _ended(venue, fact, tick_usd)
    if isinstance(fact, Layering):
        price = sum(fact.ticks) / len(fact.ticks) * tick_usd
        return FlowEvent(
            at_ns=fact.at_ns,
            kind=FlowEventKind.LAYERING,
            venue=venue,
            price=price,
            is_bid=not fact.is_ask,
            notional_usd=fact.quantity * price,
            score=float(len(fact.ticks)),
            duration_s=fact.duration_s,
            outcome="done",
            text=f"{len(fact.ticks)} equal {_side(fact.is_ask)} placed and pulled together",
        )
    return _flip(venue, fact, tick_usd)


def _side(is_ask: int) -> str:
    return "asks" if is_ask else "bids"


def _ended(venue: str, end: WallEnd, tick_usd: float) -> FlowEvent:
    price = end.tick * tick_usd
    is_filled = end.state is WallState.FILLED
    away = f"{abs(end.distance) * 1e4:.1f} bp from the price"
    if is_filled:
        text = (
            f"wall traded away, {100.0 * (1.0 - end.pull_ratio):.0f} % of its last drop by trades"
        )
    elif end.on_approach:
        text = f"wall pulled as the price came close, {away}"
    else:
        text = f"wall pulled, {away}"
    return FlowEvent(
        at_ns=end.ended_ns,
        kind=FlowEventKind.WALL_FILLED if is_filled else FlowEventKind.WALL_PULLED,
        venue=venue,
        price=price,
        is_bid=not end.is_ask,
        notional_usd=end.peak * price,
        score=end.multiple,
        duration_s=(end.ended_ns - end.born_ns) / SECOND_NS,
        outcome="broken" if is_filled else "done",
        text=text,
    )


def _flip(venue: str, flip: Flip, tick_usd: float) -> FlowEvent:
    price = flip.tick * tick_usd
    did = "bought" if flip.is_ask else "sold"
    return FlowEvent(
        at_ns=flip.at_ns,
        kind=FlowEventKind.FLIP,
        venue=venue,
        price=price,
        is_bid=not flip.is_ask,
        notional_usd=flip.aggression * price,
        score=float(flip.count),
        duration_s=2.0,
        outcome="done",
        text=f"{_side(flip.is_ask)} pulled while others {did} aggressively",
    )
