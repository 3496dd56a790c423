"""The words of the built-in market: what it is built from and what one step of it shows.

Units as everywhere: base coins, USD per base coin, ns since epoch UTC. Side axis: 0 long, 1 short.
Arrays are fresh copies: the receiver may keep them.

    market = LabMarket(demo_spec(start_ns), seed=7)     # pre-simulates spec.history_h hours
    for instrument in market.instruments: market.tiers(instrument.id), market.book(instrument.id)
    steps = market.advance(start_ns + 100_000_000)      # dict: instrument id -> InstrumentStep
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from liqfield.model.events import FloatArray, IntArray
from liqfield.model.grid import PriceGrid
from liqfield.model.instrument import Instrument
from liqfield.model.margin import MarginTier

BoolArray: TypeAlias = npt.NDArray[np.bool_]
ByteArray: TypeAlias = npt.NDArray[np.int8]

VENUES = ("binance", "bybit", "okx", "hyperliquid")

# Trades.kind: how an execution came about. ADL and INSURANCE never touch the book.
MARKET, LIQUIDATION, ADL, INSURANCE = 0, 1, 2, 3
# Trades.taker_effect / maker_effect: what the execution did to that side's position.
OPEN, CLOSE, NEUTRAL = 0, 1, 2

POSITION_DTYPE = np.dtype(
    [
        ("account", np.int64),  # stable and unique while the position lives
        ("side", np.int8),  # 0 long, 1 short
        ("entry", np.float64),  # USD per base coin
        ("quantity", np.float64),  # base coins, > 0
        ("leverage", np.float64),  # effective: entry notional / margin
        ("leverage_setting", np.float64),  # what the account set (a bad proxy)
        ("is_cross", np.bool_),
        ("margin", np.float64),  # USD behind the position without its own unrealised PnL
        ("liquidation_price", np.float64),  # 0 = none
        ("opened_ns", np.int64),
    ]
)


class BaseSpec(msgspec.Struct, frozen=True):
    """One asset: price in USD, daily volatility as a fraction, open interest of all venues in USD,
    depth in USD within 10 bp of the mid on the deepest venue, ordinary volume a day over open
    interest (position changes come on top), sudden moves a day. follow_s: time constant with
    which the spot market follows the perpetuals: at 6 s an order moves the price for good by most
    of what it moves it at all, at 30 s by a sixth."""

    base: str
    price: float
    daily_volatility: float = 0.03
    open_interest_usd: float = 1e9
    depth_10bp_usd: float = 5e6
    turnover_per_day: float = 3.0
    jumps_per_day: float = 4.0
    follow_s: float = 6.0


class LeverageLaw(msgspec.Struct, frozen=True):
    """Parametric law of effective leverage at opening.

    family    "lognormal" | "gamma" | "pareto" | "mixture" | "menu": of the cross (core) part
    median    of the core part; spread: log-sd (lognormal), shape (gamma), tail index (pareto)
    isolated_share  share of openings (by number) in isolated mode, drawn from `menu` with
                    `menu_weights`, each jittered down by unused margin
    """

    family: str = "lognormal"
    median: float = 3.0
    spread: float = 0.8
    isolated_share: float = 0.25
    menu: tuple[float, ...] = (10.0, 20.0, 25.0, 40.0, 50.0, 75.0, 100.0, 125.0)
    menu_weights: tuple[float, ...] = (0.30, 0.22, 0.16, 0.06, 0.14, 0.04, 0.06, 0.02)


class PositionLaw(msgspec.Struct, frozen=True):
    """How positions are born, live and die.

    holding_h        mean holding time at 3x in calm; leverage L: holding_h * (3 / L)**holding_tilt
    churn_volatility added share of OI replaced per 5 minutes per unit of |5-minute return|
                     (2: a 1 % move replaces 2 % of OI); 0 = churn is constant
    stop_share       share of positions that carry a stop; they leave before their liquidation price
    taker_share      share of opens and closes done by market orders
    cross_noise      daily log-sd of the collateral behind cross positions (other markets, top-ups)
    stop_place       where between entry (0) and liquidation price (1) the stops sit on average
    """

    taker: LeverageLaw = LeverageLaw()
    maker: LeverageLaw = LeverageLaw(median=1.8, spread=0.7, isolated_share=0.05)
    holding_h: float = 36.0
    holding_tilt: float = 0.5
    churn_volatility: float = 2.0
    stop_share: float = 0.5
    stop_place: float = 0.8
    top_up_share: float = 0.1
    size_log_sd: float = 1.3
    taker_share: float = 0.5
    cross_noise: float = 0.12


class MarketSpec(msgspec.Struct, frozen=True):
    """A whole market. Live time begins at start_ns; history covers history_h hours before it.

    venue_positions: laws of the venues that do not follow `positions`."""

    bases: tuple[BaseSpec, ...]
    start_ns: int
    venues: tuple[str, ...] = VENUES
    history_h: float = 24.0
    coarse_step_s: float = 5.0
    fine_step_ms: int = 100
    positions: PositionLaw = PositionLaw()
    accounts_per_instrument: int = 4_000
    venue_positions: dict[str, PositionLaw] = {}


class Trades(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Executions in time order. price: USD; quantity: base coins; is_buy: the aggressor bought."""

    event_ns: IntArray
    price_ticks: IntArray
    price: FloatArray
    quantity: FloatArray
    is_buy: BoolArray
    trade_id: IntArray
    kind: ByteArray
    taker_effect: ByteArray
    maker_effect: ByteArray

    def __len__(self) -> int:
        return int(self.event_ns.size)


