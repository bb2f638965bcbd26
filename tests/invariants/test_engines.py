"""Every engine answers as dense algebra does, on designs drawn by hypothesis."""

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
from mixedmodels.engines import ENGINES
from mixedmodels.engines.relative import RelativeSystem
from mixedmodels.terms.design import Design
from mixedmodels.typing import Array

EQUATIONS = [name for name in ("blocked", "sparse") if name in ENGINES]
"""The engines of mixed-model equations; those of marginal covariances answer other questions."""


def random_factors(design: Design, rng: np.random.Generator, kind: str) -> list[Array]:
    factors = [np.tril(rng.standard_normal((t.n_sets, t.n_columns, t.n_columns))) for t in design.random]
    for factor in factors:
        if kind == "singular":
            factor[:, :, -1] = 0.0
        if kind == "zero":
            factor[:] = 0.0
        if kind == "large":
            factor *= 30.0
    return factors


def systems(name: str, design: Design, threads: int = 1) -> tuple[RelativeSystem, DenseSystem]:
    engine, control = ENGINES[name](), Control(threads=threads)
    assume(engine.supports(design, control) is None)
    return engine.equations(design, control).system, DenseSystem(design)


kinds = st.sampled_from(["regular", "singular", "zero", "large"])


@pytest.mark.parametrize("name", EQUATIONS)
@CHECKED
@given(design=designs(), kind=kinds, seed=seeds)
def test_criterion_and_derivatives(name: str, design: Design, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    system, oracle = systems(name, design)
    factors = random_factors(design, rng, kind)
    actual, expected = system.factor(factors), oracle.factor(factors)
    agree_on_pieces(actual, expected)
    agree_on_derivatives(system, oracle, design, directions_of(design, rng))


@pytest.mark.parametrize("name", EQUATIONS)
@CHECKED
@given(design=designs(), kind=kinds, seed=seeds)
def test_solution_and_conditional_covariances(name: str, design: Design, kind: str, seed: int) -> None:
    system, oracle = systems(name, design)
    factors = random_factors(design, np.random.default_rng(seed), kind)
    system.factor(factors)
    oracle.factor(factors)
    mine, theirs = system.solution(), oracle.solution()
    agree(mine.beta, theirs.beta)
    agree(mine.vcov, theirs.vcov)
    # the oracle subtracts from the marginal variances, which its rounding error is therefore relative to
    variance = max((float(np.max(f**2, initial=1.0)) for f in factors), default=1.0)
    for k in range(len(design.random)):
        agree(mine.random[k], theirs.random[k], variance)
        agree(system.conditional_covariance(k), oracle.conditional_covariance(k), variance)
        agree(system.joint_covariance(k), oracle.joint_covariance(k), variance)


@pytest.mark.parametrize("name", EQUATIONS)
@CHECKED
@given(design=designs(), seed=seeds)
def test_predictions_moments_and_new_responses(name: str, design: Design, seed: int) -> None:
    rng = np.random.default_rng(seed)
    system, oracle = systems(name, design)
    factors = random_factors(design, rng, "regular")
    system.factor(factors)
    oracle.factor(factors)
    rows = 6
    codes, values = [], []
    for k, term in enumerate(design.random):
        # a level not in the fit belongs to no known set
        known = rng.integers(0 if term.n_sets > 1 else -1, term.n_levels, rows).astype(np.int32)
        codes.append(known if k or seed % 3 else None)
        values.append(rng.standard_normal((rows, term.n_columns)))
    x = rng.standard_normal((rows, design.fixed.rank)) if seed % 2 else None
    if x is not None or any(c is not None for c in codes):
        agree(system.prediction_variance(x, codes, values), oracle.prediction_variance(x, codes, values))
    for mine, theirs in zip(system.start_moments(), oracle.start_moments(), strict=True):
        agree(mine, theirs)
    y = rng.standard_normal(design.n)
    again, expected = system.with_response(replace(design, y=y)), oracle.with_response(replace(design, y=y))
    assert again.factor(factors).quadratic == pytest.approx(expected.factor(factors).quadratic, rel=1e-8)
    agree(again.solution().beta, expected.solution().beta)
    # the first system still answers for its own response
    assert system.factor(factors).quadratic == pytest.approx(oracle.factor(factors).quadratic, rel=1e-8)


@pytest.mark.parametrize("name", EQUATIONS)
@CHECKED
@given(design=designs(), seed=seeds)
def test_row_order_and_threads_do_not_move_results(name: str, design: Design, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(design.n)
    shuffled = replace(
        design,
        y=design.y[order],
        fixed=replace(design.fixed, matrix=design.fixed.matrix[order]),
        weights=None if design.weights is None else design.weights[order],
        random=tuple(
            replace(t, codes=t.codes[order], values=None if t.values is None else t.values[order])
            for t in design.random
        ),
    )
    first, _ = systems(name, design)
    second, _ = systems(name, shuffled, threads=2)
    factors = random_factors(design, rng, "regular")
    a, b = first.factor(factors), second.factor(factors)
    agree(np.array([a.logdet, a.logdet_x, a.quadratic]), np.array([b.logdet, b.logdet_x, b.quadratic]))
    for mine, theirs in zip(first.scores(design.reml), second.scores(design.reml), strict=True):
        agree(mine.trace, theirs.trace)
        agree(mine.quadratic, theirs.quadratic)
    agree(first.solution().beta, second.solution().beta)
