"""`liqfield doctor`: what is reachable and what is not, and why, in words and as data."""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp
import msgspec

from liqfield.app.settings import Settings
from liqfield.feeds.refusal import explain, refusal
from liqfield.feeds.transport import NetTransport
from liqfield.model.errors import DecodeError, VenueRefusal
from liqfield.model.events import Frame, Listing, Notice, Unknown
from liqfield.model.instrument import Instrument
from liqfield.server.assets import STATIC
from liqfield.venues import registry
from liqfield.venues.contract import Connection, Venue

REST_S, DATA_S = 10.0, 10.0
CLOCK_S = 2.0  # the Date header counts whole seconds
DISK_BYTES = 2 << 30


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at. kind: ok, or what is wrong (dns, tls, refused, timeout, network, ban,
    rate, geo, maintenance, silent, clock, disk, port, assets, other)."""

    subject: str
    kind: str
    words: str
    took_ms: float = 0.0

    @property
    def is_ok(self) -> bool:
        return self.kind == "ok"


class Report(msgspec.Struct, frozen=True):
    findings: tuple[Finding, ...]
    is_well: bool


async def examine(
    settings: Settings, endpoints: Mapping[str, tuple[str, str]] | None = None
) -> Report:
    """All venues of the settings at once, then this machine. endpoints: address overrides."""
    async with aiohttp.ClientSession() as session:
        venues = registry.make(settings.venues)
        found = await asyncio.gather(
            *(
                _Examination(venue, session, *(endpoints or {}).get(name, ("", ""))).run()
                for name, venue in venues.items()
            )
        )
    findings = [finding for group in found for finding in group]
    findings += [
        disk(settings.data_path),
        port(settings.host, settings.port),
        assets(STATIC),
    ]
    return Report(tuple(findings), all(finding.is_ok for finding in findings))


class _Examination:
    """One venue: REST, its clock, and first data on every kind of connection."""

    def __init__(
        self, venue: Venue, session: aiohttp.ClientSession, rest_url: str, ws_url: str
    ) -> None:
        self._venue = venue
        self._session = session
        self._transport = NetTransport(session)
        self._rest_url = rest_url
        self._ws_url = ws_url or venue.ws_url
        self._instruments: dict[str, Instrument] = {}

    async def run(self) -> list[Finding]:
        name = self._venue.name
        findings = [await self._rest()]
        if findings[0].is_ok:
            findings.append(await self._clock())
        chosen = [of for of in self._instruments.values() if of.base == "BTC" and of.is_perpetual]
        chosen = chosen or list(self._instruments.values())
        if not chosen:
            why = "not tried: no list of instruments to choose from"
            return [*findings, Finding(f"{name} streams", "other", why)]
        plans = self._venue.connections(chosen[:1])
        findings += await asyncio.gather(*(self._stream(plan) for plan in plans))
        return findings

    async def _rest(self) -> Finding:
        request = self._venue.bootstrap(("BTC",))[0]
        url = (self._rest_url or request.host or self._venue.rest_url) + request.path
        subject, began_s = f"{self._venue.name} REST", time.monotonic()
        try:
            reply = await self._transport.request(url, request.body, REST_S)
            if reply.status != 200:
                raise refusal(self._venue.name, reply.status, reply.headers, reply.body)
            frame = Frame(self._venue.name, request.source, time.time_ns(), reply.body)
            for event in self._venue.decode(frame, {}):
                if isinstance(event, Listing):
                    self._instruments[event.instrument_id] = event.instrument
        except (OSError, VenueRefusal) as error:
            kind, words = explain(error)
            return Finding(subject, kind, words, _since(began_s))
        except DecodeError as error:
            return Finding(subject, "other", f"an answer that cannot be read: {error.why}")
        words = f"{len(self._instruments)} instruments listed"
        return Finding(subject, "ok", words, _since(began_s))

    async def _clock(self) -> Finding:
        """From the Date of an answer: whole seconds, which is fine for an alarm."""
        subject = f"{self._venue.name} clock"
        url = self._rest_url or self._venue.rest_url
        try:
            timeout = aiohttp.ClientTimeout(total=REST_S)
            async with self._session.get(url, timeout=timeout) as response:
                stated = parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (aiohttp.ClientError, TimeoutError, KeyError, ValueError) as error:
            return Finding(subject, "other", f"the venue's clock is not known: {error}")
        offset_s = time.time() - (stated + 0.5)
        words = f"ours is {abs(offset_s):.1f} s {'ahead' if offset_s > 0 else 'behind'}, +- 0.5 s"
        return Finding(subject, "clock" if abs(offset_s) > CLOCK_S else "ok", words)

    async def _stream(self, plan: Connection) -> Finding:
        """An acknowledgement proves nothing: first data does, where data is to be expected."""
        subject, began_s = f"{self._venue.name} {plan.name}", time.monotonic()
        first: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def on_message(payload: bytes) -> None:
            frame = Frame(self._venue.name, plan.source, time.time_ns(), payload)
            try:
                events = self._venue.decode(frame, self._instruments)
            except DecodeError:
                return
            kinds = [type(e).__name__ for e in events if not isinstance(e, Notice | Unknown)]
            if kinds and not first.done():
                first.set_result(kinds[0])

        try:
            opened = await self._transport.open(
                self._venue.name, self._ws_url + plan.path, on_message
            )
        except (OSError, VenueRefusal) as error:
            kind, words = explain(error)
            return Finding(subject, kind, words, _since(began_s))
        try:
            for message in plan.send:
                opened.send(message)
            waiting: list[asyncio.Future[str]] = [first, opened.closed]
            await asyncio.wait(waiting, timeout=DATA_S, return_when=asyncio.FIRST_COMPLETED)
            if first.done():
                return Finding(subject, "ok", f"first data: {first.result()}", _since(began_s))
            if opened.closed.done():
                return Finding(subject, "network", opened.closed.result(), _since(began_s))
            words = f"connected, but no data came within {DATA_S:.0f} s"
            return Finding(subject, "silent", words, _since(began_s))
        finally:
            await opened.close()


def disk(folder: Path) -> Finding:
    """Whether recordings can be kept."""
    at = folder
    while not at.exists() and at != at.parent:
        at = at.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".doctor"
        probe.write_bytes(b"")
        probe.unlink()
        free = shutil.disk_usage(at).free
    except OSError as error:
        return Finding("disk", "disk", f"{folder} cannot be written: {error.strerror or error}")
    words = f"{free / 2**30:.1f} GiB free at {folder}"
    return Finding("disk", "ok" if free > DISK_BYTES else "disk", words)


def port(host: str, number: int) -> Finding:
    """Whether the terminal could listen where the settings say."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            why = f"{host}:{number} cannot be listened on: {error.strerror}"
            return Finding("port", "port", f"{why}; choose another with --port")
    return Finding("port", "ok", f"{host}:{number} is free")


def assets(folder: Path) -> Finding:
    """Whether the web app was built into this installation."""
    if (folder / "index.html").is_file():
        return Finding("web app", "ok", "built")
    return Finding("web app", "assets", "not built: run `make setup`, or install a wheel")


def to_text(report: Report) -> str:
    """One line a finding."""
    lines = []
    for f in report.findings:
        took = f"  {f.took_ms:.0f} ms" if f.took_ms else ""
        lines.append(f"{'ok ' if f.is_ok else '-- '} {f.subject:<22} {f.words}{took}")
    lines.append("all is well" if report.is_well else "what is marked -- does not work")
    return "\n".join(lines)


def _since(began_s: float) -> float:
    return (time.monotonic() - began_s) * 1e3
