"""Imports: idempotent, resumable after kill -9, each fact once; the past as back-fill tells it."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from liqfield.app.archive_maps import fold_archives
from liqfield.app.cli import app
from liqfield.app.imports import import_archive
from liqfield.app.instruments import archived
from liqfield.model.errors import SettingError
from liqfield.model.events import Candle, FundingRate, MarketEvent, OpenInterest
from liqfield.model.sides import CandleOf
from liqfield.store import upkeep
from liqfield.store.candle_history import CandleHistory
from liqfield.store.foreign import open_recording
from liqfield.store.history import FOLDERS, HistoryStore
from liqfield.store.map_history import MapHistory
from tests.archive_files import AGG, METRICS, START_MS, Walk, day_text, put, zipped

BTC = "binance:BTCUSDT"
MINUTE_NS = 60_000_000_000
START_NS = START_MS * 1_000_000
DAY_NS = 86_400_000_000_000
WALK = Walk(days=2)


@pytest.fixture(scope="module")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return WALK.vision(tmp_path_factory.mktemp("vision"))


def contents(folder: Path) -> dict[str, int]:
    """Rows of every kind and day, as read."""
    store = HistoryStore(folder)
    out = {}
    for kind in FOLDERS:
        for day in store.days(kind, BTC):
            rows = store.rows(kind, BTC, day)
            out[f"{kind} {day}"] = len(rows["event_ns"])
    return out


def past(folder: Path, days: int = 2, interval_ns: int = 5 * MINUTE_NS) -> list[MarketEvent]:
    store = HistoryStore(folder)
    return list(store.backfill(BTC, START_NS, START_NS + days * DAY_NS, interval_ns))


def test_a_second_run_has_nothing_to_do(vision: Path, tmp_path: Path) -> None:
    first = import_archive("binance-vision", vision, tmp_path)
    assert (first.imported, first.already_there, first.unread) == (7, 0, {})
    before = contents(tmp_path)
    again = import_archive("binance-vision", vision, tmp_path)
    assert (again.imported, again.already_there, again.rows) == (0, 7, 0)
    assert contents(tmp_path) == before
    day = START_NS // DAY_NS
    assert before[f"candles {day}"] == 2 * 1440
    assert before[f"open_interest {day}"] == 288
    assert before[f"ratios {day}"] == 4 * 287, "midnight belongs to the next day there"
    assert all(not found.why for found in upkeep.check(tmp_path.parent))


def test_the_past_as_a_venue_would_tell_it(vision: Path, tmp_path: Path) -> None:
    import_archive("binance-vision", vision, tmp_path)
    events = past(tmp_path)
    last = [e for e in events if isinstance(e, Candle) and e.of is CandleOf.LAST]
    mark = [e for e in events if isinstance(e, Candle) and e.of is CandleOf.MARK]
    assert len(last) == len(mark) == 2 * 288
    assert all(c.is_history and c.interval_ns == 5 * MINUTE_NS for c in last)
    first = last[0]
    assert first.event_ns == START_NS + 5 * MINUTE_NS
    assert first.volume == pytest.approx(WALK.volume[:5].sum(), abs=0.01)
    assert first.taker_buy_volume == pytest.approx(first.volume / 2, abs=0.01)
    assert first.open == pytest.approx(WALK.price[0], abs=0.01)
    assert first.close == pytest.approx(WALK.price[5], abs=0.01)
    assert mark[0].volume == 0.0
    assert sum(isinstance(e, OpenInterest) for e in events) == 2 * 288
    # Paid at 00:00:00.007 and every eight hours.
    assert sum(isinstance(e, FundingRate) for e in events) == 6


def test_trades_make_the_candles_where_there_are_none(tmp_path: Path) -> None:
    folder, store = tmp_path / "files", tmp_path / "store"
    put(folder / f"BTCUSDT-aggTrades-{day_text(0)}.zip", WALK.trades(0), header=AGG)
    import_archive("binance-vision", folder, store)
    # The same trades once more, in a month's file: each counts once.
    put(folder / "more/BTCUSDT-aggTrades-2026-01.csv", WALK.trades(0) + WALK.trades(1))
    report = import_archive("binance-vision", folder, store)
    assert report.skipped == {"a better file speaks for that day": 2880}
    volume = sum(e.volume for e in past(store) if isinstance(e, Candle))
    assert volume == pytest.approx(WALK.volume[: 2 * 1440].sum(), rel=1e-4)


def test_a_rewritten_file_replaces_what_it_said(tmp_path: Path) -> None:
    folder, store = tmp_path / "files", tmp_path / "store"
    path = folder / f"BTCUSDT-metrics-{day_text(0)}.csv"
    put(path, WALK.metrics(0), header=METRICS)
    import_archive("binance-vision", folder, store)
    put(path, [row.replace(",1.5,", ",1.6,") for row in WALK.metrics(0)[:100]], header=METRICS)
    report = import_archive("binance-vision", folder, store)
    assert (report.imported, report.already_there) == (1, 0)
    assert contents(store)[f"open_interest {START_NS // DAY_NS}"] == 100


IMPORTER = """
import sys
from pathlib import Path
from liqfield.app.imports import import_archive
print("ready", flush=True)
import_archive("binance-vision", Path(sys.argv[1]), Path(sys.argv[2]))
"""


def kill_and_resume(vision: Path, store: Path, after_s: float) -> tuple[int, int]:
    """(files that the killed run had finished, files that the second one imported)."""
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTER, str(vision), str(store)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    second = import_archive("binance-vision", vision, store)
    return second.already_there, second.imported


def test_kill_while_importing(vision: Path, tmp_path: Path) -> None:
    import_archive("binance-vision", vision, tmp_path / "whole")
    done, rest = kill_and_resume(vision, tmp_path / "cut", random.Random(1).uniform(0.1, 0.4))
    assert done + rest == 7
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert past(tmp_path / "cut") == past(tmp_path / "whole")


@pytest.mark.soak
def test_kill_while_importing_at_many_moments(vision: Path, tmp_path: Path) -> None:
    import_archive("binance-vision", vision, tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    met = 0
    for n in range(10):
        done, rest = kill_and_resume(vision, tmp_path / str(n), random.Random(n).uniform(0.0, 1.5))
        met += 0 < done < 7
        assert done + rest == 7
        assert contents(tmp_path / str(n)) == whole
    print(f"{met} of 10 kills met the import between its first and last file")
    assert met >= 2


def test_the_past_of_the_map_and_the_chart(vision: Path, tmp_path: Path) -> None:
    """Imported days become columns and candles; the same imports are not folded twice."""
    import_archive("binance-vision", vision, tmp_path / upkeep.HISTORY)
    maps, candles = MapHistory(tmp_path / upkeep.MAPS), CandleHistory(tmp_path / upkeep.CANDLES)
    end_ns = START_NS + 10 * DAY_NS
    said: list[str] = []

    def fold() -> None:
        store = HistoryStore(tmp_path / upkeep.HISTORY)
        of = archived(BTC, {})
        run = fold_archives(tmp_path, maps, candles, [("BTC", [of])], START_NS, end_ns, said.append)
        asyncio.run(run)
        assert store.instruments() == [BTC]

    fold()
    at_ns = START_NS + DAY_NS + 6 * 3_600_000_000_000
    column = maps.known_at("BTC", "all", at_ns)
    assert column is not None
    assert column.as_of_ns == at_ns
    minute = DAY_NS // MINUTE_NS + 360
    assert column.mark_price == pytest.approx(WALK.price[minute], rel=1e-6)
    assert column.open_interest_usd == pytest.approx(
        WALK.open_interest[minute] * WALK.price[minute], rel=1e-4
    )
    rows = candles.rows("BTC", 60, START_MS, START_MS + 2 * 86_400_000)
    assert len(rows) == 2 * 1440
    assert said[0] == "imported history of BTC: 0 of 2 days"
    said.clear()
    fold()
    assert said == []
    maps.close()


def test_books_become_a_recording(tmp_path: Path) -> None:
    lines = []
    for i, kind in enumerate(("snapshot", "delta")):
        levels = {"b": [["90000.10", "1.5"]], "a": [["90000.20", "2"]]}
        data = {"s": "BTCUSDT", **levels, "u": i + 1, "seq": i + 9}
        at = START_MS + i
        head = {"topic": "orderbook.200.BTCUSDT", "type": kind, "ts": at, "cts": at}
        lines.append(json.dumps({**head, "data": data}))
    folder, store = tmp_path / "files", tmp_path / "store"
    folder.mkdir()
    (folder / "2026-01-01_BTCUSDT_ob200.data.zip").write_bytes(zipped("\n".join(lines)))
    report = import_archive("bybit", folder, store)
    assert (report.imported, report.rows, report.unread) == (1, 2, {})
    (path,) = store.rglob("*.lqd")
    first = next(open_recording(path))
    assert first.received_ns == START_NS
    assert import_archive("bybit", folder, store).already_there == 1


def test_commands(
    vision: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], shared_data: Path
) -> None:
    def run(*words: str) -> dict[str, object]:
        with pytest.raises(SystemExit) as ended:
            app([*words, "--data-dir", str(tmp_path)])
        assert ended.value.code in (0, None)
        found: dict[str, object] = json.loads(capsys.readouterr().out)
        return found

    assert run("import", "binance-vision", str(vision))["imported"] == 7
    sizes = run("store")
    assert {"history/candles", "history/open_interest", "history/funding"} <= set(sizes)
    assert run("store", "check")["damaged"] == []
    recording = shared_data / "data/recordings/bybit/bybit_v5_20260809.jsonl.zst"
    out = tmp_path / "trades.csv"
    done = run("store", "export", "--kind", "trades", "--out", str(out), "--recording",
               str(recording), "--instrument", "bybit:BTCUSDT")  # fmt: skip
    rows = out.read_text().splitlines()
    assert len(rows) - 1 == done["rows"]
    assert rows[0].startswith("instrument_id,event_ns,received_ns,price,quantity,aggressor")
    books = run("store", "export", "--kind", "books", "--out", str(tmp_path / "b.parquet"),
                "--recording", str(recording))  # fmt: skip
    assert isinstance(books["rows"], int)
    assert books["rows"] > 10_000
    with pytest.raises(SettingError, match="did you mean 'trades'"):
        app(["store", "export", "--kind", "trade", "--out", "x", "--recording", str(recording)])
    with pytest.raises(SettingError, match="did you mean 'bybit'"):
        app(["import", "bibit", str(vision)])
