"""Covariance parameters as SAS lists them: names, order and scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...fit import Fit
from ...postfit.variance_components import natural_parameters
from ...typing import Array
from .data_set import level_text
from .model_statements import VARIANCES, Covariance, Random
from .to_spec import Asked


@dataclass(frozen=True, slots=True)
class Parameter:
    """One covariance parameter: SAS's name, subject and group, and its kind as the package has it.

    `terms` says which natural parameters it is the product of, with their powers.
    """

    name: str
    subject: str
    group: str
    kind: str
    terms: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class SasParameters:
    """All covariance parameters in SAS's order, (q,): what they are, values, covariance W (q, q), and the map from
    natural ones."""

    parameters: tuple[Parameter, ...]
    values: Array
    covariance: Array

    @property
    def std_error(self) -> Array:
        """Standard errors, NaN for those that are held or at zero, (q,)."""
        variance = np.diag(self.covariance)
        zero = (self.values == 0) & np.array([p.kind == "variance" for p in self.parameters], dtype=bool)
        known = (variance > (1e-10 * np.abs(self.values)) ** 2) & ~zero
        return np.where(known, np.sqrt(np.maximum(variance, 0.0)), np.nan)


def sas_parameters(asked: Asked, fit: Fit) -> SasParameters:
    """Return the covariance parameters of a fit in SAS's order and on SAS's scale."""
    criterion, theta = fit._work.parameters(), fit.optimum.theta
    natural = criterion.natural(theta)
    parameters = list_parameters(asked, fit, natural)
    values, slopes = [], np.zeros((len(parameters), len(natural.values)))
    for row, parameter in enumerate(parameters):
        value = float(np.prod([natural.values[i] ** power for i, power in parameter.terms]))
        values.append(value)
        for i, power in parameter.terms:
            own = natural.values[i]
            rest = float(np.prod([natural.values[j] ** p for j, p in parameter.terms if j != i]))
            slopes[row, i] = rest * power * own ** (power - 1.0)
    covariance = slopes @ fit._work.natural_covariance() @ slopes.T
    return SasParameters(tuple(parameters), np.array(values), covariance)


def list_parameters(asked: Asked, fit: Fit, natural: Any) -> list[Parameter]:
    """Return SAS's parameters in order: G side by statement and group, then R side, the residual variance last."""
    out: list[Parameter] = []
    last: list[Parameter] = []
    first = 0
    random = asked.random
    for block, found in natural_parameters(fit):
        spec, statement, effects = random[block.term]
        count = len(found.values)
        kinds = natural.kinds[first : first + count]
        if "gdata" in statement.options:
            # G itself is known: it has no parameters
            first += count
            continue
        covariance = VARIANCES if spec.cov else statement.covariance
        own = natural.names[first : first + count]
        names = _structure_names(covariance, kinds, str(effects[0]), own, True)
        if spec.cov:
            names = [f"LIN({spec.cov.rpartition('_')[2]})"]
        out += _placed(names, kinds, first, statement, fit.design.random[block.term].set_labels[block.set])
        first += count
    residual = fit.design.residual
    repeated = asked.model.repeated
    rest = list(range(first, len(natural.names)))
    if asked.model.procedure == "glimmix" and fit.distribution is not None:
        held = {item if isinstance(item, str) else item[0] for item in fit.spec.hold}
        rest = [i for i in rest if natural.names[i] not in held]
        if rest and not natural.names[rest[0]].startswith(("var(", "cov(", "specific(", "correlation(")):
            return [*out, *(Parameter("Scale", "", "", natural.kinds[i], ((i, 1.0),)) for i in rest)]
    if (
        residual is not None
        and residual.structure is not None
        and asked.residual is not None
        and repeated is not None
    ):
        grouped = asked.residual.by is not None
        sets = len(residual.set_labels)
        structured = [
            i for i in rest if "): " not in natural.names[i] or natural.names[i].startswith(("var(", "cov("))
        ]
        size = len(structured) // sets
        for which in range(sets):
            own = structured[which * size : (which + 1) * size]
            kinds = tuple(natural.kinds[i] for i in own)
            names = _structure_names(
                repeated.covariance, kinds, "Residual", tuple(natural.names[i] for i in own), grouped
            )
            made = _placed(names, kinds, own[0], repeated, residual.set_labels[which])
            last += [one for one in made if one.name == "Residual" and not grouped]
            out += [one for one in made if one.name != "Residual" or grouped]
        return [*out, *_functions(asked, natural, [i for i in rest if i not in structured], None), *last]
    if not rest:
        return out
    extra = _functions(asked, natural, rest[1:], rest[0])
    if asked.variance and asked.variance[-1].name == "ident":
        return [*out, *extra]
    return [*out, *extra, Parameter("Residual", "", "", "variance", ((rest[0], 1.0),))]


def _placed(names: list[str], kinds: Any, first: int, statement: Random, group: str) -> list[Parameter]:
    """Return parameters with subject and group, in SAS's order of the names given in natural order."""
    subject = "" if statement.subject is None else str(statement.subject)
    label = group if statement.group is not None else ""
    label = f"{statement.group} {label.partition('=')[2] or label}" if label else ""
    made = [
        Parameter(name, subject, label, kind, ((first + i, 1.0),))
        for i, (name, kind) in enumerate(zip(names, kinds, strict=True))
    ]
    order = sorted(range(len(made)), key=lambda i: _rank(made[i].name, i))
    return [made[i] for i in order]


