"""What the handlers work with, handed to each of them by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from litestar import Request, WebSocket
from litestar.datastructures import State
from litestar.di import NamedDependency

from liqfield.server.assets import Assets
from liqfield.server.hub import Hub
from liqfield.server.negotiate import TileEncoder
from liqfield.server.sources import CandleReader, MapReader, ServerSettings, Sources


@dataclass(frozen=True)
class Services:
    """One per server."""

    hub: Hub
    sources: Sources
    maps: MapReader
    candles: CandleReader
    settings: ServerSettings
    assets: Assets = field(default_factory=Assets)
    tiles: TileEncoder = field(default_factory=TileEncoder)
    metrics: Callable[[], bytes] | None = None


#: The type of a handler's `services` argument.
Given = NamedDependency[Services]
AnyRequest: TypeAlias = Request[object, object, State]
AnySocket: TypeAlias = WebSocket[object, object, State]
