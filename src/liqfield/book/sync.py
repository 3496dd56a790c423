"""The synchroniser: what comes out is the true book or nothing.

Safety: `ladder` is None from the moment a loss is known until a snapshot and an unbroken chain of
diffs join again. Liveness: one NeedSnapshot a loss; the shell may repeat it on its own timer, and a
snapshot that is too old asks once more. Rules: shared by name with the venues (model.BookRule).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from liqfield.book.ladder import Ladder
from liqfield.model.events import BookDelta, BookSnapshot, Gap
from liqfield.model.requests import NeedSnapshot
from liqfield.model.sides import BookRule

BUFFER_MAX = 2_000  # diffs kept while a snapshot is on its way


class BookSync:
    """One instrument's book. `push` folds a message and says when a snapshot is needed.

    ladder: the true book, or None.
    after_ns: snapshots that are not younger than this are in units that hold no more.
    """

    def __init__(self, instrument_id: str, rule: BookRule, *, after_ns: int = 0) -> None:
        self.instrument_id = instrument_id
        self.rule = rule
        self.sequence = -1
        self.event_ns = 0
        self.losses = 0
        self._after_ns = after_ns
        self._continues = _CONTINUES[rule]
        # By these rules what names the book's state as its predecessor continues it.
        self._is_chain = rule in (BookRule.REST_THEN_PREVIOUS, BookRule.PREVIOUS_ID)
        self.ladder: Ladder | None = None
        self._ladder = Ladder()
        self._asked = False
        self._buffer: deque[BookDelta] = deque(maxlen=BUFFER_MAX)

    def push(self, event: BookSnapshot | BookDelta | Gap) -> NeedSnapshot | None:
        """Fold one message."""
        if type(event) is BookDelta:
            ladder = self.ladder
            is_next = self._is_chain and event.previous_sequence == self.sequence
            if ladder is None or not (is_next or self._continues(event, self.sequence)):
                return self._stray(event)
            ladder.apply(event.levels)
            self.sequence, self.event_ns = event.sequence, event.event_ns
            return self._lost("crossed book") if ladder.is_crossed else None
        if isinstance(event, BookSnapshot):
            return self._snapshot(event)
        self._void()
        return None  # the next diff asks, unless the stream's own snapshot comes first

    # ---- messages -----------------------------------------------------------------------------

    def _stray(self, delta: BookDelta) -> NeedSnapshot | None:
        """A diff that does not continue the book, or there is none."""
        if self.ladder is None:
            if self.rule is BookRule.REST_THEN_PREVIOUS:
                self._keep(delta)
            return self._ask("no snapshot yet")
        if self._is_repeat(delta):
            return None
        return self._lost(
            f"expected to follow {self.sequence}, got "
            f"{delta.first_sequence}..{delta.sequence} after {delta.previous_sequence}",
            delta,
        )

    def _keep(self, delta: BookDelta) -> None:
        """Buffer for a snapshot to join: always one unbroken chain, the newest one."""
        if self._buffer and delta.previous_sequence != self._buffer[-1].sequence:
            last = self._buffer[-1]
            if delta.sequence <= last.sequence and delta.event_ns <= last.event_ns:
                return  # seen before
            self._buffer.clear()
        self._buffer.append(delta)

    def _snapshot(self, snapshot: BookSnapshot) -> NeedSnapshot | None:
        if snapshot.event_ns <= self._after_ns:
            self._asked = False
            return self._ask("snapshot is older than the units of this book")
        if self.rule is BookRule.WHOLE:
            if snapshot.event_ns < self.event_ns and self.ladder is not None:
                return None  # an older whole book says nothing new
        elif self.rule is BookRule.REST_THEN_PREVIOUS:
            return self._join(snapshot)
        return self._take(snapshot)

    def _take(self, snapshot: BookSnapshot) -> NeedSnapshot | None:
        self._ladder.replace(snapshot.levels)
        self.sequence, self.event_ns = snapshot.sequence, snapshot.event_ns
        self.ladder, self._asked = self._ladder, False
        if self._ladder.is_crossed:
            return self._lost("snapshot is crossed")
        return None

    def _join(self, snapshot: BookSnapshot) -> NeedSnapshot | None:
        """A REST snapshot with id L: the first diff must cover L, or follow it exactly."""
        if self.ladder is not None:
            return None  # an audit reply; the chain is proof enough
        while self._buffer and self._buffer[0].sequence < snapshot.sequence:
            self._buffer.popleft()
        if self._buffer and not _joins(self._buffer[0], snapshot.sequence):
            self._asked = False
            return self._ask("snapshot is older than the first buffered diff")
        need = self._take(snapshot)
        pending = list(self._buffer)
        self._buffer.clear()
        for delta in pending:
            if need is not None:
                self._buffer.append(delta)
                continue
            need = self.push(delta)
        return need

    # ---- the chain ----------------------------------------------------------------------------

    def _is_repeat(self, delta: BookDelta) -> bool:
        """A message seen before: harmless, because sizes are absolute and it is older."""
        if self.rule is BookRule.PREVIOUS_ID:
            return False  # ids may legally fall: a repeat cannot be told from a loss
        # Behind by its counter and ahead by its time: one of our counters is wrong, not a repeat.
        return delta.sequence <= self.sequence and delta.event_ns <= self.event_ns

    def _void(self) -> None:
        if self.ladder is not None:
            self.losses += 1
        self.ladder, self._asked = None, False
        self._buffer.clear()

    def _lost(self, why: str, delta: BookDelta | None = None) -> NeedSnapshot | None:
        self._void()
        if delta is not None and self.rule is BookRule.REST_THEN_PREVIOUS:
            self._buffer.append(delta)
        return self._ask(why)

    def _ask(self, why: str) -> NeedSnapshot | None:
        if self._asked or self.rule is BookRule.WHOLE:
            return None
        self._asked = True
        return NeedSnapshot(self.instrument_id, why)


def _joins(delta: BookDelta, snapshot_sequence: int) -> bool:
    covers = delta.first_sequence <= snapshot_sequence <= delta.sequence
    return covers or delta.previous_sequence == snapshot_sequence


# ---- does a diff follow the book at a sequence? -------------------------------------------------


def _next_by_one(delta: BookDelta, at: int) -> bool:
    return delta.sequence == at + 1


def _after_previous(delta: BookDelta, at: int) -> bool:
    """The chain is pu == last u; at the join the diff covers the snapshot."""
    return delta.previous_sequence == at or (
        delta.first_sequence <= at <= delta.sequence and delta.previous_sequence < at
    )


def _by_previous_id(delta: BookDelta, at: int) -> bool:
    # Books of before 2023 carry no ids at all: both are 0 and nothing can be checked.
    return delta.previous_sequence == at


def _always(delta: BookDelta, at: int) -> bool:
    del delta, at
    return True


_CONTINUES: dict[BookRule, Callable[[BookDelta, int], bool]] = {
    BookRule.NEXT_BY_ONE: _next_by_one,
    BookRule.REST_THEN_PREVIOUS: _after_previous,
    BookRule.PREVIOUS_ID: _by_previous_id,
    BookRule.WHOLE: _always,
    BookRule.IN_ORDER: _always,
}
