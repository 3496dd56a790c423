"""A venue's front desk without sockets: clients, topics, requests, and the faults of a plan.

The shell on loopback (shell.py) and the runs in memory (tests) put their own wires to it, so that
both meet the same venue and the same faults.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from liqfield.lab.market_types import InstrumentStep
from liqfield.lab.servers.faults import (
    CUTTING,
    Fault,
    FaultPlan,
    skewed,
    wrong_sequence,
)


class Reply(NamedTuple):
    """A REST answer."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class Message(NamedTuple):
    """One broadcast: who subscribed to `topic` on a path that starts with `path` gets it."""

    path: str
    topic: str
    payload: bytes


class VenueProtocol(Protocol):
    """A venue's language: pure but for its own counters.

    Optional: greet(client, path, query), closing_notice(), restart(), change_contract(factor),
    delist(), announce(windows in ns); a venue that has no such thing does not have the method.
    """

    @property
    def name(self) -> str: ...
    @property
    def ws_paths(self) -> tuple[str, ...]: ...
    def rest(self, path: str, query: dict[str, str], body: bytes) -> Reply: ...
    def control(self, client: Client, text: str) -> Sequence[bytes]: ...
    def step(self, steps: Sequence[InstrumentStep], now_ns: int) -> Sequence[Message]: ...


class Client:
    """One connected WebSocket. `out` writes to its wire, `close` ends it (True: no farewell)."""

    def __init__(
        self,
        path: str,
        out: Callable[[bytes], None],
        close: Callable[[bool], None],
        rng: random.Random,
        number: int = 0,
    ) -> None:
        self.number = number
        self.path = path
        self.topics: set[str] = set()
        self.memory: dict[str, Any] = {}  # the protocol's own notes about this client
        self.close = close
        self.is_dead = False  # half-open: neither speaks nor hears
        self._out = out
        self._rng = rng
        self._late: list[tuple[int, bytes]] = []
        self._held: bytes | None = None

    def send(self, payload: bytes) -> None:
        """Acknowledgements and pongs: nothing but a dead wire stops them."""
        if not self.is_dead:
            self._out(payload)

    def data(self, payload: bytes, active: Sequence[Fault], now_ns: int) -> None:
        """A frame of data, through whatever is wrong just now."""
        if self.is_dead:
            return
        if not active and not self._late and self._held is None:
            self._out(payload)
            return
        delay_s = 0.0
        copies = 1
        for fault in active:
            kind, share = fault.kind, fault.amount or 0.2
            if kind == "silent":
                return
            if kind == "delay":
                delay_s = max(delay_s, fault.amount or 1.0)
            elif kind == "skew":
                payload = skewed(payload, fault.amount)
            elif kind in ("drop", "duplicate", "truncate", "reorder", "wrong_sequence"):
                if self._rng.random() >= share:
                    continue
                if kind == "drop":
                    return
                if kind == "duplicate":
                    copies = 2
                elif kind == "truncate":  # one byte may be all that an earlier cut has left
                    payload = payload[: self._rng.randrange(1, max(len(payload), 2))]
                elif kind == "wrong_sequence":
                    payload = wrong_sequence(payload) or payload
                elif self._held is None:
                    self._held = payload
                    return
        for _ in range(copies):
            if delay_s > 0.0 or self._late:
                self._late.append((now_ns + int(delay_s * 1e9), payload))
            else:
                self._out(payload)
        if self._held is not None:
            held, self._held = self._held, None
            self._out(held)

    def tick(self, now_ns: int) -> None:
        """Late frames whose time has come, in their order."""
        while self._late and self._late[0][0] <= now_ns:
            _, payload = self._late.pop(0)
            if not self.is_dead:
                self._out(payload)


