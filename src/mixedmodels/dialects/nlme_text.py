"""A model written as the call of nlme's `lme` or `gls` that fits it."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import NoReturn

from ..errors import SpecError
from ..fit import Fit
from ..spec import RandomSpec, ResidualSpec, VarianceSpec
from .asked import Asked
from .r_text import in_r, name_in_r

MATRICES = {"us": "pdSymm", "diag": "pdDiag", "homdiag": "pdIdent", "cs": "pdCompSymm"}
"""Structures of random effects that nlme has."""
SERIAL = {
    "ar1": "corAR1",
    "arma": "corARMA",
    "us": "corSymm",
    "unr": "corSymm",
    "har1": "corAR1",
    "hcs": "corCompSymm",
}
OWN_VARIANCES = ("us", "unr", "har1", "hcs")
"""Structures with a variance for every position, which are varIdent by position there."""
SPATIAL = {"exp": "corExp", "gau": "corGaus", "lin_sp": "corLin", "rq": "corRatio", "sph": "corSpher"}
FUNCTIONS = {"power": "varPower", "exp": "varExp", "const_power": "varConstPower"}


def to_nlme(fit: Fit) -> str:
    """Return the model as an R call of `lme` or `gls`, or raise `SpecError` saying why nlme cannot.

    Notes
    -----
    Positions of serial correlations are numbered in order, `as.integer(factor(t))`, as they are here.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lmm("Y ~ age * sex + (1 | id)", mm.datasets.load("orthodont"), variance="ident(sex)")
    >>> print(fit.to_nlme())
    lme(Y ~ 1 + age * sex, data = data, random = ~ 1 | id, weights = varIdent(form = ~ 1 | sex))
    """
    return write_nlme(Asked.of_fit(fit))


def write_nlme(asked: Asked) -> str:
    """Return the call; `SpecError` with the reason where nlme does not have the model."""
    spec = asked.spec
    _refuse_what_is_not_there(asked)
    levels = _levels(spec.random)
    verb = "lme" if levels else "gls"
    arguments = [f"{in_r(spec.response)} ~ {in_r(spec.fixed)}", "data = data"]
    if levels:
        arguments.append(f"random = {_random(levels)}")
    functions = [_function(function) for function in spec.variance]
    if spec.residual is not None:
        arguments.append(f"correlation = {_correlation(asked, spec.residual, levels)}")
        if spec.residual.structure.name in OWN_VARIANCES:
            functions.insert(0, f"varIdent(form = ~ 1 | {name_in_r(_one_position(spec.residual))})")
    if spec.weights:
        functions.append(f"varFixed(~ 1/{name_in_r(spec.weights)})")
    if functions:
        combined = functions[0] if len(functions) == 1 else f"varComb({', '.join(functions)})"
        arguments.append(f"weights = {combined}")
    if spec.method == "ml":
        arguments.append('method = "ML"')
    if spec.contrasts:
        codings = ", ".join(f'{name_in_r(name)} = "contr.{coding}"' for name, coding in spec.contrasts)
        arguments.append(f"contrasts = list({codings})")
    return f"{verb}({', '.join(arguments)})"


def _refuse_what_is_not_there(asked: Asked) -> None:
    spec = asked.spec
    if spec.likelihood is not None:
        _refuse(
            f"family={spec.likelihood.family!r}: lme fits normal responses; see to_lme4() and to_glmmtmb()"
        )
    if spec.sampling:
        _refuse("known sampling variances need control = list(sigma = 1)")
    if spec.smooths:
        _refuse(f"{spec.smooths[0]}: lme has no penalised smooths; mgcv's gamm makes them for it")
    if spec.bounds == "none":
        _refuse("lme keeps covariance matrices positive definite, and bounds='none' does not")
    if spec.hold:
        _refuse("parameters cannot be held at given values")
    if spec.offsets:
        _refuse(f"lme has no offset; subtract {spec.offsets[0]} from the response")
    if asked.weighted and not spec.weights:
        _refuse("weights were given as an array; make them a column of the data")


def _levels(random: tuple[RandomSpec, ...]) -> list[tuple[tuple[str, ...], list[RandomSpec]]]:
    """Return the terms by grouping factor from the outermost; each factor divides the one before."""
    for term in random:
        if term.by or term.cov or term.precision or term.coordinates:
            _refuse(f"{term}: by=, cov=, precision= and coordinates have no counterpart in lme")
        if term.group == ():
            _refuse(f"{term} has a single group; make it a column of one value")
    ordered = sorted(random, key=lambda term: len(term.group))
    levels = [(group, list(terms)) for group, terms in groupby(ordered, key=lambda term: term.group)]
    depths = [len(group) for group, _ in levels]
    for (outer, first), (inner, second) in pairwise(levels):
        if inner[: len(outer)] != outer:
            _refuse(
                f"lme has no crossed random effects, and {first[0]} and {second[0]} are not nested as written"
            )
    if depths and depths != list(range(1, len(depths) + 1)):
        group = ":".join(levels[-1][0])
        _refuse(f"lme takes nested groups from the outermost; make {group} a column of the data")
    return levels


def _random(levels: list[tuple[tuple[str, ...], list[RandomSpec]]]) -> str:
    """Return a formula where every level has the same effects, and a list of matrices otherwise."""
    effects = {term.effects for _, terms in levels for term in terms}
    plain = all(len(terms) == 1 and _is_plain(terms[0]) for _, terms in levels)
    if plain and len(effects) == 1:
        return f"~ {in_r(effects.pop())} | {'/'.join(name_in_r(group[-1]) for group, _ in levels)}"
    parts = [f"{name_in_r(group[-1])} = {_matrix(terms)}" for group, terms in levels]
    return f"list({', '.join(parts)})"


def _is_plain(term: RandomSpec) -> bool:
    return term.structure.name == "us"


def _matrix(terms: list[RandomSpec]) -> str:
    if len(terms) > 1:
        return f"pdBlocked(list({', '.join(_matrix([term]) for term in terms)}))"
    term = terms[0]
    matrix = MATRICES.get(term.structure.name)
    if matrix is None or term.structure.nugget or term.structure.order:
        _refuse(f"{term}: of the structures of random effects lme has {', '.join(MATRICES)}")
    return f"{matrix}(~ {in_r(term.effects)})"


def _one_position(residual: ResidualSpec) -> str:
    if len(residual.position) != 1:
        _refuse(
            f"residual={str(residual)!r} has no position that varIdent could go by; name it left of the bar"
        )
    return residual.position[0]


def _correlation(
    asked: Asked, residual: ResidualSpec, levels: list[tuple[tuple[str, ...], list[RandomSpec]]]
) -> str:
    structure = residual.structure
    if residual.neighbours:
        _refuse(
            f"residual={str(residual)!r}: nlme forms the covariance of whole groups; leave neighbours= out"
        )
    if residual.by:
        _refuse(f"residual={str(residual)!r}: correlations of lme are the same in every group")
    if levels and residual.cluster[: len(levels[-1][0])] != levels[-1][0]:
        groups = "/".join(levels[-1][0])
        _refuse(f"residual={str(residual)!r}: in lme errors are correlated within the groups {groups} alone")
    cluster = "/".join(name_in_r(name) for name in residual.cluster)
    name, positions, options = _constructor(residual)
    if structure.name not in SPATIAL and len(positions) > 1:
        _refuse(f"residual={str(residual)!r}: {name} takes one position")
    form = " + ".join(positions) or "1"
    if structure.nugget:
        if structure.name not in SPATIAL:
            _refuse(f"residual={str(residual)!r}: {name} has no nugget")
        options.append("nugget = TRUE")
    inside = [f"form = ~ {form}{f' | {cluster}' if cluster else ''}", *options]
    return f"{name}({', '.join(inside)})"


def _constructor(residual: ResidualSpec) -> tuple[str, list[str], list[str]]:
    """Return the constructor, its covariates and its further arguments."""
    structure, columns = residual.structure, [name_in_r(name) for name in residual.position]
    if structure.name in SPATIAL:
        return SPATIAL[structure.name], columns, []
    if structure.name == "car1" or (structure.name == "pow" and len(columns) == 1):
        return "corCAR1", columns, []
    ranks = [f"as.integer(factor({name}))" for name in columns]
    if structure.name == "cs":
        return "corCompSymm", ranks, []
    name = SERIAL.get(structure.name)
    if name is None:
        known = ", ".join((*SERIAL, "cs", "car1", *SPATIAL))
        _refuse(f"residual={str(residual)!r}: of the structures of errors nlme has {known}")
    p, q = structure.order or (1, 1) if structure.name == "arma" else (0, 0)
    return name, ranks, [f"{key} = {value}" for key, value in (("p", p), ("q", q)) if value]


def _function(function: VarianceSpec) -> str:
    if function.name == "ident":
        return f"varIdent(form = ~ 1 | {' * '.join(name_in_r(name) for name in function.arguments)})"
    if function.name == "fixed":
        return f"varFixed(~ {name_in_r(function.arguments[0])})"
    name = FUNCTIONS.get(function.name)
    if name is None:
        _refuse(f"variance={str(function)!r}: nlme has no function of several columns")
    column = function.arguments[0]
    covariate = "fitted(.)" if column == "fitted" else name_in_r(column)
    return f"{name}(form = ~ {covariate}{f' | {name_in_r(function.by)}' if function.by else ''})"


def _refuse(reason: str) -> NoReturn:
    raise SpecError(f"this model cannot be written for nlme: {reason}.")
