"""Outlook: its law equals a count over many moves, learns, and follows the tracker."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.cascade.outlook import ForcedPath, Moves, Outlook, OutlookSettings
from liqfield.cascade.tracker import CascadeTracker, Surroundings
from liqfield.model.analytics import CascadeState
from tests.reference import cascade as slow

S = 1_000_000_000
SHARES = (np.arange(99) + 1) / 100
ways = st.lists(st.floats(0.002, 0.2), max_size=6)


@settings(max_examples=20)
@given(ways, st.floats(0.0, 0.06, allow_subnormal=False), st.booleans())
def test_equals_a_count_over_many_moves(rests: list[float], done: float, stalls: bool) -> None:
    moves = Moves()
    for rest in rests:
        moves.learn(0.01, 0.01, rest)
    got = moves.rest(done, 0.0 if stalls else done, SHARES)
    s = moves.settings
    over = (
        s.over_stalled
        if stalls and s.stalled * done > 0.0  # the smallest floats vanish
        else s.over_going * s.over_moves / (s.over_moves + len(rests))
    )
    want = slow.rest([0.01 + rest for rest in rests], done, over, s)
    # Both say of the other's quantile what share of moves ends before it.
    for share in (0.2, 0.5, 0.8):
        end = float(got[round(share * 100) - 1])
        before = np.mean([rest <= end + 1e-12 for rest in want])
        assert before == pytest.approx(max(share, over), abs=0.06)


@given(ways, st.floats(0.0, 0.3), st.floats(-0.01, 0.3))
def test_quantiles_rise_and_are_no_way_back(rests: list[float], done: float, recent: float) -> None:
    moves = Moves()
    for rest in rests:
        moves.learn(0.01, 0.0, rest)
    got = moves.rest(done, recent, SHARES)
    assert np.all(np.diff(got) >= 0.0)
    assert got[0] >= 0.0
    assert np.all(np.isfinite(got))


def test_a_market_of_equal_moves_is_learnt() -> None:
    moves = Moves()
    first = moves.rest(0.01, 0.01, SHARES)
    for _ in range(40):
        moves.learn(0.01, 0.01, 0.07)
    got = moves.rest(0.01, 0.01, SHARES)
    assert got[49] == pytest.approx(0.07, rel=0.15)
    assert got[89] - got[9] < first[89] - first[9] + 0.03
    assert moves.rest(0.06, 0.06, SHARES)[49] < got[49], "what is done is done"


def test_a_move_that_stalls_is_rather_over() -> None:
    moves = Moves()
    assert moves.rest(0.03, 0.0, SHARES)[39] == 0.0
    assert moves.rest(0.03, 0.01, SHARES)[39] > 0.0
    for _ in range(40):
        moves.learn(0.03, 0.0, 0.02)  # here they go on
    assert moves.rest(0.03, 0.0, SHARES)[39] > 0.0


def test_the_level_of_the_map_is_learnt_from_prints() -> None:
    path = ForcedPath(np.array([0.01, 0.02]), np.array([1e6, 3e6]))
    moves = Moves(OutlookSettings(level_sd=0.0))
    rests = np.full(256, 0.02)
    for _ in range(30):
        moves.learn_level(0.02, 12e6, path.until(0.02))
    assert np.median(moves.forced(rests, path)) == pytest.approx(12e6, rel=0.02)
    before = moves.digest()
    moves.learn_level(0.001, 12e6, 1.0)  # too short to say anything
    assert moves.digest() == before


def test_a_projection_takes_the_map_as_it_is_until_moves_say_otherwise() -> None:
    moves = Moves()
    assert moves.map_factor() == 1.0
    moves.learn_level(0.02, 12e6, 3e6)
    weight = 1.0 / (1.0 + 0.8 * moves.settings.level_moves)
    assert moves.map_factor() == pytest.approx(4.0**weight), "one move against the weight of two"
    for _ in range(40):
        moves.learn_level(0.02, 12e6, 3e6)
    assert moves.map_factor() == pytest.approx(4.0, rel=0.01)


def test_a_level_that_few_moves_tell_of_is_less_certain() -> None:
    path = ForcedPath(np.array([0.01, 0.02]), np.array([1e6, 3e6]))
    moves, rests = Moves(), np.full(256, 0.02)

    def spread() -> float:
        low, high = np.quantile(moves.forced(rests, path), (0.1, 0.9))
        return math.log(high / low)

    first = spread()
    for _ in range(30):
        moves.learn_level(0.02, 3e6, path.until(0.02))
    assert first / spread() == pytest.approx(math.sqrt((1 + 1 / 2) / (1 + 1 / 5)), rel=0.02)


def _around(second: int, price: float) -> Surroundings:
    return Surroundings(second * S, price, 0.0, None, (1e6, 1e6), 1e4, (None, None))


def test_follows_a_cascade_from_its_first_sight_to_its_end() -> None:
    tracker, outlook = CascadeTracker(), Outlook()
    path = ForcedPath(np.array([0.01, 0.05]), np.array([1e6, 9e6]))
    rng = np.random.default_rng(1)
    price, said = 100.0, []
    for second in range(1, 600):
        if 300 <= second < 340:
            price *= math.exp(-0.001)
            tracker.print_(second * S, 0, 5e4)
        else:
            price *= math.exp(1e-5 * rng.standard_normal())
        tracker.second(_around(second, price))
        outlook.second(tracker, price, path if outlook.is_due(tracker) else None)
        view = outlook.view(tracker, price)
        assert (view is not None) == (
            tracker.state in (CascadeState.RUNNING, CascadeState.ABSORBING)
        )
        if view is not None:
            said.append(view)
            assert view.stop_price_far <= view.stop_price <= view.stop_price_near <= price
            assert view.forced_usd is not None
            low, mid, high = view.forced_usd
            assert low <= mid <= high
    assert said
    assert len(outlook.moves) == 1, "it ended once"
    (whole,) = outlook.moves._whole
    assert whole == pytest.approx(0.04, rel=0.05)
