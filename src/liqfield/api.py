"""Liqfield from Python: what `liqfield map` and `liqfield verify` give, without files between.

from liqfield.api import map_frame
frame = map_frame("tardis:downloads", "binance:BTCUSDT", every="1h")
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from liqfield.app.maps import MapTimes
from liqfield.app.maps import map_columns as _map_columns
from liqfield.app.sources import open_source
from liqfield.app.verification import Verification, verify_file
from liqfield.model.errors import SettingError
from liqfield.store.table import Columns


def map_columns(
    source: str,
    instrument: str | Sequence[str],
    *,
    every: str = "",
    at: Sequence[str] = (),
    contract_value: float | None = None,
) -> Columns:
    """Maps as a dict of NumPy arrays of one length, the columns of docs/map-files.md: any data
    frame library takes it as it is. Rows outside the grid have NaN prices.

    source: KIND:PATH; every: "1h" or at: times, one of both. Raises SettingError, StoreError,
    ModelError.
    """
    names = [instrument] if isinstance(instrument, str) else list(instrument)
    return _map_columns(open_source(source, contract_value), names, MapTimes.parse(every, at))[0]


def map_frame(
    source: str,
    instrument: str | Sequence[str],
    *,
    every: str = "",
    at: Sequence[str] = (),
    contract_value: float | None = None,
) -> Any:
    """The same as a pandas.DataFrame; pandas is not installed with liqfield. Raises SettingError
    without it."""
    try:
        import pandas as pd
    except ImportError as error:
        raise SettingError(
            "map_frame gives a pandas data frame: install pandas, or take map_columns for NumPy"
        ) from error
    columns = map_columns(source, instrument, every=every, at=at, contract_value=contract_value)
    return pd.DataFrame(columns)


def verify(map_file: str | Path, source: str, *, instrument: Sequence[str] = ()) -> Verification:
    """Score a map file against the prints and the mark path of a source."""
    return verify_file(Path(map_file), source, instrument)
