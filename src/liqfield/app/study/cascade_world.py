"""One built-in market that is pushed through cascades, its engine, and what really happened.

The truth is what the agents did (`LabMarket.agent_events`, `.prints`, quotes of every step); the
readings are what an engine says that sees only what the venues would send.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np

from liqfield.app.study.cascade_tape import START_NS, Ahead, Reading, S, Taped, Told, replay
from liqfield.app.study.lab_events import RULES, LabEvents
from liqfield.book.depth import SideDepth, side_depth
from liqfield.engine.analytics import MarketAnalytics
from liqfield.engine.flow import FlowSettings
from liqfield.engine.market import MarketEngine
from liqfield.engine.project import REACH, way_ahead
from liqfield.flow.absorption import AbsorptionDetector, AbsorptionSettings
from liqfield.flow.imbalance import TouchImbalance
from liqfield.flow.quotes import QuoteReader
from liqfield.lab.market import LabMarket
from liqfield.lab.market_setup import BASES, DEPTH_FACTOR, demo_spec
from liqfield.lab.market_types import AgentEvent, InstrumentStep, LeverageLaw, PositionLaw
from liqfield.model.analytics import CascadeOutlook, CascadeState, FlowEvent, FlowEventKind
from liqfield.model.estimates import SIDES
from liqfield.model.events import (
    BestQuote,
    BookDelta,
    BookSnapshot,
    Candle,
    FloatArray,
    IntArray,
    Listing,
    MarketEvent,
    OpenInterest,
    Trade,
)
from liqfield.model.sides import CandleOf

NAMES = ("BTC", "ETH", "SOL")
# More positions close to their level than in `make demo`: cascades within minutes, not days.
GAP_S = 12.0
SIGN = (-1.0, 1.0)  # of the move that forces a side
STEP_NS = S // 2  # books and quotes come twice a second: a slow venue, a quick study
LAW = PositionLaw(taker=LeverageLaw(median=5.0, isolated_share=0.45), stop_share=0.35)


class WorldSettings(msgspec.Struct, frozen=True):
    """warm_s of ordinary trading, then `episodes` moves of the index of random size, one in
    `episode_s` seconds; move_sd is the log-sd of their size around `move`."""

    warm_s: int = 300
    episodes: int = 12
    episode_s: int = 170
    move: float = 0.06
    move_sd: float = 0.4
    turnover_per_day: float = 0.8
    venues: tuple[str, ...] = ("binance", "bybit")
    history_h: float = 2.0


class Cascade(msgspec.Struct):
    """A cascade of one side over all venues: chains of the venues that touch in time.

    start, end: seconds since live began; forced_usd: every forced order of that side in between.
    extreme: log price farthest in the forced direction until 12 s after the end.
    """

    side: int
    start: float
    end: float
    forced_usd: float
    extreme: float = 0.0


class Standing(msgspec.Struct, frozen=True):
    """An absorber or wall of an agent; taken_usd: what an absorber took in; depth_usd: 10 bp depth
    of its venue by specification."""

    kind: str
    venue: str
    is_bid: bool
    start: float
    end: float
    price: float
    taken_usd: float
    depth_usd: float


class World(msgspec.Struct):
    """price: log of the venues' mean mid at each second; forced: (second, side, USD) by order.

    told: by second, all that the tracker was told, so that other rules can be tried on it.
    """

    seed: int
    base: str
    price: FloatArray
    forced: tuple[FloatArray, IntArray, FloatArray]
    cascades: list[Cascade]
    standing: list[Standing]
    told: list[Told]
    absorptions: list[FlowEvent]
    by_volume: list[FlowEvent]  # the baseline rule for absorption
    ahead: list[Ahead]
    volume_s: FloatArray  # USD traded by the end of each second
    readings: list[Reading] = []
    outlooks: list[CascadeOutlook | None] = []  # at each moment of `ahead`
    map_factors: list[float] = []  # the same


class Watched:
    """A market whose steps are seen by the study as well."""

    def __init__(self, market: LabMarket) -> None:
        self.market = market
        self.mids: list[float] = []
        self._last: dict[str, float] = {}

    def __getattr__(self, name: str) -> object:
        return getattr(self.market, name)

    def advance(self, until_ns: int) -> Mapping[str, InstrumentStep]:
        steps = self.market.advance(until_ns)
        for instrument in self.market.instruments:
            step = steps[instrument.id]
            mid = 0.5 * (step.bid_ticks + step.ask_ticks) * instrument.tick_usd
            self._last[instrument.id] = math.log(mid)
        return steps

    def log_price(self) -> float:
        return sum(self._last.values()) / max(len(self._last), 1)


def history_events(market: LabMarket) -> Iterator[MarketEvent]:
    """The market's past as a back-fill would bring it."""
    for of in market.instruments:
        past = market.history(of.id)
        for k, at in enumerate(past.candle_end_ns.tolist()):
            mark = [float(x) for x in past.mark[k]]
            last = [float(x) for x in past.last[k]]
            volume = float(past.volume[k]), float(past.taker_buy[k])
            for kind, row, traded in (
                (CandleOf.MARK, mark, (0.0, -1.0)),
                (CandleOf.LAST, last, volume),
            ):
                yield Candle(
                    of.id,
                    at,
                    at,
                    kind,
                    60 * S,
                    row[0],
                    row[1],
                    row[2],
                    row[3],
                    traded[0],
                    traded[1],
                    is_history=True,
                )
        for at, amount in zip(past.oi_ns.tolist(), past.open_interest.tolist(), strict=True):
            yield OpenInterest(of.id, at, at, amount, 0.0, True)


