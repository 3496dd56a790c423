"""Whale push: one-sided aggressive flow into a thin path towards a cluster, pooled over venues."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from liqfield.cascade.tracker import Surroundings
from liqfield.model.analytics import FlowEvent, FlowEventKind
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import direct, kernel
from liqfield.model.quantile import DecayedQuantile, add_value, count_of, quantile_of
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


# Rows of the last seconds: base coins, net and in all, and the pooled price.
NET, GROSS, PRICE = range(3)


@kernel
def add_flow(
    rows: FloatArray,
    written: IntArray,
    past: FloatArray,
    passed: int,
    net: float,
    gross: float,
    price: float,
    share: float,
    warm: int,
) -> tuple[float, float, float, bool]:
    """Write a second, `passed` after the last one, to rows float64[3, window + 1], a ring of which
    written[0] were used; sums are of the window, prices reach a second farther back.

    past: table of the net sums' sizes so far. Returns the sums of net and gross, the move of the
    price, and whether the net sum is beyond the quantile `share` of its past, known from `warm` on.
    """
    room = rows.shape[1]
    window = room - 1
    at = written[0]
    for _ in range(min(passed - 1, window) if at else 0):  # seconds without any event
        rows[NET, at % room] = rows[GROSS, at % room] = 0.0
        rows[PRICE, at % room] = rows[PRICE, (at - 1) % room]
        at += 1
    rows[NET, at % room], rows[GROSS, at % room], rows[PRICE, at % room] = net, gross, price
    at += 1
    written[0] = at
    nets, all_ = 0.0, 0.0
    for k in range(max(at - window, 0), at):
        nets += rows[NET, k % room]
        all_ += rows[GROSS, k % room]
    move = price - rows[PRICE, max(at - room, 0) % room]
    is_large = count_of(past) >= warm and abs(nets) > quantile_of(past, share)
    add_value(past, abs(nets))
    return nets, all_, move, is_large


class PushDetector:
    """`second` once a second with the same surroundings that the cascade tracker gets."""

    def __init__(self, settings: PushSettings | None = None) -> None:
        self.settings = settings or PushSettings()
        self._rows = np.zeros((3, self.settings.window_s + 1))
        self._written = np.zeros(1, np.int64)
        self._usual = DecayedQuantile(self.settings.memory_s)
        tables = self._rows, self._written, self._usual.table
        self._add = direct(add_flow, *tables, 0, *[0.0] * 4, 0)
        self._last_ns = [0, 0]
        self._at_ns = 0

    def second(self, around: Surroundings, gross_flow: float) -> FlowEvent | None:
        """gross_flow: aggressive base coins of both sides in the last second."""
        s = self.settings
        passed = max(1, round((around.now_ns - self._at_ns) / S))
        self._at_ns = around.now_ns
        net, gross, move, is_large = self._add(
            self._rows, self._written, self._usual.table, passed,
            around.net_flow, gross_flow, around.price, s.flow_quantile, s.warm_s,
        )  # fmt: skip
        if not is_large or gross <= 0.0 or abs(net) < s.one_sided * gross:
            return None
        side = 0 if net < 0.0 else 1
        fuel, depth = around.fuel[side], around.depth_usd[side]
        pushed = abs(net) * around.price
        if fuel is None or fuel.distance > s.reach or depth <= 0.0 or around.impact is None:
            return None
        if pushed < s.depth_share * depth or self._is_led(net, move, around.impact):
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

    def _is_led(self, net: float, move: float, impact: float) -> bool:
        """The price is farther than this flow explains: something else moved it."""
        way = math.copysign(1.0, net) * move
        return way > self.settings.most_move * impact * abs(net)
