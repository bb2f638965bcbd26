"""Names, orders and their errors."""

from __future__ import annotations

import numpy as np
import pytest

from mixedmodels.covariance import Positions, bind, structure_class
from mixedmodels.errors import SpecError
from mixedmodels.spec import StructureSpec


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("UN", "us"), ("VC", "diag"), ("CS", "cs"), ("CSH", "hcs"), ("AR(1)", "ar1"),
        ("ARH(1)", "har1"), ("ARMA(1, 1)", "arma"), ("TOEP", "toep"), ("TOEPH", "htoep"),
        ("ANTE(1)", "ante1"), ("UNR", "unr"), ("FA", "fa"), ("FA0", "fa0"), ("FA1", "fa1"),
        ("HF", "hf"), ("LIN", "lin"), ("SP(EXP)", "exp"), ("SP(GAU)", "gau"), ("SP(SPH)", "sph"),
        ("SP(LIN)", "lin_sp"), ("SP(MATERN)", "mat"), ("SP(POW)", "pow"), ("SP(POWA)", "powa"),
        ("SP(EXPA)", "expa"), ("corAR1", "ar1"), ("corCAR1", "car1"), ("corARMA", "arma"),
        ("corCompSymm", "cs"), ("corExp", "exp"), ("corGaus", "gau"), ("corLin", "lin_sp"),
        ("corRatio", "rq"), ("corSpher", "sph"), ("pdDiag", "diag"), ("pdIdent", "homdiag"),
        ("pdSymm", "us"), ("pdCompSymm", "cs"),
    ],
)  # fmt: skip
def test_names_of_sas_and_nlme(alias: str, name: str) -> None:
    assert structure_class(alias).names[0] == name


def test_an_unknown_name_is_met_with_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"unknown covariance structure 'toepp'.*Did you mean 'toep'"):
        structure_class("toepp")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (StructureSpec("us", order=(2,)), r"'us' takes no order, got 1"),
        (StructureSpec("banded_us"), r"write banded_us\(diagonals\), got 0"),
        (StructureSpec("fa", order=(1, 2)), r"write fa or fa\(q\), got 2"),
        (StructureSpec("fa", order=(0,)), "at least 1"),
        (StructureSpec("fa0", order=(-1,)), "at least 1"),
        (StructureSpec("toep", order=(0,)), "at least 1"),
        (StructureSpec("banded_us", order=(0,)), "at least 1"),
        (StructureSpec("arma", order=(0, 0)), "must be positive"),
        (StructureSpec("arma", order=(1.5, 1)), "whole number"),  # type: ignore[arg-type]
        (StructureSpec("powa"), r"write powa\(dimension\)"),
        (StructureSpec("lin"), "no matrices"),
        (StructureSpec("us", nugget=True), "free diagonal"),
        (StructureSpec("kron", parts=(StructureSpec("us"),)), "two structures"),
        (
            StructureSpec("kron", parts=(StructureSpec("us"), StructureSpec("ar1"))),
            "number of levels of each",
        ),
        (StructureSpec("ar1", parts=(StructureSpec("us"),)), "only kron"),
        (
            StructureSpec("kron", order=(2, 2), parts=(StructureSpec("exp"), StructureSpec("us"))),
            "put it second",
        ),
        (
            StructureSpec("kron", order=(2, 2), parts=(StructureSpec("us"), StructureSpec("fa"))),
            "cannot be fixed",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_bound_says_why(spec: StructureSpec, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        bind(spec)


def test_orders_and_options_arrive() -> None:
    assert bind(StructureSpec("TOEP", order=(3,))).size(5) == 3
    assert bind(StructureSpec("arma", order=(2, 1))).size(5) == 4
    assert bind(StructureSpec("powa"), dimension=2).size(5) == 3
    assert bind(StructureSpec("exp", nugget=True)).size(5) == 3
    parts = (StructureSpec("us"), StructureSpec("ar1"), StructureSpec("cs"))
    assert bind(StructureSpec("kron", parts=parts), sizes=(2, 3, 4)).size(24) == 5
    assert bind(StructureSpec("lin"), matrices=(np.eye(2), np.ones((2, 2)))).size(2) == 2


def test_specs_compare_by_value() -> None:
    assert bind(StructureSpec("fa", order=(2,))) == bind(StructureSpec("FA", order=(2,)))
    assert bind(StructureSpec("fa", order=(2,))) != bind(StructureSpec("fa", order=(1,)))


@pytest.mark.parametrize(
    ("name", "at", "message"),
    [
        ("exp", Positions(3, tuple("abc")), "needs coordinates"),
        ("exp", Positions(3, tuple("abc"), np.array([[0.0], [np.nan], [1.0]])), "finite"),
        ("car1", Positions(3, tuple("abc"), np.zeros((3, 2))), "one time"),
        ("cs", Positions(1, ("a",)), "needs 2 positions or more, got 1"),
        ("fa", Positions(1, ("a",)), "needs 2 positions or more"),
    ],
)
def test_positions_that_do_not_suffice(name: str, at: Positions, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        bind(StructureSpec(name)).check(at)


def test_coordinates_and_dimension_must_agree() -> None:
    at = Positions(3, tuple("abc"), np.zeros((3, 2)))
    for name in ("powa", "expa"):
        with pytest.raises(SpecError, match="made for 1 coordinates and is given 2"):
            bind(StructureSpec(name, order=(1,))).check(at)


def test_products_must_fit_their_positions() -> None:
    spec = StructureSpec("kron", order=(2, 3), parts=(StructureSpec("us"), StructureSpec("ar1")))
    with pytest.raises(SpecError, match="5 positions are not 2 × 3"):
        bind(spec).check(Positions(5, tuple("abcde")))
    with pytest.raises(SpecError, match="2 rows and there are 3"):
        bind(StructureSpec("lin"), matrices=(np.eye(2),)).check(Positions(3, tuple("abc")))
    with pytest.raises(SpecError, match="symmetric"):
        bind(StructureSpec("lin"), matrices=(np.array([[1.0, 2.0], [0.0, 1.0]]),))
