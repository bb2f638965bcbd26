"""The table of variances, covariances and correlations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ..covariance.base import Natural
from ..covariance.correlation import own_name, pair_name
from ..criterion.errors import FittedErrors
from ..criterion.parameters import Block, design_blocks
from ..fit import Fit
from ..inference.profiles import covariance_limits
from ..inference.reported import Reported, decay_parameters, own_scale
from ..inference.wald import check_level
from ..registry import check_choice
from ..table import Table
from ..terms.design import RandomTerm, Residual
from ..terms.rows import ErrorRows
from ..typing import Array, Labels
from .component_intervals import INTERVALS
from .covariances import correlations

KIND_ORDER = {"variance": 0, "covariance": 1}
PRINTED = 5e-4
"""Distance from 0 and 1 within which a correlation prints as one of them."""
LOOKED_AT = 200
"""Clusters among which the smallest distance is looked for."""


@dataclass(frozen=True, slots=True)
class Component:
    """One covariance parameter: its names, kind, value on the reporting scale and that value's companion.

    The companion of a variance is its standard deviation, that of a covariance the correlation; parameters
    that are correlations, ranges or loadings themselves have none. `index` is the place among all natural
    parameters, `block` that of its term and set among all, None for the residual variance.
    """

    group: str
    name1: str
    name2: str
    kind: str
    value: float
    companion: float
    index: int
    block: int | None


def variance_components(
    fit: Fit, ci: str | None = None, *, se: bool | None = None, level: float = 0.95
) -> Table:
    """Return the covariance parameters, one row each, the residual variance last.

    Parameters
    ----------
    ci
        `"wald"`: symmetric on the log scale for variances, ranges and ratios, by Fisher's z for correlations;
        `"symmetric"`: estimate ± z·SE; `"satterthwaite"`: χ² limits for variances and ranges, symmetric ones
        for the rest; `"profile"`: where −2l of the fit, all other parameters estimated anew, is χ²₁ above its
        minimum; None for none.
    se
        Whether to add asymptotic standard errors; by default with intervals only.
    level
        Confidence level of the intervals.

    Returns
    -------
    Table
        `group name1 name2 kind variance sd`, and on request `std_error conf_low conf_high`. Rows of kind
        `"variance"` hold σ² and σ; rows of kind `"covariance"` hold the covariance and, under `sd`, the
        correlation; parameters of other kinds (`"correlation"`, `"range"`, `"loading"`) stand under `sd`
        alone. Standard errors and limits are those of `variance` in the first two kinds, of `sd` in the
        others.

    Notes
    -----
    Standard errors come from W = 2H⁻¹, H the observed Hessian of −2l in the natural parameters, a variance at
    zero being held there. With `bounds="none"` a variance may be negative: it has no `sd`, and limits of variances
    and covariances are symmetric, except those by profile. Satterthwaite limits are νθ̂/χ²_ν with
    ν = 2(θ̂/SE)². *Same as* `nlme::intervals` (`"wald"`), `lme4::confint` on the scale of variances (`"profile"`),
    SAS `COVTEST` with `CL` (`"satterthwaite"`) and `CL=WALD` (`"symmetric"`), `as.data.frame(VarCorr(fit))` in lme4.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Reaction ~ Days + (Days | Subject)", mm.datasets.load("sleepstudy"))
    >>> print(fit.variance_components())
    Variance components
    group     name1        name2  kind        variance       sd
    Subject   (Intercept)         variance     612.090  24.7405
    Subject   Days                variance      35.072   5.9221
    Subject   (Intercept)  Days   covariance     9.604   0.0656
    Residual                      variance     654.941  25.5918
    """
    if ci is not None:
        check_choice("ci", ci, (*INTERVALS, "profile"))
    check_level(level)
    components = list_components(fit)
    plain = [component.kind in KIND_ORDER for component in components]
    values = np.array([component.value for component in components])
    companions = np.array([component.companion for component in components])
    columns = {
        "group": [component.group for component in components],
        "name1": [component.name1 for component in components],
        "name2": [component.name2 for component in components],
        "kind": [component.kind for component in components],
        "variance": np.where(plain, values, np.nan),
        "sd": np.where(plain, companions, values),
    }
    notes = (*_negative_notes(components), *_decay_notes(fit, components))
    if ci is not None or se:
        std_error = natural_std_errors(fit)[[component.index for component in components]]
        columns["std_error"] = std_error
        notes += _held_notes(components, std_error)
        if ci == "profile":
            fit._refuse_moments("variance_components(ci='profile')")
            fit._refuse_restricted("profiles")
            low, high, remarks = _profile_limits(fit, components, level)
            notes = (*notes, *remarks)
            columns.update(conf_low=low, conf_high=high)
        elif ci is not None:
            low, high = INTERVALS[ci](values, std_error, _interval_kinds(fit, components), level)
            columns.update(conf_low=low, conf_high=high)
    return Table(columns, "Variance components", notes, fit.backend)


def _profile_limits(
    fit: Fit, components: list[Component], level: float
) -> tuple[Array, Array, tuple[str, ...]]:
    """Return profile limits of the parameters as the table holds them, those of held ones missing."""
    criterion, theta = fit._work.parameters(), fit.optimum.theta
    natural, decays = criterion.natural(theta), decay_parameters(criterion, theta)
    free = [k for k, c in enumerate(components) if natural.names[c.index] not in criterion.held]
    unbounded = _unbounded_blocks(fit)
    parameters = []
    for k in free:
        kind, index = components[k].kind, components[k].index
        scale = "sd" if kind == "variance" else own_scale(kind, index in decays)
        scale = "plain" if components[k].block in unbounded else scale
        parameters.append(Reported(natural.names[index], scale, index))
    limits, notes = covariance_limits(fit, parameters, level)
    low, high = np.full(len(components), np.nan), np.full(len(components), np.nan)
    for k, (a, b) in zip(free, limits, strict=True):
        variance = components[k].kind == "variance" and components[k].block not in unbounded
        low[k], high[k] = (a * a, b * b) if variance else (a, b)
    likelihood = "restricted likelihood" if fit.design.reml else "likelihood"
    return low, high, (f"{100 * level:g}% limits by the profile of the {likelihood}", *notes)


def _interval_kinds(fit: Fit, components: list[Component]) -> Labels:
    """Return the kind of each parameter for intervals.

    `"unit"` for correlations of errors per unit of distance, `"plain"` for variances without bounds.
    """
    decays, free = decay_parameters(fit._work.parameters(), fit.optimum.theta), _unbounded_blocks(fit)
    return tuple("plain" if c.block in free else "unit" if c.index in decays else c.kind for c in components)


def _unbounded_blocks(fit: Fit) -> set[int | None]:
    """Return the blocks whose covariance has no bounds, as `Component.block` counts them."""
    return {i for i, block in enumerate(design_blocks(fit.design)) if not block.structure.bounded}


def natural_std_errors(fit: Fit) -> Array:
    """Return asymptotic standard errors of the natural parameters, the residual variance last, (k,).

    Parameters that are held, or variances estimated as zero, have none and are NaN.
    """
    variance = np.diag(fit._work.natural_covariance())
    natural = fit._work.parameters().natural(fit.optimum.theta)
    zero = [
        value == 0 and kind == "variance" for value, kind in zip(natural.values, natural.kinds, strict=True)
    ]
    known = (variance > (1e-10 * np.abs(natural.values)) ** 2) & ~np.array(zero, dtype=bool)
    return np.where(known, np.sqrt(np.maximum(variance, 0.0)), np.nan)


def natural_parameters(fit: Fit) -> list[tuple[Block, Natural]]:
    """Return the parameters of each set of each random term on the reporting scale, not relative to σ²."""
    out = []
    for block in design_blocks(fit._work.own_design()):
        at = block.positions
        theta = block.structure.rescale(fit.relative[block.place], fit.sigma2, at)
        out.append((block, block.structure.natural(theta, at)))
    return out


def list_components(fit: Fit) -> list[Component]:
    """Return the covariance parameters as printed: by term and set, variances first, residual last."""
    out: list[Component] = []
    for place, (block, natural) in enumerate(natural_parameters(fit)):
        rows = _block_components(fit, block, natural, place, len(out))
        out += sorted(rows, key=lambda row: KIND_ORDER.get(row.kind, 2))
    if fit._work.integrated:
        out += _density_components(fit, len(out))
    elif fit.distribution is not None and not fit.distribution.symbol:
        # the variance of a row is the family's
        return out
    elif fit.design.residual is None:
        out.append(Component("Residual", "", "", "variance", fit.sigma2, fit.sigma, len(out), None))
    else:
        out += _error_components(fit, len(out))
    return out


def _density_components(fit: Fit, first: int) -> list[Component]:
    """Return the parameters of a density that no formula can have, such as the ν of a t."""
    natural = fit._work.parameters().natural(fit.optimum.theta)
    nan = float("nan")
    return [
        Component(fit.family, natural.names[i], "", natural.kinds[i], float(natural.values[i]), nan, i, None)
        for i in range(first, len(natural.names))
    ]


def _error_components(fit: Fit, first: int) -> list[Component]:
    """Return the parameters of structured or unequal errors, in the order of the natural parameters."""
    natural = fit._work.criterion().natural(fit.optimum.theta)
    assert fit.design.residual is not None
    functions = [term.label for term in fit.design.residual.variance]
    rows = []
    for i in range(first, len(natural.names)):
        name, value, kind = natural.names[i], float(natural.values[i]), natural.kinds[i]
        head, _, rest = name.removesuffix(")").partition("(")
        where, _, inside = rest.partition(": ")
        a, _, b = inside.partition(", ")
        function = next((label for label in functions if name.startswith(f"{label}: ")), None)
        if function is not None:
            where, a, b = "Residual", function, name.removeprefix(f"{function}: ")
        elif not inside and head != "var":
            a = head
        companion = float(np.sqrt(max(value, 0.0))) if kind == "variance" else float("nan")
        rows.append(Component(where, a, b, kind, value, companion, i, None))
    return _with_correlations(rows)


def _with_correlations(rows: list[Component]) -> list[Component]:
    """Return the rows with the correlation beside the covariance of two positions whose variances are listed."""
    variances = {
        (row.group, row.name1): row.value for row in rows if row.kind == "variance" and not row.name2
    }
    out = []
    for row in rows:
        pair = [variances.get((row.group, name), 0.0) for name in (row.name1, row.name2)]
        if row.kind == "covariance" and min(pair) > 0:
            row = replace(row, companion=row.value / float(np.sqrt(pair[0] * pair[1])))
        out.append(row)
    return out


def _block_components(fit: Fit, block: Block, natural: Natural, place: int, first: int) -> list[Component]:
    """Return the parameters of one block, the `place`-th, in the order of `natural`."""
    term = fit.design.random[block.term]
    group, pairs = group_label(term, block.set), position_names(term.columns)
    corr = correlations(fit.covariances[block.term][block.set])
    rows = []
    parameters = zip(natural.names, natural.values.tolist(), natural.kinds, strict=True)
    for i, (name, value, kind) in enumerate(parameters):
        a, b = pairs.get(name, (name, ""))
        if kind == "variance":
            a = term.columns[0] if term.n_columns == 1 else a
            # a negative variance has no standard deviation
            companion = float(np.sqrt(value)) if value >= 0 else float("nan")
        else:
            companion = _correlation(term, corr, a, b)
        rows.append(Component(group, a, b, kind, value, companion, first + i, place))
    return rows


def group_label(term: RandomTerm, which: int) -> str:
    """Return how a term's parameter set is named in tables: `"id"`, or `"id [F]"` with `by=`.

    A term with one group for all rows goes by its label, `"spline(x)"`.
    """
    name = term.group if term.level_parts else term.label
    label = term.set_labels[which]
    return f"{name} [{label}]" if label else name


def position_names(labels: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Return natural parameter name → the one or two positions it belongs to."""
    names = {own_name("var", label): (label, "") for label in labels}
    for a, b in combinations(labels, 2):
        names[pair_name("cov", a, b)] = (a, b)
        names[pair_name("cor", a, b)] = (a, b)
    return names


