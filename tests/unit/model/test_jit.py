"""Compiled kernels follow their sources: the cache's name changes with any file of the package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

KERNEL = """
from liqfield.model.jit import kernel
from pack.inner import twice

@kernel
def answer(x: int) -> int:
    return twice(x)
"""
INNER = """
from liqfield.model.jit import inner_kernel

@inner_kernel
def twice(x: int) -> int:
    return {factor} * x
"""


def answer(folder: Path) -> str:
    code = "from pack.outer import answer; print(answer(21))"
    # Its cache beside the sources, wherever ours is.
    env = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env=env,
    )
    return done.stdout.strip()


def test_a_kernel_is_compiled_anew_when_what_it_calls_changes(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "__init__.py").touch()
    (pack / "outer.py").write_text(KERNEL)
    (pack / "inner.py").write_text(INNER.format(factor=2))
    assert answer(tmp_path) == "42"
    (first,) = (pack / "__pycache__").glob("kernels-*")
    assert list(first.rglob("*.nbc")), "compiled code is kept"
    assert answer(tmp_path) == "42"
    (pack / "inner.py").write_text(INNER.format(factor=3))
    assert answer(tmp_path) == "63"
    (second,) = (pack / "__pycache__").glob("kernels-*")
    assert second != first, "what no source asks for any more is removed"
