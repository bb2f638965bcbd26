"""Sparse equations of whitened rows against V in full: criterion, derivatives, Kenward and Roger's matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.control import Control
from mixedmodels.criterion.fixed_information import bend_traces, fixed_information, second_order
from mixedmodels.criterion.gaussian import Gaussian
from mixedmodels.engines.whitened.equations import WhitenedEquations
from mixedmodels.fit import Fit
from mixedmodels.optimise.search import fences_of
from mixedmodels.typing import Array
from structured_models import CROSSED, effect_covariance, error_covariance, visits

STEP = 1e-5
"""Step of central differences of V; its error is of the order of 1e-9."""


class Dense:
    """Everything at one θ from V in full and its numerical derivatives."""

    def __init__(self, objective: Gaussian, theta: Array) -> None:
        self.objective, self.theta = objective, theta
        self.x, self.y = np.asarray(objective.equations.rows.x), objective.equations.rows.y
        self.v = self.covariance(theta)
        self.inverse = np.linalg.inv(self.v)
        self.phi = np.linalg.inv(self.x.T @ self.inverse @ self.x)
        self.u = self.inverse @ self.x
        self.p = self.inverse - self.u @ self.phi @ self.u.T
        self.py = self.p @ self.y
        self.middle = self.p if objective.reml else self.inverse

    def covariance(self, theta: Array) -> Array:
        return effect_covariance(self.objective, theta) + error_covariance(self.objective, theta)

    def value(self) -> float:
        nu = self.objective.nu
        total = np.linalg.slogdet(self.v)[1] + self.y @ self.py + nu * np.log(2 * np.pi)
        return float(total - (np.linalg.slogdet(self.phi)[1] if self.objective.reml else 0.0))

    def slopes(self) -> list[Array]:
        out = []
        for a in range(len(self.theta)):
            step = np.zeros(len(self.theta))
            step[a] = STEP * max(1.0, abs(self.theta[a]))
            up, down = self.covariance(self.theta + step), self.covariance(self.theta - step)
            out.append((up - down) / (2 * step[a]))
        return out


@pytest.fixture(scope="module", params=list(CROSSED))
def fit(request: pytest.FixtureRequest) -> Fit:
    return CROSSED[request.param]()


@pytest.fixture(scope="module")
def at(fit: Fit) -> tuple[Gaussian, Dense]:
    objective = fit._work.criterion()
    assert isinstance(objective, Gaussian)
    assert isinstance(objective.equations, WhitenedEquations)
    rng = np.random.default_rng(1)
    # off the optimum, and off every zero variance
    theta = fit.optimum.theta + 0.15 * rng.standard_normal(objective.n_theta)
    return objective, Dense(objective, theta)


def test_criterion_gradient_and_average_information(at: tuple[Gaussian, Dense]) -> None:
    objective, dense = at
    assert objective.value(dense.theta) == pytest.approx(dense.value(), abs=1e-8)
    found, slopes = objective.evaluate(dense.theta), dense.slopes()
    gradient = [np.sum(dense.middle * d) - dense.py @ d @ dense.py for d in slopes]
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(found.gradient, gradient, rtol=1e-6, atol=1e-7 * scale)
    moved = np.array([d @ dense.py for d in slopes])
    information = moved @ dense.p @ moved.T
    np.testing.assert_allclose(
        found.information, information, rtol=1e-6, atol=1e-7 * np.abs(information).max()
    )


def test_gradient_is_that_of_the_criterion(at: tuple[Gaussian, Dense]) -> None:
    objective, dense = at
    gradient = objective.gradient(dense.theta)
    for a in range(objective.n_theta):
        step = np.zeros(objective.n_theta)
        step[a] = 1e-5
        slope = (objective.value(dense.theta + step) - objective.value(dense.theta - step)) / 2e-5
        # a criterion of about 500 has rounding of 1e-13 · 500 / 2e-5
        assert gradient[a] == pytest.approx(slope, rel=1e-5, abs=1e-5 * max(1.0, np.abs(gradient).max()))


def test_hessian_and_expected_information(at: tuple[Gaussian, Dense]) -> None:
    objective, dense = at
    expected = objective.observed_information(dense.theta, expected=True)
    moved = [dense.middle @ d for d in dense.slopes()]
    want = np.array([[np.sum(a * b.T) for b in moved] for a in moved])
    np.testing.assert_allclose(expected, want, rtol=1e-4, atol=1e-5 * np.abs(want).max())


def test_fixed_information(at: tuple[Gaussian, Dense]) -> None:
    objective, dense = at
    u = own_columns(objective, dense.theta, dense.u)
    moved = [d @ u for d in dense.slopes()]
    want_p = np.array([-u.T @ one for one in moved])
    q = np.array([[a.T @ dense.inverse @ b for b in moved] for a in moved])
    for seed in range(3):
        weights = symmetric_weights(objective.n_theta, seed)
        p, squared = fixed_information(objective, dense.theta, weights)
        want = np.einsum("ab,abij->ij", weights, q)
        np.testing.assert_allclose(p, want_p, rtol=1e-6, atol=1e-7 * np.abs(want_p).max())
        np.testing.assert_allclose(squared, want, rtol=1e-6, atol=1e-7 * np.abs(q).max())


def symmetric_weights(k: int, seed: int) -> np.ndarray:
    a = np.random.default_rng(seed).standard_normal((k, k))
    return a + a.T


def own_columns(criterion: Gaussian, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return rows on the user's columns of X in the coordinates of the equations."""
    a = criterion.settle(theta).solution().basis.rows(np.eye(x.shape[1]))
    return x @ a


