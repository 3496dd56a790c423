"""Metrics of a running terminal's parts, as Prometheus reads them."""

from __future__ import annotations

from typing import cast

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from liqfield.app.metrics import TerminalCollector, exposition
from liqfield.app.pipeline import Pipeline
from liqfield.engine.engine import Engine
from liqfield.feeds.intake import Intake
from liqfield.feeds.transport import NetTransport
from liqfield.feeds.venue_feed import VenueFeed
from liqfield.model.events import Frame, Gap
from liqfield.model.sides import GapReason
from liqfield.venues import registry
from tests.support import INSTRUMENTS


def test_everything_that_is_counted_can_be_scraped() -> None:
    venues = registry.make(("binance",))
    engine = Engine({"binance": venues["binance"].book_rule})
    of = INSTRUMENTS["binance:BTCUSDT"]
    engine.list(of)
    intake = Intake()
    transport = NetTransport(cast(aiohttp.ClientSession, None))
    feed = VenueFeed(venues["binance"], intake.put, transport=transport)
    feed.follow([of])
    pipeline = Pipeline(engine, venues, on_events=feed.observe, on_malformed=feed.malformed)
    source = next(c.spec.source for c in feed.connections if c.spec.name.startswith("flow"))
    trade = b'{"e":"aggTrade","s":"BTCUSDT","a":%d,"p":"60000.1","q":"0.1","T":%d,"m":false}'
    at_ns = 1_790_000_000_000_000_000
    pipeline.consume(
        [
            Frame("binance", source, at_ns + 250_000_000, trade % (7, at_ns // 10**6)),
            Frame("binance", source, at_ns + 250_000_000, trade % (9, at_ns // 10**6)),
            Frame("binance", source, at_ns, b"{broken"),
            Gap("binance", source, at_ns, GapReason.STALE),
        ]
    )
    text = exposition(TerminalCollector(pipeline, intake, {"binance": feed})).decode()
    value = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert value["liqfield_decode_errors_total",] == 1.0
    assert value["liqfield_gaps_total", "binance", "stale"] == 1.0
    # A hole in the ids, and the kinds of a malformed frame, are told as gaps to the intake.
    assert value["liqfield_queue_depth",] == len(intake) >= 2
    assert value["liqfield_lag_seconds", "binance"] == pytest.approx(0.25)
    assert value["liqfield_stream_live", "binance", "trades BTCUSDT"] == 1.0
    assert value["liqfield_stream_live", "binance", "mark BTCUSDT"] == 0.0
    assert value["liqfield_budget_left", "binance futures weight"] == pytest.approx(1.0)
    assert value["liqfield_step_seconds", "0.99"] > 0.0
