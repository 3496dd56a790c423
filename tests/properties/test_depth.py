"""Depth, usual depth, sizes and survival equal their slow twins for any input and any split."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqfield.book import usual as usual_module
from liqfield.book.bands import BANDS, EDGES, band_of
from liqfield.book.depth import (
    KAPPA,
    LEVEL_SD,
    SLOPE_SD,
    DepthLaw,
    SideDepth,
    fit_law,
    merge,
    notional_to_move,
    side_depth,
    side_of,
    walk,
)
from liqfield.book.ladder import BID, Ladder
from liqfield.book.sample import REACH, BookSampler
from liqfield.book.sizes import LevelSizes, bin_floor
from liqfield.book.survival import AGE_STEPS, CENSORED, FILLED, PULLED, Survival, age_step
from liqfield.book.usual import SAMPLE_NS, UsualDepth
from liqfield.book.walls import WallTracker
from liqfield.model.durations import HOUR_NS
from liqfield.model.events import BookLevels
from tests.reference import depth as slow
from tests.support import TapedAttribution

TICK = 0.5
book_st = st.dictionaries(st.integers(1, 400), st.integers(1, 50), min_size=1, max_size=40)


def _ladder(bids: dict[int, int], asks: dict[int, int], middle: int) -> Ladder:
    ladder = Ladder()
    ticks = [middle - away for away in bids] + [middle + away for away in asks]
    sizes = [*bids.values(), *asks.values()]
    ladder.replace(BookLevels(np.array(ticks, np.int64), np.array(sizes, np.float64), len(bids)))
    return ladder


def _side(
    of: dict[int, int], is_ask: int, middle: int = 20_000
) -> tuple[SideDepth, list[slow.Level]]:
    ladder = _ladder(of, {}, middle) if is_ask == BID else _ladder({}, of, middle)
    sign = 1 if is_ask else -1
    levels = [((middle + sign * away) * TICK, float(q)) for away, q in of.items()]
    return side_depth(ladder, is_ask, middle * TICK, TICK, 1.0), levels


@given(of=book_st, is_ask=st.integers(0, 1), cut=st.floats(1e-5, 0.03))
def test_cumulative_depth_is_the_sum_of_the_levels(
    of: dict[int, int], is_ask: int, cut: float
) -> None:
    side, levels = _side(of, is_ask)
    assert side.within(cut) == pytest.approx(slow.within(levels, side.mid, cut))
    at_edges = [slow.within(levels, side.mid, edge) for edge in EDGES]
    assert side.at(EDGES).tolist() == pytest.approx(at_edges)
    assert (np.diff(side.distance) >= 0.0).all()


@given(of=book_st, is_ask=st.integers(0, 1), notional=st.floats(1.0, 1e8))
def test_a_walk_sweeps_level_by_level(of: dict[int, int], is_ask: int, notional: float) -> None:
    side, levels = _side(of, is_ask)
    found = walk(side, notional)
    filled, slippage = slow.sweep(levels, side.mid, notional)
    assert found.filled_usd == pytest.approx(filled)
    assert found.slippage_bp == pytest.approx(slippage, abs=1e-6)
    assert found.is_whole == (notional <= slow.within(levels, side.mid, 1.0))
    assert slippage <= abs(found.price / side.mid - 1.0) * 1e4 + 1e-6


@given(of=book_st, is_ask=st.integers(0, 1), cut=st.floats(1e-5, 0.03))
def test_the_notional_for_a_move_is_what_stands_before_it(
    of: dict[int, int], is_ask: int, cut: float
) -> None:
    side, levels = _side(of, is_ask)
    before = [(p, q) for p, q in levels if abs(p / side.mid - 1.0) < cut * (1.0 - 1e-12)]
    needed = notional_to_move(side, cut)
    assert needed == pytest.approx(sum(p * q for p, q in before))
    if 0.0 < needed < side.cum_usd[-1] * (1.0 - 1e-9):
        # one more dollar takes from a level at least that far away
        assert abs(walk(side, needed * (1.0 + 1e-9)).price / side.mid - 1.0) >= cut * (1.0 - 1e-6)


@given(one=book_st, two=book_st, is_ask=st.integers(0, 1), cut=st.floats(1e-4, 0.02))
def test_the_composite_is_the_sum_of_its_venues(
    one: dict[int, int], two: dict[int, int], is_ask: int, cut: float
) -> None:
    (a, first), (b, second) = _side(one, is_ask), _side(two, is_ask)
    both = merge([a, b], a.mid)
    assert both is not None
    assert both.within(cut) == pytest.approx(slow.within(first + second, a.mid, cut))


def test_nothing_is_known_beyond_the_view() -> None:
    ladder = _ladder(dict.fromkeys(range(1, 300), 1), {}, 20_000)
    side = side_depth(ladder, BID, 10_000.0, TICK, 0.005)
    at = side.at(EDGES)
    assert np.isfinite(at[EDGES <= 0.005]).all()
    assert np.isnan(at[EDGES > 0.005]).all()


@given(kappa=st.floats(0.6, 1.8), scale=st.floats(1.0, 1e4))
def test_the_law_lies_between_the_side_and_the_public_slope_and_goes_on_beyond_the_view(
    kappa: float, scale: float
) -> None:
    away = np.arange(1, 600)
    cum = scale * (away * TICK / 10_000.0) ** kappa * 1e6
    price = np.array([10_000.0 - k * TICK for k in range(1, 600)])
    quantity = np.diff(np.concatenate(([0.0], cum))) / price
    side = side_of(10_000.0, price, quantity, 0.02)
    law = fit_law(side)
    # A perfect side of two octaves weighs a quarter of the public slope: the law lies between.
    assert law.kappa == pytest.approx(0.2 * kappa + 0.8 * KAPPA, abs=0.03)
    assert law.r2 > 0.99
    assert law.usd(0.04) == pytest.approx(side.within(0.02) * 2.0**law.kappa)
    assert 0.0 < law.log_sd(0.04) < law.log_sd(0.08)
    assert law.log_sd(0.02) == 0.0


def test_a_view_that_hangs_on_one_level_is_less_certain() -> None:
    def law_of(first: float) -> DepthLaw:
        price = np.array([10_000.0 - TICK * k for k in range(1, 101)])
        quantity = np.ones(100)
        quantity[0] = first
        return fit_law(side_of(10_000.0, price, quantity, 100 * TICK / 10_000.0))

    even, hanging = law_of(1.0), law_of(1e4)
    assert even.view_sd == pytest.approx(LEVEL_SD / math.sqrt(100), rel=0.01)
    assert hanging.view_sd == pytest.approx(LEVEL_SD, rel=0.02)
    assert hanging.log_sd(2.0 * even.seen) > even.log_sd(2.0 * even.seen)
    assert even.kappa_sd >= SLOPE_SD


@pytest.mark.parametrize("slots", [3])
@settings(max_examples=25)
@given(
    pauses=st.lists(st.integers(1, 40), min_size=1, max_size=120),
    seed=st.integers(0, 1_000),
)
def test_usual_depth_is_the_median_of_its_samples(slots: int, pauses: list[int], seed: int) -> None:
    """Short rings, so that they wrap; reading in between changes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("RECENT", 20),
            ("SLOTS", 5),
            ("LEAST_RECENT", 3),
            ("LEAST_SLOTS", slots),
        ):
            patch.setattr(usual_module, name, value)
        rng = np.random.default_rng(seed)
        one, two = UsualDepth(), UsualDepth()
        now = 0
        told: list[tuple[int, float]] = []
        for pause in pauses:
            now += pause * SAMPLE_NS
            usd = float(np.float32(rng.lognormal(10.0, 1.0)))
            told.append((now, usd))
            one.sample(now, np.full((2, len(EDGES)), usd))
            two.sample(now, np.full((2, len(EDGES)), usd))
            two.get(now)
        found, why = one.get(now)
        expected = slow.usual(
            told,
            now,
            slot_ns=usual_module.SLOT_NS,
            hour_ns=HOUR_NS,
            recent=20,
            least_recent=3,
            slots=5,
            least_slots=slots,
        )
        if expected is None:
            assert found is None
            assert "not learnt" in why
        else:
            assert found is not None
            assert found == pytest.approx(np.full((2, len(EDGES)), expected), rel=1e-6)
        assert one.digest() == two.digest()


