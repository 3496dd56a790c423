"""Native functions: what they are given is looked at, and what they make is owned once."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest

from liqfield.model.jit import ints_at
from liqfield.model.native import (
    Bound,
    bad_argument,
    make_int,
    make_tuple,
    native,
    plain_array,
    words_of,
)


def sum_of(bound: int, given: int, count: int) -> int:
    """The sum of a plain int64 array; an empty tuple for any other object."""
    if count != 1:
        bad_argument()
        return 0
    words, arguments = ints_at(words_of(bound), 2), ints_at(given, 1)
    place, length = plain_array(arguments[0], words[0], words[1])
    if place == 0:
        return int(make_tuple(0))
    return int(make_int(ints_at(place, length).sum()))


@pytest.fixture(scope="module")
def add() -> Bound:
    words = np.array([id(np.ndarray), id(np.dtype(np.int64))])
    return native(sum_of)(words, "the owner")


def test_a_plain_array_is_read_in_place(add: Bound) -> None:
    assert add(np.array([1, 2, -(1 << 40)])) == 3 - (1 << 40)
    assert add(np.arange(10)[2:5]) == 9
    assert add(np.empty(0, np.int64)) == 0


@pytest.mark.parametrize(
    "other",
    [
        np.arange(10)[::2],
        np.arange(4).reshape(2, 2),
        np.arange(3, dtype=np.int32),
        np.arange(3.0),
        np.array(3),
        np.arange(3).astype(">i8"),
        [1, 2, 3],
        None,
        7,
    ],
)
def test_anything_else_is_told_apart(add: Bound, other: object) -> None:
    assert add(other) == ()


def test_a_wrong_number_of_arguments_is_an_error(add: Bound) -> None:
    for given in ((), (1, 2)):
        with pytest.raises(TypeError):
            add(*given)
    with pytest.raises(TypeError):
        add(array=np.arange(3))


def test_a_bound_function_keeps_its_words_and_their_owner() -> None:
    owner = object()
    before = sys.getrefcount(owner)
    bound = native(sum_of)(np.array([id(np.ndarray), id(np.dtype(np.int64))]), owner)
    gc.collect()
    assert sys.getrefcount(owner) == before + 1
    assert bound(np.array([5, 6])) == 11
    del bound
    assert sys.getrefcount(owner) == before
