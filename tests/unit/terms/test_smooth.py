"""Smooths in a design: columns, centring, levels of `by=`, what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import DataError, SpecError

RNG = np.random.default_rng(4)
N = 150
DATA = {
    "x": RNG.uniform(0, 10, N),
    "z": RNG.normal(size=N),
    "g": RNG.choice(["a", "b", "c"], N),
    "few": RNG.choice([1.0, 2.0, 3.0], N),
}
DATA["y"] = np.sin(DATA["x"]) + 0.5 * DATA["z"] + RNG.normal(0, 0.3, N)


def test_curve_is_centred_over_the_data() -> None:
    fit = mm.lmm("y ~ s(x, bs='cr')", DATA)
    assert fit.params["(Intercept)"] == pytest.approx(DATA["y"].mean(), abs=1e-10)


def test_new_rows_and_pickles_answer_the_same() -> None:
    fit = mm.lmm("y ~ g + s(x, by=g, bs='ps') + z", DATA)
    some = {name: values[:20] for name, values in DATA.items() if name != "y"}
    np.testing.assert_allclose(fit.predict(some), fit.fitted[:20], atol=1e-10)
    again = pickle.loads(pickle.dumps(fit))
    np.testing.assert_allclose(again.predict(some, level="population"), fit.fitted[:20], atol=1e-10)


def test_levels_without_means_are_noted() -> None:
    assert any("centred" in str(status) for status in mm.lmm("y ~ s(x, by=g, bs='cr')", DATA).status)
    assert not any("centred" in str(s) for s in mm.lmm("y ~ g + s(x, by=g, bs='cr')", DATA).status)


def test_unit_and_origin_of_x_change_nothing() -> None:
    fit = mm.lmm("y ~ s(x, bs='cr')", DATA)
    days = DATA | {"x": 45_000 + 365.25 * DATA["x"]}
    moved = mm.lmm("y ~ s(x, bs='cr')", days)
    np.testing.assert_allclose(moved.fitted, fit.fitted, atol=1e-7)
    for column in ("edf", "ref_df", "statistic"):
        np.testing.assert_allclose(moved.smooths()[column], fit.smooths()[column], rtol=1e-5)
    seconds = DATA | {"x": 3.15e7 * DATA["x"]}
    np.testing.assert_allclose(mm.lmm("y ~ s(x, bs='cr')", seconds).fitted, fit.fitted, atol=1e-7)


def test_a_straight_line_is_said_to_be_one() -> None:
    line = DATA | {"y": 2.0 * DATA["x"] + np.tile([0.1, -0.1], N // 2)[np.argsort(np.argsort(DATA["x"]))]}
    table = mm.lmm("y ~ s(x, bs='cr')", line).smooths()
    assert table["variance"][0] == 0.0
    assert table["edf"][0] == pytest.approx(1.0)
    assert "variance 0" in str(table)


@pytest.mark.parametrize(
    ("formula", "error", "message"),
    [
        ("y ~ s(few, bs='cr')", DataError, "k=10"),
        ("y ~ s(g, bs='cr')", DataError, "numeric column"),
        ("y ~ s(x, z, bs='cr')", DataError, "1 numeric column"),
        ("y ~ s(x, bs='cr') + s(x, bs='cr')", SpecError, "twice"),
        ("y ~ s(x, by=nothing, bs='cr')", DataError, "nothing"),
        ("y ~ s(x):g", SpecError, "product"),
    ],
)
def test_what_is_refused(formula: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mm.lmm(formula, DATA)


def test_a_level_that_was_not_seen_is_named() -> None:
    fit = mm.lmm("y ~ s(x, by=g, bs='cr')", DATA)
    with pytest.raises(DataError, match="'d'"):
        fit.predict({"x": [1.0], "g": ["d"]})
