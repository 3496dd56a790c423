"""Flow readings of one instrument: touch, levels, absorption, impact, depth near the touch."""

from __future__ import annotations

from collections.abc import Callable

from liqfield.book.ladder import Ladder
from liqfield.engine.levels import LevelReader
from liqfield.flow.absorption import AbsorptionDetector, AbsorptionSettings
from liqfield.flow.imbalance import (
    LEVELS,
    LevelImbalance,
    TouchImbalance,
    microprice,
    queue_imbalance,
)
from liqfield.flow.impact import RollingImpact
from liqfield.flow.quotes import QuoteReader
from liqfield.model.analytics import VenueFlow
from liqfield.model.events import BestQuote
from liqfield.model.instrument import Instrument
from liqfield.model.tape import TradeTape

NEAR = 0.001  # depth near the touch: within 10 bp
QUOTES_GONE_NS = 5_000_000_000  # without a quote for so long the book stands in for them


class InstrumentFlow:
    """Readings of one instrument."""

    def __init__(
        self, instrument: Instrument, settings: AbsorptionSettings, trades: TradeTape
    ) -> None:
        self.instrument = instrument
        self.touch = TouchImbalance()
        self.levels = LevelImbalance()
        self._levels = LevelReader(self.levels)
        number = trades.number_of(instrument.id)
        self.absorption = AbsorptionDetector(
            instrument.venue, instrument.tick_usd, trades, number, settings
        )
        self.quote: Callable[[BestQuote], None] = self._before_trades  # the best quotes now
        self._quotes = QuoteReader(self.touch, self.absorption)
        self.of_touch, self.of_trades = RollingImpact(), RollingImpact()
        self.ofi: float | None = None  # of the last whole window
        self.quoted_ns = 0
        self.window_mid = 0.0  # at the window's start; 0 = unknown
        self.second_mid = 0.0  # at the end of the last second; 0 = unknown
        self.open_interest = 0.0
        self.trade_impact: float | None = None  # USD per base coin of net aggressive flow

    def _before_trades(self, quote: BestQuote) -> None:
        """Quotes until a trade has laid out the rows of absorption; after it neither waits for the
        other."""
        self.absorption.fold()
        if self.absorption.row_usd:
            self.quote = self._quotes.fold
        self._quotes.fold(quote)

    def book(self, ladder: Ladder | None, now_ns: int) -> None:
        """A book message was folded; None = the book is void."""
        if ladder is None:
            self.levels.reset()
            return
        self._levels.fold(ladder)
        if now_ns - self.quoted_ns > QUOTES_GONE_NS:
            ticks, coins = self.levels.ticks, self.levels.coins
            bid_coins, ask_coins = coins.item(0), coins.item(LEVELS)
            if bid_coins and ask_coins:
                bid, ask = ticks.item(0), ticks.item(LEVELS)
                of, unit = self.instrument.id, self.instrument.tick_usd
                self.quote(
                    BestQuote(of, now_ns, now_ns, bid * unit, bid_coins, ask * unit, ask_coins)
                )

    def close_window(self) -> tuple[float, float, float] | None:
        """(OFI, net trades, move in USD) of the window that ends; None while prices are unknown."""
        touch = self.touch
        net, ofi = self.absorption.take_window(), touch.close()
        self.levels.close()
        before, mid = self.window_mid, touch.mid
        self.window_mid = mid
        if before <= 0.0 or mid <= 0.0:
            self.ofi = None
            return None
        move = mid - before
        self.ofi = ofi
        self.of_touch.add(ofi, move)
        self.of_trades.add(net, move)
        fit = self.of_trades.fit()
        self.trade_impact = fit.beta if fit is not None else None
        return ofi, net, move

    @property
    def ofi_multi(self) -> float | None:
        """Multi-level OFI of the last whole window, coins."""
        return self.levels.last() if self.ofi is not None else None

    def near_depth(self, ladder: Ladder | None) -> tuple[float, float]:
        """USD resting within 10 bp of the best bid and ask; 0 where there is no book."""
        if ladder is None or ladder.best_bid is None or ladder.best_ask is None:
            return 0.0, 0.0
        bid, ask, unit = ladder.best_bid, ladder.best_ask, self.instrument.tick_usd
        bids, asks = ladder.near(NEAR)
        return bids * bid * unit, asks * ask * unit

    def reset_prices(self) -> None:
        """Quotes or book were lost."""
        self.touch.reset()
        self.levels.reset()
        self.absorption.reset()
        self.window_mid = self.second_mid = 0.0

    def row(self) -> VenueFlow:
        fit = self.of_touch.fit()
        t = self.touch
        has_quote = t.mid > 0.0
        return VenueFlow(
            venue=self.instrument.venue,
            ofi=self.ofi,
            ofi_multi=self.ofi_multi,
            beta=fit.beta if fit is not None else None,
            beta_r2=fit.r2 if fit is not None else None,
            queue_imbalance=queue_imbalance(t.bid_quantity, t.ask_quantity) if has_quote else None,
            microprice=(
                microprice(t.bid, t.bid_quantity, t.ask, t.ask_quantity) if has_quote else None
            ),
        )
