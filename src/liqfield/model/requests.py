"""What the pure core asks of the shell: requested, not performed."""

from __future__ import annotations

import msgspec


class NeedSnapshot(msgspec.Struct, frozen=True, gc=False):
    """The book of an instrument is void; feeds fetch or resubscribe, throttled."""

    instrument_id: str
    reason: str


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """One REST request as data. `source` is the Frame.source of its reply.

    path starts with "/" and holds the query; body "" means GET, else POST with that JSON body.
    weight: in the venue's own unit; pool: name of the budget it draws on. host: base address where
    it is not the venue's REST address.
    """

    venue: str
    path: str
    body: str = ""
    weight: float = 1.0
    pool: str = "default"
    instrument_id: str = ""
    host: str = ""

    @property
    def source(self) -> str:
        return f"rest:{self.path} {self.body}" if self.body else f"rest:{self.path}"
