"""What a market's book, flow and context rooms say; None where the engine has no such reading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, cast

from liqfield.cascade.projection import Projection
from liqfield.engine.market import MarketEngine
from liqfield.model.analytics import CascadeView, ContextView, FlowView, PathView, WallView
from liqfield.model.estimates import Cluster, LiquidationDensity
from liqfield.model.sides import PositionSide

Paths = Callable[[Sequence[Cluster], LiquidationDensity | None], Sequence[PathView | None]]


class Project(Protocol):
    def __call__(
        self, start_price: float, position_side: PositionSide, push_usd: float
    ) -> Projection | None: ...


class Readings:
    """One market's accessors by name."""

    def __init__(self, market: MarketEngine) -> None:
        self._market = market

    def paths(
        self, clusters: Sequence[Cluster], density: LiquidationDensity | None
    ) -> Sequence[PathView | None]:
        ask = cast("Paths | None", getattr(self._market, "paths", None))
        return () if ask is None else ask(clusters, density)

    def walls(self) -> Sequence[WallView] | None:
        ask = cast("Callable[[], Sequence[WallView]] | None", getattr(self._market, "walls", None))
        return None if ask is None else ask()

    def flow(self, now_ns: int) -> FlowView | None:
        ask = cast("Callable[[int], FlowView | None] | None", getattr(self._market, "flow", None))
        return None if ask is None else ask(now_ns)

    def cascade(self) -> CascadeView | None:
        ask = cast("Callable[[], CascadeView | None] | None", _get(self._market, "cascade"))
        return None if ask is None else ask()

    def context(self) -> ContextView | None:
        ask = cast("Callable[[], ContextView | None] | None", _get(self._market, "context"))
        return None if ask is None else ask()

    def project(self, price: float, side: PositionSide, push_usd: float) -> Projection | None:
        ask = cast("Project | None", _get(self._market, "project"))
        return None if ask is None else ask(price, side, push_usd)


def _get(market: MarketEngine, name: str) -> object:
    return getattr(market, name, None)
