"""One suite over every venue: fixtures become the expected facts; what cannot be true is refused.

A venue joins by its line in the registry; it fails here until it has fixtures of its own.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.engine.engine import Engine
from liqfield.model.errors import DecodeError
from liqfield.model.events import BookLevels, Event, Frame, MarketEvent, Notice, Unknown
from liqfield.model.margin import MarginTier
from liqfield.venues import registry
from tests.conformance.expected import EXPECTED
from tests.conformance.handwritten import CASES as FIRST_CASES
from tests.conformance.handwritten import Case
from tests.conformance.handwritten_two import CASES as SECOND_CASES
from tests.conformance.wire import catalogue, decode_all, fixture_files, frames_of
from tests.support import INSTRUMENTS

VENUES = sorted(registry.VENUES)
CASES = (*FIRST_CASES, *SECOND_CASES)


def plain(value: Any) -> Any:
    """Events as comparable plain data; levels as (ticks, sizes, bids)."""
    if isinstance(value, BookLevels):
        return value.price_ticks.tolist(), value.quantity.tolist(), value.bid_count
    if isinstance(value, MarginTier):
        return value.floor, value.cap, value.max_leverage, value.maintenance_rate, value.deduction
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def kinds(events: list[Event]) -> str:
    counts = Counter(
        f"{type(e).__name__} {e.kind}" if isinstance(e, Unknown | Notice) else type(e).__name__
        for e in events
    )
    return ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))


def floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, np.ndarray):
        yield from value.tolist()
    elif isinstance(value, BookLevels):
        yield from (*value.price_ticks.tolist(), *value.quantity.tolist())
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from floats(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from floats(item)


def assert_true_facts(frame: Frame, events: list[Event]) -> None:
    """What every decoder promises of every event it hands out."""
    for event in events:
        assert all(math.isfinite(x) for x in floats(event)), event
        assert event.received_ns == frame.received_ns
        if isinstance(event, MarketEvent):
            assert event.instrument_id.startswith(f"{frame.venue}:") or not event.instrument_id
            price = getattr(event, "price", 1.0)
            assert price >= 0.0
            assert getattr(event, "quantity", 0.0) >= 0.0


@pytest.mark.parametrize("venue", VENUES)
def test_the_fixtures_of_the_venue_are_all_expected(shared_data: Path, venue: str) -> None:
    files = {path.stem for path in fixture_files(shared_data, venue)}
    assert files == set(EXPECTED[venue])


@pytest.mark.parametrize(
    ("venue", "name"), [(venue, name) for venue in EXPECTED for name in EXPECTED[venue]]
)
def test_fixture_becomes_the_expected_events(shared_data: Path, venue: str, name: str) -> None:
    (path,) = [path for path in fixture_files(shared_data, venue) if path.stem == name]
    frames = frames_of(venue, path)
    known = catalogue(frames)
    assert kinds(decode_all(frames, known)) == EXPECTED[venue][name]
    for frame in frames:
        events = list(registry.VENUES[venue]().decode(frame, known))
        assert_true_facts(frame, events)
        again = list(registry.VENUES[venue]().decode(frame, known))
        assert plain(events) == plain(again), "decoding keeps no state"


@pytest.mark.parametrize("venue", VENUES)
def test_every_venue_has_fixtures_of_its_own(venue: str) -> None:
    assert sum(case.venue == venue for case in CASES) >= 5


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.venue}: {case.name}")
def test_handwritten_message_becomes_its_facts(case: Case) -> None:
    events = list(registry.VENUES[case.venue]().decode(case.frame, INSTRUMENTS))
    assert [type(event).__name__ for event in events] == [kind for kind, _ in case.facts]
    for event, (_, facts) in zip(events, case.facts, strict=True):
        got = plain(event)
        for field, value in facts.items():
            assert got[field] == pytest.approx(value) if _number(value) else got[field] == value
    assert_true_facts(case.frame, events)


def _number(value: Any) -> bool:
    return isinstance(value, float)


# ---- what cannot be true ------------------------------------------------------------------------

MALFORMED = [
    (case, change)
    for case in CASES
    if case.facts[0][0] not in ("Unknown", "Notice")
    for change in ("cut", "text", "null")
]


@pytest.mark.parametrize(
    ("case", "change"), MALFORMED, ids=[f"{c.venue}: {c.name}: {how}" for c, how in MALFORMED]
)
def test_malformed_bytes_are_named_with_venue_channel_and_beginning(
    case: Case, change: str
) -> None:
    whole = case.frame.payload
    payload = {"cut": whole[:-2], "text": b"<html>503</html>", "null": b"null"}[change]
    frame = msgspec.structs.replace(case.frame, payload=payload)
    with pytest.raises(DecodeError) as raised:
        registry.VENUES[case.venue]().decode(frame, INSTRUMENTS)
    error = raised.value
    assert (error.venue, error.head) == (case.venue, payload[:80])
    assert error.channel
    assert case.venue in str(error)


IMPOSSIBLE = [
    ("binance", {"p": "-1"}),
    ("binance", {"p": "1e400"}),
    ("binance", {"p": "NaN"}),
    ("binance", {"q": "-0.5"}),
    ("binance", {"T": "yesterday"}),
    ("bybit", {"p": "0"}),
    ("bybit", {"S": "Both"}),
    ("bybit", {"v": "inf"}),
    ("okx", {"px": "-60000"}),
    ("okx", {"side": ""}),
    ("okx", {"sz": None}),
    ("hyperliquid", {"side": "X"}),
    ("hyperliquid", {"px": "nan"}),
    ("hyperliquid", {"sz": "-1"}),
    ("binance-coinm", {"p": "0"}),
    ("binance-coinm", {"p": "1e-300"}),
    ("bybit-inverse", {"p": "1e-300"}),
    ("bybit-inverse", {"S": "Both"}),
    ("gate", {"size": "0"}),
    ("gate", {"size": "1e400"}),
    ("gate", {"price": None}),
    ("bitget", {"S": "hold"}),
    ("bitget", {"v": "-1"}),
    ("bitmex", {"timestamp": "yesterday"}),
    ("bitmex", {"size": -5}),
    ("deribit", {"direction": "zero"}),
    ("deribit", {"amount": 0}),
]


@pytest.mark.parametrize(("venue", "change"), IMPOSSIBLE)
def test_a_trade_that_cannot_be_is_a_decode_error(venue: str, change: dict[str, Any]) -> None:
    trades = (c for c in CASES if c.venue == venue and c.facts[0][0] == "Trade")
    case = next(c for c in trades if c.source.startswith("ws:"))
    message = json.loads(case.frame.payload)
    holder = message.get("params", message)
    rows = holder.get("data", holder.get("result"))
    row = rows[0] if rows else message
    assert set(change) <= set(row)
    row.update(change)
    frame = msgspec.structs.replace(case.frame, payload=json.dumps(message).encode())
    with pytest.raises(DecodeError):
        registry.VENUES[venue]().decode(frame, INSTRUMENTS)


def test_unknown_messages_are_counted_by_kind() -> None:
    venues = registry.make()
    engine = Engine({name: venue.book_rule for name, venue in venues.items()})
    for instrument in INSTRUMENTS.values():
        engine.list(instrument)
    unknown = [case for case in CASES if case.facts[0][0] == "Unknown"]
    for case in unknown * 2:
        for event in venues[case.venue].decode(case.frame, engine.instruments):
            assert engine.step(event) == []
    expected = {f"{case.venue} {case.facts[0][1]['kind']}": 2 for case in unknown}
    assert dict(engine.unknown) == expected


# ---- fuzz: only events or a DecodeError ---------------------------------------------------------


@st.composite
def mutations(draw: st.DrawFn, payload: bytes) -> bytes:
    out = bytearray(payload)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(out) - 1, 0)))
        length = draw(st.integers(1, 40))
        how = draw(st.sampled_from(["truncate", "flip", "duplicate", "delete", "insert"]))
        if how == "truncate":
            del out[at:]
        elif how == "flip" and out:
            out[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "duplicate":
            out[at:at] = out[at : at + length]
        elif how == "delete":
            del out[at : at + length]
        else:
            out[at:at] = draw(
                st.sampled_from([b"null", b"-", b"1e999", b'""', b"[]", b"{}", b"\\"])
            )
    return bytes(out)


def assert_survives(frame: Frame, known: dict[str, Any]) -> None:
    refusal: DecodeError | None = None
    events: list[Event] = []
    try:
        events = list(registry.VENUES[frame.venue]().decode(frame, known))
    except DecodeError as error:
        refusal = error
    assert_true_facts(frame, events)
    if refusal is not None:
        assert refusal.venue == frame.venue
        assert refusal.channel
        assert refusal.head == frame.payload[:80]


@settings(max_examples=600)
@given(st.data())
def test_mutated_handwritten_messages_give_events_or_a_decode_error(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(CASES))
    payload = data.draw(mutations(case.frame.payload))
    assert_survives(msgspec.structs.replace(case.frame, payload=payload), INSTRUMENTS)


@pytest.mark.parametrize("venue", VENUES)
def test_mutated_fixtures_give_events_or_a_decode_error(shared_data: Path, venue: str) -> None:
    # Long sequences repeat themselves: the first messages of every file hold every shape.
    frames = [
        frame
        for path in fixture_files(shared_data, venue)
        for frame in frames_of(venue, path)[:3]
        if len(frame.payload) < 20_000
    ]
    known = catalogue(frames)

    @settings(max_examples=150)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        frame = frames[data.draw(st.integers(0, len(frames) - 1))]
        payload = data.draw(mutations(frame.payload))
        assert_survives(msgspec.structs.replace(frame, payload=payload), known)

    run()


@given(payload=st.binary(max_size=200), venue=st.sampled_from(VENUES), rest=st.booleans())
def test_any_bytes_give_events_or_a_decode_error(payload: bytes, venue: str, rest: bool) -> None:
    sources = [case.frame.source for case in CASES if case.venue == venue]
    source = next(s for s in sources if s.startswith("rest:") == rest)
    assert_survives(Frame(venue, source, 1, payload), INSTRUMENTS)
