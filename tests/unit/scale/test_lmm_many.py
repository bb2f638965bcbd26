"""`mm.lmm_many`: every row is what a fit of its own says, and what cannot be fitted is a row that says why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mixedmodels as mm

CLOSE = {"estimate": 1e-6, "std_error": 1e-6, "df": 2e-6, "statistic": 1e-6}
"""Estimates by `lmm` are known to 1e-4 of their SE (its decrement is 1e-8); those here are searched further."""


def data(seed: int = 1, m: int = 12) -> tuple[dict[str, Any], np.ndarray]:
    """Return predictors of 180 rows in 15 groups, and m responses, some without any variance between groups."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 15, 180)
    frame = {
        "g": np.array([f"group {j}" for j in group]),
        "x": 2000.0 + rng.uniform(0, 20, 180),
        "arm": rng.choice(["a", "b", "c"], 180),
        "w": rng.uniform(0.2, 3.0, 180),
    }
    between = rng.normal(size=(15, m))[group] * rng.choice([0.0, 0.3, 2.0], m)
    return frame, 50.0 + between + rng.normal(size=(180, m)) + 0.1 * (frame["x"][:, None] - 2000.0)


def named(y: np.ndarray) -> dict[str, np.ndarray]:
    return {f"y{j}": y[:, j] for j in range(y.shape[1])}


def rows_of(table: mm.Table, kind: str, **where: object) -> dict[str, np.ndarray]:
    chosen = np.asarray(table["kind"] == kind)
    for name, value in where.items():
        chosen &= np.asarray(table[name] == value)
    return {name: np.asarray(values)[chosen] for name, values in table.items()}


def agrees(table: mm.Table, fit: mm.Fit, response: str, ddf: str = "satterthwaite") -> None:
    """Assert that the rows of a response are those of its own fit."""
    own, found = fit.fixed_effects(ddf=ddf), rows_of(table, "fixed", response=response)
    assert found["term"].tolist() == list(own["term"])
    for name, tolerance in CLOSE.items():
        np.testing.assert_allclose(
            found[name].astype(float), np.asarray(own[name], float), rtol=tolerance, atol=1e-7, err_msg=name
        )
    np.testing.assert_allclose(found["p_value"].astype(float), np.asarray(own["p_value"], float), atol=1e-6)
    variances = fit.variance_components(se=True)
    chosen = np.asarray(variances["kind"]) == "variance"
    got = rows_of(table, "variance", response=response)
    np.testing.assert_allclose(
        got["estimate"].astype(float), variances["variance"][chosen], rtol=1e-5, atol=2e-6
    )
    if not fit.singular:
        np.testing.assert_allclose(got["std_error"].astype(float), variances["std_error"][chosen], rtol=1e-4)
    assert got["loglik"][0] == pytest.approx(fit.loglik, abs=1e-7)
    assert (got["nobs"] == fit.nobs).all()
    assert set(got["status"]) == {"singular" if fit.singular else "converged"}


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("~ x + arm + (1 | g)", {}),
        ("~ x + arm + (1 | g)", {"method": "ml"}),
        ("~ x * arm + (1 | g)", {"weights": "w"}),
        ("~ 0 + arm + (1 | g)", {"ddf": "residual"}),
        ("~ x + (0 + x | g)", {}),
        ("~ 1 + (1 | g) + offset(w)", {}),
        ("~ x + (x | g)", {}),
        ("~ x + (1 | g) + (1 | arm)", {}),
        ("~ x + (1 | g)", {"ddf": "kenward-roger"}),
        ("~ x", {"residual": "cs(1 | g)"}),
    ],
)
def test_each_response_is_its_own_fit(formula: str, options: dict[str, Any]) -> None:
    frame, y = data(m=6)
    table = mm.lmm_many(formula, frame, responses=named(y), **options)
    for name, values in named(y).items():
        fit = mm.lmm(f"y {formula}", frame | {"y": values}, **{"ddf": "satterthwaite"} | options)
        agrees(table, fit, name, options.get("ddf", "satterthwaite"))


def test_rows_are_missing_by_response() -> None:
    frame, y = data(m=4)
    y[:7, 0] = y[5:30, 1] = np.nan
    frame["x"] = frame["x"].copy()
    frame["x"][100:103] = np.nan
    table = mm.lmm_many("~ x + (1 | g)", frame, responses=named(y))
    assert [rows_of(table, "fixed", response=f"y{j}")["nobs"][0] for j in range(4)] == [170, 152, 177, 177]
    for name, values in named(y).items():
        agrees(table, mm.lmm("y ~ x + (1 | g)", frame | {"y": values}), name)


def test_groups_of_rows_have_models_of_their_own() -> None:
    frame, y = data(m=2)
    frame["centre"] = np.where(np.arange(180) % 3 == 0, "west", "east")
    table = mm.lmm_many("~ x + (1 | g)", frame | named(y), responses=["y1", "y0"], by="centre")
    keys = dict.fromkeys(zip(table["centre"], table["response"], strict=True))
    assert list(keys) == [("east", "y1"), ("east", "y0"), ("west", "y1"), ("west", "y0")]
    chosen = frame["centre"] == "west"
    fit = mm.lmm("y ~ x + (1 | g)", {k: v[chosen] for k, v in (frame | {"y": y[:, 0]}).items()})
    west = mm.Table({k: np.asarray(v)[table["centre"] == "west"] for k, v in table.items()})
    agrees(west, fit, "y0")


