"""The kernels of decoding and engine, loaded before the first venue answers.

Loading the first compiled kernel costs about a second, compiling all of them half a minute; both
would hold up the event loop when the first listing comes. A made-up market folds a few events on
a thread meanwhile, and is thrown away.
"""

from __future__ import annotations

import threading

import numpy as np

from liqfield.density.combine import combine
from liqfield.engine.market import MarketEngine
from liqfield.model.events import (
    BookDelta,
    BookLevels,
    BookSnapshot,
    MarketEvent,
    MarkPrice,
    OpenInterest,
    Trade,
)
from liqfield.model.instrument import Instrument
from liqfield.model.sides import Aggressor, BookRule
from liqfield.venues.scan import load_scanner

SECOND = 1_000_000_000
KEY = "warm-up:BTC"


_NAME = "warm-up"


def start() -> None:
    """Begin on a thread of its own, which ends with the process."""
    threading.Thread(target=warm, name=_NAME, daemon=True).start()


def said() -> str:
    """What to tell who waits; "" once everything is loaded."""
    if not any(thread.name == _NAME for thread in threading.enumerate()):
        return ""
    return "loading compiled code; the first start after an update compiles it, for a minute or two"


def warm() -> None:
    """What a market's first seconds bring: messages, books, trades, marks, a column of the map."""
    words = {"base": "BTC", "quote": "USDT", "settle": "USDT", "venue": "warm-up", "symbol": "BTC"}
    engine = MarketEngine("BTC", {"warm-up": BookRule.NEXT_BY_ONE})
    engine.add(Instrument(id=KEY, tick_decimals=1, **words))  # type: ignore[arg-type]
    for event in events():
        engine.step(event)
    combine(engine.densities())
    load_scanner()


def events() -> list[MarketEvent]:
    levels = BookLevels(np.array([499_990, 499_980, 500_010, 500_020]), np.ones(4), 2)
    made: list[MarketEvent] = [
        BookSnapshot(KEY, SECOND, SECOND, 1, levels),
        BookDelta(KEY, SECOND, SECOND, 2, 2, -1, levels),
    ]
    for second in range(1, 13):
        at, price = second * SECOND, 50_000.0 * (1.0 - 0.001 * second)
        made += [
            MarkPrice(KEY, at, at, price),
            Trade(KEY, at, at, price, 0.5, Aggressor.SELL, str(second)),
            OpenInterest(KEY, at, at, 1e4 + second),
        ]
    return made
