"""Quirks are data: sentences with a price between 0 and 1 for every venue that is followed."""

from __future__ import annotations

from liqfield.context.quirks import QUIRKS, confidence_of, quirks_of
from liqfield.venues import registry


def test_every_venue_is_described() -> None:
    assert set(registry.make()) <= set(QUIRKS)


def test_confidence_is_the_product_and_never_rises() -> None:
    for venue in QUIRKS:
        assert 0.5 < confidence_of(venue) <= 1.0
        assert all(quirk.text and 0.0 < quirk.confidence <= 1.0 for quirk in quirks_of(venue))
    assert confidence_of("nowhere") == 1.0
    assert quirks_of("nowhere") == ()
