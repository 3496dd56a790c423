"""Flow, walls and projections on the wire: bounded, and sums stay sums."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.app.thin import thin_windows
from liqfield.cascade.projection import project
from liqfield.context.sessions import thin_reasons
from liqfield.model.analytics import (
    CascadeOutlook,
    CascadeState,
    CascadeView,
    FlowEvent,
    FlowEventKind,
    FlowView,
    FootprintBar,
    WallState,
    WallView,
)
from liqfield.model.estimates import LadderView
from liqfield.model.sides import PositionSide
from liqfield.server import encode_flow
from liqfield.server.encode import WALLS_MAX, ladder

CALM = CascadeView(
    CascadeState.CALM, None, 0, 0.0, 0.0, 0.0, None, None, math.nan, None, None, None, ("quiet",)
)


def bar(rows: int, poc: int = 0) -> FootprintBar:
    size = np.arange(rows, dtype=np.float64)
    flags = np.zeros(rows, dtype=np.int64)
    return FootprintBar(
        0, 60, 1.0, 100, size, size, flags, 100 + poc, 100, 101, ((1, 2),), True, False
    )


def view(buckets: int, bars: tuple[FootprintBar, ...] = ()) -> FlowView:
    cvd = np.cumsum(np.ones(buckets))
    return FlowView(
        "BTC", 1, 1_000_000_000, np.arange(buckets, dtype=np.int64) * 1_000_000_000,
        cvd + 100, cvd, {"okx": cvd * 2}, 0, bars, (), (), CALM,
    )  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 3000))
def test_a_long_day_keeps_its_end_and_its_sum(buckets: int) -> None:
    message = encode_flow.flow(view(buckets))
    n = len(message.start_ms)
    assert n == len(message.cvd) == len(message.price) == len(message.cvd_by_venue["okx"])
    assert n <= encode_flow.BUCKETS
    if not buckets:
        return
    assert message.cvd[-1] == buckets
    assert message.cvd_by_venue["okx"][-1] == 2 * buckets
    # Every value is the sum at the end of its bucket, which starts where the one before ended.
    ends = [round(t / 1e3 + message.bucket_ms / 1e3) for t in message.start_ms]
    assert [round(c) for c in message.cvd[1:]] == ends[1:]


def test_not_a_number_is_not_known() -> None:
    message = encode_flow.flow(view(3))
    assert message.cascade is not None
    assert message.cascade.efficiency is None
    assert msgspec.json.decode(msgspec.json.encode(message))["cascade"]["efficiency"] is None


def test_an_outlook_is_told_while_there_is_one_and_forced_dollars_only_with_a_map() -> None:
    assert encode_flow.cascade_row(CALM).outlook is None
    seen = CascadeOutlook(58_120.4, 58_500.0, 57_700.0, (9e6 + 0.4, 41e6, 120e6), 12)
    row = encode_flow.cascade_row(msgspec.structs.replace(CALM, outlook=seen)).outlook
    assert row is not None
    assert (row.stop_price, row.stop_price_near, row.stop_price_far) == (58_120.4, 58_500, 57_700)
    assert row.forced_usd == (9e6, 41e6, 120e6)
    assert row.moves == 12
    blind = encode_flow.outlook_row(msgspec.structs.replace(seen, forced_usd=None))
    assert msgspec.json.decode(msgspec.json.encode(blind))["forcedUsd"] is None


def test_a_tall_bar_is_cut_around_its_point_of_control() -> None:
    (row,) = encode_flow.flow(view(2, (bar(300, poc=200),))).bars
    assert len(row.bid) == len(row.imbalance) == encode_flow.BAR_ROWS
    assert row.first_row <= row.poc_row < row.first_row + len(row.bid)
    assert row.bid[row.poc_row - row.first_row] == 200.0


def test_walls_inside_the_rows_largest_first_and_unknown_when_nothing_watches() -> None:
    book = LadderView("BTC", 1, 1.0, 950, np.ones(100), np.ones(100), 999.5, 1000.5, ("okx",), {})
    walls = [
        WallView("okx", True, 900.0 + i, 1e6, float(i), 5.0, WallState.HELD, 0.0, 0.0, 0.0)
        for i in range(200)
    ]
    message = ladder(book, None, None, 1.0, 40, walls=walls)
    assert message.walls is not None
    low, high = message.first_price, message.first_price + 40 * message.step
    assert [w.price for w in message.walls] == [
        w.price for w in reversed(walls) if low <= w.price < high
    ][:WALLS_MAX]
    assert len(message.walls) <= WALLS_MAX
    assert ladder(book, None, None, 1.0, 40).walls is None


def test_a_projection_keeps_its_ends() -> None:
    n = 500
    forced, depth = np.full(n, 2.0), np.full(n, 1.0)
    depth[-1] = 1e9
    found = project(np.linspace(1000, 900, n + 1), forced, forced / 2, forced * 2, depth)
    reply = encode_flow.projection("BTC", 7, PositionSide.LONG, 0.0, found)
    assert len(reply.path_price) == len(reply.path_depth_usd) + 1 <= encode_flow.PATH_POINTS + 1
    assert reply.path_price[0] == 1000
    assert reply.path_price[-1] == 900
    assert reply.path_forced_usd[-1] == 2.0 * n


def test_thin_windows_are_the_thin_half_hours() -> None:
    now_ns = 1_795_640_000_000_000_000
    windows = thin_windows(now_ns)
    assert windows
    half = 1_800_000
    for window in windows:
        assert (window.end_ms - window.start_ms) % half == 0
        middle_ns = int((window.start_ms + half / 2) * 1e6)
        assert "; ".join(thin_reasons(middle_ns)) == window.why
        after_ns = int((window.end_ms + half / 2) * 1e6)
        assert "; ".join(thin_reasons(after_ns)) != window.why or window == windows[-1]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(list(FlowEventKind)), max_size=400))
def test_frequent_events_never_hide_rare_ones(kinds: list[FlowEventKind]) -> None:
    told = tuple(
        FlowEvent(i, kind, "okx", 1.0, None, 0.0, 0.0, 0.0, "done", "")
        for i, kind in enumerate(kinds)
    )
    flow_view = msgspec.structs.replace(view(3), events=told)
    rows = encode_flow.flow(flow_view).events
    assert len(rows) <= encode_flow.EVENTS
    assert [row.at_ms for row in rows] == sorted(row.at_ms for row in rows)
    for kind in FlowEventKind:
        mine = [event.at_ns / 1e6 for event in told if event.kind is kind]
        kept = [row.at_ms for row in rows if row.kind == kind.value]
        assert kept == mine[len(mine) - len(kept) :], "of a kind the newest stay"
        assert len(kept) >= min(len(mine), encode_flow.EVENTS // len(FlowEventKind))
