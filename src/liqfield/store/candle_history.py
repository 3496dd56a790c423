"""One-minute candles by base asset and day, aggregated when asked; files are written whole."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import zstandard

from liqfield.model.durations import MINUTE_NS
from liqfield.model.errors import StoreError
from liqfield.model.events import Candle, FloatArray
from liqfield.store.atomic import write_atomic

DAY_MINUTES = 1440
_FIELDS = 5  # open, high, low, close, volume
DAY_BYTES = DAY_MINUTES * _FIELDS * 8  # of a day's file, unpacked
_SAVE_EVERY = 5  # closed minutes
_DAYS_IN_MEMORY = 16  # of all markets together, when they lie on disk too
_DAYS_WITHOUT_DISK = 1200

Row = tuple[float, float, float, float, float, float]


class CandleHistory:
    """`append` takes closed and running candles of one minute (others are refused by ValueError).

    A later statement of the same minute replaces the earlier one, except that a back-filled candle
    never replaces one seen live. `problem` says in words what could not be stored.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._days: OrderedDict[tuple[str, int], FloatArray] = OrderedDict()
        self._unsaved: dict[tuple[str, int], int] = {}
        self._live: OrderedDict[tuple[str, int], None] = OrderedDict()
        self.problem = ""

    def append(self, base: str, candle: Candle) -> None:
        if candle.interval_ns != MINUTE_NS:
            raise ValueError(f"candles of one minute only, not {candle.interval_ns} ns")
        minute = candle.event_ns // MINUTE_NS - 1
        if candle.is_history and (base, minute) in self._live:
            return
        if not candle.is_history:
            self._live[(base, minute)] = None
            while len(self._live) > 4 * DAY_MINUTES:
                self._live.popitem(last=False)
        day, i = divmod(minute, DAY_MINUTES)
        rows = self._day(base, day)
        rows[i] = (candle.open, candle.high, candle.low, candle.close, candle.volume)
        key = (base, day)
        if candle.is_closed:
            self._unsaved[key] = self._unsaved.get(key, 0) + 1
            # A back-fill fills whole days: those are written at the next flush.
            if self._unsaved[key] >= _SAVE_EVERY and not candle.is_history:
                self._save(key)

    def rows(self, base: str, interval_s: int, from_ms: float, to_ms: float) -> list[Row]:
        """[start_ms, open, high, low, close, volume] of every interval that starts within
        [from_ms, to_ms) and has a candle; interval_s is a multiple of 60."""
        step = interval_s // 60
        first = -(-int(from_ms) // (interval_s * 1000)) * step
        end = -(-int(to_ms) // (interval_s * 1000)) * step
        out: list[Row] = []
        for day in range(first // DAY_MINUTES, -(-end // DAY_MINUTES)):
            low = max(first, day * DAY_MINUTES)
            high = min(end, (day + 1) * DAY_MINUTES)
            rows = self._day(base, day, create=False)
            if high > low:
                piece = rows[low - day * DAY_MINUTES : high - day * DAY_MINUTES]
                out += _aggregate(piece, low, step)
        return out

    def flush(self) -> None:
        for key in list(self._unsaved):
            self._save(key)

    def _path(self, base: str, day: int) -> Path | None:
        return None if self._folder is None else self._folder / base / f"{day}.candles"

    def _day(self, base: str, day: int, *, create: bool = True) -> FloatArray:
        key = (base, day)
        rows = self._days.get(key)
        if rows is None:
            rows = self._load(base, day)
            if rows is None:
                rows = np.full((DAY_MINUTES, _FIELDS), np.nan)
                if not create:
                    return rows
            self._days[key] = rows
            limit = _DAYS_WITHOUT_DISK if self._folder is None else _DAYS_IN_MEMORY
            while len(self._days) > limit:
                oldest = next(iter(self._days))
                self._save(oldest)
                del self._days[oldest]
        self._days.move_to_end(key)
        return rows

    def _load(self, base: str, day: int) -> FloatArray | None:
        path = self._path(base, day)
        if path is None:
            return None
        try:
            raw = zstandard.ZstdDecompressor().decompress(path.read_bytes())
            return np.frombuffer(raw, np.float64).reshape(DAY_MINUTES, _FIELDS).copy()
        except FileNotFoundError:
            return None
        except (OSError, ValueError, zstandard.ZstdError) as error:
            self.problem = f"{path}: {error}; that day's candles are shown as missing"
            return None

    def _save(self, key: tuple[str, int]) -> None:
        unsaved = self._unsaved.pop(key, 0)
        path = self._path(*key)
        if path is None or not unsaved:
            return
        compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
        try:
            write_atomic(path, compressor.compress(self._days[key].tobytes()))
            self.problem = ""
        except StoreError as error:
            self.problem = f"{error}; candles are kept in memory only"


def _aggregate(rows: FloatArray, first_minute: int, step: int) -> list[Row]:
    """Whole groups of `step` minutes; minutes without trades are NaN and count for nothing."""
    groups = rows.reshape(-1, step, _FIELDS)
    seen = ~np.isnan(groups[:, :, 0])
    out: list[Row] = []
    for g in np.flatnonzero(seen.any(axis=1)):
        inside = groups[g][seen[g]]
        out.append(
            (
                float((first_minute + int(g) * step) * 60_000),
                float(inside[0, 0]),
                float(inside[:, 1].max()),
                float(inside[:, 2].min()),
                float(inside[-1, 3]),
                float(inside[:, 4].sum()),
            )
        )
    return out
