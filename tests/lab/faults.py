"""Seeded fault scenarios in memory: `python -m tests.lab.faults FIRST COUNT` prints the account.

Scenario n is a venue, one to three faults of every kind there is, and the feed, decoder and engine
of the terminal on a virtual clock; the same n gives the same run. With `--journal FILE` every
outcome is a line of that file, and scenarios that stand there are not run again: a long range can
be interrupted, and split between processes that have a file each. `--sum FILE...` accounts for all.

    python -m tests.lab.faults 0 5000 --journal a.jsonl &
    python -m tests.lab.faults 5000 5000 --journal b.jsonl; wait
    python -m tests.lab.faults --sum a.jsonl b.jsonl
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
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


class Memory(msgspec.Struct, frozen=True, tag=True):
    """Of a process, after so many scenarios."""

    process: int
    done: int
    resident_mb: float
    cpu_s: float


class Account(msgspec.Struct):
    """What scenarios showed. Scenarios by number where something is wrong with them."""

    scenarios: int = 0
    first: int = -1
    last: int = -1
    compared: int = 0  # books compared with the venue's own
    wrong_books: list[int] = []  # a book or a trade that the venue never had was served
    crashes: list[int] = []
    late: list[int] = []  # live again later than allowed, or never
    invisible_losses: list[int] = []  # lost, and no gap tells of it
    doubled: list[int] = []
    leaks: list[int] = []  # sockets or tasks are left
    problems: dict[str, str] = {}
    kinds: dict[str, int] = {}
    book_losses: int = 0
    gaps_told: int = 0
    malformed: int = 0
    lost_trades: int = 0  # all of them told, but where ids do not count and the venue left them out
    repaired_trades: int = 0  # that REST brought after their stream had lost them
    back_p50_s: float = 0.0
    back_p99_s: float = 0.0
    back_over_allowed_max: float = 0.0
    cpu_s: float = 0.0
    memory_growth_mb: float = 0.0  # of a process, from its first hundred scenarios to its end

    @property
    def wrong(self) -> int:
        return len(self.wrong_books)


_LISTS: tuple[tuple[str, Callable[[Outcome], bool]], ...] = (
    ("wrong_books", lambda o: o.wrong > 0),
    ("crashes", lambda o: o.problem.startswith(("crash", "the feed ended"))),
    ("late", lambda o: o.back_s > o.allowed_s or "not live again" in o.problem),
    ("invisible_losses", lambda o: "no gap tells" in o.problem),
    ("doubled", lambda o: "came twice" in o.problem),
    ("leaks", lambda o: "left open" in o.problem),
)


def account_of(outcomes: Iterable[Outcome], memory: Iterable[Memory] = ()) -> Account:
    """Sums over scenarios, in any order; each counts once."""
    all_of = sorted({o.seed: o for o in outcomes}.values(), key=lambda o: o.seed)
    account = Account(len(all_of))
    if not all_of:
        return account
    account.first, account.last = all_of[0].seed, all_of[-1].seed
    for name, is_one in _LISTS:
        setattr(account, name, [o.seed for o in all_of if is_one(o)])
    account.problems = {
        f"{o.seed} {o.venue} {' '.join(o.kinds)}": o.problem for o in all_of if o.problem
    }
    account.kinds = dict(sorted(Counter(kind for o in all_of for kind in o.kinds).items()))
    account.compared = sum(o.compared for o in all_of)
    account.book_losses = sum(o.losses for o in all_of)
    account.gaps_told = sum(o.gaps for o in all_of)
    account.malformed = sum(o.decode_errors for o in all_of)
    account.lost_trades = sum(o.lost_trades for o in all_of)
    account.repaired_trades = sum(o.repaired_trades for o in all_of)
    back = [o for o in all_of if o.back_s >= 0.0]
    if back:
        waits = [o.back_s for o in back]
        account.back_p50_s, account.back_p99_s = (float(np.quantile(waits, q)) for q in (0.5, 0.99))
        account.back_over_allowed_max = max(o.back_s / o.allowed_s for o in back)
    of_process: dict[int, list[Memory]] = {}
    for mark in memory:
        of_process.setdefault(mark.process, []).append(mark)
    for marks in of_process.values():
        account.cpu_s += marks[-1].cpu_s
        growth_mb = marks[-1].resident_mb - marks[0].resident_mb
        account.memory_growth_mb = max(account.memory_growth_mb, growth_mb)
    return account


def run_range(first: int, count: int, journal: Path | None = None) -> Account:
    """Run them one after the other, but for those that the journal knows."""
    outcomes, memory = read_journal([journal]) if journal is not None else ([], [])
    known = {outcome.seed for outcome in outcomes}
    began_s, done = time.process_time(), 0
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context(journal.open("ab")) if journal is not None else None

        def note(entry: Outcome | Memory) -> None:
            if lines is not None:
                lines.write(msgspec.json.encode(entry) + b"\n")
                lines.flush()

        def mark() -> None:
            memory.append(Memory(os.getpid(), done, memory_mb(), time.process_time() - began_s))
            note(memory[-1])

        for number in range(first, first + count):
            if number in known:
                continue
            outcome = run_scenario(number)
            done += 1
            outcomes.append(outcome)
            note(outcome)
            if done % 10 == 0:
                gc.collect()  # arrays in cycles are large and few: the collector would come late
            if outcome.problem:
                name = f"{number} {outcome.venue} {' '.join(outcome.kinds)}"
                print(name, outcome.problem, file=sys.stderr, flush=True)
            if done % 100 == 0:
                mark()
        if done % 100:
            mark()
    return account_of((o for o in outcomes if first <= o.seed < first + count), memory)


def read_journal(paths: Iterable[Path]) -> tuple[list[Outcome], list[Memory]]:
    """What earlier runs wrote; a last line that was cut off is left out."""
    outcomes: list[Outcome] = []
    memory: list[Memory] = []
    decoder = msgspec.json.Decoder(Outcome | Memory)
    for path in paths:
        for line in path.read_bytes().splitlines() if path.exists() else []:
            with contextlib.suppress(msgspec.DecodeError):
                entry = decoder.decode(line)
                if isinstance(entry, Outcome):
                    outcomes.append(entry)
                else:
                    memory.append(entry)
    return outcomes, memory


def memory_mb() -> float:
    """Resident now, after a collection; the peak where the system does not say."""
    gc.collect()
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    reader.add_argument("first", type=int, nargs="?", default=0)
    reader.add_argument("count", type=int, nargs="?", default=0)
    reader.add_argument("--journal", type=Path)
    reader.add_argument("--sum", type=Path, nargs="+", default=[], metavar="FILE")
    given = reader.parse_args()
    if given.sum:
        account = account_of(*read_journal(given.sum))
    else:
        run_scenario(given.first)
        gc.collect()
        gc.freeze()  # what is compiled and imported stays, and need not be looked at again
        account = run_range(given.first, given.count, given.journal)
    print(msgspec.json.format(msgspec.json.encode(account), indent=2).decode())


if __name__ == "__main__":
    main()
