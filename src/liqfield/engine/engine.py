"""The fold over all markets: routes events to their base asset, keeps catalogue and counts."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from liqfield.context.cot import CotReport
from liqfield.engine.market import MarketEngine
from liqfield.engine.outputs import Output
from liqfield.model.events import (
    Event,
    Gap,
    Listing,
    Notice,
    PositionSnapshot,
    Trade,
    Turnover,
    Unknown,
)
from liqfield.model.instrument import Instrument
from liqfield.model.sides import BookRule, ContractKind

# of no instrument that is followed
APART = frozenset({Unknown, Notice, Gap, Listing, Turnover, PositionSnapshot})


class Engine:
    """All state of the program.

    bases: the assets to follow, None = every asset that is listed. contracts: instrument ids that
    are followed in place of the contract which we would choose on their venue.
    """

    def __init__(
        self,
        rules: Mapping[str, BookRule],
        bases: frozenset[str] | None = None,
        contracts: frozenset[str] = frozenset(),
    ) -> None:
        self.instruments: dict[str, Instrument] = {}
        self.markets: dict[str, MarketEngine] = {}
        self.events: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.cot: Sequence[CotReport] = ()  # read by context(); set before the first listing
        self._rules = rules
        self.turnover_usd: dict[str, float] = {}  # by instrument, last 24 h
        self._bases = bases
        self._contracts = contracts
        self._market_of: dict[str, MarketEngine] = {}

    def step(self, event: Event) -> list[Output]:
        """Fold one event; returns what is due because of it."""
        kind = type(event)
        self.events[kind.__name__] += 1
        if kind not in APART:
            market = self._market_of.get(event.instrument_id)  # type: ignore[union-attr]
            return market.step(event) if market is not None else []  # type: ignore[arg-type]
        if kind is Unknown:
            self.unknown[f"{event.venue} {event.kind}"] += 1  # type: ignore[union-attr]
            return []
        if kind is Notice:
            return []
        if isinstance(event, Gap):
            outputs: list[Output] = []
            for base in sorted(self.markets):
                outputs += self.markets[base].gap(event)
            return outputs
        if isinstance(event, Listing):
            self.list(event.instrument)
            return []
        if isinstance(event, PositionSnapshot):
            for base in sorted(self.markets):
                self.markets[base].measure(event)
            return []
        assert isinstance(event, Turnover)
        self.turnover_usd[event.instrument_id] = event.notional_usd
        return []

    def repair(self, trades: Sequence[Trade]) -> list[Output]:
        """Trades of one reply: what streams had lost of them is folded, the rest is known."""
        market = self._market_of.get(trades[0].instrument_id) if trades else None
        return market.repair(trades) if market is not None else []

    def past(self, event: Event) -> Iterable[list[Output]]:
        """What must be folded before this event, in small pieces; `step` does it all at once."""
        market = self._market_of.get(getattr(event, "instrument_id", ""))
        return market.past(event) if market is not None and market.has_past else ()  # type: ignore[arg-type]

    def list(self, instrument: Instrument) -> None:
        """Add an instrument to the catalogue, and follow it if its base asset is followed."""
        self.instruments[instrument.id] = instrument
        if self._bases is None:
            self._follow(instrument)
        elif instrument.is_perpetual and instrument.is_trading and instrument.base in self._bases:
            rivals = [
                other
                for other in self.instruments.values()
                if other.venue == instrument.venue
                and other.base == instrument.base
                and other.is_perpetual
                and other.is_trading
            ]
            best = max(rivals, key=lambda other: (self._rank(other), other is instrument, other.id))
            if best is instrument:
                self._follow(instrument)

    def follow(self, bases: frozenset[str]) -> None:
        """Follow these assets too, with whatever is listed of them already."""
        if self._bases is None:
            return
        new = bases - self._bases
        self._bases |= bases
        for instrument in [i for i in self.instruments.values() if i.base in new]:
            self.list(instrument)

    def busiest(self, count: int) -> tuple[str, ...]:
        """The base assets with the highest turnover over all venues, USD of the last 24 h."""
        traded: defaultdict[str, float] = defaultdict(float)
        for key, usd in self.turnover_usd.items():
            instrument = self.instruments.get(key)
            if instrument is not None and instrument.is_perpetual and instrument.is_trading:
                traded[instrument.base] += usd
        ranked = sorted(traded, key=lambda base: (-traded[base], base))
        return tuple(ranked[:count])

    def _rank(self, instrument: Instrument) -> tuple[bool, bool, int]:
        """Of a venue's contracts on one asset: the one asked for, its main one, the deepest.

        Deepest: linear in USDT, then other dollars, then inverse.
        """
        depth = 2 if instrument.settle == "USDT" else 1
        if instrument.kind is ContractKind.INVERSE:
            depth = 0
        return instrument.id in self._contracts, instrument.is_main, depth

    def _follow(self, instrument: Instrument) -> None:
        market = self.markets.get(instrument.base)
        if market is None:
            market = self.markets[instrument.base] = MarketEngine(instrument.base, self._rules)
            market.cot = self.cot
        if self._bases is not None:
            for other in market.drop_venue(instrument.venue, keep=instrument.id):
                self._market_of.pop(other, None)
        market.add(instrument)
        self._market_of[instrument.id] = market

    def digest(self) -> str:
        """One hash over all markets."""
        sha = hashlib.sha256()
        for base in sorted(self.markets):
            sha.update(self.markets[base].digest().encode())
        return sha.hexdigest()
