"""`liqfield map`: liquidation maps of a source at chosen times, as a table that others can check.

A map at T has seen the facts with event time <= T and nothing else. docs/map-files.md describes
the columns.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import msgspec
import numpy as np

from liqfield import __version__
from liqfield.app.sources import Source, event_ns, open_source, summary
from liqfield.density.combine import COMMON
from liqfield.density.estimator import DensityEstimator
from liqfield.density.intervals import bound_map, pooled_law
from liqfield.engine.market import priced
from liqfield.model.errors import ModelError, SettingError
from liqfield.model.estimates import BANDS, IntervalLaw, LiquidationDensity
from liqfield.model.events import Candle, FloatArray, MarkPrice, OpenInterest, Trade
from liqfield.store.archives.rows import stamp_ns
from liqfield.store.table import Columns, Table

SIDE_NAMES = ("long", "short")
OUTSIDE = "outside"
SCHEMA_VERSION = 1
WIDE = 2  # bins of the lattice, 0.05 %, whose interval is stated as one: 0.1 %
PAST_END_NS = 600_000_000_000
_EVERY = re.compile(r"(\d+)(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

# NaN is for arrays; a file says NULL.
_ROWS = """
SELECT at_ns, position_side,
    CASE WHEN isnan(price_low) THEN NULL ELSE price_low END AS price_low,
    CASE WHEN isnan(price_high) THEN NULL ELSE price_high END AS price_high,
    notional_usd, notional_usd_p10, notional_usd_p90, leverage_band, venue
