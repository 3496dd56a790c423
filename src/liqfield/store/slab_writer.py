"""Writes slabs behind the caller's back: compressing and disk must not hold up the engine.

The queue holds the newest state of each slab only, so it is bounded by the number of open series;
what cannot be written is said in `problem`, kept for readers up to FAILED_KEPT slabs, and tried
again after the next write that succeeds.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

import msgspec

from liqfield.store.slab import Columns, SlabKey, encode_slab
from liqfield.store.slab_files import SlabFiles

FAILED_KEPT = 64
# After an unfinished slab the thread rests so many times as long as it worked: a back-fill changes
# the slabs faster than they are written, and only the newest state counts.
REST, REST_MOST_S = 4.0, 2.0


class WriteJob(msgspec.Struct, frozen=True, eq=False):
    """keep_from: the oldest slab of the series to keep, None = keep all."""

    columns: Columns
    is_complete: bool
    keep_from: SlabKey | None = None


class SlabWriter:
    """One thread; `get` lets readers see what is still on its way to disk."""

    def __init__(self, files: SlabFiles) -> None:
        self._files = files
        self._jobs: OrderedDict[SlabKey, WriteJob] = OrderedDict()
        self._failed: OrderedDict[SlabKey, WriteJob] = OrderedDict()
        self._writing: tuple[SlabKey, WriteJob] | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._waiting = 0  # callers of `flush`: no rest while somebody waits
        self.problem = ""
        self.bytes_written = 0

    def put(self, key: SlabKey, job: WriteJob) -> None:
        """Never waits. A newer state of the same slab replaces the older one."""
        with self._changed:
            self._jobs[key] = job
            self._failed.pop(key, None)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="slab-writer", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def get(self, key: SlabKey) -> WriteJob | None:
        """What is queued or being written for a slab."""
        with self._changed:
            if key in self._jobs:
                return self._jobs[key]
            if self._writing is not None and self._writing[0] == key:
                return self._writing[1]
            return self._failed.get(key)

    def flush(self) -> None:
        """Wait until everything queued is written (or has failed)."""
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._jobs and self._writing is None)
            self._waiting -= 1

    def close(self) -> None:
        """Flush and end the thread."""
        self.flush()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closing)
                if not self._jobs:
                    return
                self._writing = self._jobs.popitem(last=False)
                key, job = self._writing
            started_s = time.monotonic()
            try:
                data = encode_slab(key, job.columns, is_complete=job.is_complete)
                self._files.write(key, data, is_complete=job.is_complete)
                self.bytes_written += len(data)
                self.problem = ""
                self._retry()
                if job.keep_from is not None:
                    self._files.prune(job.keep_from)
            except Exception as error:
                # Whatever it is, the thread must live: a dead writer would lose all later slabs.
                self.problem = (
                    f"{error}; the map's newest history is kept in memory until it can be written"
                )
                self._keep(key, job)
            finally:
                with self._changed:
                    self._writing = None
                    self._changed.notify_all()
                    if not job.is_complete:
                        rest_s = min(REST * (time.monotonic() - started_s), REST_MOST_S)
                        self._changed.wait_for(lambda: self._waiting or self._closing, rest_s)

    def _keep(self, key: SlabKey, job: WriteJob) -> None:
        with self._changed:
            if key not in self._jobs:  # a newer state will be tried anyway
                self._failed[key] = job
            while len(self._failed) > FAILED_KEPT:
                self._failed.popitem(last=False)

    def _retry(self) -> None:
        with self._changed:
            for key, job in self._failed.items():
                self._jobs.setdefault(key, job)
            self._failed.clear()
