"""Topics and mailboxes: publishing never waits, and a slow reader only slows itself.

Law: a mailbox holds at most the newest value of each topic it follows (and a bounded stretch of the
tape), however long its reader sleeps. What is skipped is counted in `Hub.conflated`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from liqfield.server.wire import ServerMessage, Tape, TapeRow

TAPE_KEPT = 2000
TAPE_PENDING = 500

Data: TypeAlias = "str | bytes"


class Payload:
    """A message encoded once for all its readers, and only when there is one. Text is str."""

    __slots__ = ("_data", "message")

    def __init__(self, message: ServerMessage | bytes) -> None:
        self.message = message
        self._data: Data | None = message if isinstance(message, bytes) else None

    @property
    def data(self) -> Data:
        if self._data is None:
            self._data = msgspec.json.encode(self.message).decode()
        return self._data


class Mailbox:
    """What one client has not been sent yet. `pop` takes the topic that has waited longest."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._latest: dict[str, Payload] = {}
        self._tape: dict[str, deque[Payload]] = {}
        self._ready = asyncio.Event()
        self.topics: set[str] = set()

    def put(self, topic: str, payload: Payload) -> None:
        if topic in self._latest:
            self._hub.conflated += 1
        self._latest[topic] = payload
        self._ready.set()

    def put_tape(self, topic: str, payload: Payload) -> None:
        """Appends; the oldest batches go when more than TAPE_PENDING rows wait."""
        batches = self._tape.setdefault(topic, deque())
        batches.append(payload)
        if topic in self._latest:
            self._hub.conflated += 1
        self._latest[topic] = payload
        while len(batches) > 1 and sum(map(_rows, batches)) > TAPE_PENDING:
            batches.popleft()
        self._ready.set()

    async def wait(self) -> None:
        """Until there is something to send."""
        await self._ready.wait()

    def pop(self) -> Data | None:
        """The next thing to send, None when there is nothing."""
        if not self._latest:
            self._ready.clear()
            return None
        topic = next(iter(self._latest))
        payload = self._latest.pop(topic)
        batches = self._tape.pop(topic, None)
        if batches is None or len(batches) == 1:
            return payload.data
        merged: list[TapeRow] = []
        for batch in batches:
            if isinstance(batch.message, Tape):
                merged += batch.message.rows
        base = topic.removeprefix("tape:")
        return Payload(Tape(base, tuple(merged[-TAPE_PENDING:]))).data

    def __len__(self) -> int:
        return len(self._latest)


class LadderWant(msgspec.Struct, frozen=True):
    """A ladder somebody looks at: publish it under `topic`. step 0 = automatic; rows as sent;
    venue "" = all."""

    topic: str
    step: float
    rows: int
    venue: str = ""


class ClusterWant(msgspec.Struct, frozen=True):
    """Clusters of a threshold that somebody chose: those of min_usd or more, under `topic`."""

    topic: str
    min_usd: float


class Hub:
    """One per process; lives on one event loop."""

    def __init__(self) -> None:
        self._retained: dict[str, Payload] = {}
        self._tapes: dict[str, deque[TapeRow]] = {}
        self._readers: dict[str, set[Mailbox]] = {}
        self._mailboxes: set[Mailbox] = set()
        self.conflated = 0

    def publish(self, topic: str, message: ServerMessage | bytes) -> None:
        """The newest value of a topic: JSON messages as structs, tiles as bytes. Never waits."""
        payload = Payload(message)
        self._retained[topic] = payload
        for mailbox in self._readers.get(topic, ()):
            mailbox.put(topic, payload)

    def publish_tape(self, base: str, rows: Sequence[TapeRow]) -> None:
        """Append realised liquidations, newest last."""
        if not rows:
            return
        topic = f"tape:{base}"
        self._tapes.setdefault(topic, deque(maxlen=TAPE_KEPT)).extend(rows)
        payload = Payload(Tape(base, tuple(rows)))
        for mailbox in self._readers.get(topic, ()):
            mailbox.put_tape(topic, payload)

    def latest(self, topic: str) -> ServerMessage | bytes | None:
        """The newest value of a topic; of a tape, all that is kept."""
        if topic in self._tapes:
            return Tape(topic.removeprefix("tape:"), tuple(self._tapes[topic]))
        payload = self._retained.get(topic)
        return None if payload is None else payload.message

    def followed(self, prefix: str = "") -> tuple[str, ...]:
        """Topics that somebody follows: what nobody follows need not be computed."""
        return tuple(topic for topic in self._readers if topic.startswith(prefix))

    def ladders(self, base: str) -> tuple[LadderWant, ...]:
        """The ladders of a market that somebody looks at."""
        wants = []
        for topic in self.followed(f"ladder:{base}:"):
            step, rows, *venue = topic.split(":")[2:]
            wants.append(LadderWant(topic, float(step), int(rows), "".join(venue)))
        return tuple(wants)

    def cluster_wants(self, base: str) -> tuple[ClusterWant, ...]:
        """The thresholds of a market that somebody chose, beside its own."""
        return tuple(
            ClusterWant(topic, float(topic.split(":")[2]))
            for topic in self.followed(f"clusters:{base}:")
        )

    @property
    def clients(self) -> int:
        return len(self._mailboxes)

    def connect(self) -> Mailbox:
        mailbox = Mailbox(self)
        self._mailboxes.add(mailbox)
        return mailbox

    def disconnect(self, mailbox: Mailbox) -> None:
        for topic in tuple(mailbox.topics):
            self.unsubscribe(mailbox, topic)
        self._mailboxes.discard(mailbox)

    def subscribe(self, mailbox: Mailbox, topic: str) -> None:
        """The newest value at once, later ones as they come."""
        if topic in mailbox.topics:
            return
        mailbox.topics.add(topic)
        self._readers.setdefault(topic, set()).add(mailbox)
        if topic in self._tapes:
            recent = tuple(self._tapes[topic])[-TAPE_PENDING:]
            mailbox.put_tape(topic, Payload(Tape(topic.removeprefix("tape:"), recent)))
        elif topic in self._retained:
            mailbox.put(topic, self._retained[topic])

    def unsubscribe(self, mailbox: Mailbox, topic: str) -> None:
        mailbox.topics.discard(topic)
        readers = self._readers.get(topic)
        if readers is not None:
            readers.discard(mailbox)
            if not readers:
                del self._readers[topic]
                if topic.startswith(("ladder:", "clusters:")) and topic.count(":") > 1:
                    # What nobody looks at is not computed; an old one must not greet anybody.
                    self._retained.pop(topic, None)


def _rows(payload: Payload) -> int:
    return len(payload.message.rows) if isinstance(payload.message, Tape) else 0
