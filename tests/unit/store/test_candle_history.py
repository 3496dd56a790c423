"""Candles: replaced, aggregated, kept over a restart."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.model.durations import MINUTE_NS
from liqfield.model.events import Candle
from liqfield.model.sides import CandleOf
from liqfield.store.candle_history import CandleHistory


def candle(minute: int, price: float, *, closed: bool = True, history: bool = False) -> Candle:
    end_ns = (minute + 1) * MINUTE_NS
    return Candle(
        "x",
        end_ns,
        end_ns,
        CandleOf.LAST,
        MINUTE_NS,
        price,
        price + 2,
        price - 2,
        price + 1,
        3.0,
        is_closed=closed,
        is_history=history,
    )


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(st.integers(0, 5000), st.floats(10, 1000), max_size=40),
    st.sampled_from([60, 300, 3600, 14400]),
    st.integers(0, 5000),
    st.integers(0, 5000),
)
def test_aggregates_are_the_slow_ones(
    minutes: dict[int, float], interval_s: int, first: int, last: int
) -> None:
    history = CandleHistory(None)
    for minute, price in minutes.items():
        history.append("BTC", candle(minute, price))
    want = []
    step = interval_s // 60
    for start in range(0, 5040, step):
        inside = [(m, minutes[m]) for m in sorted(minutes) if start <= m < start + step]
        if inside and first <= start < last:
            prices = [p for _, p in inside]
            row = (inside[0][1], max(prices) + 2, min(prices) - 2, inside[-1][1] + 1)
            want.append((start * 60_000.0, *row, 3.0 * len(inside)))
    assert history.rows("BTC", interval_s, first * 6e4, last * 6e4) == want


def test_live_beats_back_fill_and_running_becomes_closed() -> None:
    history = CandleHistory(None)
    history.append("BTC", candle(5, 100.0, history=True))
    history.append("BTC", candle(5, 101.0, closed=False))
    history.append("BTC", candle(5, 102.0))
    history.append("BTC", candle(5, 999.0, history=True))
    assert [row[1] for row in history.rows("BTC", 60, 0, 1e9)] == [102.0]


def test_days_are_kept_over_a_restart(tmp_path: Path) -> None:
    history = CandleHistory(tmp_path)
    for minute in range(1430, 1460):
        history.append("BTC", candle(minute, float(minute)))
    history.flush()
    again = CandleHistory(tmp_path)
    assert len(again.rows("BTC", 60, 0, 1e9)) == 30
    assert len(again.rows("ETH", 60, 0, 1e9)) == 0
    assert not list((tmp_path / "BTC").glob("*.tmp"))


def test_a_corrupt_day_is_named(tmp_path: Path) -> None:
    (tmp_path / "BTC").mkdir()
    (tmp_path / "BTC" / "0.candles").write_bytes(b"rubbish")
    history = CandleHistory(tmp_path)
    assert history.rows("BTC", 60, 0, 1e9) == []
    assert "0.candles" in history.problem
