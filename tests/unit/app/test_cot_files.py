"""Dropped COT files: both forms are read, a broken one is named and harms nothing."""

from __future__ import annotations

from pathlib import Path

from liqfield.app.cot_files import load_cot
from liqfield.app.settings import Settings


def test_no_folder_no_reports(tmp_path: Path) -> None:
    problems: list[str] = []
    assert load_cot(tmp_path / "none", problems) == ()
    assert problems == []


def test_both_forms_give_the_same_report(tmp_path: Path, shared_data: Path) -> None:
    samples = shared_data / "reference/cot"
    weekly = next(samples.glob("FinFutWk*")).read_text()
    api = next(samples.glob("*.json")).read_text()
    (tmp_path / "a.txt").write_text(weekly)
    (tmp_path / "b.json").write_text(api)
    (tmp_path / "c.txt").write_text("not,a,report\n")
    (tmp_path / "d.json").write_text("[1, 2]")
    (tmp_path / "e.json").write_text("{")
    (tmp_path / "notes.md").write_text("ignored")
    problems: list[str] = []
    reports = load_cot(tmp_path, problems)
    assert {r.base for r in reports} == {"BTC", "ETH"}
    by_file = [[r for r in reports if r.code == code] for code in {r.code for r in reports}]
    assert all(len(set(map(str, pair))) == 1 for pair in by_file if len(pair) == 2)
    assert [p.split(":")[0] for p in problems] == [
        "COT file c.txt",
        "COT file d.json",
        "COT file e.json",
    ]


def test_the_folder_is_a_setting() -> None:
    assert Settings(data_dir="/x").cot_path == Path("/x/cot")
    assert Settings(cot_dir="/y").cot_path == Path("/y")
