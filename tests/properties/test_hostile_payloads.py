"""Hostile messages at every venue: one node of a true message becomes something that cannot be.

Unlike mutated bytes these stay well-formed JSON: too big, null, of another type, nested without
end. What comes out is facts that can be true, or a DecodeError that names venue and channel.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.venues import registry
from tests.conformance.test_venues import CASES, assert_survives
from tests.support import INSTRUMENTS

VENUES = sorted(registry.VENUES)
HOSTILE: tuple[Any, ...] = (
    None,
    True,
    "",
    " ",
    "NaN",
    "Infinity",
    "-1",
    "1e999",
    "1e-320",
    "9" * 400,
    "0x10",
    "١٢٣",  # digits that are no ASCII
    "\ud800",
    "a\0b",
    "x" * 5_000,
    -1,
    0,
    -0.0,
    5e-324,
    1.7e308,
    2**53 + 1,
    2**63,
    -(2**63) - 1,
    10**400,
    [],
    {},
    [[]],
    [None],
    {"": None},
)


def _paths(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    if isinstance(node, dict | list):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            yield from _paths(value, (*at, key))


def _put(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    out = dict(node) if isinstance(node, dict) else list(node)
    out[path[0]] = _put(out[path[0]], path[1:], value)
    return out


def _nested(depth: int, kind: str) -> bytes:
    return b"[" * depth + b"]" * depth if kind == "list" else b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize("venue", VENUES)
def test_a_node_that_cannot_be_gives_facts_or_a_decode_error(venue: str) -> None:
    """Every node of every case, every hostile value in turn: no chance, nothing left out."""
    for case in (c for c in CASES if c.venue == venue):
        message = json.loads(case.frame.payload)
        for path in _paths(message):
            for value in HOSTILE:
                payload = json.dumps(_put(message, path, value)).encode()
                frame = msgspec.structs.replace(case.frame, payload=payload)
                assert_survives(frame, INSTRUMENTS)


@settings(max_examples=150)
@given(data=st.data())
def test_several_nodes_at_once(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(CASES))
    message = json.loads(case.frame.payload)
    for _ in range(data.draw(st.integers(2, 5))):
        path = data.draw(st.sampled_from(list(_paths(message))))
        message = _put(message, path, data.draw(st.sampled_from(HOSTILE)))
    frame = msgspec.structs.replace(case.frame, payload=json.dumps(message).encode())
    assert_survives(frame, INSTRUMENTS)


@pytest.mark.parametrize("kind", ["list", "object"])
@pytest.mark.parametrize("depth", [100, 1_000, 100_000])
@pytest.mark.parametrize("venue", VENUES)
def test_nesting_without_end(venue: str, depth: int, kind: str) -> None:
    """Alone, and in place of the first value of a true message, as stream and as reply."""
    deep = _nested(depth, kind)
    cases = [c for c in CASES if c.venue == venue]
    sources = {case.frame.source.startswith("rest:"): case for case in cases}
    for case in sources.values():
        assert_survives(msgspec.structs.replace(case.frame, payload=deep), INSTRUMENTS)
        message = json.loads(case.frame.payload)
        marked = _put(message, next(p for p in _paths(message) if len(p) == 1), "@deep")
        payload = json.dumps(marked).encode().replace(b'"@deep"', deep)
        assert_survives(msgspec.structs.replace(case.frame, payload=payload), INSTRUMENTS)
