"""A small built-in market: one asset on four venues, few accounts, a short past."""

from __future__ import annotations

import msgspec

from liqfield.lab.market import LabMarket
from liqfield.lab.market_setup import demo_spec

START_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000


def small_market(seed: int = 3, start_ns: int = START_NS) -> LabMarket:
    spec = demo_spec(start_ns, ("BTC",))
    return LabMarket(
        msgspec.structs.replace(spec, history_h=0.5, accounts_per_instrument=400), seed
    )
