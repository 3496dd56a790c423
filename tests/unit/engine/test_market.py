"""The fold of one base asset: each fact once, candles in event time, a loss voids what it fed."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from liqfield.engine.engine import Engine
from liqfield.engine.instrument import RecentKeys
from liqfield.engine.market import LIVE_COLUMN_NS, MAX_AHEAD_NS, MarketEngine
from liqfield.engine.outputs import CandleClosed, ColumnDue, Liquidated, Output
from liqfield.model.durations import MINUTE_NS
from liqfield.model.events import (
    BookDelta,
    BookLevels,
    BookSnapshot,
    Candle,
    FundingRate,
    Gap,
    Liquidation,
    Listing,
    MarketEvent,
    MarkPrice,
    OpenInterest,
    Trade,
    Unknown,
)
from liqfield.model.requests import NeedSnapshot
from liqfield.model.sides import (
    Aggressor,
    BookRule,
    CandleOf,
    Coverage,
    GapReason,
    PositionSide,
    PriceKind,
    TradeKind,
)
from tests.support import INSTRUMENTS

BINANCE, BYBIT = "binance:BTCUSDT", "bybit:BTCUSDT"
RULES = {"binance": BookRule.REST_THEN_PREVIOUS, "bybit": BookRule.NEXT_BY_ONE}
START = 1_790_000_000_000_000_000 // MINUTE_NS * MINUTE_NS
SECOND = 1_000_000_000


def market() -> MarketEngine:
    engine = MarketEngine("BTC", RULES)
    engine.add(INSTRUMENTS[BINANCE])
    engine.add(INSTRUMENTS[BYBIT])
    return engine


def trade(
    second: float,
    price: float = 60_000.0,
    quantity: float = 1.0,
    trade_id: str = "",
    *,
    of: str = BINANCE,
    kind: TradeKind = TradeKind.MARKET,
    aggressor: Aggressor = Aggressor.BUY,
) -> Trade:
    at = START + round(second * SECOND)
    return Trade(of, at, at, price, quantity, aggressor, trade_id, kind)


def mark(second: float, price: float = 60_000.0, of: str = BINANCE) -> MarkPrice:
    at = START + round(second * SECOND)
    return MarkPrice(of, at, at, price)


def levels(bid: int = 599_999, ask: int = 600_001, quantity: float = 1.0) -> BookLevels:
    return BookLevels(np.array([bid, ask], np.int64), np.array([quantity, quantity]), 1)


def snapshot(sequence: int, of: str = BYBIT) -> BookSnapshot:
    is_rest = of == BINANCE
    return BookSnapshot(of, START, START, sequence, levels(), is_rest)


def delta(sequence: int, quantity: float = 2.0) -> BookDelta:
    return BookDelta(BYBIT, START, START, sequence, sequence, -1, levels(quantity=quantity))


def gap(of: str = "", kinds: tuple[str, ...] = (), venue: str = "bybit") -> Gap:
    return Gap(venue, "ws:/x#y", START, GapReason.DISCONNECT, of, "", kinds)


def closed(outputs: list[Output]) -> list[Candle]:
    return [output.candle for output in outputs if isinstance(output, CandleClosed)]


# ---- each fact once -----------------------------------------------------------------------------


def test_a_repeated_trade_counts_once() -> None:
    engine = market()
    for _ in range(3):
        engine.step(trade(1, quantity=2.0, trade_id="a"))
    engine.step(trade(1, quantity=1.0, trade_id="b"))
    candle = engine.instruments[BINANCE].candle()
    assert candle is not None
    assert candle.volume == 3.0


def test_a_late_trade_counts_once_where_a_reply_had_brought_it_before() -> None:
    engine = market()
    engine.step(trade(1, quantity=1.0, trade_id="1"))
    engine.step(trade(3, quantity=8.0, trade_id="4"))
    lost = Gap("binance", "ws:/x#y", START + SECOND, GapReason.SEQUENCE, BINANCE, "", ("Trade",))
    engine.gap(lost)
    missed = [trade(1.5, quantity=2.0, trade_id="2"), trade(2, quantity=4.0, trade_id="3")]
    engine.repair(missed)
    engine.step(missed[1])  # it was only late
    engine.repair(missed)
    engine.flow(engine.clock_ns)
    assert engine.analytics.flow.delta.totals() == {"binance": 15.0}
    candle = engine.instruments[BINANCE].candle()
    assert candle is not None
    assert candle.volume == 15.0


def test_the_same_id_on_another_instrument_is_another_trade() -> None:
    engine = market()
    engine.step(trade(1, trade_id="a"))
    engine.step(trade(1, trade_id="a", of=BYBIT))
    assert all(state.last is not None for state in engine.instruments.values())


def test_trades_without_an_id_are_never_repeats() -> None:
    engine = market()
    engine.step(trade(1))
    engine.step(trade(1))
    candle = engine.instruments[BINANCE].candle()
    assert candle is not None
    assert candle.volume == 2.0


@pytest.mark.parametrize("kind", [k for k in TradeKind if k is not TradeKind.MARKET])
def test_exits_that_are_no_market_volume_stay_out_of_it(kind: TradeKind) -> None:
    engine = market()
    assert engine.step(trade(1, kind=kind)) == []
    assert engine.instruments[BINANCE].candle() is None
    assert engine.instruments[BINANCE].last is None


def test_a_repeated_liquidation_counts_once() -> None:
    engine = market()
    print_ = Liquidation(
        BYBIT,
        START,
        START,
        PositionSide.LONG,
        1.0,
        59_000.0,
        PriceKind.BANKRUPTCY,
        Coverage.COMPLETE,
    )
    again = msgspec.structs.replace(print_, received_ns=START + 5)
    other = msgspec.structs.replace(print_, position_side=PositionSide.SHORT)
    outputs = [*engine.step(print_), *engine.step(again), *engine.step(other)]
    assert [o.print for o in outputs if isinstance(o, Liquidated)] == [print_, other]
    assert list(engine.tape) == [print_, other]


def test_remembered_keys_are_bounded_and_the_oldest_is_forgotten() -> None:
    keys = RecentKeys(3)
    assert [keys.seen(k) for k in "aabca"] == [False, True, False, False, True]
    assert [keys.seen(k) for k in "def"] == [False] * 3  # "a" leaves by now
    assert keys.seen("a") is False
    assert [keys.seen(k) for k in "fed"] == [True] * 3
    assert keys.seen("") is False
    assert keys.seen("") is False


# ---- candles ------------------------------------------------------------------------------------


def test_a_candle_closes_when_the_next_minute_trades() -> None:
    engine = market()
    outputs: list[Output] = []
    for second, price, side in (
        (0, 100.0, Aggressor.BUY),
        (20, 120.0, Aggressor.SELL),
        (40, 90.0, Aggressor.BUY),
        (59.9, 110.0, Aggressor.SELL),
    ):
        outputs += engine.step(trade(second, price, 2.0, aggressor=side))
    assert closed(outputs) == []
    (candle,) = closed(engine.step(trade(60, 111.0)))
    assert (candle.open, candle.high, candle.low, candle.close) == (100.0, 120.0, 90.0, 110.0)
    assert (candle.volume, candle.taker_buy_volume) == (8.0, 4.0)
    assert (candle.event_ns, candle.interval_ns) == (START + MINUTE_NS, MINUTE_NS)
    assert candle.is_closed
    assert list(engine.instruments[BINANCE].closes) == [(START + MINUTE_NS, 110.0)]


def test_minutes_without_trades_are_not_invented_and_a_late_trade_reopens_none() -> None:
    engine = market()
    engine.step(trade(0, 100.0))
    first = closed(engine.step(trade(200, 105.0)))
    late = closed(engine.step(trade(170, 80.0)))
    second = closed(engine.step(trade(300, 101.0)))
    assert [c.event_ns for c in first] == [START + MINUTE_NS]
    assert late == []
    assert [(c.event_ns, c.low, c.volume) for c in second] == [(START + 240 * SECOND, 80.0, 2.0)]


# ---- losses -------------------------------------------------------------------------------------


def live_book() -> MarketEngine:
    engine = market()
    assert engine.step(snapshot(10)) == []
    assert engine.step(delta(11)) == []
    assert engine.instruments[BYBIT].sync.ladder is not None
    return engine


@pytest.mark.parametrize("loss", [gap(), gap(BYBIT), gap(BYBIT, ("BookDelta", "BestQuote"))])
def test_a_loss_on_its_stream_voids_the_book(loss: Gap) -> None:
    engine = live_book()
    engine.gap(loss)
    state = engine.instruments[BYBIT]
    assert state.sync.ladder is None
    assert state.gaps == 1
    needs = engine.step(delta(12))
    assert needs == [NeedSnapshot(BYBIT, "no snapshot yet")]
    assert engine.step(delta(13)) == [], "one request a loss"
    engine.step(snapshot(20))
    assert state.sync.ladder is not None


@pytest.mark.parametrize(
    "loss", [gap(BYBIT, ("Trade",)), gap(BINANCE), gap(venue="binance"), gap("bybit:ETHUSDT")]
)
def test_a_loss_elsewhere_leaves_the_book(loss: Gap) -> None:
    engine = live_book()
    engine.gap(loss)
    assert engine.instruments[BYBIT].sync.ladder is not None


def test_a_jump_of_the_counter_voids_the_book_and_asks_once() -> None:
    engine = live_book()
    (need,) = engine.step(delta(13))
    assert isinstance(need, NeedSnapshot)
    assert "expected to follow 11" in need.reason
    assert engine.instruments[BYBIT].sync.ladder is None
    assert engine.instruments[BYBIT].resyncs == 1
    assert engine.step(delta(14)) == []


# ---- time ---------------------------------------------------------------------------------------


def test_no_venue_pushes_the_clock_far_ahead_of_ours() -> None:
    engine = market()
    engine.step(trade(1))
    ahead = trade(3_600)
    engine.step(msgspec.structs.replace(ahead, received_ns=START + 2 * SECOND))
    assert engine.clock_ns == START + 2 * SECOND + MAX_AHEAD_NS
    engine.step(trade(5))
    assert engine.clock_ns == START + 2 * SECOND + MAX_AHEAD_NS, "and it never goes back"


def test_history_waits_for_live_and_comes_out_in_event_time() -> None:
    engine = market()

    def past(minute: int, close: float) -> Candle:
        at = START - minute * MINUTE_NS
        return Candle(
            BINANCE,
            at,
            START,
            CandleOf.LAST,
            MINUTE_NS,
            close,
            close,
            close,
            close,
            1.0,
            is_history=True,
        )

    ahead = msgspec.structs.replace(past(-30, 9.0), event_ns=START + 30 * MINUTE_NS)
    for candle in (past(1, 3.0), past(3, 1.0), past(2, 2.0), past(3, 1.0), ahead):
        assert engine.step(candle) == []
    funding = FundingRate(BINANCE, START - 5 * MINUTE_NS, START, 0.0001, 8.0, is_settled=True)
    assert engine.step(funding) == []
    outputs = engine.step(mark(1))
    assert [c.close for c in closed(outputs)] == [1.0, 2.0, 3.0], "each once, oldest first"
    assert closed(engine.step(mark(2))) == []


def test_columns_are_due_every_ten_seconds_of_event_time_once_there_is_a_map() -> None:
    engine = market()
    columns: list[ColumnDue] = []
    for second in range(61):
        at, price = START + second * SECOND, 60_000.0 + second
        events: list[MarketEvent] = [mark(second, price), trade(second, price)]
        events.append(OpenInterest(BINANCE, at, at, 1_000.0 + second))
        for event in events:
            outputs = engine.step(event)
            columns += [output for output in outputs if isinstance(output, ColumnDue)]
    assert [column.at_ns for column in columns] == [START + n * LIVE_COLUMN_NS for n in range(1, 7)]
    assert {density.instrument_id for column in columns for density in column.densities} == {
        BINANCE
    }


def test_the_hour_is_predicted_as_the_estimator_would_at_its_start() -> None:
    """The map and what the hour's own path opens, both of before the hour, on the marks since."""
    engine = market()
    hour = 3_600 - START // SECOND % 3_600
    for second in range(hour - 600, hour, 10):
        price = 60_000.0 * (1.0 + 0.001 * math.sin(second / 60.0))
        for event in (mark(second, price), trade(second, price, 5.0)):
            engine.step(event)
        at = START + second * SECOND
        engine.step(OpenInterest(BINANCE, at, at, 1_000.0))
    density = engine.instruments[BINANCE].density
    low, high = 0.99 * density.mark, 1.02 * density.mark
    expected = density.predicted(low, high, 1.0)[0]
    opened = density.would_open(low, high, 1.0)
    engine.step(mark(hour, density.mark))
    for n, price in enumerate((low, high)):
        engine.step(mark(hour + 1 + n, price))
    running = engine.truth_running()
    assert running is not None
    assert (opened > 0.1 * expected).all()
    np.testing.assert_allclose(running.predicted_usd, expected, rtol=0.02)


