"""Tardis.dev CSV: any subset of types, days and symbols, gzip or not. Times are microseconds.

Rows are sorted by their recorder's clock, events by the venue's: a few change places.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np

from liqfield.model.durations import HOUR_NS
from liqfield.model.events import (
    BookDelta,
    BookLevels,
    BookSnapshot,
    FundingRate,
    IndexPrice,
    Liquidation,
    MarketEvent,
    MarkPrice,
    OpenInterest,
    Trade,
)
from liqfield.model.instrument import Instrument
from liqfield.model.sides import Aggressor, Coverage, PositionSide, PriceKind
from liqfield.store.archives.order import Recent
from liqfield.store.archives.plan import ArchiveFile, days_of
from liqfield.store.archives.rows import FileReport, read_rows, stamp_ns, text_lines

VENUES = {
    "binance-futures": "binance",
    "binance-delivery": "binance-coinm",
    "bybit": "bybit",
    "okex-swap": "okx",
    "okex-futures": "okx",
    "hyperliquid": "hyperliquid",
    "bitmex": "bitmex",
    "deribit": "deribit",
    "gate-io-futures": "gate",
    "bitget-futures": "bitget",
}
_HEAD = ("exchange", "symbol", "timestamp", "local_timestamp")
COLUMNS: dict[str, tuple[str, ...]] = {
    "trades": (*_HEAD, "id", "side", "price", "amount"),
    "derivative_ticker": (
        *_HEAD, "funding_timestamp", "funding_rate", "predicted_funding_rate", "open_interest",
        "last_price", "index_price", "mark_price",
    ),
    "liquidations": (*_HEAD, "id", "side", "price", "amount"),
    "incremental_book_L2": (*_HEAD, "is_snapshot", "side", "price", "amount"),
}  # fmt: skip
_DATE = re.compile(r"(\d{4})[-/](\d{2})[-/](\d{2})")
# A print's price is the bankruptcy price on these venues, else the fill.
_BANKRUPTCY = frozenset({"bybit", "bybit-inverse", "okx", "deribit", "bitmex"})
_BYBIT_COMPLETE_NS = 1_740_528_000_000_000_000  # 2025-02-26
OI_EVERY_NS = 60_000_000_000


class _Funding(msgspec.Struct):
    """The next payment's time as written, and the last rate told for it."""

    at: str = ""
    rate: float | None = None

    def paid(self, at: str, now_ns: int) -> float | None:
        """The rate just settled, where the next payment's time has moved on within the hour."""
        before, self.at = self.at, at
        if not before or before == at or self.rate is None:
            return None
        return self.rate if 0 <= now_ns - stamp_ns(before) <= HOUR_NS else None


class Tardis:
    """books: also read incremental_book_L2 (a map does not need it)."""

    day_offset_ns = 0

    def __init__(self, *, books: bool = False) -> None:
        self._books = books
        # The payment at midnight shows in the next day's file only.
        self._funding: dict[str, _Funding] = {}

    def find(self, folder: Path) -> tuple[list[ArchiveFile], list[FileReport]]:
        files: dict[tuple[str, ...], ArchiveFile] = {}
        reports: list[FileReport] = []
        paths = [folder] if folder.is_file() else sorted(folder.rglob("*"))
        for path in paths:
            if not path.is_file() or not path.name.endswith((".csv", ".csv.gz", ".csv.zst")):
                continue
            kind, symbol, why = _identify(path)
            date = _DATE.search(path.name) or _DATE.search("/".join(path.parts[-4:-1]))
            if kind not in COLUMNS:
                why = why or f"{kind}: not a type that is read"
            elif date is None:
                why = "no date in its name"
            elif kind == "incremental_book_L2" and not self._books:
                why = "books are not needed here"
            if why or date is None:
                reports.append(FileReport(str(path), why=why))
                continue
            days = days_of("-".join(date.groups()))
            name = path.name.removesuffix(".gz").removesuffix(".zst")
            files.setdefault(
                (kind, symbol, date[0], name), ArchiveFile(path, kind, symbol, kind, (0,), *days)
            )
        return list(files.values()), reports

    def instrument_id(self, file: ArchiveFile) -> str:
        return file.symbol  # here already "venue:symbol"; "" when a file was empty

    def read(self, file: ArchiveFile, of: Instrument, report: FileReport) -> Iterator[MarketEvent]:
        columns = COLUMNS[file.family]
        rows = (
            row for row in read_rows(file.path, columns, columns, report) if _is_of(row, of, report)
        )
        match file.family:
            case "trades":
                return _trades(rows, of, report)
            case "liquidations":
                return _liquidations(rows, of, report)
            case "derivative_ticker":
                return _tickers(rows, of, report, self._funding.setdefault(of.id, _Funding()))
        return _books(rows, of, report)


