"""Bases of several columns: polynomials and splines, by formulaic's functions of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError, SpecError
from ..typing import Array, Labels

LARGEST_VALUES = 4e9
"""Bytes of a basis above which it is refused."""


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """The columns of a basis (n, k), and the names of its columns.

    `spans_constant` says that they sum to one, so that beside an intercept the first is left out.
    """

    values: Array
    fields: Labels
    spans_constant: bool = False

    def reduced(self) -> Basis:
        """Return the basis beside an intercept."""
        return Basis(self.values[:, 1:], self.fields[1:]) if self.spans_constant else self


def compute_basis(
    function: str, label: str, x: Array, options: Mapping[str, Any], state: dict[str, Any]
) -> Basis:
    """Return a basis at x (n,); `state` is filled by the first call and decides all that follow.

    Raises
    ------
    DataError
        Where x lies outside the range of a basis that may not be continued, or cannot carry one.
    """
    width = max(
        int(v) for v in (options.get("df"), options.get("degree"), len(options.get("knots") or ()), 1) if v
    )
    if 8.0 * len(x) * width > LARGEST_VALUES:
        raise DataError(f"{label}: {width} columns of {len(x)} rows are too many; ask for fewer.")
    if function == "poly":
        degrees = len(np.unique(x)) - 1
        if "origin" not in state and options["degree"] > degrees and not options["raw"]:
            raise DataError(
                f"{label}: {degrees + 1} distinct values carry a polynomial of degree {degrees} at most."
            )
    try:
        with np.errstate(all="ignore"):
            return BASES[function](x, options, state)
    except DataError:
        raise
    except ValueError as error:
        raise _explained(label, x, options, state, str(error)) from error


def _explained(
    label: str, x: Array, options: Mapping[str, Any], state: Mapping[str, Any], message: str
) -> Exception:
    low, high = (state.get(f"{side}_bound") for side in ("lower", "upper"))
    if low is not None and high is not None and ((x < low).any() or (x > high).any()) and "knots" in state:
        return DataError(
            f"{label} is not defined outside {low:.6g} to {high:.6g}, the data of the fit; write "
            "extrapolation='extend' or 'clip' into the formula to continue it."
        )
    return SpecError(f"{label}: {message.replace('`', '')}")


def _poly(x: Array, options: Mapping[str, Any], state: dict[str, Any]) -> Basis:
    from formulaic.transforms.poly import poly

    degree = int(options["degree"])
    fields = tuple(str(k) for k in range(1, degree + 1))
    if options["raw"]:
        return Basis(np.stack([x**k for k in range(1, degree + 1)], axis=1), fields)
    # polynomials of x and of x - c are the same; near zero no digits are lost
    origin = state.setdefault("origin", float(np.mean(x)) if len(x) else 0.0)
    return Basis(np.asarray(poly(x - origin, degree, _state=state), dtype=np.float64), fields)


def _b_spline(x: Array, options: Mapping[str, Any], state: dict[str, Any]) -> Basis:
    from formulaic.transforms.basis_spline import basis_spline

    given = {name: value for name, value in options.items() if value is not None}
    if "df" in given:
        given["df"] = int(given["df"])
    found = dict(basis_spline(x, _state=state, **{**given, "degree": int(given["degree"])}))
    values = np.column_stack([np.asarray(column, dtype=np.float64) for column in found.values()])
    return Basis(values, tuple(map(str, found)), bool(options["include_intercept"]))


def _cubic(cyclic: bool) -> Callable[[Array, Mapping[str, Any], dict[str, Any]], Basis]:
    def compute(x: Array, options: Mapping[str, Any], state: dict[str, Any]) -> Basis:
        from formulaic.transforms.cubic_spline import cubic_spline

        given = {name: value for name, value in options.items() if value is not None}
        if "df" in given:
            given["df"] = int(given["df"])
        found = dict(cubic_spline(x, cyclic=cyclic, _state=state, **given))
        return Basis(np.column_stack(list(found.values())), tuple(map(str, found)))

    return compute


BASES: Mapping[str, Callable[[Array, Mapping[str, Any], dict[str, Any]], Basis]] = {
    "poly": _poly,
    "bs": _b_spline,
    "cr": _cubic(cyclic=False),
    "cc": _cubic(cyclic=True),
}
"""Bases by the name of their function."""
