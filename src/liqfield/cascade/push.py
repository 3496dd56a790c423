"""Whale push: one-sided aggressive flow into a thin path towards a cluster, pooled over venues."""

from __future__ import annotations

from collections import deque

import msgspec

from liqfield.cascade.tracker import Surroundings
from liqfield.model.analytics import FlowEvent, FlowEventKind
from liqfield.model.quantile import DecayedQuantile
from liqfield.model.words import percent_words, usd_words

S = 1_000_000_000
DEPTH_POWER = 1.2  # depth grows with distance to this power where only the 10 bp are known


class PushSettings(msgspec.Struct, frozen=True):
    """The net flow of `window_s` must be in the top 5 % of its own past, mostly one-sided, and
    worth `way_share` of what rests on the way to a cluster that is at most `reach` away. Chosen on
    seeds 900 and 901 of the built-in market (docs/cascade.md)."""

    window_s: int = 10
    flow_quantile: float = 0.95
    memory_s: float = 3600.0
    warm_s: int = 300
    one_sided: float = 0.6
    way_share: float = 0.05
    reach: float = 0.05
    cooldown_s: float = 60.0


class PushDetector:
    """`second` once a second with the same surroundings that the cascade tracker gets."""

    def __init__(self, settings: PushSettings | None = None) -> None:
        self.settings = settings or PushSettings()
        self._net: deque[float] = deque(maxlen=self.settings.window_s)
        self._gross: deque[float] = deque(maxlen=self.settings.window_s)
        self._usual = DecayedQuantile(self.settings.memory_s)
        self._last_ns = 0
        self._at_ns = 0

    def second(self, around: Surroundings, gross_flow: float) -> FlowEvent | None:
        """gross_flow: aggressive base coins of both sides in the last second."""
        s = self.settings
        passed = max(1, round((around.now_ns - self._at_ns) / S)) if self._at_ns else 1
        for _ in range(min(passed - 1, s.window_s)):  # seconds without any event
            self._net.append(0.0)
            self._gross.append(0.0)
        self._at_ns = around.now_ns
        self._net.append(around.net_flow)
        self._gross.append(gross_flow)
        net, gross = sum(self._net), sum(self._gross)
        is_large = self._usual.count >= s.warm_s and abs(net) > self._usual.quantile(
            s.flow_quantile
        )
        self._usual.add(abs(net))
        if not is_large or gross <= 0.0 or abs(net) < s.one_sided * gross:
            return None
        side = 0 if net < 0.0 else 1
        fuel, depth = around.fuel[side], around.depth_usd[side]
        if fuel is None or fuel.distance > s.reach or depth <= 0.0:
            return None
        if around.now_ns - self._last_ns < s.cooldown_s * S:
            return None
        way = depth * max(fuel.distance / 0.001, 0.1) ** DEPTH_POWER
        pushed = abs(net) * around.price
        if pushed < s.way_share * way:
            return None
        self._last_ns = around.now_ns
        verb, who = ("Selling", "longs") if side == 0 else ("Buying", "shorts")
        return FlowEvent(
            at_ns=around.now_ns - s.window_s * S,
            kind=FlowEventKind.WHALE_PUSH,
            venue="all",
            price=around.price,
            is_bid=side == 0,  # sellers hit bids
            notional_usd=pushed,
            score=pushed / way,
            duration_s=float(s.window_s),
            outcome="done",
            text=f"{verb} of {usd_words(pushed)} net in {s.window_s} s, {pushed / way:.0%} of what "
            f"rests on the way to {usd_words(fuel.notional_usd)} of {who} "
            f"{percent_words(fuel.distance)} away",
        )
