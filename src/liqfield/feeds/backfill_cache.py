"""Replies of a back-fill that were here already: a start goes on where the last one was stopped.

<folder>/<venue>/<instrument>/<from ns>-<to ns>/<request>.reply: the folders are the ledger. A
stretch of the past that was asked for once is asked for again with the same requests, so that those
answered then are read from disk; what is new since is a stretch of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
from pathlib import Path
from typing import TypeAlias

import msgspec
import zstandard

from liqfield.model.durations import MINUTE_NS
from liqfield.model.events import Frame
from liqfield.model.requests import HttpRequest

Stretch: TypeAlias = tuple[int, int]  # ns, from and to
# Candles that were still running, and statistics that a venue states some minutes late.
OVERLAP_NS = 15 * MINUTE_NS
SHORTEST_NS = 30 * MINUTE_NS  # less is asked for again: many starts shall not leave many stretches
_STRETCH = re.compile(r"(\d{1,20})-(\d{1,20})")


class _Kept(msgspec.Struct):
    venue: str
    source: str
    received_ns: int
    payload: bytes


class BackfillCache:
    """folder None: nothing is kept. `problem` says in words what could not be stored."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.problem = ""

    def plan(self, instrument_id: str, start_ns: int, end_ns: int) -> list[Stretch]:
        """Stretches that together cover start..end; those begun by earlier starts as they were."""
        out: list[Stretch] = []
        at_ns = start_ns
        for begin_ns, stop_ns in self._stretches(instrument_id):
            if not at_ns < stop_ns <= end_ns:
                continue
            if begin_ns > at_ns:
                out.append((at_ns, begin_ns))
            out.append((begin_ns, stop_ns))
            at_ns = max(stop_ns - OVERLAP_NS, start_ns)
        return [*out, (at_ns, end_ns)]

    def prune(self, before_ns: int) -> None:
        """Remove stretches that end before: a reply is kept no longer than it can be of use."""
        found = self._folder.glob("*/*/*-*") if self._folder is not None else ()
        for path in list(found):
            name = _STRETCH.fullmatch(path.name)
            if name is not None and int(name[2]) < before_ns:
                with contextlib.suppress(OSError):
                    shutil.rmtree(path)

    def load(self, stretch: Stretch, request: HttpRequest) -> Frame | None:
        """The reply to this request as it came, stamped with the time it came; or None."""
        path = self._path(stretch, request)
        if path is None:
            return None
        try:
            raw = zstandard.ZstdDecompressor().decompress(path.read_bytes())
            kept = msgspec.msgpack.decode(raw, type=_Kept)
        except (OSError, zstandard.ZstdError, msgspec.DecodeError):
            return None
        return Frame(kept.venue, kept.source, kept.received_ns, kept.payload)

    def store(self, stretch: Stretch, request: HttpRequest, frame: Frame) -> None:
        """Keep a reply; a full or read-only disk is told, never fatal."""
        path = self._path(stretch, request)
        if path is None:
            return
        kept = _Kept(frame.venue, frame.source, frame.received_ns, frame.payload)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_suffix(".new")
            beside.write_bytes(zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(kept)))
            beside.replace(path)
        except OSError as error:
            self.problem = f"back-fill is not kept: {error}"

    def _stretches(self, instrument_id: str) -> list[Stretch]:
        folder = self._of(instrument_id)
        names = [path.name for path in folder.glob("*-*")] if folder is not None else []
        found = [_STRETCH.fullmatch(name) for name in names]
        return sorted((int(m[1]), int(m[2])) for m in found if m is not None)

    def _of(self, instrument_id: str) -> Path | None:
        if self._folder is None:
            return None
        venue, _, symbol = instrument_id.partition(":")
        return self._folder / venue / _digest(symbol)

    def _path(self, stretch: Stretch, request: HttpRequest) -> Path | None:
        folder = self._of(request.instrument_id)
        if folder is None or stretch[1] - stretch[0] < SHORTEST_NS:
            return None
        return folder / _name(stretch) / f"{_digest(request.source)}.reply"


def _name(stretch: Stretch) -> str:
    return f"{stretch[0]}-{stretch[1]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
