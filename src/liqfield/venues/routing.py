"""From a frame to the facts of its channel: routes, refusals and unlisted names, in one place.

A venue gives a table of builders, by stream channel and by request path, and says what its messages
are wrapped in. A builder reads the body of one `Message` and adds facts to it; whatever it raises
becomes one DecodeError that shows the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias, TypeVar

import msgspec

from liqfield.model.events import Event, Frame, Notice, Trade, Unknown
from liqfield.model.instrument import Instrument
from liqfield.model.requests import HttpRequest
from liqfield.venues.contract import Connection, Heartbeat, Resync, StreamSpec
from liqfield.venues.decoding import Reader, find, request_of


class Named(Protocol):
    """A row that says which contract it speaks of."""

    symbol: str


T = TypeVar("T")
Row = TypeVar("Row", bound=Named)


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What a message is wrapped in. symbol "" = the rows name it; at_ns 0 = ours stands."""

    channel: str
    body: bytes
    symbol: str = ""
    action: str = ""
    at_ns: int = 0


class Message:
    """One message on its way to facts. at_ns: the envelope's time, or ours."""

    __slots__ = (
        "_known",
        "_reader",
        "_unlisted",
        "action",
        "at_ns",
        "body",
        "channel",
        "events",
        "frame",
        "got_ns",
        "query",
        "symbol",
        "venue",
    )

    def __init__(
        self,
        reader: Reader,
        frame: Frame,
        known: Mapping[str, Instrument],
        envelope: Envelope,
        query: Mapping[str, str],
    ) -> None:
        self.venue = reader.venue
        self.body, self.action = envelope.body, envelope.action
        self.channel, self.symbol = envelope.channel, envelope.symbol
        self.got_ns = frame.received_ns
        self.at_ns = envelope.at_ns or frame.received_ns
        self.frame, self.query = frame, query
        self.events: list[Event] = []
        self._reader, self._known = reader, known
        self._unlisted: tuple[str, ...] = ()

    @property
    def is_reply(self) -> bool:
        return self.frame.source.startswith("rest:")

    def row(self, kind: type[T]) -> T:
        """The body as one value."""
        return self._reader.read(self.body, kind, self.channel)

    def rows(self, kind: type[T]) -> list[T]:
        """The body as rows."""
        return self._reader.read_rows(self.body, kind, self.channel)

    def one_or_more(self, kind: type[T]) -> list[T]:
        """The body as rows, also where one came alone."""
        return self._reader.read_many(self.body, kind, self.channel)

    def find(self, symbol: str) -> Instrument | None:
        """The instrument; one that is not listed is told as an event, once a message."""
        found = find(self.venue, symbol, self.frame, self._known)
        if isinstance(found, Instrument):
            return found
        if symbol not in self._unlisted:
            self._unlisted += (symbol,)
            self.events.append(found)
        return None

    def listed(
        self, rows: Iterable[Row], *, quietly: bool = False
    ) -> Iterator[tuple[Instrument, Row]]:
        """The rows whose instrument is listed, with it. quietly: the others are no news."""
        for row in rows:
            of = None if quietly and not self.knows(row.symbol) else self.find(row.symbol)
            if of is not None:
                yield of, row

    def knows(self, symbol: str) -> bool:
        return f"{self.venue}:{symbol}" in self._known

    def of_subject(
        self, rows: Iterable[T], symbol: str | None = None
    ) -> Iterator[tuple[Instrument, T]]:
        """Rows that do not name a contract, with the one that the message is about."""
        of = self.find(self.symbol if symbol is None else symbol)
        return iter(()) if of is None else ((of, row) for row in rows)

    def subject_of_tiers(self, rows: Sequence[object]) -> Instrument | None:
        """The contract whose tiers these are; without any there is nothing to build."""
        of = self.find(self.symbol)
        if rows:
            return of
        self.note("unused", "no tiers")
        return None

    def add(self, *events: Event) -> None:
        self.events += events

    def note(self, kind: str, detail: str = "") -> None:
        self.events.append(Notice(self.venue, self.got_ns, kind, detail))


