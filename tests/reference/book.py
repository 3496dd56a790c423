"""The obvious book: two dicts."""

from __future__ import annotations

from liqfield.model.events import BookLevels


class DictBook:
    """Quantities by tick; index 0 bids, 1 asks."""

    def __init__(self) -> None:
        self.sides: tuple[dict[int, float], dict[int, float]] = ({}, {})

    def replace(self, levels: BookLevels) -> None:
        for side in self.sides:
            side.clear()
        self.apply(levels)

    def apply(self, levels: BookLevels) -> None:
        for i, (tick, quantity) in enumerate(
            zip(levels.price_ticks.tolist(), levels.quantity.tolist(), strict=True)
        ):
            side = self.sides[0 if i < levels.bid_count else 1]
            if quantity > 0.0:
                side[tick] = quantity
            else:
                side.pop(tick, None)

    def top(self, side: int, count: int) -> list[tuple[int, float]]:
        return sorted(self.sides[side].items(), reverse=side == 0)[:count]
