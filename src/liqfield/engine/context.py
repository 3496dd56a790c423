"""Slow context of one base asset: funding, basis, open interest, ratios, the clock, COT, quirks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from liqfield.context.cot import CotReport, net_base, usable_at
from liqfield.context.funding import (
    OpenInterestChange,
    VenueFunding,
    basis,
    rate_8h,
    weighted_8h,
)
from liqfield.context.quirks import lowering, quirks_of
from liqfield.context.sessions import session_clock
from liqfield.model.analytics import ContextView, FundingView
from liqfield.model.estimates import Confidence, DensityColumn
from liqfield.model.events import FundingRate, OpenInterest, PositioningRatio
from liqfield.model.instrument import Instrument

ACCOUNTS = ("accounts", "top_accounts", "top_positions")  # best known basis first
HOUR_S, DAY_S = 3_600.0, 86_400.0


class VenueState(msgspec.Struct, frozen=True):
    """The newest facts of one instrument; prices USD, 0 = unknown; interest in base coins."""

    instrument: Instrument
    funding: FundingRate | None
    mark: float
    index: float
    open_interest: float


Density = TypeVar("Density", bound=DensityColumn)


def with_quirks(venue: str, density: Density) -> Density:
    """The map with what its venue's known habits take from its confidence, and why."""
    share, told = lowering(venue)
    was = density.confidence
    lowered = Confidence(was.score * share, was.reasons + told)
    return msgspec.structs.replace(density, confidence=lowered)


class ContextReadings:
    """What must be remembered: open interest of the last day and the newest ratios."""

    def __init__(self) -> None:
        self._interest: dict[str, OpenInterestChange] = {}
        self._ratios: dict[tuple[str, str], PositioningRatio] = {}

    def on_open_interest(self, fact: OpenInterest) -> None:
        """Live or from the past, in order of event time."""
        memory = self._interest.get(fact.instrument_id)
        if memory is None:
            memory = self._interest[fact.instrument_id] = OpenInterestChange()
        memory.update(fact.event_ns, fact.quantity)

    def on_ratio(self, fact: PositioningRatio) -> None:
        known = self._ratios.get((fact.instrument_id, fact.basis))
        if known is None or fact.event_ns >= known.event_ns:
            self._ratios[fact.instrument_id, fact.basis] = fact

    def drop(self, instrument_id: str) -> None:
        """Another contract of the venue is followed."""
        self._interest.pop(instrument_id, None)
        for key in [key for key in self._ratios if key[0] == instrument_id]:
            del self._ratios[key]

    def change(self, over_s: float) -> float | None:
        """Relative change of the sum over the instruments whose memory reaches back so far."""
        now = then = 0.0
        for memory in self._interest.values():
            pair = memory.pair(over_s)
            if pair is not None:
                now, then = now + pair[0], then + pair[1]
        return now / then - 1.0 if then > 0.0 else None

    def view(
        self, base: str, now_ns: int, states: Sequence[VenueState], cot: Sequence[CotReport]
    ) -> ContextView:
        """Everything as readers see it at `now_ns` of the engine's clock."""
        funding, weights = [], []
        for state in states:
            rate = state.funding
            if rate is None:
                continue
            venue, eight = state.instrument.venue, rate_8h(rate)
            gap = basis(state.mark, state.index) if state.mark > 0.0 else None
            funding.append(FundingView(venue, eight, rate.next_funding_ns, gap))
            usd = state.open_interest * state.mark
            weights.append(VenueFunding(venue, eight, rate.next_funding_ns, usd))
        clock = session_clock(now_ns)
        reports = usable_at(cot, base, now_ns)
        return ContextView(
            base=base,
            at_ns=now_ns,
            funding_8h=weighted_8h(weights),
            funding=tuple(funding),
            open_interest_usd=sum(s.open_interest * s.mark for s in states),
            open_interest_change_1h=self.change(HOUR_S),
            open_interest_change_24h=self.change(DAY_S),
            ratios=self._shown_ratios(states),
            session=" + ".join(clock.active) or "none",
            next_session=clock.next_open,
            next_session_ns=clock.next_open_ns,
            thin=clock.thin,
            cot_as_of=max((report.as_of.isoformat() for report in reports), default=""),
            cot_leveraged_net=net_base(reports, "lev_money"),
            cot_asset_manager_net=net_base(reports, "asset_mgr"),
            quirks=tuple(
                f"{state.instrument.venue}: {quirk.text}"
                for state in states
                for quirk in quirks_of(state.instrument.venue)
            ),
        )

    def _shown_ratios(self, states: Sequence[VenueState]) -> dict[str, float]:
        """Long over short by venue, of the first basis that the venue publishes."""
        out: dict[str, float] = {}
        for state in states:
            for kind in ACCOUNTS:
                fact = self._ratios.get((state.instrument.id, kind))
                if fact is not None and fact.short_share > 0.0:
                    out[state.instrument.venue] = fact.long_share / fact.short_share
                    break
        return out

    def digest(self) -> bytes:
        """What the future of these readings depends on."""
        changes: Mapping[str, object] = {
            key: memory.newest() for key, memory in sorted(self._interest.items())
        }
        return repr((changes, sorted(self._ratios.items()))).encode()
