"""Figures by row of price over the last seconds, each side of the book for itself: what trades hit
there, what quotes showed there."""

from __future__ import annotations

from collections import deque

import numpy as np

from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import address_of, floats_at, inlined, ints_at, kernel

# Words of `words`: by side where the running second's rows begin and end, and the one that was
# found last; then where the tables lie, and rows of a side that have room in them.
BEGIN, END, GUESS = 0, 2, 4
ROWS, FIGURES, ROOM = range(6, 9)


@inlined
def has_room(words: IntArray) -> bool:
    """Whether one row more has room on either side."""
    return bool(words[END] < words[ROOM] and words[END + 1] < words[ROOM])


@inlined
def place(words: IntArray, side: int, row: int) -> tuple[FloatArray, int]:
    """(figures of a side, where a row of the running second stands in them); a new one is 0."""
    room = words[ROOM]
    rows = ints_at(words[ROWS] + 8 * room * side, room)
    figures = floats_at(words[FIGURES] + 8 * room * side, room)
    at, end = words[GUESS + side], words[END + side]
    if not (words[BEGIN + side] <= at < end and rows[at] == row):
        at = words[BEGIN + side]
        while at < end and rows[at] != row:
            at += 1
        if at == end:
            rows[at], figures[at] = row, 0.0
            words[END + side] = end + 1
        words[GUESS + side] = at
    return figures, at


@kernel
def most_at(words: IntArray, side: int, first: int, row: int) -> float:
    """The largest figure of a row from `first` on; 0 where it has none."""
    room = words[ROOM]
    rows = ints_at(words[ROWS] + 8 * room * side, room)
    figures = floats_at(words[FIGURES] + 8 * room * side, room)
    most = 0.0
    for at in range(first, words[END + side]):
        if rows[at] == row:
            most = max(most, figures[at])
    return most


class RowWindow:
    """The last `seconds`, oldest first, the running one last; a side's rows in order of arrival.

    words: where it all lies, for kernels; they fill it with `place`, and whoever calls them makes
    room with `grow`.
    """

    def __init__(self, seconds: int) -> None:
        self.words = np.zeros(ROOM + 1, np.int64)
        self._at = self.words.data  # the same memory: an element costs half of numpy's own
        self._begins: deque[tuple[int, int]] = deque(maxlen=seconds)
        self._tabulate(np.zeros((2, 64), np.int64), np.zeros((2, 64)))

    def grow(self) -> None:
        """Twice the room."""
        rows, figures = self._rows, self._figures
        self._tabulate(
            np.concatenate((rows, rows), axis=1), np.concatenate((figures, figures), axis=1)
        )

    def running(self, side: int) -> tuple[IntArray, FloatArray]:
        """Rows and figures of the running second."""
        part = slice(self._at[BEGIN + side], self._at[END + side])
        return self._rows[side, part], self._figures[side, part]

    def window(self, side: int) -> tuple[IntArray, FloatArray]:
        """Rows and figures of the whole window; a row may repeat."""
        part = slice(self.first(side), self._at[END + side])
        return self._rows[side, part], self._figures[side, part]

    def first(self, side: int) -> int:
        """Where the window begins."""
        return self._begins[0][side]

    def count(self, silent: int) -> None:
        """The running second is over, and silent ones after it: the window reaches up to here."""
        at = self._at
        self._begins.append((at[BEGIN], at[BEGIN + 1]))
        for _ in range(min(silent, self._begins.maxlen or 0)):
            self._begins.append((at[END], at[END + 1]))

    def begin(self) -> None:
        """The next second begins."""
        at = self._at
        at[BEGIN], at[BEGIN + 1] = at[END], at[END + 1]
        if max(at[END], at[END + 1]) > at[ROOM] // 2:
            self._forget()

    def clear(self) -> None:
        """Nothing is known."""
        self.words[:ROWS] = 0
        self._begins.clear()

    def _forget(self) -> None:
        """Make room: rows of seconds that are not looked at any more."""
        oldest = self._begins[0]
        for side, gone in enumerate(oldest):
            end = self._at[END + side]
            for table in (self._rows[side], self._figures[side]):
                table[: end - gone] = table[gone:end].copy()
            self.words[[BEGIN + side, END + side, GUESS + side]] -= gone
        moved = [(bid - oldest[0], ask - oldest[1]) for bid, ask in self._begins]
        self._begins.clear()
        self._begins.extend(moved)

    def _tabulate(self, rows: IntArray, figures: FloatArray) -> None:
        self._rows, self._figures = rows, figures
        self.words[ROWS:] = address_of(rows), address_of(figures), rows.shape[1]
