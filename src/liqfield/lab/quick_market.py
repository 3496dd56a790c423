"""A market without people: random ladders, trades and marks at any rate, cheap and seeded.

For runs that need many messages rather than plausible positions: faults and load. It satisfies
`Market`; histories and positions are empty. What it reports is what its books are, so that they are
the truth to compare with.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from liqfield.lab.market_setup import OI_SHARE
from liqfield.lab.market_types import (
    POSITION_DTYPE,
    AgentEvent,
    Book,
    BookChanges,
    History,
    InstrumentStep,
    Prints,
    Trades,
)
from liqfield.model.durations import HOUR_NS
from liqfield.model.events import FloatArray
from liqfield.model.grid import PriceGrid
from liqfield.model.instrument import Instrument
from liqfield.model.margin import MarginTier

_I, _F = np.zeros(0, np.int64), np.zeros(0)
_NO_PRINTS = Prints(_I, _I.astype(np.int8), _F, _F, _F, _F, _F, _I.astype(np.bool_))
_NO_HISTORY = History(
    _I, np.zeros((0, 4)), np.zeros((0, 4)), np.zeros((0, 4)), _F, _F, _I, _F, _F, _I, _F
)


class _Ladder:
    """One instrument: price levels by tick, always uncrossed."""

    def __init__(self, of: Instrument, price: float, levels: int, rng: random.Random) -> None:
        self.of = of
        self.levels = levels
        self.rng = rng
        self.mid = round(price / of.tick_usd)
        self.bids: dict[int, float] = {}
        self.asks: dict[int, float] = {}
        self.coins = 2e6 / price * OI_SHARE.get(of.venue, 0.1)
        self.trade_id = 1_000
        self.unit = of.lot * of.quantity_factor
        for k in range(1, levels + 1):
            self.bids[self.mid - k] = self.size()
            self.asks[self.mid + k] = self.size()

    def size(self) -> float:
        return self.rng.randint(1, 5_000) * self.unit

    def step(
        self, changes: int, trades: int, at_ns: int, span_ns: int, drift: int
    ) -> tuple[dict[int, float], dict[int, float], list[tuple[int, int, float, bool]]]:
        """Changed levels of both sides, and trades as (event_ns, tick, quantity, is_buy)."""
        rng = self.rng
        bids: dict[int, float] = {}
        asks: dict[int, float] = {}
        move = drift or (rng.choice((-1, 1)) if rng.random() < 0.3 else 0)
        if move:
            self.mid += move
            for tick in [t for t in self.bids if t >= self.mid]:
                bids[tick] = 0.0
            for tick in [t for t in self.asks if t <= self.mid]:
                asks[tick] = 0.0
            for tick in [t for t in self.bids if t < self.mid - 2 * self.levels]:
                bids[tick] = 0.0
            for tick in [t for t in self.asks if t > self.mid + 2 * self.levels]:
                asks[tick] = 0.0
            bids[self.mid - 1] = self.size()
            asks[self.mid + 1] = self.size()
        for _ in range(changes):
            k = 1 + int(self.levels * rng.random() ** 2)
            size = 0.0 if k > 1 and rng.random() < 0.3 else self.size()
            if rng.random() < 0.5:
                bids[self.mid - k] = size
            else:
                asks[self.mid + k] = size
        done = []
        for n in range(trades):
            is_buy = rng.random() < 0.5
            tick = self.mid + 1 if is_buy else self.mid - 1
            when = at_ns - span_ns + (n + 1) * span_ns // (trades + 1)
            done.append((when, tick, rng.randint(1, 500) * self.unit, is_buy))
        for side, made in ((self.bids, bids), (self.asks, asks)):
            for tick, size in made.items():
                if size > 0.0:
                    side[tick] = size
                else:
                    side.pop(tick, None)
        return bids, asks, done


class QuickMarket:
    """changes, trades: of one instrument in one step (means). levels: of a side at the start.

    busy: instrument id -> factor on both rates.
    """

    def __init__(
        self,
        instruments: Sequence[tuple[Instrument, float]],
        *,
        start_ns: int,
        step_ms: int = 100,
        levels: int = 60,
        changes: float = 12.0,
        trades: float = 2.0,
        seed: int = 0,
        busy: Mapping[str, float] | None = None,
    ) -> None:
        self._busy = dict(busy or {})
        self.storm = 1.0
        self._instruments = tuple(of for of, _ in instruments)
        self._now_ns = start_ns
        self._step_ns = step_ms * 1_000_000
        self._changes, self._trades = changes, trades
        self._rng = random.Random(f"quick market {seed}")
        self._ladders = {
            of.id: _Ladder(of, price, levels, random.Random(f"{of.id} {seed}"))
            for of, price in instruments
        }

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        return self._instruments

    @property
    def now_ns(self) -> int:
        return self._now_ns

    def tiers(self, instrument_id: str) -> tuple[MarginTier, ...]:
        del instrument_id
        return (MarginTier(0.0, 1e6, 50.0, 0.01), MarginTier(1e6, 1e9, 10.0, 0.05, 40_000.0))

    def advance(self, until_ns: int) -> Mapping[str, InstrumentStep]:
        """One report an instrument over all whole steps up to until_ns."""
        steps = max((until_ns - self._now_ns) // self._step_ns, 0)
        span_ns = steps * self._step_ns
        self._now_ns += span_ns
        if steps == 0:
            return {}
        return {of.id: self._report(of, int(steps), span_ns) for of in self._instruments}

    def _report(self, of: Instrument, steps: int, span_ns: int) -> InstrumentStep:
        ladder, rng = self._ladders[of.id], self._rng
        factor = self.storm * steps * self._busy.get(of.id, 1.0)
        trades = int(self._trades * factor * rng.uniform(0.5, 1.5) + rng.random())
        changes = int(self._changes * factor * rng.uniform(0.5, 1.5) + rng.random())
        drift = -int(20 * steps) if self.storm > 1.0 else 0
        bids, asks, done = ladder.step(changes, trades, self._now_ns, span_ns, drift)
        ladder.coins *= 1.0 + rng.gauss(0.0, 1e-5)
        best_bid, best_ask = max(ladder.bids), min(ladder.asks)
        mid = ladder.mid * of.tick_usd
        first = ladder.trade_id
        ladder.trade_id += len(done)
        count = len(done)
        made = Trades(
            np.array([d[0] for d in done], np.int64),
            np.array([d[1] for d in done], np.int64),
            np.array([d[1] * of.tick_usd for d in done]),
            np.array([d[2] for d in done]),
            np.array([d[3] for d in done], np.bool_),
            np.arange(first, first + count, dtype=np.int64),
            np.zeros(count, np.int8),
            np.zeros(count, np.int8),
            np.zeros(count, np.int8),
        )
        ticks = [*bids, *asks]
        sizes = [*bids.values(), *asks.values()]
        return InstrumentStep(
            of.id,
            self._now_ns,
            made,
            BookChanges(
                np.array(ticks, np.int64),
                np.array(sizes, float),
                np.arange(len(ticks)) < len(bids),
            ),
            _NO_PRINTS,
            mid,
            mid,
            mid,
            best_bid,
            ladder.bids[best_bid],
            best_ask,
            ladder.asks[best_ask],
            1e-4,
            (self._now_ns // (8 * HOUR_NS) + 1) * 8 * HOUR_NS,
            None,
            ladder.coins,
            1e8,
        )

    def book(self, instrument_id: str) -> Book:
        ladder = self._ladders[instrument_id]
        bids = sorted(ladder.bids.items(), reverse=True)
        asks = sorted(ladder.asks.items())
        return Book(
            np.array([t for t, _ in bids], np.int64),
            np.array([q for _, q in bids], float),
            np.array([t for t, _ in asks], np.int64),
            np.array([q for _, q in asks], float),
        )

    def history(self, instrument_id: str) -> History:
        del instrument_id
        return _NO_HISTORY

    def positions(self, instrument_id: str) -> npt.NDArray[Any]:
        del instrument_id
        return np.zeros(0, POSITION_DTYPE)

    def insurance_fund_usd(self, instrument_id: str) -> float:
        del instrument_id
        return 1e8

    def true_density(self, instrument_id: str, grid: PriceGrid) -> tuple[FloatArray, FloatArray]:
        raise NotImplementedError(f"{instrument_id}: nobody holds anything in this market, {grid}")

    def agent_events(self) -> Sequence[AgentEvent]:
        return ()
