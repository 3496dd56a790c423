"""Absorption: aggressive flow against one price that holds and refills, on one instrument.

Every second the last `window_s` seconds are judged, each side of the book for itself:
1. the aggressive volume into that side is at least its own recent `volume_quantile`;
2. the touch gave way beyond the level that took it by at most a row, or `move_share` of the move
   that the fitted impact expects of so much flow, whichever is more;
3. that level took at least `level_share` of it, and at least `refill_ratio` times the most that was
   ever shown there: it must have been filled up again. Venues publish no order ids, so a hidden
   or reloaded order is inference from sizes.
Holding for `confirm` seconds makes it an event; it ends broken when the level is traded through by
more than `break_rows` rows, held when no more than a trickle comes for `quiet_s` seconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import msgspec

from liqfield.flow.imbalance import Top
from liqfield.model.analytics import FlowEvent, FlowEventKind
from liqfield.model.quantile import DecayedQuantile
from liqfield.model.words import usd_words


class AbsorptionSettings(msgspec.Struct, frozen=True):
    """Relative to the instrument's own past, so one set serves deep and thin markets."""

    window_s: int = 10
    row_share: float = 0.00002  # of the price; a row is at least a tick
    volume_quantile: float = 0.75
    memory_s: float = 3600.0  # half-life of that quantile
    warm_s: int = 120  # no verdict before
    move_share: float = 0.25
    level_share: float = 0.7
    refill_ratio: float = 2.0
    confirm: int = 2
    break_rows: int = 2
    quiet_s: int = 15


class Second:
    """What happened in one second. Rows of price; base coins.

    hit: [bid side, ask side] row -> aggressive volume; shown: row -> most displayed at the touch;
    volumes: sums of `hit`, once it is over.
    """

    __slots__ = ("high", "hit", "low", "shown", "volumes")

    def __init__(self) -> None:
        self.hit: tuple[dict[int, float], dict[int, float]] = ({}, {})
        self.shown: tuple[dict[int, float], dict[int, float]] = ({}, {})
        self.volumes = (0.0, 0.0)
        self.low, self.high = math.inf, -math.inf


class Standing(msgspec.Struct):
    """An absorption under way."""

    started_ns: int
    last_hit_ns: int
    row: int
    volume: float
    score: float
    count: int = 1  # seconds that met the conditions


