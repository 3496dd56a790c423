"""The queue in front of the engine: bounded, and what it drops is told."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from liqfield.feeds.intake import Intake
from liqfield.model.events import Frame, Gap, Record
from liqfield.model.sides import GapReason


def frame(source: str, number: int) -> Frame:
    return Frame("binance", source, number, str(number).encode())


def test_overflow_is_a_gap_before_the_next_frame_of_that_source() -> None:
    intake = Intake(capacity=2)
    for number in range(5):
        intake.put(frame("a", number))
    assert (len(intake), intake.dropped) == (2, 3)
    assert [r.received_ns for r in intake.take()] == [0, 1]
    intake.put(frame("b", 5))
    intake.put(frame("a", 6))
    records = intake.take()
    assert [type(r) for r in records] == [Frame, Gap, Frame]
    gap = records[1]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.source, gap.kinds) == (GapReason.OVERFLOW, "a", ())
    assert "3 frames dropped" in gap.detail
    intake.put(frame("a", 7))
    assert [type(r) for r in intake.take()] == [Frame], "one loss, one gap"


def test_gaps_of_others_are_never_dropped() -> None:
    intake = Intake(capacity=1)
    intake.put(frame("a", 0))
    intake.put(Gap("binance", "a", 1, GapReason.DISCONNECT))
    assert [type(r) for r in intake.take()] == [Frame, Gap]


def test_drain_waits_for_the_first_record() -> None:
    async def run() -> list[Record]:
        intake = Intake()
        waiting = asyncio.create_task(intake.drain(10))
        await asyncio.sleep(0)
        assert not waiting.done()
        intake.put(frame("a", 1))
        intake.put(frame("a", 2))
        return await waiting

    assert [r.received_ns for r in asyncio.run(run())] == [1, 2]


@given(
    st.lists(st.one_of(st.sampled_from(["a", "b", "c"]), st.integers(1, 4)), max_size=200),
    st.integers(1, 6),
)
def test_no_loss_is_silent(steps: list[str | int], capacity: int) -> None:
    """Each source: its frames come in order, and wherever some are missing a gap stands between."""
    intake = Intake(capacity)
    put: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    out: list[Record] = []
    number = 0
    for step in steps:
        if isinstance(step, int):
            out += intake.take(step)
            continue
        number += 1
        put[step].append(number)
        intake.put(frame(step, number))
    out += intake.take(10_000)
    seen = 0
    for source, numbers in put.items():
        expected, lost = iter(numbers), False
        for record in (r for r in out if r.source == source):
            if isinstance(record, Gap):
                lost = True
                continue
            seen += 1
            skipped = 0
            while next(expected) != record.received_ns:
                skipped += 1
            assert (skipped > 0) == lost
            lost = False
    assert seen + intake.dropped == number
