"""Dense recordings: the same frames byte for byte, whatever the payload; upkeep around a writer."""

from __future__ import annotations

import base64
import random
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
        st.sampled_from([b"0", b"00", b"007", b"0.10", b"1.", b".5", b"1.2.3", b"\xff\xfe"]),
        st.decimals(0, 10**9, places=3).map(lambda n: str(n).encode()),
        st.decimals(0, 10**6, places=5).map(lambda n: str(float(n)).encode()),
        st.binary(min_size=20, max_size=20).map(lambda raw: b"0x" + raw.hex().encode()),
        st.uuids().map(lambda name: str(name).encode()),
    ),
    max_size=30,
).map(b"".join)
# A book message as venues write them: rows of a price and a size, in two lists.
rows_st = st.lists(
    st.tuples(st.integers(80_000, 80_100), st.integers(0, 10**6)).map(
        lambda row: b'["%d.5","%s"]' % (row[0], str(row[1] / 1e3).encode())
    ),
    max_size=4,
).map(b",".join)
book_st = st.builds(
    lambda symbol, number, bids, asks: (
        b'{"s":"%s","u":%d,"pu":%d,"b":[%s],"a":[%s]}' % (symbol, number, number - 1, bids, asks)
    ),
    st.sampled_from([b"BTCUSDT", b"ETHUSDT"]),
    st.integers(0, 10**17),
    rows_st,
    rows_st,
)
records_st = st.lists(
    st.one_of(
        st.builds(
            Frame,
            st.sampled_from(["binance", "okx"]),
            st.sampled_from(["ws:/a#b", "rest:/x?y=1"]),
            st.integers(0, 10**19),
            st.one_of(json_like, book_st, st.binary(max_size=60)),
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


# A file that the first format's writer made of the records in the test below.
FIRST_FORMAT = (
    "Oi@HJ2mk;8c46{~k&&e_E^KjT@&Et;HY`Y(nFo=Qqi<_?r+0HYFJU8M#1JU8Fa00~IRF3v00000005K12gDI5wJ-"
    "f34MhL|5HJb>02vMolfnnYDk!xt{UD1C0RVV0H#sm0H!(CaF*q|dG%^Puz~ccPdMs(Zh9~FUjuQdIA}F;l{UCkK0"
    "05ACB5)!)A^<J`A}k_tB02zl3IPC6r85k~2`IHM{U87V005AblfnSR2`IHM{U87V005K22gDaBwJ-f3ICTI3Fdzc"
    "I00IC5PyzspTmh592gDL6wJ-f36iomC7%(*o0RYZ!2$RDH#1tsCFa01mT>t<W02TlO0D%xKzyd)5006{fob{Omla"
    "ixvYj~%3b2=|!BVv-JVtHa|bf<T7Ixk@(Vv?h8Yj~@2Wpi{oFL*zBJu$=$D77#BAOs-*000630F%N5#1JU8Fa00~"
    "IRF4K3NZ>Y3NVwx1jHdIwJ-f3PsIQLU@<p2Ff=&|F)%POG6Vo15g-{ik#PVb#2qNLFa01Cp#T7TB5)!)A^<J`A}k"
    "_tB02zl3jYAa7$~(b{U8r{000XB004A%ZwhQ_Ze?>IH<6U3VtHa|bf<T7Ixk@(V$T@YTZAL?0A!S<b97;BWvya)V"
    "rg_bLR3RlQ$$pzb7^d4Zgizoa$#g;m6O5%#0e<1Fa00@0RRA#!U4n%D77#BAO$G^068!)FffzC0mKU^wJ-f30ucZ"
    "JFg26H0mKU^wJ-f30ucZJH#d{Q0mKX_wJ-f30~r7SFfca"
)


@given(records=records_st, chunk=st.integers(1, 30), lanes=st.integers(0, 5))
def test_every_byte_comes_back(
    records: list[Record], chunk: int, lanes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("d") / "1.lqd"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "CHUNK_RECORDS", chunk)
        patch.setattr(dense, "_MAX_LANES", lanes)
        patch.setattr(dense, "_REPEATS", 3)
        write_dense(path, records, ["x"])
        report = ReadReport(str(path))
        assert list(read_dense(path, report)) == records
    assert (report.why, report.records) == ("", len(records))
    assert dense.sources(path) == ["x"]


def test_files_of_the_first_format_are_read(tmp_path: Path) -> None:
    path = tmp_path / "1.lqd"
    path.write_bytes(base64.b85decode(FIRST_FORMAT))
    at_ns = 1_790_000_000_000_000_000
    want: list[Record] = [
        Frame("okx", "ws:/a#b", at_ns + i * 7, b'{"p":"%d.05","q":%d}' % (90_000 + i % 7, i * 11))
        for i in range(8)
    ]
    want += [
        Gap(
            "bybit", "ws:/a#b", at_ns + 100, GapReason.STALE, "bybit:BTCUSDT", "silent", ("Trade",)
        ),
        Frame("okx", "rest:/x?y=1", at_ns + 101, b"two\nlines 7"),
        Frame("okx", "ws:/a#b", at_ns + 102, b"\xff007"),
    ]
    report = ReadReport(str(path))
    assert list(read_dense(path, report)) == want
    assert (report.why, report.blocks) == ("", 2)
    assert dense.sources(path) == ["1.lqf"]
    path.write_bytes(path.read_bytes()[:-1])
    assert list(read_dense(path, ReadReport(str(path)))) == want[:7]


def test_the_same_message_of_another_connection_costs_little(tmp_path: Path) -> None:
    """The canary of a connection of liquidations repeats the trades of another."""
    rng = random.Random(7)
    once: list[Record] = []
    twice: list[Record] = []
    for i in range(2_000):
        body = b'{"a":%d,"q":"%d.%03d"}' % (rng.getrandbits(50), i, rng.randrange(1_000))
        once.append(Frame("binance", "ws:/market#flow", i, body))
        twice += [once[-1], Frame("binance", "ws:/market#force", i, body)]
    sizes = [write_dense(tmp_path / f"{n}.lqd", some) for n, some in enumerate((once, twice))]
    assert list(read_dense(tmp_path / "1.lqd", ReadReport(""))) == twice
    assert sizes[1] < 1.2 * sizes[0]


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


RECORDINGS = {  # path: records, bytes a level update at most, and of the whole recording
    "binance_usdm/btcusdt_20240808.gz": (4_000, 3.0, 3.8),
    "bybit/bybit_v5_20260809.jsonl.zst": (None, 4.0, 8.5),  # a megabyte of instrument lists
    "okx/okx_v5_20220513.jsonl.zst": (None, 4.0, 15.5),  # nearly four
    "hyperliquid/btcusd_20250126.gz": (None, 1.6, 3.5),
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_real_traffic_packs_below_five_bytes_a_level_update(shared_data: Path, name: str) -> None:
    """Whole captures: python -m liqfield.app.packing."""
    limit, books, everything = RECORDINGS[name]
    found = measure(shared_data / "data/recordings" / name, limit)
    print(found)
    assert found.is_identical
    assert found.books_packed_per_update < books < 5.0
    assert found.packed_per_update < everything
