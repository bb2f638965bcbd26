"""What native code may be handed: arrays aligned and in the machine's byte order; others are copied, or refused where
they are written to."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
PLAIN = frozenset({int, float, bool, type(None)})
"""Kinds of arguments that hold no array."""


def is_sound(array: np.ndarray[Any, Any]) -> bool:
    """Return whether every number of an array lies where the processor expects one, bytes in its own order.

    Examples
    --------
    >>> is_sound(np.zeros(3)), is_sound(np.zeros(3, ">f8")), is_sound(np.zeros(25, "u1")[1:].view(float))
    (True, False, False)
    """
    return bool(array.flags.aligned and array.dtype.isnative)


def sound(value: Any) -> Any:
    """Return a value with all arrays in it, in lists and tuples too, sound: themselves or copies."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, np.ndarray):
        flags = value.flags
        # rows of matrices are read through their strides, vectors are not
        if flags.aligned and (flags.c_contiguous or value.ndim > 1) and value.dtype.isnative:
            return value
        return np.array(value, dtype=value.dtype.newbyteorder("="), order="C")
    if isinstance(value, (list, tuple)):
        return type(value)(map(sound, value))
    return value


def checked(native: Callable[..., T]) -> Callable[..., T]:
    """Return a native function or class that is handed sound arrays only."""

    @wraps(native, updated=())
    def call(*arguments: Any, **options: Any) -> T:
        if not options:
            return native(*map(sound, arguments))
        return native(*map(sound, arguments), **{name: sound(value) for name, value in options.items()})

    return call


def by_rows(native: Callable[..., T]) -> Callable[..., T]:
    """Return a native function of arrays that it reads flat: handed sound ones in C order."""

    @wraps(native, updated=())
    def call(*arguments: Any) -> T:
        flat = (np.ascontiguousarray(one) if isinstance(one, np.ndarray) else one for one in arguments)
        return native(*map(sound, flat))

    return call


def check_written(name: str, array: np.ndarray[Any, Any]) -> None:
    """Raise `ValueError` unless an array can be overwritten in place by native code."""
    if not (is_sound(array) and array.flags.c_contiguous and array.flags.writeable):
        raise ValueError(f"{name} must be an aligned, contiguous and writable array: it is overwritten.")
