"""Margin tiers of every venue that publishes them: ascending, without holes, continuous."""

from __future__ import annotations

from itertools import pairwise

import pytest

from liqfield.model.events import TierTable
from liqfield.model.margin import isolated_margin, liquidation_price
from liqfield.model.sides import ContractKind, PositionSide
from liqfield.venues import registry
from tests.conformance.handwritten import CASES as FIRST
from tests.conformance.handwritten_two import CASES as SECOND
from tests.support import INSTRUMENTS

TABLES = [
    (case.venue, event)
    for case in (*FIRST, *SECOND)
    if any(kind == "TierTable" for kind, _ in case.facts)
    for event in registry.VENUES[case.venue]().decode(case.frame, INSTRUMENTS)
    if isinstance(event, TierTable)
]


def test_the_venues_that_publish_tiers_are_all_here() -> None:
    assert {venue for venue, _ in TABLES} >= {
        "bybit",
        "bybit-inverse",
        "okx",
        "hyperliquid",
        "gate",
        "bitget",
        "bitmex",
    }


@pytest.mark.parametrize(
    ("venue", "table"), TABLES, ids=[f"{v} {t.instrument_id}" for v, t in TABLES]
)
def test_tiers_are_a_ladder(venue: str, table: TierTable) -> None:
    assert table.tiers[0].floor == 0.0
    for low, high in pairwise(table.tiers):
        assert low.cap == high.floor
        assert low.max_leverage >= high.max_leverage
        assert low.maintenance_rate <= high.maintenance_rate
        if not low.by_quantity:
            # Maintenance on both sides of the boundary is the same.
            before = low.cap * low.maintenance_rate - low.deduction
            after = low.cap * high.maintenance_rate - high.deduction
            assert after == pytest.approx(before)


@pytest.mark.parametrize(
    ("venue", "table"), TABLES, ids=[f"{v} {t.instrument_id}" for v, t in TABLES]
)
def test_every_size_has_one_liquidation_price(venue: str, table: TierTable) -> None:
    """Through all tiers, in the venue's unit: dollars, or the coins of inverse contracts."""
    known = INSTRUMENTS.get(table.instrument_id)
    kind = known.kind if known is not None else ContractKind.LINEAR
    entry = 50_000.0
    for tier in table.tiers:
        value = 0.5 * (tier.floor + min(tier.cap, 1e12))
        if tier.by_quantity:
            quantity = value
        else:
            quantity = value * entry if kind is ContractKind.INVERSE else value / entry
        leverage = min(tier.max_leverage, 10.0)
        margin = isolated_margin(kind, entry, quantity, leverage)
        for side in PositionSide:
            price = liquidation_price(kind, side, entry, quantity, margin, table.tiers)
            assert price is not None
            assert (price < entry) == (side is PositionSide.LONG)