class AbsorptionDetector:
    """One instrument. `on_trade` and `on_top` as they come; `second` once a second of the clock."""

    def __init__(
        self, venue: str, tick_usd: float, settings: AbsorptionSettings | None = None
    ) -> None:
        self.venue = venue
        self.settings = settings or AbsorptionSettings()
        self._tick_usd = tick_usd
        self._row_usd = 0.0
        self._seconds: deque[Second] = deque(maxlen=self.settings.window_s)
        self._now = Second()
        self._price, self._row = 0.0, 0  # of the last trade
        self._touch = [0.0, 0.0]  # best bid, best ask
        self._touch_rows = [-1, -1]  # where they are; -1 = not looked up yet
        memory = self.settings.memory_s
        self._usual = (DecayedQuantile(memory), DecayedQuantile(memory))
        self._standing: list[Standing | None] = [None, None]

    # ---- facts --------------------------------------------------------------------------------

    @property
    def has_rows(self) -> bool:
        """Rows are laid out by the first trade; tops before it are only remembered."""
        return self._row_usd > 0.0

    def on_trade(self, price: float, signed: float) -> None:
        """signed: base coins, bought > 0. Sells hit the bid side (0), buys the ask side (1)."""
        if self._row_usd <= 0.0:
            self._row_usd = max(self._tick_usd, self.settings.row_share * price)
        now = self._now
        if price != self._price:  # most trades are at the price of the one before
            self._price, self._row = price, math.floor(price / self._row_usd + 1e-9)
        row = self._row
        if signed > 0.0:
            hit = now.hit[1]
            hit[row] = hit.get(row, 0.0) + signed
        else:
            hit = now.hit[0]
            hit[row] = hit.get(row, 0.0) - signed
        if price < now.low:
            now.low = price
        if price > now.high:
            now.high = price

    def on_top(self, bid: float, bid_quantity: float, ask: float, ask_quantity: float) -> None:
        """The best quotes now."""
        self.on_tops(((bid, bid_quantity, ask, ask_quantity),))

    def on_tops(self, tops: Sequence[Top]) -> None:
        """`on_top` for many in a row, at least one."""
        touch, width, rows = self._touch, self._row_usd, self._touch_rows
        if width <= 0.0:
            touch[0], _, touch[1], _ = tops[-1]
            return
        bids, asks = self._now.shown
        old_bid, old_ask = touch
        bid_row, ask_row = rows
        most_bid, most_ask = bids.get(bid_row, 0.0), asks.get(ask_row, 0.0)
        # Most quotes change sizes alone.
        for bid, bid_quantity, ask, ask_quantity in tops:
            if bid != old_bid or bid_row < 0:
                old_bid, bid_row = bid, math.floor(bid / width + 1e-9)
                most_bid = bids.get(bid_row, 0.0)
            if ask != old_ask or ask_row < 0:
                old_ask, ask_row = ask, math.floor(ask / width + 1e-9)
                most_ask = asks.get(ask_row, 0.0)
            if bid_quantity > most_bid:
                bids[bid_row] = most_bid = bid_quantity
            if ask_quantity > most_ask:
                asks[ask_row] = most_ask = ask_quantity
        touch[0], touch[1] = old_bid, old_ask
        rows[0], rows[1] = bid_row, ask_row

    def reset(self) -> None:
        """After a loss of trades or quotes: what was seen of the window says nothing any more."""
        self._seconds.clear()
        self._now = Second()
        self._touch, self._touch_rows = [0.0, 0.0], [-1, -1]
        self._standing = [None, None]

    # ---- verdicts -----------------------------------------------------------------------------

    def second(self, now_ns: int, impact: float | None, elapsed: int = 1) -> list[FlowEvent]:
        """Close the second that ends now; returns events that began (running) or ended.

        impact: USD per base coin of aggressive flow, None while it is not fitted: then a row is
        all that a level may give way. elapsed: seconds since the last call; silent seconds move
        the window on.
        """
        ended = self._now
        ended.volumes = sum(ended.hit[0].values()), sum(ended.hit[1].values())
        self._seconds.append(ended)
        for _ in range(min(elapsed - 1, self.settings.window_s)):
            self._seconds.append(Second())
        self._now = Second()
        events: list[FlowEvent] = []
        volumes = [sum([second.volumes[side] for second in self._seconds]) for side in (0, 1)]
        for side in (0, 1):
            standing = self._standing[side]
            if standing is not None:
                events += self._follow(side, standing, ended, now_ns)
            self._judge(side, volumes, impact, now_ns, events)
            self._usual[side].add(volumes[side])
        return events

    def running(self, now_ns: int) -> list[FlowEvent]:
        """Absorptions that are confirmed and have not ended."""
        return [
            self._event(side, standing, now_ns, "running")
            for side, standing in enumerate(self._standing)
            if standing is not None and standing.count >= self.settings.confirm
        ]

    def _judge(
        self,
        side: int,
        volumes: list[float],
        impact: float | None,
        now_ns: int,
        events: list[FlowEvent],
    ) -> None:
        s = self.settings
        usual = self._usual[side]
        if usual.count < s.warm_s:
            return
        if volumes[side] <= 0.0 or volumes[side] < usual.quantile(s.volume_quantile):
            return
        found = self._level(side, volumes[side])
        if found is None:
            return
        row, taken, shown = found
        level = (row + side) * self._row_usd
        touch = self._touch[side]
        if touch <= 0.0:
            return
        away = level - touch if side == 0 else touch - level
        expected = max(impact or 0.0, 0.0) * taken
        if away > max(s.move_share * expected, self._row_usd):
            return
        score = taken / shown
        standing = self._standing[side]
        if standing is not None and abs(standing.row - row) <= s.break_rows:
            standing.count += 1
            standing.score = max(standing.score, score)
            if standing.count == s.confirm:
                events.append(self._event(side, standing, now_ns, "running"))
        elif standing is None:
            begun = now_ns - s.window_s * 1_000_000_000
            self._standing[side] = Standing(begun, now_ns, row, taken, score)

    def _level(self, side: int, volume: float) -> tuple[int, float, float] | None:
        """(row, volume, most shown) of the level that took the flow and was refilled, or None."""
        s = self.settings
        hit: dict[int, float] = {}
        shown: dict[int, float] = {}
        for second in self._seconds:
            for row, coins in second.hit[side].items():
                hit[row] = hit.get(row, 0.0) + coins
            for row, coins in second.shown[side].items():
                if coins > shown.get(row, 0.0):
                    shown[row] = coins
        row = max(hit, key=lambda r: (hit[r], r))
        taken = hit[row]
        # What stood at the level's own row; unseen means that it was never the touch.
        most = shown.get(row, 0.0)
        if taken < s.level_share * volume or most <= 0.0 or taken < s.refill_ratio * most:
            return None
        return row, taken, most

    def _follow(self, side: int, standing: Standing, ended: Second, now_ns: int) -> list[FlowEvent]:
        s = self.settings
        near = range(standing.row - 1, standing.row + 2)
        came = sum(ended.hit[side].get(row, 0.0) for row in near)
        standing.volume += came
        if came > 0.0:
            standing.last_hit_ns = now_ns
        slack = s.break_rows * self._row_usd
        level = standing.row * self._row_usd
        touch = self._touch[side]
        if side == 0:
            is_broken = min(ended.low, touch or math.inf) < level - slack
        else:
            is_broken = max(ended.high, touch) > level + self._row_usd + slack
        is_quiet = now_ns - standing.last_hit_ns > s.quiet_s * 1_000_000_000
        if not is_broken and not is_quiet:
            return []
        self._standing[side] = None
        if standing.count < s.confirm:
            return []
        return [self._event(side, standing, now_ns, "broken" if is_broken else "held")]

    def _event(self, side: int, standing: Standing, now_ns: int, outcome: str) -> FlowEvent:
        price = (standing.row + 0.5) * self._row_usd
        usd = standing.volume * price
        until_ns = standing.last_hit_ns if outcome == "held" else now_ns
        flow, book = ("selling", "bid") if side == 0 else ("buying", "ask")
        words = {
            "running": "is being absorbed by",
            "held": "was absorbed by",
            "broken": "broke through after",
        }
        return FlowEvent(
            at_ns=standing.started_ns,
            kind=FlowEventKind.ABSORPTION,
            venue=self.venue,
            price=price,
            is_bid=side == 0,
            notional_usd=usd,
            score=min(standing.score, 99.0),
            duration_s=(until_ns - standing.started_ns) / 1e9,
            outcome=outcome,
            text=f"{usd_words(usd)} of {flow} {words[outcome]} the {book} at {price:,.6g}",
        )
