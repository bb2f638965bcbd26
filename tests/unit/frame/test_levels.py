"""Codes and levels: exact against NumPy, whatever the type and spread of the values."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixedmodels.frame.levels import cross, drop_unused, factorise, match_levels, object_array, sort_levels

RNG = np.random.default_rng(7)


@pytest.mark.parametrize(
    "values",
    [
        np.array([3, 1, 3, 2]),
        np.array([-5, 100, -5], np.int8),
        np.array([10**12, 1, 10**12]),
        np.array([2**62, -(2**62), 0]),
        np.array([7, 7, 7], np.uint16),
        np.array([0.5, -1.5, 0.5]),
        np.array([True, False, True]),
        np.array(["b", "a", "b"]),
        np.array(["2020-02-01", "2020-01-01"], "datetime64[D]"),
        RNG.integers(0, 1000, 5000),
        RNG.integers(0, 10**9, 5000),
        RNG.integers(5, 12, 5000) * 10_000,
    ],
)
def test_codes_and_levels_are_numpys(values: NDArray[np.generic]) -> None:
    codes, levels = factorise(values)
    expected_levels, expected_codes = np.unique(values, return_inverse=True)
    assert codes.dtype == np.int32
    np.testing.assert_array_equal(levels, expected_levels)
    np.testing.assert_array_equal(codes, expected_codes)
    assert levels.dtype == values.dtype


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_integers(values: list[int]) -> None:
    array = np.array(values, np.int64)
    codes, levels = factorise(array)
    np.testing.assert_array_equal(levels[codes], array)
    assert (np.diff(levels.astype(object)) > 0).all()


def test_whole_numbers_in_floating_point_become_integers() -> None:
    _, levels = factorise(np.array([2.0, 1.0]))
    assert levels.dtype == np.int64
    _, levels = factorise(np.array([2.0, 1.5]))
    assert levels.dtype == np.float64


def test_objects_of_several_types_are_sorted_by_type() -> None:
    codes, levels = factorise(object_array(["b", 1, None, "a", 2, float("nan")]))
    assert levels.tolist() == [1, 2, "a", "b"]
    assert codes.tolist() == [3, 0, -1, 2, 1, -1]
    _, days = factorise(object_array([date(2020, 2, 1), date(2020, 1, 1)]))
    assert days.tolist() == [date(2020, 1, 1), date(2020, 2, 1)]


def test_sorting_levels_keeps_missing_codes() -> None:
    codes, levels = sort_levels(np.array([0, 1, -1], np.int32), object_array(["b", "a"]))
    assert (codes.tolist(), levels.tolist()) == ([1, 0, -1], ["a", "b"])


def test_unused_levels_are_dropped() -> None:
    codes, levels, unused = drop_unused(np.array([2, 0, 2], np.int32), object_array(["a", "b", "c"]))
    assert (codes.tolist(), levels.tolist(), unused.tolist()) == ([1, 0, 1], ["a", "c"], ["b"])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=40))
@settings(max_examples=300, deadline=None)
def test_crossing_is_the_sorted_list_of_pairs(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(side, np.int32) for side in zip(*pairs, strict=True))
    codes, left, right = cross(first, 5, second, 6)
    levels = list(zip(left.tolist(), right.tolist(), strict=True))
    assert levels == sorted(set(pairs))
    assert [levels[code] for code in codes] == pairs


def test_nested_factors_cross_without_new_levels() -> None:
    school = np.array([1, 0, 1, 0], np.int32)
    pupil = np.array([0, 1, 2, 1], np.int32)  # pupil 1 is in school 0, pupils 0 and 2 in school 1
    codes, schools, pupils = cross(school, 2, pupil, 3)
    assert (schools.tolist(), pupils.tolist()) == ([0, 1, 1], [1, 0, 2])
    assert codes.tolist() == [1, 0, 2, 0]


@pytest.mark.parametrize(
    ("values", "known", "codes"),
    [
        (["a", "c"], ["a", "b"], [0, -1]),
        (np.array([308, 309]), ["308", "309"], [0, 1]),
        (["308", "x"], np.array([307, 308]), [1, -1]),
        (np.array([1.0, 2.0]), np.array([1, 2]), [0, 1]),
    ],
)
def test_matching_by_value_or_by_text(values: object, known: object, codes: list[int]) -> None:
    arrays = [v if isinstance(v, np.ndarray) else object_array(list(v)) for v in (values, known)]  # type: ignore[call-overload]
    assert match_levels(*arrays).tolist() == codes
