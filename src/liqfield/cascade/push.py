"""Whale push: one-sided aggressive flow into a thin path towards a cluster, pooled over venues."""

from __future__ import annotations

import math
from collections import deque

import msgspec

from liqfield.cascade.tracker import Surroundings
from liqfield.model.analytics import FlowEvent, FlowEventKind
from liqfield.model.quantile import DecayedQuantile
from liqfield.model.words import percent_words, usd_words

S = 1_000_000_000


class PushSettings(msgspec.Struct, frozen=True):
    """The net flow of `window_s` is worth `depth_share` of what rests within 10 bp, in the top
    `1 - flow_quantile` of its own past, mostly one-sided, and led: the price went at most
    `most_move` of the way that the fitted impact expects of it (where news moves the quotes, flow
    follows and the price is far ahead). A cluster stands at most `reach` away. Once in `cooldown_s`
    a side. Chosen on seeds 900-905 of the built-in market (docs/cascade.md)."""

    window_s: int = 10
    flow_quantile: float = 0.7
    memory_s: float = 3600.0
    warm_s: int = 300
    one_sided: float = 0.5
    depth_share: float = 0.3
    most_move: float = 0.7
    reach: float = 0.05
    cooldown_s: float = 30.0


class PushDetector:
    """`second` once a second with the same surroundings that the cascade tracker gets."""

    def __init__(self, settings: PushSettings | None = None) -> None:
        self.settings = settings or PushSettings()
        self._net: deque[float] = deque(maxlen=self.settings.window_s)
        self._gross: deque[float] = deque(maxlen=self.settings.window_s)
        self._price: deque[float] = deque(maxlen=self.settings.window_s + 1)
        self._usual = DecayedQuantile(self.settings.memory_s)
        self._last_ns = [0, 0]
        self._at_ns = 0

    def second(self, around: Surroundings, gross_flow: float) -> FlowEvent | None:
        """gross_flow: aggressive base coins of both sides in the last second."""
        s = self.settings
        passed = max(1, round((around.now_ns - self._at_ns) / S)) if self._at_ns else 1
        for _ in range(min(passed - 1, s.window_s)):  # seconds without any event
            self._net.append(0.0)
            self._gross.append(0.0)
            self._price.append(self._price[-1])
        self._at_ns = around.now_ns
        self._net.append(around.net_flow)
        self._gross.append(gross_flow)
        self._price.append(around.price)
        net, gross = sum(self._net), sum(self._gross)
        is_large = self._usual.count >= s.warm_s and abs(net) > self._usual.quantile(
            s.flow_quantile
        )
        self._usual.add(abs(net))
        if not is_large or gross <= 0.0 or abs(net) < s.one_sided * gross:
            return None
        side = 0 if net < 0.0 else 1
        fuel, depth = around.fuel[side], around.depth_usd[side]
        pushed = abs(net) * around.price
        if fuel is None or fuel.distance > s.reach or depth <= 0.0 or around.impact is None:
            return None
        if pushed < s.depth_share * depth or self._is_led(net, around.impact):
            return None
        if around.now_ns - self._last_ns[side] < s.cooldown_s * S:
            return None
        self._last_ns[side] = around.now_ns
        verb, who = ("Selling", "longs") if side == 0 else ("Buying", "shorts")
        return FlowEvent(
            at_ns=around.now_ns - s.window_s * S,
            kind=FlowEventKind.WHALE_PUSH,
            venue="all",
            price=around.price,
            is_bid=side == 0,  # sellers hit bids
            notional_usd=pushed,
            score=pushed / depth,
            duration_s=float(s.window_s),
            outcome="done",
            text=f"{verb} of {usd_words(pushed)} net in {s.window_s} s, {pushed / depth:.1f} times "
            f"what rests within 10 bp, towards {usd_words(fuel.notional_usd)} of {who} "
            f"{percent_words(fuel.distance)} away",
        )

    def _is_led(self, net: float, impact: float) -> bool:
        """The price is farther than this flow explains: something else moved it."""
        move = math.copysign(1.0, net) * (self._price[-1] - self._price[0])
        return move > self.settings.most_move * impact * abs(net)
