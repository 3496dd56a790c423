"""Agents that do on purpose what readings of the order flow look for, and look-alikes that do not.

    market = StagedMarket(LabMarket(spec, seed), [Layerer(...), Flipper(...)])

Used as the market itself; the plays are in `agent_events`. A play is drawn when it begins: a list
of moments and actions. None of its numbers is a threshold of a reading.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import numpy as np

from liqfield.lab import market_state as ms
from liqfield.lab.market import LabMarket, join_steps
from liqfield.lab.market_book import end_wall, level, stand
from liqfield.lab.market_positions import whole
from liqfield.lab.market_types import AgentEvent, InstrumentStep
from liqfield.model.events import IntArray
from liqfield.model.jit import kernel

S = 1_000_000_000
FOREVER_NS = 1 << 62
WALL = 4  # W_KIND of orders that stand here


@kernel
def place_order(xi: IntArray, tick: int, is_bid: bool, lots: int) -> int:
    """The slot of a large resting order that a script places; -1: none, or the price is there."""
    for k in range(ms.WALLS):
        if xi[ms.W_KIND + k] == 0:
            ok = stand(xi, whole(k), whole(WALL), tick, is_bid, lots, lots, whole(FOREVER_NS))
            return k if ok else -1
    return -1


@kernel
def withdraw_order(xi: IntArray, k: int) -> int:
    """Take a script's order out of the book; lots that were left of it."""
    left = int(min(xi[ms.W_LEFT + k], abs(level(xi, xi[ms.W_TICK + k]))))
    end_wall(xi, k, whole(7), left)
    return left


class Resting(msgspec.Struct, frozen=True):
    """An order of a script: its slot, when and where it began, lots."""

    slot: int
    start_ns: int
    tick: int
    lots: int


class Desk:
    """What an outsider can do on one instrument. Sizes in lots; `depth` lots rest within 10 bp."""

    def __init__(self, market: LabMarket, instrument_id: str) -> None:
        self.id = instrument_id
        self._xf, self._xi = market.venue_state(instrument_id)

    @property
    def depth(self) -> float:
        return float(self._xf[ms.D10])

    @property
    def mid(self) -> float:
        """In ticks."""
        return 0.5 * float(self._xi[ms.BEST_BID] + self._xi[ms.BEST_ASK])

    def price(self, tick: float) -> float:
        return tick * float(self._xf[ms.TICK])

    def coins(self, lots: float) -> float:
        return lots * float(self._xf[ms.LOT])

    def take(self, sign: int, lots: float) -> None:
        """A market order in the next step, +1 buys; several add up."""
        self._xi[ms.OUTSIDE] += sign * int(lots)

    def place(self, tick: int, is_bid: bool, lots: float) -> Resting | None:
        """A large resting order; None where it cannot stand."""
        slot = place_order(self._xi, tick, is_bid, max(int(lots), 1))
        if slot < 0:
            return None
        start_ns = int(self._xi[ms.W_START + slot])
        return Resting(slot, start_ns, tick, max(int(lots), 1))

    def withdraw(self, order: Resting) -> float:
        """The share of it that was left; 0 = it is gone already."""
        k, xi = order.slot, self._xi
        is_mine = (
            xi[ms.W_KIND + k] == WALL
            and xi[ms.W_START + k] == order.start_ns
            and xi[ms.W_TICK + k] == order.tick
        )
        return withdraw_order(xi, k) / order.lots if is_mine else 0.0


class Actor(Protocol):
    events: list[AgentEvent]

    def act(self, now_ns: int) -> None: ...


Action = Callable[[int], None]


class Player:
    """Plays one play after another on a desk, with pauses of `pause_s` on average."""

    def __init__(self, desk: Desk, seed: int, start_ns: int, pause_s: float) -> None:
        self.desk = desk
        self.events: list[AgentEvent] = []
        self.rng = np.random.default_rng(seed)
        self._pause_s = pause_s
        self._todo: list[tuple[int, Action]] = []
        self._next_ns = start_ns + self._pause()

    def _pause(self) -> int:
        return round(self.rng.exponential(self._pause_s) * S)

    def act(self, now_ns: int) -> None:
        """Do what is due."""
        if not self._todo and now_ns >= self._next_ns:
            self._todo = sorted(self.play(now_ns), key=lambda pair: pair[0])
        while self._todo and self._todo[0][0] <= now_ns:
            self._todo.pop(0)[1](now_ns)
            if not self._todo:
                self._next_ns = now_ns + self._pause()

    def play(self, now_ns: int) -> list[tuple[int, Action]]:
        """Moments and actions of the next play."""
        raise NotImplementedError

    def within(self, begin_s: float, end_s: float) -> int:
        """A moment between two, ns."""
        return round(self.rng.uniform(begin_s, end_s) * S)

    def note(
        self,
        kind: str,
        start_ns: int,
        end_ns: int,
        first: float,
        last: float,
        lots: float,
        bid: bool,
    ) -> None:
        """Ground truth; first, last: ticks."""
        d = self.desk
        row = AgentEvent(
            kind, d.id, start_ns, end_ns, d.price(first), d.price(last), d.coins(lots), bid
        )
        self.events.append(row)


