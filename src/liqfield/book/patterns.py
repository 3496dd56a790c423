"""What pulled walls tell together: layers of equal orders, and flips into aggression. Never judged:
intent is not visible."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence

from liqfield.book.attribution import Attribution
from liqfield.book.plan import AGGRESSION_S
from liqfield.book.wall_facts import Flip, Layering, WallEnd, WallFact, WallSettings
from liqfield.model.durations import SECOND_NS

NEVER_NS = 1 << 62


class PulledPatterns:
    """Of one book, with the aggression that its attribution counts. `pulled` with every wall that
    was pulled.

    due_ns: when the next flip is judged.
    """

    def __init__(self, settings: WallSettings, of: Attribution) -> None:
        self.settings = settings
        self._of = of
        self.due_ns = NEVER_NS
        self._ended: deque[WallEnd] = deque(maxlen=32)
        self._waiting: deque[WallEnd] = deque(maxlen=64)  # may turn out to be a flip
        self._flip_ns: tuple[deque[int], deque[int]] = (deque(maxlen=64), deque(maxlen=64))

    def pulled(self, end: WallEnd) -> list[WallFact]:
        """Do the last pulled walls, this one included, form a layer? Any that was followed counts:
        a pattern says more than the size of one."""
        chosen = self.settings
        if end.excess >= chosen.flip_excess:
            self._waiting.append(end)
        self._ended.append(end)
        most_ns = chosen.layer_ns
        low_ns, high_ns = end.born_ns - most_ns, end.born_ns + most_ns
        like = [
            other
            for other in self._ended
            if low_ns <= other.born_ns <= high_ns  # few are: the rest is seldom asked
            and other.is_ask == end.is_ask
            and abs(other.peak / end.peak - 1.0) <= chosen.layer_size
            and abs(other.ended_ns - end.ended_ns) <= most_ns
            and abs(other.tick / end.tick - 1.0) <= chosen.layer_span
        ]
        is_layer = len(like) >= chosen.layer_count
        if is_layer:
            for other in like:
                self._ended.remove(other)
                if other in self._waiting:  # its reason is known
                    self._waiting.remove(other)
        self._wait()
        if not is_layer:
            return []
        return [
            Layering(
                end.ended_ns,
                end.is_ask,
                tuple(sorted(other.tick for other in like)),
                sum(other.peak for other in like),
                (end.ended_ns - min(other.born_ns for other in like)) / SECOND_NS,
            )
        ]

    def due(self, now_ns: int) -> Sequence[WallFact]:
        """Flips whose time has come."""
        if now_ns < self.due_ns:
            return ()
        self._of.settle()
        facts: list[WallFact] = []
        while now_ns >= self.due_ns:
            facts += self._flip(self._waiting.popleft())
            self._wait()
        return facts

    def digest(self) -> bytes:
        """Hash over all that decides what comes."""
        sha = hashlib.sha256()
        for end in (*self._ended, *self._waiting, *self._flip_ns[0], *self._flip_ns[1]):
            sha.update(repr(end).encode())
        bids, asks = self._of.aggression.tolist()
        sha.update(repr((self._of.second.item(), (bids, asks))).encode())
        return sha.digest()

    def _wait(self) -> None:
        waiting = self._waiting
        self.due_ns = waiting[0].ended_ns + self.settings.flip_ns if waiting else NEVER_NS

    def _flip(self, end: WallEnd) -> list[WallFact]:
        """Bids pulled and sold into, or asks pulled and bought from, within two seconds. A flow
        many times the wall was no reason for it: the market moved."""
        chosen = self.settings
        span = chosen.flip_ns // SECOND_NS
        middle = end.ended_ns // SECOND_NS
        newest = self._of.second.item()
        seconds = [s for s in range(middle - span, middle + span + 1) if s <= newest]
        aggression = self._of.aggression.tolist()
        flow, against = aggression[end.is_ask], aggression[1 - end.is_ask]
        within = sum(flow[s % AGGRESSION_S] for s in seconds)
        both = within + sum(against[s % AGGRESSION_S] for s in seconds)
        pace = sum(flow) / AGGRESSION_S * len(seconds)
        least = max(
            chosen.flip_times * pace, chosen.flip_least * end.peak, chosen.flip_share * both
        )
        if not least <= within <= chosen.flip_most * end.peak:
            return []
        times = self._flip_ns[end.is_ask]
        times.append(end.ended_ns)
        count = sum(end.ended_ns - t <= 600 * SECOND_NS for t in times)
        return [Flip(end.ended_ns, end.is_ask, end.tick, end.peak, within, count)]
