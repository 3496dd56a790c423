"""What every benchmark is made of: rows, and contenders timed in turns in one run.

Times are CPU time of this process, so that a busy neighbour costs little; a ratio is the median of
the ratios of single rounds, in which the contenders ran one after another on the same work.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping

Row = dict[str, object]
Work = Callable[[int], object]  # called with the number of the round


def row(name: str, value: float, unit: str, budget: float | None, **more: object) -> Row:
    """One line of the report; `budget` is an upper limit on `value` in the same unit."""
    met = None if budget is None else value <= budget
    out: Row = {"name": name, "value": value, "unit": unit, "peer": "", "ratio": None}
    return out | {"budget": budget, "met": met} | more


def ratio_row(
    name: str, value: float, unit: str, peer: str, ratio: float, at_least: float | None
) -> Row:
    """A line whose budget is a ratio to reach: how many times the peer's work a second."""
    met = None if at_least is None else ratio >= at_least
    out: Row = {"name": name, "value": value, "unit": unit, "peer": peer, "ratio": ratio}
    return out | {"budget": at_least, "met": met}


def in_turns(contenders: Mapping[str, Work], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of every round of every contender; round 0 warms up and is left out."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds + 1):
            for name, work in contenders.items():
                start = time.process_time_ns()
                work(number)
                spent = (time.process_time_ns() - start) / 1e9
                if number:
                    taken[name].append(spent)
    finally:
        gc.enable()
    return taken


def ratio(of: list[float], to: list[float]) -> float:
    """Median over rounds of `of` / `to`."""
    return statistics.median(a / b for a, b in zip(of, to, strict=True))


def median_ms(work: Callable[[], object], times: int = 40) -> float:
    """Median CPU milliseconds of single calls, first call left out."""
    work()
    taken = []
    for _ in range(times):
        start = time.process_time_ns()
        work()
        taken.append((time.process_time_ns() - start) / 1e6)
    return statistics.median(taken)


def median_us(seconds: list[float]) -> float:
    return statistics.median(seconds) * 1e6
