"""Live reconciliation: each hour's prints against what the map before the hour promised.

At the start of an interval the maps are kept as running sums over price. Marks then widen each
instrument's path, prints fill the realised side. At the end, the mass between low and high is what
was predicted, with what such a path opens and liquidates again (it is in no map made before it),
times a level learnt from earlier hours. Nothing known after the start enters a prediction but the
path itself.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from liqfield.density.intervals import gamma_interval
from liqfield.density.openings import OwnOpenings
from liqfield.model.durations import HOUR_NS
from liqfield.model.estimates import LiquidationDensity, TruthReport, TruthRow
from liqfield.model.events import FloatArray, Liquidation
from liqfield.model.grid import PriceGrid
from liqfield.model.sides import Coverage, PositionSide
from liqfield.verify.hourly import HourLevel
from liqfield.verify.truth import truth_report

KEEP_ROWS = 336
# An interval that began late or was cut by silence is not scored.
LEAST_SHARE = 0.9
ALL = "all"
NO_OPENINGS: Mapping[str, OwnOpenings] = {}
PRINT_PRICE_BAND = 0.5  # a print priced further from the mark than this share is not believed


class _Map:
    """One venue's map at the start of an interval and the mark's path since."""

    def __init__(self, density: LiquidationDensity, own: OwnOpenings | None) -> None:
        usd = density.notional_usd.sum(axis=1)
        self.total: FloatArray = np.concatenate((np.zeros((2, 1)), np.cumsum(usd, axis=1)), axis=1)
        self.grid: PriceGrid = density.grid
        self.share = density.printed_share
        self.sd, self.lump_usd = density.printed_sd, density.printed_lump_usd
        self.open = self.low = self.high = density.mark_price
        self._own, self._opened, self._opened_on = own, np.zeros(2), (self.low, self.high)

    def predicted(self) -> tuple[float, float]:
        """USD of prints expected of the path so far, (long, short); edges are cut within a bin."""
        x = np.log([self.low, self.open, self.high]) / self.grid.width - self.grid.first_bin
        at = np.arange(self.grid.count + 1)
        long = np.interp(x[1], at, self.total[0]) - np.interp(x[0], at, self.total[0])
        short = np.interp(x[2], at, self.total[1]) - np.interp(x[1], at, self.total[1])
        # What stands at the mark's own bin on the far side belongs to no path.
        own_long, own_short = self._opened_usd()
        return float(long + own_long) * self.share[0], float(short + own_short) * self.share[1]

    def _opened_usd(self) -> FloatArray:
        path = self.low, self.high
        if self._own is not None and path != self._opened_on:
            self._opened, self._opened_on = self._own.usd(*path), path
        return self._opened


class TruthKeeper:
    """Rows of one base asset; bounded; event time only."""

    def __init__(self, span_ns: int = HOUR_NS) -> None:
        self._span_ns = span_ns
        self._maps: dict[str, _Map] = {}
        self._reference = ""
        self._start_ns = 0
        self._realised = [0.0, 0.0]
        self._partial: dict[str, bool] = {}  # venues and whether their feed is a sample
        self.rows: deque[TruthRow] = deque(maxlen=KEEP_ROWS)
        # forgetting sums of prints and of adverse moves: the flat baseline
        self._printed, self._moved = np.zeros(2), np.zeros(2)
        self._level = HourLevel()

    def due(self, now_ns: int) -> bool:
        """Whether `roll` must be called before the event at now_ns is folded."""
        return now_ns >= self._start_ns + self._span_ns

    def mark(self, instrument_id: str, price: float) -> None:
        """A mark price of an instrument inside the current interval."""
        kept = self._maps.get(instrument_id)
        if kept is not None and price > 0.0 and abs(math.log(price / kept.open)) < PRINT_PRICE_BAND:
            kept.low, kept.high = min(kept.low, price), max(kept.high, price)

    def print(self, event: Liquidation, trigger_price: float | None = None) -> None:
        """A liquidation at the mark that forced it, USD (its own price where that is not known);
        counted at the interval's first mark where the price is absurd."""
        kept = self._maps.get(event.instrument_id)
        if kept is None:
            return
        price = event.price if trigger_price is None else trigger_price
        if not abs(price / kept.open - 1.0) < PRINT_PRICE_BAND:
            price = kept.open
        side = 0 if event.position_side is PositionSide.LONG else 1
        self._realised[side] += price * event.quantity
        venue = event.instrument_id.partition(":")[0]
        self._partial[venue] = event.coverage is not Coverage.COMPLETE

    def roll(
        self,
        now_ns: int,
        reference: str,
        densities: Iterable[LiquidationDensity],
        openings: Mapping[str, OwnOpenings] = NO_OPENINGS,
    ) -> None:
        """End the interval (a row, if whole) and begin the one that holds now_ns.

        openings: by instrument, what a path of the interval's length opens and liquidates again.
        """
        end_ns = self._start_ns + self._span_ns
        if self._maps and now_ns < end_ns + self._span_ns:
            self._finish()
        whole_ns = now_ns - now_ns % self._span_ns
        late = (now_ns - whole_ns) / self._span_ns > 1.0 - LEAST_SHARE
        self._start_ns = whole_ns
        self._realised = [0.0, 0.0]
        self._reference = reference
        # A map made well after the interval began would have seen part of what it is to predict.
        self._maps = {}
        if not late:
            self._maps = {
                d.instrument_id: _Map(d, openings.get(d.instrument_id)) for d in densities
            }

    def running(self) -> TruthRow | None:
        """The interval so far, on the path that the mark took so far; None where none is scored."""
        if not self._maps:
            return None
        lead, bare = self._lead(), self._bare()
        predicted = bare * self._level.factor()
        sd = float(np.mean([kept.sd for kept in self._maps.values()]))
        lump = float(np.mean([kept.lump_usd for kept in self._maps.values()]))
        p10, p90 = self._level.interval(bare) or gamma_interval(predicted, sd, lump)
        moved = _moved(lead)
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where(self._moved > 0.0, self._printed / self._moved, 0.0)
        flat = rate * moved
        return TruthRow(
            at_ns=self._start_ns,
            span_s=self._span_ns / 1e9,
            mark_open=lead.open,
            mark_low=lead.low,
            mark_high=lead.high,
            predicted_usd=_pair(predicted),
            p10=_pair(p10),
            p90=_pair(p90),
            realised_usd=(self._realised[0], self._realised[1]),
            flat_usd=_pair(flat),
        )

    def _lead(self) -> _Map:
        return self._maps.get(self._reference) or next(iter(self._maps.values()))

    def _bare(self) -> FloatArray:
        """USD by side that the maps hold along the path, without the learnt level."""
        pairs: FloatArray = np.array([kept.predicted() for kept in self._maps.values()])
        bare: FloatArray = pairs.sum(axis=0)
        return bare

    def _finish(self) -> None:
        row = self.running()
        if row is None:
            return
        self.rows.append(row)
        self._level.update(self._bare(), np.array(self._realised))
        moved = _moved(self._lead())
        self._printed = 0.99 * self._printed + np.array(self._realised)
        self._moved = 0.99 * self._moved + moved

    def report(self, base: str, now_ns: int) -> TruthReport | None:
        """The score so far; None before the first whole interval."""
        if not self.rows:
            return None
        venues = sorted({key.partition(":")[0] for key in self._maps})
        complete = bool(self._partial) and not any(self._partial.values())
        return truth_report(base, now_ns, venues, complete, self.rows)


