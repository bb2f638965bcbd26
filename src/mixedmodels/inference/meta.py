"""Meta-analysis: estimates with known sampling variances, by the linear mixed model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..api.run import fit_model
from ..control import Control
from ..criterion.parameters import RESIDUAL
from ..errors import SpecError
from ..fit import Fit, Inputs
from ..frame.readers import Source, open_source
from ..registry import check_choice
from ..spec import Method, NaAction, quoted
from ..syntax.formula import read_formula
from ..typing import Array
from .sampling import read_sampling

Test = Literal["knapp-hartung", "z", "kenward-roger"]
TESTS: Mapping[str, str] = {
    "knapp-hartung": "knapp-hartung",
    "knha": "knapp-hartung",
    "z": "asymptotic",
    "kenward-roger": "kenward-roger",
}
"""What `test=` may be, and the df method of the fit it is."""
KNOWN = "V"
COEFFICIENT = "coefficient(Residual: 1)"
"""Natural name of the multiplier of V."""


def meta(
    formula: str,
    data: Any,
    *,
    variance: Any,
    random: str | None = None,
    method: Method = "reml",
    test: Test | None = None,
    contrasts: Mapping[str, Any] | None = None,
    na: NaAction = "drop",
    subset: Any = None,
    context: Mapping[str, Any] | None = None,
    control: Control | None = None,
) -> Fit:
    """Return the random-effects meta-analysis y_i = x_i'β + u_i + e_i, var(e) = V known.

    Parameters
    ----------
    formula
        `"yi ~ 1"`, or with moderators `"yi ~ ablat + alloc"`, without random terms.
    data
        One row for each estimate, in anything `lmm` reads.
    variance
        Column, or array (rows of the data,), of sampling variances v_i > 0; or their covariance matrix V, (rows of the
        data,) squared, in the order of the rows and subset with them where rows are dropped. Row labels of pandas are
        matched with those of the data.
    random
        Where the true effects differ: None for one effect per row, `"study"` for effects that the rows of a study
        share, `"study/effect"` for three levels, in which `effect` names the rows of a study.
    method
        `"reml"` or `"ml"`.
    test
        `"knapp-hartung"` (t and F with n − p df on the scaled covariance; the default with one effect per row),
        `"z"`, or `"kenward-roger"` (the default otherwise, by REML; by ML `"satterthwaite"`).
    contrasts, na, subset, context, control
        As for `lmm`.

    Returns
    -------
    Fit
        With every tool of a mixed model, and `fit.heterogeneity()`; `fit.predict(…, level="population",
        interval="prediction")` is for the true effect of a new study, without sampling error.

    Raises
    ------
    SpecError, DataError
        Where a variance is missing, not positive, or V is not symmetric and positive definite.

    Notes
    -----
    It is `lmm("yi ~ … + (1 | row)", weights=1/v, hold={"var(Residual)": 1})`, and with a matrix
    `residual="lin(row | study)"` with its coefficient held at 1. *Same as* `metafor::rma(yi, vi, test="knha")`,
    `rma.mv(yi, V, random = ~ 1 | study/effect)`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> trials = {"yi": [-0.9, -1.6, -1.3, -1.4, -0.2, -0.8], "vi": [0.33, 0.19, 0.42, 0.02, 0.05, 0.01]}
    >>> fit = mm.meta("yi ~ 1", trials, variance="vi")
    >>> fit.beta.round(4), fit.fixed_effects()["df"]
    (array([-0.9768]), array([5.]))
    """
    asked = read_formula(formula, context=context)
    if asked.random or asked.smooths:
        raise SpecError(f"formula={formula!r}: write the moderators alone; true effects are said by random=.")
    if test is not None:
        check_choice("test", test, tuple(TESTS))
    if random is not None and test in ("knapp-hartung", "knha"):
        raise SpecError(
            f"test={test!r} is for one effect per row; with random={random!r} use test='kenward-roger' or 'z'."
        )
    source = open_source(data)
    name = _new_name(source)
    sampling = read_sampling(source, variance)
    rows = np.arange(1, source.n + 1)
    effects = f"(1 | {name})" if random is None else f"(1 | {random})"
    residual, weights, known, hold = None, None, None, {RESIDUAL: 1.0}
    if sampling.ndim == 1:
        weights = 1.0 / sampling
    else:
        residual = f"lin({name} | {_independent_factor(source, random, sampling)})"
        known, hold = {KNOWN: (sampling, rows)}, {COEFFICIENT: 1.0}
    spec = read_formula(
        f"{formula} + {effects}",
        residual=residual,
        method=method,
        contrasts=contrasts,
        na=na,
        hold=hold,
        ddf=_ddf(random, method, test),
        context=context,
    ).with_changes(sampling=True)
    inputs = Inputs(_with_column(data, name, rows), weights, known, subset, context)
    return fit_model(spec, inputs, control or Control())


def _ddf(random: str | None, method: str, test: str | None) -> str:
    if test is not None:
        return TESTS[test]
    if random is None:
        return "knapp-hartung"
    return "kenward-roger" if method == "reml" else "satterthwaite"


def _new_name(source: Source) -> str:
    """Return a name for the rows that no column has."""
    name = "estimate"
    while name in source.names:
        name += "_"
    return name


def _independent_factor(source: Source, random: str | None, sampling: Array) -> str:
    """Return the outermost factor of `random` where V has no covariances between its levels, else `"1"`."""
    if random is None:
        return "1"
    outer = random.split("/")[0].strip().strip("`")
    if outer not in source.names:
        return "1"
    codes: NDArray[Any] = source.read(outer).factor().values
    apart = codes[:, None] != codes[None, :]
    return quoted(outer) if not np.any(sampling[apart]) else "1"


def _with_column(data: Any, name: str, values: NDArray[Any]) -> Any:
    """Return the data with one column more, in the library they came in."""
    if isinstance(data, Mapping):
        return {**data, name: values}
    if isinstance(data, np.ndarray):
        return {**{column: data[column] for column in data.dtype.names or ()}, name: values}
    import narwhals as nw

    frame = nw.from_native(data, eager_only=True)
    column = nw.new_series(name, values, backend=frame.implementation)
    if frame.implementation.is_pandas():
        return data.assign(**{name: values})
    return frame.with_columns(column).to_native()
