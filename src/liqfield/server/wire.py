"""The wire schema: every JSON message between server and browser; web types come from it.

One WebSocket at /ws. JSON messages carry their type in "t". Binary messages and tiles share one
layout (model/tiles.py): see docs/wire.md. Times are ms since epoch UTC, money is USD,
sizes are base coins, prices USD per base coin. side arrays: 0 long, 1 short; bands: low, mid, high.
"""

from __future__ import annotations

import msgspec

WIRE_VERSION = 1


class WireStruct(msgspec.Struct, frozen=True, tag_field="t", rename="camel"):
    """Base of all messages: tagged by class name, camelCase on the wire."""


# ---- browser to server ------------------------------------------------------------------------


class Subscribe(WireStruct, frozen=True, tag="subscribe"):
    """Topics: "market:BTC", "candle:BTC", "map:BTC:all" (or a venue), "ladder:BTC", "clusters:BTC",
    "tape:BTC", "health".

    The newest state comes at once, changes after it. ladder_step: USD per row, 0 = automatic;
    another step is rounded to the nearest of 1, 2, 5 times a power of ten. Subscribing again
    replaces step and rows.
    """

    topics: tuple[str, ...]
    ladder_step: float = 0.0
    ladder_rows: int = 60


class Unsubscribe(WireStruct, frozen=True, tag="unsubscribe"):
    topics: tuple[str, ...]


class Ping(WireStruct, frozen=True, tag="ping"):
    nonce: int


# ---- server to browser ------------------------------------------------------------------------


class Pong(WireStruct, frozen=True, tag="pong"):
    nonce: int
    server_ms: float


class MarketInfo(msgspec.Struct, frozen=True, rename="camel"):
    base: str
    venues: tuple[str, ...]
    price_decimals: int


class Hello(WireStruct, frozen=True, tag="hello"):
    """First message of a connection. source: live, demo, replay."""

    wire_version: int
    source: str
    server_ms: float
    markets: tuple[MarketInfo, ...]
    bin_width: float
    column_s: tuple[int, ...]  # widths of the tile pyramid, seconds
    tile_columns: int
    tile_bins: int
    dataset: str  # tiles asked for with ?dataset=<this> may be cached for ever


class Market(WireStruct, frozen=True, tag="market"):
    """Top bar. state: live, stale, gap, down; funding_8h is OI-weighted, a fraction per 8 h."""

    base: str
    at_ms: float
    price: float
    mark: float
    change_24h: float | None
    open_interest_usd: float
    funding_8h: float | None
    state: str
    detail: str


class CandleRow(WireStruct, frozen=True, tag="candle"):
    """The running candle of `interval_s`, start-stamped."""

    base: str
    interval_s: int
    start_ms: float
    open: float
    high: float
    low: float
    close: float
    volume: float


class ClusterRow(msgspec.Struct, frozen=True, rename="camel"):
    side: str
    low: float
    high: float
    peak: float
    usd: float
    usd_p10: float
    usd_p90: float
    distance: float
    band_usd: tuple[float, float, float]
    venue_usd: dict[str, float]
    age_s: float
    growth_per_h: float
    stacked: bool
    confidence: float
    reasons: tuple[str, ...]


class Clusters(WireStruct, frozen=True, tag="clusters"):
    base: str
    at_ms: float
    mark: float
    clusters: tuple[ClusterRow, ...]


class Ladder(WireStruct, frozen=True, tag="ladder"):
    """Rows ascending from first_price in steps of `step`; long_usd / short_usd: liquidation mass of
    the row (USD); delta: signed taker volume of the last minute (base coins); traded: total."""

    base: str
    at_ms: float
    step: float
    first_price: float
    bid: tuple[float, ...]
    ask: tuple[float, ...]
    long_usd: tuple[float, ...]
    short_usd: tuple[float, ...]
    delta: tuple[float, ...]
    traded: tuple[float, ...]
    best_bid: float
    best_ask: float
    venues: tuple[str, ...]
    absent: dict[str, str]


class TapeRow(msgspec.Struct, frozen=True, rename="camel"):
    at_ms: float
    venue: str
    side: str  # of the closed position
    price: float
    usd: float
    price_kind: str
    coverage: str


class Tape(WireStruct, frozen=True, tag="tape"):
    """Realised liquidations, newest last; the first message holds the recent past."""

    base: str
    rows: tuple[TapeRow, ...]


class StreamRow(msgspec.Struct, frozen=True, rename="camel"):
    venue: str
    stream: str
    state: str
    age_ms: float
    messages: int
    gaps: int
    resyncs: int
    errors: int
    detail: str


class Health(WireStruct, frozen=True, tag="health"):
    at_ms: float
    streams: tuple[StreamRow, ...]
    unknown: dict[str, int]
    decode_errors: int
    dropped: int
    step_us_p99: float
    notes: tuple[str, ...]


class Problem(WireStruct, frozen=True, tag="problem"):
    """The request could not be served; said in words for a person."""

    code: str
    message: str


ClientMessage = Subscribe | Unsubscribe | Ping
ServerMessage = Hello | Pong | Market | CandleRow | Clusters | Ladder | Tape | Health | Problem


# ---- REST replies (no tag: the path says what they are) -----------------------------------------


class Meta(msgspec.Struct, frozen=True, rename="camel"):
    """GET /api/v1/meta. source: live, demo, replay."""

    name: str
    version: str
    source: str
    wire_version: int
    server_ms: float
    dataset: str


class Candles(msgspec.Struct, frozen=True, rename="camel"):
    """GET /api/v1/candles/{base}; rows [start_ms, open, high, low, close, volume], ascending."""

    base: str
    interval_s: int
    rows: tuple[tuple[float, float, float, float, float, float], ...]


class Density(msgspec.Struct, frozen=True, rename="camel"):
    """GET /api/v1/density/{base}. notional_usd[side][band][bin]; bin k covers
    [exp((firstBin+k) binWidth), exp((firstBin+k+1) binWidth)). p10, p90 [side][bin] are the 80 %
    interval of the sum over bands; null for a column out of the history, which is also quantised
    (quantisationError: largest relative error of a bin, 0 when exact)."""

    base: str
    venue: str
    at_ms: float
    mark: float
    bin_width: float
    first_bin: int
    bins: int
    notional_usd: tuple[tuple[tuple[float, ...], ...], ...]
    p10: tuple[tuple[float, ...], ...] | None
    p90: tuple[tuple[float, ...], ...] | None
    outside_usd: tuple[float, float]
    open_interest_usd: float
    forced_share: float
    confidence: float
    reasons: tuple[str, ...]
    quantisation_error: float


class Value(msgspec.Struct, frozen=True, rename="camel"):
    """GET /api/v1/value/{base}: what the crosshair reads. usd[side][band] of the bin [low, high)
    of the column [columnStartMs, columnEndMs), as known at asOfMs; p10, p90 by side or null."""

    base: str
    venue: str
    at_ms: float
    price: float
    column_start_ms: float
    column_end_ms: float
    as_of_ms: float
    mark: float
    low: float
    high: float
    usd: tuple[tuple[float, float, float], tuple[float, float, float]]
    p10: tuple[float, float] | None
    p90: tuple[float, float] | None
    quantisation_error: float
