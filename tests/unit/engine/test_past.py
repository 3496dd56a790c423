"""The past before live: folded in any pieces, and together with imports without a seam."""

from __future__ import annotations

import gc
import math
import random
import time
import tracemalloc

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.density.estimator import DensityEstimator
from liqfield.engine.history import SPAN_NS as STEP_NS
from liqfield.engine.market import MarketEngine
from liqfield.engine.outputs import CandleClosed, ColumnDue, Output
from liqfield.model.durations import DAY_NS, SECOND_NS
from liqfield.model.events import (
    Candle,
    FundingRate,
    ImportedPast,
    MarketEvent,
    MarkPrice,
    OpenInterest,
    Trade,
)
from liqfield.model.sides import Aggressor, BookRule, CandleOf
from liqfield.model.tiles import COLUMN_S, KEEP_S, TILE_COLUMNS
from liqfield.store.archives.order import rank
from liqfield.store.map_history import MapHistory
from tests.support import INSTRUMENTS

BINANCE, BYBIT = "binance:BTCUSDT", "bybit:BTCUSDT"
RULES = {"binance": BookRule.REST_THEN_PREVIOUS, "bybit": BookRule.NEXT_BY_ONE}
START_NS = 1_790_000_000_000_000_000 // STEP_NS * STEP_NS
STEPS = 36
END_NS = START_NS + STEPS * STEP_NS


def price(step: int) -> float:
    return 60_000.0 * math.exp(0.02 * math.sin(step / 5.0) + 0.0004 * step)


def past(of: str) -> list[MarketEvent]:
    """Three hours of mark and last candles, open interest and one funding, in event time."""
    events: list[MarketEvent] = []
    for step in range(STEPS):
        at = START_NS + (step + 1) * STEP_NS
        a, b = price(step), price(step + 1)
        row = (a, max(a, b) * 1.001, min(a, b) * 0.999, b)
        for kind, volume in ((CandleOf.MARK, 0.0), (CandleOf.LAST, 900.0 + 50.0 * (step % 7))):
            events.append(
                Candle(of, at, END_NS, kind, STEP_NS, *row, volume, volume / 3, is_history=True)
            )
        coins = 50_000.0 + 400.0 * math.cos(step / 3.0)
        events.append(OpenInterest(of, at, END_NS, coins, is_history=True))
    events.append(FundingRate(of, START_NS + 7 * STEP_NS, END_NS, 0.0003, 8.0, is_settled=True))
    return sorted(events, key=rank)


LIVE: list[MarketEvent] = [
    MarkPrice(BINANCE, END_NS + 1, END_NS + 1, price(STEPS)),
    Trade(BYBIT, END_NS + 2, END_NS + 2, price(STEPS), 3.0, Aggressor.BUY, "1"),
    MarkPrice(BYBIT, END_NS + 3, END_NS + 3, price(STEPS) * 1.001),
]


def market() -> MarketEngine:
    engine = MarketEngine("BTC", RULES)
    engine.add(INSTRUMENTS[BINANCE])
    engine.add(INSTRUMENTS[BYBIT])
    return engine


def facts(outputs: list[Output]) -> list[object]:
    """Outputs as plain data: a column by the digest of what it shows."""
    out: list[object] = []
    for output in outputs:
        if isinstance(output, ColumnDue):
            maps = [(d.instrument_id, d.notional_usd.tobytes(), d.at_ns) for d in output.densities]
            out.append((output.at_ns, maps))
        elif isinstance(output, CandleClosed):
            out.append(output)
    return out


def whole() -> tuple[str, list[object]]:
    engine = market()
    outputs: list[Output] = []
    for event in [*past(BINANCE), *past(BYBIT), *LIVE]:
        outputs += engine.step(event)
    return engine.digest(), facts(outputs)


DIGEST, FACTS = whole()


