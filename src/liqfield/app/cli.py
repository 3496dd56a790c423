"""The command line."""

from __future__ import annotations


def main() -> None:
    """Entry point of `liqfield`."""
    raise SystemExit("not wired yet")
