"""Containers state addresses: the narrowest host that fits names the venue."""

from __future__ import annotations

from pathlib import Path

import pytest

from liqfield.model.errors import StoreError
from liqfield.store.foreign import _venue_of
from liqfield.venues import registry


@pytest.mark.parametrize("name", [n for n in registry.VENUES if n != "bybit-inverse"])
def test_the_addresses_of_every_venue_name_it(name: str) -> None:
    venue = registry.VENUES[name]()
    for url in (venue.rest_url, venue.ws_url):
        assert _venue_of(f"{url}/some/path", Path("x")) == name


def test_an_address_of_nobody_is_refused() -> None:
    with pytest.raises(StoreError, match="no known venue"):
        _venue_of("wss://notbinance.com/ws", Path("x"))
