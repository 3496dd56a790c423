"""The one pipeline: record, decode, step. Live, demo, replay and study differ only in the source.

Frames and gaps are recorded in the order consumed, before anything is made of them, so that a
replay of the recording is the live run again.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Protocol

import msgspec

from liqfield.engine.engine import Engine
from liqfield.engine.outputs import Output
from liqfield.model.errors import DecodeError
from liqfield.model.events import Event, Frame, Gap, Record, Trade
from liqfield.model.instrument import Instrument
from liqfield.store.past_frames import is_past, read_past


class Recorder(Protocol):
    def append(self, record: Record) -> None: ...


class Decoder(Protocol):
    """What the pipeline needs of a venue."""

    def decode(self, frame: Frame, instruments: Mapping[str, Instrument]) -> Sequence[Event]: ...

    def infer_instrument(self, frame: Frame) -> Instrument | None: ...


class DecodeFailure(msgspec.Struct, frozen=True):
    """A malformed frame, as the health view shows it."""

    venue: str
    source: str
    received_ns: int
    why: str


class Seen(msgspec.Struct, frozen=True, gc=False):
    """What a frame turned out to be, for the staleness watch of feeds."""

    venue: str
    source: str
    instrument_id: str
    kind: str
    received_ns: int


class Pipeline:
    """Synchronous: `consume` or `pieces` is called with batches by whoever owns the source.

    is_in_past: a long past is being folded, and live frames wait for it.
    """

    def __init__(
        self,
        engine: Engine,
        venues: Mapping[str, Decoder],
        *,
        recorder: Recorder | None = None,
        on_events: Callable[[Frame, Sequence[Event]], None] | None = None,
        on_malformed: Callable[[Frame], None] | None = None,
    ) -> None:
        self.engine = engine
        self.frames: Counter[str] = Counter()
        self.gaps: Counter[str] = Counter()
        self.failures: deque[DecodeFailure] = deque(maxlen=100)
        self.decode_errors = 0
        self.step_ns: deque[int] = deque(maxlen=4096)  # per frame: decode and step together
        self.is_in_past = False
        self.venues = venues
        self._last = "", ""  # venue and source of the last frame, often those of the next one
        self._label, self._is_past, self._is_reply = "", False, False
        self._recorder = recorder
        self._on_events = on_events
        self._on_malformed = on_malformed

    def consume(self, records: Iterable[Record]) -> list[Output]:
        """Fold records; returns the outputs in order. A malformed frame is counted, never fatal."""
        return list(chain.from_iterable(self.pieces(records)))

    def pieces(self, records: Iterable[Record]) -> Iterator[list[Output]]:
        """`consume` in pieces of bounded work and memory: a day of back-fill is seconds of folding.

        To be read to its end before the next call. What is done between pieces changes nothing as
        long as it only reads.
        """
        outputs: list[Output] = []
        for record in records:
            if self._recorder is not None:
                self._recorder.append(record)
            if isinstance(record, Gap):
                self.gaps[f"{record.venue} {record.reason}"] += 1
                outputs += self.engine.step(record)
                continue
            started_ns = time.perf_counter_ns()
            events = self.decode(record)
            if not events:
                continue
            if self._is_reply:
                trades = [event for event in events if isinstance(event, Trade)]
                if trades:
                    outputs += self.engine.repair(trades)
            for event in events:
                if self._is_reply and isinstance(event, Trade):
                    continue
                for piece in self.engine.past(event):
                    self.is_in_past = True
                    yield [*outputs, *piece]
                    outputs = []
                    started_ns = time.perf_counter_ns()  # a past is no frame's own time
                self.is_in_past = False
                outputs += self.engine.step(event)
            self.step_ns.append(time.perf_counter_ns() - started_ns)
            if self._on_events is not None:
                self._on_events(record, events)
        yield outputs

    def decode(self, frame: Frame) -> Sequence[Event]:
        """Events of a frame; none, counted, where the venue is unknown or the frame malformed."""
        venue = self.venues.get(frame.venue)
        if (frame.venue, frame.source) != self._last:
            self._last = frame.venue, frame.source
            self._label = f"{frame.venue} {frame.source.partition('?')[0]}"
            self._is_past = is_past(frame)
            self._is_reply = frame.source.startswith("rest:")
        self.frames[self._label] += 1
        if venue is None:
            self.engine.unknown[f"venue {frame.venue}"] += 1
            return ()
        try:
            if self._is_past:
                return (read_past(frame),)
            return venue.decode(frame, self.engine.instruments)
        except DecodeError as error:
            self.decode_errors += 1
            self.failures.append(
                DecodeFailure(frame.venue, frame.source, frame.received_ns, str(error))
            )
            if self._on_malformed is not None:
                self._on_malformed(frame)
            return ()
