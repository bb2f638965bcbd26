"""nlme's language: `lme` and `gls` with R text for formulas, random effects, correlations and variance functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..api import gls as plain_gls
from ..api import lmm
from ..control import Control
from ..errors import SpecError
from ..fit import Fit
from ..frame.readers import open_source
from ..spec import Method, NaAction, quoted
from ..syntax.start_values import StartValues
from .r.correlation import CorrelationPart, Position, read_correlation
from .r.parse import parse_expression
from .r.random_part import RandomPart, read_random
from .r.tree import Binary
from .r.variance_part import VariancePart, read_weights

_NLME_WEIGHTS = re.compile(r"\s*(?:~|var[A-Z]\w*\s*\()")


@dataclass(frozen=True, slots=True)
class Errors:
    """Residual structure, variance functions and known weights as `lmm` takes them, with what goes beside them."""

    residual: str | None = None
    variance: str | None = None
    weights: Any = None
    start: Mapping[str, float] | None = None
    hold: Mapping[str, float] | None = None
    position: Position | None = None


def lme(
    fixed: str,
    data: Any,
    random: str,
    correlation: str | None = None,
    weights: Any = None,
    *,
    method: Method | str = "REML",
    subset: Any = None,
    na: NaAction = "raise",
    contrasts: Mapping[str, Any] | None = None,
    ddf: str = "inner-outer",
    context: Mapping[str, Any] | None = None,
    control: Control | None = None,
) -> Fit:
    """Return the linear mixed model that `nlme::lme(fixed, data, random, correlation, weights, method = …)` fits.

    Parameters
    ----------
    fixed
        `"Y ~ age * sex"`.
    data
        As for `lmm`.
    random
        R text: `"~ 1 | id"`, `"~ 1 | a/b"`, `"list(a = ~ 1, b = pdDiag(~ x))"`; of the classes of matrices `pdSymm`,
        `pdLogChol`, `pdNatural`, `pdDiag`, `pdIdent`, `pdCompSymm` and `pdBlocked`.
    correlation
        R text: `"corAR1(form = ~ t | id)"`, `corCAR1`, `corARMA`, `corCompSymm`, `corSymm` (beside `varIdent` by the
        same position), `corExp`, `corGaus`, `corLin`, `corRatio`, `corSpher`.
    weights
        R text: `"varIdent(form = ~ 1 | sex)"`, `varPower`, `varExp`, `varConstPower`, `varFixed`, `varComb`; or known
        precision weights as for `lmm`.
    method
        `"REML"` or `"ML"`.
    na
        nlme stops at missing values (`"raise"`); `"drop"` leaves their rows out, as its `na.omit`.
    ddf
        Degrees of freedom of the fit's tables: nlme's own; `"auto"` is what `lmm` chooses.
    subset, contrasts, context, control
        As for `lmm`.

    Raises
    ------
    SpecError
        With argument, line and column, where the text is none of these; where groups would have to come from a
        `groupedData` object; where positions of a serial correlation are numbers with gaps.

    Notes
    -----
    *Same as* `nlme::lme`. Columns of numbers in `corAR1`, `corARMA` and `corSymm` are positions in order and must be
    consecutive whole numbers; `as.integer(factor(x))` numbers the values of any column in their order.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> fit = mm.lme("Y ~ 0 + fem + male + fem:age + male:age", mm.datasets.load("orthodont"),
    ...              random="list(id = pdDiag(~ -1 + fem + male))", weights="varIdent(form = ~ 1 | sex)")
    >>> round(fit.loglik, 4)
    -207.3332
    """
    formula = _two_sided(fixed, "fixed")
    part = read_random_argument(random)
    errors = read_errors(correlation, weights, part.groups)
    check_position(errors.position, data)
    return lmm(
        " + ".join([formula, *part.bars]),
        data,
        residual=errors.residual,
        variance=errors.variance,
        weights=errors.weights,
        method=method,  # type: ignore[arg-type]
        ddf=ddf,
        start=errors.start,
        hold=errors.hold,
        contrasts=contrasts,
        na=na,
        subset=subset,
        context=context,
        control=control,
    )


def gls(
    formula: str,
    data: Any,
    correlation: str | None = None,
    weights: Any = None,
    *,
    residual: str | None = None,
    variance: str | None = None,
    method: Method = "reml",
    ddf: str = "auto",
    known: Mapping[str, Any] | None = None,
    start: StartValues = None,
    hold: Mapping[str, float] | Iterable[str] | None = None,
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    context: Mapping[str, Any] | None = None,
    control: Control | None = None,
) -> Fit:
    """Return the linear model y = Xβ + e with correlated or heterogeneous errors, fitted by REML or ML.

    Parameters
    ----------
    formula
        `"y ~ fixed"`, without random terms.
    correlation, weights
        R text as for `lme`, in place of `residual` and `variance`; `weights` also takes known precision weights.
    data, residual, variance, method, ddf, known, start, hold, contrasts, na, subset, context, control
        As for `lmm`.

    Notes
    -----
    *Same as* `nlme::gls`, SAS PROC MIXED with a REPEATED statement alone.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> rail = mm.datasets.load("rail")
    >>> round(mm.gls("travel ~ 1", rail, residual="cs(1 | Rail)").loglik, 4)
    -61.0885
    >>> round(mm.gls("travel ~ 1", rail, correlation="corCompSymm(form = ~ 1 | Rail)").loglik, 4)
    -61.0885
    """
    errors = read_errors(correlation, weights, ())
    for ours, own, theirs in (
        ("residual", residual, errors.residual and "correlation"),
        ("variance", variance, errors.variance and "weights"),
        ("start", start, errors.start and "correlation or weights"),
        ("hold", hold, errors.hold and "correlation or weights"),
    ):
        if own is not None and theirs:
            raise SpecError(f"{ours}= and {theirs}= say the same in two languages; give one of them.")
    check_position(errors.position, data)
    return plain_gls(
        formula,
        data,
        residual=errors.residual or residual,
        variance=errors.variance or variance,
        weights=errors.weights,
        method=method,
        ddf=ddf,
        known=known,
        start=errors.start or start,
        hold=errors.hold or hold,
        contrasts=contrasts,
        na=na,
        subset=subset,
        context=context,
        control=control,
    )


def _two_sided(formula: str, argument: str) -> str:
    """Return a two-sided formula without bars as text on one line."""
    if not isinstance(formula, str):
        raise SpecError(f"{argument}= must be text such as 'y ~ x', not {type(formula).__name__}.")
    program, node = parse_expression(formula, argument)
    if not (isinstance(node, Binary) and node.operator == "~"):
        raise program.error("a formula with a response is expected, y ~ x.", node)
    if isinstance(node.right, Binary) and node.right.operator == "|":
        raise program.error("random effects of lme stand in random =, not in the formula.", node.right)
    return program.text(node)


def read_random_argument(random: str) -> RandomPart:
    if not isinstance(random, str):
        raise SpecError(
            f"random={random!r} must be R text, for example '~ 1 | id' or 'list(id = pdDiag(~ x))'."
        )
    return read_random(*parse_expression(random, "random"))


def read_errors(correlation: str | None, weights: Any, groups: tuple[str, ...]) -> Errors:
    """Return what nlme's arguments about the errors say."""
    if correlation is not None and not isinstance(correlation, str):
        raise SpecError(f"correlation={correlation!r} must be R text, for example 'corAR1(form = ~ t | id)'.")
    told = isinstance(weights, str) and _NLME_WEIGHTS.match(weights) is not None
    part = read_weights(*parse_expression(weights, "weights")) if told else VariancePart()
    given = part.weights if told else weights
    if correlation is None:
        return Errors(None, _product(part), given, part.start or None, part.hold or None)
    program, node = parse_expression(correlation, "correlation")
    found = read_correlation(program, node, groups)
    if found.residual.startswith("corr("):
        found, part = _general(found, part)
    start, hold = {**found.start, **part.start}, {**found.hold, **part.hold}
    return Errors(found.residual, _product(part), given, start or None, hold or None, found.position)


