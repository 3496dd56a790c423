"""COT reports that the user dropped into a folder: the weekly file or rows of the public API."""

from __future__ import annotations

from pathlib import Path

from liqfield.context.cot import CotReport, read_any
from liqfield.model.errors import DecodeError

MOST_BYTES = 64_000_000


def load_cot(folder: Path, problems: list[str]) -> tuple[CotReport, ...]:
    """Every readable report in the folder, in order of file name; what is not goes to `problems`.

    A folder that does not exist holds none.
    """
    reports: list[CotReport] = []
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        if path.suffix.lower() not in (".txt", ".csv", ".json") or not path.is_file():
            continue
        try:
            if path.stat().st_size > MOST_BYTES:
                problems.append(f"COT file {path.name} is larger than {MOST_BYTES} bytes")
                continue
            reports += read_any(path.read_text())
        except (OSError, UnicodeDecodeError, DecodeError) as error:
            problems.append(f"COT file {path.name}: {str(error)[:200]}")
    return tuple(reports)
