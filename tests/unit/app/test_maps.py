"""`liqfield map` and `verify`: sums, no look-ahead, the same from Python, errors in words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest

from liqfield import api
from liqfield.app import sources
from liqfield.app.cli import app
from liqfield.app.maps import MapRun, MapTimes, map_table, maps_of, relative_bounds
from liqfield.app.sources import open_source
from liqfield.density.combine import combine
from liqfield.density.intervals import bound_map
from liqfield.model.errors import LiqfieldError, ModelError, SettingError
from liqfield.model.estimates import Confidence, IntervalLaw, LiquidationDensity
from liqfield.model.grid import PriceGrid
from liqfield.store.table import Columns
from tests.archive_files import START_MS, Walk, day_text

BTC = "binance:BTCUSDT"
HOUR_NS = 3_600_000_000_000
WALK = Walk(days=2)


@pytest.fixture(scope="module")
def tardis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return WALK.tardis(tmp_path_factory.mktemp("tardis"))


@pytest.fixture(scope="module")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return WALK.vision(tmp_path_factory.mktemp("vision"))


def sums(columns: Columns) -> dict[tuple[int, str], float]:
    out: dict[tuple[int, str], float] = {}
    for at, side, usd in zip(
        columns["at_ns"], columns["position_side"], columns["notional_usd"], strict=True
    ):
        out[(int(at), str(side))] = out.get((int(at), str(side)), 0.0) + float(usd)
    return out


@pytest.mark.parametrize("kind", ["tardis", "binance-vision"])
def test_each_side_sums_to_open_interest(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind.removeprefix("binance-"))
    columns = api.map_columns(f"{kind}:{folder}", BTC, every="6h")
    source = open_source(f"{kind}:{folder}")
    times = MapTimes.parse("6h")
    expected = {at: d.open_interest_usd for at, d in maps_of(source, BTC, times, MapRun(BTC))}
    assert len(expected) >= 6
    got = sums(columns)
    for at, usd in expected.items():
        long, short = got[(at, "long")], got[(at, "short")]
        assert long == pytest.approx(usd, rel=1e-6)
        assert long == pytest.approx(short, rel=1e-6)
        minute = (at // 1_000_000 - START_MS) // 60_000
        truth = WALK.open_interest[minute] * WALK.price[minute]
        assert usd == pytest.approx(truth, rel=0.01)
    inside = columns["leverage_band"] != "outside"
    assert np.isnan(columns["price_low"][~inside].astype(float)).all()
    assert (columns["price_low"][inside] < columns["price_high"][inside]).all()
    assert (columns["notional_usd_p10"] <= columns["notional_usd_p90"]).all()
    assert set(columns["leverage_band"]) <= {"low", "mid", "high", "outside"}


@pytest.mark.parametrize("kind", ["tardis", "binance-vision"])
def test_a_map_knows_nothing_of_later_days(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(kind.removeprefix("binance-"))
    first = tmp_path / "first"
    shutil.copytree(folder, first)
    for path in first.rglob("*"):
        late = day_text(1) in path.name or day_text(1).replace("-", "/") in str(path)
        if path.is_file() and late:
            path.unlink()
    at = [str(START_MS + hours * 3_600_000) for hours in (3, 11, 20)]
    alone = api.map_columns(f"{kind}:{first}", BTC, at=at)
    whole = api.map_columns(f"{kind}:{folder}", BTC, at=at)
    assert list(alone) == list(whole)
    for name in alone:
        np.testing.assert_array_equal(alone[name], whole[name], err_msg=name)


def test_facts_after_the_time_are_not_used(tardis: Path) -> None:
    """At every map the newest fact that was folded is not newer than the map."""
    source = open_source(f"tardis:{tardis}")
    times = MapTimes.parse("1h")
    for at, density in maps_of(source, BTC, times):
        assert density.at_ns <= at < density.at_ns + HOUR_NS


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    with pytest.raises(SystemExit) as ended:
        app(list(words))
    assert ended.value.code in (0, None)
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_intervals_of_rows_add_up_over_bands_fine_bins_and_venues() -> None:
    """Plain sums of p10 and p90 over a 0.1 % range are the interval of all venues' sum on a lattice
    of such bins, and no row's interval leaves its figure out."""
    random = np.random.default_rng(5)
    parts = []
    for name, first, count in (("binance", 220_001, 64), ("bybit", 220_011, 40)):
        usd = random.gamma(0.4, 1e6, (2, 3, count)) * (random.random((2, 3, count)) < 0.5)
        errs = IntervalLaw(0.3, 0.1 * np.eye(3), np.array([1.0, 0.5, 0.2]), 2e5)
        bounds = bound_map(usd, np.zeros((2, count)), errs)
        parts.append(
            LiquidationDensity(
                f"{name}:BTCUSDT", 1, 6e4, PriceGrid(0.0005, first, count), usd, np.zeros(2),
                float(usd.sum()), Confidence(1.0), p10=bounds[0], p90=bounds[1], errs=errs,
            )
        )  # fmt: skip
    whole = combine(parts)
    assert whole is not None
    tables = [
        map_table(1, d, d.instrument_id.partition(":")[0], relative)
        for d, relative in zip(parts, relative_bounds(parts), strict=True)
    ]
    rows = {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}
    keep = rows["leverage_band"] != "outside"
    middle = np.log(rows["price_low"][keep] * rows["price_high"][keep]) / 2.0
    at = np.floor(middle / 0.001).astype(int) - 110_000
    for side, name in enumerate(("long", "short")):
        mine = rows["position_side"][keep] == name
        total, p10, p90 = (
            np.bincount(at[mine], rows[column][keep][mine], 33)
            for column in ("notional_usd", "notional_usd_p10", "notional_usd_p90")
        )
        mass = np.concatenate((np.zeros((3, 1)), whole.notional_usd[side], np.zeros((3, 1))), 1)
        mass = np.stack([mass.reshape(3, 33, 2).sum(axis=2)] * 2)
        low, high = bound_map(mass, np.zeros((2, 33)), whole.errs)[:, 0]
        np.testing.assert_allclose(total, mass[0].sum(axis=0), rtol=1e-9)
        np.testing.assert_allclose(p10, np.minimum(low, total), rtol=1e-9)
        np.testing.assert_allclose(p90, np.maximum(high, total), rtol=1e-9)
    usd, p10, p90 = (rows[f"notional_usd{part}"][keep] for part in ("", "_p10", "_p90"))
    assert (p10 <= usd).all()
    assert (usd <= p90).all()
    assert (p10 < usd).any()


