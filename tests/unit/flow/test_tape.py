"""Readings of the tape: for any split of the trades the same, and equal to their slow twins."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqfield.flow.absorption import (
    AbsorptionDetector,
    AbsorptionSettings,
    close_second,
    hardest_hit,
)
from liqfield.flow.candles import CandleBuilder
from liqfield.flow.cvd import DayDelta
from liqfield.flow.footprint import FootprintBuilder
from liqfield.flow.rows import ROOM
from liqfield.model.events import Trade
from liqfield.model.quantile import DecayedQuantile
from liqfield.model.sides import Aggressor
from liqfield.model.tape import BATCH, TradeTape
from tests.reference import flow as slow

S = 1_000_000_000
IDS = ("a:X", "b:X", "b:Y")

# (instrument, quarter of a second, cents, 64ths of a coin, bought), out of order and far apart too
trades_st = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 4_000),
        st.one_of(st.integers(9_990, 10_010), st.integers(2_000, 90_000)),
        st.integers(1, 500),
        st.booleans(),
    ),
    min_size=1,
    max_size=150,
).map(
    lambda rows: [
        Trade(IDS[of], at * S // 4, 0, price / 100, quantity / 64, Aggressor.BUY)
        if bought
        else Trade(IDS[of], at * S // 4, 0, price / 100, quantity / 64, Aggressor.SELL)
        for of, at, price, quantity, bought in rows
    ]
)
cuts_st = st.lists(st.integers(0, 150), max_size=8)


def signed(t: Trade) -> float:
    return t.quantity if t.aggressor is Aggressor.BUY else -t.quantity


class Readings:
    """One of each over a tape."""

    def __init__(self) -> None:
        self.tape = TradeTape()
        for key in IDS:
            self.tape.number_of(key)
        self.delta = DayDelta(self.tape)
        self.footprint = FootprintBuilder(self.tape, 300 * S, 0.01, keep=1_000)
        self.absorption = [AbsorptionDetector("v", 0.01, self.tape, n) for n in range(3)]
        self.candles = [CandleBuilder(key, 60 * S, self.tape, n) for n, key in enumerate(IDS)]

    def write(self, t: Trade) -> None:
        self.tape.append(IDS.index(t.instrument_id), t.event_ns, t.price, signed(t))

    def fold(self) -> None:
        self.delta.fold()
        self.footprint.fold()
        for of in self.absorption:
            of.fold()
        for candle in self.candles:
            candle.fold()

    def seen(self) -> list[object]:
        """Everything that decides what comes, to the last bit."""
        self.fold()
        running = self.footprint.get()
        assert running is not None
        bars = [*self.footprint.bars, running]
        return [
            [(venue, row.tobytes()) for venue, row in self.delta._rows()],
            self.delta._price.tobytes(),
            self.delta._head.tolist(),
            [(bar.start_ns, bar.step, bar.first_row) for bar in bars],
            [(bar.bid.tobytes(), bar.ask.tobytes()) for bar in bars],
            [of.facts.tobytes() for of in self.absorption],
            [_hits(of) for of in self.absorption],
            [of._candle.tobytes() for of in self.candles],
        ]


def _hits(of: AbsorptionDetector) -> list[list[tuple[int, float]]]:
    """Rows of the running second, in order of arrival."""
    parts = (of.hits.running(side) for side in (0, 1))
    return [list(zip(rows.tolist(), coins.tolist(), strict=True)) for rows, coins in parts]


@given(trades_st, cuts_st)
def test_any_split_comes_to_the_same(trades: list[Trade], cuts: list[int]) -> None:
    one, many = Readings(), Readings()
    for i, t in enumerate(trades):
        one.write(t)
        one.fold()
        many.write(t)
        if i in cuts:
            many.fold()
    assert one.seen() == many.seen()


@given(trades_st)
def test_a_second_of_trades_is_its_slow_twin(trades: list[Trade]) -> None:
    """Rows that were hit, the hardest one, lowest and highest price, net and gross volume."""
    live = Readings()
    for t in trades:
        live.write(t)
    live.fold()
    for n, of in enumerate(live.absorption):
        mine = [t for t in trades if t.instrument_id == IDS[n]]
        if not mine:
            assert of.row_usd == 0.0
            continue
        assert of.row_usd == max(0.01, AbsorptionSettings().row_share * mine[0].price)
        expected = slow.hits(mine, of.row_usd)
        assert [dict(rows) for rows in _hits(of)] == list(expected)
        assert of.take_second() == pytest.approx(
            (sum(map(signed, mine)), sum(t.quantity for t in mine))
        )
        assert of.facts[1:3].tolist() == [min(t.price for t in mine), max(t.price for t in mine)]
        assert _close(of, 0, 0.5, 0)[:2] == pytest.approx(
            tuple(sum(side.values()) for side in expected)
        )


def _close(
    of: AbsorptionDetector, silent: int, share: float, warm: int
) -> tuple[float, float, bool, bool]:
    pasts = of._usual[0].table, of._usual[1].table
    tables = of.hits.words, of._volumes, of._written
    return close_second(*tables, silent, *pasts, share, warm)


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([0, 0, 0, 1, 4, 30])),
        max_size=40,
    )
)
def test_the_volume_of_a_window_and_whether_it_is_much(rows: list[tuple[int, int, int]]) -> None:
    """Sold and bought in a second, and silent ones after it, against lists of all seconds."""
    tape, share, warm, window = TradeTape(), 0.6, 5, AbsorptionSettings().window_s
    live = AbsorptionDetector("v", 0.01, tape, 0)
    every: tuple[list[float], list[float]] = ([], [])
    pasts = [DecayedQuantile(3600.0), DecayedQuantile(3600.0)]
    for k, (sold, bought, silent) in enumerate(rows):
        for coins in (-sold / 8, -sold / 8, bought / 8):
            if coins:
                tape.append(0, k, 100.0, coins)
        live.fold()
        live.hits.count(silent)
        found = _close(live, silent, share, warm)
        live.hits.begin()
        for side, coins in enumerate((sold / 4, bought / 8)):
            every[side].extend([coins, *[0.0] * silent])
            volume, past = sum(every[side][-window:]), pasts[side]
            is_much = past.count >= warm and 0.0 < volume >= past.quantile(share)
            assert found[side] == volume
            assert found[2 + side] == is_much
            past.add(volume)


@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 99)), min_size=1, max_size=40).map(
        lambda rows: [(row, coins / 8) for row, coins in rows]
    )
)
def test_the_hardest_hit_row_of_a_window(rows: list[tuple[int, float]]) -> None:
    sums: dict[int, float] = {}
    for row, coins in rows:
        sums[row] = sums.get(row, 0.0) + coins
    best = max(sums, key=lambda row: (sums[row], row))
    found = hardest_hit(np.array([r for r, _ in rows]), np.array([c for _, c in rows]))
    assert found == (best, sums[best])


@given(trades_st)
def test_candles_are_their_slow_twin(trades: list[Trade]) -> None:
    mine = [t for t in trades if t.instrument_id == IDS[0]]
    live, closed = Readings(), []
    builder = live.candles[0]
    for t in trades:
        if t.instrument_id == IDS[0] and t.event_ns >= builder.end_ns:
            closed.append(builder.close(t.event_ns, 7))
        live.write(t)
    closed.append(builder.get(7))
    found = [c for c in closed if c is not None]
    assert [
        (c.open, c.high, c.low, c.close, c.volume, c.taker_buy_volume) for c in found
    ] == slow.candles(mine, 60 * S)
    assert all(c.is_closed for c in found[:-1])


def test_seconds_of_many_rows_leave_the_window_and_make_room() -> None:
    """A hundred rows a second: tables grow, and are cleared of what is out of the window."""
    tape = TradeTape()
    live = AbsorptionDetector("v", 0.01, tape, 0, AbsorptionSettings(row_share=0.0))
    for second in range(60):
        for k in range(100):
            if tape.append(0, second * S, 100.0 + 0.01 * ((k * 7) % 100), -1.0):
                live.fold()
        live.second((second + 1) * S, None)
    window, _ = live.hits.window(0)
    assert len(window) == 1_000
    assert live.hits.words[ROOM] <= 4_096
    assert sum(live._volumes[0]) == 1_000.0


def test_the_tape_is_a_ring_and_says_when_to_catch_up() -> None:
    tape = TradeTape(BATCH)
    told = [tape.append(0, k, float(k), 1.0) for k in range(2 * BATCH + 3)]
    assert [k for k, full in enumerate(told) if full] == [BATCH - 1, 2 * BATCH - 1]
    assert tape.row(2 * BATCH + 2) == (2 * BATCH + 2, 2.0 * BATCH + 2.0, 1.0)
    assert sorted(tape.at_ns.tolist()) == list(range(BATCH + 3, 2 * BATCH + 3))
    assert [tape.number_of(key) for key in ("a:X", "b:X", "a:X")] == [0, 1, 0]
    with pytest.raises(ValueError, match="power of two"):
        TradeTape(1_000)


@pytest.mark.parametrize("make", [DayDelta, lambda tape: FootprintBuilder(tape, S)])
def test_a_reading_begins_where_it_was_made(make: Callable[[TradeTape], DayDelta]) -> None:
    tape = TradeTape()
    tape.append(tape.number_of("a:X"), 0, 100.0, 1.0)
    late = make(tape)
    late.fold()
    assert late._read == 1
    assert _nothing(late)


def _nothing(of: DayDelta | FootprintBuilder) -> bool:
    return of.totals() == {} if isinstance(of, DayDelta) else of.get() is None


def test_mids_stand_for_prices_where_one_is_told() -> None:
    tape = TradeTape()
    live = DayDelta(tape)
    prices: Sequence[float] = (100.0, 101.0, 102.0)
    for k, price in enumerate(prices):
        tape.append(tape.number_of("a:X"), 5 * k * S, price, 1.0)
        live.fold(0.0 if k else 99.5)
    assert live.get(10 * S, 60 * S).price.tolist() == [99.5, 101.0, 102.0]
    assert not any(math.isnan(x) for x in itertools.chain(live.get(10 * S, 60 * S).cvd))
