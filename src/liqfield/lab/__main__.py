"""`python -m liqfield.lab`: the venue servers as a process of their own.

Prints one JSON line, {"binance": [rest_url, ws_url], ...}, when they listen (with --tls a secure
address as third), and ends when standard input closes: a terminal that dies never leaves its market
running. A line "freeze" on standard
input stops the market's clock and prints one JSON line with the truth of every instrument.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
import time

import msgspec

from liqfield.lab.market import LabMarket
from liqfield.lab.market_setup import BASES, demo_spec
from liqfield.lab.servers.faults import read_plan
from liqfield.lab.servers.servers import LabServers


async def _serve(servers: LabServers, tls: tuple[str, str] | None) -> None:
    context = None
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*tls)
    endpoints = {name: list(urls) for name, urls in (await servers.start(context)).items()}
    if context is not None:
        for name, server in servers.servers.items():
            endpoints[name].append(f"wss://localhost:{server.tls_port}")
    print(json.dumps(endpoints), flush=True)
    loop = asyncio.get_running_loop()
    running = asyncio.create_task(servers.run())
    try:
        while True:
            line = loop.run_in_executor(None, sys.stdin.readline)
            await asyncio.wait([running, line], return_when=asyncio.FIRST_COMPLETED)
            if running.done() and not running.cancelled():
                running.result()
            if not await line:
                return
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            servers.repeat()
            print(json.dumps(servers.truth()), flush=True)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await servers.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="liqfield.lab")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--markets", default="BTC,ETH,SOL")
    parser.add_argument("--history-h", type=float, default=24.0)
    parser.add_argument(
        "--faults", type=read_plan, default=None, help="a seed, or a JSON script of faults"
    )
    parser.add_argument(
        "--tls", nargs=2, metavar=("CERTIFICATE", "KEY"), help="also listen on secure ports"
    )
    args = parser.parse_args()
    bases = tuple(name for name in args.markets.split(",") if name in BASES)
    start_ns = time.time_ns() // 1_000_000_000 * 1_000_000_000
    spec = msgspec.structs.replace(demo_spec(start_ns, bases), history_h=args.history_h)
    asyncio.run(_serve(LabServers(LabMarket(spec, args.seed), plan=args.faults), args.tls))


if __name__ == "__main__":
    main()
