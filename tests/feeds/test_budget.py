"""One budget an address: venues of one operator share it, and the venue's own count is believed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import msgspec

from liqfield.feeds.accounts import EVERY_S, AccountScan
from liqfield.feeds.budget import Pools
from liqfield.feeds.refusal import refusal
from liqfield.feeds.rest import RestClient
from liqfield.feeds.socket import Socket
from liqfield.feeds.tier_cache import TierCache
from liqfield.feeds.transport import Clock, HttpReply
from liqfield.model.events import Event, Frame, MeasuredPosition, PositionSnapshot, Record
from liqfield.model.requests import HttpRequest
from liqfield.venues import registry
from liqfield.venues.allowances import allowance
from liqfield.venues.contract import Budget
from liqfield.venues.hyperliquid import Hyperliquid
from tests.lab.virtual import run_virtual
from tests.support import INSTRUMENTS

WEIGHT = Budget("weight", 2400.0, 60.0)


def test_usd_m_and_coin_m_draw_on_one_bucket() -> None:
    pools = Pools(lambda: 0.0)
    one, other = pools.rest("binance", WEIGHT), pools.rest("binance-coinm", WEIGHT)
    assert one is other
    assert pools.rest("bybit", Budget("ip", 600.0, 5.0)) is not one
    assert one.try_take(2160.0)
    assert not other.try_take(1.0)
    assert pools.levels()["binance futures weight"] == 0.0


def test_the_venues_own_count_is_believed_when_it_is_higher() -> None:
    pools = Pools(lambda: 0.0)
    bucket = pools.rest("binance", WEIGHT)
    bucket.reported(100.0)
    assert bucket.level == (2160.0 - 100.0) / 2160.0
    bucket.reported(50.0)
    assert bucket.level == (2160.0 - 100.0) / 2160.0, "a lower count gives nothing back"
    bucket.reported(2400.0)
    assert bucket.level == 0.0


def test_the_header_of_a_reply_reaches_the_bucket() -> None:
    async def run() -> None:
        pools = Pools(asyncio.get_running_loop().time)
        venue = registry.VENUES["binance"]()
        rest = RestClient(venue, _Venue({"X-MBX-USED-WEIGHT-1M": "1080"}), pools)
        await rest.fetch(HttpRequest("binance", "/x", weight=1.0, pool="weight"))
        assert 0.49 < rest.buckets["weight"].level <= 0.5

    run_virtual(run())


def test_bans_say_for_how_long() -> None:
    body = b'{"code":-1003,"msg":"Way too many requests; IP banned until 1790000100000."}'
    banned = refusal("binance", 418, {}, body, now_s=1_790_000_000.0)
    assert (banned.kind, banned.retry_after_s) == ("ban", 100.0)
    country = b"The Amazon CloudFront distribution is configured to block access from your country"
    assert refusal("bybit", 403, {}, country).kind == "geo"
    assert refusal("bybit", 403, {}, b"access too frequent").kind == "ban"


def test_every_connection_keeps_to_its_venues_facts() -> None:
    """Four hundred instruments: streams a connection, sockets and subscriptions an address."""
    for name in ("binance", "bybit", "okx", "hyperliquid"):
        of = next(i for i in INSTRUMENTS.values() if i.venue == name and i.kind == "linear")
        many = [
            msgspec.structs.replace(of, id=f"{name}:S{n}", symbol=f"S{n}USDT") for n in range(240)
        ]
        facts = allowance(name)
        plans = registry.VENUES[name]().connections(many)
        for plan in plans:
            if facts.streams:
                assert len(plan.streams) <= facts.streams, (name, plan.name, len(plan.streams))
            if name == "okx" and plan.name.startswith("books"):
                assert len(plan.streams) < 30
            if name == "bybit":
                assert sum(len(message) for message in plan.send) <= 21_000 * 1.1, plan.name
        if facts.sockets:
            assert len(plans) + 1 <= facts.sockets, "one is left for a rotation"
        if facts.subscriptions:
            assert sum(len(plan.send) for plan in plans) <= facts.subscriptions


def test_tiers_of_an_earlier_day_keep_their_date(tmp_path: Path) -> None:
    folder = tmp_path / "tiers"
    request = HttpRequest("okx", "/api/v5/public/position-tiers?instFamily=BTC-USDT")
    cache = TierCache(folder)
    assert cache.load(request) is None
    frame = Frame("okx", request.source, 1_700_000_000_000_000_000, b'{"code":"0","data":[]}')
    cache.store(frame)
    assert TierCache(folder).load(request) == frame
    next(folder.iterdir()).write_bytes(b"torn")
    assert cache.load(request) is None
    TierCache(None).store(frame)


def test_accounts_of_the_tape_are_scanned_within_half_the_weight() -> None:
    """Both sides of every trade are asked for; holders every minute, empty accounts ever later."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        venue = Hyperliquid()
        pools = Pools(loop.time)
        transport = _Accounts()
        records: list[Record] = []
        rest = RestClient(
            venue, transport, pools, clock=Clock(loop.time, lambda: int(loop.time() * 1e9))
        )
        scan = AccountScan(venue, rest, records.append, random.Random(1))
        task = asyncio.create_task(scan.run())
        trade = '{"coin":"BTC","users":["0xh%d","0xe%d"],"px":"1","sz":"1","time":1,"tid":1}'
        rows = ",".join(trade % (n, n) for n in range(40))
        tape = f'{{"channel":"trades","data":[{rows}]}}'.encode()
        frame = Frame("hyperliquid", "ws:/ws#flow", 1, tape)
        scan.observe(frame, [])
        assert scan.known == 80
        known = {of.id: of for of in INSTRUMENTS.values()}
        snapshots: list[PositionSnapshot] = []
        for _ in range(600):
            await asyncio.sleep(1.0)
            for record in records:
                assert isinstance(record, Frame)
                events: list[Event] = list(venue.decode(record, known))
                snapshots += [e for e in events if isinstance(e, PositionSnapshot)]
                scan.observe(record, events)
            records.clear()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        holders = [name for name in transport.asked if name.startswith("0xh")]
        empty = [name for name in transport.asked if name.startswith("0xe")]
        assert len(scan.holders) == 40
        assert 8 <= len(holders) / 40 <= 600.0 / EVERY_S + 2
        assert 2 <= len(empty) / 40 <= 5, "60, 120, 240 s"
        assert {s.account for s in snapshots if not s.positions} == set(empty)
        (held,) = {s.positions[0].quantity for s in snapshots if s.positions}
        assert held == 2.0
        assert all(isinstance(s.positions[0], MeasuredPosition) for s in snapshots if s.positions)
        for start in range(0, 600, 60):
            minute = [t for t in transport.times if 1_000.0 + start <= t < 1_060.0 + start]
            assert 2.0 * len(minute) <= 0.9 * 1200.0

    run_virtual(run())


