"""Comparisons of a fit with R's numbers, whatever names and order R uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

import mixedmodels as mm
from reference.loading import ReferenceModel, plain_group, plain_level, plain_name

TO_ROUNDING = mm.Control(decrement=1e-12)
"""R's optima are polished to rounding, and so are ours where estimates are compared."""


def fit_model(model: ReferenceModel, control: mm.Control) -> Any:
    return mm.lmm(
        model.formula,
        model.frame(),
        residual=model.options.get("residual"),
        variance=model.options.get("variance"),
        method=model.method,
        weights=model.weights,
        known=model.known(),
        bounds=model.options.get("bounds", "psd"),
        control=control,
    )


def assert_close(ours: Any, theirs: Any, scale: Any, tolerance: float, what: str) -> None:
    """Compare with an error relative to `scale`, which carries the unit (a standard error or deviation)."""
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    size = np.maximum(np.abs(theirs), np.asarray(scale))
    worst = np.max(np.abs(ours - theirs) / size)
    assert worst <= tolerance, f"{what}: relative difference {worst:.2e}, ours {ours}, R {theirs}"


def by_position(model: ReferenceModel) -> bool:
    """Whether R's names differ from ours, so that columns are matched in order."""
    return model.options.get("match") == "position"


def fixed_order(model: ReferenceModel, fit: Any) -> list[int]:
    """Return the columns of our X in R's order; columns R aliased are absent."""
    estimable = [j for j, value in enumerate(fit.beta) if np.isfinite(value)]
    if by_position(model):
        assert len(estimable) == len(model.expected["terms"])
        return estimable
    place = {plain_name(name): j for j, name in enumerate(fit.params.names)}
    order = [place[plain_name(term)] for term in model.expected["terms"]]
    assert sorted(order) == estimable
    return order


def compare_fixed_effects(model: ReferenceModel, fit: Any) -> None:
    expected, tolerance = model.expected, model.estimate_tolerance
    order = fixed_order(model, fit)
    std_error = np.array(expected["std_error"])
    assert_close(fit.beta[order], expected["beta"], std_error, tolerance, "beta")
    vcov = fit.cov_params(ddf="asymptotic").array[np.ix_(order, order)]
    assert_close(np.sqrt(np.diag(vcov)), std_error, 0.0, tolerance, "std_error")
    if "vcov" in expected:
        assert_close(vcov, expected["vcov"], np.outer(std_error, std_error), tolerance, "vcov")


Terms = Iterator[tuple[str, str, Sequence[str], Any]]


def our_covariances(fit: Any) -> Terms:
    """Yield group, parameter set, column names and Σ̂ of every term and set."""
    for term, sigmas in zip(fit.design.random, fit.covariances, strict=True):
        for label, sigma in zip(term.set_labels, sigmas, strict=True):
            yield term.group, label, term.columns, sigma


def r_covariances(expected: dict[str, Any]) -> Terms:
    for record in expected["covariances"]:
        sigma = np.reshape(record["matrix"], (len(record["names"]),) * 2)
        yield record["group"], record.get("label", ""), record["names"], sigma


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


def compare_covariances(model: ReferenceModel, fit: Any) -> None:
    expected, tolerance = model.expected, model.estimate_tolerance
    if by_position(model):
        for (*_, ours), (*_, theirs) in zip(our_covariances(fit), r_covariances(expected), strict=True):
            assert_close(ours, theirs, np.max(np.abs(theirs)), tolerance, "covariance")
        return
    ours, theirs = covariance_elements(our_covariances(fit)), covariance_elements(r_covariances(expected))
    assert set(theirs) <= set(ours)
    # a variance of zero is judged against the residual variance
    floor = 1e-3 * expected["sigma"] ** 2
    for key, values in ours.items():
        group, label, names = key
        diagonal = [max(*theirs[group, label, frozenset((name,))], floor) for name in names]
        scale = np.sqrt(diagonal[0] * diagonal[-1])
        what = f"covariance {sorted(names)}"
        assert_close(values, theirs.get(key, [0.0] * len(values)), scale, tolerance, what)


def compare_random_effects(model: ReferenceModel, fit: Any) -> None:
    theirs = model.expected["random_effects"]
    table = fit.random_effects(se="std_error" in theirs).to_frame()
    if by_position(model):
        assert len(table) == len(theirs["estimate"])
    else:
        table = table.iloc[effect_order(table, theirs)]
    # effects of a term near zero are judged against the residual standard deviation
    floor = 0.03 * model.expected["sigma"]
    std_error = np.array(theirs.get("std_error", np.zeros(len(table))))
    scale = np.maximum(std_error, floor)
    assert_close(table["estimate"], theirs["estimate"], scale, model.estimate_tolerance, "random effects")
    if "std_error" in theirs:
        assert_close(table["std_error"], std_error, floor, model.estimate_tolerance, "prediction errors")


def effect_order(table: Any, theirs: dict[str, list[Any]]) -> list[int]:
    """Return our rows in R's order.

    Two terms may share group and column, one of them with a known matrix: their rows are taken in order.
    """
    rows: dict[Any, list[int]] = {}
    ours = zip(table["group"], table["level"], table["term"], strict=True)
    for row, (group, level, term) in enumerate(ours):
        rows.setdefault((plain_level(group, level), plain_name(term)), []).append(row)
    keys = zip(theirs["group"], theirs["level"], theirs["term"], strict=True)
    return [rows[plain_level(group, level), plain_name(term)].pop(0) for group, level, term in keys]
