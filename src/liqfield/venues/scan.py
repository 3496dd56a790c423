"""Frequent messages straight from bytes to events, for the shapes a venue usually sends.

A shape is the message itself with field codes in place of values, and the event that it makes; what
matches no shape byte by byte is left to the typed JSON decoder, which gives the same result or the
error. So the scanner never judges. Equality with the JSON path is exact: a decimal of at most 18
digits and below 2**53 divided by a power of ten up to 10**18 is correctly rounded, and what follows
are the float operations of `decoding.levels` and `coins`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np

from liqfield.model.events import BookLevels, Event
from liqfield.model.instrument import Instrument
from liqfield.model.jit import address_of
from liqfield.model.sides import ContractKind
from liqfield.venues import scan_kernels as k

SLAB = 1 << 12  # levels allocated at once: small enough that freed ones are used again

_CODES = {
    "symbol": k.SYMBOL,
    "bids": k.BIDS,
    "asks": k.ASKS,
    "long_bids": k.LONG_BIDS,
    "long_asks": k.LONG_ASKS,
    "int": k.INT,
    "above_one": k.ABOVE_ONE,
    "ms": k.MILLIS,
    "digits": k.DIGITS,
    "text": k.TEXT,
    "word": k.WORD,
    "price": k.PRICE,
    "size": k.SIZE,
}
_MARK = re.compile(r"<\?|\?>|<\*|\*>|<(\w+)(?::([\w,]+))?>")
_IN_UNITS = re.compile("<(price|size|bids|asks|long_)")
Scan: TypeAlias = Callable[[bytes, int, Mapping[str, Instrument]], Sequence[Event] | None]


class Shape(msgspec.Struct, frozen=True):
    """A message as sent, with codes in place of values, and the event that it makes.

    <code:field> gives the event's field its value, <code> alone passes one; two fields of one value
    are written <code:first,second>. Codes: <int> a whole number, <above_one> one above 1, <ms> a
    time in milliseconds for a field in ns, <digits> a whole number as text, <text> plain characters
    up to the shape's next one, <symbol> those that name the instrument, <price> a quoted price in
    USD per base coin, <size> a quoted quantity in base coins at the price that the field's name
    goes with, <word> one of the words that `given` names for the field, each with what it means.
    <bids>, <asks> are arrays of ["price","size"], <long_bids>, <long_asks> of
    ["price","size","text","text"]. <?...?> may be missing, and gives no field. <*...*> may follow
    itself after a comma: one event each.
    """

    text: str
    event: type[msgspec.Struct]
    given: Mapping[str, Any] = {}


def load_scanner() -> None:
    """Load the compiled part, or compile it, before a message waits for it."""
    k.reader(np.zeros(k.WORDS, np.int64), None)


def quoted(words: Mapping[str, object]) -> dict[str, object]:
    """Words as they stand in a message."""
    return {f'"{word}"': means for word, means in words.items()}


class Scanner:
    """One venue's frequent messages.

    Cuts levels from slabs: allocating for every message costs as much as reading it. No result
    depends on an earlier message; the shape of the last one is only tried first.
    """

    def __init__(self, venue: str, shapes: Sequence[Shape], reader: Any = k.reader) -> None:
        assert shapes, "a scanner of nothing"
        self.shapes = shapes
        self._prefix = f"{venue}:"
        self._reader = reader
        self._known: dict[str, Instrument] = {}  # by symbol
        # What the plan names by address stays alive here.
        self._plan = np.zeros(k.WORDS, np.int64)
        self._kept: list[object] = []
        self._plan[[k.NOTHING, k.HELP]] = self._keep(None), self._keep(self._help)
        self._plan[k.LEVELS_TYPE] = self._keep(BookLevels)
        self._rooms = np.zeros(2 * k.SLOTS, np.int64), np.zeros(k.SLOTS)
        self._arguments = np.zeros(2 * k.MOST_ARGUMENTS, np.int64)
        self._plan[k.WHOLE : k.COPY] = *map(address_of, self._rooms), address_of(self._arguments)
        self._compile()
        self._new_table(4)
        self._new_slab(SLAB)
        self._new_copy(1 << 12)
        self.scan: Scan = self._first
        """The events of a message, from the payload, the time of receipt and the instruments that
        are known; None: let JSON decide."""

    def _first(
        self, payload: bytes, received_ns: int, instruments: Mapping[str, Instrument]
    ) -> Sequence[Event] | None:
        self.scan = self._reader(self._plan, self)  # compiled when first needed
        return self.scan(payload, received_ns, instruments)

    def _help(
        self, payload: bytes, received_ns: int, instruments: Mapping[str, Instrument]
    ) -> Sequence[Event] | None:
        """The message again, after making room or learning its symbol."""
        why = self._plan[k.WHY]
        if why == k.FULL:
            self._new_slab(max(SLAB, len(payload)))  # a level takes more than a byte
        elif why == k.LONG:
            self._new_copy(2 * (len(payload) + k.SPARE))
        elif not self._learn(payload[slice(*self._plan[k.FIRST : k.NOTHING])], instruments):
            return None
        return self.scan(payload, received_ns, instruments)

    def _learn(self, name: bytes, instruments: Mapping[str, Instrument]) -> bool:
        """Put down what a symbol means now; False if that is nothing."""
        symbol = name.decode()
        key = self._prefix + symbol
        of = instruments.get(key)
        if of is None or of.id != key or not 0 < len(symbol) <= k.LONGEST:
            return False
        self._known[symbol] = of
        if 2 * len(self._known) > len(self._names):
            self._new_table(2 * len(self._names))
        else:
            self._put(symbol, of)
        return True

    def _compile(self) -> None:
        """Write the shapes and what they make down for the kernel."""
        texts, starts = b"", []
        self._recipes = np.zeros((len(self.shapes), k.RECIPE), np.int64)
        for number, shape in enumerate(self.shapes):
            starts.append(len(texts))
            slots: dict[str, tuple[int, int]] = {}
            texts += _compiled(shape, number, slots)
            self._recipes[number] = self._recipe(shape, slots)
        self._texts, self._starts = np.frombuffer(texts, np.uint8).copy(), np.array(starts)
        self._plan[k.SHAPES : k.NAMES] = (
            *(address_of(self._starts), len(starts), 0),
            *(address_of(self._texts), len(texts)),
            *(address_of(self._recipes), self._recipes.size),
        )

    def _recipe(self, shape: Shape, slots: Mapping[str, tuple[int, int]]) -> list[int]:
        """How the event is made of what was read. slots: code and slot by field."""
        words: list[int] = []
        for field in msgspec.structs.fields(shape.event):
            if field.name in slots:
                operation = self._read_argument(shape, field.name, slots)
            elif field.name == "instrument_id":
                operation = k.OF_SYMBOL, k.ID, 0
            elif field.name == "received_ns":
                operation = k.RECEIVED, 0, 0
            elif field.type is BookLevels:
                operation = k.LEVELS, 0, 0
            elif field.name in shape.given:
                operation = k.OBJECT, self._keep(shape.given[field.name]), 0
            else:
                assert field.default is not msgspec.NODEFAULT, f"{shape.text} lacks {field.name}"
                operation = k.OBJECT, self._keep(field.default), 0
            words += operation
        head = [self._keep(shape.event), len(words) // 3]
        spare = k.RECIPE - len(head) - len(words)
        assert spare >= 0, f"{shape.event} has too many fields"
        return head + words + [0] * spare

    def _read_argument(
        self, shape: Shape, name: str, slots: Mapping[str, tuple[int, int]]
    ) -> tuple[int, int, int]:
        code, slot = slots[name]
        if code == k.PRICE:
            return k.REAL_NUMBER, slot, 0
        if code == k.SIZE:
            return k.COINS, slot, slots[name.replace("quantity", "price")][1]
        if code in (k.TEXT, k.DIGITS):
            return k.SPAN, slot, 0
        if code != k.WORD:
            return k.WHOLE_NUMBER, slot, 0
        meant = np.array([self._keep(value) for value in shape.given[name].values()])
        self._kept.append(meant)
        return k.CHOICE, slot, address_of(meant)

    def _keep(self, value: object) -> int:
        self._kept.append(value)
        return id(value)

    def _new_table(self, rows: int) -> None:
        self._names = np.zeros((rows, k.NAME), np.uint64)
        self._numbers = np.zeros((rows, k.UNITS))
        self._objects = np.zeros((rows, k.OBJECTS_EACH), np.int64)
        tables = map(address_of, (self._names, self._numbers, self._objects))
        self._plan[k.NAMES : k.TICKS] = *tables, rows
        for symbol, of in self._known.items():
            self._put(symbol, of)

    def _put(self, symbol: str, of: Instrument) -> None:
        words = np.frombuffer(symbol.encode().ljust(k.LONGEST, b"\0"), "<u8").tolist()
        name = [len(symbol), *words]
        hashed = 0
        for word in words[: -(-len(symbol) // 8)]:
            hashed = (hashed ^ word) * k.SPREAD % (1 << 64)
        row = (hashed >> 32) % len(self._names)
        while self._names[row, 0] and self._names[row].tolist() != name:
            row = (row + 1) % len(self._names)
        self._names[row] = name
        self._numbers[row] = _units(of)
        self._objects[row] = id(of.id), id(of)

    def _new_copy(self, size: int) -> None:
        self._copy = np.zeros(size, np.uint8)
        self._plan[k.COPY :] = address_of(self._copy), size

    def _new_slab(self, levels: int) -> None:
        self._ticks, self._quantity = np.empty(levels, np.int64), np.empty(levels)
        self._plan[k.TICKS : k.WHOLE] = (
            *(address_of(self._ticks), address_of(self._quantity), levels, 0),
            *(id(self._ticks), id(self._quantity)),
        )


def _compiled(shape: Shape, number: int, slots: dict[str, tuple[int, int]]) -> bytes:
    """The shape as codes, with what makes its event at the end of the part that repeats, or of all.
    Fills slots with the code and the slot of every field."""
    symbol_at = shape.text.index("<symbol>")  # its units are those of what follows
    assert all(mark.start() > symbol_at for mark in _IN_UNITS.finditer(shape.text)), shape.text
    out, literal_at, maybe_at = b"", 0, 0
    make = bytes([k.MAKE, number])
    for mark in _MARK.finditer(shape.text):
        out += _literal(shape.text[literal_at : mark.start()])
        literal_at = mark.end()
        code = _CODES.get(mark[1], k.END)
        if mark[0] == "<?":
            maybe_at = len(out)
            out += bytes([k.MAYBE, 0])
        elif mark[0] == "?>":
            out = out[: maybe_at + 1] + bytes([len(out) - maybe_at - 2]) + out[maybe_at + 2 :]
        elif mark[0] in ("<*", "*>"):
            out += (make if mark[0] == "*>" else b"") + bytes([k.EACH])
        else:
            out += bytes([code])
        if code >= k.INT:
            slot = 1 + len({at for _, at in slots.values()}) if mark[2] else 0
            assert slot < k.SLOTS, f"too many values: {shape.text}"
            if mark[2]:
                slots.update(dict.fromkeys(mark[2].split(","), (code, slot)))
            out += bytes([slot])
        if code in (k.SYMBOL, k.TEXT):
            assert shape.text[literal_at] != "<", f"what ends <{mark[1]}> in {shape.text}?"
            out += shape.text[literal_at].encode()  # what ends it
        elif code == k.WORD:
            words = b"".join(bytes([len(word)]) + word.encode() for word in shape.given[mark[2]])
            out += bytes([len(words)]) + words
    out += _literal(shape.text[literal_at:])
    return out + (b"" if "<*" in shape.text else make) + bytes([k.END, k.END])


def _literal(text: str) -> bytes:
    data = text.encode()
    parts = [data[at : at + 248] for at in range(0, len(data), 248)]
    padded = [bytes([k.LITERAL, len(part)]) + part.ljust(-(-len(part) // 8) * 8) for part in parts]
    return b"".join(padded)


def _units(of: Instrument) -> tuple[float, ...]:
    is_inverse = of.kind is ContractKind.INVERSE
    factor = of.quantity_factor / of.price_factor if is_inverse else of.quantity_factor
    of_level = 10.0**of.tick_decimals, of.tick_mantissa, factor, is_inverse
    return *of_level, of.price_factor, of.quantity_factor
