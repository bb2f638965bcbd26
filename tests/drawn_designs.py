"""Random designs drawn by hypothesis."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from dense_algebra import make_design, nested_in, random_codes, random_known, random_term
from mixedmodels.covariance import structure_class
from mixedmodels.covariance.unbounded import Unbounded
from models import Model, ModelTerm

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
    rng: np.random.Generator, label: str, recipe: Recipe, before: ModelTerm | None, n: int
) -> ModelTerm:
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
        known = random_known(rng, levels, precision=recipe.extra == "precision")
        return random_term(label, codes, values, US, known=known, levels=levels)
    return random_term(label, codes, values, US, levels=levels + 2 * (recipe.extra == "unused levels"))


@st.composite
def designs(draw: st.DrawFn) -> Model:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(24, 60))
    terms: list[ModelTerm] = []
    for k, recipe in enumerate(draw(st.lists(recipes, max_size=3))):
        terms.append(build_term(rng, f"g{k}", recipe, terms[-1] if terms else None, n))
    design = make_design(rng, terms, fixed=draw(st.integers(0, 3)), weighted=draw(st.booleans()))
    return replace(design, reml=draw(st.booleans()))


def without_bounds(design: Model) -> Model:
    """Return the model with covariances that may be indefinite."""
    return replace(
        design, random=tuple(replace(term, structure=Unbounded(term.structure)) for term in design.random)
    )
