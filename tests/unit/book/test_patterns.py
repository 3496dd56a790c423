"""What pulled walls tell together: layers and flips, and what only looks like them."""

from __future__ import annotations

from liqfield.book.patterns import PulledPatterns
from liqfield.book.wall_facts import Flip, Layering, WallEnd, WallFact, WallSettings
from liqfield.model.analytics import WallState
from liqfield.model.durations import SECOND_NS
from tests.support import TapedAttribution

S = SECOND_NS


def end(
    tick: int, at_s: float, *, peak: float = 50.0, born_s: float = 90.0, excess: float = 3.0
) -> WallEnd:
    """A bid pulled; excess: over the size that counts as large."""
    return WallEnd(
        tick, 0, round(born_s * S), round(at_s * S), peak, 0.0, peak, 1.0, 10.0 * excess, excess,
        -0.001, -0.001, WallState.PULLED, on_approach=False,
    )  # fmt: skip


def facts(
    ends: list[WallEnd], sold: float = 0.0, bought: float = 0.0, at_s: int = 100
) -> list[WallFact]:
    """A quiet minute of one coin a second either way, then these."""
    attribution = TapedAttribution()
    patterns = PulledPatterns(WallSettings(), attribution)
    found: list[WallFact] = []
    for second in range(30, at_s):
        for is_buy in (0, 1):
            attribution.trade(100_000, is_buy, 1.0, second * S)
    for one in ends:
        found += patterns.pulled(one)
    attribution.trade(100_000, 0, sold, at_s * S)
    attribution.trade(100_000, 1, bought, at_s * S)
    return [*found, *patterns.due((at_s + 3) * S)]


def test_like_orders_placed_and_pulled_together_are_a_layer_however_small() -> None:
    like = [end(100_000 + k, 100.0, peak=50.0 + k, excess=1.05) for k in range(3)]
    (layer,) = facts(like)
    assert isinstance(layer, Layering)
    assert layer.ticks == (100_000, 100_001, 100_002)
    assert layer.quantity == 50.0 + 51.0 + 52.0
    assert not facts(like[:2])
    assert not facts([*like[:2], end(100_002, 100.0, peak=60.0)]), "another size"
    assert not facts([*like[:2], end(100_002, 103.0)]), "pulled later"
    assert not facts([*like[:2], end(100_002, 100.0, born_s=80.0)]), "placed earlier"


def test_a_bid_pulled_and_sold_into_is_a_flip() -> None:
    (flip,) = facts([end(100_000, 100.0)], sold=40.0)
    assert isinstance(flip, Flip)
    assert (flip.tick, flip.pulled) == (100_000, 50.0)
    assert flip.aggression >= 40.0
    assert not facts([end(100_000, 100.0)]), "nothing was traded"
    assert not facts([end(100_000, 100.0)], bought=40.0), "the other side"
    assert not facts([end(100_000, 100.0)], sold=40.0, bought=40.0), "both sides"
    assert not facts([end(100_000, 100.0)], sold=400.0), "the market moved"
    assert not facts([end(100_000, 100.0, excess=1.5)], sold=40.0), "hardly large"


def test_orders_of_a_layer_are_no_flips() -> None:
    found = facts([end(100_000 + k, 100.0) for k in range(3)], sold=40.0)
    assert [type(fact) for fact in found] == [Layering]
