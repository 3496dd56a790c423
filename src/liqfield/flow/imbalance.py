"""Order-flow imbalance, its fitted impact, queue imbalance and microprice.

OFI after Cont, Kukanov and Stoikov (2014): per change of the best quotes
  e = 1{Pb >= Pb'} qb - 1{Pb <= Pb'} qb' - 1{Pa <= Pa'} qa + 1{Pa >= Pa'} qa'
summed over windows; dP = beta OFI, beta refitted over the recent windows.
"""

from __future__ import annotations

from collections import deque

import msgspec

from liqfield.model.events import BestQuote


class ImpactFit(msgspec.Struct, frozen=True):
    """dP (USD) = beta * OFI (base coins); n windows; r2 of the fit through the origin."""

    beta: float
    r2: float
    windows: int


def ofi_event(before: BestQuote, now: BestQuote) -> float:
    """The contribution of one change of the best quotes, base coins."""
    e = 0.0
    if now.bid_price >= before.bid_price:
        e += now.bid_quantity
    if now.bid_price <= before.bid_price:
        e -= before.bid_quantity
    if now.ask_price <= before.ask_price:
        e -= now.ask_quantity
    if now.ask_price >= before.ask_price:
        e += before.ask_quantity
    return e


def queue_imbalance(quote: BestQuote) -> float:
    """(qb - qa) / (qb + qa), in -1..1; 0 for an empty quote."""
    total = quote.bid_quantity + quote.ask_quantity
    return (quote.bid_quantity - quote.ask_quantity) / total if total > 0.0 else 0.0


def microprice(quote: BestQuote) -> float:
    """mid + spread/2 * queue imbalance, USD."""
    mid = 0.5 * (quote.bid_price + quote.ask_price)
    return mid + 0.5 * (quote.ask_price - quote.bid_price) * queue_imbalance(quote)


class OrderFlowImbalance:
    """OFI of one instrument in windows of event time, with beta over the last `keep` windows."""

    def __init__(self, window_ns: int = 10_000_000_000, keep: int = 180) -> None:
        self._window_ns = window_ns
        self._windows: deque[tuple[float, float]] = deque(maxlen=keep)  # (OFI, dP)
        self._quote: BestQuote | None = None
        self._start_ns = -1
        self._start_mid = 0.0
        self.ofi = 0.0  # of the running window

    def update(self, quote: BestQuote) -> None:
        if quote.bid_price <= 0.0 or quote.ask_price <= 0.0:
            return
        mid = 0.5 * (quote.bid_price + quote.ask_price)
        start_ns = quote.event_ns - quote.event_ns % self._window_ns
        if self._quote is None:
            self._start_ns, self._start_mid = start_ns, mid
        else:
            if start_ns > self._start_ns:
                last = 0.5 * (self._quote.bid_price + self._quote.ask_price)
                self._windows.append((self.ofi, last - self._start_mid))
                self._start_ns, self._start_mid, self.ofi = start_ns, last, 0.0
            self.ofi += ofi_event(self._quote, quote)
        self._quote = quote

    def reset(self) -> None:
        """After a gap the next quote starts afresh: a jump of the queue is not flow."""
        self._quote = None
        self.ofi = 0.0

    def impact(self) -> ImpactFit | None:
        """Regression through the origin; None before ten windows with flow."""
        moving = [(o, p) for o, p in self._windows if o != 0.0]
        if len(moving) < 10:
            return None
        oo = sum(o * o for o, _ in moving)
        op = sum(o * p for o, p in moving)
        pp = sum(p * p for _, p in moving)
        beta = op / oo
        r2 = op * op / (oo * pp) if pp > 0.0 else 0.0
        return ImpactFit(beta, r2, len(moving))
