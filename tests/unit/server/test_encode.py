"""Estimates to wire messages: the ladder's rows keep every coin and dollar."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.model.estimates import LadderView
from liqfield.model.events import FloatArray
from liqfield.server.encode import ladder
from tests.unit.server.support import density


def view(first_row: int, step: float, bid: FloatArray, ask: FloatArray) -> LadderView:
    n = len(bid)
    middle = (first_row + n / 2) * step
    return LadderView(
        base="BTC",
        at_ns=1,
        step=step,
        first_row=first_row,
        bid=bid,
        ask=ask,
        best_bid=middle - step / 2,
        best_ask=middle + step / 2,
        venues=("okx",),
        absent={"bybit": "no data yet"},
    )


@settings(deadline=None, max_examples=60)
@given(
    st.integers(2, 300),
    st.integers(1000, 200_000),
    st.sampled_from([0.01, 0.1, 0.5, 1.0]),
    st.sampled_from([0.0, 1.0, 5.0, 10.0]),
    st.integers(0, 1 << 30),
)
def test_rows_are_the_slow_sums(
    rows_in: int, first_row: int, step: float, wanted: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bid, ask = rng.uniform(0, 5, rows_in), rng.uniform(0, 5, rows_in)
    message = ladder(view(first_row, step, bid, ask), None, None, wanted, 60)
    multiple = round(message.step / step)
    assert math.isclose(message.step, multiple * step)
    first = round(message.first_price / message.step)
    for name, sizes in (("bid", bid), ("ask", ask)):
        want = [0.0] * 60
        for i, size in enumerate(sizes):
            row = (first_row + i) // multiple - first
            if 0 <= row < 60:
                want[row] += size
        assert np.allclose(getattr(message, name), want, atol=1e-6)
    assert len(message.bid) == len(message.long_usd) == len(message.traded) == 60
    middle = (message.best_bid + message.best_ask) / 2
    assert message.first_price < middle < message.first_price + 60 * message.step


def test_the_map_beside_the_ladder_keeps_its_dollars() -> None:
    map_ = density(0, mark=85_000.0, bins=64, usd=1e6)
    book = view(8_500_000 - 500_000, 0.01, np.zeros(1_000_000), np.zeros(1_000_000))
    message = ladder(book, map_, None, 50.0, 400)
    edges = map_.grid.edges()
    low, high = message.first_price, message.first_price + 400 * message.step
    assert low < edges[0]
    assert edges[-1] < high
    want = map_.notional_usd.sum(axis=(1, 2))
    assert math.isclose(sum(message.long_usd), want[0], rel_tol=1e-5)
    assert math.isclose(sum(message.short_usd), want[1], rel_tol=1e-5)
    assert message.absent == {"bybit": "no data yet"}


def test_volume_is_asked_for_the_rows_that_are_shown() -> None:
    asked = []

    def volume(step: float, first_row: int, rows: int) -> tuple[FloatArray, FloatArray]:
        asked.append((step, first_row, rows))
        return np.arange(rows, dtype=float), np.ones(rows)

    message = ladder(view(850_000, 0.1, np.ones(100), np.ones(100)), None, volume, 1.0, 40)
    ((step, first_row, rows),) = asked
    assert (step, rows) == (message.step, 40)
    assert math.isclose(first_row * step, message.first_price)
    assert message.delta == tuple(map(float, range(40)))
