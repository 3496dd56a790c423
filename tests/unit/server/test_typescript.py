"""The browser's types are those of the wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from liqfield.server import typescript

ROOT = Path(__file__).resolve().parents[3]


def test_the_committed_types_are_the_generated_ones() -> None:
    assert typescript.main(["--check", str(ROOT / "web/src/wire/types.ts")]) == 0


def test_drift_fails_with_the_command_that_repairs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "types.ts"
    assert typescript.main(["--check", str(path)]) == 1
    assert typescript.main([str(path)]) == 0
    assert typescript.main(["--check", str(path)]) == 0
    path.write_text(path.read_text().replace("serverMs: number", "serverMs: string"))
    assert typescript.main(["--check", str(path)]) == 1
    assert "python -m liqfield.server.typescript" in capsys.readouterr().err


def test_types_are_exact() -> None:
    text = typescript.generate()
    assert '  readonly t: "market";' in text
    assert "  readonly change24H: number | null;" in text
    assert "  readonly bandUsd: readonly [number, number, number];" in text
    assert "  readonly venueUsd: Readonly<Record<string, number>>;" in text
    assert "  readonly clusters: readonly ClusterRow[];" in text
    assert "  readonly ladderStep?: number;" in text
    assert "export type ClientMessage = Subscribe | Unsubscribe | Ping;" in text
