"""The tape: a market's newest executions in columns, for readings that fold many at once.

A reading remembers how far it has read, and catches up when somebody looks at it or something else
happens to it. That comes to the same as folding each trade when it comes, for any split, at a
tenth of the cost: a trade is a few words written from Python and a few looked at by compiled code.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import address_of, floats_at, inner_kernel, ints_at

BATCH = 256  # trades that any reading may lie behind; a power of two
# Words of a tape: where its columns lie, how long they are.
_AT, _PRICE, _SIGNED, _NUMBER, _TOLD, _SIZE = range(6)
TAPE_WORDS = 6


class TradeTape:
    """A ring of the newest `capacity` market executions of all instruments of one market.

    Trade k, of `count` so far, stands at index k modulo capacity of the columns: at_ns int64,
    event time as far as it is believed; price, USD; signed, base coins, bought > 0; number int64,
    which instrument; told_ns int64, event time as the venue told it.
    """

    def __init__(self, capacity: int = 1 << 15) -> None:
        """capacity: a power of two, at least BATCH."""
        if capacity < BATCH or capacity & (capacity - 1):
            raise ValueError(f"capacity {capacity} is no power of two from {BATCH} on")
        self.count = 0
        self.capacity = capacity
        self.at_ns, self.number = np.zeros(capacity, np.int64), np.zeros(capacity, np.int64)
        self.price, self.signed = np.zeros(capacity), np.zeros(capacity)
        self.ids: list[str] = []  # by number
        self.told_ns = np.zeros(capacity, np.int64)
        columns = (self.at_ns, self.price, self.signed, self.number, self.told_ns)
        self.words = np.array([*map(address_of, columns), capacity], np.int64)
        # The same memory: setting an element of it costs half of numpy's own.
        self._at, self._number, self._told = (
            column.data for column in (self.at_ns, self.number, self.told_ns)
        )
        self._price = cast("memoryview[float]", self.price.data)
        self._signed = cast("memoryview[float]", self.signed.data)

    def number_of(self, instrument_id: str) -> int:
        """The number of an instrument, a new one for a new instrument."""
        if instrument_id not in self.ids:
            self.ids.append(instrument_id)
        return self.ids.index(instrument_id)

    def append(
        self, number: int, at_ns: int, price: float, signed: float, told_ns: int = 0
    ) -> bool:
        """One execution. True: the readings must catch up now."""
        count = self.count
        at = count % self.capacity
        self._number[at], self._at[at] = number, at_ns
        self._price[at], self._signed[at] = price, signed
        self._told[at] = told_ns
        self.count = count = count + 1
        return not count % BATCH

    def row(self, k: int) -> tuple[int, float, float]:
        """(at_ns, price, signed) of trade k, one of the newest."""
        at = k % self.capacity
        return self._at[at], self._price[at], self._signed[at]


@inner_kernel
def _columns(words: IntArray, clock: int) -> tuple[IntArray, FloatArray, FloatArray, IntArray, int]:
    size = words[_SIZE]
    return (
        ints_at(words[clock], size),
        floats_at(words[_PRICE], size),
        floats_at(words[_SIGNED], size),
        ints_at(words[_NUMBER], size),
        size - 1,
    )


@inner_kernel
def tape_columns(words: IntArray) -> tuple[IntArray, FloatArray, FloatArray, IntArray, int]:
    """at_ns, price, signed, number, and the mask that makes an index of a count."""
    return _columns(words, _AT)


@inner_kernel
def told_columns(words: IntArray) -> tuple[IntArray, FloatArray, FloatArray, IntArray, int]:
    """As `tape_columns`, with told_ns in place of at_ns."""
    return _columns(words, _TOLD)


@inner_kernel
def slot(keys: IntArray, first: int, count: int, key: int, guess: int) -> int:
    """Where a key stands in keys[first:count], `count` if nowhere; few, in order of arrival."""
    if first <= guess < count and keys[guess] == key:
        return guess
    for at in range(first, count):
        if keys[at] == key:
            return at
    return count
