"""Absorption: seen where a level takes the flow and refills; silent where the price gives way."""

from __future__ import annotations

import itertools

import pytest

from liqfield.flow.absorption import AbsorptionDetector, AbsorptionSettings
from liqfield.flow.imbalance import TouchImbalance
from liqfield.flow.quotes import QuoteReader
from liqfield.model.analytics import FlowEvent
from liqfield.model.events import BestQuote
from liqfield.model.tape import TradeTape

S = 1_000_000_000
IMPACT = 0.02  # USD per coin
WARM = 150


class Alone(AbsorptionDetector):
    """With a tape of its own."""

    def __init__(self, settings: AbsorptionSettings | None = None) -> None:
        super().__init__("binance", 0.01, TradeTape(), 0, settings)
        self._quotes = QuoteReader(TouchImbalance(), self)

    def on_top(self, bid: float, bids: float, ask: float, asks: float) -> None:
        self._quotes.fold(BestQuote("binance:X", 0, 0, bid, bids, ask, asks))

    def on_trade(self, price: float, signed: float) -> None:
        if self._tape.append(0, 0, price, signed):
            self.fold()


def quiet(detector: Alone, seconds: int, first: int = 0) -> list[FlowEvent]:
    """Ordinary trading: a coin a second on each side while the price wanders by ticks."""
    events: list[FlowEvent] = []
    for second in range(first, first + seconds):
        mid = 1_000.2 + 0.1 * (second % 7)
        detector.on_top(mid - 0.05, 5.0, mid + 0.05, 5.0)
        detector.on_trade(mid - 0.05, -1.0 - 0.1 * (second % 3))
        detector.on_trade(mid + 0.05, 1.0 + 0.1 * (second % 5))
        events += detector.second((second + 1) * S, IMPACT)
    return events


def pressed(
    detector: Alone, first: int, seconds: int, *, sell: float, fall: float = 0.0
) -> list[FlowEvent]:
    """Selling of `sell` coins a second into a bid of five coins; the price gives way by `fall`."""
    events: list[FlowEvent] = []
    for second in range(first, first + seconds):
        bid = 1_000.0 - fall * (second - first)
        for _ in range(4):
            detector.on_top(bid, 5.0, bid + 0.1, 5.0)
            detector.on_trade(bid, -sell / 4)
        events += detector.second((second + 1) * S, IMPACT)
    return events


def fresh(settings: AbsorptionSettings | None = None) -> Alone:
    return Alone(settings)


def test_a_level_that_takes_the_selling_and_refills_is_absorption_and_held() -> None:
    detector = fresh()
    assert quiet(detector, WARM) == []
    events = pressed(detector, WARM, 20, sell=20.0)
    assert [event.outcome for event in events] == ["running"]
    assert detector.running((WARM + 20) * S)[0].notional_usd == pytest.approx(
        20 * 20 * 1_000.0, rel=0.01
    )
    ended = quiet(detector, 40, WARM + 20)
    assert [event.outcome for event in ended] == ["held"]
    event = ended[0]
    assert event.is_bid
    assert event.venue == "binance"
    assert event.price == pytest.approx(1_000.0, abs=0.02)
    assert event.score == pytest.approx(40.0)  # two hundred coins through five shown
    assert 20.0 <= event.duration_s <= 31.0
    assert detector.running((WARM + 60) * S) == []


def test_it_is_broken_when_the_level_is_traded_through() -> None:
    detector = fresh()
    quiet(detector, WARM)
    pressed(detector, WARM, 15, sell=20.0)
    detector.on_trade(999.5, -3.0)
    ended = detector.second((WARM + 16) * S, IMPACT)
    assert [event.outcome for event in ended] == ["broken"]


def test_what_was_absorbed_before_a_level_broke_is_not_told_again() -> None:
    detector = fresh()
    quiet(detector, WARM)
    pressed(detector, WARM, 15, sell=20.0)
    detector.on_trade(999.5, -3.0)
    events = detector.second((WARM + 16) * S, IMPACT)
    for second in range(WARM + 16, WARM + 25):  # the flow of before is still in the window
        detector.on_top(1_000.0, 5.0, 1_000.1, 5.0)
        events += detector.second((second + 1) * S, IMPACT)
    assert [event.outcome for event in events] == ["broken"]
    again = pressed(detector, WARM + 40, 15, sell=40.0)
    assert [event.outcome for event in again] == ["running"], "a new flow is a new matter"


