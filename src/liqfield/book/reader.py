"""Everything that is read off one book, fed message by message: one writer, event time.

Cheap on the path of every message (only its own levels are looked at); the whole book is looked at
once every SAMPLE_NS.
"""

from __future__ import annotations

import hashlib
from collections import deque

import numpy as np

from liqfield.book.attribution import Attribution
from liqfield.book.bands import EDGES
from liqfield.book.depth import SideDepth, side_depth
from liqfield.book.ladder import ASK, BID, Ladder
from liqfield.book.message_kernels import NO_SIGHT
from liqfield.book.sample import BookSampler
from liqfield.book.sync import BookSync
from liqfield.book.usual import SAMPLE_NS, UsualDepth
from liqfield.book.wall_facts import WallFact, WallSettings
from liqfield.book.walls import WallTracker
from liqfield.model.durations import SECOND_NS
from liqfield.model.events import BookDelta, BookLevels, BookSnapshot, FloatArray, IntArray
from liqfield.model.sides import BookRule
from liqfield.model.tape import TradeTape

WATCH_NS = SECOND_NS  # walls: exposure and sight
PAST = 90  # samples: 15 minutes


class BookReader:
    """Readings of one instrument's book. tick_usd: USD per base coin of one tick. Trades are read
    off the tape, under the instrument's number."""

    def __init__(
        self,
        sync: BookSync,
        tick_usd: float,
        trades: TradeTape,
        number: int,
        walls: WallSettings | None = None,
    ) -> None:
        self.sync = sync
        self.tick_usd = tick_usd
        self.attribution = Attribution(trades, number, tick_usd)
        self.walls = WallTracker(self.attribution, walls)
        self.usual = UsualDepth()
        self._sampler = BookSampler(self.walls.sizes)
        self.facts: deque[WallFact] = deque(maxlen=1_000)  # the reader's owner drains it
        self.mid_tick = 0.0
        self.seen = np.zeros(2)  # distance to which each side is shown
        # (at_ns, mid USD, first bin, USD by bin: bids below the mid, asks above it)
        self.past: deque[tuple[int, float, int, FloatArray]] = deque(maxlen=PAST)
        self._bounds = (-NO_SIGHT, NO_SIGHT)  # of a REST snapshot: levels beyond are known in part
        self._was_live = sync.ladder is not None
        self._whole: BookLevels | None = None  # the whole book as last told
        self._sample_ns = 0
        self._watch_ns = 0

    # ---- facts --------------------------------------------------------------------------------

    def after(self, event: BookSnapshot | BookDelta, now_ns: int) -> None:
        """Right after the book folded it. now_ns: the engine's clock."""
        ladder = self.sync.ladder
        was_live, self._was_live = self._was_live, ladder is not None
        if ladder is None:
            if was_live:
                self._restart(event.event_ns)
            return
        mid = ladder.mid
        if mid == 0.0:
            return
        self.mid_tick = mid
        if not was_live:
            self._begin(event)
        elif type(event) is BookDelta:
            if ladder.applied is not event.levels:
                return  # a repeat: nothing was folded
            self._fold(event.levels, ladder.all_before, event.event_ns)
        elif self.sync.rule is BookRule.WHOLE:
            self._fold_whole(event.levels, event.event_ns)
        elif self.sync.rule is not BookRule.REST_THEN_PREVIOUS:  # else an audit: it says nothing
            self._begin(event)
        at_ns, patterns = self.attribution.at_ns, self.walls.patterns
        if at_ns >= patterns.due_ns:
            self.facts.extend(patterns.due(at_ns))
        if now_ns >= self._watch_ns:
            self._look(now_ns)
        if now_ns >= self._sample_ns:
            self._sample(now_ns)

    def gap(self, at_ns: int) -> None:
        """The book is void."""
        self._was_live = self.sync.ladder is not None
        if not self._was_live:
            self._restart(at_ns)

    def trades_lost(self) -> None:
        """Trades went missing: until the next one no loss can be called a cancellation."""
        self.walls.forget(self.attribution.at_ns)
        self.attribution.trades_lost()

    # ---- readings -----------------------------------------------------------------------------

    def depth(self, reach: float = float(EDGES[-1])) -> tuple[SideDepth, SideDepth] | None:
        """(bids, asks) now, None without a book."""
        ladder = self.sync.ladder
        if ladder is None or self.mid_tick <= 0.0:
            return None
        mid, unit = self.mid_tick * self.tick_usd, self.tick_usd
        return (
            side_depth(ladder, BID, mid, unit, float(self.seen[BID]), reach),
            side_depth(ladder, ASK, mid, unit, float(self.seen[ASK]), reach),
        )

    def digest(self) -> bytes:
        """Hash over everything that decides what these readings will be."""
        self.attribution.settle()
        sha = hashlib.sha256(self.attribution.digest())
        sha.update(self.walls.digest())
        sha.update(self.usual.digest())
        sha.update(repr((self.mid_tick, self._bounds, self._sample_ns, self._watch_ns)).encode())
        sha.update(self.seen.tobytes())
        for at_ns, mid, first, usd in self.past:
            sha.update(f"{at_ns} {mid} {first}".encode())
            sha.update(usd.tobytes())
        return sha.digest()

    # ---- inside -------------------------------------------------------------------------------

    def _restart(self, at_ns: int) -> None:
        """The book is void: its walls are out of sight, its losses cannot be told."""
        self.walls.forget(at_ns)
        self.attribution.restart(-1)
        self.past.clear()

    def _begin(self, event: BookSnapshot | BookDelta) -> None:
        """A book from nothing, or replaced."""
        self._restart(event.event_ns)
        self.attribution.restart(self.sync.event_ns)
        if isinstance(event, BookSnapshot) and self.sync.rule is BookRule.REST_THEN_PREVIOUS:
            ticks = event.levels.price_ticks
            self._bounds = (int(ticks.min()), int(ticks.max()))
        if self.sync.rule is BookRule.WHOLE:
            self._whole = _sorted(event.levels)
        self.attribution.see()
        self._sample_ns = self._watch_ns = 0

    def _fold(self, levels: BookLevels, before: FloatArray, at_ns: int) -> None:
        told = self.attribution
        if not (told.has_heard or told.settle()):  # no loss can be explained
            told.restart(max(at_ns, told.at_ns))
            return
        judged = told.delta(levels, before, at_ns, self.mid_tick)
        if judged:
            self.facts.extend(self.walls.facts(judged))

    def _fold_whole(self, event_levels: BookLevels, at_ns: int) -> None:
        """Two whole books: what both show is compared, the rest came into sight or left it."""
        old, new = self._whole, _sorted(event_levels)
        self._whole = new
        if old is None or at_ns < self.attribution.at_ns:
            return
        parts, bid_count = [], 0
        for side in (BID, ASK):
            of_old, of_new = _side(old, side), _side(new, side)
            every = np.union1d(of_old[0], of_new[0])
            if side == BID:
                every = every[every >= max(of_old[0][0], of_new[0][0])]
                bid_count = len(every)
            else:
                every = every[every <= min(of_old[0][-1], of_new[0][-1])]
            parts.append((every, _at(every, *of_old), _at(every, *of_new)))
        ticks, before, after = (np.concatenate([part[k] for part in parts]) for k in range(3))
        self._fold(BookLevels(ticks, after, bid_count), before, at_ns)

    def _look(self, now_ns: int) -> None:
        """Once a second: walls age at their distance, and go out of sight."""
        passed_s = (now_ns - self._watch_ns + WATCH_NS) / SECOND_NS if self._watch_ns else 0.0
        self._watch_ns = now_ns - now_ns % WATCH_NS + WATCH_NS
        self.walls.age(min(passed_s, 10.0), self.attribution.at_ns, self.mid_tick)

    def _sample(self, now_ns: int) -> None:
        """Once in ten seconds: usual depth, level sizes, the recent past by price."""
        self._sample_ns = now_ns - now_ns % SAMPLE_NS + SAMPLE_NS
        ladder = self.sync.ladder
        assert ladder is not None
        self._measure_view(ladder)
        found = self._sampler.look(ladder, self.mid_tick, self.tick_usd, self.seen)
        self.usual.sample(now_ns, found.cum_usd)
        self.walls.learn()
        if self.attribution.settle():
            # Large levels that stood before they were large, or before we looked.
            levels = found.ticks, found.coins, found.band, found.bids
            self.walls.find(*levels, self.attribution.at_ns, self.mid_tick)
        self.past.append((now_ns, found.mid, found.first, found.usd))

    def _measure_view(self, ladder: Ladder) -> None:
        """How far the venue shows each side: to the edge of the snapshot, or of its window."""
        if self.sync.rule is BookRule.REST_THEN_PREVIOUS:
            low, high = self._bounds
        else:
            low, high = ladder.farthest(BID), ladder.farthest(ASK)
            self.attribution.see(self.mid_tick - low, high - self.mid_tick)
        self.seen[BID] = max(1.0 - low / self.mid_tick, 0.0)
        self.seen[ASK] = max(high / self.mid_tick - 1.0, 0.0)


def _sorted(levels: BookLevels) -> BookLevels:
    """Each side ascending by tick."""
    n = levels.bid_count
    order = np.concatenate(
        (np.argsort(levels.price_ticks[:n]), n + np.argsort(levels.price_ticks[n:]))
    )
    return BookLevels(levels.price_ticks[order], levels.quantity[order], n)


def _side(levels: BookLevels, side: int) -> tuple[IntArray, FloatArray]:
    part = slice(levels.bid_count) if side == BID else slice(levels.bid_count, None)
    return levels.price_ticks[part], levels.quantity[part]


def _at(every: IntArray, ticks: IntArray, quantity: FloatArray) -> FloatArray:
    """Sizes at `every` tick, 0 where nothing rests; `ticks` ascending."""
    at = np.minimum(np.searchsorted(ticks, every), len(ticks) - 1)
    sizes: FloatArray = np.where(ticks[at] == every, quantity[at], 0.0)
    return sizes
