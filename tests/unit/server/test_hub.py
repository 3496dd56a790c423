"""Mailboxes: bounded, newest value, nothing of the tape lost within its bound."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from liqfield.server.hub import TAPE_PENDING, Hub, Mailbox
from liqfield.server.wire import Market, Pong, Tape, TapeRow


def row(i: int) -> TapeRow:
    return TapeRow(float(i), "binance", "long", 1.0, 1.0, "fill", "complete")


def drain(mailbox: Mailbox) -> list[str | bytes]:
    out = []
    while (data := mailbox.pop()) is not None:
        out.append(data)
    return out


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=60))
def test_a_sleeping_reader_gets_exactly_the_newest_of_each_topic(
    published: list[tuple[str, int]],
) -> None:
    hub = Hub()
    mailbox = hub.connect()
    for topic in "abc":
        hub.subscribe(mailbox, topic)
    for topic, value in published:
        hub.publish(topic, Pong(value, 0.0))
        assert len(mailbox) <= 3
    newest = dict(published)
    got = [msgspec.json.decode(data, type=Pong).nonce for data in drain(mailbox)]
    assert sorted(got) == sorted(newest.values())
    assert hub.conflated == len(published) - len(newest)


@given(st.lists(st.integers(1, 120), max_size=20), st.data())
def test_the_tape_arrives_in_order_and_whole_within_its_bound(
    batches: list[int], data: st.DataObject
) -> None:
    hub = Hub()
    mailbox = hub.connect()
    hub.subscribe(mailbox, "tape:BTC")
    sent = 0
    got: list[int] = []
    for count in batches:
        hub.publish_tape("BTC", [row(i) for i in range(sent, sent + count)])
        sent += count
        if data.draw(st.booleans()):
            for message in drain(mailbox):
                tape = msgspec.json.decode(message, type=Tape)
                got += [int(r.at_ms) for r in tape.rows]
    waiting = [int(r.at_ms) for m in drain(mailbox) for r in msgspec.json.decode(m, type=Tape).rows]
    assert len(waiting) <= TAPE_PENDING
    assert got == sorted(set(got))
    assert waiting == list(range(sent - len(waiting), sent))


def test_the_first_message_of_a_topic_is_its_newest_value() -> None:
    hub = Hub()
    hub.publish("x", Pong(1, 0.0))
    hub.publish("x", Pong(2, 0.0))
    hub.publish_tape("BTC", [row(1)])
    hub.publish_tape("BTC", [row(2)])
    mailbox = hub.connect()
    hub.subscribe(mailbox, "x")
    hub.subscribe(mailbox, "tape:BTC")
    first, second = drain(mailbox)
    assert msgspec.json.decode(first, type=Pong).nonce == 2
    assert [r.at_ms for r in msgspec.json.decode(second, type=Tape).rows] == [1.0, 2.0]


def test_a_message_nobody_reads_is_never_encoded() -> None:
    hub = Hub()
    unencodable = Market("BTC", 0, 0, 0, None, 0, None, object(), "")  # type: ignore[arg-type]
    hub.publish("market:BTC", unencodable)
    assert hub.latest("market:BTC") is unencodable


def test_who_leaves_is_forgotten() -> None:
    hub = Hub()
    mailbox = hub.connect()
    hub.subscribe(mailbox, "ladder:BTC:10:60")
    hub.publish("ladder:BTC:10:60", Pong(1, 0.0))
    assert [(w.step, w.rows) for w in hub.ladders("BTC")] == [(10.0, 60)]
    hub.disconnect(mailbox)
    assert (hub.clients, hub.followed(), hub.ladders("BTC")) == (0, (), ())
    assert hub.latest("ladder:BTC:10:60") is None
