"""The built-in market behind the terminal: its servers run as a process of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator

from liqfield.app.markets import parse
from liqfield.app.settings import Settings
from liqfield.app.terminal import Terminal
from liqfield.model.errors import LiqfieldError, SettingError

START_S = 300.0  # the first start compiles the market's kernels


@contextlib.asynccontextmanager
async def lab_servers(
    settings: Settings, seed: int, history_h: float
) -> AsyncIterator[dict[str, tuple[str, str]]]:
    """venue -> (rest_url, ws_url) of a market that lives while the block runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "liqfield.lab",
        f"--seed={seed}",
        f"--markets={','.join(parse(settings.markets, settings.venues).bases)}",
        f"--history-h={history_h}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_S)
        if not line:
            raise LiqfieldError("the built-in market ended before it began: see its message above")
        yield {name: (urls[0], urls[1]) for name, urls in json.loads(line).items()}
    finally:
        process.stdin.close()
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            await asyncio.wait_for(process.wait(), 5.0)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def run_demo(terminal: Terminal, seed: int) -> None:
    """Feed the terminal from a fresh market until cancelled."""
    terminal.progress = "starting the built-in market: one day of its past is being simulated"
    settings, choice = terminal.settings, terminal.choice
    if choice.needs_lists:
        raise SettingError("the built-in market is chosen by base assets: BTC,ETH,SOL,XRP,DOGE")
    async with lab_servers(settings, seed, settings.backfill_h) as endpoints:
        terminal.progress = ""
        missing = [name for name in settings.venues if name not in endpoints]
        if missing:
            # Never a real venue from within the demo.
            names = ", ".join(endpoints)
            raise SettingError(
                f"the built-in market has no venue {missing[0]!r}: valid are {names}"
            )
        await terminal.feed(endpoints)
