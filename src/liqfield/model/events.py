"""Immutable facts. Times are ns since epoch UTC: `event_ns` venue clock, `received_ns` ours.

Units: base coins and USD per base coin, always (see instrument.py). Frames and gaps are what the
intake records, in the order consumed; every event is derived from a frame by `venues.decode`.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from liqfield.model.instrument import Instrument
from liqfield.model.margin import MarginTier
from liqfield.model.sides import (
    Aggressor,
    CandleOf,
    Coverage,
    GapReason,
    PositionSide,
    PriceKind,
    TradeKind,
)

IntArray: TypeAlias = npt.NDArray[np.int64]
FloatArray: TypeAlias = npt.NDArray[np.float64]


class Frame(msgspec.Struct, frozen=True, gc=False):
    """Raw bytes from a venue.

    source: "ws:<path>#<name>" (the connection: Bybit linear and spot share topic names) or
    "rest:<path>?<query>" / "rest:<path> <body>" (the request: many replies do not name a symbol).
    """

    venue: str
    source: str
    received_ns: int
    payload: bytes


class Gap(msgspec.Struct, frozen=True, gc=False):
    """Something was lost: derived state is void. instrument_id "" means the whole source.

    kinds: names of the event types that the lost stream carries (StreamSpec.kinds), () = any. A
    dropped trade connection must not void the books.
    """

    venue: str
    source: str
    received_ns: int
    reason: GapReason
    instrument_id: str = ""
    detail: str = ""
    kinds: tuple[str, ...] = ()


Record: TypeAlias = Frame | Gap


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One public execution; `quantity` base coins, `price` USD per base coin."""

    instrument_id: str
    event_ns: int
    received_ns: int
    price: float
    quantity: float
    aggressor: Aggressor
    trade_id: str = ""
    kind: TradeKind = TradeKind.MARKET


