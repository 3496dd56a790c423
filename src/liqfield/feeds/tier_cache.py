"""Margin tiers of an earlier day: kept with their date, used when a venue does not answer."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from liqfield.model.events import Frame
from liqfield.model.requests import HttpRequest


class _Kept(msgspec.Struct):
    venue: str
    source: str
    received_ns: int
    payload: bytes


class TierCache:
    """Replies as they came, so that decoding stays in one place. folder None: nothing is kept.

    What is loaded carries the time it was received, which becomes the date of the tier table.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.problem = ""

    def store(self, frame: Frame) -> None:
        """Keep a reply; a full or read-only disk is told, never fatal."""
        if self._folder is None:
            return
        kept = _Kept(frame.venue, frame.source, frame.received_ns, frame.payload)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._path(frame.venue, frame.source)
            beside = path.with_suffix(".new")
            beside.write_bytes(msgspec.msgpack.encode(kept))
            beside.replace(path)
        except OSError as error:
            self.problem = f"tiers are not kept: {error}"

    def load(self, request: HttpRequest) -> Frame | None:
        """The newest kept reply to this request, or None."""
        if self._folder is None:
            return None
        try:
            raw = self._path(request.venue, request.source).read_bytes()
            kept = msgspec.msgpack.decode(raw, type=_Kept)
        except (OSError, msgspec.DecodeError, msgspec.ValidationError):
            return None
        return Frame(kept.venue, kept.source, kept.received_ns, kept.payload)

    def _path(self, venue: str, source: str) -> Path:
        assert self._folder is not None
        name = hashlib.sha256(source.encode()).hexdigest()[:16]
        return self._folder / f"{venue}-{name}.tiers"
