"""One supervisor a connection: connecting, subscribed, live, stale, draining; it never gives up.

An acknowledgement is no data. The connection is replaced when the venue cuts it, when all its
streams have fallen silent, and before the venue's own lifetime: then the new socket is opened
first, its messages wait, and take over (make before break).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping

import aiohttp

from liqfield.feeds.backoff import Backoff
from liqfield.feeds.socket import Socket, open_socket
from liqfield.feeds.watch import StreamWatch
from liqfield.model.estimates import StreamHealth
from liqfield.model.events import Frame, Gap, Record
from liqfield.model.sides import GapReason
from liqfield.venues.contract import Connection, stamped

STEADY_S = 10.0  # of data before a failure counts as the first again
TAKE_OVER_S = 10.0  # the new socket of a rotation takes over at the latest after this
WAITING_MAX = 20_000  # messages that may wait in a rotation


class ConnectionSupervisor:
    """`run()` until cancelled. Frames and gaps go to `sink`; `seen` comes back from the decoder."""

    def __init__(
        self,
        spec: Connection,
        ws_url: str,
        sink: Callable[[Record], None],
        session: aiohttp.ClientSession,
        *,
        rng: random.Random,
        now_s: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.spec = spec
        self.watch = StreamWatch(spec.venue, spec.streams)
        self.detail = "connecting"
        self.reconnects = 0
        self._url = ws_url + spec.path
        self._sink = sink
        self._session = session
        self._backoff = Backoff(rng)
        self._rng = rng
        self._now_s = now_s
        self._now_ns = now_ns
        self._socket: Socket | None = None
        self._last_message_s = 0.0
        self._live_since_s = 0.0

    async def run(self) -> None:
        """Connect, watch, reconnect: for ever."""
        while True:
            try:
                socket = await open_socket(self._url, self._deliver, session=self._session)
            except OSError as error:
                self.detail = f"cannot connect: {error}"
                await asyncio.sleep(self._backoff.next_s())
                continue
            why = await self._hold(socket)
            self.watch.lost()
            self.reconnects += 1
            self.detail = why
            self._gaps(GapReason.DISCONNECT, why)
            await asyncio.sleep(self._backoff.next_s())

    def send(self, messages: tuple[bytes, ...]) -> None:
        """Control messages on the running socket (resubscriptions); dropped when there is none."""
        if self._socket is not None:
            for message in messages:
                self._socket.send(stamped(message, self._now_ns() // 1_000_000_000))

    def seen(self, instrument_id: str, kind: str, received_ns: int) -> None:
        self.watch.seen(instrument_id, kind, received_ns, self._now_s())

    def health(self, resyncs: Mapping[str, int]) -> list[StreamHealth]:
        return self.watch.health(resyncs, self.detail)

    # ---- one socket ---------------------------------------------------------------------------

    async def _subscribe(self, socket: Socket) -> None:
        """Say what we want, as slowly as the venue likes it; a socket that ends is seen later."""
        for message in self.spec.send:
            if socket.closed.done():
                return
            socket.send(stamped(message, self._now_ns() // 1_000_000_000))
            await asyncio.sleep(self.spec.send_spacing_s)

    def _deliver(self, payload: bytes) -> None:
        self._last_message_s = self._now_s()
        frame = Frame(self.spec.venue, self.spec.source, self._now_ns(), payload)
        self._sink(frame)

    async def _hold(self, socket: Socket) -> str:
        """Watch a socket until it ends; returns why. Rotation replaces it in here."""
        # Before anything is subscribed: a snapshot that answers at once must not be voided.
        self._gaps(GapReason.CONNECT, "")
        self.watch.opened(self._now_s())
        self.detail = "subscribed"
        self._socket = socket
        self._live_since_s = 0.0
        opened_s = self._now_s()
        beat_s = opened_s
        # A spread of 10 % keeps a venue's connections from rotating together.
        age_s = self.spec.max_age_s * self._rng.uniform(0.9, 1.0)
        try:
            await self._subscribe(socket)
            while True:
                done, _ = await asyncio.wait([self._socket.closed], timeout=0.5)
                if done:
                    return self._socket.closed.result()
                now = self._now_s()
                beat_s = self._beat(now, beat_s)
                for spec in self.watch.newly_stale(now):
                    self.detail = f"{spec.name}: silent for more than {spec.expect_s * 2:.0f} s"
                    self._sink(
                        self._gap(GapReason.STALE, spec.name, spec.instrument_id, spec.kinds)
                    )
                if self.watch.is_dead:
                    return "all streams silent: reconnecting"
                self._settle(now)
                if now - opened_s > age_s and await self._rotate():
                    opened_s = self._now_s()
        finally:
            current, self._socket = self._socket, None
            if current is not None:
                with contextlib.suppress(OSError):
                    await current.close()

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

    def _settle(self, now: float) -> None:
        """Data for a while: the next failure is a first one again."""
        if not self.watch.is_live:
            self._live_since_s = 0.0
            return
        self.detail = "live"
        if self._live_since_s == 0.0:
            self._live_since_s = now
        elif now - self._live_since_s > STEADY_S:
            self._backoff.reset()

    async def _rotate(self) -> bool:
        """Open the next socket, let it speak, swap. Messages of the new one wait until the swap.

        Overlaps are harmless: books start from the new snapshot or repeat known ids, trades carry
        ids that the engine has seen.
        """
        waiting: list[Frame] = []
        swapped = False

        def on_message(payload: bytes) -> None:
            if swapped:
                self._deliver(payload)
            elif len(waiting) < WAITING_MAX:
                source, now = self.spec.source, self._now_ns()
                waiting.append(Frame(self.spec.venue, source, now, payload))

        old = self._socket
        try:
            fresh = await open_socket(self._url, on_message, session=self._session)
        except OSError as error:
            self.detail = f"rotation postponed: {error}"
            return False
        try:
            await self._subscribe(fresh)
            await asyncio.wait([fresh.closed], timeout=min(TAKE_OVER_S, self.spec.max_age_s / 4))
        except asyncio.CancelledError:
            await fresh.close()
            raise
        if fresh.closed.done() or not waiting:
            await fresh.close()
            return False
        swapped = True
        self._socket = fresh
        for frame in waiting:
            self._sink(frame)
        if old is not None:
            await old.close()
        return True

    # ---- gaps ---------------------------------------------------------------------------------

    def _gaps(self, reason: GapReason, detail: str) -> None:
        """One gap an instrument, naming what its streams here carry."""
        kinds: dict[str, set[str]] = {}
        for spec in self.spec.streams:
            kinds.setdefault(spec.instrument_id, set()).update(spec.kinds)
        for instrument_id, names in kinds.items():
            self._sink(self._gap(reason, detail, instrument_id, tuple(sorted(names))))

    def _gap(
        self, reason: GapReason, detail: str, instrument_id: str, kinds: tuple[str, ...]
    ) -> Gap:
        return Gap(
            self.spec.venue,
            self.spec.source,
            self._now_ns(),
            reason,
            instrument_id,
            detail,
            kinds,
        )