@settings(max_examples=25)
@given(
    shuffle=st.integers(0, 1 << 30),
    read=st.integers(0, 2 * STEPS),
    looks=st.sets(st.integers(0, STEPS), max_size=5),
)
def test_the_past_is_the_same_in_any_pieces(shuffle: int, read: int, looks: set[int]) -> None:
    """However replies arrived, however much is read before the live event takes the rest, and
    whoever looks in between."""
    engine = market()
    waiting = [*past(BINANCE), *past(BYBIT)]
    random.Random(shuffle).shuffle(waiting)
    outputs: list[Output] = []
    for event in waiting:
        assert engine.step(event) == []
    for event in LIVE:
        for n, piece in enumerate(engine.past(event)):
            assert sum(isinstance(output, ColumnDue) for output in piece) <= 1
            assert len(piece) <= 3, "five minutes of two venues: two candles and a column"
            outputs += piece
            if n in looks:
                engine.digest()
                engine.densities()
                engine.context()
            if n + 1 >= read:
                break
        outputs += engine.step(event)
    assert engine.digest() == DIGEST
    assert facts(outputs) == FACTS
    assert sum(isinstance(fact, tuple) for fact in FACTS) == STEPS - 1


def test_only_a_live_event_of_the_market_ends_the_past() -> None:
    engine = market()
    for event in past(BINANCE):
        engine.step(event)
    assert list(engine.past(past(BYBIT)[0])) == []
    assert (
        list(engine.past(msgspec.structs.replace(LIVE[0], instrument_id="binance:ETHUSDT"))) == []
    )
    assert len(list(engine.past(LIVE[0]))) == STEPS


def test_of_two_statements_the_one_received_last_counts() -> None:
    """A reply kept from an earlier start may hold a candle that was still running then."""
    digests = set()
    for backwards in (False, True):
        engine = market()
        events = past(BINANCE)
        last = events[-2]
        assert isinstance(last, Candle)
        early = msgspec.structs.replace(last, volume=1.0, received_ns=last.received_ns - 1)
        for event in [*events, early] if backwards else [early, *events]:
            engine.step(event)
        engine.step(LIVE[0])
        digests.add(engine.digest())
    assert len(digests) == 1


def drawn(until_ns: int, hole: range) -> list[ColumnDue]:
    """Columns of the past without the steps of a hole, folded at `until_ns`."""
    engine = market()
    for event in [*past(BINANCE), *past(BYBIT)]:
        if (event.event_ns - START_NS) // STEP_NS - 1 not in hole:
            engine.step(event)
    live = msgspec.structs.replace(LIVE[0], event_ns=until_ns, received_ns=until_ns)
    return [output for output in engine.step(live) if isinstance(output, ColumnDue)]


@pytest.mark.parametrize(
    "hole", [range(0), *(range(n, n + 2) for n in range(10, 16)), range(9, 19)]
)
def test_columns_are_no_narrower_than_the_history_keeps(hole: range) -> None:
    """What is drawn of an old past fills the history exactly as narrow columns would have."""
    old_ns = KEEP_S[300] * SECOND_NS + 2 * DAY_NS
    young, old = drawn(END_NS + 1, hole), drawn(END_NS + old_ns, hole)
    assert {column.column_ns for column in young} == {300 * SECOND_NS}
    assert {column.column_ns for column in old} == {1800 * SECOND_NS}
    assert len(old) <= STEPS // 6 + 1
    fine, coarse = MapHistory(None), MapHistory(None)
    for history, columns in ((fine, young), (coarse, old)):
        for column in columns:
            for density in column.densities:
                venue, width_s = density.instrument_id.partition(":")[0], column.column_ns // 10**9
                history.append("BTC", venue, column.at_ns, density, width_s)
    compared = 0
    for width_s in COLUMN_S[COLUMN_S.index(1800) :]:
        for at_ns in range(START_NS, old[-1].at_ns, 1800 * SECOND_NS):
            a, b = (of.column("BTC", "bybit", at_ns, width_s) for of in (fine, coarse))
            assert (a is None) == (b is None)
            if a is not None and b is not None and a.end_ns <= old[-1].at_ns:
                assert a.as_of_ns == b.as_of_ns
                assert a.notional_usd.tobytes() == b.notional_usd.tobytes()
                compared += 1
    assert compared >= len(old) - 1
    fine.close()
    coarse.close()


