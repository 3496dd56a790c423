"""Scripts in the built-in market: what they do is real, and noted as it happened."""

from __future__ import annotations

import msgspec
import pytest

from liqfield.app.study.pushes import tally
from liqfield.app.study.wall_plays import Said, said, said_simply, verdicts
from liqfield.book.wall_facts import Flip, Layering, WallEnd, WallSettings
from liqfield.lab.market import LabMarket
from liqfield.lab.market_actors import Desk, Flipper, Layerer, Pusher, StagedMarket
from liqfield.lab.market_setup import demo_spec
from liqfield.lab.market_types import AgentEvent
from liqfield.model.analytics import FlowEvent, FlowEventKind, WallState
from tests.support import INSTRUMENTS

S = 1_000_000_000
START = 1_790_000_000 * S
SPEC = msgspec.structs.replace(
    demo_spec(START, ("BTC",)),
    venues=("binance",),
    history_h=0.1,
    accounts_per_instrument=200,
)
KEY = "binance:BTCUSDT"
OF = INSTRUMENTS["bybit:BTCUSDT"]


def rest_at(market: LabMarket, tick: int, *, is_bid: bool) -> float:
    book = market.book(KEY)
    ticks, coins = (
        (book.bid_ticks, book.bid_quantity) if is_bid else (book.ask_ticks, book.ask_quantity)
    )
    return float(coins[ticks == tick].sum())


def test_a_market_without_scripts_is_the_same() -> None:
    alone, staged = LabMarket(SPEC, 3), StagedMarket(LabMarket(SPEC, 3), [])
    for k in range(1, 30):  # one by one: a digest covers the reports of the last call
        alone.advance(START + k * S // 10)
        staged.advance(START + k * S // 10)
    assert alone.digest() == staged.market.digest()


def test_an_order_rests_is_withdrawn_and_is_noted() -> None:
    market = LabMarket(SPEC, 3)
    desk = Desk(market, KEY)
    tick = round(desk.mid * 0.999)
    order = desk.place(tick, is_bid=True, lots=5e5)
    assert order is not None
    assert desk.place(round(desk.mid * 1.001), is_bid=True, lots=10) is None  # across the price
    market.advance(START + S)
    assert rest_at(market, tick, is_bid=True) >= desk.coins(5e5)
    assert desk.withdraw(order) == 1.0
    assert desk.withdraw(order) == 0.0
    market.advance(START + 2 * S)
    assert rest_at(market, tick, is_bid=True) < 0.1 * desk.coins(5e5)
    (end,) = [event for event in market.agent_events() if event.kind == "wall_withdrawn"]
    assert end.price_from == pytest.approx(desk.price(tick))
    assert end.is_bid


def test_a_market_order_trades_once_and_lots_are_conserved() -> None:
    market = LabMarket(SPEC, 3)
    desk = Desk(market, KEY)
    desk.take(-1, desk.depth)
    trades = market.advance(START + 100_000_000)[KEY].trades
    sold = trades.quantity[~trades.is_buy].sum()
    assert sold >= 0.99 * desk.coins(desk.depth)
    later = market.advance(START + 200_000_000)[KEY].trades
    assert later.quantity[~later.is_buy].sum() < 0.5 * sold
    held = market.positions(KEY)
    sides = [held["quantity"][held["side"] == side].sum() for side in (0, 1)]
    assert sides[0] == pytest.approx(sides[1], rel=1e-9)


def test_plays_happen_and_are_the_same_by_seed() -> None:
    def run() -> list[AgentEvent]:
        market = LabMarket(SPEC, 3)
        desk = Desk(market, KEY)
        actors = [
            Layerer(desk, 1, START, 4.0),
            Flipper(desk, 2, START, 4.0),
            Pusher(desk, 3, START, 4.0, lambda: 0),
        ]
        staged = StagedMarket(market, actors)
        staged.advance(START + 150 * S)
        return [event for actor in actors for event in actor.events]

    events = run()
    assert {event.kind for event in events} == {"layering", "flip", "whale_push"}
    assert all(START <= event.start_ns < event.end_ns <= START + 150 * S for event in events)
    assert events == run()


def wall(tick: int, at_s: float) -> WallEnd:
    at = round(at_s * S)
    return WallEnd(
        tick, 0, 0, at, 50.0, 0.0, 50.0, 1.0, 60.0, 3.0, 0.001, 0.0002, WallState.PULLED, False
    )


def play(kind: str, low: int, high: int, at_s: float) -> AgentEvent:
    prices = OF.price_usd(low), OF.price_usd(high)
    return AgentEvent(kind, OF.id, 0, round(at_s * S), *prices, 1.0, True)


def test_a_claim_is_right_once_at_its_side_place_and_time() -> None:
    truth = [play("layering", 840_000, 840_040, 10.0), play("flip", 840_100, 840_100, 20.0)]
    claims = [
        Said("layering", OF.id, 11 * S, True, 840_010, 840_050),
        Said("layering", OF.id, 11 * S, True, 840_010, 840_050),  # again
        Said("layering", OF.id, 11 * S, False, 840_010, 840_050),
        Said("flip", OF.id, 25 * S, True, 840_100, 840_100),  # late
    ]
    found = verdicts(iter(claims), truth, {OF.id: OF})
    assert found == {"layering": (1, 2), "flip": (0, 1)}


def test_readings_and_simple_rules_as_claims() -> None:
    layer, flip = Layering(S, 0, (3, 4, 5), 9.0, 2.0), Flip(S, 1, 7, 1.0, 2.0, 1)
    first, second = said([(OF, layer), (OF, flip)])
    assert (first.kind, first.low, first.high, first.is_bid) == ("layering", 3, 5, True)
    assert (second.kind, second.low, second.is_bid) == ("flip", 7, False)
    pulled = [(OF, wall(k, k)) for k in (1, 2, 3, 30)]
    simple = list(said_simply(pulled, WallSettings()))
    assert [claim.kind for claim in simple].count("flip") == 4
    (layers,) = [claim for claim in simple if claim.kind == "layering"]
    assert (layers.low, layers.high) == (1, 3)


def test_a_push_is_told_of_in_its_time_and_direction() -> None:
    def event(at_s: int, is_bid: bool) -> FlowEvent:
        kind = FlowEventKind.WHALE_PUSH
        return FlowEvent(at_s * S, kind, "all", 1.0, is_bid, 1.0, 1.0, 10.0, "done", "")

    pushed = AgentEvent("whale_push", KEY, 100 * S, 115 * S, 1.0, 1.0, 1.0, True)
    told = [event(104, True), event(104, False), event(130, True)]
    whole = {"calls": 3, "right": 1, "pushes": 1, "caught": 1}
    # Two thirds of a dollar within the ten seconds that the reading looks at.
    assert tally(told, [pushed], {KEY: 0.6}) == {**whole, "visible": 1, "visible_caught": 1}
    assert tally(told, [pushed], {KEY: 0.7}) == {**whole, "visible": 0, "visible_caught": 0}
    assert tally([], [pushed], {KEY: 0.6})["caught"] == 0
