"""Projection: equals the loop, moves the right way, and its fan has something to say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqfield.cascade.projection import Projection, ProjectionSettings, project
from liqfield.model.errors import ModelError
from liqfield.model.events import FloatArray
from tests.reference import cascade as slow

amounts = st.lists(st.floats(0.0, 1e8), min_size=1, max_size=60)
PLAIN = ProjectionSettings(depth_stress=1.0, draws=32)


@given(amounts, st.data(), st.floats(0.0, 1e8), st.booleans())
def test_equals_the_loop(forced: list[float], data: st.DataObject, push: float, up: bool) -> None:
    n = len(forced)
    depth = data.draw(st.lists(st.floats(1.0, 1e8), min_size=n, max_size=n))
    price: FloatArray = 100.0 + np.arange(n + 1, dtype=np.float64) * (0.1 if up else -0.1)
    f = np.array(forced)
    got = project(price, f, f, f, np.array(depth), push_usd=push, settings=PLAIN)
    want_stop, want_forced = slow.stop(price.tolist(), forced, depth, push)
    assert got.stop_price == pytest.approx(want_stop, rel=1e-9)
    assert got.forced_usd == pytest.approx(want_forced, rel=1e-9, abs=1e-3)


@given(amounts, st.floats(0.0, 1e7), st.floats(0.0, 1e7))
def test_more_push_never_stops_earlier(forced: list[float], a: float, b: float) -> None:
    price: FloatArray = 100.0 - 0.1 * np.arange(len(forced) + 1, dtype=np.float64)
    f, depth = np.array(forced), np.full(len(forced), 2e6)
    near = project(price, f, f, f, depth, push_usd=min(a, b), settings=PLAIN)
    far = project(price, f, f, f, depth, push_usd=max(a, b), settings=PLAIN)
    assert far.stop_price <= near.stop_price + 1e-9


def test_no_flow_goes_nowhere() -> None:
    price = np.array([100.0, 99.0, 98.0])
    zero = np.zeros(2)
    got = project(price, zero, zero, zero, np.array([5.0, 5.0]))
    assert got.stop_price == 100.0
    assert got.forced_usd == 0.0


def test_a_hollow_book_runs_beyond_and_says_so() -> None:
    price = np.array([100.0, 99.0, 98.0])
    f = np.array([10.0, 10.0])
    got = project(price, f, f * 0.5, f * 2, np.array([1.0, 1.0]))
    assert got.stop_price == 98.0
    assert got.beyond_share > 0.9


def test_the_fan_widens_with_the_estimate() -> None:
    price: FloatArray = 100.0 - 0.05 * np.arange(201, dtype=np.float64)
    f = np.full(200, 1e6)
    depth = np.full(200, 1.4e6)
    narrow = project(price, f, f * 0.9, f * 1.1, depth, push_usd=2e7)
    wide = project(price, f, f * 0.2, f * 5.0, depth, push_usd=2e7)

    def spread(p: Projection) -> float:
        return abs(p.stop_price_far - p.stop_price_near)

    assert spread(wide) > spread(narrow) > 0.0


def test_edges_must_run_one_way() -> None:
    f = np.ones(2)
    with pytest.raises(ModelError):
        project(np.array([100.0, 99.0, 99.5]), f, f, f, f)
