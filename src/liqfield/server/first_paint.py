"""The page with what its first picture needs named in it, so that nothing waits for a socket.

A phone pays half a second for every request that depends on another one. The page therefore carries
the market as it is now and names the tiles of the default view: they travel beside the script.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from liqfield.model.tiles import BIN_WIDTH, COLUMN_S, TILE_BINS, TILE_COLUMNS
from liqfield.server.services import Services
from liqfield.server.session import hello
from liqfield.server.wire import First, Market

DEFAULT_MS = 86_400_000.0  # the range on which the map opens
REACH = 0.02 * math.sqrt(24.0 / 4.0)  # log price each way, as in web/src/panels/MapChart.svelte
# Column width by width of the screen: web/src/state/viewport.ts, `resolution`, over 24 h.
PHONE, LARGER = "(max-width: 499px)", "(min-width: 500px)"
WIDTHS = ((PHONE, 1800), (LARGER, 300))


def with_first(page: bytes, services: Services) -> bytes | None:
    """The page filled; None while there is no market to show."""
    markets = services.sources.markets()
    if not markets:
        return None
    market = services.hub.latest(f"market:{markets[0].base}")
    if not isinstance(market, Market) or market.mark <= 0.0:
        return None
    first = First(hello(services), market)
    # The only characters that could end a script element early; JSON may write them as escapes.
    text = msgspec.json.encode(first).replace(b"<", b"\\u003c")
    links = "".join(_links(services, market))
    head = b'<script type="application/json" id="first">' + text + b"</script>" + links.encode()
    return page.replace(b"</head>", head + b"</head>", 1)


def _links(services: Services, market: Market) -> Iterator[str]:
    for media, column_s in WIDTHS:
        if column_s not in COLUMN_S:
            continue
        for time_index, price_index in _places(market, column_s):
            name = (market.base, "all", column_s, 0, time_index, price_index)
            if services.maps.tile(*name) is None:
                continue
            path = "/".join(map(str, name))
            yield (
                f'<link rel="preload" as="fetch" crossorigin media="{media}" '
                f'href="/api/v1/tiles/{path}?dataset={services.maps.dataset_id}">'
            )


def _places(market: Market, column_s: int) -> Iterator[tuple[int, int]]:
    span_ms, tall = column_s * TILE_COLUMNS * 1e3, BIN_WIDTH * TILE_BINS
    y = math.log(market.mark)
    for time_index in range(
        math.floor((market.at_ms - DEFAULT_MS) / span_ms), math.floor(market.at_ms / span_ms) + 1
    ):
        for price_index in range(
            math.floor((y - REACH) / tall), math.floor((y + REACH) / tall) + 1
        ):
            yield time_index, price_index
