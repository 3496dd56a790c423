"""Columns into one Parquet or CSV file through DuckDB: written beside, then renamed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import duckdb
import numpy as np
import numpy.typing as npt

from liqfield.model.errors import StoreError
from liqfield.model.events import FloatArray

Column: TypeAlias = (
    npt.NDArray[np.int64] | FloatArray | npt.NDArray[np.object_] | npt.NDArray[np.bool_]
)
Columns: TypeAlias = dict[str, Column]
FORMATS = ("parquet", "csv")


def quoted(text: object) -> str:
    """A string literal of SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def write_batch(
    base: duckdb.DuckDBPyConnection, out: Path, columns: Mapping[str, Column], order: str
) -> None:
    """Columns that fit in memory, sorted, as Parquet. Raises StoreError naming `out`."""
    beside = out.with_name(f".{out.name}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        base.register("batch", dict(columns))
        base.execute(
            f"COPY (SELECT * FROM batch ORDER BY {order}) TO {quoted(beside)} "
            "(FORMAT parquet, COMPRESSION zstd)"
        )
        base.unregister("batch")
        beside.replace(out)
    except (OSError, duckdb.Error) as error:
        beside.unlink(missing_ok=True) if out.parent.is_dir() else None
        raise StoreError(str(out), f"cannot be written ({error})") from error


class Table:
    """`add` columns of one length as often as needed, then `write` once; memory holds a batch.

    Batches lie in a scratch file beside `out`, which is gone when the block ends. Raises StoreError
    naming `out`.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.rows = 0
        self._beside = out.with_name(f".{out.name}.tmp")
        self._scratch = out.with_name(f".{out.name}.duckdb")
        self._base: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> Table:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._base is not None:
            self._base.close()
        for path in (self._beside, self._scratch, Path(f"{self._scratch}.wal")):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def add(self, columns: Mapping[str, Column]) -> None:
        rows = len(next(iter(columns.values())))
        if not rows:
            return
        try:
            created = self._base is not None
            if self._base is None:
                self.out.parent.mkdir(parents=True, exist_ok=True)
                self._scratch.unlink(missing_ok=True)
                self._base = duckdb.connect(str(self._scratch))
            self._base.register("batch", dict(columns))
            how = "INSERT INTO rows" if created else "CREATE TABLE rows AS"
            self._base.execute(f"{how} SELECT * FROM batch")
            self._base.unregister("batch")
        except (OSError, duckdb.Error) as error:
            raise StoreError(str(self.out), f"cannot be written ({error})") from error
        self.rows += rows

    def write(
        self, select: str = "SELECT * FROM rows", meta: Mapping[str, str] | None = None
    ) -> None:
        """Write what `select` makes of `rows`; CSV by the name, else Parquet with `meta`."""
        if self._base is None:
            raise StoreError(str(self.out), "there is nothing to write")
        if self.out.suffix == ".csv":
            how = "FORMAT csv, HEADER"
        else:
            pairs = ", ".join(f"{key}: {quoted(value)}" for key, value in (meta or {}).items())
            how = "FORMAT parquet, COMPRESSION zstd"
            how += f", KV_METADATA {{{pairs}}}" if pairs else ""
        try:
            self._base.execute(f"COPY ({select}) TO {quoted(self._beside)} ({how})")
            self._beside.replace(self.out)
        except (OSError, duckdb.Error) as error:
            raise StoreError(str(self.out), f"cannot be written ({error})") from error
