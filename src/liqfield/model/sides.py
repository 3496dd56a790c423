"""Sides and kinds. A bare "side" does not exist: it is an aggressor's or a position's."""

from __future__ import annotations

from enum import StrEnum


class Aggressor(StrEnum):
    """Who crossed the spread (taker)."""

    BUY = "buy"
    SELL = "sell"


class PositionSide(StrEnum):
    """The side of a position; on a liquidation, of the position that was closed."""

    LONG = "long"
    SHORT = "short"


class ContractKind(StrEnum):
    LINEAR = "linear"
    INVERSE = "inverse"


class TradeKind(StrEnum):
    """MARKET is ordinary volume; the others are kept out of volume."""

    MARKET = "market"
    BLOCK = "block"
    ADL = "adl"
    INSURANCE = "insurance"
    LIQUIDATION = "liquidation"  # venues that flag liquidation fills in their trade stream


class PriceKind(StrEnum):
    """What the price on a liquidation print is."""

    FILL = "fill"
    BANKRUPTCY = "bankruptcy"
    LIMIT = "limit"


class Coverage(StrEnum):
    """How much of the truth a liquidation feed shows."""

    COMPLETE = "complete"
    LARGEST_PER_SECOND = "largest_per_second"
    LATEST_PER_SECOND = "latest_per_second"
    SAMPLED = "sampled"


class CandleOf(StrEnum):
    """Which price a candle is made of."""

    LAST = "last"
    MARK = "mark"
    INDEX = "index"


class GapReason(StrEnum):
    CONNECT = "connect"  # a fresh connection: state from an older one is void
    DISCONNECT = "disconnect"
    SEQUENCE = "sequence"  # a venue counter jumped
    OVERFLOW = "overflow"  # our own bounded queue dropped frames
    STALE = "stale"
    CORRUPT = "corrupt"  # a message of the stream could not be decoded
    UNKNOWN = "unknown"


class BookRule(StrEnum):
    """How a venue proves that no book message was lost."""

    REST_THEN_PREVIOUS = "rest_then_previous"  # Binance: REST snapshot, then pu == last u
    NEXT_BY_ONE = "next_by_one"  # Bybit: snapshot in stream, then u == last u + 1
    PREVIOUS_ID = "previous_id"  # OKX: snapshot in stream, then prevSeqId == last seqId
    WHOLE = "whole"  # Hyperliquid: every message is the book; time must grow
    IN_ORDER = "in_order"  # BitMEX: snapshot in stream, then no counter: the order of one socket
