"""What all decoders share: sources, numbers that must be finite, levels, multiplier names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeAlias, TypeVar
from urllib.parse import parse_qsl

import msgspec
import numpy as np

from liqfield.model.errors import DecodeError
from liqfield.model.events import (
    BestQuote,
    BookLevels,
    Candle,
    Event,
    Frame,
    FundingRate,
    IndexPrice,
    Listing,
    MarkPrice,
    Notice,
    OpenInterest,
    Unknown,
)
from liqfield.model.instrument import Instrument
from liqfield.model.margin import MarginTier, deductions
from liqfield.model.sides import CandleOf, ContractKind

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T")
Found: TypeAlias = Instrument | Unknown
MIN_VALUE, MAX_VALUE = 1e-15, 1e15  # no price, size or rate of any market lies beyond
MAX_DECIMALS = 18  # of a tick
MAX_TICKS = 2.0**53  # a float counts no further
_MULTIPLIER = re.compile(r"^(1000000|100000|10000|1000)([A-Z].*)$")


@lru_cache(maxsize=256)
def request_of(source: str) -> tuple[str, dict[str, str], str]:
    """("rest:/a?b=c {body}") -> ("/a", {"b": "c"}, "{body}"); a WebSocket source gives its path."""
    _, _, rest = source.partition(":")
    rest, _, body = rest.partition(" ")
    path, _, query = rest.partition("?")
    return path.partition("#")[0], dict(parse_qsl(query)), body


def base_and_factor(name: str) -> tuple[str, float]:
    """("1000PEPE") -> ("PEPE", 1000.0); ("1INCH") -> ("1INCH", 1.0)."""
    match = _MULTIPLIER.match(name)
    return (match[2], float(match[1])) if match else (name, 1.0)


def positive(x: float) -> float:
    """A price or size that can be true: above zero and finite."""
    if not MIN_VALUE < x < MAX_VALUE:
        raise ValueError(f"{x} is not a positive number")
    return x


def not_negative(x: float) -> float:
    if not 0.0 <= x < MAX_VALUE:
        raise ValueError(f"{x} is negative or not finite")
    return x


def finite(x: float) -> float:
    if not -MAX_VALUE < x < MAX_VALUE:
        raise ValueError(f"{x} is not finite")
    return x


def levels(
    bids: Sequence[tuple[float, float]], asks: Sequence[tuple[float, float]], of: Instrument
) -> BookLevels:
    """Pairs of (venue price, venue quantity) to ticks and base coins."""
    count = len(bids) + len(asks)
    table = np.empty((count, 2))
    if bids:
        table[: len(bids)] = bids
    if asks:
        table[len(bids) :] = asks
    price, quantity = table[:, 0], table[:, 1]
    if count and not (
        bool((price > MIN_VALUE).all())
        and bool((quantity >= 0.0).all())
        and bool((table < MAX_VALUE).all())
    ):
        raise ValueError("a level is not a positive price with a size")
    whole = np.rint(price * 10.0**of.tick_decimals / of.tick_mantissa)
    if count and float(whole.max()) >= MAX_TICKS:
        raise ValueError("a price is beyond every tick")
    ticks = whole.astype(np.int64)
    return BookLevels(ticks, venue_quantity(price, quantity, of), len(bids))


def coins(of: Instrument, quantity: float, price_usd: float) -> float:
    """Base coins of a venue quantity; 0 on a side of a quote that is empty (price 0)."""
    if not 0.0 <= quantity < MAX_VALUE:
        raise ValueError(f"{quantity} is negative or not finite")
    return of.quantity_base(quantity, positive(price_usd)) if price_usd > 0.0 else 0.0


def venue_quantity(
    price: np.ndarray[tuple[int], np.dtype[np.float64]],
    quantity: np.ndarray[tuple[int], np.dtype[np.float64]],
    of: Instrument,
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Base coins of venue quantities at venue prices."""
    if of.kind is ContractKind.INVERSE:
        return quantity * (of.quantity_factor / of.price_factor) / price
    if of.quantity_factor == 1.0:
        return quantity.copy()
    return quantity * of.quantity_factor


def find(venue: str, symbol: str, frame: Frame, known: Mapping[str, Instrument]) -> Found:
    """The instrument that a message names, or the event that says it is not listed."""
    found = known.get(f"{venue}:{symbol}")
    return found or Unknown(venue, frame.received_ns, f"instrument {symbol}")


