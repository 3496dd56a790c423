"""A second in one compiled call equals lists of all seconds, however many were silent."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.cascade.push import add_flow
from liqfield.cascade.recent import RecentSeconds
from liqfield.model.quantile import DecayedQuantile
from tests.reference.cascade import SlowFlows, SlowSeconds

HALF_LIFE, DEPTH_HALF_LIFE = 50.0, 20.0
DRIVEN, AT_EXTREME = 1.0, 2.0
second_st = st.tuples(
    st.integers(-300, 300),  # move, 1e-5
    st.integers(-50, 50),  # net flow
    st.tuples(st.integers(0, 9), st.integers(0, 9)),  # depth, 0 = unknown
    st.sampled_from([1, 1, 1, 1, 1, 2, 7, 400]),  # seconds since the last one
    st.booleans(),
)


@settings(max_examples=60)
@given(st.lists(second_st, max_size=60), st.integers(0, 400), st.integers(0, 1_000))
def test_a_second_equals_its_slow_twin(
    rows: list[tuple[int, int, tuple[int, int], int, bool]], calm: int, seed: int
) -> None:
    """After a calm that may fill the ring or not."""
    random = np.random.default_rng(seed)
    quiet = [(int(move), 1, (5, 5), 1, True) for move in random.integers(-9, 10, calm)]
    fast, slow = RecentSeconds(DRIVEN, AT_EXTREME), SlowSeconds(HALF_LIFE, DEPTH_HALF_LIFE)
    price = 1_000.0
    for move, flow, depth, passed, is_quiet in [*quiet, *rows]:
        price *= math.exp(move * 1e-5)
        usd = depth[0] * 1e5, depth[1] * 1e5
        slow.add(price, float(flow), usd, passed, learn_depth=is_quiet)
        towards = fast.add(
            price,
            float(flow),
            usd,
            passed,
            0.5 ** (passed / HALF_LIFE),
            0.5 ** (1.0 / DEPTH_HALF_LIFE) if is_quiet else 1.0,
        )
        assert towards == slow.towards(DRIVEN, AT_EXTREME)
        sigma = slow.sigma()
        assert fast.sigma() == (None if sigma is None else pytest.approx(sigma, rel=1e-12))
    kept = slow.prices[-301:]
    assert len(fast) == len(kept)
    assert fast.newest(1_000).tolist() == kept
    assert fast.newest(20).tolist() == kept[-20:]
    assert fast.flow() == pytest.approx(sum(slow.flows[-10:]))
    assert [fast.usual_depth(side) for side in (0, 1)] == pytest.approx(slow.depth)
    for seconds in (0, 1, 60, 299, 5_000) if kept else ():
        assert fast.back(seconds) == kept[-1 - min(seconds, len(kept) - 1)]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(-40, 40),
            st.integers(0, 9),
            st.integers(1, 99),
            st.sampled_from([1, 1, 3, 50]),
        ),
        min_size=1,
        max_size=50,
    )
)
def test_the_flow_of_a_window_equals_its_slow_twin(rows: list[tuple[int, int, int, int]]) -> None:
    window, share, warm = 10, 0.8, 20
    slow, past, other = SlowFlows(window), DecayedQuantile(30.0), DecayedQuantile(30.0)
    table, written = np.zeros((3, window + 1)), np.zeros(1, np.int64)
    for net, more, price, passed in rows:
        figures = net / 8, (abs(net) + more) / 8, price / 4
        *told, is_large = add_flow(table, written, past.table, passed, *figures, share, warm)
        want = slow.add(*figures, passed)
        assert told == list(want)
        assert is_large == (other.count >= warm and abs(want[0]) > other.quantile(share))
        other.add(abs(want[0]))
        assert other.table.tolist() == past.table.tolist()
