"""One column of tokens (numbers, hashes, words) as few bytes, exactly as they were written.

Numbers become integers of one scale; what is kept of them is the difference to the best of a few
guesses (the one before, a column that is known already), in byte planes. Whichever way gives the
fewest bytes is noted and taken.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Sequence
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

Ints: TypeAlias = npt.NDArray[np.int64]

_WORDS, _HEX, _NUMBERS = 0, 1, 2
_PLAIN, _ZSTD, _BITS, _TEXT = b"\0", b"\1", b"\2", b"\3"
_LEVEL = 12
_FEW = 24  # bytes that are not worth the packing
_TRIED = 8_192  # values by which a guess is chosen
_WIDTH = 20  # characters of a number at most: its digits and a point
_DIGITS = 18  # that an int64 surely holds
_FIXED, _SHORT, _SHORT_POINT, _STATED = 0, 1, 2, 3
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HEXES = re.compile(rb"(?:[0-9a-f]{2})+")


class Column(msgspec.Struct, array_like=True):
    """kind: words (data: lines), hashes (data: bytes) or numbers (data: byte planes).

    Of numbers: scale (decimals of the integers), places (how many of them are written), written
    (where places does not follow: one byte each), guess (below).
    """

    kind: int
    count: int
    data: bytes
    scale: int = 0
    places: int = 0
    written: bytes = b""
    guess: int = 0


class Numbers(msgspec.Struct, frozen=True):
    """A column as integers. counts: of each message that has any, empty where that is one."""

    values: Ints
    counts: Ints


# A guess is 0 (nothing), 1 (the value before), or 2 k and 2 k + 1 for the k-th of the columns that
# may be referred to: its value in the same place, and the one before that.


def squeeze(data: bytes, *, is_text: bool = False) -> bytes:
    """The shortest of a few ways to write bytes; the first byte says which."""
    if len(data) <= _FEW:
        return _PLAIN + data
    ways = [
        _PLAIN + data,
        _ZSTD + zstandard.ZstdCompressor(level=_LEVEL).compress(data),
        _range_code(data, is_text),
    ]
    return min(ways, key=len)


def unsqueeze(data: bytes) -> bytes:
    """The inverse. Raises ValueError or zstandard.ZstdError on anything else."""
    way, rest = data[:1], data[1:]
    if way == _PLAIN:
        return rest
    if way == _ZSTD:
        return zstandard.ZstdDecompressor().decompress(rest)
    try:
        return lzma.decompress(rest, lzma.FORMAT_RAW, filters=_filters(way == _TEXT, 1 << 24))
    except lzma.LZMAError as error:
        raise ValueError(str(error)) from error


def _range_code(data: bytes, is_text: bool) -> bytes:
    size = 1 << min(max(len(data) - 1, 4_095).bit_length(), 24)
    packed = lzma.compress(data, lzma.FORMAT_RAW, filters=_filters(is_text, size))
    return (_TEXT if is_text else _BITS) + packed


def _filters(is_text: bool, size: int) -> list[dict[str, int]]:
    # Bytes of a plane say nothing of each other; those of text do.
    return [
        {
            "id": lzma.FILTER_LZMA1,
            "dict_size": size,
            "lc": 3 if is_text else 0,
            "lp": 0,
            "pb": 0,
            "mode": lzma.MODE_NORMAL,
            "nice_len": 64,
            "mf": lzma.MF_BT4,
            "depth": 0,
        }
    ]


def encode(
    tokens: Sequence[bytes], counts: Sequence[int], others: Sequence[Numbers | None]
) -> tuple[Column, Numbers | None]:
    """A column and, if it holds numbers, these. counts: of tokens in each message with any, or
    empty where that is one. others: columns that are known to the reader, the nearest first."""
    if not tokens:
        return Column(_WORDS, 0, b""), None
    found = _parse(tokens)
    if found is None:
        return _hashes(tokens) or Column(
            _WORDS, len(tokens), squeeze(b"\n".join(tokens), is_text=True)
        ), None
    values, places, scale = found
    mine = Numbers(values, np.array(counts, np.int64))
    rule, written = _rule(values, places, scale)
    near = [other if _is_alike(other, mine) else None for other in others]
    guess = _best_guess(mine, near)
    column = Column(
        _NUMBERS, len(tokens), _planes(_residuals(mine, near, guess)), scale, rule, written, guess
    )
    if guess == 0:
        # Numbers that repeat as whole words.
        words = squeeze(b"\n".join(tokens), is_text=True)
        if len(words) < len(column.data) + len(written):
            return Column(_WORDS, len(tokens), words), mine
    return column, mine


def decode(
    column: Column, counts: Sequence[int], others: Sequence[Numbers | None]
) -> tuple[list[bytes], Numbers | None]:
    """The inverse, given the same counts and others."""
    if not column.count:
        return [], None
    if column.kind == _WORDS:
        tokens = unsqueeze(column.data).split(b"\n")
        found = _parse(tokens)
        mine = Numbers(found[0], np.array(counts, np.int64)) if found is not None else None
        return tokens, mine
    if column.kind == _HEX:
        return _read_hashes(column), None
    zigzag = _read_planes(column.data, column.count)
    residuals = (zigzag >> np.uint64(1)).view(np.int64) ^ -(zigzag & np.uint64(1)).view(np.int64)
    sizes = np.array(counts, np.int64)
    values = _values(residuals, sizes, others, column.guess)
    mine = Numbers(values, sizes)
    return _write(values, _read_places(column, values), column.scale), mine


# ---- numbers as text ------------------------------------------------------------------------


def _parse(tokens: Sequence[bytes]) -> tuple[Ints, Ints, int] | None:
    """(integers, decimals written, decimals of the integers); None where text would not come back
    from them."""
    width = max(map(len, tokens))
    if width > _WIDTH or min(map(len, tokens)) == 0:
        return None
    text = np.array(tokens, dtype=f"S{width}").view(np.uint8).reshape(len(tokens), width)
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    is_digit = (text >= 48) & (text <= 57)
    is_point = text == 46
    points = is_point.sum(axis=1)
    if np.any(points > 1) or np.any(is_digit.sum(axis=1) + points != lengths):
        return None
    first = np.where(points == 1, is_point.argmax(axis=1), lengths)
    if np.any(first == 0) or np.any(first == lengths - 1):
        return None
    if np.any((text[:, 0] == 48) & (first > 1)):
        return None  # leading zeros must come back
    places = np.where(points == 1, lengths - 1 - first, 0)
    scale = int(places.max())
    if np.any(lengths - points + (scale - places) > _DIGITS):
        return None
    values = np.zeros(len(tokens), np.int64)
    for at in range(width):
        digit = is_digit[:, at]
        values = np.where(digit, values * 10 + (text[:, at].astype(np.int64) - 48), values)
    return values * 10 ** (scale - places), places, scale


def _shortest(values: Ints, scale: int) -> Ints:
    """Decimals that are needed to write them."""
    needed = np.full(len(values), scale, np.int64)
    rest = values.copy()
    for _ in range(scale):
        ends = rest % 10 == 0
        rest = np.where(ends, rest // 10, rest)
        needed = np.where(ends, needed - 1, needed)
    return needed


def _rule(values: Ints, places: Ints, scale: int) -> tuple[int, bytes]:
    if np.all(places == scale):
        return _FIXED, b""
    shortest = _shortest(values, scale)
    if np.array_equal(places, shortest):
        return _SHORT, b""
    if np.array_equal(places, np.maximum(shortest, 1)):
        return _SHORT_POINT, b""
    return _STATED, squeeze(places.astype(np.uint8).tobytes())


def _read_places(column: Column, values: Ints) -> Ints:
    if column.places == _FIXED:
        return np.full(len(values), column.scale, np.int64)
    if column.places == _STATED:
        return np.frombuffer(unsqueeze(column.written), np.uint8).astype(np.int64)
    shortest = _shortest(values, column.scale)
    return shortest if column.places == _SHORT else np.maximum(shortest, 1)


def _write(values: Ints, places: Ints, scale: int) -> list[bytes]:
    if scale == 0:
        return [b"%d" % value for value in values.tolist()]
    powers = [10**n for n in range(scale + 1)]
    out = []
    for value, n in zip((values // 10 ** (scale - places)).tolist(), places.tolist(), strict=True):
        if n:
            whole, part = divmod(value, powers[n])
            out.append(b"%d.%0*d" % (whole, n, part))
        else:
            out.append(b"%d" % value)
    return out


# ---- guesses --------------------------------------------------------------------------------


def _is_alike(other: Numbers | None, mine: Numbers) -> bool:
    return (
        other is not None
        and len(other.values) == len(mine.values)
        and np.array_equal(other.counts, mine.counts)
    )


def _best_guess(mine: Numbers, others: Sequence[Numbers | None]) -> int:
    near = [guess for k, o in enumerate(others, 1) if o is not None for guess in (2 * k, 2 * k + 1)]
    return min((0, 1, *near), key=lambda guess: _cost(_residuals(mine, others, guess)))


def _cost(residuals: Ints) -> float:
    """Bytes, roughly."""
    zigzag = _zigzag(residuals[:_TRIED])
    cost = 0.0
    for plane in zigzag.view(np.uint8).reshape(-1, 8).T:
        counts = np.bincount(plane, minlength=256)
        shares = counts[counts > 0] / len(plane)
        cost -= float((shares * np.log2(shares)).sum())
    return cost


def _residuals(mine: Numbers, others: Sequence[Numbers | None], guess: int) -> Ints:
    values = mine.values
    if guess == 0:
        return values
    if guess == 1:
        return values - _before(values, mine.counts)
    other = others[guess // 2 - 1]
    assert other is not None
    return values - (other.values if guess % 2 == 0 else np.concatenate(([0], other.values[:-1])))


def _before(values: Ints, counts: Ints) -> Ints:
    """The value before, in the same message; of the first of a message: the first of the last."""
    before = np.concatenate(([0], values[:-1]))
    if len(counts):
        starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
        before[starts] = np.concatenate(([0], values[starts][:-1]))
    return before


def _values(residuals: Ints, counts: Ints, others: Sequence[Numbers | None], guess: int) -> Ints:
    if guess == 0:
        return residuals
    if guess > 1:
        other = others[guess // 2 - 1]
        if other is None:
            raise ValueError("a column refers to none")
        known = other.values
        return residuals + (known if guess % 2 == 0 else np.concatenate(([0], known[:-1])))
    if not len(counts):
        return np.cumsum(residuals)
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    firsts = np.cumsum(residuals[starts])
    steps = residuals.copy()
    steps[starts] = 0
    run = np.cumsum(steps)
    return run + np.repeat(firsts - run[starts], counts)


def _zigzag(values: Ints) -> npt.NDArray[np.uint64]:
    return ((values << 1) ^ (values >> 63)).view(np.uint64)


def _planes(residuals: Ints) -> bytes:
    zigzag = _zigzag(residuals)
    width = (int(zigzag.max()).bit_length() + 7) // 8
    planes = zigzag.view(np.uint8).reshape(-1, 8).T[:width]
    return msgspec.msgpack.encode([squeeze(plane.tobytes()) for plane in planes])


def _read_planes(data: bytes, count: int) -> npt.NDArray[np.uint64]:
    planes = msgspec.msgpack.decode(data, type=list[bytes])
    out = np.zeros((count, 8), np.uint8)
    for at, plane in enumerate(planes):
        out[:, at] = np.frombuffer(unsqueeze(plane), np.uint8)
    return out.view(np.uint64).ravel()


# ---- hashes ---------------------------------------------------------------------------------


def _hashes(tokens: Sequence[bytes]) -> Column | None:
    """0x and hexadecimal digits of one length (scale: bytes each), or UUIDs (scale 0)."""
    if all(_UUID.fullmatch(token) for token in tokens):
        bare = [token.replace(b"-", b"") for token in tokens]
        return Column(_HEX, len(tokens), squeeze(bytes.fromhex(b"".join(bare).decode())))
    size = len(tokens[0])
    for token in tokens:
        if len(token) != size or token[:2] != b"0x" or not _HEXES.fullmatch(token, 2):
            return None
    raw = bytes.fromhex(b"".join(token[2:] for token in tokens).decode())
    return Column(_HEX, len(tokens), squeeze(raw), scale=size // 2 - 1)


def _read_hashes(column: Column) -> list[bytes]:
    size = column.scale or 16
    digits = unsqueeze(column.data).hex().encode()
    bare = [digits[at : at + 2 * size] for at in range(0, len(digits), 2 * size)]
    if column.scale:
        return [b"0x" + token for token in bare]
    return [b"-".join((t[:8], t[8:12], t[12:16], t[16:20], t[20:])) for t in bare]
