"""Commands on files: map and verify. Each prints JSON on stdout."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from liqfield.app.maps import MapTimes, write_maps
from liqfield.app.verification import verify_file
from liqfield.store.atomic import write_atomic

SourceText = Annotated[
    str,
    Parameter(
        name="--source",
        help="KIND:PATH; kinds: recording, tardis, binance-vision, bybit, okx, hyperliquid",
    ),
]
Instruments = Annotated[
    str, Parameter(name="--instrument", help="venue:symbol, several with commas between")
]
ContractValue = Annotated[
    float | None,
    Parameter(help="coins (linear) or USD (inverse) a contract, where sizes are contracts"),
]


def register(app: App) -> None:
    """Add the commands to the command line."""
    app.command(map_command, name="map")
    app.command(verify_command, name="verify")


def map_command(
    *,
    source: SourceText,
    instrument: Instruments,
    out: Annotated[Path, Parameter(help="a .parquet or .csv file")],
    every: Annotated[str, Parameter(help="between maps: 30s, 5m, 1h, 1d", show_default=False)] = "",
    at: Annotated[
        list[str] | None,
        Parameter(help="or at these: ISO 8601 UTC, or since epoch", consume_multiple=True),
    ] = None,
    contract_value: ContractValue = None,
) -> None:
    """Liquidation maps of a source at chosen times, as Parquet (or CSV by the name)."""
    times = MapTimes.parse(every, at or ())
    show(write_maps(source, names_of(instrument), times, out, contract_value))


def verify_command(
    map_file: Annotated[Path, Parameter(help="as `liqfield map` writes it, or anybody's")],
    *,
    source: SourceText,
    out: Annotated[Path | None, Parameter(help="write the JSON here as well")] = None,
    instrument: Instruments = "",
    contract_value: ContractValue = None,
) -> None:
    """Score a file of maps, ours or anybody's, against the prints and the mark path of a source."""
    report = verify_file(map_file, source, names_of(instrument), contract_value)
    if out is not None:
        write_atomic(out, _json(report))
    show(report)


def show(report: object) -> None:
    """A report as indented JSON on stdout."""
    sys.stdout.buffer.write(_json(report))
    sys.stdout.buffer.flush()


def _json(report: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def names_of(text: str) -> list[str]:
    """("a, b") -> ["a", "b"]"""
    return [name.strip() for name in text.split(",") if name.strip()]
