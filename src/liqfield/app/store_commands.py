"""`liqfield store`: sizes, check, pack, prune, export; `liqfield import`. JSON on stdout."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from liqfield.app.export import KINDS, MAP, export_map, export_recording
from liqfield.app.files import ContractValue, Instruments, names_of, show
from liqfield.app.imports import import_archive
from liqfield.app.settings import Settings, load
from liqfield.app.sources import ARCHIVES
from liqfield.model.errors import SettingError
from liqfield.store import upkeep

Data = Annotated[Path | None, Parameter(help="folder of the data; default: the setting data_dir")]
SettingsFile = Annotated[Path | None, Parameter(help="TOML file of settings")]

store = App(name="store", help="What is kept on disk: sizes, verification, retention, export.")


def register(app: App) -> None:
    """Add the commands to the command line."""
    app.command(store)
    app.command(import_command, name="import")


class PruneReport(msgspec.Struct):
    """What retention removed."""

    removed: dict[str, int]
    bytes: int


def _root(data_dir: Path | None, settings: Path | None) -> Path:
    """The folder of the data. One that was named and is not there is a slip, no empty store."""
    path = _settings(data_dir, settings).data_path
    if data_dir is not None and not path.is_dir():
        raise SettingError(f"--data-dir {data_dir}: there is no such folder")
    return path


def _settings(data_dir: Path | None, settings: Path | None) -> Settings:
    return load(settings, overrides={"data_dir": str(data_dir) if data_dir else None})


@store.default
def sizes(*, data_dir: Data = None, settings: SettingsFile = None) -> None:
    """Bytes on disk by kind and day."""
    show(upkeep.sizes(_root(data_dir, settings)))


@store.command
def check(
    *,
    data_dir: Data = None,
    settings: SettingsFile = None,
    all_files: Annotated[bool, Parameter(help="list sound files too")] = False,
) -> None:
    """Read every file of the store whole: checksums, torn tails, gaps. Ends with 1 on damage."""
    found = list(upkeep.check(_root(data_dir, settings)))
    damaged = [f for f in found if f.is_damaged]
    losses: dict[str, int] = {}
    for file in found:
        for reason, count in file.losses.items():
            losses[reason] = losses.get(reason, 0) + count
    show(
        {
            "files": len(found),
            "records": sum(f.records for f in found if f.kind == upkeep.FRAMES),
            "bytes": sum(f.bytes for f in found),
            "torn_files": sum(bool(f.torn_bytes) for f in found),
            "torn_bytes": sum(f.torn_bytes for f in found),
            "recorded_losses": losses,
            "damaged": damaged,
            "details": found if all_files else [f for f in found if f.why],
        }
    )
    if damaged:
        raise SystemExit(1)


@store.command
def pack(*, data_dir: Data = None, settings: SettingsFile = None) -> None:
    """Pack finished segments of the recording densely (the live terminal does it by itself)."""
    frames = _root(data_dir, settings) / upkeep.FRAMES
    show(list(upkeep.pack(frames, time.time())))


@store.command
def prune(*, data_dir: Data = None, settings: SettingsFile = None) -> None:
    """Remove the oldest recordings beyond keep_days and keep_gb."""
    chosen = _settings(data_dir, settings)
    gone = upkeep.prune(
        chosen.data_path / upkeep.FRAMES,
        now_ns=time.time_ns(),
        keep_s=chosen.keep_days * 86_400.0,
        keep_bytes=int(chosen.keep_gb * 1e9),
    )
    show(PruneReport(dict(gone), sum(size for _, size in gone)))


@store.command
def export(
    *,
    kind: Annotated[str, Parameter(help=f"{', '.join(KINDS)} or {MAP}")],
    out: Annotated[Path, Parameter(help="a .parquet or .csv file")],
    recording: Annotated[Path | None, Parameter(help="default: the terminal's own")] = None,
    instrument: Instruments = "",
    base: Annotated[str, Parameter(help="map: which asset", show_default=False)] = "",
    venue: Annotated[str, Parameter(help="map: one venue's, or of all")] = "all",
    column_s: Annotated[int, Parameter(help="map: seconds a column, 300 or 1800")] = 300,
    data_dir: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Facts of one kind, or the heat map's history, as CSV or Parquet by the name of the file."""
    root = _settings(data_dir, settings).data_path if recording else _root(data_dir, settings)
    if kind == MAP:
        if not base:
            raise SettingError("which map? give --base BTC")
        rows = export_map(root / upkeep.MAPS, out, base, venue, column_s)
    else:
        rows = export_recording(kind, recording or root / upkeep.FRAMES, out, instrument)
    show({"out": str(out), "kind": kind, "rows": rows, "bytes": out.stat().st_size})


def import_command(
    vendor: Annotated[str, Parameter(help=", ".join(ARCHIVES))],
    path: Annotated[Path, Parameter(help="a folder as downloaded, or one file")],
    *,
    instrument: Instruments = "",
    contract_value: ContractValue = None,
    data_dir: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Downloaded archives into the own history.

    A killed import goes on where it was; a second run has nothing to do.
    """
    root = _settings(data_dir, settings).data_path
    report = import_archive(
        vendor,
        path,
        root / upkeep.HISTORY,
        instruments=names_of(instrument),
        contract_value=contract_value,
        progress=_progress,
    )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    show(report)


def _progress(done: int, total: int, name: str) -> None:
    """One line that is overwritten on a terminal; otherwise a line every fiftieth file."""
    if sys.stderr.isatty():
        print(f"\r{done} of {total} files  {name[:60]:60}", end="", file=sys.stderr, flush=True)
    elif done % 50 == 0:
        print(f"{done} of {total} files  {name}", file=sys.stderr, flush=True)
