"""What the program says about a market: immutable, with units, time, coverage and uncertainty.

Axis order is fixed everywhere: side 0 = long, 1 = short; band 0 = low (effective leverage below
10x), 1 = mid (10x to 25x), 2 = high (above 25x).
"""

from __future__ import annotations

import msgspec
import numpy as np

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


class DensityColumn(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Expected notional force-closed per price bin if the mark reached it: what a history keeps.

    notional_usd  float64[2 sides, 3 bands, bins]: base coins x mark, so that
                  notional_usd[side].sum() + outside_usd[side] == open_interest_usd for both sides
    outside_usd   float64[2]: mass beyond the grid or without a liquidation price
    forced_share  expected share of the notional at a level that really reaches the venue as forced
                  orders when the mark gets there (stop-outs and top-ups come first)
    """

    instrument_id: str
    at_ns: int
    mark_price: float
    grid: PriceGrid
    notional_usd: FloatArray
    outside_usd: FloatArray
    open_interest_usd: float
    confidence: Confidence
    forced_share: float = 1.0


class IntervalLaw(msgspec.Struct, frozen=True, gc=False, eq=False):
    """How a map errs; its p10 and p90 follow from this and the notional.

    own       relative variance of a bin's own error
    bands     float64[3, 3]: covariance of ln notional by leverage band, shared by all bins
    heavier   float64[3]: by how much of itself a band could be more under another law
    lump_usd  mean notional of one position, weighted by notional
    """

    own: float = 0.36
    bands: FloatArray = msgspec.field(default_factory=lambda: np.zeros((3, 3)))
    heavier: FloatArray = msgspec.field(default_factory=lambda: np.zeros(3))
    lump_usd: float = 60e3


class LiquidationDensity(DensityColumn, frozen=True, gc=False, eq=False, kw_only=True):
    """The whole read-out of one venue's instrument, with intervals and ages.

    p10, p90      float64[2, bins]: 80 % interval of the sum over bands
    errs          the law of the interval: of a sum of venues it is worked out anew
    printed_share       by side: USD that the venue's feed is expected to print per USD of map that
                        the mark passes (the side's forced share x what the feed shows of it)
    printed_sd          relative standard deviation of a predicted printed amount, lumps apart
    printed_lump_usd    notional-weighted mean size of one print
    """

    p10: FloatArray
    p90: FloatArray
    age_s: FloatArray | None = None  # float64[2, bins]: mean age of the mass
    errs: IntervalLaw = msgspec.field(default_factory=IntervalLaw)
    printed_share: tuple[float, float] = (1.0, 1.0)
    printed_sd: float = 0.6
    printed_lump_usd: float = 60e3


class MeasuredLayer(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Positions of public accounts at the liquidation prices that their venue states.

    Measured, not modelled, and of the accounts that were asked only: never to be added to a
    LiquidationDensity, whose open interest holds the same contracts. Levels of cross positions move
    with the rest of the account.

    notional_usd       float64[2 sides, 2 modes (isolated, cross), bins]: base coins x mark
    beyond_usd         float64[2]: levels beyond the grid
    without_level_usd  float64[2]: positions that the venue gives no level (collateral covers all)
    coverage           by side: measured coins / open interest of the venue; 0.0 while that is
                       unknown; can pass 1 a little where open interest is older than the accounts
    accounts           that hold a position and were seen in time
    stale_accounts     that held one when last seen, too long ago: left out
    passed_accounts    whose stated level the mark has passed since: left out
    oldest_ns          snapshot time of the oldest account inside
    """

    instrument_id: str
    at_ns: int
    mark_price: float
    grid: PriceGrid
    notional_usd: FloatArray
    beyond_usd: FloatArray
    without_level_usd: FloatArray
    coverage: tuple[float, float]
    accounts: int
    stale_accounts: int
    passed_accounts: int
    oldest_ns: int


class Cluster(msgspec.Struct, frozen=True, gc=False):
    """A contiguous price range of one side whose density stands out.

    The interval and the age are nan where the map is one of the past: no history keeps them.
    """

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


class TruthRow(msgspec.Struct, frozen=True, gc=False):
    """One past interval: what the map before it said of the path that the mark then took.

    Pairs are (long, short), USD, summed over the venues that had a map when the interval began.

    at_ns, span_s   start and length of the interval
    mark_open, mark_low, mark_high   of the reference instrument, USD per base coin
    predicted_usd   prints expected between the interval's low and high, from the map at at_ns
    p10, p90        80 % interval of that
    realised_usd    what the feeds printed (feeds are samples: Binance, OKX; complete: Bybit)
    flat_usd        the baseline: past prints per unit of adverse move x this interval's move;
                    it knows the path and the past, and nothing of where positions are
    """

    at_ns: int
    span_s: float
    mark_open: float
    mark_low: float
    mark_high: float
    predicted_usd: tuple[float, float]
    p10: tuple[float, float]
    p90: tuple[float, float]
    realised_usd: tuple[float, float]
    flat_usd: tuple[float, float]


class TruthBin(msgspec.Struct, frozen=True, gc=False):
    """Calibration: mean predicted and mean realised USD of n intervals of like prediction."""

    predicted_usd: float
    realised_usd: float
    realised_low: float  # 80 % interval of the mean, by resampling the bin's intervals
    realised_high: float
    n: int


class TruthReport(msgspec.Struct, frozen=True, gc=False):
    """Predicted against printed, kept by the running engine. Pairs are (long, short).

    rows          finished intervals, oldest first, at most a fortnight of hours
    is_complete   every venue inside prints all its liquidations
    total_ratio   predicted / printed USD over the rows; 0.0 where nothing was printed
    coverage      share of the rows' printed amounts inside [p10, p90]; 0.8 is stated
    skill         1 - squared log error of the map / that of `flat_usd`; > 0: the map adds
                  something to knowing the path; 0.0 while n < 12
    rank          Spearman correlation of predicted and printed; 0.0 while n < 12
    calibration   by side, bins of equal count over predicted, ascending
    """

    base: str
    at_ns: int
    venues: tuple[str, ...]
    is_complete: bool
    rows: tuple[TruthRow, ...]
    total_ratio: tuple[float, float]
    coverage: tuple[float, float]
    skill: tuple[float, float]
    rank: tuple[float, float]
    calibration: tuple[tuple[TruthBin, ...], tuple[TruthBin, ...]]


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
