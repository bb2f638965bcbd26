"""One model said in two ways is one fit: criterion, fixed effects and their covariance, degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.fit import Fit
from structured_models import visits

CLOSE = {"rtol": 2e-6, "atol": 1e-7}
"""Two searches end within a decrement of 1e-12 of one optimum, but in other parameters: estimates differ by about
1e-6 of their standard errors."""
CONTROL = mm.Control(decrement=1e-12)


@dataclass(frozen=True)
class Said:
    """One way to say a model."""

    formula: str = "y ~ x + arm"
    options: dict[str, Any] = field(default_factory=dict)

    def fit(self, data: pd.DataFrame) -> Fit:
        return mm.lmm(self.formula, data, control=CONTROL, **self.options)


def errors(structure: str, **options: Any) -> Said:
    return Said(options={"residual": structure, **options})


IDENTITIES = {
    "random intercept, cs errors": (Said("y ~ x + arm + (1 | id)"), errors("cs(1 | id)")),
    "both by group": (
        Said("y ~ x + arm + (1 | id, by=arm)", {"variance": "ident(arm)"}),
        errors("cs(1 | id, by=arm)"),
    ),
    "us, fa0 of full rank": (errors("us(visit | id)"), errors("fa0(5)(visit | id)")),
    "us, unr": (errors("us(visit | id)"), errors("unr(visit | id)")),
    "us, kron of us with one level": (errors("us(visit | id)"), errors("kron(us, us)(visit, one | id)")),
    "ar1, car1 over whole numbers": (errors("ar1(visit | id)"), errors("car1(number | id)")),
    "car1, exp": (errors("car1(time | id)"), errors("exp(time | id)")),
    "car1, pow": (errors("car1(time | id)"), errors("pow(time | id)")),
    "exp, mat of smoothness one half": (
        errors("exp(time | id)"),
        errors("mat(time | id)", hold={"smoothness(Residual)": 0.5}),
    ),
    "ident and ar1, har1": (errors("ar1(visit | id)", variance="ident(visit)"), errors("har1(visit | id)")),
    "ident and cs, hcs": (errors("cs(visit | id)", variance="ident(visit)"), errors("hcs(visit | id)")),
    "ident, diag": (Said(options={"variance": "ident(visit)"}), errors("diag(visit | id)")),
    "ident, diag beside a random intercept": (
        Said("y ~ x + arm + (1 | id)", {"variance": "ident(visit)"}),
        Said("y ~ x + arm + (1 | id)", {"residual": "diag(visit | id)"}),
    ),
    "weights, fixed": (
        errors("ar1(visit | id)", weights="w"),
        errors("ar1(visit | id)", variance="fixed(v)"),
    ),
    "nuggets of ar1 and exp": (
        errors("ar1(visit | id, nugget=True)"),
        errors("exp(number | id, nugget=True)"),
    ),
}


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    frame = visits()
    return frame.assign(number=frame["visit"], one="same", v=1 / frame["w"], visit=frame["visit"].astype(str))


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", IDENTITIES)
def test_two_ways_of_saying_a_model(name: str, method: str, data: pd.DataFrame) -> None:
    one, other = (said.fit(data) for said in IDENTITIES[name])
    assert one.converged
    assert other.converged
    assert one.criterion == pytest.approx(other.criterion, abs=1e-8)
    np.testing.assert_allclose(one.beta, other.beta, **CLOSE)
    np.testing.assert_allclose(one.vcov, other.vcov, **CLOSE)


@pytest.mark.parametrize("name", IDENTITIES)
def test_degrees_of_freedom_are_those_of_the_model(name: str, data: pd.DataFrame) -> None:
    """Satterthwaite's do not depend on the parameters that a model is written in."""
    one, other = (said.fit(data).fixed_effects(ddf="satterthwaite") for said in IDENTITIES[name])
    np.testing.assert_allclose(one["df"], other["df"], rtol=1e-5)
