"""Hyperliquid's buckets: asset contexts, fills of the node (every liquidation of the venue), books.

Both sides of a fill are written; the taker's row is the trade, the liquidated account's the print.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from liqfield.model.durations import HOUR_NS, MS
from liqfield.model.events import (
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

BOOKS = "books"
_DATE = re.compile(r"(?<!\d)(20\d{2})-?(\d{2})-?(\d{2})(?!\d)")
_CTX = (
    "time", "coin", "funding", "open_interest", "prev_day_px", "day_ntl_vlm", "premium",
    "oracle_px", "mark_px", "mid_px", "impact_bid_px", "impact_ask_px",
)  # fmt: skip


class _FillLiquidation(msgspec.Struct, rename="camel"):
    liquidated_user: str = ""
    mark_px: float = 0.0


class _Fill(msgspec.Struct, rename="camel"):
    coin: str
    px: float
    sz: float
    side: str
    time: int
    crossed: bool = False
    start_position: float = 0.0
    tid: int = 0
    liquidation: _FillLiquidation | None = None


class _Block(msgspec.Struct):
    events: list[tuple[str, _Fill]]


class Hyperliquid:
    """Files are told apart by the folder they lie in, as in the buckets, or by their name."""

    day_offset_ns = 0

    def find(self, folder: Path) -> tuple[list[ArchiveFile], list[FileReport]]:
        files: list[ArchiveFile] = []
        reports: list[FileReport] = []
        paths = [folder] if folder.is_file() else sorted(folder.rglob("*"))
        names = {str(path) for path in paths}
        for path in paths:
            if not path.is_file() or str(path) + ".lz4" in names - {str(path)}:
                continue  # what was unpacked from a file beside it would be read twice
            text = str(path.absolute())
            date = _DATE.search(text)
            family = next(
                (
                    name
                    for mark, name in (
                        ("asset_ctxs", "asset_ctxs"),
                        ("node_fills", "fills"),
                        ("l2Book", BOOKS),
                    )
                    if mark in text
                ),
                "",
            )
            if not family or date is None:
                reports.append(FileReport(str(path), why="not a file that is read"))
                continue
            symbol = path.name.partition(".")[0] if family == BOOKS else ""
            days = days_of("-".join(date.groups()))
            rank = (0,) if "by_block" in text else (1,)
            files.append(ArchiveFile(path, family, symbol, family, rank, *days, part=_hour(path)))
        return files, reports

    def instrument_id(self, file: ArchiveFile) -> str:
        return f"hyperliquid:{file.symbol}" if file.symbol else ""

    def read(self, file: ArchiveFile, of: Instrument, report: FileReport) -> Iterator[MarketEvent]:
        if file.family == BOOKS:
            report.why = "books are read as a recording: liqfield replay FILE"
            return iter(())
        if file.family == "fills":
            return _fills(file.path, of, report)
        return _contexts(file.path, of, report)


def _hour(path: Path) -> int:
    # Hours are no two-digit numbers: by name "10" would come before "9".
    name = path.name.partition(".")[0]
    return int(name) if name.isdigit() and len(name) <= 2 else 0


def _fills(path: Path, of: Instrument, report: FileReport) -> Iterator[MarketEvent]:
    """Lines of node_fills_by_block ({"events": [[user, fill], ...]}) or of node_fills."""
    block = msgspec.json.Decoder(_Block, strict=False)
    single = msgspec.json.Decoder(tuple[str, _Fill], strict=False)
    seen, printed = Recent(), Recent()
    needle = f'"{of.symbol}"'
    for line in text_lines(path, report):
        report.rows += 1
        if needle not in line:
            continue
        try:
            rows = block.decode(line).events if line[:1] == "{" else [single.decode(line)]
        except msgspec.DecodeError:
            report.skip("unreadable line")
            continue
        for user, fill in rows:
            if fill.coin == of.symbol:
                yield from _fill(user, fill, of, report, seen, printed)


def _fill(
    user: str, fill: _Fill, of: Instrument, report: FileReport, seen: Recent, printed: Recent
) -> Iterator[MarketEvent]:
    at, price = fill.time * MS, fill.px * of.price_factor
    coins = fill.sz * of.quantity_factor
    if not (0.0 < price < 1e15 and 0.0 < coins < 1e15) or fill.side not in ("A", "B"):
        report.skip("impossible price, quantity or side")
        return
    if fill.crossed and not seen.seen(fill.tid):
        aggressor = Aggressor.BUY if fill.side == "B" else Aggressor.SELL
        yield Trade(of.id, at, at, price, coins, aggressor, str(fill.tid))
    forced = fill.liquidation
    # The counterparty's row carries the same object: only the liquidated account's counts.
    if forced and forced.liquidated_user.lower() == user.lower() and not printed.seen(fill.tid):
        closed = PositionSide.LONG if fill.side == "A" else PositionSide.SHORT
        yield Liquidation(of.id, at, at, closed, coins, price, PriceKind.FILL, Coverage.COMPLETE)


def _contexts(path: Path, of: Instrument, report: FileReport) -> Iterator[MarketEvent]:
    """Minute rows of all coins: mark, oracle, open interest; the hour's last rate as settled."""
    wanted = ("time", "coin", "funding", "open_interest", "oracle_px", "mark_px")
    last_hour, rate = 0, 0.0
    for row in read_rows(path, _CTX, wanted, report):
        if row[1] != of.symbol:
            continue
        try:
            at = stamp_ns(row[0].replace("Z", "+00:00"))
            funding, interest, oracle, mark = (float(x) if x else 0.0 for x in row[2:])
        except ValueError:
            report.skip("not a number")
            continue
        if not (0.0 < mark < 1e15 and 0.0 <= interest < 1e17 and -1.0 < funding < 1.0):
            report.skip("impossible value")
            continue
        hour = at // HOUR_NS
        if last_hour and hour > last_hour:
            yield FundingRate(of.id, at, at, rate, 1.0, is_settled=True)
        last_hour, rate = hour, funding
        yield MarkPrice(of.id, at, at, mark * of.price_factor)
        if oracle > 0.0:
            yield IndexPrice(of.id, at, at, oracle * of.price_factor)
        if interest > 0.0:
            coins = interest * of.quantity_factor
            yield OpenInterest(of.id, at, at, coins, mark * of.price_factor)
