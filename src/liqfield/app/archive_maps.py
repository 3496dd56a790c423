"""The map's past from imported history: folded behind the running terminal, day after day.

The estimators here are of their own: the live ones begin with the same imports (imported_past.py).
What is drawn is what was known then; a range that was folded from the same imports is not folded
again.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from liqfield.density.combine import combine_columns
from liqfield.density.estimator import DensityEstimator
from liqfield.model.durations import DAY_NS, MINUTE_NS
from liqfield.model.errors import StoreError
from liqfield.model.events import Candle, MarketEvent
from liqfield.model.instrument import Instrument
from liqfield.model.sides import CandleOf
from liqfield.store.archives.order import rank
from liqfield.store.atomic import write_atomic
from liqfield.store.candle_history import CandleHistory
from liqfield.store.history import HistoryStore
from liqfield.store.map_history import MapHistory
from liqfield.store.upkeep import HISTORY, MAPS

STEP_NS = 300_000_000_000
FINE_DAYS = 7  # younger than this: columns of 5 minutes, else of half an hour
FINE_S, COARSE_S = 300, 1800
NAME = "folded.json"
REST = 3.0  # seconds left to the live terminal for each second of work here


class ArchiveMaps:
    """`run` one base asset at a time; folder None remembers nothing between runs."""

    def __init__(
        self,
        store: HistoryStore,
        maps: MapHistory,
        candles: CandleHistory,
        folder: Path | None,
        *,
        rest: float = REST,
    ) -> None:
        self._store = store
        self._maps = maps
        self._candles = candles
        self._done = None if folder is None else folder / NAME
        self._rest = rest
        self._working_s = time.perf_counter()
        self.columns = 0

    async def run(
        self,
        base: str,
        instruments: Sequence[Instrument],
        start_ns: int,
        end_ns: int,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> bool:
        """Fold the imported days of start..end; False when there was nothing new to do.

        The first instrument's candles become the chart's.
        """
        known = set(self._store.instruments())
        mine = [of for of in instruments if of.id in known]
        days = self._days(mine, start_ns, end_ns)
        mark = self._mark(mine, days)
        if not days or self._folded().get(base) == mark:
            return False
        estimators = {of.id: DensityEstimator(of) for of in mine}
        for n, day in enumerate(days):
            progress(n, len(days))
            events: list[MarketEvent] = []
            for of in mine:
                events += await asyncio.to_thread(self._store.past_day, of.id, day, STEP_NS)
            events.sort(key=rank)
            is_fine = day > end_ns // DAY_NS - FINE_DAYS
            await self._day(base, estimators, events, day, FINE_S if is_fine else COARSE_S, end_ns)
            await self._chart(base, mine[0].id, day, end_ns)
        progress(len(days), len(days))
        self._remember(base, mark)
        return True

    async def _day(
        self,
        base: str,
        estimators: dict[str, DensityEstimator],
        events: Sequence[MarketEvent],
        day: int,
        column_s: int,
        end_ns: int,
    ) -> None:
        width_ns = column_s * 1_000_000_000
        i = 0
        for due in range(day * DAY_NS + width_ns, (day + 1) * DAY_NS + 1, width_ns):
            if due > end_ns:
                return
            seen = i
            while i < len(events) and events[i].event_ns <= due:
                estimators[events[i].instrument_id].update(events[i])
                i += 1
            await self._breathe()
            if i > seen:  # a hole in the imports is no map
                await self._column(base, estimators, due, column_s)

    async def _column(
        self, base: str, estimators: dict[str, DensityEstimator], due: int, column_s: int
    ) -> None:
        found = [d for d in (e.column(due) for e in estimators.values()) if d is not None]
        # An instrument whose imports have ended does not stand still in the map.
        found = [d for d in found if due - d.at_ns <= 3_600_000_000_000]
        for density in found:
            venue = density.instrument_id.partition(":")[0]
            self._maps.append(base, venue, due, density, column_s)
            await self._breathe()
        pooled = combine_columns(found)
        if pooled is not None:
            self._maps.append(base, "all", due, pooled, column_s)
            self.columns += 1
        await self._breathe()

    async def _breathe(self) -> None:
        """Between pieces of some milliseconds: feeds and engine share this loop."""
        worked_s = time.perf_counter() - self._working_s
        await asyncio.sleep(self._rest * min(worked_s, 0.1))
        self._working_s = time.perf_counter()

    async def _chart(self, base: str, instrument_id: str, day: int, end_ns: int) -> None:
        candles = await asyncio.to_thread(
            self._store.candles, instrument_id, day, CandleOf.LAST, MINUTE_NS
        )
        for candle in candles:
            if isinstance(candle, Candle) and candle.event_ns <= end_ns:
                self._candles.append(base, candle)

    def _days(self, instruments: Sequence[Instrument], start_ns: int, end_ns: int) -> list[int]:
        """Days with candles or trades and with open interest of at least one instrument."""
        days: set[int] = set()
        for of in instruments:
            priced = {d for kind in ("candles", "trades") for d in self._store.days(kind, of.id)}
            days |= priced & set(self._store.days("open_interest", of.id))
        return sorted(d for d in days if start_ns // DAY_NS <= d <= (end_ns - 1) // DAY_NS)

    def _mark(self, instruments: Sequence[Instrument], days: Sequence[int]) -> str:
        ids = {of.id for of in instruments}
        imports = sorted(
            f"{e.instrument_id} {e.digest}"
            for e in self._store.ledger().values()
            if e.instrument_id in ids
        )
        sha = hashlib.blake2b(digest_size=12)
        # Days come and go at the span's ends; what was imported decides.
        sha.update(repr((imports, days[:1])).encode())
        return sha.hexdigest()

    def _folded(self) -> dict[str, str]:
        if self._done is None:
            return {}
        try:
            return msgspec.json.decode(self._done.read_bytes(), type=dict[str, str])
        except (OSError, msgspec.MsgspecError):
            return {}

    def _remember(self, base: str, mark: str) -> None:
        if self._done is not None:
            self._maps.flush()
            write_atomic(self._done, msgspec.json.encode({**self._folded(), base: mark}))


async def fold_archives(
    folder: Path,
    maps: MapHistory,
    candles: CandleHistory,
    markets: Sequence[tuple[str, Sequence[Instrument]]],
    start_ns: int,
    end_ns: int,
    say: Callable[[str], None],
    rest: float = REST,
) -> None:
    """All followed markets in turn; what fails is said and leaves the rest alone."""
    if not (folder / HISTORY).is_dir():
        return
    fold = ArchiveMaps(HistoryStore(folder / HISTORY), maps, candles, folder / MAPS, rest=rest)
    for base, instruments in markets:

        def progress(done: int, total: int, base: str = base) -> None:
            say(f"imported history of {base}: {done} of {total} days" if done < total else "")

        try:
            await fold.run(base, instruments, start_ns, end_ns, progress)
        except StoreError as error:
            say(f"imported history of {base}: {error}")
