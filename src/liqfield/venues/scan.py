"""Depth messages straight from bytes to ticks and sizes, for the shapes a venue usually sends.

A shape is the message itself with field codes in place of values; what matches no shape byte by
byte is left to the typed JSON decoder, which gives the same result or the error. So the scanner
never judges: any odd number, space, escape, key or order is a None. Equality with the JSON path is
exact: a decimal of at most 18 digits and below 2**53 divided by a power of ten up to 10**18 is
correctly rounded, and what follows are the float operations of `decoding.levels`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from liqfield.model.events import BookLevels, FloatArray, IntArray
from liqfield.model.instrument import Instrument
from liqfield.model.jit import checked_kernel, direct, inner_kernel
from liqfield.model.sides import ContractKind
from liqfield.venues.decoding import MAX_TICKS, MAX_VALUE, MIN_VALUE

# Field codes of shapes: bytes that no JSON message contains outside of strings.
END, INTEGER, TEXT, BIDS, ASKS, PASS_TWO = range(6)
"""END closes a shape. INTEGER keeps a whole number. TEXT passes plain characters up to the shape's
next one. BIDS, ASKS are arrays of ["price","size"], with PASS_TWO before them of
["price","size","text","text"]."""

INTEGERS = 5  # integers that a shape may keep
BUFFER = 1 << 17  # bytes of the longest message that is scanned
_HEAD = 256  # bytes in which the symbol is named
SLAB = 1 << 12  # levels allocated at once: small enough that freed ones are used again
_EXACT = 1 << 53
_DIGITS = 18
_POWERS = np.array([float(10**k) for k in range(_DIGITS + 1)])

_QUOTE, _COMMA, _MINUS, _POINT, _ZERO, _NINE = 34, 44, 45, 46, 48, 57
_OPEN, _BACKSLASH, _CLOSE = 91, 92, 93

ByteArray = npt.NDArray[np.uint8]
# (shape, bids, levels, then the integers in order)
Found = tuple[int, int, int, int, int, int, int, int]


@inner_kernel
def _byte(text: ByteArray, at: int) -> int:
    """One byte. Unsigned, or the compiler adds a test for places counted from the end."""
    return int(text[np.uintp(at)])


@inner_kernel
def _integer(text: ByteArray, at: int) -> tuple[int, int]:
    """(place after it, value); place -1 for what is not a plain JSON integer."""
    is_negative = _byte(text, at) == _MINUS
    if is_negative:
        at += 1
    first, value = at, 0
    while _ZERO <= _byte(text, at) <= _NINE:
        value = value * 10 + (_byte(text, at) - _ZERO)
        at += 1
    digits = at - first
    if (
        digits == 0
        or digits > _DIGITS
        or (_byte(text, first) == _ZERO and (digits > 1 or is_negative))
    ):
        return -1, 0
    return at, -value if is_negative else value


@inner_kernel
def _decimal(text: ByteArray, at: int) -> tuple[int, float]:
    """A quoted plain decimal; place -1 for anything else or what would not be exact."""
    if _byte(text, at) != _QUOTE:
        return -1, 0.0
    first = at + 1
    at = first
    value = 0
    while _ZERO <= _byte(text, at) <= _NINE:
        value = value * 10 + (_byte(text, at) - _ZERO)
        at += 1
    digits = at - first
    decimals = 0
    if digits == 0 or (_byte(text, first) == _ZERO and digits > 1):
        return -1, 0.0
    if _byte(text, at) == _POINT:
        at += 1
        point = at
        while _ZERO <= _byte(text, at) <= _NINE:
            value = value * 10 + (_byte(text, at) - _ZERO)
            at += 1
        decimals = at - point
        digits += decimals
        if decimals == 0:
            return -1, 0.0
    if _byte(text, at) != _QUOTE or digits > _DIGITS or value >= _EXACT:
        return -1, 0.0
    return at + 1, value / _POWERS[decimals]


@inner_kernel
def _plain(text: ByteArray, at: int, until: int) -> int:
    """Past printable ASCII up to `until`, a quote or anything odd."""
    while 32 <= _byte(text, at) < 127 and _byte(text, at) != until:
        if _byte(text, at) == _QUOTE or _byte(text, at) == _BACKSLASH:
            break
        at += 1
    return at


@inner_kernel
def _levels(
    text: ByteArray,
    at: int,
    more: int,
    units: FloatArray,
    ticks: IntArray,
    quantity: FloatArray,
    to: int,
) -> tuple[int, int]:
    """(place after the array, next free level); place -1 for anything odd."""
    scale, mantissa, factor = units[0], units[1], units[2]
    is_inverse = units[3] != 0.0
    if _byte(text, at) != _OPEN:
        return -1, to
    at += 1
    if _byte(text, at) == _CLOSE:
        return at + 1, to
    while True:
        if _byte(text, at) != _OPEN:
            return -1, to
        at, price = _decimal(text, at + 1)
        if at < 0 or _byte(text, at) != _COMMA or not MIN_VALUE < price < MAX_VALUE:
            return -1, to
        at, size = _decimal(text, at + 1)
        if at < 0 or size >= MAX_VALUE:
            return -1, to
        for _ in range(more):
            if _byte(text, at) != _COMMA or _byte(text, at + 1) != _QUOTE:
                return -1, to
            at = _plain(text, at + 2, _QUOTE)
            if _byte(text, at) != _QUOTE:
                return -1, to
            at += 1
        if _byte(text, at) != _CLOSE:
            return -1, to
        whole = np.rint(price * scale / mantissa)
        if whole >= MAX_TICKS:
            return -1, to
        ticks[to] = int(whole)
        quantity[to] = size * factor / price if is_inverse else size * factor
        to += 1
        at += 2
        if _byte(text, at - 1) == _CLOSE:
            return at, to
        if _byte(text, at - 1) != _COMMA:
            return -1, to


@checked_kernel
def _scan(
    text: ByteArray,
    size: int,
    shapes: ByteArray,
    units: FloatArray,
    ticks: IntArray,
    quantity: FloatArray,
    start: int,
) -> Found:
    """What was found of the first shape that fits; shape -1 when none does.

    text: uint8 with the message in its first `size` bytes. Levels go to `ticks` and `quantity`
    from `start`, bids first. A zero after the message stops every loop.
    """
    text[size] = 0
    kept = np.empty(INTEGERS, np.int64)
    shape, code_at = 0, 0
    while code_at < len(shapes):
        at, to, bids, more, found = 0, start, 0, 0, 0
        asks_first = False
        kept[:] = 0
        while at >= 0:
            code = shapes[code_at]
            code_at += 1
            if code > PASS_TWO:
                at = at + 1 if _byte(text, at) == code else -1
            elif code == END:
                if at != size:
                    break
                if asks_first:
                    _bids_first(ticks, quantity, start, to, bids)
                return shape, bids, to - start, kept[0], kept[1], kept[2], kept[3], kept[4]
            elif code == INTEGER:
                at, kept[found] = _integer(text, at)
                found += 1
            elif code == TEXT:
                at = _plain(text, at, shapes[code_at])
            elif code == PASS_TWO:
                more = 2
            else:
                first = to
                at, to = _levels(text, at, more, units, ticks, quantity, to)
                if code == BIDS:
                    bids, asks_first = to - first, first > start
        while shapes[code_at - 1] != END:
            code_at += 1
        shape += 1
    return -1, 0, 0, 0, 0, 0, 0, 0


@inner_kernel
def _bids_first(ticks: IntArray, quantity: FloatArray, start: int, end: int, bids: int) -> None:
    """Asks were read before bids: turn them round."""
    old_ticks, old_quantity = ticks[start:end].copy(), quantity[start:end].copy()
    split = end - start - bids
    ticks[start : start + bids] = old_ticks[split:]
    ticks[start + bids : end] = old_ticks[:split]
    quantity[start : start + bids] = old_quantity[split:]
    quantity[start + bids : end] = old_quantity[:split]


class _Symbol(msgspec.Struct, frozen=True, gc=False):
    """A symbol as messages name it, and its instrument's units for the kernel."""

    named: bytes
    instrument: Instrument
    units: FloatArray  # 10**decimals and mantissa of the tick, factor of sizes, is inverse


