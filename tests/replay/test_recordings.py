"""Real traffic: the same recording gives the same market, and the venues' own quotes agree."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from liqfield.app.inspect import Inspection, inspect
from liqfield.app.pipeline import Pipeline
from liqfield.app.terminal import infer_instruments
from liqfield.engine.engine import Engine
from liqfield.engine.outputs import Output
from liqfield.model.events import Frame, Gap, Record
from liqfield.model.sides import GapReason
from liqfield.store.foreign import open_recording
from liqfield.store.frames import RecordWriter, read_records
from liqfield.store.segment import ReadReport
from liqfield.venues import registry

PREFIX = 4_000  # records: enough to join the books, quick to fold
RECORDINGS = {
    "binance": "binance_usdm/btcusdt_20240808.gz",
    "bybit": "bybit/bybit_v5_20260809.jsonl.zst",
    "okx": "okx/okx_v5_20220513.jsonl.zst",
    "hyperliquid": "hyperliquid/btcusd_20250126.gz",
}


@pytest.fixture(scope="module")
def recordings(shared_data: Path) -> dict[str, Path]:
    return {venue: shared_data / "data/recordings" / name for venue, name in RECORDINGS.items()}


@pytest.fixture(scope="module")
def reports(recordings: dict[str, Path]) -> dict[str, Inspection]:
    """`liqfield inspect` of each recording, whole."""
    return {venue: inspect([path]) for venue, path in recordings.items()}


def prefix(path: Path) -> Iterator[Record]:
    return itertools.islice(open_recording(path), PREFIX)


def new_pipeline(recorder: RecordWriter | None = None) -> Pipeline:
    """Assets with books in the recordings: the tickers of Bybit's name 692, with four books."""
    venues = registry.make()
    bases = frozenset({"BTC", "ETH", "SOL", "DOGE", "UNI"})
    engine = Engine({name: venue.book_rule for name, venue in venues.items()}, bases)
    return Pipeline(engine, venues, recorder=recorder)


def fold(pipeline: Pipeline, records: Iterator[Record], batch: int = 1) -> list[Output]:
    """Instruments of recordings without a list are inferred before a batch, as in a replay."""
    outputs: list[Output] = []
    while part := list(itertools.islice(records, batch)):
        infer_instruments(pipeline, part)
        outputs += pipeline.consume(part)
    return outputs


@pytest.mark.parametrize("venue", RECORDINGS)
def test_two_folds_of_a_recording_are_one(recordings: dict[str, Path], venue: str) -> None:
    one, two = new_pipeline(), new_pipeline()
    first = fold(one, prefix(recordings[venue]))
    second = fold(two, prefix(recordings[venue]))
    assert one.engine.markets, "nothing was folded"
    assert one.engine.digest() == two.engine.digest()
    assert one.engine.events == two.engine.events
    assert [type(output) for output in first] == [type(output) for output in second]


def test_a_changed_frame_changes_the_digest(recordings: dict[str, Path]) -> None:
    """The digest sees the market: one trade of another size is another digest."""
    records = list(prefix(recordings["binance"]))
    trades = [
        (i, record)
        for i, record in enumerate(records)
        if isinstance(record, Frame) and b'"e":"trade"' in record.payload
    ]
    at, frame = trades[-1]
    changed = frame.payload.replace(b'"q":"', b'"q":"9')
    assert changed != frame.payload
    one, two = new_pipeline(), new_pipeline()
    fold(one, iter(records))
    records[at] = msgspec.structs.replace(frame, payload=changed)
    fold(two, iter(records))
    assert one.engine.digest() != two.engine.digest()


def test_every_frame_of_every_recording_decodes(reports: dict[str, Inspection]) -> None:
    for venue, report in reports.items():
        assert report.decode_errors == 0, f"{venue}: {report.failures}"
        assert [file.torn_bytes for file in report.files] == [0], venue
        assert sum(report.frames.values()) > 0
        assert report.first_received_ns < report.last_received_ns


