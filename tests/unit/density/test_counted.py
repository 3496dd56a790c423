"""The law of openings from counted accounts: laws of the likelihood, and what counts as opened."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqfield.density import law as laws
from liqfield.density.counted import (
    SCANNED,
    WIDE,
    CountedOpenings,
    Exits,
    count_exits,
    counted_law,
    exit_exponent,
    groups_of,
    lent_law,
)
from liqfield.density.measured import LEAST_OPENINGS, LOOKED_NS, MeasuredBook, opening_leverage
from liqfield.density.settings import PRIOR_TIERS, LeverageLaw
from liqfield.lab.market_setup import instrument, tiers
from liqfield.model.events import FloatArray, MeasuredPosition, PositionSnapshot
from liqfield.model.margin import MarginTier, liquidation_price
from liqfield.model.sides import ContractKind, PositionSide

S = 1_000_000_000
T0 = 1_790_000_000 * S
BTC = instrument("hyperliquid", "BTC")
TIERS = tiers("hyperliquid", "BTC")
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
PRIOR = laws.class_shares(LeverageLaw(), 125.0)
CROWD = laws.class_shares(LeverageLaw(cross_median=6.0, isolated_share=0.3), 125.0)


def counted(shares: FloatArray, effective: float, top: float = 125.0) -> CountedOpenings:
    return CountedOpenings(shares, effective, top, "hyperliquid", Exits())


# ---- the likelihood -------------------------------------------------------------------


def test_the_more_is_counted_the_nearer_the_law_and_the_surer() -> None:
    far, doubt = [], []
    for n in (0.0, 30.0, 300.0, 3_000.0, 30_000.0):
        shares, covariance = counted_law(counted(CROWD, n), PRIOR, 125.0)
        assert shares.sum() == pytest.approx(1.0)
        assert (shares >= 0.0).all()
        turned = np.eye(laws.CLASSES) - shares[None, :]
        far.append(float(np.abs(shares - CROWD).sum()))
        doubt.append(float(np.diag(turned @ covariance @ turned.T)[shares > 1e-3].sum()))
    assert far == sorted(far, reverse=True)
    assert doubt == sorted(doubt, reverse=True)
    shares, covariance = counted_law(counted(CROWD, 0.0), PRIOR, 125.0)
    np.testing.assert_allclose(shares, PRIOR, rtol=1e-6)
    np.testing.assert_allclose(covariance, WIDE.covariance(), rtol=1e-6)
    assert far[-1] < 0.01


def test_stated_doubt_is_that_of_what_was_drawn() -> None:
    """Of accounts drawn from a law, the law's classes err by as much as the covariance says."""
    random, n, z = np.random.default_rng(5), 2_000, []
    for _ in range(40):
        drawn = random.multinomial(n, CROWD) / n
        shares, covariance = counted_law(counted(drawn, n), PRIOR, 125.0)
        turned = np.eye(laws.CLASSES) - shares[None, :]
        sd = np.sqrt(np.diag(turned @ covariance @ turned.T))
        z.append((np.log(shares / np.maximum(CROWD, 1e-300)) / sd)[CROWD > 5e-3])
    assert 0.8 < float(np.std(z)) < 1.1


def test_beyond_a_cap_the_prior_says_where() -> None:
    """A venue of 40x counts who stands at or beyond 40x; how far beyond is elsewhere's prior."""
    groups = groups_of(40.0)
    at_cap = np.flatnonzero(laws.MENU >= 40.0)
    assert len(set(groups[at_cap].tolist())) == 1
    assert len(set(groups[:14].tolist())) == 14
    seen = np.where(laws.IS_CROSS, CROWD, 0.0)
    seen[14] = CROWD[at_cap].sum()
    seen[:14] = CROWD[:14]
    shares, _ = counted_law(counted(seen, 1e5, 40.0), PRIOR, 125.0)
    assert shares[at_cap].sum() == pytest.approx(seen[14], rel=0.02)
    np.testing.assert_allclose(
        shares[at_cap] / shares[at_cap].sum(), PRIOR[at_cap] / PRIOR[at_cap].sum(), rtol=0.1
    )
    here, _ = counted_law(counted(seen, 1e5, 40.0), laws.class_shares(LeverageLaw(), 40.0), 40.0)
    assert here[at_cap[1:]].sum() < 1e-6, "nobody stands beyond the cap of the venue itself"
    assert here[14] == pytest.approx(seen[14], rel=0.02)


