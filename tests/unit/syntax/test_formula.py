"""Every form of formula is read as meant, and what cannot be read is pointed at."""

from __future__ import annotations

import pickle

import pandas as pd
import pytest

from mixedmodels.errors import SpecError
from mixedmodels.spec import SplineSpec, StructureSpec
from mixedmodels.syntax.formula import parse_formula, read_formula


def random_terms(text: str) -> list[str]:
    return [str(term) for term in parse_formula(f"y ~ x + {text}").random]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("(1 | g)", ["(1 | g)"]),
        ("(1|g)", ["(1 | g)"]),
        ("(t | g)", ["(1 + t | g)"]),
        ("(1 + t | g)", ["(1 + t | g)"]),
        ("(0 + t | g)", ["(0 + t | g)"]),
        ("(t - 1 | g)", ["(0 + t | g)"]),
        ("(1 + t || g)", ["diag(1 + t | g)"]),
        ("(f || g)", ["diag(1 + f | g)"]),
        ("(1 | a/b)", ["(1 | a)", "(1 | a:b)"]),
        ("(1 | a/b/c)", ["(1 | a)", "(1 | a:b)", "(1 | a:b:c)"]),
        ("(1 | a*b)", ["(1 | a)", "(1 | b)", "(1 | a:b)"]),
        ("(t | a/b)", ["(1 + t | a)", "(1 + t | a:b)"]),
        ("(1 | a:b)", ["(1 | a:b)"]),
        ("(1 | (a/b))", ["(1 | a)", "(1 | a:b)"]),
        ("(1 | factor(g))", ["(1 | g)"]),
        ("(1 | my.group)", ["(1 | `my.group`)"]),
        ("(1 | `my group`)", ["(1 | `my group`)"]),
        ("(1 | a) + (1 | b)", ["(1 | a)", "(1 | b)"]),
        ("(1 | g) + (0 + t | g)", ["(1 | g)", "(0 + t | g)"]),
        ("((1 | g))", None),
        ("(x | 1)", ["(1 + x | 1)"]),
        ("us(1 + t | g)", ["(1 + t | g)"]),
        ("diag(0 + f | g)", ["diag(0 + f | g)"]),
        ("homdiag(0 + z1 + z2 | all)", ["homdiag(0 + z1 + z2 | all)"]),
        ("cs(0 + f | g)", ["cs(0 + f | g)"]),
        ("hcs(0 + f | g)", ["hcs(0 + f | g)"]),
        ("ar1(0 + week | plot)", ["ar1(0 + week | plot)"]),
        ("ar1(week | plot)", ["ar1(0 + week | plot)"]),
        ("har1(week | plot)", ["har1(0 + week | plot)"]),
        ("AR(1)(week | plot)", ["ar1(0 + week | plot)"]),
        ("ARH(1)(week | plot)", ["har1(0 + week | plot)"]),
        ("corAR1(week | plot)", ["ar1(0 + week | plot)"]),
        ("UN(0 + f | g)", ["(0 + f | g)"]),
        ("toep(0 + week | id, q=3)", ["toep(3)(0 + week | id)"]),
        ("toep(3)(week | id)", ["toep(3)(0 + week | id)"]),
        ("fa(0 + trait | id, q=2)", ["fa(2)(0 + trait | id)"]),
        ("fa(2)(0 + trait | id)", ["fa(2)(0 + trait | id)"]),
        ("ARMA(1,1)(week | id)", ["arma(0 + week | id)"]),
        ("(1 | id, by=sex)", ["(1 | id, by=sex)"]),
        ("diag(0 + f | g, by=sex)", ["diag(0 + f | g, by=sex)"]),
        ("(1 | animal, cov=A)", ["(1 | animal, cov=A)"]),
        ("(1 | site, precision=Q)", ["(1 | site, precision=Q)"]),
        ("exp(x, y | field)", ["exp(x, y | field)"]),
        ("exp(x, y | field, nugget=True)", ["exp(x, y | field, nugget=True)"]),
        ("exp(x, y | 1)", ["exp(x, y | 1)"]),
        ("car1(time | id)", ["car1(time | id)"]),
        ("car1(0 + time | id)", ["car1(time | id)"]),
        ("kron(us, ar1)(trait, week | id)", ["kron(us, ar1)(trait, week | id)"]),
    ],
)
def test_random_terms(written: str, read: list[str] | None) -> None:
    if read is None:
        with pytest.raises(SpecError, match="stands on its own"):
            random_terms(written)
        return
    assert random_terms(written) == read
    assert random_terms(" + ".join(read)) == read  # what is printed can be read again


