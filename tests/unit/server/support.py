"""A small real market behind a real server, for the server's tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import httpx
import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from liqfield.model.estimates import Confidence, LiquidationDensity
from liqfield.model.grid import PriceGrid
from liqfield.model.sides import PositionSide
from liqfield.model.tiles import BIN_WIDTH
from liqfield.server.app import build_app
from liqfield.server.hub import Hub
from liqfield.server.serve import Address, serving
from liqfield.server.sources import ServerSettings
from liqfield.server.wire import Clusters, Flow, MarketInfo, ProjectionReply, ServerMessage, Truth
from liqfield.store.candle_history import CandleHistory
from liqfield.store.map_history import MapHistory

SECOND = 1_000_000_000
T0 = 1_700_000_000 // 640 * 640  # s, the start of a tile of 10 s columns
_decoder = msgspec.json.Decoder(ServerMessage)


def density(
    at_s: float, mark: float = 85_000.0, bins: int = 600, seed: int = 0, usd: float = 1e6
) -> LiquidationDensity:
    """A random map around a mark."""
    rng = np.random.default_rng(seed)
    notional = rng.lognormal(0.0, 1.5, (2, 3, bins)) * usd
    sides = notional.sum(axis=1)
    return LiquidationDensity(
        instrument_id="binance:BTCUSDT",
        at_ns=int(at_s * SECOND),
        mark_price=mark,
        grid=PriceGrid.around(mark, BIN_WIDTH, bins),
        notional_usd=notional,
        p10=sides * 0.5,
        p90=sides * 2.0,
        outside_usd=np.array([1e6, 2e6]),
        open_interest_usd=float(sides[0].sum() + 1e6),
        confidence=Confidence(0.7, ("a test",)),
    )


class Sources:
    """Newest maps by (base, venue)."""

    def __init__(self) -> None:
        self.maps: dict[tuple[str, str], LiquidationDensity] = {}
        self.asked: list[tuple[str, float, PositionSide, float]] = []
        self.reply: ProjectionReply | None = None
        self.truths: dict[tuple[str, str], Truth] = {}
        self.past: Callable[[str, int, float], Clusters | None] = lambda base, at_ns, least: None
        self.listed = [
            MarketInfo("BTC", ("binance", "okx"), 1),
            MarketInfo("ETH", ("binance",), 2),
        ]

    def markets(self) -> Sequence[MarketInfo]:
        return self.listed

    def density(self, base: str, venue: str) -> LiquidationDensity | None:
        return self.maps.get((base, venue))

    def clusters(self, base: str, at_ns: int, min_usd: float) -> Clusters | None:
        return self.past(base, at_ns, min_usd)

    def flow(self, base: str, span_s: float) -> Flow | None:
        return None

    def truth(self, base: str, venue: str) -> Truth | None:
        return self.truths.get((base, venue))

    def projection(
        self, base: str, price: float, side: PositionSide, push_usd: float
    ) -> ProjectionReply | None:
        self.asked.append((base, price, side, push_usd))
        return self.reply


class Running:
    """What a test holds of a running server."""

    def __init__(self, folder: Path | None, static: Path, origins: tuple[str, ...]) -> None:
        self.hub = Hub()
        self.sources = Sources()
        self.maps = MapHistory(folder)
        self.candles = CandleHistory(None)
        settings = ServerSettings(version="1.2.3", source="demo", extra_origins=origins)
        self.app = build_app(
            self.hub, self.sources, self.maps, self.candles, settings, static=static
        )
        self.address = Address("", 0)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(base_url=self.address.url) as client:
            yield client

    @contextlib.asynccontextmanager
    async def socket(self, *, max_queue: int = 16) -> AsyncIterator[ClientConnection]:
        url = f"ws://{self.address.host}:{self.address.port}/ws"
        async with connect(url, max_queue=max_queue, close_timeout=1) as socket:
            yield socket


@contextlib.asynccontextmanager
async def running(
    folder: Path | None = None,
    static: Path = Path("/nonexistent"),
    origins: tuple[str, ...] = (),
    port: int = 0,
) -> AsyncIterator[Running]:
    server = Running(folder, static, origins)
    async with serving(server.app, "127.0.0.1", port) as address:
        server.address = address
        yield server
    server.maps.close()


async def receive(socket: ClientConnection) -> ServerMessage | bytes:
    """The next message, decoded; two seconds at most."""
    data = await asyncio.wait_for(socket.recv(), 2)
    if isinstance(data, bytes):
        return data
    message: ServerMessage = _decoder.decode(data)
    return message
