"""data.binance.vision: daily and monthly zip files, unpacked or not, with or without headers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from liqfield.model.events import (
    Candle,
    FundingRate,
    Liquidation,
    MarketEvent,
    OpenInterest,
    PositioningRatio,
    Trade,
)
from liqfield.model.instrument import Instrument
from liqfield.model.sides import (
    Aggressor,
    CandleOf,
    ContractKind,
    Coverage,
    PositionSide,
    PriceKind,
)
from liqfield.store.archives.order import Recent, in_time
from liqfield.store.archives.plan import ArchiveFile, days_of, interval_ns
from liqfield.store.archives.rows import FileReport, matches_checksum, read_rows, stamp_ns

_NAME = re.compile(
    r"(?P<symbol>[A-Z0-9_]+)-(?:(?P<kline>[a-zA-Z]*[kK]lines)-)?"
    r"(?P<family>aggTrades|trades|metrics|fundingRate|liquidationSnapshot|\d+(?:[smhdw]|mo))"
    r"-(?P<date>\d{4}-\d{2}(?:-\d{2})?)\.(?:zip|csv|csv\.gz)"
)
_KLINE = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip
_AGG = (
    "agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "transact_time",
    "is_buyer_maker",
)  # fmt: skip
_TRADE = ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker")
_METRICS = (
    "create_time", "symbol", "sum_open_interest", "sum_open_interest_value",
    "count_toptrader_long_short_ratio", "sum_toptrader_long_short_ratio",
    "count_long_short_ratio", "sum_taker_long_short_vol_ratio",
)  # fmt: skip
_FUNDING = ("calc_time", "funding_interval_hours", "last_funding_rate")
_LIQUIDATION = (
    "time", "side", "order_type", "time_in_force", "original_quantity", "price", "average_price",
    "order_status", "last_fill_quantity", "accumulated_fill_quantity",
)  # fmt: skip
_BASES = ("top_accounts", "top_positions", "accounts", "taker_volume")
# Of several files on the traded volume of a day one is read: volume must not count twice.
_VOLUME = {"aggTrades": 0, "trades": 1}


class BinanceVision:
    """Both the archive's own folders and a flat heap of its files."""

    day_offset_ns = 0

    def find(self, folder: Path) -> tuple[list[ArchiveFile], list[FileReport]]:
        files: dict[tuple[str, str], ArchiveFile] = {}
        reports = []
        paths = [folder] if folder.is_file() else sorted(folder.rglob("*"))
        for path in paths:
            if not path.is_file() or path.name.endswith((".CHECKSUM", ".json")):
                continue
            file = _known(path)
            if file is None:
                reports.append(FileReport(str(path), why="not a file that is read"))
            elif not matches_checksum(path):
                reports.append(FileReport(str(path), why="does not match its .CHECKSUM"))
            else:
                # The zip and what was unpacked from it are one file.
                files.setdefault((file.family, path.name.partition(".")[0]), file)
        return list(files.values()), reports

    def instrument_id(self, file: ArchiveFile) -> str:
        coin_margined = file.symbol.partition("_")[0].endswith("USD")
        return f"binance-coinm:{file.symbol}" if coin_margined else f"binance:{file.symbol}"

    def read(self, file: ArchiveFile, of: Instrument, report: FileReport) -> Iterator[MarketEvent]:
        if file.family in _VOLUME:
            return _trades(file, of, report)
        if file.family == "metrics":
            return iter(_metrics(file.path, of, report))
        if file.family == "fundingRate":
            return iter(_funding(file.path, of, report))
        if file.family == "liquidationSnapshot":
            return _liquidations(file, of, report)
        return _candles(file, of, report)