def test_coordinates_are_marked() -> None:
    (term,) = parse_formula("y ~ exp(lon, lat | field)").random
    assert term.coordinates
    assert term.effects == "lon, lat"
    assert not parse_formula("y ~ ar1(week | id)").random[0].coordinates


def test_kronecker_parts() -> None:
    (term,) = parse_formula("y ~ kron(UN, AR(1))(trait, week | id)").random
    assert term.structure == StructureSpec("kron", parts=(StructureSpec("us"), StructureSpec("ar1")))


@pytest.mark.parametrize(
    ("formula", "response", "fixed", "offsets"),
    [
        ("y ~ x", "y", "1 + x", ()),
        ("y ~ (1 | g)", "y", "1", ()),
        ("y ~ 0 + (1 | g)", "y", "0", ()),
        ("log(y) ~ x", "log(y)", "1 + x", ()),
        ("y / 10 ~ x", "y / 10", "1 + x", ()),
        ("y^2 ~ x", "y ** 2", "1 + x", ()),
        ("`the y` ~ x", "`the y`", "1 + x", ()),
        ("y ~ x + offset(log(n)) + offset(z)", "y", "1 + x", ("log(n)", "z")),
        ("y ~ cs(x, df=3) + exp(z)", "y", "1 + cs(x, df=3) + exp(z)", ()),
        ("y ~ I(a > 0 | b > 0)", "y", "1 + I(a > 0 | b > 0)", ()),
    ],
)
def test_other_parts(formula: str, response: str, fixed: str, offsets: tuple[str, ...]) -> None:
    parsed = parse_formula(formula)
    assert (parsed.response, parsed.fixed, parsed.offsets) == (response, fixed, offsets)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("spline(x)", SplineSpec("x", 2, 20)),
        ("spline(x, degree=1, knots=5)", SplineSpec("x", 1, 5)),
        ("spline(x, knots=[1, 2.5, 4])", SplineSpec("x", 2, (1.0, 2.5, 4.0))),
        ("spline(x, knots=c(-1, 0))", SplineSpec("x", 2, (-1.0, 0.0))),
        ("spline(`a b`)", SplineSpec("a b", 2, 20)),
    ],
)
def test_splines(written: str, read: SplineSpec) -> None:
    assert parse_formula(f"y ~ {written}").smooths == (read,)
    assert parse_formula(f"y ~ {read}").smooths == (read,)


@pytest.mark.parametrize(
    ("formula", "pointed_at", "message"),
    [
        ("y x", "x", "operator is missing between 'y' and 'x'"),
        ("y + x", "y + x", "needs '~'"),
        ("y ~ x ~ z", "~", "one '~'"),
        ("~ x", "~", "name the response"),
        ("y ~", " ", "nothing follows '~'"),
        ("y ~ x +", "+", "nothing follows this sign"),
        ("(1 | g) ~ x", "(1 | g)", "right of '~'"),
        ("y ~ (1 | )", ")", "name the grouping factor"),
        ("y ~ ( | g)", "|", "left side of the bar is empty"),
        ("y ~ 1 | g", "|", "stands in parentheses"),
        ("y ~ x + (1 | g) | z", "|", "stands in parentheses"),
        ("y ~ x * (1 | g)", "x * (1 | g)", "cannot enter a product"),
        ("y ~ x - (1 | g)", "(1 | g)", "cannot be subtracted"),
        ("y ~ (x + (1 | g))", "(x + (1 | g))", "stands on its own"),
        ("y ~ (1 | g | h)", "|", "one bar"),
        ("y ~ us(1 + x || g)", "||", "use one bar"),
        ("y ~ uss(x | g)", "uss", "Did you mean 'us'"),
        ("y ~ (1 | g, bye=sex)", "bye", "Did you mean 'by'"),
        ("y ~ (1 | g, sex)", "sex", "options such as by=sex"),
        ("y ~ (1 | g, by=a, by=b)", "by=b", "given twice"),
        ("y ~ (1 | g, cov=A, precision=Q)", "precision=Q", "not both"),
        ("y ~ (1 | g, by=sex, cov=A)", "(1 | g, by=sex, cov=A)", "cannot be combined"),
        ("y ~ (1 | a/b, cov=A)", "(1 | a/b, cov=A)", "write the nested terms separately"),
        ("y ~ (1 | g, q=2)", "q=2", "belong to a named structure"),
        ("y ~ fa(2)(0 + f | g, q=3)", "q=3", "given twice"),
        ("y ~ fa(0 + f | g, q=x)", "x", "positive whole number"),
        ("y ~ exp(x, y | f, nugget=maybe)", "maybe", "True or False"),
        ("y ~ (1 | a + b)", "+", "separate terms"),
        ("y ~ (1 | log(x))", "log(x)", "joined by ':' or '/'"),
        ("y ~ (0 | g)", "0", "no effect"),
        ("y ~ (x, z | g)", ",", "commas separate coordinates"),
        ("y ~ ar1(1 + week | g)", "1 + week", "takes positions"),
        ("y ~ exp(x * y | g)", "x * y", "takes coordinate columns"),
        ("y ~ kron(us, ar1)(week | id)", "week", "one factor per structure"),
        ("y ~ exp(x, y)", "y", "at most one argument"),
        ("y ~ lgo(x)", "lgo", "Did you mean 'log'"),
        ("y ~ spline(log(x))", "log(x)", "takes a numeric column first"),
        ("y ~ spline(x, knot=3)", "knot=3", "degree= and knots="),
        ("y ~ spline(x, knots=0)", "0", "positive whole number"),
        ("y ~ spline(x, knots=[2, 1])", "[2, 1]", "must increase"),
        ("y ~ spline(x, knots=[a])", "[a]", "list of numbers"),
        ("y ~ x:spline(z)", "x:spline(z)", "term of its own"),
        ("y ~ offset()", None, "expected here"),
    ],
)
def test_errors_point_at_the_token(formula: str, pointed_at: str | None, message: str | None) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        parse_formula(formula)
    lines = str(caught.value).splitlines()
    assert lines[-2] == formula
    if pointed_at is not None:
        start, length = lines[-1].index("^"), lines[-1].count("^")
        assert formula.ljust(start + length)[start : start + length] == pointed_at


