"""Feeds and decoding under the load of a busy day, beside ccxt.pro on the same servers.

BTC, ETH and SOL on four venues with full books, and 100 altcoins on Binance, from the built-in
venues over real sockets. Shares of a core are CPU seconds a second of market; saturation is the
rate at which they would fill one core. Wall-clock delays depend on what else the machine does, so
that its load is printed beside them.

    python -m benchmarks.load --seconds 20 [--record] [--peer-python PYTHON]

With --record the frames are recorded as they come, as the terminal does, and packed afterwards, as
its upkeep does beside it: `packing_core_share` is what the packer needs to keep up with them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MAJORS = ("BTC", "ETH", "SOL")
VENUES = ("binance", "bybit", "okx", "hyperliquid")
ALTCOINS = 100
# Level changes and trades of a step of 100 ms: of an altcoin, and how much busier a major is.
CHANGES, TRADES, BUSY = 6.0, 0.3, {"BTC": 16.0, "ETH": 12.0, "SOL": 6.0}


def altcoin(number: int) -> str:
    return f"ALT{number}"


# ---- the servers ---------------------------------------------------------------------------------


async def serve(rate: float) -> None:
    """In a process of its own, until standard input closes."""
    import msgspec

    from liqfield.lab.market_setup import BASES, instrument
    from liqfield.lab.quick_market import QuickMarket
    from liqfield.lab.servers.servers import LabServers

    majors = [(instrument(v, base), BASES[base].price) for v in VENUES for base in MAJORS]
    model = instrument("binance", "SOL")
    alts = [
        (
            msgspec.structs.replace(
                model,
                id=f"binance:{altcoin(n)}USDT",
                symbol=f"{altcoin(n)}USDT",
                base=altcoin(n),
            ),
            50.0 + n,
        )
        for n in range(ALTCOINS)
    ]
    busy = {of.id: rate * BUSY[of.base] for of, _ in majors}
    busy |= {of.id: rate for of, _ in alts}
    start_ns = time.time_ns() // 10**9 * 10**9
    market = QuickMarket(
        [*majors, *alts],
        start_ns=start_ns,
        levels=400,
        changes=CHANGES,
        trades=TRADES,
        busy=busy,
    )
    servers = LabServers(market)
    print(json.dumps(await servers.start()), flush=True)
    running = asyncio.create_task(servers.run())
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await servers.stop()


# ---- this program --------------------------------------------------------------------------------


async def follow(
    endpoints: dict[str, list[str]], seconds: float, recording: Path | None = None
) -> dict[str, Any]:
    """Feeds and decoders; an engine that follows nothing, so that its own work is not counted.

    recording: a folder that takes the frames."""
    import aiohttp
    import numpy as np

    from liqfield.app.pipeline import Pipeline
    from liqfield.engine.engine import Engine
    from liqfield.feeds.intake import Intake
    from liqfield.feeds.transport import NetTransport
    from liqfield.feeds.venue_feed import VenueFeed
    from liqfield.model.events import Event, Frame
    from liqfield.store.frames import RecordWriter
    from liqfield.venues import registry

    venues = registry.make(VENUES)
    rules = {name: venue.book_rule for name, venue in venues.items()}
    feeds: dict[str, VenueFeed] = {}
    events = 0
    delays_ns: list[int] = []

    def observe(frame: Frame, made: Any) -> None:
        nonlocal events
        events += len(made)
        found: list[Event] = made
        feeds[frame.venue].observe(frame, found)
        if frame.source.startswith("ws:"):
            delays_ns.append(time.time_ns() - frame.received_ns)

    writer = None if recording is None else RecordWriter(recording)
    engine = Engine(rules, frozenset())
    pipeline = Pipeline(engine, venues, recorder=writer, on_events=observe)
    intake = Intake()

    async def consume() -> None:
        while True:
            pipeline.consume(await intake.drain(256))
            await asyncio.sleep(0)

    async with aiohttp.ClientSession() as session:
        tasks = [asyncio.create_task(consume())]
        for name, venue in venues.items():
            rest_url, ws_url = endpoints[name]
            feeds[name] = VenueFeed(
                venue,
                intake.put,
                transport=NetTransport(session),
                rest_url=rest_url,
                ws_url=ws_url,
            )
            await feeds[name].prepare(("BTC",))
            while len(intake):
                await asyncio.sleep(0.01)
            mine = [of for of in pipeline.engine.instruments.values() if of.venue == name]
            feeds[name].follow(mine)
            tasks.append(asyncio.create_task(feeds[name].run()))
        await asyncio.sleep(6.0)
        delays_ns.clear()
        events, frames = 0, sum(pipeline.frames.values())
        cpu_s, wall_s = time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
        frames = sum(pipeline.frames.values()) - frames
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if writer is not None:
        writer.close()
    p50, p99 = (float(np.quantile(delays_ns, q)) / 1e6 for q in (0.5, 0.99))
    return {
        "frames_per_s": round(frames / wall_s),
        "events_per_s": round(events / wall_s),
        "cpu_us_per_frame": round(1e6 * cpu_s / max(frames, 1), 1),
        "core_share": round(cpu_s / wall_s, 3),
        "saturates_at_frames_per_s": round(frames / cpu_s),
        "frame_to_engine_ms_p50": round(p50, 2),
        "frame_to_engine_ms_p99": round(p99, 2),
        "dropped": intake.dropped,
        "decode_errors": pipeline.decode_errors,
    }


def pack(folder: Path, frames_per_s: float) -> dict[str, Any]:
    """What packing a recording takes, and keeping up with so many frames."""
    from liqfield.store import upkeep
    from liqfield.store.frames import read_records

    frames = sum(1 for _ in read_records(folder))
    cpu_s = time.process_time()
    packed = list(upkeep.pack(folder, time.time() + 2.0 * upkeep.QUIET_S))
    cpu_s = time.process_time() - cpu_s
    return {
        "packed_frames": frames,
        "packing_us_per_frame": round(1e6 * cpu_s / max(frames, 1), 1),
        "packing_core_share": round(cpu_s / max(frames, 1) * frames_per_s, 3),
        "packed_bytes_share": round(
            sum(p.bytes_after for p in packed) / max(sum(p.bytes_before for p in packed), 1), 3
        ),
    }


# ---- the peer ------------------------------------------------------------------------------------


async def follow_ccxt(endpoints: dict[str, list[str]], seconds: float) -> dict[str, Any]:
    """ccxt.pro watching the books and trades of the same instruments."""
    from benchmarks.outsiders import CCXT_SYMBOL, ccxt_clients

    clients = ccxt_clients({name: [*urls, ""] for name, urls in endpoints.items()})
    tasks: list[asyncio.Task[None]] = []
    received = 0
    failed: set[str] = set()

    async def watch(client: Any, method: str, symbol: str) -> None:
        while True:
            try:
                await getattr(client, method)(symbol)
            except Exception as error:
                failed.add(f"{type(error).__name__}: {str(error)[:80]}")
                await asyncio.sleep(1.0)

    for venue, client in clients.items():
        for attempt in range(5):
            try:
                await client.load_markets()
                break
            except Exception:
                if attempt == 4:
                    raise
        bases = [*MAJORS, *(altcoin(n) for n in range(ALTCOINS))] if venue == "binance" else MAJORS

        def counted(client: Any, message: Any, handle: Any = client.handle_message) -> Any:
            nonlocal received
            received += 1
            return handle(client, message)

        client.handle_message = counted
        for base in bases:
            symbol = CCXT_SYMBOL.get(venue, "{}/USDT:USDT").format(base)
            tasks += [
                asyncio.create_task(watch(client, method, symbol))
                for method in ("watch_order_book", "watch_trades")
            ]
    await asyncio.sleep(10.0)
    began = received
    cpu_s, wall_s = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
    frames = received - began
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for client in clients.values():
        await client.close()
    return {
        "frames_per_s": round(frames / wall_s),
        "cpu_us_per_frame": round(1e6 * cpu_s / max(frames, 1), 1),
        "core_share": round(cpu_s / wall_s, 3),
        "saturates_at_frames_per_s": round(frames / cpu_s),
        "failed": sorted(failed)[:5],
    }


# ---- run -----------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=1.0, help="factor on all message rates")
    parser.add_argument("--record", action="store_true", help="record and pack the frames too")
    parser.add_argument("--peer-python", default="", help="has ccxt; without it no comparison")
    parser.add_argument("--part", choices=("all", "serve", "ours", "peer"), default="all")
    args = parser.parse_args()
    if args.part == "serve":
        asyncio.run(serve(args.rate))
        return
    if args.part != "all":
        endpoints = json.loads(sys.stdin.readline())
        if args.part == "peer":
            found = asyncio.run(follow_ccxt(endpoints, args.seconds))
        elif args.record:
            with tempfile.TemporaryDirectory(prefix="liqfield-load-") as made:
                found = asyncio.run(follow(endpoints, args.seconds, Path(made)))
                found |= pack(Path(made), found["frames_per_s"])
        else:
            found = asyncio.run(follow(endpoints, args.seconds))
        print(json.dumps(found))
        return
    command = ["-m", "benchmarks.load", f"--seconds={args.seconds}", f"--rate={args.rate}"]
    command += ["--record"] * args.record
    server = subprocess.Popen(
        [sys.executable, *command, "--part=serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    line = server.stdout.readline()
    report: dict[str, Any] = {"rate": args.rate, "machine_load": os.getloadavg()[0]}
    try:
        for name, python in (("ours", sys.executable), ("peer", args.peer_python)):
            if python:
                done = subprocess.run(
                    [python, *command, f"--part={name}"],
                    input=line,
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                report[name] = json.loads(done.stdout)
    finally:
        server.stdin.close()
        server.wait(10)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