def listing(of: Instrument, event_ns: int, received_ns: int) -> Listing:
    """An instrument whose numbers can be true."""
    for factor in (of.price_factor, of.quantity_factor, of.funding_interval_h):
        positive(factor)
    if of.tick_decimals > MAX_DECIMALS or of.tick_mantissa > MAX_VALUE:
        raise ValueError(f"{of.symbol}: no tick of a market")
    not_negative(of.lot), not_negative(of.max_leverage)
    return Listing(of.id, event_ns, received_ns, of)


def announcements(
    venue: str, rows: Sequence[tuple[str, str, int, int, bool]], received_ns: int
) -> list[Event]:
    """Notices of what a venue announces of itself, in words; one that says so where it is nothing.

    Rows: title, state (scheduled, ongoing, pre_open, else over), begin and end in ms (end 0: not
    known), whether it was planned.
    """
    events: list[Event] = []
    for title, state, begin_ms, end_ms, is_planned in rows:
        if state not in ("scheduled", "ongoing", "pre_open"):
            continue
        begin = EPOCH + timedelta(milliseconds=begin_ms)
        words = f"{'planned maintenance' if is_planned else 'trouble'} from {begin:%Y-%m-%d %H:%M}"
        if end_ms:
            end = EPOCH + timedelta(milliseconds=end_ms)
            words += f" to {end:%H:%M}" if end.date() == begin.date() else f" to {end:%m-%d %H:%M}"
        kind = "planned" if state == "scheduled" else "maintenance"
        events.append(Notice(venue, received_ns, kind, f"{words} UTC: {title[:100]}"))
    return events or [Notice(venue, received_ns, "open")]


def implied_price(usd: float, base: float) -> float:
    """USD per base coin of a value and its coins; 0 where there are none."""
    return not_negative(not_negative(usd) / base) if base > MIN_VALUE else 0.0


def quote(
    of: Instrument,
    event_ns: int,
    received_ns: int,
    bid: tuple[float, float],
    ask: tuple[float, float],
    sequence: int = 0,
) -> BestQuote:
    """From (venue price, venue quantity) of both sides, which must exist."""
    bid_usd, ask_usd = positive(bid[0]) * of.price_factor, positive(ask[0]) * of.price_factor
    return BestQuote(
        of.id,
        event_ns,
        received_ns,
        bid_usd,
        coins(of, bid[1], bid_usd),
        ask_usd,
        coins(of, ask[1], ask_usd),
        sequence,
    )


def candle(
    of: Instrument,
    frame: Frame,
    kind: CandleOf,
    span: tuple[int, int],
    ohlc: tuple[float, float, float, float],
    volume: float,
    is_closed: bool | None = None,
    is_history: bool = True,
    taker: float = -1.0,
) -> Candle:
    """span = (end ns, length ns), volume in base coins, taker = what of it takers bought (below 0:
    not told); is_closed None = once its end is past."""
    end_ns, interval_ns = span
    for price in ohlc:
        positive(price)
    p = of.price_factor
    return Candle(
        of.id,
        end_ns,
        frame.received_ns,
        kind,
        interval_ns,
        ohlc[0] * p,
        ohlc[1] * p,
        ohlc[2] * p,
        ohlc[3] * p,
        not_negative(volume),
        taker,
        end_ns <= frame.received_ns if is_closed is None else is_closed,
        is_history,
    )


def usd(of: Instrument, venue_price: float) -> float:
    """USD per base coin of a price as the venue writes it."""
    return positive(venue_price) * of.price_factor


def number(text: str) -> float | None:
    """A number that a venue writes as text; "" = not stated."""
    return float(text) if text else None


def market_state(
    of: Instrument,
    event_ns: int,
    received_ns: int,
    *,
    mark: float | None = None,
    index: float | None = None,
    interest: float | None = None,
    funding: float | None = None,
    funding_h: float = 0.0,
    next_funding_ns: int = 0,
) -> list[Event]:
    """What a ticker says of a contract, in the venue's units; None = it does not say.

    funding: a fraction per `funding_h` hours, 0 = the instrument's interval.
    """
    events: list[Event] = []
    mark_usd = 0.0
    if mark is not None:
        mark_usd = usd(of, mark)
        events.append(MarkPrice(of.id, event_ns, received_ns, mark_usd))
    if index is not None:
        events.append(IndexPrice(of.id, event_ns, received_ns, usd(of, index)))
    if interest is not None:
        events.append(open_interest(of, event_ns, received_ns, interest, mark_usd))
    if funding is not None:
        hours = funding_h or of.funding_interval_h
        rate = finite(funding)
        events.append(FundingRate(of.id, event_ns, received_ns, rate, hours, next_funding_ns))
    return events


