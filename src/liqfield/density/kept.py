"""What is kept of the filter between runs: all of it, or only what prints have taught."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import msgspec

from liqfield.density.flow import FlowBuffer, MovePath
from liqfield.density.level import Level
from liqfield.density.readings import Readings
from liqfield.density.state import DensityState
from liqfield.model.durations import HOUR_NS
from liqfield.model.errors import StoreError

LEARNT_AGE_NS = 30 * 24 * HOUR_NS  # an older law is no better than the prior


class Kept(Readings):
    """The lasting half of `DensityEstimator`."""

    _flow: FlowBuffer
    _path: MovePath
    _frontier: list[float]
    _learnt: dict[str, Any] | None

    def digest(self) -> bytes:
        """A hash of the whole state: equal runs have equal digests."""
        sha = hashlib.blake2b(digest_size=16)
        sha.update(repr((self.clock_ns, self.mark, self.open_interest, self._frontier)).encode())
        sha.update(self.law.shares.tobytes() + repr(self.law.kappa).encode())
        if self.state is not None:
            sha.update(self.state.digest())
        return sha.digest()

    _PLAIN = (
        "clock_ns",
        "open_interest",
        "_mark_ns",
        "_step_ns",
        "_score_ns",
        "_refit_ns",
        "_wander_ns",
        "_oi_known",
        "_frontier",
        "_funding",
        "_turnover",
        "_variance",
        "_learnt",
        "_traded",
        "_doubted",
    )

    def learnt(self) -> bytes:
        """What prints have taught: law, level and the evidence for them; b"" before the first fit.

        Unlike a checkpoint it holds no positions: those are made again from history.
        """
        if not self.law.is_fitted or self._learnt is not None:
            return b""
        level = self.level.dump()
        return zlib.compress(
            msgspec.msgpack.encode({"at_ns": self.clock_ns, "law": self.law.dump(), "level": level})
        )

    def learn(self, blob: bytes, now_ns: int) -> bool:
        """Begin with what `learnt` gave at most LEARNT_AGE_NS ago, before any history is folded.

        The law is in force at once; the evidence waits for the first print: until then history is
        folded that has none, which must not count as silence. Raises StoreError for a bad blob.
        """
        if self.state is not None:
            return False
        try:
            data: dict[str, Any] = msgspec.msgpack.decode(zlib.decompress(blob), type=dict)
            if not 0 <= now_ns - data["at_ns"] <= LEARNT_AGE_NS:
                return False
            Level(1.0, 1.0).load(data["level"])
            self.law.learn(data["law"])
            self.level.rebase(tuple(data["level"]["prior"]))
        except (zlib.error, msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
            raise StoreError(self.instrument.id, f"not a learnt law: {error}") from error
        self._learnt = data
        return True

    def checkpoint(self) -> bytes:
        """Everything needed to go on from here, as bytes."""
        return msgspec.msgpack.encode(
            {
                "plain": {name: getattr(self, name) for name in self._PLAIN},
                "marks": self._marks.dump(),
                "flow": self._flow.dump(),
                "path": self._path.points(),
                "level": self.level.dump(),
                "trust": self.trust.dump(),
                "law": self.law.dump(),
                "state": self.state.checkpoint() if self.state else b"",
            }
        )

    def restore(self, blob: bytes) -> None:
        """Take over what `checkpoint` gave (same instrument and settings)."""
        data = msgspec.msgpack.decode(blob)
        for name, value in data["plain"].items():
            setattr(self, name, value)
        self._marks.load(data["marks"])
        self._flow.load(data["flow"])
        self._path.load(data["path"])
        self.level.load(data["level"])
        self.trust.load(data["trust"])
        self.law.load(data["law"])
        self.state = None
        if data["state"]:
            self.law.prepare(self.mark)
            self.state = DensityState.restore(data["state"])