FROM rows ORDER BY at_ns, venue, position_side, price_low NULLS LAST, leverage_band
"""


class MapTimes(msgspec.Struct, frozen=True):
    """When to draw: every `every_ns` (aligned to the epoch), or exactly `at_ns` (ascending)."""

    every_ns: int = 0
    at_ns: tuple[int, ...] = ()

    @classmethod
    def parse(cls, every: str = "", at: Sequence[str] = ()) -> MapTimes:
        """("1h") or times: ISO 8601 in UTC, or ns, us, ms, s since epoch. Raises SettingError."""
        if bool(every) == bool(at):
            raise SettingError("say when: --every 1h or --at TIME, one of them")
        if every:
            match = _EVERY.fullmatch(every)
            if match is None or int(match[1]) == 0:
                raise SettingError(f"--every {every!r}: write it as 30s, 5m, 1h or 1d")
            return cls(every_ns=int(match[1]) * _SECONDS[match[2]] * 1_000_000_000)
        return cls(at_ns=tuple(sorted({_at_ns(text) for text in at})))


def _at_ns(text: str) -> int:
    try:
        return stamp_ns(text.replace("Z", "+00:00"))
    except (ValueError, OverflowError) as error:
        raise SettingError(
            f"--at {text!r} is no time: write 2026-01-31T12:00 (UTC) or seconds since epoch"
        ) from error


class MapRun(msgspec.Struct):
    """What a run did: maps drawn, times before the first possible map, the span of the facts, and
    how many of those give a price (marks, trades, candles) and open interest."""

    instrument_id: str
    maps: int = 0
    too_early: int = 0
    facts: int = 0
    prices: int = 0
    interests: int = 0
    first_ns: int = 0
    last_ns: int = 0


def maps_of(
    source: Source,
    instrument_id: str,
    times: MapTimes,
    run: MapRun | None = None,
    estimator: DensityEstimator | None = None,
) -> Iterator[tuple[int, LiquidationDensity]]:
    """(time, map) in order; estimator: another than the instrument's own, for studies. Raises
    SettingError when a time lies past the end of the source."""
    run = run or MapRun(instrument_id)
    estimator = estimator or DensityEstimator(source.instrument(instrument_id))
    wanted = iter(times.at_ns)
    due = next(wanted, 0)
    for fact in source.events(instrument_id):
        now = event_ns(fact)
        if not run.facts:
            run.first_ns = now
            if times.every_ns:
                due = -(-now // times.every_ns) * times.every_ns
        run.facts += 1
        run.last_ns = max(run.last_ns, now)
        while due and now > due:
            yield from _drawn(estimator, due, run)
            due = due + times.every_ns if times.every_ns else next(wanted, 0)
        if not due:
            return  # all that was asked for is drawn
        if isinstance(fact, OpenInterest):
            known = priced(fact, estimator.mark)  # inverse contracts count dollars
            if known is None:
                continue
            fact = known  # noqa: PLW2901
        run.prices += isinstance(fact, MarkPrice | Trade | Candle)
        run.interests += isinstance(fact, OpenInterest)
        estimator.update(fact)
    while due and (due <= run.last_ns or not times.every_ns):
        if due > run.last_ns + PAST_END_NS:
            raise SettingError(f"the source ends at {_text(run.last_ns)}, before a map time")
        yield from _drawn(estimator, due, run)
        due = due + times.every_ns if times.every_ns else next(wanted, 0)


def _drawn(
    estimator: DensityEstimator, at_ns: int, run: MapRun
) -> Iterator[tuple[int, LiquidationDensity]]:
    density = estimator.get(at_ns)
    if density is None:
        run.too_early += 1
        return
    run.maps += 1
    yield at_ns, density


def maps_together(
    source: Source, runs: Sequence[MapRun], times: MapTimes
) -> Iterator[tuple[int, list[tuple[str, LiquidationDensity]]]]:
    """(time, (venue, map) of each contract of one base asset) in order of time. Memory holds one
    map of each instrument."""

    def one(run: MapRun) -> Iterator[tuple[int, MapRun, LiquidationDensity]]:
        return (
            (at, run, density) for at, density in maps_of(source, run.instrument_id, times, run)
        )

    merged = heapq.merge(*map(one, runs), key=itemgetter(0))
    for at_ns, found in groupby(merged, key=itemgetter(0)):
        by_base: dict[str, list[tuple[str, LiquidationDensity]]] = {}
        for _, run, density in found:
            venue = run.instrument_id.partition(":")[0]
            base = source.instrument(run.instrument_id).base
            by_base.setdefault(base, []).append((venue, density))
        for parts in by_base.values():
            yield at_ns, parts


def relative_bounds(parts: Sequence[LiquidationDensity]) -> list[FloatArray]:
    """(p10, p90) of each map's bins over their notional, float64[2, 2, bins]: such that they add up
    over bands, over the bins of WIDE bins of the lattice (0.1 %), and over the maps.

    The sum's distances from the mean are shared out by the maps' own, and theirs by notional.
    """
    ends = [(d.grid.first_bin, d.grid.first_bin + d.grid.count) for d in parts]
    first = min(low for low, _ in ends) // WIDE
    count = -(-max(high for _, high in ends) // WIDE) - first
    whole, own = np.zeros((2, len(BANDS), count)), []
    summed = np.zeros((2, 2, count))
    places = [(low + np.arange(high - low)) // WIDE - first for low, high in ends]
    for density, at in zip(parts, places, strict=True):
        mass = np.zeros_like(whole)
        starts = np.flatnonzero(np.diff(at, prepend=-1))
        mass[:, :, at[starts]] = np.add.reduceat(density.notional_usd, starts, axis=2)
        whole += mass
        own.append((mass.sum(axis=1), _distances(mass, density.errs)))
        summed += own[-1][1]
    weighed = [(density.open_interest_usd, density.errs) for density in parts]
    share = _distances(whole, pooled_law(weighed, COMMON)) / np.maximum(summed, 1e-300)
    out = []
    for (usd, distances), at in zip(own, places, strict=True):
        relative = share * distances / np.maximum(usd, 1e-300)
        bounds = np.stack((np.maximum(1.0 - relative[0], 0.0), 1.0 + relative[1]))
        out.append(bounds[:, :, at])
    return out


def _distances(mass: FloatArray, errs: IntervalLaw) -> FloatArray:
    """USD [2 below above, 2 sides, bins] from the mean to the interval's ends. A bin that is mostly
    empty and seldom full has its mean beyond the 90th percentile: its interval is widened to hold
    the figure that it belongs to."""
    usd = mass.sum(axis=1)
    p10, p90 = bound_map(mass, np.zeros_like(usd), errs)
    out: FloatArray = np.maximum(np.stack((usd - p10, p90 - usd)), 0.0)
    return out


def map_table(at_ns: int, density: LiquidationDensity, venue: str, relative: FloatArray) -> Columns:
    """Rows of one map: a row a bin, side and band that holds anything; then one a side for the
    mass outside the grid, whose prices are NaN. Per side the notionals sum to open interest.

    relative: its `relative_bounds`.
    """
    usd = density.notional_usd
    p10, p90 = usd * relative[:, :, None, :]
    side, band, i = np.nonzero(usd > 0.0)
    edges = density.grid.edges()
    n, nan = len(i) + 2, np.full(2, np.nan)
    sides = np.array(SIDE_NAMES, dtype=object)
    bands = np.array((*BANDS, OUTSIDE), dtype=object)
    outside = np.asarray(density.outside_usd, dtype=float)
    return {
        "at_ns": np.full(n, at_ns, dtype=np.int64),
        "position_side": sides[np.append(side, (0, 1))],
        "price_low": np.append(edges[i], nan),
        "price_high": np.append(edges[i + 1], nan),
        "notional_usd": np.append(usd[side, band, i], outside),
        "notional_usd_p10": np.append(p10[side, band, i], outside),
        "notional_usd_p90": np.append(p90[side, band, i], outside),
        "leverage_band": bands[np.append(band, (3, 3))],
        "venue": np.full(n, venue, dtype=object),
    }


def _tables(at_ns: int, parts: Sequence[tuple[str, LiquidationDensity]]) -> Iterator[Columns]:
    bounds = relative_bounds([density for _, density in parts])
    for (venue, density), relative in zip(parts, bounds, strict=True):
        yield map_table(at_ns, density, venue, relative)


def map_columns(
    source: Source, instrument_ids: Sequence[str], times: MapTimes
) -> tuple[Columns, list[MapRun]]:
    """All maps of a source in memory."""
    runs = [MapRun(instrument_id) for instrument_id in instrument_ids]
    tables = [
        table
        for at_ns, parts in maps_together(source, runs, times)
        for table in _tables(at_ns, parts)
    ]
    if not tables:
        raise ModelError(_nothing(runs, times, source))
    return {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}, runs


def _nothing(runs: Sequence[MapRun], times: MapTimes, source: Source) -> str:
    """Why no map could be drawn, in words, with what the reading of the files met."""
    told = []
    for run in runs:
        lacks = [
            what
            for what, count in (("price", run.prices), ("open interest", run.interests))
            if not count
        ]
        if not run.facts:
            told.append(f"the source says nothing of {run.instrument_id} that is read")
        elif times.at_ns and times.at_ns[-1] < run.first_ns:
            told.append(f"the source begins at {_text(run.first_ns)}, after the last map time")
        elif lacks:
            told.append(f"no {' and no '.join(lacks)} in {run.facts} facts of {run.instrument_id}")
        else:
            told.append(
                f"price and open interest of {run.instrument_id} are not known by a map time: the "
                f"source goes from {_text(run.first_ns)} to {_text(run.last_ns)}"
            )
    met = [(Path(r.path).name, r.why or r.skipped) for r in source.reports]
    told += [f"{name}: {what}" for name, what in met if what][:3]
    return "no map could be drawn: " + "; ".join(told)


def _text(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def write_maps(
    source_text: str,
    instrument_ids: Sequence[str],
    times: MapTimes,
    out: Path,
    contract_value: float | None = None,
) -> dict[str, object]:
    """Write the table as Parquet (or CSV by the name) and return a summary. Memory holds one map
    of each instrument.

    Raises StoreError when it cannot be written, ModelError when there is nothing to write.
    """
    if not instrument_ids:
        raise SettingError("of which instrument? give --instrument venue:SYMBOL")
    source = open_source(source_text, contract_value)
    runs = [MapRun(instrument_id) for instrument_id in instrument_ids]
    with Table(out) as table:
        for at_ns, parts in maps_together(source, runs, times):
            for drawn in _tables(at_ns, parts):
                table.add(drawn)
        if not table.rows:
            raise ModelError(_nothing(runs, times, source))
        table.write(_ROWS, _meta(source_text, runs))
        rows = table.rows
    return {
        "out": str(out),
        "rows": rows,
        "bytes": out.stat().st_size,
        "runs": msgspec.to_builtins(runs),
        "skipped": summary(source.reports),
    }


def _meta(source_text: str, runs: Sequence[MapRun]) -> dict[str, str]:
    return {
        "liqfield_schema": str(SCHEMA_VERSION),
        "liqfield_version": __version__,
        "units": "at_ns: ns since epoch UTC; prices: USD per base coin; notional: USD at the mark",
        "instruments": ",".join(run.instrument_id for run in runs),
        "source": source_text,
    }