def settled_funding(
    of: Instrument, event_ns: int, received_ns: int, rate: float, interval_h: float = 0.0
) -> FundingRate:
    """What was paid; interval_h 0 = the instrument's."""
    hours = interval_h or of.funding_interval_h
    return FundingRate(of.id, event_ns, received_ns, finite(rate), hours, event_ns, is_settled=True)


def ladder(
    caps: Sequence[float],
    leverages: Sequence[float],
    rates: Sequence[float],
    stated: Sequence[float | None] = (),
) -> tuple[MarginTier, ...]:
    """Tiers in order of their caps: each begins where the one below it ends.

    stated: deductions as the venue gives them; where it does not, the one that makes maintenance
    continuous.
    """
    floors = [0.0, *caps[:-1]]
    computed = deductions(floors, rates)
    if stated:
        pairs = zip(computed, stated, strict=True)
        computed = [own if theirs is None else finite(theirs) for own, theirs in pairs]
    return tuple(
        MarginTier(floor, positive(cap), positive(leverage), positive(rate), deduction)
        for floor, cap, leverage, rate, deduction in zip(
            floors, caps, leverages, rates, computed, strict=True
        )
    )


def open_interest(
    of: Instrument,
    event_ns: int,
    received_ns: int,
    stated: float,
    price_usd: float,
    *,
    is_history: bool = False,
) -> OpenInterest:
    """From one side's open interest in the venue's unit; an inverse one may lack a price (0)."""
    stated = not_negative(stated) * of.quantity_factor
    if of.kind is not ContractKind.INVERSE:
        return OpenInterest(of.id, event_ns, received_ns, stated, price_usd, is_history)
    base = stated / positive(price_usd) if price_usd > 0.0 else 0.0
    return OpenInterest(of.id, event_ns, received_ns, base, price_usd, is_history, stated)


class Reader:
    """Typed decoding with one kind of failure: DecodeError with venue, channel and first bytes."""

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self._values: dict[object, msgspec.json.Decoder[object]] = {}
        self._rows: dict[object, msgspec.json.Decoder[object]] = {}

    def read(self, payload: bytes, kind: type[T], channel: str) -> T:
        decoder = self._values.get(kind)
        if decoder is None:
            decoder = self._values[kind] = msgspec.json.Decoder(kind, strict=False)
        return self._decoded(decoder, payload, channel)  # type: ignore[return-value]

    def read_rows(self, payload: bytes, kind: type[T], channel: str) -> list[T]:
        """An array of `kind`."""
        decoder = self._rows.get(kind)  # to make and hash list[kind] takes longer than a row
        if decoder is None:
            whole = list[kind]  # type: ignore[valid-type]
            decoder = self._rows[kind] = msgspec.json.Decoder(whole, strict=False)
        return self._decoded(decoder, payload, channel)  # type: ignore[return-value]

    def read_many(self, payload: bytes, kind: type[T], channel: str) -> list[T]:
        """An array of `kind`, or one alone."""
        if payload.lstrip().startswith(b"["):
            return self.read_rows(payload, kind, channel)
        return [self.read(payload, kind, channel)]

    def _decoded(
        self, decoder: msgspec.json.Decoder[object], payload: bytes, channel: str
    ) -> object:
        try:
            return decoder.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(self.venue, channel, payload, str(error)) from error

    def error(self, frame: Frame, channel: str, why: str) -> DecodeError:
        return DecodeError(self.venue, channel, frame.payload, why)

    def guard(self, frame: Frame, channel: str, build: Callable[[], T]) -> T:
        """Run a builder; a value that cannot be true becomes a DecodeError that shows the frame."""
        try:
            return build()
        except DecodeError as error:
            # Builders read inner parts: what is shown is how the whole message begins.
            raise DecodeError(self.venue, error.channel, frame.payload, error.why) from error
        except (ValueError, KeyError, IndexError, ArithmeticError, TypeError) as error:
            raise DecodeError(self.venue, channel, frame.payload, str(error)) from error


def decimals_of(text: str) -> int:
    """Digits after the point as written: the finest tick a recording without a list can show."""
    return len(text.partition(".")[2])