def _identify(path: Path) -> tuple[str, str, str]:
    """(type, instrument id, why not) from the columns and the first row: names vary."""
    report = FileReport(str(path))
    names = list(islice(_header(path, report), 2))
    if report.why or not names:
        return "", "", report.why or "empty file"
    found = "unknown columns"
    for kind in ("derivative_ticker", "incremental_book_L2", "trades"):
        if set(COLUMNS[kind]) - set(_HEAD) <= set(names[0]):
            found = kind
            break
    if found == "trades" and "liquidations" in str(path):
        found = "liquidations"
    if len(names) < 2 or not set(_HEAD) <= set(names[0]):
        return found, "", ""
    row = dict(zip(names[0], names[1], strict=False))
    exchange, symbol = row.get("exchange", ""), row.get("symbol", "")
    return found, instrument_id(exchange, symbol) if symbol else "", ""


def _header(path: Path, report: FileReport) -> Iterator[list[str]]:
    for line in text_lines(path, report):
        yield [cell.strip().strip('"') for cell in line.rstrip("\r\n").split(",")]


def instrument_id(exchange: str, symbol: str) -> str:
    return f"{_venue(exchange, symbol)}:{symbol}"


def _venue(exchange: str, symbol: str) -> str:
    if exchange == "bybit" and symbol.endswith("USD"):
        return "bybit-inverse"
    return VENUES.get(exchange, exchange)


def _is_of(row: Sequence[str], of: Instrument, report: FileReport) -> bool:
    if row[1] == of.symbol and _venue(row[0], row[1]) == of.venue:
        return True
    report.skip("another instrument")
    return False


def _trades(
    rows: Iterator[Sequence[str]], of: Instrument, report: FileReport
) -> Iterator[MarketEvent]:
    seen = Recent()
    for _, _, stamp, _, trade_id, side, price_text, amount_text in rows:
        try:
            at, price = stamp_ns(stamp), float(price_text) * of.price_factor
            amount = float(amount_text)
        except ValueError:
            report.skip("not a number")
            continue
        if side not in ("buy", "sell"):
            report.skip("trade of unknown side")
        elif not (0.0 < price < 1e15 and 0.0 < amount < 1e15):
            report.skip("impossible price or quantity")
        elif trade_id and seen.seen(trade_id):
            report.skip("repeated row")
        else:
            coins = of.quantity_base(amount, price)
            yield Trade(of.id, at, at, price, coins, Aggressor(side), trade_id)


def _liquidations(
    rows: Iterator[Sequence[str]], of: Instrument, report: FileReport
) -> Iterator[MarketEvent]:
    """Normalised by the vendor: buy = a short was closed, sell = a long."""
    seen = Recent()
    sides = {"buy": PositionSide.SHORT, "sell": PositionSide.LONG}
    kind = PriceKind.BANKRUPTCY if of.venue in _BANKRUPTCY else PriceKind.FILL
    for _, _, stamp, _, print_id, side, price_text, amount_text in rows:
        try:
            at, price = stamp_ns(stamp), float(price_text) * of.price_factor
            amount = float(amount_text)
        except ValueError:
            report.skip("not a number")
            continue
        closed = sides.get(side)
        if closed is None or not (0.0 < price < 1e15 and 0.0 < amount < 1e15):
            report.skip("impossible price, quantity or side")
        elif seen.seen((print_id, at, side, price_text, amount_text)):
            report.skip("repeated row")
        else:
            yield Liquidation(
                of.id, at, at, closed, of.quantity_base(amount, price), price, kind,
                _coverage(of.venue, at),
            )  # fmt: skip


