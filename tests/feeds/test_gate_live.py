"""A second-six venue through real sockets: list, tiers, subscription, loss, resubscription, book.

Gate stands for all: its one file had to bring everything that feeds and engine need.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from liqfield.app.settings import Settings
from liqfield.app.terminal import Terminal
from liqfield.model.sides import PositionSide

CONTRACT = {
    "name": "BTC_USDT",
    "type": "direct",
    "quanto_multiplier": "0.0001",
    "order_price_round": "0.1",
    "leverage_max": "100",
    "funding_interval": 28_800,
}
TIER = {"tier": 1, "risk_limit": "1000000", "maintenance_rate": "0.004", "leverage_max": "100"}


class GateServer:
    """Just enough of the venue: a book that loses one message, tickers, one liquidation."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.books = 0

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            if message.type is not WSMsgType.TEXT:
                continue
            ask = json.loads(message.data)
            self.asked.append(ask)
            channel, event = ask["channel"], ask["event"]
            await ws.send_json({"channel": channel, "event": event, "result": {"status": "ok"}})
            if channel == "futures.obu" and event == "subscribe":
                self.books += 1
                await self._book(ws, loses=self.books == 1)
            elif channel == "futures.tickers":
                row: dict[str, Any] = {
                    "contract": "BTC_USDT",
                    "mark_price": "60000",
                    "total_size": "5000000",
                }
                await self._say(ws, channel, [row])
            elif channel == "futures.public_liquidates" and event == "subscribe":
                row = {"contract": "BTC_USDT", "size": "-600", "price": "59500", "time": 5}
                await self._say(ws, channel, [row])
        return ws

    async def _book(self, ws: web.WebSocketResponse, *, loses: bool) -> None:
        row = {"t": 1, "s": "ob.BTC_USDT.400", "u": 10, "full": True}
        await self._say(
            ws, "futures.obu", row | {"b": [["59999.9", "20"]], "a": [["60000.1", "30"]]}
        )
        first = 13 if loses else 11
        diff = {"t": 2, "s": "ob.BTC_USDT.400", "U": first, "u": 14, "b": [["60000", "50"]]}
        await self._say(ws, "futures.obu", diff)

    @staticmethod
    async def _say(ws: web.WebSocketResponse, channel: str, result: Any) -> None:
        message = {"time_ms": 1, "channel": channel, "event": "update", "result": result}
        await ws.send_json(message)


async def _run() -> tuple[Terminal, GateServer]:
    gate, app = GateServer(), web.Application()
    api = "/api/v4/futures/usdt"

    async def replies(request: web.Request) -> web.Response:
        rows = {
            f"{api}/contracts": [CONTRACT],
            f"{api}/risk_limit_tiers": [TIER],
        }
        return web.json_response(rows.get(request.path, []))

    app.router.add_get("/v4/ws/usdt", gate.socket)
    app.router.add_get(api + "/{what}", replies)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    url = f"http://{host}:{port}"
    settings = Settings(markets=("BTC",), venues=("gate",), backfill_h=1.0)
    terminal = Terminal(settings, "live", None)
    task = asyncio.create_task(terminal.feed({"gate": (url, url.replace("http", "ws"))}))
    try:
        for _ in range(1_000):
            await asyncio.sleep(0.02)
            market = terminal.pipeline.engine.markets.get("BTC")
            state = market.instruments.get("gate:BTC_USDT") if market else None
            if state and market and state.sync.sequence == 14 and state.mark and market.tape:
                break
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await runner.cleanup()
        terminal.close()
    return terminal, gate


def test_a_lost_book_message_is_repaired_by_joining_again() -> None:
    terminal, gate = asyncio.run(_run())
    market = terminal.pipeline.engine.markets["BTC"]
    state = market.instruments["gate:BTC_USDT"]
    assert state.sync.sequence == 14
    assert state.resyncs >= 1
    assert [ask["event"] for ask in gate.asked if ask["channel"] == "futures.obu"] == [
        "subscribe",
        "unsubscribe",
        "subscribe",
    ]
    assert all(abs(ask["time"] - time.time()) < 60 for ask in gate.asked)
    assert state.mark is not None
    assert state.mark.price == 60_000.0
    assert state.open_interest is not None
    assert state.open_interest.quantity == 500.0
    (liquidation,) = market.tape
    assert liquidation.position_side is PositionSide.LONG
    assert liquidation.quantity == pytest.approx(0.06)
    assert not terminal.pipeline.decode_errors
