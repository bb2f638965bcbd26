"""Random designs drawn by hypothesis, and what is compared on them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from dense_algebra import make_design, nested_in, random_codes, random_kernel, random_term
from mixedmodels.covariance import structure_class
from mixedmodels.engines.base import Pieces
from mixedmodels.engines.relative import RelativeSystem, TermDirection
from mixedmodels.terms.design import Design, RandomTerm
from mixedmodels.typing import Array

US = structure_class("us")()
CHECKED = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much]
)
seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Recipe:
    """What a random term is made of; `relation` to the term before it."""

    relation: str
    levels: int
    columns: int
    extra: str


recipes = st.builds(
    Recipe,
    relation=st.sampled_from(["crossed", "nested", "same"]),
    levels=st.integers(2, 9),
    columns=st.integers(1, 3),
    extra=st.sampled_from(["", "", "", "sets", "covariance", "precision", "unused levels"]),
)


def build_term(
    rng: np.random.Generator, label: str, recipe: Recipe, before: RandomTerm | None, n: int
) -> RandomTerm:
    codes = random_codes(rng, n, recipe.levels)
    if before is not None and recipe.relation == "nested":
        codes = nested_in(rng, before.codes, 3)
    if before is not None and recipe.relation == "same":
        codes = before.codes
    levels = int(codes.max()) + 1
    values = None if recipe.columns == 1 else rng.standard_normal((n, recipe.columns))
    if recipe.extra == "sets":
        return random_term(label, codes, values, US, sets=np.arange(levels) % 2, levels=levels)
    if recipe.extra in ("covariance", "precision"):
        kernel = random_kernel(rng, levels, precision=recipe.extra == "precision")
        return random_term(label, codes, values, US, kernel=kernel, levels=levels)
    return random_term(label, codes, values, US, levels=levels + 2 * (recipe.extra == "unused levels"))


@st.composite
def designs(draw: st.DrawFn) -> Design:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(24, 60))
    terms: list[RandomTerm] = []
    for k, recipe in enumerate(draw(st.lists(recipes, max_size=3))):
        terms.append(build_term(rng, f"g{k}", recipe, terms[-1] if terms else None, n))
    design = make_design(rng, terms, fixed=draw(st.integers(0, 3)), weighted=draw(st.booleans()))
    return replace(design, reml=draw(st.booleans()))


def agree(actual: Array, expected: Array, scale: float = 1.0) -> None:
    size = scale * max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    # V in the oracle has a condition of up to 1e5; a score of the dense tail divides by Λ'SΛ ≥ 1e-4 twice
    np.testing.assert_allclose(actual, expected, atol=1e-7 * size, rtol=0)


def directions_of(design: Design, rng: np.random.Generator) -> list[TermDirection]:
    out = []
    for k, term in enumerate(design.random):
        for s in range(term.n_sets):
            for _ in range(2):
                a = rng.standard_normal((term.n_columns, term.n_columns))
                out.append(TermDirection(k, s, a + a.T))
    return out


def agree_on_pieces(actual: Pieces, expected: Pieces) -> None:
    """Assert that the parts of two criteria are equal."""
    agree(np.array([actual.logdet, actual.logdet_x]), np.array([expected.logdet, expected.logdet_x]))
    assert actual.quadratic == pytest.approx(expected.quadratic, rel=1e-8)


def agree_on_derivatives(
    system: RelativeSystem, oracle: RelativeSystem, design: Design, directions: list[TermDirection]
) -> None:
    """Assert that two systems, factored at the same covariances, have equal first and second derivatives."""
    for mine, theirs in zip(system.scores(design.reml), oracle.scores(design.reml), strict=True):
        agree(mine.trace, theirs.trace)
        agree(mine.quadratic, theirs.quadratic)
    if directions:
        agree(system.average_information(directions), oracle.average_information(directions))
        for mine, theirs in zip(
            system.fixed_information(directions), oracle.fixed_information(directions), strict=True
        ):
            agree(mine, theirs)
