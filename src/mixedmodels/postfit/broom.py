"""The fit in broom's three shapes: `tidy` (parameters), `glance` (one row), `augment` (observations)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..fit import Fit
from ..frame.readers import open_source, spread_scalars
from ..inference.sensitivity import Information
from ..inference.wald import check_level
from ..likelihood.distribution import Distribution
from ..likelihood.families.multinomial import Multinomial
from ..likelihood.families.ordinal import Ordinal
from ..registry import check_choice
from ..table import Table, free_name
from ..tool import load
from ..typing import Array, Ddf
from .fixed_effects import fixed_effects
from .used_data import column_values, row_labels, used_columns
from .variance_components import Component, list_components

EFFECTS = ("all", "fixed", "random")


def tidy(
    fit: Fit,
    effects: str = "all",
    *,
    ddf: Ddf | None = None,
    information: Information = "observed",
    level: float = 0.95,
    conf_level: float | None = None,
    exponentiate: bool = False,
) -> Table:
    """Return one row per parameter: fixed effects, then standard deviations and correlations.

    Parameters
    ----------
    effects
        `"all"`, `"fixed"` or `"random"`.
    ddf
        Degrees-of-freedom method of the fixed effects; the fit's own by default.
    information
        The `"observed"` or `"expected"` information it is computed from.
    level, conf_level
        Confidence level of their intervals, by our name or broom's.
    exponentiate
        Add `ratio ratio_low ratio_high` of the fixed effects, as `fixed_effects` does.

    Returns
    -------
    Table
        `effect group term estimate std_error statistic df p_value conf_low conf_high`; the inference columns
        are missing for random parameters, whose terms read `sd__(Intercept)` and `cor__(Intercept).Days`.

    Notes
    -----
    *Same as* `broom.mixed::tidy`.
    """
    check_choice("effects", effects, EFFECTS)
    if conf_level is not None:
        check_level(conf_level, "conf_level")
        level = conf_level
    table = fixed_effects(fit, ddf=ddf, information=information, level=level, exponentiate=exponentiate)
    components = list_components(fit) if effects != "fixed" else []
    p = len(table) if effects != "random" else 0
    columns: dict[str, Any] = {
        "effect": ["fixed"] * p + ["random"] * len(components),
        "group": [""] * p + [component.group for component in components],
        "term": [*table["term"][:p].tolist(), *(_broom_name(c.kind, c.name1, c.name2) for c in components)],
    }
    estimates = [_broom_value(c) for c in components]
    columns["estimate"] = np.r_[table["estimate"][:p], estimates]
    for name in ("std_error", "statistic", "df", "p_value", "conf_low", "conf_high"):
        columns[name] = np.r_[table[name][:p], np.full(len(components), np.nan)]
    for name in ("ratio", "ratio_low", "ratio_high") if exponentiate else ():
        columns[name] = np.r_[table[name][:p], np.full(len(components), np.nan)]
    return Table(columns, notes=table.notes, backend=fit.backend)


def _broom_value(c: Component) -> float:
    """Return what `_broom_name` names; NaN for the standard deviation of a negative variance."""
    named = c.kind == "variance" or (c.kind == "covariance" and c.name2 != "")
    return c.companion if named or not np.isnan(c.companion) else c.value


def _broom_name(kind: str, name1: str, name2: str) -> str:
    if kind == "variance":
        return f"sd__{name1 or 'Observation'}"
    return f"cor__{name1}.{name2}" if name2 else name1


def glance(fit: Fit) -> Table:
    """Return one row about the fit: `nobs sigma loglik aic bic criterion df_residual converged singular`.

    Of a generalised model there are `family link dispersion` besides.

    Notes
    -----
    A fit by pseudo-likelihood has no likelihood: `loglik aic bic criterion` are missing.
    *Same as* `broom.mixed::glance`; AIC and BIC as in lme4.
    """
    known = fit.distribution
    none = known is not None and known.pseudo
    row: dict[str, Any] = {
        "nobs": fit.nobs,
        "sigma": np.nan if fit._work.integrated else fit.sigma,
        "loglik": np.nan if none else fit.loglik,
        "aic": np.nan if none else fit.aic,
        "bic": np.nan if none else fit.bic,
        "criterion": np.nan if none else fit.criterion,
        "df_residual": fit.df_resid,
        "converged": fit.converged,
        "singular": fit.singular,
    }
    if known is not None:
        varies = known.dispersion is None and bool(known.symbol)
        row |= {"family": fit.family, "link": fit.link, "dispersion": np.nan if varies else fit.dispersion}
    return Table({name: [value] for name, value in row.items()}, backend=fit.backend)


def augment(fit: Fit, newdata: Any = None, *, new_levels: str = "raise") -> Table:
    """Return observations with what the fit says of them: `.fitted .fixed`, and of those used `.resid` and weights.

    Parameters
    ----------
    newdata
        Other rows, whose columns come first, in place of the observations used.
    new_levels
        A level of `newdata` that was not in the fit is an error (`"raise"`) or has its random effects predicted by zero
        (`"population"`).

    Returns
    -------
    Table
        The model's columns, then `.fitted .resid .fixed`, `.weights` and `.offset` if any; with `newdata` all its
        columns, `.fitted` and `.fixed`. Of categories `.fitted` is the probability of the level observed, `.predicted`
        the most probable level
        (in new rows `.fitted` is the probability of that).

    Notes
    -----
    `.fixed` is offset + Xβ̂. With `na="exclude"` all rows of the data stand in their order, those not used without
    fitted values. Frames of pandas carry the row labels of the data. *Same as* `broom.mixed::augment`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    >>> print(fit.augment({"Rail": ["1", "2"]}))
    Rail  .fitted   .fixed
    1     54.1085  66.5000
    2     31.9691  66.5000
    """
    if newdata is not None:
        return _augmented(fit, newdata, new_levels)
    columns: dict[str, Any] = used_columns(fit)
    rows, known = fit._work.rows(), fit.distribution
    if known is not None and isinstance(known.family, Ordinal | Multinomial):
        own: dict[str, Any] = _of_categories(fit)
    else:
        own = {".fitted": fit._fitted, ".resid": fit._resid, ".fixed": fit.linear_predictor}
    # the weights of a generalised fit's rows are those of its working response
    weights = rows.weights if fit.distribution is None else fit.distribution.responses.weights
    if weights is not None:
        own[".weights"] = weights
    if rows.offset is not None:
        own[".offset"] = rows.offset
    columns = {free_name(name, own): values for name, values in columns.items()}
    columns |= {name: fit.in_place(values) for name, values in own.items()}
    return Table(columns, backend=fit.backend, index=row_labels(fit))


def _of_categories(fit: Fit) -> dict[str, Any]:
    """Return the probability of the level observed, and the most probable level, of the rows used."""
    known = fit.distribution
    assert known is not None
    shares: Array = load("postfit.predict_functions:level_shares")(fit, "conditional")
    at = known.responses.y.astype(np.intp)
    return {".fitted": shares[np.arange(len(at)), at], ".predicted": _likeliest(known, shares)}


def _likeliest(known: Distribution, shares: Array) -> NDArray[np.object_]:
    """Return the most probable level of every row, (m,); None where a row misses something."""
    missing = np.isnan(shares).any(axis=1)
    names = np.array([*known.levels, None], dtype=object)
    return names[np.where(missing, -1, np.nan_to_num(shares).argmax(axis=1))]


def _augmented(fit: Fit, newdata: Any, new_levels: str) -> Table:
    source = open_source(spread_scalars(newdata))
    given = {name: column_values(source.read(name)) for name in source.names}
    known = fit.distribution
    if known is not None and isinstance(known.family, Ordinal | Multinomial):
        found = fit.predict(newdata, new_levels=new_levels, type="prob")
        shares = np.column_stack([found[name] for name in found.names])
        own = {".predicted": _likeliest(known, shares), ".fitted": shares.max(axis=1)}
        columns = {free_name(name, own): values for name, values in given.items()}
        return Table({**columns, **own}, backend=source.backend, index=source.index)
    # as at the fit: means where there is a link, and what was modelled where the formula transforms
    scale = "link" if fit.distribution is None else "response"
    own = {
        ".fitted": fit.predict(newdata, new_levels=new_levels, type=scale),
        ".fixed": fit.predict(newdata, level="population"),
    }
    columns = {free_name(name, own): values for name, values in given.items()}
    return Table({**columns, **own}, backend=source.backend, index=source.index)
