"""Classes, exact liquidation levels, and what prints can teach."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from liqfield.density import law as laws
from liqfield.density.counted import CountedOpenings, Exits
from liqfield.density.fit import fit_law, other_prior, prior_covariance
from liqfield.density.intervals import gamma_interval
from liqfield.density.level import Evidence
from liqfield.density.openings import AHEAD, OpeningLaw, OwnOpenings
from liqfield.density.settings import PRIOR_TIERS, DensitySettings, LeverageLaw
from liqfield.density.state import DensityState
from liqfield.density.trust import Trust
from liqfield.model.margin import isolated_margin, liquidation_price
from liqfield.model.sides import ContractKind, PositionSide

SIDES = (PositionSide.LONG, PositionSide.SHORT)


def test_shares_sum_to_one_and_stop_at_the_venues_leverage() -> None:
    for top in (3.0, 20.0, 125.0):
        shares = laws.class_shares(LeverageLaw(), top)
        assert shares.sum() == pytest.approx(1.0)
        assert shares[:20][top < laws.MENU].sum() == 0.0
        assert shares[20:][laws.EDGES[:-1] > top].sum() == 0.0


@pytest.mark.parametrize("kind", [ContractKind.LINEAR, ContractKind.INVERSE])
def test_a_small_position_stands_in_the_exact_bin(kind: ContractKind) -> None:
    """Law: opened at E with L, all mass sits between the levels of L and of L less unused margin,
    and the level of L itself equals the venues' algebra."""
    entry, usd = 60_000.0, 1_000.0
    rate = PRIOR_TIERS[0].maintenance_rate
    table = laws.distance_table(kind, np.full(laws.CLASSES, rate))
    quantity = usd / entry if kind is ContractKind.LINEAR else usd
    for n in np.flatnonzero((laws.MENU >= 3) & (laws.MENU <= 75)):
        leverage = float(laws.MENU[n])
        for side, position_side in enumerate(SIDES):
            margin = isolated_margin(kind, entry, quantity, leverage)
            exact = liquidation_price(
                kind, position_side, entry, quantity, margin, PRIOR_TIERS, 0.0
            )
            assert exact is not None
            nearest = np.abs(table[side, n]).min()
            assert nearest == pytest.approx(abs(math.log(exact / entry)), abs=2e-5)


def test_bins_hold_exactly_what_was_opened() -> None:
    """One class, one price: the bins that hold mass are the table's own, each with its share."""
    state = DensityState(1e4, 0.0005, 4000)
    table = laws.distance_table(ContractKind.LINEAR, np.full(laws.CLASSES, 0.004))
    only = np.zeros(laws.CLASSES)
    only[10] = 1.0  # 20x
    x = math.log(1e4)
    flow = np.tile((x, 1.0, 1.0), (32, 1))
    weights = np.stack((only, only))
    state.turn_over(flow, 0.0, 0.0, 640.0, np.ones(laws.CLASSES), weights, table, x, 0.0)
    for side in range(2):
        bins = np.floor((x + table[side, 10]) / 0.0005).astype(int) - state.grid.first_bin
        wanted = np.bincount(bins, np.full(64, 10.0), 4000)
        np.testing.assert_allclose(state.raw[side, 10] * state.scale[side, 10], wanted, rtol=1e-5)


def test_the_standing_law_is_thin_where_lives_are_short() -> None:
    openings = np.full(laws.CLASSES, 1.0 / laws.CLASSES)
    distance = 0.9 / laws.CLASS_LEVERAGE
    standing = laws.standing_shares(openings, np.ones(laws.CLASSES), distance, 1.0, 0.0009)
    assert standing.sum() == pytest.approx(1.0)
    assert standing[19] < 0.1 * standing[0]


LIVES = (3.0 / laws.CLASS_LEVERAGE) ** 0.5  # what stands for each unit of what is opened


