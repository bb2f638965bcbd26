"""Functions of the caller, `context={"f": f}`: called with arrays, kept with the fit, checked."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm

RNG = np.random.default_rng(5)
N = 48
DATA: dict[str, Any] = {
    "y": RNG.normal(size=N),
    "x": RNG.uniform(1, 2, N),
    "z": RNG.uniform(1, 2, N),
    "arm": np.array(["a", "b"])[RNG.integers(0, 2, N)],
    "g": np.repeat(list("pqrstuvw"), 6),
}


def bend(x: np.ndarray, knot: float = 1.5) -> np.ndarray:
    return np.maximum(np.asarray(x) - knot, 0.0)


def test_every_verb_takes_them() -> None:
    bent = {**DATA, "b": bend(DATA["x"])}
    own = {"context": {"bend": bend}}
    pairs = [
        (mm.lm("y ~ x + bend(x)", DATA, **own), mm.lm("y ~ x + b", bent)),
        (mm.lmm("y ~ bend(x) * arm + (1 | g)", DATA, **own), mm.lmm("y ~ b * arm + (1 | g)", bent)),
        (mm.lmm("y ~ x + (0 + bend(x) | g)", DATA, **own), mm.lmm("y ~ x + (0 + b | g)", bent)),
        (mm.lmer("y ~ bend(x) + (1 | g)", DATA, **own), mm.lmer("y ~ b + (1 | g)", bent)),
        (
            mm.gls("bend(x) ~ z", DATA, residual="cs(1 | g)", **own),
            mm.gls("b ~ z", bent, residual="cs(1 | g)"),
        ),
        (mm.mmrm("y ~ bend(x) + cs(1 | g)", DATA, **own), mm.mmrm("y ~ b + cs(1 | g)", bent)),
        (mm.lm("y ~ z + offset(bend(x))", DATA, **own), mm.lm("y ~ z + offset(b)", bent)),
        (mm.lm("y ~ I(bend(x, knot=1.5) + log(z))", DATA, **own), mm.lm("y ~ I(b + log(z))", bent)),
    ]
    for found, wanted in pairs:
        np.testing.assert_allclose(found.beta, wanted.beta, rtol=1e-9)
        assert found.criterion == pytest.approx(wanted.criterion, rel=1e-9)


def test_they_are_kept_for_new_data_and_tools() -> None:
    fit = mm.lmm("y ~ x + bend(x) * arm + (1 | g)", DATA, context={"bend": bend, "unused": len})
    assert fit.spec.functions == ("bend",)
    new = {"x": [1.2, 1.9], "arm": ["a", "b"]}
    found = fit.predict(new, level="population")
    np.testing.assert_allclose(
        pickle.loads(pickle.dumps(fit)).predict(new, level="population"), found, rtol=1e-12
    )
    b = bend(np.array(new["x"]))
    x = np.column_stack([np.ones(2), new["x"], b, [0, 1], b * [0, 1]])
    np.testing.assert_allclose(found, x @ fit.beta, rtol=1e-9)
    assert fit.update(". ~ . - arm - bend(x):arm").design.fixed.columns == ("(Intercept)", "x", "bend(x)")
    assert len(fit.emtrends("x", "arm")) == 2
    assert fit.refit(DATA["y"] + 1.0).beta[0] == pytest.approx(fit.beta[0] + 1.0)


def test_one_that_does_not_pickle_is_named() -> None:
    fit = mm.lmm("y ~ lost(x) + (1 | g)", DATA, context={"lost": lambda x: x**2})
    assert fit.predict({"x": [1.0]}, level="population").shape == (1,)
    again = pickle.loads(pickle.dumps(fit))
    assert again.params[1] == fit.params[1]
    assert "lost(x)" in str(again)
    with pytest.raises(mm.SpecError, match="'lost', a function of your own in the formula, does not pickle"):
        again.predict({"x": [1.0]}, level="population")


def test_what_a_function_does_to_its_arguments_stays_with_it() -> None:
    def spoil(x: np.ndarray) -> np.ndarray:
        out = x.copy()
        x[:] = 0.0
        return out

    before = DATA["x"].copy()
    mm.lm("y ~ spoil(x) + x", DATA, context={"spoil": spoil})
    np.testing.assert_array_equal(DATA["x"], before)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: 1.0, r"gave one number for 48 rows"),
        (lambda x: x[:5], r"gave an array of shape \(5,\) for 48 rows"),
        (lambda x: np.column_stack([x, x]), r"shape \(48, 2\)"),
        (lambda x: ["a"] * len(x), "failed: ValueError"),
        (lambda x: x / 0, r"f\(x\) is not finite"),
        (lambda x: 1 / 0, "failed: ZeroDivisionError"),
        (lambda: 1, "failed: TypeError"),
    ],
)
def test_what_a_function_gives_is_checked(function: Any, message: str) -> None:
    with pytest.raises(mm.DataError, match=message):
        mm.lm("y ~ f(x)", DATA, context={"f": function})


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (None, "unknown function 'f'"),
        ({"g": np.sin}, "unknown function 'f'"),
        ({"f": 3}, "'f' is int and no function"),
        ({"log": np.log, "f": np.sin}, "'log' is a word of the formula language"),
        ({"a b": np.sin}, "no name of a function"),
        ([np.sin], "must map names to functions"),
    ],
)
def test_the_argument_is_checked(context: Any, message: str) -> None:
    with pytest.raises(mm.SpecError, match=message):
        mm.lm("y ~ f(x)", DATA, context=context)


def test_strangers_cannot_hand_texts_to_your_functions() -> None:
    with pytest.raises(mm.SpecError, match="takes columns and numbers"):
        mm.lm("y ~ f('/etc/passwd')", DATA, context={"f": np.sin})
