"""Order with bounded memory: nothing lost but what is counted, nothing out of time order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from liqfield.model.events import MarkPrice
from liqfield.store.archives.order import in_time, reordered, sorted_on_disk
from liqfield.store.archives.rows import FileReport


@given(times=st.lists(st.integers(0, 50), max_size=80), depth=st.integers(1, 20))
def test_reordered_is_in_order_and_counts_what_it_drops(times: list[int], depth: int) -> None:
    report = FileReport("x", skipped={})
    events = [MarkPrice("a", at, n, 1.0) for n, at in enumerate(times)]
    out = list(reordered(events, report, depth))
    assert [e.event_ns for e in out] == sorted(e.event_ns for e in out)
    assert len(out) + sum(report.skipped.values()) == len(events)
    # Equal times keep the file's order.
    pairs = [(e.event_ns, e.received_ns) for e in out]
    assert pairs == sorted(pairs)


@given(times=st.lists(st.integers(0, 50), max_size=80), late=st.integers(1, 20))
def test_reordered_drops_nothing_that_is_late_by_less_than_its_depth(
    times: list[int], late: int
) -> None:
    report = FileReport("x", skipped={})
    # Sorted within windows of `late` rows: no row is more than that many places late.
    times.sort()
    for i in range(0, len(times), late):
        times[i : i + late] = times[i : i + late][::-1]
    events = [MarkPrice("a", at, n, 1.0) for n, at in enumerate(times)]
    assert len(list(reordered(events, report, late))) == len(events)
    assert report.skipped == {}


@given(times=st.lists(st.integers(0, 10**6), max_size=60), run=st.integers(1, 20))
def test_sorting_on_disk_is_sorting(times: list[int], run: int) -> None:
    rows = [[str(at), str(n)] for n, at in enumerate(times)]
    expected = sorted(rows, key=lambda row: int(row[0]))
    assert [list(row) for row in sorted_on_disk(rows, lambda row: int(row[0]), run)] == expected


def test_rows_that_begin_in_order_pass_through_untouched() -> None:
    rows = [[str(at)] for at in range(100)]
    rows[50], rows[51] = rows[51], rows[50]
    assert list(in_time(iter(rows), lambda row: int(row[0]))) == rows
    assert list(in_time(iter(rows[::-1]), lambda row: int(row[0]))) == [
        [str(i)] for i in range(100)
    ]
