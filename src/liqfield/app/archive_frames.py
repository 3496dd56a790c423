"""Imported ranges enter the pipeline as frames like everything else, so that recordings hold them.

The payload is ours: msgpack of past candles, open interest and funding of one instrument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from liqfield.app.pipeline import Decoder
from liqfield.model.errors import DecodeError
from liqfield.model.events import Candle, Event, Frame, FundingRate, MarketEvent, OpenInterest
from liqfield.model.instrument import Instrument

VENUE = "archive"


class _Batch(msgspec.Struct, array_like=True):
    candles: list[Candle] = []
    open_interest: list[OpenInterest] = []
    funding: list[FundingRate] = []


class ArchiveDecoder:
    """Satisfies pipeline.Decoder."""

    def decode(self, frame: Frame, instruments: Mapping[str, Instrument]) -> Sequence[Event]:
        """Past events of instruments that are followed; the engine ignores the others."""
        del instruments
        try:
            batch = msgspec.msgpack.decode(frame.payload, type=_Batch)
        except msgspec.DecodeError as error:
            raise DecodeError(VENUE, frame.source, frame.payload, str(error)) from error
        return [*batch.candles, *batch.open_interest, *batch.funding]

    def infer_instrument(self, frame: Frame) -> Instrument | None:
        del frame
        return None


def archive_frame(instrument_id: str, events: Iterable[MarketEvent], received_ns: int) -> Frame:
    """One frame of past events; kinds that no history knows are left out."""
    batch = _Batch([], [], [])
    for event in events:
        if isinstance(event, Candle):
            batch.candles.append(event)
        elif isinstance(event, OpenInterest):
            batch.open_interest.append(event)
        elif isinstance(event, FundingRate):
            batch.funding.append(event)
    source = f"archive:{instrument_id}"
    return Frame(VENUE, source, received_ns, msgspec.msgpack.encode(batch))


def with_archive(venues: Mapping[str, Decoder]) -> dict[str, Decoder]:
    """The venues, and the archive beside them."""
    return {**venues, VENUE: ArchiveDecoder()}
