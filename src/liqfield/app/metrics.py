"""What an operator watches, in the words of Prometheus: built afresh at every scrape."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from liqfield.app.pipeline import Pipeline
from liqfield.feeds.intake import Intake
from liqfield.feeds.venue_feed import VenueFeed

_PHASES = ("connecting", "subscribed", "first-data", "live", "stale", "draining")


class TerminalCollector(Collector):
    """Reads the parts; keeps nothing of its own."""

    def __init__(self, pipeline: Pipeline, intake: Intake, feeds: Mapping[str, VenueFeed]) -> None:
        self._pipeline = pipeline
        self._intake = intake
        self._feeds = feeds

    def collect(self) -> Iterator[Metric]:
        yield from self._program()
        yield from self._streams()
        yield from self._connections()
        yield from self._venues()

    def _program(self) -> Iterator[Metric]:
        p = self._pipeline
        yield _gauge("queue_depth", "records between sockets and engine", len(self._intake))
        yield _counter("frames_dropped", "frames lost because we were slow", self._intake.dropped)
        yield _counter("decode_errors", "frames that could not be read", p.decode_errors)
        unknown = sum(p.engine.unknown.values())
        yield _counter("unknown_messages", "well-formed messages of unknown kinds", unknown)
        steps = np.array(p.step_ns or [0]) / 1e9
        family = GaugeMetricFamily(
            "liqfield_step_seconds", "decode and step of a frame, newest 4,096", labels=["quantile"]
        )
        for q in (0.5, 0.99, 1.0):
            family.add_metric([str(q)], float(np.quantile(steps, q)))
        yield family
        gaps = CounterMetricFamily(
            "liqfield_gaps", "losses told to the engine", labels=["venue", "reason"]
        )
        for key, count in p.gaps.items():
            venue, _, reason = key.partition(" ")
            gaps.add_metric([venue, reason], count)
        yield gaps
        frames = CounterMetricFamily(
            "liqfield_frames", "frames consumed", labels=["venue", "source"]
        )
        for key, count in p.frames.items():
            venue, _, source = key.partition(" ")
            frames.add_metric([venue, source.partition(" ")[0]], count)
        yield frames

    def _streams(self) -> Iterator[Metric]:
        labels = ["venue", "stream"]
        age = GaugeMetricFamily("liqfield_stream_age_seconds", "since the last data", labels=labels)
        live = GaugeMetricFamily("liqfield_stream_live", "1 while data flows", labels=labels)
        lost = CounterMetricFamily("liqfield_stream_gaps", "times data stopped", labels=labels)
        resyncs = CounterMetricFamily("liqfield_stream_resyncs", "fresh books", labels=labels)
        now_ns = time.time_ns()
        for feed in self._feeds.values():
            for row in feed.health():
                names = [row.venue, row.stream]
                if row.last_received_ns:
                    age.add_metric(names, max(now_ns - row.last_received_ns, 0) / 1e9)
                live.add_metric(names, float(row.state == "live"))
                lost.add_metric(names, row.gaps)
                resyncs.add_metric(names, row.resyncs)
        yield from (age, live, lost, resyncs)

    def _connections(self) -> Iterator[Metric]:
        labels = ["venue", "connection"]
        phase = GaugeMetricFamily(
            "liqfield_connection_phase", "1 for the phase it is in", labels=[*labels, "phase"]
        )
        again = CounterMetricFamily("liqfield_reconnects", "lives that ended", labels=labels)
        rotations = CounterMetricFamily("liqfield_rotations", "planned successors", labels=labels)
        for name, feed in self._feeds.items():
            for connection in feed.connections:
                names = [name, connection.spec.name]
                for word in _PHASES:
                    phase.add_metric([*names, word], float(connection.phase == word))
                again.add_metric(names, connection.reconnects)
                rotations.add_metric(names, connection.rotations)
        yield from (phase, again, rotations)

    def _venues(self) -> Iterator[Metric]:
        budget = GaugeMetricFamily(
            "liqfield_budget_left",
            "share of a REST budget, below 0 while told to stop",
            labels=["budget"],
        )
        lag = GaugeMetricFamily(
            "liqfield_lag_seconds", "received minus the venue's own time, median", labels=["venue"]
        )
        waiting = GaugeMetricFamily(
            "liqfield_books_void", "books that wait for a snapshot request", labels=["venue"]
        )
        accounts = GaugeMetricFamily(
            "liqfield_accounts", "public accounts known, and holding", labels=["venue", "kind"]
        )
        holes = CounterMetricFamily(
            "liqfield_trade_holes",
            "losses of trades: filled by REST, or beyond the venue's history",
            labels=["venue", "outcome"],
        )
        levels: dict[str, float] = {}
        for name, feed in self._feeds.items():
            levels |= feed.budgets()
            if feed.lag_s is not None:
                lag.add_metric([name], feed.lag_s)
            waiting.add_metric([name], feed.resyncs_waiting)
            holes.add_metric([name, "filled"], feed.missed.filled)
            holes.add_metric([name, "short"], feed.missed.short)
            if feed.accounts.known:
                accounts.add_metric([name, "known"], feed.accounts.known)
                accounts.add_metric([name, "holding"], len(feed.accounts.holders))
        for key, level in levels.items():
            budget.add_metric([key], level)
        yield from (budget, lag, waiting, accounts, holes)


def exposition(collector: TerminalCollector) -> bytes:
    """The text that a scrape gets."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"liqfield_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"liqfield_{name}", text, value=value)
