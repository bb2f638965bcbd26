"""Models written as calls of nlme, and read again."""

from __future__ import annotations

import pytest

import mixedmodels as mm


@pytest.mark.parametrize(
    ("formula", "options", "reason"),
    [
        ("Y ~ age + (1 | id) + (1 | sex)", {}, r"lme has no crossed random effects"),
        ("Y ~ age + (1 | id:sex)", {}, r"make id:sex a column"),
        ("Y ~ age + ar1(0 + factor(age) | id)", {}, r"of the structures of random effects lme has us, diag"),
        ("Y ~ age + (1 | id, by=sex)", {}, r"by=, cov=, precision= and coordinates have no counterpart"),
        ("Y ~ age", {"residual": "toep(age | id)"}, r"of the structures of errors nlme has"),
        ("Y ~ age", {"residual": "ar1(age | id, by=sex)"}, r"the same in every group"),
        ("Y ~ age + (1 | sex)", {"residual": "ar1(age | id)"}, r"correlated within the groups sex alone"),
        ("Y ~ age + offset(age)", {}, r"lme has no offset"),
        ("Y ~ age + (1 | id)", {"bounds": "none"}, r"positive definite"),
    ],
)
def test_what_nlme_does_not_have_is_told_with_the_reason(
    formula: str, options: dict[str, str], reason: str
) -> None:
    fit = mm.lmm(formula, mm.datasets.load("orthodont"), **options)  # type: ignore[arg-type]
    with pytest.raises(mm.SpecError, match=rf"cannot be written for nlme: .*{reason}"):
        fit.to_nlme()
