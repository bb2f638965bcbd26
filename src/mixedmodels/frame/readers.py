"""Columns read from whatever library holds them: pandas, polars, pyarrow, NumPy, or lists in a dict.

Each reader keeps the library's own category codes and avoids copies; anything else goes through narwhals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..table import Backend
from .align import aligned, common_index
from .column import Column
from .levels import factorise_objects, object_array, sort_levels

EXACT = 2**53
"""Whole numbers above this are told apart as integers, and not as floating-point numbers."""
HASHED_ABOVE = 5000
"""Text columns longer than this are worth importing pandas for, which hashes them at C speed."""


@dataclass(frozen=True, slots=True)
class Source:
    """A frame to read from: its column names, length, library, a reader of one column, and pandas' row labels."""

    names: tuple[str, ...]
    n: int
    backend: Backend
    read: Callable[[str], Column]
    index: Any = None


def open_source(data: Any) -> Source:
    """Return a `Source` over any frame pandas, polars, pyarrow or narwhals knows, or a mapping of arrays."""
    if hasattr(type(data), "as_source"):
        own: Source = data.as_source()
        return own
    library = type(data).__module__.partition(".")[0]
    if library == "pandas" and hasattr(data, "columns"):
        return _pandas_source(data)
    if library == "polars" and type(data).__name__ == "DataFrame":
        return Source(tuple(data.columns), data.height, "polars", lambda name: _read_polars(name, data[name]))
    if library == "pyarrow" and hasattr(data, "column_names"):
        return Source(
            tuple(data.column_names),
            data.num_rows,
            "pyarrow",
            lambda name: _read_arrow(name, data.column(name)),
        )
    if isinstance(data, Mapping):
        return _mapping_source(data)
    if isinstance(data, np.ndarray) and data.dtype.names:
        return _mapping_source({name: data[name] for name in data.dtype.names})
    return _narwhals_source(data)


def spread_scalars(data: Any) -> Any:
    """Return a mapping with single values repeated for every row, one row where all are; other data as they are."""
    if not isinstance(data, Mapping):
        return data
    single = {
        name for name, values in data.items() if isinstance(values, (str, bytes)) or np.ndim(values) == 0
    }
    n = next((len(values) for name, values in data.items() if name not in single), 1)
    return {name: [values] * n if name in single else values for name, values in data.items()}


def _narwhals_source(data: Any) -> Source:
    import narwhals as nw

    if type(data).__name__ == "LazyFrame":
        raise DataError("data is a lazy frame; call .collect() on it first.")
    try:
        frame = nw.from_native(data, eager_only=True)
    except TypeError:
        raise DataError(
            f"data is a {type(data).__name__}; give a pandas, polars or pyarrow frame or a dict of arrays."
        ) from None
    native = nw.to_native(frame)
    if native is not data:
        return open_source(native)
    return open_source(frame.to_pandas())


def _mapping_source(data: Mapping[str, Any]) -> Source:
    lengths = {name: len(values) for name, values in data.items() if hasattr(values, "__len__")}
    scalars = [name for name in data if name not in lengths or isinstance(data[name], str)]
    if scalars:
        raise DataError(f"column {scalars[0]!r} of the data is a single value; give one value for every row.")
    if len(set(lengths.values())) > 1:
        raise DataError(f"columns of the data differ in length: {lengths}.")
    n = next(iter(lengths.values()), 0)
    named = {str(name): values for name, values in data.items()}
    index = common_index(named)
    if index is not None:
        named = {name: aligned(values, index, f"column {name!r}") for name, values in named.items()}
    return Source(tuple(named), n, "dict", lambda name: read_values(name, named[name]), index)


def read_values(name: str, values: Any) -> Column:
    """Return one column from an array, a list, or a series of any library."""
    library = type(values).__module__.partition(".")[0]
    if library == "pandas":
        import pandas as pd

        return _read_pandas(name, pd.Series(values, copy=False))
    if library == "polars":
        return _read_polars(name, values)
    if library == "pyarrow":
        return _read_arrow(name, values)
    array = np.asarray(values) if not isinstance(values, list) else _array_of(values)
    if array.ndim != 1:
        raise DataError(f"column {name!r} has {array.ndim} dimensions; give one value for every row.")
    return _read_array(name, array)


def _array_of(values: list[Any]) -> NDArray[Any]:
    # NumPy would turn [1, "a"] and ["a", None] into text without a word
    plain = all(isinstance(value, (int, float, np.number, np.bool_)) for value in values)
    return np.asarray(values) if plain else object_array(values)


