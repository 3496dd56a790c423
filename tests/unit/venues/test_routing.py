"""The shared half of a venue: routes, refusals, unlisted names, and what it asks in parts."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqfield.model.errors import DecodeError
from liqfield.model.events import Frame, Notice, Turnover, Unknown
from liqfield.model.instrument import Instrument
from liqfield.venues.contract import Heartbeat
from liqfield.venues.routing import Envelope, Message, Routed, batches, leave_and_join, pages

OF = Instrument(
    id="plain:BTC", venue="plain", symbol="BTC", base="BTC", quote="USDT", settle="USDT"
)


class _Row(msgspec.Struct):
    symbol: str
    usd: float


def _turnover(m: Message) -> None:
    for of, row in m.listed(m.rows(_Row)):
        m.add(Turnover(of.id, m.at_ns, m.got_ns, row.usd))


def _subject(m: Message) -> None:
    for of, row in m.of_subject(m.rows(float)):
        m.add(Turnover(of.id, m.at_ns, m.got_ns, 1.0 / row))


class Plain(Routed):
    name, socket_path, pool, heartbeat = "plain", "/ws", "ip", Heartbeat(20.0, b"ping")
    symbol_key = "contract"

    def __init__(self) -> None:
        super().__init__({"turnover": _turnover, "subject": _subject}, {"/turnover": _subject})

    def open_message(self, frame: Frame) -> Envelope | Notice | Unknown:
        channel, _, body = frame.payload.partition(b" ")
        if channel == b"pong":
            return self.notice(frame, "pong")
        return Envelope(channel.decode(), body, symbol="BTC", at_ns=7)


def read(payload: bytes, source: str = "ws:/ws#flow") -> list[object]:
    return list(Plain().decode(Frame("plain", source, 9, payload), {OF.id: OF}))


def test_a_message_goes_to_the_builder_of_its_channel() -> None:
    assert read(b'turnover [{"symbol":"BTC","usd":5}]') == [Turnover(OF.id, 7, 9, 5.0)]
    assert read(b"pong") == [Notice("plain", 9, "pong")]
    assert read(b"tomorrow []") == [Unknown("plain", 9, "tomorrow")]


def test_a_reply_is_about_the_symbol_of_its_request_and_has_our_time() -> None:
    assert read(b"[4]", "rest:/turnover?contract=BTC") == [Turnover(OF.id, 9, 9, 0.25)]
    assert read(b"[4]", "rest:/turnover?contract=ETH") == [Unknown("plain", 9, "instrument ETH")]
    assert read(b"[4]", "rest:/other") == [Unknown("plain", 9, "rest /other")]


def test_an_unlisted_name_is_told_once_a_message_and_hides_no_other_row() -> None:
    rows = b'[{"symbol":"X","usd":1},{"symbol":"BTC","usd":2},{"symbol":"X","usd":3}]'
    found = read(b"turnover " + rows)
    assert found == [Unknown("plain", 9, "instrument X"), Turnover(OF.id, 7, 9, 2.0)]


@pytest.mark.parametrize("payload", [b"turnover [", b"turnover {}", b"subject [0]", b"subject [x]"])
def test_whatever_a_builder_meets_is_one_error_that_shows_the_frame(payload: bytes) -> None:
    with pytest.raises(DecodeError) as raised:
        read(payload)
    assert (raised.value.venue, raised.value.head) == ("plain", payload)
    assert raised.value.channel == payload.partition(b" ")[0].decode()


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 60))
def test_pages_cover_the_stretch_without_hole_or_overlap(begin: int, span: int, step: int) -> None:
    found = pages(begin, begin + span, step)
    assert [at for a, b in found for at in range(a, b)] == list(range(begin, begin + span))
    assert all(b - a <= step for a, b in found)


@given(st.lists(st.integers(), max_size=60), st.integers(1, 20))
def test_batches_keep_every_item_in_order(items: list[int], size: int) -> None:
    parts = batches(items, size)
    assert [item for part in parts for item in part] == items
    assert all(1 <= len(part) <= size for part in parts)


def test_a_fresh_book_is_had_by_leaving_and_joining() -> None:
    plan = leave_and_join(lambda op: op.encode())
    assert (plan.connection, plan.send) == ("books", (b"unsubscribe", b"subscribe"))
