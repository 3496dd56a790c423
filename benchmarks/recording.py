"""What a recording of the built-in venues takes on disk, a venue at a time.

    python -m benchmarks.recording --seconds 660 [--keep FOLDER]

The built-in market runs in a process of its own and in real time, the feeds record it from its
sockets as the terminal does (one recording a venue), and `liqfield.app.packing` measures each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec

from liqfield.app.packing import measure
from liqfield.app.pipeline import Pipeline
from liqfield.engine.engine import Engine
from liqfield.feeds.transport import NetTransport, wall_ns
from liqfield.feeds.venue_feed import VenueFeed
from liqfield.model.events import Event, Frame, Record
from liqfield.model.requests import NeedSnapshot
from liqfield.store.frames import RecordWriter
from liqfield.venues import registry

BASES = ("BTC", "ETH", "SOL")
VENUES = ("binance", "bybit", "okx", "hyperliquid")
TICK_S = 0.25


async def record(endpoints: dict[str, list[str]], folder: Path, seconds: float) -> None:
    """Follow every venue's instruments for so long, each into `folder/<venue>`.

    The time begins when all of them are followed, however long the market took to answer.
    """
    async with aiohttp.ClientSession() as session:
        transport, all_follow = NetTransport(session), asyncio.Barrier(len(VENUES) + 1)
        running = [
            asyncio.create_task(
                _record_one(name, endpoints[name], transport, folder / name, all_follow)
            )
            for name in VENUES
        ]
        for first in asyncio.as_completed([all_follow.wait(), *running]):
            await first  # a feed that cannot begin raises here, before any time is measured
            break
        await asyncio.sleep(seconds)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _record_one(
    name: str,
    urls: Sequence[str],
    transport: NetTransport,
    folder: Path,
    all_follow: asyncio.Barrier,
) -> None:
    venue = registry.VENUES[name]()
    writer = RecordWriter(folder)
    engine = Engine({name: venue.book_rule}, frozenset(BASES))

    def observe(frame: Frame, events: Sequence[Event]) -> None:
        feed.observe(frame, events)

    pipeline = Pipeline(engine, {name: venue}, on_events=observe)

    def sink(record: Record) -> None:
        writer.append(record)
        for output in pipeline.consume([record]):
            if isinstance(output, NeedSnapshot):
                feed.request_snapshot(output)

    feed = VenueFeed(venue, sink, transport=transport, rest_url=urls[0], ws_url=urls[1])
    await feed.prepare(BASES)
    feed.follow([of for of in engine.instruments.values() if of.base in BASES])
    running = asyncio.create_task(feed.run())
    await all_follow.wait()
    try:
        while True:
            await asyncio.sleep(TICK_S)
            writer.tick(wall_ns())
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.recording", description=__doc__)
    parser.add_argument("--seconds", type=float, default=660.0)
    parser.add_argument("--keep", type=Path, help="where the recordings stay")
    args = parser.parse_args()
    lab = subprocess.Popen(
        [sys.executable, "-m", "liqfield.lab", f"--markets={','.join(BASES)}", "--history-h=1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert lab.stdin is not None
    assert lab.stdout is not None
    try:
        endpoints = json.loads(lab.stdout.readline())
        with tempfile.TemporaryDirectory(prefix="liqfield-recording-") as made:
            folder = args.keep or Path(made)
            asyncio.run(record(endpoints, folder, args.seconds))
            for name in VENUES:
                report = msgspec.json.encode(measure(folder / name))
                print(msgspec.json.format(report, indent=2).decode(), flush=True)
    finally:
        lab.stdin.close()
        try:
            lab.wait(10)
        except subprocess.TimeoutExpired:
            lab.kill()


if __name__ == "__main__":
    main()
