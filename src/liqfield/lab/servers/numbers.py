"""Numbers as venues write them: decimal strings with the instrument's digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from liqfield.model.instrument import Instrument


class Writer:
    """Formats one instrument's prices (from ticks or USD) and quantities (from base coins)."""

    def __init__(self, of: Instrument) -> None:
        self.of = of
        self._price = f"%.{of.tick_decimals}f"
        self._scale = of.tick_mantissa / 10.0**of.tick_decimals
        digits = max(0, -math.floor(math.log10(of.lot) + 1e-9)) if of.lot > 0.0 else 8
        self._quantity = f"%.{digits}f"

    def ticks(self, ticks: float) -> str:
        return self._price % (ticks * self._scale)

    def price(self, usd: float) -> str:
        """On the tick grid."""
        return self._price % (round(usd / self.of.price_factor / self._scale) * self._scale)

    def fine(self, usd: float) -> str:
        """Marks and indices have more digits than the tick."""
        return f"{usd / self.of.price_factor:.8f}"

    def quantity(self, base: float) -> str:
        return self._quantity % (base / self.of.quantity_factor)


Windows: TypeAlias = Sequence[tuple[int, int]]  # (begin, end) of planned work, ns


def states(windows: Windows, now_ns: int) -> list[tuple[str, str, str]]:
    """(state, begin, end) in ms of each, as venues list them."""
    listed = []
    for begin_ns, end_ns in windows:
        state = "scheduled" if now_ns < begin_ns else "ongoing" if now_ns < end_ns else "completed"
        listed.append((state, str(begin_ns // 1_000_000), str(end_ns // 1_000_000)))
    return listed
