"""The page with its first picture in it, so that nothing waits for a socket or a second request.

A phone pays half a second for every request that depends on another one. The page therefore carries
the market as it is now and the default view of the map, coarse, cut to what is on screen; the tiles
of the full view are named, so that they travel beside the script.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Iterator

import msgspec
import numpy as np
import zstandard

from liqfield.model.tiles import (
    BIN_WIDTH,
    COLUMN_S,
    PLANES,
    TILE_BINS,
    TILE_COLUMNS,
    ByteArray,
    TileHeader,
    decode_tile,
    encode_tile,
)
from liqfield.server.services import Services
from liqfield.server.session import hello
from liqfield.server.wire import Clusters, First, Market

DEFAULT_MS = 86_400_000.0  # the range on which the map opens
REACH = 0.02 * math.sqrt(24.0 / 4.0)  # log price each way: `opening` in state/viewport.ts
# Column width by width of the screen: web/src/state/viewport.ts, `resolution`, over 24 h.
PHONE, LARGER = "(max-width: 499px)", "(min-width: 500px)"
WIDTHS = ((PHONE, 1800), (LARGER, 300))
PICTURE_S = 1800  # columns and candles of the first picture: on a large screen finer ones follow


def with_first(page: bytes, services: Services) -> bytes | None:
    """The page filled; None while there is no market to show."""
    markets = services.sources.markets()
    if not markets:
        return None
    market = services.hub.latest(f"market:{markets[0].base}")
    if not isinstance(market, Market) or market.mark <= 0.0:
        return None
    text = msgspec.json.encode(_first(services, market))
    # The only characters that could end a script element early; JSON may write them as escapes.
    text = text.replace(b"<", b"\\u003c")
    links = "".join(_links(services, market))
    head = b'<script type="application/json" id="first">' + text + b"</script>" + links.encode()
    return page.replace(b"</head>", head + b"</head>", 1)


def _first(services: Services, market: Market) -> First:
    clusters = services.hub.latest(f"clusters:{market.base}")
    picture = _picture(services, market)
    return First(
        hello(services),
        market,
        clusters if isinstance(clusters, Clusters) else None,
        "" if picture is None else base64.b64encode(zlib.compress(picture)).decode(),
        PICTURE_S,
        tuple(
            services.candles.rows(
                market.base, PICTURE_S, market.at_ms - DEFAULT_MS, market.at_ms + 1.0
            )
        ),
    )


def _picture(services: Services, market: Market) -> bytes | None:
    """The default view as one tile, cut out of the stored ones; None where there is no map."""
    y = math.log(market.mark)
    first_bin = math.floor((y - REACH) / BIN_WIDTH)
    bins = math.floor((y + REACH) / BIN_WIDTH) + 1 - first_bin
    first = math.floor((market.at_ms - DEFAULT_MS) / (PICTURE_S * 1e3))
    columns = math.floor(market.at_ms / (PICTURE_S * 1e3)) + 1 - first
    cells: ByteArray = np.zeros((PLANES, columns, bins), np.uint8)
    newest: TileHeader | None = None
    for time_index, price_index in _places(market, PICTURE_S):
        tile = services.maps.tile(market.base, "all", PICTURE_S, 0, time_index, price_index)
        if tile is None:
            continue
        newest, found = decode_tile(zstandard.ZstdDecompressor().decompress(tile.data))
        column, low = time_index * TILE_COLUMNS - first, price_index * TILE_BINS - first_bin
        into, out_of = _overlap(column, TILE_COLUMNS, columns)
        up, from_ = _overlap(low, TILE_BINS, bins)
        cells[:, into, up] = found[:, out_of, from_]
    if newest is None:
        return None
    header = msgspec.structs.replace(
        newest,
        columns=columns,
        bins=bins,
        filled_columns=columns,
        start_ms=first * PICTURE_S * 1e3,
        first_bin=first_bin,
        is_complete=False,
    )
    return encode_tile(header, cells)


def _overlap(at: int, length: int, limit: int) -> tuple[slice, slice]:
    """Where `length` things put at `at` lie within [0, limit), and which of them."""
    start, end = max(at, 0), min(at + length, limit)
    end = max(start, end)
    return slice(start, end), slice(start - at, end - at)


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