def evidence(
    shares: np.ndarray, forced: float, kappa: float, random: np.random.Generator, n: int = 800,
    reached: np.ndarray | float = 1.0,
) -> list[Evidence]:  # fmt: skip
    """Intervals whose sweeps differ by class; prints by the model, lumpy."""
    out = []
    for i in range(n):
        swept = random.gamma(0.3, 3e6, laws.CLASSES) * (random.random(laws.CLASSES) < 0.3)
        swept = swept * reached
        exposure = random.exponential(0.7, laws.CLASSES)
        faded = kappa * np.exp(-(kappa - 1.0) * exposure)
        mean = forced * float((swept * faded) @ shares) / float(LIVES @ shares)
        seen = float(random.poisson(mean / 2e4) * 2e4)
        out.append(Evidence(i % 2, swept, LIVES, exposure, 1.0, seen))
    return out


def test_prints_teach_the_level_of_the_isolated_law_and_the_churn() -> None:
    random = np.random.default_rng(4)
    prior = laws.class_shares(LeverageLaw(), 125.0)
    truth = laws.class_shares(LeverageLaw(isolated_share=0.22, isolated_median=30.0), 125.0)
    fit = fit_law(evidence(truth, 0.75, 1.4, random), prior, 0.75, 0.1)
    assert fit is not None
    isolated = slice(7, 20)
    before = np.abs(np.log(prior[isolated].sum() / truth[isolated].sum()))
    after = np.abs(np.log(fit.shares[isolated].sum() / truth[isolated].sum()))
    assert after < 0.4 * before
    assert 1.05 < fit.kappa < 1.7
    assert fit.log_sd < 0.2
    again = fit_law(evidence(truth, 0.75, 1.4, random), prior, 0.75, 0.1, fit.theta)
    assert again is not None


def test_intervals_that_are_not_independent_teach_less() -> None:
    """Worth a twelfth each, they move the law less far from its prior and leave it less sure."""
    random = np.random.default_rng(6)
    prior = laws.class_shares(LeverageLaw(), 125.0)
    truth = laws.class_shares(LeverageLaw(isolated_share=0.3), 125.0)
    rows = evidence(truth, 0.75, 1.0, random)
    sure, unsure = (fit_law(rows, prior, 0.75, 0.1, worth=worth) for worth in (1.0, 1.0 / 12.0))
    assert sure is not None
    assert unsure is not None
    moved = [float(np.abs(np.log(fit.shares / prior))[:20].max()) for fit in (sure, unsure)]
    assert moved[1] < moved[0]
    assert 1.5 * sure.log_sd < unsure.log_sd
    assert (np.diag(unsure.covariance) >= np.diag(sure.covariance)).all()


def test_a_law_far_from_the_prior_stretches_it_and_a_near_one_does_not() -> None:
    """Prints worth a twelfth each of a law that the prior finds absurd are believed all the same;
    of a law within the prior's reach the fit is what it was."""
    prior = laws.class_shares(LeverageLaw(), 125.0)
    near = evidence(prior, 0.75, 1.0, np.random.default_rng(8))
    fit = fit_law(near, prior, 0.75, 0.1, worth=1.0 / 12.0)
    assert fit is not None
    assert fit.stretch == 1.0
    absurd = laws.class_shares(LeverageLaw(isolated_share=0.9, isolated_median=12.0), 125.0)
    far = evidence(absurd, 0.75, 1.0, np.random.default_rng(8))
    fit = fit_law(far, prior, 0.75, 0.1, worth=1.0 / 12.0)
    assert fit is not None
    assert 1.5 < fit.stretch < 100.0
    near_sd, far_sd = (
        np.sqrt(np.diag(prior_covariance(0.1, stretch=stretch))[:40].max())
        for stretch in (1.0, fit.stretch)
    )
    assert far_sd > near_sd
    held = np.abs(np.log(prior[:20].sum() / absurd[:20].sum()))
    assert np.abs(np.log(fit.shares[:20].sum() / absurd[:20].sum())) < 0.2 * held


