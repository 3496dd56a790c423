"""Whole files that are there or not there, never half."""

from __future__ import annotations

import os
from pathlib import Path

from liqfield.model.errors import StoreError


def write_atomic(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write beside and rename. durable: survive a power cut, at the price of a disk flush.

    Raises StoreError naming the file; the old content is then still there.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True) if path.parent.is_dir() else None
        raise StoreError(str(path), error.strerror or str(error)) from error
