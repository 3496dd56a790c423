"""What `liqfield live` prints while it runs: a line when what a user should know has changed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liqfield.app.terminal import Terminal

AGAIN_S = 10.0  # progress that only counts on is said this seldom
EVERY_S = 1.0
QUIET = ("connecting", "running")


class Narrator:
    """Remembers what was said; `lines` gives what is new."""

    def __init__(self) -> None:
        self._venues: dict[str, str] = {}
        self._told: set[str] = set()
        self._subject, self._progress_s = "", -AGAIN_S
        self._hinted = False

    def lines(
        self, venues: Mapping[str, str], problems: Sequence[str], progress: str, now_s: float
    ) -> list[str]:
        """venues: name -> its state in words."""
        out = []
        for name, words in venues.items():
            if words == self._venues.get(name, "connecting"):
                continue
            self._venues[name] = words
            out.append(f"{name}: {words}")
        for problem in problems:
            if problem not in self._told:
                self._told.add(problem)
                out.append(problem)
        subject = progress.partition(":")[0]
        if progress and (subject != self._subject or now_s - self._progress_s >= AGAIN_S):
            self._progress_s = now_s
            out.append(progress)
        self._subject = subject
        if venues and not self._hinted and not any(words in QUIET for words in venues.values()):
            self._hinted = True
            out.append("no venue answers: `liqfield doctor` says what is reachable and why")
        return out


async def narrate(terminal: Terminal) -> None:
    """Until cancelled, on stderr: stdout holds the address alone."""
    narrator, loop = Narrator(), asyncio.get_running_loop()
    while True:
        await asyncio.sleep(EVERY_S)
        venues = {name: feed.rest.detail or feed.state for name, feed in terminal.feeds.items()}
        for line in narrator.lines(venues, terminal.problems, terminal.progress, loop.time()):
            print(line, file=sys.stderr, flush=True)
