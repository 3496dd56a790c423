"""One typed door to the kernel compiler: cached, single-threaded, bounds unchecked.

`kernel` keeps the type of the function it decorates, so strict typing survives. Kernels are
functions of arrays and scalars only; each has a slow twin under tests/reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile on first call and cache on disk (NUMBA_CACHE_DIR when the package is read-only)."""
    return cast("Callable[P, R]", numba.njit(cache=True, fastmath=False)(function))


def checked_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """As `kernel`, with bounds checks: for code that walks over bytes from outside."""
    return cast("Callable[P, R]", numba.njit(cache=True, boundscheck=True)(function))


def inner_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Callable from other kernels only: no wrapper, no cache of its own, so it compiles faster.

    It is compiled into, and cached with, the kernels that call it. Division by zero gives inf or
    nan, as in numpy, not an exception.
    """
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}
    return cast("Callable[P, R]", numba.njit(**options)(function))
