"""X laid out directly is formulaic's X: the same columns, names, terms and order."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from formulaic import Formula

from mixedmodels.errors import DataError, SpecError
from mixedmodels.spec import ModelSpec
from mixedmodels.syntax.formula import read_formula
from mixedmodels.terms.encoder import DirectEncoder
from models import Model

RNG = np.random.default_rng(11)
N = 60
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "z": RNG.uniform(1, 3, N),
        "i": RNG.integers(1, 5, N),
        "t": RNG.integers(0, 2, N).astype(bool),
        "a": pd.Categorical(RNG.choice(["p", "q", "r"], N), categories=["q", "r", "p"]),
        "b": RNG.choice(["u", "v"], N),
        "c": RNG.choice(["k", "l", "m", "n"], N),
        "a b": RNG.normal(size=N),
    }
)

SUMS = [
    "x",
    "a",
    "b",
    "t",
    "a:b",
    "b:a",
    "a:x",
    "x:a",
    "x:z",
    "a:b:x",
    "C(i)",
    "C(i):a",
    "a:b:c",
    "log(z)",
    "log(z):a",
]
FORMULAS = [
    *(
        f"{intercept} + {left} + {right}"
        for intercept in "01"
        for left, right in itertools.permutations(SUMS, 2)
    ),
    *(f"{intercept} + {one}" for intercept in "01" for one in SUMS),
    "1 + a * b * c",
    "0 + a * b * c",
    "1 + a * b * x",
    "0 + a * b * x",
    "1 + a * b - a",
    "1 + a * b - b",
    "0 + a * b - a",
    "1 + a / b",
    "0 + a / b",
    "1 + a / b / c",
    "1 + (a + b + c) ** 2",
    "0 + (a + b + c) ** 2",
    "1 + a:b + a:c + b:c",
    "0 + a:b + a:c + b:c",
    "1 + a:b:c + a",
    "1 + a:x + b:x + x",
    "0 + a:x + b:x + a:b",
    "1 + t * a + i * b",
    "1 + `a b` * a",
    "1 + I(x ** 2) + x + sqrt(z) + abs(x):b",
    "1 + C(a):C(b) + a",
    "0 + C(t) + C(t):x",
    "1",
]


def design(formula: str, data: Any = DATA, **arguments: Any) -> Model:
    spec = read_formula(formula, **arguments)
    return Model.built(spec, data)


@pytest.mark.parametrize("text", FORMULAS)
def test_direct_layout_is_formulaics(text: str) -> None:
    fixed = design(f"y ~ {text}").fixed
    expected = Formula(text.replace("sqrt(", "np.sqrt(").replace("abs(", "np.abs(")).get_model_matrix(DATA)
    names = [name.replace("np.", "").replace("Intercept", "(Intercept)") for name in expected.columns]
    assert list(fixed.columns) == names
    # products are formed in another order, so the last bit may differ
    np.testing.assert_allclose(fixed.matrix, expected.to_numpy(float), rtol=1e-15)
    assert list(fixed.terms) == [str(term).replace("np.", "") for term in expected.model_spec.formula]
    indices = expected.model_spec.term_indices.values()
    assert [[j for j, term in enumerate(fixed.assign) if term == k] for k in range(len(fixed.terms))] == [
        list(columns) for columns in indices
    ]


@pytest.mark.parametrize(
    "text",
    [
        "1 + poly(x, 2) * a",
        "1 + bs(x, df=4) + b",
        "1 + cr(x, df=4)",
        "1 + scale(x) * b",
        "1 + C(a, contr.sum) * b",
        "1 + C(i, contr.sum)",
        "1 + np.log(z) + center(x)",
        "1 + C(x > 0) + I(x + z)",
        "1 + C(i, [[1, 0], [0, 1], [-1, -1], [0, 0.5]]) + x",
        "1 + C(a, contr.helmert(scale=True)) + C(b, Sum)",
        "1 + C(a, contr.helmert(reverse=False)) + C(c, contr.diff)",
        "0 + C(c, contr.diff(backward=False)):a",
        "1 + C(a, contr.treatment('r')) * b",
        "1 + C(a, Treatment('p')):x",
        "1 + C(a, contr.SAS)",
        "1 + C(a, contr.poly(scores=[1, 2, 4]))",
        "1 + C(c, levels=['n', 'm', 'l', 'k'])",
        "1 + bs(x, df=5, include_intercept=True):a",
        "0 + bs(x, df=5, include_intercept=True) + a",
        "1 + bs(x, knots=[-0.5, 0.5], degree=2)",
        "1 + cc(x, df=4):b + cr(z, df=3, constraints='center')",
        "1 + scale(x, center=False) + standardize(z) + scale(z, scale=2)",
        "1 + lag(x, 0) + exp2(x) + I(a == 'p') + poly(x, degree=3):z",
        "1 + log(abs(x) + 1) + C(a):cr(x, df=3)",
        "1 + I(x / z) + a",
        "0 + poly(x, 2):a",
    ],
)
def test_transforms_and_codings_are_formulaics(text: str) -> None:
    fixed = design(f"y ~ {text}").fixed
    expected = Formula(text).get_model_matrix(DATA)
    assert list(fixed.columns) == [name.replace("Intercept", "(Intercept)") for name in expected.columns]
    # polynomials are computed about the mean, and contrasts of polynomials by another algorithm
    np.testing.assert_allclose(fixed.matrix, expected.to_numpy(float), rtol=1e-13, atol=1e-14)
    assert list(fixed.terms) == [str(term) for term in expected.model_spec.formula]
    assert fixed.matrix.flags.c_contiguous


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("factor(i)", "C(i)"),
        ("I(x^2)", "I(x ** 2)"),
        ("(a + b)^2", "(a + b) ** 2"),
        ("poly(x, 2, raw = TRUE)", "poly(x, 2, raw=True)"),
        ("x + a - 1", "0 + x + a"),
    ],
)
def test_spellings_of_r(written: str, same: str) -> None:
    one, other = design(f"y ~ {written}").fixed, design(f"y ~ {same}").fixed
    assert one.columns == other.columns
    np.testing.assert_array_equal(one.matrix, other.matrix)


@pytest.mark.parametrize("coding", ["sum", "helmert", "poly", "treatment"])
@pytest.mark.parametrize("rest", ["", " + a:x", " + a:b + b", " + poly(x, 2)", " + poly(x, 2):a"])
def test_contrasts_by_name(coding: str, rest: str) -> None:
    """`contrasts=` gives the columns of C(a, contr.…) under the name of the factor, on either path."""
    fixed = design(f"y ~ a{rest}", contrasts={"a": coding}).fixed
    wrapped = f"C(a, contr.{coding})"
    expected = Formula(
        f"1 + {wrapped}{rest.replace(':a', ':' + wrapped).replace(' a:', ' ' + wrapped + ':')}"
    )
    matrix = expected.get_model_matrix(DATA)
    names = [name.replace(wrapped, "a").replace("Intercept", "(Intercept)") for name in matrix.columns]
    assert list(fixed.columns) == names
    # formulaic's polynomial contrasts come from another algorithm
    np.testing.assert_allclose(fixed.matrix, matrix.to_numpy(float), atol=1e-12)


def test_contrasts_of_what_is_no_factor() -> None:
    with pytest.raises(SpecError, match="'w' is not in the model"):
        design("y ~ a", contrasts={"w": "sum"})
    with pytest.raises(SpecError, match="'x' is numeric; write C"):
        design("y ~ x", contrasts={"x": "sum"})
    assert design("y ~ C(i)", contrasts={"i": "sum"}).fixed.columns[1] == "C(i)[S.1]"


def test_integers_and_booleans_are_computed_in_floating_point() -> None:
    k = np.array([200, 100, 50, 3, 7, 9], np.uint8)
    data = {"y": [1.0, 2, 3, 5, 4, 9], "k": k, "t": [True, False, True, False, True, True]}
    fixed = design("y ~ I(k^2) + I(k / 3) + k:t", data).fixed
    np.testing.assert_allclose(fixed.matrix[0], [1, 200.0**2, 200 / 3, 200], rtol=1e-15)
    direct = design("y ~ I(k^2) + k:t", data).fixed
    np.testing.assert_allclose(direct.matrix[0], [1, 200.0**2, 200], rtol=0)
    assert direct.matrix.dtype == np.float64


@pytest.mark.parametrize(
    "function", ["log", "log10", "log2", "log1p", "exp", "expm1", "sqrt", "abs", "exp10"]
)
def test_elementwise_functions(function: str) -> None:
    fixed = design(f"y ~ {function}(z)").fixed
    expected = 10.0 ** DATA["z"] if function == "exp10" else getattr(np, function)(DATA["z"])
    np.testing.assert_allclose(fixed.matrix[:, 1], expected, rtol=1e-15)


def test_no_fixed_part() -> None:
    fixed = design("y ~ 0 + (1 | a)").fixed
    assert fixed.matrix.shape == (N, 0)
    assert fixed.rank == 0


@pytest.mark.parametrize(
    ("formula", "same_as"),
    [("log(z) ~ x", "log"), ("z^2 ~ x", "square"), ("sqrt(z) ~ x", "sqrt"), ("I(-z) ~ x", "neg")],
)
def test_computed_responses(formula: str, same_as: str) -> None:
    made = design(formula).y
    expected = -DATA["z"] if same_as == "neg" else getattr(np, same_as)(DATA["z"])
    np.testing.assert_allclose(made, expected, rtol=1e-15)


def test_expressions_as_responses() -> None:
    np.testing.assert_allclose(design("y / z - x ~ 1").y, DATA["y"] / DATA["z"] - DATA["x"], rtol=1e-14)
    scaled = (DATA["y"] - DATA["y"].mean()) / DATA["y"].std()
    np.testing.assert_allclose(design("scale(y) ~ 1").y, scaled, rtol=1e-12)


def test_offsets_are_subtracted_and_kept() -> None:
    made = design("y ~ x + offset(log(z)) + offset(2 * x)")
    offset = np.log(DATA["z"]) + 2 * DATA["x"]
    assert made.offset is not None
    np.testing.assert_allclose(made.offset, offset, rtol=1e-14)
    np.testing.assert_allclose(made.y, DATA["y"] - offset, rtol=1e-12)
    assert design("y ~ x").offset is None


def test_the_response_is_not_the_callers() -> None:
    data = pd.DataFrame({"y": RNG.normal(size=9), "x": RNG.normal(size=9)})
    assert not np.shares_memory(design("y ~ x", data).y, data["y"].to_numpy())


# -- aliased columns --
def test_aliased_columns_are_the_later_ones() -> None:
    data = DATA.assign(w=DATA["x"] - 2 * DATA["z"])
    fixed = design("y ~ x + z + w", data).fixed
    assert fixed.estimable == (0, 1, 2)
    assert fixed.aliased == ("w",)
    np.testing.assert_allclose(fixed.null_basis.ravel(), [0, -1, 2, 1], atol=1e-12)
    made = design("y ~ x + z + w", data)
    np.testing.assert_array_equal(made.x, fixed.matrix[:, :3])
    assert design("y ~ w + z + x", data).fixed.aliased == ("x",)


def test_empty_cells_alias_interactions() -> None:
    data = DATA[~((DATA["a"] == "p") & (DATA["b"] == "v"))]
    fixed = design("y ~ a * b", data).fixed
    assert fixed.aliased == ("a[T.p]:b[T.v]",)
    np.testing.assert_allclose(fixed.matrix @ fixed.null_basis, 0, atol=1e-12)


# -- bad input --
@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("b ~ x", "response 'b' must be numeric; column 'b' holds text or categories such as 'u', 'v'"),
        ("a ~ x", "response 'a' must be numeric"),
        ("log(b) ~ x", "must be numeric; column 'b'"),
        ("one ~ x", "is 1 in every row"),
        ("y ~ log(x)", r"log\(x\) is not finite in \d+ of 60 rows"),
        ("log(x) ~ 1", r"log\(x\) is not finite"),
        ("y ~ log(b)", "column 'b' holds text or categories .* where numbers are needed"),
        ("y ~ x + offset(b)", "column 'b' holds text"),
        ("y ~ same", "factor 'same' has one level, 's'"),
        ("y ~ lag(x)", "not finite in 1 of 60 rows"),
    ],
)
def test_data_that_cannot_carry_the_model(formula: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        design(formula, DATA.assign(one=1, same="s"))


def test_one_level_is_harmless_where_nothing_is_contrasted() -> None:
    assert design("y ~ 0 + same", DATA.assign(same="s")).fixed.columns == ("same[s]",)


@pytest.mark.parametrize("formula", ["y ~ poly(x, -1)", "y ~ C(a, contr.nosuch)", "y ~ 2:'x'"])
def test_what_cannot_be_computed(formula: str) -> None:
    with pytest.raises((SpecError, DataError)):
        design(formula)


def test_no_residual_degrees_of_freedom() -> None:
    with pytest.raises(DataError, match="2 rows cannot estimate 2 fixed effects"):
        design("y ~ x", {"y": [1.0, 2], "x": [1, 3]})


def test_direct_encoders_are_learned_without_formulaic() -> None:
    spec: ModelSpec = read_formula("y ~ a * x + log(z)")
    made = Model.built(spec, DATA)
    assert made.encoding is not None
    assert isinstance(made.encoding.fixed.encoder, DirectEncoder)
