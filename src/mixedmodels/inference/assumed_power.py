"""Power of a study that is planned: a model, its data without a response, and assumed effects and variances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..control import Control
from ..criterion.parameters import place_by_name
from ..errors import SpecError, suggest
from ..fit import Inputs
from ..frame.readers import open_source
from ..spec import Method
from ..syntax.formula import read_formula
from ..table import Table
from ..tool import load
from ..typing import Labels
from .assumed import assumed_fit
from .power import power

Numbers = float | Sequence[float]


def assumed_power(
    formula: str,
    data: Any,
    *,
    fixed: Mapping[str, float],
    sd: Mapping[str, Numbers] | None = None,
    parameters: Mapping[str, float] | None = None,
    term: str | Sequence[str] | None = None,
    residual: str | None = None,
    variance: str | None = None,
    weights: str | None = None,
    method: Method = "reml",
    contrasts: Mapping[str, Any] | None = None,
    n_sim: int = 1000,
    along: str | None = None,
    sizes: Sequence[int] | None = None,
    alpha: float = 0.05,
    ddf: str | None = None,
    level: float = 0.95,
    seed: int | None = None,
    threads: int | None = None,
    progress: bool | None = None,
    control: Control | None = None,
) -> Table:
    """Return how often tests are significant in studies simulated from assumed effects and variances.

    Parameters
    ----------
    formula, data
        The model, and the rows of the planned study; a column of the response is not needed.
    fixed
        The assumed coefficient of every column of X.
    sd
        Standard deviations by grouping factor, one number or one for each random effect in order (without
        correlations), and that of the errors as `"Residual"`.
    parameters
        Covariance parameters by their natural names, as in `start=` of `lmm`; they go before `sd`.
    term
        What is tested; every coefficient but the intercept by default.
    residual, variance, weights, method, contrasts, control
        As for `lmm`.
    n_sim, along, sizes, alpha, ddf, level, seed, threads, progress
        As for `fit.power`.

    Returns
    -------
    Table
        `term size n_sim failed power conf_low conf_high`.

    Raises
    ------
    SpecError
        Where a coefficient or a covariance parameter has no value, with the names of all.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> plan = {"subject": [s for s in range(20) for _ in range(4)], "week": [0, 1, 2, 3] * 20}
    >>> table = mm.power("y ~ week + (1 | subject)", plan, fixed={"(Intercept)": 10.0, "week": 0.3},
    ...                  sd={"subject": 2.0, "Residual": 1.0}, n_sim=200, seed=1)
    >>> float(table["power"][0].round(1))
    0.8
    """
    spec = read_formula(
        formula, residual=residual, variance=variance, weights=weights, method=method, contrasts=contrasts
    )
    if not isinstance(fixed, Mapping):
        raise SpecError(f"fixed={fixed!r} must map coefficients to values, for example fixed={{'x': 0.5}}.")
    source = open_source(data)
    columns: dict[str, Any] = {name: source.read(name) for name in source.names}
    values = load("postfit.used_data:column_values")
    columns = {name: values(column) for name, column in columns.items()}
    if spec.response not in columns:
        if not spec.response.isidentifier():
            raise SpecError(
                f"the response {spec.response!r} is no plain name; write the formula for what is simulated, as 'y ~ …'."
            )
        # rows need some response until one is simulated
        columns[spec.response] = np.random.default_rng(0).standard_normal(source.n)
    fit = assumed_fit(
        spec,
        Inputs(columns),
        control or Control(),
        fixed,
        lambda names: _parameters(names, sd or {}, parameters or {}),
    )
    terms = [name for name in fit.params.index if name != "(Intercept)"] if term is None else term
    found = power(
        fit, terms, n_sim, along=along, sizes=sizes, alpha=alpha, ddf=ddf, level=level, seed=seed,
        threads=threads, progress=progress,
    )  # fmt: skip
    return Table(found.columns, found.title, found.notes, source.backend, found.formats)


def _parameters(names: Labels, sd: Mapping[str, Numbers], given: Mapping[str, float]) -> dict[int, float]:
    """Return the value of every covariance parameter by its place."""
    placed: dict[int, float] = {}
    for group, values in sd.items():
        places = [i for i, name in enumerate(names) if name.startswith("var(") and _group(name) == group]
        numbers = np.atleast_1d(np.asarray(values, dtype=float))
        if not places:
            known = dict.fromkeys(_group(name) for name in names if name.startswith("var("))
            raise SpecError(
                f"sd={{{group!r}: …}} is no grouping factor.{suggest(group, list(known))} Allowed: {', '.join(known)}."
            )
        if len(numbers) != len(places) or not (numbers >= 0).all():
            effects = ", ".join(names[i] for i in places)
            raise SpecError(
                f"sd={{{group!r}: {values!r}}} must give {len(places)} standard deviations, not negative, of {effects}."
            )
        placed |= {i: float(value) ** 2 for i, value in zip(places, numbers, strict=True)}
        # effects of one group are uncorrelated unless parameters say otherwise
        own = {_group(names[i]) for i in places}
        placed |= {
            i: 0.0
            for i, name in enumerate(names)
            if name.startswith(("cov(", "cor(")) and _group(name) in own and i not in placed
        }
    placed |= place_by_name(given, names, "parameters")
    missing = [name for i, name in enumerate(names) if i not in placed]
    if missing:
        raise SpecError(
            f"no value of {', '.join(missing)}; give sd= by grouping factor (and 'Residual'), or parameters= by these "
            "names."
        )
    return placed


def _group(name: str) -> str:
    """Return the grouping factor in the name of a parameter: `"id"` of `"var(id: x)"`."""
    inside = name.partition("(")[2].removesuffix(")")
    return inside.partition(": ")[0].partition(" | ")[0]
