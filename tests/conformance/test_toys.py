"""A structure, an engine and a criterion of one's own are one class and one line each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
import pytest

import mixedmodels as mm
from dense_equations import DenseEngine
from mixedmodels.api.run import fit_equations
from mixedmodels.covariance import STRUCTURES, Natural, Positions, Structure
from mixedmodels.criterion import CRITERIA, Criterion, LinearCriterion, choose_criterion, linear_part
from mixedmodels.criterion.differences import Evaluation
from mixedmodels.criterion.gaussian import Gaussian
from mixedmodels.criterion.held import held_gaussian
from mixedmodels.engines import ENGINES
from mixedmodels.engines.base import Equations
from mixedmodels.fit import Fit
from mixedmodels.syntax.formula import read_formula
from mixedmodels.terms.design import Design
from mixedmodels.typing import Array
from models import Model


@final
@dataclass(frozen=True, slots=True)
class Shared(Structure):
    """Σ = e^{θ₀}I + e^{θ₁}11': `cs` with a positive covariance."""

    names: ClassVar[tuple[str, ...]] = ("toy",)
    linear = True

    def size(self, m: int) -> int:
        return 2

    def matrix(self, theta: Array, at: Positions) -> Array:
        return np.asarray(np.tensordot(np.exp(theta), self._parts(at), 1))

    def d_matrix(self, theta: Array, at: Positions) -> Array:
        return np.asarray(np.exp(theta)[:, None, None] * self._parts(at))

    def d2_matrix(self, theta: Array, at: Positions) -> Array:
        out = np.zeros((2, 2, at.size, at.size))
        out[[0, 1], [0, 1]] = self.d_matrix(theta, at)
        return out

    def start(self, target: Array, at: Positions) -> Array:
        variance = float(np.mean(np.diag(target)))
        return np.log([0.7 * variance, 0.3 * variance])

    def rescale(self, theta: Array, factor: float, at: Positions) -> Array:
        return np.asarray(theta + np.log(factor))

    def natural(self, theta: Array, at: Positions) -> Natural:
        values = np.exp(theta)
        return Natural(("specific", "shared"), values, np.diag(values), ("variance", "covariance"))

    def from_natural(self, values: Array, at: Positions) -> Array:
        if not (values > 0).all():
            raise ValueError("both must be positive")
        return np.log(values)

    def _parts(self, at: Positions) -> Array:
        return np.array([np.eye(at.size), np.ones((at.size, at.size))])


SIDES: dict[str, dict[str, Any]] = {
    "random effects": {"formula": "score ~ Machine + {}(0 + Machine | Worker)"},
    "random effects without bounds": {
        "formula": "score ~ Machine + {}(0 + Machine | Worker)",
        "bounds": "none",
    },
    "effects that cross": {"formula": "score ~ 1 + {}(0 + Machine | Worker) + (1 | Machine)"},
    "errors": {"formula": "score ~ Machine", "residual": "{}(1 | Worker:Machine)"},
    "errors beside random effects": {
        "formula": "score ~ Machine + (1 | Worker)",
        "residual": "{}(1 | Worker:Machine)",
    },
}


def fitted(side: str, structure: str) -> dict[str, Fit]:
    """Return the fits of one side with a structure by the engines that take it."""
    own = {key: value.format(structure) for key, value in SIDES[side].items()}
    found = {}
    for engine in ENGINES:
        control = mm.Control(engine=engine, decrement=1e-14)
        try:
            found[engine] = mm.lmm(data=mm.datasets.load("machines"), control=control, **own)
        except mm.SpecError as error:
            if "cannot take this model" not in str(error):
                raise
    return found


def slopes(criterion: Criterion, theta: Array) -> Array:
    """Return ∂(−2l)/∂θ by central differences, with an error of about 1e-9 of −2l."""
    steps = 1e-5 * np.eye(len(theta))
    return np.array([(criterion.value(theta + h) - criterion.value(theta - h)) / 2e-5 for h in steps])


