"""A generalised model with changes, and tools that are for linear models alone."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError

CBPP = mm.datasets.load("cbpp")
FORMULA = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
FIT = mm.glmm(FORMULA, CBPP, "binomial")


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        (
            {"formula": ". ~ . - period"},
            {"formula": "cbind(incidence, size - incidence) ~ 1 + (1 | herd)", "family": "binomial"},
        ),
        ({"family": "betabinomial"}, {"formula": FORMULA, "family": "betabinomial"}),
        ({"link": "probit"}, {"formula": FORMULA, "family": "binomial", "link": "probit"}),
        ({"data": CBPP.head(40)}, {"formula": FORMULA, "family": "binomial", "data": CBPP.head(40)}),
    ],
)
def test_changes_give_the_model_that_is_written_so(changes, same) -> None:
    ours = FIT.update(changes.pop("formula", None), **changes)
    theirs = mm.glmm(**{"data": CBPP, **same})
    np.testing.assert_allclose(ours.criterion, theirs.criterion, rtol=1e-9)
    np.testing.assert_allclose(ours.beta, theirs.beta, rtol=1e-5)


def test_a_method_leaves_behind_what_belongs_to_another() -> None:
    there = FIT.update(method="rspl")
    assert there.distribution.pseudo
    back = there.update(method="laplace")
    np.testing.assert_allclose(back.criterion, FIT.criterion, rtol=1e-10)


def test_arrays_of_the_old_data_are_not_taken_for_the_new() -> None:
    fit = mm.glmm("incidence ~ period + (1 | herd)", CBPP, "binomial", trials=CBPP["size"].to_numpy())
    np.testing.assert_allclose(fit.criterion, FIT.criterion, rtol=1e-9)
    smaller = fit.update(". ~ . - period")
    np.testing.assert_allclose(smaller.criterion, FIT.update(". ~ . - period").criterion, rtol=1e-9)
    with pytest.raises(SpecError, match="trials= was given as an array for the old data"):
        fit.update(data=CBPP.head(40))
    again = fit.update(data=CBPP.head(40), trials="size")
    np.testing.assert_allclose(again.criterion, FIT.update(data=CBPP.head(40)).criterion, rtol=1e-9)


def test_an_offset_beside_the_formula_is_kept() -> None:
    frame = CBPP.assign(log_size=np.log(CBPP["size"]))
    beside = mm.glmm("incidence ~ period + (1 | herd)", frame, "poisson", offset="log_size")
    inside = mm.glmm("incidence ~ period + offset(log_size) + (1 | herd)", frame, "poisson")
    np.testing.assert_allclose(beside.criterion, inside.criterion, rtol=1e-10)
    ours, theirs = (fit.update(". ~ . - period").criterion for fit in (beside, inside))
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_terms_taken_out_are_those_of_smaller_models() -> None:
    smaller = FIT.update(". ~ . - period")
    assert FIT.drop1().row(1)["aic"] == pytest.approx(smaller.aic, rel=1e-9)
    alone = mm.glm("cbind(incidence, size - incidence) ~ period", CBPP, "binomial")
    assert FIT.ranova().row(1)["loglik"] == pytest.approx(alone.loglik, rel=1e-9)


@pytest.mark.parametrize("tool", ["marginal_cov", "residual_cov"])
def test_tools_of_linear_models_say_so(tool: str) -> None:
    with pytest.raises(
        SpecError, match=rf"fit\.{tool} is for linear mixed models; this fit is of family 'binomial'"
    ):
        getattr(FIT, tool)("1")


def test_linear_models_have_no_family_to_change() -> None:
    with pytest.raises(SpecError, match="family= is an argument of glmm"):
        mm.lmm("incidence ~ period + (1 | herd)", CBPP).update(family="poisson")