class BookLevels(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Levels of one book message: the first `bid_count` entries are bids, the rest asks.

    price_ticks: int64[n], integer ticks of the instrument. quantity: float64[n], base coins; in a
    delta the absolute new size, 0 deletes. No order is promised. They may be the part [first, last)
    of longer arrays, cut when they are asked for (last -1: to the end).
    """

    all_ticks: IntArray
    all_quantity: FloatArray
    bid_count: int
    first: int = 0
    last: int = -1

    @property
    def price_ticks(self) -> IntArray:
        return self.all_ticks[self.first : self.first + len(self)]

    @property
    def quantity(self) -> FloatArray:
        return self.all_quantity[self.first : self.first + len(self)]

    def __len__(self) -> int:
        return (len(self.all_ticks) if self.last < 0 else self.last) - self.first


class BookSnapshot(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Replaces the book. `sequence`: the venue's counter at this state (0 where it has none)."""

    instrument_id: str
    event_ns: int
    received_ns: int
    sequence: int
    levels: BookLevels
    is_rest: bool = False  # a REST reply that must be joined with buffered diffs (Binance)


class BookDelta(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Sets absolute sizes.

    first_sequence..sequence: counters covered; previous_sequence: what the venue says came before
    (Binance pu, OKX prevSeqId; -1 where the venue has none, as Bybit's u = last + 1).
    """

    instrument_id: str
    event_ns: int
    received_ns: int
    first_sequence: int
    sequence: int
    previous_sequence: int
    levels: BookLevels


class BestQuote(msgspec.Struct, frozen=True, gc=False):
    """Top of book as a venue states it; audits the ladder. sequence 0 = none."""

    instrument_id: str
    event_ns: int
    received_ns: int
    bid_price: float
    bid_quantity: float
    ask_price: float
    ask_quantity: float
    sequence: int = 0


class MarkPrice(msgspec.Struct, frozen=True, gc=False):
    instrument_id: str
    event_ns: int
    received_ns: int
    price: float


class IndexPrice(msgspec.Struct, frozen=True, gc=False):
    instrument_id: str
    event_ns: int
    received_ns: int
    price: float


class FundingRate(msgspec.Struct, frozen=True, gc=False):
    """`rate` is a fraction per `interval_h` hours; positive: longs pay shorts."""

    instrument_id: str
    event_ns: int
    received_ns: int
    rate: float
    interval_h: float
    next_funding_ns: int = 0
    is_settled: bool = False


class OpenInterest(msgspec.Struct, frozen=True, gc=False):
    """Outstanding base coins, each contract counted once (longs = shorts).

    price: USD per base coin that the venue's own USD figure implies, 0 where it gives none.
    is_history: a past value from a history reply (back-fill), not the live state.
    notional_usd: of an inverse contract whose message names no price: the USD outstanding, with
    quantity 0; the engine divides by the mark.
    """

    instrument_id: str
    event_ns: int
    received_ns: int
    quantity: float
    price: float = 0.0
    is_history: bool = False
    notional_usd: float = 0.0


class Liquidation(msgspec.Struct, frozen=True, gc=False):
    """A forced close as the venue prints it; `position_side` is the side that was closed."""

    instrument_id: str
    event_ns: int
    received_ns: int
    position_side: PositionSide
    quantity: float
    price: float
    price_kind: PriceKind
    coverage: Coverage


class Candle(msgspec.Struct, frozen=True, gc=False):
    """`event_ns` is the END of the interval; volumes in base coins, taker_buy -1 = unknown."""

    instrument_id: str
    event_ns: int
    received_ns: int
    of: CandleOf
    interval_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    taker_buy_volume: float = -1.0
    is_closed: bool = True
    is_history: bool = False


class Listing(msgspec.Struct, frozen=True, gc=False):
    """An instrument as the venue lists it now."""

    instrument_id: str
    event_ns: int
    received_ns: int
    instrument: Instrument


class TierTable(msgspec.Struct, frozen=True, gc=False):
    """A venue's margin tiers of one instrument, ascending, as of event_ns."""

    instrument_id: str
    event_ns: int
    received_ns: int
    tiers: tuple[MarginTier, ...]


class Turnover(msgspec.Struct, frozen=True, gc=False):
    """USD traded in the last 24 hours as the venue counts it: ranks markets, nothing else."""

    instrument_id: str
    event_ns: int
    received_ns: int
    notional_usd: float


class PositioningRatio(msgspec.Struct, frozen=True, gc=False):
    """Long / short shares as the venue publishes them.

    basis: accounts, top_accounts, top_positions, taker_volume.
    """

    instrument_id: str
    event_ns: int
    received_ns: int
    basis: str
    long_share: float
    short_share: float


class InsuranceFund(msgspec.Struct, frozen=True, gc=False):
    instrument_id: str  # "" = venue-wide
    event_ns: int
    received_ns: int
    venue: str
    asset: str
    balance: float


class MeasuredPosition(msgspec.Struct, frozen=True, gc=False):
    """A public position (Hyperliquid). liquidation_price 0 = none; quantity base coins > 0."""

    instrument_id: str
    event_ns: int
    received_ns: int
    account: str
    position_side: PositionSide
    quantity: float
    entry_price: float
    liquidation_price: float
    leverage_setting: float
    is_cross: bool
    account_value_usd: float


class PositionSnapshot(msgspec.Struct, frozen=True, gc=False):
    """Everything one public account holds: replaces what was known of it, () = it holds nothing.

    instrument_id is "" (an account spans instruments). A scan covers the accounts that it asks, not
    the venue: its share of open interest is what `feeds.accounts` and health state beside it.
    """

    instrument_id: str
    event_ns: int
    received_ns: int
    venue: str
    account: str
    positions: tuple[MeasuredPosition, ...]
    account_value_usd: float


class ImportedPast(msgspec.Struct, frozen=True, gc=False):
    """A stretch of one instrument's imported history, which the venue's back-fill does not reach.

    events: candles, open interest and settled funding up to `event_ns`, in any order.
    """

    instrument_id: str
    event_ns: int
    received_ns: int
    events: tuple[Candle | OpenInterest | FundingRate, ...]


class Notice(msgspec.Struct, frozen=True, gc=False):
    """What a venue says of itself: ack, error, pong, close_soon, heartbeat; planned (work that it
    announces), maintenance (that goes on), open (neither)."""

    venue: str
    received_ns: int
    kind: str
    detail: str = ""


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """A well-formed message of a kind we do not read: counted by `kind`, kept in the recording."""

    venue: str
    received_ns: int
    kind: str


MarketEvent: TypeAlias = (
    Trade
    | BookSnapshot
    | BookDelta
    | BestQuote
    | MarkPrice
    | IndexPrice
    | FundingRate
    | OpenInterest
    | Liquidation
    | Candle
    | Listing
    | TierTable
    | Turnover
    | PositioningRatio
    | InsuranceFund
    | MeasuredPosition
    | PositionSnapshot
    | ImportedPast
)
Event: TypeAlias = MarketEvent | Notice | Unknown | Gap