# -- a structure ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_a_structure(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It serves random effects and errors in every engine, with an exact gradient: the fits are those of `cs`."""
    monkeypatch.setitem(STRUCTURES, "toy", Shared)
    monkeypatch.setitem(ENGINES, "dense", DenseEngine)
    both, reference = fitted(side, "toy"), fitted(side, "cs")
    assert both.keys() == reference.keys()
    assert len(both) >= 2
    for engine, ours in both.items():
        theirs = reference[engine]
        assert ours.engine == engine
        assert ours.converged
        assert ours.criterion == pytest.approx(theirs.criterion, rel=1e-10)
        np.testing.assert_allclose(ours.beta, theirs.beta, rtol=1e-7)
        tables = [fit.fixed_effects(ddf="kenward-roger").to_frame() for fit in (ours, theirs)]
        # optimum and Hessian are found in other parameters
        np.testing.assert_allclose(tables[0]["std_error"], tables[1]["std_error"], rtol=1e-6)
        np.testing.assert_allclose(tables[0]["df"], tables[1]["df"], rtol=1e-5)
        components = [fit.variance_components().to_frame()["variance"] for fit in (ours, theirs)]
        np.testing.assert_allclose(*components, rtol=1e-6)
        criterion, away = ours._work.criterion(), ours.optimum.theta + 0.1
        np.testing.assert_allclose(criterion.gradient(away), slopes(criterion, away), rtol=1e-6, atol=1e-6)


def test_the_sides_together_reach_every_engine() -> None:
    assert {engine for side in SIDES for engine in fitted(side, "cs")} == {
        name for name, kind in ENGINES.items() if not kind.given_neighbours
    }


# -- an engine -----------------------------------------------------------------------------------------------


def test_an_engine_is_one_class_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "dense", DenseEngine)
    data = mm.datasets.load("sleepstudy")
    ours, theirs = (
        mm.lmm("Reaction ~ Days + (Days | Subject)", data, control=mm.Control(engine=name, decrement=1e-14))
        for name in ("dense", "blocked")
    )
    assert ours.engine == "dense"
    assert ours.criterion == pytest.approx(theirs.criterion, rel=1e-10)
    for what in ("beta", "vcov", "sigma2"):
        np.testing.assert_allclose(getattr(ours, what), getattr(theirs, what), rtol=1e-8)
    np.testing.assert_allclose(ours.covariances[0], theirs.covariances[0], rtol=1e-7)
    for ddf in ("satterthwaite", "kenward-roger"):
        tables = [fit.fixed_effects(ddf=ddf).to_frame() for fit in (ours, theirs)]
        # a Hessian by central differences in one of them
        np.testing.assert_allclose(tables[0]["df"], tables[1]["df"], rtol=1e-6)
        np.testing.assert_allclose(tables[0]["std_error"], tables[1]["std_error"], rtol=1e-8)


def test_a_further_engine_takes_structured_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "dense", DenseEngine)
    data = mm.datasets.load("orthodont")
    ours, theirs = (
        mm.lmm(
            "Y ~ sex * age + (1 | id)", data, residual="ar1(1 | id)", variance="ident(sex)",
            control=mm.Control(engine=name, decrement=1e-14),
        )
        for name in ("dense", "clusters")
    )  # fmt: skip
    assert ours.criterion == pytest.approx(theirs.criterion, rel=1e-10)
    np.testing.assert_allclose(ours.beta, theirs.beta, rtol=1e-7)
    np.testing.assert_allclose(ours.vcov, theirs.vcov, rtol=1e-7)


# -- a criterion ---------------------------------------------------------------------------------------------

PENALTY = 0.5


