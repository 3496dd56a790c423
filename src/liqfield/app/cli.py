"""The command line: demo, live, replay, inspect. Errors are one line in words."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import webbrowser
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import App, Parameter

from liqfield import __version__
from liqfield.app.settings import Settings, load
from liqfield.model.errors import LiqfieldError, SettingError

if TYPE_CHECKING:
    from liqfield.app.terminal import Terminal

app = App(name="liqfield", version=__version__, help="Where leveraged positions are forced out.")
# Named, not imported: a terminal needs neither tables nor the studies' market, and starts sooner.
app.command("liqfield.app.files:map_command", name="map", help="Liquidation maps of a source.")
app.command("liqfield.app.files:verify_command", name="verify", help="Score a file of maps.")
app.command("liqfield.app.store_commands:store", name="store", help="What is kept on disk.")
app.command("liqfield.app.store_commands:import_command", name="import", help="Read archives in.")
app.command("liqfield.app.study.cli:study", name="study", help="Proofs where the truth is known.")

Markets = Annotated[
    str | None,
    Parameter(help="comma-separated: BTC, one contract as gate:BTC_USDT, the busiest as top:50"),
]
Venues = Annotated[
    str | None, Parameter(help="comma-separated, of the ten that are read: binance,gate")
]
File = Annotated[Path | None, Parameter(help="TOML file of settings")]
Port = Annotated[int | None, Parameter(help="to serve on; 0 picks a free one")]
Host = Annotated[str | None, Parameter(help="address to serve on: loopback only")]
Browser = Annotated[bool, Parameter(help="open the page when a display is there")]
RECORDINGS = Parameter(
    help="recordings of ours (a folder, .lqf, .lqd) or captures of others (.gz, .jsonl.zst)"
)
OfVenue = Annotated[str, Parameter(help="of captures that do not say it", show_default=False)]


@app.command
def demo(
    *,
    port: Port = None,
    host: Host = None,
    markets: Markets = None,
    venues: Venues = None,
    settings: File = None,
    seed: Annotated[int, Parameter(help="of the built-in market")] = 7,
    browser: Browser = True,
) -> None:
    """The terminal on the built-in market, offline: real sockets, real protocols, known truth."""
    chosen = load(
        settings,
        overrides={"port": port, "host": host, "markets": markets, "venues": venues},
    )
    from liqfield.app.demo import feed_demo, lab_process

    async def serve() -> None:
        # Its processor time beside our own imports: the market is started before them.
        async with lab_process(chosen, seed) as lab:
            await _serve(
                chosen, "demo", None, lambda terminal: feed_demo(terminal, lab), browser=browser
            )

    _run(serve())


@app.command
def live(
    *,
    port: Port = None,
    host: Host = None,
    markets: Markets = None,
    venues: Venues = None,
    settings: File = None,
    browser: Browser = True,
) -> None:
    """The terminal on the venues' public feeds: no account, no key."""
    chosen = load(
        settings,
        overrides={"port": port, "host": host, "markets": markets, "venues": venues},
    )
    folder = chosen.data_path
    _run(_serve(chosen, "live", folder, lambda terminal: terminal.feed(), browser=browser))


@app.command
def replay(
    *files: Annotated[Path, RECORDINGS],
    speed: Annotated[
        float | None, Parameter(help="1 = as recorded, 0 = as fast as possible")
    ] = None,
    venue: OfVenue = "",
    port: Port = None,
    host: Host = None,
    settings: File = None,
    browser: Browser = True,
) -> None:
    """The terminal on recordings: ours, or the line formats of others."""
    if not files:
        raise SettingError("which recording? name a file or a folder")
    chosen = load(settings, overrides={"port": port, "host": host, "speed": speed})
    chosen = msgspec.structs.replace(chosen, markets=())

    from liqfield.store.foreign import open_recording

    async def source(terminal: Terminal) -> None:
        for path in files:
            await terminal.replay(open_recording(path, venue), chosen.speed)
        terminal.progress = "the recording has ended"
        await asyncio.Event().wait()

    _run(_serve(chosen, "replay", None, source, browser=browser))


@app.command
def inspect(*files: Annotated[Path, RECORDINGS], venue: OfVenue = "") -> None:
    """What is in a recording, as JSON: frames, events, unknown kinds, gaps, book checks."""
    if not files:
        raise SettingError("which recording? name a file or a folder")
    from liqfield.app.inspect import inspect as inspect_files

    report = inspect_files(files, venue)
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


@app.command
def doctor(
    *,
    port: Port = None,
    host: Host = None,
    venues: Venues = None,
    settings: File = None,
    endpoints: Annotated[Path | None, Parameter(help="JSON: venue -> [rest, ws] addresses")] = None,
    json: Annotated[bool, Parameter(help="the report as JSON")] = False,
) -> None:
    """What is reachable and what is not, and why: venues, clock, disk, port, web app.

    Ends with 1 where something is amiss.
    """
    from liqfield.app.doctor import examine, to_text

    chosen = load(settings, overrides={"port": port, "host": host, "venues": venues})
    report = asyncio.run(examine(chosen, _addresses(endpoints) if endpoints is not None else {}))
    if json:
        encoded = msgspec.json.format(msgspec.json.encode(report), indent=2)
        sys.stdout.buffer.write(encoded + b"\n")
    else:
        print(to_text(report))
    raise SystemExit(0 if report.is_well else 1)


def _addresses(file: Path) -> dict[str, tuple[str, str]]:
    """venue -> (rest, ws), from a JSON file."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, tuple[str, str]])
    except OSError as error:
        raise SettingError(f"--endpoints {file}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        wanted = '{"binance": ["https://...", "wss://..."]}'
        raise SettingError(f"--endpoints {file}: {error}; write it as {wanted}") from error


def _run(serving: Coroutine[None, None, None]) -> None:
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(serving)


async def _serve(
    settings: Settings,
    source: str,
    folder: Path | None,
    feed: Callable[[Terminal], Awaitable[None]],
    *,
    browser: bool,
) -> None:
    from liqfield.app import warm
    from liqfield.app.narrate import narrate
    from liqfield.app.terminal import Terminal

    warm.start()
    terminal = Terminal(settings, source, folder)
    async with terminal.serve() as address:
        print(f"liqfield {source}: {address.url}", flush=True)
        if browser and settings.open_browser and sys.stdout.isatty():
            webbrowser.open(address.url)
        task = asyncio.ensure_future(feed(terminal))
        talking = asyncio.ensure_future(narrate(terminal))
        task.add_done_callback(lambda _: talking.cancel())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task


def main() -> None:
    """Entry point of `liqfield`."""
    try:
        app()
    except LiqfieldError as error:
        raise SystemExit(f"liqfield: {error}") from error
    except ExceptionGroup as group:
        ours, rest = group.split(LiqfieldError)
        if rest is not None or ours is None:
            raise
        raise SystemExit(f"liqfield: {ours.exceptions[0]}") from group
