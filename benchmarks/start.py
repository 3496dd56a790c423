"""From the start of `liqfield demo` to a moving picture, and where the time goes.

    python -m benchmarks.start [--cold] [--runs N]

Wall seconds from the start of the process to: the address printed, the page's first tile of the
map, and the first live column on the socket. `--cold` empties the kernels' cache first (a folder of
its own, so that nobody else's is touched).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from websockets.asyncio.client import connect

from benchmarks.rows import Row, row

ROOT = Path(__file__).resolve().parents[1]
LATER_START_S, FIRST_START_S, GIVE_UP_S = 5.0, 180.0, 300.0


async def _first_column(url: str, base: str) -> None:
    """Until a map frame comes: binary, sent for every column. A market must be known to follow."""
    async with connect(url, compression=None, max_size=1 << 24, ping_interval=None) as socket:
        async for data in socket:
            if isinstance(data, bytes):
                return
            hello = json.loads(data)
            if hello["t"] == "hello" and any(m["base"] == base for m in hello["markets"]):
                await socket.send(json.dumps({"t": "subscribe", "topics": [f"map:{base}:all"]}))


async def _one(data: str, cache: str, markets: str) -> dict[str, float]:
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from liqfield.app.cli import main; main()"),
        *("demo", "--port", "0", "--no-browser", "--markets", markets),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": str(ROOT / "src"), "NUMBA_CACHE_DIR": cache, "LIQFIELD_DATA_DIR": data},
    )
    assert process.stdout is not None
    seen: dict[str, float] = {}
    try:
        line = b""
        while b"http://" not in line:
            line = await asyncio.wait_for(process.stdout.readline(), GIVE_UP_S)
            if not line:
                raise RuntimeError("the demo ended before it served")
        seen["address printed"] = time.perf_counter() - started
        address = next(word for word in line.decode().split() if word.startswith("http://"))
        url = address.rstrip("/").replace("http", "ws", 1) + "/ws"
        await asyncio.wait_for(_first_column(url, markets.split(",")[0]), GIVE_UP_S)
        seen["first map on the socket"] = time.perf_counter() - started
    finally:
        process.terminate()
        await process.wait()
    return seen


def rows(*, cold: bool, runs: int, markets: str = "BTC,ETH,SOL") -> list[Row]:
    cache = Path(tempfile.gettempdir()) / "liqfield-start-cache"
    if cold:
        shutil.rmtree(cache, ignore_errors=True)
    name, budget = ("first", FIRST_START_S) if cold else ("later", LATER_START_S)
    taken = []
    for _ in range(1 if cold else runs):
        with tempfile.TemporaryDirectory() as data:
            taken.append(asyncio.run(_one(data, str(cache), markets)))
    return [
        row(
            f"{name} start of the demo: {what}",
            statistics.median(run[what] for run in taken),
            "s",
            budget if what.startswith("first map") else None,
        )
        for what in taken[0]
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.start")
    parser.add_argument("--cold", action="store_true", help="with an empty cache of kernels")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--markets", default="BTC,ETH,SOL")
    options = parser.parse_args()
    for one in rows(cold=options.cold, runs=options.runs, markets=options.markets):
        print(f"{one['name']}: {one['value']:.1f} {one['unit']} (budget {one['budget']})")
