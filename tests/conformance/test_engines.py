"""Every engine answers as dense algebra does: each verb, on each layout that it takes, and on designs at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from dense_equations import DenseEquations
from drawn_designs import CHECKED, designs, seeds, without_bounds
from engine_checks import (
    CHECKS,
    CONTROL,
    WORKING,
    Case,
    criterion,
    draw_covariances,
    draw_random,
    information,
    leverages,
    make_case,
    prediction_variance,
    scores,
    solution,
    traces,
    working,
)
from engine_layouts import LAYOUTS, layout
from mixedmodels.engines import RANDOM_ENGINES
from mixedmodels.engines.base import Covariances
from models import Model

# rows given their neighbours are packed sets of rows, with a suite of their own: unit/engines/test_neighbours.py
ENGINES = {name: kind for name, kind in RANDOM_ENGINES.items() if not kind.given_neighbours}
BOUNDED = ("regular", "singular", "zero")
UNBOUNDED = ("indefinite", "negative", "mixed", "zero")
REFUSED = (mm.FitError, ArithmeticError, np.linalg.LinAlgError)


def taken(engine: str) -> list[str]:
    """Return the layouts that an engine takes."""
    return [name for name in LAYOUTS if layout(name).refusal(ENGINES[engine](), CONTROL) is None]


CASES = [
    (engine, name, kind)
    for engine in ENGINES
    for name in taken(engine)
    for kind in (BOUNDED if layout(name).bounded else UNBOUNDED)
    if layout(name).random or kind == "regular"
]


@pytest.fixture(scope="module", params=CASES, ids="/".join)
def case(request: pytest.FixtureRequest) -> Case:
    engine, name, kind = request.param
    return make_case(engine, layout(name), kind, seed=list(LAYOUTS).index(name))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_verb(case: Case, check: Callable[[Case], None]) -> None:
    check(case)


@pytest.mark.parametrize("name", ["one factor", "slopes", "nested", "crossed", "terms of one factor"])
def test_small_models_have_exact_hessians(name: str) -> None:
    case = make_case("blocked", layout(name), "regular", seed=3)
    assert case.equations.trace_products(case.directions, True) is not None


def test_every_layout_is_taken_and_every_engine_takes_several() -> None:
    by_engine = {engine: taken(engine) for engine in ENGINES}
    assert {name for names in by_engine.values() for name in names} == set(LAYOUTS)
    # `levels` is for one factor without a fixed part
    assert all(len(names) >= (1 if engine == "levels" else 4) for engine, names in by_engine.items())


@pytest.mark.parametrize("engine", ENGINES)
@settings(CHECKED, max_examples=40)
@given(design=designs(), kind=st.sampled_from(["regular", "singular", "some zero", "large"]), seed=seeds)
def test_drawn_designs(engine: str, design: Model, kind: str, seed: int) -> None:
    if design.refusal(ENGINES[engine](), CONTROL) is not None:
        design = without_bounds(design)
        kind = {"regular": "indefinite", "large": "negative", "some zero": "mixed"}.get(kind, kind)
    assume(design.refusal(ENGINES[engine](), CONTROL) is None)
    # V in the oracle has a condition of up to 1e5; a score of a dense tail divides by Λ'SΛ ≥ 1e-4 twice
    case = make_case(engine, design, kind, seed, tolerance=1e-7)
    for check in CHECKS:
        check(case)


# -- weights of either sign ----------------------------------------------------------------------------------

DIAGONAL = [
    (engine, name)
    for engine in ENGINES
    for name in taken(engine)
    if layout(name).residual is None
    and layout(name).bounded
    and layout(name).equations(ENGINES[engine](), CONTROL).diagonal
]


@pytest.mark.parametrize(("engine", "name"), DIAGONAL)
def test_weights_of_either_sign(engine: str, name: str) -> None:
    """They are taken where the mixed-model equations and X'V⁻¹X stay positive definite, and refused elsewhere."""
    design, rng = layout(name), np.random.default_rng(3)
    equations = design.equations(ENGINES[engine](), CONTROL)
    positive, negative = rng.uniform(0.5, 2.0, design.n), rng.permutation(design.n)[: design.n // 10]
    for size in (8.0, 0.5, 0.2, 0.05, 0.01):
        weights = positive.copy()
        weights[negative] *= -size
        signed = replace(design, weights=weights)
        oracle = DenseEquations.of(signed, equations.groups, equations.homogeneous)
        covariances = draw_covariances(signed, oracle, np.random.default_rng(5), "regular")
        if not accepts(oracle, covariances):
            with pytest.raises(REFUSED):
                equations.with_rows(signed.rows).factor(covariances)
            continue
        case = Case(signed, equations.with_rows(signed.rows), "regular", seed=5)
        for check in (criterion, scores, traces, information, solution, leverages, prediction_variance):
            check(case)


@pytest.mark.parametrize(("engine", "name"), DIAGONAL)
def test_working_weights_and_scores(engine: str, name: str) -> None:
    """Weights of 0 have scores; those of either sign as long as the equations stay positive definite."""
    case = make_case(engine, layout(name), "regular", seed=11)
    rng, n = np.random.default_rng(4), case.design.n
    weights, chosen = rng.uniform(0.5, 2.0, n), rng.permutation(n)
    weights[chosen[: n // 10]] = 0.0
    weights[chosen[n // 10 : n // 5]] *= -0.01
    again = working(case, weights, rng.standard_normal(n))
    for check in WORKING:
        check(again)
    # the first equations keep their own
    case.factor()
    criterion(case)


CORRELATED = sorted({(e, name) for e, name, _ in CASES if layout(name).residual is not None})


@pytest.mark.parametrize(("engine", "name"), CORRELATED)
def test_weights_of_correlated_errors_are_positive(engine: str, name: str) -> None:
    equations = layout(name).equations(ENGINES[engine](), CONTROL)
    assert not equations.diagonal
    weights = np.ones(layout(name).n)
    for bad in (0.0, -1.0):
        weights[3] = bad
        with pytest.raises(mm.FitError, match=f"row 3 has {bad:.3g}"):
            equations.reweight(weights, weights)


def accepts(oracle: DenseEquations, covariances: Covariances) -> bool:
    """Return whether the equations are positive definite."""
    try:
        oracle.factor(covariances)
    except np.linalg.LinAlgError:
        return False
    return True


# -- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("engine", "name"), sorted({(engine, name) for engine, name, _ in CASES}))
def test_covariances_that_are_not_finite_are_refused(engine: str, name: str) -> None:
    case = make_case(engine, layout(name), "regular" if layout(name).bounded else "mixed", 1)
    errors = tuple(np.full_like(r, np.nan) for r in case.covariances.errors)
    with pytest.raises(REFUSED):
        case.equations.factor(replace(case.covariances, errors=errors))
    # and the equations can be used again
    case.factor()
    criterion(case)


INDEFINITE = [engine for engine in ENGINES if any(not layout(name).bounded for name in taken(engine))]


@pytest.mark.parametrize("engine", INDEFINITE)
@CHECKED
@given(design=designs(), seed=seeds, size=st.sampled_from([0.05, 0.3, 1.0, 5.0]))
def test_what_is_not_positive_definite_is_refused(engine: str, design: Model, seed: int, size: float) -> None:
    design = without_bounds(design)
    assume(bool(design.random) and design.refusal(ENGINES[engine](), CONTROL) is None)
    case = make_case(engine, design, "zero", seed)
    random, _ = draw_random(design, np.random.default_rng(seed), "indefinite")
    given = replace(case.covariances, random=tuple(size * sigma for sigma in random))
    smallest = np.linalg.eigvalsh(case.oracle.covariance(given))[0]
    # nearer to singular than this the sign of the smallest eigenvalue is a matter of rounding
    assume(abs(smallest) > 1e-8)
    if smallest > 0:
        assert np.isfinite(case.equations.factor(given).logdet)
    else:
        with pytest.raises(REFUSED):
            case.equations.factor(given)
