"""Line formats of others, read as records: nothing past this file knows that they are foreign.

- hftbacktest captures: gzip lines "<local ns> <raw JSON>"; the venue is told or recognised.
- cryptofeed containers: zstd JSON lines with t = header, http, connect, send, recv.
- books that venues offer to download: Bybit's ob200 and ob500, Hyperliquid's l2Book.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import zstandard

from liqfield.model.errors import StoreError
from liqfield.model.events import Frame, Gap, Record
from liqfield.model.sides import GapReason
from liqfield.store import dense, segment
from liqfield.store.archives.rows import FileReport, stamp_ns, text_lines
from liqfield.store.frames import read_records
from liqfield.store.segment import ReadReport

# host suffix -> venue name, for containers that state addresses; the narrower ones first
_HOSTS = {
    "dapi.binance.com": "binance-coinm",
    "dstream.binance.com": "binance-coinm",
    "binance.com": "binance",
    "bybit.com": "bybit",
    "okx.com": "okx",
    "hyperliquid.xyz": "hyperliquid",
    "gateio.ws": "gate",
    "bitget.com": "bitget",
    "bitmex.com": "bitmex",
    "deribit.com": "deribit",
}


_BYBIT_BOOKS = re.compile(r".*_ob\d+\.data(?:\.zip|\.gz)?")


_TORN = (OSError, EOFError, zlib.error, zstandard.ZstdError, UnicodeDecodeError)
_CAPTURES = (".gz", ".jsonl.zst", ".jsonl", ".data.zip", ".data")


class _BybitBook(msgspec.Struct):
    """What says when a message was made; the message itself stays as it is."""

    topic: str
    ts: int
    cts: int = 0


class _HyperliquidBook(msgspec.Struct):
    time: str
    raw: msgspec.Raw


class _Line(msgspec.Struct):
    """One line of a container; `ts` seconds, `data` raw text."""

    t: str
    ts: float = 0.0
    conn: str = ""
    url: str = ""
    addr: str = ""
    data: str = ""
    body: str = ""


def open_recording(
    path: Path, venue: str = "", reports: list[ReadReport] | None = None
) -> Iterator[Record]:
    """Records of any recording we can read, told apart by name. `venue` overrides recognition."""
    if not path.exists():
        raise StoreError(str(path), "cannot be read (No such file or directory)")
    if path.is_dir():
        theirs = _foreign_files(path)
        return (
            _one_after_the_other(theirs, venue, reports) if theirs else read_records(path, reports)
        )
    if path.suffix in (segment.SUFFIX, dense.SUFFIX):
        return read_records(path, reports)
    if _BYBIT_BOOKS.fullmatch(path.name):
        return read_bybit_books(path, reports)
    if "l2Book" in path.parts:
        return read_hyperliquid_books(path, reports)
    if path.name.endswith(".gz"):
        return read_lines(path, venue, reports)
    if path.name.endswith((".jsonl.zst", ".jsonl")):
        return read_container(path, venue, reports)
    raise StoreError(str(path), f"unknown recording: expected {segment.SUFFIX}, .gz or .jsonl.zst")


def _foreign_files(folder: Path) -> list[Path]:
    """Captures of others in a folder that holds no recording of ours, in order of their names."""
    if any(folder.glob(f"*{segment.SUFFIX}")) or any(folder.glob(f"*{dense.SUFFIX}")):
        return []
    return sorted(p for p in folder.iterdir() if p.is_file() and p.name.endswith(_CAPTURES))


def _one_after_the_other(
    files: list[Path], venue: str, reports: list[ReadReport] | None
) -> Iterator[Record]:
    for file in files:
        yield from open_recording(file, venue, reports)


def read_lines(
    path: Path, venue: str = "", reports: list[ReadReport] | None = None
) -> Iterator[Record]:
    """gzip lines "<ns> <json>"."""
    report = ReadReport(str(path), blocks=1)
    if reports is not None:
        reports.append(report)
    symbol = ""
    try:
        with gzip.open(path, "rb") as source:
            for line in source:
                stamp, _, raw = line.rstrip(b"\n").partition(b" ")
                if not stamp.isdigit():
                    report.why, report.torn_bytes = "line without a time stamp", len(line)
                    return
                if not venue:
                    venue = _recognise(raw, path)
                symbol = symbol or _symbol(raw)
                report.records += 1
                yield Frame(venue, _line_source(venue, raw, symbol), int(stamp), raw)
    except _TORN as error:
        _torn(path, report, error)


def _torn(path: Path, report: ReadReport, error: Exception) -> None:
    """A capture that was cut off gives what came before; one that gives nothing is no capture."""
    if not report.records:
        raise StoreError(str(path), f"cannot be read ({error})") from error
    report.why = f"torn: {error}"


def read_container(
    path: Path, venue: str = "", reports: list[ReadReport] | None = None
) -> Iterator[Record]:
    """zstd (or plain) JSON lines of a cryptofeed capture; what the client sent is skipped."""
    report = ReadReport(str(path), blocks=1)
    if reports is not None:
        reports.append(report)
    decoder = msgspec.json.Decoder(_Line)
    rows: list[_Line] = []
    line = ""
    try:
        for line in _text_lines(path):
            rows.append(decoder.decode(line))
            report.records += 1
    except msgspec.DecodeError as error:
        report.why, report.torn_bytes = f"line cannot be read: {error}", len(line)
    except _TORN as error:
        _torn(path, report, error)
    report.records = 0
    # The container groups its lines by connection; the order of consumption is that of arrival.
    rows.sort(key=lambda row: row.ts)
    paths: dict[str, str] = {}
    name = venue
    for row in rows:
        received_ns = round(row.ts * 1e9)
        url = row.url or row.addr
        if url and not name:
            name = _venue_of(url, path)
        if row.t == "connect":
            paths[row.conn] = urlsplit(url).path or "/"
            source = f"ws:{paths[row.conn]}#{row.conn}"
            yield Gap(name, source, received_ns, GapReason.CONNECT)
        elif row.t == "http":
            parts = urlsplit(url)
            query = f"?{parts.query}" if parts.query else ""
            payload = (row.body or row.data).encode()
            yield Frame(name, f"rest:{parts.path}{query}", received_ns, payload)
        elif row.t == "recv":
            source = f"ws:{paths.get(row.conn, '/')}#{row.conn}"
            yield Frame(name, source, received_ns, row.data.encode())
        else:
            continue
        report.records += 1


def read_bybit_books(path: Path, reports: list[ReadReport] | None = None) -> Iterator[Record]:
    """Lines identical to the stream's messages; their own time stands for the arrival."""
    decoder = msgspec.json.Decoder(_BybitBook)
    for line, report in _book_lines(path, reports):
        try:
            head = decoder.decode(line)
        except msgspec.DecodeError as error:
            report.why, report.torn_bytes = f"line cannot be read: {error}", len(line)
            return
        # One archive holds one market: the topic's symbol says linear or inverse.
        kind = "inverse" if head.topic.rpartition(".")[2].endswith("USD") else "linear"
        report.records += 1
        at_ns = (head.cts or head.ts) * 1_000_000
        venue = "bybit-inverse" if kind == "inverse" else "bybit"
        yield Frame(venue, f"ws:/v5/public/{kind}#archive", at_ns, line)