def test_what_fails_is_a_row_and_the_others_go_on() -> None:
    frame, y = data(m=3)
    given: dict[str, Any] = named(y) | {
        "constant": np.full(180, 3.0),
        "words": np.array(["no"] * 180),
        "nothing": np.full(180, np.nan),
        "two": np.where(np.arange(180) < 2, 1.0 * np.arange(180), np.nan),
        "infinite": np.where(np.arange(180) == 5, np.inf, y[:, 0]),
    }
    table = mm.lmm_many("~ x + (1 | g)", frame, responses=given)
    failed = {
        r: s for r, s, k in zip(table["response"], table["status"], table["kind"], strict=True) if not k
    }
    assert set(failed) == {"constant", "words", "nothing", "two", "infinite"}
    assert "no variation to explain" in failed["constant"]
    assert "text or categories" in failed["words"]
    assert failed["nothing"] == "no row has all values"
    assert "2 rows cannot estimate" in failed["two"]
    assert "infinite" in failed["infinite"]
    agrees(table, mm.lmm("y ~ x + (1 | g)", frame | {"y": y[:, 2]}), "y2")
    assert any("5 of 8 fits failed" in note for note in table.notes)


def test_the_left_side_is_applied_to_each() -> None:
    frame, y = data(m=2)
    table = mm.lmm_many("log(y) ~ x + (1 | g)", frame, responses=named(y))
    agrees(table, mm.lmm("log(y) ~ x + (1 | g)", frame | {"y": y[:, 1]}), "y1")
    alone = mm.lmm_many("y ~ x + (1 | g)", frame | {"y": y[:, 0]})
    assert set(alone["response"]) == {"y"}


def test_units_and_origins_change_nothing_else() -> None:
    frame, y = data(m=4)
    table = mm.lmm_many("~ x + (1 | g)", frame, responses=y)
    moved = mm.lmm_many("~ x + (1 | g)", frame | {"x": 1e6 * (frame["x"] - 2000)}, responses=1e9 * (y + 1e4))
    slopes, others = (rows_of(one, "fixed", term="x") for one in (table, moved))
    for name in ("df", "statistic", "p_value"):
        np.testing.assert_allclose(slopes[name], others[name], rtol=1e-6)
    np.testing.assert_allclose(others["estimate"], 1e3 * slopes["estimate"], rtol=1e-6)


def test_a_response_without_error_is_not_given_a_variance_of_rounding() -> None:
    frame, _ = data()
    exact = 3.0 + 2.0 * (frame["x"] - 2000)
    table = mm.lmm_many("~ x + (1 | g)", frame, responses={"exact": exact})
    fit = mm.lmm("y ~ x + (1 | g)", frame | {"y": exact})
    np.testing.assert_allclose(rows_of(table, "fixed")["estimate"], fit.beta, rtol=1e-8)


def test_threads_and_order_of_responses_change_nothing() -> None:
    frame, y = data(m=9)
    one = mm.lmm_many("~ x + (1 | g)", frame, responses=named(y), control=mm.Control(threads=1))
    two = mm.lmm_many(
        "~ x + (1 | g)", frame, responses=dict(reversed(named(y).items())), control=mm.Control(threads=2)
    )
    first, second = (rows_of(t, "fixed", response="y3") for t in (one, two))
    np.testing.assert_array_equal(first["estimate"], second["estimate"])


def test_arguments_are_named_where_they_are_wrong() -> None:
    frame, y = data(m=2)
    both = frame | named(y)
    with pytest.raises(mm.DataError, match="responses: column 'y7' is not in the data"):
        mm.lmm_many("~ x + (1 | g)", both, responses=["y0", "y7"])
    with pytest.raises(mm.SpecError, match="'y0' stands twice"):
        mm.lmm_many("~ x + (1 | g)", both, responses=["y0", "y0"])
    with pytest.raises(mm.SpecError, match="names no response"):
        mm.lmm_many("~ x + (1 | g)", both)
    with pytest.raises(mm.DataError, match="by: column 'centre'"):
        mm.lmm_many("~ x + (1 | g)", both, responses=["y0"], by="centre")
    with pytest.raises(mm.DataError, match="column 'z' is not in the data"):
        mm.lmm_many("~ z + (1 | g)", both, responses=["y0"])
    with pytest.raises(mm.SpecError, match="reads 2 columns"):
        mm.lmm_many("y0 + y1 ~ x + (1 | g)", both, responses=["y0"])
    with pytest.raises(mm.DataError, match="3 values for 180 rows"):
        mm.lmm_many("~ x + (1 | g)", both, responses={"short": np.ones(3)})


def test_tables_come_back_in_the_callers_library() -> None:
    polars = pytest.importorskip("polars")
    frame, y = data(m=2)
    table = mm.lmm_many("~ x + (1 | g)", polars.DataFrame(frame | named(y)), responses=["y0", "y1"])
    assert isinstance(table.to_frame(), polars.DataFrame)