def _coverage(venue: str, at_ns: int) -> Coverage:
    if venue.startswith("binance"):
        return Coverage.LARGEST_PER_SECOND
    if venue.startswith("bybit"):
        return Coverage.COMPLETE if at_ns >= _BYBIT_COMPLETE_NS else Coverage.LATEST_PER_SECOND
    return Coverage.COMPLETE if venue in ("bitmex", "deribit") else Coverage.SAMPLED


def _tickers(
    rows: Iterator[Sequence[str]], of: Instrument, report: FileReport, funding: _Funding
) -> Iterator[MarketEvent]:
    """Blank cells mean unchanged. Open interest is told on change or once a minute."""
    mark = index = interest = 0.0
    told_ns = 0
    for row in rows:
        try:
            at = stamp_ns(row[2])
            cells = [float(text) if text else None for text in row[5:]]
        except ValueError:
            report.skip("not a number")
            continue
        new_rate, _, open_interest, _, new_index, new_mark = cells
        paid = funding.paid(row[4], at) if row[4] else None
        if paid is not None:
            yield FundingRate(of.id, at, at, paid, of.funding_interval_h, is_settled=True)
        if new_rate is not None and -1.0 < new_rate < 1.0:
            funding.rate = new_rate
        for value in (new_mark, new_index, open_interest):
            if value is not None and not 0.0 < value < 1e17:
                report.skip("impossible value in a ticker")
        if new_mark is not None and new_mark != mark and 0.0 < new_mark < 1e15:
            mark = new_mark
            yield MarkPrice(of.id, at, at, mark * of.price_factor)
        if new_index is not None and new_index != index and 0.0 < new_index < 1e15:
            index = new_index
            yield IndexPrice(of.id, at, at, index * of.price_factor)
        if open_interest is None or not 0.0 < open_interest < 1e17:
            continue
        if open_interest != interest or at - told_ns >= OI_EVERY_NS:
            price = mark * of.price_factor
            if of.kind == "inverse" and price <= 0.0:
                report.skip("open interest before any mark")
                continue
            interest, told_ns = open_interest, at
            coins = of.quantity_base(interest, price or 1.0)
            yield OpenInterest(of.id, at, at, coins, price)


def _books(
    rows: Iterator[Sequence[str]], of: Instrument, report: FileReport
) -> Iterator[MarketEvent]:
    """One event a message: rows of one arrival. Snapshot rows clear the book. Sequence: a count."""
    group: list[tuple[bool, float, float]] = []
    key: tuple[str, str] = ("", "")
    at = sequence = 0
    seen_snapshot = False
    for row in rows:
        now = (row[3], row[4])
        if group and now != key:
            sequence += 1
            yield _book(of, at, sequence, group, is_snapshot=key[1] == "true")
            group = []
        key = now
        try:
            price, amount = float(row[6]), float(row[7])
            at = stamp_ns(row[2])
        except ValueError:
            report.skip("not a number")
            continue
        seen_snapshot = seen_snapshot or row[4] == "true"
        if not seen_snapshot:
            report.skip("book rows before the first snapshot")
        elif row[5] not in ("bid", "ask") or not (0.0 < price < 1e15 and 0.0 <= amount < 1e17):
            report.skip("impossible level")
        else:
            group.append((row[5] == "bid", price, amount))
    if group:
        yield _book(of, at, sequence + 1, group, is_snapshot=key[1] == "true")


def _book(
    of: Instrument,
    at: int,
    sequence: int,
    group: list[tuple[bool, float, float]],
    *,
    is_snapshot: bool,
) -> BookSnapshot | BookDelta:
    group.sort(key=lambda level: not level[0])
    bids = sum(level[0] for level in group)
    price = np.array([level[1] for level in group])
    ticks = np.rint(price * of.price_factor / of.tick_usd).astype(np.int64)
    coins = np.array([of.quantity_base(level[2], level[1] * of.price_factor) for level in group])
    levels = BookLevels(ticks, coins, bids)
    if is_snapshot:
        return BookSnapshot(of.id, at, at, sequence, levels)
    return BookDelta(of.id, at, at, sequence, sequence, sequence - 1, levels)
