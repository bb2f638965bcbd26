"""Residual structures and variance functions as text."""

from __future__ import annotations

import pytest

from mixedmodels.errors import SpecError
from mixedmodels.spec import StructureSpec
from mixedmodels.syntax.structure_call import read_residual, read_variance


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("ar1(week | id)", "ar1(week | id)"),
        ("us(visit | id, by=arm)", "us(visit | id, by=arm)"),
        ("cs(1 | Rail)", "cs(1 | Rail)"),
        ("toep(visit | id, q=3)", "toep(3)(visit | id)"),
        ("toep(3)(visit | id)", "toep(3)(visit | id)"),
        ("TOEP(3)(visit | id)", "toep(3)(visit | id)"),
        ("exp(x, y | field)", "exp(x, y | field)"),
        ("exp(x + y | field, nugget=True)", "exp(x, y | field, nugget=True)"),
        ("ar1(0 + week | id)", "ar1(week | id)"),
        ("corAR1(week | id)", "ar1(week | id)"),
        ("ar1(week | school/pupil)", "ar1(week | school:pupil)"),
        ("ARMA(1,1)(week | id)", "arma(week | id)"),
        ("kron(us, ar1)(trait, week | id)", "kron(us, ar1)(trait, week | id)"),
    ],
)
def test_residual_structures(written: str, read: str) -> None:
    residual = read_residual(written)
    assert str(residual) == read
    assert read_residual(read) == residual


def test_parts_of_a_residual_structure() -> None:
    residual = read_residual("har1(week | id, by=arm)")
    assert residual.structure == StructureSpec("har1")
    assert (residual.position, residual.cluster, residual.by) == (("week",), ("id",), "arm")
    assert read_residual("cs(1 | g)").position == ()
    assert read_residual("ar1(week | 1)").cluster == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("(week | id)", "name the residual structure"),
        ("ar1", "written name"),
        ("arr1(week | id)", "Did you mean"),
        ("ar1(week || id)", "use one bar"),
        ("exp(x, y)", "right of a bar"),
        ("ar1(week | id, cov=A)", "belongs to a random term"),
        ("ar1(log(week) | id)", "stands a column"),
        ("toep(a)(week | id)", "whole numbers"),
        ("ar1(week | )", "name the grouping factor"),
        ("banded_us(week | id)", "write banded_us"),
        ("ar1(2)(week | id)", "takes no order"),
        ("3(week | id)", "operator is missing"),
        ("(us)(week | id)", "name of a covariance structure"),
    ],
)
def test_residual_errors(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_residual(text)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("ident(sex)", ["ident(sex)"]),
        ("varIdent(sex)", ["ident(sex)"]),
        ("power(fitted)", ["power(fitted)"]),
        ("power(age, by=sex)", ["power(age, by=sex)"]),
        ("const_power(fitted)", ["const_power(fitted)"]),
        ("ident(sex) * power(age)", ["ident(sex)", "power(age)"]),
        ("ident(sex, arm)", ["ident(sex, arm)"]),
        ("fixed(x)", ["fixed(x)"]),
    ],
)
def test_variance_functions(written: str, read: list[str]) -> None:
    assert [str(part) for part in read_variance(written)] == read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is written"),
        ("idnt(sex)", "Did you mean 'ident'"),
        ("ident", "say what the variance depends on"),
        ("power()", "power\\(fitted\\)"),
        ("ident(sex) *", "is written"),
        ("ident(log(sex))", "a name is expected"),
    ],
)
def test_variance_errors(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_variance(text)


@pytest.mark.parametrize(
    ("written", "order"),
    [
        ("arma(p=0, q=2)(v | g)", (0, 2)),
        ("arma(q=2)(v | g)", (0, 2)),
        ("arma(v | g, q=2)", (0, 2)),
        ("arma(v | g, p=0, q=2)", (0, 2)),
        ("arma(v | g, p=2)", (2, 0)),
        ("fa(q=2)(v | g)", (2,)),
        ("fa(v | g, q=2)", (2,)),
    ],
)
def test_orders_by_name_are_as_in_corARMA(written: str, order: tuple[int, ...]) -> None:
    assert read_residual(written).structure.order == order


@pytest.mark.parametrize(
    "written", ["fa(v | g, q=0)", "fa(q=0)(v | g)", "arma(p=1, p=2)(v | g)", "arma(p=x)(v | g)"]
)
def test_orders_by_name_that_are_none_are_pointed_at(written: str) -> None:
    with pytest.raises(SpecError, match="whole number"):
        read_residual(written)
