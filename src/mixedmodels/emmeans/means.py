"""Estimated marginal means of a fit."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError, suggest
from ..fit import Fit
from ..inference.averaged import averaged_means, of_columns
from ..inference.ddf import method_for
from ..inference.population import population_columns, population_estimates
from ..inference.predictors import all_predictors, predictors
from ..inference.response import response_of
from ..inference.sensitivity import Information
from ..inference.wald import check_level
from ..registry import check_choice
from ..typing import Array, Ddf, Labels
from .categories import SCALES, crossed_levels, is_of_categories, of_categories
from .components import check_component, mean_note, of_component
from .display import as_objects, level_value
from .emm import EMM, Settings, label_columns
from .grid import ReferenceGrid, build_grid, new_rows_of

Weights = Literal["equal", "proportional", "cells", "outer", "flat"]
WEIGHTS: tuple[Weights, ...] = ("equal", "proportional", "cells", "outer", "flat")


def emmeans(
    fit: Fit,
    specs: str | Sequence[str] = "1",
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    weights: Weights = "equal",
    ddf: Ddf | None = None,
    information: Information = "observed",
    level: float = 0.95,
    adjust: str = "none",
    type: Literal["link", "response", "latent", "prob", "cumulative", "mean"] = "link",
    means: Literal["conditional", "averaged"] = "conditional",
    component: str = "mean",
    bias_sigma: float | None = None,
    nuisance: str | Sequence[str] = (),
    offset: float | None = None,
) -> EMM:
    """Return estimated marginal means: averages of model predictions over a reference grid.

    Parameters
    ----------
    fit
        The fitted model.
    specs
        Predictors to keep: a name, a list, `"a * b"`, `"a | b"` (by b), or `"1"` for the overall mean.
    by
        Predictors to keep and to group by.
    at
        Values of predictors in the grid, `{"age": [8, 14]}`; covariates are at their means otherwise, numeric
        predictors with two values at both.
    weights
        How cells are averaged: `"equal"`, `"proportional"` to the counts of the combinations averaged over,
        `"cells"` (the counts of the cells themselves), `"outer"` (products of one-factor counts), `"flat"` (equal, but
        none for cells without data). The beginning of a word is enough.
    ddf, information
        Degrees-of-freedom method, the fit's own by default, and for Kenward–Roger and Satterthwaite the
        information it is computed from.
    level
        Confidence level of the intervals.
    adjust
        Multiplicity adjustment of the intervals.
    type
        `"response"` for means transformed back from `log(y)`, `sqrt(y)`, `log(y + 1)` and the like, or by the link of a
        generalised model; contrasts are then ratios, of means or of odds, where the scale is a logarithm. `.regrid()`
        of the means gives those whose contrasts are differences on the response's scale. Of a response of categories
        `"prob"` (also `"response"`), the probability of every level, which `specs` may name by the response; of ordered
        ones also `"cumulative"`, that of a level or a lower one, `"mean"`, the mean level counted from 1, and
        `"latent"` (also `"link"`), the predictor less the mean of the thresholds.
    means
        Of a generalised model: `"conditional"`, of a group whose random effects are zero, or `"averaged"`, the mean
        response of the population, over the distribution of the random effects.
    component
        Of a generalised model of several predictors: `"zero"` or `"hurdle"`, the share of zeros by its logit,
        `"dispersion"` by its logarithm, or `"response"`, the mean of all responses, zeros counted.
    bias_sigma
        Standard deviation of the modelled response about the means reported (of one observation: the root of
        the sum of all variances), for means transformed back with h(η) + ½σ²h''(η); none without.
    nuisance
        Factors without interactions to average over first, which keeps the grid small: equally, or by their
        counts with other `weights`.
    offset
        Offset of every mean, for models with `offset()`; by default its mean over the data, or its value in the
        grid where `at` sets the variables it is computed from.

    Returns
    -------
    EMM
        Columns: the predictors, `estimate std_error df conf_low conf_high`; `.contrast(...)`, `.cld()`,
        `.slices()`, `.test(...)`, `.plot()`. Means that are not estimable are missing.

    Notes
    -----
    Each mean is l'β̂ with l the weighted average of the grid's rows of X, Searle, Speed and Milliken
    (1980). *Same as* SAS `LSMEANS`, R's `emmeans`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> print(fit.emmeans("1", ddf="containment"))
    1        estimate  std_error  df  conf_low  conf_high
    overall   66.5000    10.1710   5   40.3545    92.6455
    df: containment
    confidence level 0.95
    """
    check_level(level)
    weights = choose_weights(weights)
    categories = is_of_categories(fit)
    check_choice("type", type, ("link", "response", *(SCALES if categories else ())))
    _check_means(means)
    check_component(fit, component)
    whole = component != "mean"
    if whole and (means == "averaged" or bias_sigma is not None or nuisance):
        raise SpecError(
            f"component={component!r} goes without means='averaged', bias_sigma= and nuisance=; averages over random "
            "effects are those of predict(level='averaged')."
        )
    shown, groups = read_specs(specs, by, all_predictors(fit) if whole or categories else predictors(fit))
    if categories:
        if means == "averaged" or bias_sigma is not None or nuisance:
            raise SpecError(
                "means of a response of categories go without means='averaged', bias_sigma= and nuisance=; "
                "predict(type='prob', level='averaged') averages over random effects."
            )
        grid = build_grid(fit, at, counted=weights != "equal", offset=offset, components=True, bare=True)
        settings = Settings(method_for(fit, ddf, information=information), level, adjust)
        return _category_means(fit, shown, groups, grid, weights, type, settings)
    aside = (nuisance,) if isinstance(nuisance, str) else tuple(nuisance)
    grid = build_grid(fit, at, nuisance=aside, counted=weights != "equal", offset=offset, components=whole)
    shown, groups, notes = with_parents(grid, shown, groups)
    rows, levels, averaged = average(grid, shown, groups, weights)
    if bias_sigma is not None and type != "response":
        raise SpecError(
            "bias_sigma is for means transformed back: ask type='response', or regrid(bias_sigma=)."
        )
    found = of_component(fit, grid, rows, component) if whole else None
    response = response_of(fit, bias_sigma) if type == "response" and found is None else None
    method = method_for(fit, ddf, information=information)
    about = [*grid.notes, *notes, *_averaged_note(averaged, weights)]
    settings = Settings(method, level, adjust, response)
    functions, constants, root = rows @ grid.matrix, rows @ grid.offset, None
    if found is not None:
        settings = Settings(
            method, level, adjust, found.response if type == "response" else None, found.response
        )
        functions, constants = found.functions, found.constants
        about.append(found.note)
    elif type == "response":
        about.extend(mean_note(fit))
    if means == "averaged":
        functions, constants, root = _averaged_over_effects(fit, grid, rows)
        about.append("means of the population: averaged over the random effects")
    return EMM(
        fit,
        functions,
        constants,
        *label_columns(levels, shown, groups),
        settings,
        "mean",
        "other",
        tuple(about),
        root,
    )


def _category_means(
    fit: Fit,
    shown: Labels,
    groups: Labels,
    grid: ReferenceGrid,
    weights: Weights,
    scale: str,
    settings: Settings,
) -> EMM:
    """Return means of a response of categories; the response itself may be among what is shown or grouped by."""
    response = fit.spec.response
    asked = [name for name in (*shown, *groups) if name == response]
    inside = response in shown
    shown, groups = (tuple(name for name in names if name != response) for names in (shown, groups))
    shown, groups, notes = with_parents(grid, shown, groups)
    rows, levels, averaged = average(grid, shown, groups, weights)
    found = of_categories(fit, grid, rows, scale)
    if found.names:
        levels = crossed_levels(levels, response, found.names)
        if not shown and not groups:
            del levels["1"]
            inside = True
        shown, groups = ((*shown, response), groups) if inside else (shown, (*groups, response))
    elif asked:
        raise SpecError(
            f"type={scale!r} is one number for each mean; ask for type='prob' to have {response!r} among them."
        )
    about = [*grid.notes, *notes, *_averaged_note(averaged, weights), found.note]
    return EMM(
        fit,
        found.functions,
        found.constants,
        *label_columns(levels, shown, groups),
        replace(settings, response=found.response),
        "mean",
        "other",
        tuple(about),
    )


def choose_weights(weights: str) -> Weights:
    """Return the weighting asked for, by its name or the beginning of it.

    Examples
    --------
    >>> choose_weights("prop")
    'proportional'
    """
    found = [
        name for name in WEIGHTS if isinstance(weights, str) and weights and name.startswith(weights.lower())
    ]
    if len(found) != 1:
        check_choice("weights", weights, WEIGHTS)
    return found[0]


def _check_means(means: str) -> None:
    if means == "population":
        raise SpecError(
            "means='population' can mean two things: 'conditional', the mean where random effects are zero, or "
            "'averaged', the mean over their distribution; name one of them."
        )
    check_choice("means", means, ("conditional", "averaged"))


def _averaged_over_effects(fit: Fit, grid: ReferenceGrid, rows: Array) -> tuple[Array, Array, Array]:
    """Return means over random effects on the link's scale, linear in β̂ there: (k, p + splines), (k,) and a root.

    Cells are averaged on the response's scale, where averages of a population are meant.
    """
    columns = population_columns(fit, grid.matrix)
    eta = population_estimates(fit, columns) + grid.offset
    found = averaged_means(fit, new_rows_of(fit, grid), eta)
    mean = rows @ found.mean
    assert fit.distribution is not None
    link = fit.distribution.link
    assert link is not None
    value = link.forward(mean)
    scale = 1.0 / link.inverse(value)[1]
    slopes = found.slope[:, None] * grid.matrix
    if found.along is not None:
        slopes[:, list(fit.design.fixed.estimable)] += of_columns(fit, found.along)
    functions = scale[:, None] * (rows @ slopes)
    linear = population_estimates(fit, population_columns(fit, functions))
    return functions, value - linear, scale[:, None] * (rows @ found.root)


def read_specs(
    specs: str | Sequence[str], by: str | Sequence[str] | None, known: Collection[str] = ()
) -> tuple[Labels, Labels]:
    """Return the predictors shown and those grouped by; one that is `known` may be called anything.

    Examples
    --------
    >>> read_specs("a * b | c", None)
    (('a', 'b'), ('c',))
    """
    specs = _names("specs", specs)
    given = () if by is None else _names("by", by)
    given = (given,) if isinstance(given, str) else given
    if not isinstance(specs, str):
        names = tuple(specs)
    elif specs in known:
        names = (specs,)
    else:
        left, bar, right = _partition(specs.strip().removeprefix("~"), "|")
        if "~" in _WITHOUT_NAMES.sub("", left):
            raise SpecError(
                f"specs={specs!r}: write the contrast afterwards, as in emmeans('a').contrast('pairwise')."
            )
        names = _split(left)
        given = (*_split(right), *given) if bar else given
    names = tuple(
        name for name in dict.fromkeys(names) if (name != "1" or name in known) and name not in given
    )
    return names, tuple(dict.fromkeys(given))


def _names(argument: str, asked: Any) -> str | Labels:
    """Return text as it is, and any list, array or index of texts as a tuple."""
    if isinstance(asked, str):
        return str(asked)
    listed = asked.tolist() if callable(getattr(asked, "tolist", None)) else asked
    if isinstance(listed, str):
        return listed
    if isinstance(listed, Sequence) and all(isinstance(name, str) for name in listed):
        return tuple(map(str, listed))
    raise SpecError(f"{argument}={asked!r} must name factors, for example 'a', 'a * b' or ['a', 'b'].")


_WITHOUT_NAMES = re.compile(r"`(?:``|[^`])+`")


def _split(text: str) -> Labels:
    """Return the names between operators; in back-ticks a name may hold any character."""
    found = [one.group() for one in re.finditer(r"(?:`(?:``|[^`])+`|[^*:+,`])+", text)]
    return tuple(_unquoted(one.strip()) for one in found if one.strip())


def _unquoted(name: str) -> str:
    quoted_name = len(name) > 2 and name[0] == name[-1] == "`"
    return name[1:-1].replace("``", "`") if quoted_name else name


def _partition(text: str, separator: str) -> tuple[str, str, str]:
    """Return what stands before and after the first separator outside back-ticks."""
    hidden = _WITHOUT_NAMES.sub(lambda found: "x" * len(found.group()), text)
    place = hidden.find(separator)
    return (text, "", "") if place < 0 else (text[:place], separator, text[place + 1 :])


def with_parents(grid: ReferenceGrid, shown: Labels, groups: Labels) -> tuple[Labels, Labels, list[str]]:
    """Return the predictors with those that nested factors need added to the groups, and notes."""
    for name in (*shown, *groups):
        grid.axis(name)
    added: list[str] = []
    for name in shown:
        added += [outer for outer in grid.nesting.get(name, ()) if outer not in (*shown, *groups, *added)]
    within = tuple(outer for name in shown for outer in grid.nesting.get(name, ()) if outer in shown)
    groups = tuple(dict.fromkeys((*groups, *added, *within)))
    shown = tuple(name for name in shown if name not in groups)
    notes = (
        [f"{', '.join(shown)} within {', '.join(dict.fromkeys((*added, *within)))}"]
        if added or within
        else []
    )
    return shown, groups, notes


def average(
    grid: ReferenceGrid, shown: Labels, groups: Labels, weights: Weights
) -> tuple[Array, dict[str, NDArray[np.object_]], Labels]:
    """Return the averaging matrix (k, m) of combinations that occur, their labels, what was averaged over."""
    kept = [grid.axis(name) for name in (*shown, *groups)]
    other = [j for j in range(len(grid.axes)) if j not in kept]
    cell_weights = _cell_weights(grid, other, weights)
    combinations = list(product(*(range(len(grid.axes[j].values)) for j in reversed(kept))))
    rows, places = [], []
    for reversed_places in combinations:
        place = tuple(reversed(reversed_places))
        inside = (grid.index[:, kept] == place).all(axis=1) if kept else np.ones(len(grid.index), bool)
        if not inside.any():
            continue
        w = np.where(inside, cell_weights, 0.0)
        # A cell without data has no weights: every cell then counts, so that its emptiness shows in
        # estimability.
        rows.append(w / w.sum() if w.sum() > 0 else inside / inside.sum())
        places.append(place)
    levels = {
        name: as_objects([level_value(grid.axes[j].values[place[c]]) for place in places])
        for c, (name, j) in enumerate(zip((*shown, *groups), kept, strict=True))
    }
    if not levels:
        levels = {"1": as_objects(["overall"])}
    averaged = tuple(grid.axes[j].name for j in other if len(grid.axes[j].values) > 1)
    return np.array(rows), levels, averaged


def _cell_weights(grid: ReferenceGrid, other: Sequence[int], weights: Weights) -> Array:
    """Return the weight of each cell of the grid before normalising within a mean, (m,)."""
    m = len(grid.index)
    if weights == "equal" or (not other and weights not in ("cells", "flat")):
        return _equal_within_nests(grid)
    if weights == "cells":
        return grid.frequency
    if weights == "flat":
        return np.where(grid.frequency > 0, _equal_within_nests(grid), 0.0)
    counted = [j for j in other if grid.axes[j].from_data]
    shared = [j for j in other if not grid.axes[j].from_data]
    # Cells that differ only in a covariate from `at=` carry the same count.
    repeats = float(np.prod([len(grid.axes[j].values) for j in shared], initial=1))
    if weights == "outer":
        out = np.ones(m)
        for j in counted:
            margin = np.bincount(grid.index[:, j], weights=grid.frequency, minlength=len(grid.axes[j].values))
            out = out * (margin / repeats)[grid.index[:, j]]
        return out
    if not counted:
        return np.ones(m)
    shape = [len(grid.axes[j].values) for j in counted]
    flat = np.ravel_multi_index(tuple(grid.index[:, counted].T), shape)
    return np.asarray(np.bincount(flat, weights=grid.frequency)[flat] / repeats)


def _equal_within_nests(grid: ReferenceGrid) -> Array:
    """Return weights (m,) that are equal, and share one among the levels of a nested factor in each nest."""
    out = np.ones(len(grid.index))
    for inner, outers in grid.nesting.items():
        columns = [grid.axis(inner), *(grid.axis(outer) for outer in outers)]
        cells = np.unique(grid.index[:, columns], axis=0)
        _, nest, sizes = np.unique(cells[:, 1:], axis=0, return_inverse=True, return_counts=True)
        size_of = {int(cell[0]): int(sizes[place]) for cell, place in zip(cells, nest.ravel(), strict=True)}
        out = out / np.array([size_of[int(level)] for level in grid.index[:, columns[0]]])
    return out


def _averaged_note(averaged: Labels, weights: Weights) -> list[str]:
    if not averaged:
        return []
    how = "" if weights == "equal" else f" ({weights} weights)"
    return [f"averaged over {', '.join(averaged)}{how}"]


def known_numeric(fit: Fit, name: str, columns: Mapping[str, Any]) -> None:
    """Raise `SpecError` unless `name` is a numeric predictor."""
    if name not in columns:
        known = ", ".join(columns) or "none"
        raise SpecError(
            f"var={name!r} is not a predictor of the fixed part.{suggest(name, columns)} Predictors: {known}."
        )
    if columns[name].levels is not None:
        raise SpecError(
            f"var={name!r} is a factor; slopes are of numeric predictors. Use emmeans and contrast('poly')."
        )
