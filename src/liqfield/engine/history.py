"""Past events wait here until live begins, then come out in event time, each once.

Back-fill replies arrive in pages, newest first on some venues, several venues at once; the fold
wants them in order. They are kept by five minutes, which end with a column of the map, and within
these by instrument: no estimator knows of another, and one that folds its five minutes at a stretch
finds its arrays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from liqfield.model.events import Candle, FundingRate, MarketEvent, OpenInterest
from liqfield.model.sides import CandleOf

SPAN_NS = 300_000_000_000
# At one time candles, then funding, then open interest; of candles the mark's first: the sweep of
# an interval comes before its openings.
_ORDER: dict[type, int] = {Candle: 0, FundingRate: 1, OpenInterest: 2}
_Fact = tuple[int, int, int, int]  # event_ns, order, of which price, interval_ns: stated once
_MARK, _LAST = CandleOf.MARK, CandleOf.LAST


class Piece(NamedTuple):
    """Events later than `end_ns` - SPAN_NS, up to it: by instrument, each one's in order."""

    end_ns: int
    events: dict[str, list[MarketEvent]]


class HistoryBuffer:
    """Bounded by what a back-fill can ask for; `drain` empties it."""

    def __init__(self) -> None:
        self._spans: dict[int, dict[str, dict[_Fact, MarketEvent]]] = {}

    def __bool__(self) -> bool:
        return bool(self._spans)

    def add(self, event: MarketEvent) -> None:
        """Keep the newest statement of a fact: overlapping pages repeat rows.

        The newest is what was received last: replies kept from an earlier start may come after
        those asked for now.
        """
        at_ns = event.event_ns
        if isinstance(event, Candle):
            if not event.is_closed:
                return
            of = event.of
            fact = at_ns, 0, 0 if of is _MARK else 1 if of is _LAST else 2, event.interval_ns
        else:
            fact = at_ns, _ORDER.get(type(event), 3), 0, 0
        number = -(-at_ns // SPAN_NS)
        span = self._spans.get(number)
        if span is None:
            span = self._spans[number] = {}
        facts = span.get(event.instrument_id)
        if facts is None:
            span[event.instrument_id] = {fact: event}
            return
        known = facts.get(fact)
        if known is None or event.received_ns >= known.received_ns:
            facts[fact] = event

    def drain(self, until_ns: int) -> Iterator[Piece]:
        """Events up to `until_ns`, by time. Later ones are forgotten.

        What comes in while this is read waits for the next call.
        """
        spans, self._spans = self._spans, {}
        for number in sorted(spans):
            end_ns, stated = number * SPAN_NS, spans.pop(number)
            events = {key: [facts[fact] for fact in sorted(facts)] for key, facts in stated.items()}
            if end_ns > until_ns:
                for key, of in events.items():
                    events[key] = [event for event in of if event.event_ns <= until_ns]
            if any(events.values()):
                yield Piece(end_ns, events)
