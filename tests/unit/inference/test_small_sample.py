"""Satterthwaite and Kenward–Roger: exact designs, identities, dense algebra, and the singular face."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.inference.ddf import method_for
from mixedmodels.inference.sensitivity import sensitivity


def dense_pieces(fit: mm.Fit) -> tuple[np.ndarray, np.ndarray]:
    """P and Q by their definitions with V (n, n), in the joint parameters (entries of L, log σ²)."""
    objective = fit._work.criterion()
    theta = objective.absolute(fit.optimum.theta)
    n = fit.nobs
    slopes, v = [], np.exp(theta[-1]) * np.eye(n)
    for block in objective.model.random_blocks:
        term, own_rows = fit.design.random[block.term], fit.rows.random[block.term]
        z = np.zeros((n, term.n_levels, term.n_columns))
        z[np.arange(n), own_rows.codes] = own_rows.dense_values()
        own = theta[block.place]

        def spread(matrix: np.ndarray, z: np.ndarray = z) -> np.ndarray:
            return np.einsum("nqa,ab,mqb->nm", z, matrix, z, optimize=True)

        v = v + spread(block.structure.matrix(own, block.positions))
        slopes += [spread(m) for m in block.structure.d_matrix(own, block.positions)]
    slopes.append(np.exp(theta[-1]) * np.eye(n))
    vx = np.linalg.solve(v, fit.solution.basis.rows(fit.rows.x))
    p = np.array([-vx.T @ s @ vx for s in slopes])
    q = np.array([[vx.T @ a @ np.linalg.solve(v, b) @ vx for b in slopes] for a in slopes])
    return p, q


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
        ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
        ("pastes", "strength ~ 1 + (1 | batch / cask)"),
        ("oats", "yield ~ nitro + (1 | Block / Variety)"),
    ],
)
def test_the_pieces_are_their_definitions(name: str, formula: str) -> None:
    fit = mm.lmm(formula, mm.datasets.load(name))
    found = sensitivity(fit)
    p, q = dense_pieces(fit)
    # relative to the largest entry: products of V⁻¹ lose some digits in the dense reference
    np.testing.assert_allclose(found.p, p, atol=1e-8 * np.abs(p).max())
    squared = np.einsum("ab,abij->ij", found.w, q)
    np.testing.assert_allclose(found.squared, squared, atol=1e-8 * np.abs(squared).max())


@pytest.mark.parametrize(
    "method", ["kenward-roger", "kenward-roger-linear", "kenward-roger2", "satterthwaite"]
)
def test_balanced_layouts_are_exact(method: str) -> None:
    rail = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"), ddf=method)
    # t on the number of rails less one; finite differences of the gradient leave 1e-7
    assert rail.fixed_effects()["df"][0] == pytest.approx(5, rel=1e-6)
    assert rail.fixed_effects()["std_error"][0] == pytest.approx(10.17104, rel=1e-6)
    oats = mm.lmm("yield ~ C(nitro) + (1 | Block / Variety)", mm.datasets.load("oats"), ddf=method)
    assert oats.fixed_effects()["df"][1:] == pytest.approx([51, 51, 51], rel=1e-5)


@pytest.mark.parametrize("method", ["kenward-roger", "satterthwaite"])
def test_ordinary_least_squares_has_its_residual_degrees_of_freedom(method: str) -> None:
    fit = mm.lm("travel ~ Rail", mm.datasets.load("rail"))
    np.testing.assert_allclose(fit.fixed_effects(ddf=method)["df"], 12, rtol=1e-6)


def test_figures_of_lmertest_and_pbkrtest() -> None:
    # lmerTest 3.1-3 / pbkrtest 0.5.2: coef(summary(m, ddf = "Kenward-Roger")) of yield ~ Variety * factor(nitro)
    oats = mm.lmm("yield ~ Variety * C(nitro) + (1 | Block / Variety)", mm.datasets.load("oats"))
    table = oats.fixed_effects(ddf="kenward-roger")
    # lme4 stops about 4e-6 (relative) from the optimum of the variances here, which is what both tolerances allow
    np.testing.assert_allclose(table["df"][:4], [16.08186, 30.23076, 30.23076, 45.0], rtol=2e-5)
    np.testing.assert_allclose(table["std_error"][:4], [9.107010, 9.715020, 9.715020, 7.682948], rtol=1e-5)


def test_degrees_of_freedom_do_not_depend_on_the_coding_of_x() -> None:
    oats = mm.datasets.load("oats")
    treatment = mm.lmm("yield ~ Variety + nitro + (1 | Block / Variety)", oats)
    summed = mm.lmm("yield ~ Variety + nitro + (1 | Block / Variety)", oats, contrasts={"Variety": "sum"})
    for method in ("kenward-roger", "satterthwaite"):
        joint = [fit.wald(np.eye(4)[1:3], joint=True, ddf=method).row(0) for fit in (treatment, summed)]
        # the Hessian is a difference of gradients: about 1e-7 relative
        assert joint[0]["den_df"] == pytest.approx(joint[1]["den_df"], rel=1e-5)
        assert joint[0]["statistic"] == pytest.approx(joint[1]["statistic"], rel=1e-5)


def test_a_singular_fit_is_the_model_without_the_empty_direction() -> None:
    data = mm.datasets.load("dyestuff2")
    with_batch = mm.lmm("Yield ~ 1 + (1 | Batch)", data)
    without = mm.lm("Yield ~ 1", data)
    for method in ("kenward-roger", "satterthwaite"):
        a, b = with_batch.fixed_effects(ddf=method), without.fixed_effects(ddf=method)
        assert a["df"][0] == pytest.approx(b["df"][0], rel=1e-6)
        assert a["std_error"][0] == pytest.approx(b["std_error"][0], rel=1e-6)


def test_kenward_roger_needs_reml_and_says_so() -> None:
    fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"), method="ml")
    assert method_for(fit, None).name == "satterthwaite"
    with pytest.raises(mm.SpecError, match="REML"):
        fit.fixed_effects(ddf="kenward-roger")