class Penalised:
    """−2l + c|θ|²: a Gaussian criterion with a normal prior on the working parameters of absolute covariances."""

    def __init__(self, inner: Gaussian) -> None:
        self.inner = inner
        self.design, self.equations, self.model = inner.design, inner.equations, inner.model
        self.n_theta, self.nu, self.free, self.held = inner.n_theta, inner.nu, inner.free, inner.held
        self.joint, self.cheap_hessian = inner.joint, inner.cheap_hessian
        self.evaluations = 0
        self.linear: LinearCriterion | None = None
        self.gammas, self.natural, self.unit = inner.gammas, inner.natural, inner.unit
        self.own_start, self.reach, self.placed = inner.own_start, inner.reach, inner.placed

    def value(self, theta: Array) -> float:
        self.evaluations += 1
        return self.inner.value(theta) + PENALTY * float(theta @ theta)

    def gradient(self, theta: Array) -> Array:
        return self.inner.gradient(theta) + 2.0 * PENALTY * theta

    def evaluate(self, theta: Array) -> Evaluation:
        here = self.inner.evaluate(theta)
        return replace(
            here,
            value=here.value + PENALTY * float(theta @ theta),
            gradient=here.gradient + 2.0 * PENALTY * theta,
            curvature=here.curvature + 2.0 * PENALTY * np.eye(len(theta)),
        )

    def observed_information(self, theta: Array, *, expected: bool = False) -> Array:
        return self.inner.observed_information(theta, expected=expected) + 2.0 * PENALTY * np.eye(len(theta))


def penalised(design: Design, equations: Equations, held: Mapping[str, float]) -> Penalised:
    """Return the criterion of a design; what stands in `CRITERIA`."""
    return Penalised(
        held_gaussian(design, equations, held) if held else Gaussian(design, equations, profiled=False)
    )


CASES = {
    "independent errors": ("Reaction ~ Days + (Days | Subject)", None, {}),
    "correlated errors": ("Reaction ~ Days + (1 | Subject)", "ar1(1 | Subject)", {}),
    "held": ("Reaction ~ Days + (Days | Subject)", None, {"hold": {"var(Residual)": 600.0}}),
    "start given": ("Reaction ~ Days + (Days | Subject)", None, {"start": {"var(Residual)": 600.0}}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_criterion(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is chosen by its name in the design, and the optimiser finds its minimum on any engine."""
    monkeypatch.setitem(CRITERIA, "toy", penalised)
    monkeypatch.setitem(ENGINES, "dense", DenseEngine)
    formula, residual, options = CASES[case]
    spec = read_formula(formula, residual=residual, **options)
    model = replace(Model.built(spec, mm.datasets.load("sleepstudy")), criterion="toy")
    found = []
    for name in ENGINES:
        control = mm.Control(engine=name, decrement=1e-12)
        engine = ENGINES[name]()
        if model.refusal(engine, control) is not None:
            continue
        equations, start = model.equations(engine, control), spec.start_values
        criterion, optimum = fit_equations(spec, model.design, equations, control, start)
        assert isinstance(criterion, Penalised)
        assert optimum.converged
        assert optimum.value == pytest.approx(criterion.value(optimum.theta), rel=1e-12)
        moving = criterion.free
        np.testing.assert_allclose(criterion.gradient(optimum.theta)[moving], 0.0, atol=1e-4)
        np.testing.assert_allclose(slopes(criterion, optimum.theta)[moving], 0.0, atol=1e-4)
        found.append(optimum)
    assert len(found) >= 2
    for optimum in found[1:]:
        assert optimum.value == pytest.approx(found[0].value, rel=1e-10)
        np.testing.assert_allclose(np.abs(optimum.theta), np.abs(found[0].theta), rtol=1e-5)
    # the prior pulls: it is not the optimum of the likelihood
    gaussian = replace(model, criterion="gaussian").design
    plain = fit_equations(spec, gaussian, criterion.equations, mm.Control())[1]
    assert optimum.value > plain.value + 0.1


def test_results_of_other_models_are_refused_where_they_need_a_linear_one() -> None:
    spec = read_formula("Reaction ~ Days + (1 | Subject)")
    model = Model.built(spec, mm.datasets.load("sleepstudy"))
    design, equations = model.design, model.equations(ENGINES["blocked"](), mm.Control())
    with pytest.raises(mm.SpecError, match="asked of linear mixed models"):
        linear_part(penalised(design, equations, {}))
    with pytest.raises(mm.SpecError, match="unknown criterion 'gausian'"):
        choose_criterion(replace(design, criterion="gausian"), equations, {})