def _read_array(name: str, array: NDArray[Any]) -> Column:
    kind = array.dtype.kind
    if kind in "biu":
        return Column(name, array)
    if kind == "f":
        return Column(name, array, missing=missing_numbers(array))
    if kind in "mM":
        missing = np.isnat(array)
        array = _whole_days(array) if kind == "M" else array
        return Column(name, array, missing=missing if missing.any() else None)
    if kind in "UST":
        array = array.astype(object)
    elif kind != "O":
        raise DataError(f"column {name!r} has type {array.dtype}, which a model cannot use.")
    if len(array) > HASHED_ABOVE:
        try:
            import pandas as pd
        except ImportError:
            return _read_objects(name, array)
        return _read_pandas(name, pd.Series(array, dtype=object, copy=False))
    return _read_objects(name, array)


def _whole_days(times: NDArray[Any]) -> NDArray[Any]:
    """Return times in days where all are midnights, else in microseconds: one unit whatever they came in."""
    exact = times.astype("datetime64[us]")
    days = exact.astype("datetime64[D]")
    return days if np.array_equal(days.astype("datetime64[us]"), exact, equal_nan=True) else exact


def _read_objects(name: str, array: NDArray[Any]) -> Column:
    if (numbers := _numbers_in(array)) is not None:
        return Column(name, numbers, missing=missing_numbers(numbers))
    cleaned = object_array([None if _is_missing(value) else value for value in array])
    try:
        codes, levels = factorise_objects(cleaned)
    except TypeError:
        raise _not_levels(name, array) from None
    return _coded(name, codes, levels, text=True)


def _not_levels(name: str, array: NDArray[Any]) -> DataError:
    kind = type(next(value for value in array if not _is_missing(value))).__name__
    return DataError(f"column {name!r} holds values of type {kind}, which a model cannot use.")


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value != value, (bool, np.bool_)) and bool(value != value)


