"""Columns may be called anything: every tool finds them, and answers as under plain names."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.spec import quoted

NAMES = (
    "two words", "1", "0", "2x", "x?", "C(t)", "log(t)", "np", "np.log", "pi", "True", "None", "class", "lambda",
    "a:b", "a*b", "(1 | g)", "a + b", "y ~ x", "%in%", "|", "body.weight", "ä", "x'", 'x"', "back`tick", "`", "[0]",
    "{x}", "-", ".", "1e5", "I(x)", "Intercept", "(Intercept)", "poly", "I", "x\\y", "x,y", "_", "all", "Sum",
)  # fmt: skip


def frame(covariate: str, factor: str, group: str) -> dict[str, Any]:
    rng = np.random.default_rng(4)
    n = 96
    g, a = np.repeat(np.arange(12), 8), np.tile([0, 1, 2, 0], 24)
    x = rng.normal(size=n)
    y = 1 + x + a + rng.normal(size=12)[g] + 0.5 * rng.normal(size=n)
    return {"response": y, covariate: x, factor: np.array(["p", "q", "r"])[a], group: [f"s{i}" for i in g]}


def answers(covariate: str, factor: str, group: str) -> dict[str, np.ndarray]:
    """Return what the tools say, by tool."""
    data = frame(covariate, factor, group)
    x, a, g = map(quoted, (covariate, factor, group))
    fit = mm.lmm(f"response ~ {x} * {a} + I({x}^2) + (1 + {x} | {g})", data)
    coded = mm.lmm(f"response ~ C({a}, contr.sum) + exp({x}) + (1 | {g})", data)
    means = fit.emmeans(factor)
    new = {covariate: [0.1, 0.2], factor: ["q", "r"], group: ["s3", "new"]}
    where = fit.design.fixed.columns[1]
    found = {
        "fixed effects": fit.fixed_effects()["estimate"],
        "coded": coded.fixed_effects()["estimate"],
        "coded anova": coded.anova()["statistic"],
        "means": means["estimate"],
        "pairs": means.contrast("pairwise")["p_value"],
        "trends": fit.emtrends(covariate, factor)["estimate"],
        "joint": fit.joint_tests()["statistic"],
        "test": fit.test(f"{where} = 1")["p_value"],
        "limits": fit.confint()["conf_low"],
        "predict": fit.predict(new, level="population"),
        "conditional": fit.predict(new, new_levels="population"),
        "drop1": fit.drop1()["aic"],
        "updated": fit.update(f". ~ . - I({x}^2)").fixed_effects()["estimate"],
        "again": pickle.loads(pickle.dumps(fit)).predict(new, level="population"),
    }
    for kind in (1, 2, 3):
        found[f"anova {kind}"] = fit.anova(kind)["statistic"]
    return {name: np.asarray(values, dtype=float) for name, values in found.items()}


@pytest.fixture(scope="module")
def plain() -> dict[str, np.ndarray]:
    return answers("x", "a", "g")


@pytest.mark.parametrize("place", ["covariate", "factor", "group"])
@pytest.mark.parametrize("name", NAMES)
def test_every_tool_finds_a_column(name: str, place: str, plain: dict[str, np.ndarray]) -> None:
    found = answers(**{"covariate": "x", "factor": "a", "group": "g", place: name})
    for tool, values in plain.items():
        np.testing.assert_allclose(found[tool], values, rtol=1e-9, atol=1e-12, err_msg=tool)


def test_a_column_called_np_shadows_nothing() -> None:
    data = {"y": np.arange(12.0) ** 1.5, "np": np.arange(1, 13.0)}
    fit = mm.lm("y ~ np.log(np) + np", data)
    np.testing.assert_allclose(fit.rows.fixed.matrix[:, 1], np.log(data["np"]))
    np.testing.assert_allclose(fit.rows.fixed.matrix[:, 2], data["np"])


def test_pi_is_a_number_unless_it_could_be_a_column() -> None:
    data = {"y": np.arange(12.0) ** 1.5, "x": np.arange(1, 13.0) / 5}
    fit = mm.lm("y ~ sin(pi * x)", data)
    np.testing.assert_allclose(fit.rows.fixed.matrix[:, 1], np.sin(np.pi * data["x"]))
    with pytest.raises(mm.SpecError, match=r"a column of the data; write np\.pi"):
        mm.lm("y ~ sin(pi * x)", {**data, "pi": data["x"]})
    assert mm.lm("y ~ sin(np.pi * x)", {**data, "pi": data["x"]}).design.fixed.rank == 2
    assert mm.lm("y ~ sin(`pi` * x)", {**data, "pi": data["x"]}).design.fixed.rank == 2


def test_levels_with_colons_stay_apart() -> None:
    """`A:B` and `a` × `b` give labels that look alike, and remain two levels of two factors."""
    rng = np.random.default_rng(2)
    f = np.array(["u:v", "u", "w"])[rng.integers(0, 3, 60)]
    h = np.array(["w", "v:w", "x"])[rng.integers(0, 3, 60)]
    y = rng.normal(size=60)
    named = {"y": y, "f": f, "h": h}
    plain = {"y": y, "f": np.array([{"u": "a", "u:v": "b", "w": "c"}[v] for v in f]),
             "h": np.array([{"v:w": "a", "w": "b", "x": "c"}[v] for v in h])}  # fmt: skip
    for tool in ("anova", "joint_tests"):
        one, two = (getattr(mm.lm("y ~ f * h", d), tool)()["statistic"] for d in (named, plain))
        np.testing.assert_allclose(one, two, rtol=1e-9)
    means = [mm.lm("y ~ f * h", d).emmeans("f:h")["estimate"] for d in (named, plain)]
    np.testing.assert_allclose(means[0], means[1], rtol=1e-9)
    fits = [mm.lmm("y ~ 1 + (1 | f:h)", d) for d in (named, plain)]
    assert fits[0].ngroups == fits[1].ngroups
