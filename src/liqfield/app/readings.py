"""What a market's book, flow and context rooms say; None where the engine has no such reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

from liqfield.cascade.projection import Projection
from liqfield.engine.market import MarketEngine
from liqfield.model.analytics import ContextView
from liqfield.model.errors import ModelError
from liqfield.model.sides import PositionSide


class Project(Protocol):
    def __call__(
        self, start_price: float, position_side: PositionSide, push_usd: float
    ) -> Projection | None: ...


class Readings:
    """One market's accessors by name."""

    def __init__(self, market: MarketEngine) -> None:
        self._market = market

    def context(self) -> ContextView | None:
        ask = cast("Callable[[], ContextView | None] | None", _get(self._market, "context"))
        return None if ask is None else ask()

    def project(self, price: float, side: PositionSide, push_usd: float) -> Projection | None:
        ask = cast("Project | None", _get(self._market, "project"))
        try:
            return None if ask is None else ask(price, side, push_usd)
        except ModelError:  # no map or no book yet
            return None


def _get(market: MarketEngine, name: str) -> object:
    return getattr(market, name, None)
