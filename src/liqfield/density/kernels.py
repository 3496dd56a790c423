"""Hot loops of the estimator. Mass is kept by liquidation bin, per side and class, lazily scaled:
true mass = mass * scale[side, class]. A decay touches one number a class, not four thousand bins.
"""

from __future__ import annotations

import numpy as np

from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import kernel


@kernel
def deposit(
    mass: FloatArray,
    scale: FloatArray,
    total: FloatArray,
    outside: FloatArray,
    seed: FloatArray,
    shift: FloatArray,
    side: int,
    position: FloatArray,
    quantity: FloatArray,
    mark_bin: int,
) -> float:
    """Open positions of one side: quantity[i] base coins entered at position[i] (in bins).

    Each class lands at position + shift, split between the two nearest bin centres. Returns the
    quantity whose liquidation price lies on the wrong side of the mark: it cannot stand.
    """
    bins = mass.shape[2]
    refused = 0.0
    for i in range(len(position)):
        for c in range(len(seed)):
            q = quantity[i] * seed[c]
            if q <= 0.0:
                continue
            centre = position[i] + shift[side, c] - 0.5
            low = int(np.floor(centre))
            upper = centre - low
            for b, part in ((low, q * (1.0 - upper)), (low + 1, q * upper)):
                if (side == 0 and b >= mark_bin) or (side == 1 and b < mark_bin):
                    refused += part
                    continue
                total[side, c] += part
                if b < 0 or b >= bins:
                    outside[side, c] += part / scale[side, c]
                else:
                    mass[side, c, b] += part / scale[side, c]
    return refused


@kernel
def close(
    scale: FloatArray, total: FloatArray, hazard: FloatArray, side: int, quantity: float
) -> float:
    """Close `quantity` of one side, classes in proportion to hazard x mass. Returns what closed."""
    left = quantity
    for _ in range(8):
        weight = 0.0
        for c in range(len(hazard)):
            weight += hazard[c] * total[side, c]
        if weight <= 0.0 or left <= 0.0:
            break
        x = left / weight
        closed = 0.0
        for c in range(len(hazard)):
            share = min(x * hazard[c], 1.0)
            gone = total[side, c] * share
            closed += gone
            total[side, c] -= gone
            scale[side, c] *= 1.0 - share
        left -= closed
        if left <= 1e-12 * quantity:
            break
    return quantity - max(left, 0.0)


@kernel
def settle_scales(mass: FloatArray, scale: FloatArray, outside: FloatArray) -> None:
    """Fold scales that have become tiny into the mass, before they underflow."""
    for s in range(scale.shape[0]):
        for c in range(scale.shape[1]):
            if scale[s, c] < 1e-60:
                for b in range(mass.shape[2]):
                    mass[s, c, b] *= scale[s, c]
                outside[s, c] *= scale[s, c]
                scale[s, c] = 1.0


@kernel
def sweep(
    mass: FloatArray, scale: FloatArray, total: FloatArray, side: int, first: int, last: int
) -> float:
    """Remove everything in bins [first, last) of one side; returns base coins removed."""
    swept = 0.0
    low = max(first, 0)
    high = min(last, mass.shape[2])
    for c in range(mass.shape[1]):
        part = 0.0
        for b in range(low, high):
            part += mass[side, c, b]
            mass[side, c, b] = 0.0
        part *= scale[side, c]
        total[side, c] = max(total[side, c] - part, 0.0)
        swept += part
    return swept


@kernel
def read_out(mass: FloatArray, scale: FloatArray, band: IntArray, out: FloatArray) -> None:
    """out[2, 3, bins] = sum over the classes of a band of mass * scale."""
    out[:] = 0.0
    for s in range(mass.shape[0]):
        for c in range(mass.shape[1]):
            k = scale[s, c]
            target = out[s, band[c]]
            row = mass[s, c]
            for b in range(mass.shape[2]):
                target[b] += k * row[b]


@kernel
def shift_bins(mass: FloatArray, outside: FloatArray, by: int) -> None:
    """Move the window by `by` bins up (mass moves down); what leaves goes to outside."""
    sides, count, bins = mass.shape
    for s in range(sides):
        for c in range(count):
            row = mass[s, c]
            moved = np.zeros(bins)
            for b in range(bins):
                target = b - by
                if 0 <= target < bins:
                    moved[target] = row[b]
                else:
                    outside[s, c] += row[b]
            row[:] = moved
