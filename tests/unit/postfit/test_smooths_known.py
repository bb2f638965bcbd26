"""Smooths beside random effects whose levels have a known covariance, and what restricted fits refuse."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


def test_degrees_of_freedom_are_those_of_dense_algebra() -> None:
    rng = np.random.default_rng(1)
    q = 20
    markers = rng.normal(size=(q, 60))
    kinship, levels = markers @ markers.T / 60, [f"a{i}" for i in range(q)]
    data = pd.DataFrame({"a": np.tile(levels, 6), "x": rng.uniform(0, 1, 120)})
    effects = np.linalg.cholesky(kinship) @ rng.normal(size=q)
    data["y"] = np.sin(6 * data["x"]) + 0.3 * rng.normal(size=120) + np.tile(effects, 6)
    known = {"A": pd.DataFrame(kinship, index=levels, columns=levels)}
    fit = mm.lmm("y ~ s(x) + (1 | a, cov=A)", data, known=known)
    assert "s(x)" in str(fit)
    own = fit._work.own_model()[1]
    sides = [rows.dense_values() for rows in own.random]
    z = [np.zeros((120, q)), sides[1]]
    z[0][np.arange(120), own.random[0].codes] = sides[0][:, 0]
    covariances = fit._work.own_covariances()
    # levels of text are sorted: a0, a1, a10 …
    order = [levels.index(level) for level in fit.design.random[0].levels]
    prior = [
        np.linalg.inv(kinship[np.ix_(order, order)]) / covariances[0][0, 0, 0],
        np.linalg.inv(covariances[1][0]),
    ]
    x = fit._work.rows().x
    design = np.column_stack([x, *z])
    penalty = np.zeros((design.shape[1], design.shape[1]))
    at = x.shape[1]
    for one in prior:
        penalty[at : at + len(one), at : at + len(one)] = one
        at += len(one)
    inverse = np.linalg.inv(design.T @ design / fit.sigma2 + penalty)
    f = inverse @ (design.T @ design) / fit.sigma2
    smooth = [1, *range(x.shape[1] + q, design.shape[1])]
    table = fit.smooths()
    assert table["edf"][0] == pytest.approx(np.trace(f[np.ix_(smooth, smooth)]), rel=1e-6)
    assert table["ref_df"][0] == pytest.approx(np.trace((2 * f - f @ f)[np.ix_(smooth, smooth)]), rel=1e-6)


def test_restricted_generalised_fits_refuse_profiles_and_ratios() -> None:
    fit = mm.glmm(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        mm.datasets.load("cbpp"),
        "binomial",
        reml=True,
    )
    for call in (
        lambda: fit.profile(),
        lambda: fit.confint("profile"),
        lambda: fit.variance_components(ci="profile"),
        lambda: fit.covtest("zerog"),
        lambda: fit.drop1(),
    ):
        with pytest.raises(mm.SpecError, match="without reml=True"):
            call()
