"""Every reference model: the criterion is never worse than R's, and the estimates are R's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pytest

import mixedmodels as mm
from reference.loading import ReferenceModel, plain_group, plain_level, plain_name, read_models

MODELS = [
    model for model in read_models() if "criterion" in model.expected and not model.options.get("residual")
]


TO_ROUNDING = mm.Control(decrement=1e-12)
"""R's optima are polished to rounding, and so are ours where estimates are compared."""


def fit_model(model: ReferenceModel, control: mm.Control) -> Any:
    return mm.lmm(
        model.formula,
        model.frame(),
        method=model.method,
        weights=model.weights,
        known=model.known(),
        control=control,
    )


@pytest.fixture(scope="module", params=MODELS, ids=lambda model: model.name)
def fitted(request: pytest.FixtureRequest) -> tuple[ReferenceModel, Any]:
    """One model and its fit; module scope makes pytest run all tests of a model together."""
    return request.param, fit_model(request.param, TO_ROUNDING)


def fixed_order(model: ReferenceModel, fit: Any) -> list[int]:
    """Return the columns of our X in R's order; columns R aliased are absent."""
    estimable = [j for j, value in enumerate(fit.beta) if np.isfinite(value)]
    if model.options.get("match") == "position":
        assert len(estimable) == len(model.expected["terms"])
        return estimable
    place = {plain_name(name): j for j, name in enumerate(fit.params.names)}
    order = [place[plain_name(term)] for term in model.expected["terms"]]
    assert sorted(order) == estimable
    return order


def assert_close(ours: Any, theirs: Any, scale: Any, tolerance: float, what: str) -> None:
    """Compare with an error relative to `scale`, which carries the unit (a standard error or deviation)."""
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    size = np.maximum(np.abs(theirs), np.asarray(scale))
    worst = np.max(np.abs(ours - theirs) / size)
    assert worst <= tolerance, f"{what}: relative difference {worst:.2e}, ours {ours}, R {theirs}"


def test_criterion(fitted: tuple[ReferenceModel, Any]) -> None:
    model, fit = fitted
    expected = model.expected
    assert fit.nobs == expected["nobs"]
    assert fit.criterion <= expected["criterion"] + 1e-5
    assert fit.criterion == pytest.approx(expected["criterion"], abs=model.criterion_tolerance, rel=0)
    assert fit.loglik == pytest.approx(-expected["criterion"] / 2, abs=model.criterion_tolerance, rel=0)
    assert fit.aic == pytest.approx(expected["aic"], abs=model.criterion_tolerance, rel=0)
    if "bic" in expected:
        assert fit.bic == pytest.approx(expected["bic"], abs=model.criterion_tolerance, rel=0)


def test_fixed_effects(fitted: tuple[ReferenceModel, Any]) -> None:
    model, fit = fitted
    expected = model.expected
    order = fixed_order(model, fit)
    std_error = np.array(expected["std_error"])
    tolerance = model.estimate_tolerance
    assert_close(fit.beta[order], expected["beta"], std_error, tolerance, "beta")
    vcov = fit.vcov[np.ix_(order, order)]
    assert_close(np.sqrt(np.diag(vcov)), std_error, 0.0, tolerance, "std_error")
    assert_close(vcov, expected["vcov"], np.outer(std_error, std_error), tolerance, "vcov")


def covariance_elements(terms: Iterable[tuple[str, str, Sequence[str], Any]]) -> dict[Any, list[float]]:
    """Return (group, parameter set, name, name) → the elements of Σ in the order of the terms.

    Terms on one group are pooled, because `(1 + x || g)` is one term here and two in lme4.
    """
    elements: dict[Any, list[float]] = {}
    for group, label, columns, sigma in terms:
        names = [plain_name(name) for name in columns]
        for (i, first), (j, second) in combinations_with_replacement(enumerate(names), 2):
            key = (plain_group(group), label, frozenset((first, second)))
            elements.setdefault(key, []).append(float(sigma[i][j]))
    return elements


def test_default_stopping_rule(fitted: tuple[ReferenceModel, Any]) -> None:
    model, _ = fitted
    fit, expected = fit_model(model, mm.Control()), model.expected
    assert fit.criterion <= expected["criterion"] + 1e-5
    order = fixed_order(model, fit)
    # the default ends the search at g'H⁻¹g <= 1e-8, a distance of 1e-4 standard errors
    error = np.abs(fit.beta[order] - expected["beta"]) / np.array(expected["std_error"])
    assert np.max(error) <= 1e-4 + model.estimate_tolerance


