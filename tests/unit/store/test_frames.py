"""Recordings: exact round trip, torn tails cut and reported, damage never read past."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from liqfield.model.errors import StoreError
from liqfield.model.events import Frame, Gap, Record
from liqfield.model.sides import GapReason
from liqfield.store.foreign import open_recording
from liqfield.store.frames import RecordWriter, read_records
from liqfield.store.segment import ReadReport

records_st = st.lists(
    st.one_of(
        st.builds(
            Frame,
            st.sampled_from(["binance", "okx"]),
            st.sampled_from(["ws:/a#b", "rest:/x?y=1"]),
            st.integers(0, 10**19),
            st.binary(max_size=200),
        ),
        st.builds(
            Gap,
            st.just("bybit"),
            st.just("ws:/a#b"),
            st.integers(0, 10**19),
            st.sampled_from(list(GapReason)),
            st.sampled_from(["", "bybit:X"]),
            st.text(max_size=5),
            st.sampled_from([(), ("Trade",), ("BookDelta", "BookSnapshot")]),
        ),
    ),
    max_size=40,
)


def write(folder: Path, records: list[Record], block: int = 7) -> Path:
    writer = RecordWriter(folder, block_records=block)
    for record in records:
        writer.append(record)
    writer.close()
    return folder


@given(records=records_st)
def test_round_trip(records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = write(tmp_path_factory.mktemp("r"), records)
    if not records:
        with pytest.raises(StoreError, match=r"no \.lqf or"):
            list(read_records(folder))
        return
    assert list(read_records(folder)) == records


@given(cut=st.integers(1, 2_000), flip=st.booleans())
def test_a_torn_tail_is_cut_off_and_reported(
    cut: int, flip: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    records: list[Record] = [Frame("okx", "ws:/a#b", i, b"%d" % i * 9) for i in range(40)]
    folder = write(tmp_path_factory.mktemp("r"), records)
    (file,) = folder.glob("*.lqf")
    data = bytearray(file.read_bytes())
    at = max(4, len(data) - cut)
    if flip:
        at = min(at, len(data) - 1)
        data[at] ^= 0x55
        file.write_bytes(data)
    else:
        file.write_bytes(data[:at])
    reports: list[ReadReport] = []
    got = list(read_records(folder, reports))
    assert got == records[: len(got)]
    assert len(got) % 7 == 0 or len(got) == 40
    (report,) = reports
    assert report.records == len(got)
    assert len(got) == 40 or at == 4 or report.torn_bytes > 0 or not flip


def test_appending_after_a_restart_keeps_both(tmp_path: Path) -> None:
    first: list[Record] = [Frame("okx", "ws:/a#b", 1, b"x")]
    second: list[Record] = [Frame("okx", "ws:/a#b", 2, b"y")]
    write(tmp_path, first)
    write(tmp_path, second)
    assert list(read_records(tmp_path)) == first + second


def test_foreign_or_absent_files_are_named(tmp_path: Path) -> None:
    file = tmp_path / "1.lqf"
    file.write_bytes(b"nonsense")
    with pytest.raises(StoreError, match=r"1\.lqf: is not a recording"):
        list(read_records(file))
    with pytest.raises(StoreError, match="cannot be read"):
        list(read_records(tmp_path / "2.lqf"))
    (tmp_path / "x.csv").write_text("a,b\n")
    with pytest.raises(StoreError, match="unknown recording"):
        open_recording(tmp_path / "x.csv")


def test_unwritable_folder_says_what_still_works(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(StoreError, match="cannot record here"):
        RecordWriter(blocker / "sub")
    writer = RecordWriter(tmp_path / "r")
    writer.append(Frame("okx", "s", 1, b""))
    (tmp_path / "r").rmdir()
    with pytest.raises(StoreError, match="goes on without recording"):
        writer.flush()


def test_lines_and_containers(tmp_path: Path) -> None:
    lines = tmp_path / "b.gz"
    depth = '{"stream":"btcusdt@trade","data":{}}'
    lines.write_bytes(gzip.compress(f'5 {depth}\n6 {{"lastUpdateId":1}}\n'.encode()))
    a, b = open_recording(lines)
    assert a == Frame("binance", "ws:/recorded#lines", 5, depth.encode())
    assert isinstance(b, Frame)
    assert b.source == "rest:/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
    rows = [
        {"t": "header", "exchange": "BYBIT"},
        {
            "t": "http",
            "conn": "h",
            "ts": 1.0,
            "url": "https://api.bybit.com/v5/x?a=b",
            "data": "{}",
        },
        {"t": "connect", "conn": "c", "ts": 1.5, "addr": "wss://stream.bybit.com/v5/public/linear"},
        {"t": "send", "conn": "c", "ts": 1.6, "data": "{}"},
        {"t": "recv", "conn": "c", "ts": 2.0, "data": "hi"},
    ]
    text = "\n".join(json.dumps(row) for row in rows) + "\n"
    container = tmp_path / "x.jsonl.zst"
    container.write_bytes(zstandard.compress(text.encode()))
    http, connect, received = open_recording(container)
    assert http == Frame("bybit", "rest:/v5/x?a=b", 10**9, b"{}")
    assert isinstance(connect, Gap)
    assert received == Frame("bybit", "ws:/v5/public/linear#c", 2 * 10**9, b"hi")
