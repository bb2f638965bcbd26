"""The sparse engine where the others do not reach, and the choice between engines."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

sys.path.insert(0, str(Path(__file__).parents[2]))

from dense_algebra import fixed_terms, make_design, random_codes, random_term
from dense_equations import DenseEquations, from_roots
from mixedmodels import lmm
from mixedmodels.control import Control
from mixedmodels.covariance import structure_class
from mixedmodels.engines import choose_engine
from mixedmodels.engines.base import Direction
from mixedmodels.engines.blocked.engine import BlockedEngine
from mixedmodels.engines.sparse import start_moments
from mixedmodels.engines.sparse.engine import SparseEngine
from mixedmodels.engines.sparse.system import JOINT_COLUMNS
from mixedmodels.errors import DataError, FitError
from mixedmodels.terms.design import KnownCovariance
from models import Model, ModelTerm

US = structure_class("us")()


def pedigree_precision(animals: int, founders: int, sires: int, seed: int = 0) -> sparse.csc_array:
    """Inverse relationship matrix, no inbreeding: later animals have one of a few sires, an earlier dam."""
    rng = np.random.default_rng(seed)
    later = np.arange(founders, animals)
    sire = rng.integers(0, sires, len(later))
    dam = (sires + rng.random(len(later)) * (later - sires)).astype(int)
    rows = np.concatenate([np.arange(animals), later, later])
    columns = np.concatenate([np.arange(animals), sire, dam])
    entries = np.concatenate([np.ones(animals), np.full(2 * len(later), -0.5)])
    t = sparse.csc_array(sparse.coo_array((entries, (rows, columns)), shape=(animals, animals)))
    weights = np.where(np.arange(animals) < founders, 1.0, 2.0)
    return sparse.csc_array(t.T @ sparse.diags_array(weights) @ t)


def plain_design(terms: list[ModelTerm], seed: int = 0) -> Model:
    rng = np.random.default_rng(seed)
    n = len(terms[0].codes)
    x = np.column_stack([np.ones(n), rng.standard_normal((n, 2))])
    return Model(rng.standard_normal(n), fixed_terms(x), tuple(terms))


def animal_design(rows: int, animals: int, founders: int, sires: int) -> Model:
    rng = np.random.default_rng(1)
    known = KnownCovariance("A", precision=pedigree_precision(animals, founders, sires))
    codes = rng.integers(0, animals, rows).astype(np.int32)
    return plain_design([random_term("animal", codes, None, US, known=known, levels=animals)])


def crossed_design(rows: int, levels: tuple[int, ...], *, local: bool) -> Model:
    """Crossed factors, at random or (`local`) each level meeting only a few levels of the others."""
    rng = np.random.default_rng(2)
    terms = []
    for k, q in enumerate(levels):
        codes = random_codes(rng, rows, q)
        if local:
            codes = ((np.arange(rows) * q // rows + rng.integers(0, 3, rows)) % q).astype(np.int32)
        terms.append(random_term(f"g{k}", codes, None, US))
    return plain_design(terms)


@pytest.mark.parametrize(
    ("design", "expected"),
    [
        (lambda: animal_design(30_000, 20_000, 2_000, 400), "sparse"),
        (lambda: animal_design(2_000, 1_000, 100, 20), "sparse"),
        (lambda: crossed_design(60_000, (8_000, 4_000, 3_000, 50), local=True), "sparse"),
        (lambda: crossed_design(20_000, (2_000, 600, 300, 50), local=False), "blocked"),
        (lambda: crossed_design(73_421, (2_972, 1_128, 14), local=False), "blocked"),
        (lambda: crossed_design(144, (24, 6), local=False), "blocked"),
    ],
    ids=["pedigree", "small pedigree", "four local factors", "four random factors", "insteval", "penicillin"],
)
def test_choice_of_engine(design, expected: str) -> None:
    assert choose_engine(design().layout, design().rows, Control()).name == expected


@pytest.mark.parametrize("case", ["pedigree", "four factors"])
def test_equals_blocked_on_designs_of_hundreds_of_levels(case: str) -> None:
    if case == "pedigree":
        design = animal_design(900, 500, 60, 8)
    else:
        design = crossed_design(3_000, (400, 250, 120, 20), local=True)
    control = Control(threads=2)
    both = [design.equations(engine(), control) for engine in (BlockedEngine, SparseEngine)]
    at = from_roots(*(np.full((1, 1, 1), 0.3 + 0.4 * k) for k in range(len(design.random))))
    directions = [Direction(random=((k, 0, np.ones((1, 1))),)) for k in range(len(design.random))]
    weights = np.ones((len(directions), len(directions)))
    found = []
    for equations in both:
        pieces = equations.factor(at)
        scores = equations.scores(True).random
        solution = equations.solution()
        found.append(
            [
                np.array([pieces.logdet, pieces.logdet_x, pieces.quadratic]),
                *(s.trace for s in scores),
                *(s.quadratic for s in scores),
                equations.information(directions),
                *equations.fixed_information(directions, weights),
                solution.beta,
                solution.vcov,
                *solution.random,
                equations.conditional_covariance(0),
                *equations.start_moments(),
            ]
        )
    for blocked, own in zip(*found, strict=True):
        # condition of the known covariance ≲ 1e3: two exact routes in double precision agree to this
        np.testing.assert_allclose(own, blocked, rtol=1e-8, atol=1e-9 * np.abs(blocked).max())


@pytest.mark.parametrize("shrinkage", [0.0, 1e-9, 1e-6, 1e-4, 1e-3, 1e-2])
def test_trace_near_the_boundary(shrinkage: float) -> None:
    """Unequal information and Λ from zero to small: extrapolated and divided traces join without a step."""
    rng = np.random.default_rng(5)
    codes = np.sort(np.minimum(rng.geometric(0.05, 600) - 1, 40)).astype(np.int32)
    codes = np.unique(codes, return_inverse=True)[1].astype(np.int32)
    values = np.column_stack([np.ones(600), 30 * rng.standard_normal(600)])
    other = random_codes(rng, 600, 9)
    design = make_design(
        rng, [random_term("g", codes, values, US), random_term("h", other, None, US)], weighted=True
    )
    at = from_roots(np.array([[[shrinkage, 0.0], [0.1, 0.0]]]), np.full((1, 1, 1), shrinkage))
    equations, oracle = design.equations(SparseEngine(), Control(threads=1)), DenseEquations.of(design)
    equations.factor(at)
    oracle.factor(at)
    for reml in (True, False):
        for mine, theirs in zip(equations.scores(reml).random, oracle.scores(reml).random, strict=True):
            # dividing by λ² ≥ 1e-6/information leaves 1e-16/1e-6 = 1e-10 of the largest element
            np.testing.assert_allclose(
                mine.trace, theirs.trace, rtol=0, atol=1e-8 * np.abs(theirs.trace).max()
            )


def test_start_moments_of_large_known_covariances_are_close(monkeypatch: pytest.MonkeyPatch) -> None:
    design = animal_design(2_000, 1_500, 200, 40)
    equations = design.equations(SparseEngine(), Control(threads=1))
    exact, forms = equations.start_moments()
    monkeypatch.setattr(start_moments, "EXACT", 1_000)
    estimated, again = equations.start_moments()
    # a first guess: the standard deviation of sixteen probes is a few per cent here
    np.testing.assert_allclose(estimated, exact, rtol=0.2)
    np.testing.assert_array_equal(again, forms)
    assert not np.array_equal(estimated, exact)


def test_other_responses_do_not_disturb_each_other() -> None:
    design = crossed_design(500, (60, 40), local=False)
    equations = design.equations(SparseEngine(), Control(threads=1))
    at, elsewhere = (from_roots(*[np.full((1, 1, 1), value)] * 2) for value in (1.0, 2.0))
    equations.factor(at)
    before = equations.scores(True).random[0].trace
    other = equations.new_response(design.y[::-1].copy())
    other.factor(elsewhere)
    np.testing.assert_array_equal(equations.scores(True).random[0].trace, before)
    assert other.factor(at).logdet == equations.factor(at).logdet


def test_what_it_refuses_and_why() -> None:
    large = crossed_design(10_000, (JOINT_COLUMNS + 1, 5), local=False)
    equations = large.equations(SparseEngine(), Control(threads=1))
    equations.factor(from_roots(*[np.ones((1, 1, 1))] * 2))
    with pytest.raises(FitError, match="joint covariance of the 3001 predictions of 'g0'"):
        equations.joint_covariance(0)
    assert equations.joint_covariance(1).shape == (5, 5)
    reason = large.refusal(SparseEngine(), Control(memory=1e5))
    assert reason is not None
    assert "control.memory" in reason
    wide = KnownCovariance("G", covariance=np.eye(3_001))
    terms = [random_term("line", np.arange(3_001) % 50, None, US, known=wide, levels=3_001)]
    reason = plain_design(terms).refusal(SparseEngine(), Control())
    assert reason is not None
    assert "'G' has 3001" in reason
    singular = KnownCovariance("P", precision=sparse.csc_array(np.ones((4, 4))))
    terms = [random_term("line", np.arange(40) % 4, None, US, known=singular, levels=4)]
    model = plain_design(terms)
    with pytest.raises(DataError, match="known='P'"):
        SparseEngine().cost(model.layout, model.rows)


def test_prediction_variance_on_and_off_the_pattern() -> None:
    """Rows of the data need entries of the selected inverse alone; pairs of levels never met need solves."""
    design = crossed_design(1_200, (200, 150, 30), local=True)
    control = Control(threads=1)
    both = [design.equations(engine(), control) for engine in (BlockedEngine, SparseEngine)]
    for equations in both:
        equations.factor(from_roots(*[np.full((1, 1, 1), 0.5)] * 3))
    met = [term.codes for term in design.random]
    rng = np.random.default_rng(3)
    unmet = [rng.permutation(codes) for codes in met]
    unmet[0][:40] = -1
    for codes in (met, unmet, [met[0], None, met[2]]):
        found = [equations.prediction_variance(design.x, codes, [None] * 3) for equations in both]
        np.testing.assert_allclose(found[1], found[0], rtol=1e-9)


@pytest.mark.parametrize("reml", [True, False])
def test_fits_agree_with_the_blocked_engine(reml: bool) -> None:
    rng = np.random.default_rng(4)
    design = animal_design(600, 300, 40, 6)
    codes, n = design.random[0].codes, design.n
    effects = np.linalg.cholesky(
        np.linalg.inv(design.random[0].known.precision.toarray())
    ) @ rng.standard_normal(300)
    litter = np.arange(n) % 45
    frame = {
        "y": 1 + effects[codes] + rng.standard_normal(n),
        "x": rng.standard_normal(n),
        "animal": codes,
        "litter": litter,
    }
    known = {"A": (design.random[0].known.precision, list(range(300)))}
    fits = [
        lmm(
            "y ~ x + (1 | animal, precision=A) + (1 + x | litter)",
            frame,
            known=known,
            method="reml" if reml else "ml",
            control=Control(engine=engine, threads=1),
        )
        for engine in ("blocked", "sparse")
    ]
    # both searches stop within 1e-4 standard errors of one optimum, where −2l is flat
    assert fits[1].optimum.value == pytest.approx(fits[0].optimum.value, abs=1e-6)
    np.testing.assert_allclose(fits[1].solution.beta, fits[0].solution.beta, rtol=1e-4)
    assert fits[1].sigma2 == pytest.approx(fits[0].sigma2, rel=1e-3)
