"""Lengths of time in nanoseconds, the unit of every time in the core."""

from __future__ import annotations

MS = 1_000_000
SECOND_NS = 1_000 * MS
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS
