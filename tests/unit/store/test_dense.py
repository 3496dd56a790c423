"""Dense recordings: the same frames byte for byte, whatever the payload; upkeep around a writer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqfield.app.packing import measure
from liqfield.model.events import Frame, Gap, Record
from liqfield.model.sides import GapReason
from liqfield.store import dense, upkeep
from liqfield.store.dense import read_dense, write_dense
from liqfield.store.frames import RecordWriter, read_records, recording_files
from liqfield.store.segment import ReadReport

json_like = st.lists(
    st.one_of(
        st.sampled_from([b'{"a":', b'["', b'","', b".", b"}", b"\0", b"\n", b"", b"-", b"e"]),
        st.integers(0, 10**20).map(lambda n: b"%d" % n),
        st.sampled_from([b"0", b"00", b"007", b"0.10", b"\xff\xfe"]),
    ),
    max_size=30,
).map(b"".join)
records_st = st.lists(
    st.one_of(
        st.builds(
            Frame,
            st.sampled_from(["binance", "okx"]),
            st.sampled_from(["ws:/a#b", "rest:/x?y=1"]),
            st.integers(0, 10**19),
            st.one_of(json_like, st.binary(max_size=60)),
        ),
        st.builds(
            Gap,
            st.just("bybit"),
            st.just("ws:/a#b"),
            st.integers(0, 10**19),
            st.sampled_from(list(GapReason)),
        ),
    ),
    max_size=60,
)


@given(records=records_st, chunk=st.integers(1, 30), columns=st.integers(0, 5))
def test_every_byte_comes_back(
    records: list[Record], chunk: int, columns: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("d") / "1.lqd"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "CHUNK_RECORDS", chunk)
        patch.setattr(dense, "_MAX_COLUMNS", columns)
        write_dense(path, records, ["x"])
        report = ReadReport(str(path))
        assert list(read_dense(path, report)) == records
    assert (report.why, report.records) == ("", len(records))
    assert dense.sources(path) == ["x"]


def frames(first: int, count: int) -> list[Record]:
    return [
        Frame("okx", "ws:/a#b", i, b'{"p":"%d.5","q":%d}' % (90_000 + i % 7, i))
        for i in range(first, first + count)
    ]


def test_damage_is_told_and_never_read_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense, "CHUNK_RECORDS", 10)
    path = tmp_path / "1.lqd"
    write_dense(path, frames(0, 30))
    data = bytearray(path.read_bytes())
    data[-100] ^= 0xFF
    path.write_bytes(data)
    report = ReadReport(str(path))
    assert list(read_dense(path, report)) == frames(0, 20)
    assert report.torn_bytes > 0
    assert upkeep.check_recording(path).is_damaged


def test_packing_leaves_the_running_segment_and_the_same_records(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    for start in (0, 100, 200):
        writer = RecordWriter(folder, block_records=16)
        for record in frames(start, 100):
            writer.append(record)
        writer.close()
    before = list(read_records(folder))
    now_s = max(file.stat().st_mtime for file in folder.iterdir()) + 1.0
    (done,) = upkeep.pack(folder, now_s)
    assert (done.segments, done.bytes_after < done.bytes_before) == (2, True)
    assert sorted(file.suffix for file in folder.iterdir()) == [".lqd", ".lqf"]
    assert list(read_records(folder)) == before == frames(0, 300)
    # The writer goes on, behind everything there is.
    for record in frames(300, 5):
        writer.append(record)
    writer.close()
    assert list(read_records(folder)) == frames(0, 305)
    assert all(not found.why for found in upkeep.check(tmp_path))
    # Quiet for longer than a segment lives: the last one is packed too.
    assert len(list(upkeep.pack(folder, now_s + 2 * upkeep.QUIET_S))) == 1
    assert [file.suffix for file in recording_files(folder)] == [".lqd", ".lqd"]
    assert list(read_records(folder)) == frames(0, 305)


def test_a_packing_cut_short_repeats_nothing(tmp_path: Path) -> None:
    """The dense file is there, its segments not yet gone."""
    writer = RecordWriter(tmp_path)
    for record in frames(0, 50):
        writer.append(record)
    writer.close()
    (segment,) = tmp_path.iterdir()
    write_dense(tmp_path / f"{segment.stem}.lqd", frames(0, 50), [segment.name])
    assert list(read_records(tmp_path)) == frames(0, 50)
    assert list(upkeep.pack(tmp_path, 1e12)) == []
    assert not segment.exists()


def test_a_torn_tail_is_packed_and_a_damaged_segment_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    for start in (0, 100, 200):
        writer = RecordWriter(folder, block_records=10)
        for record in frames(start, 100):
            writer.append(record)
        writer.close()
    torn, damaged, _ = recording_files(folder)
    torn.write_bytes(torn.read_bytes()[:-3])
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 0xFF
    damaged.write_bytes(data)
    kept = list(read_records(folder))
    found = {Path(f.path).name: f for f in upkeep.check(tmp_path)}
    assert (found[torn.name].why, found[torn.name].is_damaged) == ("torn block", False)
    assert found[damaged.name].is_damaged
    list(upkeep.pack(folder, 1e12))
    assert damaged.exists()
    assert not torn.exists()
    assert list(read_records(folder)) == kept


def test_retention_by_age_and_bytes(tmp_path: Path) -> None:
    day = 86_400_000_000_000
    for n in range(5):
        writer = RecordWriter(tmp_path)
        writer.append(Frame("okx", "s", n * day, b"x" * 100))
        writer.close()
    files = recording_files(tmp_path)
    size = files[1].stat().st_size
    # The first file may hold records up to the beginning of the second.
    gone = upkeep.prune(tmp_path, now_ns=4 * day, keep_s=2.5 * 86_400)
    assert [path for path, _ in gone] == [str(files[0])]
    gone = upkeep.prune(tmp_path, now_ns=4 * day, keep_bytes=2 * size + 9)
    assert [path for path, _ in gone] == [str(path) for path in files[1:3]]
    upkeep.prune(tmp_path, now_ns=400 * day, keep_s=1.0, keep_bytes=1)
    assert recording_files(tmp_path) == files[4:]


def test_real_traffic_packs_below_five_bytes_a_level(shared_data: Path) -> None:
    """Trades and best quotes included; the whole capture: python -m liqfield.app.packing."""
    path = shared_data / "data/recordings/binance_usdm/btcusdt_20240808.gz"
    found = measure(path, 10_000)
    print(found)
    assert found.is_identical
    assert found.packed_per_level < 5.0
