"""A real server with a market of the past on it: every panel's messages through the real encoders.

Nothing computes here, so that tests of the screen are fast and know what they look at. The market's
time is in 2023: a page that fits itself to the wall clock shows nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from liqfield.app.clusters import ClusterFinder
from liqfield.app.truth import truth_message
from liqfield.density.clusters import ClusterSettings
from liqfield.model.analytics import (
    CascadeOutlook,
    CascadeState,
    CascadeView,
    Confluence,
    ContextView,
    FlowEvent,
    FlowEventKind,
    FlowView,
    FootprintBar,
    FundingView,
    PathClass,
    PathView,
    VenueFlow,
    WallState,
    WallView,
)
from liqfield.model.estimates import (
    Cluster,
    Confidence,
    LadderView,
    LiquidationDensity,
    StreamHealth,
    TruthRow,
)
from liqfield.model.events import Candle
from liqfield.model.grid import PriceGrid
from liqfield.model.sides import CandleOf, PositionSide
from liqfield.model.tiles import BIN_WIDTH
from liqfield.server import encode, encode_flow
from liqfield.server.assets import STATIC
from liqfield.server.hub import ClusterWant
from liqfield.server.tiles import live_tile
from liqfield.server.wire import Flow, Health, Market, TapeRow, ThinWindow
from liqfield.verify.truth import truth_report
from tests.unit.server.support import SECOND, T0, Running, running

HOUR = 3600
MARK = 85_000.0
ETH = 3_141.0
HOURS = 24
USUAL_USD = 28e6  # 0.2 % of the open interest
LEAST_THEN_USD = 200e6  # what counts in the past: of the ridges only the one above
OUTLOOK = CascadeOutlook(83_620.0, 84_480.0, 82_190.0, (9e6, 41e6, 120e6), 12)


def density(at_s: float) -> LiquidationDensity:
    """Two ridges below and one above, growing with time."""
    grid = PriceGrid.around(MARK, BIN_WIDTH, 600)
    distance = np.log(grid.centres() / MARK)
    age = 1.0 + (at_s - T0) / (HOURS * HOUR)
    usd = np.full((2, 3, 600), 2e5)
    for side, centre, width, peak in (
        (0, -0.021, 0.003, 9e6),
        (0, -0.035, 0.002, 5e6),
        (1, 0.019, 0.003, 1.2e7),
    ):
        ridge = peak * age * np.exp(-(((distance - centre) / width) ** 2))
        usd[side] += ridge * np.array([0.2, 0.5, 0.3])[:, None]
    usd[0][:, distance > -0.003] = 0.0
    usd[1][:, distance < 0.003] = 0.0
    sides = usd.sum(axis=1)
    return LiquidationDensity(
        "binance:BTCUSDT", int(at_s * SECOND), MARK, grid, usd,
        np.zeros(2), float(sides[0].sum()), Confidence(0.7, ("a test",)),
        p10=sides * 0.6, p90=sides * 1.6,
    )  # fmt: skip


def path(kind: PathClass, ratio: float) -> PathView:
    return PathView(
        kind, 31e6, 77e6, ratio, 9e6, 20e6, 12e6, 0.8, Confluence.BUILDING, 4e6, 0.25, ("thin",)
    )


def clusters(server: Running, at_s: float) -> None:
    made = [
        Cluster(
            side, low, high, (low + high) / 2, usd, usd * 0.7, usd * 1.4, distance,
            (usd * 0.2, usd * 0.5, usd * 0.3), {"binance": usd * 0.6, "okx": usd * 0.4},
            9 * HOUR, growth, True, Confidence(0.7, ("prints are sampled",)),
        )
        for side, low, high, usd, distance, growth in (
            (PositionSide.LONG, 82_940.0, 83_500.0, 84e6, -0.018, 0.06),
            (PositionSide.LONG, 81_800.0, 82_200.0, 61e6, -0.033, 0.0),
            (PositionSide.SHORT, 86_290.0, 86_930.0, 112e6, 0.015, -0.02),
            (PositionSide.SHORT, 89_100.0, 89_300.0, 7e6, 0.048, 0.0),
        )
    ]  # fmt: skip
    ways = [
        path(PathClass.HOLLOW, 0.4),
        path(PathClass.NEUTRAL, 1.1),
        path(PathClass.DEFENDED, 2.6),
        path(PathClass.NEUTRAL, 0.9),
    ]
    told = list(zip(made, ways, strict=True))
    for want in (ClusterWant("clusters:BTC", 0.0), *server.hub.cluster_wants("BTC")):
        least = want.min_usd or USUAL_USD
        kept = [(cluster, way) for cluster, way in told if cluster.notional_usd >= least]
        message = encode.clusters(
            "BTC", int(at_s * SECOND), MARK, [k for k, _ in kept], [way for _, way in kept],
            min_usd=least, reach=0.15, default_usd=USUAL_USD, default_why="share",
        )  # fmt: skip
        server.hub.publish(want.topic, message)


def ladder(server: Running, at_s: float, beat: int) -> None:
    random = np.random.default_rng(beat)
    rows = 1200
    first = int(MARK) - rows // 2
    price = first + np.arange(rows)
    size = random.lognormal(0.5, 0.8, rows)
    venues, absent = ("binance", "okx"), {"bybit": "no book: waiting for a snapshot"}
    all_walls = [
        WallView("binance", True, MARK - 45, 6e6, 6.2, 80.0, WallState.HELD, 1e6, 0.0, -0.0005),
        WallView("okx", False, MARK + 62, 5e6, 197.0, 30.0, WallState.STANDING, 0.0, 0.0, 0.0007),
        WallView("okx", False, MARK + 33, 3e6, 5.0, 12.0, WallState.PULLED, 0.0, 3e6, 0.0004),
    ]
    topics = server.hub.ladders("BTC")
    now = density(at_s)
    for want in topics:
        # A venue alone has half of it and misses nothing.
        share = 0.5 if want.venue else 1.0
        view = LadderView(
            "BTC", int(at_s * SECOND), 1.0, first, np.where(price < MARK, size * share, 0.0),
            np.where(price >= MARK, size * share, 0.0), MARK - 0.1, MARK,
            (want.venue,) if want.venue else venues, {} if want.venue else absent,
        )  # fmt: skip
        walls = [w for w in all_walls if want.venue in ("", w.venue)]
        message = encode.ladder(
            view, now, None, want.step or 10.0, want.rows, walls=walls, microprice=MARK + 0.4
        )
        server.hub.publish(want.topic, message)


def flow(at_s: float) -> Flow:
    n = 360
    random = np.random.default_rng(3)
    start = (int(at_s) - 10 * n + 10 * np.arange(n)) * SECOND
    by_venue = {v: np.cumsum(random.normal(0, 3, n)) for v in ("binance", "okx", "bybit")}
    price = MARK + np.cumsum(random.normal(0, 6, n))
    bars = tuple(
        FootprintBar(
            int(start[-1]) - (6 - i) * 300 * SECOND, int(start[-1]) - (5 - i) * 300 * SECOND, 10.0,
            8490 + i, random.lognormal(1, 1, 14), random.lognormal(1, 1, 14),
            np.sign(np.round(random.normal(0, 0.6, 14))).astype(np.int64),
            8495 + i, 8493 + i, 8499 + i, ((3, 5),), i % 2 == 0, False,
        )
        for i in range(6)
    )  # fmt: skip
    kinds = (FlowEventKind.ABSORPTION, FlowEventKind.WALL_PULLED, FlowEventKind.WHALE_PUSH)
    events = tuple(
        FlowEvent(
            int(start[60 * (i + 1)]), kinds[i % 3], "okx", float(price[60 * (i + 1)]), i % 2 == 0,
            3e6, 2.0, 14.0, "held", "took 41 BTC and stood",
        )
        for i in range(5)
    )  # fmt: skip
    cascade = CascadeView(
        CascadeState.RUNNING, PositionSide.LONG, int((at_s - 40) * SECOND), 14e6, 9e6, 12e6, 0.62,
        -0.013, 1.7, 0.45, 61e6, -0.012, ("$9M a minute against $0.4M usual",), OUTLOOK,
    )  # fmt: skip
    view = FlowView(
        "BTC", int(at_s * SECOND), 10 * SECOND, start, price,
        np.sum(list(by_venue.values()), axis=0), by_venue, 1, bars,
        (VenueFlow("binance", 3.1, -1.2, 0.9, 0.61, 0.2, MARK), ), events, cascade,
    )  # fmt: skip
    return encode_flow.flow(view)


def truth_rows(n: int) -> list[TruthRow]:
    random = np.random.default_rng(5)
    rows = []
    for i in range(n):
        ours = random.lognormal(14, 1.0, 2)
        seen = ours * random.lognormal(0, 0.5, 2)
        pairs = [tuple(map(float, x)) for x in (ours, ours * 0.5, ours * 2, seen, seen * 0 + 1e6)]
        predicted, p10, p90, realised, flat = ((a, b) for a, b in pairs)
        start = (T0 + HOUR * (HOURS - n + i)) * SECOND
        rows.append(TruthRow(start, 3600.0, MARK, MARK, MARK, predicted, p10, p90, realised, flat))
    return rows


def fill(server: Running, later_s: int = 0) -> float:
    """The past: a day of map, and candles up to `later_s` after it. Returns the time of now, s."""
    random = np.random.default_rng(1)
    now_s = float(T0 + HOURS * HOUR + later_s)
    close = MARK * np.exp(np.cumsum(random.normal(0, 4e-4, HOURS * 60 + later_s // 60)))
    close *= MARK / close[-1]
    for minute, price in enumerate(close):
        end = int((T0 + 60 * (minute + 1)) * SECOND)
        high, low = float(price * 1.0006), float(price * 0.9994)
        last = float(price)
        server.candles.append(
            "BTC",
            Candle(
                "x", end, end, CandleOf.LAST, 60 * SECOND, last, high, low, last, 2.0,
                is_closed=True,
            ),
        )  # fmt: skip
    for step in range(HOURS * 12):
        map_ = density(T0 + 300 * (step + 1))
        server.maps.append("BTC", "all", map_.at_ns, map_, 300)
    server.sources.maps[("BTC", "all")] = density(now_s)
    finder = ClusterFinder(server.maps, ClusterSettings(min_usd=LEAST_THEN_USD))
    server.sources.past = lambda base, at_ns, least: finder.known_at(base, (), at_ns, least)
    tape = [
        TapeRow((now_s - 60 * i) * 1e3, "okx", "long" if i % 3 else "short",
                float(close[-1 - i]), 4e5 * (1 + i % 7), "trigger", "sampled")
        for i in range(40, 0, -1)
    ]  # fmt: skip
    server.hub.publish_tape("BTC", tape)
    context = ContextView(
        "BTC", int(now_s * SECOND), 1.1e-4, (FundingView("okx", 1e-4, int(now_s + 999) * SECOND,
        2e-4),), 14e9, 0.01, 0.031, {"okx": 1.4}, "US", "Asia", int(now_s + HOUR) * SECOND,
        ("weekend: CME and US banks are closed",), "2023-11-14", -3100.0, 5200.0,
        ("okx takes over some liquidations silently",),
    )  # fmt: skip
    thin = [ThinWindow((now_s - 9 * HOUR) * 1e3, (now_s - 4 * HOUR) * 1e3, "weekend: closed")]
    server.hub.publish("context:BTC", encode_flow.context(context, thin))
    now_ns = int(now_s * SECOND)
    report = truth_report("BTC", now_ns, ["okx", "binance"], False, truth_rows(72))
    running = msgspec.structs.replace(truth_rows(1)[0], at_ns=now_ns)
    server.hub.publish("truth:BTC", truth_message("BTC", now_ns, report, running))
    alone = truth_report("BTC", now_ns, ["okx"], False, truth_rows(20))
    server.sources.truths["BTC", "okx"] = truth_message("BTC", now_ns, alone, None, "okx")
    return now_s


def beat(server: Running, at_s: float, number: int) -> None:
    """One moment of the market."""
    now = density(at_s)
    if number % 5 == 0:  # once a second, as the product does
        server.hub.publish("map:BTC:all", live_tile("BTC", "all", now, number))
    server.hub.publish(
        "market:BTC",
        Market("BTC", at_s * 1e3, MARK + number % 7, MARK, 0.0132, 14e9, 1.1e-4, "gap",
               "no book of bybit", "running", "long", encode_flow.outlook_row(OUTLOOK)),
    )  # fmt: skip
    server.hub.publish(
        "market:ETH",
        Market("ETH", at_s * 1e3, ETH, ETH, 0.002, 4e9, 1e-4, "live", "", "calm", None, None),
    )
    clusters(server, at_s)
    ladder(server, at_s, number)
    if number % 10 == 0:
        server.hub.publish("flow:BTC", flow(at_s))
    streams = tuple(
        encode.stream_row(
            StreamHealth(venue, name, state, int(at_s * SECOND), 1200, gaps, gaps, 0, ""),
            int((at_s + 0.2) * SECOND),
        )
        for venue, state, gaps in (("binance", "live", 0), ("okx", "stale", 1), ("bybit", "gap", 3))
        for name in ("book", "trades")
    )
    server.hub.publish(
        "health",
        Health(
            at_s * 1e3,
            streams,
            {"okx funny": 2},
            1,
            0,
            42.0,
            ("back-fill done",),
            12,
            {"binance weight": 0.83},
            {"binance": 42.0, "okx": 1800.0},
        ),
    )


class Stage:
    """The address of the server, and a switch that ends it.

    folder: of the map's history, so that another server is the same one come back; port: where that
    one listens; later_s: what its clock is ahead; mute_s: so long it knows no market yet.
    """

    def __init__(
        self, folder: Path | None = None, port: int = 0, later_s: int = 0, mute_s: float = 0.0
    ) -> None:
        self.url = ""
        self.port = port
        self.now_s = 0.0
        self._folder = folder
        self._later_s = later_s
        self._mute_s = mute_s
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        self._thread.start()
        if not self._ready.wait(30):
            raise RuntimeError("the stage did not start")

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(15)

    async def _run(self) -> None:
        async with running(self._folder, STATIC, port=self.port) as server:
            self.url, self.port = server.address.url, server.address.port
            if self._mute_s:
                listed, server.sources.listed = server.sources.listed, []
                self._ready.set()
                await asyncio.sleep(self._mute_s)
                server.sources.listed = listed
            self.now_s = fill(server, self._later_s)
            number = 0
            while not self._stop.is_set():
                beat(server, self.now_s + number * 0.2, number)
                self._ready.set()
                number += 1
                await asyncio.sleep(0.2)


@contextlib.contextmanager
def stage(
    folder: Path | None = None, port: int = 0, later_s: int = 0, mute_s: float = 0.0
) -> Iterator[Stage]:
    made = Stage(folder, port, later_s, mute_s)
    made.start()
    try:
        yield made
    finally:
        made.stop()
