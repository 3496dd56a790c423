"""What a venue is: pure functions from bytes to events, and its subscriptions and polls as data.

A new venue is one file that satisfies `Venue`, one line in the registry, a recording and a page in
docs/venues. Nothing outside this folder knows a venue's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from liqfield.model.events import Event, Frame, Trade
from liqfield.model.instrument import Instrument
from liqfield.model.requests import HttpRequest
from liqfield.model.sides import BookRule

# Margin tiers change rarely, and a request that failed is made again after this. They are asked by
# contract as well as by base asset: a name may hide a multiplier (1000PEPE).
TIERS_S = 21_600.0
# Stands in a message for the second in which it is sent (Gate refuses stale requests).
NOW_S = b'"@now"'


def stamped(message: bytes, now_s: int) -> bytes:
    """The message as it goes out."""
    return message.replace(NOW_S, b"%d" % now_s)


class StreamSpec(msgspec.Struct, frozen=True):
    """One stream of a connection, for health and staleness.

    name: stable and readable, e.g. "book BTCUSDT". expect_s: usual longest silence, 0 = silence is
    normal (liquidations). kinds: event type names that prove the stream alive. instrument_id "" =
    all instruments. is_canary: subscribed only to prove that a connection of silent streams lives;
    another connection carries it in earnest, so that losing it here loses nothing.
    """

    name: str
    kinds: tuple[str, ...]
    instrument_id: str
    expect_s: float
    is_canary: bool = False


class Heartbeat(msgspec.Struct, frozen=True):
    """What the client sends to stay connected. payload b"" = a WebSocket ping frame."""

    every_s: float
    payload: bytes
    only_when_idle: bool = False


class Connection(msgspec.Struct, frozen=True):
    """One WebSocket: where, what to send after opening, how it lives.

    source: the Frame.source of its messages, "ws:<path>#<name>".
    """

    venue: str
    name: str
    path: str
    source: str
    send: tuple[bytes, ...]
    streams: tuple[StreamSpec, ...]
    heartbeat: Heartbeat | None = None
    send_spacing_s: float = 0.25  # respects the venue's incoming message limit
    max_age_s: float = 86_000.0  # planned rotation before the venue cuts


class Poll(msgspec.Struct, frozen=True):
    """A request repeated every `every_s`; `kinds` as in StreamSpec."""

    request: HttpRequest
    every_s: float
    kinds: tuple[str, ...]


class Resync(msgspec.Struct, frozen=True):
    """How to get a fresh book: a REST request, or messages on the connection that carries it."""

    request: HttpRequest | None = None
    connection: str = ""
    send: tuple[bytes, ...] = ()


class Budget(msgspec.Struct, frozen=True):
    """A REST budget: `capacity` weight refills over `per_s` seconds, per IP."""

    pool: str
    capacity: float
    per_s: float


class Venue(Protocol):
    """One venue. All methods are pure; the clock is an argument where it matters."""

    @property
    def name(self) -> str: ...
    @property
    def book_rule(self) -> BookRule: ...
    @property
    def rest_url(self) -> str: ...
    @property
    def ws_url(self) -> str: ...
    @property
    def budgets(self) -> tuple[Budget, ...]: ...

    def decode(self, frame: Frame, instruments: Mapping[str, Instrument]) -> Sequence[Event]:
        """Bytes to events. `instruments` by id; unknown instruments give Unknown events.

        Raises DecodeError on malformed messages, never on merely unknown ones.
        """
        ...

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        """Requests whose replies give Listing (and TierTable) events, before anything else."""
        ...

    def ranking(self) -> Sequence[HttpRequest]:
        """Requests whose replies give Turnover events of everything listed."""
        ...

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Everything to subscribe to for these instruments, split as the venue advises."""
        ...

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """What no stream carries."""
        ...

    def backfill(self, instrument: Instrument, start_ns: int, end_ns: int) -> Sequence[HttpRequest]:
        """Requests for mark and last candles, open interest and funding of the stretch."""
        ...

    def resync(self, instrument: Instrument) -> Resync:
        """What to do when the book of the instrument is void."""
        ...

    def missed_trades(
        self, instrument: Instrument, before: Trade, after: Trade, page: int
    ) -> HttpRequest | None:
        """A request for trades between two that were heard; None where none is left to ask.

        page counts from 0; from the second on, `before` or `after` has moved to what the page
        before brought. The reply may hold trades outside of the hole.
        """
        ...

    def infer_instrument(self, frame: Frame) -> Instrument | None:
        """From a frame of a recording that carries no instrument list; None where it shows none."""
        ...