def test_equal_runs_have_equal_digests_and_every_fact_counts() -> None:
    facts: list[MarketEvent] = [
        mark(0),
        trade(1, trade_id="a"),
        snapshot(10),
        delta(11),
        mark(3, 60_001.0),
    ]
    digests = []
    for run in (facts, facts, facts[:-1], [*facts[:3], delta(11, 2.5), facts[4]]):
        engine = market()
        for event in run:
            engine.step(event)
        digests.append(engine.digest())
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


# ---- the catalogue ------------------------------------------------------------------------------


def listing(instrument_id: str) -> Listing:
    return Listing(instrument_id, START, START, INSTRUMENTS[instrument_id])


def test_events_go_to_the_market_of_their_base() -> None:
    engine = Engine(RULES)
    for key in (BINANCE, "binance:ETHUSDT", "bybit:1000PEPEUSDT"):
        engine.step(listing(key))
    assert sorted(engine.markets) == ["BTC", "ETH", "PEPE"]
    engine.step(trade(1))
    engine.step(trade(1, of="binance:UNLISTED"))
    assert engine.markets["BTC"].instruments[BINANCE].last is not None
    assert engine.markets["ETH"].instruments["binance:ETHUSDT"].last is None
    assert engine.events["Trade"] == 2


@pytest.mark.parametrize("order", [("bybit:BTCUSD", BYBIT), (BYBIT, "bybit:BTCUSD")])
def test_one_contract_a_venue_is_followed_and_the_linear_one_wins(order: tuple[str, str]) -> None:
    engine = Engine(RULES, frozenset({"BTC"}))
    for key in (*order, "binance:ETHUSDT"):
        engine.step(listing(key))
    assert list(engine.markets) == ["BTC"]
    assert list(engine.markets["BTC"].instruments) == [BYBIT]
    engine.step(trade(1, of="bybit:BTCUSD"))
    assert engine.markets["BTC"].clock_ns == 0, "the other contract is not followed"


