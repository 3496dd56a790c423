"""Slow, obvious twin of the map's quantisation."""

from __future__ import annotations

import math

import numpy as np

from liqfield.model.events import FloatArray
from liqfield.model.tiles import FLOOR_USD, TOP_USD, ByteArray


def slow_cells(usd: FloatArray) -> ByteArray:
    """Rounded logarithmic steps from the floor; nothing for what is not positive."""
    safe = np.where(usd > 0.0, usd, 1e-300)
    per_log = 254.0 / math.log(TOP_USD / FLOOR_USD)
    steps = (np.log(safe) - math.log(FLOOR_USD)) * per_log + 1.0
    cells: ByteArray = np.clip(np.rint(steps), 0.0, 255.0).astype(np.uint8)
    return cells
