"""Stretches of thin books for the time axis, out of the session clock."""

from __future__ import annotations

from functools import lru_cache

from liqfield.context.sessions import thin_reasons
from liqfield.server.wire import ThinWindow

STEP_NS = 1_800_000_000_000
PAST_STEPS, FUTURE_STEPS = 8 * 48, 2 * 48


def thin_windows(now_ns: int) -> tuple[ThinWindow, ...]:
    """Past eight and next two days in half hours; one reason, one window."""
    return _windows(now_ns // STEP_NS)


@lru_cache(maxsize=2)
def _windows(step: int) -> tuple[ThinWindow, ...]:
    found: list[ThinWindow] = []
    before, since = "", 0
    for i in range(step - PAST_STEPS, step + FUTURE_STEPS + 1):
        last = i == step + FUTURE_STEPS
        # The middle of the half hour: a window that begins within it is half inside.
        why = "" if last else "; ".join(thin_reasons(i * STEP_NS + STEP_NS // 2))
        if why != before:
            if before:
                found.append(ThinWindow(since * STEP_NS / 1e6, i * STEP_NS / 1e6, before))
            before, since = why, i
    return tuple(found)
