"""What is known of one instrument: book, filter, newest facts, trades that may be missing."""

from __future__ import annotations

from collections import deque

from liqfield.book.sync import BookSync
from liqfield.density.estimator import DensityEstimator
from liqfield.density.measured import MeasuredBook
from liqfield.flow.candles import CandleBuilder
from liqfield.model.durations import MINUTE_NS, SECOND_NS
from liqfield.model.events import (
    BestQuote,
    Candle,
    FundingRate,
    Gap,
    IndexPrice,
    MarkPrice,
    OpenInterest,
    Trade,
)
from liqfield.model.instrument import Instrument
from liqfield.model.margin import MarginTier
from liqfield.model.sides import (
    BookRule,
    ContractKind,
    GapReason,
)
from liqfield.model.tape import TradeTape

# A loss that is seen in what came after it, or told behind frames that waited in our own queue.
TOLD_LATE = {GapReason.SEQUENCE: 600 * SECOND_NS, GapReason.CORRUPT: 5 * SECOND_NS}


class RecentKeys:
    """Remembers the newest `capacity` keys, and at most as many again: reconnects and rotations
    repeat trades and liquidations."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._new: set[object] = set()
        self._old: set[object] = set()

    def seen(self, key: object) -> bool:
        """True if the key was here before; an empty key never was."""
        if key == "":
            return False
        if key in self._new or key in self._old:
            return True
        self._new.add(key)
        if len(self._new) == self._capacity:
            self._old, self._new = self._new, set()
        return False


class InstrumentState:
    """Everything known of one instrument."""

    def __init__(self, instrument: Instrument, rule: BookRule, trades: TradeTape) -> None:
        self.instrument = instrument
        self.sync = BookSync(instrument.id, rule)
        self.number = trades.number_of(instrument.id)
        self._trades = trades
        self._density = DensityEstimator(instrument)
        self._density.follow(trades, self.number)
        self.measured = MeasuredBook(instrument.id)
        self.candles = CandleBuilder(instrument.id, MINUTE_NS, trades, self.number)
        self.closes: deque[tuple[int, float]] = deque(maxlen=2_000)
        self.quote: BestQuote | None = None
        self.mark: MarkPrice | None = None
        self.index: IndexPrice | None = None
        self.funding: FundingRate | None = None
        self.open_interest: OpenInterest | None = None
        self.last: Trade | None = None
        self.resyncs = 0
        self.gaps = 0
        self.seen_ids = RecentKeys(4_096)
        # Where trades may be missing, by the venue's time; the newest begins when the loss is told.
        self.holes: deque[tuple[int, int]] = deque(maxlen=16)
        self.hole_from_ns = 0
        self.last_in_old_units: Trade | None = None
        self.repaired = 0  # trades that REST brought after their stream had lost them
        self.old_units_ns = 0  # the venue's time of the last message in units that hold no more

    @property
    def density(self) -> DensityEstimator:
        """The filter, with every trade so far."""
        self._density.fold()
        return self._density

    @property
    def tiers(self) -> tuple[MarginTier, ...]:
        """The margin tiers in force, ascending."""
        return self._density.law.tiers

    def candle(self) -> Candle | None:
        """The running minute; None before the first trade."""
        return self.candles.get(self.last.received_ns) if self.last is not None else None

    def relist(self, instrument: Instrument) -> None:
        """New words for the same contract. Other units void the book, and only the book: nobody
        says which of its levels were still told in the old ones. The rest is kept in base coins
        and USD."""
        if _units(instrument) != _units(self.instrument):
            last_ns = self.last.event_ns if self.last is not None else 0
            self.old_units_ns = max(self.old_units_ns, self.sync.event_ns, last_ns)
            losses = self.sync.losses + (self.sync.ladder is not None)
            self.sync = BookSync(instrument.id, self.sync.rule, after_ns=self.old_units_ns)
            self.sync.losses = losses
            self.quote = None
            # What was missed up to now was counted in nobody knows which units.
            self.holes.clear()
            self.hole_from_ns, self.last_in_old_units = 0, self.last
        self.instrument = self._density.instrument = instrument

    def open_hole(self, gap: Gap) -> None:
        """Trades may be missing from the newest one on."""
        if self.last is self.last_in_old_units or (gap.kinds and "Trade" not in gap.kinds):
            return
        assert self.last is not None
        begin_ns = self.last.event_ns - TOLD_LATE.get(gap.reason, 0)
        self.hole_from_ns = min(self.hole_from_ns or begin_ns, begin_ns)
        if gap.reason in TOLD_LATE:
            self.close_hole(self.last.event_ns)

    def close_hole(self, at_ns: int) -> None:
        """The stream is heard again."""
        if at_ns >= self.hole_from_ns:
            self.holes.append((self.hole_from_ns, at_ns))
            self.hole_from_ns = 0

    def was_missed(self, trade: Trade) -> bool:
        """A trade of a reply: whether the stream had lost it, and nobody has brought it since."""
        at_ns = trade.event_ns
        is_in_hole = any(begin_ns <= at_ns <= end_ns for begin_ns, end_ns in self.holes)
        return is_in_hole and at_ns > self.old_units_ns and not self.seen_ids.seen(trade.trade_id)


def _units(of: Instrument) -> tuple[float, float, ContractKind]:
    return of.tick_usd, of.quantity_factor, of.kind
