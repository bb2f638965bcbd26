"""Every tool that takes a method for degrees of freedom takes the information it is computed from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit


@pytest.fixture(scope="module")
def fit() -> Fit:
    data = mm.datasets.load("oats", backend="pandas").iloc[:-5]
    return mm.lmm("yield ~ Variety + nitro + (1 | Block) + (1 | Block:Variety)", data)


TOOLS: dict[str, Callable[..., Any]] = {
    "wald": lambda fit, **given: fit.wald([0, 1, 0, 0], **given)["df"],
    "test": lambda fit, **given: fit.test([0, 1, 0, 0], **given)["den_df"],
    "fixed_effects": lambda fit, **given: fit.fixed_effects(**given)["df"][1:2],
    "tidy": lambda fit, **given: fit.tidy(**given)["df"][1:2],
    "contrast": lambda fit, **given: fit.emmeans("Variety", **given).contrast("trt.vs.ctrl")["df"][:1],
}


@pytest.mark.parametrize("tool", TOOLS)
def test_information_is_passed_on(fit: Fit, tool: str) -> None:
    for information in ("observed", "expected"):
        found = TOOLS[tool](fit, ddf="satterthwaite", information=information)
        reference = fit.wald([0, 1, 0, 0], ddf="satterthwaite", information=information)["df"]
        np.testing.assert_allclose(found, reference, rtol=1e-8)
    observed, expected = (
        fit.wald([0, 1, 0, 0], information=one)["df"][0] for one in ("observed", "expected")
    )
    assert abs(observed - expected) > 0.05


@pytest.mark.parametrize(
    "ask",
    [
        lambda fit, one: fit.anova(information=one)["den_df"],
        lambda fit, one: fit.joint_tests(information=one)["den_df"],
        lambda fit, one: fit.conf_int(information=one)["conf_low"],
        lambda fit, one: fit.emtrends("nitro", information=one)["df"],
        lambda fit, one: fit.predict(level="population", interval="confidence", information=one)["lower"],
    ],
)
def test_information_changes_the_answer(fit: Fit, ask: Callable[[Fit, str], Any]) -> None:
    assert not np.allclose(ask(fit, "observed"), ask(fit, "expected"), rtol=1e-6)
