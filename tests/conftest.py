"""Shared fixtures: where the reference data lies, if it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The first call of a kernel compiles it: a deadline would measure the compiler.
settings.register_profile("liqfield", deadline=None)
settings.load_profile("liqfield")

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take longest come first, so that no worker ends long after the others; the two
    with a browser do not begin together."""
    first = ["tests/e2e/test_terminal.py", "tests/lab/test_faults.py", "tests/e2e/test_panels.py"]

    def turn(item: pytest.Item) -> int:
        file = item.nodeid.partition("::")[0]
        return first.index(file) if file in first else len(first)

    items.sort(key=turn)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared reference data; tests that need it skip with a reason without it."""
    path = Path(os.environ.get("LIQFIELD_SHARED", ROOT.parent / "shared"))
    if not (path / "data").is_dir():
        pytest.skip(f"reference data not found at {path}: set LIQFIELD_SHARED to run this test")
    return path
