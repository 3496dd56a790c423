"""Make before break: the next socket is opened, subscribed and heard before the old one goes.

Its messages wait until every stream that must speak has spoken on it; then they are delivered in
one go and it speaks for the connection. Books, quotes and marks are from then on the new one's
alone: they start over from its snapshot, or repeat ids that their chain knows. Trades and
liquidations are heard from both until they have met, and whoever brings a message second, byte for
byte, is not heard. So nothing is doubled, at any rate and however long the overlap is; and nothing
is lost, because the old one is closed only when the new one has repeated it (it is subscribed) and
it has repeated the newest word of the new one (nothing of before is on its way any more).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from liqfield.feeds.socket import Socket

WAITING_MAX = 50_000  # messages that may wait; beyond it the rotation is put off
SETTLE_S = 0.3  # at least this long, so that acknowledgements and snapshots are in
TAIL_S = 3.0  # the old socket is heard at most so long, and repeats come so long after it went
IDENTIFIED = frozenset({"Trade", "Liquidation"})  # kinds that may be dropped as repeats

# What a message would decode to: (instrument id, kind) of each event. Must not touch the decoder
# that the pipeline uses, which may keep state of its own.
Probe = Callable[[bytes], Sequence[tuple[str, str]]]


class Overlap:
    """What both sockets of a rotation say: before the swap, and until they have met."""

    def __init__(self, probe: Probe) -> None:
        self.waiting: list[bytes] = []
        self.dropped = 0
        self.is_full = False
        self.is_over = False  # the old socket has been closed: only its repeats may still come
        self.spoken: set[tuple[str, str]] = set()
        self._probe = probe
        self._old: set[bytes] = set()  # delivered from the old socket
        self._new: set[bytes] = set()  # delivered from the new one
        self._newest: bytes | None = None  # identified, of the new one, at the swap

    def old_said(self, payload: bytes) -> None:
        """Delivered before the swap."""
        _remember(self._old, payload)

    def new_said(self, payload: bytes) -> None:
        """Kept for the swap; noted what kind of events it brings."""
        if len(self.waiting) >= WAITING_MAX:
            self.is_full = True
            return
        self.waiting.append(payload)
        events = self._probe(payload)
        self.spoken.update(events)
        if _are_identified(events):
            self._newest = payload

    def is_repeat(self, payload: bytes) -> bool:
        """After the swap, of the new socket: the old one has delivered exactly this message of
        identified events."""
        if payload in self._old and _are_identified(self._probe(payload)):
            self.dropped += 1
            return True
        if not self.is_over:
            _remember(self._new, payload)
        return False

    def is_news(self, payload: bytes) -> bool:
        """After the swap, of the old socket: identified events that the new one has not brought."""
        if payload in self._new or not _are_identified(self._probe(payload)):
            return False
        _remember(self._old, payload)
        return True

    @property
    def have_met(self) -> bool:
        """The new socket repeats the old one, and the old one is not behind the new one."""
        return self.dropped > 0 and self._newest in self._old


def _are_identified(events: Sequence[tuple[str, str]]) -> bool:
    return bool(events) and all(kind in IDENTIFIED for _, kind in events)


def _remember(said: set[bytes], payload: bytes) -> None:
    if len(said) < 4 * WAITING_MAX:
        said.add(payload)


async def until_spoken(
    overlap: Overlap,
    is_enough: Callable[[], bool],
    sockets: Sequence[Socket],
    limit_s: float,
    sleep_s: float = 0.05,
) -> bool:
    """Wait until the new socket has said enough; False at the limit, or when a socket ended."""
    waited = 0.0
    while waited < limit_s:
        await asyncio.sleep(sleep_s)
        waited += sleep_s
        if overlap.is_full or any(socket.closed.done() for socket in sockets):
            return False
        if waited >= SETTLE_S and is_enough():
            return True
    return False


async def until_met(overlap: Overlap, sockets: Sequence[Socket], sleep_s: float = 0.05) -> None:
    """Wait until the old socket may go: at most TAIL_S, and not for a socket that ended."""
    waited = 0.0
    while waited < TAIL_S and not overlap.have_met:
        if any(socket.closed.done() for socket in sockets):
            return
        await asyncio.sleep(sleep_s)
        waited += sleep_s