def _numbers_in(array: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return an object array of numbers as float64, NaN where missing; None when it holds anything else."""
    missing = np.array([_is_missing(value) for value in array], bool)
    present = array[~missing]
    if any(isinstance(value, int) and abs(value) > EXACT for value in present):
        return None
    if not len(present) or any(isinstance(value, (str, bytes)) for value in present):
        return np.full(len(array), np.nan) if len(array) and not len(present) else None
    numbers = np.full(len(array), np.nan)
    try:
        numbers[~missing] = present.astype(np.float64)
    except (TypeError, ValueError):
        return None
    return numbers


def _inexact(kind: str, low: Any, high: Any) -> bool:
    """Return whether whole numbers from low to high, beside missing ones, would be mixed up as float64."""
    return kind in "iu" and low is not None and low == low and max(-int(low), int(high)) > EXACT


def _coded(
    name: str, codes: NDArray[Any], levels: NDArray[Any], ordered: bool = False, *, text: bool = False
) -> Column:
    codes = codes.astype(np.int32, copy=False)
    missing = codes < 0
    return Column(name, codes, levels, missing if missing.any() else None, ordered, text)


def missing_numbers(values: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return which floating-point values are NaN, or None; a finite sum proves that none is."""
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(values.sum()):
            return None
    missing = np.isnan(values)
    return missing if missing.any() else None


def _pandas_source(data: Any) -> Source:
    places: dict[str, list[int]] = {}
    labels = data.columns.tolist()
    for place, name in enumerate(labels):
        places.setdefault(str(name), []).append(place)

    def read(name: str) -> Column:
        if len(places[name]) > 1:
            raise DataError(
                f"column {name!r} occurs {len(places[name])} times in the data; rename one of them."
            )
        place = places[name][0]
        # by its label where that is the name, which takes pandas half the time
        return _read_pandas(name, data[name] if isinstance(labels[place], str) else data.iloc[:, place])

    return Source(tuple(places), len(data), "pandas", read, data.index)


def _read_pandas(name: str, series: Any) -> Column:
    dtype = series.dtype
    if isinstance(dtype, np.dtype) and dtype.kind != "O":
        return _read_array(name, series.to_numpy())
    array = series.array
    if hasattr(array, "categories"):
        return _coded(name, array.codes, _level_array(array.categories), bool(array.ordered))
    if type(dtype).__name__ == "SparseDtype":
        return _read_array(name, np.asarray(series.array))
    if getattr(dtype, "kind", "") in "biuf":
        if (
            len(array)
            and array.isna().any()
            and not array.isna().all()
            and _inexact(dtype.kind, array.min(), array.max())
        ):
            return _hash_pandas(name, series)
        kind = None if array.isna().any() else getattr(dtype, "numpy_dtype", np.float64)
        numbers = (
            series.to_numpy(dtype=kind) if kind is not None else series.to_numpy(np.float64, na_value=np.nan)
        )
        return Column(name, numbers, missing=missing_numbers(numbers) if numbers.dtype.kind == "f" else None)
    if isinstance(dtype, np.dtype) and (numbers_in := _numbers_if_any(series)) is not None:
        return Column(name, numbers_in, missing=missing_numbers(numbers_in))
    if type(dtype).__name__ == "PeriodDtype":
        return _read_array(name, series.dt.to_timestamp().to_numpy())
    if getattr(dtype, "kind", "") == "M":
        return _read_array(name, series.dt.tz_localize(None).to_numpy())
    return _hash_pandas(name, series)


def _numbers_if_any(series: Any) -> NDArray[np.float64] | None:
    present = series[series.notna().to_numpy()]
    first = present.iloc[0] if len(present) else None
    return None if isinstance(first, (str, bytes)) else _numbers_in(series.to_numpy())


def _hash_pandas(name: str, series: Any) -> Column:
    import pandas as pd

    try:
        codes, uniques = pd.factorize(
            series.to_numpy(dtype=object) if series.dtype == object else series.array
        )
    except TypeError:
        raise _not_levels(name, series.to_numpy(dtype=object)) from None
    levels = _level_array(uniques)
    try:
        return _coded(name, *sort_levels(codes.astype(np.int32), levels), text=True)
    except TypeError:
        return _coded(name, *factorise_objects(series.to_numpy(dtype=object, na_value=None)), text=True)


def _level_array(levels: Any) -> NDArray[Any]:
    array = np.asarray(levels)
    return array if array.dtype.kind in "biufmM" else object_array(list(array))


def _read_polars(name: str, series: Any) -> Column:
    import polars as pl

    dtype = series.dtype
    if isinstance(dtype, pl.Enum):
        return _polars_codes(name, series, object_array(dtype.categories.to_list()), ordered=True)
    if dtype in (pl.String, pl.Categorical):
        text = series.cast(pl.String)
        levels = text.drop_nulls().unique().sort()
        found = _polars_codes(name, text.cast(pl.Enum(levels)), object_array(levels.to_list()))
        return replace(found, text=dtype == pl.String)
    if dtype == pl.Boolean or dtype.is_numeric():
        if series.null_count() and dtype.is_integer() and _inexact("i", series.min(), series.max()):
            return _read_objects(name, object_array(series.to_list()))
        if series.null_count() or isinstance(dtype, pl.Decimal):
            series = series.cast(pl.Float64)
        return _read_array(name, series.to_numpy())
    if dtype == pl.Null:
        return _read_array(name, np.full(len(series), np.nan))
    return _read_array(name, series.to_numpy())


def _polars_codes(name: str, series: Any, levels: NDArray[Any], ordered: bool = False) -> Column:
    import polars as pl

    physical = series.to_physical().cast(pl.Int32)
    return _coded(name, physical.fill_null(-1).to_numpy(), levels, ordered)


def _read_arrow(name: str, values: Any) -> Column:
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        values = (
            values.unify_dictionaries() if pa.types.is_dictionary(values.type) else values
        ).combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _arrow_codes(name, values, sort=False)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _arrow_codes(name, values.cast(pa.large_string()).dictionary_encode(), sort=True)
    if pa.types.is_null(kind):
        return _read_array(name, np.full(len(values), np.nan))
    numeric = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)
    if pa.types.is_integer(kind) and values.null_count and values.null_count < len(values):
        present = values.drop_null().to_numpy(zero_copy_only=False)
        if _inexact("i", present.min(), present.max()):
            return _read_objects(name, object_array(values.to_pylist()))
    if (numeric and values.null_count) or pa.types.is_decimal(kind):
        values = values.cast(pa.int8()) if pa.types.is_boolean(kind) else values
        values = values.cast(pa.float64(), safe=False)
    return _read_array(name, values.to_numpy(zero_copy_only=False))


def _arrow_codes(name: str, values: Any, *, sort: bool) -> Column:
    import pyarrow as pa

    codes = values.indices.cast(pa.int32()).fill_null(-1).to_numpy(zero_copy_only=False)
    levels = _level_array(values.dictionary.to_pylist())
    if sort:
        return _coded(name, *sort_levels(codes, levels), text=True)
    return _coded(name, codes, levels, bool(values.type.ordered))