def test_second_order_term(at: tuple[Gaussian, Dense]) -> None:
    """Σ w_ab ∂²V/∂η_a∂η_b in natural parameters η, by second differences of V and of η, along one direction of θ."""
    objective, dense = at
    direction = np.random.default_rng(3).standard_normal(objective.n_theta)
    natural = objective.natural(dense.theta)
    slope, step = natural.jacobian @ direction, 1e-3 * direction
    found = second_order(objective, dense.theta, np.outer(slope, slope))
    second = dense.covariance(dense.theta + step) + dense.covariance(dense.theta - step) - 2 * dense.v
    values = [objective.natural(dense.theta + sign * step).values for sign in (1.0, -1.0)]
    turned = np.linalg.solve(natural.jacobian, (values[0] + values[1] - 2 * natural.values) / 1e-6)
    bend = second / 1e-6 - np.tensordot(turned, np.array(dense.slopes()), 1)
    u = own_columns(objective, dense.theta, dense.u)
    want = u.T @ bend @ u
    # second differences err by their step squared
    size = np.abs(u.T @ second @ u).max() / 1e-6
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4 * max(np.abs(want).max(), size))


def test_curvature(at: tuple[Gaussian, Dense]) -> None:
    objective, dense = at
    direction = np.random.default_rng(4).standard_normal(objective.n_theta)
    step = 1e-3 * direction
    second = (
        dense.covariance(dense.theta + step) + dense.covariance(dense.theta - step) - 2 * dense.v
    ) / 1e-6
    gamma = dense.middle - np.outer(dense.py, dense.py)
    found = direction @ objective.evaluate(dense.theta).curvature @ direction
    assert found == pytest.approx(np.sum(gamma * second), rel=1e-4, abs=1e-3)


def test_the_optimum_is_stationary(fit: Fit) -> None:
    objective, theta = fit._work.criterion(), fit.optimum.theta
    here = objective.evaluate(theta)
    size = np.sqrt(np.maximum(here.information.diagonal() + np.abs(here.curvature.diagonal()), 1e-8))
    # the search ends at a decrement of 1e-8, a ten-thousandth of a standard error
    far = np.abs(here.gradient / size)
    fences = fences_of(objective)
    # a range at its limit leaves −2l a slope of no account
    stopped = (
        np.zeros(len(theta), dtype=bool)
        if fences is None
        else (theta < fences.low + 1e-6) | (theta > fences.high - 1e-6)
    )
    assert far[~stopped].max() < 1e-3
    assert np.abs(here.gradient[stopped]).max(initial=0.0) < 1e-5


def test_a_variance_of_zero_is_exact() -> None:
    fit = CROSSED["singular, ar1"]()
    assert fit.singular
    objective, theta = fit._work.criterion(), fit.optimum.theta
    dense = Dense(objective, theta)
    assert fit.criterion == pytest.approx(dense.value(), abs=1e-8)
    gamma = dense.middle - np.outer(dense.py, dense.py)
    for k, found in enumerate(objective.evaluate(theta).gammas):
        term = fit.rows.random[k]
        z = term.dense_values()
        same = term.codes[:, None] == term.codes
        want = np.einsum("ia,ij,jb->ab", z, gamma * same, z)
        # Γ is what is left of two sums of this size
        size = np.abs(np.einsum("ia,ij,jb->ab", z, dense.middle * same, z)).max()
        np.testing.assert_allclose(found[0], want, rtol=1e-6, atol=1e-9 * size)
        # no direction off a singular covariance lowers the criterion
        assert np.linalg.eigvalsh(want)[0] > -1e-5 * size


CLUSTERED: dict[str, dict[str, object]] = {
    "site slopes, ar1": {"formula": "y ~ x + (1 + x | site)", "residual": "ar1(visit | id)"},
    "nested, us": {"formula": "y ~ x + (1 | site)", "residual": "us(visit | id)", "weights": "w"},
    "subject, ident": {"formula": "y ~ x + (1 + x | id)", "variance": "ident(kind)", "method": "ml"},
    "by arm": {"formula": "y ~ x + (1 | id, by=arm)", "residual": "ar1(visit | id)", "variance": "exp(w)"},
    "spatial": {"formula": "y ~ x + (1 | site)", "residual": "exp(east, north | id)"},
}


