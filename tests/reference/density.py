"""Slow, obvious twins of the density kernels: plain loops, one quantity at a time."""

from __future__ import annotations

import math

import numpy as np

from liqfield.model.events import FloatArray


class SlowState:
    """True coins (scale folded in) as mass[side][class][bin], out[side][class], pending[side]."""

    def __init__(self, classes: int, bins: int) -> None:
        self.mass = np.zeros((2, classes, bins))
        self.out = np.zeros((2, classes))
        self.pending = np.zeros(2)

    def turn_over(
        self,
        table: FloatArray,
        counter: int,
        flow: FloatArray,
        churn: float,
        delta: float,
        quantity: float,
        rates: FloatArray,
        weights: FloatArray,
        first_bin: int,
        width: float,
        mark_bin: int,
    ) -> FloatArray:
        """One step of the flow identity; returns what was dead on arrival [2]."""
        classes, bins = self.mass.shape[1:]
        dead = np.zeros(2)
        for side in range(2):
            owned = self.mass[side].sum(axis=1) + self.out[side]
            total = owned.sum()
            opens = max(churn + max(delta, 0.0), self.pending[side] + delta)
            if total > 0.0:
                opens = min(opens, 0.999 * quantity)
                closed = min(max(opens - delta - self.pending[side], 0.0) / total, 0.999999)
                if closed > 0.0:
                    z = -math.log(1.0 - closed) * total / (owned @ rates)
                    keep = np.exp(-np.minimum(z * rates, 30.0))
                    self.mass[side] *= keep[:, None]
                    self.out[side] *= keep
                factor = (quantity - opens) / (self.mass[side].sum() + self.out[side].sum())
                self.mass[side] *= factor
                self.out[side] *= factor
            else:
                opens = quantity
            at = counter
            volume = flow[:, 1:].sum()
            for x, bought, sold in flow.tolist():
                share = (bought + sold) / volume
                taker = (bought if side == 0 else sold) / (bought + sold)
                for c in range(classes):
                    law = taker * weights[0, c] + (1.0 - taker) * weights[1, c]
                    for half in range(2):
                        coins = 0.5 * opens * share * law
                        step = table[side, c, (at + half) % table.shape[2]]
                        if coins <= 0.0:
                            continue
                        if not math.isfinite(step):
                            self.out[side, c] += coins
                            continue
                        b = math.floor((x + step) / width) - first_bin
                        if (side == 0 and b >= mark_bin) or (side == 1 and b <= mark_bin):
                            dead[side] += coins
                        elif 0 <= b < bins:
                            self.mass[side, c, b] += coins
                        else:
                            self.out[side, c] += coins
                at += 2
            held = self.mass[side].sum() + self.out[side].sum()
            self.pending[side] = max(quantity - held, 0.0)
        return dead

    def wander(self, side: int, c: int, spread: float) -> None:
        """Every bin gives a share down and a share up, a stride away; what falls off is outside."""
        bins = self.mass.shape[2]
        stride = min(max(math.ceil(1.23 * spread), 1), bins - 1)
        part = min(0.5 * (spread / stride) ** 2, 0.33)
        before = self.mass[side, c].copy()
        after = np.zeros(bins)
        for b in range(bins):
            after[b] += (1.0 - 2.0 * part) * before[b]
            for to in (b - stride, b + stride):
                if 0 <= to < bins:
                    after[to] += part * before[b]
                else:
                    self.out[side, c] += part * before[b]
        self.mass[side, c] = after

    def sweep(self, width: float, first_bin: int, low: float, high: float) -> FloatArray:
        """Every bin whose centre the mark passed gives all it has; returns coins [2, classes]."""
        taken = np.zeros(self.out.shape)
        for b in range(self.mass.shape[2]):
            centre = (first_bin + b + 0.5) * width
            for side, hit in ((0, centre >= math.log(low)), (1, centre <= math.log(high))):
                if hit:
                    taken[side] += self.mass[side, :, b]
                    self.mass[side, :, b] = 0.0
        self.pending += taken.sum(axis=1)
        return taken

    def erode(
        self, side: int, frontier: int, moved: float, reach: FloatArray, exponent: float
    ) -> float:
        """Stop-outs within reach[c] bins of the frontier; returns coins."""
        left = 0.0
        for c, span in enumerate(reach.tolist()):  # bins, not whole
            if int(span) < 1:
                continue
            leave = 1.0 - math.exp(-exponent * min(moved / span, 1.0))
            for b in range(self.mass.shape[2]):
                ahead = frontier - b if side == 0 else b - frontier
                inside = 1 <= ahead <= int(span)
                if inside:
                    left += self.mass[side, c, b] * leave
                    self.mass[side, c, b] *= 1.0 - leave
        self.pending[side] += left
        return left


def positions_that_may_be_none(common: FloatArray) -> FloatArray:
    """The mean number of positions at which there is none with 10 %, `common` the relative variance
    of the mean; to third order in it, as the read-out has it."""
    a = math.log(10.0) * common
    out: FloatArray = math.log(10.0) * (1.0 + a / 2.0 + a**2 / 6.0 + a**3 / 24.0)
    return out


def law_variance(mass: FloatArray, bands: FloatArray) -> FloatArray:
    """float64[2, bins], relative variance of each bin's sum by the law alone.

    mass: float64[2, 3, bins] by band; bands: from `band_covariance`.
    """
    total = mass.sum(axis=1)
    share = mass / np.maximum(total, 1e-300)[:, None, :]
    out: FloatArray = (share * np.matmul(bands, share)).sum(axis=1)
    return np.maximum(out, 0.0)


def box_mean(values: FloatArray, bins: int, at: int) -> float:
    """Mean over `bins` bins around one, of those that exist."""
    half = bins // 2
    return float(values[max(at - half, 0) : at + half + 1].mean())


def rises(
    notional: FloatArray, first: int, last: int, prominence: float, near: int, around: int
) -> list[tuple[int, int, int]]:
    """(side, first bin, last + 1) of runs of bins in [first, last), counted from there, whose mean
    over `near` bins is above `prominence` times that over `around` bins."""
    found: list[tuple[int, int, int]] = []
    for side, usd in enumerate(notional.sum(axis=1)):
        out = [
            box_mean(usd, near, b) > prominence * box_mean(usd, around, b)
            for b in range(first, last)
        ]
        begins = [k for k, is_out in enumerate(out) if is_out and (k == 0 or not out[k - 1])]
        for begin in begins:
            end = out.index(False, begin) if False in out[begin:] else len(out)
            found.append((side, begin, end))
    return found
