"""Imported history: columns by kind, venue, symbol and UTC day, in Parquet.

<folder>/<kind>/<venue>/<symbol>/<YYYY-MM-DD>/<source file>-<n>.parquet

Every source file writes parts of its own, so that importing it again replaces them and a killed
import goes on where it was; the ledger says which files are whole. Overlapping sources (a month and
its days) repeat rows: reading drops repetitions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import msgspec
import numpy as np

from liqfield.model.durations import DAY_NS
from liqfield.model.errors import StoreError
from liqfield.model.events import (
    Candle,
    FundingRate,
    Liquidation,
    MarketEvent,
    MarkPrice,
    OpenInterest,
    PositioningRatio,
    Trade,
)
from liqfield.model.sides import CandleOf
from liqfield.store.archives.order import rank
from liqfield.store.atomic import write_atomic
from liqfield.store.table import Column, quoted, write_batch

FLUSH_ROWS = 400_000
LEDGER = "imported.json"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Field: TypeAlias = tuple[str, type, Callable[[Any], object]]


def _fields(**columns: type) -> tuple[Field, ...]:
    def getter(name: str) -> Callable[[Any], object]:
        return lambda event: getattr(event, name)

    return tuple((name, kind, getter(name)) for name, kind in columns.items())


#: kind of fact -> (folder, columns). Times are ns, quantities base coins, prices USD per base coin.
KINDS: dict[type, tuple[str, tuple[Field, ...]]] = {
    Candle: (
        "candles",
        _fields(event_ns=int, of=str, interval_ns=int, open=float, high=float, low=float,
                close=float, volume=float, taker_buy_volume=float),
    ),
    OpenInterest: ("open_interest", _fields(event_ns=int, quantity=float, price=float)),
    FundingRate: ("funding", _fields(event_ns=int, rate=float, interval_h=float, is_settled=bool)),
    Trade: (
        "trades",
        _fields(event_ns=int, price=float, quantity=float, aggressor=str, trade_id=str),
    ),
    MarkPrice: ("marks", _fields(event_ns=int, price=float)),
    Liquidation: (
        "liquidations",
        _fields(event_ns=int, position_side=str, quantity=float, price=float, price_kind=str,
                coverage=str),
    ),
    PositioningRatio: (
        "ratios", _fields(event_ns=int, basis=str, long_share=float, short_share=float)
    ),
}  # fmt: skip
FOLDERS = tuple(folder for folder, _ in KINDS.values())
# Stamped with the end of their interval: midnight belongs to the day before.
_ENDS = (Candle, OpenInterest)


class Imported(msgspec.Struct):
    """The ledger's word on one source file."""

    name: str
    digest: str
    instrument_id: str
    parts: list[str]
    rows: int
    skipped: dict[str, int]
    why: str = ""


