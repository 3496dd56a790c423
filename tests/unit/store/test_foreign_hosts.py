"""Captures of others: the narrowest host names the venue; what is cut off gives what it has."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import msgspec
import pytest
import zstandard

from liqfield.model.errors import StoreError
from liqfield.store.foreign import _venue_of, open_recording
from liqfield.store.segment import ReadReport
from liqfield.venues import registry


@pytest.mark.parametrize("name", [n for n in registry.VENUES if n != "bybit-inverse"])
def test_the_addresses_of_every_venue_name_it(name: str) -> None:
    venue = registry.VENUES[name]()
    for url in (venue.rest_url, venue.ws_url):
        assert _venue_of(f"{url}/some/path", Path("x")) == name


def test_an_address_of_nobody_is_refused() -> None:
    with pytest.raises(StoreError, match="no known venue"):
        _venue_of("wss://notbinance.com/ws", Path("x"))


LINES = b"".join(
    b'%d {"stream":"btcusdt@trade","data":{"n":%d}}\n' % (n, n) for n in range(1, 2000)
)


@pytest.mark.parametrize("cut", [9, 400])
def test_a_torn_capture_gives_what_came_before(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "torn.gz"
    path.write_bytes(gzip.compress(LINES)[:-cut])
    reports: list[ReadReport] = []
    records = list(open_recording(path, "", reports))
    assert records
    assert reports[0].records == len(records) < 2000
    assert reports[0].why.startswith("torn")


def test_a_capture_with_flipped_bits_is_no_crash(tmp_path: Path) -> None:
    raw = bytearray(gzip.compress(LINES))
    for at in range(12, len(raw), 61):
        raw[at] ^= 0x55
    path = tmp_path / "bad.gz"
    path.write_bytes(raw)
    with contextlib.suppress(StoreError):  # anything else would be a crash
        reports: list[ReadReport] = []
        list(open_recording(path, "", reports))
        assert reports[0].why


def test_a_torn_container_gives_what_came_before(tmp_path: Path) -> None:
    rows = [
        {"t": "connect", "ts": 1.0, "conn": "a", "url": "wss://stream.bybit.com/v5/public/linear"},
        *({"t": "recv", "ts": 1.0 + n, "conn": "a", "data": str(n) * 40} for n in range(4_000)),
    ]
    text = b"\n".join(msgspec.json.encode(row) for row in rows)
    path = tmp_path / "torn.jsonl.zst"
    compressor = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    pieces = [compressor.compress(text[: len(text) // 2])]
    pieces += [compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)]
    pieces += [compressor.compress(text[len(text) // 2 :]), compressor.flush()]
    path.write_bytes(b"".join(pieces)[:-30])
    reports: list[ReadReport] = []
    records = list(open_recording(path, "", reports))
    assert 1_000 < len(records) < len(rows)
    assert reports[0].records == len(records)
    assert reports[0].why


def test_a_file_that_is_no_capture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.zst"
    path.write_bytes(b"abc")
    with pytest.raises(StoreError, match="cannot be read"):
        list(open_recording(path))
    with pytest.raises(StoreError, match="No such file"):
        open_recording(tmp_path / "absent.gz")
