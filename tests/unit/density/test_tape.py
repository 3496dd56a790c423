"""Trades read off a tape, some at a time, are trades told one by one, whatever comes between."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.density.estimator import DensityEstimator
from liqfield.model.events import MarkPrice, OpenInterest, Trade
from liqfield.model.instrument import Instrument
from liqfield.model.sides import Aggressor, ContractKind
from liqfield.model.tape import TradeTape

S = 1_000_000_000
START = 1_700_000_000 * S
KEY = "x:Y"

# (seconds later, what, price): steps of no time up to long silences, prices that nobody believes
told_st = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 4.0, 11.0, 130.0, 700.0, 1_000.0]),
        st.sampled_from(["trade"] * 8 + ["other", "mark", "interest", "fold"]),
        st.one_of(
            st.floats(97.0, 103.0), st.sampled_from([100.0, 80.0, 130.0, 1e-9, float("inf")])
        ),
    ),
    max_size=60,
)


def _instrument(kind: ContractKind) -> Instrument:
    return Instrument(
        id=KEY, venue="x", symbol="Y", base="Y", quote="USD", settle="USD", tick_decimals=2,
        kind=kind,
    )  # fmt: skip


@settings(max_examples=60)
@given(told_st, st.sampled_from(ContractKind), st.booleans())
def test_a_tape_is_trades_one_by_one(
    told: list[tuple[float, str, float]], kind: ContractKind, has_marks: bool
) -> None:
    one, taped = (DensityEstimator(_instrument(kind)) for _ in range(2))
    trades = TradeTape()
    taped.follow(trades, trades.number_of(KEY))
    other, at_ns = trades.number_of("x:Z"), START
    for k, (later_s, what, price) in enumerate(told):
        at_ns += round(later_s * S)
        if what == "trade":
            coins = 1.0 + k % 5
            side = Aggressor.BUY if k % 3 else Aggressor.SELL
            late_ns = at_ns - (k % 4) * S // 2  # venues' clocks differ
            one.update(Trade(KEY, late_ns, late_ns, price, coins, side))
            trades.append(
                trades.number_of(KEY), late_ns, price, coins if side is Aggressor.BUY else -coins
            )
        elif what == "other":
            trades.append(other, at_ns, price, 1.0)
        elif what == "fold":
            taped.fold()
        elif what == "interest" or has_marks:
            taped.fold()
            for of in (one, taped):
                if what == "mark":
                    of.update(MarkPrice(KEY, at_ns, at_ns, price))
                else:
                    of.update(OpenInterest(KEY, at_ns, at_ns, 5_000.0 + k))
    taped.fold()
    assert taped.checkpoint() == one.checkpoint()


def test_bins_make_room_for_a_crash() -> None:
    """A trade in each of two hundred bins, read at once."""
    one, taped = (DensityEstimator(_instrument(ContractKind.LINEAR)) for _ in range(2))
    trades = TradeTape()
    taped.follow(trades, trades.number_of(KEY))
    for k in range(200):
        price = 100.0 * 1.0006 ** (k % 113) * 0.97
        one.update(Trade(KEY, START, START, price, 1.0, Aggressor.BUY))
        trades.append(0, START, price, 1.0)
    taped.fold()
    assert taped.checkpoint() == one.checkpoint()
    assert taped._flow.count > 64