def test_the_level_is_not_bought_with_mass_that_nobody_swept() -> None:
    """The open interest is given: a law that moves mass to where no mark came thins the rest."""
    random = np.random.default_rng(7)
    prior = laws.class_shares(LeverageLaw(), 125.0)
    rows = evidence(prior, 0.2 * 0.75, 1.0, random, reached=np.where(laws.IS_CROSS, 0.0, 1.0))
    fit = fit_law(rows, prior, 0.75, 0.1)
    assert fit is not None
    stands = LIVES * fit.shares / (LIVES @ fit.shares)
    before = LIVES * prior / (LIVES @ prior)
    assert stands[:20].sum() < 0.5 * before[:20].sum(), "few prints: little isolated interest"
    assert all(0.3 < forced < 1.0 for forced in fit.forced), "and the forced share stays a share"


def test_of_a_sampled_feed_half_the_prints_do_not_halve_the_map() -> None:
    """A feed that shows less than was assumed: the doubt about its share takes most of it."""
    random = np.random.default_rng(8)
    prior = laws.class_shares(LeverageLaw(), 125.0)
    rows = evidence(prior, 0.5 * 0.75, 1.0, random)
    held = []
    for shown_log_sd in (0.0, 0.4):
        fit = fit_law(rows, prior, 0.75, 0.1, worth=1.0 / 18.0, shown_log_sd=shown_log_sd)
        assert fit is not None
        stands = LIVES * fit.shares / (LIVES @ fit.shares)
        held.append(float(stands[8:20].sum()))
        gap = abs(math.log(fit.forced[0] / fit.forced[1]))
        assert gap < 0.2, "one share of one feed: both sides' move together"
    whole = float((LIVES * prior / (LIVES @ prior))[8:20].sum())
    assert held[0] < 0.8 * whole
    assert abs(math.log(held[1] / whole)) < 0.6 * abs(math.log(held[0] / whole))


def test_what_was_never_swept_keeps_to_its_neighbours() -> None:
    random = np.random.default_rng(5)
    prior = laws.class_shares(LeverageLaw(), 125.0)
    rows = []
    for one in evidence(prior, 0.75, 1.0, random):
        swept = one.swept.copy()
        swept[20:] = 0.0  # cross never
        rows.append(Evidence(one.side, swept, LIVES, one.exposure, 1.0, 3.0 * one.seen))
    fit = fit_law(rows, prior, 0.75, 0.1)
    assert fit is not None
    ratio = fit.shares / np.maximum(prior, 1e-12)
    cross = ratio[20:][prior[20:] > 1e-4]
    steps = cross[1:] / cross[:-1]
    assert steps.min() > 0.8, "what was not swept gives way as one"
    assert steps.max() < 1.25
    assert ratio[10] > 1.5 * ratio[25]


def test_another_prior_is_followed_as_far_as_prints_leave_it_open() -> None:
    """Without prints the factors are those of the two priors; with them, those of a fit that began
    from the other prior, whose classes nobody swept stay as the prior has them."""
    assumed = prior_covariance(0.3)
    prior = laws.class_shares(LeverageLaw(), 125.0)
    heavy = laws.class_shares(LeverageLaw(cross_median=2.6), 125.0)
    delta = np.log(heavy / prior)
    np.testing.assert_allclose(other_prior(assumed, assumed, delta), heavy / prior, rtol=1e-6)
    rows = evidence(prior, 0.75, 1.0, np.random.default_rng(9))
    fit, other = (fit_law(rows, p, 0.75, 0.3, worth=1.0 / 18.0) for p in (prior, heavy))
    assert fit is not None
    assert other is not None
    found = np.log(other_prior(fit.covariance, assumed, delta))
    np.testing.assert_allclose(found, other.theta[:40] - fit.theta[:40], atol=0.15)
    assert np.abs(found[30:]).max() < 0.8 * np.abs(delta[30:]).max(), "prints speak against it"