class DepthScanner:
    """One venue's depth messages. symbol_key: what stands before the symbol, once in a message.

    Holds a buffer and cuts levels from slabs: allocating for every message costs as much as
    reading it. No result depends on an earlier message.
    """

    def __init__(self, venue: str, symbol_key: bytes, shapes: Sequence[bytes]) -> None:
        self._prefix = f"{venue}:"
        self._symbol_key = symbol_key
        self._shapes = np.frombuffer(b"".join(s + b"\0" for s in shapes), np.uint8).copy()
        self._text = np.zeros(BUFFER + 1, np.uint8)
        self._bytes = self._text.data
        self._symbols: dict[bytes, _Symbol] = {}
        self._symbol: _Symbol | None = None  # of the message before, and where it stood
        self._place = self._free = 0
        self._run = _scan
        self._new_slab(SLAB)

    def scan(
        self, payload: bytes, instruments: Mapping[str, Instrument]
    ) -> tuple[Instrument, BookLevels, Found] | None:
        """The instrument, its levels and what else was found; None: let JSON decide."""
        symbol = self._symbol
        if symbol is None or not payload.startswith(symbol.named, self._place):
            symbol = self._find(payload, instruments)
            if symbol is None:
                return None
        of = symbol.instrument
        size = len(payload)
        if instruments.get(of.id) is not of or size > BUFFER:
            self._symbol = None
            return None
        if self._free + size > SLAB:  # a level takes more than a byte
            self._new_slab(max(SLAB, size))
        self._bytes[:size] = payload
        free, ticks, quantity = self._free, self._ticks, self._quantity
        found = self._run(self._text, size, self._shapes, symbol.units, ticks, quantity, free)
        if found[0] < 0:
            return None
        self._free = end = free + found[2]
        return of, BookLevels(ticks[free:end], quantity[free:end], found[1]), found

    def _find(self, payload: bytes, instruments: Mapping[str, Instrument]) -> _Symbol | None:
        key = self._symbol_key
        self._place = payload.find(key, 0, _HEAD)
        start = self._place + len(key)
        named = payload[self._place : payload.find(b'"', start) + 1]
        symbol = self._symbols.get(named)
        if symbol is None or instruments.get(symbol.instrument.id) is not symbol.instrument:
            name = named[len(key) : -1].decode("ascii", "replace")
            of = instruments.get(self._prefix + name)
            if self._place < 0 or of is None:
                return None
            symbol = self._symbols[named] = _Symbol(named, of, _units(of))
            if self._run is _scan:  # compiled when first needed
                arrays = self._shapes, symbol.units, self._ticks, self._quantity
                self._run = direct(_scan, self._text, 0, *arrays, 0)
        self._symbol = symbol
        return symbol

    def _new_slab(self, levels: int) -> None:
        self._ticks, self._quantity, self._free = np.empty(levels, np.int64), np.empty(levels), 0


def _units(of: Instrument) -> FloatArray:
    is_inverse = of.kind is ContractKind.INVERSE
    factor = of.quantity_factor / of.price_factor if is_inverse else of.quantity_factor
    return np.array([10.0**of.tick_decimals, of.tick_mantissa, factor, is_inverse])
