"""The tracker's states in scripted markets: each entered for its reasons, none that flickers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqfield.cascade.push import PushDetector, PushSettings
from liqfield.cascade.tracker import CascadeSettings, CascadeTracker, Fuel, Surroundings
from liqfield.model.analytics import CascadeState, FlowEventKind
from liqfield.model.sides import PositionSide

S = 1_000_000_000
CALM, APPROACHING = CascadeState.CALM, CascadeState.APPROACHING
RUNNING, ABSORBING, EXHAUSTED = (
    CascadeState.RUNNING,
    CascadeState.ABSORBING,
    CascadeState.EXHAUSTED,
)


class Script:
    """A market second by second; prints in USD, prices wander by a basis point."""

    def __init__(self) -> None:
        self.tracker = CascadeTracker()
        self.now = 0
        self.price = 1_000.0
        self.states: list[CascadeState] = []
        self.fuel: tuple[Fuel | None, Fuel | None] = (None, None)
        self.depth = (1e6, 1e6)
        self.interest = 100.0

    def second(
        self, move: float = 0.0, prints: tuple[float, ...] = (), side: int = 0, flow: float = 0.0
    ) -> CascadeState:
        wander = 0.0001 * (1 if self.now % 2 else -1)
        self.price *= 1.0 + move
        for k, usd in enumerate(prints):
            self.tracker.print_(self.now * S + k, side, usd)
        self.now += 1
        self.tracker.second(
            Surroundings(
                now_ns=self.now * S,
                price=self.price * (1.0 + wander),
                net_flow=flow,
                impact=0.01,
                depth_usd=self.depth,
                open_interest=self.interest,
                fuel=self.fuel,
            )
        )
        self.states.append(self.tracker.state)
        return self.tracker.state

    def calm(self, seconds: int = 120) -> None:
        for _ in range(seconds):
            self.second()


def test_a_whole_cascade_of_longs() -> None:
    script = Script()
    script.calm()
    assert set(script.states) == {CALM}
    for _ in range(15):  # falling, two prints a second
        script.second(-0.001, (50_000.0, 20_000.0), flow=-100.0)
    assert script.tracker.state is RUNNING
    view = script.tracker.view()
    assert view.position_side is PositionSide.LONG
    assert view.forced_usd == pytest.approx(15 * 70_000.0, rel=0.3)
    script.depth = (2e5, 1e6)
    script.interest = 95.0
    for _ in range(14):  # prints go on, the price holds
        script.second(0.0, (50_000.0, 20_000.0))
    assert script.tracker.state is ABSORBING
    view = script.tracker.view()
    assert view.open_interest_change == pytest.approx(-0.05)
    assert view.refill == pytest.approx(0.2, rel=0.05)
    assert view.branching is not None
    for _ in range(60):
        script.second()
    assert script.tracker.state is EXHAUSTED
    script.calm(200)
    assert script.tracker.state is CALM
    changes = [b for a, b in zip(script.states, script.states[1:], strict=False) if a is not b]
    assert changes == [RUNNING, ABSORBING, EXHAUSTED, CALM]


def test_shorts_mirror_longs() -> None:
    script = Script()
    script.calm()
    for _ in range(15):
        script.second(0.001, (60_000.0,), side=1, flow=100.0)
    assert script.tracker.view().position_side is PositionSide.SHORT
    assert script.tracker.state is RUNNING


def test_a_new_extreme_while_absorbing_is_running_again() -> None:
    script = Script()
    script.calm()
    for _ in range(12):
        script.second(-0.001, (60_000.0,))
    for _ in range(14):
        script.second(0.0, (60_000.0,))
    assert script.tracker.state is ABSORBING
    script.second(-0.01, (60_000.0,))
    assert script.tracker.state is RUNNING


def test_few_or_small_prints_are_no_cascade() -> None:
    script = Script()
    script.calm()
    for _ in range(3):
        script.second(-0.001, (1e6,))
    script.calm(30)
    for _ in range(30):
        script.second(-0.0001, (100.0,))
    assert RUNNING not in script.states


def test_approaching_is_a_strong_move_one_way_names_what_is_ahead_and_has_hysteresis() -> None:
    script = Script()
    script.calm()
    script.fuel = (Fuel(0.004, 5e7), None)
    for _ in range(5):
        script.second()
    assert script.tracker.state is CALM  # near, but nothing moves
    for _ in range(15):
        script.second(-0.001)
    assert script.tracker.state is APPROACHING
    view = script.tracker.view()
    assert view.position_side is PositionSide.LONG
    assert view.fuel_usd == 5e7
    assert any("away" in line for line in view.evidence)
    script.second()
    assert script.tracker.state is APPROACHING
    script.fuel = (None, None)
    script.calm(80)
    assert script.tracker.state is CALM


def test_exhausted_needs_silence_and_no_new_extreme() -> None:
    script = Script()
    script.calm()
    for _ in range(15):
        script.second(-0.001, (50_000.0, 20_000.0), flow=-100.0)
    for _ in range(30):  # no more prints, but the price falls on
        script.second(-0.002)
    assert EXHAUSTED not in script.states
    for _ in range(20):  # a print now and then, the price holds
        script.second(0.0, (1_000.0,) if script.now % 5 == 0 else ())
    assert EXHAUSTED not in script.states
    script.calm(14)
    assert script.tracker.state is EXHAUSTED


def test_every_state_has_evidence_in_words() -> None:
    script = Script()
    assert script.tracker.view().evidence
    script.calm()
    for _ in range(15):
        script.second(-0.001, (50_000.0, 20_000.0), flow=-100.0)
    lines = script.tracker.view().evidence
    assert any("prints of longs" in line and "running from" in line for line in lines)
    assert any("of the peak" in line for line in lines)


@given(
    st.lists(
        st.tuples(
            st.floats(-0.02, 0.02),
            st.lists(st.floats(0.0, 1e9), max_size=6),
            st.integers(0, 1),
            st.floats(0.0, 0.05),
        ),
        max_size=150,
    )
)
def test_any_market_keeps_the_laws(rows: list[tuple[float, list[float], int, float]]) -> None:
    """Only allowed transitions; the view is finite; a side is named unless it is calm."""
    allowed = {
        CALM: {APPROACHING, RUNNING},
        APPROACHING: {CALM, RUNNING},
        RUNNING: {ABSORBING, EXHAUSTED, RUNNING},
        ABSORBING: {RUNNING, EXHAUSTED},
        EXHAUSTED: {CALM, RUNNING, APPROACHING},
    }
    script = Script()
    script.calm(70)
    before = script.tracker.state
    for move, prints, side, distance in rows:
        script.fuel = (Fuel(distance, 1e7), Fuel(0.05 - distance, 1e7))
        after = script.second(move, tuple(prints), side)
        assert after is before or after in allowed[before]
        before = after
        view = script.tracker.view()
        assert (view.position_side is None) == (view.state is CALM)
        for value in (view.forced_usd, view.intensity_usd_per_min, view.peak_usd_per_min):
            assert math.isfinite(value)
            assert value >= 0.0
        assert view.intensity_usd_per_min <= view.peak_usd_per_min * (1 + 1e-9) or view.state in (
            CALM,
            APPROACHING,
            EXHAUSTED,
        )


def test_silent_seconds_are_seconds() -> None:
    """A market that says something every five seconds only has the volatility of its price."""

    def sigma(every: int) -> float:
        tracker = CascadeTracker()
        for second in range(0, 600, every):
            price = 1_000.0 * (1.0005 if second // 5 % 2 else 1.0)
            tracker.second(
                Surroundings(second * S, price, 1.0, None, (1e6, 1e6), 0.0, (None, None))
            )
        found = tracker.sigma()
        assert found is not None
        return found

    assert sigma(5) == pytest.approx(sigma(1), rel=0.01)


def test_settings_are_tunable() -> None:
    script = Script()
    script.tracker = CascadeTracker(CascadeSettings(least_prints=50))
    script.calm()
    for _ in range(20):
        script.second(-0.001, (50_000.0, 20_000.0))
    assert RUNNING not in script.states


# ---- whale push ---------------------------------------------------------------------------------


def pushed(
    flow: float, gross: float, fuel: Fuel | None, depth: float = 1e6, move: float = 0.0
) -> list[bool | None]:
    """Sides that were hit; move: USD a second while the flow lasts."""
    detector = PushDetector(PushSettings(warm_s=60))
    found = []
    for second in range(120):
        is_late = second >= 100
        event = detector.second(
            Surroundings(
                now_ns=(second + 1) * S,
                price=1_000.0 + move * max(second - 99, 0),
                net_flow=flow if is_late else 1.0 - 2.0 * (second % 2),
                impact=0.01,
                depth_usd=(depth, depth),
                open_interest=0.0,
                fuel=(fuel, None),
            ),
            gross if is_late else 2.0,
        )
        if event is not None:
            assert event.kind is FlowEventKind.WHALE_PUSH
            found.append(event.is_bid)
    return found


def test_a_push_is_large_one_sided_and_towards_a_cluster() -> None:
    near = Fuel(0.002, 5e7)
    assert pushed(-100.0, 110.0, near) == [True]  # it hits bids
    assert pushed(-100.0, 400.0, near) == []  # two-sided
    assert pushed(-100.0, 110.0, None) == []  # towards nothing
    assert pushed(-100.0, 110.0, Fuel(0.06, 5e7)) == []  # too far
    assert pushed(-100.0, 110.0, near, depth=1e9) == []  # a thick book
    assert pushed(100.0, 110.0, near) == []  # the other way


def test_a_flow_behind_the_price_is_no_push() -> None:
    near = Fuel(0.002, 5e7)
    # Of 100 coins a second the impact of 0.01 expects 1 USD a second.
    assert pushed(-100.0, 110.0, near, move=-0.6) == [True]
    assert pushed(-100.0, 110.0, near, move=0.5) == [True]  # the book holds
    assert pushed(-100.0, 110.0, near, move=-2.0) == []
