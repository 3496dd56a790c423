"""First estimator: conserved, swept by the mark, closed in proportion. Long = short = OI, always.

State: base coins by side, leverage class and liquidation bin, plus `limbo` a side: positions that
the mark swept (or that could not stand) and whose contracts somebody else holds until the next open
interest says otherwise. Step order at an open-interest statement: limbo closes first, then the rest
of a fall in proportion; a rise opens at the prices traded since; what is left of limbo re-enters
there. Churn replaces positions every five minutes in proportion to the absolute return.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import msgspec
import numpy as np

from liqfield.density import kernels
from liqfield.density.law import FALLBACK_TIERS, LeverageLaw, classes
from liqfield.model.estimates import LONG, SHORT, Confidence, LiquidationDensity
from liqfield.model.events import (
    Candle,
    FloatArray,
    Gap,
    MarketEvent,
    MarkPrice,
    OpenInterest,
    TierTable,
    Trade,
)
from liqfield.model.grid import PriceGrid
from liqfield.model.instrument import Instrument
from liqfield.model.margin import MarginTier
from liqfield.model.sides import CandleOf

CHURN_NS = 300_000_000_000


class DensitySettings(msgspec.Struct, frozen=True):
    """width, bins: the lattice window. churn: share of OI replaced per unit of absolute 5-min
    log-return. entry_sd: log-spread of the unknown entries that stand when watching begins.
    interval_sigma: log-sd of the stated 80 % interval by leverage band (low, mid, high)."""

    width: float = 0.0005
    bins: int = 4096
    churn: float = 4.0
    entry_sd: float = 0.03
    interval_sigma: tuple[float, float, float] = (0.5, 0.7, 0.9)
    law: LeverageLaw = LeverageLaw()
    max_oi_jump: float = 3.0


class DensityEstimator:
    """One instrument on one venue. `update(event)`, `get()`."""

    def __init__(
        self,
        instrument: Instrument,
        settings: DensitySettings | None = None,
        tiers: Sequence[MarginTier] = FALLBACK_TIERS,
    ) -> None:
        self.instrument = instrument
        self.settings = settings or DensitySettings()
        self.open_interest = 0.0
        self.mark = 0.0
        self.clock_ns = 0
        self._law = classes(self.settings.law, tiers)
        self._shift = self._law.shift / self.settings.width
        count = len(self._law.leverage)
        self._mass = np.zeros((2, count, self.settings.bins))
        self._scale = np.ones((2, count))
        self._total = np.zeros((2, count))
        self._outside = np.zeros((2, count))
        self._limbo = np.zeros(2)
        self._grid: PriceGrid | None = None
        # Longs stand in bins below it, shorts in this bin and above: the mark's nearest bin edge.
        self._mark_bin = 0
        self._since_oi: list[tuple[float, float]] = []  # (price, quantity) since the last OI
        self._since_churn: list[tuple[float, float]] = []
        self._churn_ns = 0
        self._churn_mark = 0.0
        self._prior = 0.0  # quantity that still stands from before watching began
        self._oi_ns = 0
        self._gaps = 0
        self._has_tiers = tiers is not FALLBACK_TIERS

    # ---- events -------------------------------------------------------------------------------

    def update(self, event: MarketEvent | Gap) -> None:
        """Fold one event; kinds that say nothing about positions are ignored."""
        if isinstance(event, Gap):
            self._gaps += 1
            return
        if event.event_ns > self.clock_ns:
            self.clock_ns = event.event_ns
        if isinstance(event, Trade):
            self._traded(event.price, event.quantity)
        elif isinstance(event, MarkPrice):
            self._mark_path(event.price, event.price, event.price)
        elif isinstance(event, OpenInterest):
            if self.mark <= 0.0 and event.price > 0.0:
                self._mark_path(event.price, event.price, event.price)
            self._restate(event.quantity, event.event_ns)
        elif isinstance(event, Candle):
            self._candle(event)
        elif isinstance(event, TierTable):
            self._tiers(event.tiers)

    def _candle(self, candle: Candle) -> None:
        """A past interval: its mark path, and its volume spread over its range."""
        if candle.of is CandleOf.MARK or (candle.of is CandleOf.LAST and self.mark <= 0.0):
            self._mark_path(candle.low, candle.high, candle.close)
        if candle.of is CandleOf.LAST and candle.volume > 0.0:
            for share in (0.1, 0.3, 0.5, 0.7, 0.9):
                price = candle.low + share * (candle.high - candle.low)
                self._traded(price, candle.volume / 5.0)

    def _traded(self, price: float, quantity: float) -> None:
        if not (price > 0.0 and math.isfinite(price) and 0.0 < quantity < math.inf):
            return
        # A print far off the mark is an error or a special fill: it opens no position there.
        if self.mark > 0.0 and abs(math.log(price / self.mark)) > 0.2:
            return
        self._since_oi.append((price, quantity))
        self._since_churn.append((price, quantity))
        if len(self._since_churn) > 4096:
            self._since_churn = _thin(self._since_churn)
        if len(self._since_oi) > 4096:
            self._since_oi = _thin(self._since_oi)

    def _tiers(self, tiers: Sequence[MarginTier]) -> None:
        """New tiers hold for positions opened from now on; standing ones keep their price."""
        if tiers:
            self._law = classes(self.settings.law, tiers)
            self._shift = self._law.shift / self.settings.width
            self._has_tiers = True

    # ---- the mark -----------------------------------------------------------------------------

    def _mark_path(self, low: float, high: float, close: float) -> None:
        if not (0.0 < low <= high < math.inf):
            return
        if self.mark > 0.0 and abs(math.log(close / self.mark)) > 1.5:
            return  # an outlier or a change of unit: never sweep the book on it
        if self._grid is None:
            self._grid = PriceGrid.around(close, self.settings.width, self.settings.bins)
            self._mark_bin = round(self._position(close))
            self._churn_mark = close
        self._follow(close)
        self.mark = close
        low_bin, high_bin = round(self._position(low)), round(self._position(high))
        if low_bin < self._mark_bin:
            self._limbo[LONG] += kernels.sweep(
                self._mass, self._scale, self._total, LONG, low_bin, self._mark_bin
            )
        if high_bin > self._mark_bin:
            self._limbo[SHORT] += kernels.sweep(
                self._mass, self._scale, self._total, SHORT, self._mark_bin, high_bin
            )
        self._mark_bin = round(self._position(close))
        self._churn()

    def _position(self, price: float) -> float:
        assert self._grid is not None
        return math.log(price) / self.settings.width - self._grid.first_bin

    def _follow(self, price: float) -> None:
        """Re-centre by whole bins when the price leaves the middle half of the window."""
        assert self._grid is not None
        off = self._grid.bin_of(price) - self.settings.bins // 2
        if abs(off) > self.settings.bins // 4:
            kernels.shift_bins(self._mass, self._outside, off)
            self._grid = PriceGrid(self._grid.width, self._grid.first_bin + off, self._grid.count)
            self._mark_bin -= off

    # ---- open interest ------------------------------------------------------------------------

    def _restate(self, quantity: float, event_ns: int) -> None:
        if not (0.0 <= quantity < math.inf) or self.mark <= 0.0 or event_ns < self._oi_ns:
            return
        self._oi_ns = event_ns
        if self.open_interest <= 0.0:
            self._begin(quantity)
            return
        ratio = quantity / self.open_interest
        if quantity > 0.0 and not 1 / self.settings.max_oi_jump < ratio < self.settings.max_oi_jump:
            # A unit change or a restatement says nothing about who opened where: rescale.
            self._rescale(ratio)
            self.open_interest = quantity
            return
        change = quantity - self.open_interest
        prices, weights = self._entries(self._since_oi)
        for side in (LONG, SHORT):
            if change < 0.0:
                from_limbo = min(self._limbo[side], -change)
                self._limbo[side] -= from_limbo
                rest = -change - from_limbo
                closed = kernels.close(self._scale, self._total, self._law.hazard, side, rest)
                self._limbo[side] -= rest - closed  # only rounding can be left
                opened = self._limbo[side]
            else:
                opened = change + self._limbo[side]
            self._limbo[side] = self._open(side, prices, weights * opened)
        self._prior *= min(1.0, max(0.0, 1.0 + min(change, 0.0) / self.open_interest))
        self.open_interest = quantity
        self._since_oi.clear()
        self._settle()

    def _begin(self, quantity: float) -> None:
        """What stands when watching begins: entries unknown, spread around the price."""
        spread = np.linspace(-2.0, 2.0, 41)
        weights = np.exp(-0.5 * spread * spread)
        prices = np.log(self.mark) + spread * self.settings.entry_sd
        for side in (LONG, SHORT):
            self._limbo[side] = self._open(
                side, prices, weights / weights.sum() * quantity, self._law.standing
            )
        self.open_interest = self._prior = quantity
        self._since_oi.clear()
        self._settle()

    def _churn(self) -> None:
        """Every five minutes: positions handed on, in proportion to the absolute return."""
        whole = self.clock_ns - self.clock_ns % CHURN_NS
        if whole <= self._churn_ns:
            return
        first = self._churn_ns == 0
        self._churn_ns = whole
        moved = abs(math.log(self.mark / self._churn_mark))
        self._churn_mark = self.mark
        if first or self.open_interest <= 0.0 or not self._since_churn:
            self._since_churn.clear()
            return
        volume = sum(quantity for _, quantity in self._since_churn)
        share = min(self.settings.churn * moved, 0.5, volume / self.open_interest)
        prices, weights = self._entries(self._since_churn)
        for side in (LONG, SHORT):
            quantity = kernels.close(
                self._scale, self._total, self._law.hazard, side, share * self.open_interest
            )
            self._limbo[side] += self._open(side, prices, weights * quantity)
        self._prior *= 1.0 - share
        self._since_churn.clear()
        self._settle()

    def _entries(self, trades: list[tuple[float, float]]) -> tuple[FloatArray, FloatArray]:
        """(log-prices, weights that sum to 1) of new entries: where it traded, else the mark."""
        if not trades:
            return np.array([math.log(self.mark)]), np.ones(1)
        table = np.array(trades)
        bins = np.floor(np.log(table[:, 0]) / self.settings.width).astype(np.int64)
        _, where = np.unique(bins, return_inverse=True)
        weights = np.bincount(where, table[:, 1]).astype(np.float64)
        logs: FloatArray = np.bincount(where, table[:, 1] * np.log(table[:, 0])) / weights
        return logs, weights / weights.sum()

    def _open(
        self, side: int, log_prices: FloatArray, quantity: FloatArray, law: FloatArray | None = None
    ) -> float:
        """Open by the seeding law (or `law`); returns what could not stand: it stays in limbo."""
        assert self._grid is not None
        return kernels.deposit(
            self._mass,
            self._scale,
            self._total,
            self._outside,
            self._law.seed if law is None else law,
            self._shift,
            side,
            log_prices / self.settings.width - self._grid.first_bin,
            quantity,
            self._mark_bin,
        )

    def _rescale(self, ratio: float) -> None:
        self._mass *= ratio
        self._outside *= ratio
        self._total *= ratio
        self._limbo *= ratio
        self._prior *= ratio

    def _settle(self) -> None:
        """Rounding: bring both sides onto the open interest exactly, by their own total."""
        kernels.settle_scales(self._mass, self._scale, self._outside)
        for side in (LONG, SHORT):
            held = float(self._total[side].sum())
            goal = self.open_interest - self._limbo[side]
            if held > 0.0 and goal > 0.0 and abs(held - goal) <= 1e-6 * self.open_interest:
                self._total[side] *= goal / held
                self._scale[side] *= goal / held

    # ---- reading ------------------------------------------------------------------------------

    def get(self) -> LiquidationDensity | None:
        """The map now; None until a mark and an open interest are known."""
        if self._grid is None or self.open_interest <= 0.0:
            return None
        coins = np.empty((2, 3, self.settings.bins))
        kernels.read_out(self._mass, self._scale, self._law.band, coins)
        usd = coins * self.mark
        oi_usd = self.open_interest * self.mark
        outside = oi_usd - usd.sum(axis=(1, 2))
        total = usd.sum(axis=1)
        sigma = np.array(self.settings.interval_sigma)
        weighted = np.einsum("sbn,b->sn", usd, sigma) / np.maximum(total, 1e-12)
        spread = np.exp(1.2815515655446004 * weighted)
        return LiquidationDensity(
            instrument_id=self.instrument.id,
            at_ns=self.clock_ns,
            mark_price=self.mark,
            grid=self._grid,
            notional_usd=usd,
            p10=total / spread,
            p90=total * spread,
            outside_usd=np.maximum(outside, 0.0),
            open_interest_usd=oi_usd,
            confidence=self.confidence(),
        )

    def confidence(self) -> Confidence:
        """1 is never reached: the law is assumed until prints have fitted it."""
        score, reasons = 0.7, ["leverage law assumed, not yet fitted to this venue's prints"]
        known = 1.0 - min(self._prior / self.open_interest, 1.0) if self.open_interest else 0.0
        if known < 0.5:
            score *= 0.4 + known
            reasons.append(f"{1 - known:.0%} of open interest is older than our watch")
        age_s = (self.clock_ns - self._oi_ns) / 1e9
        if age_s > 120.0:
            score *= max(0.2, 120.0 / age_s)
            reasons.append(f"open interest is {age_s:.0f} s old")
        if not self._has_tiers:
            score *= 0.9
            reasons.append("margin tiers of the venue not known yet")
        return Confidence(round(score, 3), tuple(reasons))

    def imbalance(self) -> float:
        """Largest miss of long = short = OI, relative: the law that must hold at every step."""
        if self.open_interest <= 0.0:
            return 0.0
        sides = self._total.sum(axis=1) + self._limbo
        return float(np.abs(sides - self.open_interest).max() / self.open_interest)

    def digest(self) -> bytes:
        """Hash of the state."""
        sha = hashlib.sha256()
        for array in (self._mass, self._scale, self._total, self._outside, self._limbo):
            sha.update(array.tobytes())
        sha.update(repr((self.open_interest, self.mark, self.clock_ns, self._grid)).encode())
        return sha.digest()


def _thin(trades: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Merge neighbours pairwise: volume and volume-weighted price are kept."""
    out = []
    for (p, q), (r, s) in zip(trades[::2], trades[1::2], strict=False):
        out.append(((p * q + r * s) / (q + s), q + s))
    return out + trades[len(out) * 2 :]