def _taken_in(law: LevelSizes, sizes: list[float]) -> None:
    """A look at levels of these sizes, all in the nearest band."""
    ladder, away = Ladder(), np.arange(1, len(sizes) + 1)
    ticks = np.append(10_000_000 - away, 10_000_001)
    ladder.replace(BookLevels(ticks, np.array([*sizes, 1.0]), len(sizes)))
    BookSampler(law).look(ladder, 10_000_000.0, TICK, np.ones(2))


@given(sizes=st.lists(st.floats(1e-6, 1e9), min_size=25, max_size=200), share=st.floats(0.01, 0.99))
def test_a_quantile_of_sizes_is_within_its_bin(sizes: list[float], share: float) -> None:
    law = LevelSizes()
    half = len(sizes) // 2
    _taken_in(law, sizes[:half])
    _taken_in(law, sizes[half:])
    weight = 0.5 ** (1.0 / 60.0)
    told = [(s, weight) for s in [*sizes[:half], 1.0]] + [(s, 1.0) for s in [*sizes[half:], 1.0]]
    exact = slow.quantile(told, share)
    if law.counts[0].sum() >= 20.0:
        assert law.quantiles((share,))[0, 0] == pytest.approx(exact, rel=0.26)
    assert not law.fresh.any()
    for size in sizes:
        index = slow.size_bin(size)
        assert law.counts[0, index] > 0.0
        assert bin_floor(index) <= size <= bin_floor(index, 1.0)


