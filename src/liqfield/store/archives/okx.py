"""OKX daily zips: trades, one-minute candles, funding. Their day begins at 16:00 UTC.

Sizes are contracts: the instrument's quantity_factor (from ctVal) makes coins of them. Old files
have Chinese headers; the documented order of columns stands in for those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from liqfield.model.durations import MINUTE_NS
from liqfield.model.events import Candle, FundingRate, MarketEvent, Trade
from liqfield.model.instrument import Instrument
from liqfield.model.sides import Aggressor, CandleOf
from liqfield.store.archives.order import Recent, in_time
from liqfield.store.archives.plan import ArchiveFile, days_of
from liqfield.store.archives.rows import FileReport, read_rows, stamp_ns

_NAME = re.compile(
    r"(?P<symbol>[A-Z0-9]+(?:-[A-Z0-9]+)*|allswap)-(?P<family>trades|candlesticks|fundingrates)"
    r"-(?P<date>\d{4}-\d{2}(?:-\d{2})?)\.(?:zip|csv|csv\.gz)"
)
_TRADES = ("instrument_name", "trade_id", "side", "price", "size", "created_time")
_CANDLES = (
    "instrument_name", "open", "high", "low", "close", "vol", "vol_ccy", "vol_quote", "open_time",
    "confirm",
)  # fmt: skip
_FUNDING = ("instrument_name", "funding_rate", "funding_time")
ALL_SWAPS = "allswap"


class Okx:
    """allswap files hold every swap: they are read for whichever instrument is asked for."""

    day_offset_ns = 8 * 3_600_000_000_000

    def find(self, folder: Path) -> tuple[list[ArchiveFile], list[FileReport]]:
        files: dict[str, ArchiveFile] = {}
        reports = []
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
            if not path.is_file() or path.suffix == ".json":
                continue
            match = _NAME.fullmatch(path.name)
            if match is None:
                reports.append(FileReport(str(path), why="not a file that is read"))
                continue
            family, days = match["family"], days_of(match["date"])
            volume = {"trades": 0, "candlesticks": 1}
            topic = "volume" if family in volume else family
            rank = (volume.get(family, 0), int(days[1] > days[0]))
            interval = MINUTE_NS if family == "candlesticks" else 0
            symbol = match["symbol"]
            if symbol.startswith("all") or not symbol.isupper():
                symbol = ALL_SWAPS
            file = ArchiveFile(path, family, symbol, topic, rank, *days, interval)
            files.setdefault(path.name.partition(".")[0], file)
        return list(files.values()), reports

    def instrument_id(self, file: ArchiveFile) -> str:
        return "" if file.symbol == ALL_SWAPS else f"okx:{file.symbol}"

    def read(self, file: ArchiveFile, of: Instrument, report: FileReport) -> Iterator[MarketEvent]:
        match file.family:
            case "trades":
                return _trades(file, of, report)
            case "candlesticks":
                return _candles(file, of, report)
        return iter(_funding(file.path, of, report))


def _of(rows: Iterator[Sequence[str]], of: Instrument, report: FileReport) -> Iterator[list[str]]:
    for row in rows:
        if row[0] == of.symbol:
            yield list(row)
        else:
            # A wrong selector of their index silently delivers another market's file.
            report.skip("another instrument")


def _trades(file: ArchiveFile, of: Instrument, report: FileReport) -> Iterator[MarketEvent]:
    rows = _of(read_rows(file.path, _TRADES, _TRADES, report), of, report)
    seen = Recent()
    sides = {"buy": Aggressor.BUY, "sell": Aggressor.SELL}
    for row in in_time(rows, lambda row: stamp_ns(row[5]), always=file.is_monthly):
        try:
            at, price = stamp_ns(row[5]), float(row[3]) * of.price_factor
            contracts = float(row[4])
        except ValueError:
            report.skip("not a number")
            continue
        aggressor = sides.get(row[2].lower())
        if aggressor is None or not (0.0 < price < 1e15 and 0.0 < contracts < 1e15):
            report.skip("impossible price, quantity or side")
        elif seen.seen(row[1]):
            report.skip("repeated row")
        else:
            coins = of.quantity_base(contracts, price)
            yield Trade(of.id, at, at, price, coins, aggressor, row[1])


def _candles(file: ArchiveFile, of: Instrument, report: FileReport) -> Iterator[MarketEvent]:
    wanted = ("instrument_name", "open", "high", "low", "close", "vol", "open_time", "confirm")
    rows = _of(read_rows(file.path, _CANDLES, wanted, report), of, report)
    seen = Recent()
    for row in in_time(rows, lambda row: stamp_ns(row[6])):
        try:
            at = stamp_ns(row[6]) + MINUTE_NS
            o, h, low, c = (float(x) * of.price_factor for x in row[1:5])
            contracts = float(row[5] or 0.0)
        except ValueError:
            report.skip("not a number")
            continue
        if row[7] == "0":
            report.skip("candle not closed")
        elif not (0.0 < low <= min(o, c) and max(o, c) <= h < 1e15 and 0.0 <= contracts < 1e15):
            report.skip("impossible price or quantity")
        elif seen.seen(at):
            report.skip("repeated row")
        else:
            coins = of.quantity_base(contracts, c)
            yield Candle(
                of.id, at, at, CandleOf.LAST, MINUTE_NS, o, h, low, c, coins, is_history=True
            )


def _funding(path: Path, of: Instrument, report: FileReport) -> list[MarketEvent]:
    out: list[MarketEvent] = []
    seen: set[int] = set()
    for row in _of(read_rows(path, _FUNDING, _FUNDING, report), of, report):
        try:
            at, rate = stamp_ns(row[2]), float(row[1])
        except ValueError:
            report.skip("not a number")
            continue
        if not -1.0 < rate < 1.0:
            report.skip("impossible rate")
        elif at in seen:
            report.skip("repeated row")
        else:
            seen.add(at)
            out.append(FundingRate(of.id, at, at, rate, of.funding_interval_h, is_settled=True))
    out.sort(key=lambda event: event.event_ns)
    return out