def run_world(
    seed: int, settings: WorldSettings | None = None, flow: FlowSettings | None = None
) -> World:
    """Simulate, read, and put truth beside it."""
    s = settings or WorldSettings()
    base = NAMES[seed % len(NAMES)]
    plain = demo_spec(START_NS, (base,))
    spec = msgspec.structs.replace(
        plain,
        bases=tuple(
            msgspec.structs.replace(of, turnover_per_day=s.turnover_per_day) for of in plain.bases
        ),
        venues=s.venues,
        history_h=s.history_h,
        accounts_per_instrument=8_000,
        positions=LAW,
    )
    market = LabMarket(spec, seed)
    run = _Run(market, base, seed, s, flow or FlowSettings())
    run.go()
    return run.world()


def by_volume_alone(flow: FlowSettings) -> AbsorptionSettings:
    """The simpler published rule: much volume at one price, whatever became of the price."""
    return msgspec.structs.replace(
        flow.absorption,
        volume_quantile=0.99,
        move_share=math.inf,
        level_share=0.7,
        refill_ratio=0.0,
        confirm=2,
        break_rows=2,
    )


def pooled_cascades(
    agents: Sequence[AgentEvent],
    forced: tuple[FloatArray, IntArray, FloatArray],
    prices: FloatArray,
) -> list[Cascade]:
    """Chains of the venues that touch in time (within 12 s) are one cascade of the base."""
    found: list[Cascade] = []
    seconds, sides, usd = forced
    for side in (0, 1):
        spans = sorted(
            ((e.start_ns - START_NS) / 1e9, (e.end_ns - START_NS) / 1e9)
            for e in agents
            if e.kind == "cascade" and e.is_bid == (side == 0)
        )
        for start, end in spans:
            if found and found[-1].side == side and start - found[-1].end <= GAP_S:
                found[-1].end = max(found[-1].end, end)
            else:
                found.append(Cascade(side, start, end, 0.0))
    sign = (-1.0, 1.0)
    for cascade in found:
        inside = (sides == cascade.side) & (seconds >= cascade.start) & (seconds <= cascade.end)
        cascade.forced_usd = float(usd[inside].sum())
        stretch = prices[int(cascade.start) : int(cascade.end + GAP_S) + 1]
        if len(stretch):
            cascade.extreme = sign[cascade.side] * float((sign[cascade.side] * stretch).max())
    return sorted(found, key=lambda cascade: cascade.start)


def _standing(event: AgentEvent, base: str) -> Standing:
    venue = event.instrument_id.partition(":")[0]
    end_ns = event.end_ns or event.start_ns
    return Standing(
        kind=event.kind,
        venue=venue,
        is_bid=event.is_bid,
        start=(event.start_ns - START_NS) / 1e9,
        end=(end_ns - START_NS) / 1e9,
        price=event.price_from,
        taken_usd=event.quantity * event.price_from if event.kind == "absorber" else 0.0,
        depth_usd=BASES[base].depth_10bp_usd * DEPTH_FACTOR[venue],
    )


class FlowOnly(MarketAnalytics):
    """Flow and cascade readings without those of the book: half the time a world takes."""

    def on_book(self, event: BookSnapshot | BookDelta) -> None:
        of = self._of[event.instrument_id]
        of.flow.book(of.sync.ladder, self.clock_ns)

    def sides(self, is_ask: int, reach: float) -> list[SideDepth]:
        found = []
        for of in self._of.values():
            ladder, unit = of.sync.ladder, of.instrument.tick_usd
            if ladder is None or ladder.best_bid is None or ladder.best_ask is None:
                continue
            mid = 0.5 * (ladder.best_bid + ladder.best_ask) * unit
            ticks = ladder.levels(is_ask)[0]
            last = ticks[-1] if is_ask else ticks[0]
            seen = abs(float(last) * unit / mid - 1.0)
            found.append(side_depth(ladder, is_ask, mid, unit, seen, reach))
        return found


