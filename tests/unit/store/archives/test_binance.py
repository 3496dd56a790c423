"""data.binance.vision: every defect that its users report, in files made here."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

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
from liqfield.model.sides import Aggressor, CandleOf, ContractKind, PositionSide
from liqfield.store.archives.binance import BinanceVision
from liqfield.store.archives.plan import merged, with_claims
from liqfield.store.archives.rows import FileReport
from tests.archive_files import AGG, KLINES, METRICS, START_MS, Walk, day_text, put

BTC = Instrument(
    id="binance:BTCUSDT", venue="binance", symbol="BTCUSDT", base="BTC", quote="USDT",
    settle="USDT",
)  # fmt: skip
WALK = Walk(days=2)


def read(folder: Path, of: Instrument = BTC) -> tuple[list[MarketEvent], dict[str, int], list[str]]:
    """(events, skipped in all by reason, reasons of files)."""
    archive = BinanceVision()
    files, reports = archive.find(folder)
    events = list(merged(archive, with_claims(files), of, reports))
    return events, total(reports), [r.why for r in reports if r.why]


def total(reports: list[FileReport]) -> dict[str, int]:
    out: dict[str, int] = {}
    for report in reports:
        for reason, rows in report.skipped.items():
            out[reason] = out.get(reason, 0) + rows
    return out


def of_kind(events: list[MarketEvent], kind: type) -> list[MarketEvent]:
    return [event for event in events if type(event) is kind]


@pytest.mark.parametrize("suffix", [".zip", ".csv", ".csv.gz"])
@pytest.mark.parametrize("header", [True, False])
def test_headers_and_packing_make_no_difference(tmp_path: Path, suffix: str, header: bool) -> None:
    events, skipped, why = read(WALK.vision(tmp_path, header=header, suffix=suffix))
    assert (skipped, why) == ({}, [])
    times = [event.event_ns for event in events]
    assert times == sorted(times)
    interest = of_kind(events, OpenInterest)
    candles = of_kind(events, Candle)
    assert len(interest) == 2 * 288
    assert sum(c.of is CandleOf.MARK for c in candles if isinstance(c, Candle)) == 2 * 1440
    assert len(candles) == 4 * 1440
    assert len(of_kind(events, FundingRate)) == 6
    assert len(of_kind(events, PositioningRatio)) == 2 * 288 * 4
    first = interest[0]
    assert isinstance(first, OpenInterest)
    assert first.event_ns == (START_MS + 300_000) * 1_000_000
    assert first.price == pytest.approx(WALK.price[5], rel=1e-6)
    # A candle is stamped with its end.
    assert min(c.event_ns for c in candles) == (START_MS + 60_000) * 1_000_000


def test_metrics_unsorted_doubled_and_with_blanks(tmp_path: Path) -> None:
    rows = WALK.metrics(0)
    rows = rows + rows  # as from 2020-09 to 2021-05
    random.Random(1).shuffle(rows)
    rows[3] = ",".join([*rows[3].split(",")[:4], "", "", "", ""])
    rows.append("2026-01-01 00:07:00,BTCUSDT,,,1,1,1,1")
    rows.append("2026-01-01 00:08:00,BTCUSDT")
    put(tmp_path / f"BTCUSDT-metrics-{day_text(0)}.zip", rows, header=METRICS)
    events, skipped, _ = read(tmp_path)
    interest = of_kind(events, OpenInterest)
    assert len(interest) == 288
    assert [e.event_ns for e in interest] == sorted(e.event_ns for e in interest)
    assert skipped["repeated row"] == 288
    assert skipped["blank open interest"] == 1
    assert skipped["row cut short"] == 1


def test_interleaved_monthly_trades_are_sorted_and_daily_ones_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liqfield.store.archives.order.RUN", 500)
    month = [row for pair in zip(WALK.trades(0), WALK.trades(1), strict=True) for row in pair]
    put(tmp_path / "BTCUSDT-aggTrades-2026-01.zip", month, header=AGG)
    put(tmp_path / f"BTCUSDT-aggTrades-{day_text(1)}.zip", WALK.trades(1, 10**6), header=AGG)
    events, skipped, _ = read(tmp_path)
    assert [e.event_ns for e in events] == sorted(e.event_ns for e in events)
    trades = [e for e in events if isinstance(e, Trade)]
    assert len(trades) == 2 * 2880
    assert {int(t.trade_id) >= 10**6 for t in trades[2880:]} == {True}
    assert skipped == {"a better file speaks for that day": 2880}
    assert trades[0].aggressor is Aggressor.BUY
    assert trades[1].aggressor is Aggressor.SELL


def test_volume_is_counted_once(tmp_path: Path) -> None:
    """Trades of a day displace its candles; the finer interval displaces the coarser."""
    folder = WALK.vision(tmp_path)
    put(
        folder / f"data/futures/um/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-{day_text(0)}.zip",
        WALK.trades(0),
        header=AGG,
    )
    put(
        folder / "data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2026-01.zip",
        [f"{START_MS},1,1,1,1,5,0,0,0,1,1,0"],
        header=KLINES,
    )
    events, skipped, _ = read(folder)
    last = [e for e in events if isinstance(e, Candle) and e.of is CandleOf.LAST]
    assert len(last) == 1440
    assert all(e.event_ns > (START_MS + 86_400_000) * 1_000_000 for e in last)
    assert skipped == {"a better file speaks for that day": 1441}


def test_microseconds_and_late_rows(tmp_path: Path) -> None:
    rows = [r.split(",") for r in WALK.trades(0)[:100]]
    for row in rows:
        row[5] += "000"
    rows[10], rows[12] = rows[12], rows[10]
    put(tmp_path / f"BTCUSDT-aggTrades-{day_text(0)}.csv", [",".join(r) for r in rows])
    events, _, _ = read(tmp_path)
    assert [e.event_ns for e in events] == [(START_MS + i * 30_000) * 1_000_000 for i in range(100)]


def test_a_checksum_that_differs_and_a_torn_zip_are_told(tmp_path: Path) -> None:
    good = put(tmp_path / f"BTCUSDT-metrics-{day_text(0)}.zip", WALK.metrics(0), header=METRICS)
    torn = put(tmp_path / f"BTCUSDT-metrics-{day_text(1)}.zip", WALK.metrics(1), header=METRICS)
    stated = hashlib.sha256(good.read_bytes()).hexdigest()
    Path(f"{good}.CHECKSUM").write_text(f"{stated}  {good.name}\n")
    Path(f"{torn}.CHECKSUM").write_text(f"{stated}  {torn.name}\n")
    events, _, why = read(tmp_path)
    assert len(of_kind(events, OpenInterest)) == 288
    assert why == ["does not match its .CHECKSUM"]
    Path(f"{torn}.CHECKSUM").unlink()
    torn.write_bytes(torn.read_bytes()[:2000])
    _, _, why = read(tmp_path)
    assert len(why) == 1
    assert why[0].startswith("file ends early or is damaged")


def test_a_gz_that_ends_early_gives_what_it_holds(tmp_path: Path) -> None:
    path = put(tmp_path / f"BTCUSDT-metrics-{day_text(0)}.csv.gz", WALK.metrics(0), header=METRICS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    events, _, why = read(tmp_path)
    assert 50 < len(of_kind(events, OpenInterest)) < 288
    assert why[0].startswith("file ends early")


def test_impossible_rows_are_skipped_by_reason(tmp_path: Path) -> None:
    rows = WALK.trades(0)[:20]
    rows[3] = rows[3].replace(rows[3].split(",")[1], "nan")
    rows[4] = rows[4].replace(rows[4].split(",")[1], "abc")
    rows[5] = rows[4][:3]
    rows[6] = rows[7]
    put(tmp_path / f"BTCUSDT-aggTrades-{day_text(0)}.csv", rows)
    (tmp_path / "BTCUSDT-bookDepth-2026-01-01.zip").write_bytes(b"")
    events, skipped, why = read(tmp_path)
    assert len(events) == 16
    assert skipped == {
        "impossible price or quantity": 1,
        "not a number": 1,
        "row cut short": 1,
        "repeated row": 1,
    }
    assert why == ["not a file that is read"]


def test_coin_margined_prints_are_written_twice(tmp_path: Path) -> None:
    coin = Instrument(
        id="binance:BTCUSD_PERP", venue="binance", symbol="BTCUSD_PERP", base="BTC", quote="USD",
        settle="BTC", kind=ContractKind.INVERSE, quantity_factor=100.0,
    )  # fmt: skip
    row = f"{START_MS},SELL,LIMIT,IOC,10,50000,50000,FILLED,10,10"
    put(tmp_path / "BTCUSD_PERP-liquidationSnapshot-2026-01-01.zip", [row, row])
    events, skipped, _ = read(tmp_path, coin)
    (event,) = events
    assert isinstance(event, Liquidation)
    assert event.position_side is PositionSide.LONG
    assert event.quantity == pytest.approx(10 * 100 / 50_000)
    assert skipped == {"repeated row": 1}


def test_a_header_under_other_names_stands_for_the_documented_columns(tmp_path: Path) -> None:
    """The spelling of the venue's own page; a header whose known names stand elsewhere decides."""
    page = (
        "Open time,Open,High,Low,Close,Volume,Close time,Quote asset volume,Number of trades,"
        "Taker buy base asset volume,Taker buy quote asset volume,Ignore"
    )
    plain, spelt = tmp_path / "plain", tmp_path / "spelt"
    name = "BTCUSDT-1m-2026-01-01.csv"
    put(plain / name, WALK.klines(0), header=KLINES)
    put(spelt / name, WALK.klines(0), header=page)
    assert read(spelt)[:2] == read(plain)[:2]
    turned = ",".join(reversed(page.split(",")))
    put(spelt / name, [",".join(reversed(row.split(","))) for row in WALK.klines(0)], header=turned)
    events, _, _ = read(spelt)
    assert events == [], "what the order does not tell is not guessed"
