"""Make before break: the next socket is opened, subscribed and heard before the old one goes.

Its messages wait until every stream that must speak has spoken on it; then they are delivered in
one go and the old socket is closed. Nothing is lost, because the new socket was subscribed before
the old one went. Nothing is doubled: books start over from the new socket's snapshot or repeat ids
that their chain knows, and a message of trades or liquidations that the old socket has delivered in
the overlap is left out here, byte for byte, at any rate and however long the overlap is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from liqfield.feeds.socket import Socket

WAITING_MAX = 50_000  # messages that may wait; beyond it the rotation is put off
SETTLE_S = 0.5  # at least this long, so that acknowledgements and snapshots are in
TAIL_S = 3.0  # repeats may still come this long after the old socket went
IDENTIFIED = frozenset({"Trade", "Liquidation"})  # kinds that may be dropped as repeats

# What a message would decode to: (instrument id, kind) of each event. Must not touch the decoder
# that the pipeline uses, which may keep state of its own.
Probe = Callable[[bytes], Sequence[tuple[str, str]]]


class Overlap:
    """What both sockets of a rotation say."""

    def __init__(self, probe: Probe) -> None:
        self.waiting: list[bytes] = []
        self.dropped = 0
        self.is_full = False
        self.spoken: set[tuple[str, str]] = set()
        self._probe = probe
        self._old: set[bytes] = set()

    def old_said(self, payload: bytes) -> None:
        if len(self._old) < 4 * WAITING_MAX:
            self._old.add(payload)

    def new_said(self, payload: bytes) -> None:
        """Kept for the swap; noted what kind of events it brings."""
        if len(self.waiting) >= WAITING_MAX:
            self.is_full = True
            return
        self.waiting.append(payload)
        self.spoken.update(self._probe(payload))

    def is_repeat(self, payload: bytes) -> bool:
        """The old socket has delivered exactly this message of identified events."""
        if payload not in self._old:
            return False
        kinds = {kind for _, kind in self._probe(payload)}
        repeat = bool(kinds) and kinds <= IDENTIFIED
        self.dropped += repeat
        return repeat


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