class Layerer(Player):
    """Three to five like orders close together, placed together; every second time they are also
    withdrawn together (layering), else one after another (no layering)."""

    def play(self, now_ns: int) -> list[tuple[int, Action]]:
        rng, desk = self.rng, self.desk
        is_bid, is_layer = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
        count, hold_s = int(rng.integers(3, 6)), float(rng.uniform(4.0, 20.0))
        away, span = float(rng.uniform(5e-4, 15e-4)), float(rng.uniform(1e-4, 6e-4))
        size = desk.depth * 0.25 * math.exp(0.6 * rng.standard_normal())  # as other walls
        sign = -1.0 if is_bid else 1.0
        places = {round(desk.mid * (1 + sign * (away + span * rng.random()))) for _ in range(count)}
        orders: list[Resting] = []
        kept: list[float] = []
        last_s = 1.0 if is_layer else 6.0 * len(places)

        def put(tick: int) -> Action:
            lots = size * math.exp(0.015 * rng.standard_normal())

            def go(_: int) -> None:
                order = desk.place(tick, is_bid, lots)
                if order is not None:
                    orders.append(order)

            return go

        def pull(_: int) -> None:
            if orders:
                kept.append(desk.withdraw(orders.pop(0)))

        def end(at_ns: int) -> None:
            whole_ones = sum(share > 0.8 for share in kept)
            if is_layer and whole_ones >= 3:
                low, high = min(places), max(places)
                self.note("layering", now_ns, at_ns, low, high, size * whole_ones, is_bid)

        todo: list[tuple[int, Action]] = [
            (now_ns + self.within(0.0, 2.2), put(tick)) for tick in places
        ]
        gone_ns = now_ns + round((2.2 + hold_s) * S)
        moments = np.sort(rng.uniform(0.0, 2.2 * last_s, len(places)))
        todo += [(gone_ns + round(x * S), pull) for x in moments]
        return [*todo, (gone_ns + round((2.3 * last_s) * S), end)]


class Flipper(Player):
    """A large order that is withdrawn; every second time its owner then trades into that side (a
    bid withdrawn and sold: flip), else nothing follows."""

    def play(self, now_ns: int) -> list[tuple[int, Action]]:
        rng, desk = self.rng, self.desk
        is_bid, is_flip = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
        sign = -1 if is_bid else 1
        tick = round(desk.mid * (1 + sign * float(rng.uniform(3e-4, 12e-4))))
        lots = desk.depth * 0.25 * math.exp(0.6 * rng.standard_normal())
        taken = lots * float(rng.uniform(0.3, 1.5))
        orders: list[Resting] = []
        kept: list[float] = []

        def put(_: int) -> None:
            order = desk.place(tick, is_bid, lots)
            if order is not None:
                orders.append(order)

        def pull(_: int) -> None:
            if orders:
                kept.append(desk.withdraw(orders[0]))

        def take(_: int) -> None:
            desk.take(sign, taken / 4.0)

        def end(_: int) -> None:
            if is_flip and kept and kept[0] > 0.8:
                self.note("flip", orders[0].start_ns, gone_ns, tick, tick, taken, is_bid)

        gone_ns = now_ns + round(rng.uniform(5.0, 20.0) * S)
        todo: list[tuple[int, Action]] = [(now_ns, put), (gone_ns, pull)]
        if is_flip:
            todo += [(gone_ns + self.within(-0.5, 2.2), take) for _ in range(4)]
        return [*todo, (gone_ns + round(2.3 * S), end)]


class Pusher(Player):
    """Sells or buys one-sidedly for 6 to 25 s, half to twelve times what rests within 10 bp,
    towards the side that `aim` names (0 longs below, 1 shorts above)."""

    def __init__(
        self, desk: Desk, seed: int, start_ns: int, pause_s: float, aim: Callable[[], int]
    ) -> None:
        super().__init__(desk, seed, start_ns, pause_s)
        self._aim = aim

    def play(self, now_ns: int) -> list[tuple[int, Action]]:
        rng, desk = self.rng, self.desk
        side = self._aim()
        sign = -1 if side == 0 else 1
        seconds = float(rng.uniform(6.0, 25.0))
        lots = desk.depth * math.exp(rng.uniform(math.log(0.5), math.log(12.0)))
        first = desk.mid
        moments = np.sort(rng.uniform(0.0, seconds, round(4 * seconds)))

        def take(_: int) -> None:
            desk.take(sign, lots / len(moments))

        def end(at_ns: int) -> None:
            self.note("whale_push", now_ns, at_ns, first, desk.mid, lots, side == 0)

        todo: list[tuple[int, Action]] = [(now_ns + round(x * S), take) for x in moments]
        return [*todo, (now_ns + round(seconds * S) + 1, end)]


class StagedMarket:
    """A market with scripted agents, who act once every fine step."""

    def __init__(self, market: LabMarket, actors: Sequence[Actor]) -> None:
        self.market = market
        self.actors = actors
        self._step_ns = market.spec.fine_step_ms * 1_000_000

    def __getattr__(self, name: str) -> object:
        return getattr(self.market, name)

    def advance(self, until_ns: int) -> Mapping[str, InstrumentStep]:
        """As the market's; reports of the fine steps are joined."""
        parts: list[Mapping[str, InstrumentStep]] = []
        while True:
            for actor in self.actors:
                actor.act(self.market.now_ns)
            next_ns = min(self.market.now_ns + self._step_ns, until_ns)
            parts.append(self.market.advance(next_ns))
            if self.market.now_ns + self._step_ns > until_ns:
                break
        if len(parts) == 1:
            return parts[0]
        return {key: join_steps([part[key] for part in parts]) for key in parts[0]}

    def agent_events(self) -> Sequence[AgentEvent]:
        """Those of the market's own agents and of the scripts."""
        return [*self.market.agent_events(), *(e for actor in self.actors for e in actor.events)]
