"""Tardis, Bybit, OKX and Hyperliquid: units, sides, days, duplicates, strange headers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from liqfield.app.instruments import archived
from liqfield.model.events import (
    BookDelta,
    BookSnapshot,
    Candle,
    FundingRate,
    Liquidation,
    MarketEvent,
    MarkPrice,
    OpenInterest,
    Trade,
)
from liqfield.model.sides import Aggressor, Coverage, PositionSide
from liqfield.store.archives.bybit import Bybit
from liqfield.store.archives.hyperliquid import Hyperliquid
from liqfield.store.archives.okx import Okx
from liqfield.store.archives.plan import Archive, merged, with_claims
from liqfield.store.archives.rows import FileReport, stamp_ns
from liqfield.store.archives.tardis import Tardis
from tests.archive_files import START_MS, Walk, put
from tests.support import INSTRUMENTS

WALK = Walk(days=2)
HEAD = "exchange,symbol,timestamp,local_timestamp"
NS = START_MS * 1_000_000


def read(
    archive: Archive, folder: Path, instrument_id: str
) -> tuple[list[MarketEvent], list[FileReport]]:
    files, reports = archive.find(folder)
    mine = [f for f in files if archive.instrument_id(f) in ("", instrument_id)]
    of = archived(instrument_id, INSTRUMENTS)
    events = list(merged(archive, with_claims(mine), of, reports))
    assert [e.event_ns for e in events] == sorted(e.event_ns for e in events)
    return events, reports


def skipped(reports: list[FileReport]) -> dict[str, int]:
    return {reason: rows for report in reports for reason, rows in report.skipped.items()}


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1767225600", NS),
        ("1767225600.1234", NS + 123_400_000),
        ("1767225600000", NS),
        ("1767225600000000", NS),
        ("1767225600000000000", NS),
        ("1.7672256e9", NS),
        ("2026-01-01 00:00:00", NS),
        ("2026-01-01T02:00:00+02:00", NS),
    ],
)
def test_times_as_archives_write_them(text: str, ns: int) -> None:
    assert stamp_ns(text) == ns


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_tardis_days_types_and_packing(tmp_path: Path, flat: bool, suffix: str) -> None:
    WALK.tardis(tmp_path, flat=flat, suffix=suffix)
    events, reports = read(Tardis(), tmp_path, "binance:BTCUSDT")
    assert skipped(reports) == {}
    kinds = [type(e) for e in events]
    assert kinds.count(Trade) == 2 * 1440
    assert kinds.count(OpenInterest) == 2 * 480
    assert kinds.count(MarkPrice) > 2 * 1400
    # Payments at 08:00, 16:00, 00:00, 08:00, 16:00: seen when the next one's time appears.
    assert kinds.count(FundingRate) == 5
    prints = [e for e in events if isinstance(e, Liquidation)]
    assert len(prints) == 2 * 36
    # Normalised by the vendor: buy = a short was closed. The minute's number is odd: buy.
    assert {p.position_side for p in prints} == {PositionSide.SHORT}
    assert {p.coverage for p in prints} == {Coverage.LARGEST_PER_SECOND}


@pytest.mark.parametrize("kept", ["trades", "derivative_ticker", "liquidations"])
def test_tardis_any_subset(tmp_path: Path, kept: str) -> None:
    WALK.tardis(tmp_path)
    for path in tmp_path.rglob("*.csv.gz"):
        if kept not in str(path):
            path.unlink()
    events, _ = read(Tardis(), tmp_path, "binance:BTCUSDT")
    assert events


def test_tardis_books_begin_with_a_snapshot_and_begin_again(tmp_path: Path) -> None:
    us = START_MS * 1000
    who = "binance-futures,BTCUSDT"
    rows = [
        f"{who},{us},{us},false,bid,9.0,1",
        f"{who},{us + 1},{us + 5},true,bid,100.0,2",
        f"{who},{us + 1},{us + 5},true,ask,100.1,3",
        f"{who},{us + 9},{us + 11},false,ask,100.1,0",
        f"{who},{us + 9},{us + 11},false,bid,100.0,x",
        f"{who},{us + 20},{us + 21},true,bid,99.0,1",
    ]
    header = f"{HEAD},is_snapshot,side,price,amount"
    put(tmp_path / "binance-futures/incremental_book_L2/2026/01/01/BTCUSDT.csv.gz", rows,
        header=header)  # fmt: skip
    events, reports = read(Tardis(books=True), tmp_path, "binance:BTCUSDT")
    first, delta, again = events
    assert isinstance(first, BookSnapshot)
    assert isinstance(delta, BookDelta)
    assert isinstance(again, BookSnapshot)
    assert (first.levels.bid_count, list(first.levels.price_ticks)) == (1, [1000, 1001])
    assert list(delta.levels.quantity) == [0.0]
    assert skipped(reports) == {"book rows before the first snapshot": 1, "not a number": 1}
    # A map needs no books: they are left out, and said so.
    files, left = Tardis().find(tmp_path)
    assert not files
    assert [report.why for report in left] == ["books are not needed here"]


def test_tardis_contracts_become_coins(tmp_path: Path) -> None:
    us = START_MS * 1000
    put(
        tmp_path / "okex-swap_trades_2026-01-01_BTC-USDT-SWAP.csv",
        [f"okex-swap,BTC-USDT-SWAP,{us},{us},1,buy,90000,150"],
        header=f"{HEAD},id,side,price,amount",
    )
    ((trade,), _) = read(Tardis(), tmp_path, "okx:BTC-USDT-SWAP")
    assert isinstance(trade, Trade)
    assert trade.quantity == pytest.approx(1.5)


@pytest.mark.parametrize("backwards", [False, True])
def test_bybit_trades(tmp_path: Path, backwards: bool) -> None:
    header = (
        "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,"
        "foreignNotional,RPI"
    )
    rows = [
        f"{START_MS / 1000 + i / 10:.4f},BTCUSDT,{'Buy' if i % 2 else 'Sell'},0.5,90000.5,"
        f"ZeroPlusTick,id{i},1,0.5,45000,0"
        for i in range(500)
    ]
    rows.append(rows[-1])
    if backwards:
        rows.reverse()
    put(tmp_path / "BTCUSDT2026-01-01.csv.gz", rows, header=header)
    put(tmp_path / "BTCUSDT_2026-01-01.csv.gz", ["1,2,3"])
    events, reports = read(Bybit(), tmp_path, "bybit:BTCUSDT")
    assert len(events) == 500
    first = events[1]
    assert isinstance(first, Trade)
    assert (first.event_ns, first.aggressor) == (NS + 100_000_000, Aggressor.BUY)
    assert skipped(reports) == {"repeated row": 1}
    assert "spot is not followed" in [r.why for r in reports]


def test_bybit_inverse_sizes_are_dollars(tmp_path: Path) -> None:
    put(
        tmp_path / "BTCUSD2026-01-01.csv",
        [f"{START_MS // 1000}.0000,BTCUSD,Sell,9000,90000,MinusTick,a,1,0.1,9000"],
    )
    ((trade,), _) = read(Bybit(), tmp_path, "bybit-inverse:BTCUSD")
    assert isinstance(trade, Trade)
    assert trade.quantity == pytest.approx(0.1)


@pytest.mark.parametrize(
    "header",
    [
        "instrument_name,trade_id,side,price,size,created_time",
        "instrument_name/交易币对名,trade_id/撮合id,side/交易方向,price/价格,size/数量,created_time/时间",
        "交易币对名,撮合id,交易方向,价格,数量,成交时间",
        "",
    ],
)
def test_okx_headers_of_all_times(tmp_path: Path, header: str) -> None:
    # The file of 2026-01-02 begins at 16:00 UTC of the day before.
    rows = [f"BTC-USDT-SWAP,{i},buy,90000,25,{START_MS + 57_600_000 + i}" for i in range(5)]
    rows.append(f"ETH-USDT-SWAP,9,buy,3000,1,{START_MS + 57_600_009}")
    path = tmp_path / "BTC-USDT-SWAP-trades-2026-01-02.csv"
    text = "\n".join([*([header] if header else []), *rows]) + "\n"
    path.write_bytes(text.encode("gbk" if "撮合" in header else "utf-8"))
    events, reports = read(Okx(), tmp_path, "okx:BTC-USDT-SWAP")
    assert len(events) == 5
    first = events[0]
    assert isinstance(first, Trade)
    assert first.quantity == pytest.approx(0.25)
    assert skipped(reports) == {"another instrument": 1}


def test_okx_days_begin_at_16_utc(tmp_path: Path) -> None:
    """Trades of a Chinese day displace the candles of that day, and of no other."""
    begin = START_MS + 57_600_000
    put(
        tmp_path / "BTC-USDT-SWAP-trades-2026-01-02.zip",
        [f"BTC-USDT-SWAP,1,sell,90000,25,{begin}"],
    )
    candles = [f"BTC-USDT-SWAP,1,2,1,2,100,1,1,{begin + i * 3_600_000},1" for i in range(-2, 26)]
    put(
        tmp_path / "BTC-USDT-SWAP-candlesticks-2026-01.zip",
        candles,
        header="instrument_name,open,high,low,close,vol,vol_ccy,vol_quote,open_time,confirm",
    )
    events, reports = read(Okx(), tmp_path, "okx:BTC-USDT-SWAP")
    kept = [(e.event_ns // 1_000_000 - 60_000 - begin) // 3_600_000 for e in events
            if isinstance(e, Candle)]  # fmt: skip
    assert kept == [-2, -1, 24, 25]
    assert skipped(reports)["a better file speaks for that day"] == 24


def test_okx_funding_of_all_swaps(tmp_path: Path) -> None:
    put(
        tmp_path / "allswap-fundingrates-2026-01-02.zip",
        [f"BTC-USDT-SWAP,0.0001,{START_MS}", f"ETH-USDT-SWAP,0.0002,{START_MS}"],
        header="instrument_name,funding_rate,funding_time",
    )
    ((event,), _) = read(Okx(), tmp_path, "okx:BTC-USDT-SWAP")
    assert isinstance(event, FundingRate)
    assert (event.rate, event.is_settled) == (0.0001, True)


def fill(user: str, side: str, tid: int, *, crossed: bool, forced: str = "") -> list[object]:
    body: dict[str, object] = {
        "coin": "BTC", "px": "90000.0", "sz": "0.2", "side": side, "time": START_MS + tid,
        "startPosition": "1.0", "dir": "Close Long", "crossed": crossed, "tid": tid,
    }  # fmt: skip
    if forced:
        body["liquidation"] = {"liquidatedUser": forced, "markPx": "89990", "method": "market"}
    return [user, body]


@pytest.mark.parametrize("by_block", [True, False])
def test_hyperliquid_fills_of_both_sides_are_one_trade(tmp_path: Path, by_block: bool) -> None:
    fills = [
        fill("0xa", "B", 1, crossed=False),
        fill("0xb", "A", 1, crossed=True),
        fill("0xMM", "B", 2, crossed=False, forced="0xdead"),
        fill("0xDEAD", "A", 2, crossed=True, forced="0xdead"),
    ]
    folder = tmp_path / ("node_fills_by_block" if by_block else "node_fills") / "hourly/20260101"
    folder.mkdir(parents=True)
    lines = [json.dumps({"block_number": 1, "events": fills})] if by_block else [
        json.dumps(row) for row in fills
    ]  # fmt: skip
    (folder / "9").write_text("\n".join([*lines, '{"events": [["BTC", "BTC"]]}']) + "\n")
    (folder / "10").write_text("")
    events, reports = read(Hyperliquid(), tmp_path, "hyperliquid:BTC")
    trades = [e for e in events if isinstance(e, Trade)]
    (forced,) = [e for e in events if isinstance(e, Liquidation)]
    assert [t.aggressor for t in trades] == [Aggressor.SELL, Aggressor.SELL]
    assert (forced.position_side, forced.coverage) == (PositionSide.LONG, Coverage.COMPLETE)
    assert skipped(reports) == {"unreadable line": 1}


def test_hyperliquid_contexts_in_lz4(tmp_path: Path) -> None:
    frame = pytest.importorskip("lz4.frame", reason="lz4 is not installed")
    header = (
        "time,coin,funding,open_interest,prev_day_px,day_ntl_vlm,premium,oracle_px,mark_px,"
        "mid_px,impact_bid_px,impact_ask_px"
    )
    rows = [
        f"2026-01-01T0{h}:59:00Z,{coin},0.0000125,1000,1,1,0,90000,90010,,,"
        for h in range(3)
        for coin in ("BTC", "ETH")
    ]
    path = tmp_path / "asset_ctxs" / "20260101.csv.lz4"
    path.parent.mkdir()
    path.write_bytes(frame.compress("\n".join([header, *rows]).encode()))
    events, _ = read(Hyperliquid(), tmp_path, "hyperliquid:BTC")
    kinds = [type(e) for e in events]
    assert kinds.count(MarkPrice) == kinds.count(OpenInterest) == 3
    assert kinds.count(FundingRate) == 2
