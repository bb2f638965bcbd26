"""What is asked of a fit that it cannot do: one clear sentence each."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit


@pytest.fixture(scope="module")
def oats() -> Fit:
    return mm.lmm("yield ~ Variety * factor(nitro) + (1 | Block/Variety)", mm.datasets.load("oats"))


REFUSED: dict[str, tuple[Callable[[Fit], Any], str]] = {
    "simulated halves": (lambda f: f.simulate(2.5), "n=2.5 must be a whole number"),
    "simulated none": (lambda f: f.simulate(0), "n=0 must be a whole number"),
    "seed of text": (lambda f: f.simulate(1, seed="a"), "seed='a' must be a whole number"),
    "constant response": (lambda f: f.refit(np.ones(72)), "the same in every row"),
    "constant column": (lambda f: f.refit(np.ones((72, 2))), "response 1 of 2 is the same"),
    "response of text": (lambda f: f.refit(["a"] * 72), "must be numbers"),
    "short response": (lambda f: f.refit(np.ones(5)), "5 rows and the model 72"),
    "open hypothesis": (lambda f: f.test("Variety[T.Victory] = "), "nothing stands on one side of '='"),
    "chained hypothesis": (lambda f: f.test("Variety[T.Victory] == 0"), "more than one '='"),
    "unknown coefficient": (lambda f: f.test("Victory = 0"), "no coefficient 'Victory'"),
    "type 4": (lambda f: f.anova(4), "type=4 is not known. Allowed: 1, 2, 3"),
    "level of 95": (lambda f: f.fixed_effects(level=95), "level=95 must lie between 0 and 1"),
    "level of text": (lambda f: f.fixed_effects(level="0.9"), "level='0.9' must lie between 0 and 1"),
    "probability as level": (lambda f: f.predict(level=0.95), "probability of intervals is confidence="),
    "unknown term": (lambda f: f.confint(terms="xx"), "no parameter 'xx'"),
    "unknown factor": (lambda f: f.emmeans("variety"), "Did you mean 'Variety'"),
    "unknown level": (
        lambda f: f.emmeans("Variety", at={"Variety": ["q"]}),
        "'q' is not a level of 'Variety'",
    ),
    "unknown adjustment": (lambda f: f.emmeans("Variety").contrast(adjust="tuky"), "Did you mean 'tukey'"),
    "one value": (lambda f: f.predict({"Variety": "Victory"}), "column 'nitro' is not in the data"),
    "no column": (lambda f: f.predict({"nitro": [0.2]}), "'Variety' is not in the data"),
    "new level": (
        lambda f: f.predict({"nitro": [0.2], "Variety": ["New"], "Block": ["I"]}),
        "'Variety' has levels that were not in the data of the fit: 'New'",
    ),
    "unknown cluster": (lambda f: f.marginal_cov("zz"), "'zz' is not a level"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_requests_are_refused_by_name(name: str, oats: Fit) -> None:
    ask, message = REFUSED[name]
    with pytest.raises(mm.MixedModelsError, match=message):
        ask(oats)


@pytest.mark.parametrize(
    ("name", "ours"), [("ranef", "random_effects"), ("fixef", "params"), ("fixed_effect", "fixed_effects")]
)
def test_names_of_other_packages_are_answered(name: str, ours: str, oats: Fit) -> None:
    with pytest.raises(AttributeError, match=f"no attribute '{name}'. Did you mean '{ours}'"):
        getattr(oats, name)
    assert not hasattr(oats, "__array_interface__")
    assert copy.copy(pickle.loads(pickle.dumps(oats))).nobs == 72


def test_update_changes_every_argument() -> None:
    data = mm.datasets.load("orthodont")
    fit = mm.lmm("Y ~ sex * age + (1 | id)", data)
    serial = fit.update(residual="ar1(age | id)", variance="ident(sex)", na="raise")
    direct = mm.lmm("Y ~ sex * age + (1 | id)", data, residual="ar1(age | id)", variance="ident(sex)")
    assert serial.criterion == pytest.approx(direct.criterion, abs=1e-8)
    assert serial.spec.na == "raise"
    assert serial.update(residual=None, variance=None).criterion == pytest.approx(fit.criterion, abs=1e-8)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("threads", "2"), ("threads", -1), ("threads", True), ("memory", -1), ("memory", "8e9"), ("engine", 5),
        ("max_iterations", 2.5), ("max_iterations", 0), ("decrement", None), ("decrement", 0),
        ("decrement", float("nan")), ("rank_tolerance", -1),
    ],
)  # fmt: skip
def test_settings_are_checked(setting: str, value: object) -> None:
    with pytest.raises(mm.SpecError, match=f"control: {setting}="):
        mm.Control(**{setting: value})
