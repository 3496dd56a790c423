"""`liqfield store export`: what is kept, as CSV or Parquet for other programs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from liqfield.app.maps import OUTSIDE, SIDE_NAMES
from liqfield.app.settings import nearest
from liqfield.app.sources import RecordingSource
from liqfield.engine.instrument import RecentKeys
from liqfield.model.errors import SettingError
from liqfield.model.estimates import BANDS
from liqfield.model.events import (
    BestQuote,
    BookDelta,
    BookSnapshot,
    Candle,
    Event,
    FundingRate,
    IndexPrice,
    Liquidation,
    MarkPrice,
    OpenInterest,
    PositioningRatio,
    Trade,
)
from liqfield.model.instrument import Instrument
from liqfield.model.tiles import COLUMN_S, TILE_COLUMNS, MapColumn
from liqfield.store.map_history import MapHistory
from liqfield.store.slab import SlabKey
from liqfield.store.slab_files import SlabFolder
from liqfield.store.table import Column, Table

BATCH = 50_000
TRADES_KNOWN = 65_536  # of an instrument, the newest
KINDS: dict[str, tuple[type, ...]] = {
    "trades": (Trade,),
    "books": (BookSnapshot, BookDelta),
    "quotes": (BestQuote,),
    "marks": (MarkPrice,),
    "index": (IndexPrice,),
    "funding": (FundingRate,),
    "open_interest": (OpenInterest,),
    "liquidations": (Liquidation,),
    "candles": (Candle,),
    "ratios": (PositioningRatio,),
}
MAP = "map"
Row: TypeAlias = dict[str, Any]


def export_recording(kind: str, path: Path, out: Path, instrument_id: str = "") -> int:
    """Facts of one kind from a recording in the order recorded; returns rows written.

    Quantities are base coins, prices USD per base coin. instrument_id "" = all.
    """
    if kind not in KINDS:
        raise SettingError(f"unknown kind {kind!r}: {nearest(kind, (*KINDS, MAP))}")
    source = RecordingSource(path)
    rows_of = _books if kind == "books" else _plain
    # Canaries, rotations and pages of missed trades repeat what was recorded already.
    told: defaultdict[str, RecentKeys] = defaultdict(lambda: RecentKeys(TRADES_KNOWN))
    batch: list[Row] = []
    with Table(out) as table:
        for event in source.decoded():
            if not isinstance(event, KINDS[kind]):
                continue
            of = source.known.get(getattr(event, "instrument_id", ""))
            if of is None or instrument_id not in ("", of.id):
                continue
            if isinstance(event, Trade) and told[of.id].seen(event.trade_id):
                continue
            batch += rows_of(event, of)
            if len(batch) >= BATCH:
                table.add(_columns(batch))
                batch = []
        if batch:
            table.add(_columns(batch))
        if not table.rows:
            raise SettingError(f"{path} holds no {kind} of {instrument_id or 'any instrument'}")
        table.write()
        return table.rows


def _plain(event: Event, of: Instrument) -> Iterator[Row]:
    del of
    names = event.__struct_fields__
    yield {name: getattr(event, name) for name in names}


def _books(event: Event, of: Instrument) -> Iterator[Row]:
    """A row a level; quantity 0 deletes it; a snapshot's first row begins the book anew."""
    assert isinstance(event, BookSnapshot | BookDelta)
    levels = event.levels
    for i, (ticks, quantity) in enumerate(
        zip(levels.price_ticks.tolist(), levels.quantity.tolist(), strict=True)
    ):
        yield {
            "instrument_id": event.instrument_id,
            "event_ns": event.event_ns,
            "received_ns": event.received_ns,
            "sequence": event.sequence,
            "is_snapshot": isinstance(event, BookSnapshot),
            "book_side": "bid" if i < levels.bid_count else "ask",
            "price": of.price_usd(ticks),
            "quantity": quantity,
        }


def _columns(rows: Sequence[Row]) -> dict[str, Column]:
    out: dict[str, Column] = {}
    for name, value in rows[0].items():
        values = [row[name] for row in rows]
        if isinstance(value, bool):
            out[name] = np.array(values, dtype=np.bool_)
        elif isinstance(value, str):
            out[name] = np.array([str(v) for v in values], dtype=object)
        elif isinstance(value, int):
            out[name] = np.array(values, dtype=np.int64)
        else:
            out[name] = np.array(values, dtype=np.float64)
    return out


def export_map(folder: Path, out: Path, base: str, venue: str, column_s: int) -> int:
    """The stored heat map, column by column: the rows of docs/map-files.md without intervals.

    Amounts are as stored: quantised to 8 bits in the logarithm, 3.4 % a cell at most.
    """
    if column_s not in COLUMN_S:
        raise SettingError(f"no such column width: {column_s} s, there are {COLUMN_S}")
    files = SlabFolder(folder)
    maps = MapHistory(folder)
    try:
        with Table(out) as table:
            for time_index in sorted(files.indices(base, venue, column_s)):
                start_ns = SlabKey(base, venue, column_s, time_index).start_ns
                for i in range(TILE_COLUMNS):
                    at_ns = start_ns + i * column_s * 1_000_000_000
                    column = maps.column(base, venue, at_ns, column_s)
                    if column is not None and column.as_of_ns > at_ns:
                        table.add(_map_rows(column, venue))
            if not table.rows:
                raise SettingError(f"{folder} holds no map of {base} on {venue} at {column_s} s")
            table.write(
                "SELECT * REPLACE (CASE WHEN isnan(price_low) THEN NULL ELSE price_low END AS "
                "price_low, CASE WHEN isnan(price_high) THEN NULL ELSE price_high END AS "
                "price_high) FROM rows ORDER BY at_ns, position_side, price_low NULLS LAST"
            )
            return table.rows
    finally:
        maps.close()


def _map_rows(column: MapColumn, venue: str) -> dict[str, Column]:
    side, band, i = np.nonzero(column.notional_usd)
    edges = column.grid.edges()
    names = np.array(SIDE_NAMES, dtype=object)
    bands = np.array((*BANDS, OUTSIDE), dtype=object)
    nan = np.full(2, np.nan)
    return {
        "at_ns": np.full(len(i) + 2, column.as_of_ns, dtype=np.int64),
        "position_side": names[np.append(side, (0, 1))],
        "price_low": np.append(edges[i], nan),
        "price_high": np.append(edges[i + 1], nan),
        "notional_usd": np.append(column.notional_usd[side, band, i], column.outside_usd),
        "leverage_band": bands[np.append(band, (3, 3))],
        "venue": np.full(len(i) + 2, venue, dtype=object),
    }