# Counts of integers only: they do not depend on the machine's arithmetic.
FRAMES = {"binance": 93_954, "bybit": 3_229, "okx": 435, "hyperliquid": 55}
EVENTS = {
    "binance": {"BookDelta": 6_551, "BestQuote": 66_089, "Trade": 21_313, "BookSnapshot": 1},
    "bybit": {"BookDelta": 1_594, "BookSnapshot": 4},
    "okx": {"BookSnapshot": 2, "BookDelta": 190, "Trade": 5},
    "hyperliquid": {"BookSnapshot": 46, "Trade": 64},
}


@pytest.mark.parametrize("venue", RECORDINGS)
def test_golden_counts(reports: dict[str, Inspection], venue: str) -> None:
    report = reports[venue]
    assert sum(report.frames.values()) == FRAMES[venue]
    assert {kind: report.events[kind] for kind in EVENTS[venue]} == EVENTS[venue]


def test_binance_rebuilt_top_agrees_with_every_comparable_quote(
    reports: dict[str, Inspection],
) -> None:
    """The last quote with an id at or before the diff's u, and after its pu: price and size."""
    book = reports["binance"].books["binance:BTCUSDT"]
    assert book.is_live
    # Two of the 5,703 comparable diffs are joined with the snapshot and are not seen one by one.
    assert book.compared == book.agreed == 5_701
    assert book.sequence_gaps == 0
    assert (book.bid_levels, book.ask_levels) == (5_018, 4_578)


def test_bybit_books_hold_two_hundred_levels_a_side(reports: dict[str, Inspection]) -> None:
    books = reports["bybit"].books
    assert {key.partition(":")[2] for key in books} == {"BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT"}
    for name, book in books.items():
        assert book.is_live, name
        assert (book.sequence_gaps, book.snapshots) == (0, 1), name
        assert (book.bid_levels, book.ask_levels) == (200, 200), name
    spot = {kind for kind in reports["bybit"].unknown if kind.startswith("bybit spot")}
    assert "bybit spot orderbook" in spot, "spot shares the topic names: it must not be a book"


def test_okx_and_hyperliquid_books_live(reports: dict[str, Inspection]) -> None:
    okx = reports["okx"].books
    assert okx
    assert all(book.is_live and book.sequence_gaps == 0 for book in okx.values())
    hyperliquid = reports["hyperliquid"].books["hyperliquid:BTC"]
    assert hyperliquid.is_live
    assert (hyperliquid.bid_levels, hyperliquid.ask_levels) == (20, 20)
    assert hyperliquid.snapshots == 46


@pytest.mark.parametrize("venue", RECORDINGS)
def test_the_replay_of_a_run_is_the_run(
    recordings: dict[str, Path], tmp_path: Path, venue: str
) -> None:
    """Record while folding, with a loss and a malformed frame in between; fold what was recorded.

    The instruments are given: a recording of ours carries the venue's own list.
    """
    known = new_pipeline()
    fold(known, prefix(recordings[venue]))
    listed = list(known.engine.instruments.values())
    records = list(prefix(recordings[venue]))
    middle = records[len(records) // 2]
    broken = Frame(venue, "ws:/recorded#lines", middle.received_ns, b'{"stream":')
    loss = Gap(venue, middle.source, middle.received_ns, GapReason.OVERFLOW, detail="3 dropped")
    records[len(records) // 2 : len(records) // 2] = [broken, loss]

    writer = RecordWriter(tmp_path)
    live = new_pipeline(writer)
    for instrument in listed:
        live.engine.list(instrument)
    fold(live, iter(records), 64)
    writer.close()
    assert live.decode_errors == 1
    assert sum(live.gaps.values()) >= 1

    found: list[ReadReport] = []
    again = new_pipeline()
    for instrument in listed:
        again.engine.list(instrument)
    fold(again, read_records(tmp_path, found), 1)
    assert sum(report.records for report in found) == len(records)
    assert again.engine.digest() == live.engine.digest()
    assert again.engine.events == live.engine.events
    assert (again.frames, again.gaps) == (live.frames, live.gaps)
    assert again.decode_errors == live.decode_errors
