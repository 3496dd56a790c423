"""One fault scenario: a venue, its feed, an engine and a plan of faults, compared at every message.

The truth is kept by the venue's own counter (Hyperliquid: by its time), so that it can be said of
every book that the engine holds whether the venue ever had it, at the time the book claims.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence

import aiohttp
import msgspec

from liqfield.app.pipeline import Pipeline
from liqfield.book.ladder import ASK, BID
from liqfield.engine.engine import Engine
from liqfield.engine.instrument import InstrumentState
from liqfield.engine.outputs import Output
from liqfield.feeds.transport import Clock, NetTransport, Transport
from liqfield.feeds.venue_feed import VenueFeed
from liqfield.lab.market_setup import instrument
from liqfield.lab.quick_market import QuickMarket
from liqfield.lab.servers.desk import Desk
from liqfield.lab.servers.faults import SEQUENCE_OFFSET, FaultPlan
from liqfield.lab.servers.servers import PROTOCOLS
from liqfield.lab.servers.shell import VenueServer
from liqfield.model.events import BookDelta, BookSnapshot, Event, Frame, Gap, Record, Trade
from liqfield.model.requests import NeedSnapshot
from liqfield.model.sides import GapReason
from liqfield.venues import registry
from tests.lab.virtual import MemoryTransport, no_leaks

START_NS = 1_790_000_000_000_000_000
MS = 1_000_000
DEPTH = 20
# What a healthy client needs from the end of a fault: one connection attempt and one subscription
# with its snapshot, where nothing has to be found out by silence first. Hyperliquid's book comes
# with the subscription, else every 5 s.
MINIMUM_S = {"binance": 1.5, "bybit": 1.5, "okx": 1.5, "hyperliquid": 5.0}


class Outcome(msgspec.Struct, tag=True):
    """What a scenario showed. back_s: seconds from the end of the last fault to a live book."""

    seed: int
    venue: str
    kinds: tuple[str, ...]
    compared: int = 0
    wrong: int = 0
    back_s: float = -1.0
    allowed_s: float = 0.0
    losses: int = 0
    gaps: int = 0
    lost_trades: int = 0
    repaired_trades: int = 0
    doubled_trades: int = 0
    decode_errors: int = 0
    connects: int = 0
    requests: int = 0
    problem: str = ""


class Scenario:
    """`await run()` gives the outcome. step_ms: of the market; settle_s: what is waited at most."""

    def __init__(
        self,
        venue: str,
        plan: FaultPlan,
        *,
        step_ms: int = 200,
        trades: float = 1.0,
        max_age_s: float = 86_000.0,
    ) -> None:
        self.max_age_s = max_age_s
        of = instrument(venue, "BTC")
        self.of = of
        self.plan = plan
        self.step_s = step_ms / 1e3
        self.market = QuickMarket(
            [(of, 84_000.0)],
            start_ns=START_NS,
            step_ms=step_ms,
            levels=25,
            changes=6.0,
            trades=trades,
            seed=plan.seed,
        )
        self.protocol = PROTOCOLS[venue](self.market)
        self.desk = Desk(self.protocol, plan)
        self.venue = registry.VENUES[venue]()
        self.engine = Engine({venue: self.venue.book_rule}, frozenset({"BTC"}))
        self.pipeline = Pipeline(
            self.engine,
            {venue: self.venue},
            on_events=self._observe,
            on_malformed=lambda frame: self.feed.malformed(frame),
        )
        self.outcome = Outcome(plan.seed, venue, tuple(f.kind for f in plan.faults))
        self.truth: dict[int, tuple[list[tuple[int, float]], list[tuple[int, float]]]] = {}
        self.before: dict[int, tuple[list[tuple[int, float]], list[tuple[int, float]]]] = {}
        self.gaps: Counter[str] = Counter()
        self.sent: dict[str, int] = {}  # trade id -> step it was broadcast in
        self.sizes: dict[str, float] = {}  # trade id -> base coins
        self.signed: dict[str, float] = {}  # trade id -> base coins, bought > 0
        self.got: Counter[str] = Counter()
        self.repaired: set[str] = set()  # those of `got` that a reply brought first
        self.canary: set[str] = set()  # trade ids on the connection of liquidations
        self.first_step = 0
        self._order: deque[int] = deque()
        self._step = 0
        self.transport = MemoryTransport({venue: self.desk})
        self.feed: VenueFeed

    async def run(self) -> Outcome:
        with no_leaks():
            await self._follow(self.transport, *(f"memory://{self.venue.name}",) * 2)
        if self.transport.open_sockets:
            self._fail(f"{self.transport.open_sockets} sockets are left open")
        self._account()
        return self.outcome

    async def run_on_sockets(self) -> Outcome:
        """The same over loopback, in real time: how long it takes depends on the machine."""
        server = VenueServer(self.protocol, self.plan)
        self.desk = server.desk
        rest_url, ws_url = await server.start()
        try:
            async with aiohttp.ClientSession() as session:
                await self._follow(NetTransport(session), rest_url, ws_url)
        finally:
            await server.stop()
        self._account()
        return self.outcome

    async def _follow(self, transport: Transport, rest_url: str, ws_url: str) -> None:
        loop = asyncio.get_running_loop()
        zero_s = loop.time()
        self.feed = VenueFeed(
            self.venue,
            self._sink,
            transport=transport,
            clock=Clock(loop.time, lambda: START_NS + int((loop.time() - zero_s) * 1e9)),
            rest_url=rest_url,
            ws_url=ws_url,
            seed=self.plan.seed,
        )
        self._advance()
        await self.feed.prepare(("BTC",))
        self.feed.follow([self.state.instrument])
        for connection in self.feed.connections:
            spec = connection.spec
            connection.spec = msgspec.structs.replace(spec, max_age_s=self.max_age_s)
        running = asyncio.create_task(self.feed.run())
        try:
            await self._live()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        if not running.cancelled():
            self._fail(f"the feed ended: {running.exception()!r}")

    @property
    def state(self) -> InstrumentState:
        return self.engine.markets["BTC"].instruments[self.of.id]

    # ---- the market's clock -------------------------------------------------------------------

    async def _live(self) -> None:
        """The faults, then until the book is live and recent again, or the patience is over."""
        end_s = self.plan.end_s
        ends = any(f.kind == "delist" for f in self.plan.faults)
        patience_s = self._allowed_s()
        self.outcome.allowed_s = patience_s
        while True:
            await asyncio.sleep(self.step_s)
            self._advance()
            past_s = self.desk.now_s - end_s
            if past_s < 0.0:
                continue
            # An instrument that has ended has nothing to come back to: that its last book is shown
            # now and then, between two silences, is no measure of how soon.
            if self.outcome.back_s < 0.0 and not ends and self._is_live():
                self.outcome.back_s = max(past_s, 0.0)
            if past_s > 3.0 and (self.outcome.back_s >= 0.0 or ends):
                return
            if past_s > 200.0:
                self._fail("not live again after 200 s")
                return

    def _allowed_s(self) -> float:
        """Twice the venue's minimum and what nobody can know earlier: silence, stated waits."""
        silent = {"silent", "half_open", "delay", "truncate", "drop"}
        wait_s = 0.0
        for fault in self.plan.faults:
            if fault.kind == "status":
                wait_s = max(wait_s, 0.5)  # stated waits are whole seconds
            if fault.kind in silent:
                # A book stream may be silent for twice what it usually is.
                wait_s = max(wait_s, 24.0 if self.venue.name == "hyperliquid" else 6.0)
        return 2.0 * (MINIMUM_S[self.venue.name] + wait_s)

    def _is_live(self) -> bool:
        sync = self.state.sync
        recent = list(self._order)[-self._recent() :]
        return sync.ladder is not None and any(key in recent for key in self._keys())

    def _recent(self) -> int:
        return int(6.0 / self.step_s) if self.venue.name == "hyperliquid" else 3

    def _advance(self) -> None:
        self._step += 1
        self.market.storm = self.desk.storm
        steps = self.market.advance(self.market.now_ns + int(self.step_s * 1e9))
        self.desk.tick(self.market.now_ns)
        messages = self.protocol.step(list(steps.values()), self.market.now_ns)
        self._note()
        for step in steps.values():
            if not self._has_ended:
                trades = zip(
                    step.trades.trade_id.tolist(), step.trades.quantity.tolist(), strict=True
                )
                for (number, quantity), is_buy in zip(
                    trades, step.trades.is_buy.tolist(), strict=True
                ):
                    self.sent[str(number)] = self._step
                    self.sizes[str(number)] = quantity
                    self.signed[str(number)] = quantity if is_buy else -quantity
        self.desk.broadcast(messages)

    @property
    def _has_ended(self) -> bool:
        ended: set[str] = getattr(self.protocol, "_ended", set())
        return self.of.symbol in ended

    def _counter(self) -> int:
        """The venue's own counter now."""
        name, symbol = self.venue.name, self.of.symbol
        if name == "hyperliquid":
            return self.market.now_ns // MS
        counters: dict[str, int] = getattr(self.protocol, "_seq" if name == "okx" else "_u")
        return counters[symbol]

    def _note(self) -> None:
        book = self.market.book(self.of.id)
        sides = tuple(
            list(zip(ticks[:DEPTH].tolist(), sizes[:DEPTH].tolist(), strict=True))
            for ticks, sizes in (
                (book.bid_ticks, book.bid_quantity),
                (book.ask_ticks, book.ask_quantity),
            )
        )
        key = self._counter()
        restarted = self.venue.name == "bybit" and key <= 1
        if restarted:
            self.before = dict(self.truth)
            self.truth.clear()
            self._order.clear()
        self.truth[key] = (sides[0], sides[1])
        self._order.append(key)
        if len(self._order) > 3_000:
            self.truth.pop(self._order.popleft(), None)

    # ---- what the program does with it --------------------------------------------------------

    def _sink(self, record: Record) -> None:
        if isinstance(record, Gap):
            self.gaps[record.reason] += 1
        self._outputs(self.pipeline.consume([record]))

    def _outputs(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, NeedSnapshot):
                self.gaps["resync"] += 1
                self.feed.request_snapshot(output)

    def _observe(self, frame: Frame, events: Sequence[Event]) -> None:
        self.feed.observe(frame, events)
        has_book = False
        for event in events:
            if isinstance(event, BookSnapshot | BookDelta):
                has_book = True
            elif isinstance(event, Trade) and frame.source.endswith("#force"):
                self.first_step = self.first_step or self._step
                self.canary.add(event.trade_id)
            elif isinstance(event, Trade):
                self._trade(event, is_reply=frame.source.startswith("rest:"))
        if has_book:
            self._compare()

    def _trade(self, trade: Trade, *, is_reply: bool) -> None:
        if is_reply:
            # A page holds what the stream had brought as well; `volume` shows what is counted.
            known = trade.trade_id in self.got or trade.trade_id in self.canary
            if known or not self._is_readable(trade):
                return
            self.outcome.repaired_trades += 1
            self.repaired.add(trade.trade_id)
        elif trade.trade_id in self.repaired:
            # The stream's own, only late: the engine knows it (tests/unit/engine/test_market.py).
            self.repaired.discard(trade.trade_id)
            return
        self.first_step = self.first_step or self._step
        self.got[trade.trade_id] += 1
        if self.venue.name == "okx":  # where sizes are contracts
            true = self.sizes[trade.trade_id.rpartition("-")[2]]
            if abs(trade.quantity - true) > 1e-9 * true:
                self.outcome.wrong += 1
                self._fail(f"at {self.desk.now_s:.1f} s: a trade of {true} read {trade.quantity}")

    def _is_readable(self, trade: Trade) -> bool:
        """Within a hole that the engine knows: it takes no other trades of a reply."""
        holes = self.state.holes
        return any(begin_ns <= trade.event_ns <= end_ns for begin_ns, end_ns in holes)

    @property
    def volume(self) -> float:
        """Bought minus sold as the engine counts it, base coins."""
        market = self.engine.markets["BTC"]
        market.flow(self.market.now_ns)  # whoever looks has waiting trades folded
        return sum(market.analytics.flow.delta.totals().values())

    @property
    def true_volume(self) -> float:
        """The same of the market, since the step of the first trade that was heard."""
        return sum(self.signed[k] for k, step in self.sent.items() if step >= self.first_step)

    def _heard(self) -> set[str]:
        """Numbers of the market's trades that came; Binance tells of aggregates instead."""
        keys = self.canary | self.got.keys()
        if self.venue.name == "bybit":
            return {str(int(key.partition("-")[0], 16)) for key in keys}
        return {key.rpartition("-")[2] for key in keys}

    def _keys(self) -> list[int]:
        """What the book's own stamp may mean: a venue whose clock is off tells other times."""
        sync = self.state.sync
        if self.venue.name == "hyperliquid":
            skews = [f.amount for f in self.plan.faults if f.kind == "skew"]
            told = sync.event_ns // MS
            return [told - round(shift * 1e3) for shift in (0.0, *skews, sum(skews))]
        key = sync.sequence
        return [key - SEQUENCE_OFFSET if key >= SEQUENCE_OFFSET else key]

    def _compare(self) -> None:
        """Safety: the book is the venue's own of the moment it claims, or there is none."""
        sync = self.state.sync
        if sync.ladder is None or self._has_ended:
            return
        self.outcome.compared += 1
        # After a restart of its counters a venue may still repeat a book of before (old_snapshot).
        keys = self._keys()
        candidates = [
            truth[key] for truth in (self.truth, self.before) for key in keys if key in truth
        ]
        if not any(self._is_true(candidate) for candidate in candidates):
            self.outcome.wrong += 1
            what = "is not the venue's" if candidates else "never was"
            self._fail(f"at {self.desk.now_s:.1f} s: the book at {keys[0]} {what}")

    def _is_true(self, truth: tuple[list[tuple[int, float]], list[tuple[int, float]]]) -> bool:
        ladder = self.state.sync.ladder
        assert ladder is not None
        finer = round(self.of.tick_usd / self.state.instrument.tick_usd)
        for side, rows in ((BID, truth[0]), (ASK, truth[1])):
            ticks, sizes = ladder.top(side, DEPTH)
            ticks = ticks // finer
            if len(ticks) != len(rows) or not all(
                t == wt and abs(q - wq) <= 1e-9 * max(wq, 1.0)
                for t, q, (wt, wq) in zip(ticks.tolist(), sizes.tolist(), rows, strict=True)
            ):
                return False
        return True

    # ---- the account --------------------------------------------------------------------------

    def _fail(self, why: str) -> None:
        self.outcome.problem = self.outcome.problem or why

    def _account(self) -> None:
        out = self.outcome
        out.losses = self.state.sync.losses
        out.gaps = sum(self.gaps.values())
        out.decode_errors = self.pipeline.decode_errors
        out.connects, out.requests = self.desk.connects, self.desk.requests
        if out.back_s >= 0.0 and out.back_s > out.allowed_s:
            self._fail(f"live again only after {out.back_s:.1f} s, allowed {out.allowed_s:.1f} s")
        told = sum(self.gaps[r] for r in GapReason if r is not GapReason.CONNECT)
        told += self.gaps["resync"] + max(self.gaps[GapReason.CONNECT] - 3, 0)
        if out.losses and not told:
            self._fail("a book was lost and no gap tells of it")
        out.doubled_trades = sum(count > 1 for count in self.got.values())
        out.lost_trades = self._lost_trades()
        # Where trade ids do not count, nobody can see that the venue left one out; where books do
        # not count either, nor that it said nothing for less than the usual silence.
        is_blind = "drop" in out.kinds and self.venue.name != "binance"
        if self.venue.name == "hyperliquid":
            is_blind |= bool({"silent", "half_open"} & set(out.kinds))
            # A message held back until the next one stays away where none comes any more.
            is_blind |= {"reorder", "delist"} <= set(out.kinds)
        if out.lost_trades and not told and not is_blind:
            self._fail(f"{out.lost_trades} trades were lost and no gap tells of it")
        if out.doubled_trades and "duplicate" not in out.kinds:
            self._fail(f"{out.doubled_trades} trades came twice")

    def _lost_trades(self) -> int:
        """Trades of the market that never came, since the first that did."""
        name = self.venue.name
        if name == "binance":  # aggregates: their ids count without holes
            numbers = [int(key) for key in self.canary | self.got.keys()]
            return max(numbers) - min(numbers) + 1 - len(numbers) if numbers else 0
        got = self._heard()
        first = min((self.sent[key] for key in got), default=0)
        return sum(step > first and key not in got for key, step in self.sent.items())