def _product(part: VariancePart) -> str | None:
    return " * ".join(part.variance) or None


def _general(found: CorrelationPart, part: VariancePart) -> tuple[CorrelationPart, VariancePart]:
    """Return general correlations with a variance for every position, which are one structure here."""
    position = None if found.position is None else f"ident({quoted(found.position.column)})"
    if position not in part.variance:
        raise SpecError(
            "correlation='corSymm(…)': general correlations are fitted with a variance for every position, "
            "weights='varIdent(form = ~ 1 | t)' for corSymm(form = ~ t | id); with one variance for all they are not."
        )
    residual = f"us{found.residual.removeprefix('corr')}"
    others = tuple(function for function in part.variance if function != position)
    return replace(found, residual=residual), replace(part, variance=others)


def check_position(position: Position | None, data: Any) -> None:
    """Raise `SpecError` where numbers that are taken as positions in order are not consecutive whole numbers."""
    if position is None or position.ranked:
        return
    source = open_source(data)
    if position.column not in source.names:
        return
    column = source.read(position.column)
    if column.is_factor or column.values.dtype.kind not in "biuf":
        return
    values = np.unique(column.values[np.isfinite(column.values)])
    if len(values) and not np.array_equal(values, values[0] + np.arange(len(values))):
        shown = ", ".join(f"{value:g}" for value in values[:5]) + (", …" if len(values) > 5 else "")
        raise SpecError(
            f"correlation=: the values of {position.column!r} ({shown}) are not consecutive whole numbers, and nlme "
            f"takes them as such. Write as.integer(factor({position.column})) for positions in their order, or "
            f"corCAR1(form = ~ {position.column} | …) for times."
        )
