"""From the engine to its readers: map history, candles, and the hub's topics at their own pace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from liqfield.app.clusters import ClusterFinder
from liqfield.app.pipeline import Pipeline
from liqfield.app.thin import thin_windows
from liqfield.app.truth import truth_message
from liqfield.book.composite import BookSource, compose
from liqfield.book.ladder import ASK, BID
from liqfield.context.funding import VenueFunding, rate_8h, weighted_8h
from liqfield.density.clusters import ClusterSettings
from liqfield.density.combine import combine, combine_columns
from liqfield.engine.instrument import InstrumentState
from liqfield.engine.market import MarketEngine
from liqfield.engine.outputs import CandleClosed, ColumnDue, Liquidated, Output
from liqfield.model.durations import DAY_NS, MINUTE_NS
from liqfield.model.estimates import LiquidationDensity, StreamHealth
from liqfield.model.events import FloatArray
from liqfield.model.requests import NeedSnapshot
from liqfield.model.sides import PositionSide
from liqfield.server import encode, encode_flow
from liqfield.server.hub import ClusterWant, Hub, LadderWant
from liqfield.server.tiles import live_tile
from liqfield.server.wire import (
    Clusters,
    Flow,
    Health,
    Market,
    MarketInfo,
    ProjectionReply,
    TapeRow,
    Truth,
)
from liqfield.store.candle_history import CandleHistory
from liqfield.store.map_history import MapHistory

FLOW_SPAN_S = 3600.0
FLOW_EVERY = 2  # slow beats: the flow panel every two seconds
CONTEXT_EVERY = 15


class Load(NamedTuple):
    """How hard the feeds work: records queued, share of budgets left, delay in ms by venue."""

    queue: int
    budgets: dict[str, float]
    lag_ms: dict[str, float]


class Publisher:
    """Implements server.sources.Sources; everything here runs on the event loop and never waits."""

    def __init__(
        self,
        pipeline: Pipeline,
        hub: Hub,
        maps: MapHistory,
        candles: CandleHistory,
        *,
        cluster_min_usd: float,
        health: Callable[[], Sequence[StreamHealth]],
        need_snapshot: Callable[[NeedSnapshot], None],
        notes: Callable[[], Sequence[str]],
        load: Callable[[], Load] | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.hub = hub
        self._engine = pipeline.engine
        self._maps = maps
        self._candles = candles
        self._clusters = ClusterFinder(maps, ClusterSettings(min_usd=cluster_min_usd))
        self._health = health
        self._need_snapshot = need_snapshot
        self._notes = notes
        self._load = load or (lambda: Load(0, {}, {}))
        self._pooled: dict[str, LiquidationDensity] = {}
        self._revision = 0

    # ---- what the server asks -----------------------------------------------------------------

    def markets(self) -> Sequence[MarketInfo]:
        """Followed markets in the order in which they were listed."""
        return [
            MarketInfo(
                base,
                tuple(s.instrument.venue for s in market.instruments.values()),
                min((s.instrument.tick_decimals for s in market.instruments.values()), default=2),
            )
            for base, market in self._engine.markets.items()
        ]

    def density(self, base: str, venue: str) -> LiquidationDensity | None:
        market = self._engine.markets.get(base)
        if market is None:
            return None
        if venue == "all":
            return combine(market.densities())
        for key, state in market.instruments.items():
            if state.instrument.venue == venue:
                return market.instruments[key].density.get()
        return None

    def clusters(self, base: str, at_ns: int, min_usd: float = 0.0) -> Clusters | None:
        market = self._engine.markets.get(base)
        if market is None:
            return None
        venues = sorted({state.instrument.venue for state in market.instruments.values()})
        return self._clusters.known_at(base, venues, at_ns, min_usd)

    def flow(self, base: str, span_s: float) -> Flow | None:
        market = self._engine.markets.get(base)
        if market is None or not market.clock_ns:
            return None
        return encode_flow.flow(market.flow(market.clock_ns, span_s))

    def truth(self, base: str, venue: str) -> Truth | None:
        market = self._engine.markets.get(base)
        if market is None or self.density(base, venue) is None:
            return None
        report, running = market.truth(venue), market.truth_running(venue)
        return truth_message(base, market.clock_ns, report, running, venue)

    def projection(
        self, base: str, price: float, side: PositionSide, push_usd: float
    ) -> ProjectionReply | None:
        market = self._engine.markets.get(base)
        if market is None:
            return None
        found = market.project(price, side, push_usd)
        if found is None:
            return None
        return encode_flow.projection(base, market.clock_ns, side, push_usd, found)

    # ---- what the engine hands out ------------------------------------------------------------

    def consume(self, outputs: Sequence[Output]) -> None:
        """Route the engine's outputs in order."""
        tapes: dict[str, list[TapeRow]] = {}
        for output in outputs:
            if isinstance(output, NeedSnapshot):
                self._need_snapshot(output)
            elif isinstance(output, ColumnDue):
                self._column(output)
            elif isinstance(output, CandleClosed):
                self._candle(output)
            elif isinstance(output, Liquidated):
                venue = output.print.instrument_id.partition(":")[0]
                row = encode.tape_row(output.print, venue)
                tapes.setdefault(output.base, []).append(row)
        for base, rows in tapes.items():
            self.hub.publish_tape(base, rows)

    def _column(self, due: ColumnDue) -> None:
        column_s = due.column_ns // 1_000_000_000
        for density in due.densities:
            venue = density.instrument_id.partition(":")[0]
            self._maps.append(due.base, venue, due.at_ns, density, column_s)
        pooled = combine_columns(due.densities)
        if pooled is not None:
            self._maps.append(due.base, "all", due.at_ns, pooled, column_s)

    def _candle(self, closed: CandleClosed) -> None:
        reference = self._engine.markets[closed.base].reference()
        candle = closed.candle
        if (
            reference is not None
            and candle.instrument_id == reference.instrument.id
            and candle.interval_ns == MINUTE_NS
        ):
            self._candles.append(closed.base, candle)

    # ---- paced topics -------------------------------------------------------------------------

    def fast(self) -> None:
        """About ten times a second: the ladders that somebody looks at."""
        for base, market in self._engine.markets.items():
            for want in self.hub.ladders(base):
                self._ladder(market, want)

    @property
    def is_first_map_due(self) -> bool:
        """Whether a market has a map, of now, that nobody was told of."""
        return not self.pipeline.is_in_past and any(
            base not in self._pooled and market.has_map
            for base, market in self._engine.markets.items()
        )

    def slow(self, now_ns: int) -> None:
        """About once a second: map, clusters, top bar, candle, health."""
        self._revision += 1
        for base, market in self._engine.markets.items():
            densities = market.densities()
            pooled = combine(densities)
            if pooled is not None:
                self._pooled[base] = pooled
                self._live_maps(base, densities, pooled)
                wants = self.hub.cluster_wants(base)
                least = [want.min_usd for want in wants]
                found = self._clusters.now(base, densities, pooled.at_ns, least)
                paths = market.paths(found, pooled)
                for want in (ClusterWant(f"clusters:{base}", 0.0), *wants):
                    message = self._clusters.message(base, pooled, found, paths, want.min_usd)
                    self.hub.publish(want.topic, message)
            self._top_bar(base, market)
            if self._revision % FLOW_EVERY == 0:
                self._flow(base)
            if self._revision % CONTEXT_EVERY == 1 and market.clock_ns:
                self._context(base, market)
                score = truth_message(base, market.clock_ns, market.truth(), market.truth_running())
                self.hub.publish(f"truth:{base}", score)
            reference = market.reference()
            running = reference.candle() if reference is not None else None
            if running is not None:
                self.hub.publish(f"candle:{base}", encode.candle_row(base, running))
        self.hub.publish("health", self._health_message(now_ns))

    def _flow(self, base: str) -> None:
        """Only where somebody looks: the retained one greets the next who opens the panel."""
        topic = f"flow:{base}"
        if self.hub.latest(topic) is not None and not self.hub.followed(topic):
            return
        message = self.flow(base, FLOW_SPAN_S)
        if message is not None:
            self.hub.publish(topic, message)

    def _context(self, base: str, market: MarketEngine) -> None:
        message = encode_flow.context(market.context(), thin_windows(market.clock_ns))
        self.hub.publish(f"context:{base}", message)

    def _live_maps(
        self, base: str, densities: Sequence[LiquidationDensity], pooled: LiquidationDensity
    ) -> None:
        wanted = set(self.hub.followed(f"map:{base}:"))
        for density, venue in [
            (pooled, "all"),
            *((d, d.instrument_id.partition(":")[0]) for d in densities),
        ]:
            topic = f"map:{base}:{venue}"
            if topic in wanted or venue == "all":
                self.hub.publish(topic, live_tile(base, venue, density, self._revision))

    def _ladder(self, market: MarketEngine, want: LadderWant) -> None:
        rows, venue = want.rows, want.venue
        states = [s for s in market.instruments.values() if venue in ("", s.instrument.venue)]
        sources = [BookSource(s.instrument.venue, s.sync, s.instrument.tick_usd) for s in states]
        # Finer than the rows on screen, so that grouping stays exact; wide enough for them.
        view = compose(
            market.base, sources, at_ns=market.clock_ns, step=want.step, rows=rows * 2 + 8
        )
        if view is None:
            return

        def volume(width: float, first: int, count: int) -> tuple[FloatArray, FloatArray]:
            since_ns = market.clock_ns - MINUTE_NS
            return market.recent.rows(width, first, count, since_ns, venue)

        pooled = self._pooled.get(market.base)
        walls = market.walls()
        if venue:
            pooled = self.density(market.base, venue)
            walls = tuple(wall for wall in walls if wall.venue == venue)
        message = encode.ladder(
            view,
            pooled,
            volume,
            view.step,
            rows,
            walls=walls,
            microprice=_microprice(states[0] if venue else market.reference()),
        )
        self.hub.publish(want.topic, message)

    def _top_bar(self, base: str, market: MarketEngine) -> None:
        reference = market.reference()
        if reference is None:
            return
        price = reference.last.price if reference.last else 0.0
        mark = reference.mark.price if reference.mark else price
        if mark <= 0.0:
            return
        states = list(market.instruments.values())
        funding = [
            VenueFunding(s.instrument.venue, rate_8h(s.funding), s.funding.next_funding_ns, _usd(s))
            for s in states
            if s.funding is not None
        ]
        void = [s.instrument.venue for s in states if s.sync.ladder is None]
        state, detail = "live", ""
        if void:
            state = "down" if len(void) == len(states) else "gap"
            detail = f"no book of {', '.join(void)}"
        cascade = market.cascade()
        self.hub.publish(
            f"market:{base}",
            Market(
                base=base,
                at_ms=market.clock_ns / 1e6,
                price=price or mark,
                mark=mark,
                change_24h=_change(reference, price or mark, market.clock_ns),
                open_interest_usd=sum(_usd(s) for s in states),
                funding_8h=weighted_8h(funding),
                state=state,
                detail=detail,
                cascade=cascade.state.value,
                cascade_side=(
                    None if cascade.position_side is None else cascade.position_side.value
                ),
                outlook=encode_flow.outlook_row(cascade.outlook),
            ),
        )

    def _health_message(self, now_ns: int) -> Health:
        p, load = self.pipeline, self._load()
        steps = np.array(p.step_ns) if p.step_ns else np.zeros(1)
        notes = [*self._notes()]
        notes += [problem for problem in (self._maps.problem, self._candles.problem) if problem]
        notes += [failure.why[:200] for failure in list(p.failures)[-3:]]
        return Health(
            at_ms=now_ns / 1e6,
            streams=tuple(encode.stream_row(row, now_ns) for row in self._health()),
            unknown=dict(self._engine.unknown.most_common(50)),
            decode_errors=p.decode_errors,
            dropped=sum(n for key, n in p.gaps.items() if key.endswith("overflow")),
            step_us_p99=float(np.quantile(steps, 0.99)) / 1e3,
            notes=tuple(notes),
            queue=load.queue,
            budgets=load.budgets,
            lag_ms=load.lag_ms,
        )


def _microprice(state: InstrumentState | None) -> float | None:
    """The mid weighted by the sizes at the top, each with the other side's; USD."""
    ladder = state.sync.ladder if state is not None else None
    if state is None or ladder is None or ladder.best_bid is None or ladder.best_ask is None:
        return None
    bid, ask = ladder.best_bid, ladder.best_ask
    bid_size, ask_size = ladder.quantity(BID, bid), ladder.quantity(ASK, ask)
    total = bid_size + ask_size
    if total <= 0.0 or bid >= ask:
        return None
    return float((bid * ask_size + ask * bid_size) / total * state.instrument.tick_usd)


def _usd(state: InstrumentState) -> float:
    price = state.mark.price if state.mark else 0.0
    return state.open_interest.quantity * price if state.open_interest else 0.0


def _change(state: InstrumentState, price: float, now_ns: int) -> float | None:
    """Against the close nearest to 24 h ago; None where memory does not reach within an hour."""
    then = now_ns - DAY_NS
    best = min(state.closes, key=lambda row: abs(row[0] - then), default=None)
    if best is None or abs(best[0] - then) > 60 * MINUTE_NS or best[1] <= 0.0:
        return None
    return price / best[1] - 1.0