Builder: TypeAlias = Callable[[Message], None]


class Routed:
    """A venue whose messages each belong to one channel. The facts of the venue are attributes."""

    name: str
    socket_path: str
    pool: str  # the budget of its requests
    weight = 1.0  # of a request
    symbol_key = "symbol"  # of a request's query
    heartbeat: Heartbeat
    send_spacing_s = 0.25
    max_age_s = 86_000.0

    def __init__(self, streams: Mapping[str, Builder], replies: Mapping[str, Builder]) -> None:
        self._reader = Reader(self.name)
        self._streams, self._replies = streams, replies

    def decode(self, frame: Frame, instruments: Mapping[str, Instrument]) -> Sequence[Event]:
        """Bytes to events. Raises DecodeError on malformed messages."""
        query: Mapping[str, str] = {}
        if is_reply := frame.source.startswith("rest:"):
            path, query, _ = request_of(frame.source)
            opened = self.open_reply(frame, path)
            routes, prefix = self._replies, "rest "
        else:
            opened = self.open_message(frame)
            routes, prefix = self._streams, ""
        if not isinstance(opened, Envelope):
            return [opened]
        if is_reply:
            subject = query.get(self.symbol_key, "")
            opened = msgspec.structs.replace(opened, symbol=subject)
        build = routes.get(opened.channel)
        if build is None:
            return [Unknown(self.name, frame.received_ns, prefix + opened.channel)]
        message = Message(self._reader, frame, instruments, opened, query)
        self._reader.guard(frame, opened.channel, lambda: build(message))
        return message.events

    def open_message(self, frame: Frame) -> Envelope | Notice | Unknown:
        """What a stream message carries; an acknowledgement, a pong or an error is a Notice."""
        raise NotImplementedError

    def open_reply(self, frame: Frame, path: str) -> Envelope | Notice | Unknown:
        """What a reply carries: the body alone, unless the venue wraps it."""
        return Envelope(path, frame.payload)

    def notice(self, frame: Frame, kind: str, detail: str = "") -> Notice:
        return Notice(self.name, frame.received_ns, kind, detail[:200])

    def infer_instrument(self, frame: Frame) -> Instrument | None:
        """The list is one request away; recordings hold it."""
        del frame
        return None

    # ---- what to ask for ----------------------------------------------------------------------

    def missed_trades(
        self, instrument: Instrument, before: Trade, after: Trade, page: int
    ) -> HttpRequest | None:
        """Nothing, unless a venue knows how."""
        del instrument, before, after, page
        return None

    def get(
        self, path: str, instrument_id: str = "", pool: str = "", weight: float = 0.0
    ) -> HttpRequest:
        """A request; pool "" and weight 0: as most of the venue's are."""
        weight, pool = weight or self.weight, pool or self.pool
        return HttpRequest(self.name, path, "", weight, pool, instrument_id)

    def connection(
        self, name: str, send: Iterable[bytes], streams: Iterable[StreamSpec], path: str = ""
    ) -> Connection:
        """A socket that lives as all of this venue do. path "": where most of them are."""
        path = path or self.socket_path
        return Connection(
            self.name,
            name,
            path,
            f"ws:{path}#{name}",
            tuple(send),
            tuple(streams),
            self.heartbeat,
            self.send_spacing_s,
            self.max_age_s,
        )


def batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """In order, at most `size` each: venues limit what one message may ask for."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def pages(begin: int, end: int, step: int) -> list[tuple[int, int]]:
    """begin..end in stretches of at most `step`, without holes."""
    return [(at, min(at + step, end)) for at in range(begin, end, step)]


def leave_and_join(ask: Callable[[str], bytes], connection: str = "books") -> Resync:
    """For venues whose first message after a subscription is the whole book."""
    return Resync(connection=connection, send=(ask("unsubscribe"), ask("subscribe")))
