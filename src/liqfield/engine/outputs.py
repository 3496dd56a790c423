"""What a step of the engine hands out: requests to the shell and finished facts to publish."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from liqfield.model.estimates import DensityColumn
from liqfield.model.events import Candle, Liquidation
from liqfield.model.requests import NeedSnapshot


class ColumnDue(msgspec.Struct, frozen=True, gc=False, eq=False):
    """The map of one base asset as known at `at_ns`, for the heat-map history."""

    base: str
    at_ns: int
    column_ns: int
    densities: tuple[DensityColumn, ...]


class CandleClosed(msgspec.Struct, frozen=True, gc=False):
    base: str
    candle: Candle


class Liquidated(msgspec.Struct, frozen=True, gc=False):
    base: str
    print: Liquidation


Output: TypeAlias = NeedSnapshot | ColumnDue | CandleClosed | Liquidated