@pytest.mark.parametrize("name", list(CLUSTERED))
def test_both_engines_agree(name: str) -> None:
    fits = [
        mm.lmm(data=visits(), control=Control(engine=e), **CLUSTERED[name]) for e in ("clusters", "sparse")
    ]
    one, other = fits
    theta = one.optimum.theta
    a, b = one._work.criterion(), other._work.criterion()
    assert a.value(theta) == pytest.approx(b.value(theta), abs=1e-8)
    assert one.criterion == pytest.approx(other.criterion, abs=1e-7)
    here, there = a.evaluate(theta), b.evaluate(theta)
    scale = max(np.abs(here.information).max(), 1.0)
    for what in ("gradient", "information", "curvature"):
        np.testing.assert_allclose(getattr(here, what), getattr(there, what), rtol=1e-8, atol=1e-8 * scale)
    weights = symmetric_weights(a.n_theta, 1)
    both = (fixed_information(one, theta, weights) for one in (a, b))
    for first, second in zip(*both, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-8, atol=1e-8 * np.abs(first).max())
    weights = np.cov(np.random.default_rng(0).standard_normal((a.n_theta, 3 * a.n_theta)))
    np.testing.assert_allclose(
        second_order(a, theta, weights), second_order(b, theta, weights), rtol=1e-7, atol=1e-9
    )
    if one.design.reml and not a.model.by_row and not one.singular:
        np.testing.assert_allclose(
            bend_traces(a, theta, weights), bend_traces(b, theta, weights), rtol=1e-5, atol=1e-6
        )
        # and the equations are back where they were
        np.testing.assert_allclose(b.evaluate(theta).information, there.information)
    hessian = a.observed_information(theta)
    np.testing.assert_allclose(
        b.observed_information(theta), hessian, rtol=1e-4, atol=1e-5 * np.abs(hessian).max()
    )
    if one.design.reml:
        tables = [fit.fixed_effects(ddf="kenward-roger") for fit in fits]
        # a Hessian by differences, at optima within a ten-thousandth of a standard error of each other
        np.testing.assert_allclose(tables[0]["df"], tables[1]["df"], rtol=1e-3)
        np.testing.assert_allclose(tables[0]["std_error"], tables[1]["std_error"], rtol=1e-5)


