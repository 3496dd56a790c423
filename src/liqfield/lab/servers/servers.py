"""All venues of one market on loopback, driven by one clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from liqfield.lab.market_types import Market
from liqfield.lab.servers.binance import BinanceProtocol
from liqfield.lab.servers.bybit import BybitProtocol
from liqfield.lab.servers.desk import VenueProtocol
from liqfield.lab.servers.faults import FaultPlan
from liqfield.lab.servers.hyperliquid import HyperliquidProtocol
from liqfield.lab.servers.okx import OkxProtocol
from liqfield.lab.servers.shell import VenueServer

PROTOCOLS: dict[str, Callable[[Market], VenueProtocol]] = {
    "binance": BinanceProtocol,
    "bybit": BybitProtocol,
    "okx": OkxProtocol,
    "hyperliquid": HyperliquidProtocol,
}
STEP_S = 0.1


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

    async def start(self) -> dict[str, tuple[str, str]]:
        """venue -> (rest_url, ws_url), all on 127.0.0.1."""
        self.step(self.market.now_ns)
        return {name: await server.start() for name, server in self.servers.items()}

    def step(self, until_ns: int) -> None:
        """Advance the market and send what came of it."""
        steps = self.market.advance(until_ns)
        for name, server in self.servers.items():
            mine = [s for key, s in steps.items() if key.startswith(name + ":")]
            server.tick(self.market.now_ns)
            server.broadcast(server.protocol.step(mine, self.market.now_ns))

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
