"""Weightings of marginal means by name, own contrasts in every form, and families of many means."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.inference.simultaneous import _range_upper, _scale_rule, tukey_upper


def _data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    data = pd.DataFrame(
        {
            "g": np.repeat([f"g{i}" for i in range(12)], 10),
            "a": rng.choice(list("pq"), 120),
            "b": rng.choice(list("xyz"), 120, p=[0.5, 0.3, 0.2]),
        }
    )
    data["y"] = rng.normal(size=120) + rng.normal(size=12).repeat(10)
    return data


def test_weights_by_the_beginning_of_their_names() -> None:
    fit = mm.lmm("y ~ a * b + (1 | g)", _data())
    for short, name in (("prop", "proportional"), ("eq", "equal"), ("out", "outer"), ("cell", "cells")):
        means, whole = fit.emmeans("a", weights=short), fit.emmeans("a", weights=name)
        np.testing.assert_array_equal(means["estimate"], whole["estimate"])
    with pytest.raises(mm.SpecError, match="weights='sas' is not known"):
        fit.emmeans("a", weights="sas")


def test_flat_weights_leave_out_empty_cells() -> None:
    """Equal weights make the mean of `q`, whose cell (q, z) is empty, one that cannot be estimated."""
    data = _data().query("not (a == 'q' and b == 'z')").reset_index(drop=True)
    fit = mm.lmm("y ~ a * b + (1 | g)", data)
    assert np.isnan(fit.emmeans("a")["estimate"][1])
    flat = fit.emmeans("a", weights="flat")["estimate"]
    cells = fit.emmeans(["a", "b"])
    own = {(a, b): value for a, b, value in zip(cells["a"], cells["b"], cells["estimate"], strict=True)}
    assert flat[0] == pytest.approx(np.mean([own["p", level] for level in "xyz"]))
    assert flat[1] == pytest.approx(np.mean([own["q", level] for level in "xy"]))


def test_contrasts_as_a_frame_a_matrix_and_a_dict() -> None:
    means = mm.lmm("y ~ a * b + (1 | g)", _data()).emmeans("b")
    columns = {"first": [1, -0.5, -0.5], "rest": [0, 1, -1]}
    by_dict = means.contrast(columns)
    shuffled = pd.DataFrame(columns, index=list("xyz")).loc[list("zxy")]
    for given in (pd.DataFrame(columns), shuffled):
        found = means.contrast(given)
        assert found["contrast"].tolist() == ["first", "rest"]
        np.testing.assert_array_equal(found["estimate"], by_dict["estimate"])
    matrix = means.contrast(np.array(list(columns.values())))
    np.testing.assert_array_equal(matrix["estimate"], by_dict["estimate"])


def test_sixty_means_in_a_second() -> None:
    rng = np.random.default_rng(1)
    levels = np.repeat([f"t{i:02d}" for i in range(60)], 4)
    data = pd.DataFrame({"t": levels, "block": np.tile(list("abcd"), 60), "y": rng.normal(size=240)})
    means = mm.lmm("y ~ t + (1 | block)", data).emmeans("t")
    begun = time.process_time()
    pairs = means.contrast("pairwise")
    assert time.process_time() - begun < 1.0
    t, df = abs(float(pairs["statistic"][7])), float(pairs["df"][7])
    scale, weight = _scale_rule(df)
    direct = float(weight @ _range_upper(np.sqrt(2.0) * t * scale, 60))
    assert pairs["p_value"][7] == pytest.approx(direct, abs=1e-10)


@pytest.mark.parametrize("k", [2, 3, 10, 300])
@pytest.mark.parametrize("df", [1.0, 2.5, 45.3, np.inf])
def test_the_table_of_ranges_is_the_integral(k: int, df: float) -> None:
    scale, weight = _scale_rule(df)
    for t in (0.01, 0.5, 1.0, 2.0, 4.0, 10.0, 30.0):
        direct = float(np.clip(weight @ _range_upper(np.sqrt(2.0) * t * scale, k), 0.0, 1.0))
        assert tukey_upper(t, k, df) == pytest.approx(direct, abs=1e-10)


@pytest.mark.parametrize(
    "term",
    [
        "log(x)",
        "sqrt(x)",
        "exp(-x)",
        "x + I(x**2) + I(x**3)",
        "poly(x, 3)",
        "bs(x, df=5)",
        "cr(x, df=4)",
        "spline(x)",
    ],
)
def test_trends_of_curved_terms_are_slopes_of_the_mean(term: str) -> None:
    """Slopes of predictions by five points, whose own error is of the order 1e-10."""
    data = _data()
    data["x"] = np.random.default_rng(2).uniform(1.0, 5.0, 120)
    data["y"] += np.log(data["x"])
    fit, step = mm.lmm(f"y ~ {term} + (1 | g)", data), 1e-3
    for at in (2.7, 4.1):
        around = at + step * np.array([-2.0, -1.0, 1.0, 2.0])
        value = fit.predict({"x": around}, level="population")
        slope = (value[0] - 8 * value[1] + 8 * value[2] - value[3]) / (12 * step)
        found = fit.emtrends("x", "1", at={"x": [at]})["estimate"][0]
        assert found == pytest.approx(slope, rel=1e-7)


def test_letters_of_groups_say_what_they_compare() -> None:
    means = mm.lmm("y ~ a * b + (1 | g)", _data()).emmeans("b", by="a")
    assert "letters are of comparisons within a" in means.cld().notes
    assert not any("within" in note for note in mm.lmm("y ~ b + (1 | g)", _data()).emmeans("b").cld().notes)
