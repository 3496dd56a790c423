"""The real-market proof: BTC, 5-minute open interest and mark, hourly prints of three venues.

Every hour: the map made of what was known at its start, swept by the mark range of the hour, is set
against the liquidations that a data vendor counted in it. The filter meets prints only after their
hour has ended.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np

from liqfield.density.estimator import DensityEstimator
from liqfield.density.settings import DensitySettings
from liqfield.lab.market_setup import instrument, tiers
from liqfield.model.durations import HOUR_NS, MS
from liqfield.model.errors import SettingError
from liqfield.model.estimates import LiquidationDensity
from liqfield.model.events import (
    Candle,
    FloatArray,
    FundingRate,
    IntArray,
    Liquidation,
    MarketEvent,
    MarkPrice,
    OpenInterest,
)
from liqfield.model.sides import CandleOf, Coverage, PositionSide, PriceKind
from liqfield.verify import baselines, metrics
from liqfield.verify.hourly import HourLevel, HourReport, HourTable, score_hours

HOUR_MS = 3_600_000
SPLIT_MS = 1_768_262_400_000  # 2026-01-13 00:00 UTC: 40 days before it, 39 after
LATE_MS = 5_000
# One venue's open interest against three venues' prints, which are samples: the level may lie far
# from one; an hour is the finest interval that these prints resolve.
# These prints are an hour's sums, which say nothing of the size of a position.
SETTINGS = DensitySettings(
    score_s=3600.0, forced_log_sd=1.5, forced_most=20.0, lump_usd=300e3, size_worth=math.inf
)
FLAT_BINS = 4000


class Files(msgspec.Struct, frozen=True, eq=False):
    """The folder's tables as columns; times in ms since epoch, prices USD, volumes coins."""

    hour_ms: IntArray
    liquidated_usd: FloatArray  # [n, 2]
    oi_ms: IntArray
    oi: FloatArray
    mark: FloatArray
    candle_ms: IntArray
    candle: FloatArray  # [m, 5] open high low close volume
    funding: dict[int, float]


class HistoryReport(msgspec.Struct, frozen=True):
    """strict: marks of 5 minutes as the path, ln(1 USD + volume); wicks: path widened by the
    hourly perpetual candle; thousand: as wicks with ln(1000 USD + volume). coverage: share of
    scored hours with the printed USD in the stated 80 % interval, by side."""

    strict: HourReport
    wicks: HourReport
    thousand: HourReport
    coverage: tuple[float, float]
    level: tuple[float, float]
    kappa: float


def _query(path: Path, sql: str) -> dict[str, Any]:
    if not path.exists():
        raise SettingError(f"no history at {path}")
    with duckdb.connect() as db:
        found: dict[str, Any] = db.execute(sql.format(path=path)).fetchnumpy()
    return found


def read_files(folder: Path) -> Files:
    """Raises SettingError where a file is missing."""
    hours = _query(
        folder / "btc_hourly.csv",
        "SELECT open_time_ms, liq_long_usd, liq_short_usd FROM read_csv('{path}') ORDER BY 1",
    )
    oi = _query(folder / "btc_binance_oi_5m.csv", "SELECT * FROM read_csv('{path}') ORDER BY 1")
    candles = _query(
        folder / "perp_candles_1h.csv.zst",
        "SELECT open_time_ms, open, high, low, close, volume_base FROM read_csv('{path}') "
        "WHERE venue = 'binance' AND coin = 'BTC' AND open_time_ms >= 1764547200000 ORDER BY 1",
    )
    paid = _query(
        folder / "btc_binance_funding_8h.csv", "SELECT * FROM read_csv('{path}') ORDER BY 1"
    )
    columns = ("open", "high", "low", "close", "volume_base")
    return Files(
        hour_ms=hours["open_time_ms"].astype(np.int64),
        liquidated_usd=np.column_stack((hours["liq_long_usd"], hours["liq_short_usd"])),
        oi_ms=oi["time_ms"].astype(np.int64),
        oi=oi["open_interest_base"].astype(np.float64),
        mark=oi["open_interest_usd"] / oi["open_interest_base"],
        candle_ms=candles["open_time_ms"].astype(np.int64),
        candle=np.column_stack([candles[name] for name in columns]).astype(np.float64),
        funding={
            int(t) // HOUR_MS * HOUR_MS: float(rate)
            for t, rate in zip(paid["time_ms"], paid["funding_rate_8h"], strict=True)
        },
    )


class _Hour(msgspec.Struct, frozen=True, eq=False):
    """row: of the 5-minute table at the hour's start; candle: row of the hour's candle."""

    at_ms: int
    row: int
    candle: int
    realised: FloatArray
    low: float
    high: float
    low_wick: float
    high_wick: float


