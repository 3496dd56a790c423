"""`liqfield verify`: a file of maps, ours or anybody's, scored against what happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import duckdb
import msgspec
import numpy as np

from liqfield.app.maps import OUTSIDE
from liqfield.app.sources import Source, event_ns, open_source, summary
from liqfield.density.settings import PRIOR_TIERS
from liqfield.density.triggers import trigger_of
from liqfield.model.errors import ModelError, SettingError, StoreError
from liqfield.model.events import (
    Candle,
    Liquidation,
    MarkPrice,
    OpenInterest,
    TierTable,
    Trade,
)
from liqfield.model.sides import CandleOf, PositionSide
from liqfield.store.table import quoted
from liqfield.verify.score import MapTable, Report, Truth, score_map

NEEDED = (
    "at_ns", "position_side", "price_low", "price_high", "notional_usd", "notional_usd_p10",
    "notional_usd_p90", "leverage_band", "venue",
)  # fmt: skip
PATH_STEP_NS = 1_000_000_000


class InstrumentScore(msgspec.Struct):
    """One instrument's score. mark_path: what the path was made of; prints_by_coverage: how much
    of the truth their feed shows (realised amounts are a lower bound unless it is complete)."""

    instrument_id: str
    mark_path: str
    prints_by_coverage: dict[str, int]
    score: Report


class Verification(msgspec.Struct):
    """The report of `liqfield verify`; `score` is described in docs/map-files.md."""

    map: str
    source: str
    scores: list[InstrumentScore]
    skipped: list[dict[str, object]]


def verify_file(
    path: Path,
    source_text: str,
    instrument_ids: Sequence[str] = (),
    contract_value: float | None = None,
) -> Verification:
    """Score every instrument of a map file. instrument_ids: needed where the file names none."""
    source = open_source(source_text, contract_value)
    ids = tuple(instrument_ids) or _named(path)
    if not ids:
        raise SettingError(f"{path} does not say which instruments it maps: give --instrument")
    scores = []
    for instrument_id in ids:
        table = read_map(path, instrument_id.partition(":")[0])
        truth, marks, coverage = truth_of(source, instrument_id)
        scores.append(InstrumentScore(instrument_id, marks, coverage, score_map(table, truth)))
    return Verification(str(path), source_text, scores, summary(source.reports))


def _named(path: Path) -> tuple[str, ...]:
    if path.suffix == ".csv":
        return ()
    rows = _query(
        path, f"SELECT value FROM parquet_kv_metadata({quoted(path)}) WHERE key = 'instruments'"
    )
    return tuple(bytes(rows[0][0]).decode().split(",")) if rows else ()


def _query(path: Path, text: str) -> list[tuple[bytes, ...]]:
    if not path.is_file():
        raise StoreError(str(path), "no such file")
    try:
        found: list[tuple[bytes, ...]] = duckdb.sql(text).fetchall()
    except duckdb.Error as error:
        raise StoreError(str(path), f"cannot be read ({error})") from error
    return found


def read_map(path: Path, venue: str) -> MapTable:
    """The rows of one venue without those outside the grid. Raises StoreError on what it lacks."""
    if not path.is_file():
        raise StoreError(str(path), "no such file")
    try:
        table = duckdb.sql(f"SELECT * FROM {quoted(path)}")
        lacking = [name for name in NEEDED if name not in table.columns]
        if lacking:
            raise StoreError(str(path), f"is no map: it lacks {', '.join(lacking)}")
        rows = duckdb.sql(
            "SELECT at_ns, position_side, price_low, price_high, notional_usd, notional_usd_p10, "
            f"notional_usd_p90 FROM {quoted(path)} WHERE venue = {quoted(venue)} "
            f"AND leverage_band <> {quoted(OUTSIDE)} AND price_low IS NOT NULL ORDER BY at_ns"
        ).fetchnumpy()
    except duckdb.Error as error:
        raise StoreError(str(path), f"cannot be read ({error})") from error
    if not len(rows["at_ns"]):
        raise ModelError(f"{path} holds no map of {venue}")
    sides = np.asarray(rows["position_side"], dtype=object)
    unknown = set(np.unique(sides.astype(str))) - {"long", "short"}
    if unknown:
        raise StoreError(str(path), f"position_side must be long or short, not {min(unknown)!r}")

    def number(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.asarray(rows[name], dtype=np.float64)

    return MapTable(
        at_ns=np.asarray(rows["at_ns"], dtype=np.int64),
        side=(sides == "short").astype(np.int64),
        low=number("price_low"),
        high=number("price_high"),
        usd=number("notional_usd"),
        p10=number("notional_usd_p10"),
        p90=number("notional_usd_p90"),
    )


class _Path:
    """Lows and highs a second, stamped with the last fact inside."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, float, float]] = []

    def add(self, at_ns: int, low: float, high: float) -> None:
        if self.rows and self.rows[-1][0] // PATH_STEP_NS == at_ns // PATH_STEP_NS:
            _, before_low, before_high = self.rows[-1]
            self.rows[-1] = (at_ns, min(low, before_low), max(high, before_high))
        else:
            self.rows.append((at_ns, low, high))


def truth_of(source: Source, instrument_id: str) -> tuple[Truth, str, dict[str, int]]:
    """(path and prints, what the path was made of, prints by coverage of their feed).

    The path is the mark's where the source has it, else last trades: wider than the mark's, so
    that more bins count as traversed.
    """
    marks, last = _Path(), _Path()
    prints: list[tuple[int, int, float, float]] = []
    coverage: Counter[str] = Counter()
    tiers, kind = PRIOR_TIERS, source.instrument(instrument_id).kind
    for fact in source.events(instrument_id):
        at = event_ns(fact)
        if isinstance(fact, Trade):
            last.add(at, fact.price, fact.price)
        elif isinstance(fact, MarkPrice):
            marks.add(at, fact.price, fact.price)
        elif isinstance(fact, Candle):
            (marks if fact.of is CandleOf.MARK else last).add(at, fact.low, fact.high)
        elif isinstance(fact, OpenInterest) and fact.is_history and fact.price > 0.0:
            marks.add(at, fact.price, fact.price)
        elif isinstance(fact, TierTable):
            tiers = fact.tiers or tiers
        elif isinstance(fact, Liquidation):
            side = int(fact.position_side is PositionSide.SHORT)
            price = trigger_of(fact, tiers, kind)
            prints.append((at, side, price, fact.quantity * price))
            coverage[fact.coverage.value] += 1
    chosen, name = (marks, "mark") if marks.rows else (last, "last trade")
    if not chosen.rows:
        raise ModelError(f"the source shows no price of {instrument_id}")
    path = np.array([row[0] for row in chosen.rows], dtype=np.int64)
    bounds = np.array([row[1:] for row in chosen.rows], dtype=np.float64)
    happened = np.array([row[2:] for row in prints], dtype=np.float64).reshape(-1, 2)
    truth = Truth(
        mark_ns=path,
        mark_low=bounds[:, 0],
        mark_high=bounds[:, 1],
        print_ns=np.array([row[0] for row in prints], dtype=np.int64),
        print_side=np.array([row[1] for row in prints], dtype=np.int64),
        print_price=happened[:, 0],
        print_usd=happened[:, 1],
    )
    return truth, name, dict(coverage)