def test_whoever_trades_again_is_looked_at_within_a_minute() -> None:
    """An account without positions is asked ever more rarely, until the tape names it again."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        venue, transport = Hyperliquid(), _Accounts()
        records: list[Record] = []
        rest = RestClient(
            venue, transport, Pools(loop.time),
            clock=Clock(loop.time, lambda: int(loop.time() * 1e9)),
        )  # fmt: skip
        scan = AccountScan(venue, rest, records.append, random.Random(1))
        task = asyncio.create_task(scan.run())
        rows = '{"coin":"BTC","users":["0xe1","0xe2"],"px":"1","sz":"1","time":1,"tid":1}'
        frame = Frame(
            "hyperliquid", "ws:/ws#flow", 1, f'{{"channel":"trades","data":[{rows}]}}'.encode()
        )
        scan.observe(frame, [])
        await asyncio.sleep(1_000.0)
        asked = len(transport.times)
        for _ in range(30):  # a burst of its trades costs one look
            scan.observe(frame, [])
        began = loop.time()
        await asyncio.sleep(0.8 * EVERY_S)
        after = transport.times[asked:]
        assert len(after) == 2, "one look an account"
        assert all(began <= at <= began + 1.0 for at in after), "it was long ago that they were"
        scan.observe(frame, [])
        await asyncio.sleep(0.4 * EVERY_S)
        last = transport.times[asked + 2 :]
        assert len(last) == 2
        assert all(0.8 * EVERY_S < at - began <= 1.1 * EVERY_S for at in last)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtual(run())


class _Venue:
    """Answers everything with nothing and the given headers."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers

    async def open(self, venue: str, url: str, on_message: Callable[[bytes], None]) -> Socket:
        raise OSError(f"{venue} {url} {on_message}")

    async def request(self, url: str, body: str, timeout_s: float) -> HttpReply:
        del url, body, timeout_s
        return HttpReply(200, self._headers, b"{}")


class _Accounts(_Venue):
    """Accounts whose name begins with 0xh hold two coins."""

    def __init__(self) -> None:
        super().__init__({})
        self.asked: list[str] = []
        self.times: list[float] = []

    async def request(self, url: str, body: str, timeout_s: float) -> HttpReply:
        del url, timeout_s
        await asyncio.sleep(0.02)
        user = body.partition('"user":"')[2].rstrip('"}')
        self.asked.append(user)
        self.times.append(asyncio.get_running_loop().time())
        position = (
            '{"type":"oneWay","position":{"coin":"BTC","szi":"-2.0","entryPx":"80000.0",'
            '"leverage":{"type":"cross","value":5},"liquidationPx":"95000.0","marginUsed":"1"}}'
        )
        held = position if user.startswith("0xh") else ""
        reply = (
            f'{{"assetPositions":[{held}],"marginSummary":{{"accountValue":"9.0",'
            '"totalNtlPos":"0.0"},"time":1790000000000}'
        )
        return HttpReply(200, {}, reply.encode())
