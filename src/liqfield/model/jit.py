"""One typed door to the kernel compiler: cached, single-threaded, bounds unchecked.

`kernel` keeps the type of the function it decorates, so strict typing survives. Kernels are
functions of arrays and scalars only; each has a slow twin under tests/reference.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile on first call and cache on disk."""
    return _cached(function, fastmath=False)


def checked_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """As `kernel`, with bounds checks: for code that walks over bytes from outside."""
    return _cached(function, boundscheck=True)


def inner_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Callable from other kernels only: no wrapper, no cache of its own, so it compiles faster.

    It is compiled into, and cached with, the kernels that call it. Division by zero gives inf or
    nan, as in numpy, not an exception.
    """
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}
    return cast("Callable[P, R]", numba.njit(**options)(function))


def direct(function: Callable[P, R], *like: object) -> Callable[P, R]:
    """The compiled entry of a kernel for arguments of exactly the types of `like`.

    It skips the look at every argument's type, half of what a call of a short kernel costs; only
    for a caller that makes all the arguments itself.
    """
    dispatcher = cast("Any", function)
    signature = tuple(numba.typeof(value) for value in like)
    dispatcher.compile(signature)
    return cast("Callable[P, R]", dispatcher.overloads[signature].entry_point)


# ---- the cache on disk ---------------------------------------------------------------------------


def _cached(function: Callable[P, R], **options: Any) -> Callable[P, R]:
    """numba reads where to cache at the moment of decoration."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_folder(Path(inspect.getfile(function)).parent))
    try:
        return cast("Callable[P, R]", numba.njit(cache=True, **options)(function))
    finally:
        numba.config.CACHE_DIR = before


@functools.cache
def _folder(package: Path) -> Path:
    """Where the kernels of a package are kept: under a name that changes with any of its sources.

    numba itself looks at the kernel's own file only, but inner kernels and constants may stand in
    others: after an update it would run old code. Kept beside the sources, or in the user's cache
    where those are read-only; NUMBA_CACHE_DIR overrides both.
    """
    digest = hashlib.blake2b(digest_size=8)
    for source in sorted({*package.glob("*.py"), *Path(__file__).parent.glob("*.py")}):
        digest.update(source.read_bytes())
    places = [package / "__pycache__", Path.home() / ".cache" / "liqfield" / package.name]
    if numba.config.CACHE_DIR:
        places.insert(0, Path(numba.config.CACHE_DIR) / package.name)
    for place in places:
        folder = place / f"kernels-{digest.hexdigest()}"
        if folder.is_dir():
            return folder
        try:
            folder.mkdir(parents=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            _forget_old(place, folder)
            return folder
    return places[0]  # numba will say that it cannot write there


def _forget_old(place: Path, keep: Path) -> None:
    for old in place.glob("kernels-*"):
        if old != keep:
            shutil.rmtree(old, ignore_errors=True)
