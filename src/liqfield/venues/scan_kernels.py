"""The compiled part of the scanner: a message against shapes, and the events of the one that fits.

What a shape is, and how a plan is laid out: scan.py, which writes both. A kernel never judges: any
odd number, space, escape, key or order is no fit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from liqfield.model.durations import MS
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import (
    bytes_at,
    eight_at,
    floats_at,
    inlined,
    inner_kernel,
    ints_at,
    trailing_zeros,
    words_at,
)
from liqfield.model.native import (
    append,
    bad_argument,
    bytes_size,
    bytes_start,
    call,
    copy_bytes,
    drop,
    fill_list,
    forget_error,
    get_item,
    make_float,
    make_int,
    make_list,
    make_text,
    native,
    take,
    words_of,
)
from liqfield.venues.decoding import MAX_TICKS, MAX_VALUE, MIN_VALUE

ByteArray = npt.NDArray[np.uint8]
WordArray = npt.NDArray[np.uint64]

# Codes of shapes, and what follows them. LITERAL: a length, and the bytes in words of eight.
# SYMBOL: the byte that ends it. MAYBE: how many bytes of the shape to pass over. MAKE: a recipe.
# Those from INT on: a slot; then TEXT the byte that ends it, WORD the words. The others nothing.
END, LITERAL, SYMBOL, BIDS, ASKS, LONG_BIDS, LONG_ASKS, MAYBE, EACH, MAKE = range(10)
INT, ABOVE_ONE, MILLIS, DIGITS, TEXT, WORD, PRICE, SIZE = range(10, 18)

# What an argument of an event is made of, with two operands: an object; one of the instrument's
# objects; the time of receipt; numbers from their slots; one of some objects; text; levels.
OBJECT, OF_SYMBOL, RECEIVED, WHOLE_NUMBER, REAL_NUMBER, COINS, CHOICE, SPAN, LEVELS = range(9)
MOST_ARGUMENTS = 10
EVENT, ARGUMENTS, OPERATIONS = range(3)
RECIPE = OPERATIONS + 3 * MOST_ARGUMENTS  # words: the type, how many arguments, three words each

# Words of a plan: why there are no events, and the symbol that was not known; objects; where shapes
# begin, how many there are, the one that is tried first, their bytes, their recipes; the symbols,
# an open-addressed table of NAME words, UNITS numbers and OBJECTS_EACH objects; the slab of levels;
# room for the values of a message, for arguments and for a copy of the message.
WHY, FIRST, LAST, NOTHING, HELP, LEVELS_TYPE = range(6)
SHAPES, SHAPE_COUNT, LIKELY, TEXTS, TEXTS_SIZE, RECIPES, RECIPES_SIZE = range(6, 13)
NAMES, NUMBERS, OBJECTS, ROWS = range(13, 17)
TICKS, QUANTITY, ROOM, FREE, TICKS_ARRAY, QUANTITY_ARRAY = range(17, 23)
WHOLE, REAL, ROOM_OF_ARGUMENTS, COPY, ROOM_OF_COPY, WORDS = range(23, 29)
SCALE, MANTISSA, FACTOR, IS_INVERSE, PRICE_FACTOR, QUANTITY_FACTOR, UNITS = range(7)
ID, INSTRUMENT, OBJECTS_EACH = range(3)
# No shape fits; the slab has no room for the levels, the copy none for the message; a symbol that
# is not known as it stands.
NONE, FULL, LONG, STRANGER = -1, -2, -3, -4

LONGEST, NAME = 48, 7  # bytes of a symbol; words of a name: its length, its bytes
SPREAD = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio
SLOTS = 16  # values of a message; slot 0 is for those that nobody asks for
SPARE = 64  # zero bytes after the copy of a message: they end every loop
_EXACT = 1 << 53
_DIGITS = 18
_POWERS = np.array([float(10**k) for k in range(_DIGITS + 1)])
_TENS = np.array([10**k for k in range(9)])
_LATEST = (1 << 62) // MS  # ms that are ns in a word

_QUOTE, _COMMA, _MINUS, _POINT, _ZERO, _NINE = 34, 44, 45, 46, 48, 57
_OPEN, _BACKSLASH, _CLOSE = 91, 92, 93

# Eight bytes at once.
_ONES, _TOPS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_ZEROS, _BEYOND_NINE = np.uint64(0x3030303030303030), np.uint64(0x7676767676767676)
_QUOTES, _BACKSLASHES = np.uint64(0x2222222222222222), np.uint64(0x5C5C5C5C5C5C5C5C)
_DELETES, _FROM_SPACE = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0xE0E0E0E0E0E0E0E0)
_BY_TEN, _PAIRS, _EIGHT = np.uint64(2561), np.uint64(0x00FF00FF00FF00FF), np.uint64(8)
_BY_HUNDRED, _FOURS = np.uint64(6553601), np.uint64(0x0000FFFF0000FFFF)
_BY_MYRIAD = np.uint64(42949672960001)
_ONE, _SIXTEEN, _HALF, _SPREAD = np.uint64(1), np.uint64(16), np.uint64(32), np.uint64(SPREAD)


# ---- values --------------------------------------------------------------------------------------


@inlined
def _byte(text: ByteArray, at: int) -> int:
    """One byte. Unsigned, or the compiler adds a test for places counted from the end."""
    return int(text[np.uintp(at)])


@inlined
def _eight(text: ByteArray, at: int) -> np.uint64:
    """Eight bytes, the first one lowest."""
    return eight_at(int(np.intp(text.ctypes.data)) + at)


@inlined
def _digits(text: ByteArray, at: int) -> tuple[int, int]:
    """How many of eight bytes are digits, up to the first other one, and their number."""
    digits = _eight(text, at) ^ _ZEROS
    # A carry only reaches bytes after one that is none.
    count = trailing_zeros((digits | digits + _BEYOND_NINE) & _TOPS) >> 3
    if count == 0:
        return 0, 0
    digits <<= np.uint64(64 - 8 * count)  # those before are zeros now
    digits = digits * _BY_TEN >> _EIGHT & _PAIRS
    digits = digits * _BY_HUNDRED >> _SIXTEEN & _FOURS
    return count, int(np.int64(digits * _BY_MYRIAD >> _HALF))


@inlined
def _whole(text: ByteArray, at: int, value: int) -> tuple[int, int]:
    """(place after the digits, value with the digits after it)."""
    count = 8
    while count == 8:
        count, more = _digits(text, at)
        value = value * _TENS[np.uintp(count)] + more
        at += count
    return at, value


@inlined
def _integer(text: ByteArray, at: int) -> tuple[int, int]:
    """(place after it, value); place -1 for what is not a plain JSON integer."""
    is_negative = _byte(text, at) == _MINUS
    if is_negative:
        at += 1
    first = at
    at, value = _whole(text, at, 0)
    digits = at - first
    if (
        digits == 0
        or digits > _DIGITS
        or (_byte(text, first) == _ZERO and (digits > 1 or is_negative))
    ):
        return -1, 0
    return at, -value if is_negative else value


@inlined
def _decimal(text: ByteArray, at: int) -> tuple[int, float]:
    """A quoted plain decimal; place -1 for anything else or what would not be exact.

    Digit by digit: the processor guesses where a short number ends and reads the next meanwhile,
    which is faster than to wait for where eight digits at once say that it ends.
    """
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
    return at + 1, value / _POWERS[np.uintp(decimals)]


@inlined
def _none(word: np.uint64) -> np.uint64:
    """The top bit of the first byte that is zero, and perhaps of some after it."""
    return word - _ONES & ~word & _TOPS


@inlined
def _plain(text: ByteArray, at: int, until: int) -> int:
    """Past printable ASCII up to `until`, a quote or anything odd."""
    ends = np.uint64(until) * _ONES
    while True:
        word = _eight(text, at)
        odd = _none(word ^ ends) | _none(word ^ _QUOTES) | _none(word ^ _BACKSLASHES)
        odd |= _none(word ^ _DELETES) | _none(word & _FROM_SPACE) | word & _TOPS
        if odd != 0:
            return at + (trailing_zeros(odd) >> 3)
        at += 8


@inlined
def _literal(text: ByteArray, at: int, shapes: ByteArray, literal_at: int) -> int:
    """The place after the bytes that the shape wants, or -1."""
    left = int(shapes[np.uintp(literal_at)])
    literal_at += 1
    while left > 8:
        if _eight(text, at) != _eight(shapes, literal_at):
            return -1
        at, literal_at, left = at + 8, literal_at + 8, left - 8
    differs = (_eight(text, at) ^ _eight(shapes, literal_at)) << np.uint64(64 - 8 * left)
    return -1 if differs != 0 else at + left


@inlined
def _word(text: ByteArray, at: int, shapes: ByteArray, words_at: int) -> tuple[int, int]:
    """(place after it, which of the words it is). The words: bytes of all, then length and bytes
    of each."""
    end = words_at + 1 + int(shapes[words_at])
    words_at += 1
    which = 0
    while words_at < end:
        size = int(shapes[words_at])
        k = 0
        while k < size and _byte(text, at + k) == shapes[words_at + 1 + k]:
            k += 1
        if k == size:
            return at + size, which
        words_at += 1 + size
        which += 1
    return -1, 0


@inlined
def _value(
    code: int,
    text: ByteArray,
    at: int,
    shapes: ByteArray,
    code_at: int,
    units: FloatArray,
    whole: IntArray,
    real: FloatArray,
) -> int:
    """Put one value into its slot; the place after it, -1 if it is odd. code_at: of the slot."""
    slot = shapes[np.uintp(code_at)]
    first = at
    if code >= PRICE:
        at, number = _decimal(text, at)
        real[slot] = number
        if code == SIZE:
            return at if number < MAX_VALUE else -1
        usd = real[slot] = number * units[PRICE_FACTOR]
        return at if MIN_VALUE < number < MAX_VALUE and MIN_VALUE < usd < MAX_VALUE else -1
    if code == WORD:
        at, whole[slot] = _word(text, at, shapes, code_at + 1)
        return at
    if code == TEXT:
        at = _plain(text, at, shapes[np.uintp(code_at + 1)])
    else:
        at, whole[slot] = _integer(text, at)
    if code in (TEXT, DIGITS):
        whole[slot], whole[slot + SLOTS] = first, at
    elif code == ABOVE_ONE:
        return at if whole[slot] > 1 else -1
    elif code == MILLIS:
        if not 0 < whole[slot] < _LATEST:
            return -1
        whole[slot] *= MS
    return at


@inlined
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
        ticked = np.rint(price * scale / mantissa)
        if ticked >= MAX_TICKS:
            return -1, to
        if to == len(ticks):
            return FULL, to
        ticks[np.uintp(to)] = int(ticked)
        quantity[np.uintp(to)] = size * factor / price if is_inverse else size * factor
        to += 1
        at += 2
        if _byte(text, at - 1) == _CLOSE:
            return at, to
        if _byte(text, at - 1) != _COMMA:
            return -1, to


@inner_kernel
def _bids_first(ticks: IntArray, quantity: FloatArray, start: int, end: int, bids: int) -> None:
    """Asks were read before bids: turn them round."""
    old_ticks, old_quantity = ticks[start:end].copy(), quantity[start:end].copy()
    split = end - start - bids
    ticks[start : start + bids] = old_ticks[split:]
    ticks[start + bids : end] = old_ticks[:split]
    quantity[start : start + bids] = old_quantity[split:]
    quantity[start + bids : end] = old_quantity[:split]


@inlined
def _part(text: ByteArray, at: int, end: int) -> np.uint64:
    """Up to eight bytes of a symbol that ends there."""
    word = _eight(text, at)
    return word if end - at >= 8 else word & (_ONE << np.uint64(8 * (end - at))) - _ONE


@inlined
def _row(text: ByteArray, at: int, end: int, names: WordArray, rows: int) -> int:
    """Where a symbol stands in the table, or -1."""
    size = end - at
    if size > LONGEST or size == 0:
        return -1
    hashed = np.uint64(0)
    for begin in range(at, end, 8):
        hashed = (hashed ^ _part(text, begin, end)) * _SPREAD
    row = np.int64(hashed >> _HALF) & rows - 1
    while True:
        name = np.uintp(row * NAME)
        if names[name] == size:
            word = name
            begin = at
            while begin < end and names[word + np.uintp(1)] == _part(text, begin, end):
                begin, word = begin + 8, word + np.uintp(1)
            if begin >= end:
                return int(row)
        elif names[name] == 0:
            return -1
        row = (row + 1) & (rows - 1)


# ---- objects -------------------------------------------------------------------------------------


@inlined
def _is_known(known: int, objects: IntArray) -> bool:
    """Whether the mapping has this very instrument under its id."""
    of = get_item(known, objects[ID])
    if of == 0:
        forget_error()
        return False
    drop(of)
    return bool(of == objects[INSTRUMENT])


@inlined
def _make_levels(plan: IntArray, start: int, to: int, bids: int) -> int:
    """BookLevels of a part of the slab; 0 on failure."""
    place = plan[ROOM_OF_ARGUMENTS] + 8 * MOST_ARGUMENTS
    arguments = ints_at(place, 5)
    arguments[0], arguments[1] = plan[TICKS_ARRAY], plan[QUANTITY_ARRAY]
    made = 0
    arguments[2], arguments[3], arguments[4] = make_int(bids), make_int(start), make_int(to)
    if arguments[2] != 0 and arguments[3] != 0 and arguments[4] != 0:
        made = call(plan[LEVELS_TYPE], place, 5, 0)
    for k in range(2, 5):
        if arguments[k] != 0:
            drop(arguments[k])
    return made


@inlined
def _argument(
    operation: IntArray,
    text: int,
    whole: IntArray,
    real: FloatArray,
    units: FloatArray,
) -> int:
    """A new object of values that were read."""
    of, first, second = operation[0], operation[1], operation[2]
    if of == WHOLE_NUMBER:
        return int(make_int(whole[first]))
    if of == REAL_NUMBER:
        return int(make_float(real[first]))
    if of == SPAN:
        begin = whole[first]
        return int(make_text(text + begin, whole[first + SLOTS] - begin))
    coins = real[first] * units[QUANTITY_FACTOR]
    if units[IS_INVERSE] != 0.0:
        coins /= real[second]
    return int(make_float(coins))


@inlined
def _make(
    plan: IntArray,
    recipe: IntArray,
    text: int,
    received: int,
    units: FloatArray,
    objects: IntArray,
    levels: tuple[int, int, int],
) -> int:
    """One event by its recipe; 0 on failure. levels: begin, end, bids."""
    whole, real = ints_at(plan[WHOLE], 2 * SLOTS), floats_at(plan[REAL], SLOTS)
    arguments = ints_at(plan[ROOM_OF_ARGUMENTS], MOST_ARGUMENTS)
    count, made, owned = recipe[ARGUMENTS], 0, 0
    done = 0
    while done < count:
        operation = recipe[OPERATIONS + 3 * done : OPERATIONS + 3 * done + 3]
        of, first = operation[0], operation[1]
        if of == OBJECT:
            arguments[done] = first
        elif of == OF_SYMBOL:
            arguments[done] = objects[first]
        elif of == RECEIVED:
            arguments[done] = received
        elif of == CHOICE:
            arguments[done] = ints_at(operation[2], SLOTS)[whole[first]]
        else:
            if of == LEVELS:
                arguments[done] = _make_levels(plan, *levels)
            else:
                arguments[done] = _argument(operation, text, whole, real, units)
            if arguments[done] == 0:
                break
            owned |= 1 << done
        done += 1
    if done == count:
        made = call(recipe[EVENT], plan[ROOM_OF_ARGUMENTS], count, 0)
    for k in range(done):
        if owned & 1 << k:
            drop(arguments[k])
    return made


@inlined
def _with(events: int, made: int) -> int:
    """A list with one event more, which it takes; 0 on failure."""
    if made != 0 and events == 0:
        events = make_list(1)
        if events == 0:
            drop(made)
        else:
            fill_list(events, 0, made)
        return events
    failed = made == 0 or append(events, made) != 0
    if made != 0:
        drop(made)
    if failed and events != 0:
        drop(events)
    return 0 if failed else events


# ---- a message -----------------------------------------------------------------------------------


@inlined
def _read(plan: IntArray, shape: int, text_size: int, received: int, known: int) -> int:
    """The events of the message in the copy if it fits the shape, a new list; 0: an exception is
    set; below: why there are none."""
    text = bytes_at(plan[COPY], text_size + SPARE)
    shapes = bytes_at(plan[TEXTS], plan[TEXTS_SIZE])
    names = words_at(plan[NAMES], plan[ROWS] * NAME)
    ticks, quantity = ints_at(plan[TICKS], plan[ROOM]), floats_at(plan[QUANTITY], plan[ROOM])
    whole, real = ints_at(plan[WHOLE], 2 * SLOTS), floats_at(plan[REAL], SLOTS)
    units, objects = floats_at(plan[NUMBERS], UNITS), ints_at(plan[OBJECTS], OBJECTS_EACH)
    code_at = int(ints_at(plan[SHAPES], plan[SHAPE_COUNT])[shape])
    start = to = plan[FREE]
    at, bids, group_at, events = 0, 0, 0, 0
    asks_first = False
    back_at, back_code = 0, 0
    why = NONE
    while True:
        code = int(shapes[np.uintp(code_at)])
        operand = int(shapes[np.uintp(code_at + 1)])
        code_at += 1
        if code == LITERAL:
            at = _literal(text, at, shapes, code_at)
            code_at += 1 + (operand + 7 & -8)
        elif code >= INT:
            at = _value(code, text, at, shapes, code_at, units, whole, real)
            code_at += 1
            if code == TEXT:
                code_at += 1
            elif code == WORD:
                code_at += 1 + int(shapes[np.uintp(code_at)])
        elif code == SYMBOL:
            end = _plain(text, at, operand)
            code_at += 1
            row = _row(text, at, end, names, plan[ROWS])
            objects = ints_at(plan[OBJECTS] + row * 8 * OBJECTS_EACH, OBJECTS_EACH)
            if row < 0 or not _is_known(known, objects):
                plan[FIRST], plan[LAST] = at, end
                at, why = -1, STRANGER
                break
            at = end
            units = floats_at(plan[NUMBERS] + row * 8 * UNITS, UNITS)
        elif code == MAYBE:
            code_at += 1
            back_at, back_code = at, code_at + operand
        elif code == EACH:
            if group_at == 0:  # its beginning
                group_at = code_at
            elif _byte(text, at) == _COMMA:
                at, code_at = at + 1, group_at
        elif code == MAKE:
            recipe = ints_at(plan[RECIPES] + operand * 8 * RECIPE, RECIPE)
            code_at, back_code = code_at + 1, 0
            if asks_first:
                _bids_first(ticks, quantity, start, to, bids)
            made = _make(plan, recipe, plan[COPY], received, units, objects, (start, to, bids))
            events = _with(events, made)
            if events == 0:
                return 0
        elif code == END:
            if at == text_size:
                plan[FREE] = to
                return events
            at = -1
        else:
            first = to
            more = 2 if code >= LONG_BIDS else 0
            at, to = _levels(text, at, more, units, ticks, quantity, to)
            if code in (BIDS, LONG_BIDS):
                bids, asks_first = to - first, first > start
        if at < 0:
            if at == FULL:
                why = FULL
                break
            if back_code == 0:
                break
            at, code_at, back_code = back_at, back_code, 0
    if events != 0:
        drop(events)
    return why


@inlined
def _first_fit(plan: IntArray, text_size: int, received: int, known: int) -> int:
    """As `_read`, of whatever shape fits; the one of the last message is tried first."""
    likely = shape = plan[LIKELY]
    while True:
        events = _read(plan, shape, text_size, received, known)
        if events != NONE:
            plan[LIKELY] = shape
            return events
        shape += 1
        if shape == plan[SHAPE_COUNT]:
            shape = 0
        if shape == likely:
            return NONE


def read_message(scanner: int, given: int, count: int) -> int:
    """(payload, time of receipt, known instruments) -> the events; None if no shape fits. The
    scanner's HELP is called, and answers, where it has to see to something first."""
    if count != 3:
        bad_argument()
        return 0
    plan, arguments = ints_at(words_of(scanner), WORDS), ints_at(given, 3)
    text = bytes_start(arguments[0])
    if text == 0:
        return 0
    text_size = bytes_size(arguments[0])
    why = LONG
    if text_size + SPARE <= plan[ROOM_OF_COPY]:
        copy_bytes(plan[COPY], text, text_size)
        bytes_at(plan[COPY] + text_size, SPARE)[:] = 0
        why = _first_fit(plan, text_size, arguments[1], arguments[2])
        if why >= 0:
            return why
    if why == NONE:
        take(plan[NOTHING])
        return int(plan[NOTHING])
    plan[WHY] = why
    return int(call(plan[HELP], given, 3, 0))


reader = native(read_message)
