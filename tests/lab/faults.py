"""Seeded fault scenarios in memory: `python -m tests.lab.faults FIRST COUNT` prints the account.

Scenario n is a venue, one to three faults of every kind there is, and the feed, decoder and engine
of the terminal on a virtual clock; the same n gives the same run.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np

from liqfield.lab.servers.faults import random_plan
from tests.lab.scenario import Outcome, Scenario
from tests.lab.virtual import run_virtual

VENUES = ("binance", "bybit", "okx", "hyperliquid")


def run_scenario(number: int) -> Outcome:
    """One scenario; an exception of the program becomes its problem."""
    plan = random_plan(number, count=1 + number % 3)
    outcome = Outcome(number, VENUES[number % len(VENUES)], tuple(f.kind for f in plan.faults))

    async def run() -> None:
        nonlocal outcome
        outcome = await Scenario(outcome.venue, plan).run()

    try:
        run_virtual(run())
    except Exception as error:
        outcome.problem = f"crash: {type(error).__name__}: {error}"
    return outcome


async def run_on_sockets(numbers: range) -> list[Outcome]:
    """These scenarios at the same time, each on a server of its own, in real time."""
    plans = {number: random_plan(number, count=1 + number % 3) for number in numbers}
    made = [Scenario(VENUES[n % len(VENUES)], plan).run_on_sockets() for n, plan in plans.items()]
    return list(await asyncio.gather(*made))


class Account(msgspec.Struct):
    """What a range of scenarios showed."""

    first: int
    count: int
    compared: int = 0  # books compared with the venue's own
    wrong: int = 0
    problems: dict[str, str] = {}
    kinds: dict[str, int] = {}
    book_losses: int = 0
    gaps_told: int = 0
    malformed: int = 0
    lost_trades: int = 0  # all of them told, but where ids do not count and the venue left them out
    back_p50_s: float = 0.0
    back_p99_s: float = 0.0
    back_over_allowed_max: float = 0.0
    cpu_s: float = 0.0
    memory_growth_mb: float = 0.0  # of the process, from a tenth of the run to its end


def run_range(first: int, count: int) -> Account:
    """Run them one after the other."""
    account = Account(first, count, problems={})
    kinds: Counter[str] = Counter()
    back: list[float] = []
    began_s, early_mb = time.process_time(), 0.0
    for number in range(first, first + count):
        outcome = run_scenario(number)
        if number % 10 == 0:
            gc.collect()  # arrays in cycles are large and few: the collector would come late
        kinds.update(outcome.kinds)
        account.compared += outcome.compared
        account.wrong += outcome.wrong
        account.book_losses += outcome.losses
        account.gaps_told += outcome.gaps
        account.malformed += outcome.decode_errors
        account.lost_trades += outcome.lost_trades
        if outcome.back_s >= 0.0:
            back.append(outcome.back_s)
            ratio = outcome.back_s / outcome.allowed_s
            account.back_over_allowed_max = max(account.back_over_allowed_max, ratio)
        if outcome.problem:
            name = f"{number} {outcome.venue} {' '.join(outcome.kinds)}"
            account.problems[name] = outcome.problem
            print(name, outcome.problem, file=sys.stderr, flush=True)
        if number - first == max(count // 10, 1):
            early_mb = memory_mb()
    account.kinds = dict(sorted(kinds.items()))
    account.back_p50_s, account.back_p99_s = (float(np.quantile(back, q)) for q in (0.5, 0.99))
    account.cpu_s = time.process_time() - began_s
    account.memory_growth_mb = memory_mb() - early_mb
    return account


def memory_mb() -> float:
    """Resident now, after a collection; the peak where the system does not say."""
    gc.collect()
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def main() -> None:
    first, count = int(sys.argv[1]), int(sys.argv[2])
    account = run_range(first, count)
    print(msgspec.json.format(msgspec.json.encode(account), indent=2).decode())


if __name__ == "__main__":
    main()