def test_a_lent_law_lies_between_the_counted_one_and_the_prior_and_is_less_sure() -> None:
    own, covariance = counted_law(counted(CROWD, 1e4), PRIOR, 125.0)
    lent, doubt = lent_law(own, covariance, PRIOR)
    assert lent.sum() == pytest.approx(1.0)
    tail = laws.CLASS_LEVERAGE > 10.0
    assert PRIOR[tail].sum() < lent[tail].sum() < own[tail].sum()
    turned = [np.eye(laws.CLASSES) - shares[None, :] for shares in (own, lent)]
    here = turned[0] @ (covariance + SCANNED.covariance()) @ turned[0].T
    there = turned[1] @ doubt @ turned[1].T
    assert (np.diag(there) > np.diag(here))[CROWD > 1e-3].all()
    unknown, _ = lent_law(own, 1e6 * WIDE.covariance(), PRIOR)
    np.testing.assert_allclose(unknown, PRIOR, rtol=1e-3)


@given(st.floats(-0.4, 0.4), st.floats(1.5, 8.0), st.floats(0.0, 0.9))
def test_what_takers_and_makers_draw_together_is_what_was_counted(
    tilt: float, median: float, isolated: float
) -> None:
    drawn = laws.class_shares(LeverageLaw(cross_median=median, isolated_share=isolated), 125.0)
    shares = laws.untilted(drawn, tilt)
    both = 0.5 * (laws.tilted(shares, tilt) + laws.tilted(shares, -tilt))
    np.testing.assert_allclose(both, drawn, rtol=1e-3, atol=1e-12)


# ---- what is an opening ---------------------------------------------------------------


def look(
    account: str, at_s: float, coins: float, *, leverage: float = 10.0, is_cross: bool = True,
    side: PositionSide = LONG, entry: float = 6e4,
) -> PositionSnapshot:  # fmt: skip
    at = T0 + round(at_s * S)
    found: tuple[MeasuredPosition, ...] = ()
    if coins > 0.0:
        level = liquidation_price(
            BTC.kind, side, entry, coins, coins * entry / leverage, TIERS
        )  # fmt: skip
        found = (
            MeasuredPosition(
                BTC.id, at, at, account, side, coins, entry, level or 0.0, 20.0, is_cross, 1e5
            ),
        )
    return PositionSnapshot("", at, at, "hyperliquid", account, found, 1e5)


def book_of(looks: list[PositionSnapshot]) -> MeasuredBook:
    book = MeasuredBook(BTC.id)
    for one in looks:
        book.fold(one, TIERS)
    return book


def opened(looks: list[PositionSnapshot]) -> float:
    """Coins at 60,000 that one account's looks tell of."""
    return float(book_of(looks).opened_usd.sum()) / 6e4


def test_what_was_held_before_the_first_look_is_no_opening() -> None:
    assert opened([look("a", 0, 3.0), look("a", 60, 3.0)]) == 0.0
    assert opened([look("a", 0, 0.0), look("a", 60, 3.0)]) == pytest.approx(3.0)


def test_a_position_that_breathes_is_opened_once() -> None:
    sizes = [0.0, 2.0, 1.0, 2.0, 3.0, 0.5, 3.0]
    looks = [look("a", 60 * k, coins) for k, coins in enumerate(sizes)]
    assert opened(looks) == pytest.approx(3.0)


def test_flat_or_on_the_other_side_everything_is_opened_anew() -> None:
    looks = [look("a", 0, 0.0), look("a", 60, 2.0), look("a", 120, 0.0), look("a", 180, 2.0)]
    assert opened(looks) == pytest.approx(4.0)
    assert opened([*looks, look("a", 240, 1.0, side=SHORT)]) == pytest.approx(5.0)


def test_looks_too_far_apart_have_seen_only_what_survived() -> None:
    late = LOOKED_NS / S + 1.0
    assert opened([look("a", 0, 0.0), look("a", late, 2.0)]) == 0.0
    assert opened([look("a", 0, 0.0), look("a", late, 2.0), look("a", late + 60, 3.0)]) == 1.0


def test_order_of_accounts_and_late_answers_change_nothing() -> None:
    random = np.random.default_rng(3)
    by_account = [
        [look(f"a{i}", 60 * k, float(random.uniform(0, 3)) * (k % 3 > 0)) for k in range(9)]
        for i in range(30)
    ]
    straight = book_of([one for looks in by_account for one in looks])
    mixed = book_of([looks[k] for k in range(9) for looks in by_account])
    np.testing.assert_allclose(mixed.opened_usd, straight.opened_usd, rtol=1e-12)
    mixed.fold(look("a0", 10, 50.0), TIERS)
    np.testing.assert_allclose(mixed.opened_usd, straight.opened_usd, rtol=1e-12)