@settings(max_examples=60)
@given(
    bids=st.dictionaries(st.integers(0, 90_000), st.floats(1e-3, 1e3), min_size=1, max_size=40),
    asks=st.dictionaries(st.integers(1, 90_000), st.floats(1e-3, 1e3), min_size=1, max_size=40),
    seen=st.tuples(st.floats(1e-4, 1.0), st.floats(1e-4, 1.0)),
    middle=st.integers(200_000, 900_000),
)
def test_a_look_takes_in_every_level_once(
    bids: dict[int, float], asks: dict[int, float], seen: tuple[float, float], middle: int
) -> None:
    """Levels in the window, beyond it on both ends and out of reach; what an earlier look left in
    the room for them is nothing to the next."""
    ladder = _ladder({k + 1: 1 for k in bids}, {k + 2: 1 for k in asks}, middle)
    sampler = BookSampler(LevelSizes())
    mid_tick = ladder.mid
    sampler.look(ladder, mid_tick, TICK, np.ones(2))
    law = sampler.sizes = LevelSizes()
    ladder = _ladder({}, {}, middle)
    ticks = [middle - k for k in bids] + [middle + k for k in asks]
    levels = np.array(ticks, np.int64), np.array([*bids.values(), *asks.values()])
    ladder.replace(BookLevels(*levels, len(bids)))
    mid_tick = ladder.mid
    found = sampler.look(ladder, mid_tick, TICK, np.array(seen))
    sides = [
        sorted(((middle - k) * TICK, q) for k, q in bids.items())[::-1],
        sorted(((middle + k) * TICK, q) for k, q in asks.items()),
    ]
    cum, sizes, by_price = slow.look(sides, mid_tick * TICK, seen)
    np.testing.assert_allclose(found.cum_usd, cum, rtol=1e-12)
    want = np.zeros_like(law.counts)
    for at, count in sizes.items():
        want[at] = count
    assert (law.counts == want).all()
    lattice = {found.first + int(k): found.usd[k] for k in np.flatnonzero(found.usd)}
    inside = {k: usd for k, usd in by_price.items() if 0 <= k - found.first < len(found.usd)}
    assert lattice == pytest.approx(inside)
    near = [[(p, q) for p, q in side if abs(p / found.mid - 1.0) <= REACH] for side in sides]
    listed = list(zip((found.ticks * TICK).tolist(), found.coins.tolist(), strict=True))
    far = listed[len(near[0]) : found.bids], listed[found.bids + len(near[1]) :]
    assert listed[: len(near[0])] == near[0]
    assert listed[found.bids : found.bids + len(near[1])] == near[1]
    # A tick more than the reach may be told.
    assert all(abs(p / found.mid - 1.0) < REACH + 2.0 / middle for part in far for p, _ in part)
    assert found.band.tolist() == [band_of(abs(p / found.mid - 1.0)) for p, _ in listed]


