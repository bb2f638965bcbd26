"""Tools of smooths: tables, grids, differences, predictions of terms, figures."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError

RNG = np.random.default_rng(11)
N = 240
X, Z = RNG.uniform(0, 10, N), RNG.uniform(-1, 1, N)
ARM, ID = RNG.choice(["a", "b"], N), RNG.integers(0, 12, N).astype(str)
EFFECT = dict(zip(map(str, range(12)), RNG.normal(0, 0.5, 12), strict=True))
Y = np.sin(X) * (ARM == "a") + Z**2 + np.array([EFFECT[i] for i in ID]) + RNG.normal(0, 0.3, N)
DATA = {"x": X, "z": Z, "arm": ARM, "id": ID, "y": Y}
FIT = mm.lmm("y ~ arm + s(x, by=arm, bs='cr') + s(z, bs='cr', k=6) + (1 | id)", DATA)
NEW = {"x": [1.0, 4.0, 9.0], "z": [-0.5, 0.0, 0.9], "arm": ["a", "b", "a"], "id": ["1", "2", "3"]}


def test_the_curves_add_up_to_the_prediction() -> None:
    parts = [FIT.smooth(name, newdata=NEW)["estimate"] for name in ("s(x):arma", "s(x):armb", "s(z)")]
    rest = FIT.predict(NEW, terms=["(Intercept)", "arm", "id"])
    np.testing.assert_allclose(np.sum(parts, axis=0) + rest, FIT.predict(NEW), atol=1e-10)


def test_leaving_terms_out() -> None:
    np.testing.assert_allclose(
        FIT.predict(NEW, exclude="id"), FIT.predict(NEW, level="population"), atol=1e-12
    )
    table = FIT.predict(NEW, terms="s(z)", se=True, ddf="asymptotic")
    curve = FIT.smooth("s(z)", newdata=NEW)
    np.testing.assert_allclose(table["fit"], curve["estimate"], atol=1e-12)
    np.testing.assert_allclose(table["se"], curve["std_error"], rtol=1e-9)
    with pytest.raises(SpecError, match=r"Did you mean 's\(z\)'"):
        FIT.predict(NEW, exclude="s(q)")
    with pytest.raises(SpecError, match="not both"):
        FIT.predict(NEW, terms="arm", exclude="id")


@pytest.mark.parametrize("basis", ["cr", "ps", "tp"])
def test_derivatives_are_those_of_the_curve(basis: str) -> None:
    fit = mm.lmm(f"y ~ s(x, bs='{basis}')", DATA)
    at = np.array([1.0, 3.3, 7.0])
    step = 1e-4
    ahead, here, behind = (fit.smooth("s(x)", newdata={"x": at + k * step})["estimate"] for k in (1, 0, -1))
    first = fit.smooth("s(x)", newdata={"x": at}, derivative=1)["estimate"]
    np.testing.assert_allclose(first, (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-6)
    second = fit.smooth("s(x)", newdata={"x": at}, derivative=2)["estimate"]
    np.testing.assert_allclose(second, (ahead - 2 * here + behind) / step**2, rtol=1e-3, atol=1e-4)


def test_all_levels_at_once_and_one() -> None:
    both = FIT.smooth("s(x)", n=5)
    assert list(both) == ["x", "arm", "estimate", "std_error", "lower", "upper"]
    assert len(both) == 10
    one = FIT.smooth("s(x):armb", n=5)
    np.testing.assert_allclose(both["estimate"][5:], one["estimate"])


def test_difference_of_two_curves() -> None:
    table = FIT.difference("s(x)", by=("a", "b"), n=7)
    pair = [FIT.smooth(f"s(x):arm{level}", n=7) for level in "ab"]
    np.testing.assert_allclose(table["estimate"], pair[0]["estimate"] - pair[1]["estimate"], atol=1e-12)
    other = FIT.difference("s(x)", by=("b", "a"), n=7)
    np.testing.assert_allclose(table["std_error"], other["std_error"])
    with pytest.raises(SpecError, match="no level"):
        FIT.difference("s(x)", by=("a", "c"))
    with pytest.raises(SpecError, match="no curve for each level"):
        FIT.difference("s(z)", by=("a", "b"))


def test_bands() -> None:
    plain, wide = (FIT.smooth("s(x):arma", simultaneous=flag) for flag in (False, True))
    ratio = (wide["upper"] - wide["lower"]) / (plain["upper"] - plain["lower"])
    assert 1.2 < ratio[0] < 2.0
    np.testing.assert_allclose(ratio, ratio[0])
    counted = FIT.smooth("s(x):arma", unconditional=True)
    assert (counted["std_error"] >= plain["std_error"] * (1 - 1e-9)).all()


def test_figures() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    axes = FIT.plot.smooth()
    assert [one.get_ylabel() for one in axes] == ["s(x):arma", "s(x):armb", "s(z)"]
    surface = mm.lmm("y ~ te(x, z)", DATA).plot.smooth("te(x,z)")
    assert (surface.get_xlabel(), surface.get_ylabel()) == ("x", "z")


def test_the_summary_has_a_table_of_smooths() -> None:
    text = str(FIT.summary())
    assert "Smooths" in text
    assert "ref. df" in text
    assert "s(z)[1]" not in text


def test_population_means_hold_the_curves() -> None:
    means = FIT.emmeans("arm", at={"x": 2.0, "z": 0.5})
    rows = {"x": [2.0, 2.0], "z": [0.5, 0.5], "arm": ["a", "b"]}
    np.testing.assert_allclose(means["estimate"], FIT.predict(rows, level="population"), atol=1e-10)
