"""Two foreign clients follow the built-in venues and must end with the venues' own truth.

ccxt.pro and cryptofeed run unmodified but for base addresses and the choice of the contracts that
exist here. When the market's clock is stopped, their books, the trades they saw and the open
interest they fetch are compared with what the servers hold. What they reject is a fault of ours.

    python -m benchmarks.outsiders --seconds 60 [--lab-python .venv/bin/python]

Prints one JSON object; exit code 1 when anything differs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

BASES = ("BTC", "ETH", "SOL")
SETTLE_S = 3.0  # what is on the way when the clock stops still arrives
# Of the clients, not of our servers: reported, not counted.
KNOWN = {
    "cryptofeed binance trades": "it asks for aggTrade without a path, which the venue has met "
    "with silence since 2026-04-23; so do we",
    "cryptofeed bybit open interest": "it hands on the venue's two-sided figure",
    "ccxt.pro bybit open interest": "it asks for the history of five minutes, no live figure",
}
Truth = dict[str, dict[str, Any]]
Endpoints = dict[str, list[str]]


class Lab:
    """The venue servers as a process of their own."""

    def __init__(self, python: str, bases: tuple[str, ...]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        certificate, key = (f"{self._folder.name}/{name}.pem" for name in ("certificate", "key"))
        # cryptofeed insists on secure sockets: a certificate of our own, trusted by this process.
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
                *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
                *("-keyout", key, "-out", certificate),
            ],
            check=True,
            capture_output=True,
        )
        os.environ["SSL_CERT_FILE"] = certificate
        command = [python, "-m", "liqfield.lab", "--history-h=0.5", f"--markets={','.join(bases)}"]
        command += ["--tls", certificate, key]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
        )
        self.endpoints: Endpoints = json.loads(self._line())

    def freeze(self) -> Truth:
        """Stop the market and say what is true."""
        assert self._process.stdin is not None
        self._process.stdin.write("freeze\n")
        self._process.stdin.flush()
        truth: Truth = json.loads(self._line())
        return truth

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._folder.cleanup()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the lab ended before it began")
        return line


class Seen:
    """What a client knows of one instrument, in USD and base coins."""

    def __init__(self) -> None:
        self.bids: list[tuple[float, float]] = []
        self.asks: list[tuple[float, float]] = []
        self.trades: dict[str, tuple[int, float]] = {}
        self.open_interest: float | None = None
        self.books = 0
        self.resumed: list[str] = []


def compare(
    seen: Seen, truth: dict[str, Any], settled_ms: int, *, sides: float = 1.0, trades: bool = True
) -> list[str]:
    """What differs, in words; [] when the client ended with the truth.

    sides: 2 for a client that hands on Bybit's two-sided figure as it is. trades: False for one
    that cannot get them (see KNOWN).
    """
    wrong = []
    for name, mine, theirs in (
        ("bids", seen.bids, truth["bids"]),
        ("asks", seen.asks, truth["asks"]),
    ):
        depth = min(len(mine), len(theirs))
        if depth < 5:
            wrong.append(f"{name}: only {depth} levels")
            continue
        for (price, size), (true_price, true_size) in zip(mine, theirs, strict=False):
            if abs(price / true_price - 1) > 1e-9 or abs(size / true_size - 1) > 1e-6:
                wrong.append(f"{name}: {price} x {size}, true is {true_price} x {true_size}")
                break
    mine_sum = sum(size for at, size in seen.trades.values() if at >= settled_ms)
    true_sum = sum(size for at, size in truth["trades"] if at >= settled_ms)
    if trades and abs(mine_sum - true_sum) > 1e-6 * max(true_sum, 1e-9):
        wrong.append(f"trades: {mine_sum:.8f} coins, true is {true_sum:.8f}")
    oi, true_oi = seen.open_interest, sides * truth["open_interest"]
    if oi is not None and abs(oi / true_oi - 1) > 1e-4:
        wrong.append(f"open interest: {oi}, true is {true_oi}")
    return wrong


# ---- ccxt.pro ------------------------------------------------------------------------------------


def ccxt_clients(endpoints: Endpoints) -> dict[str, Any]:
    """One client a venue, told our addresses and to load swaps only."""
    import ccxt.pro

    clients: dict[str, Any] = {}
    rest, ws, _ = endpoints["binance"]
    client = ccxt.pro.binanceusdm({"options": {"fetchMarkets": {"types": ["linear"]}}})
    for key, value in client.urls["api"].items():
        if key.startswith("fapi"):
            path = value.partition(".com")[2]
            client.urls["api"][key] = rest + path
    client.urls["api"]["ws"]["linear"] = f"{ws}/ws"
    clients["binance"] = client
    rest, ws, _ = endpoints["bybit"]
    client = ccxt.pro.bybit({"options": {"fetchMarkets": {"types": ["linear"]}}})
    client.urls["api"]["public"] = rest
    client.urls["api"]["ws"]["public"]["linear"] = f"{ws}/v5/public/linear"
    clients["bybit"] = client
    rest, ws, _ = endpoints["okx"]
    client = ccxt.pro.okx({"options": {"fetchMarkets": {"types": ["swap"]}}})
    client.urls["api"]["rest"] = rest
    client.urls["api"]["ws"] = f"{ws}/ws/v5"
    clients["okx"] = client
    rest, ws, _ = endpoints["hyperliquid"]
    client = ccxt.pro.hyperliquid({"options": {"fetchMarkets": {"types": ["swap"]}}})
    client.urls["api"]["public"] = rest
    client.urls["api"]["ws"]["public"] = f"{ws}/ws"
    clients["hyperliquid"] = client
    for client in clients.values():
        # By default it forgets all but the newest thousand trades between two looks.
        client.options["tradesLimit"] = 100_000
    return clients


CCXT_SYMBOL = {"hyperliquid": "{}/USDC:USDC"}


async def follow_ccxt(venue: str, client: Any, base: str, seen: Seen, errors: list[str]) -> None:
    """Books and trades for ever."""
    from ccxt.base.errors import NetworkError

    symbol = CCXT_SYMBOL.get(venue, "{}/USDT:USDT").format(base)
    size = float(client.market(symbol).get("contractSize") or 1.0)

    async def books() -> None:
        while True:
            book = await client.watch_order_book(symbol)
            seen.bids = [(level[0], level[1] * size) for level in book["bids"][:20]]
            seen.asks = [(level[0], level[1] * size) for level in book["asks"][:20]]
            seen.books += 1

    async def trades() -> None:
        while True:
            for trade in await client.watch_trades(symbol):
                if trade["info"].get("X", "MARKET") != "MARKET":
                    continue  # insurance fund and ADL, which no venue counts as volume
                key = f"{trade['id']} {trade['timestamp']}"
                seen.trades[key] = (trade["timestamp"], trade["amount"] * size)

    async def guarded(work: Callable[[], Any], name: str) -> None:
        """It reconnects at the next call: after a network error that call is ours to make."""
        while True:
            try:
                await work()
            except NetworkError as error:
                seen.resumed.append(f"{name}: {type(error).__name__}: {str(error)[:80]}")
            except Exception as error:
                errors.append(f"{venue} {base} {name}: {type(error).__name__}: {str(error)[:300]}")
                return

    await asyncio.gather(guarded(books, "book"), guarded(trades, "trades"))


async def ccxt_open_interest(venue: str, client: Any, base: str, seen: Seen) -> None:
    symbol = CCXT_SYMBOL.get(venue, "{}/USDT:USDT").format(base)
    size = float(client.market(symbol).get("contractSize") or 1.0)
    if venue == "bybit":
        rows = await client.fetch_open_interest(symbol)
        seen.open_interest = None  # its history endpoint is minutes old: no live figure to compare
        del rows
        return
    row = await client.fetch_open_interest(symbol)
    amount = row.get("openInterestAmount")
    seen.open_interest = float(amount) * (size if venue == "okx" else 1.0) if amount else None


# ---- cryptofeed ----------------------------------------------------------------------------------


def cryptofeed_handler(endpoints: Endpoints, seen: dict[str, Seen]) -> Any:
    """A FeedHandler on our addresses; its callbacks fill `seen`."""
    from cryptofeed import FeedHandler
    from cryptofeed.connection import RestEndpoint, WebsocketEndpoint
    from cryptofeed.defines import L2_BOOK, OPEN_INTEREST, TRADES
    from cryptofeed.exchanges import OKX, BinanceFutures, Bybit

    def key(venue: str, symbol: str) -> str:
        base = symbol.partition("-")[0]
        return {
            "binance": f"binance:{base}USDT",
            "bybit": f"bybit:{base}USDT",
            "okx": f"okx:{base}-USDT-SWAP",
        }[venue]

    def moved(kind: Any, venue: str, hosts: tuple[str, ...]) -> Any:
        """The class with its addresses replaced, nothing else."""
        rest, _, ws = endpoints[venue]

        def at(address: str, base: str) -> str:
            for host in hosts:
                address = address.replace(host, base)
            return address

        body: dict[str, Any] = {
            "websocket_endpoints": [
                WebsocketEndpoint(
                    at(e.address, ws),
                    instrument_filter=e.instrument_filter,
                    channel_filter=e.channel_filter,
                    options=e.options,
                )
                for e in kind.websocket_endpoints
            ],
            "rest_endpoints": [
                RestEndpoint(at(e.address, rest), routes=e.routes) for e in kind.rest_endpoints
            ],
        }
        return type(kind.__name__, (kind,), body)

    handler = FeedHandler(config={"log": {"disabled": True}, "uvloop": False})
    scale = {"binance": 1.0, "bybit": 1.0}
    okx_size = {"BTC": 0.01, "ETH": 0.1, "SOL": 1.0}

    def factor(venue: str, symbol: str) -> float:
        return scale.get(venue, okx_size.get(symbol.partition("-")[0], 1.0))

    def callbacks(venue: str) -> dict[str, Any]:
        async def book(made: Any, at: float) -> None:
            del at
            mine = seen[key(venue, made.symbol)]
            size = factor(venue, made.symbol)
            mine.books += 1
            bids, asks = made.book.bids, made.book.asks
            mine.bids = [
                (float(bids.index(i)[0]), float(bids.index(i)[1]) * size)
                for i in range(min(20, len(bids)))
            ]
            mine.asks = [
                (float(asks.index(i)[0]), float(asks.index(i)[1]) * size)
                for i in range(min(20, len(asks)))
            ]

        async def trade(made: Any, at: float) -> None:
            del at
            mine = seen[key(venue, made.symbol)]
            amount = float(made.amount) * factor(venue, made.symbol)
            mine.trades[str(made.id)] = (round(made.timestamp * 1e3), amount)

        async def interest(made: Any, at: float) -> None:
            del at
            seen[key(venue, made.symbol)].open_interest = float(made.open_interest) * factor(
                venue, made.symbol
            )

        return {L2_BOOK: book, TRADES: trade, OPEN_INTEREST: interest}

    symbols = [f"{base}-USDT-PERP" for base in BASES]
    for venue, kind, hosts in (
        ("binance", BinanceFutures, ("https://fapi.binance.com", "wss://fstream.binance.com")),
        ("bybit", Bybit, ("https://api.bybit.com", "wss://stream.bybit.com")),
        ("okx", OKX, ("https://www.okx.com", "wss://ws.okx.com:8443")),
    ):
        made = callbacks(venue)
        feed = moved(kind, venue, hosts)
        channels = [L2_BOOK, TRADES, OPEN_INTEREST]
        handler.add_feed(feed(symbols=symbols, channels=channels, callbacks=made))
    return handler


# ---- run -----------------------------------------------------------------------------------------


async def run(seconds: float, lab_python: str, which: str) -> dict[str, Any]:
    lab = Lab(lab_python, BASES)
    report: dict[str, Any] = {"seconds": seconds, "clients": {}}
    tasks: list[asyncio.Task[None]] = []
    errors: list[str] = []
    ccxt_seen: dict[str, Seen] = {}
    feed_seen: dict[str, Seen] = {}
    names = {
        "binance": "binance:{}USDT",
        "bybit": "bybit:{}USDT",
        "okx": "okx:{}-USDT-SWAP",
        "hyperliquid": "hyperliquid:{}",
    }
    clients: dict[str, Any] = {}
    handler: Any = None
    try:
        if which in ("all", "ccxt"):
            for venue, client in ccxt_clients(lab.endpoints).items():
                try:
                    await client.load_markets()
                except Exception as error:
                    errors.append(f"ccxt {venue} markets: {type(error).__name__}: {error}"[:400])
                    await client.close()
                    continue
                clients[venue] = client
                for base in BASES:
                    seen = ccxt_seen[names[venue].format(base)] = Seen()
                    tasks.append(
                        asyncio.create_task(follow_ccxt(venue, client, base, seen, errors))
                    )
        if which in ("all", "cryptofeed"):
            for venue in ("binance", "bybit", "okx"):
                for base in BASES:
                    feed_seen[names[venue].format(base)] = Seen()
            try:
                handler = await asyncio.to_thread(cryptofeed_handler, lab.endpoints, feed_seen)
                handler.run(start_loop=False, install_signal_handlers=False)
            except Exception as error:
                errors.append(f"cryptofeed: {type(error).__name__}: {error}"[:400])
        await asyncio.sleep(5.0)
        settled_ms = int(time.time() * 1e3)
        await asyncio.sleep(seconds)
        truth = await asyncio.to_thread(lab.freeze)
        await asyncio.sleep(SETTLE_S)
        for key, seen in ccxt_seen.items():
            venue = key.partition(":")[0]
            base = next(b for b in BASES if b in key)
            try:
                await ccxt_open_interest(venue, clients[venue], base, seen)
            except Exception as error:
                errors.append(f"ccxt {key} open interest: {type(error).__name__}: {error}"[:400])
        for name, found in (("ccxt.pro", ccxt_seen), ("cryptofeed", feed_seen)):
            report["clients"][name] = {
                key: {
                    "books": seen.books,
                    "resumed": seen.resumed,
                    "trades": len(seen.trades),
                    "open_interest": seen.open_interest,
                    "wrong": compare(
                        seen,
                        truth[key],
                        settled_ms,
                        sides=2.0 if (name, key[:5]) == ("cryptofeed", "bybit") else 1.0,
                        trades=(name, key[:7]) != ("cryptofeed", "binance"),
                    ),
                }
                for key, seen in found.items()
            }
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in clients.values():
            await client.close()
        if handler is not None:
            with contextlib.suppress(Exception):
                await handler.stop_async()
        lab.stop()
    report["errors"] = errors
    report["known"] = KNOWN
    wrong = [w for c in report["clients"].values() for row in c.values() for w in row["wrong"]]
    report["is_true"] = not errors and not wrong
    return report


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.outsiders", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--lab-python", default=sys.executable)
    parser.add_argument("--which", choices=("all", "ccxt", "cryptofeed"), default="all")
    args = parser.parse_args()
    report = asyncio.run(run(args.seconds, args.lab_python, args.which))
    print(json.dumps(report, indent=2))
    raise SystemExit(0 if report["is_true"] else 1)


if __name__ == "__main__":
    main()
