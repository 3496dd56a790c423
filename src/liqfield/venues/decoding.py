"""What all decoders share: sources, numbers that must be finite, levels, multiplier names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
import numpy as np

from liqfield.model.errors import DecodeError
from liqfield.model.events import BookLevels, Frame
from liqfield.model.instrument import Instrument
from liqfield.model.sides import ContractKind

MS = 1_000_000
T = TypeVar("T")
_MIN, _MAX = 1e-15, 1e15  # no price, size or rate of any market lies beyond
_MAX_TICKS = 2.0**53  # a float counts no further
_MULTIPLIER = re.compile(r"^(1000000|100000|10000|1000)([A-Z].*)$")


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
    if not _MIN < x < _MAX:
        raise ValueError(f"{x} is not a positive number")
    return x


def not_negative(x: float) -> float:
    if not 0.0 <= x < _MAX:
        raise ValueError(f"{x} is negative or not finite")
    return x


def finite(x: float) -> float:
    if not -_MAX < x < _MAX:
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
        bool((price > _MIN).all()) and bool((quantity >= 0.0).all()) and bool((table < _MAX).all())
    ):
        raise ValueError("a level is not a positive price with a size")
    whole = np.rint(price * 10.0**of.tick_decimals / of.tick_mantissa)
    if count and float(whole.max()) >= _MAX_TICKS:
        raise ValueError("a price is beyond every tick")
    ticks = whole.astype(np.int64)
    return BookLevels(ticks, venue_quantity(price, quantity, of), len(bids))


def coins(of: Instrument, quantity: float, price_usd: float) -> float:
    """Base coins of a venue quantity; 0 on a side of a quote that is empty (price 0)."""
    quantity = not_negative(quantity)
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


class Reader:
    """Typed decoding with one kind of failure: DecodeError with venue, channel and first bytes."""

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self._decoders: dict[object, msgspec.json.Decoder[object]] = {}

    def read(self, payload: bytes, kind: type[T], channel: str) -> T:
        decoder = self._decoders.get(kind)
        if decoder is None:
            decoder = self._decoders[kind] = msgspec.json.Decoder(kind, strict=False)
        try:
            return decoder.decode(payload)  # type: ignore[return-value]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(self.venue, channel, payload, str(error)) from error

    def read_many(self, payload: bytes, kind: type[T], channel: str) -> list[T]:
        """An array of `kind`, or one alone."""
        if payload.lstrip().startswith(b"["):
            return self.read(payload, list[kind], channel)  # type: ignore[valid-type]
        return [self.read(payload, kind, channel)]

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
