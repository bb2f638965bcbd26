"""Joint draws of everything a fit estimates: coefficients, covariance parameters, random effects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..criterion import LinearCriterion, linear_part
from ..criterion.coordinates import written_solution
from ..criterion.errors import FittedErrors
from ..errors import FitError, SpecError
from ..fit import Fit
from ..table import Backend, Table
from ..tool import load
from ..typing import Array, Labels
from ..workings import build_criterion
from .bootstrap import check_draws, check_room, stream

TRIES = 100
"""Draws of covariance parameters that may lie outside their domain before one is given up."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Draws(Mapping[str, Array]):
    """n joint draws: name → (n,) of coefficients and covariance parameters, (n, levels, columns) of random terms.

    Parameters
    ----------
    arrays
        Name → array whose first axis is the draws.
    effects
        Names of levels and of columns of the random terms.
    backend
        The data-frame library of `to_frame`.
    """

    arrays: Mapping[str, Array]
    effects: Mapping[str, tuple[Labels, Labels]]
    backend: Backend

    def __getitem__(self, name: str) -> Array:
        if name not in self.arrays:
            raise SpecError(f"no draws of {name!r}. Names: {', '.join(self.arrays)}.")
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def __repr__(self) -> str:
        shapes = "\n".join(f"  {name}  {values.shape}" for name, values in self.arrays.items())
        return f"Draws:\n{shapes}"

    def to_frame(self, backend: Backend | None = None) -> Any:
        """Return one row per draw and one column per number, `"Subject[308, Days]"` of random effects."""
        columns: dict[str, Array] = {}
        for name, values in self.arrays.items():
            if name not in self.effects:
                columns[name] = values
                continue
            levels, own = self.effects[name]
            for i, level in enumerate(levels):
                for j, column in enumerate(own):
                    columns[f"{name}[{level}, {column}]"] = values[:, i, j]
        return Table(columns, backend=self.backend).to_frame(backend)

    def to_arviz(self) -> Any:
        """Return an ArviZ `InferenceData` whose posterior has the draws as one chain."""
        try:
            import arviz
        except ImportError:
            raise SpecError("to_arviz needs ArviZ: pip install arviz.") from None
        dims = {name: [f"{name} level", f"{name} column"] for name in self.effects}
        coords = {f"{name} level": list(levels) for name, (levels, _) in self.effects.items()}
        coords |= {f"{name} column": list(columns) for name, (_, columns) in self.effects.items()}
        posterior = {name: values[None] for name, values in self.arrays.items()}
        try:
            return arviz.from_dict(posterior, dims=dims, coords=coords)
        except (TypeError, ValueError):
            # from version 1 on groups are named
            return arviz.from_dict({"posterior": posterior}, dims=dims, coords=coords)


def draws(fit: Fit, n: int = 1000, seed: int | None = None) -> Draws:
    """Return n joint draws of β, the covariance parameters and the random effects given the data.

    Parameters
    ----------
    n, seed
        How many, and a number that makes them repeatable, drawn at random when None.

    Returns
    -------
    Draws
        A mapping with every coefficient and covariance parameter, by name, (n,), and every random term by its label,
        (n, levels, columns).

    Notes
    -----
    Covariance parameters are normal about their estimates on the scale of the search (Cholesky factors, logarithms of
    variances) with the inverse of half the observed information; given them, β and b are drawn exactly from their
    distribution given y with a flat prior of β: with b* and e* drawn from the model, the estimates from y − Zb* − e*,
    and b* added to b̂ of these. Draw i depends on the seed and i alone. *Same as* `arm::sim`, `merTools::REsim` with the
    uncertainty of the covariance parameters.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> found = fit.draws(200, seed=1)
    >>> found["Days"].shape, found["Subject"].shape, bool(abs(found["Days"].mean() - 10.467) < 0.5)
    ((200,), (200, 18, 2), True)
    """
    n, seed = check_draws(n, seed)
    check_room("n", n, len(fit.beta) + len(fit.optimum.theta) + 1, fit.control)
    if not fit.design.bounded:
        raise SpecError(
            "draws of random effects need covariances that are positive semidefinite, bounds='psd'."
        )
    criterion = fit._work.criterion()
    joint, theta = criterion.jointly(), criterion.absolute(fit.optimum.theta)
    root = _root(criterion.working_covariance(fit.optimum.theta))
    names, kept = joint.natural(theta).names, list(fit.design.fixed.estimable)
    beta = np.full((n, len(fit.design.fixed.columns)), np.nan)
    natural = np.empty((n, len(names)))
    random = [np.empty((n, term.n_levels, term.n_columns)) for term in fit.design.random]
    for i in range(n):
        own, effects, natural[i] = _one(fit, joint, theta, root, stream(seed, i))
        beta[i, kept] = own
        for out, b in zip(random, effects, strict=True):
            out[i] = b
    values: dict[str, Array] = {
        name: beta[:, j] for j, name in enumerate(fit.design.fixed.columns) if j in kept
    }
    values |= {name: natural[:, j] for j, name in enumerate(names)}
    labelled = {}
    for term, out in zip(fit.design.random, random, strict=True):
        # a term may be called as a coefficient is
        label = term.label if term.label not in values else f"b({term.label})"
        values[label], labelled[label] = out, (term.levels, term.columns)
    return Draws(values, labelled, fit.backend)


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _one(
    fit: Fit, joint: LinearCriterion, theta: Array, root: Array, rng: np.random.Generator
) -> tuple[Array, tuple[Array, ...], Array]:
    """Return one draw of β as written, of b by term and of the natural parameters."""
    for _ in range(TRIES):
        drawn = theta + root @ rng.standard_normal(root.shape[1])
        try:
            return _given(fit, joint, drawn, rng)
        except (FitError, ValueError, ArithmeticError, np.linalg.LinAlgError):
            continue
    raise FitError(
        "draws: the covariance parameters are known so badly that none drawn about their estimates are a covariance; "
        "use fit.bootstrap()."
    )


def _given(
    fit: Fit, joint: LinearCriterion, theta: Array, rng: np.random.Generator
) -> tuple[Array, tuple[Array, ...], Array]:
    """Return β, b and the natural parameters at drawn joint θ."""
    design, rows = fit._work.own_model()
    draw_effects, level_root = load("postfit.simulate:draw_effects"), load("postfit.simulate:level_root")
    noise = _errors(fit, joint, theta, rng)
    effects = []
    for term, own, sigma in zip(design.random, rows.random, joint.matrices(theta), strict=True):
        b = draw_effects(rng, term, sigma, level_root(term))
        noise = noise + own.products(b)
        effects.append(b)
    equations = fit._work.criterion().equations.new_response(rows.y - noise)
    found = linear_part(build_criterion(fit.spec, design, equations))
    # a profiled criterion would take σ² from this response
    solution, _ = found.jointly().solve(theta)
    total = tuple(b_hat + b for b_hat, b in zip(solution.random, effects, strict=True))
    written = written_solution(
        design, type(solution)(solution.own_beta, solution.own_vcov, total, solution.basis)
    )
    return solution.beta, written.random, joint.natural(theta).values


def _errors(fit: Fit, joint: LinearCriterion, theta: Array, rng: np.random.Generator) -> Array:
    """Return one draw of the errors at joint θ, (n,)."""
    if fit.design.residual is not None:
        return FittedErrors(joint.model, theta).draw(rng)
    sd = np.sqrt(joint.model.first_variance(theta)) / fit._work.rows().root_weights
    return np.asarray(sd * rng.standard_normal(fit.nobs))