def test_an_account_is_one_observation_however_often_it_opens() -> None:
    book = MeasuredBook(BTC.id)
    for k in range(400):
        book.fold(look("busy", 60 * k, float(k % 2)), TIERS)
    assert book.openings(T0 + 400 * 60 * S, TIERS) is None
    for i in range(200):
        book.fold(look(f"a{i}", 0, 0.0), TIERS)
        book.fold(look(f"a{i}", 60, 2.0, leverage=5.0), TIERS)
    few = book.openings(T0 + 400 * 60 * S, TIERS)
    assert few is None, "one account opened a third of everything"
    for i in range(1_000):
        book.fold(look(f"b{i}", 0, 0.0), TIERS)
        book.fold(look(f"b{i}", 60, 2.0, leverage=5.0), TIERS)
    many = book.openings(T0 + 400 * 60 * S, TIERS)
    assert many is not None
    assert LEAST_OPENINGS < many.effective < 1_201.0
    assert many.shares.sum() == pytest.approx(1.0)
    at = laws.LEVERAGES + int(np.searchsorted(laws.EDGES, 5.0)) - 1
    assert many.shares[at] > 0.9
    assert many.top_leverage == 40.0


@given(
    st.floats(1.3, 35.0), st.sampled_from([LONG, SHORT]), st.floats(1e3, 2e8),
    st.sampled_from([PRIOR_TIERS, TIERS]),
)  # fmt: skip
def test_leverage_is_that_of_the_margin_behind_the_level(
    leverage: float, side: PositionSide, usd: float, table: tuple[MarginTier, ...]
) -> None:
    coins = usd / 6e4
    level = liquidation_price(ContractKind.LINEAR, side, 6e4, coins, usd / leverage, table)
    if level is None:
        return
    at = MeasuredPosition(BTC.id, T0, T0, "a", side, coins, 6e4, level, 20.0, True, 1e5)
    assert opening_leverage(at, table) == pytest.approx(leverage, rel=1e-6)


# ---- how fast positions leave --------------------------------------------------------------


def lives(exponent: float, number: int, hours: float) -> list[PositionSnapshot]:
    """Accounts that open at random times and leave at a pace of (L / 3)^exponent a day, looked at
    when they change and at the end."""
    random = np.random.default_rng(8)
    looks: list[PositionSnapshot] = []
    for i in range(number):
        leverage = float(np.exp(random.uniform(np.log(1.2), np.log(9.5))))
        opened_h = float(random.uniform(0.1, hours))
        left_h = opened_h + float(random.exponential(24.0 / (leverage / 3.0) ** exponent))
        looks.append(look(f"a{i}", 3600.0 * opened_h - 60.0, 0.0))
        held_h = np.arange(opened_h, min(left_h, hours), 0.5).tolist()
        looks += [look(f"a{i}", 3600.0 * at_h, 2.0, leverage=leverage) for at_h in held_h]
        if left_h < hours:
            looks.append(look(f"a{i}", 3600.0 * left_h, 0.0))
    return sorted(looks, key=lambda one: one.event_ns)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_exponent_of_exits_is_that_of_the_lives_seen(exponent: float) -> None:
    """Also where many positions outlive what was looked at."""
    book = book_of(lives(exponent, 1_500, 60.0))
    found = book.openings(T0 + 60 * 3600 * S, TIERS)
    assert found is not None
    sd = found.exits.variance**0.5
    assert sd < 0.08
    assert abs(found.exits.exponent - exponent) < 3.0 * sd + 0.03


def test_few_ends_move_the_exponent_little() -> None:
    nothing = count_exits(np.zeros(laws.CLASSES), np.ones(laws.CLASSES), 0.0)
    assert exit_exponent(nothing, 0.5, 0.05) == 0.5
    at = [exit_exponent(Exits(1.0, v), 0.5, 0.05) for v in (10.0, 0.1, 0.01, 0.0)]
    assert at == sorted(at)
    assert 0.5 < at[0] < 0.51
    assert at[-1] > 0.95
    assert exit_exponent(Exits(1.0, 0.01), 0.5, 0.15) < at[2], "lent: less of it"
