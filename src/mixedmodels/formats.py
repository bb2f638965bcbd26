"""How columns of numbers become aligned text: estimates to significant digits, p-values to four decimals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

MISSING = "–"
"""Printed for a value that does not exist: an aliased coefficient, an inestimable mean."""

LEADING_DIGITS, TRAILING_DIGITS, MOST_DECIMALS = 6, 3, 7


def format_column(values: Sequence[Any] | np.ndarray[Any, Any], kind: str | None = None) -> list[str]:
    """Return the printed form of one column.

    Parameters
    ----------
    values
        The column.
    kind
        `"estimate" "statistic" "df" "p" "integer" "text"`, or `"aligned"` for text set to the right; None
        chooses by type.

    Examples
    --------
    >>> format_column([251.4051, 10.46729])
    ['251.405', '10.467']
    >>> format_column([0.03, 1e-9], "p")
    ['0.0300', '<0.0001']
    >>> format_column([17.0, float("inf"), float("nan")], "df")
    ['17', 'Inf', '–']
    """
    array = np.asarray(values)
    chosen = kind if kind is not None else _kind_of(array)
    return FORMATS[chosen](array)


def is_number_column(values: Sequence[Any] | np.ndarray[Any, Any], kind: str | None = None) -> bool:
    """Return whether a column is aligned to the right."""
    return kind == "aligned" or (kind != "text" and np.asarray(values).dtype.kind in "iuf")


def format_number(value: float, digits: int = 6) -> str:
    """Return one number to about `digits` significant digits, never truncating its integer part.

    Examples
    --------
    >>> format_number(1743.62827), format_number(0.00001234)
    ('1743.63', '1.234e-05')
    """
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4 or magnitude > 14:
        return f"{value:.{digits - 1}g}"
    return f"{value:.{max(digits - 1 - magnitude, 0)}f}"


def value_text(value: Any) -> str:
    """Return a level or number as printed: no trailing zeros, seven significant digits.

    Examples
    --------
    >>> value_text(np.float64(4.5)), value_text(2.0), value_text("a")
    ('4.5', '2', 'a')
    """
    if isinstance(value, (float, np.floating)):
        return f"{value:.7g}"
    return str(value)


def _kind_of(array: np.ndarray[Any, Any]) -> str:
    if array.dtype.kind in "iu":
        return "integer"
    return "estimate" if array.dtype.kind == "f" else "text"


def _format_estimates(array: np.ndarray[Any, Any]) -> list[str]:
    """Share one number of decimals, so that points align and the smallest value keeps three digits."""
    values = np.asarray(array, dtype=float)
    finite = np.abs(values[np.isfinite(values) & (values != 0)])
    # Rounding noise (a correlation of 1e-17) must not force the column into exponents.
    finite = finite[finite > 1e-12 * finite.max()] if len(finite) else finite
    if len(finite) == 0:
        return [_special(value) or "0" for value in values]
    leading = math.floor(math.log10(finite.max()))
    trailing = math.floor(math.log10(finite.min()))
    decimals = max(LEADING_DIGITS - 1 - leading, TRAILING_DIGITS - 1 - trailing, 0)
    if decimals > MOST_DECIMALS or leading > 14:
        return [_special(value) or f"{value:.5g}" for value in values]
    return [_special(value) or _without_negative_zero(f"{value:.{decimals}f}") for value in values]


def _format_statistics(array: np.ndarray[Any, Any]) -> list[str]:
    return [
        _special(value) or _without_negative_zero(f"{value:.3f}") for value in np.asarray(array, dtype=float)
    ]


def _format_df(array: np.ndarray[Any, Any]) -> list[str]:
    values = np.asarray(array, dtype=float)
    finite = values[np.isfinite(values)]
    # Degrees of freedom that are whole by theory are computed to six digits or so.
    decimals = 0 if np.allclose(finite, np.round(finite), rtol=0, atol=1e-4) else 2
    return [_special(value) or f"{value:.{decimals}f}" for value in values]


def _format_p(array: np.ndarray[Any, Any]) -> list[str]:
    values = np.asarray(array, dtype=float)
    return [_special(value) or ("<0.0001" if value < 1e-4 else f"{value:.4f}") for value in values]


def _format_integers(array: np.ndarray[Any, Any]) -> list[str]:
    return [str(int(value)) for value in array]


def _format_text(array: np.ndarray[Any, Any]) -> list[str]:
    return ["" if value is None else value_text(value) for value in array.tolist()]


def _special(value: float) -> str:
    """Return the text of a value that is not finite, else an empty string."""
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return ""


def _without_negative_zero(text: str) -> str:
    return text[1:] if text.startswith("-") and float(text) == 0 else text


FORMATS: Mapping[str, Callable[[np.ndarray[Any, Any]], list[str]]] = {
    "estimate": _format_estimates,
    "statistic": _format_statistics,
    "df": _format_df,
    "p": _format_p,
    "integer": _format_integers,
    "text": _format_text,
    "aligned": _format_text,
}