class _Run:
    def __init__(
        self, market: LabMarket, base: str, seed: int, settings: WorldSettings, flow: FlowSettings
    ) -> None:
        self.market, self.base, self.seed, self.settings = market, base, seed, settings
        self.settings_flow = flow
        self.watched = Watched(market)
        self.events = LabEvents(self.watched, step_ns=STEP_NS)  # type: ignore[arg-type]
        self.engine = MarketEngine(base, RULES, flow)
        self.engine.analytics = FlowOnly(base, self.engine.trades, flow)
        self.tracker = Taped(flow.cascade)
        self.engine.analytics.flow.tracker = self.tracker
        self.plain: dict[str, AbsorptionDetector] = {}
        self.quotes: dict[str, QuoteReader] = {}
        self.by_volume: list[FlowEvent] = []
        self.prices: list[float] = []
        self.told: list[Told] = []
        self.ahead: list[Ahead] = []
        self.gross_usd = 0.0
        self.volume: list[float] = []
        self.state = CascadeState.CALM
        self.rng = np.random.default_rng(seed)
        for event in self.events.open():
            if isinstance(event, Listing):
                self.engine.add(event.instrument)
                of = event.instrument
                trades = self.engine.trades
                self.plain[of.id] = plain = AbsorptionDetector(
                    of.venue, of.tick_usd, trades, trades.number_of(of.id), by_volume_alone(flow)
                )
                self.quotes[of.id] = QuoteReader(TouchImbalance(), plain)
            else:
                self.engine.step(event)
        for event in history_events(market):
            self.engine.step(event)

    def go(self) -> None:
        s = self.settings
        moves: dict[int, tuple[float, float]] = {}
        for k in range(s.episodes):
            size = s.move * math.exp(s.move_sd * float(self.rng.standard_normal()))
            sign = 1.0 if self.rng.random() < 0.5 else -1.0
            at = s.warm_s + k * s.episode_s + int(self.rng.integers(0, 15))
            moves[at] = (sign * min(size, 0.10), float(self.rng.uniform(15.0, 60.0)))
        for second in range(s.warm_s + s.episodes * s.episode_s):
            if second in moves:
                self.market.shock(self.base, *moves[second])
            for event in self.events.advance(START_NS + (second + 1) * S):
                self.engine.step(event)
                self._plain(event)
            self.prices.append(self.watched.log_price())
            self._read(second)

    def _plain(self, event: MarketEvent) -> None:
        """The baseline detector sees the same facts; its verdicts need no impact."""
        if isinstance(event, Trade):
            self.plain[event.instrument_id].fold()
            self.gross_usd += event.price * event.quantity
        elif isinstance(event, BestQuote):
            self.quotes[event.instrument_id].fold(event)

    def _read(self, second: int) -> None:
        now = START_NS + (second + 1) * S
        for detector in self.plain.values():
            found = detector.second(now, None, 1)
            self.by_volume += [event for event in found if event.outcome != "running"]
        self.told.append(self.tracker.take())
        self.volume.append(self.gross_usd)
        before, self.state = self.state, self.tracker.state
        side = self.tracker.side
        if self.state is CascadeState.RUNNING and before not in (
            CascadeState.RUNNING,
            CascadeState.ABSORBING,
        ):
            assert side is not None
            flow = self.engine.analytics.flow
            books = self.engine.analytics.sides(side, REACH)
            way = way_ahead(self.engine.densities(), books, flow.price, SIDES[side])
            fuel = flow.fuel(side)
            if way is not None:
                distance = fuel.distance if fuel is not None else math.nan
                self.ahead.append(Ahead(second + 1, side, flow.price, way, distance))

    def world(self) -> World:
        market = self.market
        prices = np.array(self.prices)
        at, sides, usd = [], [], []
        for of in market.instruments:
            prints = market.prints(of.id)
            live = prints.event_ns >= START_NS
            at.append((prints.event_ns[live] - START_NS) / 1e9)
            sides.append(prints.position_side[live].astype(np.int64))
            usd.append(prints.quantity[live] * prints.mark_price[live])
        seconds, side, amount = np.concatenate(at), np.concatenate(sides), np.concatenate(usd)
        order = np.argsort(seconds, kind="stable")
        forced = seconds[order], side[order], amount[order]
        agents = [event for event in market.agent_events() if event.start_ns >= START_NS]
        found = [
            event
            for event in self.engine.analytics.flow.events()
            if event.kind is FlowEventKind.ABSORPTION
        ]
        said = replay(self.told, self.ahead, self.settings_flow.cascade)
        return World(
            seed=self.seed,
            base=self.base,
            price=prices,
            forced=forced,
            cascades=pooled_cascades(agents, forced, prices),
            standing=[_standing(event, self.base) for event in agents if event.kind != "cascade"],
            told=self.told,
            absorptions=found,
            by_volume=self.by_volume,
            ahead=self.ahead,
            volume_s=np.array(self.volume),
            readings=said[0],
            outlooks=said[1],
            map_factors=said[2],
        )
