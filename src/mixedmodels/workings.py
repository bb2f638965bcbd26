"""What the tools of a fit compute with: its equations, its criterion, and what they keep of each other's work.

Everything is built at first use, kept with the fit, and left behind by pickling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import local
from typing import Any, Protocol, TypeVar

import numpy as np

from .control import Control
from .criterion import (
    Criterion,
    LikelihoodCriterion,
    LinearCriterion,
    choose_approximation,
    choose_criterion,
    linear_part,
)
from .criterion.coordinates import WrittenEquations, own_design, written_covariances
from .criterion.generalised import Arranged, arrange
from .criterion.mode import Mode
from .criterion.parameters import design_blocks
from .engines import Layout, choose_engine
from .engines.base import Equations
from .errors import SpecError
from .likelihood.distribution import Distribution
from .likelihood.responses import Responses
from .optimise.batched import ResponseRefitter
from .optimise.optimum import Optimum
from .spec import ModelSpec
from .summed import Summed
from .terms.design import Design
from .terms.rows import Rows
from .tool import load
from .typing import Array

T = TypeVar("T")


class Fitted(Protocol):
    """What workings read of a fit."""

    @property
    def spec(self) -> ModelSpec: ...
    @property
    def design(self) -> Design: ...
    @property
    def rows(self) -> Rows | None: ...
    @property
    def control(self) -> Control: ...
    @property
    def engine(self) -> str: ...
    @property
    def optimum(self) -> Optimum: ...
    @property
    def relative(self) -> Array: ...
    @property
    def sigma2(self) -> float: ...
    @property
    def distribution(self) -> Distribution | None: ...
    @property
    def products(self) -> Summed | None: ...
    @property
    def _cache(self) -> dict[str, Any]: ...
    def _once(self, key: str, compute: Callable[[], T]) -> T: ...


class Workings:
    """The workings of one fit."""

    __slots__ = ("fit",)

    def __init__(self, fit: Fitted) -> None:
        self.fit = fit

    def keep(self, key: str, compute: Callable[[], T]) -> T:
        """Return what `compute` gives, computed once per fit under this key."""
        return self.fit._once(key, compute)

    def holds(self, key: str) -> bool:
        """Return whether what `keep` computes under this key is there already."""
        return key in self.fit._cache

    def equations(self) -> WrittenEquations:
        """Return the mixed-model equations with V̂ factored."""
        # Other questions move the factorisation; this brings it back, at no cost where it stayed.
        if self.integrated:
            equations = self.mode().equations
            if equations is None:
                raise SpecError("a model without random terms has no equations of random effects.")
            return WrittenEquations(equations, self.own_design())
        criterion = self.criterion()
        return WrittenEquations(criterion.settle(self.fit.optimum.theta), criterion.design)

    def criterion(self) -> LinearCriterion:
        """Return the criterion as a function of θ.

        It holds the factorisation at the θ last asked for, so that every thread has its own.
        """
        own = self.keep("criterion", local)
        if not hasattr(own, "function"):
            own.function = linear_part(self._build_criterion())
        criterion: LinearCriterion = own.function
        return criterion

    def rows(self) -> Rows:
        """Return the rows of the fit; `SpecError` for a fit that holds none."""
        rows = self.fit.rows
        if rows is None:
            raise SpecError(
                "this question needs the rows of the data, which the fit does not hold: it was made from "
                "cross-products of data read in batches. Fit the model to the data in memory; predict(newdata=) and "
                "everything about coefficients, variances and random effects is answered."
            )
        return rows

    def no_data(self, what: str) -> SpecError:
        """Return the error of a question that needs the data of a fit which does not hold them."""
        how = "Control(keep_data=False)" if not self.fit.control.keep_data else "a refit to another response"
        how = (
            "it was made from cross-products of data read in batches"
            if self.fit.products is not None
            else how
        )
        return SpecError(
            f"{what} needs the data, which this fit does not hold ({how}); fit the model to the data again, or use "
            "fit.update(data=...)."
        )

    def own_model(self) -> tuple[Design, Rows]:
        """Return design and rows with random columns in coordinates of their own."""
        fit = self.fit
        return self.keep("own model", lambda: own_columns(fit.spec, fit.design, self.rows(), fit.control))

    def own_design(self) -> Design:
        """Return the design with random columns in coordinates of their own."""
        if self.integrated:
            return self.likelihood().design
        if self.fit.products is not None:
            return self.fit.products.own_design(self.fit.spec, self.fit.design)
        return self.own_model()[0]

    def own_covariances(self) -> tuple[Array, ...]:
        """Return Σ̂ of each random term of `own_design`, (sets, p, p)."""
        return self.keep("own covariances", self._own_covariances)

    def covariances(self) -> tuple[Array, ...]:
        """Return Σ̂ of each random term as written, (sets, p, p)."""
        return self.keep(
            "covariances", lambda: written_covariances(self.own_design(), self.own_covariances())
        )

    def natural_covariance(self) -> Array:
        """Return the asymptotic covariance of the covariance parameters as reported, (k, k)."""
        criterion, theta = self.parameters(), self.fit.optimum.theta
        if self.integrated:
            slopes = criterion.natural(theta).jacobian
            return np.asarray(slopes @ self.covariance() @ slopes.T)
        return self.keep("natural_covariance", lambda: criterion.natural_covariance(theta))

    def covariance(self) -> Array:
        """Return the asymptotic covariance of all parameters of a generalised model at θ̂, (n_theta, n_theta)."""
        return self.keep("covariance", self._covariance)

    def parameters(self) -> Criterion:
        """Return the criterion, of whatever kind."""
        return self.likelihood() if self.integrated else self.criterion()

    def refitter(self) -> ResponseRefitter | None:
        """Return the native search for other responses, None where the model needs the general one."""
        own = self.keep("refitter", local)
        if not hasattr(own, "search"):
            own.search = ResponseRefitter.of(self.criterion())
        search: ResponseRefitter | None = own.search
        return search

    def likelihood(self) -> LikelihoodCriterion:
        """Return the criterion of a generalised model whose random effects are integrated out; one for every thread."""
        own = self.keep("likelihood", local)
        if not hasattr(own, "function"):
            distribution, spec = self._integrated(), self.fit.spec
            assert spec.likelihood is not None
            own.function = choose_approximation(
                distribution.approximation, self.arranged(), held_values(spec), distribution.points
            )
        criterion: LikelihoodCriterion = own.function
        return criterion

    def mode(self) -> Mode:
        """Return the mode of the random effects of a generalised model at θ̂, with everything known there."""
        return self.likelihood().mode(self.fit.optimum.theta)

    @property
    def integrated(self) -> bool:
        """Whether the fit is of a generalised model whose random effects are integrated out."""
        known = self.fit.distribution
        return known is not None and not known.pseudo

    def _integrated(self) -> Distribution:
        known = self.fit.distribution
        if known is None or known.pseudo:
            raise SpecError("only a generalised model by Laplace's approximation or quadrature has this.")
        return known

    def shared_arrangement(self) -> Arranged:
        """Return the model on its own responses, made once for every thread: for others on the same predictors."""
        own = self.keep("arranged", local)
        if not hasattr(own, "model"):
            own.model = self.arranged()
        model: Arranged = own.model
        return model

    def arranged(self, responses: Responses | None = None) -> Arranged:
        """Return a generalised model ready for its criterion, on other responses of its rows where they are given."""
        distribution, fit = self._integrated(), self.fit
        assert fit.spec.likelihood is not None
        return arrange(
            fit.design,
            self.rows(),
            distribution.family,
            distribution.responses if responses is None else responses,
            replace(fit.control, engine=fit.engine),
            levels=distribution.levels,
            spacing=fit.spec.likelihood.thresholds,
            held=held_values(fit.spec),
            expected=fit.spec.likelihood.information == "expected",
        )

    def _covariance(self) -> Array:
        if self.fit.spec.method == "reml":
            found: Array = load("api.restricted:covariance_again")(self.fit)
            return found
        return self.likelihood().covariance(self.fit.optimum.theta)

    def _build_criterion(self) -> Criterion:
        if self.integrated:
            return self.likelihood()
        if self.fit.products is not None:
            own = self.own_design()
            found = self.fit.products.equations(own, self.fit.control)
            return build_criterion(self.fit.spec, own, found)
        control, (design, rows) = replace(self.fit.control, engine=self.fit.engine), self.own_model()
        layout = Layout.of(design)
        equations = choose_engine(layout, rows, control).equations(layout, rows, control)
        if self.fit.optimum.probes:
            equations.enlarge(self.fit.optimum.probes)
        return build_criterion(self.fit.spec, design, equations)

    def _own_covariances(self) -> tuple[Array, ...]:
        theta, sigma2 = self.fit.relative, self.fit.sigma2
        parts: list[list[Array]] = [[] for _ in self.fit.design.random]
        for block in design_blocks(self.own_design()):
            parts[block.term].append(sigma2 * block.structure.matrix(theta[block.place], block.positions))
        return tuple(np.array(matrices) for matrices in parts)


def own_columns(spec: ModelSpec, design: Design, rows: Rows, control: Control) -> tuple[Design, Rows]:
    """Return a model with random columns in coordinates of their own; those of terms with held values scaled alone."""
    held = [item if isinstance(item, str) else item[0] for item in spec.hold]
    return own_design(design, rows, held=held, threads=control.threads_for(design.n))


def build_criterion(spec: ModelSpec, design: Design, equations: Equations) -> Criterion:
    """Return the criterion of a spec on equations, with the parameters held that spec and design hold."""
    criterion = choose_criterion(design, equations, {**dict(design.held), **held_values(spec)})
    # estimates by moments have a σ² of their own, which is not the one that −2l is least at
    return linear_part(criterion).jointly() if spec.moments else criterion


def held_values(spec: ModelSpec) -> dict[str, float]:
    """Return the natural values to hold by name; `SpecError` where one has no value."""
    start = dict(spec.start)
    held: dict[str, float] = {}
    for item in spec.hold:
        name, value = item if isinstance(item, tuple) else (item, start.get(item))
        if value is None:
            raise SpecError(
                f"hold: {name!r} has no value; write hold={{{name!r}: value}} or give it in start=."
            )
        held[name] = value
    return held
