"""Content encodings and ETags of what a browser may keep."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from typing import Literal, TypeAlias

import zstandard

from liqfield.model.tiles import StoredTile

Encoding: TypeAlias = Literal["zstd", "br", "gzip", "identity"]


def accepted(header: str) -> frozenset[str]:
    """Encodings of an Accept-Encoding header with a q above zero."""
    out = set()
    for part in header.lower().split(","):
        name, _, parameters = part.strip().partition(";")
        if parameters.replace(" ", "").rstrip("0").rstrip(".") != "q=":
            out.add(name.strip())
    return frozenset(out)


def matches(if_none_match: str, etag: str) -> bool:
    """Does the browser hold this version? etag with its quotes."""
    held = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return etag in held or "*" in held


class TileEncoder:
    """Tiles lie as zstd; browsers without it get gzip, made once and kept for the next."""

    def __init__(self, limit_bytes: int = 16 << 20) -> None:
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def encode(self, tile: StoredTile, encodings: frozenset[str]) -> tuple[bytes, Encoding]:
        if "zstd" in encodings:
            return tile.data, "zstd"
        if "gzip" not in encodings:
            return zstandard.ZstdDecompressor().decompress(tile.data), "identity"
        if tile.etag in self._kept:
            self._kept.move_to_end(tile.etag)
            return self._kept[tile.etag], "gzip"
        raw = zstandard.ZstdDecompressor().decompress(tile.data)
        data = zlib.compress(raw, 1, wbits=31)
        self._kept[tile.etag] = data
        self._bytes += len(data)
        while self._bytes > self._limit_bytes:
            self._bytes -= len(self._kept.popitem(last=False)[1])
        return data, "gzip"
