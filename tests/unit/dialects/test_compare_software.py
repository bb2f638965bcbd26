"""Which program fits a model: the table of the tutorial made executable."""

from __future__ import annotations

from typing import Any

import pytest

import mixedmodels as mm


def _fits(formula: str, **options: Any) -> dict[str, bool]:
    table = mm.compare_software(formula, **options)
    assert table.names == ("program", "fits", "reason", "text")
    for row in map(table.row, range(len(table))):
        assert (row["fits"] == "yes") == bool(row["text"]) == (not row["reason"])
    return {row["program"]: row["fits"] == "yes" for row in map(table.row, range(len(table)))}


def test_the_table_of_the_tutorial() -> None:
    # rows of its table: MIXED, HPMIXED, lme, lmer
    crossed = _fits("y ~ arm + (1 | row) + (1 | column)")
    assert [crossed[name] for name in ("MIXED", "HPMIXED", "lme", "lmer")] == [True, True, False, True]
    correlated = _fits("y ~ arm + (1 | id)", residual="ar1(t | id)")
    assert [correlated[name] for name in ("MIXED", "HPMIXED", "lme", "lmer")] == [True, False, True, False]
    # errors with a variance for each group: the tutorial says No for lme, and fits them with varIdent four slides on
    heterogeneous = _fits("y ~ arm + (1 | id)", variance="ident(sex)")
    assert [heterogeneous[name] for name in ("MIXED", "HPMIXED", "lme", "lmer")] == [True, False, True, False]


@pytest.mark.parametrize(
    ("formula", "options", "programs"),
    [
        ("y ~ x + (1 | g)", {}, {"MIXED", "HPMIXED", "HPLMIXED", "GLIMMIX", "lme", "lmer", "glmmTMB"}),
        ("y ~ x", {"residual": "us(v | id)"}, {"MIXED", "HPLMIXED", "GLIMMIX", "gls", "mmrm"}),
        ("y ~ x + (1 | g)", {"family": "binomial"}, {"GLIMMIX", "lmer", "glmmTMB"}),
        ("y ~ x + (1 | g)", {"family": "nb2"}, {"GLIMMIX", "glmmTMB"}),
        ("y ~ x + ar1(0 + factor(t) | g)", {}, {"MIXED", "HPMIXED", "HPLMIXED", "GLIMMIX", "glmmTMB"}),
        ("y ~ x", {"residual": "exp(a, b | f)"}, {"MIXED", "GLIMMIX", "gls", "mmrm"}),
    ],
)
def test_programs_by_model(formula: str, options: dict[str, str], programs: set[str]) -> None:
    assert {name for name, fits in _fits(formula, **options).items() if fits} == programs


def test_data_say_what_is_a_factor() -> None:
    table = mm.compare_software("Y ~ age * sex + (1 | id)", mm.datasets.load("orthodont"))
    assert "class id sex;" in table.row(0)["text"]
    assert table.notes == ()
    assert mm.compare_software("Y ~ age * sex + (1 | id)").notes


def test_a_formula_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(mm.SpecError):
        mm.compare_software("y ~ x + (1 | ")
    with pytest.raises(mm.SpecError, match="belongs to a family"):
        mm.compare_software("y ~ x + (1 | g)", link="probit")
