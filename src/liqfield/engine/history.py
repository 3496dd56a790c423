"""Past events wait here until live begins, then come out in event time, each once.

Back-fill replies arrive in pages, newest first on some venues, several venues at once; the fold
wants them in order. Instruments are merged by time so that a column sees every venue's past.
"""

from __future__ import annotations

from collections.abc import Iterator

from liqfield.model.events import Candle, FundingRate, MarketEvent, OpenInterest


class HistoryBuffer:
    """Bounded by what a back-fill can ask for; `drain` empties it."""

    def __init__(self) -> None:
        self._events: dict[tuple[object, ...], MarketEvent] = {}

    def __bool__(self) -> bool:
        return bool(self._events)

    def add(self, event: MarketEvent) -> None:
        """Keep the newest statement of a fact: overlapping pages repeat rows."""
        detail: tuple[object, ...] = ()
        if isinstance(event, Candle):
            if not event.is_closed:
                return
            detail = (event.of, event.interval_ns)
        self._events[(event.event_ns, event.instrument_id, type(event).__name__, *detail)] = event

    def drain(self, until_ns: int) -> Iterator[MarketEvent]:
        """Events before `until_ns`, by time; at one time candles, then funding, then OI."""
        order: dict[type, int] = {Candle: 0, FundingRate: 1, OpenInterest: 2}
        events = sorted(
            self._events.values(),
            key=lambda e: (e.event_ns, order.get(type(e), 3), e.instrument_id, _of(e)),
        )
        self._events.clear()
        for event in events:
            if event.event_ns <= until_ns:
                yield event


def _of(event: MarketEvent) -> str:
    # Mark before last: the sweep of an interval comes before its openings.
    return "0" if isinstance(event, Candle) and event.of == "mark" else "1"
