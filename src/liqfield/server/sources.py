"""What the server asks of the rest of the program: four small contracts, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from liqfield.model.estimates import LiquidationDensity
from liqfield.model.sides import PositionSide
from liqfield.model.tiles import MapColumn, StoredTile
from liqfield.server.wire import Clusters, Flow, MarketInfo, ProjectionReply, Truth


class Sources(Protocol):
    """The newest state. Called on the event loop: answers at once, never waits."""

    def markets(self) -> Sequence[MarketInfo]: ...

    def density(self, base: str, venue: str) -> LiquidationDensity | None:
        """The newest map; venue "all" is the pooled one; None while there is none."""
        ...

    def clusters(self, base: str, at_ns: int, min_usd: float) -> Clusters | None:
        """Those of the newest map that was known at `at_ns`; None before the history begins.

        min_usd: the smallest one, 0 = what counts in this market.
        """
        ...

    def flow(self, base: str, span_s: float) -> Flow | None:
        """The Flow panel over the last `span_s` of the UTC day; None while there is none."""
        ...

    def truth(self, base: str, venue: str) -> Truth | None:
        """The score of one venue alone; None where it has no map."""
        ...

    def projection(
        self, base: str, price: float, side: PositionSide, push_usd: float
    ) -> ProjectionReply | None:
        """Forced flow followed from `price`; None while there is no map or no book."""
        ...


class MapReader(Protocol):
    """The heat map's past (store.MapHistory)."""

    dataset_id: str

    def tile(
        self,
        base: str,
        venue: str,
        column_s: int,
        bin_level: int,
        time_index: int,
        price_index: int,
    ) -> StoredTile | None: ...

    def column(
        self, base: str, venue: str, at_ns: int, column_s: int | None = None, bin_level: int = 0
    ) -> MapColumn | None: ...

    def known_at(self, base: str, venue: str, at_ns: int) -> MapColumn | None: ...


class CandleReader(Protocol):
    """Candles of a base asset (store.CandleHistory): [start_ms, o, h, l, c, volume] ascending."""

    def rows(
        self, base: str, interval_s: int, from_ms: float, to_ms: float
    ) -> Sequence[tuple[float, float, float, float, float, float]]: ...


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """source: live, demo, replay. extra_origins: pages from elsewhere that may connect, for
    development of the web app only (e.g. "http://localhost:5173")."""

    version: str
    source: str
    extra_origins: tuple[str, ...] = ()
