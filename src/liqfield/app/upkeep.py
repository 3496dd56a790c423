"""The recording looked after while the terminal runs: packing and retention, in a process of its
own so that feeds and engine keep their time. `python -m liqfield.app.upkeep FOLDER DAYS GB`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import structlog

from liqfield.app.settings import Settings
from liqfield.store import upkeep

EVERY_S = 900.0
log = structlog.get_logger()


async def look_after(folder: Path, settings: Settings) -> None:
    """Every quarter of an hour until cancelled; what fails is told and tried again."""
    if not settings.record:
        return
    while True:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "liqfield.app.upkeep",
            str(folder), str(settings.keep_days), str(settings.keep_gb),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            _, said = await process.communicate()
        except asyncio.CancelledError:
            if process.returncode is None:
                process.kill()  # the store survives that at any moment
                await process.wait()
            raise
        if process.returncode:
            log.warning("upkeep of the recording failed", why=said.decode()[-500:])
        await asyncio.sleep(EVERY_S)


def once(folder: Path, keep_days: float, keep_gb: float) -> None:
    """Pack what is finished, then remove what is too old or too much."""
    frames = folder / upkeep.FRAMES
    for _ in upkeep.pack(frames, time.time()):
        pass
    upkeep.prune(
        frames,
        now_ns=time.time_ns(),
        keep_s=keep_days * 86_400.0,
        keep_bytes=int(keep_gb * 1e9),
    )


if __name__ == "__main__":
    os.nice(15)
    once(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
