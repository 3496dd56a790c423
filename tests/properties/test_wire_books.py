"""The law of the books through each venue's own bytes: true or nothing, then live again.

A venue that knows its book writes it in the wire format of the second six venues; a bad network
drops, repeats and swaps the frames; decode and the synchroniser must never show another book.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.book.sync import BookSync
from liqfield.model.events import BookDelta, BookSnapshot, Frame, Gap
from liqfield.model.instrument import Instrument
from liqfield.model.requests import NeedSnapshot
from liqfield.model.sides import BookRule, GapReason
from liqfield.venues import registry
from liqfield.venues.binance_scan import scanned_shapes
from liqfield.venues.scan import Scanner
from tests.properties.test_book_sync import TrueVenue, mistreat, plan_st
from tests.support import INSTRUMENTS

Levels = list[tuple[float, float]]


def _sides(of: Instrument, event: BookDelta | BookSnapshot) -> tuple[Levels, Levels]:
    """Venue prices and contracts of both sides."""
    rows = [
        (of.price_usd(tick), size)
        for tick, size in zip(
            event.levels.price_ticks.tolist(), event.levels.quantity.tolist(), strict=True
        )
    ]
    return rows[: event.levels.bid_count], rows[event.levels.bid_count :]


def _gate(of: Instrument, event: BookDelta | BookSnapshot) -> tuple[str, Any]:
    bids, asks = _sides(of, event)
    row = {"t": 1, "s": f"ob.{of.symbol}.400", "u": event.sequence, "b": bids, "a": asks}
    if isinstance(event, BookDelta):
        row["U"] = event.first_sequence
    else:
        row["full"] = True
    return "ws:/v4/ws/usdt#books", {"channel": "futures.obu", "event": "update", "result": row}


def _bitget(of: Instrument, event: BookDelta | BookSnapshot) -> tuple[str, Any]:
    bids, asks = _sides(of, event)
    is_delta = isinstance(event, BookDelta)
    before = event.previous_sequence if isinstance(event, BookDelta) else 0
    row = {"a": asks, "b": bids, "seq": event.sequence, "pseq": before, "ts": "1"}
    arg = {"instType": "usdt-futures", "topic": "books", "symbol": of.symbol}
    action = "update" if is_delta else "snapshot"
    return "ws:/v3/ws/public#books", {"action": action, "arg": arg, "data": [row], "ts": 1}


def _deribit(of: Instrument, event: BookDelta | BookSnapshot) -> tuple[str, Any]:
    bids, asks = _sides(of, event)
    data: dict[str, Any] = {
        "type": "snapshot",
        "timestamp": 1,
        "instrument_name": of.symbol,
        "change_id": event.sequence,
        "bids": [("change" if size else "delete", price, size) for price, size in bids],
        "asks": [("change" if size else "delete", price, size) for price, size in asks],
    }
    if isinstance(event, BookDelta):
        data |= {"type": "change", "prev_change_id": event.previous_sequence}
    params = {"channel": f"book.{of.symbol}.100ms", "data": data}
    return "ws:/ws/api/v2#books", {"method": "subscription", "params": params}


def _bybit(of: Instrument, event: BookDelta | BookSnapshot) -> tuple[str, Any]:
    bids, asks = _sides(of, event)
    data = {"s": of.symbol, "b": bids, "a": asks, "u": event.sequence}
    kind = "delta" if isinstance(event, BookDelta) else "snapshot"
    topic = f"orderbook.200.{of.symbol}"
    return "ws:/v5/public/inverse#books", {"topic": topic, "type": kind, "ts": 1, "data": data}


def _coinm(of: Instrument, event: BookDelta | BookSnapshot) -> tuple[str, Any]:
    bids, asks = _sides(of, event)
    if isinstance(event, BookSnapshot):
        body = {"lastUpdateId": event.sequence, "T": 1, "bids": bids, "asks": asks}
        return f"rest:/dapi/v1/depth?symbol={of.symbol}&limit=1000", body
    return "ws:/ws#books", {
        "e": "depthUpdate",
        "E": 1,
        "T": 1,
        "s": of.symbol,
        "ps": of.base,
        "st": 2,
        "U": event.first_sequence,
        "u": event.sequence,
        "pu": event.previous_sequence,
        "b": [(str(price), str(size)) for price, size in bids],
        "a": [(str(price), str(size)) for price, size in asks],
    }


def _bitmex(of: Instrument, event: BookDelta | BookSnapshot) -> tuple[str, Any]:
    """Rows of one action a message: here updates, which set, as inserts and deletes would."""
    bids, asks = _sides(of, event)
    rows = [
        {"symbol": of.symbol, "id": 1, "side": side, "price": price, "size": size}
        for side, levels in (("Buy", bids), ("Sell", asks))
        for price, size in levels
    ]
    action = "partial" if isinstance(event, BookSnapshot) else "update"
    return "ws:/realtime#books", {"table": "orderBookL2", "action": action, "data": rows}


WRITERS: dict[str, Callable[[Instrument, BookDelta | BookSnapshot], tuple[str, Any]]] = {
    "gate:BTC_USDT": _gate,
    "bitget:BTCUSDT": _bitget,
    "deribit:BTC-PERPETUAL": _deribit,
    "bybit-inverse:BTCUSD": _bybit,
    "binance-coinm:BTCUSD_PERP": _coinm,
}


class Wire:
    """A true venue, its bytes, its decoder and the book made of them."""

    def __init__(self, instrument_id: str, seed: int) -> None:
        self.of = INSTRUMENTS[instrument_id]
        self.venue = registry.VENUES[self.of.venue]()
        rule = self.venue.book_rule
        self.truth = TrueVenue(BookRule.PREVIOUS_ID if rule is BookRule.IN_ORDER else rule, seed)
        self.sync = BookSync(self.of.id, rule)
        self.write = WRITERS.get(instrument_id, _bitmex)

    def push(self, event: BookDelta | BookSnapshot) -> NeedSnapshot | None:
        source, message = self.write(self.of, event)
        frame = Frame(self.of.venue, source, 1, json.dumps(message, separators=(",", ":")).encode())
        (decoded,) = self.venue.decode(frame, INSTRUMENTS)
        assert isinstance(decoded, BookDelta | BookSnapshot)
        return self.sync.push(decoded)

    def check(self, sequence: int | None = None) -> None:
        """The book shown is the truth at its counter, in base coins; or none is shown."""
        if self.sync.ladder is None:
            return
        truth = self.truth.states[self.sync.sequence if sequence is None else sequence]
        for side in (0, 1):
            ticks, coins = self.sync.ladder.levels(side)
            shown = dict(zip(ticks.tolist(), coins.tolist(), strict=True))
            assert shown == pytest.approx(
                {
                    tick: self.of.quantity_base(size, self.of.price_usd(tick))
                    for tick, size in truth[side].items()
                }
            )


@settings(max_examples=25)
@pytest.mark.parametrize("instrument_id", WRITERS)
@given(plan=plan_st, seed=st.integers(0, 10_000))
def test_true_or_nothing_through_the_venues_bytes(
    instrument_id: str, plan: list[str], seed: int
) -> None:
    wire = Wire(instrument_id, seed)
    for diff in mistreat(wire.truth, plan):
        need = wire.push(diff)
        wire.check()
        if need is not None:
            wire.push(wire.truth.snapshot())
            wire.check()
    for _ in range(3):  # left alone it gets live and stays
        need = wire.push(wire.truth.diff())
        if need is not None or wire.sync.ladder is None:
            wire.push(wire.truth.snapshot())
    wire.push(wire.truth.diff())
    assert wire.sync.ladder is not None
    wire.check()


@settings(max_examples=25)
@given(plan=st.lists(st.sampled_from(["send"] * 6 + ["gap"]), min_size=1, max_size=40))
def test_without_counters_the_order_of_one_socket_is_the_book(plan: list[str]) -> None:
    """BitMEX: nothing counts before the partial; a lost socket voids; one request a loss."""
    wire = Wire("bitmex:XBTUSD", len(plan))
    assert wire.push(wire.truth.diff()) is not None
    assert wire.push(wire.truth.diff()) is None
    assert wire.sync.ladder is None
    wire.push(wire.truth.snapshot())
    for what in plan:
        if what == "gap":
            wire.sync.push(Gap("bitmex", "ws:/realtime#books", 1, GapReason.DISCONNECT))
            assert wire.sync.ladder is None
            wire.truth.diff()  # lost
            assert wire.push(wire.truth.diff()) is not None
            wire.push(wire.truth.snapshot())
        else:
            assert wire.push(wire.truth.diff()) is None
        assert wire.sync.ladder is not None
        wire.check(wire.truth.sequence)


def test_a_row_without_a_price_voids_the_book_and_the_next_diff_asks() -> None:
    wire = Wire("bitmex:XBTUSD", 3)
    wire.push(wire.truth.snapshot())
    row = {"symbol": "XBTUSD", "id": 1, "side": "Buy", "size": 5}
    message = {"table": "orderBookL2", "action": "update", "data": [row]}
    frame = Frame("bitmex", "ws:/realtime#books", 1, json.dumps(message).encode())
    (gap,) = wire.venue.decode(frame, INSTRUMENTS)
    assert isinstance(gap, Gap)
    wire.sync.push(gap)
    assert wire.sync.ladder is None
    assert wire.push(wire.truth.diff()) is not None


def test_the_scanner_reads_coin_margined_diffs_as_json_does() -> None:
    wire = Wire("binance-coinm:BTCUSD_PERP", 5)
    diff = wire.truth.diff()
    _, message = _coinm(wire.of, diff)
    compact = json.dumps(message, separators=(",", ":")).encode()
    spaced = json.dumps(message).encode()
    scanner = Scanner("binance-coinm", scanned_shapes(2))
    assert scanner.scan(compact, 1, INSTRUMENTS)
    fast, slow = (
        wire.venue.decode(Frame("binance-coinm", "ws:/ws#books", 1, payload), INSTRUMENTS)[0]
        for payload in (compact, spaced)
    )
    assert isinstance(fast, BookDelta)
    assert isinstance(slow, BookDelta)
    assert fast.levels.price_ticks.tolist() == slow.levels.price_ticks.tolist()
    assert fast.levels.quantity.tolist() == slow.levels.quantity.tolist()
    assert (fast.sequence, fast.previous_sequence) == (slow.sequence, slow.previous_sequence)
