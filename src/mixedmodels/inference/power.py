"""Power of tests of fixed effects by simulation: of the study of a fit, or of one of another size."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from ..engines.base import Refitted
from ..errors import MixedModelsError, SpecError, suggest
from ..fit import Fit, Inputs
from ..formats import size_text
from ..table import Table
from ..tool import load
from ..typing import Array
from .assumed import assumed_fit
from .batched_sensitivity import BatchedSensitivity
from .bootstrap import check_draws, simulated, together
from .ddf import method_for
from .ddf.base import DegreesOfFreedom
from .ddf.kenward_roger import scaled_f, usable_first_order
from .ddf.satterthwaite import fai_cornelius, single_df
from .directions import independent_directions
from .distributions import f_upper, t_two_sided
from .extended_data import along_levels
from .linear_test import read_hypotheses
from .progress import counted
from .sensitivity import Sensitivity
from .wald import check_level, wald

LINEAR = ("kenward-roger", "kenward-roger-linear")
"""Methods whose tests many responses share work in."""


def power(
    fit: Fit,
    term: str | Sequence[str],
    n_sim: int = 1000,
    *,
    along: str | None = None,
    sizes: Sequence[int] | None = None,
    alpha: float = 0.05,
    ddf: str | None = None,
    level: float = 0.95,
    seed: int | None = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Table:
    """Return how often tests of fixed effects are significant in studies simulated from the fit.

    Parameters
    ----------
    term
        A term, a coefficient or a hypothesis as `fit.test` reads it, or several of them.
    n_sim
        Simulated responses of every size.
    along, sizes
        A grouping factor, and how many levels of it the studies have: whole copies of the levels there are, then a
        part of them with every kind of level (arm …) in proportion. The study as it is by default.
    alpha
        Level of the tests.
    ddf
        Degrees-of-freedom method; the fit's own by default.
    level
        Confidence level of the limits of the power (Clopper and Pearson's, for the number of simulations).
    seed, threads, progress
        A number that makes the table repeatable; threads of the refits; whether a line on standard error says how far
        they are.

    Returns
    -------
    Table
        `term size n_sim failed power conf_low conf_high`; `size` counts levels of `along`, rows where there is none.

    Notes
    -----
    Responses are drawn with all random effects anew and fitted by the same model; a fit that fails or has no test
    counts as not significant. The effects are those estimated: their size is what the power is of, and it is uncertain
    (`mm.power` takes assumed ones). *Same as* `simr::powerSim` and `powerCurve(along=)`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> fit.power("Days", n_sim=100, along="Subject", sizes=[4, 18], seed=1)["power"].round(2)
    array([0.59, 1.  ])
    """
    n_sim, seed = check_draws(n_sim, seed, "n_sim")
    if not isinstance(alpha, numbers.Real) or not 0 < alpha < 1:
        raise SpecError(f"alpha={alpha!r} must lie between 0 and 1, for example 0.05.")
    check_level(level)
    terms = [term] if isinstance(term, str) else list(term)
    studies = _studies(fit, along, sizes)
    run = _Run(n_sim, float(alpha), ddf, seed, progress)
    rows: list[tuple[str, int, int, int, float, float, float]] = []
    for size, study in studies:
        study = study if threads is None else replace(study, control=replace(study.control, threads=threads))
        for name, values in zip(terms, run.p_values(study, terms), strict=True):
            hits, failed = int(np.sum(values < alpha)), int(np.isnan(values).sum())
            low, high = exact_limits(hits, n_sim, level)
            rows.append((name, size, n_sim, failed, hits / n_sim, low, high))
    names = ("term", "size", "n_sim", "failed", "power", "conf_low", "conf_high")
    columns = {name: [row[j] for row in rows] for j, name in enumerate(names)}
    what = "rows" if along is None else f"levels of {along}"
    notes = [
        f"size: {what}; tests at {alpha:g}, df: {method_for(fit, ddf).note}; limits {100 * level:g} %; seed {seed}"
    ]
    if any(row[3] for row in rows):
        notes.append("failed: fits that did not converge or have no test, counted as not significant")
    return Table(columns, "Power by simulation", tuple(notes), fit.backend, {"size": "integer"})


def exact_limits(hits: int, n: int, level: float) -> tuple[float, float]:
    """Return Clopper and Pearson's limits of a probability.

    Examples
    --------
    >>> [round(limit, 4) for limit in exact_limits(8, 10, 0.95)]
    [0.4439, 0.9748]
    """
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, n - hits + 1))
    return low, 1.0 if hits == n else float(stats.beta.ppf(1 - tail, hits + 1, n - hits))


def _studies(fit: Fit, along: str | None, sizes: Sequence[int] | None) -> list[tuple[int, Fit]]:
    """Return the studies to simulate with their sizes."""
    if along is None:
        if sizes is not None:
            raise SpecError(f"sizes={list(sizes)} needs along=, the factor whose levels they count.")
        return [(fit.nobs, fit)]
    groups = tuple(dict.fromkeys(fit.ngroups))
    residual = fit.design.residual
    known = [*groups, *([residual.label] if residual is not None and residual.label else [])]
    if along not in known:
        raise SpecError(
            f"along={along!r} is no grouping factor of the model.{suggest(along, known)} Grouping factors: "
            f"{', '.join(known) or 'none'}."
        )
    if fit.distribution is not None:
        raise SpecError(
            "power of other sizes is computed for linear models; leave along= out for the study as it is, or fit the "
            "generalised model to data of that size."
        )
    own = fit.ngroups.get(along, 0 if residual is None else residual.n_clusters)
    wanted = [own] if sizes is None else list(sizes)
    for size in wanted:
        if not isinstance(size, numbers.Integral) or isinstance(size, bool) or size < 2:
            raise SpecError(f"sizes: {size!r} must be a whole number of levels, at least 2.")
        rows = math.ceil(size / own) * fit.nobs
        if 8.0 * rows * (len(fit.beta) + 1) > fit.control.room:
            raise SpecError(
                f"sizes: {size:,} levels of {along} are {rows:,} rows, which take more than the "
                f"{size_text(fit.control.room)} of control.memory. Use smaller sizes or control=mm.Control(memory=…)."
            )
    return [(int(size), resized(fit, along, int(size), tuple(known))) for size in wanted]


def resized(fit: Fit, along: str, size: int, groups: tuple[str, ...]) -> Fit:
    """Return the model of a fit, at its estimates, on the data of `size` levels of a grouping factor."""
    given = fit.inputs
    if given is None:
        raise fit._work.no_data("power for other sizes")
    if given.weights is not None or given.known:
        what = "weights given as an array" if given.weights is not None else "known covariances of levels"
        raise SpecError(
            f"along={along!r}: {what} are of the levels there are; power of the study as it is has no along=."
        )
    columns = load("postfit.used_data:used_columns")(replace(fit, spec=replace(fit.spec, na="drop")))
    data = along_levels(columns, along, size, groups)
    names = fit.design.fixed.columns
    beta = {name: value for name, value in zip(names, fit.beta.tolist(), strict=True) if np.isfinite(value)}
    natural = fit._work.criterion().natural(fit.optimum.theta)
    inputs = Inputs(data, context=given.context)
    return replace(
        assumed_fit(fit.spec, inputs, fit.control, beta, lambda _: dict(enumerate(natural.values.tolist()))),
        schema=replace(fit.schema, index=None),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    n_sim: int
    alpha: float
    ddf: str | None
    seed: int
    progress: bool | None

    def p_values(self, study: Fit, terms: Sequence[str]) -> list[Array]:
        """Return the p-values of every term in all simulated responses, (n_sim,), NaN where there is none."""
        asked = [read_hypotheses(study, term)[:2] for term in terms]
        out = np.full((len(terms), self.n_sim), np.nan)
        size = together(study)
        method = method_for(study, self.ddf)
        shared = BatchedSensitivity.of(study) if method.name in (*LINEAR, "satterthwaite") else None
        for first in counted(range(0, self.n_sim, size), "power", self.progress, total=self.n_sim):
            numbers_ = range(first, min(first + size, self.n_sim))
            y = np.column_stack([simulated(study, self.seed, i) for i in numbers_])
            left = _together(study, y, asked, method, shared, out[:, numbers_.start : numbers_.stop])
            for i in left:
                self._one(study, y[:, i], asked, out[:, first + i])
        return list(out)

    def _one(self, study: Fit, y: Array, asked: Sequence[tuple[Array, Array]], out: Array) -> None:
        try:
            fit = study.refit(y)
            if not fit.converged:
                return
            for k, (rows, targets) in enumerate(asked):
                joint = len(rows) > 1
                table = wald(fit, rows, targets, ddf=self.ddf, joint=joint)
                out[k] = float(table["p_value"][0])
        except (MixedModelsError, ArithmeticError, np.linalg.LinAlgError):
            out[:] = np.nan


def _together(
    study: Fit,
    y: Array,
    asked: Sequence[tuple[Array, Array]],
    method: DegreesOfFreedom,
    shared: BatchedSensitivity | None,
    out: Array,
) -> Sequence[int]:
    """Fill in p-values of responses (n, s) that go together, (terms, s); return which are left."""
    if shared is None or study.distribution is not None:
        return range(y.shape[1])
    offset = study._work.rows().offset
    responses = y.T - (0.0 if offset is None else offset)
    found: list[Refitted | None] | None = load("postfit.refit:_natively")(study, responses)
    if found is None:
        return range(y.shape[1])
    inside = [i for i, one in enumerate(found) if one is not None]
    optima = [one for one in found if one is not None]
    kept = list(study.design.fixed.estimable)
    functions = [study.design.fixed.functions(rows)[:, kept] for rows, _ in asked]
    own = [study.solution.basis.rows(rows) for rows in functions]
    for i, one, s in zip(inside, optima, shared.at(responses[inside], optima), strict=True):
        vcov = s.phi if method.name == "satterthwaite" else usable_first_order(s)
        for k, (_, targets) in enumerate(asked):
            if vcov is not None:
                out[k, i] = _p_value(one, own[k], targets, s, vcov, method)
    return [i for i, one in enumerate(found) if one is None]


def _p_value(
    one: Refitted, rows: Array, targets: Array, s: Sensitivity, vcov: Array, method: DegreesOfFreedom
) -> float:
    gap = rows @ one.solution.own_beta - targets
    if len(rows) == 1:
        statistic = gap / np.sqrt(np.einsum("ka,ab,kb->k", rows, vcov, rows))
        return float(t_two_sided(statistic, single_df(s, rows))[0])
    values, directions = independent_directions(rows @ vcov @ rows.T)
    unadjusted, turned = independent_directions(rows @ s.phi @ rows.T)
    if method.name == "satterthwaite":
        factor, df = 1.0, fai_cornelius(single_df(s, turned @ rows))
    else:
        factor, df = scaled_f(s, (turned / np.sqrt(unadjusted)[:, None]) @ rows)
    statistic = factor * float(np.sum((directions @ gap) ** 2 / values)) / len(values)
    return float(f_upper(statistic, float(len(values)), df))
