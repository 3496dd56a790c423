"""The state: open quantity by side, class and liquidation bin, in coins; conserved at every step.

    sum over classes of scale x (sums + out) + pending == open interest,   for longs and for shorts

`pending` holds what was swept or stopped out and has not yet found a new owner: its contracts exist
until the venue's open interest says otherwise, so it is carried (outside the grid), never dropped.
"""

from __future__ import annotations

import hashlib
import math
import zlib

import msgspec
import numpy as np
import numpy.typing as npt

from liqfield.density import kernels, readout
from liqfield.density.law import CLASS_BAND, CLASSES
from liqfield.model.events import FloatArray
from liqfield.model.grid import PriceGrid

RESYNC_STEPS = 2048
TINY = 1e-9
_NOWHERE = (0, 0)  # no bins


class DensityState:
    """Arrays of one instrument. Quantities in coins, times in hours since `epoch_ns`."""

    def __init__(self, price: float, width: float, count: int) -> None:
        self.grid = PriceGrid.around(price, width, count)
        # Single precision halves the memory; sums are kept in double and exactly as stored.
        self.raw: npt.NDArray[np.float32] = np.zeros((2, CLASSES, count), dtype=np.float32)
        self.birth: npt.NDArray[np.float32] = np.zeros((2, CLASSES, count), dtype=np.float32)
        self.scale: FloatArray = np.ones((2, CLASSES))
        self.sums: FloatArray = np.zeros((2, CLASSES))
        self.out: FloatArray = np.zeros((2, CLASSES))
        self.pending: FloatArray = np.zeros(2)
        # Bins [first, end) outside of which a class holds nothing: nobody looks further.
        self.span: npt.NDArray[np.int64] = np.zeros((2, CLASSES, 2), dtype=np.int64)
        self.span[:, :, 0] = count
        self.counter = 0
        self.steps = 0
        # Outermost bins that may hold mass: a sweep looks no further.
        self.top = [0, count - 1]
        self.target = 0.0  # what each side is to hold

    # ---- sums ---------------------------------------------------------------------------------

    def masses(self) -> FloatArray:
        """float64[2, classes], coins with an owner, in the grid or outside."""
        masses: FloatArray = self.scale * (self.sums + self.out)
        return masses

    def totals(self) -> FloatArray:
        """float64[2]: all coins of a side, the law's left-hand side."""
        totals: FloatArray = self.masses().sum(axis=1) + self.pending
        return totals

    # ---- steps --------------------------------------------------------------------------------

    def turn_over(
        self,
        flow: FloatArray,
        churn: float,
        delta: float,
        quantity: float,
        rates: FloatArray,
        weights: FloatArray,
        table: FloatArray,
        mark: float,
        now_h: float,
    ) -> tuple[float, float, float, float]:
        """Close and open so that each side is `quantity` coins; mark: its log-price.

        flow: float64[J, 3], log-price and what takers bought and sold there, in any unit. Returns
        coins opened long and short, and coins dead on arrival long and short.
        """
        grid, top = self.grid, self.top
        mark_bin = math.floor(mark / grid.width) - grid.first_bin
        self.counter, lowest, longs, shorts, dead_longs, dead_shorts = kernels.turn_over(
            self.raw,  # type: ignore[arg-type]
            self.birth,  # type: ignore[arg-type]
            self.sums,
            self.out,
            self.scale,
            self.pending,
            self.span,
            table,
            self.counter,
            flow,
            churn,
            delta,
            quantity,
            rates,
            weights,
            grid.first_bin,
            grid.width,
            mark_bin,
            now_h,
        )
        if mark_bin > top[0] + 1:
            top[0] = min(mark_bin - 1, grid.count - 1)
        if mark_bin + 1 < top[1]:
            top[1] = max(mark_bin + 1, 0)
        self.target = quantity
        self.steps += 1
        if self.steps % RESYNC_STEPS == 0 or lowest < TINY:
            self.resync()
        return longs, shorts, dead_longs, dead_shorts

    def sweep(
        self, low: float, high: float, swept: FloatArray, born: FloatArray, unit: float = 1.0
    ) -> tuple[float, float]:
        """The mark covered [low, high], log-prices: longs at or above, shorts at or below are gone.

        A bin falls when the mark passes its centre. Adds coins x unit to swept[2, classes] and
        coins x unit x birth hour to born[2, classes]; returns coins of longs and of shorts.
        """
        w, first, count = self.grid.width, self.grid.first_bin, self.grid.count
        longs = shorts = _NOWHERE
        # first bin whose centre is at or above `low`, last whose centre is at or below `high`
        start = math.ceil(low / w - 0.5) - first
        if start <= self.top[0]:
            start = max(start, 0)
            longs, self.top[0] = (start, self.top[0] + 1), max(start - 1, 0)
        last = math.floor(high / w - 0.5) - first
        if last >= self.top[1]:
            end = min(last + 1, count)
            shorts, self.top[1] = (self.top[1], end), min(end, count - 1)
        if longs is shorts:
            return 0.0, 0.0
        return kernels.sweep(
            self.raw,  # type: ignore[arg-type]
            self.birth,  # type: ignore[arg-type]
            self.sums,
            self.scale,
            self.pending,
            self.span,
            longs,
            shorts,
            unit,
            swept,
            born,
        )

    def probe(self, low: float, high: float) -> FloatArray:
        """What `sweep` would take, coins [2, classes]; changes nothing."""
        w, first, count = self.grid.width, self.grid.first_bin, self.grid.count
        start = min(max(math.ceil(math.log(low) / w - 0.5) - first, 0), count)
        stop = min(max(math.floor(math.log(high) / w - 0.5) - first + 1, 0), count)
        taken = np.stack(
            (
                self.raw[0, :, start:].sum(axis=1, dtype=np.float64),
                self.raw[1, :, :stop].sum(axis=1, dtype=np.float64),
            )
        )
        probed: FloatArray = taken * self.scale
        return probed

    def erode(
        self, side: int, frontier: float, moved: float, reach: FloatArray, exponent: float
    ) -> float:
        """Stop-outs ahead of an adverse move ending at `frontier`, log-prices; returns coins."""
        left = kernels.erode(
            self.raw,  # type: ignore[arg-type]
            self.birth,  # type: ignore[arg-type]
            self.sums,
            self.scale,
            self.span,
            side,
            math.floor(frontier / self.grid.width) - self.grid.first_bin,
            moved,
            reach,
            self.grid.width,
            exponent,
        )
        self.pending[side] += left
        return left

    def wander(self, spread: FloatArray) -> None:
        """Random walk of levels by spread[2, classes] (sd of log price); 0 leaves a class alone.

        Levels that come to lie beyond the mark stand there until the next sweep.
        """
        row = np.empty(self.grid.count, dtype=np.float32)
        longs, shorts = kernels.wander(
            self.raw,  # type: ignore[arg-type]
            self.birth,  # type: ignore[arg-type]
            self.sums,
            self.out,
            self.scale,
            self.span,
            spread / self.grid.width,
            row,  # type: ignore[arg-type]
        )
        self.top[0] = min(self.top[0] + longs, self.grid.count - 1)
        self.top[1] = max(self.top[1] - shorts, 0)

    def rescale(self, factor: float) -> None:
        """Multiply every quantity (a change of units)."""
        self.scale *= factor
        self.pending *= factor
        self.target *= factor
        if float(self.scale.min()) <= TINY or float(self.scale.max()) > 1.0 / TINY:
            self.resync()

    def reweigh(self, factor: FloatArray) -> None:
        """Multiply classes by factor[classes] and give both sides their old totals back."""
        before = self.masses().sum(axis=1)
        self.scale *= factor
        after = self.masses().sum(axis=1)
        self.scale *= np.where(after > 0.0, before / np.maximum(after, 1e-300), 1.0)[:, None]

    def resync(self) -> None:
        """Fold the lazy factors in and count again: rounding never accumulates."""
        self.raw *= self.scale[:, :, None].astype(np.float32)
        self.birth *= self.scale[:, :, None].astype(np.float32)
        self.out *= self.scale
        self.scale[:] = 1.0
        self._recount()
        wanted = self.target - self.pending  # each side
        owned = self.masses().sum(axis=1)
        for side in range(2):
            if owned[side] > 0.0 and wanted[side] > 0.0:
                self.scale[side] *= wanted[side] / owned[side]

    def _recount(self) -> None:
        self.sums = self.raw.sum(axis=2, dtype=np.float64)
        kernels.find_spans(self.raw, self.span)  # type: ignore[arg-type]

    def shift(self, bins: int) -> None:
        """Move the window up by `bins` of the lattice; what leaves is kept in `out`."""
        if bins == 0:
            return
        self._roll(-bins)
        grid = self.grid
        self.grid = PriceGrid(grid.width, grid.first_bin + bins, grid.count)

    def move_mass(self, bins: int) -> None:
        """Move every level by whole bins (funding erosion); the window stays."""
        if bins != 0:
            self._roll(bins)

    def _roll(self, bins: int) -> None:
        count = self.grid.count
        if abs(bins) >= count:
            self.out += self.sums
            self.raw[:] = 0.0
            self.birth[:] = 0.0
        elif bins > 0:
            self.out += self.raw[:, :, -bins:].sum(axis=2, dtype=np.float64)
            self.raw[:, :, bins:] = self.raw[:, :, :-bins].copy()
            self.birth[:, :, bins:] = self.birth[:, :, :-bins].copy()
            self.raw[:, :, :bins] = 0.0
            self.birth[:, :, :bins] = 0.0
        else:
            n = -bins
            self.out += self.raw[:, :, :n].sum(axis=2, dtype=np.float64)
            self.raw[:, :, :-n] = self.raw[:, :, n:].copy()
            self.birth[:, :, :-n] = self.birth[:, :, n:].copy()
            self.raw[:, :, -n:] = 0.0
            self.birth[:, :, -n:] = 0.0
        self._recount()
        self.top = [min(max(t + bins, 0), count - 1) for t in self.top]

    # ---- out ----------------------------------------------------------------------------------

    def read(self, unit: float = 1.0, *, with_ages: bool = True) -> tuple[FloatArray, FloatArray]:
        """(coins x unit [2, 3 bands, bins], sum of coins x birth hour [2, bins]); no bins of the
        second without ages."""
        count = self.grid.count
        mass, born = np.empty((2, 3, count)), np.empty((2, count if with_ages else 0))
        readout.read_out(
            self.raw,  # type: ignore[arg-type]
            self.birth,  # type: ignore[arg-type]
            self.scale,
            unit,
            self.span,
            CLASS_BAND,
            mass,
            born,
        )
        return mass, born

    def outside(self) -> FloatArray:
        """float64[2], coins without a level in the grid."""
        coins = np.empty(2)
        readout.outside(self.scale, self.out, self.pending, coins)
        return coins

    def digest(self) -> bytes:
        """A hash of everything."""
        sha = hashlib.blake2b(digest_size=16)
        for array in (self.raw, self.scale, self.sums, self.out, self.pending):
            sha.update(np.ascontiguousarray(array).tobytes())
        sha.update(repr((self.grid.first_bin, self.counter, self.steps, self.top)).encode())
        return sha.digest()

    def checkpoint(self) -> bytes:
        """All of it as bytes."""
        head = {
            "grid": [self.grid.width, self.grid.first_bin, self.grid.count],
            "counter": self.counter,
            "steps": self.steps,
            "top": self.top,
            "scale": self.scale.tobytes(),
            "sums": self.sums.tobytes(),
            "out": self.out.tobytes(),
            "pending": self.pending.tobytes(),
            "target": self.target,
            "raw": zlib.compress(self.raw.tobytes(), 1),
            "birth": zlib.compress(self.birth.tobytes(), 1),
        }
        return msgspec.msgpack.encode(head)

    @classmethod
    def restore(cls, blob: bytes) -> DensityState:
        """The inverse of `checkpoint`."""
        head = msgspec.msgpack.decode(blob)
        width, first, count = head["grid"]
        state = cls(1.0, width, count)
        state.grid = PriceGrid(width, first, count)
        state.counter, state.steps, state.top = head["counter"], head["steps"], list(head["top"])
        shape = (2, CLASSES)
        for name in ("scale", "sums", "out"):
            setattr(state, name, np.frombuffer(head[name]).reshape(shape).copy())
        state.pending = np.frombuffer(head["pending"]).copy()
        state.target = head["target"]
        full = (2, CLASSES, count)
        for name in ("raw", "birth"):
            data = np.frombuffer(zlib.decompress(head[name]), dtype=np.float32)
            setattr(state, name, data.reshape(full).copy())
        kernels.find_spans(state.raw, state.span)  # type: ignore[arg-type]
        return state