def test_a_heavily_levered_crowd_is_said_until_cross_positions_are_measured() -> None:
    law = OpeningLaw(DensitySettings(), ContractKind.LINEAR, 0.0005, PRIOR_TIERS)
    law.prepare(6e4)
    masses = 1e4 * law.standing(0.5, 0.0009)
    near = np.where(laws.CLASS_LEVERAGE > 5.0, 0.3 * masses, 0.0)
    law.doubt(masses, near)
    assert law.near_heavier > 0.5
    assert (law.heavier >= 0.0).all()
    assert law.heavier[1] > 1.0
    sure, _ = Trust().judge(1, 1, 0, 0.0, 0.0)
    unsure, _ = Trust().judge(1, 1, 0, 0.0, law.near_heavier)
    assert unsure.score < sure.score
    assert any("cross leverage" in reason for reason in unsure.reasons)
    again = OpeningLaw(DensitySettings(), ContractKind.LINEAR, 0.0005, PRIOR_TIERS)
    again.load(law.dump())
    assert again.near_heavier == law.near_heavier
    np.testing.assert_array_equal(again.heavier, law.heavier)
    before = again.near_heavier
    for accounts in (200.0, 2_000.0, 20_000.0):
        law.learn_openings(
            CountedOpenings(law.shares, accounts, 125.0, "own", Exits()), is_lent=False
        )
        law.doubt(masses, near)
        assert law.near_heavier < before
        before = law.near_heavier
    assert before < 0.1 * again.near_heavier
    near_sd = law.near_sd
    assert near_sd < again.near_sd
    law.learn_openings(CountedOpenings(law.shares, accounts, 125.0, "other", Exits()), is_lent=True)
    law.doubt(masses, near)
    assert near_sd < law.near_sd, "venues may differ"
    assert "lent by other" in law.source


def test_too_little_evidence_gives_no_law() -> None:
    prior = laws.class_shares(LeverageLaw(), 125.0)
    few = evidence(prior, 0.75, 1.0, np.random.default_rng(1), n=20)
    assert fit_law(few, prior, 0.75, 0.3) is None


def test_gamma_quantiles_agree_with_an_independent_library() -> None:
    for log_shape in (-1.0, 0.0, 0.5, 1.0, 2.0, 3.0):
        shape = math.exp(log_shape)
        low, high = gamma_interval(np.array([7.0]), math.sqrt(1.0 / shape), 0.0)
        for got, q in ((low, 0.1), (high, 0.9)):
            assert float(got[0]) == pytest.approx(
                7.0 * stats.gamma.ppf(q, shape, scale=1.0 / shape), rel=2e-3, abs=1e-4
            )


def test_what_a_path_takes_of_its_own_openings_is_a_random_walks() -> None:
    """`AHEAD` against walks: how far they still go down after a random time, by their range."""
    random = np.random.default_rng(8)
    walks = np.cumsum(random.normal(size=(4000, 240)), axis=1)
    lowest = np.minimum.accumulate(walks[:, ::-1], axis=1)[:, ::-1]
    ahead = (walks - lowest) / np.ptp(walks, axis=1)[:, None]
    drawn = np.quantile(ahead, (np.arange(len(AHEAD)) + 0.5) / len(AHEAD))
    np.testing.assert_allclose(AHEAD, drawn, atol=0.02)
    law = OpeningLaw(DensitySettings(), ContractKind.LINEAR, 0.0005, PRIOR_TIERS)
    law.prepare(6e4)
    own = OwnOpenings(1e9, 1e8, law.table, law.drawn)  # a tenth: all of it is opened
    still, narrow, wide = (own.usd(1.0, 1.0 + span) for span in (0.0, 0.01, 0.05))
    assert not still.any()
    assert (2.0 * narrow < wide).all(), "more is opened, and more of it falls"
    assert own.usd(1.0, 1e300).max() <= 1e8