class HistoryStore:
    """`write` one source file at a time; `read` and `backfill` by instrument and span."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ledger: dict[str, Imported] | None = None
        self._base = duckdb.connect(config={"threads": "1"})  # beside a terminal at work

    # ---- writing ------------------------------------------------------------------------------

    def is_imported(self, digest: str, instrument_id: str) -> bool:
        """By content: a file that moved or was fetched again is known."""
        found = self.ledger().get(f"{digest} {instrument_id}")
        return found is not None and all((self.folder / part).is_file() for part in found.parts)

    def write(
        self, name: str, digest: str, instrument_id: str, events: Iterable[MarketEvent]
    ) -> Imported:
        """Write a source file's events; `commit` makes it final. What an older file of the same
        name left is replaced. Raises StoreError."""
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", name.partition(".")[0])[:80]
        # Files of equal names lie in several folders (klines and mark klines).
        stem += "-" + hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
        done = Imported(name, digest, instrument_id, [], 0, {})
        batches: dict[tuple[type, int], list[MarketEvent]] = {}
        held = 0
        for event in events:
            kind = type(event)
            if kind not in KINDS:
                continue
            day = (event.event_ns - (kind in _ENDS)) // DAY_NS
            batches.setdefault((kind, day), []).append(event)
            done.rows += 1
            held += 1
            if held >= FLUSH_ROWS:
                self._flush(batches, instrument_id, stem, done)
                held = 0
        self._flush(batches, instrument_id, stem, done)
        return done

    def commit(self, done: Imported) -> None:
        """Enter a file into the ledger and remove what earlier versions of it left."""
        ledger = self.ledger()
        for key, entry in list(ledger.items()):
            if (entry.name, entry.instrument_id) == (done.name, done.instrument_id):
                for part in set(entry.parts) - set(done.parts):
                    (self.folder / part).unlink(missing_ok=True)
                del ledger[key]
        ledger[f"{done.digest} {done.instrument_id}"] = done
        data = msgspec.json.format(msgspec.json.encode(list(ledger.values())), indent=1)
        write_atomic(self.folder / LEDGER, data)

    def ledger(self) -> dict[str, Imported]:
        """Whole files by content and instrument."""
        if self._ledger is None:
            path = self.folder / LEDGER
            try:
                rows = msgspec.json.decode(path.read_bytes(), type=list[Imported])
            except FileNotFoundError:
                rows = []
            except (OSError, msgspec.MsgspecError) as error:
                raise StoreError(str(path), f"cannot be read ({error})") from error
            self._ledger = {f"{row.digest} {row.instrument_id}": row for row in rows}
        return self._ledger

    def _flush(
        self,
        batches: dict[tuple[type, int], list[MarketEvent]],
        instrument_id: str,
        stem: str,
        done: Imported,
    ) -> None:
        for (kind, day), events in sorted(
            batches.items(), key=lambda b: (b[0][0].__name__, b[0][1])
        ):
            folder, fields = KINDS[kind]
            place = self.folder / folder / _place(instrument_id) / day_name(day)
            path = place / f"{stem}-{len(done.parts)}.parquet"
            write_batch(self._base, path, _columns(events, fields), "event_ns")
            done.parts.append(str(path.relative_to(self.folder)))
        batches.clear()

    # ---- reading ------------------------------------------------------------------------------

    def instruments(self) -> list[str]:
        """Ids of everything imported."""
        return sorted({entry.instrument_id for entry in self.ledger().values()})

    def days(self, kind: str, instrument_id: str) -> list[int]:
        """Days since epoch of which something is there."""
        folder = self.folder / kind / _place(instrument_id)
        names = sorted({path.parent.name for path in folder.glob("*/*.parquet")})
        return [(datetime.fromisoformat(f"{name}T00:00+00:00") - _EPOCH).days for name in names]

    def rows(
        self, kind: str, instrument_id: str, day: int, select: str = "SELECT * FROM rows"
    ) -> Mapping[str, Any]:
        """Columns of one day, each fact once, in time order, as `select` makes them of `rows`."""
        place = self.folder / kind / _place(instrument_id) / day_name(day)
        files = sorted(place.glob("*.parquet"))
        if not files:
            return {}
        names = ", ".join(quoted(file) for file in files)
        # The same fact told by two sources counts once.
        query = (
            f"WITH rows AS (SELECT DISTINCT * FROM read_parquet([{names}])) "
            f"SELECT * FROM ({select}) ORDER BY event_ns"
        )
        try:
            found: Mapping[str, Any] = self._base.execute(query).fetchnumpy()
        except duckdb.Error as error:
            raise StoreError(str(place), f"cannot be read ({error})") from error
        return found

    def backfill(
        self, instrument_id: str, start_ns: int, end_ns: int, interval_ns: int = 300_000_000_000
    ) -> Iterator[MarketEvent]:
        """The past as a venue's history would tell it: candles of `interval_ns` of last and mark,
        open interest, settled funding; by day, events with start < time <= end.

        Candles come from imported ones, or from trades (and marks) on days without.
        """
        for day in range(start_ns // DAY_NS, (end_ns - 1) // DAY_NS + 1):
            for event in self.past_day(instrument_id, day, interval_ns):
                if start_ns < event.event_ns <= end_ns:
                    yield event

    def past_day(self, instrument_id: str, day: int, interval_ns: int) -> list[MarketEvent]:
        """One day of `backfill`, in time order."""
        events = self.candles(instrument_id, day, CandleOf.MARK, interval_ns)
        events += self.candles(instrument_id, day, CandleOf.LAST, interval_ns)
        events += self._interest(instrument_id, day, interval_ns)
        rows = self.rows("funding", instrument_id, day)
        if rows:
            names = ("event_ns", "rate", "interval_h", "is_settled")
            events += [
                FundingRate(instrument_id, at, at, rate, hours, is_settled=True)
                for at, rate, hours, settled in zip(
                    *(rows[name].tolist() for name in names), strict=True
                )
                if settled
            ]
        events.sort(key=rank)
        return events

    def candles(
        self, instrument_id: str, day: int, of: CandleOf, interval_ns: int
    ) -> list[MarketEvent]:
        """From imported candles, or from trades (marks) on a day without."""
        rows = self.rows("candles", instrument_id, day, _coarse_candles(of, interval_ns))
        if not len(rows.get("event_ns", ())):
            kind = "trades" if of is CandleOf.LAST else "marks"
            rows = self.rows(kind, instrument_id, day, _candles_of(kind, interval_ns))
        if not rows:
            return []
        names = ("event_ns", "open", "high", "low", "close", "volume", "taker_buy_volume")
        return [
            Candle(instrument_id, int(at), int(at), of, interval_ns, o, h, low, c, v, buy,
                   is_history=True)
            for at, o, h, low, c, v, buy in zip(*(rows[n].tolist() for n in names), strict=True)
        ]  # fmt: skip

    def _interest(self, instrument_id: str, day: int, interval_ns: int) -> list[MarketEvent]:
        """The last statement of each interval: live streams repeat it every second."""
        rows = self.rows(
            "open_interest", instrument_id, day,
            f"SELECT max(event_ns) AS event_ns, arg_max(quantity, event_ns) AS quantity, "
            f"arg_max(price, event_ns) AS price FROM rows GROUP BY (event_ns - 1) // {interval_ns}",
        )  # fmt: skip
        if not rows:
            return []
        return [
            OpenInterest(instrument_id, at, at, quantity, price, is_history=True)
            for at, quantity, price in zip(
                rows["event_ns"].tolist(), rows["quantity"].tolist(), rows["price"].tolist(),
                strict=True,
            )
        ]  # fmt: skip


def _coarse_candles(of: CandleOf, interval_ns: int) -> str:
    """Candles of the finest interval that is not wider, grouped; each minute once."""
    return f"""
    WITH one AS (
        SELECT event_ns, interval_ns, any_value(open) AS open, any_value(high) AS high,
            any_value(low) AS low, any_value(close) AS close, any_value(volume) AS volume,
            any_value(taker_buy_volume) AS buy
        FROM rows WHERE "of" = {quoted(of.value)} AND interval_ns <= {interval_ns}
        GROUP BY event_ns, interval_ns),
    fine AS (SELECT * FROM one WHERE interval_ns = (SELECT min(interval_ns) FROM one))
    SELECT ((event_ns - 1) // {interval_ns} + 1) * {interval_ns} AS event_ns,
        arg_min(open, event_ns) AS open, max(high) AS high, min(low) AS low,
        arg_max(close, event_ns) AS close, sum(volume ORDER BY event_ns) AS volume,
        CASE WHEN min(buy) < 0 THEN -1.0 ELSE sum(buy ORDER BY event_ns) END AS taker_buy_volume
    FROM fine GROUP BY 1"""


def _candles_of(kind: str, interval_ns: int) -> str:
    """Candles of trades or of marks. Sums and firsts are ordered: the same rows, the same bits."""
    if kind == "trades":
        order = "event_ns, trade_id, price, quantity"
        buys = "CASE WHEN aggressor = 'buy' THEN quantity ELSE 0.0 END"
        volume, bought = f"sum(quantity ORDER BY {order})", f"sum({buys} ORDER BY {order})"
    else:
        order, volume, bought = "event_ns, price", "0.0", "-1.0"
    return f"""
    SELECT (event_ns // {interval_ns} + 1) * {interval_ns} AS event_ns,
        first(price ORDER BY {order}) AS open, max(price) AS high, min(price) AS low,
        last(price ORDER BY {order}) AS close, {volume} AS volume, {bought} AS taker_buy_volume
    FROM rows GROUP BY 1"""


def _columns(events: list[MarketEvent], fields: tuple[Field, ...]) -> dict[str, Column]:
    out: dict[str, Column] = {}
    for name, kind, get in fields:
        values = [get(event) for event in events]
        if kind is str:
            out[name] = np.array([str(value) for value in values], dtype=object)
        elif kind is int:
            out[name] = np.array(values, dtype=np.int64)
        else:
            out[name] = np.array(values, dtype=np.float64)
    return out


def _place(instrument_id: str) -> Path:
    venue, _, symbol = instrument_id.partition(":")
    safe = [re.sub(r"[^A-Za-z0-9._-]", "_", part).lstrip(".") for part in (venue, symbol)]
    if not all(safe):
        raise StoreError(instrument_id, "is no name of an instrument")
    return Path(*safe)


def day_name(day: int) -> str:
    """(20454) -> "2026-01-01"."""
    return f"{_EPOCH + timedelta(days=day):%Y-%m-%d}"


def digest_of(path: Path) -> str:
    """Content of a file, for the ledger."""
    sha = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                sha.update(piece)
    except OSError as error:
        raise StoreError(str(path), f"cannot be read ({error.strerror})") from error
    return sha.hexdigest()
