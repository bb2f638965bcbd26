"""The caller's own functions, `context={"f": f}`: called with arrays of the rows, kept with the fit."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import DataError, SpecError
from ..typing import Array


class OwnFunctions:
    """Functions of arrays by name; those that do not pickle are left behind, and named when they are asked for."""

    __slots__ = ("_functions", "_lost")

    def __init__(
        self, functions: Mapping[str, Callable[..., Any]], lost: frozenset[str] = frozenset()
    ) -> None:
        self._functions = dict(functions)
        self._lost = lost

    def __reduce__(self) -> tuple[Any, ...]:
        kept = {name: function for name, function in self._functions.items() if _pickles(function)}
        return OwnFunctions, (kept, self._lost | (self._functions.keys() - kept.keys()))

    def given(self) -> dict[str, Callable[..., Any]]:
        """Return the functions by name."""
        return dict(self._functions)

    def call(self, name: str, arguments: list[Any], options: Mapping[str, Any], n: int) -> Array:
        """Return the values (n,) of a function; `SpecError` where it is not there, `DataError` where they are none."""
        if name in self._lost:
            raise SpecError(
                f"{name!r}, a function of your own in the formula, does not pickle (a lambda, or defined inside "
                "another function), so that the unpickled fit has lost it; define it in a module, or use the fit that "
                "was not pickled."
            )
        if name not in self._functions:
            raise SpecError(
                f"{name!r} is no function of the language and was not given as context={{{name!r}: …}}."
            )
        try:
            with np.errstate(all="ignore"):
                values = self._functions[name](*arguments, **options)
            found = np.asarray(values, dtype=np.float64)
        except Exception as error:
            # whatever the caller's own code raises is told with its name
            raise DataError(f"context: {name}(…) failed: {type(error).__name__}: {error}") from error
        if found.shape != (n,):
            what = f"an array of shape {found.shape}" if found.ndim else "one number"
            raise DataError(
                f"context: {name}(…) gave {what} for {n} rows; it must give one number for every row."
            )
        return found


def _pickles(function: Any) -> bool:
    try:
        pickle.loads(pickle.dumps(function))
    except Exception:
        # pickle raises whatever the object raises
        return False
    return True


NO_FUNCTIONS = OwnFunctions({})
