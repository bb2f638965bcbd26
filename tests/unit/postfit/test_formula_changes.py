"""Formulas written as changes to others."""

from __future__ import annotations

import pytest

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


def test_a_dot_inside_a_product_is_refused() -> None:
    with pytest.raises(SpecError, match="stands alone"):
        change_formula(OLD, ". ~ .:w")


def test_a_formula_without_tilde_is_refused() -> None:
    with pytest.raises(SpecError, match="needs one '~'"):
        change_formula(OLD, ". + x")
