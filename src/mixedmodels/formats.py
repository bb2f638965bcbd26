"""How columns of numbers become aligned text: estimates to significant digits, p-values to four decimals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

MISSING = "–"
"""Printed for a value that does not exist: an aliased coefficient, an inestimable mean."""

LEADING_DIGITS, TRAILING_DIGITS, MOST_DECIMALS = 6, 3, 7
"""Digits of the largest value of a column, and of every value; decimals beyond which a value has an exponent."""
HUGE = 1e9
"""Statistic from which on it is written with an exponent."""
ROUNDING = 1e-12
"""Entry of a matrix, relative to the largest, below which it is rounding error."""


def format_column(values: Sequence[Any] | np.ndarray[Any, Any], kind: str | None = None) -> list[str]:
    """Return the printed form of one column.

    Parameters
    ----------
    values
        The column.
    kind
        `"estimate" "entry" "statistic" "df" "p" "integer" "text"`, or `"aligned"` for text set to the right; None
        chooses by type.

    Examples
    --------
    >>> format_column([251.4051, 10.46729])
    ['251.405', '10.467']
    >>> format_column([251.4051, -1.2e-9]), format_column([6.7715, 0.01234], "statistic")
    (['251.405', '-1.20e-09'], ['6.771', '0.0123'])
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
    """Share one number of decimals, so that points align; a value too small for them stands by itself."""
    values = np.asarray(array, dtype=float)
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if len(sizes) == 0:
        return [_special(value) or "0" for value in values]
    leading = LEADING_DIGITS - 1 - _magnitude(sizes.max(), LEADING_DIGITS)
    if leading > MOST_DECIMALS or leading < LEADING_DIGITS - 15:
        return [_special(value) or f"{value:.5g}" for value in values]
    needed = [_decimals_for(size) for size in sizes]
    decimals = max(leading, 0, *(each for each in needed if each <= MOST_DECIMALS))
    return [_fixed(value, decimals, MOST_DECIMALS) for value in values]


def _format_entries(array: np.ndarray[Any, Any]) -> list[str]:
    """Format entries of a matrix, of one kind: what is lost beside the largest is rounding, and shown as zero."""
    values = np.asarray(array, dtype=float)
    largest = np.max(np.abs(values[np.isfinite(values)]), initial=0.0)
    return _format_estimates(np.where(np.abs(values) <= ROUNDING * largest, 0.0, values))


def _format_statistics(array: np.ndarray[Any, Any]) -> list[str]:
    values = np.asarray(array, dtype=float)
    return [f"{v:.5g}" if HUGE <= abs(v) < math.inf else _fixed(v, 3, MOST_DECIMALS) for v in values]


def _format_df(array: np.ndarray[Any, Any]) -> list[str]:
    values = np.asarray(array, dtype=float)
    finite = values[np.isfinite(values)]
    # Degrees of freedom that are whole by theory are computed to six digits or so.
    whole = np.round(finite)
    if np.allclose(finite, whole, rtol=0, atol=1e-4) and ((finite == whole) | (whole >= 1)).all():
        return [_special(value) or f"{value:.0f}" for value in values]
    return [_fixed(value, 2, MOST_DECIMALS) for value in values]


def _magnitude(size: float, digits: int) -> int:
    """Return the exponent of a positive number rounded to so many significant digits: 0 for 0.99999999."""
    return int(f"{size:.{digits - 1}e}".partition("e")[2])


def _decimals_for(size: float) -> int:
    """Return the decimals that show three significant digits of a positive number."""
    return max(TRAILING_DIGITS - 1 - _magnitude(size, TRAILING_DIGITS), 0)


def _fixed(value: float, decimals: int, most: int) -> str:
    """Return a number with so many decimals, with more where three significant digits need them, up to `most`."""
    if value == 0 or not math.isfinite(value):
        return _special(value) or f"{0:.{decimals}f}"
    needed = _decimals_for(abs(value))
    return f"{value:.{TRAILING_DIGITS - 1}e}" if needed > most else f"{value:.{max(decimals, needed)}f}"


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


FORMATS: Mapping[str, Callable[[np.ndarray[Any, Any]], list[str]]] = {
    "estimate": _format_estimates,
    "entry": _format_entries,
    "statistic": _format_statistics,
    "df": _format_df,
    "p": _format_p,
    "integer": _format_integers,
    "text": _format_text,
    "aligned": _format_text,
}


def size_text(size: float) -> str:
    """Return bytes as text.

    Examples
    --------
    >>> size_text(3.2e9), size_text(48_000)
    ('3.2 GB', '48.0 kB')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size:.0f} bytes"
