"""What prints taught each estimator, kept over a restart: a file an instrument."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from liqfield.density.estimator import DensityEstimator
from liqfield.model.errors import StoreError
from liqfield.store.atomic import write_atomic


class LearntLaws:
    """folder None: nothing is kept. A file that cannot be read or written is told, never fatal."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.problem = ""

    def keep(self, estimators: Iterable[DensityEstimator]) -> None:
        """Write what each has learnt; one that has learnt nothing leaves the older file alone."""
        for one in estimators if self._folder is not None else ():
            blob = one.learnt()
            try:
                if blob:
                    write_atomic(self._path(one), blob)
            except StoreError as error:
                self.problem = f"learnt laws are not kept: {error}"

    def teach(self, estimators: Iterable[DensityEstimator], now_ns: int) -> None:
        """Give each what it had learnt, before its history is folded."""
        for one in estimators if self._folder is not None else ():
            try:
                one.learn(self._path(one).read_bytes(), now_ns)
            except FileNotFoundError:
                continue
            except (OSError, StoreError) as error:
                self.problem = f"a learnt law was not read: {error}"

    def _path(self, one: DensityEstimator) -> Path:
        assert self._folder is not None
        name = hashlib.sha256(one.instrument.id.encode()).hexdigest()[:16]
        return self._folder / f"{name}.law"
