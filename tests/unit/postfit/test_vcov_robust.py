"""Sandwich covariances against the textbook forms they reduce to, and bad input."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.inference.resampling import Clusters
from mixedmodels.postfit.sandwich import stack_clusters
from structured_models import MODELS as STRUCTURED
from structured_models import full_covariance, visits


@pytest.fixture(scope="module")
def rail():
    return mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))


@pytest.fixture(scope="module")
def line():
    rng = np.random.default_rng(1)
    x = rng.standard_normal(25)
    return mm.lm("y ~ x", {"y": 1 + x + np.exp(x) * rng.standard_normal(25), "x": x})


@pytest.mark.parametrize(("kind", "power"), [("CR0", 0), ("CR2", 1), ("CR3", 2)])
def test_least_squares_gives_white_and_its_refinements(line, kind, power):
    x = line.rows.x
    inverse = np.linalg.inv(x.T @ x)
    leverage = np.einsum("ia,ab,ib->i", x, inverse, x)
    squares = line.resid**2 / (1 - leverage) ** power
    expected = inverse @ (x.T * squares) @ x @ inverse
    np.testing.assert_allclose(line.vcov_robust(kind), expected, rtol=1e-9)


def test_df_of_two_means_in_closed_form():
    rng = np.random.default_rng(2)
    group = np.repeat(["a", "b"], [6, 15])
    fit = mm.lm("y ~ g", {"y": rng.standard_normal(21), "g": group})
    # Imbens and Kolesár 2016, Bell–McCaffrey df of HC2 for a difference of two means
    expected = 21**2 * 5 * 14 / (6**2 * 5 + 15**2 * 14)
    assert fit.vcov_robust("CR2").df[1] == pytest.approx(expected, rel=1e-9)


def test_balanced_one_way_layout(rail):
    codes = rail.rows.random[0].codes
    means = np.array([rail.response[codes == c].mean() for c in range(6)])
    between = np.sum((means - means.mean()) ** 2) / 36
    assert np.asarray(rail.vcov_robust("CR0"))[0, 0] == pytest.approx(between, rel=1e-8)
    for kind in ("CR1", "CR2"):
        robust = rail.vcov_robust(kind)
        # V̂ is the model's own here, whose variance of the mean is MSB/18
        assert np.asarray(robust)[0, 0] == pytest.approx(rail.vcov[0, 0], rel=1e-6)
        assert robust.df[0] == pytest.approx(5, rel=1e-9)
    assert np.asarray(rail.vcov_robust("CR3"))[0, 0] == pytest.approx(between * 36 / 25, rel=1e-8)
    mbn = 17 / 17 * 6 / 5 * between + 1 / 5 * max(1, between / rail.vcov[0, 0]) * rail.vcov[0, 0]
    assert np.asarray(rail.vcov_robust("mbn"))[0, 0] == pytest.approx(mbn, rel=1e-8)


def test_cr2_is_unbiased_under_the_model():
    data = mm.datasets.load("sleepstudy")
    keep = np.random.default_rng(3).random(180) < 0.7
    columns = {name: np.asarray(data[name])[keep] for name in ("Reaction", "Days", "Subject")}
    fit = mm.lmm("Reaction ~ Days + (Days | Subject)", columns)
    root = np.linalg.cholesky(_marginal(fit))
    hat = fit.rows.x @ fit.solution.vcov @ fit.rows.x.T @ np.linalg.inv(root @ root.T)
    total, phi = np.zeros((2, 2)), fit.solution.own_vcov
    for stack in stack_clusters(fit, Clusters.of(fit, None, "a test"), "CR2"):
        for rows, weighted in zip(stack.rows, stack.weighted, strict=True):
            left = (np.eye(fit.nobs) - hat)[rows] @ root
            total += phi @ weighted.T @ left @ left.T @ weighted @ phi
    np.testing.assert_allclose(fit.solution.basis.covariance(total), fit.solution.vcov, rtol=1e-7)


def _marginal(fit):
    term, sigma = fit.rows.random[0], fit.covariances[0][0]
    values = term.dense_values()
    return fit.sigma2 * np.eye(fit.nobs) + (values @ sigma @ values.T) * (term.codes[:, None] == term.codes)


def test_table_uses_the_sandwich(rail):
    row = rail.vcov_robust("CR2").table().row(0)
    assert row["std_error"] == pytest.approx(10.171, abs=1e-3)
    assert (row["conf_low"], row["conf_high"]) == pytest.approx((40.35, 92.65), abs=0.01)


def test_bad_arguments(rail):
    with pytest.raises(mm.SpecError, match="Did you mean 'CR2'"):
        rail.vcov_robust("CR22")
    with pytest.raises(mm.SpecError, match="Did you mean 'Rail'"):
        rail.vcov_robust(cluster="rails")
    crossed = mm.lmm("diameter ~ 1 + (1 | plate) + (1 | sample)", mm.datasets.load("penicillin"))
    with pytest.raises(mm.SpecError, match="crossed"):
        crossed.vcov_robust()
    alone = mm.gls("y ~ x", visits(), residual="exp(east, north | 1)")
    with pytest.raises(mm.SpecError, match="all rows are of one cluster"):
        alone.vcov_robust()


def test_fixed_effects_of_the_clusters_have_no_robust_standard_error_and_change_nothing_else():
    """Dummies of the clusters give the inference of the data about the means of the clusters."""
    data = visits()
    within = data[["y", "x"]] - data.groupby("site")[["y", "x"]].transform("mean")
    absorbed = mm.lm("y ~ 0 + x", within.assign(site=data["site"]))
    dummies = mm.lm("y ~ factor(site) + x", data)
    for kind in ("CR0", "CR2"):
        whole, part = dummies.vcov_robust(kind, cluster="site"), absorbed.vcov_robust(kind, cluster="site")
        assert np.isnan(np.asarray(whole)[:6]).all()
        # Pustejovsky and Tipton (2018), theorem 2: the adjusted sandwich is that of the absorbed model
        assert np.asarray(whole)[6, 6] == pytest.approx(np.asarray(part)[0, 0], rel=1e-8)
        assert whole.df[6] == pytest.approx(part.df[0], rel=1e-8)
        table = whole.table()
        assert np.isnan(table["std_error"][:6]).all()
        assert np.isfinite(table["p_value"][6])
        assert "estimated from one cluster alone, so without: (Intercept), C(site)[T.1]" in table.notes[0]
        assert np.isnan(whole.test("C(site)[T.1] = 0")["p_value"]).all()


@pytest.mark.parametrize("name", list(STRUCTURED))
def test_structured_errors_against_full_matrices(name):
    """CR0 to CR3 with V in full; CR2 is unbiased under the model."""
    fit = STRUCTURED[name]()
    full = full_covariance(fit)
    clusters = Clusters.of(fit, None, "a test")
    bread, weight = full.phi, np.linalg.inv(full.v)
    away = np.eye(fit.nobs) - full.x @ bread @ full.x.T @ weight
    for kind in ("CR0", "CR2", "CR3"):
        total, expected = np.zeros_like(bread), np.zeros_like(bread)
        for rows in clusters.rows:
            square, x = np.ix_(rows, rows), full.x[rows]
            a = np.eye(len(rows))
            if kind == "CR3":
                a = np.linalg.inv(away[square])
            if kind == "CR2":
                d = np.linalg.cholesky(full.v[square]).T
                values, vectors = np.linalg.eigh(d @ away[rows] @ full.v @ away[rows].T @ d.T)
                a = d.T @ (vectors / np.sqrt(values)) @ vectors.T @ d
            score = bread @ x.T @ np.linalg.inv(full.v[square]) @ a
            total += np.outer(score @ full.residual[rows], score @ full.residual[rows])
            expected += score @ away[rows] @ full.v @ away[rows].T @ score.T
        np.testing.assert_allclose(np.asarray(fit.vcov_robust(kind)), total, rtol=1e-6, atol=1e-9)
        if kind == "CR2":
            np.testing.assert_allclose(expected, bread, rtol=1e-6, atol=1e-9)


def test_a_column_of_the_data_as_cluster():
    data = visits()
    fit, again = mm.lm("y ~ x", data), mm.lmm("y ~ x + (1 | id)", data)
    coarse = again.vcov_robust("CR2", cluster="site")
    assert (coarse.n_clusters, fit.vcov_robust(cluster="id").n_clusters) == (6, 30)
    # independent errors: CR0 by hand
    x, e = fit.rows.x, fit.resid
    scores = np.array([x[data["id"] == i].T @ e[data["id"] == i] for i in range(30)])
    bread = np.linalg.inv(x.T @ x)
    np.testing.assert_allclose(
        fit.vcov_robust("CR0", cluster="id"), bread @ scores.T @ scores @ bread, rtol=1e-10
    )
    with_gap = data.assign(site=data["site"].where(data.index != 3))
    with pytest.raises(mm.DataError, match="cluster='site' is missing in rows of the fit"):
        mm.lm("y ~ x", with_gap).vcov_robust(cluster="site")
    with pytest.raises(mm.SpecError, match="nor a column of the data the fit holds"):
        pickle.loads(pickle.dumps(fit)).vcov_robust(cluster="id")


def test_degrees_of_freedom_of_the_fit_on_request(rail):
    assert rail.vcov_robust("CR0", ddf="containment").df[0] == 5
    with pytest.raises(mm.SpecError, match="ddf='kenward-roger' belongs to the covariance of the model"):
        rail.vcov_robust("CR0", ddf="kenward-roger")


def test_too_few_clusters_for_a_joint_test_leave_it_missing():
    fit = mm.lmm("y ~ x + east + north + known + factor(visit) + (1 | site)", visits())
    few = fit.vcov_robust("mbn")
    assert few.wald(np.eye(9)[1:], joint=True)["den_df"][0] == 5
    assert np.linalg.matrix_rank(np.asarray(few)) == 9
    for robust in (fit.vcov_robust("CR2"), fit.vcov_robust("CR0", ddf="residual"), fit.vcov_robust("CR0")):
        row = robust.wald(np.eye(9)[1:], joint=True).row(0)
        assert np.isnan([row["p_value"], row["den_df"], row["statistic"]]).all()
    assert fit.vcov_robust("CR2").wald(np.eye(9)[1:3], joint=True)["den_df"][0] > 3


@pytest.mark.full
def test_tests_keep_their_size_when_the_working_model_is_wrong():
    """Sixteen clusters of two to six rows with AR(1) errors, analysed as independent: 5 % are rejected."""
    rng = np.random.default_rng(3)
    m = 16
    sizes = rng.integers(2, 7, m)
    cluster = np.repeat(np.arange(m), sizes)
    arm = np.where(np.arange(m) < 6, 1.0, 0.0)[cluster]
    x = rng.standard_normal(len(cluster)) + 0.8 * rng.standard_normal(m)[cluster]
    rows = [np.flatnonzero(cluster == i) for i in range(m)]
    roots = [np.linalg.cholesky(0.8 ** np.abs(np.subtract.outer(r, r))) for r in rows]
    rejected, naive = [], []
    for _ in range(3000):
        y = np.concatenate([root @ rng.standard_normal(len(root)) for root in roots])
        fit = mm.lm("y ~ x + arm", {"y": y, "x": x, "arm": arm, "id": cluster})
        robust = fit.vcov_robust("CR2", cluster="id")
        p = [*robust.table()["p_value"][1:], robust.test("x = 0, arm = 0")["p_value"][0]]
        rejected.append(np.array(p) < 0.05)
        normal = fit.vcov_robust("CR0", cluster="id", ddf="asymptotic").table()["p_value"][1:]
        naive.append(normal < 0.05)
    # the standard error of a share of 5 % in 3000 is 0.4 %; Bell and McCaffrey's df are approximate themselves
    assert np.all(np.abs(np.mean(rejected, axis=0) - 0.05) < 0.015)
    assert np.all(np.mean(naive, axis=0) > 0.10)
