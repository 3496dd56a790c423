"""What a best quote changes, in one native call: OFI at the touch, and the sizes that absorption
saw displayed there."""

from __future__ import annotations

import numpy as np

from liqfield.flow.absorption import ASK, AbsorptionDetector, show
from liqfield.flow.imbalance import ASK_COINS, TouchImbalance, add_quote
from liqfield.flow.rows import ROOM, has_room
from liqfield.model.events import BestQuote
from liqfield.model.jit import address_of, floats_at, ints_at
from liqfield.model.native import (
    as_float,
    bad_argument,
    call,
    drop,
    field,
    has_failed,
    is_of,
    native,
    places_of,
    take,
    words_of,
)

# Words of a reader: objects, where a quote's fields lie, where the tables do.
NOTHING, GROW, QUOTE = range(3)
AT_BID, AT_BID_COINS, AT_ASK, AT_ASK_COINS = range(3, 7)
TOUCH, FACTS, SHOWN, WORDS = range(7, 11)


def fold_quote(reader: int, given: int, count: int) -> int:
    """(quote) -> None."""
    words = ints_at(words_of(reader), WORDS)
    if count != 1 or not is_of(ints_at(given, 1)[0], words[QUOTE]):
        bad_argument()
        return 0
    quote = ints_at(given, 1)[0]
    bid, bid_coins = (
        as_float(field(quote, words[AT_BID])),
        as_float(field(quote, words[AT_BID_COINS])),
    )
    ask, ask_coins = (
        as_float(field(quote, words[AT_ASK])),
        as_float(field(quote, words[AT_ASK_COINS])),
    )
    if has_failed() != 0:
        return 0
    shown = ints_at(words[SHOWN], ROOM + 1)
    if not has_room(shown):
        grown = call(words[GROW], 0, 0, 0)
        if grown == 0:
            return 0
        drop(grown)
    add_quote(floats_at(words[TOUCH], ASK_COINS + 1), bid, bid_coins, ask, ask_coins)
    show(floats_at(words[FACTS], ASK + 1), shown, bid, bid_coins, ask, ask_coins)
    take(words[NOTHING])
    return int(words[NOTHING])


folder = native(fold_quote)


class QuoteReader:
    """Writes the best quotes of one instrument to its readings.

    fold: takes the best quotes now, a `BestQuote`.
    """

    def __init__(self, touch: TouchImbalance, absorption: AbsorptionDetector) -> None:
        shown = absorption.shown
        names = "bid_price", "bid_quantity", "ask_price", "ask_quantity"
        grow = shown.grow
        self._words = np.array(
            [
                *(id(None), id(grow), id(BestQuote)),
                *places_of(BestQuote, *names),
                *map(address_of, (touch.words, absorption.facts, shown.words)),
            ]
        )
        self.fold = folder(self._words, (touch, absorption, grow))