def _known(path: Path) -> ArchiveFile | None:
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    family, interval = match["family"], 0
    days = days_of(match["date"])
    monthly = days[1] > days[0]
    topic = family
    rank: tuple[int, ...] = (int(monthly),)
    if family[0].isdigit():
        if family.endswith("mo"):
            return None
        interval = interval_ns(family)
        family = match["kline"] or next(
            (part for part in reversed(path.parent.parts) if part.lower().endswith("klines")),
            "klines",
        )
        family = family[0].lower() + family[1:]
        if family not in ("klines", "markPriceKlines"):
            return None
        topic = "volume" if family == "klines" else "mark"
        rank = (2, interval // 1_000_000_000, int(monthly))
    elif family in _VOLUME:
        topic, rank = "volume", (_VOLUME[family], 0, int(monthly))
    return ArchiveFile(path, family, match["symbol"], topic, rank, *days, interval)


def _trades(file: ArchiveFile, of: Instrument, report: FileReport) -> Iterator[MarketEvent]:
    if file.family == "aggTrades":
        columns: tuple[str, ...] = _AGG
        wanted: tuple[str, ...] = (
            "transact_time", "price", "quantity", "is_buyer_maker", "agg_trade_id",
        )  # fmt: skip
    else:
        columns, wanted = _TRADE, ("time", "price", "qty", "is_buyer_maker", "id")
    rows = (list(row) for row in read_rows(file.path, columns, wanted, report))
    seen = Recent()
    linear = of.kind is ContractKind.LINEAR
    for row in in_time(rows, lambda row: stamp_ns(row[0]), always=file.is_monthly):
        try:
            at, price = stamp_ns(row[0]), float(row[1]) * of.price_factor
            quantity = float(row[2])
        except ValueError:
            report.skip("not a number")
            continue
        if not (0.0 < price < 1e15 and 0.0 < quantity < 1e15):
            report.skip("impossible price or quantity")
        elif seen.seen(row[4]):
            report.skip("repeated row")
        else:
            coins = quantity * of.quantity_factor if linear else of.quantity_base(quantity, price)
            aggressor = Aggressor.SELL if row[3][:1] in "tT1" else Aggressor.BUY
            yield Trade(of.id, at, at, price, coins, aggressor, row[4])


def _candles(file: ArchiveFile, of: Instrument, report: FileReport) -> Iterator[MarketEvent]:
    kind = CandleOf.MARK if file.family == "markPriceKlines" else CandleOf.LAST
    wanted = (
        "open_time", "open", "high", "low", "close", "volume", "taker_buy_volume",
        "quote_volume", "taker_buy_quote_volume",
    )  # fmt: skip
    rows = (list(row) for row in read_rows(file.path, _KLINE, wanted, report))
    seen = Recent()
    # COIN-M volumes are contracts; the coins stand in the quote column.
    volume, buys = (5, 6) if of.kind is ContractKind.LINEAR else (7, 8)
    factor = of.quantity_factor if of.kind is ContractKind.LINEAR else 1.0
    for row in in_time(rows, lambda row: stamp_ns(row[0])):
        try:
            at = stamp_ns(row[0]) + file.interval_ns
            o, h, low, c = (float(x) * of.price_factor for x in row[1:5])
            coins, buy = float(row[volume] or 0.0) * factor, float(row[buys] or -1.0) * factor
        except ValueError:
            report.skip("not a number")
            continue
        if not (0.0 < low <= min(o, c) and max(o, c) <= h < 1e15 and 0.0 <= coins < 1e15):
            report.skip("impossible price or quantity")
        elif seen.seen(at):
            report.skip("repeated row")
        else:
            yield Candle(
                of.id, at, at, kind, file.interval_ns, o, h, low, c,
                coins if kind is CandleOf.LAST else 0.0,
                buy if kind is CandleOf.LAST and 0.0 <= buy <= coins else -1.0,
                is_history=True,
            )  # fmt: skip


def _metrics(path: Path, of: Instrument, report: FileReport) -> list[MarketEvent]:
    """Five-minute open interest and ratios; the stamp ends the interval. Rows come unsorted."""
    wanted = ("create_time", *_METRICS[2:])
    out: list[MarketEvent] = []
    seen: set[int] = set()
    for row in read_rows(path, _METRICS, wanted, report):
        try:
            at = stamp_ns(row[0])
            contracts = float(row[1])
        except ValueError:
            report.skip("not a number" if row[1] else "blank open interest")
            continue
        if not 0.0 < contracts < 1e17:
            report.skip("impossible open interest")
            continue
        if at in seen:
            report.skip("repeated row")
            continue
        seen.add(at)
        value = _number(row[2])
        if of.kind is ContractKind.INVERSE:
            # The value column is in coins there.
            coins = value
            price = contracts * of.quantity_factor / coins if coins > 0.0 else 0.0
        else:
            coins = contracts * of.quantity_factor
            price = value / coins
        if coins <= 0.0:
            report.skip("blank open interest value")
            continue
        out.append(OpenInterest(of.id, at, at, coins, price, is_history=True))
        for basis, text in zip(_BASES, row[3:], strict=False):
            ratio = _number(text)
            if ratio > 0.0:
                long = ratio / (1.0 + ratio)
                out.append(PositioningRatio(of.id, at, at, basis, long, 1.0 - long))
            else:
                report.skip(f"blank ratio ({basis})")
    out.sort(key=lambda event: event.event_ns)
    return out


def _number(text: str) -> float:
    try:
        x = float(text)
    except ValueError:
        return 0.0
    return x if 0.0 <= x < 1e18 else 0.0


def _funding(path: Path, of: Instrument, report: FileReport) -> list[MarketEvent]:
    out: list[MarketEvent] = []
    seen: set[int] = set()
    for row in read_rows(path, _FUNDING, _FUNDING, report):
        try:
            at, rate = stamp_ns(row[0]), float(row[2])
            hours = float(row[1] or of.funding_interval_h)
        except ValueError:
            report.skip("not a number")
            continue
        if not -1.0 < rate < 1.0 or not 0.0 < hours < 100.0:
            report.skip("impossible rate")
        elif at in seen:
            report.skip("repeated row")
        else:
            seen.add(at)
            out.append(FundingRate(of.id, at, at, rate, hours, is_settled=True))
    out.sort(key=lambda event: event.event_ns)
    return out


def _liquidations(file: ArchiveFile, of: Instrument, report: FileReport) -> Iterator[MarketEvent]:
    """COIN-M only, until 2024-10; every row is written twice. SELL closed a long."""
    wanted = ("time", "side", "accumulated_fill_quantity", "average_price", "price")
    rows = (list(row) for row in read_rows(file.path, _LIQUIDATION, wanted, report))
    seen = Recent()
    sides = {"SELL": PositionSide.LONG, "BUY": PositionSide.SHORT}
    for row in in_time(rows, lambda row: stamp_ns(row[0])):
        try:
            at, quantity, filled = stamp_ns(row[0]), float(row[2]), _number(row[3])
            price = (filled or float(row[4])) * of.price_factor
        except ValueError:
            report.skip("not a number")
            continue
        closed = sides.get(row[1].upper())
        if closed is None or not (0.0 < price < 1e15 and 0.0 < quantity < 1e15):
            report.skip("impossible price, quantity or side")
        elif seen.seen(tuple(row)):
            report.skip("repeated row")
        else:
            yield Liquidation(
                of.id, at, at, closed, of.quantity_base(quantity, price), price,
                PriceKind.FILL if filled else PriceKind.LIMIT, Coverage.LARGEST_PER_SECOND,
            )  # fmt: skip
