"""The built-in market as events, without sockets: for studies and tests that need its truth too.

    events = LabEvents(market)
    engine = MarketEngine("BTC", RULES)
    for event in events.open(): engine.step(event)          # Listing: engine.add(event.instrument)
    for event in events.advance(until_ns): engine.step(event)

Every venue speaks through its own book rule: chained diffs, Hyperliquid whole books of 20 levels.
Prints are sampled as the venues sample them. Order within a step: trades, book, quote, prints, slow
facts; with `trades_late` trades follow the book message that already holds them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from liqfield.lab.market_types import ADL, INSURANCE, Book, InstrumentStep, Market, Prints
from liqfield.model.durations import SECOND_NS
from liqfield.model.events import (
    BestQuote,
    BookDelta,
    BookLevels,
    BookSnapshot,
    FundingRate,
    IndexPrice,
    Liquidation,
    Listing,
    MarketEvent,
    MarkPrice,
    OpenInterest,
    TierTable,
    Trade,
)
from liqfield.model.instrument import Instrument
from liqfield.model.sides import Aggressor, BookRule, Coverage, PositionSide, PriceKind

LATENCY_NS = 5_000_000  # from the venue's clock to ours
WHOLE_EVERY_NS = 500_000_000
WHOLE_LEVELS = 20
RULES: Mapping[str, BookRule] = {
    "binance": BookRule.REST_THEN_PREVIOUS,
    "bybit": BookRule.NEXT_BY_ONE,
    "okx": BookRule.PREVIOUS_ID,
    "hyperliquid": BookRule.WHOLE,
}


class LabEvents:
    """Turns the market's steps into the events that its venues would send."""

    def __init__(
        self,
        market: Market,
        *,
        venues: Collection[str] = tuple(RULES),
        trades_late: bool = False,
        step_ns: int = 100_000_000,
    ) -> None:
        self._market = market
        self._of = {i.id: i for i in market.instruments if i.venue in venues}
        self._late = trades_late
        self._step_ns = step_ns
        self._sequence = dict.fromkeys(self._of, 1_000)
        self._quote: dict[str, tuple[int, float, int, float]] = {}
        self._interest: dict[str, float] = {}
        self._largest: dict[str, tuple[int, Liquidation]] = {}  # Binance: of the running second

    def open(self) -> Iterator[MarketEvent]:
        """Listings, margin tiers and the first books, at the market's present time."""
        at = self._market.now_ns
        for key, of in self._of.items():
            yield Listing(key, at, at, of)
            yield TierTable(key, at, at, self._market.tiers(key))
            if RULES[of.venue] is not BookRule.WHOLE:
                levels = _levels(self._market.book(key), None)
                is_rest = RULES[of.venue] is BookRule.REST_THEN_PREVIOUS
                yield BookSnapshot(key, at, at + LATENCY_NS, self._sequence[key], levels, is_rest)

    def advance(self, until_ns: int) -> Iterator[MarketEvent]:
        """Run the market on in steps of `step_ns`; events in the order in which they arrive."""
        while self._market.now_ns + self._step_ns <= until_ns:
            steps = self._market.advance(self._market.now_ns + self._step_ns)
            for key, of in self._of.items():
                yield from self._events(of, steps[key])

    def _events(self, of: Instrument, step: InstrumentStep) -> Iterator[MarketEvent]:
        at, now = step.at_ns, step.at_ns + LATENCY_NS
        if not self._late:
            yield from _trades(step, now)
        yield from self._book(of, step, now)
        if self._late:
            yield from _trades(step, now)
        yield from self._best(of, step, now)
        yield from self._prints(of, step, now)
        if at % SECOND_NS < self._step_ns:
            yield MarkPrice(of.id, at, now, step.mark)
            yield IndexPrice(of.id, at, now, step.index)
            if self._interest.get(of.id) != step.open_interest_base:
                self._interest[of.id] = step.open_interest_base
                yield OpenInterest(of.id, at, now, step.open_interest_base)
            hours = of.funding_interval_h
            yield FundingRate(of.id, at, now, step.funding_rate, hours, step.next_funding_ns)

    def _book(self, of: Instrument, step: InstrumentStep, now: int) -> Iterator[MarketEvent]:
        if RULES[of.venue] is BookRule.WHOLE:
            if step.at_ns % WHOLE_EVERY_NS < self._step_ns:
                levels = _levels(self._market.book(of.id), WHOLE_LEVELS)
                yield BookSnapshot(of.id, step.at_ns, now, 0, levels)
            return
        book = step.book
        if not len(book.price_ticks):
            return
        order = np.argsort(~book.is_bid, kind="stable")
        levels = BookLevels(
            book.price_ticks[order], book.quantity[order], int(np.count_nonzero(book.is_bid))
        )
        previous = self._sequence[of.id]
        self._sequence[of.id] = sequence = previous + 1
        told = -1 if RULES[of.venue] is BookRule.NEXT_BY_ONE else previous
        yield BookDelta(of.id, step.at_ns, now, sequence, sequence, told, levels)

    def _best(self, of: Instrument, step: InstrumentStep, now: int) -> Iterator[MarketEvent]:
        quote = (step.bid_ticks, step.bid_quantity, step.ask_ticks, step.ask_quantity)
        if quote == self._quote.get(of.id) or min(quote) <= 0:
            return
        self._quote[of.id] = quote
        bid, ask = of.price_usd(step.bid_ticks), of.price_usd(step.ask_ticks)
        yield BestQuote(of.id, step.at_ns, now, bid, step.bid_quantity, ask, step.ask_quantity)

    def _prints(self, of: Instrument, step: InstrumentStep, now: int) -> Iterator[MarketEvent]:
        if of.venue == "hyperliquid":
            return  # no public liquidation channel
        if of.venue != "binance":
            coverage = Coverage.COMPLETE if of.venue == "bybit" else Coverage.SAMPLED
            for i in range(len(step.liquidations)):
                yield _print(of.id, step.liquidations, i, now, coverage)
            return
        second = step.at_ns // SECOND_NS
        held = self._largest.get(of.id)
        if held is not None and second > held[0]:
            del self._largest[of.id]
            yield held[1]
        for i in range(len(step.liquidations)):
            if step.liquidations.fill_price[i] <= 0.0:
                continue  # a takeover has no order on the book
            one = _print(of.id, step.liquidations, i, now, Coverage.LARGEST_PER_SECOND)
            largest = self._largest.get(of.id)
            if largest is None or one.quantity > largest[1].quantity:
                self._largest[of.id] = (second, one)


