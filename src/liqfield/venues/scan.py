"""Frequent messages straight from bytes to events, for the shapes a venue usually sends.

A shape is the message itself with field codes in place of values; what matches no shape byte by
byte is left to the typed JSON decoder, which gives the same result or the error. So the scanner
never judges: any odd number, space, escape, key or order is a None. Equality with the JSON path is
exact: a decimal of at most 18 digits and below 2**53 divided by a power of ten up to 10**18 is
correctly rounded, and what follows are the float operations of `decoding.levels` and `coins`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from liqfield.model.events import BookLevels, Event, FloatArray, Frame, IntArray
from liqfield.model.instrument import Instrument
from liqfield.model.jit import (
    address_of,
    bytes_at,
    direct,
    floats_at,
    inner_kernel,
    ints_at,
    kernel,
)
from liqfield.model.sides import ContractKind
from liqfield.venues.decoding import MAX_TICKS, MAX_VALUE, MIN_VALUE

# Field codes of shapes, written <keep> and so on: no JSON message contains these bytes.
END, SYMBOL, KEEP, WHOLE, TEXT, TRUTH, SELLS, PRICE, SIZE = range(9)
BIDS, ASKS, LONG_BIDS, LONG_ASKS, MAYBE = range(9, 14)
"""<whole> passes a whole number, <keep> keeps it, <truth> keeps true or false as 1 or 0, <sells>
"SELL" or "BUY". <text> passes plain characters up to the shape's next one, <symbol> those that name
the instrument. <price> keeps a quoted price in USD per base coin, <size> a quoted quantity in base
coins at the price before it. <bids>, <asks> are arrays of ["price","size"], <long_bids>,
<long_asks> of ["price","size","text","text"]. <?...?> may be missing, and keeps nothing. END closes
a shape."""
_CODES = {
    b"<symbol>": SYMBOL,
    b"<keep>": KEEP,
    b"<whole>": WHOLE,
    b"<text>": TEXT,
    b"<truth>": TRUTH,
    b"<sells>": SELLS,
    b"<price>": PRICE,
    b"<size>": SIZE,
    b"<bids>": BIDS,
    b"<asks>": ASKS,
    b"<long_bids>": LONG_BIDS,
    b"<long_asks>": LONG_ASKS,
}

_LONGEST, _HASHED = 47, 0xFFFF  # bytes of a symbol, bits of its hash
SLAB = 1 << 12  # levels allocated at once: small enough that freed ones are used again
_EXACT = 1 << 53
_DIGITS = 18
_POWERS = np.array([float(10**k) for k in range(_DIGITS + 1)])
# Why nothing was found: no shape fits; the slab has no room for the levels; an unknown symbol.
_NONE, _FULL, _STRANGER = -1, -2, -3
# Words of a scanner's plan: the shapes, and the one that is tried first; the table of symbols (an
# open-addressed one: names with their length before them, UNITS numbers each); the slab.
SHAPES, SHAPES_SIZE, LIKELY, NAMES, NUMBERS, ROWS, TICKS, COINS, ROOM, FREE, WORDS = range(11)
SCALE, MANTISSA, FACTOR, IS_INVERSE, PRICE_FACTOR, QUANTITY_FACTOR, UNITS = range(7)

_QUOTE, _COMMA, _MINUS, _POINT, _ZERO, _NINE = 34, 44, 45, 46, 48, 57
_OPEN, _BACKSLASH, _CLOSE = 91, 92, 93

_TRUE, _FALSE, _SELL, _BUY = (
    np.frombuffer(word, np.uint8) for word in (b"true", b"false", b'"SELL"', b'"BUY"')
)

ByteArray = npt.NDArray[np.uint8]
Found: TypeAlias = tuple[
    int, int, int, int, int, int, int, int, int, float, float, float, float
]  # shape, symbol, first level, after the last one, bids, the last four kept, prices and sizes
Build: TypeAlias = Callable[[Instrument, int, BookLevels, Found], Sequence[Event]]
"""From the instrument, the time of receipt, the levels and what else was found."""
NO_LEVELS = BookLevels(np.empty(0, np.int64), np.empty(0), 0)
_NOBODY = Instrument(id="", venue="", symbol="", base="", quote="", settle="")


def _compiled(shape: str) -> bytes:
    """The length of all, the bytes and codes, END."""
    out = shape.encode()
    for word, code in _CODES.items():
        out = out.replace(word, bytes([code]))
    out = re.sub(rb"<\?(.*?)\?>", lambda m: bytes([MAYBE, len(m[1])]) + m[1], out)
    return bytes([len(out) + 2]) + out + bytes([END])


@inner_kernel
def _byte(text: bytes, at: int) -> int:
    """One byte. Unsigned, or the compiler adds a test for places counted from the end."""
    return int(text[np.uintp(at)])


@inner_kernel
def _integer(text: bytes, at: int) -> tuple[int, int]:
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
def _decimal(text: bytes, at: int) -> tuple[int, float]:
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
def _plain(text: bytes, at: int, until: int) -> int:
    """Past printable ASCII up to `until`, a quote or anything odd."""
    while 32 <= _byte(text, at) < 127 and _byte(text, at) != until:
        if _byte(text, at) == _QUOTE or _byte(text, at) == _BACKSLASH:
            break
        at += 1
    return at


@inner_kernel
def _after(text: bytes, at: int, word: ByteArray) -> int:
    """The place after a word, or -1."""
    for k in range(len(word)):
        if _byte(text, at + k) != word[k]:
            return -1
    return at + len(word)


@inner_kernel
def _either(text: bytes, at: int, yes: ByteArray, no: ByteArray) -> tuple[int, int]:
    """(place after one of two words, 1 or 0)."""
    end = _after(text, at, yes)
    return (end, 1) if end >= 0 else (_after(text, at, no), 0)


@inner_kernel
def _levels(
    text: bytes,
    at: int,
    more: int,
    units: FloatArray,
    ticks: IntArray,
    quantity: FloatArray,
    to: int,
) -> tuple[int, int]:
    """(place after the array, next free level); place -1 for anything odd."""
    scale, mantissa, factor = units[SCALE], units[MANTISSA], units[FACTOR]
    is_inverse = units[IS_INVERSE] != 0.0
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
        if to == len(ticks):
            return _FULL, to
        ticks[to] = int(whole)
        quantity[to] = size * factor / price if is_inverse else size * factor
        to += 1
        at += 2
        if _byte(text, at - 1) == _CLOSE:
            return at, to
        if _byte(text, at - 1) != _COMMA:
            return -1, to


@inner_kernel
def _row(text: bytes, at: int, end: int, names: ByteArray) -> int:
    """Where a symbol stands in the table, or -1."""
    size = end - at
    if size > _LONGEST:
        return -1
    rows = len(names) // (_LONGEST + 1)
    row = 0
    for k in range(at, end):
        row = (row * 31 + _byte(text, k)) & _HASHED
    row &= rows - 1
    while True:
        name = row * (_LONGEST + 1)
        length = int(names[name])
        if length == 0:
            return -1
        if length == size:
            k = 0
            while k < size and names[name + 1 + k] == _byte(text, at + k):
                k += 1
            if k == size:
                return row
        row = (row + 1) & (rows - 1)


@kernel
def _scan(text: bytes, plan: IntArray) -> Found:
    """What was found of a shape that fits. The zero that stands after every bytes object stops
    every loop. Without levels bids are -1."""
    shapes = bytes_at(plan[SHAPES], plan[SHAPES_SIZE])
    names = bytes_at(plan[NAMES], plan[ROWS] * (_LONGEST + 1))
    numbers = floats_at(plan[NUMBERS], plan[ROWS] * UNITS)
    ticks, quantity = ints_at(plan[TICKS], plan[ROOM]), floats_at(plan[COINS], plan[ROOM])
    start, likely = plan[FREE], plan[LIKELY]
    units = numbers[:UNITS]
    shape = likely
    while True:
        code_at = shape + 1
        at, to, bids = 0, start, -1
        asks_first = False
        back_at, back_code = 0, 0
        row, a, b, c, d = 0, 0, 0, 0, 0
        usd, coins, other_usd, other_coins = 0.0, 0.0, 0.0, 0.0
        while True:
            code = shapes[code_at]
            while code > MAYBE and _byte(text, at) == code:
                at += 1
                code_at += 1
                code = shapes[code_at]
            code_at += 1
            if code > MAYBE:
                at = _NONE
            elif code == KEEP:
                a, b, c = b, c, d
                at, d = _integer(text, at)
            elif code == WHOLE:
                at, _ = _integer(text, at)
            elif code == TEXT:
                at = _plain(text, at, shapes[code_at])
            elif code == SYMBOL:
                end = _plain(text, at, shapes[code_at])
                row = _row(text, at, end, names)
                if row < 0:
                    return _STRANGER, 0, at, end, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0
                at = end
                units = numbers[row * UNITS : (row + 1) * UNITS]
            elif code == PRICE:
                usd, coins = other_usd, other_coins
                at, price = _decimal(text, at)
                other_usd = price * units[PRICE_FACTOR]
                if not (MIN_VALUE < price < MAX_VALUE and MIN_VALUE < other_usd < MAX_VALUE):
                    at = _NONE
            elif code == SIZE:
                at, stated = _decimal(text, at)
                if stated >= MAX_VALUE:
                    at = _NONE
                other_coins = stated * units[QUANTITY_FACTOR]
                if units[IS_INVERSE] != 0.0:
                    other_coins /= other_usd
            elif code == TRUTH:
                a, b, c = b, c, d
                at, d = _either(text, at, _TRUE, _FALSE)
            elif code == SELLS:
                a, b, c = b, c, d
                at, d = _either(text, at, _SELL, _BUY)
            elif code == MAYBE:
                back_at, back_code = at, code_at + 1 + int(shapes[code_at])
                code_at += 1
            elif code == END:
                if at == len(text):
                    if asks_first:
                        _bids_first(ticks, quantity, start, to, bids)
                    plan[FREE], plan[LIKELY] = to, shape
                    return (
                        *(shape, row, start, to, bids, a, b, c, d),
                        *(usd, coins, other_usd, other_coins),
                    )
                at = _NONE
            else:
                first = to
                more = 2 if code >= LONG_BIDS else 0
                at, to = _levels(text, at, more, units, ticks, quantity, to)
                if code in (BIDS, LONG_BIDS):
                    bids, asks_first = to - first, first > start
            if at < 0:
                if at == _FULL:
                    return _FULL, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0
                if back_code == 0:
                    break
                at, code_at, back_code = back_at, back_code, 0
        shape += int(shapes[shape])
        if shape == len(shapes):
            shape = 0
        if shape == likely:
            return _NONE, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0


@inner_kernel
def _bids_first(ticks: IntArray, quantity: FloatArray, start: int, end: int, bids: int) -> None:
    """Asks were read before bids: turn them round."""
    old_ticks, old_quantity = ticks[start:end].copy(), quantity[start:end].copy()
    split = end - start - bids
    ticks[start : start + bids] = old_ticks[split:]
    ticks[start + bids : end] = old_ticks[:split]
    quantity[start : start + bids] = old_quantity[split:]
    quantity[start + bids : end] = old_quantity[:split]


class Scanner:
    """One venue's frequent messages: shapes, and what builds the events of each.

    Cuts levels from slabs: allocating for every message costs as much as reading it. No result
    depends on an earlier message; the shape of the last one is only tried first.
    """

    def __init__(self, venue: str, shapes: Mapping[str, Build]) -> None:
        self.shapes = shapes
        self._prefix = f"{venue}:"
        self._builds: dict[int, Build] = {}
        joined = b""
        for shape, build in shapes.items():
            self._builds[len(joined)] = build
            joined += _compiled(shape)
        self._shapes = np.frombuffer(joined, np.uint8).copy()
        self._plan = np.zeros(WORDS, np.int64)
        self._plan[:LIKELY] = address_of(self._shapes), len(joined)
        self._run = _scan
        self._known: dict[str, Instrument] = {}  # by symbol
        self._new_table(4)
        self._new_slab(SLAB)

    def scan(self, frame: Frame, instruments: Mapping[str, Instrument]) -> Sequence[Event] | None:
        """The events of a message; None: let JSON decide."""
        found = self._run(frame.payload, self._plan)
        shape = found[0]
        if shape >= 0:
            of = self._instruments[found[1]]
            if instruments.get(of.id) is of:
                made = NO_LEVELS
                if found[4] >= 0:
                    made = BookLevels(self._ticks, self._quantity, found[4], found[2], found[3])
                return self._builds[shape](of, frame.received_ns, made, found)
            symbol = of.id.removeprefix(self._prefix)
        elif shape == _STRANGER:
            symbol = frame.payload[found[2] : found[3]].decode()
        elif shape == _FULL:
            self._new_slab(max(SLAB, len(frame.payload)))  # a level takes more than a byte
            return self.scan(frame, instruments)
        else:
            return None
        return self.scan(frame, instruments) if self._learn(symbol, instruments) else None

    def _learn(self, symbol: str, instruments: Mapping[str, Instrument]) -> bool:
        """Put down what a symbol means now; False if that is nothing."""
        key = self._prefix + symbol
        of = instruments.get(key)
        if of is None or of.id != key or not 0 < len(symbol) <= _LONGEST:
            return False
        self._run = direct(_scan, b"", self._plan)  # compiled when first needed
        self._known[symbol] = of
        if 2 * len(self._known) > len(self._instruments):
            self._new_table(2 * len(self._instruments))
        else:
            self._put(symbol, of)
        return True

    def _new_table(self, rows: int) -> None:
        self._names = np.zeros((rows, _LONGEST + 1), np.uint8)
        self._numbers = np.zeros((rows, UNITS))
        self._instruments: list[Instrument] = [_NOBODY] * rows
        self._plan[NAMES:TICKS] = address_of(self._names), address_of(self._numbers), rows
        for symbol, of in self._known.items():
            self._put(symbol, of)

    def _put(self, symbol: str, of: Instrument) -> None:
        name = np.frombuffer(symbol.encode(), np.uint8)
        row = functools.reduce(
            lambda hashed, byte: (hashed * 31 + byte) & _HASHED, name.tolist(), 0
        )
        row %= len(self._names)
        while self._instruments[row].id not in ("", of.id):
            row = (row + 1) % len(self._names)
        self._names[row, 0] = len(name)
        self._names[row, 1 : len(name) + 1] = name
        self._numbers[row] = _units(of)
        self._instruments[row] = of

    def _new_slab(self, levels: int) -> None:
        self._ticks, self._quantity = np.empty(levels, np.int64), np.empty(levels)
        self._plan[TICKS:] = address_of(self._ticks), address_of(self._quantity), levels, 0


def _units(of: Instrument) -> tuple[float, ...]:
    is_inverse = of.kind is ContractKind.INVERSE
    factor = of.quantity_factor / of.price_factor if is_inverse else of.quantity_factor
    of_level = 10.0**of.tick_decimals, of.tick_mantissa, factor, is_inverse
    return *of_level, of.price_factor, of.quantity_factor
