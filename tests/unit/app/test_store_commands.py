"""`liqfield store` on a folder as the terminal leaves it."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from liqfield.app.cli import app
from liqfield.feeds.backfill_cache import BackfillCache
from liqfield.feeds.tier_cache import TierCache
from liqfield.model.errors import SettingError, StoreError
from liqfield.model.events import Frame
from liqfield.model.requests import HttpRequest
from liqfield.store import upkeep
from liqfield.store.frames import RecordWriter, recording_files
from liqfield.store.map_history import MapHistory
from tests.unit.server.support import density

DAY_NS = 86_400_000_000_000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for day in range(3):
        writer = RecordWriter(tmp_path / upkeep.FRAMES)
        writer.append(Frame("okx", "ws:/a#b", day * DAY_NS, b"x"))
        writer.close()
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], data: Path, *words: str) -> tuple[object, int]:
    with pytest.raises(SystemExit) as ended:
        app(["store", *words, "--data-dir", str(data)])
    code = ended.value.code
    return json.loads(capsys.readouterr().out), code if isinstance(code, int) else 0


def test_sizes_pack_prune_check(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes, _ = run(capsys, data)
    assert isinstance(sizes, dict)
    assert list(sizes["frames"]["by_day"]) == ["1970-01-01", "1970-01-02", "1970-01-03"]
    packed, _ = run(capsys, data, "pack")
    assert isinstance(packed, list)
    assert packed[0]["segments"] == 2, "the newest may still be running"
    report, code = run(capsys, data, "check")
    assert isinstance(report, dict)
    assert (report["records"], report["damaged"], code) == (3, [], 0)
    removed, _ = run(capsys, data, "prune")
    assert isinstance(removed, dict)
    assert len(removed["removed"]) == 1, "older than keep_days; the newest file stays"


def test_damage_ends_with_1(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = recording_files(data / upkeep.FRAMES)[0]
    raw = bytearray(first.read_bytes())
    raw[-1] ^= 0xFF
    first.write_bytes(raw)
    report, code = run(capsys, data, "check")
    assert isinstance(report, dict)
    assert code == 1
    assert report["damaged"][0]["path"] == str(first)


def test_the_map_can_be_exported(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = MapHistory(data / upkeep.MAPS)
    shown = density(300.0)
    times = [300_000_000_000 * n for n in range(1, 4)]
    for at_ns in times:
        maps.append("BTC", "all", at_ns, shown, 300)
    maps.close()
    out = data / "map.parquet"
    done, _ = run(capsys, data, "export", "--kind", "map", "--base", "BTC", "--out", str(out))
    assert isinstance(done, dict)
    rows = duckdb.sql(
        f"SELECT at_ns, position_side, sum(notional_usd) FROM '{out}' "
        "WHERE leverage_band <> 'outside' GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert [row[0] for row in rows[::2]] == times
    for at_ns, side, usd in rows:
        expected = shown.notional_usd[int(side == "short")].sum()
        assert usd == pytest.approx(expected, rel=0.035), at_ns
    with pytest.raises(SettingError, match="which map"):
        app(["store", "export", "--kind", "map", "--out", "x", "--data-dir", str(data)])


def test_replies_kept_for_the_next_start_are_listed_and_checked(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = Frame("gate", "rest:/a", 1, b"[]")
    request = HttpRequest("gate", "/a", "", 1.0, "public", "gate:BTC_USDT")
    hour_ns = 3_600_000_000_000
    BackfillCache(data / upkeep.BACKFILL).store((0, hour_ns), request, frame)
    TierCache(data / upkeep.TIERS).store(frame)
    sizes, _ = run(capsys, data)
    assert isinstance(sizes, dict)
    assert sizes["backfill"]["files"] == sizes["tiers"]["files"] == 1
    assert sizes["backfill"]["bytes"] > 0
    report, code = run(capsys, data, "check")
    assert isinstance(report, dict)
    assert (report["files"], code) == (5, 0)
    (reply,) = (data / upkeep.BACKFILL).rglob("*.reply")
    reply.write_bytes(reply.read_bytes()[:-3])
    report, code = run(capsys, data, "check")
    assert isinstance(report, dict)
    assert [row["path"] for row in report["damaged"]] == [str(reply)]
    assert code == 1


@pytest.mark.parametrize("words", [[], ["check"], ["pack"]])
def test_a_folder_that_is_not_there_is_no_empty_store(tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(SettingError, match="there is no such folder"):
        app(["store", *words, "--data-dir", str(tmp_path / "slip")])


def test_an_export_without_a_recording_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file or directory"):
        app(["store", "export", "--kind", "trades", "--out", "x", "--data-dir", str(tmp_path)])
