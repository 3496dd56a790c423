"""Fan-out: one server, 200 WebSocket clients in another process, 20 kB at 4 Hz, one client stalled.

Latency is from publishing to the client's recv on the same two cores, so the clients' work
is in it.
Peer: `websockets.broadcast` to the same clients, the shortest path there is in Python.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.rows import Row, row
from liqfield.model.estimates import LiquidationDensity
from liqfield.model.sides import PositionSide
from liqfield.server.app import build_app
from liqfield.server.hub import Hub
from liqfield.server.serve import serving
from liqfield.server.sources import ServerSettings
from liqfield.server.wire import Clusters, Flow, MarketInfo, ProjectionReply, Truth
from liqfield.store.candle_history import CandleHistory
from liqfield.store.map_history import MapHistory

CLIENTS, BYTES, HZ, SECONDS = 200, 20_000, 4.0, 5.0
ROOT = Path(__file__).resolve().parents[1]


class _Sources:
    def markets(self) -> Sequence[MarketInfo]:
        return (MarketInfo("BTC", ("binance",), 1),)

    def density(self, base: str, venue: str) -> LiquidationDensity | None:  # noqa: ARG002
        return None

    def clusters(self, base: str, at_ns: int, min_usd: float) -> Clusters | None:  # noqa: ARG002
        return None

    def flow(self, base: str, span_s: float) -> Flow | None:  # noqa: ARG002
        return None

    def truth(self, base: str, venue: str) -> Truth | None:  # noqa: ARG002
        return None

    def projection(
        self,
        base: str,  # noqa: ARG002
        price: float,  # noqa: ARG002
        side: PositionSide,  # noqa: ARG002
        push_usd: float,  # noqa: ARG002
    ) -> ProjectionReply | None:
        return None


async def _client(url: str, latencies_ms: list[float]) -> None:
    async with connect(url, compression=None, max_queue=4, close_timeout=0.2) as socket:
        await socket.send('{"t":"subscribe","topics":["map:BTC:all"]}')
        async for data in socket:
            if isinstance(data, bytes):
                sent_ns = int.from_bytes(data[:8], "little")
                if not sent_ns:
                    return
                latencies_ms.append((time.perf_counter_ns() - sent_ns) / 1e6)


async def _clients(url: str) -> None:
    latencies_ms: list[float] = []
    tasks = []
    for _ in range(CLIENTS):
        tasks.append(asyncio.create_task(_client(url, latencies_ms)))
        await asyncio.sleep(0.002)
    await asyncio.wait(tasks, timeout=SECONDS + 30)
    latencies_ms.sort()
    print(json.dumps(latencies_ms))


async def _measure(
    url: str, publish: Callable[[bytes], None], connected: Callable[[], int]
) -> tuple[list[float], float]:
    """(sorted latencies ms, CPU of this process in % of a core)."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.fanout", url),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        stdout=subprocess.PIPE,
        limit=1 << 24,
    )
    reading = asyncio.create_task(child.communicate())
    while connected() < CLIENTS and not reading.done():
        await asyncio.sleep(0.05)
    filler = os.urandom(BYTES - 8)
    cpu, start = time.process_time(), time.perf_counter()
    for i in range(int(SECONDS * HZ)):
        publish(time.perf_counter_ns().to_bytes(8, "little") + filler)
        await asyncio.sleep(max(start + (i + 1) / HZ - time.perf_counter(), 0))
    used = (time.process_time() - cpu) / (time.perf_counter() - start) * 100
    publish(bytes(8))
    out, _ = await reading
    return json.loads(out.splitlines()[-1]), used


async def _ours() -> tuple[list[float], float, int]:
    hub = Hub()
    maps = MapHistory(None)
    settings = ServerSettings(version="0", source="demo")
    app = build_app(hub, _Sources(), maps, CandleHistory(None), settings)
    async with serving(app, "127.0.0.1", 0) as address:
        url = f"ws://127.0.0.1:{address.port}/ws"
        async with connect(url, compression=None, max_queue=1, close_timeout=0.2) as stalled:
            await stalled.send('{"t":"subscribe","topics":["map:BTC:all"]}')
            latencies, used = await _measure(
                url,
                lambda data: hub.publish("map:BTC:all", data),
                lambda: hub.clients - 1 if hub.followed("map:") else 0,
            )
    maps.close()
    return latencies, used, hub.conflated


async def _peer() -> tuple[list[float], float]:
    sockets: set[ServerConnection] = set()

    async def handler(socket: ServerConnection) -> None:
        sockets.add(socket)
        await socket.wait_closed()
        sockets.discard(socket)

    handle: Callable[[ServerConnection], Awaitable[None]] = handler
    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        return await _measure(
            f"ws://127.0.0.1:{port}", lambda data: broadcast(sockets, data), lambda: len(sockets)
        )


def rows() -> list[Row]:
    latencies, used, _ = asyncio.run(_ours())
    peer_latencies, peer_used = asyncio.run(_peer())
    expected = CLIENTS * SECONDS * HZ
    peer = "websockets.broadcast"
    p50, p99 = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    peer_p50 = peer_latencies[len(peer_latencies) // 2]
    name = f"fan-out {CLIENTS} clients x {BYTES // 1000} kB x {HZ:g} Hz"
    return [
        row(f"{name}: lost frames", expected - len(latencies), "frames", 0.0),
        row(f"{name}: p50", p50, "ms", 50.0) | {"peer": peer, "ratio": p50 / peer_p50},
        row(f"{name}: p99", p99, "ms", 150.0),
        row(f"{name}: server CPU", used, "% core", 40.0)
        | {"peer": peer, "ratio": used / max(peer_used, 1e-9)},
    ]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(_clients(sys.argv[1]))
    else:
        for line in rows():
            print(line)