class Desk:
    """`tick` is called by the market's clock before its messages go out."""

    def __init__(self, protocol: VenueProtocol, plan: FaultPlan | None = None) -> None:
        self.protocol = protocol
        self.clients: set[Client] = set()
        self.requests = 0
        self.connects = 0
        self.storm = 1.0  # what the market's clock should multiply its rate with
        self.now_s = 0.0
        self._plan = plan or FaultPlan()
        self._todo = sorted(self._plan.of(protocol.name), key=lambda f: f.at_s)
        self._active: list[Fault] = []
        self._start_ns = 0
        self._now_ns = 0
        self._kept: dict[str, Any] = {}  # snapshots of long ago
        self._doomed: set[Client] = set()
        self._doom_s = 0.0

    # ---- clients ------------------------------------------------------------------------------

    def refusal(self, path: str) -> Reply | None:
        """What an upgrade is answered with instead of a connection."""
        if not path.startswith(self.protocol.ws_paths):
            return Reply(b"", 404)
        return self._status()

    def connect(
        self,
        path: str,
        query: dict[str, str],
        out: Callable[[bytes], None],
        close: Callable[[bool], None],
    ) -> Client:
        """After `refusal` had nothing to say."""
        self.connects += 1
        rng = random.Random(f"{self._plan.seed} {self.protocol.name} {self.connects}")
        client = Client(path, out, close, rng, self.connects)
        self.clients.add(client)
        greet = getattr(self.protocol, "greet", None)
        if greet is not None:
            for payload in greet(client, path, query):
                client.send(payload)
        return client

    def heard(self, client: Client, text: str) -> None:
        """A control message; what answers it at once may be a snapshot of long ago."""
        if client.is_dead:
            return
        replies = list(self.protocol.control(client, text))
        for n, payload in enumerate(replies):
            if n == 0 or len(payload) < 300:
                client.send(payload)
                continue
            key = f"ws {client.path} {n} {text}"
            is_old = self._is("old_snapshot") and key in self._kept
            said = self._kept[key] if is_old else payload
            self._kept[key] = said
            client.data(said, self._active, self._now_ns)

    def leave(self, client: Client) -> None:
        self.clients.discard(client)

    # ---- the market's clock -------------------------------------------------------------------

    def tick(self, now_ns: int) -> None:
        """Begin and end faults; late frames go out."""
        if not self._start_ns:
            self._start_ns = now_ns
            spans = [
                (f.at_s, f.at_s + max(f.for_s, 5.0)) for f in self._todo if f.kind == "maintenance"
            ]
            windows = [tuple(now_ns + int(s * 1e9) for s in span) for span in spans]
            self._call("announce", windows)
        self._now_ns = now_ns
        now_s = self.now_s = (now_ns - self._start_ns) / 1e9
        self._active = [f for f in self._active if f.at_s + f.for_s > now_s]
        while self._todo and self._todo[0].at_s <= now_s:
            fault = self._todo.pop(0)
            self._begin(fault)
            if fault.for_s > 0.0:
                self._active.append(fault)
        if self._doomed and now_s >= self._doom_s:
            for client in self._in_order():
                if client not in self._doomed:
                    continue
                client.close(True)
            self._doomed = set()
        self.storm = max((f.amount or 50.0 for f in self._active if f.kind == "storm"), default=1.0)
        for client in self._in_order():
            client.tick(now_ns)

    def broadcast(self, messages: Sequence[Message]) -> None:
        active, now_ns = self._active, self._now_ns
        for client in self._in_order():
            topics, path = client.topics, client.path
            for message in messages:
                if message.topic in topics and path.startswith(message.path):
                    payload = message.payload
                    if client.memory.get("combined"):  # Binance: as part of a combined stream
                        head = f'{{"stream":"{message.topic}","data":'.encode()
                        payload = head + payload + b"}"
                    client.data(payload, active, now_ns)

    def _begin(self, fault: Fault) -> None:
        kind = fault.kind
        if kind == "half_open":
            for client in self._in_order():
                client.is_dead = True
        elif kind in ("unit", "resize"):
            self._call("change_contract", fault.amount or 10.0)
        elif kind == "delist":
            self._call("delist")
        elif kind == "maintenance":
            notice = self._call("closing_notice")
            if notice is not None:
                # The venue leaves some time, then cuts those whom it has told.
                for client in self._in_order():
                    client.send(notice)
                self._doomed = set(self.clients)
                self._doom_s = self.now_s + max(fault.for_s, 5.0)
            elif hasattr(self.protocol, "restart"):
                self._call("restart")
            else:
                self._cut()
        if kind in CUTTING:
            self._cut()

    def _call(self, name: str, *arguments: object) -> Any:
        method = getattr(self.protocol, name, None)
        return method(*arguments) if method is not None else None

    def _in_order(self) -> list[Client]:
        """As they came: a set would give every run another order."""
        return sorted(self.clients, key=lambda client: client.number)

    def _cut(self) -> None:
        for client in self._in_order():
            client.close(True)

    # ---- requests -----------------------------------------------------------------------------

    def rest(self, path: str, query: dict[str, str], body: bytes) -> Reply | None:
        """The answer; None: the request hangs."""
        self.requests += 1
        if self._is("half_open"):
            return None
        refused = self._status()
        if refused is not None:
            return refused
        key = f"rest {path} {sorted(query.items())} {body.decode('utf-8', 'replace')}"
        is_book = path.endswith("/depth") or b"l2Book" in body
        if is_book and self._is("old_snapshot") and key in self._kept:
            old: Reply = self._kept[key]
            return old
        reply = self.protocol.rest(path, query, body)
        skew_s = sum(f.amount for f in self._active if f.kind == "skew")
        if skew_s:
            reply = reply._replace(body=skewed(reply.body, skew_s))
        if is_book:
            self._kept[key] = reply
        return reply

    def network_fault(self) -> str:
        """dns or tls while one is on, else nothing."""
        return next((f.kind for f in self._active if f.kind in ("dns", "tls")), "")

    def _status(self) -> Reply | None:
        for fault in self._active:
            if fault.kind == "status":
                status = int(fault.amount) or 503
                left_s = fault.at_s + fault.for_s - self.now_s
                headers: tuple[tuple[str, str], ...] = ()
                if status in (403, 418, 429, 451):
                    headers = (("Retry-After", str(max(int(left_s) + 1, 1))),)
                return Reply(b'{"code":-1003,"msg":"refused by a fault"}', status, headers)
        return None

    def _is(self, kind: str) -> bool:
        return any(f.kind == kind for f in self._active)
