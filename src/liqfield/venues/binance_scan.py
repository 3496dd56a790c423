"""Binance's frequent messages as the scanner reads them: depth diffs, quotes, trades, liquidations.

Each builder gives what `Binance` makes of the same message read as JSON.
"""

from __future__ import annotations

from liqfield.model.events import (
    BestQuote,
    BookDelta,
    BookLevels,
    Event,
    Liquidation,
    Trade,
)
from liqfield.model.instrument import Instrument
from liqfield.model.sides import Aggressor, Coverage, PositionSide, PriceKind
from liqfield.venues.decoding import MS
from liqfield.venues.scan import Build, Found

_BUY, _SELL = Aggressor.BUY, Aggressor.SELL
_LONG, _SHORT = PositionSide.LONG, PositionSide.SHORT
_FILL, _LARGEST = PriceKind.FILL, Coverage.LARGEST_PER_SECOND

_FORMER = '"s":"<symbol>"<?,"ps":"<text>"?><?,"st":<st>?>'  # the fields of 2026 stand in the middle
_DEAL = '"p":<price>,"q":<size>'
_AGGREGATE = (
    f'{_DEAL}<?,"nq":"<text>"?>,"f":<whole>,"l":<whole>,"T":<keep>,"m":<truth><?,"st":<st>?>'
)


def scanned_shapes(market: int) -> dict[str, Build]:
    """As sent before and since 2026, alone and on combined streams. market: the `st` of ours."""
    kinds: list[tuple[str, str, str, Build]] = [
        (
            "depthUpdate",
            "depth@<text>",  # not depth5@
            f'"E":<whole>,"T":<keep>,{_FORMER},"U":<keep>,"u":<keep>,"pu":<keep>,'
            '"b":<bids>,"a":<asks>',
            _depth,
        ),
        (
            "bookTicker",
            "bookTicker",
            f'"u":<keep>,{_FORMER},"b":<price>,"B":<size>,"a":<price>,"A":<size>,'
            '"T":<keep>,"E":<whole><?,"st":<st>?>',
            _quote,
        ),
        ("aggTrade", "aggTrade", f'"E":<whole>,"s":"<symbol>","a":<keep>,{_AGGREGATE}', _aggregate),
        ("aggTrade", "aggTrade", f'"E":<whole>,"a":<keep>,"s":"<symbol>",{_AGGREGATE}', _aggregate),
        (
            "trade",
            "trade",
            f'"E":<whole>,"T":<keep>,{_FORMER},"t":<keep>,{_DEAL},"X":"MARKET","m":<truth>',
            _trade,
        ),
        (
            "forceOrder",
            "forceOrder",
            f'"E":<whole>,"o":{{{_FORMER},"S":<sells>,"o":"<text>","f":"<text>","q":"<text>",'
            '"p":<price>,"ap":<price>,"X":"<text>","l":"<text>","z":<size>,"T":<keep>}',
            _liquidation,
        ),
    ]
    shapes: dict[str, Build] = {}
    for kind, stream, body, build in kinds:
        alone = f'{{"e":"{kind}",{body}}}'.replace("<st>", str(market))
        shapes[alone] = shapes[f'{{"stream":"<text>@{stream}","data":{alone}}}'] = build
    return shapes


def _depth(of: Instrument, got: int, made: BookLevels, found: Found) -> list[Event]:
    _, _, _, _, _, at, first, last, previous, _, _, _, _ = found
    return [BookDelta(of.id, at * MS, got, first, last, previous, made)]


def _quote(of: Instrument, got: int, _made: BookLevels, found: Found) -> list[Event]:
    sequence, at, bid, bid_coins, ask, ask_coins = found[7:]
    return [BestQuote(of.id, at * MS, got, bid, bid_coins, ask, ask_coins, sequence)]


def _aggregate(of: Instrument, got: int, _made: BookLevels, found: Found) -> list[Event]:
    _, _, _, _, _, _, trade_id, at, is_sell, _, _, usd, coins = found
    return [Trade(of.id, at * MS, got, usd, coins, _SELL if is_sell else _BUY, str(trade_id))]


def _trade(of: Instrument, got: int, _made: BookLevels, found: Found) -> list[Event]:
    _, _, _, _, _, _, at, trade_id, is_sell, _, _, usd, coins = found
    return [Trade(of.id, at * MS, got, usd, coins, _SELL if is_sell else _BUY, str(trade_id))]


def _liquidation(of: Instrument, got: int, _made: BookLevels, found: Found) -> list[Event]:
    """Filled size at the average fill; a message without one is left to JSON."""
    _, _, _, _, _, _, _, is_sell, at, _, _, usd, coins = found
    side = _LONG if is_sell else _SHORT
    return [Liquidation(of.id, at * MS, got, side, coins, usd, _FILL, _LARGEST)]