def test_a_listing_repeated_keeps_the_state_and_a_changed_tick_voids_the_book() -> None:
    engine = Engine(RULES)
    engine.step(listing(BYBIT))
    for event in (snapshot(10), delta(11), mark(1, of=BYBIT)):
        engine.step(event)
    engine.step(listing(BYBIT))
    state = engine.markets["BTC"].instruments[BYBIT]
    assert state.sync.ladder is not None
    finer = msgspec.structs.replace(INSTRUMENTS[BYBIT], lot=0.5)
    engine.step(Listing(BYBIT, START, START, finer))
    assert state.sync.ladder is not None, "another lot says nothing of prices"
    assert state.instrument == finer
    for words in (msgspec.structs.replace(finer, quantity_factor=0.1), finer):
        engine.step(Listing(BYBIT, START, START, words))
        assert state.sync.ladder is None, "sizes of which unit? the book or nothing"
        before, last = state.old_units_ns, state.last
        asked = engine.step(snapshot(12))
        assert state.sync.ladder is None, "as old as the last message in the old units"
        assert [type(output) for output in asked] == [NeedSnapshot]
        engine.step(trade((before - START) / SECOND, of=BYBIT, trade_id="old"))
        assert state.last is last, "nor is a trade of then booked"
        young = msgspec.structs.replace(snapshot(12), event_ns=before + 1)
        engine.step(young)
        assert state.sync.ladder is not None
    changed = msgspec.structs.replace(INSTRUMENTS[BYBIT], tick_decimals=2)
    engine.step(Listing(BYBIT, START, START, changed))
    fresh = engine.markets["BTC"].instruments[BYBIT]
    assert fresh.sync.ladder is None, "old ticks mean other prices now"
    assert fresh.mark is not None, "what is kept in USD and coins stays true"
    assert fresh.density.instrument == changed


def test_gaps_reach_every_market_and_unknowns_are_counted() -> None:
    engine = Engine(RULES)
    engine.step(listing(BYBIT))
    engine.step(listing("bybit:ETHUSDT"))
    engine.step(gap())
    assert [m.instruments[k].gaps for m in engine.markets.values() for k in m.instruments] == [1, 1]
    engine.step(Unknown("bybit", START, "new"))
    engine.step(Unknown("bybit", START, "new"))
    assert engine.unknown == {"bybit new": 2}