def imported(of: str, until_ns: int) -> ImportedPast:
    events = tuple(e for e in past(of) if e.event_ns <= until_ns)
    return ImportedPast(of, until_ns, END_NS, events)  # type: ignore[arg-type]


def test_imports_and_back_fill_join_without_a_seam() -> None:
    """The estimator that began with imports is the one that saw everything, bit for bit."""
    join_ns = START_NS + STEPS // 2 * STEP_NS
    rest = [e for e in past(BINANCE) if e.event_ns > join_ns]
    engine, alone = market(), market()
    assert engine.step(imported(BINANCE, join_ns)) == []
    assert engine.clock_ns == 0, "the past moves no clock"
    outputs: list[Output] = []
    for event in [*rest, LIVE[0]]:
        outputs += engine.step(event)
        alone.step(event)
    reference = DensityEstimator(INSTRUMENTS[BINANCE])
    for event in [*past(BINANCE), LIVE[0]]:
        reference.update(event)
    assert engine.instruments[BINANCE].density.digest() == reference.digest()
    assert alone.instruments[BINANCE].density.digest() != reference.digest()
    columns = [output.at_ns for output in outputs if isinstance(output, ColumnDue)]
    assert columns[0] == join_ns + STEP_NS, "columns of the imports are drawn elsewhere"


def test_the_past_of_a_contract_that_is_no_longer_followed_is_left() -> None:
    engine = market()
    for event in [*past(BINANCE), *past(BYBIT)]:
        engine.step(event)
    engine.drop_venue("bybit", keep="")
    outputs = engine.step(LIVE[0])
    assert {d.instrument_id for o in outputs if isinstance(o, ColumnDue) for d in o.densities} == {
        BINANCE
    }


@pytest.mark.soak
def test_a_month_of_four_venues_in_small_pieces() -> None:
    """What one piece costs does not grow with the past. Prints processor seconds and columns."""
    venues = ("binance:BTCUSDT", "bybit:BTCUSDT", "okx:BTC-USDT-SWAP", "hyperliquid:BTC")
    engine = MarketEngine("BTC", {of.partition(":")[0]: BookRule.WHOLE for of in venues})
    days, steps = 30, 30 * 288
    for of in venues:
        engine.add(INSTRUMENTS[of])
        for step in range(steps):
            at = START_NS + (step + 1) * STEP_NS
            a, b = price(step % 2_000), price(step % 2_000 + 1)
            row = (a, max(a, b) * 1.001, min(a, b) * 0.999, b)
            for kind, volume in ((CandleOf.MARK, 0.0), (CandleOf.LAST, 900.0)):
                engine.step(Candle(of, at, at, kind, STEP_NS, *row, volume, is_history=True))
            engine.step(OpenInterest(of, at, at, 50_000.0 + step % 90, is_history=True))
    end = START_NS + steps * STEP_NS + 1
    costs, columns, kept = [], 0, 0
    gc.collect()
    tracemalloc.start()
    began = time.process_time()
    for piece in engine.past(MarkPrice(BINANCE, end, end, 60_000.0)):
        costs.append(time.process_time() - began)
        columns += sum(isinstance(output, ColumnDue) for output in piece)
        kept = max(kept, tracemalloc.get_traced_memory()[1])
        began = time.process_time()
    tracemalloc.stop()
    costs.sort()
    median, most, longest = (1e3 * costs[int(at * (len(costs) - 1))] for at in (0.5, 0.99, 1.0))
    print(
        f"{days} days, {columns} columns of {len(venues)} venues: {sum(costs):.1f} s; a piece "
        f"{median:.1f} ms (99 %: {most:.1f}, longest {longest:.1f}) with memory traced; "
        f"at most {kept / 1e6:.0f} MB beyond the waiting past"
    )
    fine = KEEP_S[300] // 300 + TILE_COLUMNS  # the history keeps whole tiles
    assert fine <= columns <= fine + (steps - fine) // 6 + 1
    assert kept < 100e6
    assert most < 100.0
