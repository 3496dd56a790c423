"""Settings: a TOML file, then LIQFIELD_* variables, then the command line; unknown names refused.

Every field below is a setting; docs/settings.md lists them all (a test compares the two).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec

from liqfield.model.errors import SettingError

Port: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
NotNegative: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings with their defaults.

    host                  address to serve on; loopback only for now
    port                  0 picks a free one
    markets               base assets to follow; also venue:CONTRACT and top:N (see app/markets.py)
    venues                venues to follow, of the ten that liqfield reads
    data_dir              where recordings and the map's history are kept
    cot_dir               folder of dropped COT files; empty: `cot` inside data_dir
    record                keep raw frames
    keep_days             remove recordings older than this, 0 = never
    keep_gb               remove the oldest recordings beyond this size, 0 = never
    backfill_h            hours of history to fetch at start
    archive_days          days of imported history to show behind the live map, 0 = none
    cluster_min_usd       smallest cluster that counts as significant, 0 = by the market's size
    open_browser          open the page when a display is there
    speed                 replay: 1 = as recorded, 0 = as fast as possible
    """

    host: str = "127.0.0.1"
    port: Port = 8765
    markets: tuple[str, ...] = ("BTC", "ETH", "SOL")
    venues: tuple[str, ...] = ("binance", "bybit", "okx", "hyperliquid")
    data_dir: str = "~/.local/share/liqfield"
    cot_dir: str = ""
    record: bool = True
    keep_days: NotNegative = 90.0
    keep_gb: NotNegative = 100.0
    backfill_h: NotNegative = 24.0
    archive_days: NotNegative = 365.0
    cluster_min_usd: NotNegative = 0.0
    open_browser: bool = True
    speed: NotNegative = 1.0

    @property
    def data_path(self) -> Path:
        return Path(self.data_dir).expanduser()

    @property
    def cot_path(self) -> Path:
        return Path(self.cot_dir).expanduser() if self.cot_dir else self.data_path / "cot"


def nearest(name: str, valid: tuple[str, ...]) -> str:
    """The sentence that helps after a misspelt name."""
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.4)
    return f"did you mean {close[0]!r}?" if close else f"valid: {', '.join(valid)}"


def load(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Merge the sources and validate. Raises SettingError naming the setting and a nearest one."""
    merged: dict[str, object] = {}
    if file is not None:
        try:
            merged |= tomllib.loads(file.read_text())
        except OSError as error:
            raise SettingError(f"settings file {file}: {error.strerror}") from error
        except tomllib.TOMLDecodeError as error:
            raise SettingError(f"settings file {file}: {error}") from error
    env = os.environ if environ is None else environ
    known = Settings.__struct_fields__
    for key, value in env.items():
        # The tests' own switches share the prefix and are no settings.
        if key.startswith("LIQFIELD_") and key not in ("LIQFIELD_SHARED", "LIQFIELD_CHROMIUM"):
            merged[key.removeprefix("LIQFIELD_").lower()] = value
    merged |= {key: value for key, value in (overrides or {}).items() if value is not None}
    for key in merged:
        if key not in known:
            raise SettingError(f"unknown setting {key!r}: {nearest(key, known)}")
    for key in ("markets", "venues"):
        if isinstance(merged.get(key), str):
            merged[key] = [part.strip() for part in str(merged[key]).split(",") if part.strip()]
    try:
        return msgspec.convert(merged, Settings, strict=False)
    except msgspec.ValidationError as error:
        # "Expected `int`, got `str` - at `$.port`"
        why, _, place = str(error).partition(" - at `$.")
        name = place.partition("`")[0].partition("[")[0]
        raise SettingError(f"setting {name!r} is {merged.get(name)!r}: {why}") from error
