"""Imported history as frames, so that a recording holds what the live run began with.

What the engine is given is what was imported, not a state made of it: a replay by a later program
with another estimator still has its beginning. The payload is JSON of columns of text and numbers,
which packing makes small.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from liqfield.model.errors import DecodeError
from liqfield.model.events import (
    Candle,
    Frame,
    FundingRate,
    ImportedPast,
    MarketEvent,
    OpenInterest,
)
from liqfield.model.sides import CandleOf

PREFIX = "import:"


class _Past(msgspec.Struct):
    """Rows without what is the same in all of them."""

    instrument_id: str
    until_ns: int
    candles: list[tuple[int, CandleOf, int, float, float, float, float, float, float]]
    open_interest: list[tuple[int, float, float]]
    funding: list[tuple[int, float, float]]


_DECODER = msgspec.json.Decoder(_Past)


def past_frame(
    instrument_id: str, until_ns: int, received_ns: int, events: Iterable[MarketEvent]
) -> Frame:
    """Candles, open interest and settled funding up to `until_ns` as one frame; others are left."""
    past = _Past(instrument_id, until_ns, [], [], [])
    for e in events:
        if e.event_ns > until_ns:
            continue
        if isinstance(e, Candle):
            prices = (e.open, e.high, e.low, e.close)
            past.candles.append(
                (e.event_ns, e.of, e.interval_ns, *prices, e.volume, e.taker_buy_volume)
            )
        elif isinstance(e, OpenInterest):
            past.open_interest.append((e.event_ns, e.quantity, e.price))
        elif isinstance(e, FundingRate) and e.is_settled:
            past.funding.append((e.event_ns, e.rate, e.interval_h))
    venue = instrument_id.partition(":")[0]
    source = f"{PREFIX}{instrument_id}?until={until_ns}"
    return Frame(venue, source, received_ns, msgspec.json.encode(past))


def is_past(frame: Frame) -> bool:
    """Whether `past_frame` made it."""
    return frame.source.startswith(PREFIX)


def read_past(frame: Frame) -> ImportedPast:
    """The inverse of `past_frame`. Raises DecodeError."""
    try:
        past = _DECODER.decode(frame.payload)
    except msgspec.DecodeError as error:
        raise DecodeError(frame.venue, frame.source, frame.payload, str(error)) from error
    of, got = past.instrument_id, frame.received_ns
    events: list[Candle | OpenInterest | FundingRate] = [
        Candle(of, row[0], got, *row[1:], is_history=True) for row in past.candles
    ]
    events += [
        OpenInterest(of, at, got, quantity, price, is_history=True)
        for at, quantity, price in past.open_interest
    ]
    events += [
        FundingRate(of, at, got, rate, hours, is_settled=True) for at, rate, hours in past.funding
    ]
    return ImportedPast(of, past.until_ns, got, tuple(events))
