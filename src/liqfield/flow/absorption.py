"""Absorption: aggressive flow against one price that holds and refills, on one instrument.

Every second the last `window_s` seconds are judged, each side of the book for itself:
1. the aggressive volume into that side is at least its own recent `volume_quantile`;
2. the touch gave way beyond the level that took it by at most a row, or `move_share` of the move
   that the fitted impact expects of so much flow, whichever is more;
3. that level took at least `level_share` of it, and what it took, times its share to the power of
   `level_power`, is at least `refill_ratio` times the most that was ever shown there: it must have
   been filled up again, the more often the less of the flow went there. Venues publish no order
   ids, so a hidden or reloaded order is inference from sizes.
Meeting all of it `confirm` times makes it an event; it ends broken when the level is traded through
by more than `break_rows` rows, held when no more than a trickle comes for `quiet_s` seconds.
"""

from __future__ import annotations

import math
from typing import cast

import msgspec
import numpy as np

from liqfield.flow.rows import BEGIN, END, FIGURES, ROOM, RowWindow, has_room, most_at, place
from liqfield.model.analytics import FlowEvent, FlowEventKind
from liqfield.model.events import FloatArray, IntArray
from liqfield.model.jit import direct, floats_at, inlined, inner_kernel, kernel
from liqfield.model.quantile import DecayedQuantile, add_value, count_of, quantile_of
from liqfield.model.tape import TradeTape, slot, tape_columns
from liqfield.model.words import usd_words


class AbsorptionSettings(msgspec.Struct, frozen=True):
    """Relative to the instrument's own past, so one set serves deep and thin markets."""

    window_s: int = 10
    row_share: float = 0.00002  # of the price; a row is at least a tick
    volume_quantile: float = 0.65
    memory_s: float = 3600.0  # half-life of that quantile
    warm_s: int = 120  # no verdict before
    move_share: float = 0.25
    level_share: float = 0.3
    level_power: float = 3.0
    refill_ratio: float = 2.5
    confirm: int = 1
    break_rows: int = 4
    quiet_s: int = 15


# Words of `facts`: height of a row (0 = not laid out), lowest and highest price of the second; base
# coins of the running second, net and in all, and net of the window that the owner closes; best bid
# and ask of the newest quote (0 = none).
ROW, LOW, HIGH, NET, GROSS, WINDOW, BID, ASK = range(8)


@kernel
def add_hits(
    tape: IntArray,
    first: int,
    last: int,
    number: int,
    least_row: float,
    row_share: float,
    facts: FloatArray,
    hits: IntArray,
) -> int:
    """Add an instrument's trades of [first, last) to the running second's rows of either side.

    hits: words of a `RowWindow`. Returns the trade where it stopped for want of room.
    """
    _, prices, sizes, numbers, mask = tape_columns(tape)
    for k in range(first, last):
        i = k & mask
        if numbers[i] != number:
            continue
        price, signed = prices[i], sizes[i]
        if facts[ROW] <= 0.0:
            facts[ROW] = max(least_row, row_share * price)
        if not has_room(hits):
            return k
        row = int(np.floor(price / facts[ROW] + 1e-9))
        coins, at = place(hits, 1 if signed > 0.0 else 0, row)
        coins[at] += abs(signed)
        facts[LOW], facts[HIGH] = min(facts[LOW], price), max(facts[HIGH], price)
        facts[NET] += signed
        facts[GROSS] += abs(signed)
        facts[WINDOW] += signed
    return last


@inlined
def show(
    facts: FloatArray, shown: IntArray, bid: float, bid_coins: float, ask: float, ask_coins: float
) -> None:
    """The best quotes now; shown: words of a `RowWindow` that has room, of the most displayed."""
    facts[BID], facts[ASK] = bid, ask
    width = facts[ROW]
    if width <= 0.0:
        return
    if bid_coins > 0.0:
        most, at = place(shown, 0, int(np.floor(bid / width + 1e-9)))
        most[at] = max(most[at], bid_coins)
    if ask_coins > 0.0:
        most, at = place(shown, 1, int(np.floor(ask / width + 1e-9)))
        most[at] = max(most[at], ask_coins)