def our_covariances(fit: Any) -> Iterator[tuple[str, str, Sequence[str], Any]]:
    for term, sigmas in zip(fit.design.random, fit.covariances, strict=True):
        for label, sigma in zip(term.set_labels, sigmas, strict=True):
            yield term.group, label, term.columns, sigma


def r_covariances(expected: dict[str, Any]) -> Iterator[tuple[str, str, Sequence[str], Any]]:
    for record in expected["covariances"]:
        size = len(record["names"])
        yield (
            record["group"],
            record.get("label", ""),
            record["names"],
            np.reshape(record["matrix"], (size, size)),
        )


def test_covariances(fitted: tuple[ReferenceModel, Any]) -> None:
    model, fit = fitted
    expected = model.expected
    tolerance = model.estimate_tolerance
    assert_close(fit.sigma, expected["sigma"], 0.0, tolerance, "sigma")
    if "covariances" not in expected:
        values = fit.variance_components().to_frame()["variance"]
        assert_close(values.iloc[0], expected["parameters"]["variance"], 0.0, tolerance, "variance")
    elif model.options.get("match") == "position":
        pairs = zip(our_covariances(fit), r_covariances(expected), strict=True)
        for (*_, ours), (*_, theirs) in pairs:
            assert_close(ours, theirs, np.max(np.abs(theirs)), tolerance, "covariance")
    else:
        compare_elements(fit, expected, tolerance)


def compare_elements(fit: Any, expected: dict[str, Any], tolerance: float) -> None:
    ours, theirs = covariance_elements(our_covariances(fit)), covariance_elements(r_covariances(expected))
    assert set(theirs) <= set(ours)
    # a variance of zero is judged against the residual variance
    floor = 1e-3 * expected["sigma"] ** 2
    for key, values in ours.items():
        group, label, names = key
        diagonal = [max(*theirs[group, label, frozenset((name,))], floor) for name in names]
        scale = np.sqrt(diagonal[0] * diagonal[-1])
        assert_close(
            values, theirs.get(key, [0.0] * len(values)), scale, tolerance, f"covariance {sorted(names)}"
        )


def test_random_effects(fitted: tuple[ReferenceModel, Any]) -> None:
    model, fit = fitted
    expected = model.expected
    if "random_effects" not in expected:
        pytest.skip("the case keeps no random effects")
    theirs = expected["random_effects"]
    table = fit.random_effects(se="std_error" in theirs).to_frame()
    if model.options.get("match") == "position":
        compare_by_position(model, table, theirs)
        return
    # two terms may share group and column, one of them with a known matrix: rows are taken in order
    rows: dict[Any, list[int]] = {}
    for row, (group, level, term) in enumerate(
        zip(table["group"], table["level"], table["term"], strict=True)
    ):
        rows.setdefault((plain_level(group, level), plain_name(term)), []).append(row)
    keys = zip(theirs["group"], theirs["level"], theirs["term"], strict=True)
    order = [rows[plain_level(group, level), plain_name(term)].pop(0) for group, level, term in keys]
    compare_effects(model, table.iloc[order], theirs)


def compare_by_position(model: ReferenceModel, table: Any, theirs: dict[str, list[Any]]) -> None:
    assert len(table) == len(theirs["estimate"])
    compare_effects(model, table, theirs)


def compare_effects(model: ReferenceModel, table: Any, theirs: dict[str, list[Any]]) -> None:
    # effects of a term near zero are judged against the residual standard deviation
    floor = 0.03 * model.expected["sigma"]
    std_error = np.array(theirs["std_error"]) if "std_error" in theirs else np.zeros(len(table))
    scale = np.maximum(std_error, floor)
    assert_close(table["estimate"], theirs["estimate"], scale, model.estimate_tolerance, "random effects")
    if "std_error" in theirs:
        assert_close(table["std_error"], std_error, floor, model.estimate_tolerance, "prediction errors")


def test_fitted_values(fitted: tuple[ReferenceModel, Any]) -> None:
    model, fit = fitted
    expected = model.expected
    theirs = np.array(expected["fitted"])
    assert_close(fit.fitted[: len(theirs)], theirs, expected["sigma"], model.estimate_tolerance, "fitted")
