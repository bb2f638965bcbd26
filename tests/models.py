"""A model whole: design and rows of tests in one object, whose parts can be replaced by name."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from mixedmodels.control import Control
from mixedmodels.covariance.base import Positions, Structure
from mixedmodels.engines import Layout
from mixedmodels.engines.base import Engine, Equations
from mixedmodels.engines.layout import TermLayout
from mixedmodels.fit import Fit
from mixedmodels.frame.ingest import build_frame
from mixedmodels.spec import ModelSpec
from mixedmodels.terms.build import build_design
from mixedmodels.terms.design import Design, FixedTerms, KnownCovariance, RandomTerm, Residual, VarianceTerm
from mixedmodels.terms.rows import ErrorRows, FixedRows, Rows, TermRows, VarianceRows
from mixedmodels.typing import Array, Codes, Labels


@dataclass(frozen=True)
class ModelFixed:
    """X with its names and aliasing."""

    matrix: Array
    columns: Labels
    terms: Labels
    assign: tuple[int, ...]
    estimable: tuple[int, ...]
    null_basis: Array
    moments: Any = None
    written: Array | None = None
    components: Labels = ()

    @property
    def rank(self) -> int:
        return len(self.estimable)

    @property
    def aliased(self) -> Labels:
        return self.bound.aliased

    @property
    def bound(self) -> FixedTerms:
        own = {f.name: getattr(self, f.name) for f in fields(FixedTerms)}
        return FixedTerms(**own)

    @property
    def rows(self) -> FixedRows:
        return FixedRows(self.matrix, self.estimable, self.moments, self.bound.written_kept)


@dataclass(frozen=True)
class ModelTerm:
    """One random term with the level and Z values of every row."""

    label: str
    group: str
    columns: Labels
    level_parts: tuple[Any, ...]
    codes: Codes
    values: Array | None
    structure: Structure
    positions: Positions
    sets: Codes
    set_labels: Labels = ("",)
    known: KnownCovariance | None = None
    smooth: bool = False
    penalised: bool = False

    @property
    def bound(self) -> RandomTerm:
        own = {f.name: getattr(self, f.name) for f in fields(RandomTerm)}
        return RandomTerm(**own)

    @property
    def rows(self) -> TermRows:
        return TermRows(self.codes, self.values)

    @property
    def layout(self) -> TermLayout:
        return TermLayout.of(self.bound, 0)

    @property
    def n_levels(self) -> int:
        return len(self.sets)

    @property
    def levels(self) -> Labels:
        return self.bound.levels

    @property
    def n_columns(self) -> int:
        return len(self.columns)

    @property
    def n_sets(self) -> int:
        return len(self.set_labels)

    @property
    def n_theta(self) -> int:
        return self.bound.n_theta

    def dense_values(self) -> Array:
        return self.rows.dense_values()


@dataclass(frozen=True)
class ModelErrors:
    """The error side with the cluster, position, strata and covariates of every row."""

    bound: Residual
    rows: ErrorRows

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rows if name in ("clusters", "index", "coordinates") else self.bound, name)


@dataclass(frozen=True)
class ModelVariance:
    """One variance function with the stratum and the covariate of every row."""

    bound: VarianceTerm
    rows: VarianceRows


@dataclass(frozen=True)
class Model:
    """Everything numeric about a model before fitting: what `Design` says and `Rows` hold."""

    y: Array
    fixed: ModelFixed
    random: tuple[ModelTerm, ...] = ()
    weights: Array | None = None
    offset: Array | None = None
    used: Any = None
    reml: bool = True
    residual: ModelErrors | None = None
    encoding: object | None = None
    notes: tuple[Any, ...] = ()
    criterion: str = "gaussian"

    @classmethod
    def of(cls, design: Design, rows: Rows) -> Model:
        """Return design and rows as one."""
        fixed = {f.name: getattr(design.fixed, f.name) for f in fields(FixedTerms)}
        terms = []
        for term, own in zip(design.random, rows.random, strict=True):
            given = {f.name: getattr(term, f.name) for f in fields(RandomTerm)}
            terms.append(ModelTerm(**given, codes=own.codes, values=own.values))
        residual = None
        if design.residual is not None and rows.residual is not None:
            residual = ModelErrors(design.residual, rows.residual)
        return cls(
            rows.y, ModelFixed(matrix=rows.fixed.matrix, moments=rows.fixed.moments, **fixed), tuple(terms),
            rows.weights, rows.offset, rows.used, design.reml, residual, design.encoding, design.notes,
            design.criterion,
        )  # fmt: skip

    @classmethod
    def of_fit(cls, fit: Fit) -> Model:
        """Return the model of a fit."""
        assert fit.rows is not None
        return cls.of(fit.design, fit.rows)

    @classmethod
    def built(cls, spec: ModelSpec, data: Any, **options: Any) -> Model:
        """Return the model that a spec is of data."""
        return cls.of(*build_design(spec, build_frame(spec, data, **options)))

    @cached_property
    def design(self) -> Design:
        residual = None if self.residual is None else self.residual.bound
        return Design(
            self.n, self.fixed.bound, tuple(term.bound for term in self.random), self.weights is not None,
            self.offset is not None, self.reml, residual, self.encoding, self.notes, self.criterion,
        )  # fmt: skip

    @cached_property
    def rows(self) -> Rows:
        residual = None if self.residual is None else self.residual.rows
        random = tuple(term.rows for term in self.random)
        return Rows(self.y, self.fixed.rows, random, residual, self.weights, self.offset, self.used)

    @cached_property
    def layout(self) -> Layout:
        return Layout.of(self.design)

    @property
    def n(self) -> int:
        return len(self.y)

    @property
    def x(self) -> Array:
        return self.fixed.rows.x

    @property
    def bounded(self) -> bool:
        return self.design.bounded

    @property
    def linear(self) -> bool:
        return self.design.linear

    def refusal(self, engine: Engine, control: Control) -> str | None:
        """Return why an engine does not take the model, None where it does."""
        return engine.supports(self.layout, self.rows, control)

    def equations(self, engine: Engine, control: Control) -> Equations:
        """Return the equations of the model on an engine."""
        return engine.equations(self.layout, self.rows, control)

    def reordered(self, order: Any) -> Model:
        """Return the model with its rows in another order."""
        assert self.residual is None
        return replace(
            self,
            y=self.y[order],
            fixed=replace(self.fixed, matrix=self.fixed.matrix[order], moments=None),
            weights=None if self.weights is None else self.weights[order],
            random=tuple(
                replace(t, codes=t.codes[order], values=None if t.values is None else t.values[order])
                for t in self.random
            ),
        )


def fixed_terms(matrix: Array) -> ModelFixed:
    """Return fixed terms for a full-rank X (n, p), each column its own term."""
    p = matrix.shape[1]
    names = tuple(f"x{j}" for j in range(p))
    return ModelFixed(matrix, names, names, tuple(range(p)), tuple(range(p)), np.zeros((p, 0)))
