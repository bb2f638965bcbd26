"""The engines that take any random terms against dense algebra, method by method, over every layout."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from dense_algebra import (
    DenseSystem,
    make_design,
    nested_in,
    random_codes,
    random_kernel,
    random_term,
)
from mixedmodels.control import Control
from mixedmodels.covariance import structure_class
from mixedmodels.engines.base import Engine
from mixedmodels.engines.blocked.engine import BlockedEngine
from mixedmodels.engines.relative import TermDirection
from mixedmodels.engines.sparse.engine import SparseEngine
from mixedmodels.terms.design import Design
from mixedmodels.typing import Array

US = structure_class("us")()


def slopes(rng: np.random.Generator, n: int, p: int) -> Array | None:
    return None if p == 1 else np.column_stack([np.ones(n), rng.standard_normal((n, p - 1))])


def layout_design(kind: str, rng: np.random.Generator, reml: bool) -> Design:
    n = 70
    outer = random_codes(rng, n, 4)
    middle = nested_in(rng, outer, 3)
    inner = nested_in(rng, middle, 2)
    other = random_codes(rng, n, 6)
    third = random_codes(rng, n, 3)

    def term(label: str, codes: Array, p: int = 1, **options: object) -> object:
        return random_term(label, codes, slopes(rng, n, p), US, **options)

    kernel_levels = 6
    terms = {
        "one": [term("g", other)],
        "vector": [term("g", other, 2)],
        "wide": [term("g", third, 6)],
        "nested": [term("outer", outer), term("middle", middle), term("inner", inner)],
        "nested slopes": [term("outer", outer, 2), term("middle", middle, 3), term("inner", inner, 2)],
        "crossed": [term("inner", inner), term("other", other), term("third", third)],
        "crossed slopes": [term("inner", inner, 2), term("other", other, 2), term("third", third, 3)],
        "nested and crossed": [term("outer", outer, 2), term("inner", inner, 2), term("other", other, 2)],
        "same levels": [term("g", other), term("g", other, 2), term("h", third)],
        "sets": [
            term("g", other, 2, sets=np.arange(other.max() + 1) % 2),
            term("h", third, 1, sets=np.arange(third.max() + 1) % 2),
        ],
        "sets alone": [term("g", inner, 2, sets=np.arange(inner.max() + 1) % 3)],
        "kernel": [term("k", other, 2, kernel=random_kernel(rng, kernel_levels, precision=False))],
        "kernel and levels": [
            term("k", other, 1, kernel=random_kernel(rng, kernel_levels, precision=True)),
            term("g", other, 1),
            term("inner", inner, 1),
        ],
        "empty levels": [term("k", third, 1, kernel=random_kernel(rng, 5, precision=True), levels=5)],
        "none": [],
    }[kind]
    return make_design(rng, terms, fixed=3, weighted=True, reml=reml)


KINDS = [
    "one", "vector", "wide", "nested", "nested slopes", "crossed", "crossed slopes", "nested and crossed",
    "same levels", "sets", "sets alone", "kernel", "kernel and levels", "empty levels", "none",
]  # fmt: skip


def random_factors(design: Design, rng: np.random.Generator, how: str) -> list[Array]:
    factors = []
    for term in design.random:
        p = term.n_columns
        lam = np.tril(rng.standard_normal((term.n_sets, p, p)))
        if how == "singular":
            lam[:, :, -1] = 0.0
        if how == "zero":
            lam[:] = 0.0
        factors.append(lam)
    return factors


def close(actual: Array, expected: Array, scale: float = 1.0) -> None:
    size = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    # both sides are double precision; 1e-8 leaves room for the condition of V in the dense reference
    np.testing.assert_allclose(actual, expected, atol=1e-8 * size * scale, rtol=0)


ENGINES = pytest.mark.parametrize("engine", [BlockedEngine, SparseEngine], ids=["blocked", "sparse"])


@ENGINES
@pytest.mark.parametrize("how", ["regular", "singular", "zero"])
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_dense_algebra(kind: str, reml: bool, how: str, engine: type[Engine]) -> None:
    rng = np.random.default_rng(KINDS.index(kind) * 10 + len(how))
    design = layout_design(kind, rng, reml)
    system = engine().equations(design, Control(threads=1)).system
    oracle = DenseSystem(design)
    factors = random_factors(design, rng, how)

    actual, expected = system.factor(factors), oracle.factor(factors)
    close(np.array([actual.logdet, actual.logdet_x, actual.quadratic]),
          np.array([expected.logdet, expected.logdet_x, expected.quadratic]))  # fmt: skip

    for mine, theirs in zip(system.scores(reml), oracle.scores(reml), strict=True):
        close(mine.trace, theirs.trace)
        close(mine.quadratic, theirs.quadratic)

    directions = [
        TermDirection(k, s, symmetric(rng, term.n_columns))
        for k, term in enumerate(design.random)
        for s in range(term.n_sets)
        for _ in range(2)
    ]
    if directions:
        close(system.average_information(directions), oracle.average_information(directions))
        for mine, theirs in zip(
            system.fixed_information(directions), oracle.fixed_information(directions), strict=True
        ):
            close(mine, theirs)

    mine, theirs = system.solution(), oracle.solution()
    close(mine.beta, theirs.beta)
    close(mine.vcov, theirs.vcov)
    for k in range(len(design.random)):
        close(mine.random[k], theirs.random[k])
        close(system.conditional_covariance(k), oracle.conditional_covariance(k))
        close(system.joint_covariance(k), oracle.joint_covariance(k))


def symmetric(rng: np.random.Generator, p: int) -> Array:
    a = rng.standard_normal((p, p))
    return a + a.T


@ENGINES
@pytest.mark.parametrize("kind", KINDS)
def test_prediction_variance_and_moments(kind: str, engine: type[Engine]) -> None:
    rng = np.random.default_rng(100 + KINDS.index(kind))
    design = layout_design(kind, rng, True)
    system = engine().equations(design, Control(threads=2)).system
    oracle = DenseSystem(design)
    factors = random_factors(design, rng, "regular")
    system.factor(factors)
    oracle.factor(factors)
    n = 9
    lowest = 0 if kind.startswith("sets") else -1
    codes = [rng.integers(lowest, t.n_levels, n).astype(np.int32) for t in design.random]
    for k, term in enumerate(design.random):
        for j in range(k):
            if term.group == design.random[j].group and kind == "same levels":
                codes[k] = codes[j]
    values = [rng.standard_normal((n, t.n_columns)) for t in design.random]
    x = rng.standard_normal((n, 3))
    if not design.random:
        codes, values = [], []
    close(system.prediction_variance(x, codes, values), oracle.prediction_variance(x, codes, values))
    for mine, theirs in zip(system.start_moments(), oracle.start_moments(), strict=True):
        close(mine, theirs)
    again = rng.standard_normal(design.n)
    close(
        np.array([system.with_response(replace(design, y=again)).factor(factors).quadratic]),
        np.array([oracle.with_response(replace(design, y=again)).factor(factors).quadratic]),
    )
