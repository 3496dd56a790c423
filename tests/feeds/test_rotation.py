"""Two sockets that say the same in their own time: every trade is heard once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from liqfield.feeds.rotation import Overlap


def probe(payload: bytes) -> list[tuple[str, str]]:
    return [("x", "Trade" if payload.startswith(b"t") else "BookDelta")]


@given(
    st.integers(1, 30),
    st.integers(0, 29),
    st.lists(st.booleans(), max_size=80),
    st.integers(0, 40),
    st.integers(0, 6),
)
def test_every_trade_is_heard_once_however_the_sockets_interleave(
    count: int, joined: int, turns: list[bool], swap_after: int, books: int
) -> None:
    """The old socket says all of 1..count; the new one what is published after it has joined.

    Each keeps its order, and either may be behind the other by any number of messages. The old one
    is closed, and what it has not said is lost, as soon as the two have met.
    """
    said = [b"t%d" % n for n in range(count)]
    for n in range(books):
        said.insert((7 * n) % len(said), b"b%d" % n)
    old, new = list(said), said[min(joined, len(said) - 1) :]
    overlap = Overlap(probe)
    heard: list[bytes] = []
    is_swapped = is_closed = False
    for turn, is_old in enumerate([*turns, *[True] * len(said), *[False] * len(said)]):
        if not is_swapped and turn >= swap_after and overlap.waiting:
            is_swapped = True
            heard += [m for m in overlap.waiting if not overlap.is_repeat(m)]
        is_closed = is_closed or (is_swapped and overlap.have_met)
        if is_old and old and not is_closed:
            payload = old.pop(0)
            if not is_swapped:
                overlap.old_said(payload)
                heard.append(payload)
            elif overlap.is_news(payload):
                heard.append(payload)
        elif not is_old and new:
            payload = new.pop(0)
            if not is_swapped:
                overlap.new_said(payload)
            elif not overlap.is_repeat(payload):
                heard.append(payload)
    trades = [payload for payload in heard if payload.startswith(b"t")]
    assert sorted(trades) == sorted(payload for payload in said if payload.startswith(b"t"))


def test_books_are_the_new_sockets_alone_after_the_swap() -> None:
    """A diff of the old one would break the chain that its successor has begun."""
    overlap = Overlap(probe)
    overlap.new_said(b"b2")
    assert not overlap.is_repeat(b"b2")
    assert not overlap.is_news(b"b3")
    assert not overlap.have_met