def _hours(files: Files) -> dict[int, _Hour]:
    """Scored hours by the row of their start; hours without any print are not known to be empty."""
    candle_at = {int(t): i for i, t in enumerate(files.candle_ms)}
    out = {}
    for i, t in enumerate(files.hour_ms.tolist()):
        k = int(np.searchsorted(files.oi_ms, t - LATE_MS // 2))
        path = files.mark[k : k + 13]
        if len(path) < 13 or abs(int(files.oi_ms[k]) - t) > LATE_MS or t not in candle_at:
            continue
        if files.liquidated_usd[i].sum() <= 0.0:
            continue
        low, high = float(path.min()), float(path.max())
        _, top, bottom, _, _ = files.candle[candle_at[t]].tolist()
        out[k] = _Hour(
            t, k, candle_at[t], files.liquidated_usd[i], low, high, min(low, bottom), max(high, top)
        )
    return out


def _facts(files: Files, key: str) -> Iterator[tuple[int, list[MarketEvent]]]:
    """(row of the 5-minute table, what became known at its time)."""
    candle_at = {int(t): i for i, t in enumerate(files.candle_ms)}
    liquidated = {int(t): i for i, t in enumerate(files.hour_ms)}
    sides = (PositionSide.LONG, PositionSide.SHORT)
    for k, t in enumerate(files.oi_ms.tolist()):
        ns, mark = t * MS, float(files.mark[k])
        hour = t // HOUR_MS * HOUR_MS
        events: list[MarketEvent] = [MarkPrice(key, ns, 0, mark)]
        if t - hour < LATE_MS:
            past = candle_at.get(hour - HOUR_MS)
            if past is not None:
                o, h, low, c, volume = files.candle[past].tolist()
                # The mark's own extremes are not in the file: the last price's stand for them.
                wick = (o, max(h, mark), min(low, mark), mark)
                events.append(Candle(key, ns, 0, CandleOf.MARK, HOUR_NS, *wick, is_history=True))
                events.append(
                    Candle(key, ns, 0, CandleOf.LAST, HOUR_NS, o, h, low, c, volume, -1.0,
                           is_history=True)
                )  # fmt: skip
            row = liquidated.get(hour - HOUR_MS)
            for side, name in enumerate(sides):
                usd = float(files.liquidated_usd[row, side]) if row is not None else 0.0
                if usd > 0.0:
                    events.append(
                        Liquidation(
                            key, ns, 0, name, usd / mark, mark, PriceKind.FILL, Coverage.COMPLETE
                        )
                    )
            if hour in files.funding:
                rate = files.funding[hour]
                events.append(FundingRate(key, ns, 0, rate, 8.0, 0, is_settled=True))
        events.append(OpenInterest(key, ns, 0, float(files.oi[k]), mark, is_history=True))
        yield k, events


class _Field:
    """Baseline maps, USD per bin on one lattice, with the mass between two prices."""

    def __init__(self, mark: float, width: float = 0.0005) -> None:
        self.width = width
        first = round(np.log(mark) / width) - FLAT_BINS // 2
        self.centres: FloatArray = (first + np.arange(FLAT_BINS) + 0.5) * width

    def between(self, mass: FloatArray, mark: float, low: float, high: float) -> FloatArray:
        x = self.centres
        below = (x >= np.log(low)) & (x < np.log(mark))
        above = (x > np.log(mark)) & (x <= np.log(high))
        return np.array([mass[0, below].sum(), mass[1, above].sum()])


class Played(msgspec.Struct, frozen=True, eq=False):
    """The stretch, hour by hour. plain: marks of 5 minutes as the path; wide: widened by the
    candle's extremes, with baseline maps; fit: rows before SPLIT_MS; low, high: float64[n, 2] USD,
    80 % intervals of wide; volume: float64[n] base coins traded in the hour; estimator: at the end.
    """

    plain: HourTable
    wide: HourTable
    fit: int
    low: FloatArray
    high: FloatArray
    volume: FloatArray
    estimator: DensityEstimator


def study_history(folder: Path, settings: DensitySettings = SETTINGS) -> HistoryReport:
    """Play the whole stretch, score the hours after SPLIT_MS; deterministic."""
    played = play_history(folder, settings)
    fit, wide = played.fit, played.wide
    inside = [
        metrics.coverage(wide.realised[fit:, side], played.low[fit:, side], played.high[fit:, side])
        for side in range(2)
    ]
    share = played.estimator.forced_shares()
    return HistoryReport(
        strict=score_hours(played.plain, fit),
        wicks=score_hours(wide, fit),
        thousand=score_hours(wide, fit, floor_usd=1e3),
        coverage=(inside[0], inside[1]),
        level=(float(share[0]), float(share[1])),
        kappa=played.estimator.kappa,
    )


def play_history(
    folder: Path,
    settings: DensitySettings = SETTINGS,
    at_hour: Callable[[DensityEstimator, float, float], None] | None = None,
) -> Played:
    """What every hour's map said of the hour. at_hour: called before each scored hour with the
    estimator and the mark's path, widened."""
    files = read_files(folder)
    hours = _hours(files)
    item = instrument("binance", "BTC")
    estimator = DensityEstimator(item, settings, tiers("binance", "BTC"))
    beside = _Beside(files)
    narrow, wide_level = HourLevel(), HourLevel()
    rows: list[_Hour] = []
    ours: list[FloatArray] = []
    wicks: list[FloatArray] = []
    bounds: list[tuple[FloatArray, FloatArray]] = []
    for k, events in _facts(files, item.id):
        for event in events:
            estimator.update(event)
        hour = hours.get(k)
        density = estimator.get() if hour is not None else None
        if hour is None or density is None:
            continue
        rows.append(hour)
        usd = estimator.predicted(hour.low, hour.high, 1.0)[0]
        ours.append(usd * narrow.factor())
        narrow.update(usd, hour.realised)
        path = hour.low_wick, hour.high_wick
        if at_hour is not None:
            at_hour(estimator, *path)
        usd, p10, p90 = estimator.predicted(*path, 1.0)
        scale = wide_level.factor()
        bounds.append(wide_level.interval(usd) or (p10 * scale, p90 * scale))
        wide_level.update(usd, hour.realised)
        wicks.append(usd * scale)
        beside.add("standing only", estimator.predicted(*path)[0] * scale)
        beside.add("openings only", estimator.would_open(*path, 1.0))
        beside.draw(hour, density)
    maps = {name: np.array(values) for name, values in beside.told.items()}
    return Played(
        plain=_table(rows, files, {"map": np.array(ours)}, wick=False),
        wide=_table(rows, files, {"map": np.array(wicks), **maps}, wick=True),
        fit=sum(hour.at_ms < SPLIT_MS for hour in rows),
        low=np.array([low for low, _ in bounds]),
        high=np.array([high for _, high in bounds]),
        volume=np.array([files.candle[hour.candle, 4] for hour in rows]),
        estimator=estimator,
    )


class _Beside:
    """What other maps say of the same hours, USD [2] each, by name."""

    def __init__(self, files: Files) -> None:
        self.told: dict[str, list[FloatArray]] = {}
        self._files = files
        self._field = _Field(float(files.mark[0]))
        self._kept: list[tuple[FloatArray, float]] = []

    def add(self, name: str, usd: FloatArray) -> None:
        self.told.setdefault(name, []).append(usd)

    def draw(self, hour: _Hour, density: LiquidationDensity) -> None:
        """The baselines: profile and ladder of what was known, ours where it should not be."""
        files, field, k = self._files, self._field, hour.row
        mark = float(files.mark[k])
        x = float(np.log(mark))
        mass = _on_lattice(density.notional_usd.sum(axis=1), density.grid.first_bin, field)
        known = files.candle_ms + HOUR_MS <= hour.at_ms
        entry = np.log(files.candle[known, 3])
        volume = files.candle[known, 4] * mark
        change = np.diff(files.oi[: k + 1 : 12], prepend=files.oi[0])
        opened = np.log(files.mark[: k + 1 : 12])
        self._kept.append((mass, x))
        old, old_x = self._kept[max(len(self._kept) - 25, 0)]
        for name, map_ in (
            ("shifted profile", baselines.shifted_profile(field.centres, x, entry, volume)),
            ("ladder", baselines.naive_ladder(field.centres, x, opened, change) * mark),
            ("mirrored", baselines.mirrored(mass, field.centres, x)),
            ("map of 24 h earlier", baselines.moved(old, field.centres, old_x, x)),
        ):
            self.add(name, field.between(map_, mark, hour.low_wick, hour.high_wick))


def _on_lattice(mass: FloatArray, first_bin: int, field: _Field) -> FloatArray:
    out = np.zeros((2, FLAT_BINS))
    offset = first_bin - round(float(field.centres[0]) / field.width - 0.5)
    low, high = max(offset, 0), min(offset + mass.shape[1], FLAT_BINS)
    out[:, low:high] = mass[:, low - offset : high - offset]
    return out


def _table(
    rows: list[_Hour], files: Files, maps: dict[str, FloatArray], *, wick: bool
) -> HourTable:
    mark = np.array([files.mark[hour.row] for hour in rows])
    low = np.array([hour.low_wick if wick else hour.low for hour in rows])
    high = np.array([hour.high_wick if wick else hour.high for hour in rows])
    excursion = np.column_stack((np.log(mark / low), np.log(high / mark)))
    return HourTable(
        at_ns=np.array([hour.at_ms for hour in rows], dtype=np.int64) * MS,
        excursion=np.maximum(excursion, 0.0),
        span=np.log(high / low),
        realised=np.array([hour.realised for hour in rows]),
        maps=maps,
    )
