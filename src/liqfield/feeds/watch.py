"""Per-stream staleness: data proves life, pongs and acknowledgements do not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from liqfield.model.estimates import StreamHealth
from liqfield.venues.contract import StreamSpec

FIRST_DATA_S = 15.0  # grace after subscribing; a stream with a long silence gets its own


def silence_s(spec: StreamSpec) -> float:
    """How long a living stream may say nothing."""
    return spec.expect_s * 2.0


class StreamWatch:
    """The streams of one connection. Times are in seconds of the caller's monotonic clock."""

    def __init__(self, venue: str, specs: Iterable[StreamSpec]) -> None:
        self.venue = venue
        self.specs = {spec.name: spec for spec in specs}
        self.state = dict.fromkeys(self.specs, "connecting")
        self.messages = dict.fromkeys(self.specs, 0)
        self.gaps = dict.fromkeys(self.specs, 0)
        self.errors = 0  # frames of this connection that could not be decoded
        self.last_ns = dict.fromkeys(self.specs, 0)
        self._seen_s = dict.fromkeys(self.specs, 0.0)
        self._had_data = dict.fromkeys(self.specs, False)  # on the socket that is open now
        self._names: dict[tuple[str, str], str] = {}
        for spec in self.specs.values():
            for kind in spec.kinds:
                self._names[spec.instrument_id, kind] = spec.name

    def opened(self, now_s: float) -> None:
        for name in self.specs:
            self._subscribed(name, now_s)

    def taken_over(self, spoken: frozenset[str], now_s: float) -> None:
        """A rotation brought another socket: what was silent gets its first-data deadline again."""
        for name, state in self.state.items():
            if state == "stale" and name not in spoken:
                self._subscribed(name, now_s)

    def lost(self) -> None:
        for name in self.specs:
            if self.state[name] == "live":
                self.gaps[name] += 1
            if self.state[name] != "delisted":
                self.state[name] = "down"

    def delisted(self, instrument_id: str) -> None:
        """The venue no longer trades it: silence is no loss any more."""
        for name, spec in self.specs.items():
            if spec.instrument_id == instrument_id:
                self.state[name] = "delisted"

    def name_of(self, instrument_id: str, kind: str) -> str | None:
        """The stream that carries these events."""
        return self._names.get((instrument_id, kind)) or self._names.get(("", kind))

    def seen(self, instrument_id: str, kind: str, received_ns: int, now_s: float) -> None:
        """A decoded event arrived."""
        name = self._names.get((instrument_id, kind)) or self._names.get(("", kind))
        if name is None:
            return
        self.messages[name] += 1
        self.last_ns[name] = received_ns
        self._seen_s[name] = now_s
        self._had_data[name] = True
        self.state[name] = "live"

    def newly_stale(self, now_s: float) -> list[StreamSpec]:
        """Streams that have just become stale; each is reported once until it lives again."""
        out = []
        for name, spec in self.specs.items():
            if self.state[name] not in ("live", "subscribed") or spec.expect_s <= 0.0:
                continue
            limit = silence_s(spec)
            if self.state[name] == "subscribed":
                limit = max(limit, FIRST_DATA_S)
            if now_s - self._seen_s[name] > limit:
                self.state[name] = "stale"
                self.gaps[name] += 1
                out.append(spec)
        return out

    @property
    def is_dead(self) -> bool:
        """Every stream from which data is expected is stale: the connection is worth replacing."""
        expected = self._expected()
        return bool(expected) and all(self.state[name] == "stale" for name in expected)

    @property
    def has_stale(self) -> bool:
        return any(state == "stale" for state in self.state.values())

    @property
    def is_live(self) -> bool:
        return any(state == "live" for state in self.state.values())

    @property
    def phase(self) -> str:
        """subscribed (nothing yet), first-data (some), live (all that must speak), stale."""
        expected = self._expected() or [n for n, s in self.state.items() if s != "delisted"]
        states = {self.state[name] for name in expected}
        if "stale" in states:
            return "stale"
        if states <= {"live"}:
            return "live"
        return "first-data" if "live" in states else "subscribed"

    def _expected(self) -> list[str]:
        return [
            name
            for name, spec in self.specs.items()
            if spec.expect_s > 0.0 and self.state[name] != "delisted"
        ]

    def health(self, resyncs: Mapping[str, int], detail: str) -> list[StreamHealth]:
        return [
            StreamHealth(
                venue=self.venue,
                stream=name,
                state=self.state[name],
                last_received_ns=self.last_ns[name],
                messages=self.messages[name],
                gaps=self.gaps[name],
                resyncs=resyncs.get(spec.instrument_id, 0) if "BookDelta" in spec.kinds else 0,
                errors=self.errors,
                detail=self._why(spec, detail),
            )
            for name, spec in self.specs.items()
        ]

    def _subscribed(self, name: str, now_s: float) -> None:
        if self.state[name] != "delisted":
            self.state[name] = "subscribed"
            self._had_data[name] = False
            self._seen_s[name] = now_s

    def _why(self, spec: StreamSpec, connection: str) -> str:
        """The stream's own reason: beside a stream that lives, the connection's says nothing."""
        state = self.state[spec.name]
        if state == "live":
            return ""
        if state == "stale":
            if not self._had_data[spec.name]:
                limit = max(silence_s(spec), FIRST_DATA_S)
                return f"subscribed, but no data came within {limit:.0f} s"
            return f"silent for more than {silence_s(spec):.0f} s"
        if state == "delisted":
            return "no longer traded by the venue"
        return "no data yet" if state == "subscribed" else connection
