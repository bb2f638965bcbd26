"""The same model for other responses: everything structural is reused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api.run import errors_vanish, fit_equations, fit_model, search, start_near
from ..criterion import Criterion, linear_part
from ..criterion.coordinates import written_solution
from ..engines.base import Refitted
from ..errors import DataError, SpecError
from ..fit import Fit, Inputs
from ..frame.align import aligned
from ..inference.predictors import share_predictors
from ..optimise.optimum import Optimum
from ..table import Table
from ..terms.encoding import own_functions
from ..terms.rows import Rows
from ..tool import load
from ..typing import Array, Labels


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Refits:
    """The estimates of one model for m responses.

    Parameters
    ----------
    columns
        Names of the p columns of X.
    beta
        β̂ of each response, (m, p), NaN for aliased columns.
    theta
        Working covariance parameters, (m, k).
    sigma2, criterion
        σ̂² and −2l, (m,).
    converged, singular
        Whether each fit converged, and whether it is singular, (m,).
    """

    columns: Labels
    beta: Array
    theta: Array
    sigma2: Array
    criterion: Array
    converged: NDArray[np.bool_]
    singular: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.sigma2)

    def __repr__(self) -> str:
        return str(self.table())

    def table(self) -> Table:
        """Return one row per response: the coefficients, `sigma criterion converged singular`."""
        columns: dict[str, Any] = {name: self.beta[:, j] for j, name in enumerate(self.columns)}
        columns |= {"sigma": np.sqrt(self.sigma2), "criterion": self.criterion}
        return Table({**columns, "converged": self.converged, "singular": self.singular})


def refit(fit: Fit, y: Any) -> Fit | Refits:
    """Return the model fitted to another response, to many responses, or to other data.

    Parameters
    ----------
    y
        One response, (nobs,) or one value for every row of the original data; an array of responses (nobs,
        m), as `simulate` returns; or a data frame or dict, in which the whole formula is read anew.

    Returns
    -------
    Fit or Refits
        For a matrix of responses the estimates only, as arrays.

    Notes
    -----
    A response of a generalised model is what was observed: counts, events where there are trials.
    For new responses X, Z, their cross-products and the elimination order stay; the search starts from the
    present θ̂. *Same as* `lme4::refit`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> round(fit.refit(2 * fit.response).sigma / fit.sigma, 6)
    2.0
    >>> fit.refit(fit.simulate(100, seed=1)).beta.shape
    (100, 1)
    """
    if _is_data(y):
        given = fit.inputs
        if given is not None and (given.weights is not None or given.beside):
            names = ", ".join([*(["weights"] if given.weights is not None else []), *given.beside])
            raise SpecError(
                f"refit: {names} were given as arrays for the old data; call the fitting verb on the new data."
            )
        known = None if fit.inputs is None else fit.inputs.known
        rows = None if fit.inputs is None else fit.inputs.subset
        if rows is not None and not isinstance(rows, str):
            raise SpecError(
                "refit: subset= was given for the old data; use fit.update(data=..., subset=...)."
            )
        return fit_model(fit.spec, Inputs(y, None, known, rows, own_functions(fit.design)), fit.control)
    y = _in_order_of(fit, y)
    try:
        numbers = np.asarray(y, dtype=float)
    except (TypeError, ValueError):
        raise DataError("refit: the response must be numbers, one for each row.") from None
    responses = _check_responses(fit, numbers)
    if fit.distribution is not None:
        generalised: Fit | Refits = load("postfit.refit_generalised:refit_generalised")(fit, responses)
        return generalised
    if responses.ndim == 2:
        return refit_many(fit, responses)
    rows = _with_response(fit, responses)
    quick = _natively(fit, rows.y[None])
    if quick is not None and quick[0] is not None:
        return share_predictors(_fit_of(fit, rows, quick[0]), fit)
    rows, criterion, optimum, engine = _optimise(fit, rows)
    found = Fit.from_optimum(
        fit.spec,
        fit.schema,
        fit.design,
        rows,
        criterion,
        optimum,
        engine=engine,
        control=fit.control,
        notes=fit.notes,
    )
    return share_predictors(found, fit)


def refit_many(fit: Fit, responses: Array) -> Refits:
    """Return the estimates for each column of `responses` (nobs, m)."""
    m, k = responses.shape[1], len(fit.optimum.theta)
    beta, theta = np.full((m, len(fit.design.fixed.columns)), np.nan), np.empty((m, k))
    sigma2, criterion = np.empty(m), np.empty(m)
    converged, singular = np.empty(m, dtype=bool), np.empty(m, dtype=bool)
    kept = list(fit.design.fixed.estimable)
    sizes = [term.n_columns for term in fit.design.random]
    offset = fit._work.rows().offset
    quick = _natively(fit, responses.T - (0.0 if offset is None else offset)) or [None] * m
    for i, found in enumerate(quick):
        if found is not None:
            beta[i, kept], sigma2[i] = found.solution.beta, found.sigma2
            theta[i], criterion[i], converged[i], singular[i] = found.theta, found.value, True, False
            continue
        _, criterion_function, optimum, _ = _optimise(fit, _with_response(fit, responses[:, i]))
        linear = linear_part(criterion_function)
        solution, sigma2[i] = linear.solve(optimum.theta)
        beta[i, kept] = solution.beta
        theta[i] = optimum.theta if len(optimum.theta) == k else linear.relative(optimum.theta)
        criterion[i], converged[i] = optimum.value, optimum.converged
        singular[i] = is_singular(sizes, optimum)
    return Refits(fit.design.fixed.columns, beta, theta, sigma2, criterion, converged, singular)


def is_singular(sizes: Sequence[int], optimum: Optimum) -> bool:
    """Return whether some Σ of an optimum is of less than full rank; `sizes` are the columns of every random term."""
    ranks = zip(sizes, optimum.singular, strict=True)
    return any(rank < size for size, by_set in ranks for rank in by_set)


def _natively(fit: Fit, responses: Array) -> list[Refitted | None] | None:
    """Return the interior optima of responses (m, n), offset removed; None for the general search."""
    if fit.singular:
        return None
    refitter = fit._work.refitter()
    return None if refitter is None else refitter.refit(responses, fit.optimum.theta, fit.control)


def _fit_of(fit: Fit, rows: Rows, found: Refitted) -> Fit:
    optimum = Optimum(
        found.theta,
        found.value,
        found.decrement,
        True,
        found.iterations,
        found.evaluations,
        (),
        fit.optimum.singular,
        (),
    )
    return Fit(
        fit.spec,
        fit.schema,
        fit.design,
        rows,
        optimum,
        written_solution(fit._work.own_design(), found.solution),
        found.theta,
        found.sigma2,
        fit.engine,
        fit.control,
        fit.notes,
    )


def _optimise(fit: Fit, rows: Rows) -> tuple[Rows, Criterion, Optimum, str]:
    """Return the rows of another response, their criterion, optimum and engine, searched from near θ̂."""
    design = fit._work.own_design()
    equations = fit._work.criterion().equations.new_response(rows.y)
    criterion, optimum = fit_equations(fit.spec, design, equations, fit.control, near=start_near(fit))
    if errors_vanish(design, criterion, optimum):
        found = search(fit.spec, fit.design, rows, fit.control)
        return found.rows, found.criterion, found.optimum, found.engine
    return replace(rows, residual=criterion.equations.rows.residual), criterion, optimum, fit.engine


def _with_response(fit: Fit, y: Array) -> Rows:
    """Return the rows of a fit with another response, offsets included, (n,)."""
    rows = fit._work.rows()
    return rows.with_response(y.copy() if rows.offset is None else y - rows.offset)


def _is_data(y: Any) -> bool:
    """Return whether `y` is tabular rather than numbers: a mapping or a frame with named columns."""
    if isinstance(y, Mapping) or getattr(getattr(y, "dtype", None), "names", None):
        return True
    return hasattr(y, "columns") or hasattr(y, "column_names") or hasattr(y, "__narwhals_dataframe__")


def _in_order_of(fit: Fit, y: Any) -> Any:
    """Return a response in the order of the rows; a pandas Series by the labels of all rows given, or of those used."""
    index, rows = fit.schema.index, fit._work.rows().used
    if index is None or rows is None or len(y) == len(index):
        return aligned(y, index, "refit: the response")
    return aligned(y, index[rows], "refit: the response")


def _check_responses(fit: Fit, y: Array) -> Array:
    n, rows = fit.nobs, fit._work.rows().used
    if y.ndim not in (1, 2):
        raise DataError(f"refit: the response has {y.ndim} dimensions; give (nobs,) or (nobs, m).")
    if len(y) != n and rows is not None and len(y) > int(rows.max(initial=-1)):
        y = y[rows]
    if len(y) != n:
        raise DataError(
            f"refit: the response has {len(y)} rows and the model {n}; give one value for each row."
        )
    if not np.all(np.isfinite(y)):
        raise DataError(
            "refit: the response has missing or infinite values; refit needs a number in every row."
        )
    constant = np.asarray(y.max(axis=0) == y.min(axis=0))
    if constant.any():
        where = "the response" if y.ndim == 1 else f"response {int(np.argmax(constant)) + 1} of {y.shape[1]}"
        raise DataError(f"refit: {where} is the same in every row; there is no variation to explain.")
    return y
