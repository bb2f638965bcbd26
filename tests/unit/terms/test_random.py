"""Random terms: levels, Z, parameter sets and known covariances as the formula means; unidentifiable ones refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from mixedmodels.errors import DataError, SpecError
from mixedmodels.syntax.formula import read_formula
from models import Model, ModelTerm

RNG = np.random.default_rng(5)
N = 48
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "z": RNG.normal(size=N),
        "week": np.tile([1, 2, 4, 8], 12),
        "id": np.repeat(np.arange(101, 113), 4),
        "sex": np.repeat(["M", "F", "F"], 16),
        "f": pd.Categorical(np.tile(["hi", "lo"], 24), categories=["lo", "hi"]),
        "school": np.repeat(["s2", "s1", "s3"], 16),
        "class": np.tile(np.repeat([1, 2], 8), 3),
        "u": RNG.uniform(size=N).round(1),
    }
)


def design(formula: str, data: Any = DATA, known: dict[str, Any] | None = None, **arguments: Any) -> Model:
    spec = read_formula(formula, **arguments)
    return Model.built(spec, data, known=known)


def term(formula: str, data: Any = DATA, known: dict[str, Any] | None = None) -> ModelTerm:
    return design(f"y ~ x + {formula}", data, known).random[0]


def test_an_intercept() -> None:
    made = term("(1 | id)")
    assert (made.label, made.group, made.columns) == ("id", "id", ("(Intercept)",))
    assert made.values is None
    assert made.level_parts[0].dtype == np.int64
    np.testing.assert_array_equal(made.level_parts[0][made.codes], DATA["id"])
    assert made.codes.dtype == np.int32
    assert made.sets.tolist() == [0] * 12
    assert made.set_labels == ("",)
    assert made.n_theta == 1


def test_intercept_and_slope_share_the_storage_of_x() -> None:
    made = design("y ~ x + (x | id)")
    assert made.random[0].values is made.fixed.matrix
    other = design("y ~ x + z + (z | id)").random[0]
    np.testing.assert_array_equal(other.values, np.column_stack([np.ones(N), DATA["z"]]))


def test_slopes_and_factors() -> None:
    np.testing.assert_array_equal(term("(0 + z | id)").values, DATA[["z"]])
    indicators = term("(0 + f | id)")
    assert indicators.columns == ("f[lo]", "f[hi]")
    np.testing.assert_array_equal(indicators.values, pd.get_dummies(DATA["f"]))
    assert term("(f | id)").columns == ("(Intercept)", "f[T.hi]")
    assert term("(0 + f:z | id)").columns == ("f[lo]:z", "f[hi]:z")
    assert term("(poly(z, 2) | id)").columns == ("(Intercept)", "poly(z, 2)[1]", "poly(z, 2)[2]")


def test_double_bars_are_diagonal_and_expand_factors_by_level() -> None:
    made = term("(1 + f || id)")
    assert made.columns == ("(Intercept)", "f[T.hi]")
    assert made.structure.names[0] == "diag"
    assert made.n_theta == 2


def test_nesting_and_crossing() -> None:
    schools, classes = design("y ~ 1 + (1 | school/class)").random
    assert (schools.label, classes.label) == ("school", "school:class")
    assert schools.levels == ("s1", "s2", "s3")
    assert classes.levels == ("s1:1", "s1:2", "s2:1", "s2:2", "s3:1", "s3:2")
    written = [f"{s}:{c}" for s, c in zip(DATA["school"], DATA["class"], strict=True)]
    assert [classes.levels[code] for code in classes.codes] == written
    assert [part.dtype.kind for part in classes.level_parts] == ["O", "i"]
    crossed = term("(1 | school:class:f)")
    assert crossed.n_levels == 12
    assert len(crossed.level_parts) == 3


def test_labels_are_unique() -> None:
    labels = [t.label for t in design("y ~ (1 | id) + (0 + x | id) + (0 + z | id) + (1 | school)").random]
    assert labels == ["id", "id.1", "id.2", "school"]


def test_one_group_of_everything() -> None:
    for group in ("1", "all"):
        made = term(f"homdiag(0 + x + z + week | {group})")
        assert (made.group, made.n_levels, made.levels) == ("all", 1, ("all",))
        assert not made.codes.any()


# -- by= --
def test_parameter_sets_by_a_variable_constant_inside_levels() -> None:
    made = term("(1 + z | id, by=sex)")
    assert made.group == "id"
    assert made.set_labels == ("F", "M")
    assert made.sets.tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert made.n_theta == 6


def test_parameter_sets_by_a_variable_that_varies_inside_levels() -> None:
    made = term("(1 | school, by=f)")
    assert made.group == "school:f"
    assert made.levels == ("s1:lo", "s1:hi", "s2:lo", "s2:hi", "s3:lo", "s3:hi")
    assert made.sets.tolist() == [0, 1] * 3
    assert made.set_labels == ("lo", "hi")


# -- structures --
def test_ordered_structures_take_a_numeric_column_as_positions() -> None:
    made = design("y ~ x + ar1(0 + week | id)")
    (ar1,) = made.random
    assert ar1.columns == ("week[1]", "week[2]", "week[4]", "week[8]")
    np.testing.assert_array_equal(ar1.values, pd.get_dummies(DATA["week"]))
    assert ar1.positions.coordinates is None
    assert "4 distinct values of week are taken as positions in order" in str(made.notes[0])
    assert design("y ~ x + ar1(0 + C(week) | id)").notes == ()
    assert term("toep(week | id, q=2)").n_theta == 2


def test_coordinates_make_one_column_each() -> None:
    made = term("car1(week | id)")
    assert made.columns == ("week[1]", "week[2]", "week[4]", "week[8]")
    np.testing.assert_array_equal(made.positions.coordinates, [[1], [2], [4], [8]])
    assert made.values is not None
    np.testing.assert_array_equal(made.values @ [1, 2, 4, 8], DATA["week"])
    field = term("exp(u, week | 1)")
    points = np.unique(DATA[["u", "week"]].to_numpy(), axis=0)
    np.testing.assert_array_equal(field.positions.coordinates, points)
    assert field.values is not None
    np.testing.assert_array_equal(field.values @ points, DATA[["u", "week"]])


def test_kronecker_products_take_pairs_first_factor_outermost() -> None:
    data = DATA.assign(id=np.repeat(np.arange(6), 8), trait=np.tile(np.repeat(["a", "b"], 4), 6))
    made = term("kron(us, ar1)(trait, week | id)", data)
    weeks = (1, 2, 4, 8)
    assert made.columns == tuple(f"week[{w}]:trait[{t}]" for t in "ab" for w in weeks)
    assert made.n_theta == made.structure.size(8)
    assert made.values is not None
    place = made.values.argmax(axis=1)
    expected = [4 * "ab".index(t) + weeks.index(w) for t, w in zip(data["trait"], data["week"], strict=True)]
    np.testing.assert_array_equal(place, expected)


# -- splines --
def test_a_spline_is_a_polynomial_and_iid_truncated_powers() -> None:
    made = design("y ~ spline(z, degree=2, knots=5)")
    assert made.fixed.columns == ("(Intercept)", "z", "z^2")
    assert made.fixed.terms == ("1", "spline(z)")
    assert made.fixed.assign == (0, 1, 1)
    np.testing.assert_allclose(made.fixed.matrix[:, 2], DATA["z"] ** 2, rtol=1e-15)
    (smooth,) = made.random
    knots = np.quantile(np.unique(DATA["z"]), np.arange(1, 6) / 6)
    expected = np.maximum(DATA["z"].to_numpy()[:, None] - knots, 0) ** 2
    assert smooth.values is not None
    np.testing.assert_allclose(smooth.values, expected, rtol=1e-12)
    assert smooth.columns == tuple(f"spline(z)[{k}]" for k in range(1, 6))
    assert (smooth.label, smooth.n_levels, smooth.n_theta) == ("spline(z)", 1, 1)


def test_given_knots_and_powers_already_there() -> None:
    made = design("y ~ z + spline(z, knots=[-0.5, 0.5]) + spline(x, degree=1, knots=3)")
    assert made.fixed.columns == ("(Intercept)", "z", "z^2", "x")
    assert made.fixed.rank == 4
    assert [t.n_columns for t in made.random] == [2, 3]
    assert design("y ~ z + I(z^2) + spline(z)").fixed.columns == ("(Intercept)", "z", "I(z ** 2)")


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ spline(sex)", "holds text or categories"),
        ("y ~ spline(z, knots=[-99, 0])", r"knots \[-99.0\] lie outside the data"),
        ("y ~ spline(f2)", "2 distinct values, too few for degree 2"),
    ],
)
def test_splines_that_cannot_be(formula: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        design(formula, DATA.assign(f2=(DATA["f"] == "hi") * 1))


# -- known covariance --
def known_matrix(order: list[int]) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    half = rng.normal(size=(len(order), 20))
    return pd.DataFrame(half @ half.T, index=order, columns=order)


LEVELS = list(range(101, 113))


def test_a_labelled_matrix_is_matched_by_name() -> None:
    order = [3, 112, 1, *range(101, 112)]
    given = known_matrix(order)
    known_term = term("(1 | id, cov=A)", known={"A": given})
    assert known_term.levels == tuple(str(level) for level in [*LEVELS, 3, 1])
    assert known_term.level_parts[0].dtype == np.int64
    assert known_term.known is not None
    rows = [*LEVELS, 3, 1]
    np.testing.assert_array_equal(known_term.known.covariance, given.loc[rows, rows])
    assert len(known_term.sets) == 14
    assert known_term.codes.max() == 11


@pytest.mark.parametrize("labels", [LEVELS, [str(level) for level in LEVELS], np.array(LEVELS)])
def test_a_pair_of_matrix_and_labels(labels: Any) -> None:
    given = known_matrix(LEVELS)
    flipped = given.to_numpy()[::-1, ::-1]
    made = term("(1 | id, cov=A)", known={"A": (flipped, list(labels)[::-1])})
    assert made.known is not None
    np.testing.assert_array_equal(made.known.covariance, given)


def test_columns_of_a_frame_may_stand_in_another_order() -> None:
    given = known_matrix(LEVELS)
    made = term("(1 | id, cov=A)", known={"A": given[given.columns[::-1]]})
    assert made.known is not None
    np.testing.assert_array_equal(made.known.covariance, given)


def test_an_unlabelled_matrix_follows_the_levels() -> None:
    given = known_matrix(LEVELS).to_numpy()
    for matrix in (given, sparse.csr_array(given), sparse.coo_matrix(given)):
        made = term("(1 | id, cov=A)", known={"A": matrix})
        assert made.known is not None
        np.testing.assert_array_equal(made.known.covariance, given)
    with pytest.raises(DataError, match="5 rows for 12 levels and no names"):
        term("(1 | id, cov=A)", known={"A": np.eye(5)})


def test_precision_matrices_are_sparse() -> None:
    q = sparse.diags_array([np.full(13, 2.1), -np.ones(12), -np.ones(12)], offsets=[0, 1, -1]).tocsr()
    labels = [*LEVELS[::-1], 7]
    made = term("(1 | id, precision=Q)", known={"Q": (q, labels)})
    assert made.known is not None
    assert made.known.covariance is None
    assert isinstance(made.known.precision, sparse.csc_array)
    order = [*range(11, -1, -1), 12]
    np.testing.assert_array_equal(made.known.precision.toarray(), q.toarray()[np.ix_(order, order)])
    dense = term("(1 | id, precision=Q)", known={"Q": (q.toarray(), labels)})
    assert dense.known is not None
    assert dense.known.precision is not None
    np.testing.assert_array_equal(dense.known.precision.toarray(), made.known.precision.toarray())


SYMMETRIC = np.eye(12)
ASYMMETRIC = np.eye(12) + np.triu(np.full((12, 12), 0.1), 1)
INDEFINITE = np.eye(12) - 0.5
HOLED = np.where(np.eye(12, k=2), np.nan, np.eye(12))


@pytest.mark.parametrize("option", ["cov", "precision"])
@pytest.mark.parametrize(
    ("matrix", "error", "message"),
    [
        (ASYMMETRIC, DataError, "not symmetric"),
        (INDEFINITE, DataError, r"not positive (semi)?definite \(smallest eigenvalue -5"),
        (HOLED, DataError, "missing or infinite"),
        (np.ones((12, 11)), DataError, "must be square"),
        ((SYMMETRIC, LEVELS[:-1]), DataError, "11 labels for a matrix with 12 rows"),
        ((SYMMETRIC, [1] * 12), DataError, "labels of the matrix are not distinct"),
        ((SYMMETRIC, [*range(1, 13)]), DataError, "no row for 12 levels of the data: '101', '102'"),
        ((SYMMETRIC, [*LEVELS[:-1], 5]), DataError, "no row for 1 levels of the data: '112'"),
        (np.array([["a"]]), DataError, "must hold numbers"),
    ],
)
def test_matrices_that_cannot_serve(option: str, matrix: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"{option}=A: .*{message}"):
        term(f"(1 | id, {option}=A)", known={"A": matrix})


def test_a_large_sparse_precision_is_checked_cheaply() -> None:
    n = 2500
    data = {"y": RNG.normal(size=2 * n), "x": RNG.normal(size=2 * n), "id": np.tile(np.arange(n), 2)}
    with pytest.raises(DataError, match="diagonal element -1"):
        term("(1 | id, precision=Q)", data, {"Q": -sparse.eye_array(n, format="csc")})
    assert term("(1 | id, precision=Q)", data, {"Q": sparse.eye_array(n, format="csc")}).n_levels == n


def test_names_of_matrices() -> None:
    with pytest.raises(SpecError, match=r"no matrix is called 'A'\. Pass known="):
        term("(1 | id, cov=A)")
    with pytest.raises(SpecError, match="Did you mean 'Amat'"):
        term("(1 | id, cov=amat)", known={"Amat": np.eye(12)})
    with pytest.raises(SpecError, match="one column of levels"):
        term("(1 | school:class, cov=A)", known={"A": np.eye(6)})


# -- what the data cannot identify --
@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("(1 | one)", r"\(1 \| one\): grouping factor 'one' has one level, 'a'"),
        ("(1 + x | one)", "has one level"),
        ("(1 | 1)", "grouping factor 'all' has one level"),
        ("diag(0 + x + z | one)", "has one level"),
        ("(1 | id, by=first)", "one level for first='yes', '101'"),
        ("(1 | row)", r"'row' has as many levels \(48\) as rows"),
        ("(1 | id:week)", r"'id:week' has as many levels"),
        ("(1 + two | id)", r"columns '\(Intercept\)', 'two' are linearly dependent"),
        ("(1 + two || id)", "leave 'two' out"),
        ("(0 + zero | id)", "column 'zero' is zero in every row"),
        ("(x + x2 | id)", "columns 'x', 'x2' are linearly dependent"),
    ],
)
def test_terms_the_data_cannot_identify(formula: str, message: str) -> None:
    data = DATA.assign(
        one="a",
        row=np.arange(N),
        two=2.0,
        zero=0,
        x2=2 * DATA["x"],
        first=np.where(DATA["id"] == 101, "yes", "no"),
    )
    with pytest.raises(DataError, match=message):
        design(f"y ~ z + {formula}", data)


def test_terms_that_look_like_those_but_are_fine() -> None:
    data = DATA.assign(one="a", row=np.arange(N), x2=2 * DATA["x"])
    assert term("homdiag(0 + z + week | one)", data).n_levels == 1
    assert term("homdiag(0 + x + x2 | id)", data).n_columns == 2
    assert term("(0 + z | row)", data).n_levels == N
    assert design("y ~ x + (1 | row, cov=A)", data, {"A": np.eye(N) + 0.1}).random[0].n_levels == N
    spec = read_formula("y ~ x + (1 | row)")
    assert Model.built(spec, data, weights=np.arange(1, N + 1)).random[0].n_levels == N


def test_one_variance_in_two_terms() -> None:
    with pytest.raises(SpecError, match=r"both hold '\(Intercept\)'"):
        design("y ~ (1 | id) + (1 + x | id)")
    assert len(design("y ~ (1 | id) + (0 + x | id)").random) == 2
    assert len(design("y ~ x + (1 | id) + (1 | id, cov=A)", known={"A": np.eye(12) + 0.5}).random) == 2