@pytest.mark.parametrize(("sell", "outcomes"), [(8.0, []), (30.0, ["running"])])
def test_flow_that_went_half_elsewhere_asks_for_more_refills(
    sell: float, outcomes: list[str]
) -> None:
    """Half of the selling meets the level: a seventh of what it took must exceed 2.5 times the
    5 coins shown there, 90 coins in ten seconds."""
    detector = fresh()
    quiet(detector, WARM)
    events: list[FlowEvent] = []
    for second in range(WARM, WARM + 10):
        for price, share in ((1_000.0, 0.52), (1_000.1, 0.48)):
            detector.on_top(price, 5.0, price + 0.1, 5.0)
            detector.on_trade(price, -sell * share)
        detector.on_top(1_000.0, 5.0, 1_000.1, 5.0)
        events += detector.second((second + 1) * S, IMPACT)
    assert [event.outcome for event in events] == outcomes


def test_the_same_selling_that_moves_the_price_is_none() -> None:
    detector = fresh()
    quiet(detector, WARM)
    assert pressed(detector, WARM, 20, sell=20.0, fall=0.5) == []
    assert detector.running((WARM + 20) * S) == []


def test_flow_that_the_shown_size_covers_is_none() -> None:
    """Ten seconds of one and a half coins into a bid that shows forty: nothing had to refill."""
    detector = fresh(AbsorptionSettings(volume_quantile=0.5))
    quiet(detector, WARM)
    events: list[FlowEvent] = []
    for second in range(WARM, WARM + 20):
        detector.on_top(1_000.0, 40.0, 1_000.1, 5.0)
        detector.on_trade(1_000.0, -1.9)
        events += detector.second((second + 1) * S, IMPACT)
    assert events == []


def test_no_verdict_before_it_is_warm() -> None:
    assert pressed(fresh(), 0, 60, sell=20.0) == []


def test_without_an_impact_fit_the_level_may_give_way_by_a_row_only() -> None:
    detector = fresh()
    quiet(detector, WARM)
    for second in range(WARM, WARM + 20):
        detector.on_top(1_000.0, 5.0, 1_000.1, 5.0)
        detector.on_trade(1_000.0, -20.0)
        if second > WARM + 12:
            detector.on_top(999.97, 5.0, 1_000.0, 5.0)  # more than a row of two cents under it
        events = detector.second((second + 1) * S, None)
        if second == WARM + 8:
            assert detector.running((second + 1) * S)
    assert [event.outcome for event in events] == []


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e5])
def test_thresholds_are_relative(unit: float) -> None:
    """The same market in coins of another size (and impact to match) gives the same events."""
    detector = fresh()
    found: list[FlowEvent] = []
    for second in range(WARM + 60):
        is_pressed = WARM <= second < WARM + 20
        mid = 1_000.05 if is_pressed else 1_000.2 + 0.1 * (second % 7)
        detector.on_top(mid - 0.05, 5.0 * unit, mid + 0.05, 5.0 * unit)
        detector.on_trade(mid - 0.05, -(20.0 if is_pressed else 1.0 + second % 3) * unit)
        found += detector.second((second + 1) * S, IMPACT / unit)
    assert [event.outcome for event in found] == ["running", "held"]


def test_a_reset_forgets_the_window() -> None:
    detector = fresh()
    quiet(detector, WARM)
    pressed(detector, WARM, 15, sell=20.0)
    detector.reset()
    assert detector.running((WARM + 15) * S) == []
    assert detector.second((WARM + 16) * S, IMPACT) == []


def test_events_come_in_order() -> None:
    detector = fresh()
    quiet(detector, WARM)
    events = pressed(detector, WARM, 15, sell=20.0) + quiet(detector, 60, WARM + 15)
    events += pressed(detector, WARM + 75, 15, sell=40.0) + quiet(detector, 60, WARM + 90)
    starts = [event.at_ns for event in events]
    assert all(a <= b for a, b in itertools.pairwise(starts))
    assert [event.outcome for event in events] == ["running", "held", "running", "held"]