def _correlation(term: RandomTerm, corr: Array, a: str, b: str) -> float:
    if a in term.columns and b in term.columns:
        return float(corr[term.columns.index(a), term.columns.index(b)])
    return float("nan")


def _negative_notes(components: list[Component]) -> tuple[str, ...]:
    negative = [c for c in components if c.kind == "variance" and c.value < 0]
    if not negative:
        return ()
    names = ", ".join(" ".join(filter(None, (c.group, c.name1))) for c in negative)
    return (f"negative, so without standard deviation or correlations: {names}",)


def _decay_notes(fit: Fit, components: list[Component]) -> tuple[str, ...]:
    """Say what correlations per unit of distance are at a distance of the data where they print as 0 or 1."""
    criterion, theta, residual = fit._work.parameters(), fit.optimum.theta, fit.design.residual
    decays = decay_parameters(criterion, theta)
    hidden = [c for c in components if c.index in decays and not PRINTED <= c.value <= 1.0 - PRINTED]
    rows = None if fit.design.residual is None else criterion.equations.rows.residual
    if not hidden or residual is None or rows is None or rows.coordinates is None:
        return ()
    errors, notes = FittedErrors(criterion.model, theta), []
    for block in criterion.model.residual_blocks:
        pair = _nearest_rows(residual, rows, block.set)
        if pair is None:
            continue
        r = errors.among(np.array(pair))
        distance = np.linalg.norm(np.subtract(*rows.coordinates[list(pair)]))
        label = residual.set_labels[block.set]
        where = f" ({label})" if label else ""
        notes.append(
            f"a correlation per unit of distance prints as 0 or 1{where}: at distance {distance:.3g}, the smallest "
            f"in the data, errors have correlation {r[0, 1] / np.sqrt(r[0, 0] * r[1, 1]):.4f}"
        )
    return tuple(notes)


def _nearest_rows(residual: Residual, errors: ErrorRows, which: int) -> tuple[int, int] | None:
    """Return two rows of one cluster of a set at the smallest distance that is not 0, None where there are none."""
    assert errors.coordinates is not None
    best, found = np.inf, None
    for cluster in np.flatnonzero(residual.sets == which)[:LOOKED_AT]:
        rows = np.flatnonzero(errors.clusters == cluster)
        at = errors.coordinates[rows]
        apart = np.linalg.norm(at[:, None] - at, axis=2)
        apart = np.where(apart > 0, apart, np.inf)
        i, j = np.unravel_index(int(np.argmin(apart)), apart.shape)
        if apart[i, j] < best:
            best, found = float(apart[i, j]), (int(rows[i]), int(rows[j]))
    return found


def _held_notes(components: list[Component], std_error: Array) -> tuple[str, ...]:
    missing = [c for c, value in zip(components, std_error, strict=True) if np.isnan(value)]
    if not missing:
        return ()
    names = ", ".join(" ".join(filter(None, (c.group, c.name1, c.name2))) for c in missing)
    return (f"held, or at the boundary of the parameter space, so without standard error: {names}",)
