"""mgcv's spelling read and written."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import SpecError

RNG = np.random.default_rng(5)
N = 200
DATA = {
    "x": RNG.uniform(0, 1, N), "z": RNG.uniform(0, 1, N), "f": RNG.choice(["a", "b"], N),
    "g": RNG.choice(list("abcdefgh"), N),
}  # fmt: skip
DATA["y"] = np.sin(6 * DATA["x"]) + RNG.normal(0, 0.3, N)
DATA["count"] = RNG.poisson(np.exp(1 + np.sin(6 * DATA["x"])))


@pytest.mark.parametrize(
    "formula",
    [
        'y ~ 1 + f + s(x, bs = "cr", k = 8, by = f)',
        'y ~ 1 + te(x, z, bs = c("cr", "ps"), k = c(5, 6), m = list(2, c(2, 1)))',
        'y ~ 1 + s(x, fx = TRUE) + s(g, bs = "re")',
    ],
)
def test_what_is_written_reads_as_the_same_model(formula: str) -> None:
    fit = mm.gam(formula, DATA)
    text = fit.to_mgcv()
    inside = text.removeprefix("gam(").split(", data = data")[0]
    assert inside == formula
    assert mm.gam(inside, DATA).criterion == pytest.approx(fit.criterion, abs=1e-8)


def test_bars_are_random_effects() -> None:
    fit = mm.lmm("y ~ s(x, bs='cr') + diag(1 + z | g)", DATA)
    assert 's(g, bs = "re") + s(z, g, bs = "re")' in fit.to_mgcv()
    with pytest.raises(SpecError, match="correlate"):
        mm.lmm("y ~ s(x, bs='cr') + (1 + z | g)", DATA).to_mgcv()


def test_families_go_by_restricted_likelihood() -> None:
    fit = mm.gam("count ~ s(x, bs = 'cr')", DATA, "poisson")
    assert fit.spec.method == "reml"
    assert fit.to_mgcv().endswith('family = poisson(), method = "REML")')
    with pytest.raises(SpecError, match="without reml"):
        fit.refit(DATA["count"][::-1].copy())
    with pytest.raises(SpecError, match="likelihood"):
        mm.gam("y ~ s(x)", DATA, method="GCV.Cp")


def test_gamm_takes_the_arguments_of_nlme() -> None:
    one = mm.gamm("y ~ s(x, bs = 'cr')", DATA, random="list(g = ~ 1)", weights="varIdent(form = ~ 1 | f)")
    two = mm.lmm("y ~ s(x, bs='cr') + (1 | g)", DATA, variance="ident(f)")
    assert one.loglik == pytest.approx(two.loglik, abs=1e-8)


def test_curves_stand_in_gls() -> None:
    fit = mm.gls("y ~ s(x, bs='cr')", DATA, variance="ident(f)")
    assert fit.smooths()["edf"][0] > 2