@settings(max_examples=40)
@given(rows=st.lists(st.tuples(st.integers(1, 3000), st.floats(0.01, 100.0)), min_size=30))
def test_levels_are_large_by_their_own_band(rows: list[tuple[int, float]]) -> None:
    """Thresholds and the walls that a look finds equal their twins."""
    ladder, of = Ladder(), dict(rows)
    middle = 100_000
    ticks = [middle - away for away in of] + [middle + away for away in of]
    ladder.replace(BookLevels(np.array(ticks), np.array([*of.values()] * 2), len(of)))
    walls = WallTracker(TapedAttribution())
    s = walls.settings
    found = BookSampler(walls.sizes).look(ladder, float(middle), TICK, np.ones(2))
    walls.learn()
    laws = walls.sizes.quantiles((0.5, 0.9, s.quantile)).tolist()
    for band, (usual, wide, least) in enumerate(laws):
        assert walls.usual[band] == usual
        if usual != math.inf:
            large, told = slow.thresholds(usual, wide, least, s)
            assert walls.told[band] == pytest.approx(told)
            if band <= band_of(s.reach):
                assert walls.large[band] == pytest.approx(large)
    walls.find(found.ticks, found.coins, found.band, found.bids, 1, float(middle))
    expected = {
        (tick * 2 + (k >= found.bids)): size
        for k, (tick, size) in enumerate(
            zip(found.ticks.tolist(), found.coins.tolist(), strict=True)
        )
        if size >= walls.large[band_of(abs(tick / middle - 1.0))]
        and abs(tick / middle - 1.0) <= s.reach
    }
    assert {key: wall.size for key, wall in walls.standing.items()} == expected


@given(
    lives=st.lists(
        st.tuples(st.floats(0.0, 1e6), st.sampled_from([PULLED, FILLED, CENSORED])), max_size=60
    )
)
def test_survival_is_the_product_limit(lives: list[tuple[float, int]]) -> None:
    survival = Survival()
    for age_s, how in lives:
        survival.end(3, 1, 1, age_s, how)
    for which in (None, PULLED, FILLED):
        ended = {PULLED, FILLED} if which is None else {which}
        told = [(age_step(age_s), end in ended) for age_s, end in lives]
        assert survival.survival(which).tolist() == pytest.approx(
            slow.kaplan_meier(told, AGE_STEPS)
        )


@given(
    lives=st.lists(
        st.tuples(st.integers(0, BANDS - 1), st.integers(0, BANDS - 1), st.integers(0, 2)),
        max_size=60,
    )
)
def test_survival_on_approach_risks_every_band_the_price_came_through(
    lives: list[tuple[int, int, int]],
) -> None:
    survival = Survival()
    alive = 1.0
    expected = []
    for born, nearest, how in lives:
        survival.end(max(born, nearest), min(born, nearest), 0, 1.0, how)
    for band in reversed(range(BANDS)):
        through = [(b, n, h) for b, n, h in lives if min(b, n) <= band <= max(b, n)]
        pulled = sum(min(b, n) == band and h == PULLED for b, n, h in through)
        if through:
            alive *= 1.0 - pulled / len(through)
        expected.append(alive)
    assert survival.survival_on_approach().tolist() == pytest.approx(expected[::-1])


def test_bands_are_half_open_and_double() -> None:
    assert band_of(0.0) == 0
    assert [band_of(float(edge)) for edge in EDGES] == list(range(1, BANDS))
    assert [band_of(math.nextafter(float(edge), 0.0)) for edge in EDGES] == list(range(BANDS - 1))
