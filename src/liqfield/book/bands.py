"""Distance bands: geometric, so that depth is read by the logarithm of the distance.

Distance is the unsigned fraction of the mid, |price / mid - 1|. Band 0 is [0, EDGES[0]), band k is
[EDGES[k - 1], EDGES[k]), the last one is open.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from liqfield.model.events import FloatArray
from liqfield.model.jit import inlined

NEAREST = 0.00025  # 2.5 bp
EDGES: FloatArray = np.array([NEAREST * 2.0**k for k in range(10)])  # 2.5 bp ... 12.8 %
BANDS = len(EDGES) + 1
_EDGES = tuple(EDGES.tolist())  # scalars are found faster in a tuple


def band_of(distance: float) -> int:
    """Index of the band that holds a distance."""
    return bisect_right(_EDGES, distance)


_NEAREST_BITS = int(EDGES[0].view(np.int64))


@inlined
def band_at(distance: float) -> int:
    """`band_of` for kernels: each edge is twice the last, so that they differ in the exponent."""
    octave = int(np.float64(distance).view(np.int64)) - _NEAREST_BITS >> 52
    return min(max(octave + 1, 0), BANDS - 1)