def test_a_missing_visit_is_predicted_from_its_cluster() -> None:
    data = visits()
    held_out = (data["id"] % 4 == 1) & (data["visit"] == 3)
    used, missing = data[~held_out], data[held_out]
    options: dict[str, object] = {"residual": "ar1(visit | id)", "weights": "w"}
    formula = "rated ~ x + offset(known) + (1 | item) + (1 | site)"
    fit = mm.lmm(formula, used, control=Control(engine="sparse"), **options)
    usual = mm.lmm(formula, used, control=Control(engine="clusters"), **options)
    for level in ("conditional", "population"):
        one = fit.predict(missing, se=True, level=level, ddf="asymptotic")
        other = usual.predict(missing, se=True, level=level, ddf="asymptotic")
        # the two searches end within 1e-4 standard errors of each other
        np.testing.assert_allclose(one["fit"], other["fit"], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(one["se"], other["se"], rtol=1e-4)
    new = missing.assign(item=99)
    with pytest.raises(mm.DataError, match="not in the fit"):
        fit.predict(new)
    wide = fit.predict(new, se=True, new_levels="population", ddf="asymptotic")
    assert (wide["se"] > one["se"]).all()


def test_what_cannot_be_told_apart_is_named() -> None:
    with pytest.raises(mm.SpecError, match="'id' and the residual structure 'cs'"):
        mm.lmm(
            "rated ~ x + (1 | id) + (1 | item)", visits(), residual="cs(1 | id)",
            control=Control(engine="sparse"),
        )  # fmt: skip


def test_held_parameters_stay() -> None:
    make: Callable[..., Fit] = lambda engine: mm.lmm(  # noqa: E731
        "rated ~ x + (1 | id) + (1 | item)", visits(), residual="ar1(visit | id)",
        hold={"var(item: (Intercept))": 0.5, "correlation(Residual)": 0.3}, control=Control(engine=engine),
    )  # fmt: skip
    one, other = make("sparse"), make("clusters")
    assert one.criterion == pytest.approx(other.criterion, abs=1e-7)
    natural = one._work.criterion().natural(one.optimum.theta)
    values = dict(zip(natural.names, natural.values, strict=True))
    assert values["var(item: (Intercept))"] == pytest.approx(0.5)


def test_errors_without_random_terms_go_to_the_other_engine() -> None:
    with pytest.raises(mm.SpecError, match="together with random terms"):
        mm.gls("y ~ x", visits(), residual="ar1(visit | id)", control=Control(engine="sparse"))


def test_a_cluster_too_large_for_one_matrix_is_taken() -> None:
    """3,000 rows tied together by one crossed factor, autoregressive within 600 subjects."""
    rng = np.random.default_rng(5)
    subjects, times = 600, 5
    n = subjects * times
    lag = np.abs(np.subtract.outer(np.arange(times), np.arange(times)))
    errors = rng.standard_normal((subjects, times)) @ np.linalg.cholesky(0.6**lag).T
    item = rng.integers(0, 30, n)
    data = {
        "id": np.repeat(np.arange(subjects), times), "time": np.tile(np.arange(times), subjects), "item": item,
        "y": 2 + rng.standard_normal(30)[item] + errors.ravel(),
    }  # fmt: skip
    fit = mm.lmm("y ~ 1 + (1 | item)", data, residual="ar1(time | id)")
    assert fit.engine == "sparse"
    assert fit.converged
    natural = fit._work.criterion().natural(fit.optimum.theta)
    errors_of = fit.variance_components(ci="wald")
    found = dict(zip(natural.names, natural.values, strict=True))
    assert found["correlation(Residual)"] == pytest.approx(0.6, abs=0.05)
    assert len(errors_of["conf_low"]) == len(natural.values)


@pytest.mark.parametrize(("subjects", "engine"), [(25, "clusters"), (150, "sparse")])
def test_the_cheaper_engine_is_taken(subjects: int, engine: str) -> None:
    rng = np.random.default_rng(6)
    n = 4 * subjects
    data = {
        "id": np.repeat(np.arange(subjects), 4), "visit": np.tile(np.arange(4), subjects),
        "item": rng.integers(0, 10, n), "y": rng.standard_normal(n), "site": np.repeat(np.arange(subjects) // 5, 4),
    }  # fmt: skip
    assert mm.lmm("y ~ 1 + (1 | item)", data, residual="ar1(visit | id)").engine == engine
    # independent clusters of moderate size
    assert mm.lmm("y ~ 1 + (1 | site)", data, residual="ar1(visit | id)").engine == "clusters"


def test_parts_of_clusters_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stacks too large to hold at once are taken in parts."""
    make: Callable[[], Fit] = lambda: mm.lmm(  # noqa: E731
        "rated ~ x + (1 | item)", visits(), residual="ar1(visit | id)", variance="ident(kind)",
        control=Control(engine="sparse"),
    )  # fmt: skip
    whole = make()
    weights = symmetric_weights(len(whole.optimum.theta), 2)
    expected = fixed_information(whole._work.criterion(), whole.optimum.theta, weights)
    monkeypatch.setattr("mixedmodels.engines.whitened.cliques.CHUNK", 100)
    parts = make()
    assert parts.criterion == pytest.approx(whole.criterion, abs=1e-9)
    found = fixed_information(parts._work.criterion(), whole.optimum.theta, weights)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9 * np.abs(other).max())


@pytest.mark.parametrize("options", [{"residual": "ar1(visit | id)"}, {"variance": "ident(kind)"}], ids=str)
def test_models_without_fixed_effects(options: dict[str, str]) -> None:
    fits = [
        mm.lmm("rated ~ 0 + (1 | item)", visits(), control=Control(engine=engine), **options)
        for engine in ("sparse", "clusters")
    ]
    assert fits[0].criterion == pytest.approx(fits[1].criterion, abs=1e-7)
    errors = [fit.variance_components(ci="wald")["std_error"] for fit in fits]
    # optima within a ten-thousandth of a standard error of each other, a Hessian by differences
    np.testing.assert_allclose(errors[0], errors[1], rtol=1e-4)
    np.testing.assert_allclose(*(fit.predict(se=True)["se"] for fit in fits), rtol=1e-5)


def test_singular_errors_that_cannot_be_whitened_are_reported() -> None:
    fit = mm.lmm(
        "rated ~ x + (1 + x | item)", visits(), residual="us(visit | id, by=arm)", weights="w",
        control=Control(engine="sparse"),
    )  # fmt: skip
    assert not fit.converged
    assert any("errors is singular" in status.message for status in fit.status)


def test_kenward_roger_2009_is_refused_for_variance_functions() -> None:
    fit = CROSSED["nested, har1 and ident"]()
    with pytest.raises(mm.SpecError, match="kenward-roger2"):
        fit.fixed_effects(ddf="kenward-roger2")
    usual = CROSSED["crossed, ar1"]()
    assert np.isfinite(usual.fixed_effects(ddf="kenward-roger2")["std_error"]).all()
