"""The live column: the running 10 s of the map as one tile, deflated once for all readers."""

from __future__ import annotations

import zlib

from liqfield.model.estimates import LiquidationDensity
from liqfield.model.tiles import BIN_WIDTH, COLUMN_S, TileHeader, encode_tile, level_column

LIVE_COLUMN_NS = COLUMN_S[0] * 1_000_000_000


def live_tile(base: str, venue: str, density: LiquidationDensity, revision: int = 0) -> bytes:
    """The binary message of topic "map:<base>:<venue>": a zlib-deflated tile of one column."""
    column = level_column(density, 0)
    start_ns = density.at_ns // LIVE_COLUMN_NS * LIVE_COLUMN_NS
    header = TileHeader(
        columns=1,
        bins=column.cells.shape[1],
        filled_columns=1,
        start_ms=start_ns / 1e6,
        column_ms=LIVE_COLUMN_NS / 1e6,
        bin_width=BIN_WIDTH,
        first_bin=column.first_bin,
        is_complete=False,
        mark_price=density.mark_price,
        revision=revision & 0xFFFFFFFF,
        base=base,
        venue=venue,
    )
    return zlib.compress(encode_tile(header, column.cells[:, None, :]), 1)
