"""Order-flow imbalance of one instrument, at the touch and over five levels; imbalance, microprice.

OFI after Cont, Kukanov and Stoikov (2014): per change of the best quotes
  e = 1{Pb >= Pb'} qb - 1{Pb <= Pb'} qb' - 1{Pa <= Pa'} qa + 1{Pa >= Pa'} qa'
summed over windows that the caller closes. Multi-level: the same at level m of the book, after
each book message; the five sums are projected on their first principal component over the recent
windows, its weights scaled to sum to one, so that the unit stays base coins.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import address_of, direct, floats_at, inlined, ints_at, kernel

LEVELS = 5


def queue_imbalance(bid_quantity: float, ask_quantity: float) -> float:
    """(qb - qa) / (qb + qa), in -1..1; 0 for an empty quote."""
    total = bid_quantity + ask_quantity
    return (bid_quantity - ask_quantity) / total if total > 0.0 else 0.0


def microprice(bid: float, bid_quantity: float, ask: float, ask_quantity: float) -> float:
    """mid + spread/2 * queue imbalance, USD."""
    imbalance = queue_imbalance(bid_quantity, ask_quantity)
    return 0.5 * (bid + ask) + 0.5 * (ask - bid) * imbalance


# Words of a touch: OFI since the window began, then the newest quote, a price of 0 = none.
OFI, BID, BID_COINS, ASK, ASK_COINS = range(5)


@inlined
def add_quote(touch: FloatArray, bid: float, bids: float, ask: float, asks: float) -> None:
    """The best quotes now; a price that is not positive is no quote."""
    if bid <= 0.0 or ask <= 0.0:
        return
    old_bid, old_ask = touch[BID], touch[ASK]
    if old_bid > 0.0:
        e = 0.0
        if bid >= old_bid:
            e += bids
        if bid <= old_bid:
            e -= touch[BID_COINS]
        if ask <= old_ask:
            e -= asks
        if ask >= old_ask:
            e += touch[ASK_COINS]
        touch[OFI] += e
    touch[BID], touch[BID_COINS], touch[ASK], touch[ASK_COINS] = bid, bids, ask, asks


class TouchImbalance:
    """OFI at the touch since the window began, base coins; prices USD. A `QuoteReader` writes it.

    words: of the touch, float64[5].
    """

    def __init__(self) -> None:
        self.words = np.zeros(5)
        # The same memory: an element of it costs half of numpy's own.
        self._of = cast("memoryview[float]", self.words.data)

    @property
    def ofi(self) -> float:
        return self._of[OFI]

    @property
    def bid(self) -> float:
        """Of the newest quote, as the others; 0 = none."""
        return self._of[BID]

    @property
    def bid_quantity(self) -> float:
        return self._of[BID_COINS]

    @property
    def ask(self) -> float:
        return self._of[ASK]

    @property
    def ask_quantity(self) -> float:
        return self._of[ASK_COINS]

    @property
    def mid(self) -> float:
        """USD, 0 without a quote."""
        return 0.5 * (self._of[BID] + self._of[ASK])

    def close(self) -> float:
        """End the window; its OFI."""
        out, self._of[OFI] = self._of[OFI], 0.0
        return out

    def reset(self) -> None:
        """After a gap the next quote starts afresh: a jump of the queue is not flow."""
        self._of[OFI] = self._of[BID] = self._of[ASK] = 0.0


# Words of a plan: where the tables lie; whether the next levels are the first ones.
TICKS, OLD_TICKS, COINS, OLD_COINS, LEVELS_OFI, IS_FRESH = range(6)


@kernel
def add_levels(plan: IntArray) -> None:
    """Add the change of each level to ofi[LEVELS] and remember the new state.

    plan: of a `LevelImbalance`, whose ticks and coins are filled.
    """
    ticks, old_ticks = ints_at(plan[TICKS], (2, LEVELS)), ints_at(plan[OLD_TICKS], (2, LEVELS))
    quantity, old = floats_at(plan[COINS], (2, LEVELS)), floats_at(plan[OLD_COINS], (2, LEVELS))
    ofi = floats_at(plan[LEVELS_OFI], LEVELS)
    if plan[IS_FRESH]:
        old_ticks[:], old[:] = ticks, quantity
        plan[IS_FRESH] = 0
    for m in range(LEVELS):
        e = 0.0
        if ticks[0, m] >= old_ticks[0, m]:
            e += quantity[0, m]
        if ticks[0, m] <= old_ticks[0, m]:
            e -= old[0, m]
        if ticks[1, m] <= old_ticks[1, m]:
            e -= quantity[1, m]
        if ticks[1, m] >= old_ticks[1, m]:
            e += old[1, m]
        ofi[m] += e
        for s in range(2):
            old_ticks[s, m] = ticks[s, m]
            old[s, m] = quantity[s, m]


class LevelImbalance:
    """OFI over `LEVELS` levels of the book, and the weights that make one number of it.

    Before an `update` ticks int64[2, LEVELS] and coins float64[2, LEVELS] are filled with the best
    levels after a book message: bids, asks, best first; a level that does not exist has no coins
    and a tick worse than any. plan: where all of it lies.
    """

    def __init__(self, keep: int = 180) -> None:
        self.ofi = np.zeros(LEVELS)
        self._windows = np.zeros((keep, LEVELS))
        self._count = 0  # windows so far
        self._weights, self._weighed = np.full(LEVELS, 1.0 / LEVELS), 0  # after so many windows
        self.ticks, self._old_ticks = np.zeros((2, 2, LEVELS), np.int64)
        self.coins, self._old = np.zeros((2, 2, LEVELS))
        tables = self.ticks, self._old_ticks, self.coins, self._old, self.ofi
        self.plan = np.array([*map(address_of, tables), True], np.int64)
        self._add = direct(add_levels, self.plan)

    def update(self) -> None:
        """The levels of another book message."""
        self._add(self.plan)

    def close(self) -> None:
        """End the window."""
        self._windows[self._count % len(self._windows)] = self.ofi
        self.ofi[:] = 0.0
        self._count += 1

    @property
    def weights(self) -> FloatArray:
        """Of each level, fitted over the recent windows when somebody asks."""
        if self._weighed != self._count:
            self._weighed = self._count
            recent = self._windows[: min(self._count, len(self._windows))]
            self._weights = first_component(recent)
        return self._weights

    def last(self) -> float:
        """The last window's OFI, its levels weighed."""
        return float(self._windows[(self._count - 1) % len(self._windows)] @ self.weights)

    def reset(self) -> None:
        """After a gap of the book."""
        self.plan[IS_FRESH] = True
        self.ofi[:] = 0.0


def first_component(windows: FloatArray) -> FloatArray:
    """Leading direction of float64[n, LEVELS], scaled to absolute sum one; equal parts if unknown.

    The sign is that of a buyer: weights sum to a positive number.
    """
    if len(windows) < 10 or not np.any(windows):
        return np.full(windows.shape[1], 1.0 / windows.shape[1])
    scale = float(np.abs(windows).max())
    scaled = windows / scale
    vectors: FloatArray = np.linalg.eigh(scaled.T @ scaled)[1]
    lead = vectors[:, -1]
    lead = lead if lead.sum() >= 0.0 else -lead
    weights: FloatArray = lead / np.abs(lead).sum()
    return weights
