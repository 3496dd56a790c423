"""Binance's frequent messages as the scanner reads them: depth diffs, quotes, trades, liquidations.

Each shape gives what `Binance` makes of the same message read as JSON.
"""

from __future__ import annotations

from liqfield.model.events import BestQuote, BookDelta, Liquidation, Trade
from liqfield.model.sides import Aggressor, Coverage, PositionSide, PriceKind
from liqfield.venues.scan import Shape, quoted

_MAKER = {"false": Aggressor.BUY, "true": Aggressor.SELL}  # whether the buyer was the maker
_CLOSED = quoted({"SELL": PositionSide.LONG, "BUY": PositionSide.SHORT})

_FORMER = '"s":"<symbol>"<?,"ps":"<text>"?><?,"st":<st>?>'  # the fields of 2026 stand in the middle
_DEAL = '"p":<price:price>,"q":<size:quantity>'
_AGGREGATE = (
    f'{_DEAL}<?,"nq":"<text>"?>,"f":<int>,"l":<int>,"T":<ms:event_ns>,"m":<word:aggressor>'
    '<?,"st":<st>?>'
)
_SHAPES = (
    Shape(
        'depthUpdate","E":<int>,"T":<ms:event_ns>,'
        f'{_FORMER},"U":<int:first_sequence>,"u":<int:sequence>,"pu":<int:previous_sequence>,'
        '"b":<bids>,"a":<asks>',
        BookDelta,
    ),
    Shape(
        f'bookTicker","u":<int:sequence>,{_FORMER},"b":<price:bid_price>,"B":<size:bid_quantity>,'
        '"a":<price:ask_price>,"A":<size:ask_quantity>,"T":<ms:event_ns>,"E":<int><?,"st":<st>?>',
        BestQuote,
    ),
    Shape(
        f'aggTrade","E":<int>,"s":"<symbol>","a":<digits:trade_id>,{_AGGREGATE}',
        Trade,
        {"aggressor": _MAKER},
    ),
    Shape(
        f'aggTrade","E":<int>,"a":<digits:trade_id>,"s":"<symbol>",{_AGGREGATE}',
        Trade,
        {"aggressor": _MAKER},
    ),
    Shape(
        f'trade","E":<int>,"T":<ms:event_ns>,{_FORMER},"t":<digits:trade_id>,{_DEAL},'
        '"X":"MARKET","m":<word:aggressor>',
        Trade,
        {"aggressor": _MAKER},
    ),
    Shape(  # filled size at the average fill; a message without one is left to JSON
        f'forceOrder","E":<int>,"o":{{{_FORMER},"S":<word:position_side>,"o":"<text>","f":"<text>",'
        '"q":"<text>","p":<price>,"ap":<price:price>,"X":"<text>","l":"<text>",'
        '"z":<size:quantity>,"T":<ms:event_ns>}',
        Liquidation,
        {
            "position_side": _CLOSED,
            "price_kind": PriceKind.FILL,
            "coverage": Coverage.LARGEST_PER_SECOND,
        },
    ),
)


def scanned_shapes(market: int) -> list[Shape]:
    """As sent before and since 2026, alone and on combined streams. market: the `st` of ours."""
    shapes = []
    for shape in _SHAPES:
        kind = shape.text.partition('"')[0]
        stream = "depth@<text>" if kind == "depthUpdate" else kind  # not depth5@
        alone = f'{{"e":"{shape.text}}}'.replace("<st>", str(market))
        combined = f'{{"stream":"<text>@{stream}","data":{alone}}}'
        shapes += [Shape(text, shape.event, shape.given) for text in (combined, alone)]
    return shapes
