"""One WebSocket client: a hello, what it subscribes to, and its own pace."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import cast

import msgspec
from litestar import websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.types import WebSocketSendEvent

from liqfield.model.tiles import BIN_WIDTH, COLUMN_S, TILE_BINS, TILE_COLUMNS
from liqfield.server.hub import Mailbox, Payload
from liqfield.server.services import AnySocket, Given, Services
from liqfield.server.wire import (
    WIRE_VERSION,
    ClientMessage,
    Hello,
    MarketInfo,
    Ping,
    Pong,
    Problem,
    ServerMessage,
    Subscribe,
    Unsubscribe,
)

TOPICS_PER_CLIENT = 64
PROBLEMS_PER_CLIENT = 20
GREET_S = 0.5
MARKET_TOPICS = (
    "market",
    "candle",
    "map",
    "ladder",
    "clusters",
    "tape",
    "flow",
    "context",
    "truth",
)
_decoder = msgspec.json.Decoder(ClientMessage)


@websocket("/ws")
async def live(socket: AnySocket, services: Given) -> None:
    """Hello, then the newest value of every subscribed topic and its changes."""
    await socket.accept()
    session = _Session(socket, services)
    tasks = {
        asyncio.create_task(session.send_forever()),
        asyncio.create_task(session.read_forever()),
        asyncio.create_task(session.greet_forever()),
    }
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            with contextlib.suppress(WebSocketDisconnect, OSError):
                task.result()
    finally:
        services.hub.disconnect(session.mailbox)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Session:
    def __init__(self, socket: AnySocket, services: Services) -> None:
        self._socket = socket
        self._services = services
        self._problems = 0
        self._replies = 0
        self.mailbox: Mailbox = services.hub.connect()
        self._markets: tuple[MarketInfo, ...] = ()
        self._greet()

    async def send_forever(self) -> None:
        """The only sender. While one send waits for a slow client, newer values replace older."""
        while True:
            await self.mailbox.wait()
            while (data := self.mailbox.pop()) is not None:
                kind = "bytes" if isinstance(data, bytes) else "text"
                # The raw event: Litestar's own methods would copy and check every message.
                event = cast("WebSocketSendEvent", {"type": "websocket.send", kind: data})
                await self._socket.send(event)

    async def greet_forever(self) -> None:
        """Hello again when the list of markets changes: a page opened at start finds none yet."""
        while True:
            await asyncio.sleep(GREET_S)
            if tuple(self._services.sources.markets()) != self._markets:
                self._greet()

    def _greet(self) -> None:
        greeting = hello(self._services)
        self._markets = greeting.markets
        self.mailbox.put("hello", Payload(greeting))

    async def read_forever(self) -> None:
        while self._problems < PROBLEMS_PER_CLIENT:
            data = await self._socket.receive_data(mode="text")
            try:
                message = _decoder.decode(data)
            except msgspec.MsgspecError as error:
                self._problem("message", f"not a message of this protocol: {error}")
                continue
            if isinstance(message, Ping):
                self._reply("pong", Pong(message.nonce, time.time() * 1e3))
            elif isinstance(message, Subscribe):
                self._subscribe(message)
            elif isinstance(message, Unsubscribe):
                for topic in message.topics:
                    self._drop(topic)
        await self._socket.close(code=1008, reason="too many messages that are not understood")

    def _subscribe(self, message: Subscribe) -> None:
        for topic in message.topics:
            why = self._refusal(topic)
            if why:
                self._problem("topic", why)
                continue
            variant = topic
            if topic.startswith("ladder:"):
                self._drop(topic)
                step, rows = nice_step(message.ladder_step), nice_rows(message.ladder_rows)
                venue = message.ladder_venue
                if venue and venue not in self._venues(topic.partition(":")[2]):
                    self._problem("venue", f"no venue {venue[:40]!r} in {topic}")
                    continue
                variant = f"{topic}:{step:g}:{rows}" + (f":{venue}" if venue else "")
            elif topic.startswith("clusters:"):
                self._drop(topic)
                least = nice_usd(message.cluster_min_usd)
                variant = f"{topic}:{least:g}" if least else topic
            self._services.hub.subscribe(self.mailbox, variant)

    def _venues(self, base: str) -> tuple[str, ...]:
        markets = self._services.sources.markets()
        return next((market.venues for market in markets if market.base == base), ())

    def _drop(self, topic: str) -> None:
        for followed in tuple(self.mailbox.topics):
            if followed == topic or followed.startswith(f"{topic}:"):
                self._services.hub.unsubscribe(self.mailbox, followed)

    def _refusal(self, topic: str) -> str:
        """Why the topic cannot be followed, "" when it can."""
        if len(self.mailbox.topics) >= TOPICS_PER_CLIENT:
            return f"more than {TOPICS_PER_CLIENT} topics"
        kind, *names = topic.split(":")
        if kind == "health" and not names:
            return ""
        if kind not in MARKET_TOPICS:
            return f"no topic {topic[:40]!r}: {', '.join(MARKET_TOPICS)}, health"
        markets = {market.base: market for market in self._services.sources.markets()}
        if not names or names[0] not in markets:
            return f"no market in {topic[:40]!r}: {', '.join(markets)}"
        if kind == "map":
            venues = ("all", *markets[names[0]].venues)
            if len(names) != 2 or names[1] not in venues:
                return f"no venue in {topic[:40]!r}: map:{names[0]}:<{', '.join(venues)}>"
        elif len(names) != 1:
            return f"{topic[:40]!r} has too many parts: {kind}:{names[0]}"
        return ""

    def _problem(self, code: str, text: str) -> None:
        self._problems += 1
        self._reply("problem", Problem(code, text))

    def _reply(self, kind: str, message: ServerMessage) -> None:
        # Answers share the mailbox, so a client that only asks and never reads cannot grow it.
        self._replies = (self._replies + 1) % 32
        self.mailbox.put(f"{kind}#{self._replies}", Payload(message))


def hello(services: Services) -> Hello:
    """Who answers, the markets and the layout of the tiles."""
    return Hello(
        wire_version=WIRE_VERSION,
        source=services.settings.source,
        server_ms=time.time() * 1e3,
        markets=tuple(services.sources.markets()),
        bin_width=BIN_WIDTH,
        column_s=COLUMN_S,
        tile_columns=TILE_COLUMNS,
        tile_bins=TILE_BINS,
        dataset=services.maps.dataset_id,
    )


def nice_step(step: float) -> float:
    """Nearest of 1, 2, 5 x 10^n, so that few ladders serve many readers; 0 = automatic."""
    return _round(step) if 1e-9 <= step <= 1e7 else 0.0


def nice_usd(least: float) -> float:
    """Nearest of 1, 2, 5 x 10^n, so that few thresholds serve many readers; 0 = the market's."""
    return _round(least) if 1e3 <= least <= 1e12 else 0.0


def _round(x: float) -> float:
    power = math.floor(math.log10(x))
    candidates = [m * 10.0**p for p in (power, power + 1) for m in (1, 2, 5)]
    return float(f"{min(candidates, key=lambda c: abs(math.log(c / x))):.0e}")


def nice_rows(rows: int) -> int:
    """20 to 400, in twenties."""
    return min(max(-(-rows // 20) * 20, 20), 400)
