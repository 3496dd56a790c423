"""Which marks are believed: those on the way already gone, and those where trades were, too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from liqfield.density.marks import MarkGuard

# Steps and jumps, some of them beyond what is believed at once; None: a step used the way.
prices_st = st.lists(
    st.one_of(
        st.none(),
        st.sampled_from([100.0, 100.5, 101.0, 99.0, 107.0, 109.0, 130.0, 70.0]),
        st.floats(60.0, 140.0),
    ),
    max_size=40,
)


@given(prices_st)
def test_following_is_taking_what_lies_on_the_way(prices: list[float | None]) -> None:
    quick, slow = MarkGuard(), MarkGuard()
    for price in prices:
        if price is None:
            quick.rest()
            slow.rest()
            continue
        low, high = slow.low, slow.high
        path = slow.take(price, price, price)
        if quick.follow(price):
            assert path == (price, price)
            assert (slow.low, slow.high) == (low, high), "all of it was swept before"
        else:
            quick.take(price, price, price)
        assert quick.dump() == slow.dump()


def test_a_far_wick_is_believed_as_far_as_it_was_traded() -> None:
    for traded, low in ((None, 100.0), ((60.0, 101.0), 60.0)):
        guard = MarkGuard()
        guard.take(100.0, 100.0, 100.0)
        path = guard.take(55.0, 100.0, 99.0, *([traded] if traded else []))
        assert path is not None
        assert 0.84 * low < path[0] < low