def test_map_and_verify_from_the_command_line(
    tardis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report_file = tmp_path / "maps.parquet", tmp_path / "report.json"
    source = f"tardis:{tardis}"
    done = run(
        capsys, "map", "--source", source, "--instrument", BTC, "--every", "1h", "--out", str(out)
    )
    assert done["rows"] == duckdb.sql(f"SELECT count(*) FROM '{out}'").fetchall()[0][0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["maps.parquet"]
    names = duckdb.sql(f"SELECT * FROM '{out}'").columns
    assert names == [
        "at_ns", "position_side", "price_low", "price_high", "notional_usd", "notional_usd_p10",
        "notional_usd_p90", "leverage_band", "venue",
    ]  # fmt: skip
    in_python = sums(api.map_columns(source, BTC, every="1h"))
    in_file = duckdb.sql(
        f"SELECT at_ns, position_side, sum(notional_usd) FROM '{out}' GROUP BY ALL"
    ).fetchall()
    assert {(at, side): usd for at, side, usd in in_file} == pytest.approx(in_python)
    report = run(capsys, "verify", str(out), "--source", source, "--out", str(report_file))
    assert json.loads(report_file.read_text()) == report
    scores = report["scores"]
    assert isinstance(scores, list)
    (score,) = scores
    assert score["instrument_id"] == BTC
    assert score["mark_path"] == "mark"
    assert score["prints_by_coverage"] == {"largest_per_second": 72}
    assert score["score"]["short"]["predicted_usd"] > 0.0
    assert score["score"]["short"]["realised_usd"] > 0.0


def test_anybodys_map_can_be_scored(tardis: Path, tmp_path: Path) -> None:
    """A file of another program: no metadata, one band, no rows outside the grid."""
    path = tmp_path / "theirs.csv"
    rows = ["at_ns,position_side,price_low,price_high,notional_usd,notional_usd_p10,"
            "notional_usd_p90,leverage_band,venue"]  # fmt: skip
    for hour in range(1, 47):
        mark = WALK.price[hour * 60]
        for i in range(-100, 100):
            low = mark * (1 + i / 1000)
            side = "long" if i < 0 else "short"
            at = (START_MS + hour * 3_600_000) * 1_000_000
            rows.append(f"{at},{side},{low},{low * 1.001},1e6,5e5,2e6,all,binance")
    path.write_text("\n".join(rows) + "\n")
    with pytest.raises(SettingError, match="give --instrument"):
        api.verify(path, f"tardis:{tardis}")
    report = api.verify(path, f"tardis:{tardis}", instrument=[BTC])
    assert report.scores[0].score.short.predicted_usd > 0.0


def test_errors_in_words(tardis: Path, tmp_path: Path) -> None:
    source = f"tardis:{tardis}"
    with pytest.raises(SettingError, match="did you mean 'tardis'"):
        open_source(f"tardi:{tardis}")
    with pytest.raises(SettingError, match="there is no"):
        open_source(f"tardis:{tmp_path / 'absent'}")
    with pytest.raises(LiqfieldError, match="no file of a tardis archive"):
        open_source(f"tardis:{tmp_path}")
    with pytest.raises(SettingError, match="did you mean 'binance:BTCUSDT'"):
        api.map_columns(source, "binance:BTCUSD", every="1h")
    with pytest.raises(SettingError, match="the source ends at 2026-01-02 23:59"):
        api.map_columns(source, BTC, at=["2026-02-01"])
    with pytest.raises(SettingError, match="one of them"):
        MapTimes.parse()
    with pytest.raises(SettingError, match="write it as"):
        MapTimes.parse("1 hour")
    with pytest.raises(ModelError, match="begins at 2026-01-01 00:00:00 UTC, after the last map"):
        api.map_columns(source, BTC, at=["2025-12-01"])
    okx = tmp_path / "BTC-USDT-SWAP-trades-2026-01-02.csv"
    okx.write_text(f"BTC-USDT-SWAP,1,buy,90000,25,{START_MS}\n")
    with pytest.raises(SettingError, match="OKX counts contracts"):
        api.map_columns(f"okx:{tmp_path}", "okx:BTC-USDT-SWAP", every="1h")


def test_a_saved_instrument_list_gives_the_contract_value(tmp_path: Path) -> None:
    (tmp_path / "BTC-USDT-SWAP-trades-2026-01-02.csv").write_text(
        f"BTC-USDT-SWAP,1,buy,90000,25,{START_MS}\n"
    )
    row = {
        "instType": "SWAP", "instId": "BTC-USDT-SWAP", "tickSz": "0.1", "lotSz": "0.01",
        "ctVal": "0.01", "ctMult": "1", "ctType": "linear", "settleCcy": "USDT", "lever": "100",
        "state": "live", "uly": "BTC-USDT",
    }  # fmt: skip
    (tmp_path / "instruments.json").write_text(json.dumps({"code": "0", "msg": "", "data": [row]}))
    source = open_source(f"okx:{tmp_path}")
    assert source.instrument("okx:BTC-USDT-SWAP").quantity_factor == 0.01


def test_a_recording_is_a_source(shared_data: Path, tmp_path: Path) -> None:
    """Live facts in event time; the books of the recording are passed by."""
    path = shared_data / "data/recordings/bybit/bybit_v5_20260809.jsonl.zst"
    source = open_source(f"recording:{path}")
    facts = list(source.events("bybit:BTCUSDT"))
    times = [sources.event_ns(fact) for fact in facts]
    assert times == sorted(times)
    columns = api.map_columns(f"recording:{path}", "bybit:BTCUSDT", every="10s")
    assert len(set(columns["at_ns"])) >= 3
    assert max(columns["at_ns"]) <= times[-1]
    with pytest.raises(SettingError, match="did you mean 'bybit:BTCUSDT'"):
        source.instrument("bybit:BTCUSTD")


# ---- what a hostile user does ------------------------------------------------------------------


def test_the_interval_holds_its_figure(tardis: Path) -> None:
    """Also where a bin is mostly empty and seldom full, so that its mean passes its p90."""
    columns = api.map_columns(f"tardis:{tardis}", BTC, every="6h")
    assert (columns["notional_usd_p10"] <= columns["notional_usd"] * (1 + 1e-12)).all()
    assert (columns["notional_usd"] <= columns["notional_usd_p90"] * (1 + 1e-12)).all()


def _only(tmp_path: Path, kind: str) -> Path:
    folder = Walk(days=1).tardis(tmp_path / kind)
    for path in list(folder.rglob("*.csv.gz")):
        if kind not in path.relative_to(folder).parts:
            path.unlink()
    return folder


def test_what_a_subset_of_files_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"no open interest in 1440 facts of {BTC}"):
        api.map_columns(f"tardis:{_only(tmp_path, 'trades')}", BTC, every="6h")
    with pytest.raises(ModelError, match=f"no price and no open interest in 36 facts of {BTC}"):
        api.map_columns(f"tardis:{_only(tmp_path, 'liquidations')}", BTC, every="6h")
    alone = api.map_columns(f"tardis:{_only(tmp_path, 'derivative_ticker')}", BTC, every="6h")
    assert len(set(alone["at_ns"])) == 3


def test_what_a_file_lacks_is_named(tmp_path: Path) -> None:
    folder = Walk(days=1).vision(tmp_path / "vision", suffix=".csv")
    (metrics,) = folder.rglob("*-metrics-*.csv")
    rows = [",".join(row.split(",")[:2]) for row in metrics.read_text().split("\n") if row]
    metrics.write_text("\n".join(rows) + "\n")
    with pytest.raises(ModelError, match=r"metrics-2026-01-01.csv: \{'blank open interest': 288\}"):
        api.map_columns(f"binance-vision:{folder}", BTC, every="6h")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("tardis", "write it as tardis:FOLDER"),
        ("tardis:", "write it as tardis:FOLDER"),
        ("tradis:x", "did you mean 'tardis'"),
    ],
)
def test_a_source_without_its_path(source: str, why: str) -> None:
    with pytest.raises(SettingError, match=why):
        open_source(source)