def test_a_term_written_twice() -> None:
    with pytest.raises(SpecError, match="written twice"):
        parse_formula("y ~ (1 | g) + (1|g)")


def test_the_formula_must_be_text() -> None:
    with pytest.raises(SpecError, match="not int"):
        read_formula(3)  # type: ignore[arg-type]


def test_arguments_beside_the_formula() -> None:
    spec = read_formula(
        "y ~ x + (1 | g)",
        residual="ar1(week | g)",
        variance="ident(sex) * power(age)",
        weights="w",
        method="ml",
        contrasts={"sex": "contr.sum"},
        na="raise",
        start={"var(g)": 2},
        hold="residual",
        ddf="residual",
    )
    assert str(spec.residual) == "ar1(week | g)"
    assert [str(v) for v in spec.variance] == ["ident(sex)", "power(age)"]
    assert (spec.weights, spec.method, spec.na, spec.ddf) == ("w", "ml", "raise", "residual")
    assert spec.contrasts == (("sex", "sum"),)
    assert spec.start == (("var(g)", 2.0),)
    assert spec.hold == ("residual",)
    assert spec.formula == "y ~ x + (1 | g)"
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_hold_with_values() -> None:
    assert read_formula("y ~ x", hold={"a": 1, "b": 2}).hold == (("a", 1.0), ("b", 2.0))
    assert read_formula("y ~ x", hold=["a", "b"]).hold == ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "mle"}, "method='mle'"),
        ({"na": "omit"}, "na='omit'"),
        ({"bounds": "no"}, "bounds='no'"),
        ({"contrasts": {"a": "summ"}}, "Did you mean 'sum'"),
        ({"start": {"a": "x"}}, "start="),
        ({"start": [1, 2]}, "start="),
    ],
)
def test_arguments_are_checked(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_formula("y ~ x", **arguments)  # type: ignore[arg-type]


def test_weights_as_an_array_are_data() -> None:
    assert read_formula("y ~ x", weights=[1.0, 2.0]).weights is None


def test_contrast_matrices_with_labels_of_their_own_are_refused() -> None:
    """Rows go by position: those of a frame in another order would be silently wrong."""
    numbers = [[1.0, 0.0], [-0.5, 1.0], [-0.5, -1.0]]
    plain = read_formula("y ~ b", contrasts={"b": pd.DataFrame(numbers)})
    assert plain.contrasts == read_formula("y ~ b", contrasts={"b": numbers}).contrasts
    with pytest.raises(SpecError, match="rows labelled z, x, y, but rows go by the order of the levels"):
        read_formula("y ~ b", contrasts={"b": pd.DataFrame(numbers, index=["z", "x", "y"])})
