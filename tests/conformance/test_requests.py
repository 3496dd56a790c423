"""What every venue asks for, as data: well-formed, within its budgets, and read when it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest

from liqfield.model import events
from liqfield.model.errors import DecodeError
from liqfield.model.events import Event, Frame, Trade, Unknown
from liqfield.model.instrument import Instrument
from liqfield.model.requests import HttpRequest
from liqfield.model.sides import Aggressor
from liqfield.venues import registry
from liqfield.venues.allowances import ALLOWANCES
from liqfield.venues.contract import Venue, stamped
from tests.support import INSTRUMENTS

VENUES = sorted(registry.VENUES)
H = 3_600_000_000_000
HOLE = (
    Trade("x", 1_790_000_000_000_000_000, 1, 1.0, 1.0, Aggressor.BUY, "1000"),
    Trade("x", 1_790_000_001_000_000_000, 1, 1.0, 1.0, Aggressor.BUY, "5000"),
)
END_NS = 1_790_000_000_000_000_000
KINDS = {kind.__name__ for kind in events.MarketEvent.__args__}
# Every venue must carry these of every instrument it follows, by stream or by poll.
NEEDED = {"Trade", "MarkPrice"}
# Past open interest is not published there: their pages say so.
NO_OI_HISTORY = {"hyperliquid", "bitget", "bitmex", "deribit"}


def of_venue(name: str) -> list[Instrument]:
    return [of for of in INSTRUMENTS.values() if of.venue == name and of.is_perpetual]


def requests(venue: Venue) -> Iterator[HttpRequest]:
    yield from venue.bootstrap(("BTC", "ETH"))
    yield from venue.ranking()
    mine = of_venue(venue.name)
    for poll in venue.polls(mine):
        assert poll.every_s > 0.0
        assert set(poll.kinds) <= KINDS | {"Notice"}  # of the venue itself
        yield poll.request
    for of in mine:
        yield from venue.backfill(of, END_NS - 24 * H, END_NS)
        for page in range(3):
            missed = venue.missed_trades(of, *HOLE, page)
            if missed is not None:
                assert missed.instrument_id == of.id
                yield missed
        plan = venue.resync(of)
        if plan.request is not None:
            yield plan.request


@pytest.mark.parametrize("name", VENUES)
def test_requests_stay_within_budgets_and_their_replies_are_read(name: str) -> None:
    venue = registry.VENUES[name]()
    pools = {budget.pool: budget for budget in venue.budgets}
    for request in requests(venue):
        assert request.venue == name
        assert request.path.startswith("/")
        assert 0.0 < request.weight <= pools[request.pool].capacity
        for payload in (b"[]", b"{}"):
            frame = Frame(name, request.source, 1, payload)
            decoded: list[Event] = []
            try:
                decoded = list(venue.decode(frame, INSTRUMENTS))
            except DecodeError:
                continue
            assert not any(
                isinstance(event, Unknown) and event.kind.startswith("rest") for event in decoded
            ), request.path


@pytest.mark.parametrize("name", VENUES)
def test_connections_say_what_they_carry_and_ask_in_json(name: str) -> None:
    venue = registry.VENUES[name]()
    mine = of_venue(name)
    connections = venue.connections(mine)
    assert len({c.source for c in connections}) == len(connections)
    carried: set[tuple[str, str]] = set()
    for connection in connections:
        assert connection.venue == name
        assert connection.source == f"ws:{connection.path}#{connection.name}"
        assert connection.streams
        for message in connection.send:
            assert json.loads(stamped(message, 1_790_000_000))
            assert b"@now" not in stamped(message, 1_790_000_000)
        for spec in connection.streams:
            assert set(spec.kinds) <= KINDS
            carried |= {(spec.instrument_id, kind) for kind in spec.kinds}
        names = [spec.name for spec in connection.streams]
        assert len(set(names)) == len(names)
    polled = {(p.request.instrument_id, kind) for p in venue.polls(mine) for kind in p.kinds}
    for of in mine:
        kinds = {kind for key, kind in carried | polled if key in (of.id, "")}
        assert kinds >= NEEDED
        assert kinds & {"BookSnapshot", "BookDelta"}
        assert "Liquidation" in kinds or name == "hyperliquid"
        plan = venue.resync(of)
        if plan.request is None and plan.send:
            assert any(c.name.startswith(plan.connection) for c in connections)
            assert all(json.loads(stamped(message, 1)) for message in plan.send)


# Contracts whose name does not begin with the base asset's, and what their tiers are asked by.
HIDDEN = [
    ("bybit", "1000PEPEUSDT", "PEPE", "symbol=1000PEPEUSDT"),
    ("bybit", "SHIB1000USDT", "SHIB", "symbol=SHIB1000USDT"),
    ("bybit", "BTCPERP", "BTC", "symbol=BTCPERP"),
    ("bybit-inverse", "BTCUSD", "BTC", "symbol=BTCUSD"),
    ("okx", "BTC-USD-SWAP", "BTC", "instFamily=BTC-USD"),
    ("gate", "1000BONK_USDT", "BONK", "contract=1000BONK_USDT"),
    ("bitget", "1000BONKUSDT", "BONK", "symbol=1000BONKUSDT"),
]


@pytest.mark.parametrize(("name", "symbol", "base", "asked"), HIDDEN)
def test_tiers_are_asked_by_the_contract_that_is_followed(
    name: str, symbol: str, base: str, asked: str
) -> None:
    of = Instrument(
        id=f"{name}:{symbol}", venue=name, symbol=symbol, base=base, quote="USDT", settle="USDT"
    )
    polls = [poll for poll in registry.VENUES[name]().polls([of]) if "TierTable" in poll.kinds]
    (query,) = [poll.request.path.partition("?")[2] for poll in polls]
    assert asked in query.split("&")


def test_every_venue_asks_for_tiers_or_says_where_they_come_from() -> None:
    """Elsewhere all contracts come in one reply, by stream (coinm), or nowhere (deribit)."""
    by_contract = {
        name
        for name in VENUES
        for poll in registry.VENUES[name]().polls(of_venue(name))
        if "TierTable" in poll.kinds
    }
    others = {"binance", "binance-coinm", "hyperliquid", "bitmex", "deribit"}
    assert by_contract == set(VENUES) - others


@pytest.mark.parametrize("name", VENUES)
def test_backfill_covers_the_whole_stretch_without_holes(name: str) -> None:
    """Candles for sure; open interest where the venue publishes its past."""
    venue = registry.VENUES[name]()
    of = of_venue(name)[0]
    whole = [request.source for request in venue.backfill(of, END_NS - 24 * H, END_NS)]
    assert any("andle" in s or "line" in s or "chart" in s or "bucketed" in s for s in whole)
    assert any("unding" in s or "fund-rate" in s for s in whole)
    has_oi = any(word in s for s in whole for word in ("nterest", "contract_stats"))
    assert has_oi == (name not in NO_OI_HISTORY)
    minutes = [s for s in whole if "=1m" in s or "interval=1&" in s]
    spans = sorted(span for s in minutes if (span := _span(s)) is not None)
    for (_, before), (start, _) in pairwise(spans):
        assert start <= before + 60_000
    short = venue.backfill(of, END_NS - H, END_NS)
    assert 0 < len(short) <= len(whole)


def _span(source: str) -> tuple[int, int] | None:
    """(start, end) in ms of the parameters that bound a request, None where it has none."""
    query = dict(part.split("=", 1) for part in source.partition("?")[2].split("&") if "=" in part)
    for first, last in (("startTime", "endTime"), ("start", "end")):
        if query.get(first, "").isdigit() and query.get(last, "").isdigit():
            return int(query[first]), int(query[last])
    return None


def test_facts_about_addresses_name_venues_that_exist() -> None:
    assert set(ALLOWANCES) == set(registry.VENUES)