@kernel
def close_second(
    hits: IntArray,
    volumes: FloatArray,
    written: IntArray,
    silent: int,
    bids_past: FloatArray,
    asks_past: FloatArray,
    share: float,
    warm: int,
) -> tuple[float, float, bool, bool]:
    """The running second is over, and `silent` ones after it: coins of bids and of asks that the
    window took, and whether they are at least the quantile `share` of what it took before.

    hits: words of a `RowWindow`. volumes float64[2, window]: by side and second, a ring of which
    written[0] were used. Pasts: tables of their quantiles, known from `warm` values on.
    """
    room, window = hits[ROOM], volumes.shape[1]
    coins = floats_at(hits[FIGURES], (2, room))
    end = written[0] + 1
    reached = end + min(silent, window)
    for side in range(2):
        total = 0.0
        for k in range(hits[BEGIN + side], hits[END + side]):
            total += coins[side, k]
        volumes[side, (end - 1) % window] = total
        for k in range(end, reached):
            volumes[side, k % window] = 0.0
    written[0] = reached
    bids = asks = 0.0
    for k in range(max(reached - window, 0), reached):
        bids += volumes[0, k % window]
        asks += volumes[1, k % window]
    are_bids = is_much(bids_past, bids, share, warm)
    are_asks = is_much(asks_past, asks, share, warm)
    return bids, asks, are_bids, are_asks


@inner_kernel
def is_much(past: FloatArray, coins: float, share: float, warm: int) -> bool:
    """Whether there are any, and as many as the quantile of those before, to which they go now."""
    much = coins > 0.0 and count_of(past) >= warm and coins >= quantile_of(past, share)
    add_value(past, coins)
    return much


@kernel
def hardest_hit(rows: IntArray, coins: FloatArray) -> tuple[int, float]:
    """(row, coins) of the row with the most coins, the highest one of equals; rows may repeat."""
    keys, sums = np.empty(len(rows), np.int64), np.empty(len(rows))
    count, guess = 0, 0
    for k in range(len(rows)):
        guess = slot(keys, 0, count, rows[k], guess)
        if guess == count:
            keys[count], sums[count] = rows[k], 0.0
            count += 1
        sums[guess] += coins[k]
    best = 0
    for k in range(1, count):
        if sums[k] > sums[best] or (sums[k] == sums[best] and keys[k] > keys[best]):
            best = k
    return keys[best], sums[best]


class Standing(msgspec.Struct):
    """An absorption under way."""

    started_ns: int
    last_hit_ns: int
    row: int
    volume: float
    score: float
    count: int = 0  # seconds that met the conditions