def _levels(book: Book, count: int | None) -> BookLevels:
    bids, asks = slice(count), slice(count)
    return BookLevels(
        np.concatenate((book.bid_ticks[bids], book.ask_ticks[asks])),
        np.concatenate((book.bid_quantity[bids], book.ask_quantity[asks])),
        len(book.bid_ticks[bids]),
    )


def _trades(step: InstrumentStep, now: int) -> Iterator[Trade]:
    """What the public trade stream shows: no fills of the fund, no deleveraging."""
    t = step.trades
    for at, price, quantity, is_buy, number, kind in zip(
        t.event_ns.tolist(),
        t.price.tolist(),
        t.quantity.tolist(),
        t.is_buy.tolist(),
        t.trade_id.tolist(),
        t.kind.tolist(),
        strict=True,
    ):
        if kind not in (ADL, INSURANCE):
            aggressor = Aggressor.BUY if is_buy else Aggressor.SELL
            yield Trade(step.instrument_id, at, now, price, quantity, aggressor, str(number))


def _print(key: str, prints: Prints, i: int, now: int, coverage: Coverage) -> Liquidation:
    """Binance states the average fill, the others the bankruptcy price."""
    is_fill = coverage is Coverage.LARGEST_PER_SECOND
    price = prints.fill_price[i] if is_fill else prints.bankruptcy_price[i]
    side = PositionSide.LONG if prints.position_side[i] == 0 else PositionSide.SHORT
    return Liquidation(
        key,
        int(prints.event_ns[i]),
        now,
        side,
        float(prints.quantity[i]),
        float(price),
        PriceKind.FILL if is_fill else PriceKind.BANKRUPTCY,
        coverage,
    )
