"""What the program says about a market: immutable, with units, time, coverage and uncertainty.

Axis order is fixed everywhere: side 0 = long, 1 = short; band 0 = low (effective leverage below
10x), 1 = mid (10x to 25x), 2 = high (above 25x).
"""

from __future__ import annotations

import msgspec

from liqfield.model.events import FloatArray
from liqfield.model.grid import PriceGrid
from liqfield.model.sides import PositionSide

LONG, SHORT = 0, 1
BANDS = ("low", "mid", "high")
BAND_EDGES = (10.0, 25.0)
SIDES = (PositionSide.LONG, PositionSide.SHORT)


class Confidence(msgspec.Struct, frozen=True, gc=False):
    """`score` in 0..1 and the sentences that explain what lowered it."""

    score: float
    reasons: tuple[str, ...] = ()


class LiquidationDensity(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Expected notional force-closed per price bin if the mark reached it, one venue's instrument.

    notional_usd  float64[2 sides, 3 bands, bins]: base coins x mark, so that
                  notional_usd[side].sum() + outside_usd[side] == open_interest_usd for both sides
    p10, p90      float64[2, bins]: 80 % interval of the sum over bands
    outside_usd   float64[2]: mass beyond the grid or without a liquidation price
    forced_share  expected share of the notional at a level that really reaches the venue as forced
                  orders when the mark gets there (stop-outs and top-ups come first)
    """

    instrument_id: str
    at_ns: int
    mark_price: float
    grid: PriceGrid
    notional_usd: FloatArray
    p10: FloatArray
    p90: FloatArray
    outside_usd: FloatArray
    open_interest_usd: float
    confidence: Confidence
    forced_share: float = 1.0
    age_s: FloatArray | None = None  # float64[2, bins]: mean age of the mass


class Cluster(msgspec.Struct, frozen=True, gc=False):
    """A contiguous price range of one side whose density stands out."""

    position_side: PositionSide
    low: float
    high: float
    peak: float
    notional_usd: float
    notional_usd_p10: float
    notional_usd_p90: float
    distance: float  # near edge against mark, signed fraction
    band_usd: tuple[float, float, float]
    venue_usd: dict[str, float]
    age_s: float
    growth_per_h: float  # relative change of notional per hour
    is_stacked: bool
    confidence: Confidence


class LadderView(msgspec.Struct, frozen=True, gc=False, eq=False):
    """The composite book as arrays: rows of `step` USD, ascending; sizes in base coins."""

    base: str
    at_ns: int
    step: float
    first_row: int  # price of row i = (first_row + i) * step, its lower edge
    bid: FloatArray
    ask: FloatArray
    best_bid: float
    best_ask: float
    venues: tuple[str, ...]  # the venues inside
    absent: dict[str, str]  # venue -> why it is not


class StreamHealth(msgspec.Struct, frozen=True, gc=False):
    """One stream as the health view shows it. state: connecting, live, stale, gap, down."""

    venue: str
    stream: str
    state: str
    last_received_ns: int
    messages: int
    gaps: int
    resyncs: int
    errors: int
    detail: str = ""
