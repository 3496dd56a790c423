"""Kernels that take and make Python objects, called as built-in functions.

numba's own doors unpack every argument and box every number that passes, and the events would then
be made by functions of Python: with a short message that costs several times its reading. A native
function gets the addresses of its arguments, as functions of C extensions do (METH_FASTCALL), and
reads and makes objects through Python's public C interface.

Rules for writing one: arguments are borrowed; what it returns is a new reference; 0 says that an
exception is set. Code is kept on disk, so no address may stand in it: they come from the words that
the function is bound to.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any, cast

import msgspec
import numba
import numpy as np
import numpy.typing as npt
from numba import types

from liqfield.model.jit import cached, inlined, inner_kernel, ints_at

Bound = Callable[..., Any]
_ADDRESS, _FASTCALL = types.intp, 0x80


def _c(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of Python's C interface; an object or a pointer is an address."""
    return cast("Callable[..., Any]", types.ExternalFunction(name, result(*arguments)))


take = _c("Py_IncRef", types.void, _ADDRESS)
drop = _c("Py_DecRef", types.void, _ADDRESS)
bad_argument = _c("PyErr_BadArgument", types.int32)
forget_error = _c("PyErr_Clear", types.void)
bytes_start = _c("PyBytes_AsString", _ADDRESS, _ADDRESS)
bytes_size = _c("PyBytes_Size", _ADDRESS, _ADDRESS)
as_int = _c("PyLong_AsLongLong", types.int64, _ADDRESS)
as_float = _c("PyFloat_AsDouble", types.float64, _ADDRESS)
make_int = _c("PyLong_FromLongLong", _ADDRESS, types.int64)
make_float = _c("PyFloat_FromDouble", _ADDRESS, types.float64)
make_text = _c("PyUnicode_FromStringAndSize", _ADDRESS, _ADDRESS, _ADDRESS)
make_list = _c("PyList_New", _ADDRESS, _ADDRESS)
fill_list = _c("PyList_SetItem", types.int32, _ADDRESS, _ADDRESS, _ADDRESS)  # takes it
append = _c("PyList_Append", types.int32, _ADDRESS, _ADDRESS)
get_item = _c("PyObject_GetItem", _ADDRESS, _ADDRESS, _ADDRESS)
make_tuple = _c("PyTuple_New", _ADDRESS, _ADDRESS)
fill_tuple = _c("PyTuple_SetItem", types.int32, _ADDRESS, _ADDRESS, _ADDRESS)  # takes it
has_failed = _c("PyErr_Occurred", _ADDRESS)
tuple_item = _c("PyTuple_GetItem", _ADDRESS, _ADDRESS, _ADDRESS)  # borrowed
copy_bytes = _c("memcpy", _ADDRESS, _ADDRESS, _ADDRESS, types.uintp)
call = _c("PyObject_Vectorcall", _ADDRESS, _ADDRESS, _ADDRESS, _ADDRESS, _ADDRESS)

# What extensions rely on: an object begins with its head, the address of its type last in it; an
# array goes on with its data, how many dimensions, their sizes, strides, base and dtype.
_HEAD = object.__basicsize__
_DATA, _COUNT, _SHAPE, _STRIDES, _BASE, _DTYPE, _FIELDS = range(7)


@inner_kernel
def words_of(bound: int) -> int:
    """Where the words lie that a native function is bound to."""
    return int(ints_at(tuple_item(bound, 0) + _HEAD, 1)[_DATA])


@inner_kernel
def plain_array(array: int, ndarray: int, dtype: int) -> tuple[int, int]:
    """(where its data lies, length) of a one-dimensional array without gaps and of just this dtype
    object; 0 where it lies for anything else."""
    if ints_at(array + _HEAD - 8, 1)[0] != ndarray:
        return 0, 0
    fields = ints_at(array + _HEAD, _FIELDS)
    if fields[_COUNT] & 0xFFFFFFFF != 1 or fields[_DTYPE] != dtype:
        return 0, 0
    length = int(ints_at(fields[_SHAPE], 1)[0])
    if length > 1 and ints_at(fields[_STRIDES], 1)[0] != 8:
        return 0, 0
    return int(fields[_DATA]), length


@inlined
def is_of(object_: int, kind: int) -> bool:
    """Whether an object is of just this type."""
    return bool(ints_at(object_ + _HEAD - 8, 1)[0] == kind)


@inlined
def field(struct: int, place: int) -> int:
    """What a field of a struct holds, borrowed; place: as of `places_of`."""
    return int(ints_at(struct + place, 1)[0])


def places_of(kind: type[msgspec.Struct], *names: str) -> tuple[int, ...]:
    """How many bytes into a struct the references to its fields lie. Their order differs from run
    to run, so they are looked for in one that is made for it."""
    values = {name: object() for name in kind.__struct_fields__}
    made = kind(**values)
    words = list((ctypes.c_ssize_t * (kind.__basicsize__ // 8)).from_address(id(made)))
    return tuple(8 * words.index(id(values[name])) for name in names)


class _Definition(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("call", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_new_function = ctypes.pythonapi.PyCFunction_NewEx
_new_function.restype = ctypes.py_object
_new_function.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
_kept: list[object] = []  # built-in functions refer to their definition and code, but own neither


def native(
    kernel: Callable[[int, int, int], int], compiled: Callable[..., Any] = cached
) -> Callable[[npt.NDArray[np.int64], object], Bound]:
    """From a kernel (what it is bound to, arguments, their count) -> result, all of them addresses,
    what binds it to an array of words and to the owner of what they name, and keeps both alive.
    It is compiled when first bound."""

    @functools.cache
    def defined() -> _Definition:
        _check_layout()
        signature = _ADDRESS(_ADDRESS, _ADDRESS, types.intp)
        code = compiled(kernel, functools.partial(numba.cfunc, signature), error_model="numpy")
        made = _Definition(kernel.__name__.encode(), code.address, _FASTCALL, None)
        _kept.extend((code, made))
        return made

    def bind(words: npt.NDArray[np.int64], owner: object) -> Bound:
        return cast("Bound", _new_function(ctypes.byref(defined()), (words, owner), None))

    return bind


def _check_layout() -> None:
    """An interpreter or a numpy of another layout is told before anything is read."""
    array = np.zeros(3, np.int64)
    fields = (ctypes.c_ssize_t * _FIELDS).from_address(id(array) + _HEAD)
    kind = ctypes.c_ssize_t.from_address(id(array) + _HEAD - 8).value
    found = kind, fields[_DATA], fields[_COUNT] & 0xFFFFFFFF, fields[_DTYPE]
    if found != (id(np.ndarray), array.ctypes.data, 1, id(np.dtype(np.int64))):
        raise RuntimeError("this Python or numpy lays out arrays in an unknown way")
