"""The built-in market behind the terminal: its servers run as a process of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from liqfield.app.markets import parse
from liqfield.app.settings import Settings
from liqfield.model.errors import LiqfieldError, SettingError

if TYPE_CHECKING:
    from liqfield.app.terminal import Terminal

START_S = 300.0  # the first start compiles the market's kernels


@contextlib.asynccontextmanager
async def lab_process(settings: Settings, seed: int) -> AsyncIterator[Process]:
    """A market that lives while the block runs; `feed_demo` waits until it listens."""
    choice = parse(settings.markets, settings.venues)
    if choice.needs_lists:
        raise SettingError("the built-in market is chosen by base assets: BTC,ETH,SOL,XRP,DOGE")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "liqfield.lab",
        f"--seed={seed}",
        f"--markets={','.join(choice.bases)}",
        f"--history-h={settings.backfill_h}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            async with asyncio.timeout(5.0):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def feed_demo(terminal: Terminal, lab: Process) -> None:
    """Feed the terminal from the market until cancelled."""
    terminal.progress = "starting the built-in market: one day of its past is being simulated"
    assert lab.stdout is not None
    async with asyncio.timeout(START_S):
        line = await lab.stdout.readline()
    if not line:
        raise LiqfieldError("the built-in market ended before it began: see its message above")
    # venue -> (rest_url, ws_url)
    endpoints = {name: (urls[0], urls[1]) for name, urls in json.loads(line).items()}
    terminal.progress = ""
    missing = [name for name in terminal.settings.venues if name not in endpoints]
    if missing:
        # Never a real venue from within the demo.
        names = ", ".join(endpoints)
        raise SettingError(f"the built-in market has no venue {missing[0]!r}: valid are {names}")
    await terminal.feed(endpoints)
