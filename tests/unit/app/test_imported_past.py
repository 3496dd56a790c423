"""Imported days as frames: exact, recorded, and only where they reach the back-fill."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from liqfield.app.archive_maps import fold_archives
from liqfield.app.imported_past import WARM_DAYS, hand_over, unbroken_days
from liqfield.app.imports import import_archive
from liqfield.app.instruments import archived
from liqfield.app.pipeline import Pipeline
from liqfield.engine.engine import Engine
from liqfield.engine.outputs import ColumnDue
from liqfield.model.events import Candle, Frame, FundingRate, MarketEvent, OpenInterest
from liqfield.store import upkeep
from liqfield.store.archives.order import rank
from liqfield.store.candle_history import CandleHistory
from liqfield.store.frames import RecordWriter, read_records
from liqfield.store.history import HistoryStore
from liqfield.store.map_history import MapHistory
from liqfield.store.past_frames import read_past
from liqfield.venues import registry
from tests.archive_files import START_MS, Walk

BTC = "binance:BTCUSDT"
DAY_NS = 86_400_000_000_000
STEP_NS = 300_000_000_000
START_NS = START_MS * 1_000_000
DAYS = 3
END_NS = START_NS + DAYS * DAY_NS
JOIN_NS = END_NS - DAY_NS // 2
OF = archived(BTC, {})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program's data folder with three imported days."""
    folder = tmp_path_factory.mktemp("continuity")
    import_archive("binance-vision", Walk(days=DAYS).vision(folder / "vision"), folder / "history")
    return folder


def handed(data: Path, until_ns: int, days: float = 365.0) -> list[Frame]:
    frames: list[Frame] = []
    clock = iter(range(END_NS, END_NS + 100))
    sent = asyncio.run(
        hand_over(data, [OF], {BTC: until_ns}, days, lambda: next(clock), frames.append)
    )
    assert sent == len(frames)
    return frames


def test_frames_give_back_every_fact_and_bit(data: Path) -> None:
    frames = handed(data, JOIN_NS)
    assert len(frames) == DAYS
    store = HistoryStore(data / upkeep.HISTORY)
    want = list(store.backfill(BTC, START_NS, JOIN_NS))
    got: list[MarketEvent] = []
    for day, frame in enumerate(frames):
        past = read_past(frame)
        assert past.event_ns == min(JOIN_NS, START_NS + (day + 1) * DAY_NS)
        got += sorted(past.events, key=rank)
    same = [msgspec.structs.replace(e, received_ns=0) for e in got]
    assert same == [msgspec.structs.replace(e, received_ns=0) for e in want]
    assert {type(e) for e in got} == {Candle, OpenInterest, FundingRate}


def test_a_damaged_frame_is_counted_and_no_more(data: Path) -> None:
    frame = handed(data, JOIN_NS)[0]
    pipeline = new_pipeline()
    pipeline.consume([msgspec.structs.replace(frame, payload=frame.payload[:-9])])
    assert pipeline.decode_errors == 1
    assert not pipeline.engine.unknown


def test_only_days_without_a_hole_that_reach_the_join(tmp_path: Path) -> None:
    walk = Walk(days=6)
    walk.vision(tmp_path / "vision")
    (
        tmp_path / "vision/data/futures/um/daily/metrics/BTCUSDT/BTCUSDT-metrics-2026-01-02.zip"
    ).unlink()
    import_archive("binance-vision", tmp_path / "vision", tmp_path / "history")
    store, first = HistoryStore(tmp_path / "history"), START_NS // DAY_NS
    end = START_NS + 6 * DAY_NS
    assert unbroken_days(store, BTC, end, 99) == [first + 2, first + 3, first + 4, first + 5]
    assert unbroken_days(store, BTC, end, 2) == [first + 4, first + 5]
    assert unbroken_days(store, BTC, end, 0) == []
    assert unbroken_days(store, BTC, end - 1, 1) == [first + 5]
    # One day may be missing before the back-fill, no more.
    assert unbroken_days(store, BTC, end + DAY_NS, 2) == [first + 5]
    assert unbroken_days(store, BTC, end + DAY_NS + 1, 99) == []
    assert unbroken_days(store, BTC, START_NS, 99) == []
    assert WARM_DAYS >= 14


def test_nothing_is_handed_over_without_imports(tmp_path: Path) -> None:
    assert handed(tmp_path, JOIN_NS) == []
    assert not list(tmp_path.iterdir()), "looking makes no folders"


# ---- the join -----------------------------------------------------------------------------------