@pytest.mark.parametrize("value", [0.0, -5.0, float("nan"), float("inf")])
def test_a_contract_is_worth_something(tardis: Path, value: float) -> None:
    with pytest.raises(SettingError, match="not a positive number"):
        open_source(f"tardis:{tardis}", value)


def test_times_and_names_that_are_none(tardis: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="'yesterday' is no time"):
        MapTimes.parse(at=["yesterday"])
    with pytest.raises(SettingError, match="of which instrument"):
        app(["map", "--source", f"tardis:{tardis}", "--instrument", " ", "--every", "1h",
             "--out", str(tmp_path / "x.parquet")])  # fmt: skip


def test_columns_in_another_order_and_in_quotes(tardis: Path, tmp_path: Path) -> None:
    folder = WALK.tardis(tmp_path / "turned", suffix=".csv")
    for path in folder.rglob("*.csv"):
        rows = [row.split(",") for row in path.read_text().split("\n") if row]
        text = "\r\n".join(",".join(f'"{cell}"' for cell in reversed(row)) for row in rows)
        path.write_text("\ufeff" + text + "\r\n")
    turned = api.map_columns(f"tardis:{folder}", BTC, every="12h")
    plain = api.map_columns(f"tardis:{tardis}", BTC, every="12h")
    np.testing.assert_array_equal(turned["notional_usd"], plain["notional_usd"])


def test_why_no_file_is_read_is_told(tmp_path: Path) -> None:
    folder = Walk(days=1).tardis(tmp_path / "bare", suffix=".csv")
    for path in folder.rglob("*.csv"):
        path.write_text(path.read_text().partition("\n")[2])
    with pytest.raises(LiqfieldError, match=r"BTCUSDT\.csv: unknown columns"):
        open_source(f"tardis:{folder}")


def test_one_file_of_the_vendors_folders_is_a_source(tardis: Path) -> None:
    (first, *_) = sorted(tardis.rglob("derivative_ticker/**/*.csv.gz"))
    assert len(api.map_columns(f"tardis:{first}", BTC, every="12h")["at_ns"]) > 1


def test_a_folder_of_captures_is_a_recording(shared_data: Path) -> None:
    folder = shared_data / "data/recordings/bybit"
    (file,) = folder.iterdir()
    of_file = api.map_columns(f"recording:{file}", "bybit:BTCUSDT", every="10s")
    of_folder = api.map_columns(f"recording:{folder}", "bybit:BTCUSDT", every="10s")
    np.testing.assert_array_equal(of_file["notional_usd"], of_folder["notional_usd"])
