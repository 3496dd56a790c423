"""Sessions across daylight saving, weekends and US holidays."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqfield.context.sessions import session_clock, thin_reasons


def ns(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 10**9  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("at", "active"),
    [
        (ns(2026, 7, 15, 14, 0), ("Europe", "US")),  # summer: New York opens at 13:30 UTC
        (ns(2026, 1, 14, 14, 0), ("Europe",)),  # winter: at 14:30 UTC
        (ns(2026, 1, 14, 1, 0), ("Asia",)),
        (ns(2026, 1, 17, 14, 0), ()),  # Saturday
    ],
)
def test_active_sessions(at: int, active: tuple[str, ...]) -> None:
    assert session_clock(at).active == active


def test_thanksgiving_is_thin_and_the_us_stays_closed() -> None:
    at = ns(2026, 11, 26, 15, 0)
    assert any("Thanksgiving" in reason for reason in thin_reasons(at))
    assert "US" not in session_clock(at).active


def test_weekend_sunday_evening_and_asian_open() -> None:
    assert thin_reasons(ns(2026, 1, 17, 12, 0))[0].startswith("weekend")
    assert thin_reasons(ns(2026, 1, 18, 23, 30))[0].startswith("Sunday evening")
    assert any("Asian open" in r for r in thin_reasons(ns(2026, 1, 20, 0, 10)))
    assert thin_reasons(ns(2026, 1, 21, 15, 0)) == ()


@given(st.integers(ns(2024, 1, 1), ns(2030, 1, 1)))
def test_next_open_lies_ahead_within_five_days(at: int) -> None:
    clock = session_clock(at)
    assert at < clock.next_open_ns <= at + 5 * 86_400 * 10**9
