"""public.bybit.com trades: linear, inverse, gzip or not, times in seconds with four decimals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from liqfield.model.events import MarketEvent, Trade
from liqfield.model.instrument import Instrument
from liqfield.model.sides import Aggressor
from liqfield.store.archives.order import Recent, in_time
from liqfield.store.archives.plan import ArchiveFile, days_of
from liqfield.store.archives.rows import FileReport, read_rows, stamp_ns

_TRADES = re.compile(r"(?P<symbol>[A-Z0-9]+)(?P<date>\d{4}-\d{2}-\d{2})\.csv(?:\.gz)?")
_SPOT = re.compile(r"[A-Z0-9]+_\d{4}-\d{2}(?:-\d{2})?\.csv(?:\.gz)?")
_BOOKS = re.compile(r"(?P<date>\d{4}-\d{2}-\d{2})_(?P<symbol>[A-Z0-9]+)_ob\d+\.data(?:\.zip|\.gz)?")
_COLUMNS = (
    "timestamp", "symbol", "side", "size", "price", "tickDirection", "trdMatchID", "grossValue",
    "homeNotional", "foreignNotional",
)  # fmt: skip
BOOKS = "books"


class Bybit:
    """Books (ob200, ob500) are frames, not rows: they are found here and read as recordings."""

    day_offset_ns = 0

    def find(self, folder: Path) -> tuple[list[ArchiveFile], list[FileReport]]:
        files: dict[tuple[str, str], ArchiveFile] = {}
        reports = []
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            trades, books = _TRADES.fullmatch(path.name), _BOOKS.fullmatch(path.name)
            match = trades or books
            if match is None:
                why = "spot is not followed" if _SPOT.fullmatch(path.name) else ""
                reports.append(FileReport(str(path), why=why or "not a file that is read"))
                continue
            family = "trades" if trades else BOOKS
            name = path.name.partition(".")[0]
            found = ArchiveFile(
                path, family, match["symbol"], family, (0,), *days_of(match["date"])
            )
            files.setdefault((family, name), found)
        return list(files.values()), reports

    def instrument_id(self, file: ArchiveFile) -> str:
        inverse = file.symbol.endswith("USD")
        return f"bybit-inverse:{file.symbol}" if inverse else f"bybit:{file.symbol}"

    def read(self, file: ArchiveFile, of: Instrument, report: FileReport) -> Iterator[MarketEvent]:
        if file.family == BOOKS:
            report.why = "books are read as a recording: liqfield replay FILE"
            return
        wanted = ("timestamp", "side", "size", "price", "trdMatchID", "symbol")
        rows = (list(row) for row in read_rows(file.path, _COLUMNS, wanted, report))
        seen = Recent()
        sides = {"buy": Aggressor.BUY, "sell": Aggressor.SELL}
        for row in in_time(rows, lambda row: stamp_ns(row[0])):
            try:
                at, price = stamp_ns(row[0]), float(row[3]) * of.price_factor
                size = float(row[2])
            except ValueError:
                report.skip("not a number")
                continue
            aggressor = sides.get(row[1].lower())
            if row[5] not in ("", of.symbol):
                report.skip("another instrument")
            elif aggressor is None or not (0.0 < price < 1e15 and 0.0 < size < 1e15):
                report.skip("impossible price, quantity or side")
            elif row[4] and seen.seen(row[4]):
                report.skip("repeated row")
            else:
                coins = of.quantity_base(size, price)
                yield Trade(of.id, at, at, price, coins, aggressor, row[4])
