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
    "tape:BTC", "flow:BTC", "context:BTC", "truth:BTC", "health".

    The newest state comes at once, changes after it. ladder_step: USD per row, 0 = automatic;
    another step is rounded to the nearest of 1, 2, 5 times a power of ten. ladder_venue: the book
    and the map of that venue alone, "" = all of them. cluster_min_usd: the smallest cluster that is
    told, 0 = what counts in this market; rounded as the step. Subscribing again replaces all four.
    """

    topics: tuple[str, ...]
    ladder_step: float = 0.0
    ladder_rows: int = 60
    ladder_venue: str = ""
    cluster_min_usd: float = 0.0


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


class OutlookRow(msgspec.Struct, frozen=True, rename="camel"):
    """Where a cascade that runs may stop, by how far earlier moves went (cascade/outlook.py).

    Half of such moves stop before stop_price, 80 % between near and far. forced_usd: what may still
    be forced, [10 %, 50 %, 90 %], null without a map. moves: of this market, beside a prior.
    """

    stop_price: float
    stop_price_near: float
    stop_price_far: float
    forced_usd: tuple[float, float, float] | None
    moves: int


class Market(WireStruct, frozen=True, tag="market"):
    """Top bar. state: live, stale, gap, down; funding_8h is OI-weighted, a fraction per 8 h.

    cascade: calm, approaching, running, absorbing, exhausted; None while nothing tracks it.
    cascade_side: the position side that is being liquidated. outlook: while forced orders run.
    """

    base: str
    at_ms: float
    price: float
    mark: float
    change_24h: float | None
    open_interest_usd: float
    funding_8h: float | None
    state: str
    detail: str
    cascade: str | None = None
    cascade_side: str | None = None
    outlook: OutlookRow | None = None


class First(msgspec.Struct, frozen=True, rename="camel"):
    """Written into the page (script#first): all that its first picture needs.

    tile: the default view as one tile (docs/wire.md), deflated, base64; "" while there is no map.
    candles of candle_s: [start_ms, open, high, low, close, volume], ascending.
    """

    hello: Hello
    market: Market
    clusters: Clusters | None = None
    tile: str = ""
    candle_s: int = 0
    candles: tuple[tuple[float, float, float, float, float, float], ...] = ()


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


class PathRow(msgspec.Struct, frozen=True, rename="camel"):
    """The way from the price to a cluster's near edge (model.analytics.PathView), USD.

    path_class: defended, neutral, hollow, unknown; confluence: building, thinning, steady, unknown.
    """

    path_class: str
    resting_usd: float
    usual_usd: float | None
    ratio: float | None
    stressed_usd_p10: float
    stressed_usd_p90: float
    forced_usd: float
    visible_share: float
    confluence: str
    edge_usd: float
    edge_change: float | None
    reasons: tuple[str, ...]


class ClusterRow(msgspec.Struct, frozen=True, rename="camel"):
    """path: None while no book says how the way is defended. A cluster of the past has neither
    path nor interval nor age: the history keeps amounts alone."""

    side: str
    low: float
    high: float
    peak: float
    usd: float
    usd_p10: float | None
    usd_p90: float | None
    distance: float
    band_usd: tuple[float, float, float]
    venue_usd: dict[str, float]
    age_s: float | None
    growth_per_h: float
    stacked: bool
    confidence: float
    reasons: tuple[str, ...]
    path: PathRow | None = None


class Clusters(WireStruct, frozen=True, tag="clusters"):
    """What stands out within `reach` (log-distance) of the mark and holds min_usd or more.

    default_usd: min_usd of a reader who names none. default_why: "share" (of the open interest),
    "most" (so much counts in any market), "setting" (of whoever runs the server).
    """

    base: str
    at_ms: float
    mark: float
    clusters: tuple[ClusterRow, ...]
    min_usd: float = 0.0
    reach: float = 0.0
    default_usd: float = 0.0
    default_why: str = ""


class WallRow(msgspec.Struct, frozen=True, rename="camel"):
    """A large resting order. state: standing, growing, held, partly_filled, filled, pulled;
    multiple: of the usual size at that distance; distance: signed fraction of the mid."""

    venue: str
    is_bid: bool
    price: float
    usd: float
    multiple: float
    age_s: float
    state: str
    filled_usd: float
    pulled_usd: float
    distance: float


class Ladder(WireStruct, frozen=True, tag="ladder"):
    """Rows ascending from first_price in steps of `step`; long_usd / short_usd: liquidation mass of
    the row (USD); delta: signed taker volume of the last minute (base coins); traded: total.

    walls: those inside the rows, None while nothing watches them. microprice: size-weighted mid of
    the reference venue. best_bid above best_ask: venues disagree by that much.
    """

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
    walls: tuple[WallRow, ...] | None = None
    microprice: float | None = None


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


class FlowEventRow(msgspec.Struct, frozen=True, rename="camel"):
    """kind: absorption, wall_pulled, wall_filled, layering, flip, whale_push, stacked_imbalance,
    cascade; is_bid: the resting side concerned; outcome: running, held, broken, done."""

    at_ms: float
    kind: str
    venue: str
    price: float
    is_bid: bool | None
    usd: float
    score: float
    duration_s: float
    outcome: str
    text: str


class CascadeRow(msgspec.Struct, frozen=True, rename="camel"):
    """State of the cascade tracker with its evidence (model.analytics.CascadeView)."""

    state: str
    side: str | None
    since_ms: float
    forced_usd: float
    intensity_usd_per_min: float
    peak_usd_per_min: float
    branching: float | None
    open_interest_change: float | None
    efficiency: float | None
    refill: float | None
    fuel_usd: float | None
    fuel_distance: float | None
    evidence: tuple[str, ...]
    outlook: OutlookRow | None


class FootprintRow(msgspec.Struct, frozen=True, rename="camel"):
    """One bar: base coins by row of `step` USD upwards from first_row * step. bid: sold into bids,
    ask: bought from asks; imbalance +1 buy, -1 sell; stacked: [first, last] rows."""

    start_ms: float
    end_ms: float
    step: float
    first_row: int
    bid: tuple[float, ...]
    ask: tuple[float, ...]
    imbalance: tuple[int, ...]
    poc_row: int
    value_low_row: int
    value_high_row: int
    stacked: tuple[tuple[int, int], ...]
    unfinished_high: bool
    unfinished_low: bool


class VenueFlowRow(msgspec.Struct, frozen=True, rename="camel"):
    """Order-flow measures of a venue now; beta: USD per coin of order-flow imbalance."""

    venue: str
    ofi: float | None
    ofi_multi: float | None
    beta: float | None
    beta_r2: float | None
    queue_imbalance: float | None
    microprice: float | None


class Flow(WireStruct, frozen=True, tag="flow"):
    """The Flow panel: at most 720 buckets of the last hour (REST: of `span_s`), 16 bars of 80 rows
    and 100 events (newest last).

    cvd: signed taker volume since the UTC day began, base coins, pooled and by venue on the same
    buckets. divergence: +1 price rises while the flow sells, -1 the other way, 0 neither.
    """

    base: str
    at_ms: float
    bucket_ms: float
    start_ms: tuple[float, ...]
    price: tuple[float, ...]
    cvd: tuple[float, ...]
    cvd_by_venue: dict[str, tuple[float, ...]]
    divergence: int
    bars: tuple[FootprintRow, ...]
    venues: tuple[VenueFlowRow, ...]
    events: tuple[FlowEventRow, ...]
    cascade: CascadeRow | None


class FundingRow(msgspec.Struct, frozen=True, rename="camel"):
    venue: str
    rate_8h: float
    next_ms: float
    basis: float | None


class ThinWindow(msgspec.Struct, frozen=True, rename="camel"):
    """A stretch in which books are likely thin, and why."""

    start_ms: float
    end_ms: float
    why: str


class Context(WireStruct, frozen=True, tag="context"):
    """Slow context. thin: why the present hour is thin; thin_windows: past 8 and next 2 days.

    cot_*_net: base coins, positive = net long; as of cot_as_of (a Tuesday), published later.
    """

    base: str
    at_ms: float
    funding_8h: float | None
    funding: tuple[FundingRow, ...]
    open_interest_usd: float
    open_interest_change_1h: float | None
    open_interest_change_24h: float | None
    ratios: dict[str, float]
    session: str
    next_session: str
    next_session_ms: float
    thin: tuple[str, ...]
    thin_windows: tuple[ThinWindow, ...]
    cot_as_of: str
    cot_leveraged_net: float | None
    cot_asset_manager_net: float | None
    quirks: tuple[str, ...]


class TruthHour(msgspec.Struct, frozen=True, rename="camel"):
    """One interval (an hour); pairs are [long, short], USD. The map was made before it began and is
    summed over the prices that the mark then crossed; flat_usd knows the path and no map."""

    start_ms: float
    span_s: float
    mark_open: float
    mark_low: float
    mark_high: float
    predicted_usd: tuple[float, float]
    p10_usd: tuple[float, float]
    p90_usd: tuple[float, float]
    realised_usd: tuple[float, float]
    flat_usd: tuple[float, float]


class CalibrationRow(msgspec.Struct, frozen=True, rename="camel"):
    """`n` intervals of like forecast: mean predicted and mean realised USD, the latter with its
    80 % interval."""

    side: str
    predicted_usd: float
    realised_usd: float
    realised_low: float
    realised_high: float
    n: int


class SkillRow(msgspec.Struct, frozen=True, rename="camel"):
    """A score of the map. baseline: what it is compared with, "" = nothing. value: None while n is
    too small; low, high: 80 % interval by day blocks, None while there are fewer than two days."""

    side: str
    measure: str
    baseline: str
    value: float | None
    low: float | None
    high: float | None
    n: int


class Truth(WireStruct, frozen=True, tag="truth"):
    """Predicted against realised liquidations (GET /api/v1/truth/{base}). Pairs are [long, short].

    total_ratio: predicted / realised; coverage: share of intervals whose realised USD lay inside
    [p10, p90] (coverage_stated is promised); both None where nothing can be said. hours: none while
    the first interval runs, which ends at next_ms. notes: what the prints can and cannot show.
    running: the interval up to at_ms, on the path so far; None where its beginning was missed, then
    the first one that is scored begins at next_ms. venue: "all", or the one that is scored alone.
    """

    base: str
    at_ms: float
    next_ms: float
    venues: tuple[str, ...]
    hours: tuple[TruthHour, ...]
    total_ratio: tuple[float | None, float | None]
    coverage: tuple[float | None, float | None]
    coverage_stated: float
    calibration: tuple[CalibrationRow, ...]
    skill: tuple[SkillRow, ...]
    notes: tuple[str, ...]
    running: TruthHour | None = None
    venue: str = "all"


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
    queue: int = 0  # records between sockets and engine
    budgets: dict[str, float] = {}  # REST budget -> share left, below 0 while told to stop
    lag_ms: dict[str, float] = {}  # venue -> received minus the venue's own time, median


class Problem(WireStruct, frozen=True, tag="problem"):
    """The request could not be served; said in words for a person."""

    code: str
    message: str


ClientMessage = Subscribe | Unsubscribe | Ping
ServerMessage = (
    Hello
    | Pong
    | Market
    | CandleRow
    | Clusters
    | Ladder
    | Tape
    | Flow
    | Context
    | Truth
    | Health
    | Problem
)


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


class ProjectionReply(msgspec.Struct, frozen=True, rename="camel"):
    """GET /api/v1/projection/{base}: forced flow followed through resting depth from start_price
    until it stops. near, far: 10 % of draws travel less / farther; beyond_share: draws that run
    past the last price. path_*: cumulative USD from the start outwards, path_price their edges."""

    base: str
    at_ms: float
    side: str  # of the positions that are hit
    push_usd: float
    start_price: float
    stop_price: float
    stop_price_near: float
    stop_price_far: float
    forced_usd: float
    forced_usd_p10: float
    forced_usd_p90: float
    beyond_share: float
    path_price: tuple[float, ...]
    path_forced_usd: tuple[float, ...]
    path_depth_usd: tuple[float, ...]
