"""Options of smooths: what can vanish, margins of several columns, bases inside others."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import DataError, SpecError
from mixedmodels.syntax.formula import read_formula

RNG = np.random.default_rng(9)
N = 240
DATA = {"x": RNG.uniform(0, 1, N), "z": RNG.uniform(0, 1, N), "t": RNG.uniform(0, 1, N)}
DATA["f"] = RNG.choice(["a", "b", "c"], N)
DATA["y"] = np.sin(6 * DATA["x"]) + DATA["t"] + RNG.normal(0, 0.3, N)


def test_a_smooth_of_nothing_vanishes_as_a_whole() -> None:
    fit = mm.gam("y ~ s(x, bs='cr') + s(z, bs='cr')", DATA, select=True)
    table = fit.smooths()
    assert (table["edf"][1], table["variance"][1]) == (0.0, 0.0)
    assert "Zero everywhere (no variance is left): s(z)." in str(table)
    assert np.ptp(fit.smooth("s(z)")["estimate"]) == 0.0
    written = mm.lmm("y ~ s(x, bs='cr', select=True) + s(z, bs='cr', select=True)", DATA)
    assert written.criterion == pytest.approx(fit.criterion, abs=1e-10)
    assert fit.to_mgcv().endswith('select = TRUE, method = "REML")')
    with pytest.raises(SpecError, match="select=True alone"):
        mm.lmm("y ~ s(x, select=True) + s(z)", DATA).to_mgcv()


def test_the_unit_of_x_does_not_matter_to_what_can_vanish() -> None:
    fit = mm.gam("y ~ s(x, bs='cr') + s(t)", DATA, select=True)
    moved = mm.gam(
        "y ~ s(x, bs='cr') + s(t)", DATA | {"x": 1e9 + 86_400 * DATA["x"], "t": 1e-9 * DATA["t"]}, select=True
    )
    np.testing.assert_allclose(moved.smooths()["edf"], fit.smooths()["edf"], rtol=1e-4)
    np.testing.assert_allclose(moved.fitted, fit.fitted, atol=1e-6)


def test_margins_of_several_columns() -> None:
    fit = mm.lmm("y ~ te(x, z, t, d=[2, 1], bs=['tp', 'cr'], k=[10, 4])", DATA)
    assert len(fit.smooths()) == 1
    assert fit.smooths()["edf"][0] < 39
    assert mm.lmm(fit.to_mgcv().removeprefix("gam(").split(", data")[0], DATA).criterion == pytest.approx(
        fit.criterion
    )
    with pytest.raises(
        SpecError, match=r"bs='cr' takes 1 column, and d= gives that margin 2; use 'tp', 'ts', 'gp'"
    ):
        mm.lmm("y ~ te(x, z, t, d=[2, 1], bs='cr')", DATA)


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ("te(x, z, d=[2, 1])", "adds up to 3, and there are 2 columns"),
        ("s(x, d=1)", "is an option of te and ti and t2 alone"),
        ("te(x, z, full=True)", "is an option of t2 alone"),
        ("s(x, xt='cr')", "names the basis inside bs='fs' and bs='sz'"),
        ("s(x, f, bs='fs', xt='spam')", "names the basis inside fs and sz"),
        ("s(x, sp=3)", "smoothing parameters are estimated"),
        ("s(x, select=3)", "is True or False"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(term: str, said: str) -> None:
    with pytest.raises(SpecError, match=said.replace("(", r"\(")):
        mm.lmm(f"y ~ {term}", DATA)


@pytest.mark.parametrize(
    "term",
    ["s(x, select=True)", "te(x, z, t, d=[2, 1])", "t2(x, z, full=True)", "s(x, f, bs='fs', xt='cr')",
     "s(f, x, bs='sz', id='1', xt='cr')"],
)  # fmt: skip
def test_options_are_written_as_they_are_read(term: str) -> None:
    (smooth,) = read_formula(f"y ~ {term}").smooths
    assert str(smooth) == term
    assert read_formula(f"y ~ {smooth}").smooths == (smooth,)


def test_the_range_of_a_process_is_no_whole_number() -> None:
    near, far = (mm.lmm(f"y ~ s(x, bs='gp', m=[3, {r}])", DATA).criterion for r in (0.2, 0.9))
    assert abs(near - far) > 0.1


def test_a_factor_is_no_margin() -> None:
    with pytest.raises(DataError, match="by="):
        mm.lmm("y ~ te(x, f)", DATA)