class AbsorptionDetector:
    """One instrument: its trades on the tape, `on_top` as quotes come, `second` once a second."""

    def __init__(
        self,
        venue: str,
        tick_usd: float,
        tape: TradeTape,
        number: int,
        settings: AbsorptionSettings | None = None,
    ) -> None:
        self.venue = venue
        self.settings = settings or AbsorptionSettings()
        self._tick_usd = tick_usd
        self._tape, self._number, self._read = tape, number, tape.count
        self.facts = np.array([0.0, math.inf, -math.inf, 0.0, 0.0, 0.0, 0.0, 0.0])
        # The same memory: an element of it costs half of numpy's own.
        self._fact_words = cast("memoryview[float]", self.facts.data)
        window = self.settings.window_s
        self.hits, self.shown = RowWindow(window), RowWindow(window)
        hits = self.hits.words
        self._add = direct(add_hits, tape.words, 0, 0, 0, 0.0, 0.0, self.facts, hits)
        self._most_at = direct(most_at, hits, 0, 0, 0)
        # Coins of each of the last seconds, a ring of which so many were written.
        self._volumes, self._written = np.zeros((2, window)), np.zeros(1, np.int64)
        memory = self.settings.memory_s
        self._usual = (DecayedQuantile(memory), DecayedQuantile(memory))
        self._standing: list[Standing | None] = [None, None]
        pasts = self._usual[0].table, self._usual[1].table
        self._close = direct(close_second, hits, self._volumes, self._written, 0, *pasts, 0.0, 0)
        self._broken = [(0, 0), (0, 0)]  # row that broke last, and until when its flow is looked at

    # ---- facts --------------------------------------------------------------------------------

    def fold(self) -> None:
        """The trades on the tape that were not read yet. Sells hit the bid side (0), buys the ask
        side (1). The first one lays out the rows; tops before it are only remembered."""
        tape, s = self._tape, self.settings
        while self._read < tape.count:
            self._read = self._add(
                tape.words,
                self._read,
                tape.count,
                self._number,
                self._tick_usd,
                s.row_share,
                self.facts,
                self.hits.words,
            )
            if self._read < tape.count:
                self.hits.grow()

    @property
    def row_usd(self) -> float:
        """Height of a row, USD; 0 before the first trade."""
        return self._fact_words[ROW]

    @property
    def net(self) -> float:
        """Aggressive base coins of the running second, bought less sold."""
        return self._fact_words[NET]

    def take_second(self) -> tuple[float, float]:
        """(net, gross) aggressive base coins since it was last asked."""
        facts = self._fact_words
        net, gross = facts[NET], facts[GROSS]
        facts[NET] = facts[GROSS] = 0.0
        return net, gross

    def take_window(self) -> float:
        """Net aggressive base coins since it was last asked."""
        facts = self._fact_words
        net, facts[WINDOW] = facts[WINDOW], 0.0
        return net

    def reset(self) -> None:
        """After a loss of trades or quotes: what was seen of the window says nothing any more."""
        self.fold()
        facts = self._fact_words
        facts[LOW], facts[HIGH], facts[BID], facts[ASK] = math.inf, -math.inf, 0.0, 0.0
        self.hits.clear()
        self.shown.clear()
        self._written[0] = 0
        self._standing = [None, None]
        self._broken = [(0, 0), (0, 0)]

    # ---- verdicts -----------------------------------------------------------------------------

    def second(self, now_ns: int, impact: float | None, elapsed: int = 1) -> list[FlowEvent]:
        """Close the second that ends now; returns events that began (running) or ended.

        impact: USD per base coin of aggressive flow, None while it is not fitted: then a row is
        all that a level may give way. elapsed: seconds since the last call; silent seconds move
        the window on.
        """
        self.fold()
        s, silent = self.settings, elapsed - 1
        self.hits.count(silent)
        self.shown.count(silent)
        bids, asks, are_bids, are_asks = self._close(
            self.hits.words, self._volumes, self._written, silent,
            self._usual[0].table, self._usual[1].table, s.volume_quantile, s.warm_s,
        )  # fmt: skip
        events: list[FlowEvent] = []
        for side, volume, is_large in ((0, bids, are_bids), (1, asks, are_asks)):
            standing = self._standing[side]
            if standing is not None:
                events += self._follow(side, standing, now_ns)
            if is_large:
                self._judge(side, volume, impact, now_ns, events)
        self._fact_words[LOW], self._fact_words[HIGH] = math.inf, -math.inf
        self.hits.begin()
        self.shown.begin()
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
        volume: float,
        impact: float | None,
        now_ns: int,
        events: list[FlowEvent],
    ) -> None:
        """Of a side that met much flow."""
        s = self.settings
        found = self._level(side, volume)
        if found is None:
            return
        row, taken, shown = found
        row_usd = self.row_usd
        level = (row + side) * row_usd
        touch = self._fact_words[BID + side]
        if touch <= 0.0:
            return
        away = level - touch if side == 0 else touch - level
        expected = max(impact or 0.0, 0.0) * taken
        if away > max(s.move_share * expected, row_usd):
            return
        score = taken / shown
        standing = self._standing[side]
        if standing is None:
            broken, until_ns = self._broken[side]
            if now_ns < until_ns and abs(broken - row) <= s.break_rows:
                return  # what was absorbed before it broke
            begun = now_ns - s.window_s * 1_000_000_000
            standing = self._standing[side] = Standing(begun, now_ns, row, taken, score)
        elif abs(standing.row - row) > s.break_rows:
            return
        standing.count += 1
        standing.score = max(standing.score, score)
        if standing.count == s.confirm:
            events.append(self._event(side, standing, now_ns, "running"))

    def _level(self, side: int, volume: float) -> tuple[int, float, float] | None:
        """(row, volume, most shown) of the level that took the flow and was refilled, or None."""
        s = self.settings
        row, taken = hardest_hit(*self.hits.window(side))
        # What stood at the level's own row; unseen means that it was never the touch.
        most = self._most_at(self.shown.words, side, self.shown.first(side), row)
        share = taken / volume
        if share < s.level_share or most <= 0.0:
            return None
        if taken * math.pow(share, s.level_power) < s.refill_ratio * most:
            return None
        return row, taken, most

    def _follow(self, side: int, standing: Standing, now_ns: int) -> list[FlowEvent]:
        s = self.settings
        rows, coins = self.hits.running(side)
        hit = dict(zip(rows.tolist(), coins.tolist(), strict=True))
        came = sum(hit.get(row, 0.0) for row in range(standing.row - 1, standing.row + 2))
        standing.volume += came
        if came > 0.0:
            standing.last_hit_ns = now_ns
        row_usd, low, high = self.facts[: HIGH + 1].tolist()
        slack = s.break_rows * row_usd
        level = standing.row * row_usd
        touch = self._fact_words[BID + side]
        if side == 0:
            is_broken = min(low, touch or math.inf) < level - slack
        else:
            is_broken = max(high, touch) > level + row_usd + slack
        is_quiet = now_ns - standing.last_hit_ns > s.quiet_s * 1_000_000_000
        if not is_broken and not is_quiet:
            return []
        self._standing[side] = None
        if is_broken:
            self._broken[side] = standing.row, now_ns + s.window_s * 1_000_000_000
        if standing.count < s.confirm:
            return []
        return [self._event(side, standing, now_ns, "broken" if is_broken else "held")]

    def _event(self, side: int, standing: Standing, now_ns: int, outcome: str) -> FlowEvent:
        price = (standing.row + 0.5) * self.row_usd
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