def new_pipeline(recorder: RecordWriter | None = None) -> Pipeline:
    venues = registry.make(("binance",))
    engine = Engine({n: v.book_rule for n, v in venues.items()}, frozenset({"BTC"}))
    engine.list(OF)
    return Pipeline(engine, venues, recorder=recorder)


def live_mark() -> Frame:
    at = END_NS // 1_000_000 + 1_000
    body = {"e": "markPriceUpdate", "E": at, "s": "BTCUSDT", "p": f"{Walk(DAYS).price[-1]:.2f}",
            "i": "90000", "r": "0.0001", "T": at + 1_000}  # fmt: skip
    payload = msgspec.json.encode({"stream": "btcusdt@markPrice@1s", "data": body})
    return Frame("binance", "ws:/market/stream#market-0", at * 1_000_000, payload)


def test_the_live_map_goes_on_where_the_archive_ends(data: Path, tmp_path: Path) -> None:
    """Imports up to the join, then the venue's own past: one estimator's map on both sides.

    The archive's columns end at the join, the live ones begin five minutes later; a map that begins
    at the join is another one.
    """
    maps = MapHistory(tmp_path / "map")
    candles = CandleHistory(None)
    asyncio.run(
        fold_archives(
            data, maps, candles, [("BTC", [OF])], START_NS, JOIN_NS, lambda _text: None, rest=0.0
        )
    )
    archive = maps.column("BTC", "all", JOIN_NS - STEP_NS, 300)
    assert archive is not None
    assert archive.as_of_ns == JOIN_NS
    venue_past = list(HistoryStore(data / upkeep.HISTORY).backfill(BTC, JOIN_NS, END_NS))
    distance = {}
    for name, frames in (("joined", handed(data, JOIN_NS)), ("alone", [])):
        pipeline = new_pipeline()
        pipeline.consume(frames)
        for event in venue_past:
            pipeline.engine.step(event)
        columns = [o for o in pipeline.consume([live_mark()]) if isinstance(o, ColumnDue)]
        first = columns[0]
        assert first.at_ns == JOIN_NS + STEP_NS
        drawn = MapHistory(tmp_path / name)
        drawn.append("BTC", "all", first.at_ns, first.densities[0], 300)
        column = drawn.column("BTC", "all", JOIN_NS, 300)
        assert column is not None
        a, b = column.notional_usd.sum((0, 1)), archive.notional_usd.sum((0, 1))
        shift = column.grid.first_bin - archive.grid.first_bin
        a, b = (a[: len(a) - shift], b[shift:]) if shift >= 0 else (a[-shift:], b[:shift])
        distance[name] = float(abs(a - b).sum() / b.sum())
        drawn.close()
    maps.close()
    print(f"first live column against the archive's last, share that differs: {distance}")
    assert distance["joined"] < 0.05
    assert distance["alone"] > 5.0 * distance["joined"]


def test_a_replay_begins_with_the_same_imports(data: Path, tmp_path: Path) -> None:
    """What was handed over is in the recording, also when it is packed; without it all is other."""
    writer = RecordWriter(tmp_path / "frames")
    live = new_pipeline(writer)
    live.consume([*handed(data, JOIN_NS), live_mark()])
    writer.close()
    assert live.engine.markets["BTC"].instruments[BTC].density.state is not None
    again, bare = new_pipeline(), new_pipeline()
    (packed,) = upkeep.pack(tmp_path / "frames", END_NS / 1e9 + 1e9)
    records = list(read_records(Path(packed.path)))
    print(f"bytes of an imported day of one instrument, packed: {packed.bytes_after / DAYS:.0f}")
    again.consume(records)
    bare.consume([r for r in records if not r.source.startswith("import:")])
    assert again.engine.digest() == live.engine.digest()
    assert again.engine.events == live.engine.events
    assert bare.engine.digest() != live.engine.digest()


def test_pieces_of_the_pipeline_are_its_whole(data: Path) -> None:
    """`pieces` stops within the past, and the live frame behind it waits."""
    records = [*handed(data, JOIN_NS), live_mark(), live_mark()]
    whole, pieces = new_pipeline(), new_pipeline()
    outputs = whole.consume(records)
    parts, held = [], 0
    market = pieces.engine.markets["BTC"]
    for part in pieces.pieces(records):
        parts.append(part)
        held += pieces.is_in_past
        assert (market.instruments[BTC].mark is None) == pieces.is_in_past
    assert held > 700, "two and a half days of five minutes"
    assert max(len(part) for part in parts[:-1]) <= 2
    assert [type(o) for part in parts for o in part] == [type(o) for o in outputs]
    assert pieces.engine.digest() == whole.engine.digest()
    assert pieces.engine.events["MarkPrice"] == 2
    assert not pieces.is_in_past