def _rank(name: str, place: int) -> tuple[int, int]:
    return (1 if name == "Residual" else 0, place)


def _structure_names(
    covariance: Covariance, kinds: Any, effect: str, natural: tuple[str, ...], full: bool
) -> list[str]:
    """Return SAS's names of the natural parameters of one set; `full` where SAS lists `Variance` and no residual."""
    name, label = covariance.name, covariance.label
    m = len(kinds)
    scale = "Variance" if full else "Residual"
    if name is None:
        return [effect] * m
    if name in ("us", "banded_us", "diag", "unr"):
        return _unstructured(name, kinds, natural)
    if name == "cs":
        return [scale, "CS"][:m] if m == 2 else [scale]
    if name in ("ar1", "toep", "arma") or name in SPATIAL_NAMES:
        rest = kinds[1:]
        inner = {
            "ar1": ["AR(1)"],
            "arma": ["Rho", "Gamma"],
            "toep": [f"TOEP({k + 2})" for k in range(len(rest))],
        }
        names = inner.get(name) or _spatial_names(covariance, len(rest))
        nugget = m > 1 + len(names)
        return ["Variance", *names, "Residual"] if nugget else [scale, *names][:m]
    if name in ("hcs", "har1", "htoep", "ante1", "hf"):
        variances = [k for k in kinds if k == "variance"]
        rest = m - len(variances)
        single = {"hcs": ["CSH"], "har1": ["ARH(1)"], "hf": ["HF"]}.get(name)
        stem = "TOEPH" if name == "htoep" else "Rho"
        return [
            *(f"Var({i + 1})" for i in range(len(variances))),
            *(single or [f"{stem}({i + 1})" for i in range(rest)]),
        ]
    if name in ("fa", "fa0", "fa1"):
        return _factor_names(kinds, natural)
    if name == "lin":
        return [f"LIN({i + 1})" for i in range(m)]
    return [f"{label}({i + 1})" for i in range(m)]


SPATIAL_NAMES = frozenset({"exp", "gau", "pow", "powa", "expa", "sph", "lin_sp", "mat"})


def _spatial_names(covariance: Covariance, count: int) -> list[str]:
    if covariance.name == "mat":
        return [covariance.label, "Smoothness"]
    if covariance.name in ("powa",):
        return [f"{covariance.label} {name}" for name in covariance.coordinates]
    if covariance.name == "expa":
        names = covariance.coordinates
        return [f"{covariance.label} {name}" for name in names] + [f"Power {name}" for name in names]
    return [covariance.label]


def _unstructured(name: str, kinds: Any, natural: tuple[str, ...]) -> list[str]:
    if name == "diag":
        return [f"UN({i + 1},{i + 1})" for i in range(len(kinds))]
    if name == "unr":
        m = sum(kind == "variance" for kind in kinds)
        pairs = [(i, j) for i in range(2, m + 1) for j in range(1, i)]
        return [f"Var({i + 1})" for i in range(m)] + [f"Corr({i},{j})" for i, j in pairs]
    # variances close the rows of the triangle
    out: list[str] = []
    row, waiting = 1, 0
    for kind in kinds:
        if kind == "variance":
            out += [f"UN({row},{row - waiting + k})" for k in range(waiting)]
            out.append(f"UN({row},{row})")
            row, waiting = row + 1, 0
        else:
            waiting += 1
    return out


def _factor_names(kinds: Any, natural: tuple[str, ...]) -> list[str]:
    """Return `FA(i,k)` for loadings, by position and factor, and `FA(i)` for variances."""
    seen: list[str] = []
    out, unique = [], 0
    for name, kind in zip(natural, kinds, strict=True):
        inside = name[name.index(": ") + 2 :].rstrip(")") if ": " in name else ""
        where, _, factor = inside.rpartition(", ")
        if kind == "loading" and where:
            if where not in seen:
                seen.append(where)
            out.append(f"FA({seen.index(where) + 1},{factor})")
        else:
            unique += 1
            out.append(f"FA({unique})")
    return out


def _functions(asked: Asked, natural: Any, places: list[int], variance: int | None) -> list[Parameter]:
    """Return the parameters of variance functions: a residual variance by group, slopes of a log-linear model."""
    out = []
    repeated = asked.model.repeated
    if (
        asked.variance
        and asked.variance[-1].name == "ident"
        and variance is not None
        and repeated is not None
    ):
        levels = asked.factors[asked.variance[-1].arguments[0]]
        ratios = {
            natural.names[i].rpartition("ratio(")[2].rstrip(")"): i
            for i in places
            if "ratio(" in natural.names[i]
        }
        for level in levels:
            text = level_text(level)
            terms = ((variance, 1.0), *(((ratios[text], 2.0),) if text in ratios else ()))
            subject = "" if repeated.subject is None else str(repeated.subject)
            out.append(Parameter("Residual", subject, f"{repeated.group} {text}", "variance", terms))
        places = [i for i in places if i not in ratios.values()]
    for i in places:
        out.append(
            Parameter(f"EXP {natural.names[i].rpartition(': ')[2]}", "", "", natural.kinds[i], ((i, 1.0),))
        )
    return out
