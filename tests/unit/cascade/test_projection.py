"""Projection: equals the loop, moves the right way, and its fan has something to say."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqfield.cascade.projection import Projection, ProjectionSettings, project, way_bins
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
    depth = np.full(200, 4e6)
    # Nothing but the bins' own intervals.
    bare = ProjectionSettings(push_log_sd=0.0, map_log_sd=0.0, depth_sigma=0.1)
    narrow = project(price, f, f * 0.9, f * 1.1, depth, push_usd=2e7, settings=bare)
    wide = project(price, f, f * 0.2, f * 5.0, depth, push_usd=2e7, settings=bare)

    def spread(p: Projection) -> float:
        return abs(p.stop_price_far - p.stop_price_near)

    assert spread(wide) > spread(narrow) > 0.0
    for wider in (
        msgspec.structs.replace(bare, push_log_sd=0.3),
        msgspec.structs.replace(bare, map_log_sd=0.3),
        msgspec.structs.replace(bare, depth_sigma=0.3),
    ):
        found = project(price, f, f * 0.9, f * 1.1, depth, push_usd=2e7, settings=wider)
        assert spread(found) > spread(narrow)
        assert found.stop_price == narrow.stop_price, "widths leave the central case alone"


def test_the_fan_is_that_of_many_draws() -> None:
    price = np.linspace(100.0, 50.0, 2001)
    forced, depth = np.full(2000, 1e5), np.full(2000, 4e6)

    def bounds(draws: int) -> FloatArray:
        found = project(
            price, forced, forced * 0.5, forced * 2.0, depth,
            push_usd=2e7, settings=ProjectionSettings(draws=draws),
        )  # fmt: skip
        return 100.0 - np.array([found.stop_price_near, found.stop_price_far])

    assert bounds(256) == pytest.approx(bounds(8_192), rel=0.1, abs=0.1)


def test_a_push_may_have_ended_already() -> None:
    price: FloatArray = 100.0 - 0.05 * np.arange(201, dtype=np.float64)
    f, depth = np.full(200, 1e3), np.full(200, 4e6)
    sure = ProjectionSettings(push_log_sd=0.0, ended_share=0.0)
    goes = project(price, f, f, f, depth, push_usd=8e7, settings=sure)
    may = msgspec.structs.replace(sure, ended_share=0.2)
    ends = project(price, f, f, f, depth, push_usd=8e7, settings=may)
    assert goes.stop_price_near < 99.5 < ends.stop_price_near
    assert ends.stop_price == goes.stop_price


def test_edges_must_run_one_way() -> None:
    f = np.ones(2)
    with pytest.raises(ModelError):
        project(np.array([100.0, 99.0, 99.5]), f, f, f, f)


@given(
    st.integers(2, 60),
    st.floats(0.02, 0.98),
    st.floats(0.001, 0.2),
    st.booleans(),
)
def test_bins_on_the_way_hold_what_lies_between(
    count: int, where: float, reach: float, down: bool
) -> None:
    """Mass spread evenly in log-price: the way's share of it is its length in log-price."""
    edges: FloatArray = 100.0 * np.exp(0.01 * np.arange(count + 1, dtype=np.float64))
    start = float(edges[0] * (edges[-1] / edges[0]) ** where)
    price, bins, shares = way_bins(edges, start, is_down=down, reach=reach)
    assert price[0] == pytest.approx(start)
    assert np.all(np.diff(price) < 0.0) if down else np.all(np.diff(price) > 0.0)
    assert len(price) == len(bins) + 1 == len(shares) + 1
    end = (
        max(start * math.exp(-reach), edges[0]) if down else min(start * math.exp(reach), edges[-1])
    )
    assert price[-1] == pytest.approx(end)
    assert 0.01 * shares.sum() == pytest.approx(abs(math.log(end / start)))
    assert np.all(edges[bins] <= np.minimum(price[:-1], price[1:]) * (1 + 1e-12))


def test_a_start_outside_the_map_is_refused() -> None:
    edges: FloatArray = np.linspace(90.0, 110.0, 21)
    with pytest.raises(ModelError, match="outside"):
        way_bins(edges, 80.0, is_down=True, reach=0.01)


def test_what_is_not_seen_and_not_known_widens_the_fan() -> None:
    price: FloatArray = 100.0 - 0.05 * np.arange(201, dtype=np.float64)
    f, depth = np.full(200, 1e5), np.full(200, 1.4e6)
    sure = ProjectionSettings(push_log_sd=0.0, depth_sigma=0.1)

    def spread(p: Projection) -> float:
        return abs(p.stop_price_far - p.stop_price_near)

    plain = project(price, f, f, f, depth, push_usd=2e7, settings=sure)
    unseen = project(
        price, f, f, f, depth, push_usd=2e7, depth_log_sd=np.full(200, 1.0), settings=sure
    )
    unknown = project(price, f, f, f, depth, push_usd=2e7)
    assert spread(unseen) > spread(plain)
    assert spread(unknown) > spread(plain)
    assert (
        plain.stop_price
        == unseen.stop_price
        == pytest.approx(project(price, f, f, f, depth, push_usd=2e7, settings=sure).stop_price)
    )
