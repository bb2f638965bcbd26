"""The `signed` engine answers as dense algebra does, for any symmetric Σ that leaves V positive definite."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dense_algebra import DenseSystem
from drawn_designs import (
    CHECKED,
    agree,
    agree_on_derivatives,
    agree_on_pieces,
    designs,
    directions_of,
    seeds,
)
from mixedmodels.control import Control
from mixedmodels.engines.signed.system import SignedSystem
from mixedmodels.terms.design import Design
from mixedmodels.typing import Array

kinds = st.sampled_from(["indefinite", "negative", "singular", "zero", "mixed"])


def random_matrices(design: Design, rng: np.random.Generator, kind: str) -> list[Array]:
    """Return a symmetric Σ̃ per term, shrunk until the smallest eigenvalue of Ṽ is at least a tenth."""
    out = []
    for k, term in enumerate(design.random):
        a = rng.standard_normal((term.n_sets, term.n_columns, term.n_columns))
        sigma = a + a.transpose(0, 2, 1)
        if kind == "negative" or (kind == "mixed" and k % 2):
            sigma = -(a @ a.transpose(0, 2, 1))
        if kind == "mixed" and not k % 2:
            sigma = a @ a.transpose(0, 2, 1)
        if kind == "singular":
            sigma[:, :, -1] = sigma[:, -1, :] = 0.0
        if kind == "zero":
            sigma = np.zeros_like(sigma)
        out.append(sigma)
    oracle, scale = DenseSystem(design), 3.0
    while True:
        scaled = [scale * sigma for sigma in out]
        if np.linalg.eigvalsh(oracle.covariance(scaled))[0] > 0.1:
            return scaled
        scale *= 0.7


def systems(design: Design) -> tuple[SignedSystem, DenseSystem]:
    assume(bool(design.random) and all(term.kernel is None for term in design.random))
    return SignedSystem(design, Control()), DenseSystem(design)


@CHECKED
@given(design=designs(), kind=kinds, seed=seeds)
def test_criterion_and_derivatives(design: Design, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    system, oracle = systems(design)
    matrices = random_matrices(design, rng, kind)
    actual, expected = system.factor(matrices), oracle.factor_matrices(matrices)
    agree_on_pieces(actual, expected)
    agree_on_derivatives(system, oracle, design, directions_of(design, rng))


@CHECKED
@given(design=designs(), kind=kinds, seed=seeds)
def test_solution_covariances_predictions_and_moments(design: Design, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    system, oracle = systems(design)
    matrices = random_matrices(design, rng, kind)
    system.factor(matrices)
    oracle.factor_matrices(matrices)
    mine, theirs = system.solution(), oracle.solution()
    agree(mine.beta, theirs.beta)
    agree(mine.vcov, theirs.vcov)
    for k in range(len(design.random)):
        agree(mine.random[k], theirs.random[k])
        agree(system.conditional_covariance(k), oracle.conditional_covariance(k))
        agree(system.joint_covariance(k), oracle.joint_covariance(k))
    rows, codes, values = 6, [], []
    for k, term in enumerate(design.random):
        known = rng.integers(0 if term.n_sets > 1 else -1, term.n_levels, rows).astype(np.int32)
        codes.append(known if k or seed % 3 else None)
        values.append(rng.standard_normal((rows, term.n_columns)))
    x = rng.standard_normal((rows, design.fixed.rank)) if seed % 2 else None
    if x is not None or any(c is not None for c in codes):
        agree(system.prediction_variance(x, codes, values), oracle.prediction_variance(x, codes, values))
    for one, other in zip(system.start_moments(), oracle.start_moments(), strict=True):
        agree(one, other)
    y = rng.standard_normal(design.n)
    again, expected = system.with_response(replace(design, y=y)), oracle.with_response(replace(design, y=y))
    found = again.factor(matrices).quadratic
    assert found == pytest.approx(expected.factor_matrices(matrices).quadratic, rel=1e-8)


@CHECKED
@given(design=designs(), seed=seeds, size=st.sampled_from([0.05, 0.3, 1.0, 5.0]))
def test_what_is_not_positive_definite_is_refused(design: Design, seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    system, oracle = systems(design)
    matrices = []
    for term in design.random:
        a = rng.standard_normal((term.n_sets, term.n_columns, term.n_columns))
        matrices.append(size * (a + a.transpose(0, 2, 1)))
    smallest = np.linalg.eigvalsh(oracle.covariance(matrices))[0]
    # nearer to singular than this the sign of the smallest eigenvalue is a matter of rounding
    assume(abs(smallest) > 1e-8)
    if smallest > 0:
        assert np.isfinite(system.factor(matrices).logdet)
    else:
        with pytest.raises(np.linalg.LinAlgError):
            system.factor(matrices)


@CHECKED
@given(design=designs(), kind=kinds, seed=seeds)
def test_traces_of_products(design: Design, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    system, oracle = systems(design)
    matrices = random_matrices(design, rng, kind)
    system.factor(matrices)
    oracle.factor_matrices(matrices)
    directions = directions_of(design, rng)
    middle = oracle.p if design.reml else oracle.v_inverse
    moved = [middle @ oracle.derivative(d) for d in directions]
    expected = np.array([[np.sum(a * b.T) for b in moved] for a in moved])
    found = system.trace_products(directions, design.reml)
    assert found is not None
    agree(found, expected)
