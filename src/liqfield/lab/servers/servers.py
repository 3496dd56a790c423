"""All venues of one market on loopback, driven by one clock."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import msgspec

from liqfield.lab.market_types import LIQUIDATION, BookChanges, InstrumentStep, Market, Trades
from liqfield.lab.servers.binance import BinanceProtocol
from liqfield.lab.servers.bybit import BybitProtocol
from liqfield.lab.servers.desk import VenueProtocol
from liqfield.lab.servers.faults import FaultPlan
from liqfield.lab.servers.hyperliquid import HyperliquidProtocol
from liqfield.lab.servers.okx import OkxProtocol
from liqfield.lab.servers.shell import VenueServer
from liqfield.model.durations import MS
from liqfield.model.events import FloatArray, IntArray

PROTOCOLS: dict[str, Callable[[Market], VenueProtocol]] = {
    "binance": BinanceProtocol,
    "bybit": BybitProtocol,
    "okx": OkxProtocol,
    "hyperliquid": HyperliquidProtocol,
}
STEP_S = 0.1
TRADES_KEPT = 200_000
Table = TypeVar("Table", Trades, BookChanges)


class LabServers:
    """`start()` binds and gives addresses; `run()` advances the market in real time, 10 Hz."""

    def __init__(
        self,
        market: Market,
        venues: tuple[str, ...] = tuple(PROTOCOLS),
        plan: FaultPlan | None = None,
    ) -> None:
        self.market = market
        self.servers = {name: VenueServer(PROTOCOLS[name](market), plan) for name in venues}
        self.late_steps = 0
        self._last: dict[str, InstrumentStep] = {}
        # (time in ms, base coins) of the public trades, the newest; for `truth`
        self._told: dict[str, deque[tuple[int, float]]] = {
            of.id: deque(maxlen=TRADES_KEPT) for of in market.instruments
        }

    async def start(self, tls: ssl.SSLContext | None = None) -> dict[str, tuple[str, str]]:
        """venue -> (rest_url, ws_url), all on 127.0.0.1."""
        self.step(self.market.now_ns)
        return {name: await server.start(tls) for name, server in self.servers.items()}

    def step(self, until_ns: int) -> None:
        """Advance the market and send what came of it."""
        steps = self.market.advance(until_ns)
        for key, step in steps.items():
            self._last[key] = step
            told = step.trades.kind <= LIQUIDATION
            self._told[key].extend(
                zip(
                    (step.trades.event_ns[told] // MS).tolist(),
                    step.trades.quantity[told].tolist(),
                    strict=True,
                )
            )
        for name, server in self.servers.items():
            mine = [s for key, s in steps.items() if key.startswith(name + ":")]
            server.tick(self.market.now_ns)
            server.broadcast(server.protocol.step(mine, self.market.now_ns))

    def repeat(self) -> None:
        """The market stands still, and venues that repeat whole books go on doing so."""
        later_ns = self.market.now_ns + 6_000_000_000
        for name, server in self.servers.items():
            still = [
                msgspec.structs.replace(step, trades=_first(step.trades), book=_first(step.book))
                for key, step in self._last.items()
                if key.startswith(name + ":")
            ]
            server.broadcast(server.protocol.step(still, later_ns))

    def truth(self) -> dict[str, dict[str, object]]:
        """Per instrument: twenty levels a side in USD and base coins, trades, open interest."""
        out: dict[str, dict[str, object]] = {}
        for of in self.market.instruments:
            book = self.market.book(of.id)
            out[of.id] = {
                "bids": _levels(of.tick_usd, book.bid_ticks, book.bid_quantity),
                "asks": _levels(of.tick_usd, book.ask_ticks, book.ask_quantity),
                "trades": list(self._told[of.id]),
                "open_interest": self._last[of.id].open_interest_base if of.id in self._last else 0,
            }
        return out

    async def run(self) -> None:
        """Real time until cancelled; a late step is made up for at once, never skipped."""
        next_s = time.monotonic()
        while True:
            self.step(time.time_ns())
            next_s += STEP_S
            wait_s = next_s - time.monotonic()
            if wait_s < -1.0:
                self.late_steps += 1
                next_s = time.monotonic()
            await asyncio.sleep(max(wait_s, 0.001))

    async def stop(self) -> None:
        for server in self.servers.values():
            await server.stop()


def _first(table: Table, count: int = 0) -> Table:
    """The first rows of a struct of equally long arrays."""
    return type(table)(*(getattr(table, name)[:count] for name in table.__struct_fields__))


def _levels(unit_usd: float, ticks: IntArray, quantity: FloatArray) -> list[tuple[float, float]]:
    return [
        (tick * unit_usd, size)
        for tick, size in zip(ticks[:20].tolist(), quantity[:20].tolist(), strict=True)
    ]
