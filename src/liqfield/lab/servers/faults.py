"""What can go wrong at a venue, when, and for how long: a script or a seed, the same every time.

Times are seconds of the market since the servers started. Kinds and what `amount` means:

  drop, duplicate, truncate, reorder   share of data frames (default a fifth)
  delay             seconds every data frame is late
  silent            no data at all; acknowledgements and pongs go on
  wrong_sequence    share of book frames whose counter is wrong
  old_snapshot      connections are cut, and snapshots are those of long ago
  half_open         open sockets neither speak nor hear, and are not closed; requests hang
  cut               connections end without a farewell
  status            HTTP status of every request and upgrade (403, 418, 429, 451, 500, 503); sockets
                    are cut at the beginning
  dns, tls          new connections fail as if the name or the certificate were wrong (in memory; on
                    real sockets connections are refused)
  skew              seconds the venue's clock is ahead of ours
  unit              factor on the size of a contract, while connections are cut
  resize            as unit, but connections stay up and the venue tells the change on them (scripts
                    only: no seed draws it)
  delist            the first instrument ends: listed as not trading, silent from then on
  maintenance       the venue says that it will close (OKX), restarts its counters (Bybit), or just
                    drops everybody
  storm             factor on the market's message rate while it falls (flash crash)
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

SHARES = ("drop", "duplicate", "truncate", "reorder", "wrong_sequence")
KINDS = (
    *SHARES,
    "delay",
    "silent",
    "old_snapshot",
    "half_open",
    "cut",
    "status",
    "dns",
    "tls",
    "skew",
    "unit",
    "delist",
    "maintenance",
    "storm",
)
SCRIPTED = (*KINDS, "resize")  # what a script may say
CUTTING = frozenset({"old_snapshot", "cut", "status", "dns", "tls", "unit"})
STATUSES = (403, 418, 429, 451, 500, 502, 503)
SEQUENCE_OFFSET = 7_000_000_000_000
_STAMP = re.compile(rb"(?<![\d.])(1[78]\d{11})(?![\d.])")
_SEQUENCE = re.compile(rb'(?<="u":|"U":)\d+|(?<="pu":)\d+|(?<="seqId":)\d+|(?<="prevSeqId":)\d+')


class Fault(msgspec.Struct, frozen=True):
    """One fault. venue "" = every venue; for_s 0 = an instant; amount 0 = the kind's default."""

    at_s: float
    kind: str
    venue: str = ""
    for_s: float = 0.0
    amount: float = 0.0


class FaultPlan(msgspec.Struct, frozen=True):
    """A timeline. seed: of the dice that decide which frames are hit."""

    seed: int = 0
    faults: tuple[Fault, ...] = ()

    def of(self, venue: str) -> tuple[Fault, ...]:
        return tuple(f for f in self.faults if f.venue in ("", venue))

    @property
    def end_s(self) -> float:
        return max((f.at_s + f.for_s for f in self.faults), default=0.0)


def random_plan(
    seed: int,
    *,
    venue: str = "",
    first_s: float = 5.0,
    span_s: float = 20.0,
    count: int = 2,
    kinds: Iterable[str] = KINDS,
) -> FaultPlan:
    """`count` faults between first_s and first_s + span_s; the same for the same arguments."""
    rng = random.Random(f"faults {seed}")
    menu = tuple(kinds)
    faults = []
    for _ in range(count):
        kind = rng.choice(menu)
        at_s = round(first_s + rng.uniform(0.0, span_s), 2)
        for_s = round(rng.uniform(0.5, 8.0), 2)
        amount = 0.0
        if kind in SHARES:
            amount = round(rng.choice((0.02, 0.2, 0.6)), 3)
        elif kind == "status":
            amount = float(rng.choice(STATUSES))
        elif kind == "delay":
            amount = round(rng.uniform(0.1, 3.0), 2)
        elif kind == "skew":
            amount = round(rng.uniform(-3.0, 3.0), 2)
        elif kind == "unit":
            amount = rng.choice((0.1, 10.0))
        elif kind == "storm":
            amount, for_s = 50.0, 1.0
        elif kind in ("silent", "half_open"):
            for_s = round(rng.uniform(2.0, 20.0), 2)
        faults.append(Fault(at_s, kind, venue, for_s, amount))
    return FaultPlan(seed, tuple(sorted(faults, key=lambda f: (f.at_s, f.kind))))


def read_plan(text: str) -> FaultPlan:
    """A seed (digits), or the path of a JSON script: a list of faults. Raises ValueError."""
    if text.isdigit():
        return random_plan(int(text), span_s=600.0, count=40)
    try:
        faults = msgspec.convert(json.loads(Path(text).read_text()), tuple[Fault, ...])
    except (OSError, json.JSONDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"fault script {text}: {error}") from error
    for fault in faults:
        if fault.kind not in SCRIPTED:
            raise ValueError(f"unknown fault {fault.kind!r}: valid are {', '.join(SCRIPTED)}")
    return FaultPlan(0, faults)


def skewed(payload: bytes, seconds: float) -> bytes:
    """Every millisecond stamp of a message moved."""
    shift = round(seconds * 1e3)
    return _STAMP.sub(lambda m: str(int(m[1]) + shift).encode(), payload)


def wrong_sequence(payload: bytes) -> bytes | None:
    """A book message whose counters are elsewhere; None where the message has none."""
    if b"bookTicker" in payload or b'"channel":"trades"' in payload:
        return None
    moved, count = _SEQUENCE.subn(lambda m: str(int(m[0]) + SEQUENCE_OFFSET).encode(), payload)
    return moved if count else None
