"""The benchmark's own pieces: everything runs, rows say what they must, agreement is checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import messages, rows, run, wire

FIELDS = {"name", "value", "unit", "peer", "ratio", "budget", "met"}


@pytest.mark.parametrize("suite", ["wire", "engine", "density"])
def test_a_quick_run_writes_whole_rows(
    suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "build" / "bench.json"
    made = run.main(["--quick", "--only", suite, "--out", str(out)])
    assert made
    assert json.loads(out.read_text()) == made
    printed = capsys.readouterr().out
    for row in made:
        assert set(row) == FIELDS
        assert isinstance(row["value"], float)
        assert row["value"] > 0.0
        assert (row["met"] is None) == (row["budget"] is None)
        assert str(row["name"]) in printed


def test_a_budget_on_a_ratio_is_a_least_and_on_a_value_a_most() -> None:
    assert rows.row("x", 5.0, "us", 5.0)["met"] is True
    assert rows.row("x", 5.1, "us", 5.0)["met"] is False
    assert rows.ratio_row("x", 1.0, "us", "peer", 20.0, 20.0)["met"] is True
    assert rows.ratio_row("x", 1.0, "us", "peer", 19.9, 20.0)["met"] is False


@pytest.mark.parametrize("levels", sorted(wire.DEPTHS))
def test_the_diffs_are_an_unbroken_chain_of_levels_on_the_tick(levels: int) -> None:
    ours = wire.ours_on_binance()
    diffs = messages.depth_diffs(30, levels)
    ours.play(ours.prepare(diffs))
    assert ours.best() == (61_699.9, 61_700.1)
    body = json.loads(diffs[0])["data"]
    assert len(body["b"]) + len(body["a"]) == levels


def test_a_lost_diff_is_noticed_not_timed() -> None:
    ours = wire.ours_on_binance()
    diffs = messages.depth_diffs(3, 10)
    ours.play(ours.prepare([diffs[0], diffs[2]]))
    with pytest.raises(AssertionError, match="lost"):
        ours.best()
