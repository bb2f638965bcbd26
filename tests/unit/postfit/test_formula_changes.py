"""Formulas written as changes to others."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError
from mixedmodels.postfit.formula_changes import change_formula

OLD = "y ~ 1 + x * z + (1 + x | g)"


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (". ~ .", "y ~ 1 + x * z + (1 + x | g)"),
        (". ~ . + w", "y ~ 1 + x * z + (1 + x | g) + w"),
        (". ~ . - (1+x|g) + (1|g)", "y ~ 1 + x * z + (1 | g)"),
        ("log(y) ~ .", "log(y) ~ 1 + x * z + (1 + x | g)"),
        (". ~ . - x:z", "y ~ 1 + x * z + (1 + x | g) - x:z"),
        (". ~ . - 1", "y ~ 1 + x * z + (1 + x | g) - 1"),
        (". ~ w + (1 | g)", "y ~ w + (1 | g)"),
        (". ~ . + I(x * 0.5)", "y ~ 1 + x * z + (1 + x | g) + I(x * 0.5)"),
    ],
)
def test_dot_stands_for_the_old_side(new: str, expected: str) -> None:
    assert change_formula(OLD, new) == expected


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("~ . + w", "y ~ a + b + (1 | g) + w"),
        (". ~ .^2", "y ~ (a + b) ** 2 + (1 | g)"),
        (". ~ .:w", "y ~ (a + b):w + (1 | g)"),
        (". ~ . + .:w", "y ~ a + b + (1 | g) + (a + b):w"),
        ("log(.) ~ .", "log(y) ~ a + b + (1 | g)"),
        ("sqrt(. + 1) ~ a", "sqrt(y + 1) ~ a"),
        (". ~ . - b + `.`", "y ~ a + (1 | g) + `.`"),
    ],
)
def test_a_dot_as_in_r(new: str, expected: str) -> None:
    assert change_formula("y ~ a + b + (1 | g)", new) == expected


def test_a_dot_beside_a_bar_is_refused() -> None:
    with pytest.raises(SpecError, match="stands alone"):
        change_formula("y ~ x + (1 | g)", ". ~ . * (. | g)")


def test_contrasts_of_a_dropped_factor_are_dropped() -> None:
    data = {"y": np.arange(12.0) % 5, "a": list("pq" * 6), "b": list("uvw" * 4)}
    fit = mm.lm("y ~ a + b", data, contrasts={"a": "sum", "b": "helmert"})
    smaller = fit.update(". ~ . - b")
    assert smaller.spec.contrasts == (("a", "sum"),)
    assert smaller.design.fixed.columns == ("(Intercept)", "a[S.p]")


def test_a_formula_without_tilde_is_refused() -> None:
    with pytest.raises(SpecError, match="needs one '~'"):
        change_formula(OLD, ". + x")
