"""The built web app out of the package: precompressed files, their caching and types."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import re
from pathlib import Path

import msgspec

STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
}
_HASHED = re.compile(r"^assets/.*[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+$")
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


class Asset(msgspec.Struct, frozen=True):
    """One file in memory with what its compressed siblings hold."""

    media_type: str
    etag: str
    cache_control: str
    variants: dict[str, bytes]  # "identity", "br", "gzip"


class Assets:
    """Reads the folder once, and again after a new build: only listed names can be asked for."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder
        self._built_ns = -1
        self._files: dict[str, Asset] = {}
        self._scripts: tuple[str, ...] = ()

    def scripts(self) -> tuple[str, ...]:
        """Sources of a content security policy for the scripts written into the page."""
        self._refresh()
        return self._scripts

    def find(self, path: str) -> Asset | None:
        """path without the leading slash; "" is the page."""
        self._refresh()
        return self._files.get(path or "index.html")

    def _refresh(self) -> None:
        try:
            built_ns = (self._folder / "index.html").stat().st_mtime_ns
        except OSError:
            self._files, self._scripts, self._built_ns = {}, (), -1
            return
        if built_ns != self._built_ns:
            self._files = _read(self._folder)
            page = self._files["index.html"].variants["identity"]
            self._scripts = tuple(
                f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'"
                for text in _INLINE.findall(page)
            )
            self._built_ns = built_ns


def _read(folder: Path) -> dict[str, Asset]:
    files: dict[str, Asset] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.suffix in (".br", ".gz") or path.name.startswith("."):
            continue
        data = path.read_bytes()
        variants = {"identity": data}
        for encoding, suffix in ENCODINGS:
            sibling = path.with_name(path.name + suffix)
            if sibling.is_file():
                variants[encoding] = sibling.read_bytes()
        kind = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0]
        hashed = bool(_HASHED.match(name))
        files[name] = Asset(
            media_type=kind or "application/octet-stream",
            etag=hashlib.blake2b(data, digest_size=12).hexdigest(),
            cache_control="public, max-age=31536000, immutable" if hashed else "no-cache",
            variants=variants,
        )
    return files
