"""One supervisor a connection; it never gives up and never claims more than data has proved.

Phases: connecting, subscribed, first-data, live, stale, draining. An acknowledgement is no data:
the venue must say something within ACK_S, and every stream must bring data within its own deadline.
The connection is replaced when the venue cuts it or answers nothing, and when all its streams are
silent; it is rotated (rotation.py) before the venue's own lifetime, when the venue announces that
it will close, and when single streams have died on a socket that lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from liqfield.feeds.backoff import Backoff
from liqfield.feeds.budget import Pools, TokenBucket
from liqfield.feeds.door import Door
from liqfield.feeds.refusal import explain
from liqfield.feeds.rotation import IDENTIFIED, TAIL_S, Overlap, until_met, until_spoken
from liqfield.feeds.socket import Socket
from liqfield.feeds.transport import Clock, Transport
from liqfield.feeds.watch import StreamWatch, silence_s
from liqfield.model.errors import VenueRefusal
from liqfield.model.estimates import StreamHealth
from liqfield.model.events import Frame, Gap, Notice, Record
from liqfield.model.sides import GapReason
from liqfield.venues.allowances import allowance
from liqfield.venues.contract import Budget, Connection, stamped

EASE_S, STEADY_S = 2.0, 10.0  # of data: waits are short again; a failure is a first one again
ACK_S = 5.0  # after the last subscription the venue must have said something
TAKE_OVER_S = 10.0  # the new socket of a rotation takes over at the latest after this
TICK_S = 0.25
# A stream that stays silent on a living connection: rotate for its sake, ever more rarely.
HEAL_S, HEAL_MAX_S = 30.0, 3_600.0
# Their own chain, or the next whole message, shows and heals a loss; quotes and marks are replaced.
BOOKS = frozenset({"BookDelta", "BookSnapshot", "BestQuote", "MarkPrice", "IndexPrice"})


class ConnectionSupervisor:
    """`run()` until cancelled. Frames and gaps go to `sink`; what was decoded comes back."""

    def __init__(
        self,
        spec: Connection,
        ws_url: str,
        sink: Callable[[Record], None],
        transport: Transport,
        *,
        rng: random.Random,
        door: Door | None = None,
        pools: Pools | None = None,
        clock: Clock | None = None,
        probe: Callable[[Frame], list[tuple[str, str]]] | None = None,
        before_subscribe: Callable[[float], Coroutine[Any, Any, None]] | None = None,
        other_urls: Sequence[str] = (),
    ) -> None:
        self.spec = spec
        self.watch = StreamWatch(spec.venue, spec.streams)
        self.detail = "connecting"
        self.reconnects = 0
        self.rotations = 0
        self.repeats = 0  # messages of an overlap that were not delivered twice
        self._url = ws_url + spec.path
        self._other_urls = deque(url + spec.path for url in other_urls)
        self._sink = sink
        self._transport = transport
        self._backoff = Backoff(rng)
        self._rng = rng
        self._clock = clock or Clock()
        self._door = door or Door(rng, self._clock.now_s)
        pools = pools or Pools(self._clock.now_s)
        self._opens, self._slots = pools.opens(spec.venue), pools.slots(spec.venue)
        number, per_s = allowance(spec.venue).requests
        self._requests = (
            TokenBucket(Budget("requests", number, per_s), self._clock.now_s) if number else None
        )
        self._probe = probe
        self._before_subscribe = before_subscribe
        self._socket: Socket | None = None
        self._is_draining = False
        self._voice = 0  # number of the socket that speaks for the connection
        self._overlap: Overlap | None = None
        self._forget_s = 0.0  # when the overlap is
        self._why_rotate = ""
        self._opened_s = self._last_message_s = self._live_since_s = 0.0
        self._heal_at_s, self._heal_wait_s = 0.0, HEAL_S

    @property
    def phase(self) -> str:
        if self._socket is None:
            return "connecting"
        return "draining" if self._is_draining else self.watch.phase

    async def run(self) -> None:
        """Connect, watch, reconnect: for ever."""
        while True:
            await self._door.turn(self)
            async with self._slots:
                wait_s = await self._once()
            await asyncio.sleep(wait_s)

    def send(self, messages: tuple[bytes, ...]) -> None:
        """Control messages on the running socket (resubscriptions); dropped when there is none.

        Beyond the venue's allowance for them the whole connection is rotated instead.
        """
        if self._socket is None:
            return
        if self._requests is not None and not self._requests.try_take(len(messages)):
            self.rotate_soon("too many resubscriptions for this connection")
            return
        for message in messages:
            self._socket.send(self._stamped(message))

    def rotate_soon(self, why: str) -> None:
        """Replace the socket at the next tick, the new one first."""
        self._why_rotate = self._why_rotate or why

    def _stamped(self, message: bytes) -> bytes:
        return stamped(message, self._clock.now_ns() // 1_000_000_000)

    def seen(self, instrument_id: str, kind: str, received_ns: int) -> None:
        self.watch.seen(instrument_id, kind, received_ns, self._clock.now_s())

    def noticed(self, notice: Notice) -> None:
        """What the venue said of this connection."""
        if notice.kind == "close_soon":
            self.rotate_soon("the venue will close this connection")
        elif notice.kind == "error":
            self.detail = f"the venue says: {notice.detail[:120]}"

    def corrupt(self) -> None:
        """A message could not be decoded: what has no chain of its own may have lost an event."""
        self.watch.errors += 1
        self._gaps(GapReason.CORRUPT, "a message could not be read", without=BOOKS)

    def health(self, resyncs: Mapping[str, int]) -> list[StreamHealth]:
        return self.watch.health(resyncs, self.detail)

    # ---- one socket ---------------------------------------------------------------------------

    async def _once(self) -> float:
        """One life of a connection; returns the seconds to wait before the next."""
        await self._opens.take(1.0)
        venue = self.spec.venue
        self._voice += 1
        try:
            socket = await self._transport.open(venue, self._url, self._hears(self._voice))
        except VenueRefusal as refusal:
            self.detail = f"refused: {refusal.why}"
            if refusal.kind == "other":  # of this path alone
                return max(refusal.retry_after_s or 0.0, self._backoff.next_s())
            self._door.failed(self, refusal.retry_after_s or 0.0)
            return 0.0
        except OSError as error:
            self.detail = f"cannot connect: {explain(error)[1]}"
            self._door.failed(self)
            self._other_urls.append(self._url)
            self._url = self._other_urls.popleft()
            return 0.0
        self._door.entered()
        why = await self._hold(socket)
        self.watch.lost()
        self.reconnects += 1
        self.detail = why
        self._gaps(GapReason.DISCONNECT, why)
        return self._backoff.next_s()

    async def _is_sure(
        self, opened_s: float, sockets: Sequence[Socket], limit_s: float | None = None
    ) -> bool:
        """What must be known before a socket is subscribed is known; False where one of these ended
        first, or at the limit."""
        if self._before_subscribe is None:
            return True
        knowing = asyncio.ensure_future(self._before_subscribe(opened_s))
        first: list[asyncio.Future[Any]] = [knowing, *(socket.closed for socket in sockets)]
        try:
            await asyncio.wait(first, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if not knowing.done():
                return False
            knowing.result()
            return True
        finally:
            knowing.cancel()
            await asyncio.gather(knowing, return_exceptions=True)

    async def _subscribe(self, socket: Socket) -> None:
        """Say what we want, as slowly as the venue likes it; a socket that ends is seen later."""
        for message in self.spec.send:
            if socket.closed.done():
                return
            socket.send(self._stamped(message))
            if self._requests is not None:
                self._requests.try_take(1.0)
            await asyncio.sleep(self.spec.send_spacing_s)

    def _hears(self, voice: int) -> Callable[[bytes], None]:
        """What to do with the messages of the socket of this number."""

        def on_message(payload: bytes) -> None:
            if voice == self._voice:
                self._deliver(payload)
            elif self._overlap is not None:  # else a socket that was given up
                if voice > self._voice:
                    self._overlap.new_said(payload)
                elif self._overlap.is_news(payload):
                    self._emit(payload)

        return on_message

    def _deliver(self, payload: bytes) -> None:
        self._last_message_s = self._clock.now_s()
        if self._overlap is not None:
            if self._is_draining:
                self._overlap.old_said(payload)
            elif self._last_message_s > self._forget_s:
                self._overlap = None
            elif self._overlap.is_repeat(payload):
                self.repeats += 1
                return
        self._emit(payload)

    def _emit(self, payload: bytes) -> None:
        self._sink(Frame(self.spec.venue, self.spec.source, self._clock.now_ns(), payload))

    async def _hold(self, socket: Socket) -> str:
        """Watch a socket until it ends; returns why. Rotation replaces it in here."""
        # Before anything is subscribed: a snapshot that answers at once must not be voided.
        self._gaps(GapReason.CONNECT, "")
        opened_s = self._clock.now_s()
        try:
            self.detail = "connected: waiting for the venue's list of instruments"
            # Nothing goes out on the socket before: what it answers could not be read.
            if not await self._is_sure(opened_s, [socket]):
                return socket.closed.result()
            return await self._watch(socket)
        finally:
            current, self._socket = self._socket or socket, None
            self._is_draining, self._overlap = False, None
            with contextlib.suppress(OSError):
                await current.close()

    async def _watch(self, socket: Socket) -> str:
        """Subscribe and watch until it ends."""
        now = self._opened_s = self._clock.now_s()
        self._socket = socket
        self.watch.opened(now)
        self.detail = "subscribed"
        self._live_since_s, self._why_rotate = 0.0, ""
        self._heal_at_s = now + HEAL_S
        beat_s = now
        # A spread of 10 % keeps a venue's connections from rotating together.
        due_s = now + self.spec.max_age_s * self._rng.uniform(0.9, 1.0)
        await self._subscribe(socket)
        asked_s = self._clock.now_s()
        while True:
            done, _ = await asyncio.wait([self._socket.closed], timeout=TICK_S)
            if done:
                return self._socket.closed.result()
            now = self._clock.now_s()
            beat_s = self._beat(now, beat_s)
            if self._last_message_s < self._opened_s and now - asked_s > ACK_S:
                return f"no acknowledgement within {ACK_S:.0f} s"
            self._report_stale(now)
            if self.watch.is_dead:
                return "all streams silent: reconnecting"
            self._settle(now)
            why, forced = self._wants_rotation(now, due_s)
            if why:
                swapped = await self._rotate(why, forced=forced)
                now = beat_s = self._clock.now_s()
                life_s = self.spec.max_age_s * self._rng.uniform(0.9, 1.0)
                due_s = now + (life_s if swapped else min(60.0, life_s))

    def _beat(self, now: float, last: float) -> float:
        beat = self.spec.heartbeat
        if beat is None or self._socket is None or now - last < beat.every_s:
            return last
        if beat.only_when_idle and now - self._last_message_s < beat.every_s:
            return last
        if beat.payload:
            self._socket.send(beat.payload)
        else:
            self._socket.ping()
        return now

    def _report_stale(self, now: float) -> None:
        for spec in self.watch.newly_stale(now):
            self.detail = f"{spec.name}: silent for more than {silence_s(spec):.0f} s"
            if not spec.is_canary:
                self._sink(self._gap(GapReason.STALE, spec.name, spec.instrument_id, spec.kinds))

    def _settle(self, now: float) -> None:
        """Data for a while: the next failure is a first one again."""
        if not self.watch.is_live:
            self._live_since_s = 0.0
            return
        self.detail = self.watch.phase
        if self._live_since_s == 0.0:
            self._live_since_s = now
        elif now - self._live_since_s > STEADY_S:
            self._backoff.reset()
        elif now - self._live_since_s > EASE_S:
            self._backoff.ease()
        if not self.watch.has_stale:
            self._heal_at_s, self._heal_wait_s = now, HEAL_S

    # ---- rotation -----------------------------------------------------------------------------

    def _wants_rotation(self, now: float, due_s: float) -> tuple[str, bool]:
        """Why to rotate now, and whether the old socket will go in any case."""
        if self._why_rotate:
            why, self._why_rotate = self._why_rotate, ""
            return why, True
        if now > due_s:
            return "planned", False
        if self.watch.has_stale and now >= self._heal_at_s:
            self._heal_at_s = now + self._heal_wait_s
            self._heal_wait_s = min(2.0 * self._heal_wait_s, HEAL_MAX_S)
            return "a stream is silent", False
        return "", False

    async def _rotate(self, why: str, *, forced: bool) -> bool:
        """Open the next socket, let it speak, swap. False: the old one stays."""
        old = self._socket
        assert old is not None
        await self._opens.take(1.0)
        overlap = self._overlap = Overlap(self._probed)
        self._is_draining = True
        voice = self._voice + 1
        fresh: Socket | None = None
        is_ready = False
        try:
            fresh = await self._transport.open(self.spec.venue, self._url, self._hears(voice))
            is_ready = await self._is_ready(overlap, old, fresh, forced=forced)
        except (OSError, VenueRefusal) as error:
            self.detail = f"rotation postponed: {explain(error)[1]}"
        finally:
            if not is_ready:
                self._overlap, self._is_draining = None, False
                if fresh is not None:
                    await fresh.close()
        if fresh is None or not is_ready:
            return False
        if not self._spoken(overlap) >= self._must_speak():
            # The old one went, or must go, before the new one had proved itself: maybe a loss.
            self._gaps(GapReason.DISCONNECT, "closed while rotating")
        self._voice, self._socket = voice, fresh
        now = self._clock.now_s()
        self._is_draining, self._forget_s = False, float("inf")
        self._opened_s = self._last_message_s = now
        self.watch.taken_over(self._spoken(overlap), now)
        for payload in overlap.waiting:
            self._deliver(payload)
        overlap.waiting.clear()
        self.rotations += 1
        self.detail = f"rotated: {why}"
        try:
            if any(IDENTIFIED & set(spec.kinds) for spec in self.spec.streams):
                await until_met(overlap, [old, fresh])
        finally:
            await old.close()
        overlap.is_over = True
        self._forget_s = self._clock.now_s() + TAIL_S
        return True

    async def _is_ready(
        self, overlap: Overlap, old: Socket, fresh: Socket, *, forced: bool
    ) -> bool:
        """Subscribe the next socket and wait until it can take over, or has to."""
        if not await self._is_sure(self._clock.now_s(), [old, fresh], TAKE_OVER_S):
            self.detail = "rotation postponed: no list of instruments"
            return False
        await self._subscribe(fresh)
        must = self._must_speak()
        limit_s = min(TAKE_OVER_S, max(self.spec.max_age_s / 4, 1.0))
        is_ready = await until_spoken(
            overlap, lambda: self._spoken(overlap) >= must, [old, fresh], limit_s
        )
        is_ready = is_ready or ((forced or old.closed.done()) and bool(overlap.waiting))
        if fresh.closed.done() or overlap.is_full or not is_ready:
            self.detail = "rotation postponed: the new connection brings too little"
            return False
        return True

    def _probed(self, payload: bytes) -> list[tuple[str, str]]:
        if self._probe is None:
            return [(spec.instrument_id, kind) for spec in self.spec.streams for kind in spec.kinds]
        return self._probe(Frame(self.spec.venue, self.spec.source, 1, payload))

    def _spoken(self, overlap: Overlap) -> frozenset[str]:
        names = (self.watch.name_of(instrument, kind) for instrument, kind in overlap.spoken)
        return frozenset(name for name in names if name is not None)

    def _must_speak(self) -> frozenset[str]:
        """Streams that live on the old socket and are never silent for as long as we can wait."""
        return frozenset(
            name
            for name, spec in self.watch.specs.items()
            if 0.0 < spec.expect_s <= TAKE_OVER_S and self.watch.state[name] == "live"
        )

    # ---- gaps ---------------------------------------------------------------------------------

    def _gaps(self, reason: GapReason, detail: str, without: frozenset[str] = frozenset()) -> None:
        """One gap an instrument, naming what its streams here carry."""
        kinds: dict[str, set[str]] = {}
        for spec in self.spec.streams:
            if not spec.is_canary:
                kinds.setdefault(spec.instrument_id, set()).update(set(spec.kinds) - without)
        for instrument_id, names in kinds.items():
            if names:
                self._sink(self._gap(reason, detail, instrument_id, tuple(sorted(names))))

    def _gap(
        self, reason: GapReason, detail: str, instrument_id: str, kinds: tuple[str, ...]
    ) -> Gap:
        return Gap(
            self.spec.venue,
            self.spec.source,
            self._clock.now_ns(),
            reason,
            instrument_id,
            detail,
            kinds,
        )