class TruthKeepers:
    """The pooled score, "all", and that of each venue alone, over the same hours."""

    def __init__(self, span_ns: int = HOUR_NS) -> None:
        self.span_ns = span_ns
        self._by = {ALL: TruthKeeper(span_ns)}

    def due(self, now_ns: int) -> bool:
        """As TruthKeeper.due."""
        return self._by[ALL].due(now_ns)

    def mark(self, instrument_id: str, price: float) -> None:
        """A mark price of an instrument inside the current interval."""
        for keeper in self._of(instrument_id):
            keeper.mark(instrument_id, price)

    def print(self, event: Liquidation, trigger_price: float | None = None) -> None:
        """As TruthKeeper.print."""
        for keeper in self._of(event.instrument_id):
            keeper.print(event, trigger_price)

    def roll(
        self,
        now_ns: int,
        reference: str,
        densities: Sequence[LiquidationDensity],
        openings: Mapping[str, OwnOpenings] = NO_OPENINGS,
    ) -> None:
        """As TruthKeeper.roll; a venue without a map ends its interval and begins none."""
        self._by[ALL].roll(now_ns, reference, densities, openings)
        for density in densities:
            self._by.setdefault(_venue(density.instrument_id), TruthKeeper(self.span_ns))
        for venue, keeper in self._by.items():
            if venue != ALL:
                own = [d for d in densities if _venue(d.instrument_id) == venue]
                keeper.roll(now_ns, reference, own, openings)

    def running(self, venue: str = ALL) -> TruthRow | None:
        """As TruthKeeper.running."""
        keeper = self._by.get(venue)
        return None if keeper is None else keeper.running()

    def report(self, base: str, now_ns: int, venue: str = ALL) -> TruthReport | None:
        """As TruthKeeper.report."""
        keeper = self._by.get(venue)
        return None if keeper is None else keeper.report(base, now_ns)

    def _of(self, instrument_id: str) -> Iterator[TruthKeeper]:
        yield self._by[ALL]
        own = self._by.get(_venue(instrument_id))
        if own is not None:
            yield own


def _venue(instrument_id: str) -> str:
    return instrument_id.partition(":")[0]


def _moved(path: _Map) -> FloatArray:
    """Log moves against longs and shorts."""
    moved: FloatArray = np.log([path.open / path.low, path.high / path.open])
    return moved


def _pair(values: FloatArray) -> tuple[float, float]:
    return float(values[0]), float(values[1])
