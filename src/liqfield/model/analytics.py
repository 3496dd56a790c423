"""What the order book, the flow and the slow context say: immutable, with units and reasons.

Producers are `book`, `flow`, `cascade` and `context`; `engine` joins them; the server puts them on
the wire. Words are those of the field; a value that is not known is None, never 0.
"""

from __future__ import annotations

import enum

import msgspec

from liqfield.model.events import FloatArray, IntArray
from liqfield.model.sides import PositionSide


class PathClass(enum.StrEnum):
    """Resting depth between the price and a cluster against the usual depth there."""

    DEFENDED = "defended"  # at least twice (tunable) the usual
    NEUTRAL = "neutral"
    HOLLOW = "hollow"  # at most half (tunable) the usual
    UNKNOWN = "unknown"  # no usual depth learnt yet, or no book


class Confluence(enum.StrEnum):
    """What resting orders at a cluster's near edge do while the price approaches."""

    BUILDING = "building"
    THINNING = "thinning"
    STEADY = "steady"
    UNKNOWN = "unknown"


class WallState(enum.StrEnum):
    """Life of a large resting order. Pulled is what is seen; intent is not visible."""

    STANDING = "standing"
    GROWING = "growing"
    HELD = "held"  # was hit, and stands
    PARTLY_FILLED = "partly_filled"
    FILLED = "filled"
    PULLED = "pulled"


class CascadeState(enum.StrEnum):
    CALM = "calm"
    APPROACHING = "approaching"
    RUNNING = "running"
    ABSORBING = "absorbing"
    EXHAUSTED = "exhausted"


class FlowEventKind(enum.StrEnum):
    ABSORPTION = "absorption"
    WALL_PULLED = "wall_pulled"
    WALL_FILLED = "wall_filled"
    LAYERING = "layering"
    FLIP = "flip"
    WHALE_PUSH = "whale_push"
    STACKED_IMBALANCE = "stacked_imbalance"
    CASCADE = "cascade"


class PathView(msgspec.Struct, frozen=True, gc=False):
    """The way from the price to a cluster's near edge. All money in USD.

    resting: orders that aggressors must consume on the way; beyond the visible book it is
    extrapolated, `visible_share` is the part of the way (0..1) that the book shows.
    usual: rolling median at this venue set, distance and hour; ratio = resting / usual.
    stressed_p10/p90: resting after the thinning seen in cascades. forced: expected liquidations on
    the way. edge_usd: resting at the near edge; edge_change: relative, over the last minutes.
    """

    path_class: PathClass
    resting_usd: float
    usual_usd: float | None
    ratio: float | None
    stressed_usd_p10: float
    stressed_usd_p90: float
    forced_usd: float
    visible_share: float
    confluence: Confluence
    edge_usd: float
    edge_change: float | None
    reasons: tuple[str, ...] = ()


class WallView(msgspec.Struct, frozen=True, gc=False):
    """A large resting order. multiple: notional / usual of a level at that distance."""

    venue: str
    is_bid: bool
    price: float
    notional_usd: float
    multiple: float
    age_s: float
    state: WallState
    filled_usd: float
    pulled_usd: float
    distance: float  # signed fraction of mid


class FlowEvent(msgspec.Struct, frozen=True, gc=False):
    """Something that happened in the flow. is_bid: the resting side concerned (of a push or a
    cascade: the side that is hit), None = neither.

    score: in the kind's own unit, larger is stronger. outcome: running, held, broken, done.
    """

    at_ns: int
    kind: FlowEventKind
    venue: str
    price: float
    is_bid: bool | None
    notional_usd: float
    score: float
    duration_s: float
    outcome: str
    text: str


class CascadeOutlook(msgspec.Struct, frozen=True, gc=False):
    """Where a cascade that runs may stop, by how far earlier moves of this market went.

    Prices USD: half of the moves stop before stop_price, 80 % between near and far. forced_usd:
    what is still to come, (10 %, 50 %, 90 %), None without a map. moves: seen so far.
    """

    stop_price: float
    stop_price_near: float
    stop_price_far: float
    forced_usd: tuple[float, float, float] | None
    moves: int


class CascadeView(msgspec.Struct, frozen=True, gc=False):
    """State of the cascade tracker with its evidence.

    branching: liquidated notional expected per unit liquidated (None before a fit);
    efficiency: move per unit of aggressive flow against the fitted impact; refill: depth now over
    depth before; fuel_usd / fuel_distance: the next cluster ahead.
    """

    state: CascadeState
    position_side: PositionSide | None  # the side being liquidated
    since_ns: int
    forced_usd: float  # printed since it began
    intensity_usd_per_min: float
    peak_usd_per_min: float
    branching: float | None
    open_interest_change: float | None  # relative, since it began
    efficiency: float | None
    refill: float | None
    fuel_usd: float | None
    fuel_distance: float | None
    evidence: tuple[str, ...] = ()
    outlook: CascadeOutlook | None = None


class FootprintBar(msgspec.Struct, frozen=True, gc=False, eq=False):
    """One bar of the pooled footprint; float64[rows] base coins from first_row * step upwards.

    bid: sold into bids; ask: bought from asks; imbalance int8 (+1 buy, -1 sell) by row.
    """

    start_ns: int
    end_ns: int
    step: float
    first_row: int
    bid: FloatArray
    ask: FloatArray
    imbalance: IntArray
    poc_row: int
    value_low_row: int
    value_high_row: int
    stacked: tuple[tuple[int, int], ...]
    unfinished_high: bool
    unfinished_low: bool


class VenueFlow(msgspec.Struct, frozen=True, gc=False):
    """Flow measures of one venue now. Prices USD, sizes base coins; None = not enough data."""

    venue: str
    ofi: float | None
    ofi_multi: float | None
    beta: float | None  # USD per coin of OFI
    beta_r2: float | None
    queue_imbalance: float | None
    microprice: float | None


class FlowView(msgspec.Struct, frozen=True, gc=False, eq=False):
    """The Flow panel of one base. CVD in base coins since the UTC day began.

    start_ns int64[n] bucket starts; price float64[n] mid of the lead venue; cvd float64[n] pooled
    and by venue on the same buckets.
    """

    base: str
    at_ns: int
    bucket_ns: int
    start_ns: IntArray
    price: FloatArray
    cvd: FloatArray
    cvd_by_venue: dict[str, FloatArray]
    divergence: int
    bars: tuple[FootprintBar, ...]
    venues: tuple[VenueFlow, ...]
    events: tuple[FlowEvent, ...]  # newest last
    cascade: CascadeView


class FundingView(msgspec.Struct, frozen=True, gc=False):
    venue: str
    rate_8h: float
    next_ns: int
    basis: float | None  # mark over index - 1


class ContextView(msgspec.Struct, frozen=True, gc=False):
    """Slow context of one base.

    funding_8h is weighted by open interest. ratios: accounts long / short by venue. thin: why the
    present hour is thin (weekend, holiday, hand-over), empty = ordinary. quirks: what a venue does
    that lowers confidence.
    """

    base: str
    at_ns: int
    funding_8h: float | None
    funding: tuple[FundingView, ...]
    open_interest_usd: float
    open_interest_change_1h: float | None
    open_interest_change_24h: float | None
    ratios: dict[str, float]
    session: str
    next_session: str
    next_session_ns: int
    thin: tuple[str, ...]
    cot_as_of: str
    cot_leveraged_net: float | None  # base coins
    cot_asset_manager_net: float | None
    quirks: tuple[str, ...]
