"""Binance COIN-M: the protocol of binance.py where a quantity counts contracts of 10 or 100 USD.

Open interest polls name no price: the engine makes coins of them. Rules and sources:
docs/venues/binance-coinm.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from liqfield.model.instrument import Instrument
from liqfield.model.requests import HttpRequest
from liqfield.venues.binance import Binance
from liqfield.venues.contract import Connection, StreamSpec

_PATH = "/ws"  # this host's streams are not split over paths


class BinanceCoinM(Binance):
    """The venue; see venues.contract.Venue."""

    name = "binance-coinm"
    rest_url = "https://dapi.binance.com"
    ws_url = "wss://dstream.binance.com"
    api = "/dapi/v1"
    market = 2

    def bootstrap(self, bases: Sequence[str]) -> Sequence[HttpRequest]:
        """Instruments; the brackets of this venue come by stream, when they change."""
        del bases
        return (self.get(f"{self.api}/exchangeInfo"),)

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Books and quotes, then everything else: fewer and quieter markets than USD-M."""
        books: list[str] = []
        rest: list[str] = ["!contractInfo"]
        book_specs: list[StreamSpec] = []
        specs: list[StreamSpec] = []
        for of in instruments:
            s = of.symbol.lower()
            books += [f"{s}@depth@100ms", f"{s}@bookTicker"]
            rest += [f"{s}@aggTrade", f"{s}@markPrice@1s", f"{s}@forceOrder"]
            rest.append(f"{s.partition('_')[0]}@indexPrice@1s")
            book_specs.append(StreamSpec(f"book {of.symbol}", ("BookDelta",), of.id, 10.0))
            book_specs.append(StreamSpec(f"quote {of.symbol}", ("BestQuote",), of.id, 30.0))
            specs.append(StreamSpec(f"trades {of.symbol}", ("Trade",), of.id, 300.0))
            specs.append(StreamSpec(f"mark {of.symbol}", ("MarkPrice",), of.id, 4.0))
            specs.append(StreamSpec(f"liquidations {of.symbol}", ("Liquidation",), of.id, 0.0))
        return (
            self.subscription("books", _PATH, books, book_specs),
            self.subscription("flow", _PATH, rest, specs),
        )

    def _series_of(self, of: Instrument) -> str:
        return f"pair={of.symbol.partition('_')[0]}&contractType=PERPETUAL"
