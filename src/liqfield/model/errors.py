"""The error tree: everything the program raises on purpose.

LiqfieldError
├── DecodeError       a venue's message is malformed (never: merely unknown)
├── SettingError      a setting, option or name that does not exist, with the nearest valid one
├── StoreError        a file of ours is corrupt, full or not writable; names the file
├── VenueRefusal      a venue answered with a ban, block, rate limit or maintenance
└── ModelError        arguments outside the domain of a formula
"""

from __future__ import annotations


class LiqfieldError(Exception):
    """Root of every error that liqfield raises on purpose."""


class DecodeError(LiqfieldError):
    """A malformed venue message: which venue, which channel, and how it begins."""

    def __init__(self, venue: str, channel: str, payload: bytes, why: str) -> None:
        self.venue = venue
        self.channel = channel
        self.head = bytes(payload[:80])
        self.why = why
        super().__init__(f"{venue} {channel}: {why}: {self.head!r}")


class SettingError(LiqfieldError):
    """An unknown or invalid setting; the text names the nearest valid one."""


class StoreError(LiqfieldError):
    """A file of ours cannot be read or written; the text names it and what still works."""

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        self.why = why
        super().__init__(f"{path}: {why}")


class VenueRefusal(LiqfieldError):  # noqa: N818 - a refusal is the field's word
    """A venue refuses us; `kind` is one of rate, ban, geo, maintenance, auth, other."""

    def __init__(self, venue: str, kind: str, why: str, retry_after_s: float | None = None) -> None:
        self.venue = venue
        self.kind = kind
        self.why = why
        self.retry_after_s = retry_after_s
        super().__init__(f"{venue} refuses ({kind}): {why}")


class ModelError(LiqfieldError):
    """An argument outside the domain of a formula."""