class BookChanges(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Levels that differ from the last report: absolute base coins, 0 deletes."""

    price_ticks: IntArray
    quantity: FloatArray
    is_bid: BoolArray


class Book(msgspec.Struct, frozen=True, gc=False, eq=False):
    """The full ladder as last reported, best first on both sides; quantity in base coins."""

    bid_ticks: IntArray
    bid_quantity: FloatArray
    ask_ticks: IntArray
    ask_quantity: FloatArray


class Prints(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Every liquidation order, uncensored (venues censor; servers and tapes apply that).

    position_side int8 0 long / 1 short (the side closed); fill_price: average; 0 where the order
    never met the book (takeover); is_takeover: the fund took the position at bankruptcy price.
    """

    event_ns: IntArray
    position_side: ByteArray
    quantity: FloatArray
    fill_price: FloatArray
    bankruptcy_price: FloatArray
    trigger_price: FloatArray
    mark_price: FloatArray
    is_takeover: BoolArray

    def __len__(self) -> int:
        return int(self.event_ns.size)


class InstrumentStep(msgspec.Struct, frozen=True, gc=False, eq=False):
    """What one instrument did since the last report."""

    instrument_id: str
    at_ns: int
    trades: Trades
    book: BookChanges
    liquidations: Prints
    mark: float
    index: float
    last: float
    bid_ticks: int
    bid_quantity: float
    ask_ticks: int
    ask_quantity: float
    funding_rate: float  # estimate per interval, positive: longs pay
    next_funding_ns: int
    settled_funding_rate: float | None  # a settlement that happened inside this step
    open_interest_base: float  # one-sided
    insurance_fund_usd: float


class History(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Since simulation start. Candles: 1 minute, closed only; columns open high low close.

    candle_end_ns int64[n]; last, mark, index float64[n, 4]; volume, taker_buy float64[n] base
    coins; oi_ns int64[k], open_interest float64[k] every 5 minutes; long_accounts float64[k] share
    of accounts that are long; funding_ns int64[j], funding_rate float64[j] settled.
    """

    candle_end_ns: IntArray
    last: FloatArray
    mark: FloatArray
    index: FloatArray
    volume: FloatArray
    taker_buy: FloatArray
    oi_ns: IntArray
    open_interest: FloatArray
    long_accounts: FloatArray
    funding_ns: IntArray
    funding_rate: FloatArray


class AgentEvent(msgspec.Struct, frozen=True, gc=False):
    """What an agent really did: ground truth for the order-flow readings.

    kind: wall_placed, wall_pulled, wall_eaten, wall_expired, absorber (active from start to end;
    quantity is what it took in), cascade (price_from start, price_to extreme; quantity is what was
    force-closed); of scripts (market_actors): wall_withdrawn, layering, flip (quantity: traded),
    whale_push (quantity: sold or bought).
    is_bid: of the order (walls, absorbers); of a cascade or push: True = downwards.
    end_ns 0 = still going on.
    """

    kind: str
    instrument_id: str
    start_ns: int
    end_ns: int
    price_from: float
    price_to: float
    quantity: float
    is_bid: bool


class Market(Protocol):
    """What the venue servers need of a market; `LabMarket` is the real one."""

    @property
    def instruments(self) -> tuple[Instrument, ...]: ...
    @property
    def now_ns(self) -> int: ...
    def tiers(self, instrument_id: str) -> tuple[MarginTier, ...]: ...
    def advance(self, until_ns: int) -> Mapping[str, InstrumentStep]:
        """Run to until_ns (whole fine steps) and report all that happened since the last call."""
        ...

    def book(self, instrument_id: str) -> Book: ...
    def history(self, instrument_id: str) -> History: ...
    def positions(self, instrument_id: str) -> npt.NDArray[Any]:
        """Structured array of POSITION_DTYPE, every open position: the truth."""
        ...

    def insurance_fund_usd(self, instrument_id: str) -> float: ...
    def true_density(self, instrument_id: str, grid: PriceGrid) -> tuple[FloatArray, FloatArray]:
        """(float64[2, bins], float64[2]): USD at mark by liquidation price; beyond or without."""
        ...

    def agent_events(self) -> Sequence[AgentEvent]: ...
