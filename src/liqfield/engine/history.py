"""Past events wait here until live begins, then come out in event time, each once.

Back-fill replies arrive in pages, newest first on some venues, several venues at once; the fold
wants them in order. Instruments are merged by time so that a column sees every venue's past.
"""

from __future__ import annotations

from collections.abc import Iterator

from liqfield.model.events import Candle, FundingRate, MarketEvent, OpenInterest

SPAN_NS = 300_000_000_000
_ORDER: dict[type, int] = {Candle: 0, FundingRate: 1, OpenInterest: 2}
_Fact = tuple[object, ...]


class HistoryBuffer:
    """Bounded by what a back-fill can ask for; `drain` empties it.

    Kept by spans of five minutes, so that putting them in order is never much work at once.
    """

    def __init__(self) -> None:
        self._spans: dict[int, dict[_Fact, MarketEvent]] = {}

    def __bool__(self) -> bool:
        return bool(self._spans)

    def add(self, event: MarketEvent) -> None:
        """Keep the newest statement of a fact: overlapping pages repeat rows.

        The newest is what was received last: replies kept from an earlier start may come after
        those asked for now.
        """
        detail: _Fact = ()
        if isinstance(event, Candle):
            if not event.is_closed:
                return
            detail = (event.of, event.interval_ns)
        fact = (event.event_ns, event.instrument_id, type(event).__name__, *detail)
        span = self._spans.setdefault(event.event_ns // SPAN_NS, {})
        known = span.get(fact)
        if known is None or event.received_ns >= known.received_ns:
            span[fact] = event

    def drain(self, until_ns: int) -> Iterator[MarketEvent]:
        """Events up to `until_ns`, by time; at one time candles, then funding, then OI.

        Later ones are forgotten. What comes in while this is read waits for the next call.
        """
        spans, self._spans = self._spans, {}
        for number in sorted(spans):
            for event in sorted(spans.pop(number).values(), key=_rank):
                if event.event_ns <= until_ns:
                    yield event


def _rank(event: MarketEvent) -> tuple[int, int, str, str]:
    # Mark before last: the sweep of an interval comes before its openings.
    of = "0" if isinstance(event, Candle) and event.of == "mark" else "1"
    return event.event_ns, _ORDER.get(type(event), 3), event.instrument_id, of