def read_hyperliquid_books(path: Path, reports: list[ReadReport] | None = None) -> Iterator[Record]:
    """Lines {time, ver_num, raw}: `raw` is the stream's message, `time` its arrival."""
    decoder = msgspec.json.Decoder(_HyperliquidBook)
    for line, report in _book_lines(path, reports):
        try:
            row = decoder.decode(line)
            at_ns = stamp_ns(row.time.replace("Z", "+00:00"))
        except (msgspec.DecodeError, ValueError) as error:
            report.why, report.torn_bytes = f"line cannot be read: {error}", len(line)
            return
        report.records += 1
        yield Frame("hyperliquid", "ws:/recorded#archive", at_ns, bytes(row.raw))


def _book_lines(path: Path, reports: list[ReadReport] | None) -> Iterator[tuple[bytes, ReadReport]]:
    report = ReadReport(str(path), blocks=1)
    if reports is not None:
        reports.append(report)
    met = FileReport(str(path))
    for line in text_lines(path, met):
        if line.strip():
            yield line.strip().encode(), report
    report.why = report.why or met.why


def _text_lines(path: Path) -> Iterator[str]:
    with path.open("rb") as raw:
        stream = zstandard.ZstdDecompressor().stream_reader(raw) if path.suffix == ".zst" else raw
        yield from io.TextIOWrapper(stream, encoding="utf-8")


def _venue_of(url: str, path: Path) -> str:
    host = urlsplit(url).hostname or ""
    for suffix, venue in _HOSTS.items():
        if host == suffix or host.endswith("." + suffix):
            return venue
    raise StoreError(str(path), f"address {host!r} is of no known venue: name the venue")


def _recognise(raw: bytes, path: Path) -> str:
    if b'"channel"' in raw[:200]:
        return "hyperliquid"
    if b'"stream"' in raw[:200] or b'"lastUpdateId"' in raw[:200]:
        return "binance"
    raise StoreError(str(path), "venue not recognised from its first line: name the venue")


def _symbol(raw: bytes) -> str:
    """The symbol of a combined-stream line: {"stream":"btcusdt@depth@0ms",..."""
    if not raw.startswith(b'{"stream":"'):
        return ""
    return raw[11:60].partition(b"@")[0].decode("ascii", "replace").upper()


def _line_source(venue: str, raw: bytes, symbol: str) -> str:
    # The capture names no request; its only REST reply is the book snapshot of its only symbol.
    if venue == "binance" and b'"stream"' not in raw[:200]:
        return f"rest:/fapi/v1/depth?symbol={symbol}&limit=1000"
    return "ws:/recorded#lines"
