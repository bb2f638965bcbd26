"""New data are encoded as the data of the fit: the same rows give the same numbers, also after pickling."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mixedmodels.errors import DataError
from mixedmodels.frame.ingest import build_frame
from mixedmodels.frame.schema import FrameSchema
from mixedmodels.spec import ModelSpec
from mixedmodels.syntax.formula import read_formula
from mixedmodels.terms.build import build_design
from mixedmodels.terms.design import Design
from mixedmodels.terms.new_rows import encode_new
from mixedmodels.terms.rows import Rows

RNG = np.random.default_rng(8)
N = 60
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "n": RNG.uniform(1, 5, N),
        "k": RNG.integers(1, 4, N),
        "a": pd.Categorical(RNG.choice(["p", "q", "r"], N), categories=["r", "q", "p"]),
        "b": RNG.choice(["u", "v"], N),
        "g": np.repeat([f"g{i}" for i in range(12)], 5),
        "h": np.tile(np.arange(5), 12),
        "w": RNG.uniform(1, 2, N),
    }
)

FORMULAS = [
    "y ~ x",
    "y ~ a * x + C(k)",
    "y ~ a:b + log(n) + I(x^2)",
    "y ~ poly(x, 2) * a",
    "y ~ scale(x) + bs(n, df=5) + C(k, contr.sum)",
    "y ~ C(k, contr.sum) + k",
    "y ~ cr(x, df=4) + b",
    "y ~ x + offset(log(n)) + offset(scale(x))",
    "y ~ spline(x, knots=6) + a",
    "y ~ x + (1 | g)",
    "y ~ x + (x | g) + (1 | h)",
    "y ~ x + (1 | b/h)",
    "y ~ x + (1 | g:a)",
    "y ~ x + (poly(x, 2) | b:h)",
    "y ~ x + (1 + a || h)",
    "y ~ x + (1 | h, by=b)",
    "y ~ x + cs(0 + a | h)",
    "y ~ x + ar1(0 + k | g)",
    "y ~ x + car1(k | g)",
    "y ~ x + (1 | g, cov=A)",
    "y ~ 0 + (1 | g)",
    "y ~ a + b + a:b:x",
]


def build(formula: str, data: Any = DATA, **arguments: Any) -> tuple[ModelSpec, FrameSchema, Design, Rows]:
    spec = read_formula(formula, **arguments)
    known = {"A": pd.DataFrame(np.eye(13) + 0.3, index=["extra", *[f"g{i}" for i in range(12)]])}
    frame = build_frame(spec, data, known=known)
    return spec, frame.schema, *build_design(spec, frame)


def fit(formula: str, data: Any = DATA, **arguments: Any) -> tuple[ModelSpec, FrameSchema, Design]:
    return build(formula, data, **arguments)[:3]


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_same_rows_give_the_same_numbers(formula: str) -> None:
    spec, schema, design, given = build(formula)
    spec, schema, copied = pickle.loads(pickle.dumps((spec, schema, design)))
    some = RNG.permutation(N)[:17]
    for rows in (np.arange(N), some, some[:1]):
        new = encode_new(spec, schema, copied, DATA.drop(columns="y").iloc[rows])
        np.testing.assert_allclose(new.matrix, given.fixed.matrix[rows], rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(new.x, given.x[rows], rtol=1e-13, atol=1e-14)
        for term, codes, values in zip(given.random, new.codes, new.values, strict=True):
            np.testing.assert_array_equal(codes, term.codes[rows])
            assert (values is None) == (term.values is None)
            if values is not None:
                np.testing.assert_allclose(values, term.dense_values()[rows], rtol=1e-13, atol=1e-14)
        assert (new.offset is None) == (given.offset is None)
        if new.offset is not None:
            np.testing.assert_allclose(new.offset, given.offset[rows], rtol=1e-13)
        assert new.complete.all()
        assert len(new) == len(rows)


@pytest.mark.parametrize("library", [pl.DataFrame, pa.table, dict, pd.DataFrame])
def test_another_library_at_prediction(library: Any) -> None:
    spec, schema, design = fit("y ~ a * x + (x | g)")
    columns = {"x": [0.5, 1.5], "a": ["q", "p"], "g": ["g3", "new"]}
    new = encode_new(spec, schema, design, library(columns))
    np.testing.assert_array_equal(new.matrix, [[1, 1, 0, 0.5, 0.5, 0], [1, 0, 1, 1.5, 0, 1.5]])
    assert new.codes[0][1] == -1
    assert design.random[0].levels[new.codes[0][0]] == "g3"


def test_unseen_levels_of_groups_have_code_minus_one() -> None:
    spec, schema, design = fit("y ~ x + (1 | g) + (1 | b:h) + (1 | h)")
    data = {"x": [0.0] * 4, "g": ["g0", "zz", None, "g11"], "b": ["u", "u", "v", "w"], "h": [0, 9, 1, 2]}
    new = encode_new(spec, schema, design, data)
    assert new.codes[0].tolist()[1:3] == [-1, -1]
    assert [design.random[0].levels[c] for c in new.codes[0][[0, 3]]] == ["g0", "g11"]
    assert [design.random[1].levels[c] if c >= 0 else None for c in new.codes[1]] == [
        "u:0",
        None,
        "v:1",
        None,
    ]
    assert new.codes[2].tolist() == [0, -1, 1, 2]
    assert new.complete.all()


def test_levels_match_by_text() -> None:
    spec, schema, design = fit("y ~ x + (1 | h)")
    new = encode_new(spec, schema, design, {"x": [1.0, 2.0], "h": ["3", "x"]})
    assert new.codes[0].tolist() == [3, -1]


def test_levels_of_a_known_covariance_without_data() -> None:
    spec, schema, design = fit("y ~ x + (1 | g, cov=A)")
    new = encode_new(spec, schema, design, {"x": [1.0, 2.0], "g": ["extra", "g0"]})
    assert [design.random[0].levels[c] for c in new.codes[0]] == ["extra", "g0"]


@pytest.mark.parametrize(
    ("formula", "column"),
    [
        ("y ~ a", "a"),
        ("y ~ a * x", "a"),
        ("y ~ C(k)", "k"),
        ("y ~ a + poly(x, 2)", "a"),
        ("y ~ C(k, contr.sum)", "k"),
        ("y ~ x + (1 + a | h)", "a"),
    ],
)
def test_a_new_level_of_a_fixed_factor_is_named(formula: str, column: str) -> None:
    spec, schema, design = fit(formula)
    data = (
        DATA.head(3)
        .drop(columns=column)
        .assign(**{column: [DATA[column][0], "zzz" if column == "a" else 77, DATA[column][1]]})
    )
    with pytest.raises(
        DataError, match=f"column '{column}' has levels that were not in the data of the fit: '(zzz|77)'"
    ):
        encode_new(spec, schema, design, data)


def test_a_new_level_beside_the_numbers() -> None:
    spec, schema, design = fit("y ~ C(k, contr.sum) + k")
    with pytest.raises(DataError, match=r"levels that were not in the data of the fit: .*77"):
        encode_new(spec, schema, design, {"k": [1, 77]})


def test_new_coordinates_have_no_column_and_are_kept() -> None:
    spec, schema, design = fit("y ~ x + car1(n | g)", DATA.assign(n=DATA["h"]))
    rows = encode_new(spec, schema, design, {"x": [1.0, 1.0], "n": [77.0, DATA["h"][0]], "g": ["g0", "g0"]})
    np.testing.assert_array_equal(rows.values[0].sum(axis=1), [0.0, 1.0])
    np.testing.assert_array_equal(rows.points[0][:, 0], [77.0, DATA["h"][0]])


def test_rows_with_missing_predictors_are_nan() -> None:
    spec, schema, design = fit("y ~ x * a + offset(n) + (x | g)")
    data = {
        "x": [1.0, np.nan, 2.0, 3.0],
        "a": ["p", "q", None, "r"],
        "n": [1.0] * 4,
        "g": ["g0", "g1", "g2", None],
    }
    new = encode_new(spec, schema, design, data)
    assert new.complete.tolist() == [True, False, False, True]
    assert np.isnan(new.matrix).all(axis=1).tolist() == [False, True, True, False]
    assert new.offset is not None
    assert np.isnan(new.offset).tolist() == [False, True, True, False]
    assert new.values[0] is not None
    assert np.isnan(new.values[0]).all(axis=1).tolist() == [False, True, True, False]
    assert new.codes[0].tolist() == [0, -1, -1, -1]


def test_population_predictions_need_no_groups() -> None:
    spec, schema, design = fit("y ~ x + (n | g)")
    new = encode_new(spec, schema, design, {"x": [1.0]}, random=False)
    assert [list(codes) for codes in new.codes] == [[-1]]
    with pytest.raises(DataError, match="column 'n' is not in the data"):
        encode_new(spec, schema, design, {"x": [1.0], "g": ["g0"]})


def test_aliased_columns_are_in_the_matrix_and_not_in_x() -> None:
    spec, schema, design = fit("y ~ x + x2", DATA.assign(x2=2 * DATA["x"]))
    new = encode_new(spec, schema, design, {"x": [1.0, 2.0], "x2": [2.0, 5.0]})
    assert (new.matrix.shape, new.x.shape) == ((2, 3), (2, 2))
    assert np.abs(new.matrix @ design.fixed.null_basis).ravel().round(9).tolist() == [0, 1]


def test_weights_are_passed_on_when_there() -> None:
    spec, schema, design = fit("y ~ x", weights="w")
    assert encode_new(spec, schema, design, {"x": [1.0]}).weights is None
    assert encode_new(spec, schema, design, {"x": [1.0], "w": [2.0]}).weights == [2.0]


def test_kinds_are_kept() -> None:
    spec, schema, design = fit("y ~ x")
    with pytest.raises(DataError, match="column 'x' held numbers at the fit and holds 'a' now"):
        encode_new(spec, schema, design, {"x": ["a"]})


def test_transforms_remember_what_they_learned() -> None:
    spec, schema, design = fit("y ~ scale(x) + center(n)")
    new = encode_new(spec, schema, design, {"x": [DATA["x"].mean()], "n": [DATA["n"].mean() + 1]})
    np.testing.assert_allclose(new.matrix, [[1, 0, 1]], atol=1e-14)


def test_what_was_learned_is_small() -> None:
    _, schema, design = fit("y ~ poly(x, 2) * a + spline(n) + (x | g)")
    assert len(pickle.dumps(design.encoding)) < 20_000
    assert len(pickle.dumps(schema)) < 2_000
