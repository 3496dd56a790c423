"""The fold over all markets: routes events to their base asset, keeps catalogue and counts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from liqfield.context.cot import CotReport
from liqfield.engine.market import MarketEngine
from liqfield.engine.outputs import Output
from liqfield.model.events import Event, Gap, Listing, Notice, Unknown
from liqfield.model.instrument import Instrument
from liqfield.model.sides import BookRule, ContractKind


class Engine:
    """All state of the program. bases: the assets to follow, None = every asset that is listed."""

    def __init__(self, rules: Mapping[str, BookRule], bases: frozenset[str] | None = None) -> None:
        self.instruments: dict[str, Instrument] = {}
        self.markets: dict[str, MarketEngine] = {}
        self.events: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.cot: Sequence[CotReport] = ()  # read by context(); set before the first listing
        self._rules = rules
        self._bases = bases
        self._market_of: dict[str, MarketEngine] = {}

    def step(self, event: Event) -> list[Output]:
        """Fold one event; returns what is due because of it."""
        kind = type(event)
        self.events[kind.__name__] += 1
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
        market = self._market_of.get(event.instrument_id)  # type: ignore[union-attr]
        return market.step(event) if market is not None else []  # type: ignore[arg-type]

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
            best = max(rivals, key=lambda other: (_rank(other), other is instrument, other.id))
            if best is instrument:
                self._follow(instrument)

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


def _rank(instrument: Instrument) -> int:
    """Of a venue's contracts on one asset the deepest: linear in USDT, then other dollars."""
    if instrument.kind is ContractKind.INVERSE:
        return 0
    return 2 if instrument.settle == "USDT" else 1
