"""Public accounts of a world: what the scan is told is what happened, and it tells the law."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from liqfield.app.study.world_accounts import account_looks, counted_by_hour
from liqfield.app.study.world_specs import WORLDS
from liqfield.app.study.worlds import true_law
from liqfield.density import law as laws
from liqfield.lab.worlds import VenueWorld, simulate

PLAIN = next(spec for spec in WORLDS if spec.name == "plain")
SMALL = msgspec.structs.replace(PLAIN, venues=("binance", "hyperliquid"), accounts=4_000)


@pytest.fixture(scope="module")
def world() -> tuple[VenueWorld, ...]:
    return simulate(SMALL.market(1.5), 4, 12.0)


def test_changes_lead_from_one_snapshot_to_the_next(world: tuple[VenueWorld, ...]) -> None:
    binance, public = world
    assert not binance.changes
    first, last = public.snapshots[0], public.snapshots[-1]

    def held(rows: np.ndarray) -> dict[int, float]:
        return {int(r["account"]): float(r["quantity"]) for r in rows if r["account"] > 0}

    standing = held(first.positions)
    for change in public.changes:
        if first.at_ns < change.at_ns <= last.at_ns:
            standing |= held(change.positions)
    assert {k: v for k, v in standing.items() if v} == held(last.positions)


def test_the_scan_looks_at_its_list_in_time_order(world: tuple[VenueWorld, ...]) -> None:
    public = world[1]
    few, all_of_them = (list(account_looks(public, 4, share)) for share in (0.2, 1.0))
    for looks in (few, all_of_them):
        at: dict[str, int] = {}
        for one in looks:
            assert one.event_ns >= at.get(one.account, 0), "never back in time for an account"
            at[one.account] = one.event_ns
    listed, everyone = ({one.account for one in looks} for looks in (few, all_of_them))
    assert listed <= everyone
    assert 0.15 < len(listed) / len(everyone) < 0.25
    assert [x.account for x in few] == [x.account for x in account_looks(public, 4, 0.2)]


def test_what_is_counted_is_the_law_that_people_draw_from(world: tuple[VenueWorld, ...]) -> None:
    counted = counted_by_hour(world, 4, 1.0)
    last = counted[-1][1]
    assert last.venue == "hyperliquid"
    assert last.effective > 300.0
    assert [at for at, _ in counted] == sorted(at for at, _ in counted)
    truth = true_law(SMALL, world[1]).shares
    assert np.abs(last.shares - truth).sum() < 0.35
    levered = laws.CLASS_LEVERAGE > 5.0
    assert last.shares[levered].sum() == pytest.approx(truth[levered].sum(), rel=0.12)


def test_venues_apart_draw_from_laws_around_the_worlds() -> None:
    one, again, other = SMALL.apart(1), SMALL.apart(1), SMALL.apart(2)
    assert one == again
    assert one.laws != other.laws
    assert set(one.laws) == set(SMALL.venues)
    medians = {law.taker.median for law in one.laws.values()}
    assert len(medians) == 2
    for law in one.laws.values():
        assert 0.0 < law.taker.isolated_share < 1.0
        assert sum(law.taker.menu_weights) == pytest.approx(1.0)
    assert SMALL.market(1.0).venue_positions == {}
    assert set(one.market(1.0).venue_positions) == set(SMALL.venues)
