"""One typed door to the kernel compiler: cached, single-threaded, bounds unchecked.

`kernel` keeps the type of the function it decorates, so strict typing survives. Kernels are
functions of arrays and scalars only; each has a slow twin under tests/reference.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import linalg


def _do_without_blas() -> None:
    """With its first kernel numba looks for BLAS by importing a part of scipy, where that is
    installed: a fifth of a second at every start, for matrix products that no kernel makes."""

    def none_here() -> None:
        raise ImportError

    found, linalg.ensure_blas = linalg.ensure_blas, none_here
    importlib.import_module("numba.np.arraymath")
    linalg.ensure_blas = found


_do_without_blas()

P = ParamSpec("P")
R = TypeVar("R")


_INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile on first call and cache on disk."""
    return cast("Callable[P, R]", cached(function, numba.njit, fastmath=False))


def long_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """As `kernel`, for calls that last: Python's other threads run meanwhile."""
    return cast("Callable[P, R]", cached(function, numba.njit, fastmath=False, nogil=True))


def inner_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Callable from other kernels only: no wrapper, no cache of its own, so it compiles faster.

    It is compiled into, and cached with, the kernels that call it. Division by zero gives inf or
    nan, as in numpy, not an exception.
    """
    return cast("Callable[P, R]", numba.njit(**_INNER)(function))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """An inner kernel that is written out where it is called: to hand over an array costs seven
    words, more than the work of a short one."""
    return cast("Callable[P, R]", numba.njit(forceinline=True, **_INNER)(function))


def summing_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """An inner kernel whose sums may be taken in any order: as vectors, some ten times faster.

    Equal on one machine, not to the last digit on another.
    """
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}
    return cast("Callable[P, R]", numba.njit(fastmath={"reassoc"}, **options)(function))


def direct(function: Callable[P, R], *like: object) -> Callable[P, R]:
    """The compiled entry of a kernel for arguments of exactly the types of `like`.

    It skips the look at every argument's type, half of what a call of a short kernel costs; only
    for a caller that makes all the arguments itself.
    """
    key = function, *map(_kind, like)
    entry = _entries.get(key)
    if entry is None:
        dispatcher = cast("Any", function)
        signature = tuple(numba.typeof(value) for value in like)
        dispatcher.compile(signature)
        entry = _entries[key] = dispatcher.overloads[signature].entry_point
    return cast("Callable[P, R]", entry)


_entries: dict[tuple[object, ...], object] = {}  # every instrument asks for the same ones


def _kind(value: object) -> object:
    """What numba makes a type of, cheaper than the type."""
    if isinstance(value, bool | int | float):
        return type(value)
    if not isinstance(value, np.ndarray):
        return numba.typeof(value)
    flags = value.flags
    layout = flags.c_contiguous, flags.f_contiguous, flags.writeable, flags.aligned
    return value.dtype, value.ndim, layout


# ---- arrays by address ---------------------------------------------------------------------------
#
# Taking an array from Python costs a call of a short kernel some 40 ns each. A caller that owns its
# arrays writes their addresses into one array of words, hands over that, and keeps them alive.


@intrinsic  # type: ignore[untyped-decorator]
def _pointer(_typing: object, _address: object) -> tuple[Any, Any]:
    def cast_it(_: object, builder: Any, __: object, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), cast_it


@inner_kernel
def ints_at(address: int, shape: int | tuple[int, ...]) -> npt.NDArray[np.int64]:
    """The int64[shape] at an address: kernels only."""
    array: npt.NDArray[np.int64] = numba.carray(_pointer(address), shape, np.int64)
    return array


@inner_kernel
def words_at(address: int, count: int) -> npt.NDArray[np.uint64]:
    """The uint64[count] at an address: kernels only."""
    array: npt.NDArray[np.uint64] = numba.carray(_pointer(address), (count,), np.uint64)
    return array


@inner_kernel
def floats_at(address: int, shape: int | tuple[int, ...]) -> npt.NDArray[np.float64]:
    """The float64[shape] at an address: kernels only. To reshape one costs a call of numba's."""
    array: npt.NDArray[np.float64] = numba.carray(_pointer(address), shape, np.float64)
    return array


@inner_kernel
def bytes_at(address: int, count: int) -> npt.NDArray[np.uint8]:
    """The uint8[count] at an address: kernels only."""
    array: npt.NDArray[np.uint8] = numba.carray(_pointer(address), (count,), np.uint8)
    return array


@intrinsic  # type: ignore[untyped-decorator]
def _load_eight(_typing: object, _address: object) -> tuple[Any, Any]:
    def load(context: Any, builder: Any, _: object, arguments: Any) -> Any:
        word = context.get_value_type(types.uint64)
        return builder.load(builder.inttoptr(arguments[0], word.as_pointer()), align=1)

    return types.uint64(types.int64), load


@intrinsic  # type: ignore[untyped-decorator]
def _trailing_zeros(_typing: object, _word: object) -> tuple[Any, Any]:
    def count(_: object, builder: Any, __: object, arguments: Any) -> Any:
        return builder.cttz(arguments[0], cgutils.false_bit)

    return types.int64(types.uint64), count


@inner_kernel
def eight_at(address: int) -> np.uint64:
    """The eight bytes at any address, the first one lowest (as processors of today read them)."""
    word: np.uint64 = _load_eight(address)
    return word


@inner_kernel
def trailing_zeros(word: np.uint64) -> int:
    """Bits below the lowest that is set; 64 of none."""
    return int(_trailing_zeros(word))


def address_of(array: npt.NDArray[Any]) -> int:
    """Where a contiguous array lies: good while its owner keeps it."""
    assert array.flags.c_contiguous
    return array.ctypes.data


# ---- the cache on disk ---------------------------------------------------------------------------


def cached(function: Callable[..., Any], compiler: Callable[..., Any], **options: Any) -> Any:
    """numba reads where to cache at the moment of decoration."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_folder(Path(inspect.getfile(function)).parent))
    try:
        return compiler(cache=True, **options)(function)
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
